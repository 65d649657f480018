"""The demo from end to end: the program, the stand-in, the receiver and what is shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from otel_genai import demo
from otel_genai import semconv as s
from otel_genai._receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "OPENAI_BASE_URL": "http://127.0.0.1:9",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_GENAI_DISABLED": "openai",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_SDK_DISABLED": "true",
    "OTEL_TRACES_SAMPLER": "always_off",
}
TREE = """
Trace ID · otel-genai-demo · 8 spans
 In Out First
Span Time Model (cached) (reasoning) Cost chunk Outcome Team
invoke_workflow trip-planner TIME ok
├─ embeddings text-embedding-3-small TIME text-embedding-3-small 48 $0.000001 ok search
├─ chat gpt-4o-nano TIME gpt-4o-nano NotFoundError search
├─ chat gpt-5-mini TIME gpt-5-mini-2025-08-07 17 87 (64) $0.000178 stop search
├─ chat gpt-4o-mini TIME gpt-4o-mini-2024-07-18 65 8 $0.000015 tool_calls travel
├─ execute_tool get_weather TIME ok travel
├─ chat gpt-4o-mini TIME gpt-4o-mini-2024-07-18 156 (65) 32 $0.000038 stop travel
└─ chat gpt-4o-mini TIME gpt-4o-mini-2024-07-18 14 24 $0.000017 TIME stop travel
"""
BILL = """
Cost by team from gen_ai.client.cost.usd, rounded
 search $0.000179
 travel $0.000069
 all $0.000248
"""


def run_demo(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    usual = {"PATH": os.environ["PATH"], "COLUMNS": "140", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "otel_genai.demo", *options]
    environment = usual | environment
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)


def normal(text: str) -> str:
    """Replace what differs from run to run."""
    text = re.sub("Trace [0-9a-f]{32}", "Trace ID", text)
    return re.sub(" +", " ", re.sub(r"[0-9.]+ (?:µs|ms|s|min)\b", "TIME", text)).replace(" \n", "\n")


def test_the_demo_shows_one_trace_and_its_metrics() -> None:
    """Whatever the user's settings are, every call of the program is in the tree and in the metrics."""
    done = run_demo(**HOSTILE)
    assert (done.stderr, done.returncode) == ("", 0)
    program, _, shown = normal(done.stdout).partition("\nTrace ")
    assert program.startswith("Lisbon! ")
    tree, _, metrics = ("\nTrace " + shown).partition("\nMetrics ")
    assert tree == TREE
    assert "\n chat · gpt-4o-nano · - · NotFoundError 1 TIME TIME TIME TIME\n" in metrics
    assert "\n get_weather · function 1 TIME TIME TIME TIME\n" in metrics
    assert "\n trip-planner 1 TIME TIME TIME TIME\n" in metrics
    assert "provider.name=openai" in metrics
    assert metrics.endswith(BILL)


