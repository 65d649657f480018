"""OTLP's spans, metric points and log records as plain frozen data, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from google.protobuf.message import Message  # type: ignore[import-untyped]

Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one time inside a span."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Link:
    """A span's reference to a span of this or another trace."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One measurement that stands for many, with the span it was made in."""

    value: float | None
    time: int
    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What spans, points and records have in common: their attributes and where they came from."""

    attributes: Attributes
    scope: str
    schema_url: str
    resource: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Span(Item):
    """A finished span; times in nanoseconds, ids in hex, `parent_id` empty for a root."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    end: int
    status: str
    status_message: str
    events: tuple[Event, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Item):
    """One data point of a metric: sums and gauges have a `value`, distributions the rest."""

    metric: str
    kind: str
    unit: str
    description: str
    temporality: str
    monotonic: bool
    start: int
    time: int
    exemplars: tuple[Exemplar, ...]
    value: float | None = None
    count: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Item):
    """A log record; one with an `event_name` is an event."""

    event_name: str
    time: int
    observed: int
    severity: int
    severity_text: str
    body: Any
    trace_id: str
    span_id: str


def _value(any_value: Any) -> Any:
    match any_value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in any_value.array_value.values]
        case "kvlist_value":
            return _attributes(any_value.kvlist_value.values)
        case plain:
            return getattr(any_value, plain)


def _attributes(pairs: Iterable[Any]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _scopes(groups: Iterable[Any], inner: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    for group in groups:
        resource = _attributes(group.resource.attributes)
        for scoped in getattr(group, inner):
            yield scoped, {"scope": scoped.scope.name, "schema_url": scoped.schema_url, "resource": resource}


def _spans(request: Any) -> Iterator[Span]:
    for scoped, origin in _scopes(request.resource_spans, "scope_spans"):
        for span in scoped.spans:
            yield Span(
                **origin,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                name=span.name,
                kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                start=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
                status_message=span.status.message,
                attributes=_attributes(span.attributes),
                events=tuple(Event(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events),
                links=tuple(
                    Link(k.trace_id.hex(), k.span_id.hex(), _attributes(k.attributes)) for k in span.links
                ),
            )


def _points(request: Any) -> Iterator[Point]:
    for scoped, origin in _scopes(request.resource_metrics, "scope_metrics"):
        for metric in scoped.metrics:
            kind = metric.WhichOneof("data") or "gauge"
            data = getattr(metric, kind)
            temporality = AggregationTemporality.Name(getattr(data, "aggregation_temporality", 0))
            for point in data.data_points:
                yield Point(
                    **origin,
                    metric=metric.name,
                    kind=kind,
                    unit=metric.unit,
                    description=metric.description,
                    temporality=temporality.removeprefix("AGGREGATION_TEMPORALITY_"),
                    monotonic=getattr(data, "is_monotonic", False),
                    attributes=_attributes(point.attributes),
                    start=point.start_time_unix_nano,
                    time=point.time_unix_nano,
                    exemplars=tuple(_exemplar(e) for e in getattr(point, "exemplars", ())),
                    **_numbers(kind, point),
                )


def _numbers(kind: str, point: Any) -> dict[str, Any]:
    """What a data point says, in the fields of `Point`; exponential buckets become explicit ones."""
    if kind in {"sum", "gauge"}:
        return {"value": _number(point)}
    if kind == "summary":
        return {"count": point.count, "sum": point.sum}
    given = {name: getattr(point, name) for name in ("sum", "min", "max") if point.HasField(name)}
    given["count"] = point.count
    if kind == "histogram":
        return given | {"bounds": tuple(point.explicit_bounds), "buckets": tuple(point.bucket_counts)}
    positive, base = point.positive, 2.0**2.0**-point.scale
    bounds = tuple(base ** (positive.offset + i) for i in range(len(positive.bucket_counts) + 1))
    at_most_zero = point.zero_count + sum(point.negative.bucket_counts)
    return given | {"bounds": bounds, "buckets": (at_most_zero, *positive.bucket_counts, 0)}


def _number(point: Any) -> float | None:
    which = point.WhichOneof("value")
    return getattr(point, which) if which else None


def _exemplar(e: Any) -> Exemplar:
    filtered = _attributes(e.filtered_attributes)
    return Exemplar(_number(e), e.time_unix_nano, e.trace_id.hex(), e.span_id.hex(), filtered)


def _records(request: Any) -> Iterator[Record]:
    for scoped, origin in _scopes(request.resource_logs, "scope_logs"):
        for record in scoped.log_records:
            yield Record(
                **origin,
                event_name=record.event_name,
                time=record.time_unix_nano,
                observed=record.observed_time_unix_nano,
                severity=record.severity_number,
                severity_text=record.severity_text,
                body=_value(record.body),
                attributes=_attributes(record.attributes),
                trace_id=record.trace_id.hex(),
                span_id=record.span_id.hex(),
            )


@dataclass(frozen=True, slots=True)
class Signal:
    """One of OTLP's three services: its names, what it takes and answers, the items in a request."""

    path: str
    service: str
    request: type[Message]
    response: type[Message]
    items: Callable[[Any], Iterator[Any]]


TRACES = Signal(
    "/v1/traces",
    "opentelemetry.proto.collector.trace.v1.TraceService",
    traces.ExportTraceServiceRequest,
    traces.ExportTraceServiceResponse,
    _spans,
)
METRICS = Signal(
    "/v1/metrics",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    metrics.ExportMetricsServiceRequest,
    metrics.ExportMetricsServiceResponse,
    _points,
)
LOGS = Signal(
    "/v1/logs",
    "opentelemetry.proto.collector.logs.v1.LogsService",
    logs.ExportLogsServiceRequest,
    logs.ExportLogsServiceResponse,
    _records,
)
SIGNALS = {signal.path: signal for signal in (TRACES, METRICS, LOGS)}
