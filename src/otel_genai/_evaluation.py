"""Evaluations: how good an answer was, said of its span by whoever knows, be it long ended or elsewhere."""

from __future__ import annotations

import functools
import logging
import math
import re
from collections.abc import Iterable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_genai import _answers, _baggage, _context, _guard, content
from otel_genai import semconv as s
from otel_genai._bound import cleaned
from otel_genai._gate import Gate
from otel_genai._telemetry import Telemetry, active

if TYPE_CHECKING:
    from otel_genai.spec import Attributes

logger = logging.getLogger(__name__)

_CARRIED = {
    "id": s.RESPONSE_ID,
    "model": s.REQUEST_MODEL,
    "prompt": s.PROMPT_NAME,
    "version": s.PROMPT_VERSION,
    "experiment": s.EXPERIMENT,
}
"""What a reference carries of an answer besides where it is: its word -> the attribute."""
_OF_AN_ANSWER = (*_CARRIED.values(), *s.CONTEXT.values())
"""What is said of an answer in its evaluation, too."""
_DIMENSIONS = (s.EVALUATION_NAME, s.REQUEST_MODEL, s.PROMPT_NAME, s.PROMPT_VERSION, s.EXPERIMENT)
_LONGEST = 4096
"""Characters of a reference at most: it may come from anybody."""
_TRACEPARENT = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[^;]*)?"
_THUMBS: dict[object, tuple[float, str]] = {True: (1.0, "up"), False: (0.0, "down")}
_WORDS = {"up": _THUMBS[True], "down": _THUMBS[False]}
_W3C = TraceContextTextMapPropagator()
_NOWHERE = trace.set_span_in_context(INVALID_SPAN, Context())


