"""Spans for what a framework tells of by ids: that a run has begun, within which other one, and its end.

A framework's callbacks come as code runs, so the context of what runs within can be set; but no block of
ours is around that code. Parents are found by the framework's ids, not by the context alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter, time_ns
from types import FrameType
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_genai import _context, _guard, _others, _shared
from otel_genai import semconv as s
from otel_genai._bound import Bound
from otel_genai._call import Call
from otel_genai._telemetry import Telemetry
from otel_genai.spec import Operation, Request, Run

MOST = 10_000
"""How many runs may be open at once: a framework that does not tell of an end must not fill the memory."""
_OWN = frozenset({__name__, _guard.__name__})


class _Open:
    """A run that has begun: its call, if it has one, and the context of what runs within."""

    __slots__ = (
        "__weakref__", "call", "context", "group", "is_asked", "is_quiet", "is_step", "note", "request",
        "scope", "shared", "started", "times",
    )  # fmt: skip

    def __init__(self, run: Run, context: Context, scope: _context.Scope | None) -> None:
        """Begin within a context."""
        self.note = run.note
        self.context = context
        self.scope = scope
        self.is_quiet = (scope is not None and scope.suppressed) or _context.suppressed(context)
        self.call: Any = None
        self.shared: _shared.Shared | None = None
        self.request: Request | None = None
        self.group: _Group | None = None
        self.is_asked = False
        self.is_step = False
        """Whether a generator's body goes on from here: what it yields must not find this context."""
        self.started = perf_counter(), time_ns()
        self.times: list[float] = []

    def enter(self, context: Context) -> None:
        """Have what runs from now on be within."""
        self.shared = _shared.Shared(otel.get_current(), context)
        self.shared.enter()

    def leave(self) -> None:
        """Have nothing more be within."""
        if self.shared is not None:
            self.shared.end()

    def stop(self) -> None:
        """End with the program."""
        self.call.abandoned()

    def forget(self) -> None:
        """Leave it to the process that began it."""
        self.call.forget()


class _Group:
    """Models that are asked together: whichever call comes first answers the first of them."""

    def __init__(self, size: int, around: _context.Scope | None) -> None:
        """Begin within what has been asked before, if that is still waited for."""
        self.size = size
        self.members: list[_Open] = []
        self._around = around.asked if around is not None else None

    def close(self) -> None:
        """Wait no more: all have been asked when the first of them has ended."""
        for member in self.members:
            member.leave()
            if member.scope is not None and member.scope.asked is self:
                member.scope.asked = None
                member.scope.close()

    def claim(self) -> None:
        """Take note that a model is asked: it is what a model of models has asked, too."""
        for member in self.members:
            if not member.is_asked:
                member.is_asked = True
                break
        around = self._around
        if isinstance(around, _Group):
            around.claim()


