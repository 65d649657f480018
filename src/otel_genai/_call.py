"""One call: what it is bound to, and its life from begin to end, the same for every provider."""

from __future__ import annotations

import logging
import random
import sys
import traceback
from collections.abc import Callable
from operator import attrgetter
from time import perf_counter, time_ns
from types import FrameType
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, set_span_in_context

from otel_genai import _context, content
from otel_genai import semconv as s
from otel_genai._telemetry import Meters, Telemetry
from otel_genai.spec import Attributes, Body, Operation, Request

logger = logging.getLogger(__name__)

BAD_DATA = (AttributeError, LookupError, TypeError, ValueError)
"""What a pure reader raises on a body that is not what the SDK's types say: absent, not a failure."""

_PLAIN = frozenset({str, int, float, bool})
_ANSWER = attrgetter("answer")
_CANCELLATIONS = ("CancelledError", "Cancelled")  # asyncio's, and trio's, which is not imported for it


class Bound:
    """One operation of one provider, with all that the settings decide resolved beforehand."""

    __slots__ = (
        "constants", "contents", "emits", "kind", "meters", "on_event", "on_span", "operation", "provider",
        "target", "telemetry",
    )  # fmt: skip

    def __init__(
        self, telemetry: Telemetry, provider: str, operation: Operation, kind: SpanKind = SpanKind.CLIENT
    ) -> None:
        """Choose now what every call would otherwise ask."""
        settings = telemetry.settings
        self.telemetry = telemetry
        self.provider = provider
        self.operation = operation
        self.kind = kind
        self.target = s.signals(operation.name, settings.semconv).target
        self.meters = Meters(telemetry, operation.name)
        self.constants = {s.OPERATION_NAME: operation.name, **operation.constants}
        self.emits = settings.events and operation.name in s.INFERENCE
        self.on_span = settings.capture.on_span
        self.on_event = settings.capture.on_event and self.emits
        readers = {
            s.SYSTEM_INSTRUCTIONS: operation.instructions,
            s.INPUT_MESSAGES: operation.inputs,
            s.TOOL_DEFINITIONS: operation.tools,
        }
        self.contents = {key: reader for key, reader in readers.items() if reader and self.captures}

    @property
    def captures(self) -> bool:
        """Whether content is wanted anywhere."""
        return self.on_span or self.on_event

    def request(self, request: Request) -> Attributes:
        """Say in attributes what was asked."""
        server, table = request.server, self.operation.request
        attributes = self.constants.copy()
        attributes[s.PROVIDER_NAME] = server.provider
        if server.address:
            attributes[s.SERVER_ADDRESS] = server.address
            if server.port:
                attributes[s.SERVER_PORT] = server.port
        if request.stream:
            attributes[s.REQUEST_STREAM] = True
        for key, value in request.body.items():
            row = table.get(key)
            if row is None:
                continue
            if type(row) is str:
                if type(value) in _PLAIN or (value := _clean(value)) is not None:
                    attributes[row] = value
            elif value is not None:
                self._convert(attributes, row, value)
        if self.operation.derived is not None:
            attributes.update(self.read(self.operation.derived, request.body))
        return attributes

    def _convert(self, attributes: Attributes, row: Any, value: Any) -> None:
        try:
            converted = _clean(row[1](value))
        except BAD_DATA:
            return
        if converted is not None:
            attributes[row[0]] = converted

    def read(self, reader: Callable[[Any], Any], source: Any) -> Any:
        """Have a provider's function read what may not be what it says; {} where it cannot."""
        try:
            found = reader(source)
        except Exception as error:  # noqa: BLE001 (the guard)
            self.misread(error)
            return {}
        if type(found) is not dict:
            return found
        return {key: clean for key, value in found.items() if (clean := _clean(value, key)) is not None}

    def misread(self, error: Exception) -> None:
        """Tell data that is not what it should be, which is nobody's failure, from a failure of ours."""
        if isinstance(error, BAD_DATA):
            logger.debug("%s: a body could not be read: %r", self.operation.name, error)
        else:
            self.telemetry.failed(self.provider, self.operation.name, error)


