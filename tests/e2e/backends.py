"""The back end as the tests see it: run either way, and asked for what it has stored."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stack import DIRECT, Ports, Stack, StackError, built

from e2e.images import COMPOSE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WITHIN = 30.0
READY_WITHIN = COMPOSE_WITHIN = 180.0
POLL_EVERY = 0.1

Found = dict[str, Any]
Counts = dict[str, float]
Labels = frozenset[tuple[str, str]]
Series = dict[Labels, float]

KINDS = ("spans", "metric_points", "log_records")
FAILED = 2  # a span's status
OF_THE_SERVICE = {"__name__", "job", "instance", "service_name", "service_instance_id"}
MADE_HERE = re.compile(r"traces_span_metrics_|ALERTS|.*:")
"""What the Collector and rules add, which changes by itself."""
OWN_METRIC = re.compile(r"^otelcol_(\w+?)(?:_total)?(?:\{.*\})? (\S+)$", re.MULTILINE)
EVENT = '"observedTimeUnixNano"'


def eventually(check: Callable[[], Any], within: float = WITHIN) -> Any:
    """Call until it raises no more, and give what it gives; what it raises in the end is the reason."""
    deadline = time.monotonic() + within
    while True:
        try:
            return check()
        except (AssertionError, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_EVERY)


def get(url: str, **query: str) -> str:
    """Fetch a text; what is not found is empty."""
    try:
        with DIRECT.open(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise
        return ""


# --- Running it ------------------------------------------------------------------------------------------


@functools.cache
def engines() -> tuple[str, ...]:
    """Tell what can run the back end here."""
    return ("programs",) * built() + ("docker",) * _docker_answers()


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "compose", "version"], ["docker", "info"])
    try:
        done = (subprocess.run(one, capture_output=True, check=False, timeout=10) for one in asked)
        return all(one.returncode == 0 for one in done)
    except subprocess.TimeoutExpired:
        return False


class Programs(Stack):
    """The back end as plain programs."""

    events_before = 0
    """How many events were in the file when the Collector that runs now was started."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Ports.free())

    def events_text(self) -> str:
        """Give what the file of events holds."""
        return self.events_file.read_text()


