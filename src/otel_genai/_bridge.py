"""GenAI spans that libraries make themselves: read by the conventions, and measured once, never doubled.

Such a span is marked where it starts, and completed where it ends. Of two that tell the same call, the
innermost is measured: a call of ours within one takes that span for its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)

from otel_genai import _context, _emitters, _guard, _others, _veil
from otel_genai import semconv as s
from otel_genai import semconv_mcp as mcp
from otel_genai._bound import Bound, cleaned
from otel_genai._emitters import MARK, Emitter
from otel_genai._telemetry import Meters, Telemetry, active

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span as Native

    from otel_genai._call import Call

_WHO = ("native", "span")
_CANCELLED = "CancelledError"

seen = False
"""Whether there may be such a span: without one, no call of ours looks for it."""


class Adopted:
    """What is kept of a library's span while it is open."""

    __slots__ = ("around", "asked", "emitter", "outer", "told")

    def __init__(self, emitter: Emitter, outer: Span, around: _context.Scope | None) -> None:
        """Remember what it started in."""
        self.emitter = emitter
        self.outer = outer
        self.around = around.call if around is not None else None
        self.asked = around.asked if around is not None else None
        self.told = False
        """Whether what happened within has been measured as the same thing."""

    def part(self, span: Native) -> None:
        """Complete the span as it ends, mask it, and measure what it tells."""
        everything = None
        try:
            if _WHO not in active().off:
                everything = _complete(span, self.emitter)
        except Exception as error:  # noqa: BLE001 (the guard)
            hurt(error)
        _veil.mask(span, self.emitter, hurt)
        if everything is not None:
            _guard.guarded(hurt, _measure, span, self, everything, _guard.is_late())


def hurt(error: Exception) -> None:
    """Count a failure of ours."""
    active().failed(*_WHO, error)


def look() -> None:
    """Have calls of ours look for such spans from now on."""
    global seen  # noqa: PLW0603 (once for the whole program)
    seen = True


def meet(span: Native, here: Context) -> None:
    """Mark a span that starts as one of a library's that is known."""
    scope = span.instrumentation_scope
    emitter = _emitters.known(scope.name) if scope is not None else None
    telemetry = active()
    if emitter is None or scope is None or scope.name in telemetry.settings.disabled:
        return
    if _WHO in telemetry.off and not telemetry.settings.maskers:
        return
    setattr(span, MARK, Adopted(emitter, get_current_span(here), _context.current(here)))
    look()
    said = span.attributes or {}
    if telemetry.costs is not None and s.REQUEST_MODEL in said:
        asked = {s.REQUEST_MODEL: said[s.REQUEST_MODEL], s.PROVIDER_NAME: _emitters.provider(said)}
        telemetry.costs.expect(asked)


def lend(bound: Bound, here: Context, call: Call) -> tuple[Span, Bound] | None:
    """Give the library's open span that is the very inference which a call of ours begins with.

    Where an SDK makes that span itself, when the call is over, there is none until then.

    Args:
        bound: the operation of ours.
        here: the context in which it begins.
        call: the call that begins.

    Returns:
        The span, and the operation without the metrics that the library records itself; None where the
        current span is nothing of the kind.
    """
    adopted: Adopted | None = None
    try:
        span: Any = get_current_span(here)
        adopted = getattr(span, MARK, None)
        if adopted is None or not _is_same(span, adopted, bound.operation.name):
            return _beside(bound, here, call) if bound.who[0] in _others.OWN else None
        adopted.told = True
        lent = Lent(span)
        lent.set_attributes(call.attributes)
        return lent, _without(bound, adopted.emitter)
    except Exception as error:  # noqa: BLE001 (the guard)
        hurt(error)
        if adopted is not None:
            adopted.told = True  # as the call goes on with a span of its own, and is measured
        return None


def _beside(bound: Bound, here: Context, call: Call) -> tuple[Span, Bound] | None:
    """Give the span of a call whose SDK may make it itself: one that records nothing where it does.

    Where it writes to the span around instead, it goes on doing so: ours is never the current one.
    """
    around, asked = get_current_span(here).get_span_context(), call.attributes
    told = _others.tells(bound.who[0], within=around.is_valid, stream=s.REQUEST_STREAM in asked)
    if told is None:
        return None
    if told:
        return NonRecordingSpan(around), bound
    name = f"{bound.operation.name} {asked.get(bound.target, '')}".strip()
    return bound.telemetry.tracer.start_span(name, here, bound.kind, asked, start_time=call._began), bound


