"""What surrounds a call: attributes for all spans within, suppression, and the call it is nested in.

All of it is one record under one key of the OpenTelemetry context, so that a call pays for one look-up.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context

from otel_genai import _guard, _shared, _whose
from otel_genai import settings as _settings
from otel_genai._telemetry import active
from otel_genai._whose import Value
from otel_genai.settings import Capture

if TYPE_CHECKING:
    from typing_extensions import Self

    from otel_genai._call import Call
    from otel_genai._nesting import Asked

F = TypeVar("F", bound=Callable[..., Any])

KEY = otel.create_key("otel_genai")
_PLACES = {(mode.on_span, mode.on_event): mode for mode in Capture}
_NONE: Mapping[str, Any] = {}
_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
leave = _shared.leave


class _Lent(threading.local):
    """The scope that a thread works for, where it was asked to from within a generator."""

    scope: Scope | None = None


lent = _Lent()


class Scope:
    """The record: what is known to everything that runs within a block or a call."""

    __slots__ = (
        "asked", "attributes", "below", "call", "capture", "frame", "open", "parent", "suppressed",
        "variables",
    )  # fmt: skip

    def __init__(
        self,
        parent: Scope | None,
        attributes: Mapping[str, Any] | None = None,
        *,
        suppressed: bool = False,
        capture: Capture | None = None,
        variables: Mapping[str, Any] | None = None,
        call: Call | None = None,
        frame: FrameType | None = None,
        below: Scope | None = None,
    ) -> None:
        """Add to what the parent says; `below` is what the context carried, which may hold for others."""
        self.parent = parent
        self.below = below or parent
        self.attributes: Mapping[str, Any] = attributes or _NONE
        self.suppressed = suppressed
        self.variables: Mapping[str, Any] = _NONE if variables is None else variables
        self.capture = capture
        self.call = call
        self.frame = frame
        self.asked: Asked | None = None
        self.open = True
        if parent is not None:
            self.attributes = {**parent.attributes, **self.attributes}
            self.suppressed = suppressed or parent.suppressed
            self.variables = parent.variables if variables is None else variables
            self.capture = narrowed(parent.capture, capture)
            self.call = call or parent.call
            self.asked = parent.asked if call is None else None

    def holds(self) -> bool:
        """Whether the code that asks runs within this scope.

        A generator's body shares its caller's context, so between two items the caller would find itself
        in a block it never entered: such a scope holds only while the generator's frame is running.
        """
        if not self.open:
            return False
        if self.frame is None:
            return True
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return frame is not None or lent.scope is self

    def close(self) -> None:
        """Hold no more, even where a stale context still carries the record."""
        self.open = False
        self.frame = self.call = None


def narrowed(outer: Capture | None, inner: Capture | None) -> Capture | None:
    """Give the places for content that both allow; None allows what the settings do."""
    if outer is None or inner is None:
        return outer or inner
    return _PLACES[outer.on_span and inner.on_span, outer.on_event and inner.on_event]


def current(context: Context) -> Scope | None:
    """Give the innermost scope that holds."""
    scope = context.get(KEY)
    while isinstance(scope, Scope):
        if scope.holds():
            return scope
        scope = scope.below
    return None


def carried(context: Context) -> Scope | None:
    """Give the innermost scope that has not ended, whoever it holds for: generators may take turns."""
    scope = context.get(KEY)
    while isinstance(scope, Scope) and not scope.open:
        scope = scope.below
    return scope if isinstance(scope, Scope) else None


def suppressed(context: Context, around: Scope | None = None) -> bool:
    """Whether OpenTelemetry's own switch, or ours around, keeps instrumentations quiet here."""
    return (around is not None and around.suppressed) or bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY))