class Runs:
    """What one framework has told of, for as long as it is open."""

    def __init__(self, telemetry: Telemetry, provider: str) -> None:
        """Start with nothing."""
        self._telemetry = telemetry
        self._provider = provider
        self._who = (provider, "run")
        self._bound: dict[tuple[int, SpanKind], Bound] = {}
        self._runs: dict[Any, _Open] = {}
        self._has_looked = False
        self.active = True
        self.through: frozenset[str] = _OWN
        """The modules by way of which a callback is called: the framework's own are to be added."""
        self.strict = telemetry._strict
        _guard.forked(self)

    def safely(self, what: Callable[..., None], *args: Any) -> None:
        """Do what is ours in the midst of what is the caller's."""
        _guard.guarded(self._hurt, what, *args)

    def _hurt(self, error: Exception) -> None:
        self._telemetry.failed(*self._who, error)

    def note(self, run: Any) -> Any:
        """Give what was noted of a run; None for one that nobody has told of."""
        found = self._runs.get(run)
        return None if found is None else found.note

    def begin(self, run: Any, parent: Any, what: Run) -> None:
        """Begin a run: with a span if it is an operation, and make it current for what runs within."""
        if not self._is_on():
            return
        opened = self._opened(run, parent, what)
        operation = what.operation
        if operation is not None and not opened.is_quiet:
            if operation.name in s.INFERENCE:
                self._ask(opened, what, operation)
                return
            bound = self._bind(operation, SpanKind.CLIENT if what.is_remote else SpanKind.INTERNAL)
            request = _request(what, operation)
            attributes = {**bound.request(request), **what.shared}
            call = opened.call = Call(bound, attributes, opened.context, opened.scope)
            call.scope.attributes = {**call.scope.attributes, **what.shared}
            call.content(request.body)
            opened.context, opened.scope = call.context, call.scope
            _guard.keep(call, opened)
        if opened.context is not _shared.actual(otel.get_current()) and not self._in_generator():
            opened.enter(opened.context)
        self._telemetry.failures.pop(self._who, None)  # those before were not in a row

    def heard(self, run: Any) -> None:
        """Take note that a model's answer has begun to come, or goes on."""
        opened = self._runs.get(run)
        if opened is None:
            return
        if not opened.is_asked:
            opened.times.append(perf_counter())
        if opened.is_step:
            opened.leave()

    def done(self, run: Any, answer: Any = None, *, is_known: bool = False) -> None:
        """End a run; of a model whose answer `is_known` beforehand nobody has asked anything."""
        self._end(run, lambda call: call.done(answer), is_told=not is_known)

    def failed(self, run: Any, error: BaseException, answer: Any = None) -> None:
        """End a run that raised."""
        self._end(run, lambda call: call.failed(error, answer))

    def stopped(self, run: Any) -> None:
        """End a run that was broken off on purpose."""
        self._end(run, lambda call: call.abandoned())

    def close(self) -> None:
        """Tell no more; what is open was stopped."""
        self.active = False
        while self._runs:
            self._stop(next(iter(self._runs)))

    def forget(self) -> None:
        """After a fork, what is open is the parent's to tell."""
        self._runs.clear()

    def __len__(self) -> int:
        return len(self._runs)

    def _is_on(self) -> bool:
        if not self._has_looked:
            self._has_looked = True
            self.active = self.active and not _others.stand_down(self._provider)
        return self.active and self._who not in self._telemetry.off

    def _opened(self, run: Any, parent: Any, what: Run) -> _Open:
        """Find where a run begins: within its parent, and in what the program has put between the two."""
        here = _shared.actual(otel.get_current())
        around = _context.current(here)
        above = self._runs.get(parent)
        if above is not None and not _descends(around, above.scope):
            here = above.context
            around = _context.current(here)
        opened = self._runs[run] = _Open(what, here, around)
        if above is not None and above.is_quiet:
            opened.is_quiet = True
        while len(self._runs) > MOST:
            self._stop(next(iter(self._runs)))
        return opened

    def _stop(self, run: Any) -> None:
        self._end(run, lambda call: call.abandoned(), is_told=False)

    def _bind(self, operation: Operation, kind: SpanKind) -> Bound:
        found = self._bound.get((id(operation), kind))
        if found is None:
            found = Bound(self._telemetry, self._provider, operation, kind)
            self._bound[id(operation), kind] = found
        return found

    def _ask(self, opened: _Open, what: Run, operation: Operation) -> None:
        """Wait for the call of a model: it has a span where it is seen, and else this is it, in the end."""
        opened.request = _request(what, operation)
        asked = opened.scope.asked if opened.scope is not None else None
        if isinstance(asked, _Group) and len(asked.members) < asked.size:
            opened.group = asked
            asked.members.append(opened)
            return
        group = opened.group = _Group(what.size, opened.scope)
        group.members.append(opened)
        scope = _context.Scope(opened.scope, what.shared)
        scope.asked = group
        opened.context = Context({**opened.context, _context.KEY: scope})
        opened.scope = scope
        opened.is_step = self._in_generator()
        opened.enter(opened.context)

    def _end(self, run: Any, how: Callable[[Call], None], *, is_told: bool = True) -> None:
        opened = self._runs.pop(run, None)
        if opened is None:
            return
        if opened.group is not None:
            opened.group.close()
        opened.leave()
        if opened.call is not None:
            _guard.drop(opened.call)
            how(opened.call)
        elif opened.request is not None and is_told and not opened.is_asked:
            how(self._told(opened, opened.request))

    def _told(self, opened: _Open, request: Request) -> Call:
        """Tell a call of a model that nobody has seen."""
        request.stream = bool(opened.times)
        bound = self._bind(request.operation, SpanKind.CLIENT)
        call = Call(bound, bound.request(request), opened.context, opened.scope, began=opened.started)
        call.times = opened.times
        call.content(request.body)
        return call

    def _in_generator(self) -> bool:
        """Whether a generator's body called the framework's callbacks: its context is its caller's."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") in self.through:
            frame = frame.f_back
        return frame is not None and bool(frame.f_code.co_flags & _context._GENERATOR)


def _request(what: Run, operation: Operation) -> Request:
    return Request(operation, what.body, what.server, what.stream, (), {})


def _descends(scope: _context.Scope | None, from_: _context.Scope | None) -> bool:
    """Whether a scope is another one, or within it."""
    while scope is not None and scope is not from_:
        scope = scope.parent
    return scope is from_
