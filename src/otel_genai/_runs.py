"""Spans for what a framework tells of by ids: that a run has begun, within which other one, and its end.

A framework's callbacks come as code runs, so the context of what runs within can be set; but no block of
ours is around that code. Parents are found by the framework's ids, not by the context alone.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from types import FrameType
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_genai import _context, _guard, _others, _shared
from otel_genai import semconv as s
from otel_genai._bound import Bound
from otel_genai._call import Call
from otel_genai._run import Group, Open
from otel_genai._telemetry import Telemetry
from otel_genai.spec import Attributes, Operation, Request, Run

MOST = 10_000
"""How many runs may be open at once: a framework that does not tell of an end must not fill the memory."""
_OWN = frozenset({__name__, _guard.__name__})


class Runs:
    """What one framework has told of, for as long as it is open."""

    def __init__(self, telemetry: Telemetry, provider: str) -> None:
        """Start with nothing."""
        self._telemetry = telemetry
        self._provider = provider
        self._who = (provider, "run")
        self._bound: dict[tuple[int, SpanKind], Bound] = {}
        self._runs: dict[Any, Open] = {}
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

    def teller(self, modules: str) -> Any:
        """Give the object whose method tells of a run, if that method is of these modules."""
        frame = self._frame()
        if frame is None or not str(frame.f_globals.get("__name__")).startswith(modules):
            return None
        return frame.f_locals.get("self")

    def manager(self, modules: str, functions: frozenset[str]) -> Any:
        """Give the object whose method has called back, if a function of these has called that method."""
        inner, frame = self._frames()
        if inner is None or frame is None or frame.f_code.co_name not in functions:
            return None
        is_one = str(frame.f_globals.get("__name__")).startswith(modules)
        return inner.f_locals.get("self") if is_one else None

    def begin(self, run: Any, parent: Any, what: Run) -> None:
        """Begin a run: with a span if it is an operation, and make it current for what runs within."""
        if not self._is_on():
            return
        frame = self._frame()
        opened = self._opened(run, parent, what, (id(frame), frame.f_code if frame else None))
        if what.keeper is not None:
            opened.watch(run, what.keeper, functools.partial(self.safely, self._lost, run))
        operation = what.operation
        if operation is not None and not opened.is_quiet:
            if operation.name in s.INFERENCE:
                self._ask(opened, what, operation, frame)
                return
            bound = self._bind(operation, SpanKind.CLIENT if what.is_remote else SpanKind.INTERNAL)
            request = _request(what, operation)
            scope, shared = _surroundings(opened.scope, what.shared)
            call = opened.call = Call(bound, {**bound.request(request), **shared}, opened.context, scope)
            call.scope.attributes = {**call.scope.attributes, **shared}
            call.content(request.body)
            self._misread(call, request)
            opened.context, opened.scope = call.context, call.scope
            _guard.keep(call, opened)
        if opened.context is not _shared.actual(otel.get_current()) and not _is_generator(frame):
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

    def over(self, run: Any, error: BaseException | None = None) -> None:
        """See that a run which has ended is left, where telling its end has failed."""
        opened = self._runs.pop(run, None)
        if opened is None:
            return
        opened.leave()
        if opened.group is not None:
            opened.group.close()
        if opened.call is not None:
            _guard.drop(opened.call)
            opened.call.done() if error is None else opened.call.failed(error)

    def measure(self, metric: s.Metric, keys: Sequence[str], seconds: float, found: Attributes) -> None:
        """Record how long something took that has no span: of its attributes, those of the keys."""
        here = otel.get_current()
        if not self._is_on() or _context.suppressed(here, _context.current(here)):
            return
        telemetry = self._telemetry
        attributes = dict(telemetry.caps.pairs((*keys, s.ERROR_TYPE), found))
        telemetry.histogram(metric).record(seconds, attributes, here)
        telemetry.failures.pop(self._who, None)  # those before were not in a row

    def close(self) -> None:
        """Tell no more; what is open was stopped."""
        self.active = False
        for run in list(self._runs):
            self.safely(self._stop, run)

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

    def _opened(self, run: Any, parent: Any, what: Run, place: tuple[int, Any]) -> Open:
        """Find where a run begins: within its parent, and in what the program has put between the two."""
        here = self._here()
        above = self._runs.get(parent)
        if above is None:
            while isinstance(here, _shared.Shared) and _is_beside(here.owner, place):
                here = _shared.actual(here.around)
        elif not _is_within(here, above):
            here = above.context
        opened = self._runs[run] = Open(what, above, here, place)
        if len(self._runs) > MOST:
            for oldest in list(self._runs)[: max(1, MOST // 10)]:
                self._stop(oldest)
        return opened

    def _here(self) -> Context:
        """Give the current context; a run that is over although nobody has told so is not in it."""
        here = _shared.actual(otel.get_current())
        while isinstance(here, _shared.Shared) and isinstance(here.owner, Open) and here.owner.is_over():
            owner = here.owner
            for run in [run for run, opened in self._runs.items() if opened is owner]:
                self._lost(run)
            owner.leave()
            here = _shared.actual(otel.get_current())
        return here

    def _lost(self, run: Any, _: object = None) -> None:
        """End a run whose end the framework does not tell: no framework tells of every cancellation."""
        self._end(run, Call.cancelled)

    def _stop(self, run: Any) -> None:
        self._end(run, lambda call: call.abandoned(), is_told=False)

    def _bind(self, operation: Operation, kind: SpanKind) -> Bound:
        found = self._bound.get((id(operation), kind))
        if found is None:
            found = Bound(self._telemetry, self._provider, operation, kind)
            self._bound[id(operation), kind] = found
        return found

    def _ask(self, opened: Open, what: Run, operation: Operation, frame: FrameType | None) -> None:
        """Wait for the call of a model: it has a span where it is seen, and else this is it, in the end."""
        opened.request = _request(what, operation)
        scope = _context.current(otel.get_current())
        asked = scope.asked if scope is not None else None
        if isinstance(asked, Group) and len(asked.members) < asked.size:
            opened.group = asked
            asked.members.append(opened)
            return
        group = opened.group = Group(what.size, asked)
        group.members.append(opened)
        scope = _context.Scope(opened.scope, what.shared)
        scope.asked = group
        opened.context = Context({**opened.context, _context.KEY: scope})
        opened.scope = scope
        opened.is_step = _is_generator(frame)
        opened.enter(opened.context)

    def _end(self, run: Any, how: Callable[[Call], None], *, is_told: bool = True) -> None:
        opened = self._runs.get(run)
        if opened is None:
            return
        for within in tuple(opened.below):
            if within in self._runs and self._runs[within].is_over():
                self._lost(within)
        if opened.group is not None:
            opened.group.close()
        opened.leave()
        if self._runs.pop(run, None) is None:
            return  # another thread, which collects garbage, was first
        opened.watched(run, ends=True)
        if opened.call is not None:
            _guard.drop(opened.call)
            how(opened.call)
        elif opened.request is not None and is_told and self._is_to_tell(opened):
            how(self._told(opened, opened.request))

    def _is_to_tell(self, opened: Open) -> bool:
        """Whether nobody else has told of a model that was asked; a model of models is told of herewith."""
        if opened.is_asked or opened.group is None:
            return False
        opened.group.told()
        return not (opened.sdk and _others.at_work(opened.sdk))

    def _told(self, opened: Open, request: Request) -> Call:
        """Tell a call of a model that nobody has seen."""
        request.stream = bool(opened.times)
        bound = self._bind(request.operation, SpanKind.CLIENT)
        call = Call(bound, bound.request(request), opened.context, opened.scope, began=opened.started)
        call.times = opened.times
        call.content(request.body)
        self._misread(call, request)
        return call

    def _misread(self, call: Call, request: Request) -> None:
        """Count what went wrong in reading what was asked."""
        for error in request.failures:
            call.hurt(error)

    def _frame(self) -> FrameType | None:
        """Give the frame that called the framework's callbacks."""
        return self._frames()[1]

    def _frames(self) -> tuple[FrameType | None, FrameType | None]:
        """Give the outermost frame of the callbacks, and the one that called them."""
        inner: FrameType | None = None
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") in self.through:
            inner, frame = frame, frame.f_back
        return inner, frame


