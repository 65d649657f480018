"""Streams that an SDK makes on its own: generators, and objects that are iterated.

A generator is passed on by one of ours; of an object, the class is a subclass of its own from then on.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from inspect import isasyncgenfunction, iscoroutinefunction
from time import perf_counter
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel

from otel_genai import _bodies, _context, _guard
from otel_genai._streams import Reading
from otel_genai.spec import from_text

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_genai._call import Call

_END = object()


def passed(stream: Any, call: Call) -> Any:
    """Give what the caller iterates over in place of the stream: it is the same to them."""
    state = Passing(call)
    if isinstance(stream, types.GeneratorType):
        return _named(state.read(_entered(call.context, stream)), stream)
    if isinstance(stream, types.AsyncGeneratorType):
        return _named(state.aread(_aentered(call.context, stream)), stream)
    state.response = weakref.ref(stream)
    _bodies.adopt(stream, state, _iterated)
    own = stream.__dict__.get("close")
    if own is not None:  # some SDKs give each stream a function of its own in place of the class's
        stream.close = _closing(own, state.response)
    return stream


def _closing(close: Callable[..., Any], stream: Callable[[], Any]) -> Callable[..., Any]:
    def closed(*args: Any, **kwargs: Any) -> Any:
        try:
            return close(*args, **kwargs)
        finally:
            _stop(stream())

    async def aclosed(*args: Any, **kwargs: Any) -> Any:
        try:
            return await close(*args, **kwargs)
        finally:
            _stop(stream())

    return aclosed if iscoroutinefunction(close) else closed


def _named(ours: Any, stream: Any) -> Any:
    ours.__name__, ours.__qualname__ = stream.__name__, stream.__qualname__
    return ours


class Passing(Reading):
    """What is known of a stream that an SDK made on its own."""

    is_within = False
    """Whether one way of iterating is at work that may be built on another."""

    def __init__(self, call: Call) -> None:
        """Belong to a call."""
        self.add = call.fold.add
        self.hides = self._is_ours if call.asked else None
        self.call = call
        _guard.keep(call, self)

    def took(self, event: Any) -> None:
        """Take note of one event."""
        call: Any = self.call
        try:
            if self.add(event):
                call.times.append(perf_counter())
        except Exception as error:  # noqa: BLE001 (the guard)
            call.safely(call.misread, error)

    def finished(self) -> None:
        """End the call: the stream was read to its end."""
        call: Any = self.call
        call.safely(self._end, call.done)

    def failed(self, error: BaseException) -> None:
        """End the call: a step raised."""
        call: Any = self.call
        call.safely(self._end, call.failed, error)


def _entered(context: Context, events: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Take the first step, in which some SDKs send the request, within the call."""
    token = otel.attach(context)
    try:
        first = next(events, _END)
    finally:
        _context.leave(context, token)
    try:
        if first is not _END:
            yield first
            yield from events
    finally:
        events.close()


