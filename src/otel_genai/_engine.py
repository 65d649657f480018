"""The engine: what runs in place of an SDK's function, once for sync, async and streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

import wrapt
from opentelemetry import context as otel

from otel_genai import _context, _streams
from otel_genai._call import Bound, Call
from otel_genai._telemetry import Telemetry
from otel_genai.spec import Hook, Operation, Provider, Request


def _leave(call: Call, token: Any) -> None:
    """Leave the call's context, unless the code that ends it runs in another one: it is not ours to leave."""
    if otel.get_current() is call.context:
        otel.detach(token)


class Seam:
    """One hook of one provider at work: what runs in place of the SDK's own function."""

    def __init__(self, telemetry: Telemetry, provider: Provider, hook: Hook) -> None:
        """Prepare; operations are bound when they are first called."""
        self._telemetry = telemetry
        self._provider = provider.name
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
            _leave(call, token)
            call.failed(error, request.parsed)
            raise
        _leave(call, token)
        self._deliver(call, request, result)
        return result

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
        call, request = begun
        token = otel.attach(call.context)
        try:
            result = await wrapped(*request.args, **request.kwargs)
        except BaseException as error:
            _leave(call, token)
            call.failed(error, request.parsed)
            raise
        _leave(call, token)
        self._deliver(call, request, result)
        return result

    def _begin(self, client: Any, args: Any, kwargs: Any) -> tuple[Call, Request] | None:
        """Begin a call if it is one of ours, and nothing says to keep quiet."""
        if not self.active:
            return None
        try:
            here = otel.get_current()
            around = _context.current(here)
            if (around is not None and around.suppressed) or _context.suppressed(here):
                return None
            request = self._hook.request(client, args, kwargs)
            if request is None:
                return None
            bound = self._bound.get(id(request.operation)) or self._bind(request.operation)
            call = Call(bound, bound.request(request), here, around)
            self._expect(call, request)
        except Exception as error:  # noqa: BLE001 (the guard)
            self._telemetry.failed(self._provider, "request", error)
            return None
        return call, request

    def _bind(self, operation: Operation) -> Bound:
        bound = self._bound[id(operation)] = Bound(self._telemetry, self._provider, operation)
        return bound

    def _expect(self, call: Call, request: Request) -> None:
        """Take what must be taken before the call goes out; it goes out whatever happens here."""
        try:
            if call.bound.contents:
                call.content(request.body)
            if request.stream:
                call.expect()
                cls: Any = self._hook.stream_class(request)
                if cls is not None:
                    self._hook.with_stream_class(request, _streams.reading(cls))
        except Exception as error:  # noqa: BLE001 (the guard)
            self._telemetry.failed(self._provider, call.bound.operation.name, error)

    def _deliver(self, call: Call, request: Request, result: Any) -> None:
        """End the call with its answer, or hand it to whatever will see the answer's end."""
        try:
            if _streams.begin(result, call):
                return
            response = self._hook.unread(result)
            if response is not None:
                _streams.Tee(call, response)
            else:
                call.done(self._hook.answer(request, result))
        except Exception as error:  # noqa: BLE001 (the guard)
            self._telemetry.failed(self._provider, call.bound.operation.name, error)
            call.abandoned()


def wrap(seam: Seam, owner: Any, name: str) -> wrapt.FunctionWrapper[..., Any]:
    """Put the seam's wrapper in place of `owner.name`."""
    original = getattr(owner, name)
    wrapper = wrapt.FunctionWrapper(original, seam.wrapper(original))
    setattr(owner, name, wrapper)
    return wrapper