class Lent(Span):
    """A library's span, for a call of ours: it takes in what is missing, and is named and ended by its owner.

    How a call of ours failed is not written to it: the library may try again.
    """

    def __init__(self, span: Any) -> None:
        """Stand before the library's span."""
        self._span = span

    @property
    def _limits(self) -> Any:
        return getattr(self._span, "_limits", None)

    def get_span_context(self) -> SpanContext:
        """Give the library's."""
        given: SpanContext = self._span.get_span_context()
        return given

    def is_recording(self) -> bool:
        """Say whether its owner has not ended it."""
        return bool(self._span.is_recording())

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set what its owner has not set."""
        known = self._span.attributes or {}
        theirs = {s.OUTCOME, s.ERROR_TYPE} if attributes.get(s.OUTCOME) == s.FAILED else ()
        new = {key: value for key, value in attributes.items() if key not in known and key not in theirs}
        if new and self._span.is_recording():
            self._span.set_attributes(new)
            if s.ERROR_TYPE in new:
                self._span.set_status(StatusCode.ERROR)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set what its owner has not set."""
        self.set_attributes({key: value})

    def end(self, end_time: int | None = None) -> None:
        """Leave that to its owner."""

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Leave that to its owner."""

    def update_name(self, name: str) -> None:
        """Leave that to its owner."""

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Leave that to its owner."""

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        """Leave that to its owner."""


@functools.lru_cache(maxsize=256)
def _without(bound: Bound, emitter: Emitter) -> Bound:
    """Give an operation without the metrics that a library records itself."""
    telemetry, remote = bound.telemetry, bound.kind is SpanKind.CLIENT
    ours = copy(bound)
    ours.meters = Meters(telemetry, bound.operation.name, remote=remote, without=emitter.records)
    return ours


@functools.lru_cache(maxsize=256)
def _meters(telemetry: Telemetry, emitter: Emitter, operation: str, *, remote: bool) -> Meters:
    return Meters(telemetry, operation, remote=remote, without=emitter.records)


def _is_same(span: Any, adopted: Adopted, operation: str) -> bool:
    """Whether an open span is the very inference that an operation of ours is."""
    if operation not in s.MODEL_CALLS or not span.is_recording():
        return False
    theirs = _emitters.operation(adopted.emitter, span.name, span.attributes or {})
    return theirs is not None and _family(theirs) == _family(operation)


def _family(operation: str) -> str:
    """Say what is the same thing: one library says chat, the other generate_content."""
    return s.CHAT if operation in s.INFERENCE else operation


def _complete(span: Any, emitter: Emitter) -> dict[str, Any]:
    """Add what is missing by the conventions; give all that the span says, in their words."""
    said: dict[str, Any] = span.attributes.copy()
    found = _emitters.missing(emitter, span.name, said)
    if span.status.status_code is StatusCode.UNSET and emitter.affirms in said:
        span._status = Status(StatusCode.ERROR)
    if span.status.status_code is StatusCode.ERROR and s.ERROR_TYPE not in said:
        found[s.ERROR_TYPE] = _error(span)
    everything = {**said, **found}
    _write(span, cleaned(found), _emitters.title(emitter, span.name, everything))
    everything[s.OPERATION_NAME] = _emitters.operation(emitter, span.name, everything)
    everything[s.PROVIDER_NAME] = _emitters.provider(everything)
    everything[s.SERVER_ADDRESS] = _emitters.host(everything)
    return cleaned(everything)


def _error(span: Native) -> str:
    """Name the error that a span ended in, as its last exception does."""
    for event in reversed(span.events):
        kind = (event.attributes or {}).get(s.EXCEPTION_TYPE)
        if isinstance(kind, str):
            return kind.rpartition(".")[2]
    return s.ERROR_OTHER


def _thing(span: Any, emitter: Emitter) -> tuple[Any, ...] | None:
    """Say what a span is one of, where one within another is the same thing: a request, a call of a model."""
    said = span.attributes or {}
    if mcp.METHOD_NAME in said:
        return said[mcp.METHOD_NAME], span.kind
    operation = _emitters.operation(emitter, span.name, said)
    return (_family(operation),) if operation in s.MODEL_CALLS else None


