"""What was answered last where one is: so that a reference to it can be given away."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from otel_genai import _guard
from otel_genai import semconv as s

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from otel_genai._call import Call

KEPT = 1000
"""How many answers are kept for whoever is in their trace, and not in the task or thread where they ended."""

last: ContextVar[tuple[SpanContext, Mapping[str, Any]] | None] = ContextVar("otel_genai_last", default=None)
"""The span and the attributes of the last inference that ended here."""


class Latest:
    """The inferences that ended last, wherever that was: an agent's are often in tasks of its own."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._ended: deque[tuple[SpanContext, Mapping[str, Any]]] = deque(maxlen=KEPT)
        self.keep = self._ended.append
        """Take one in, the oldest goes: one step, for which no thread waits."""
        _guard.forked(self)

    def forget(self) -> None:
        """Begin anew, in a process that was forked: what was answered is the parent's."""
        self._ended.clear()

    def of(self, trace_id: int) -> tuple[SpanContext, Mapping[str, Any]] | None:
        """Give the one of a trace that ended last."""
        ended = list(self._ended)  # others may end meanwhile
        return next((told for told in reversed(ended) if told[0].trace_id == trace_id), None)


latest = Latest()


def judged(call: Call) -> bool:
    """Whether somebody in this process wants to read what a call says."""
    judging = call.bound.telemetry.judging
    return judging is not None and judging.wants(call)


def ended(call: Call, found: Mapping[str, Any]) -> None:
    """Take note of a call that has ended."""
    if call.judged and (judging := call.bound.telemetry.judging) is not None:
        judging.take(call, found)
    if call.bound.operation.name in s.INFERENCE:
        told = (call.span.get_span_context(), found)
        last.set(told)
        # A trace's root has nobody beside it who could ask; a judge's own is of the trace that it judges.
        if getattr(call.span, "parent", told) is not None and s.JUDGE not in found:
            latest.keep(told)