async def _aentered(context: Context, events: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    token = otel.attach(context)
    try:
        first = await anext(events, _END)
    finally:
        _context.leave(context, token)
    try:
        if first is not _END:
            yield first
            async for event in events:
                yield event
    finally:
        await events.aclose()


def _iterated(cls: Any) -> dict[str, Callable[..., Any]]:
    """Give the methods by which an object of this class is iterated and closed, with ours around them."""
    around = {
        "__next__": _next, "__anext__": _anext, "__iter__": _iter, "__aiter__": _aiter,
        "close": _aclose if iscoroutinefunction(getattr(cls, "close", None)) else _close, "aclose": _aclose,
    }  # fmt: skip
    if isasyncgenfunction(getattr(cls, "__anext__", None)):
        del around["__anext__"]  # aiobotocore's is no step: `__aiter__` gives the generator that it makes
    return {name: make(getattr(cls, name)) for name, make in around.items() if hasattr(cls, name)}


def _next(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def __next__(self: Any) -> Any:  # noqa: N807 (Python's name)
        state = self.__dict__.get(_bodies.STATE)
        if state is None or state.is_within:
            return step(self)
        while True:
            state.is_within = True
            try:
                event = step(self)
            except StopIteration:
                state.finished()
                raise
            except BaseException as error:
                state.failed(error)
                raise
            finally:
                state.is_within = False
            state.took(event)
            if state.hides is None or not state.hides(event):
                return event

    return __next__


def _anext(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def __anext__(self: Any) -> Any:  # noqa: N807 (Python's name)
        state = self.__dict__.get(_bodies.STATE)
        if state is None or state.is_within:
            return await step(self)
        while True:
            state.is_within = True
            try:
                event = await step(self)
            except StopAsyncIteration:
                state.finished()
                raise
            except BaseException as error:
                state.failed(error)
                raise
            finally:
                state.is_within = False
            state.took(event)
            if state.hides is None or not state.hides(event):
                return event

    return __anext__


def _iter(begin: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def __iter__(self: Any) -> Any:  # noqa: N807 (Python's name)
        state, events = self.__dict__.get(_bodies.STATE), begin(self)
        return events if state is None or events is self else _steps(state, self, events)

    return __iter__


def _steps(state: Passing, stream: Any, events: Any) -> Generator[Any, Any, None]:  # noqa: ARG001 (it lives as long)
    """Pass the events on. Leaving a loop is not the end: such an object can be iterated once more."""
    while True:
        state.is_within = True
        try:
            event = next(events, _END)
        except BaseException as error:
            state.failed(error)
            raise
        finally:
            state.is_within = False
        if event is _END:
            state.finished()
            return
        state.took(event)
        if state.hides is None or not state.hides(event):
            yield event


def _aiter(begin: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def __aiter__(self: Any) -> Any:  # noqa: N807 (Python's name)
        state, events = self.__dict__.get(_bodies.STATE), begin(self)
        return events if state is None or events is self else _asteps(state, self, events)

    return __aiter__


async def _asteps(state: Passing, stream: Any, events: Any) -> AsyncGenerator[Any, None]:  # noqa: ARG001 (as above)
    while True:
        state.is_within = True
        try:
            event = await anext(events, _END)
        except BaseException as error:
            state.failed(error)
            raise
        finally:
            state.is_within = False
        if event is _END:
            state.finished()
            return
        state.took(event)
        if state.hides is None or not state.hides(event):
            yield event


def _close(close: Callable[..., Any]) -> Callable[..., Any]:
    def closed(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return close(self, *args, **kwargs)
        finally:
            _stop(self)

    return closed


def _aclose(close: Callable[..., Any]) -> Callable[..., Any]:
    async def closed(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await close(self, *args, **kwargs)
        finally:
            _stop(self)

    return closed


def _stop(stream: Any) -> None:
    """End the call of a stream that is closed, unless a step of its own closes it."""
    state = getattr(stream, "__dict__", {}).get(_bodies.STATE)
    if state is not None and not state.is_within:
        state.call.safely(state.stop)


class File(Passing):
    """A body that the caller reads as a file: once it was read to its end, it is the answer."""

    def __init__(self, call: Call, body: Any, answer: Callable[[Any], Any]) -> None:
        """Stand between the body and its reader; `answer` makes of its JSON what is read."""
        self.call = call
        self._answer = answer
        self._pieces: list[bytes] = []
        self.response = weakref.ref(body)
        _guard.keep(call, self)
        _bodies.adopt(body, self, _as_awaited_file if iscoroutinefunction(body.read) else _as_file)

    def took(self, event: Any) -> None:
        """Take note of some bytes."""
        self._pieces.append(bytes(event))

    def finished(self) -> None:
        """End the call: there is nothing more."""
        call: Any = self.call
        call.safely(self._answered)

    def _answered(self) -> None:
        call: Any = self.call
        self._end(call.done, call.read(self._answer, from_text(b"".join(self._pieces))))

    def stop(self) -> None:
        """End the call: the body was left, which may have been after its last byte."""
        call: Any = self.call
        if call.open and from_text(b"".join(self._pieces)) is not None:
            self._answered()
        else:
            super().stop()


def _as_file(cls: Any) -> dict[str, Callable[..., Any]]:
    """Give the methods by which a file of this class is read and closed, with ours around them."""

    def read(self: Any, amt: int | None = None) -> Any:
        state = self.__dict__.get(_bodies.STATE)
        if state is None:
            return cls.read(self, amt)
        state.is_within = True
        try:
            data = cls.read(self, amt)
        except BaseException as error:
            state.failed(error)
            raise
        finally:
            state.is_within = False
        state.took(data)
        if amt is None or amt < 0 or (amt > 0 and not data):
            state.finished()
        return data

    def readinto(self: Any, buffer: Any) -> Any:
        count = cls.readinto(self, buffer)
        state = self.__dict__.get(_bodies.STATE)
        if state is not None:
            state.took(memoryview(buffer)[:count])
            if not count:
                state.finished()
        return count

    return {"read": read, "readinto": readinto, "close": _close(cls.close)}


def _as_awaited_file(cls: Any) -> dict[str, Callable[..., Any]]:
    """Give the same of a class whose bytes are awaited."""

    async def read(self: Any, amt: int | None = None) -> Any:
        state = self.__dict__.get(_bodies.STATE)
        if state is None:
            return await cls.read(self, amt)
        state.is_within = True
        try:
            data = await cls.read(self, amt)
        except BaseException as error:
            state.failed(error)
            raise
        finally:
            state.is_within = False
        state.took(data)
        if amt is None or amt < 0 or (amt > 0 and not data):
            state.finished()
        return data

    return {"read": read, "close": _close(cls.close)}
