"""See what otel-genai records, as plain data: `with capture() as seen: ...; assert seen.spans == [...]`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_genai import _telemetry, instrumentor
from otel_genai.spec import Provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler


class Seen:
    """What has been recorded so far."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        """Set up providers of one's own, in memory, that are not kept until the program ends."""
        self._spans = InMemorySpanExporter()
        self._records = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK lacks the types
        self._metrics = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(
            sampler=sampler, shutdown_on_exit=False
        )  # `atexit` would keep it
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self.meter_provider = MeterProvider([self._metrics], shutdown_on_exit=False)

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        """The ended spans as the SDK's own objects."""
        _telemetry.settle()
        return self._spans.get_finished_spans()

    @property
    def spans(self) -> list[dict[str, Any]]:
        """The ended spans in the order of their ends: name, kind, status, attributes, events, parent."""
        names = {span.context.span_id: span.name for span in self.finished}
        return [_span(span, names) for span in self.finished]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event records: name, attributes, and the id of their span."""
        _telemetry.settle()
        return [
            {
                "name": item.log_record.event_name,
                "attributes": dict(item.log_record.attributes or {}),
                "span_id": item.log_record.span_id,
            }
            for item in self._records.get_finished_logs()
        ]

    @property
    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """The metrics so far: name -> data points (attributes, count, sum or value, exemplars)."""
        _telemetry.settle()
        data = self._metrics.get_metrics_data()
        found: dict[str, list[dict[str, Any]]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = [_point(point) for point in metric.data.data_points]
        return found


def _span(span: ReadableSpan, names: dict[int, str]) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "description": span.status.description,
        "parent": names.get(span.parent.span_id, "?") if span.parent else None,
        "attributes": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in (span.attributes or {}).items()
        },
        "events": [{"name": event.name, **(event.attributes or {})} for event in span.events],
    }


def _point(point: Any) -> dict[str, Any]:
    found = {"attributes": dict(point.attributes), "exemplars": len(point.exemplars)}
    if hasattr(point, "bucket_counts"):
        return {**found, "count": point.count, "sum": point.sum}
    return {**found, "value": point.value}


@contextlib.contextmanager
def capture(
    *providers: str | Provider,
    sampler: Sampler | None = None,
    **settings: Any,
) -> Iterator[Seen]:
    """Instrument with providers in memory for a block, and take everything away at its end.

    Args:
        providers: as for `otel_genai.instrument()`.
        sampler: of the tracer provider.
        settings: such as `capture="SPAN_ONLY"`.
    """
    seen = Seen(sampler)
    before = _telemetry._active[:]
    instrumentor.instrument(
        *providers,
        tracer_provider=seen.tracer_provider,
        meter_provider=seen.meter_provider,
        logger_provider=seen.logger_provider,
        **settings,
    )
    try:
        yield seen
    finally:
        instrumentor.uninstrument()
        _telemetry._active[:] = before
