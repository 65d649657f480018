"""A Prometheus that has three quarters of an hour of the package's metrics, and what the rules make of them.

Four programs have called models: the demo, one in each generation of the conventions, and one in both, which
do what the demo does not. Their metrics are what the SDK exports, but for the time, which is put back: a
minute of theirs takes no time here.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from programs import BIN, COLLECTOR
from stack import DIRECT, PROMETHEUS_FLAGS, Ports

import otel_genai
import toy
from e2e.backends import eventually, get
from otel_genai import _telemetry
from otel_genai import semconv as s
from otel_genai.demo import app
from otel_genai.demo.standin import StandIn
from single import HOST, PROTOBUF, Single

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

MINUTES = 45
SERVICES = {"shop": "published", "lab": "latest", "desk": "both"}
TEAMS = ("search", "travel")
RULES = tuple(sorted((COLLECTOR / "rules").glob("*.yaml")))
PRICES = [{"model": "toy-1*", "provider": "toy", "input": 5000.0, "output": 20000.0}]  # dollars a million


class RateLimitError(Exception):
    """As SDKs name it."""


# --- What the programs do --------------------------------------------------------------------------------


def minute(client: toy.Client) -> None:
    """Do all that makes a metric: calls that end well and badly, streams, tools, agents, workflows."""
    for team in TEAMS:
        with otel_genai.workflow("answer"), otel_genai.context(team=team), otel_genai.agent("helper"):
            with otel_genai.retrieval("docs", top_k=1), otel_genai.tool("search"):
                client.embed()
            client.chat()
            list(client.chat(stream=True))
    for operation in (s.TEXT_COMPLETION, s.GENERATE_CONTENT):
        with otel_genai.inference("toy-1", provider="toy", operation=operation) as call:
            call.usage(input_tokens=3, output_tokens=4)
    with otel_genai.inference("no-price", provider="toy") as call:
        call.usage(input_tokens=3, output_tokens=4)
    with otel_genai.inference("toy-1", provider="toy"):
        pass  # no usage
    _is_evaluated()
    _ends_badly(client)
    _telemetry.active().failed("toy", s.CHAT, RuntimeError("made up"))
    _telemetry.active()._lost("full")


def _is_evaluated() -> None:
    with otel_genai.context(prompt="answer@2", experiment="blue"):
        with otel_genai.inference("toy-1", provider="toy") as call:
            call.usage(input_tokens=3, output_tokens=4)
        otel_genai.feedback("down", of=call)
        otel_genai.evaluate("relevance", score=0.8, label="relevant", of=call)
        otel_genai.evaluate("relevance", error="made up", of=call)
    with (
        otel_genai.context(**{s.JUDGE: "relevance"}),
        otel_genai.inference("toy-1", provider="toy") as call,
    ):
        call.usage(input_tokens=3, output_tokens=4)
    dropped = _telemetry.active().tally(s.JUDGEMENTS_DROPPED)
    dropped.add(1, ((s.EVALUATION_NAME, "relevance"), (s.ERROR_TYPE, "budget")))


def _ends_badly(client: toy.Client) -> None:
    with contextlib.suppress(RateLimitError), otel_genai.inference("toy-1", provider="toy"):
        raise RateLimitError
    with contextlib.suppress(KeyboardInterrupt), otel_genai.inference("toy-1", provider="toy"):
        raise KeyboardInterrupt
    with contextlib.suppress(RateLimitError), otel_genai.agent("helper"), otel_genai.tool("search"):
        raise RateLimitError
    with contextlib.suppress(RateLimitError), otel_genai.workflow("answer"):
        raise RateLimitError
    stream = client.chat(stream=True)
    next(iter(stream))
    stream.close()


def trip() -> None:
    """Run the demo once, against the stand-in for the API."""
    with StandIn(pace=0) as api, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", api.url)
        patch.setenv("OPENAI_API_KEY", "stand-in")
        with contextlib.redirect_stdout(io.StringIO()):
            app.main()


def exported(
    service: str, provider: Any, work: Callable[[], None], end: float, *, every: int = 1, **settings: Any
) -> list[ExportMetricsServiceRequest]:
    """Give what a program has exported at the end of each of its minutes, of which the last is `end`.

    It does its work in the first of `every` so many minutes.
    """
    reader = InMemoryMetricReader()
    resource = Resource({"service.name": service, "service.instance.id": f"{service}-1"})
    otel_genai.instrument(
        provider,
        tracer_provider=TracerProvider(resource=resource),
        meter_provider=MeterProvider([reader], resource=resource),
        metric_dimensions="team",
        cost=True,
        **settings,
    )
    requests = []
    try:
        for number in range(1, MINUTES + 1):
            if number % every == 1 % every:
                work()
                _telemetry.settle()
            request = encode_metrics(reader.get_metrics_data())
            requests.append(put_back(request, end - 60 * MINUTES, end - 60 * (MINUTES - number)))
    finally:
        otel_genai.uninstrument()
    return requests


def put_back(request: ExportMetricsServiceRequest, start: float, now: float) -> ExportMetricsServiceRequest:
    """Say of an export that its program began at `start`, and that it was made `now`."""
    for metric in (
        metric
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    ):
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            point.start_time_unix_nano, point.time_unix_nano = int(start * 1e9), int(now * 1e9)
            for exemplar in point.exemplars:
                exemplar.time_unix_nano = int((now - 1) * 1e9)
    return request


def spent(request: ExportMetricsServiceRequest) -> float:
    """Add up the dollars that a program has counted so far."""
    return sum(
        point.as_double
        for group in request.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        if metric.name == s.COST.name
        for point in metric.sum.data_points
    )


# --- Prometheus ------------------------------------------------------------------------------------------


class Prometheus(Single):
    """The project's Prometheus, which asks and evaluates every second, as a test does not wait for 15."""

    def __init__(self, root: Path) -> None:
        """Have no rules yet, and nothing to scrape but itself."""
        self.port = Ports.free().prometheus
        self.config, self.data = root / "prometheus.yaml", root / "data"
        self.spent = 0.0
        self.configure((), {})
        command = (
            str(BIN / "prometheus"),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.data}",
            f"--web.listen-address={HOST}:{self.port}",
            "--storage.tsdb.block-reload-interval=1s",
            *PROMETHEUS_FLAGS,
        )
        super().__init__("prometheus", root, command, f"{self.url}/-/ready", {})

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def configure(self, rules: tuple[Path, ...], targets: dict[str, int]) -> None:
        """Write prometheus.yaml as the project has it, but with these rules and targets, every second.

        Args:
            rules: files.
            targets: the port of each job.
        """
        config = yaml.safe_load((COLLECTOR / "prometheus.yaml").read_text())
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
        config["rule_files"] = [str(self._every_second(path)) for path in rules]
        config["scrape_configs"] = [
            {"job_name": job, "static_configs": [{"targets": [f"{HOST}:{port}"]}]}
            for job, port in {**targets, "prometheus": self.port}.items()
        ]
        config.pop("alerting", None)
        self.config.write_text(yaml.safe_dump(config))

    def _every_second(self, path: Path) -> Path:
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
        copy = self.config.with_name(path.name)
        copy.write_text(yaml.safe_dump(rules))
        return copy

    def reload(self) -> None:
        """Have it read what was configured."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGHUP)

    def take(self, request: ExportMetricsServiceRequest) -> None:
        """Have it store an export."""
        headers = {"Content-Type": PROTOBUF}
        url = f"{self.url}/api/v1/otlp/v1/metrics"
        DIRECT.open(urllib.request.Request(url, request.SerializeToString(), headers), timeout=30).close()

    def has(self, name: str) -> None:
        """Raise while it has no such series."""
        assert json.loads(get(f"{self.url}/api/v1/query", query=name))["data"]["result"], name

    def look_back(self, start: float, end: float) -> None:
        """Have the recording rules evaluated for a time that has passed."""
        done = subprocess.run(
            [
                *(BIN / "promtool", "tsdb", "create-blocks-from", "rules"),
                *(f"--url={self.url}", f"--start={start:.0f}", f"--end={end:.0f}", "--eval-interval=60s"),
                *(f"--output-dir={self.data}", *RULES),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def fill(prometheus: Prometheus, targets: dict[str, int]) -> None:
    """Give it what the programs have exported up to now, what the rules have made of it, and targets."""
    end = time.time()
    programs = [
        exported(service, toy.PROVIDER, lambda: minute(toy.Client()), end, semconv=generation, prices=PRICES)
        for service, generation in SERVICES.items()
    ]
    programs.append(exported("demo", "openai", trip, end, every=9))
    prometheus.spent = sum(spent(requests[-1]) for requests in programs)
    for requests in zip(*programs, strict=True):
        for request in requests:
            prometheus.take(request)
    # A second time, as rules ask for what others have recorded.
    for seen in ("genai:cost_usd:increase1d", "genai:team_cost_usd:increase1d"):
        prometheus.look_back(end - 60 * MINUTES, end)
        eventually(functools.partial(prometheus.has, seen))
    prometheus.configure(RULES, targets)
    prometheus.reload()