def test_the_real_api_needs_a_key() -> None:
    """Without a key, `--live` says in one line what to set, and calls nobody."""
    done = run_demo("--live")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == "otel-genai demo: --live calls the real API: set OPENAI_API_KEY to your key\n"


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the extra, one line says which packages are missing and what to install."""
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    monkeypatch.setattr(demo, "entry_points", lambda group: ())
    assert demo.run() == 2
    assert capsys.readouterr().err == (
        "otel-genai demo: openai, rich, genai-prices, opentelemetry-distro missing: "
        'pip install "otel-genai[demo]"\n'
    )


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    """Give a compose file."""
    file = tmp_path / "docker-compose.yml"
    file.touch()
    return file


@pytest.fixture
def docker(tmp_path: Path) -> Callable[[str], str]:
    """Give a function that writes a `docker` with these cases, and returns a PATH on which it comes first."""

    def write(cases: str) -> str:
        program = tmp_path / "docker"
        program.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\nesac\n')
        program.chmod(0o755)
        return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    return write


@pytest.mark.parametrize(
    ("cases", "reason"),
    [
        ("info) exit 1;;", "no Docker engine answers"),
        ("'compose version') exit 1;;", "docker has no compose command"),
        (
            "*up*) printf 'Error: pulling images failed: no such host\\n\\n' >&2; exit 18;;",
            "docker compose could not start it; Error: pulling images failed: no such host",
        ),
        ("*up*) exit 1;;", "docker compose could not start it"),
    ],
)
def test_without_a_stack_the_reason_is_one_line(
    compose: Path, docker: Callable[[str], str], cases: str, reason: str
) -> None:
    """Where the stack cannot run, one line says why, and the telemetry is shown here."""
    done = run_demo("--compose", str(compose), PATH=docker(cases))
    said = done.stdout.removeprefix(f"Starting {compose} ...\n")
    expected = f"Not through the stack, as {reason}; the telemetry is shown here instead.\nLisbon! "
    assert said.startswith(expected)
    assert TREE in normal(done.stdout)
    assert (done.stderr, done.returncode) == ("", 0)


class Jaeger(BaseHTTPRequestHandler):
    """Answers as Jaeger's api_v3 does, with what a receiver got in the Collector's place."""

    receiver: Receiver

    def do_GET(self) -> None:
        """Find the traces of the service; Jaeger has none for a while."""
        assert self.path.startswith("/api/v3/traces?query.start_time_min=20")
        assert "query.service_name=otel-genai-demo" in self.path
        spans = [
            {"traceId": span.trace_id, "spanId": span.span_id, "parentSpanId": span.parent_id}
            for span in self.receiver.spans
        ]
        self.send_response(200 if spans else 404)
        self.end_headers()
        found = {"result": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}}
        self.wfile.write(json.dumps(found if spans else {"error": {"httpCode": 404}}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


@pytest.fixture
def stack() -> Iterator[tuple[Receiver, str]]:
    """Give a receiver in the Collector's place, and the port of a Jaeger that has what it got."""
    with Receiver() as receiver:
        handler = type("Handler", (Jaeger,), {"receiver": receiver})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as jaeger:
            threading.Thread(target=jaeger.serve_forever, args=(0.01,), daemon=True).start()
            yield receiver, str(jaeger.server_address[1])
            jaeger.shutdown()


def test_through_the_stack_the_link_leads_to_the_trace(
    compose: Path, docker: Callable[[str], str], stack: tuple[Receiver, str]
) -> None:
    """With a stack that runs, its Collector gets the telemetry, and the link to the very trace is printed."""
    receiver, jaeger = stack
    ports = {"COLLECTOR_GRPC_PORT": str(receiver.grpc_port), "JAEGER_UI_PORT": jaeger}
    done = run_demo("--compose", str(compose), PATH=docker("*) ;;"), **ports)
    assert (done.stderr, done.returncode) == ("", 0)
    (trace_id,) = {span.trace_id for span in receiver.spans}
    assert done.stdout.splitlines()[-1] == f"The trace: http://127.0.0.1:{jaeger}/trace/{trace_id}"
    assert len(receiver.spans) == 8
    spent = [point for point in receiver.points if point.metric == s.COST.name]
    assert {point.attributes[s.TEAM] for point in spent} == {"search", "travel"}
    on_spans = sum(span.attributes.get(s.USAGE_COST_AMOUNT, 0) for span in receiver.spans)
    assert sum(point.value or 0 for point in spent) == pytest.approx(on_spans)


def test_a_collector_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, compose: Path, docker: Callable[[str], str]
) -> None:
    """A stack that is up but takes nothing is no stack."""
    with Receiver() as gone:
        port = str(gone.grpc_port)
    monkeypatch.setenv("PATH", docker("*) ;;"))
    monkeypatch.setenv("COLLECTOR_GRPC_PORT", port)
    monkeypatch.setattr(demo, "COLLECTOR_SECONDS", 0.2)
    assert demo._start(compose) == f"no Collector answers at 127.0.0.1:{port}"


def test_compose_may_take_only_so_long(
    monkeypatch: pytest.MonkeyPatch, compose: Path, docker: Callable[[str], str]
) -> None:
    """A pull that never ends is given up."""
    monkeypatch.setenv("PATH", docker("*up*) exec sleep 60;;"))
    monkeypatch.setattr(demo, "STACK_SECONDS", 0.2)
    assert demo._start(compose) == "docker compose was not done after 0.2 seconds"


def test_a_trace_that_does_not_come_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Jaeger stays silent, the user is told what to look for."""
    with Receiver() as receiver:
        monkeypatch.setenv("COLLECTOR_GRPC_PORT", str(receiver.grpc_port))
        monkeypatch.setenv("JAEGER_UI_PORT", "9")
        monkeypatch.setattr(demo, "JAEGER_SECONDS", 0)
        monkeypatch.setattr(demo, "_program", lambda environment, endpoint: 0)
        assert demo._through_stack({}) == 1
    assert capsys.readouterr().err == (
        "The trace is not in Jaeger yet; look for otel-genai-demo at http://127.0.0.1:9\n"
    )