def generator_frame() -> FrameType | None:
    """Find the generator whose body enters a block, be it by way of `contextlib` and helpers made with it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (_is_ours(frame) or _is_contextlib(frame) or _is_helper(frame)):
        frame = frame.f_back
    return frame if frame is not None and frame.f_code.co_flags & _GENERATOR else None


def _no_frame() -> None:
    """Hold whatever runs."""


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals is globals() or frame.f_globals is _guard.__dict__


def _is_contextlib(frame: FrameType) -> bool:
    return frame.f_globals is contextlib.__dict__


def _is_helper(frame: FrameType) -> bool:
    """Whether a generator is one that `contextlib` drives: a block of its own, not a source of items."""
    return bool(frame.f_code.co_flags & _GENERATOR and frame.f_back and _is_contextlib(frame.f_back))


class Block:
    """Usable by `with`, `async with` and as a decorator of functions, coroutines and generators."""

    _context: Context | None = None
    _token: Any = None
    _frameless = False

    def _begin(self, frame: FrameType | None) -> Context:
        """Start, and give the context to run in."""
        raise NotImplementedError

    def _end(self, error: BaseException | None) -> None:
        """End, once."""
        raise NotImplementedError

    def _again(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Block:
        """Make the block for one call of a decorated function."""
        raise NotImplementedError

    def _returned(self, value: Any) -> None:
        """Take note of what a decorated function returned."""

    _operation = "context"

    def _safely(self, what: Callable[..., Any], *args: Any) -> None:
        _guard.guarded(self._hurt, what, *args)

    def _hurt(self, error: Exception) -> None:
        active().failed("manual", self._operation, error)

    def _enter(self, frame: Callable[[], FrameType | None]) -> None:
        self._context = self._begin(frame())

    def _attach(self) -> None:
        if self._context is not None:
            self._token = otel.attach(self._context)

    def _detach(self) -> None:
        if self._token is not None and self._context is not None:
            leave(self._context, self._token)
        self._token = None

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        self._safely(self._attach)
        try:
            yield
        finally:
            self._safely(self._detach)

    def _without_frame(self) -> Self:
        """Hold in everything a decorated function starts, threads and tasks included."""
        self._frameless = True
        return self

    def __enter__(self) -> Self:
        """Start, and make the block current."""
        self._safely(self._enter, _no_frame if self._frameless else generator_frame)
        self._safely(self._attach)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the block; an exception is recorded and goes on."""
        self._safely(self._detach)
        self._safely(self._end, error)

    async def __aenter__(self) -> Self:
        """Start, and make the block current."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the block; an exception is recorded and goes on."""
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Run every call of `function` in a block of its own."""
        return functools.wraps(function)(_decorated(self, function))  # type: ignore[return-value]


def _decorated(block: Block, function: Callable[..., Any]) -> Callable[..., Any]:
    """Choose the wrapper that fits the function's colour, and is of that colour itself."""
    if inspect.isasyncgenfunction(function):
        return _async_generator(block, function)
    if inspect.isgeneratorfunction(function):
        return _generator(block, function)
    if inspect.iscoroutinefunction(function):

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with block._again(function, args, kwargs)._without_frame() as entered:
                result = await function(*args, **kwargs)
                entered._returned(result)
                return result

        return run_async

    def run(*args: Any, **kwargs: Any) -> Any:
        with block._again(function, args, kwargs)._without_frame() as entered:
            result = function(*args, **kwargs)
            entered._returned(result)
            return result

    return run