class Target:
    """The answer that is evaluated: where its span is, if that is known, and what else is."""

    __slots__ = ("attributes", "context")

    def __init__(self, span: Span | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """Keep of the attributes what an evaluation says, too."""
        self.context = _NOWHERE if span is None else trace.set_span_in_context(span, Context())
        known = attributes or {}
        self.attributes = {key: known[key] for key in _OF_AN_ANSWER if key in known}

    @property
    def span(self) -> SpanContext:
        """Where the span is; one that is not valid is nowhere."""
        return trace.get_current_span(self.context).get_span_context()

    @property
    def reference(self) -> str:
        """What is needed to evaluate the answer later, and elsewhere."""
        if not self.span.is_valid:
            return ""
        headers: dict[str, str] = {}
        _W3C.inject(headers, self.context)
        known = {word: self.attributes.get(key) for word, key in _CARRIED.items()}
        further = [
            f"{word}={quote(text, safe='')}"
            for word, value in known.items()
            if value is not None and _baggage.is_sound(text := str(value))
        ]
        return ";".join([headers["traceparent"], *further])


def _target(of: Any) -> Target:
    """Find the answer that is meant."""
    if of is None:
        span = trace.get_current_span()
        return _of_span(span) if span.get_span_context().is_valid else _last()
    if isinstance(of, _context.Block):
        return _of_call(getattr(of, "_call", None))
    if isinstance(of, (Span, SpanContext)):
        return _of_span(of if isinstance(of, Span) else NonRecordingSpan(of))
    if isinstance(of, str):
        return _read(of)
    if isinstance(of, Iterable):
        return _read(_baggage.headers_of(of, "traceparent"), _baggage.headers_of(of, "tracestate"))
    msg = (
        f"evaluate(of=...) is a {type(of).__name__}; give a block of ours, a span, what reference() gave, "
        "a traceparent, a request's headers or the answer's id"
    )
    raise TypeError(msg)


def _of_span(span: Span) -> Target:
    return Target(span, getattr(span, "attributes", None))


def _of_call(call: Any) -> Target:
    if call is None:
        return Target()
    span = trace.get_current_span(call.context)
    return Target(span, {**(getattr(span, "attributes", None) or {}), **call.attributes, **call.found})


def _last() -> Target:
    told = _answers.last.get()
    return _told(told) if told is not None else Target()


def _told(told: tuple[SpanContext, Mapping[str, Any]]) -> Target:
    return Target(NonRecordingSpan(told[0]), told[1])


def _read(text: str, state: str = "") -> Target:
    """Read a reference or a traceparent; any other text is an answer's id."""
    traceparent, *members = text.strip().split(";") if len(text) <= _LONGEST else ("",)
    if not re.fullmatch(_TRACEPARENT, traceparent):
        known = text.strip()
        if not _baggage.is_sound(known):
            _say_lost()
            return Target()
        return Target(None, {s.RESPONSE_ID: known})
    here = _W3C.extract({"traceparent": traceparent, "tracestate": state}, Context())
    pairs = [member.partition("=") for member in members]
    read = {_CARRIED[word]: _baggage.decoded(raw) for word, _, raw in pairs if word in _CARRIED}
    found = {key: value for key, value in read.items() if value is not None}
    span = trace.get_current_span(here)
    return Target(span if span.get_span_context().is_valid else None, found)


@functools.cache
def _say_lost() -> None:
    """Say once that a reference was lost on its way: an empty field of a form, or a missing header."""
    logger.warning(
        "feedback or an evaluation came with an `of` that is empty or unreadable: it is counted, and nothing "
        "is known of its answer; give what reference() gave, and look where it is lost (said once)"
    )


def reference() -> str:
    """Give what the program must keep to evaluate an answer later: `feedback("up", of=reference)`.

    It is of the inference that is open here, or ended last in this task or thread, or else in any, such as
    those of an agent, if that is of the current trace; of the current span otherwise, and empty where there
    is none. Outside of a trace only those of this task or thread are known. The text begins with a W3C
    traceparent, and carries besides the answer's id, the model asked for, the prompt with its version, and
    the experiment. Whoever has it can read these, and whoever sends one back may have written it.
    """
    found: list[str] = []
    _guard.guarded(_failed, lambda: found.append(_latest().reference))
    return "".join(found)


def _latest() -> Target:
    here = otel.get_current()
    scope = _context.current(here)
    call = scope.call if scope is not None else None
    if call is not None and call.open and call.bound.operation.name in s.INFERENCE:
        return _of_call(call)
    now, told = trace.get_current_span(here), _last()
    current = now.get_span_context()
    if told.span.is_valid and (not current.is_valid or current.trace_id == told.span.trace_id):
        return told
    elsewhere = _answers.latest.of(current.trace_id) if current.is_valid else None
    return _of_span(now) if elsewhere is None else _told(elsewhere)


class Evaluation:
    """One evaluation: a span below the answer's, so that it is found where events are not shown."""

    def __init__(self, telemetry: Telemetry, name: str, target: Target, began: int | None = None) -> None:
        """Begin; `context` is where the judge's own work belongs."""
        self._telemetry = telemetry
        self._name = name
        self._target = target
        self._span: Span = INVALID_SPAN
        self.context = target.context
        if target.span.is_valid:
            self._span = telemetry.tracer.start_span(
                f"{s.EVALUATE} {name}", target.context, attributes={s.EVALUATION_NAME: name}, start_time=began
            )
            self.context = trace.set_span_in_context(self._span, target.context)

    def done(
        self,
        score: float | None = None,
        label: str | None = None,
        explanation: str | None = None,
        error: BaseException | str | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell the result."""
        scope = _context.current(otel.get_current())
        result = {
            s.EVALUATION_NAME: self._name,
            s.EVALUATION_SCORE_VALUE: number(score),
            s.EVALUATION_SCORE_LABEL: None if label is None else str(label),
            s.ERROR_TYPE: type(error).__qualname__ if isinstance(error, BaseException) else error,
        }
        around = scope.attributes if scope is not None else {}
        found = cleaned({**around, **self._target.attributes, **(further or {}), **result})
        texts, plain = self._explained(explanation, scope, failed=error is not None)
        self._span.set_attributes({**found, **texts})
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        said, where = {**found, **plain}, self._target.context
        self._telemetry.emit(LogRecord(event_name=s.EVENT_EVALUATION, attributes=said, context=where))
        self._measure(found)

    def _explained(
        self, explanation: str | None, scope: _context.Scope | None, *, failed: bool
    ) -> tuple[Attributes, Attributes]:
        """Give the explanation as it may be recorded: on the span, and on the event."""
        gate = Gate(self._telemetry.settings, s.EVALUATE)
        on_span, on_event, _ = gate.opened(scope, self._target.span.trace_id)
        wanted = (on_span or on_event) and gate.wants(s.FAILED if failed else s.COMPLETED)
        if not explanation or not wanted:
            return {}, {}
        said = gate.cleaned({s.EVALUATION_EXPLANATION: content.sendable(str(explanation))}, self._leak)
        plain, texts = gate.fitted(said, None)
        return (dict(texts) if on_span else {}), (plain if on_event else {})

    def _leak(self, error: Exception) -> None:
        self._telemetry.failed("evaluation", s.EVALUATE, error, again=True, private=True)

    def _measure(self, found: Attributes) -> None:
        telemetry = self._telemetry
        dimensions = telemetry.caps.pairs(_DIMENSIONS, found)
        if s.EVALUATION_SCORE_VALUE in found:
            score = found[s.EVALUATION_SCORE_VALUE]
            telemetry.histogram(s.EVALUATION_SCORES).record(score, dict(dimensions), self._target.context)
        further = [key for key in telemetry.settings.metric_dimensions if key not in _DIMENSIONS]
        counted = (s.EVALUATION_SCORE_LABEL, s.ERROR_TYPE, *further)
        telemetry.tally(s.EVALUATIONS).add(1, (*dimensions, *telemetry.caps.pairs(counted, found)))


def evaluate(
    name: str,
    *,
    score: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
    of: Any = None,
    error: BaseException | str | None = None,
    model: str | None = None,
    **attributes: Any,
) -> None:
    """Say how good an answer was: `evaluate("relevance", score=0.8, of=reference)`.

    It is the event `gen_ai.evaluation.result`, a span `evaluate <name>` below the answer's where that is
    known, and the metrics `otel_genai.evaluation.score` and `otel_genai.evaluations`. What cannot be recorded
    is said in the log; nothing raises.

    Args:
        name: what was evaluated, such as `relevance`; one of few.
        score: a number; the metric's buckets are the tenths from 0 to 1, higher should be better.
        label: the score in a word, such as `relevant`; one of few.
        explanation: why; content.
        of: the answer: a block of ours, a span or its context, what `reference()` gave, a traceparent, the
            headers of a request, or the answer's id (`chatcmpl-...`), of which the event alone tells. None is
            the current span, or where there is none the last inference here.
        error: what kept it from being evaluated: an exception, of which its type is recorded, or a word.
        model: the model that was asked, where neither `of` nor the span tells.
        attributes: further attributes of the span and the event; `**{"app.tenant": "acme"}` for dotted ones.
    """
    further = {s.REQUEST_MODEL: model, **attributes} if model is not None else attributes
    _guard.guarded(_failed, _evaluate, time_ns(), name, of, score, label, explanation, error, further)


def _evaluate(began: int, name: str, of: Any, *result: Any) -> None:
    here = otel.get_current()
    scope = _context.current(here)
    if (scope is not None and scope.suppressed) or _context.suppressed(here):
        return
    Evaluation(active(), name, _target(of), began).done(*result)


def feedback(
    value: float | str,
    *,
    comment: str | None = None,
    of: Any = None,
    name: str = "user_feedback",
    model: str | None = None,
    **attributes: Any,
) -> None:
    """Say what a user thought of an answer: `feedback("down", comment="too long", of=reference)`.

    Args:
        value: `up` or True is the score 1, `down` or False 0; a number is a score, any other word a label.
        comment: the user's own words; content.
        of: the answer, as for `evaluate()`.
        name: what the evaluation is called.
        model: as for `evaluate()`.
        attributes: as for `evaluate()`.
    """
    score, label = _read_feedback(value)
    evaluate(name, score=score, label=label, explanation=comment, of=of, model=model, **attributes)


def _read_feedback(value: Any) -> tuple[Any, str | None]:
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower(), (None, value))
    return _THUMBS[value] if isinstance(value, bool) else (value, None)


def number(score: Any) -> float | None:
    """Give a score as a number, or say what is accepted."""
    if score is None:
        return None
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(score, str) or not math.isfinite(number):
        msg = f"evaluate(score=...) is a {type(score).__name__}; give a finite number"
        raise TypeError(msg)
    return number


def _failed(error: Exception) -> None:
    active().failed("evaluation", s.EVALUATE, error)
