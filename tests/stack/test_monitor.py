"""Jaeger's Monitor tab: what it asks Jaeger's API for, of spans that have passed the Collector."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import filled
from e2e.backends import eventually, get
from single import HOST, Collector, Jaeger, all_of, span, traces

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SERVICE = "monitored"


def shown(jaeger: Jaeger, what: str, **more: str) -> float:
    """Give the last value of a graph of the tab."""
    text = get(
        f"http://{HOST}:{jaeger.ports.jaeger_ui}/api/metrics/{what}",
        service=SERVICE,
        endTs=str(int(time.time() * 1000)),
        lookback="600000",
        step="1000",
        ratePer="600000",
        spanKind="client",
        **more,
    )
    found = json.loads(text)["metrics"]
    assert found, what
    return float(found[0]["metricPoints"][-1]["gaugeValue"]["doubleValue"])


def test_the_monitor_tab_has_data(root: Path) -> None:
    """A service's calls, the share of them that failed, and how long they took."""
    jaeger, prometheus = Jaeger(root), filled.Prometheus(root)
    jaeger.env["PROMETHEUS_URL"] = prometheus.url
    env = {"JAEGER_OTLP_ENDPOINT": jaeger.otlp, "PROMETHEUS_OTLP_ENDPOINT": f"{prometheus.url}/api/v1/otlp"}
    collector = Collector(root, "config.yaml", COLLECTOR_SPAN_METRICS_EVERY="500ms", **env)
    numbers = iter(range(1, 10_000))

    def check() -> None:
        """Send more, as a rate needs two counts, and look."""
        ended = [Status(), Status(), Status(), Status(code=Status.STATUS_CODE_ERROR)]
        sent = [span(next(numbers), 0.2, kind=Span.SPAN_KIND_CLIENT, status=one) for one in ended]
        assert collector.send(traces(SERVICE, sent)) == 200
        assert shown(jaeger, "calls") > 0
        assert shown(jaeger, "errors") == pytest.approx(0.25)
        assert 0.1 < shown(jaeger, "latencies", quantile="0.95") <= 0.25

    with all_of(jaeger, prometheus, collector):
        eventually(check)