def _generator(template: Block, function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a generator in a block: current while its body runs, not between its items."""

    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        block = template._again(function, args, kwargs)
        body = function(*args, **kwargs)
        block._safely(block._enter, _no_frame)
        step: Callable[[], Any] = body.__next__
        try:
            while True:
                with block._current():
                    item = step()
                try:
                    step = functools.partial(body.send, (yield item))
                except BaseException as error:  # noqa: BLE001 (thrown into the body, as without us)
                    step = functools.partial(body.throw, error)
        except StopIteration as stop:
            block._safely(block._end, None)
            return stop.value
        except BaseException as error:
            block._safely(block._end, error)
            raise

    return run


def _async_generator(template: Block, function: Callable[..., Any]) -> Callable[..., Any]:
    """Run an async generator in a block: current while its body runs, not between its items."""

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        block = template._again(function, args, kwargs)
        body = function(*args, **kwargs)
        block._safely(block._enter, _no_frame)
        step: Callable[[], Any] = body.__anext__
        try:
            while True:
                with block._current():
                    item = await step()
                try:
                    step = functools.partial(body.asend, (yield item))
                except BaseException as error:  # noqa: BLE001 (thrown into the body, as without us)
                    step = functools.partial(body.athrow, error)
        except StopAsyncIteration:
            block._safely(block._end, None)
        except BaseException as error:
            block._safely(block._end, error)
            raise

    return run


class _ScopeBlock(Block):
    """A block that only surrounds: it has no span."""

    def __init__(self, attributes: Mapping[str, Any], *, modest: bool = False, **more: Any) -> None:
        """Keep what is known beforehand; a `modest` block leaves alone what is known around it."""
        self._attributes = attributes
        self._modest = modest
        self._more = more
        self._scope: Scope | None = None

    def _begin(self, frame: FrameType | None) -> Context:
        here = otel.get_current()
        around, below = current(here), carried(here)
        attributes = _whose.hidden(self._attributes, active().settings.user_key, sent=self._modest)
        if self._modest and around is not None:
            attributes = {key: value for key, value in attributes.items() if key not in around.attributes}
        self._scope = Scope(around, attributes, frame=frame, below=below, **self._more)
        return otel.set_value(KEY, self._scope, here)

    def _end(self, error: BaseException | None) -> None:  # noqa: ARG002 (nothing to record)
        if self._scope is not None:
            self._scope.close()

    def _again(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Block:  # noqa: ARG002
        return _ScopeBlock(self._attributes, modest=self._modest, **self._more)


def context(
    *,
    conversation_id: Value | None = None,
    user: Value | None = None,
    session: Value | None = None,
    team: Value | None = None,
    prompt: str | tuple[str, Value] | None = None,
    prompt_variables: Mapping[str, Any] | None = None,
    experiment: Value | None = None,
    capture: Capture | str | None = None,
    **attributes: Value | None,
) -> Block:
    """Say whose calls are made within: `with context(user="u-7", team="search"):`.

    All of it is on every span of ours from its start. Values are strings, numbers or booleans; a None is left
    out. Safe inside generators: nothing is left behind in the caller between two items.

    Args:
        conversation_id: `gen_ai.conversation.id`: a real id of the conversation or thread.
        user: `user.id`.
        session: `session.id`.
        team: `otel_genai.team`: who pays.
        prompt: `gen_ai.prompt.name`; as `"name@version"` or `("name", version)` with its version.
        prompt_variables: what the prompt was filled in with, by name: `gen_ai.prompt.variable.<name>`, the
            first 32. This is content: on inferences alone, and only where content is recorded.
        experiment: `otel_genai.experiment`: the variant under test.
        capture: where content may be recorded within, such as `"NO_CONTENT"`; of what the settings and the
            contexts around allow, it can only take away.
        attributes: further span attributes by their names; `**{"app.tenant": "acme"}` for dotted ones.

    Raises:
        TypeError: a value is of another type; the message says which.
        ValueError: `capture` is none of the modes; the message says what is.
    """
    named = {
        "conversation_id": conversation_id,
        "user": user,
        "session": session,
        "team": team,
        "prompt": prompt,
        "experiment": experiment,
    }
    allowed = None if capture is None else _settings._capture(capture)
    variables = _whose.variables(prompt, prompt_variables)
    return _ScopeBlock(_whose.attributes(named, attributes), capture=allowed, variables=variables)


def suppress() -> Block:
    """Record nothing of the calls made within: `with suppress():`."""
    return _ScopeBlock({}, suppressed=True)
