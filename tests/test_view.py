"""What the viewer prints, asserted as a whole."""

# ruff: noqa: E501 (what is printed is as wide as a terminal)

from __future__ import annotations

import io
import math
import re
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from rich.console import Console

from otel_genai import _view
from otel_genai import semconv as s
from otel_genai._otlp import METRICS, TRACES
from otel_genai._receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span

MILLISECOND = 10**6
RESOURCE = Resource({"service.name": "trip-planner"})
OPENAI = {s.PROVIDER_NAME: "openai", s.SERVER_ADDRESS: "127.0.0.1"}
PLAIN = {s.REQUEST_MODEL: "gpt-5-mini", s.RESPONSE_MODEL: "gpt-5-mini-2025-08-07"}
STREAMED = {s.REQUEST_MODEL: "gpt-4o-mini", s.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18"}
FAILED = {s.REQUEST_MODEL: "gpt-nope", s.ERROR_TYPE: "NotFoundError"}


class Counting(IdGenerator):
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        """Count on."""
        self.last += 1
        return self.last

    generate_trace_id = generate_span_id


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a running receiver on free ports."""
    with Receiver() as running:
        yield running


@pytest.fixture
def span(receiver: Receiver) -> Iterator[Callable[..., Span]]:
    """Give a function that makes a span with times in milliseconds and sends it to the receiver."""
    provider = TracerProvider(resource=RESOURCE, id_generator=Counting())
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(receiver.grpc_endpoint, insecure=True)))
    tracer = provider.get_tracer("test")

    def make(name: str, parent: Span | None, start: int, end: int, attributes: Any = None) -> Span:
        context = set_span_in_context(parent) if parent else None
        made = tracer.start_span(name, context, start_time=start * MILLISECOND, attributes=attributes)
        if attributes and s.ERROR_TYPE in attributes:
            made.set_status(Status(StatusCode.ERROR))
        if end:
            made.end(end * MILLISECOND)
        return made

    yield make
    provider.shutdown()


def shown(receiver: Receiver, width: int) -> str:
    """Return what the viewer prints, without the blanks that fill up lines."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        _view.view(receiver, console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def trip(span: Callable[..., Span]) -> None:
    """Send a trace that has everything in it."""
    root = span("invoke_workflow trip-planner", None, 0, 0)
    usage = {s.USAGE_INPUT_TOKENS: 86, s.USAGE_OUTPUT_TOKENS: 141, s.USAGE_REASONING_OUTPUT_TOKENS: 64}
    span("chat gpt-5-mini", root, 10, 420, PLAIN | usage | {s.RESPONSE_FINISH_REASONS: ["stop", "length"]})
    usage = {s.USAGE_INPUT_TOKENS: 1152, s.USAGE_CACHE_READ_INPUT_TOKENS: 1024, s.USAGE_OUTPUT_TOKENS: 60}
    first = {s.RESPONSE_TIME_TO_FIRST_CHUNK: 0.1203, s.RESPONSE_FINISH_REASONS: ["tool_calls"]}
    span("chat gpt-4o-mini", root, 430, 1040, STREAMED | usage | first)
    tool = span("execute_tool get_weather", root, 1050, 0, {s.TOOL_NAME: "get_weather"})
    model = {s.RESPONSE_MODEL: "text-embedding-3-small", s.USAGE_INPUT_TOKENS: 12}
    span("embeddings text-embedding-3-small", tool, 1060, 1064, model)
    tool.end(1090 * MILLISECOND)
    span("chat gpt-nope", root, 2200, 2209, FAILED)
    root.end(62310 * MILLISECOND)


def test_a_trace_at_80_columns(receiver: Receiver, span: Callable[..., Span]) -> None:
    """Where the width is scarce the facts are folded beside the tree, whose branches go on."""
    trip(span)
    assert (
        shown(receiver, 80)
        == """\
Trace 00000000000000000000000000000001 · trip-planner · 6 spans
invoke_workflow trip-planner             1.0 min  ok
├─ chat gpt-5-mini                        410 ms  gpt-5-mini-2025-08-07 · in 86
│                                                 out 141 (64 reasoning)
│                                                 stop, length
├─ chat gpt-4o-mini                       610 ms  gpt-4o-mini-2024-07-18
│                                                 in 1,152 (1,024 cached)
│                                                 out 60 · first chunk 120 ms
│                                                 tool_calls
├─ execute_tool get_weather                40 ms  ok
│  └─ embeddings text-embedding-3-small   4.0 ms  in 12
└─ chat gpt-nope                          9.0 ms  NotFoundError

No metrics arrived."""
    )


def test_a_trace_at_130_columns(receiver: Receiver, span: Callable[..., Span]) -> None:
    """Where the width allows it each fact has its column."""
    trip(span)
    assert (
        shown(receiver, 130)
        == """\
Trace 00000000000000000000000000000001 · trip-planner · 6 spans
                                                                                     In          Out   First
Span                                        Time  Model                        (cached)  (reasoning)   chunk  Outcome
invoke_workflow trip-planner             1.0 min                                                              ok
├─ chat gpt-5-mini                        410 ms  gpt-5-mini-2025-08-07              86     141 (64)          stop, length
├─ chat gpt-4o-mini                       610 ms  gpt-4o-mini-2024-07-18  1,152 (1,024)           60  120 ms  tool_calls
├─ execute_tool get_weather                40 ms                                                              ok
│  └─ embeddings text-embedding-3-small   4.0 ms  text-embedding-3-small             12                       ok
└─ chat gpt-nope                          9.0 ms  gpt-nope                                                    NotFoundError

No metrics arrived."""
    )


def test_a_trace_without_details(receiver: Receiver, span: Callable[..., Span]) -> None:
    """Columns in which nothing stands are left out, one span is not many, and durations have fit units."""
    job = span("job", None, 0, 0)
    job.set_status(Status(StatusCode.ERROR))
    job.end(20_000)
    assert (
        shown(receiver, 80)
        == """\
Trace 00000000000000000000000000000001 · trip-planner · 1 span
Span   Time  Outcome
job   20 µs  error

No metrics arrived."""
    )


def test_what_calls_cost(receiver: Receiver, span: Callable[..., Span]) -> None:
    """A call's cost and team stand in its row; the counter's sums by team and by user, at the end."""
    root = span("chat", None, 0, 9, {s.USAGE_COST_AMOUNT: 0.0000149, s.TEAM: "search"})
    span("chat", root, 1, 2, {s.USAGE_COST_AMOUNT: 2e-8, s.USAGE_COST_CURRENCY: "USD"})
    span("chat", root, 3, 4, {s.USAGE_COST_AMOUNT: 1.25, s.USAGE_COST_CURRENCY: "EUR"})
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    metric = scope.metrics.add(name=s.COST.name, unit=s.COST.unit)
    for amount, whose in ((0.0000149, ("search", "ada")), (0.25, ("ads", "ada")), (1234.5, ())):
        point = metric.sum.data_points.add(as_double=amount)
        for key, value in zip((s.TEAM, s.USER_ID), whose, strict=False):
            point.attributes.add(key=key).value.string_value = value
    receiver.accept(METRICS, request)
    assert (
        shown(receiver, 80)
        == """\
Trace 00000000000000000000000000000001 · trip-planner · 3 spans
Span       Time        Cost  Outcome  Team
chat     9.0 ms   $0.000015  ok       search
├─ chat  1.0 ms      $2e-08  ok
└─ chat  1.0 ms  1.2500 EUR  ok

Metrics                           count        sum       avg       p50       p95
gen_ai.client.cost.usd  {USD}  by otel_genai.team, user.id
  -                                       1,234.50
  ads · ada                               0.250000
  search · ada                            0.000015
p50 and p95 are estimates from the buckets.

Cost by user  from gen_ai.client.cost.usd, rounded
  -    $1,234.50
  ada  $0.250015
  all  $1,234.75

Cost by team  from gen_ai.client.cost.usd, rounded
  -       $1,234.50
  ads     $0.250000
  search  $0.000015
  all     $1,234.75"""
    )


def test_odd_values_are_shown_as_they_are(receiver: Receiver, span: Callable[..., Span]) -> None:
    """What other programs send need not follow the conventions, or be possible at all."""
    odd = {s.USAGE_INPUT_TOKENS: "many", s.RESPONSE_FINISH_REASONS: "stop", s.RESPONSE_MODEL: 5}
    span("odd", None, 1, 0, odd).end(0)
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for unit, value in (("", math.nan), ("By", math.inf), ("s", -90.0)):
        metric = scope.metrics.add(name=f"level in {unit}", unit=unit)
        metric.gauge.data_points.add(as_double=value)
    receiver.accept(METRICS, request)
    assert (
        shown(receiver, 80)
        == """\
Trace 00000000000000000000000000000001 · trip-planner · 1 span
Span     Time  Model  Outcome
odd   -1.0 ms  5      stop

Metrics                           count        sum       avg       p50       p95
level in
  all                                          nan
level in By  By
  all                                          inf
level in s  s
  all                                     -1.5 min
p50 and p95 are estimates from the buckets."""
    )


def test_parts_of_a_trace_without_its_root(receiver: Receiver, span: Callable[..., Span]) -> None:
    """Spans whose parent was sent elsewhere stand at the top, and brackets in names are only brackets."""
    lost = span("lost", None, 0, 0)
    span("[bold]one[/bold]", lost, 1, 2)
    span("two", lost, 3, 1503)
    assert (
        shown(receiver, 80)
        == """\
Trace 00000000000000000000000000000001 · trip-planner · 2 spans
Span                Time  Outcome
[bold]one[/bold]  1.0 ms  ok
two               1.50 s  ok

No metrics arrived."""
    )


def test_colour_says_what_failed(receiver: Receiver, span: Callable[..., Span]) -> None:
    """With colours the error is red, in both forms."""
    span("chat gpt-nope", None, 0, 9, FAILED)
    received = receiver.take().spans
    for width in (40, 120):
        console = Console(width=width, file=io.StringIO(), color_system="standard", force_terminal=True)
        with console.capture() as capture:
            console.print(_view.trace(received, console))
        assert "\x1b[1;31mNotFoundError\x1b[0m" in capture.get()


def record(receiver: Receiver, temporality: AggregationTemporality, runs: int = 1) -> None:
    """Let each of the runs record the same, and send it twice."""
    for _ in range(runs):
        preferred = {Counter: temporality, Histogram: temporality}
        exporter = OTLPMetricExporter(receiver.grpc_endpoint, insecure=True, preferred_temporality=preferred)
        reader = PeriodicExportingMetricReader(exporter)
        provider = MeterProvider([reader], resource=RESOURCE)
        meter = provider.get_meter("test")
        buckets = s.OPERATION_DURATION.buckets
        took = meter.create_histogram(
            s.OPERATION_DURATION.name, "s", explicit_bucket_boundaries_advisory=buckets
        )
        tokens = meter.create_histogram(
            s.TOKEN_USAGE.name, "{token}", explicit_bucket_boundaries_advisory=[100]
        )
        for seconds in (0.3, 0.41, 0.61):
            took.record(seconds, OPENAI | STREAMED | {s.OPERATION_NAME: "chat"})
            reader.collect()
        took.record(0.009, OPENAI | FAILED | {s.OPERATION_NAME: "chat"})
        tokens.record(86, OPENAI | PLAIN | {s.OPERATION_NAME: "chat", s.TOKEN_TYPE: "input"})
        tokens.record(1152, OPENAI | PLAIN | {s.OPERATION_NAME: "chat", s.TOKEN_TYPE: "input"})
        meter.create_counter("errors", "{error}").add(3)
        meter.create_counter("cost", "{USD}").add(0.01234, {"team": "search"})
        meter.create_gauge("load").set(0.5, {"core": 1})
        provider.shutdown()


METRICS_80 = """\
Metrics                           count        sum       avg       p50       p95
cost  {USD}  by team
  search                                  0.012340
errors  {error}
  all                                            3
gen_ai.client.operation.duration  s  by request.model, response.model,
error.type
  gpt-4o-mini ·                       3     1.32 s    440 ms    392 ms    588 ms
  gpt-4o-mini-2024-07-18
  gpt-nope · - · NotFoundError        1     9.0 ms    9.0 ms    9.0 ms    9.0 ms
gen_ai.client.token.usage  {token}  by request.model, response.model, token.type
  gpt-5-mini ·                        2      1,238       619       100     1,047
  gpt-5-mini-2025-08-07 · input
load  by core
  1                                            0.5
p50 and p95 are estimates from the buckets.
Not shown, being the same everywhere: provider.name=openai,
server.address=127.0.0.1, operation.name=chat."""


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_metrics_at_80_columns(receiver: Receiver, temporality: AggregationTemporality) -> None:
    """Sums and averages are exact and the same for both temporalities, quantiles come from the buckets."""
    record(receiver, temporality)
    assert shown(receiver, 80) == METRICS_80


def test_metrics_of_several_processes_at_120_columns(receiver: Receiver) -> None:
    """What two runs of a program counted is added up, but a gauge is as it was last."""
    record(receiver, AggregationTemporality.CUMULATIVE, runs=2)
    assert (
        shown(receiver, 120)
        == """\
Metrics                                                                   count        sum       avg       p50       p95
cost  {USD}  by team
  search                                                                          0.024680
errors  {error}
  all                                                                                    6
gen_ai.client.operation.duration  s  by request.model, response.model, error.type
  gpt-4o-mini · gpt-4o-mini-2024-07-18                                        6     2.64 s    440 ms    392 ms    588 ms
  gpt-nope · - · NotFoundError                                                2      18 ms    9.0 ms    9.0 ms    9.0 ms
gen_ai.client.token.usage  {token}  by request.model, response.model, token.type
  gpt-5-mini · gpt-5-mini-2025-08-07 · input                                  4      2,476       619       100     1,047
load  by core
  1                                                                                    0.5
p50 and p95 are estimates from the buckets.
Not shown, being the same everywhere: provider.name=openai, server.address=127.0.0.1, operation.name=chat."""
    )


def test_following_prints_what_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace is printed when it is quiet, one without a root after more patience, and the rest at the end."""
    now = [0.0]
    monkeypatch.setattr(_view, "time", SimpleNamespace(monotonic=lambda: now[0]))
    printed: list[str] = []

    def arrive(*names: str, parent: str = "") -> None:
        request = ExportTraceServiceRequest()
        for name in names:
            span = request.resource_spans.add().scope_spans.add().spans.add(name=name, span_id=b"1" * 8)
            span.trace_id, span.parent_span_id = name.encode().ljust(16, b"-"), parent.encode()
        receiver.accept(TRACES, request)

    def later(seconds: float) -> None:
        printed.append(console.file.getvalue())
        now[0] += seconds

    receiver = Receiver()
    console = Console(width=80, file=io.StringIO(), color_system=None)
    script = iter(
        (
            lambda: arrive("child", parent="elsewhere"),
            lambda: (later(0), arrive("root")),
            lambda: later(_view.QUIET / 2),
            lambda: later(_view.QUIET / 2),
            lambda: later(_view.PATIENCE),
            lambda: (later(0), arrive("last")),
        )
    )
    monkeypatch.setattr(_view, "STEP", 0)
    _view.view(receiver, console, follow=lambda: any(step() or True for step in islice(script, 1)))
    printed.append(console.file.getvalue())
    steps = [text.removeprefix(before) for before, text in zip(["", *printed], printed, strict=False)]
    assert [re.findall("^(?:child|root|last)", text, re.MULTILINE) for text in steps] == [
        [],
        [],
        [],
        ["root"],
        ["child"],
        ["last"],
    ]
    assert printed[-1].endswith("No metrics arrived.\n")
