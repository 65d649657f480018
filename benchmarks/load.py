"""OTLP for the stack to carry: exports made once, and sent again and again as new data."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from dataclasses import dataclass

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from typing_extensions import Self

from otel_genai import semconv as s

SERVICE = "bench"
SPANS, SPANS_OF_A_TRACE = 512, 8  # the SDK exports 512 at a time
SERIES = 500
CONTENT = 8192
BUCKETS = 14
SENDERS = 4

# What is new in each export stands in it as one of these, at the same length.
NUMBER = b"\xff\xfe\xfd\xfc\xfb\xfa"
STARTED, NOW, VALUE = (bytes([one]) * 7 + b"\x01" for one in (0xF1, 0xF2, 0xF3))
SENDER = "sender-0000"

TEXT = (
    "The harbour lies below the old town, and the trams climb from there to the castle. Come early, "
    "bring good shoes, and leave the second evening for the river, when the heat is gone. "
)


@dataclass(frozen=True)
class Load:
    """One kind of export."""

    name: str
    path: str
    items: int
    """How many spans or points an export has."""
    template: bytes

    @property
    def size(self) -> int:
        """The bytes of one span or point, with its share of what they have in common."""
        return len(self.template) // self.items

    def export(self, number: int, sender: int) -> bytes:
        """Make an export of which all is new."""
        now = time.time_ns()
        return (
            self.template.replace(NUMBER, number.to_bytes(6, "big"))
            .replace(STARTED, (now - 1_500_000_000).to_bytes(8, "little"))
            .replace(NOW, now.to_bytes(8, "little"))
            .replace(VALUE, number.to_bytes(8, "little"))
            .replace(SENDER.encode(), f"sender-{sender:04}".encode())
        )


def _attributes(plain: dict[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(int_value=one) if isinstance(one, int) else AnyValue(string_value=one),
        )
        for key, one in plain.items()
    ]


def _resource() -> Resource:
    return Resource(
        attributes=_attributes(
            {
                "service.name": SERVICE,
                "service.instance.id": SENDER,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.45.0",
            }
        )
    )


def _time(marker: bytes) -> int:
    return int.from_bytes(marker, "little")


def trace_id(number: int, index: int) -> bytes:
    """Give the id of an export's trace."""
    return number.to_bytes(6, "big") + index.to_bytes(10, "big")


def _span(index: int, content: str) -> Span:
    told = {
        s.OPERATION_NAME: s.CHAT,
        s.PROVIDER_NAME: "openai",
        s.REQUEST_MODEL: "gpt-4o-mini",
        s.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
        s.RESPONSE_ID: f"chatcmpl-{index:024}",
        s.SERVER_ADDRESS: "api.openai.com",
        s.SERVER_PORT: 443,
        s.USAGE_INPUT_TOKENS: 1200 + index,
        s.USAGE_OUTPUT_TOKENS: 300 + index,
    }
    if content:
        told |= {s.INPUT_MESSAGES: content[: CONTENT * 3 // 4], s.OUTPUT_MESSAGES: content[: CONTENT // 4]}
    first = index - index % SPANS_OF_A_TRACE
    return Span(
        trace_id=NUMBER + (index // SPANS_OF_A_TRACE).to_bytes(10, "big"),
        span_id=NUMBER + index.to_bytes(2, "big"),
        parent_span_id=b"" if index == first else NUMBER + first.to_bytes(2, "big"),
        name="chat gpt-4o-mini",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=_time(STARTED),
        end_time_unix_nano=_time(NOW),
        attributes=_attributes(told),
    )


def spans(*, content: bool = False) -> Load:
    """Make exports of spans of calls, each with 8 KiB of content or with none."""
    text = TEXT * (CONTENT // len(TEXT) + 1) if content else ""
    scoped = ScopeSpans(spans=[_span(index, text) for index in range(SPANS)])
    scoped.scope.name = "otel_genai"
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=_resource(), scope_spans=[scoped])]
    )
    name = "spans with 8 KiB of content" if content else "spans without content"
    return Load(name, "/v1/traces", SPANS, request.SerializeToString())


def points() -> Load:
    """Make exports of as many points of counters as of histograms."""
    calls, durations = Metric(name="bench.calls"), Metric(name="bench.duration", unit="s")
    for metric in (calls.sum, durations.histogram):
        metric.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    calls.sum.is_monotonic = True
    for index in range(SERIES):
        labels = _attributes(
            {s.OPERATION_NAME: s.CHAT, s.PROVIDER_NAME: "openai", s.REQUEST_MODEL: f"model-{index}"}
        )
        now = _time(NOW)
        calls.sum.data_points.append(
            NumberDataPoint(attributes=labels, time_unix_nano=now, as_int=_signed(VALUE))
        )
        durations.histogram.data_points.append(
            HistogramDataPoint(
                attributes=labels,
                time_unix_nano=now,
                count=_time(VALUE),
                sum=12.5,
                bucket_counts=[_time(VALUE)] + [0] * BUCKETS,
                explicit_bounds=[0.01 * 2**power for power in range(BUCKETS)],
            )
        )
    scoped = ScopeMetrics(metrics=[calls, durations])
    request = ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=_resource(), scope_metrics=[scoped])]
    )
    return Load("points", "/v1/metrics", 2 * SERIES, request.SerializeToString())


def _signed(marker: bytes) -> int:
    return int.from_bytes(marker, "little", signed=True)


class Senders:
    """Programs that send what the Collector takes, each one export after the other."""

    def __init__(self, load: Load, port: int) -> None:
        self.load = load
        self.sent: list[int] = []
        """The numbers of the exports that were taken."""
        self.refused = 0
        self.go = threading.Event()
        self._port = port
        self._ends = threading.Event()
        self._numbers = itertools.count(1)  # an id of zeros is none
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(one,)) for one in range(SENDERS)]

    def __enter__(self) -> Self:
        self.go.set()
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.go.set()
        for one in self._threads:
            one.join()

    def _send(self, sender: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {"Content-Type": "application/x-protobuf"}
        while self.go.wait() and not self._ends.is_set():
            with self._lock:
                number = next(self._numbers)
            connection.request("POST", self.load.path, self.load.export(number, sender), headers)
            answer = connection.getresponse()
            answer.read()
            with self._lock:
                if answer.status == http.HTTPStatus.OK:
                    self.sent.append(number)
                else:
                    self.refused += 1
        connection.close()