def _clean(value: Any, key: str = "") -> Any:
    """Keep what an attribute can hold; None for the rest."""
    if key in s.USAGE:
        return value if type(value) is int and value >= 0 else None
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        items = [item if item is None else _clean(item) for item in value]
        return items if items and (key == s.RESPONSE_FINISH_REASONS or None not in items) else None
    if isinstance(value, str):
        return str.__str__(value)  # of an enum, its value
    for base in (int, float):
        if isinstance(value, base):
            return base(value)
    return None


class Call:
    """One call from begin to end; `done`, `failed` or `abandoned` ends it, whichever comes first."""

    __slots__ = (
        "__weakref__",
        "_absorbed",
        "_began",
        "_once",
        "attributes",
        "bound",
        "context",
        "fold",
        "found",
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
        frame: FrameType | None = None,
    ) -> None:  # fmt: skip
        """Begin: inside another call for the same thing, without a span of its own."""
        self.bound = bound
        self.attributes = {**around.attributes, **attributes} if around else attributes
        self.found: Attributes = {}
        self.written: dict[str, Any] = {}
        self.fold: Any = None
        self.times: list[float] = []
        self.terminated = False
        self._absorbed: Attributes = {}
        self._once = [True]
        below = _context.carried(here) if frame is not None else None
        self.scope = _context.Scope(around, call=self, frame=frame, below=below)
        self.outer = _outer(around, bound.operation.name)
        self.span: Span = INVALID_SPAN
        self.context = otel.set_value(_context.KEY, self.scope, here)
        self.started = perf_counter()
        self._began = time_ns()
        if self.outer is None:
            target = self.attributes.get(bound.target)
            name = f"{bound.operation.name} {target}" if target else bound.operation.name
            self.span = bound.telemetry.tracer.start_span(
                name, here, bound.kind, self.attributes, start_time=self._began
            )
            self.context = set_span_in_context(self.span, self.context)

    @property
    def open(self) -> bool:
        """Whether the call has not ended yet."""
        return bool(self._once)

    def content(self, body: Body) -> None:
        """Read the request's content, now: the caller may change it later."""
        if self.span.is_recording() or self.bound.on_event or self.outer:
            for key, reader in self.bound.contents.items():
                self.write(key, self.bound.read(reader, body))

    def write(self, key: str, value: object) -> None:
        """Keep content for the end, if it is wanted at all."""
        if value and self.bound.captures:
            self.written[key] = value

    def expect(self) -> None:
        """Prepare for an answer that comes in pieces."""
        self.fold = (self.bound.operation.fold or _Unread)(content=self.bound.captures)

    def misread(self, error: Exception) -> None:
        """Take note of a piece of an answer that could not be read."""
        self.bound.misread(error)

    def done(self, answer: Any = None) -> None:
        """End: the answer was read to its end, or to where the connection was cut."""
        cut = self.fold is not None and not self.terminated and not getattr(self.fold, "complete", True)
        self._end(s.TRUNCATED if cut else s.COMPLETED, answer)

    def failed(self, error: BaseException, answer: Any = None) -> None:
        """End: the call raised. What only stops a program or a task is nobody's error."""
        if isinstance(error, Exception):
            self._end(s.FAILED, answer, error)
        else:
            self._end(s.CANCELLED if type(error).__name__ in _CANCELLATIONS else s.STOPPED, answer)

    def abandoned(self, answer: Any = None) -> None:
        """End: the caller wanted no more; what was received is kept."""
        if self.fold is not None and getattr(self.fold, "complete", False):
            self.done(answer)  # there was nothing more to come
        else:
            self._end(s.CANCELLED if _is_cancelling() else s.STOPPED, answer)

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
            self._once.pop()
        except IndexError:
            return
        self.scope.close()
        telemetry, who = self.bound.telemetry, (self.bound.provider, self.bound.operation.name)
        before = telemetry.failures.get(who)
        try:
            try:
                found = self._read(answer, outcome)
                if self.outer is not None:
                    self.outer.absorb(self, found)
                else:
                    self._emit(found, outcome, error, seconds)
            finally:
                self.span.end(self._began + int(seconds * 1e9))  # the metric's duration, to the nanosecond
        except Exception as failure:  # noqa: BLE001 (the guard)
            telemetry.failed(*who, failure)
        if before is not None and telemetry.failures.get(who) == before:
            del telemetry.failures[who]  # this one went well: it was not in a row

    def _read(self, answer: Any, outcome: str) -> Attributes:
        """Say in attributes what was answered."""
        bound = self.bound
        found = {key: value for key, value in self._absorbed.items() if key not in self.attributes}
        if answer is None and self.fold is not None:
            answer = bound.read(_ANSWER, self.fold) or None
        if answer is not None:
            for reader in bound.operation.response:
                found.update(bound.read(reader, answer))
            fault = bound.operation.fault and bound.read(bound.operation.fault, answer)
            if fault and outcome in (s.COMPLETED, s.TRUNCATED):
                found[s.ERROR_TYPE] = fault
            if bound.operation.outputs and (self.span.is_recording() or bound.on_event or self.outer):
                self.write(s.OUTPUT_MESSAGES, bound.captures and bound.read(bound.operation.outputs, answer))
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

    def _emit(self, found: Attributes, outcome: str, error: Exception | None, seconds: float) -> None:
        """Put everything on the span, the event and the metrics."""
        bound = self.bound
        gaps = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        if gaps:
            found[s.LONGEST_GAP] = max(gaps)
        outcome = self._judge(found, outcome, error)
        if self.span.is_recording():
            if bound.target in found and bound.target not in self.attributes:
                self.span.update_name(f"{bound.operation.name} {found[bound.target]}")
            told = {key: content.to_json(value) for key, value in self.written.items() if bound.on_span}
            self.span.set_attributes({**found, **told})
        if bound.emits:
            told = {key: content.to_plain(value) for key, value in self.written.items() if bound.on_event}
            everything = {**self.attributes, **found, **told}
            bound.telemetry.event(s.EVENT_INFERENCE_DETAILS, everything, self.context)
        self._measure({**self.attributes, **found}, outcome, gaps, seconds)

    def _judge(self, found: Attributes, outcome: str, error: Exception | None) -> str:
        """Say how the call ended, and mark the span if that is an error."""
        if error is not None:
            found[s.ERROR_TYPE] = type(error).__qualname__
            if self.bound.operation.error is not None:
                found.update(self.bound.read(self.bound.operation.error, error))
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

    def _measure(self, found: Attributes, outcome: str, gaps: list[float], seconds: float) -> None:
        meters, context = self.bound.meters, self.context
        meters.call(outcome, found, context)
        dimensions = {key: found[key] for key in meters.keys if key in found}
        failure = {s.ERROR_TYPE: found[s.ERROR_TYPE]} if s.ERROR_TYPE in found else {}
        meters.duration(seconds, {**dimensions, **failure}, context)
        meters.tokens(found, dimensions, context)
        if self.times:
            meters.first_chunk(found[s.RESPONSE_TIME_TO_FIRST_CHUNK], dimensions, context)
        wanted = self.bound.telemetry.settings.stream_gaps
        for gap in gaps if wanted is None or wanted >= len(gaps) else random.sample(gaps, wanted):
            meters.gap(gap, dimensions, context)

    def _describe(self, error: Exception) -> None:
        """Mark the span as an error; a provider's message can echo the prompt, so it is content."""
        details = {s.EXCEPTION_TYPE: type(error).__qualname__}
        description = None
        if self.bound.on_span:
            description = details[s.EXCEPTION_MESSAGE] = str(error)
            details[s.EXCEPTION_STACKTRACE] = "".join(traceback.format_exception(error))
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


def _outer(around: _context.Scope | None, operation: str) -> Call | None:
    """Find the call within which another one for the same operation is no second one.

    Only model calls are looked through: what a tool or an agent asks a model is a call of its own.
    """
    outer = around.call if around else None
    while outer is not None and operation in s.MODEL_CALLS:
        name = outer.bound.operation.name
        if outer.open and (name == operation or {name, operation} <= s.INFERENCE):
            return outer
        if name not in s.MODEL_CALLS:
            return None
        outer = outer.scope.parent.call if outer.scope.parent else None
    return None
