"""HTTP responses that are watched: when they are closed, and their bodies where the caller reads those.

For one response, its class is a subclass of the class that it would have had.
"""

from __future__ import annotations

import functools
import json
import re
import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from otel_genai import _guard
from otel_genai.spec import from_text, view

if TYPE_CHECKING:
    from otel_genai._call import Call

STATE = "_otel_genai"
_FILES = ("audio/", "image/", "video/", "application/octet-stream")
"""What nobody reads but the caller: it may be long, and is not kept."""
_LAST_EVENT = re.compile(rb"^data: ?\[DONE\]", re.MULTILINE)
LAST_EVENT_MAX = 64
"""Bytes that the last event takes at most, with what may follow it."""


def is_last(tail: bytes) -> bool:
    """Whether a body ends with the event that ends a stream of some APIs; SDKs keep it to themselves."""
    return _LAST_EVENT.search(tail[-LAST_EVENT_MAX:]) is not None


class Watcher(Protocol):
    """What is told of a response that it watches."""

    call: Any
    running: Callable[[], bool]

    def stop(self) -> None:
        """End the call: the response was closed."""

    def tee(self, response: Any, chunks: Any) -> Any:
        """Give the body's pieces as they come."""


def subclass(origin: type[Any], bases: tuple[Any, ...], **methods: Any) -> Any:
    """Make a subclass that goes by the name of the class it is made of."""

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807 (Python's name)
        # What is pickled is of the class that was there before, and nobody watches it.
        state: Any = super(made, self).__reduce_ex__(protocol)[2]
        return object.__new__, (origin,), {key: value for key, value in state.items() if key != STATE}

    same = {name: getattr(origin, name) for name in ("__module__", "__qualname__", "__doc__")}
    body = {**same, **methods, "__reduce_ex__": __reduce_ex__}
    made: Any = types.new_class(origin.__name__, bases, exec_body=lambda namespace: namespace.update(body))
    return made


def is_running(reader: Callable[[], Any]) -> bool:
    """Whether a reader is in the middle of a step: what closes the response then is the stream itself."""
    generator = reader()
    return bool(getattr(generator, "gi_running", False) or getattr(generator, "ag_running", False))


def adopt(thing: Any, state: Any, methods: Callable[[Any], dict[str, Callable[..., Any]]]) -> None:
    """Have a thing tell `state` what happens to it: for this one thing, its class is one of ours."""
    cls: Any = type(thing)
    thing.__dict__[STATE] = state
    thing.__class__ = _adopted(cls, methods)


@functools.cache
def _adopted(cls: Any, methods: Callable[[Any], dict[str, Callable[..., Any]]]) -> Any:
    return subclass(cls, (cls,), **methods(cls))


def watch(response: Any, state: Watcher) -> None:
    """Have a response say when it is closed or read."""
    adopt(response, state, _watched)


def unwatch(thing: Any) -> None:
    """Make a thing what it was."""
    if getattr(thing, "__dict__", {}).pop(STATE, None) is not None:
        thing.__class__ = type(thing).__mro__[1]


def _watched(cls: Any) -> dict[str, Callable[..., Any]]:
    """Give the methods by which an HTTP response of this class is closed or read, with ours around them."""

    def close(self: Any) -> None:
        try:
            cls.close(self)
        finally:
            _closed(self)

    async def aclose(self: Any) -> None:
        try:
            await cls.aclose(self)
        finally:
            _closed(self)

    def iter_raw(self: Any, chunk_size: int | None = None) -> Any:
        return _teed(self, cls.iter_raw(self, chunk_size))

    def aiter_raw(self: Any, chunk_size: int | None = None) -> Any:
        return _teed(self, cls.aiter_raw(self, chunk_size))

    return {"close": close, "aclose": aclose, "iter_raw": iter_raw, "aiter_raw": aiter_raw}


def _closed(response: Any) -> None:
    """End the call when the response is closed by anything but the reading itself."""
    state = response.__dict__.get(STATE)
    if state is not None:
        state.call.safely(_stop_unless_running, state)


def _stop_unless_running(state: Watcher) -> None:
    if not state.running():
        state.stop()


def _teed(response: Any, chunks: Any) -> Any:
    """Have a response's body watched as it is read."""
    state = response.__dict__[STATE]
    try:
        return state.tee(response, chunks)
    except Exception as error:  # noqa: BLE001 (the guard)
        state.call.hurt(error)
        return chunks


class Tee:
    """Watches the body of a response that the caller reads on their own."""

    call: Any = None
    running: Callable[[], bool] = bool

    def __init__(self, call: Call, response: Any) -> None:
        """Stand between the response and its reader."""
        self._chunks: list[tuple[float, bytes]] = []
        self._headers = response.headers
        self._is_file = response.headers.get("content-type", "").startswith(_FILES)
        self._response_class = type(response)
        self.response = weakref.ref(response)
        self.call = call
        watch(response, self)
        _guard.keep(call, self)

    def tee(self, response: Any, chunks: Any) -> Any:
        """Give the body's pieces as they come, and keep them."""
        if self.running():  # one way of reading is built on another
            return chunks
        reader = (
            self._aread(response, chunks) if hasattr(chunks, "__anext__") else self._read(response, chunks)
        )
        self.running = functools.partial(is_running, weakref.ref(reader))
        return reader

    def _read(
        self,
        response: Any,  # noqa: ARG002 (lives as long as its reader, which may be all that the caller keeps)
        chunks: Generator[bytes, Any, Any],
    ) -> Generator[bytes, Any, Any]:
        try:
            for chunk in chunks:
                if not self._is_file:
                    self._chunks.append((perf_counter(), chunk))
                yield chunk
        except BaseException as error:
            self.call.safely(self._end, self.call.failed, error)
            chunks.close()
            raise
        self.call.safely(self._end, self.call.done)

    async def _aread(
        self,
        response: Any,  # noqa: ARG002 (as above)
        chunks: AsyncGenerator[bytes, Any],
    ) -> AsyncGenerator[bytes, Any]:
        try:
            async for chunk in chunks:
                if not self._is_file:
                    self._chunks.append((perf_counter(), chunk))
                yield chunk
        except BaseException as error:
            self.call.safely(self._end, self.call.failed, error)
            await chunks.aclose()
            raise
        self.call.safely(self._end, self.call.done)

    def stop(self) -> None:
        """End the call: the response was closed, early unless the last event had come."""
        if self.call.open:
            self._end(self.call.done if self._is_terminated() else self.call.abandoned)

    def forget(self) -> None:
        """Leave the call to the process that began it."""
        self.call.forget()

    def _is_terminated(self) -> bool:
        return is_last(b"".join(chunk for _, chunk in self._chunks[-2:]))

    def _end(self, how: Callable[..., None], *error: BaseException) -> None:
        _guard.drop(self.call)
        unwatch(self.response())
        if self.call.open:
            self.call.terminated = self._is_terminated()
            how(*error, self._received())

    def _received(self) -> Any:
        """Read what was received of a body: a stream's events, or one JSON document."""
        chunks = self._chunks
        try:
            encoded = bool(self._headers.get("content-encoding"))
            if encoded:
                chunks = [
                    (0.0, self._decompressed())
                ]  # the pieces have no times of their own that mean anything
            if "event-stream" not in self._headers.get("content-type", ""):
                self.call.terminated = True  # what cannot be read cannot be said to be cut
                return from_text(b"".join(chunk for _, chunk in chunks))
            for at, data in server_sent(chunks):
                self._take(None if encoded else at, data)
        except Exception as error:  # noqa: BLE001 (the guard)
            self.call.misread(error)
        finally:
            self._chunks = []  # read once, whatever comes after
        return None

    def _decompressed(self) -> bytes:
        """Have a body decompressed as the response itself would."""
        body = b"".join(chunk for _, chunk in self._chunks)
        try:
            content: bytes = self._response_class(200, headers=self._headers, content=body).content
        except Exception as error:  # the HTTP library's own
            msg = "the body cannot be decompressed"
            raise ValueError(msg) from error
        return content

    def _take(self, at: float | None, data: bytes) -> None:
        """Have the call see one event; what cannot be read stays alone."""
        try:
            if self.call.fold is not None and self.call.fold.add(view(json.loads(data))) and at is not None:
                self.call.times.append(at)
        except Exception as error:  # noqa: BLE001 (the guard)
            self.call.misread(error)

    def __del__(self) -> None:
        """End the call of a response that was dropped."""
        if self.call is not None and self.call.open:
            self.call.safely(self.stop)


def server_sent(chunks: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """Find the JSON objects that server-sent events carry, each with the time its last byte came."""
    rest, at = b"", 0.0
    for at, chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from ((at, data) for line in lines if (data := _data(line)))
    if data := _data(rest):  # the SDK reads a last line without its end, too
        yield at, data


def _data(line: bytes) -> bytes:
    """Give the JSON object on a line; what is no `data` line, or `[DONE]`, has none."""
    data = line[5:].strip() if line.startswith(b"data:") else b""
    return data if data[:1] == b"{" else b""
