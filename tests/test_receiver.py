"""The embedded receiver, fed by the real exporters and by hand-made requests."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import status_pb2
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_genai._otlp import Event, Link, Point, Record, Span
from otel_genai._receiver import LIMIT, Received, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESOURCE = Resource({"service.name": "test", "service.tags": ["a", "b"]})
PATHS: dict[Callable[..., Any], str] = {
    HttpSpans: "/v1/traces",
    HttpMetrics: "/v1/metrics",
    HttpLogs: "/v1/logs",
}
TRANSPORTS = ["grpc", "http", "http-gzip", "http-deflate"]
HTTP_OPTIONS: dict[str, dict[str, Any]] = {
    "http": {"compression": Compression.NoCompression},
    "http-gzip": {"compression": Compression.Gzip},
    "http-deflate": {"compression": Compression.Deflate},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a running receiver on free ports."""
    with Receiver() as running:
        yield running


def exporter(
    receiver: Receiver, transport: str, by_grpc: Callable[..., Any], by_http: Callable[..., Any]
) -> Any:
    """Build the SDK's own exporter for the transport named."""
    if transport == "grpc":
        return by_grpc(endpoint=receiver.grpc_endpoint, insecure=True)
    return by_http(endpoint=receiver.http_endpoint + PATHS[by_http], **HTTP_OPTIONS[transport])


