"""Spans of others within a context: they are told whose call it was, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel

from otel_genai import _context, _guard
from otel_genai._telemetry import SCOPE, active

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.sdk.trace import SpanProcessor as _Base
else:
    _Base = object  # the SDK is slow to import, and asks its processors for no more than their methods


class ContextProcessor(_Base):
    """Puts the attributes of `context()` on spans of other instrumentations as they start.

    `tracer_provider.add_span_processor(otel_genai.ContextProcessor())`, before the processor that exports.
    What a span has already is left as it is.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Put on the span what is known where it starts."""
        here = otel.get_current() if parent_context is None else parent_context
        if _context.KEY in here:
            _guard.guarded(_hurt, _tell, span, here)

    def on_end(self, span: ReadableSpan) -> None:
        """Leave the span as it is."""

    def _on_ending(self, span: Span) -> None:
        """Leave the span as it is."""

    def shutdown(self) -> None:
        """Hold nothing that is to be let go."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Have nothing to send."""
        return True


def _tell(span: Span, here: Context) -> None:
    scope = _context.current(here)
    if scope is None or not scope.attributes or _is_ours(span):
        return
    known = span.attributes or {}
    span.set_attributes({key: value for key, value in scope.attributes.items() if key not in known})


def _is_ours(span: Span) -> bool:
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE


def _hurt(error: Exception) -> None:
    active().failed("context", "span", error)
