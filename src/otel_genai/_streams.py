"""Answers that come in pieces: read as they pass, with the SDK's own classes and nothing consumed early.

A stream is the SDK's own, made of a subclass of the class it would have had. It ends its call at the end of
the data, or when the response is closed before.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from inspect import isasyncgenfunction
from time import perf_counter
from typing import TYPE_CHECKING, Any, get_args, get_origin

from otel_genai import _bodies, _guard
from otel_genai.spec import plain, view

if TYPE_CHECKING:
    from otel_genai._call import Call


class Reading:
    """What a stream of ours, and its response, know: the call they answer, once that is known."""

    call: Call | None = None
    add: Callable[[Any], bool]
    response: Callable[[], Any] = staticmethod(lambda: None)
    running: Callable[[], bool] = bool
    hides: Callable[[Any], bool] | None = None
    """Says of an event that it is there only because we asked for it."""
    foreign = False
    """Whether events are of a type that the caller chose, not of the SDK's own."""
    _before = _tail = b""

    def answers(self, call: Call, response: Any) -> None:
        """Belong to a call from now on."""
        add = call.fold.add
        self.add = (lambda event: add(view(plain(event)))) if self.foreign else add
        self.hides = self._is_ours if call.asked else None
        self.response = weakref.ref(response)
        self.call = call
        _bodies.watch(response, self)
        _guard.keep(call, self)

    def read(self, events: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass the events on, taking note of each."""
        call = self.call
        if call is None:
            yield from events
            return
        add, stamp, hides = self.add, call.times.append, self.hides
        try:
            for event in events:
                try:
                    if add(event):
                        stamp(perf_counter())
                except Exception as error:  # noqa: BLE001 (the guard)
                    call.safely(call.misread, error)
                if hides is None or not hides(event):
                    yield event
        except BaseException as error:
            call.safely(self._end, call.failed, error)
            events.close()
            raise
        call.safely(self._finish)

    async def aread(self, events: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        """Pass the events on, taking note of each."""
        call = self.call
        if call is None:
            async for event in events:
                yield event
            return
        add, stamp, hides = self.add, call.times.append, self.hides
        try:
            async for event in events:
                try:
                    if add(event):
                        stamp(perf_counter())
                except Exception as error:  # noqa: BLE001 (the guard)
                    call.safely(call.misread, error)
                if hides is None or not hides(event):
                    yield event
        except BaseException as error:
            call.safely(self._end, call.failed, error)
            await events.aclose()
            raise
        call.safely(self._finish)

    def _is_ours(self, event: Any) -> bool:
        call = self.call
        try:
            shown = view(plain(event)) if self.foreign else event
            return bool(call and call.bound.operation.is_usage and call.bound.operation.is_usage(shown))
        except Exception as error:  # noqa: BLE001 (the guard)
            if call is not None:
                call.safely(call.misread, error)
            return False

    def _finish(self) -> None:
        if self.call is not None:
            self.call.terminated = _bodies.is_last(self._before[-_bodies.LAST_EVENT_MAX :] + self._tail)
            self._end(self.call.done)

    def tee(self, response: Any, chunks: Any) -> Any:  # noqa: ARG002 (as of a body that is watched)
        """Give the body's pieces as they come, and keep the last: some SDKs hide the last event there."""
        return self._akeep(chunks) if hasattr(chunks, "__anext__") else self._keep(chunks)

    def _keep(self, chunks: Any) -> Generator[bytes, Any, None]:
        for chunk in chunks:
            self._before, self._tail = self._tail, chunk
            yield chunk

    async def _akeep(self, chunks: Any) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self._before, self._tail = self._tail, chunk
            yield chunk

    def stop(self) -> None:
        """End the call: the caller closed or dropped the stream."""
        if self.call is not None and self.call.open:
            self._end(self.call.abandoned)

    def forget(self) -> None:
        """Leave the call to the process that began it."""
        if self.call is not None:
            self.call.forget()

    def _end(self, how: Callable[..., None], *error: BaseException) -> None:
        _guard.drop(self.call)
        _bodies.unwatch(self.response())
        how(*error)

    def __del__(self) -> None:
        """End the call of a stream that was dropped, even one that nobody began to read."""
        if self.call is not None and self.call.open:
            self.call.safely(self.stop)


@functools.cache
def reading(cls: Any) -> Any:
    """Make the subclass of an SDK's stream class that lets its call see the events."""
    origin = get_origin(cls) or cls
    asynchronous = isasyncgenfunction(origin.__stream__)
    foreign = _is_foreign(cls, origin)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 (Python's name)
        state = self.__dict__[_bodies.STATE] = Reading()
        state.foreign = foreign
        origin.__init__(self, *args, **kwargs)
        if "_iterator" in self.__dict__:  # made at once; and anthropic 0 denies that a subclass is a Stream
            self.__class__ = type(self).__mro__[1]

    def __stream__(self: Any) -> Any:  # noqa: N807 (the SDK's name)
        state, events = self.__dict__[_bodies.STATE], origin.__stream__(self)
        reader = state.aread(events) if asynchronous else state.read(events)
        state.running = functools.partial(_bodies.is_running, weakref.ref(reader))
        return reader

    def __copy__(self: Any) -> Any:  # noqa: N807 (Python's name)
        # Some SDKs iterate over a copy of the stream: what is known is shared by both.
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    return _bodies.subclass(origin, (cls,), __init__=__init__, __stream__=__stream__, __copy__=__copy__)


def _is_foreign(cls: Any, origin: type[Any]) -> bool:
    """Whether the events are of a type that the caller chose, not of the SDK's own that readers know."""
    event = next(iter(get_args(cls)), origin)
    module: str = getattr(get_origin(event) or event, "__module__", "")
    own = (origin.__module__.partition(".")[0], "typing", "types")
    return event is Any or module.partition(".")[0] not in own


def begin(result: Any, call: Call) -> bool:
    """Tell a stream of ours whose call it answers; False if the result is no such stream."""
    inside = getattr(result, "__dict__", None)
    state = inside.get(_bodies.STATE) if isinstance(inside, dict) else None
    if not isinstance(state, Reading):
        return False
    state.answers(call, result.response)
    return True
