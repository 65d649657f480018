"""Answers that come in pieces: read as they pass, with the SDK's own classes and nothing consumed early.

A stream is the SDK's own, made of a subclass of the class it would have had. A body that the caller reads
on their own is watched at its HTTP response. Both end their call at the end of the data, or when the
response is closed before.
"""

from __future__ import annotations

import functools
import json
import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from inspect import isasyncgenfunction
from time import perf_counter
from typing import TYPE_CHECKING, Any, get_args, get_origin

from otel_genai.spec import from_text, plain, view

if TYPE_CHECKING:
    from otel_genai._call import Call

_READING = "_otel_genai"
_LAST_EVENT = b"data: [DONE]"
_WATCHED = ("close", "aclose", "iter_raw", "aiter_raw")


class Reading:
    """What a stream of ours knows: the call it answers, once that is known."""

    __slots__ = ("__weakref__", "asynchronous", "call", "foreign", "response", "running")

    def __init__(self, *, asynchronous: bool, foreign: bool) -> None:
        """Know no call yet."""
        self.asynchronous = asynchronous
        self.foreign = foreign
        self.call: Call | None = None
        self.response: Any = None
        self.running: Callable[[], bool] = bool

    def read(self, events: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass the events on, taking note of each."""
        call = self.call
        if call is None:
            yield from events
            return
        add, stamp = self._adder(call.fold.add), call.times.append
        try:
            for event in events:
                try:
                    if add(event):
                        stamp(perf_counter())
                except Exception as error:  # noqa: BLE001 (the guard)
                    call.misread(error)
                yield event
        except BaseException as error:
            self._end(call.failed, error)
            events.close()
            raise
        self._end(call.done)

    async def aread(self, events: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        """Pass the events on, taking note of each."""
        call = self.call
        if call is None:
            async for event in events:
                yield event
            return
        add, stamp = self._adder(call.fold.add), call.times.append
        try:
            async for event in events:
                try:
                    if add(event):
                        stamp(perf_counter())
                except Exception as error:  # noqa: BLE001 (the guard)
                    call.misread(error)
                yield event
        except BaseException as error:
            self._end(call.failed, error)
            await events.aclose()
            raise
        self._end(call.done)

    def _adder(self, add: Callable[[Any], bool]) -> Callable[[Any], bool]:
        """Give what takes the events in, whatever type the caller wants them to have."""
        return (lambda event: add(view(plain(event)))) if self.foreign else add

    def stop(self) -> None:
        """End the call: the caller closed or dropped the stream."""
        if self.call is not None:
            self._end(self.call.abandoned)

    def _end(self, how: Callable[..., None], *error: BaseException) -> None:
        _unwatch(self.response)
        how(*error)

    def __del__(self) -> None:
        """End the call of a stream that was dropped, even one that nobody began to read."""
        if self.call is not None and self.call.open:
            self.stop()


@functools.cache
def reading(cls: Any) -> Any:
    """Make the subclass of an SDK's stream class that lets its call see the events."""
    origin = get_origin(cls) or cls
    asynchronous = isasyncgenfunction(origin.__stream__)
    foreign = _is_foreign(cls, origin)

    def __stream__(self: Any) -> Any:  # noqa: N807 (the SDK's name)
        state = Reading(asynchronous=asynchronous, foreign=foreign)
        events = origin.__stream__(self)
        reader = state.aread(events) if asynchronous else state.read(events)
        state.running = functools.partial(_is_running, weakref.ref(reader))
        self.__dict__[_READING] = state
        return reader

    same = {name: getattr(origin, name) for name in ("__module__", "__qualname__", "__doc__")}
    return types.new_class(
        origin.__name__, (cls,), exec_body=lambda body: body.update(same, __stream__=__stream__)
    )


def _is_foreign(cls: Any, origin: type[Any]) -> bool:
    """Whether the events are of a type that the caller chose, not of the SDK's own that readers know."""
    event = next(iter(get_args(cls)), origin)
    module: str = getattr(get_origin(event) or event, "__module__", "")
    own = (origin.__module__.partition(".")[0], "typing", "types")
    return event is Any or module.partition(".")[0] not in own


def _is_running(reader: Callable[[], Any]) -> bool:
    """Whether a reader is in the middle of a step: what closes the response then is the stream itself."""
    generator = reader()
    return bool(getattr(generator, "gi_running", False) or getattr(generator, "ag_running", False))


def begin(result: Any, call: Call) -> bool:
    """Tell a stream of ours whose call it answers; False if the result is no such stream."""
    state = getattr(result, "__dict__", {}).get(_READING)
    if not isinstance(state, Reading):
        return False
    state.call = call
    state.response = result.response
    _watch_close(result.response, state)
    return True


def _watch_close(response: Any, state: Reading | Tee) -> None:
    """End the call when the response is closed by anything but the reading itself."""
    if state.asynchronous:
        aclose = response.aclose

        async def aclose_and_stop() -> None:
            try:
                await aclose()
            finally:
                if not state.running():
                    state.stop()

        response.aclose = aclose_and_stop
    else:
        close = response.close

        def close_and_stop() -> None:
            try:
                close()
            finally:
                if not state.running():
                    state.stop()

        response.close = close_and_stop


def _unwatch(response: Any) -> None:
    """Give a response its own methods back."""
    for name in _WATCHED:
        getattr(response, "__dict__", {}).pop(name, None)


class Tee:
    """Watches the body of a response that the caller reads on their own."""

    asynchronous = False

    def __init__(self, call: Call, response: Any) -> None:
        """Stand between the response and its reader."""
        self.call = call
        self.response = response
        self.running: Callable[[], bool] = bool
        self._chunks: list[tuple[float, bytes]] = []
        self._put()
        _watch_close(response, self)

    def _put(self) -> None:
        iter_raw = self.response.iter_raw

        def tee(chunk_size: int | None = None) -> Iterator[bytes]:
            reader = self._read(iter_raw(chunk_size))
            self.running = functools.partial(_is_running, weakref.ref(reader))
            return reader

        self.response.iter_raw = tee

    def _read(self, chunks: Generator[bytes, Any, Any]) -> Generator[bytes, Any, Any]:
        try:
            for chunk in chunks:
                self._chunks.append((perf_counter(), chunk))
                yield chunk
        except BaseException as error:
            self._end(self.call.failed, error)
            chunks.close()
            raise
        self._end(self.call.done)

    def stop(self) -> None:
        """End the call: the response was closed, early unless the last event had come."""
        tail = b"".join(chunk for _, chunk in self._chunks[-2:])
        self._end(self.call.done if _LAST_EVENT in tail else self.call.abandoned)

    def _end(self, how: Callable[..., None], *error: BaseException) -> None:
        _unwatch(self.response)
        if self.call.open:
            how(*error, _received(self.call, self.response, self._chunks))

    def __del__(self) -> None:
        """End the call of a response that was dropped."""
        if self.call.open:
            self.stop()


class AsyncTee(Tee):
    """Watches the body of a response that the caller awaits on their own."""

    asynchronous = True

    def _put(self) -> None:
        aiter_raw = self.response.aiter_raw

        def tee(chunk_size: int | None = None) -> AsyncGenerator[bytes, Any]:
            reader = self._aread(aiter_raw(chunk_size))
            self.running = functools.partial(_is_running, weakref.ref(reader))
            return reader

        self.response.aiter_raw = tee

    async def _aread(self, chunks: AsyncGenerator[bytes, Any]) -> AsyncGenerator[bytes, Any]:
        try:
            async for chunk in chunks:
                self._chunks.append((perf_counter(), chunk))
                yield chunk
        except BaseException as error:
            self._end(self.call.failed, error)
            await chunks.aclose()
            raise
        self._end(self.call.done)


def _received(call: Call, response: Any, chunks: list[tuple[float, bytes]]) -> Any:
    """Read what was received of a body: a stream's events, or one JSON document."""
    try:
        encoded = bool(response.headers.get("content-encoding"))
        if encoded:
            # The pieces of a compressed body have no times of their own that mean anything.
            body = b"".join(chunk for _, chunk in chunks)
            chunks = [(0.0, type(response)(200, headers=response.headers, content=body).content)]
        if "event-stream" not in response.headers.get("content-type", ""):
            return from_text(b"".join(chunk for _, chunk in chunks))
        for at, data in server_sent(chunks):
            _take(call, None if encoded else at, data)
    except Exception as error:  # noqa: BLE001 (the guard)
        call.misread(error)
    return None


def _take(call: Call, at: float | None, data: bytes) -> None:
    """Have the call see one event; what cannot be read stays alone."""
    try:
        if call.fold is not None and call.fold.add(view(json.loads(data))) and at is not None:
            call.times.append(at)
    except Exception as error:  # noqa: BLE001 (the guard)
        call.misread(error)


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
