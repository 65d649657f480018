"""Every query of every panel, variable and rule, asked of a real Prometheus with metrics of the package."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from programs import built

import asked
import filled
from asked import Asked
from e2e.backends import eventually, get
from otel_genai import semconv as s
from single import Collector, Jaeger, all_of, attributes, span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filled import Prometheus

HALF_AN_HOUR = 1800
MEASURED = "measured"
QUICK, SLOW = 0.2, 45.0
FAILURE = Status(code=Status.STATUS_CODE_ERROR)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not built(), reason="the programs are not built: `make stack` builds them"),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Give a Prometheus that is filled, and that watches a Collector and a Jaeger at work."""
    root = tmp_path_factory.mktemp("filled")
    jaeger, prometheus = Jaeger(root), filled.Prometheus(root)
    places = {
        "JAEGER_OTLP_ENDPOINT": jaeger.otlp,
        "PROMETHEUS_OTLP_ENDPOINT": f"{prometheus.url}/api/v1/otlp",
    }
    collector = Collector(root, "config.yaml", COLLECTOR_SPAN_METRICS_EVERY="1s", **places)
    targets = {"otel-collector": collector.ports.collector_metrics, "jaeger": jaeger.ports.jaeger_metrics}
    with pytest.MonkeyPatch.context() as patch, all_of(prometheus, jaeger, collector):
        patch.setenv("_OTEL_GENAI_STRICT", "0")  # a failure of ours is counted, as it is for users
        filled.fill(prometheus, targets)
        _send(collector)
        yield prometheus


def _send(collector: Collector) -> None:
    """Have something of each signal pass the Collector."""
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add().severity_text = "DEBUG"
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="passing")
    metric.gauge.data_points.add(as_int=1, time_unix_nano=time.time_ns())
    for message in (traces("passing", [span(1)]), traces(MEASURED, calls()), logs, metrics):
        assert collector.send(message) == 200


def calls() -> list[Span]:
    """Make a quick call of each kind that was completed, and slow ones that were not, or call no model."""
    completed = {
        operation: {s.OPERATION_NAME: operation} for operation in sorted(s.INFERENCE | {s.EMBEDDINGS})
    }
    ends = {s.STOPPED: Status(), s.CANCELLED: Status(), s.FAILED: FAILURE, s.TRUNCATED: FAILURE}
    made = [
        *((QUICK, told, Status()) for told in completed.values()),
        *((SLOW, {**completed[s.CHAT], s.OUTCOME: end}, status) for end, status in ends.items()),
        (SLOW, completed[s.CHAT], FAILURE),  # another library's
        (SLOW, {s.OPERATION_NAME: s.INVOKE_AGENT}, Status()),
    ]
    who = {s.PROVIDER_NAME: "toy", s.REQUEST_MODEL: "toy-1"}
    return [
        span(number, seconds, attributes=attributes({**who, **told}), status=status)
        for number, (seconds, told, status) in enumerate(made, 2)
    ]


def result(prometheus: Prometheus, kind: str, **query: Any) -> Any:
    """Ask one of Prometheus' questions."""
    answer = json.loads(get(f"{prometheus.url}/api/v1/{kind}", **query))
    assert answer["status"] == "success", answer
    return answer["data"]


def has_data(prometheus: Prometheus, one: Asked) -> None:
    """Ask as the panel does, for now or the last half an hour: there are numbers, and labels to name them."""
    if one.instant:
        found = result(prometheus, "query", query=one.expr)["result"]
        values = [series["value"] for series in found]
    else:
        now = time.time()
        times = {"start": now - HALF_AN_HOUR, "end": now, "step": "60"}
        found = result(prometheus, "query_range", query=one.expr, **times)["result"]
        values = [value for series in found for value in series["values"]]
    assert [value for _, value in values if math.isfinite(float(value))], one.expr
    assert one.labels <= {label for series in found for label in series["metric"]}


@pytest.mark.parametrize("one", asked.by_panels() + asked.by_variables(), ids=lambda one: one.who)
def test_every_panel_has_data(prometheus: Prometheus, one: Asked) -> None:
    """Whatever is asked for, there is some of it."""
    eventually(lambda: has_data(prometheus, one))


@pytest.mark.parametrize("name", sorted(asked.recorded()))
def test_every_rule_records(prometheus: Prometheus, name: str) -> None:
    """Each recording rule makes a series."""
    eventually(lambda: has_data(prometheus, Asked(name, name, instant=True)))


def test_every_rule_and_alert_can_be_evaluated(prometheus: Prometheus) -> None:
    """Prometheus has loaded each rule and evaluated it without an error."""

    def evaluated() -> None:
        groups = result(prometheus, "rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        assert len(found) == len(asked.rules())
        assert {(rule["health"], rule.get("lastError", "")) for rule in found} == {("ok", "")}

    eventually(evaluated)


def test_latency_is_of_completed_calls(prometheus: Prometheus) -> None:
    """What the Collector counts of spans tells calls that were completed: the slow ones were not."""
    counted = f'traces_span_metrics_duration_seconds_bucket{{service_name="{MEASURED}", le="+Inf"}}'
    rates = f'genai:completed_seconds_bucket:rate5m{{service_name="{MEASURED}"}}'

    def told() -> None:
        found = result(prometheus, "query", query=f"sum ({counted})")["result"]
        assert [float(one["value"][1]) for one in found] == [len(calls())]
        found = result(prometheus, "query", query=f"{rates} > 0")["result"]
        who = {
            (one["metric"]["gen_ai_provider_name"], one["metric"]["gen_ai_request_model"]) for one in found
        }
        assert who == {("toy", "toy-1")}
        assert {one["metric"]["gen_ai_operation_name"] for one in found} == {*s.INFERENCE, s.EMBEDDINGS}
        longest = result(prometheus, "query", query=f"histogram_quantile(1, {rates})")["result"]
        assert {float(one["value"][1]) for one in longest} == {0.25}  # the bucket that QUICK is in

    eventually(told)


@pytest.mark.parametrize("one", [one for one in asked.by_panels() if one.exemplars], ids=lambda one: one.who)
def test_exemplars_name_traces(prometheus: Prometheus, one: Asked) -> None:
    """Where a panel shows exemplars there are some, and each carries the trace that it leads to."""
    now = time.time()
    query = {"query": one.expr, "start": str(now - HALF_AN_HOUR), "end": str(now)}
    found = [
        each for series in result(prometheus, "query_exemplars", **query) for each in series["exemplars"]
    ]
    assert found
    assert {len(each["labels"]["trace_id"]) for each in found} == {32}


def test_what_is_shown_as_spent_was_spent(prometheus: Prometheus) -> None:
    """The panel of the last 24 hours has the dollars that calls cost, to the cent and from the first one."""
    panel = next(one for one in asked.by_panels() if one.who == "cost/Last 24 hours/A")

    def equal() -> None:
        (shown,) = result(prometheus, "query", query=panel.expr)["result"]
        assert float(shown["value"][1]) == pytest.approx(prometheus.spent, abs=0.005)

    assert prometheus.spent > 1
    eventually(equal)