def _request(what: Run, operation: Operation) -> Request:
    return Request(operation, what.body, what.server, what.stream, (), {})


def _surroundings(
    around: _context.Scope | None, shared: Attributes
) -> tuple[_context.Scope | None, Attributes]:
    """Tell what a run shares from what holds around it and does not within: a None."""
    known = {key: value for key, value in shared.items() if value is not None}
    if around is not None and len(known) < len(shared):
        around = _context.Scope(around)
        around.attributes = {key: around.attributes[key] for key in around.attributes if key not in shared}
    return around, known


def _is_generator(frame: FrameType | None) -> bool:
    """Whether a generator's body is what runs: its context is its caller's, between two items, too."""
    return frame is not None and bool(frame.f_code.co_flags & _context._GENERATOR)


def _is_beside(owner: object, place: tuple[int, Any]) -> bool:
    """Whether a run is an outermost one that was begun by the very same code."""
    return isinstance(owner, Open) and owner.above is None and owner.place == place


def _is_within(here: Context, above: Open) -> bool:
    """Whether a context is that of a run, or of what the program has put within it."""
    scope = _context.current(here)
    while scope is not None and scope is not above.scope:
        scope = scope.parent
    if scope is not above.scope or not isinstance(here, _shared.Shared):
        return scope is above.scope
    run: Open | None = above
    while run is not None and run is not here.owner:
        run = run.above
    return run is not None
