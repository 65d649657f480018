"""One call: its life from begin to end, the same for every provider."""

from __future__ import annotations

import logging
import random
import sys
import traceback
from collections.abc import Callable, Mapping
from operator import attrgetter
from time import perf_counter, time_ns
from types import FrameType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode, set_span_in_context

from otel_genai import _answers, _bridge, _context, _guard, _nesting, _whose, content
from otel_genai import semconv as s
from otel_genai._bound import BAD_DATA, Bound, cleaned
from otel_genai._gate import Cleaned, hush, is_hushed, within
from otel_genai.spec import Attributes, Body

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord

    from otel_genai._cost import Costs
    from otel_genai._telemetry import Series

logger = logging.getLogger(__name__)

_NOTHING: Cleaned = ({}, {})
(_SPAN,) = set_span_in_context(INVALID_SPAN, Context())
"""The key of a context's span."""
_ANSWER = attrgetter("answer")
_CANCELLATIONS = ("CancelledError", "Cancelled")  # asyncio's, and trio's, which is not imported for it


class Call:
    """One call from begin to end; `done`, `failed` or `abandoned` ends it, whichever comes first."""

    __slots__ = (
        "__weakref__",
        "_absorbed",
        "_began",
        "_sound",
        "asked",
        "attributes",
        "bound",
        "captures",
        "context",
        "fold",
        "found",
        "hushed",
        "judged",
        "on_event",
        "on_hook",
        "on_span",
        "open",
        "outer",
        "scope",
        "span",
        "started",
        "terminated",
        "times",
        "written",
    )  # fmt: skip

    def __init__(
        self, bound: Bound, attributes: Attributes, here: Context, around: _context.Scope | None,
        frame: FrameType | None = None, *, began: tuple[float, int] | None = None,
    ) -> None:  # fmt: skip
        """Begin: inside another call for the same thing, without a span of its own."""
        self.bound = bound
        self.attributes = {**around.attributes, **attributes} if around else attributes
        self.found: Attributes = {}
        self.written: dict[str, Any] = {}
        self.fold: Any = None
        self.times: list[float] = []
        self.terminated = False
        self.hushed: frozenset[int] = frozenset()
        self.asked = False
        """Whether the stream's usage was asked for by us alone, so that the caller must not see it."""
        self.open = [True]
        """Empty once the call has ended: taking what is in it is what only one can do."""
        self._sound = True
        self._absorbed: Attributes = {}
        below = _context.carried(here) if frame is not None else None
        self.scope = _context.Scope(around, call=self, frame=frame, below=below)
        self.on_span = self.on_event = self.on_hook = False
        self.outer = _nesting.outer(around, bound, self.attributes) if around else None
        self.span: Span = INVALID_SPAN
        inside = {**here, _context.KEY: self.scope}
        self.started, self._began = began or (perf_counter(), time_ns())
        if self.outer is None and _bridge.seen and (lent := _bridge.lend(bound, here, self)):
            self.span, self.bound = lent
        elif self.outer is None:
            target = self.attributes.get(bound.target)
            name = f"{bound.operation.name} {target}" if target else bound.operation.name
            self.span = bound.telemetry.tracer.start_span(
                name, here, bound.kind, self.attributes, start_time=self._began
            )
            inside[_SPAN] = self.span
        if self.outer is None:
            if bound.gate.captures:
                trace_id = self.span.get_span_context().trace_id
                self.on_span, self.on_event, self.on_hook = bound.gate.opened(around, trace_id)
            if bound.costs is not None:
                bound.costs.expect(self.attributes)
        else:
            self.on_span, self.on_event, self.on_hook = within(around, self.outer)
        self.context = Context(inside)
        self.judged = bound.telemetry.judging is not None and _answers.judged(self)
        self.captures = self.on_event or self.on_hook or self.judged
        """Whether content is wanted, and somebody will see it."""
        if self.on_span and not self.captures:
            self.captures = self.outer is not None or self.span.is_recording()
        if around is not None and around.variables and bound.operation.name in s.INFERENCE:
            self._fill(around.variables)

    def _fill(self, variables: Mapping[str, Any]) -> None:
        """Keep what the prompt was filled in with, as it is now."""
        for key, value in variables.items() if self.captures else ():
            self.write(key, self.read(content.to_json, value))

    def safely(self, what: Callable[..., Any], *args: Any) -> None:
        """Do what is ours in the midst of what is the caller's."""
        _guard.guarded(self.hurt, what, *args)

    def hurt(self, error: Exception) -> None:
        """Count a failure of ours; several in one call are one towards switching off."""
        self.bound.telemetry.failed(*self.bound.who, error, again=not self._sound)
        self._sound = False

    def content(self, body: Body) -> None:
        """Read the request's content, now: the caller may change it later."""
        for key, reader in self.bound.contents.items():
            found = self.read(reader, body)
            if key == s.PROMPT_VARIABLE:
                self._fill(self.read(_whose.variables, None, found) or {})
            else:
                self.write(key, found)

    def write(self, key: str, value: object) -> None:
        """Keep content for the end, if it is wanted at all."""
        if value and self.captures:
            self.written[key] = value

    def expect(self) -> None:
        """Prepare for an answer that comes in pieces."""
        self.fold = (self.bound.operation.fold or _Unread)(content=self.captures)

    def misread(self, error: Exception) -> None:
        """Tell data that is not what it should be, which is nobody's failure, from a failure of ours."""
        if isinstance(error, BAD_DATA):
            name = type(error).__qualname__  # its message may be content
            logger.debug("%s: a body could not be read: %s", self.bound.operation.name, name)
        else:
            self.hurt(error)

    def read(self, reader: Callable[..., Any], source: Any, *more: Any) -> Any:
        """Have a provider's function read what may not be what it says; None where it cannot."""
        try:
            return reader(source, *more) if more else reader(source)
        except Exception as error:  # noqa: BLE001 (the guard)
            self.misread(error)
            return None

    def _told(self, answer: Any) -> Attributes:
        """Have the provider's functions read an answer; where one of them cannot, the others do."""
        told: list[Attributes] = []
        readers = iter(self.bound.operation.response)
        while True:
            try:
                for reader in readers:
                    told.append(reader(answer) or {})  # noqa: PERF401 (it goes on after the one that fails)
                break
            except Exception as error:  # noqa: BLE001 (the guard)
                self.misread(error)
        return cleaned(*told)

    def done(self, answer: Any = None) -> None:
        """End: the answer was read to its end, or to where the connection was cut."""
        cut = self.fold is not None and not self.terminated and not getattr(self.fold, "complete", True)
        self._end(s.TRUNCATED if cut else s.COMPLETED, answer)

    def failed(self, error: BaseException, answer: Any = None) -> None:
        """End: the call raised. What only stops a program or a task is nobody's error."""
        if isinstance(error, Exception):
            if not self.on_span:
                hush(self.scope, error)
            self._end(s.FAILED, answer, error)
        else:
            self._end(s.CANCELLED if type(error).__name__ in _CANCELLATIONS else s.STOPPED, answer)

    def abandoned(self, answer: Any = None) -> None:
        """End: the caller wanted no more; what was received is kept."""
        if self.fold is not None and getattr(self.fold, "complete", False):
            self.done(answer)  # there was nothing more to come
        else:
            self._end(s.CANCELLED if _is_cancelling() else s.STOPPED, answer)

    def cancelled(self) -> None:
        """End: the task was cancelled, and nobody could see it."""
        self._end(s.CANCELLED, None)

    def forget(self) -> None:
        """End without a word: after a fork, it is the parent's to tell."""
        self.open.clear()
        self.scope.close()

    def absorb(self, inner: Call, found: Attributes) -> None:
        """Take in what a call within knows of the same inference: counts add up, the rest fills gaps."""
        for key, value in {**inner.attributes, **found}.items():
            if key in s.USAGE:
                self._absorbed[key] = self._absorbed.get(key, 0) + value
            else:
                self._absorbed.setdefault(key, value)
        for key, value in inner.written.items():
            self.written.setdefault(key, value)
        self.times = self.times or inner.times

    def _end(self, outcome: str, answer: Any, error: Exception | None = None) -> None:
        seconds = perf_counter() - self.started
        try:
            self.open.pop()
        except IndexError:
            return
        self.scope.close()
        try:
            found = self._answered(answer, outcome)
            if self.outer is not None:
                self.outer.absorb(self, found)
            else:
                self._tell(found, outcome, error, seconds)
        finally:
            self.span.end(self._began + int(seconds * 1e9))  # the metric's duration, to the nanosecond
        failures = self.bound.telemetry.failures
        if failures and self._sound:
            failures.pop(self.bound.who, None)  # those before were not in a row

    def _answered(self, answer: Any, outcome: str) -> Attributes:
        """Say in attributes what was answered."""
        operation = self.bound.operation
        found: Attributes = {}
        if answer is None and self.fold is not None:
            answer = self.read(_ANSWER, self.fold)
        if answer is not None:
            found = self._told(answer)
            fault = operation.fault and self.read(operation.fault, answer)
            if fault and outcome in (s.COMPLETED, s.TRUNCATED):
                found[s.ERROR_TYPE] = fault
            for key, outputs in self.bound.results if self.captures else ():
                self.write(key, self.read(outputs, answer))
        if self._absorbed:
            missing = self._absorbed.keys() - self.attributes.keys() - found.keys()
            found.update({key: self._absorbed[key] for key in missing})
        found.update(self.found)
        reasons = found.get(s.RESPONSE_FINISH_REASONS)
        if reasons and None in reasons:
            # A reason that was due and did not come is an error; one that was not waited for is not.
            found[s.RESPONSE_FINISH_REASONS] = [reason or s.FINISH_ERROR for reason in reasons]
            if outcome in (s.STOPPED, s.CANCELLED):
                del found[s.RESPONSE_FINISH_REASONS]
        if self.times:
            found[s.RESPONSE_TIME_TO_FIRST_CHUNK] = self.times[0] - self.started
        return found

    def _tell(self, found: Attributes, outcome: str, error: Exception | None, seconds: float) -> None:
        """Put everything on the span, the event and the metrics."""
        bound, gaps = self.bound, []
        if self.times:
            gaps = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        if gaps:
            found[s.LONGEST_GAP] = max(gaps)
        outcome = self._judge(found, outcome, error)
        everything = {**self.attributes, **found}
        series = bound.meters.series(everything)
        if bound.costs is not None:
            priced = self._priced(bound.costs, everything, series.dimensions, seconds)
            found.update(priced)
            everything.update(priced)
        places = self.on_span or self.on_event or self.on_hook  # what is only judged is in none
        wanted = places and bool(self.written) and bound.gate.wants(outcome)
        cleaned = bound.gate.cleaned(self.written, self.leak) if wanted else _NOTHING
        plain, texts = bound.gate.fitted(cleaned, self._limit) if wanted else _NOTHING
        if self.span.is_recording():
            if bound.target in found and bound.target not in self.attributes:
                self.span.update_name(f"{bound.operation.name} {found[bound.target]}")
            if self.on_span:
                found.update(texts)
            self.span.set_attributes(found)
        event = None
        if bound.gate.emits:
            seen = {key: content.to_plain(value) for key, value in plain.items()} if self.on_event else {}
            event = bound.telemetry.event(s.EVENT_INFERENCE_DETAILS, {**everything, **seen}, self.context)
        if self.on_hook and wanted:
            self._upload(cleaned[0], event)
        if event is not None:
            bound.telemetry.emit(event)
        self._measure(everything, series, outcome, gaps, seconds)
        _answers.ended(self, everything)

    def _priced(
        self, costs: Costs, found: Attributes, dimensions: dict[str, Any], seconds: float
    ) -> Attributes:
        """Say what the call cost, where that is known."""
        try:
            return costs.tell(found, dimensions, seconds, self.context, self.bound.meters.further(found))
        except Exception as error:  # noqa: BLE001 (the guard)
            self.hurt(error)
            return {}

    @property
    def _limit(self) -> int | None:
        """Characters at which the span would cut an attribute off, if at any."""
        limit: int | None = getattr(getattr(self.span, "_limits", None), "max_span_attribute_length", None)
        return limit

    def _upload(self, said: dict[str, Any], event: LogRecord | None) -> None:
        """Hand the content to the completion hook, which leaves its references on the span and the event."""
        try:
            if self.bound.telemetry.uploads is not None:
                self.bound.telemetry.uploads.tell(said, self.span, event)
        except Exception as error:  # noqa: BLE001 (a hook may be anybody's)
            self.leak(error)

    def leak(self, error: Exception) -> None:
        """Count a masker or a hook that failed: what it was given is left out, and the rest goes on."""
        self.bound.telemetry.failed(*self.bound.who, error, again=True, private=True)

    def _judge(self, found: Attributes, outcome: str, error: Exception | None) -> str:
        """Say how the call ended, and mark the span if that is an error."""
        if error is not None:
            found[s.ERROR_TYPE] = type(error).__qualname__
            if self.bound.operation.error is not None:
                found.update(cleaned(self.read(self.bound.operation.error, error) or {}))
            self._describe(error)
        elif s.ERROR_TYPE in found:
            outcome = s.FAILED
        elif outcome == s.TRUNCATED:
            found[s.ERROR_TYPE] = s.ERROR_TRUNCATED
        if error is None and s.ERROR_TYPE in found:
            self.span.set_status(Status(StatusCode.ERROR))
        if outcome != s.COMPLETED:
            found[s.OUTCOME] = outcome
        return outcome

    def _measure(
        self, found: Attributes, series: Series, outcome: str, gaps: list[float], seconds: float
    ) -> None:
        meters, context, dimensions = self.bound.meters, self.context, series.dimensions
        meters.call(outcome, series, found)
        meters.tokens(found, series, context)
        failure = meters.failure(found[s.ERROR_TYPE]) if s.ERROR_TYPE in found else None
        meters.duration(seconds, {**dimensions, **failure} if failure else dimensions, context)
        if self.times:
            meters.first_chunk(found[s.RESPONSE_TIME_TO_FIRST_CHUNK], dimensions, context)
            wanted = self.bound.telemetry.settings.stream_gaps
            for gap in gaps if wanted is None or wanted >= len(gaps) else random.sample(gaps, wanted):
                meters.gap(gap, dimensions, context)

    def _describe(self, error: Exception) -> None:
        """Mark the span as an error; a provider's message can echo the prompt, so it is content."""
        details = {s.EXCEPTION_TYPE: type(error).__qualname__}
        description = None
        if self.on_span and self.span.is_recording() and not is_hushed(error, self.hushed):
            trace = "".join(traceback.format_exception(error))
            told = self.bound.gate.error(str(error), trace, self.leak)
            if told is not None:
                details[s.EXCEPTION_MESSAGE], details[s.EXCEPTION_STACKTRACE] = told
                description = told[0]
        self.span.set_status(Status(StatusCode.ERROR, description))
        self.span.add_event(s.EVENT_EXCEPTION, details)


def _is_cancelling() -> bool:
    """Whether the caller leaves a `with` block because its task is cancelled."""
    error = sys.exc_info()[1]
    if type(error).__name__ not in _CANCELLATIONS:
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in ("__exit__", "__aexit__"):
            return any(value is error for value in frame.f_locals.values())
        frame = frame.f_back
    return False


class _Unread:
    """Stands in for the fold of an operation that has none: the stream's end is all that is known."""

    answer = None

    def __init__(self, *, content: bool) -> None:
        """Read nothing, whatever is wanted."""

    def add(self, event: Any) -> bool:  # noqa: ARG002 (it is not read)
        """Let one event pass."""
        return False