class Containers(Stack):
    """The same back end, on the same ports, as docker-compose.yml has it.

    With `inside` two ports are published besides, which only the programs have on loopback: where
    the Collector and Jaeger tell of themselves.
    """

    events_before = 0

    def __init__(self, root: Path, *, inside: bool = True) -> None:
        super().__init__(root, Ports.free())
        self.project = f"otel-genai-{uuid.uuid4().hex[:8]}"
        self._events = root / "events.jsonl"
        self._files = ["-f", str(COMPOSE)]
        if inside:
            more = root / "inside.yml"
            more.write_text(
                "services:\n"
                f"  otel-collector: {{ports: ['127.0.0.1:{self.ports.collector_metrics}:8888']}}\n"
                f"  jaeger: {{ports: ['127.0.0.1:{self.ports.jaeger_metrics}:14888']}}\n"
            )
            self._files += ["-f", str(more)]

    @functools.cached_property
    def env(self) -> dict[str, str]:
        """Name the project and the ports, the ones of services that stack.py does not run among them."""
        asked_for = set(re.findall(r"\$\{(\w+_PORT):-", COMPOSE.read_text())) - self.ports.env().keys()
        spare = self.ports.free().env().values()
        return {
            **self.ports.env(),
            **dict(zip(sorted(asked_for), spare, strict=False)),
            "COMPOSE_PROJECT_NAME": self.project,
        }

    def compose(self, *arguments: str, within: float = COMPOSE_WITHIN) -> str:
        """Run `docker compose`, and give what it prints."""
        done = subprocess.run(
            ["docker", "compose", *self._files, *arguments],
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        if done.returncode:
            msg = f"docker compose {' '.join(arguments)}: {done.stderr.strip()[-1000:]}"
            raise StackError(msg)
        return done.stdout

    def start(self) -> None:
        """Start the containers and wait until they answer."""
        self.compose("up", "-d", "--pull", "never")
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until whoever has a health check is healthy, and the rest answers."""
        eventually(self._check_ready, within=READY_WITHIN)

    def _check_ready(self) -> None:
        states = {
            one["Service"]: (one["State"], one["Health"], one["ExitCode"])
            for one in map(json.loads, self.compose("ps", "--all", "--format", "json").splitlines())
        }
        expected = {("running", "healthy", 0), ("running", "", 0), ("exited", "", 0)}
        assert set(states.values()) <= expected, states
        for url in (
            f"http://127.0.0.1:{self.ports.collector_health}/",
            f"{self.prometheus_url}/-/ready",
            f"{self.jaeger_url}/api/v3/services",
        ):
            get(url)

    def stop(self) -> None:
        """Stop the containers; their volumes stay."""
        self.compose("stop")

    def purge(self) -> None:
        """Delete the containers and their volumes."""
        self.compose("down", "-v")

    def events_text(self) -> str:
        """Give what the file of events holds."""
        self.compose("cp", "otel-collector:/var/lib/otelcol/events.jsonl", str(self._events))
        return self._events.read_text()


Backend = Programs | Containers


# --- Asking it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """All that the back ends have of one service: read, and as text."""

    spans: list[Found]
    series: dict[str, Series]
    exemplars: list[Found]
    events: list[Found]
    texts: dict[str, str]

    @property
    def calls(self) -> list[Found]:
        """The spans that are ours."""
        return [span for span in self.spans if span["scope"] == "otel_genai"]


def read(backend: Backend, service: str) -> Stored:
    """Ask Jaeger, Prometheus and the file of events for everything of one service."""
    traces = get(
        f"{backend.jaeger_url}/api/v3/traces",
        **{
            "query.service_name": service,
            "query.start_time_min": "2020-01-01T00:00:00Z",
            "query.start_time_max": "2100-01-01T00:00:00Z",
            "query.num_traces": "1000",
        },
    )
    api, selector = f"{backend.prometheus_url}/api/v1", f'{{service_name="{service}"}}'
    metrics = get(f"{api}/query", query=f"last_over_time({selector}[1h])")
    an_hour_ago, soon = str(time.time() - 3600), str(time.time() + 60)
    exemplars = get(f"{api}/query_exemplars", query=selector, start=an_hour_ago, end=soon)
    written = [
        group for line in backend.events_text().splitlines() for group in json.loads(line)["resourceLogs"]
    ]
    logs = [group for group in written if _attributes(group["resource"])["service.name"] == service]
    return Stored(
        spans=list(_spans(json.loads(traces)["result"]["resourceSpans"])) if traces else [],
        series=_series(json.loads(metrics)["data"]["result"]),
        exemplars=[
            {"series": one["seriesLabels"], **exemplar}
            for one in json.loads(exemplars)["data"]
            if not MADE_HERE.match(one["seriesLabels"]["__name__"])
            for exemplar in one["exemplars"]
        ],
        events=list(_records(logs)),
        texts={"Jaeger": traces, "Prometheus": metrics + exemplars, "events": json.dumps(logs)},
    )


def _attributes(holder: Found) -> Found:
    return {pair["key"]: _value(pair["value"]) for pair in holder.get("attributes", ())}


def _value(value: Found) -> Any:
    for kind, plain in value.items():
        if kind == "arrayValue":
            return [_value(item) for item in plain.get("values", ())]
        if kind == "kvlistValue":
            return {pair["key"]: _value(pair["value"]) for pair in plain.get("values", ())}
        return int(plain) if kind == "intValue" else plain
    return None


def _spans(groups: list[Found]) -> Iterator[Found]:
    for scoped in (scoped for group in groups for scoped in group["scopeSpans"]):
        for span in scoped["spans"]:
            trace = span["traceId"]
            yield {
                "scope": scoped["scope"]["name"],
                "name": span["name"],
                "kind": span["kind"],
                "id": (trace, span["spanId"]),
                "parent": (trace, span["parentSpanId"]) if span.get("parentSpanId") else None,
                "failed": span["status"].get("code") == FAILED,
                "attributes": {key: _list(value) for key, value in _attributes(span).items()},
                "events": [(event["name"], _attributes(event)) for event in span.get("events", ())],
            }


def _list(value: Any) -> Any:
    """Read a list, which Jaeger's store keeps as JSON."""
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


def _series(found: list[Found]) -> dict[str, Series]:
    """Sort values by metric and labels, without the labels that name the service."""
    series: dict[str, Series] = {}
    for one in (one for one in found if not MADE_HERE.match(one["metric"]["__name__"])):
        labels = frozenset(item for item in one["metric"].items() if item[0] not in OF_THE_SERVICE)
        series.setdefault(one["metric"]["__name__"], {})[labels] = float(one["value"][1])
    return series


def _records(groups: list[Found]) -> Iterator[Found]:
    for scoped in (scoped for group in groups for scoped in group["scopeLogs"]):
        for record in scoped["logRecords"]:
            yield {
                "name": record.get("eventName"),
                "span": (record["traceId"], record["spanId"]),
                "attributes": _attributes(record),
            }


# --- What the back end says of itself --------------------------------------------------------------------


def own_metrics(backend: Backend) -> dict[str, Counts]:
    """Ask the Collector, and Jaeger, which is one too, what they took in, passed on and lost."""
    urls = {
        "collector": backend.collector_metrics_url,
        "jaeger": f"http://127.0.0.1:{backend.ports.jaeger_metrics}/metrics",
    }
    found: dict[str, Counts] = {}
    for name, url in urls.items():
        sums = found[name] = {}
        for metric, value in OWN_METRIC.findall(get(url)):
            sums[metric] = sums.get(metric, 0.0) + float(value)
    return found


def settled(backend: Backend) -> dict[str, Counts]:
    """Give the back end's own metrics once nothing is under way; raise while something is."""
    own = own_metrics(backend)
    collector, jaeger = own["collector"], own["jaeger"]
    # Every pipeline begins with the limiter: it has seen what was received and what was made of spans.
    assert {kind: _passed_on(collector, kind) for kind in KINDS} == {
        kind: collector.get(f"processor_memory_limiter_accepted_{kind}", 0.0) for kind in KINDS
    }
    assert (
        _passed_on(jaeger, "spans")
        == jaeger.get("receiver_accepted_spans")
        == collector["exporter_sent_spans"]
    )
    text = backend.events_text()
    assert text[-1:] in {"", "\n"}, "a line is being written"
    written = text.count(EVENT) - backend.events_before
    assert written == collector.get("exporter_sent_log_records", 0.0)
    return own


def restart(backend: Backend) -> None:
    """Stop and start the back end, whose counters begin anew."""
    backend.events_before = backend.events_text().count(EVENT)
    backend.stop()
    backend.start()


def _passed_on(counts: Counts, kind: str) -> float:
    """Count what is not there any more, wherever it went."""
    return sum(counts.get(f"exporter_{how}_{kind}", 0.0) for how in ("sent", "send_failed", "enqueue_failed"))
