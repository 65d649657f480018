"""Jobs that live a moment: what they spend is told to the cent, and whoever is to know of it is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from programs import built
from stack import Ports, Stack

from e2e.backends import eventually, get

pytestmark = pytest.mark.e2e

PRICES = [{"model": "house-*", "input": 2.5, "output": 10}]
CODE = """
import sys, otel_genai
team, calls, read, written = sys.argv[1], *map(int, sys.argv[2:])
with otel_genai.context(team=team):
    for _ in range(calls):
        with otel_genai.inference("house-1", provider="openai") as call:
            call.usage(input_tokens=read, output_tokens=written)
"""
FOREIGN = re.compile(r"(_?OTEL_|OPENAI_|PYTHON)|.*_proxy$", re.IGNORECASE)
ALERT_WITHIN = 60.0


@dataclass(frozen=True)
class Job:
    """A program that makes a few calls and ends."""

    service: str
    team: str
    generation: str
    calls: int
    read: int
    written: int

    @property
    def usd(self) -> float:
        """What it spends."""
        return self.calls * (self.read * PRICES[0]["input"] + self.written * PRICES[0]["output"]) / 1e6


JOBS = (
    Job("one-call", "ads", "published", 1, 148_000, 0),
    Job("three-calls", "ads", "latest", 3, 100_000, 10_001),
    Job("both", "search", "both", 1, 10_000_000, 1),
)


class Impatient(Stack):
    """The back end, which looks at its rules every second and tells of alerts at once."""

    def _write_files(self) -> None:
        super()._write_files()
        for name, slow, quick in (
            ("prometheus.yaml", "evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("alertmanager.yaml", "group_wait: 10s", "group_wait: 1s"),
        ):
            file = self.root / "run" / name
            assert slow in file.read_text()
            file.write_text(file.read_text().replace(slow, quick))


class Receiver(HTTPServer):
    """What alerts are sent to."""

    def __init__(self) -> None:
        self.told: Queue[dict[str, Any]] = Queue()
        super().__init__(("127.0.0.1", 0), Told)

    def alert(self, name: str) -> dict[str, Any]:
        """Wait for an alert, and give the message that it came in."""
        while True:
            try:
                message = self.told.get(timeout=ALERT_WITHIN)
            except Empty:
                pytest.fail(f"{name} did not arrive")
            if message["groupLabels"]["alertname"] == name:
                return message


class Told(BaseHTTPRequestHandler):
    """Takes a message."""

    server: Receiver

    def do_POST(self) -> None:
        """Keep it."""
        self.server.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run(stack: Stack, job: Job, prices: Path) -> None:
    """Run a job to its end."""
    env = {key: value for key, value in os.environ.items() if not FOREIGN.match(key)} | {
        "OTEL_SERVICE_NAME": job.service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_GENAI_COST": "true",
        "OTEL_GENAI_PRICES": str(prices),
        "OTEL_GENAI_SEMCONV": job.generation,
        "OTEL_GENAI_METRIC_DIMENSIONS": "team",
        "_OTEL_GENAI_STRICT": "1",
    }
    arguments = (job.team, str(job.calls), str(job.read), str(job.written))
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [instrument, sys.executable, "-c", CODE, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Listen for alerts."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    """Give a back end to which every job has sent."""
    if not built():
        reason = "the programs are not built: `make stack` builds them"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    root = tmp_path_factory.mktemp("jobs")
    prices = root / "prices.json"
    prices.write_text(json.dumps(PRICES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALERT_WEBHOOK_URL", f"http://127.0.0.1:{receiver.server_port}/here")
        with Impatient(root, Ports.free()) as stack:
            for job in JOBS:
                run(stack, job, prices)
            yield stack


def recorded(stack: Stack, rule: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Give what a recording rule says."""
    answer = json.loads(get(f"{stack.prometheus_url}/api/v1/query", query=rule))["data"]["result"]
    return {tuple(one["metric"][name] for name in labels): float(one["value"][1]) for one in answer}


def check(stack: Stack, rule: str, expected: dict[tuple[str, ...], float], *labels: str) -> None:
    """Wait until a recording rule says what it should."""

    def same() -> None:
        assert recorded(stack, rule, *labels) == pytest.approx(expected, abs=1e-9)

    eventually(same)


def test_what_a_short_job_spends_is_told_to_the_cent(stack: Stack) -> None:
    """Each job's spend is in the hour's increase, though it told its counters once, as it ended."""
    expected = {(job.service, job.team): job.usd for job in JOBS}
    assert [round(spent, 2) for spent in expected.values()] == [0.37, 1.05, 25.0]
    check(stack, "genai:cost_usd:increase1h", expected, "service_name", "team")
    check(stack, "genai:team_cost_usd:increase1h", {("ads",): 1.42003, ("search",): 25.00001}, "team")


def test_what_a_short_job_uses_is_told_to_the_token(stack: Stack) -> None:
    """Tokens are whole in every generation of the conventions, and once where a program emits both."""
    expected = {}
    for job in JOBS:
        expected[job.service, "input"] = job.calls * job.read
        expected[job.service, "output"] = job.calls * job.written
    check(stack, "genai:tokens:increase1h", expected, "service_name", "gen_ai_token_type")


def test_the_calls_of_a_short_job_have_a_rate(stack: Stack) -> None:
    """A job that told its counters once is seen by rates, too."""

    def seen() -> None:
        rates = recorded(stack, "genai:calls:rate1h", "service_name", "otel_genai_outcome")
        assert set(rates) == {(job.service, "completed") for job in JOBS}
        assert all(rates.values())

    eventually(seen)


def test_an_alert_arrives_where_it_should(stack: Stack, receiver: Receiver) -> None:
    """A team that spends more than it may raises an alert, which comes to whoever is paged."""
    if not any(program.name == "alertmanager" for program in stack.programs):
        pytest.skip("Alertmanager is not here: `apt-get install prometheus-alertmanager` brings it")
    message = receiver.alert("GenAIBudgetHourSpent")
    assert (message["receiver"], message["status"]) == ("pages", "firing")
    (alert,) = message["alerts"]
    assert {key: alert["labels"][key] for key in ("team", "severity", "window")} == {
        "team": "search",
        "severity": "page",
        "window": "1h",
    }
    assert alert["annotations"]["summary"] == "Team search has spent 125% of its budget"
    assert alert["annotations"]["runbook_url"] == "collector/RUNBOOK.md#genaibudgethourspent"
