"""From a graph to a call: the exemplar of a slow call leads to its trace, on one machine and in a fleet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import asked
import filled
from e2e.backends import eventually, get
from single import HOST, SECOND, Collector, Jaeger, all_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SERVICE = "slow-now-and-then"
SLOW = 0.3
QUICK_CALLS = 20
PROGRAM = f"""
import time, otel_genai
for number in range({QUICK_CALLS + 1}):
    with otel_genai.inference("house-1", provider="openai") as call:
        time.sleep({SLOW} if number == 7 else 0)
        call.usage(input_tokens=1, output_tokens=1)
"""
FOREIGN = re.compile(r"(_?OTEL_|OPENAI_|PYTHON)|.*_proxy$", re.IGNORECASE)
FLEET = {
    "GATEWAY_SLOW_MS": "200",
    "GATEWAY_SHARE": "0",
    "GATEWAY_DECISION_WAIT": "5s",
    "GATEWAY_ROOT_WAIT": "500ms",
}


def run(collector: Collector) -> None:
    """Run a program that makes a slow call among quick ones, to its end."""
    env = {key: value for key, value in os.environ.items() if not FOREIGN.match(key)} | {
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{collector.ports.collector_http}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "_OTEL_GENAI_STRICT": "1",
    }
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [instrument, sys.executable, "-c", PROGRAM],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def slow_ones(prometheus: filled.Prometheus) -> set[tuple[str, str]]:
    """Give the trace and the span of each slow call that a panel of latencies shows."""
    now = time.time()
    panels = [one for one in asked.by_panels() if one.exemplars and one.who.startswith("latency/")]
    found: set[tuple[str, str]] = set()
    for one in panels:
        query = {"query": one.expr, "start": str(now - 600), "end": str(now + 60)}
        answer = json.loads(get(f"{prometheus.url}/api/v1/query_exemplars", **query))["data"]
        shown = [each for series in answer for each in series["exemplars"]]
        slow = [each["labels"] for each in shown if float(each["value"]) >= SLOW]
        found |= {(labels["trace_id"], labels["span_id"]) for labels in slow}
    assert found
    return found


def trace(jaeger: Jaeger, identity: str) -> list[dict[str, Any]]:
    """Give the spans of a trace, once it is there."""
    text = get(f"http://{HOST}:{jaeger.ports.jaeger_ui}/api/v3/traces/{identity}")
    assert text, f"no trace {identity}"
    groups = json.loads(text)["result"]["resourceSpans"]
    return [span for group in groups for scoped in group["scopeSpans"] for span in scoped["spans"]]


def leads_to_a_trace(prometheus: filled.Prometheus, jaeger: Jaeger) -> None:
    """Follow the exemplar of the one slow call, as a click on its diamond does."""
    ((trace_id, span_id),) = eventually(lambda: slow_ones(prometheus))
    (span,) = eventually(lambda: trace(jaeger, trace_id))
    assert span["spanId"] == span_id
    assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) >= SLOW * SECOND


def test_the_exemplar_of_a_slow_call_leads_to_its_trace(root: Path) -> None:
    """On one machine every trace is kept, the slow call's too."""
    jaeger, prometheus = Jaeger(root), filled.Prometheus(root)
    env = {"JAEGER_OTLP_ENDPOINT": jaeger.otlp, "PROMETHEUS_OTLP_ENDPOINT": f"{prometheus.url}/api/v1/otlp"}
    with all_of(jaeger, prometheus, collector := Collector(root, "config.yaml", **env)):
        run(collector)
        leads_to_a_trace(prometheus, jaeger)
        eventually(lambda: has_all(jaeger))


def has_all(jaeger: Jaeger) -> None:
    """Assert that Jaeger has every call."""
    assert len(jaeger.ids(SERVICE)) == QUICK_CALLS + 1


def test_it_does_where_few_traces_are_kept(root: Path, keys: dict[str, str]) -> None:
    """A gateway that keeps none of the quick calls keeps the slow one, to which the exemplar leads."""
    jaeger, prometheus = Jaeger(root), filled.Prometheus(root)
    gateway = Collector(root, "gateway.yaml", JAEGER_OTLP_ENDPOINT=jaeger.otlp, **keys, **FLEET)
    env = {
        "PROMETHEUS_OTLP_ENDPOINT": f"{prometheus.url}/api/v1/otlp",
        "GATEWAYS": json.dumps([gateway.grpc]),
    }
    with all_of(jaeger, prometheus, gateway, agent := Collector(root, "agent.yaml", **keys, **env)):
        run(agent)
        leads_to_a_trace(prometheus, jaeger)
        assert len(jaeger.ids(SERVICE)) == 1