def post(receiver: Receiver, path: str, body: bytes, **headers: str) -> tuple[int, str | None, bytes]:
    """Send a request as it is; return the status, the content type and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", receiver.http_port, timeout=10)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, response.headers["Content-Type"], response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_spans_arrive_whole(receiver: Receiver, transport: str) -> None:
    """A span keeps its ids, times, attributes, events, links, status, scope and resource."""
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter(receiver, transport, GrpcSpans, HttpSpans)))
    tracer = provider.get_tracer("scope", schema_url="https://example.org/schema")
    with tracer.start_as_current_span("root") as root:
        span = tracer.start_span(
            "chat m", kind=SpanKind.CLIENT, start_time=1, attributes={"n": 1, "s": ["x"]}
        )
        span.add_event("seen", {"ok": True}, timestamp=2)
        span.add_link(root.get_span_context(), {"why": "test"})
        span.set_status(Status(StatusCode.ERROR, "broke"))
        span.end(end_time=3)
    provider.shutdown()
    context, parent = span.get_span_context(), root.get_span_context()
    trace_id, parent_id = f"{parent.trace_id:032x}", f"{parent.span_id:016x}"
    assert receiver.spans[0] == Span(
        trace_id=trace_id,
        span_id=f"{context.span_id:016x}",
        parent_id=parent_id,
        name="chat m",
        kind="CLIENT",
        start=1,
        end=3,
        status="ERROR",
        status_message="broke",
        attributes={"n": 1, "s": ["x"]},
        events=(Event("seen", 2, {"ok": True}),),
        links=(Link(trace_id, parent_id, {"why": "test"}),),
        scope="scope",
        schema_url="https://example.org/schema",
        resource={"service.name": "test", "service.tags": ["a", "b"]},
    )
    assert (receiver.spans[1].name, receiver.spans[1].parent_id) == ("root", "")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_points_arrive_whole(receiver: Receiver, transport: str) -> None:
    """Counters, gauges and histograms keep their numbers, bounds, exemplars and kind."""
    reader = PeriodicExportingMetricReader(exporter(receiver, transport, GrpcMetrics, HttpMetrics))
    provider = MeterProvider([reader], resource=RESOURCE)
    meter, tracer = provider.get_meter("scope"), TracerProvider().get_tracer("scope")
    meter.create_counter("tokens", "{token}", "how many").add(3, {"model": "m"})
    meter.create_gauge("level").set(0.5)
    with tracer.start_as_current_span("call") as span:
        meter.create_histogram("took", "s", explicit_bucket_boundaries_advisory=[1, 2]).record(
            1.5, {"model": "m"}
        )
    provider.shutdown()
    tokens, level, took = receiver.points
    assert (tokens.metric, tokens.kind, tokens.unit, tokens.description) == (
        "tokens",
        "sum",
        "{token}",
        "how many",
    )
    assert (tokens.temporality, tokens.monotonic, tokens.value) == ("CUMULATIVE", True, 3)
    assert (level.metric, level.kind, level.temporality, level.value) == (
        "level",
        "gauge",
        "UNSPECIFIED",
        0.5,
    )
    (exemplar,) = took.exemplars
    assert (exemplar.value, exemplar.span_id) == (1.5, f"{span.get_span_context().span_id:016x}")
    assert took == Point(
        metric="took",
        kind="histogram",
        unit="s",
        description="",
        temporality="CUMULATIVE",
        monotonic=False,
        attributes={"model": "m"},
        start=took.start,
        time=took.time,
        exemplars=(exemplar,),
        count=1,
        sum=1.5,
        min=1.5,
        max=1.5,
        bounds=(1, 2),
        buckets=(0, 1, 0),
        scope="scope",
        schema_url="",
        resource={"service.name": "test", "service.tags": ["a", "b"]},
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_records_arrive_whole(receiver: Receiver, transport: str) -> None:
    """An event keeps its name, severity, nested body and attributes."""
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(
        SimpleLogRecordProcessor(exporter(receiver, transport, GrpcLogs, HttpLogs))
    )
    attributes: Any = {"messages": [{"role": "user", "parts": [{"content": "hi"}, None]}], "raw": b"\0"}
    record = LogRecord(
        timestamp=1,
        observed_timestamp=2,
        severity_text="DEBUG",
        severity_number=SeverityNumber.DEBUG,
        body={"deep": [1, 2.5, {"x": True}]},
        attributes=attributes,
        event_name="details",
    )
    provider.get_logger("scope").emit(record)
    provider.shutdown()
    assert receiver.records == (
        Record(
            event_name="details",
            time=1,
            observed=2,
            severity=5,
            severity_text="DEBUG",
            body={"deep": [1, 2.5, {"x": True}]},
            attributes=attributes,
            trace_id="",
            span_id="",
            scope="scope",
            schema_url="",
            resource={"service.name": "test", "service.tags": ["a", "b"]},
        ),
    )


def test_exponential_histograms_become_explicit_ones(receiver: Receiver) -> None:
    """Exponential buckets are handed out with the bounds that they stand for."""
    exponential = View(
        instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation(max_scale=0)
    )
    reader = PeriodicExportingMetricReader(GrpcMetrics(endpoint=receiver.grpc_endpoint, insecure=True))
    provider = MeterProvider([reader], views=[exponential])
    histogram = provider.get_meter("scope").create_histogram("took", "s")
    for value in (0, 3, 3.5, 9):
        histogram.record(value)
    provider.shutdown()
    (point,) = receiver.points
    assert (point.count, point.sum, point.min, point.max) == (4, 15.5, 0, 9)
    assert (point.bounds, point.buckets) == ((2, 4, 8, 16, 32), (1, 2, 0, 1, 0, 0))


def test_json_is_read_as_otlp_writes_it(receiver: Receiver) -> None:
    """JSON bodies have hex ids, long numbers as strings, enums as numbers; unknown fields are skipped."""
    trace_id, span_id = "5b8efff798038103d269b633813fc60c", "EEE19B7EC3C1B174"
    span = {
        "traceId": trace_id,
        "spanId": span_id,
        "name": "call",
        "kind": 3,
        "startTimeUnixNano": "1544712660000000000",
        "attributes": [{"key": "traceId", "value": {"stringValue": "not an id"}}],
        "invented": 1,
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    answer = post(receiver, "/v1/traces", body, Content_Type="application/json; charset=utf-8")
    assert answer == (200, "application/json", b"{}")
    (received,) = receiver.spans
    assert (received.trace_id, received.span_id, received.kind) == (trace_id, span_id.lower(), "CLIENT")
    assert (received.start, received.attributes) == (1544712660000000000, {"traceId": "not an id"})


def test_metrics_that_the_sdk_never_sends_are_read(receiver: Receiver) -> None:
    """Summaries keep count and sum, points without a value have none, and metrics without data no points."""
    summary = {"name": "old", "summary": {"dataPoints": [{"count": "2", "sum": 3}]}}
    unknown = {"name": "unknown", "gauge": {"dataPoints": [{"flags": 1}]}}
    scope = {"metrics": [summary, unknown, {"name": "empty"}]}
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [scope]}]}).encode()
    assert post(receiver, "/v1/metrics", body, Content_Type="application/json")[0] == 200
    points = [(point.metric, point.kind, point.count, point.sum, point.value) for point in receiver.points]
    assert points == [("old", "summary", 2, 3, None), ("unknown", "gauge", 0, None, None)]


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_messages_of_16_mib_are_accepted(receiver: Receiver, transport: str) -> None:
    """A request as large as the limit arrives; the usual limit of gRPC is a quarter of it."""
    request = trace_service_pb2.ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.name = "x" * (LIMIT - 40)
    body = request.SerializeToString()
    span.name += "x" * (LIMIT - len(body))
    body = request.SerializeToString()
    assert len(body) == LIMIT
    if transport == "grpc":
        export(receiver, body)
    else:
        assert post(receiver, "/v1/traces", body, Content_Type="application/x-protobuf")[0] == 200
    assert [len(received.name) for received in receiver.spans] == [len(span.name)]


def export(receiver: Receiver, body: bytes) -> bytes:
    """Send a request as it is by gRPC."""
    with grpc.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        answer: bytes = method(body, timeout=10)
        return answer


@pytest.mark.parametrize(
    ("status", "path", "body", "headers"),
    [
        (400, "/v1/traces", b"\xff", {"Content_Type": "application/x-protobuf"}),
        (400, "/v1/traces", b"{", {"Content_Type": "application/json"}),
        (400, "/v1/traces", b"[]", {"Content_Type": "application/json"}),
        (400, "/v1/traces", b"[" * 100_000, {"Content_Type": "application/json"}),
        (400, "/v1/traces", b'{"resourceSpans": 1}', {"Content_Type": "application/json"}),
        (400, "/v1/traces", b'{"spanId": 1}', {"Content_Type": "application/json"}),
        (400, "/v1/traces", b'{"spanId": "xyz"}', {"Content_Type": "application/json"}),
        (400, "/v1/logs", b"plain", {"Content_Type": "application/x-protobuf", "Content_Encoding": "gzip"}),
        (
            400,
            "/v1/logs",
            gzip.compress(b"cut off", mtime=0)[:-4],
            {"Content_Type": "application/x-protobuf", "Content_Encoding": "gzip"},
        ),
        (400, "/v1/logs", b"", {"Content_Type": "application/x-protobuf", "Content_Length": "many"}),
        (404, "/v1/profiles", b"", {"Content_Type": "application/x-protobuf"}),
        (413, "/v1/logs", b"", {"Content_Type": "application/x-protobuf", "Content_Length": str(LIMIT + 1)}),
        (
            413,
            "/v1/logs",
            zlib.compress(b"\0" * (LIMIT + 1)),
            {"Content_Type": "application/x-protobuf", "Content_Encoding": "deflate"},
        ),
        (415, "/v1/traces", b"", {"Content_Type": "text/plain"}),
    ],
)
def test_requests_that_cannot_be_taken_get_a_proper_answer(
    receiver: Receiver, status: int, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """What is malformed, too large or misaddressed is refused with a reason, and nothing of it is kept."""
    got, content_type, answer = post(receiver, path, body, **headers)
    assert got == status
    if content_type == "application/json":
        assert json.loads(answer)["message"]
    else:
        assert status_pb2.Status.FromString(answer).message
    assert receiver.take() == Received((), (), ())


def test_a_body_without_a_length_is_refused(receiver: Receiver) -> None:
    """Chunked bodies are not taken, and the answer says so."""
    with socket.create_connection(("127.0.0.1", receiver.http_port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        assert connection.makefile("rb").readline() == b"HTTP/1.1 411 Length Required\r\n"


def test_a_malformed_grpc_message_is_refused(receiver: Receiver) -> None:
    """Bad requests are INVALID_ARGUMENT in gRPC's words."""
    with pytest.raises(grpc.RpcError) as refused:
        export(receiver, b"\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_one_connection_serves_many_requests(receiver: Receiver) -> None:
    """HTTP connections are kept open between exports."""
    connection = http.client.HTTPConnection("127.0.0.1", receiver.http_port, timeout=10)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf"})
        assert connection.getresponse().read() == b""
    assert connection.sock is first
    connection.close()


def test_wait_for_says_whether_it_happened(receiver: Receiver) -> None:
    """Waiting ends with the arrival, or with the time."""
    assert not receiver.wait_for(lambda: receiver.spans, timeout=0)
    provider = TracerProvider()
    provider.add_span_processor(
        SimpleSpanProcessor(GrpcSpans(endpoint=receiver.grpc_endpoint, insecure=True))
    )
    provider.get_tracer("scope").start_span("late").end()
    assert receiver.wait_for(lambda: receiver.spans, timeout=10)
    provider.shutdown()


def test_take_empties_the_stores(receiver: Receiver) -> None:
    """What was taken is not there any more."""
    request = trace_service_pb2.ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add().name = "once"
    export(receiver, request.SerializeToString())
    assert [span.name for span in receiver.take().spans] == ["once"]
    assert receiver.spans == ()


def test_a_stopped_receiver_starts_again_on_its_ports() -> None:
    """An outage can be played: stop, and start with the same addresses and with what had arrived."""
    receiver = Receiver()
    with receiver:
        endpoints = receiver.grpc_endpoint, receiver.http_endpoint
        export(receiver, b"")
    with pytest.raises(ConnectionRefusedError):
        post(receiver, "/v1/logs", b"")
    with receiver:
        assert (receiver.grpc_endpoint, receiver.http_endpoint) == endpoints
        export(receiver, b"")


@pytest.mark.parametrize("port", ["grpc_port", "http_port"])
def test_a_port_in_use_is_named(receiver: Receiver, port: str) -> None:
    """A receiver that cannot start says which address is taken, and leaves nothing open."""
    taken = getattr(receiver, port)
    second = Receiver(**{port: taken})
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{taken} \(Address already in use\)"):
        second.start()
    second.stop()
