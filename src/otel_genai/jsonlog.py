"""Logs as lines of JSON that say whose they are, with a line for each call: `jsonlog.start("app.log")`.

A line has `time`, `level`, `logger` and `message`, the `trace_id` and `span_id` of the span around, what
`context()` says, and what the program gave as `extra`. A call's line has the attributes of its span, but for
content, and its `duration` in seconds. `otel-genai report app.log` sums such a file up.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timezone
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace

from otel_genai import _context, _guard
from otel_genai import semconv as s
from otel_genai._telemetry import SCOPE, active

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.sdk.trace import SpanProcessor as _Base
else:
    _Base = object  # the SDK asks its processors for no more than their methods

CALLS = "otel_genai.calls"
"""The logger of the calls' lines; its level and handlers are the program's to set."""
DURATION = "duration"

_FIELDS = "otel_genai_fields"
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", _FIELDS}
"""What a record has of its own; the rest was given as `extra`."""
_NANOSECONDS = 1e9


class JsonFormatter(logging.Formatter):
    """Formats each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; what JSON has no word for is written as Python shows it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, _FIELDS, None) or _around())
        line.update({key: value for key, value in vars(record).items() if key not in _OWN})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=repr, ensure_ascii=False)


def _around() -> dict[str, Any]:
    """Say which trace, span and context a record is written in."""
    here = otel.get_current()
    scope = _context.current(here)
    return {**_ids(trace.get_current_span(here).get_span_context()), **(scope.attributes if scope else {})}


def _ids(span: trace.SpanContext | None) -> dict[str, str]:
    if span is None or not span.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(span.trace_id),
        "span_id": trace.format_span_id(span.span_id),
    }


class CallLog(_Base):
    """A span processor that logs one line for each call that is recorded, when it has ended.

    Errors are warnings, the rest is information.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        """Log to the logger `otel_genai.calls`, or to another."""
        self._logger = logger or logging.getLogger(CALLS)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Wait for the end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Write the line."""
        scope = span.instrumentation_scope
        if scope is not None and scope.name == SCOPE:
            _guard.guarded(_hurt, self._tell, span)

    def _on_ending(self, span: Span) -> None:
        """Leave the span as it is."""

    def _tell(self, span: ReadableSpan) -> None:
        level = logging.INFO if span.status.is_ok else logging.WARNING
        if not self._logger.isEnabledFor(level):
            return
        lasted = ((span.end_time or 0) - (span.start_time or 0)) / _NANOSECONDS
        attributes = span.attributes or {}
        known = {key: value for key, value in attributes.items() if not key.startswith(s.CONTENT)}
        fields = {**_ids(span.get_span_context()), **known, DURATION: lasted}
        what = f"{span.name}: {attributes.get(s.ERROR_TYPE) or attributes.get(s.OUTCOME, s.COMPLETED)}"
        self._logger.log(level, "%s, %.3f s", what, lasted, extra={_FIELDS: fields})

    def shutdown(self) -> None:
        """Hold nothing that is to be let go."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Have nothing to send."""
        return True


def _hurt(error: Exception) -> None:
    active().failed("log", "call", error)


def start(path: str | os.PathLike[str] | None = None, *, level: int | str = logging.INFO) -> None:
    """Write the program's logs as lines of JSON from now on, and a line for each call.

    Call it once, after the SDK is set up: after `configure()`, or anywhere under `opentelemetry-instrument`.

    Args:
        path: the file to append to, which may be rotated by others; without one, standard error.
        level: of the root logger.

    Raises:
        RuntimeError: no OpenTelemetry SDK is set up, so no call would have a line.
    """
    provider: Any = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        msg = "no OpenTelemetry SDK is set up: call otel_genai.configure() before jsonlog.start()"
        raise RuntimeError(msg)
    handler = logging.StreamHandler() if path is None else WatchedFileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    provider.add_span_processor(CallLog())
