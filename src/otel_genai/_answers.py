"""What was answered last where one is: so that a reference to it can be given away."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from otel_genai._call import Call

last: ContextVar[tuple[SpanContext, Mapping[str, Any]] | None] = ContextVar("otel_genai_last", default=None)
"""The span and the attributes of the last inference that ended here."""


def judged(call: Call) -> bool:
    """Whether somebody in this process wants to read what a call says."""
    judging = call.bound.telemetry.judging
    return judging is not None and judging.wants(call)


def ended(call: Call, found: Mapping[str, Any]) -> None:
    """Take note of a call that has ended."""
    if call.judged and (judging := call.bound.telemetry.judging) is not None:
        judging.take(call, found)
    if call.bound.operation.name in s.INFERENCE:
        last.set((call.span.get_span_context(), found))
