"""docker-compose.yml as it is: brought up, sent the demo, killed, taken down, and what is there then."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from stack import DIRECT

from e2e.backends import Containers, Stored, engines, eventually, get, read
from e2e.images import COMPOSE, images
from otel_genai import semconv as s

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # there may be images to fetch

DEMO = "otel-genai-demo"
LATE = "waits-for-jaeger"
OURS = ("gen_ai_", "otel_genai_")
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]


@dataclass(frozen=True)
class Life:
    """What was seen from the first start to the last."""

    demo: str
    sent: Stored
    """What the demo sent, read back."""
    left: list[str]
    """The containers that `down` left."""
    kept: Stored
    """The same, read after `down` and `up`."""
    late: list[str]
    """Spans that were taken while nobody could store them, read after a crash, `down` and `up`."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """Give a stack that is not started yet; nothing of it stays."""
    if "docker" not in engines():
        # Who names an engine wants it to be used.
        reason = "no Docker engine with Compose v2 answers: start one"
        (pytest.fail if "DOCKER_HOST" in os.environ else pytest.skip)(reason)
    with images() as missing:
        if missing:
            pytest.skip(missing)
        containers = Containers(tmp_path_factory.mktemp("compose"), inside=False)
        try:
            yield containers
        finally:
            containers.purge()


@pytest.fixture(scope="module")
def life(stack: Containers) -> Life:
    """Live it: the first start is the demo's own."""
    demo = run_demo(stack)
    stack.wait_ready()
    send(stack, "logs", DEMO, event())
    sent = eventually(functools.partial(arrived, stack))
    stack.compose("down")
    left = stack.compose("ps", "--all", "--quiet").split()
    stack.start()
    kept = read(stack, DEMO)
    stack.compose("stop", "jaeger", "prometheus")
    send(stack, "traces", LATE, span())
    stack.compose("kill", "otel-collector")
    stack.compose("down")
    stack.start()
    late = eventually(functools.partial(names, stack, LATE))
    return Life(demo, sent, left, kept, late)


def run_demo(stack: Containers) -> str:
    """Run the demo as `make demo` does, and give what it prints."""
    done = subprocess.run(
        [Path(sys.executable).with_name("otel-genai"), "demo", "--compose", COMPOSE],
        env=os.environ | stack.env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def arrived(stack: Containers) -> Stored:
    """Read what the demo sent, once its metrics are there, too."""
    found = read(stack, DEMO)
    assert found.events
    assert calls(found) == sum(found.series["otel_genai_calls_total"].values())
    return found


def calls(found: Stored) -> int:
    """Count the calls among the spans."""
    return sum(s.REQUEST_MODEL in span["attributes"] for span in found.calls)


def send(stack: Containers, kind: str, service: str, item: dict[str, str | int]) -> None:
    """Send one span or log record, and have it accepted."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    group, scope, items = {
        "traces": ("resourceSpans", "scopeSpans", "spans"),
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    }[kind]
    export = {group: [{"resource": resource, scope: [{"scope": {"name": "by hand"}, items: [item]}]}]}
    request = urllib.request.Request(
        f"{stack.otlp_http}/v1/{kind}", json.dumps(export).encode(), {"Content-Type": "application/json"}
    )
    with DIRECT.open(request, timeout=10) as answer:
        assert answer.status == 200


def span() -> dict[str, str | int]:
    """Make a span."""
    now = time.time_ns()
    times = {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1)}
    return {"traceId": f"{now:032x}", "spanId": f"{now:016x}", "name": "chat gpt-4o", "kind": 3, **times}


def event() -> dict[str, str | int]:
    """Make an event: the demo has none."""
    return {"traceId": f"{1:032x}", "spanId": f"{1:016x}", "eventName": s.EVENT_INFERENCE_DETAILS}


def names(stack: Containers, service: str) -> list[str]:
    """Give the names of a service's spans, once there are some."""
    found = [span["name"] for span in read(stack, service).spans]
    assert found
    return found


def test_the_demo_goes_through(stack: Containers, life: Life) -> None:
    """What `make demo` prints leads to the trace in Jaeger, and its money is what Prometheus counts."""
    trace = life.demo.strip().rpartition(f"The trace: {stack.jaeger_url}/trace/")[2]
    assert {span["id"][0] for span in life.sent.spans} == {trace}
    assert calls(life.sent) > 5
    spent = sum(span["attributes"].get(s.USAGE_COST_AMOUNT, 0.0) for span in life.sent.spans)
    assert sum(life.sent.series["gen_ai_client_cost_usd_total"].values()) == pytest.approx(spent)


def test_exemplars_lead_to_the_trace(life: Life) -> None:
    """A bucket of a histogram names a trace that is in Jaeger."""
    traces = {span["id"][0] for span in life.sent.spans}
    named = {
        one["labels"]["trace_id"] for one in life.sent.exemplars if one["series"]["__name__"].startswith(OURS)
    }
    assert named
    assert named <= traces


def test_nothing_stored_is_lost(life: Life) -> None:
    """After `docker compose down` and `up` every span, every metric and every event is as it was."""
    assert life.left == []
    by_id = functools.partial(sorted, key=lambda span: span["id"])
    assert by_id(life.kept.spans) == by_id(life.sent.spans)
    assert life.kept.series == life.sent.series
    assert life.kept.events == life.sent.events


def test_nothing_accepted_is_lost(life: Life) -> None:
    """What waited for Jaeger is stored in the end, though its Collector was killed and taken down."""
    assert life.late == ["chat gpt-4o"]


def test_all_parts_see_each_other(stack: Containers, life: Life) -> None:
    """Prometheus scrapes its targets, evaluates its rules, has whom to tell; Grafana reaches both stores."""
    api = f"{stack.prometheus_url}/api/v1"

    def scraped() -> None:
        targets = json.loads(get(f"{api}/targets"))["data"]["activeTargets"]
        assert len(targets) > 1
        assert {target["health"] for target in targets} == {"up"}

    eventually(scraped)
    groups = json.loads(get(f"{api}/rules"))["data"]["groups"]
    assert groups
    assert not [rule["name"] for group in groups for rule in group["rules"] if rule.get("lastError")]
    if "alertmanager" in SERVICES:
        assert json.loads(get(f"{api}/alertmanagers"))["data"]["activeAlertmanagers"]
    reached = 'wget -q --spider "$PROMETHEUS_URL/-/ready" && wget -q --spider "$JAEGER_URL/api/v3/services"'
    stack.compose("exec", "-T", "grafana", "sh", "-c", reached)