def _measure(span: Native, adopted: Adopted, found: dict[str, Any], late: bool) -> None:  # noqa: FBT001 (the guard's)
    """Record what a span tells, unless somebody has; add to it what it cost, if that is not too late."""
    emitter, operation = adopted.emitter, found.get(s.OPERATION_NAME)
    thing = _thing(span, emitter)
    theirs: Adopted | None = getattr(adopted.outer, MARK, None)
    if thing is not None and theirs is not None and _thing(adopted.outer, theirs.emitter) == thing:
        theirs.told = True
    if mcp.METHOD_NAME in found:
        if not adopted.told:
            _record_request(span, found)
    elif operation in s.OPERATIONS and not (operation in s.MODEL_CALLS and _is_told(adopted, found)):
        if adopted.asked is not None and operation in s.INFERENCE:
            adopted.asked.claim()  # this is what a framework has said that it will ask
        remote = span.kind is SpanKind.CLIENT and not emitter.local
        meters = _meters(active(), emitter, operation, remote=remote)
        more = _record(meters, found, operation, _seconds(span), set_span_in_context(span, Context()))
        if not late:
            _write(span, {key: value for key, value in more.items() if key not in found}, span.name)


def _seconds(span: Native) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e9


def _is_told(adopted: Adopted, found: Mapping[str, Any]) -> bool:
    """Whether somebody else measures the same call of a model: within, around, or beside."""
    emitter, around = adopted.emitter, adopted.around
    if adopted.told or not emitter.infers:
        return True
    if found[s.OPERATION_NAME] in emitter.operations.values() and _emitters.patched(emitter.provider):
        return True
    if _emitters.patched(emitter.beneath.get(found.get(s.PROVIDER_NAME, ""), "")):
        return True
    return around is not None and _family(around.bound.operation.name) == _family(found[s.OPERATION_NAME])


def _record(
    meters: Meters, found: dict[str, Any], operation: str, seconds: float, context: Context
) -> dict[str, Any]:
    """Record one operation as a call of ours would be; give what it cost and how it ended."""
    series, failure, more = meters.series(found), {}, dict[str, Any]()
    outcome = s.COMPLETED
    if s.ERROR_TYPE in found:
        outcome = s.CANCELLED if found[s.ERROR_TYPE] == _CANCELLED else s.FAILED
        failure = meters.failure(found[s.ERROR_TYPE])
        if operation in s.MODEL_CALLS:
            more[s.OUTCOME] = outcome
            found = {**found, s.OUTCOME: outcome}
    costs = active().costs if operation in s.MODEL_CALLS else None
    if costs is not None:
        more.update(costs.tell(found, series.dimensions, seconds, context, meters.further(found)))
    meters.call(outcome, series, found)
    meters.tokens(found, series, context)
    meters.duration(seconds, {**series.dimensions, **failure}, context)
    if isinstance(first := found.get(s.RESPONSE_TIME_TO_FIRST_CHUNK), float):
        meters.first_chunk(first, series.dimensions, context)
    return more


def _record_request(span: Native, found: dict[str, Any]) -> None:
    """Record one MCP request as its sender or its receiver sees it."""
    telemetry, of_server = active(), span.kind is SpanKind.SERVER
    attributes = dict(telemetry.caps.pairs(mcp.DIMENSIONS, found))
    error = found.get(s.ERROR_TYPE)
    if isinstance(error, str) and not (of_server and error in mcp.CALLERS_FAULT):
        attributes[s.ERROR_TYPE] = telemetry.caps.keep(s.ERROR_TYPE, error)
    histogram = telemetry.histogram(mcp.SERVER_DURATION if of_server else mcp.CLIENT_DURATION)
    histogram.record(_seconds(span), attributes, set_span_in_context(span, Context()))


def _write(span: Any, found: dict[str, Any], name: str) -> None:
    """Add to a span that is ending: the SDK lets nobody but itself do so from here on."""
    held = span._attributes
    room = len(found) if held.maxlen is None else max(0, held.maxlen - len(held))
    was = held._immutable
    held._immutable = False
    try:
        held.update(islice(found.items(), room))
    finally:
        held._immutable = was
    span._name = name
