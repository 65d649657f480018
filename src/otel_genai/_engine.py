"""The engine: what runs in place of an SDK's function, once for sync, async and streams."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import Any

import wrapt
from opentelemetry import context as otel
from opentelemetry import propagate, trace

from otel_genai import _bodies, _bridge, _context, _others, _passing, _streams
from otel_genai._bound import Bound
from otel_genai._call import Call
from otel_genai._telemetry import Telemetry
from otel_genai.spec import Hook, Operation, Provider, Request


def _is_traced() -> bool:
    return trace.get_current_span().get_span_context().is_valid


class Seam:
    """One hook of one provider at work: what runs in place of the SDK's own function."""

    def __init__(self, telemetry: Telemetry, provider: Provider, hook: Hook) -> None:
        """Prepare; operations are bound when they are first called."""
        self._telemetry = telemetry
        self._provider = provider.name
        self._who = (provider.name, "request")
        self._hook = hook
        self._bound: dict[int, Bound] = {}
        self.active = True

    def wrapper(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the wrapper of the function's colour."""
        return self._acall if iscoroutinefunction(function) else self._call

    def _call(self, wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:
        begun = self._begin(client, args, kwargs)
        if begun is None:
            return wrapped(*args, **kwargs)
        call, request = begun
        token = otel.attach(call.context)
        try:
            result = wrapped(*request.args, **request.kwargs)
        except BaseException as error:
            call.safely(_fail, call, token, error, request)
            raise
        if isinstance(result, CoroutineType):  # somebody's plain wrapper is around an async function
            call.safely(_context.leave, call.context, token)
            return self._await(call, request, lambda *_, **__: result)
        return self._deliver(call, token, request, result)

    async def _acall(
        self,
        wrapped: Callable[..., Awaitable[Any]],
        client: Any,
        args: Any,
        kwargs: Any,
    ) -> Any:
        begun = self._begin(client, args, kwargs)
        if begun is None:
            return await wrapped(*args, **kwargs)
        return await self._await(*begun, wrapped)

    async def _await(self, call: Call, request: Request, wrapped: Callable[..., Awaitable[Any]]) -> Any:
        token = otel.attach(call.context)
        try:
            result = await wrapped(*request.args, **request.kwargs)
        except BaseException as error:
            call.safely(_fail, call, token, error, request)
            raise
        return self._deliver(call, token, request, result)

    def _begin(self, client: Any, args: Any, kwargs: Any) -> tuple[Call, Request] | None:
        """Begin a call if it is one of ours, and nothing says to keep quiet."""
        if not self.active:
            return None
        telemetry, who = self._telemetry, self._who
        try:
            here = otel.get_current()
            around = _context.current(here) if here else None
            if who in telemetry.off or (here and _context.suppressed(here, around)):
                return None
            request = self._hook.request(client, args, kwargs)
            if request is None or (request.is_beneath and self._is_within(around)):
                return None
            bound = self._bound.get(id(request.operation)) or self._bind(request.operation)
            if bound is None or bound.who in telemetry.off:
                return None
            if request.parent:  # where the server is at is its own business, such as its first request
                apart = trace.set_span_in_context(trace.INVALID_SPAN, here)
                here = propagate.extract(request.parent, apart)
            call = Call(bound, bound.request(request), here, around)
            if telemetry.failures:
                telemetry.failures.pop(who, None)  # those before were not in a row
        except Exception as error:  # noqa: BLE001 (the guard)
            telemetry.failed(*who, error)
            return None
        self._expect(call, request)
        return call, request

    def _is_within(self, around: _context.Scope | None) -> bool:
        """Whether a call that goes on there is this SDK's own: what it calls beneath is told with it."""
        call = around.call if around is not None else None
        return call is not None and bool(call.open) and call.bound.who[0] == self._provider

    def _bind(self, operation: Operation) -> Bound | None:
        """Prepare for an operation, unless somebody else has come to tell it in the meantime."""
        if _others.stand_down(self._provider):
            self.active = False
            return None
        if self._provider in _others.OWN:
            _bridge.look()
        bound = self._bound[id(operation)] = Bound(self._telemetry, self._provider, operation)
        return bound

    def _expect(self, call: Call, request: Request) -> None:
        """Take what must be taken before the call goes out; it goes out whatever happens here."""
        try:
            for error in request.failures:
                call.hurt(error)
            if request.carrier is not None and (request.rootless or _is_traced()):
                propagate.inject(request.carrier, call.context)
            if call.captures and call.bound.contents:
                self._hook.hold(request)
                call.content(request.body)
            if request.stream:
                call.expect()
                if self._telemetry.settings.stream_usage:
                    call.asked = self._hook.ask(request)
                cls: Any = self._hook.stream_class(request)
                if cls is not None:
                    self._hook.with_stream_class(request, _streams.reading(cls))
        except Exception as error:  # noqa: BLE001 (the guard)
            call.hurt(error)

    def _deliver(self, call: Call, token: Any, request: Request, result: Any) -> Any:
        """Give the caller the result: its call ends with it, or is left to what will see the answer's end."""
        try:
            _context.leave(call.context, token)
            if request.stream and _streams.begin(result, call):
                return result
            stream = self._hook.stream(request, result)
            if stream is not None:
                ours = _passing.passed(stream, call)
                return ours if stream is result else result
            response = self._hook.unread(result)
            if response is None:
                call.done(call.read(self._hook.answer, request, result))
            elif hasattr(response, "iter_raw"):
                _bodies.Tee(call, response)
            else:
                _passing.File(call, response, functools.partial(self._hook.answer, request))
        except Exception as error:  # noqa: BLE001 (the guard)
            call.hurt(error)
            call.safely(call.abandoned)
        return result


def _fail(call: Call, token: Any, error: BaseException, request: Request) -> None:
    try:
        _context.leave(call.context, token)
    finally:
        call.failed(error, request.parsed)


def wrap(seam: Seam, owner: Any, name: str) -> wrapt.FunctionWrapper[..., Any]:
    """Put the seam's wrapper in place of `owner.name`."""
    original = getattr(owner, name)
    wrapper = wrapt.FunctionWrapper(original, seam.wrapper(original))
    setattr(owner, name, wrapper)
    return wrapper
