"""The `otel-genai` command, run as users run it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_genai
from otel_genai import demo
from otel_genai._receiver import Receiver
from otel_genai.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the command and the version."""
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"otel-genai {otel_genai.__version__}\n"


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the usage is shown."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main([])
    assert "usage: otel-genai [-h] [--version] COMMAND ..." in capsys.readouterr().err


@pytest.fixture
def viewer() -> Iterator[subprocess.Popen[str]]:
    """Give a running `otel-genai view`."""
    # A shell's background jobs ignore SIGINT, and so would what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "otel_genai.cli", "view", "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as viewer:
        yield viewer
        viewer.kill()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_view_shows_what_programs_send(viewer: subprocess.Popen[str], end: signal.Signals) -> None:
    """`view` says where it listens, prints a trace when it is complete, and the metrics when it ends."""
    assert viewer.stdout is not None
    said = re.fullmatch(r"gRPC on (.*), HTTP on (.*); Ctrl-C ends\.\n", viewer.stdout.readline())
    assert said is not None
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{said[2]}/v1/metrics"))])
    meters.get_meter("test").create_counter("calls").add(2)
    meters.shutdown()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(said[1], insecure=True)))
    tracers.get_tracer("test").start_span("job", start_time=0).end(10**9)
    tracers.shutdown()
    trace = "".join(viewer.stdout.readline() for _ in range(4))
    viewer.send_signal(end)
    rest, _ = viewer.communicate(timeout=20)
    title = "Trace [0-9a-f]{32} · unknown_service.* · 1 span *\n"
    assert re.fullmatch(title + "Span .*\njob +1.00 s +ok *\n *\n", trace)
    assert re.fullmatch("Metrics +count .*\ncalls *\n +all +2 *\np50 and p95 are .*\n", rest)
    assert viewer.returncode == 0


@pytest.mark.parametrize(("signal_", "option"), [("grpc_port", "--grpc-port"), ("http_port", "--http-port")])
def test_a_port_in_use_is_said_in_one_line(
    signal_: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`view` names the address that is taken and says what to do."""
    with Receiver() as other:
        port = getattr(other, signal_)
        ports = {"--grpc-port": "0", "--http-port": "0", option: str(port)}
        assert main(["view", *(word for pair in ports.items() for word in pair)]) == 2
    assert capsys.readouterr().err == (
        f"otel-genai view: cannot listen on 127.0.0.1:{port} (Address already in use); "
        "stop what listens there, or choose --grpc-port and --http-port\n"
    )


def test_view_without_rich_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extra that is missing is named in one line."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["view"]) == 2
    assert capsys.readouterr().err == 'otel-genai view needs rich: pip install "otel-genai[view]"\n'


def test_an_import_that_fails_for_another_reason_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a missing rich is explained by a missing rich."""
    monkeypatch.delitem(sys.modules, "otel_genai._view", raising=False)
    monkeypatch.delattr(otel_genai, "_view", raising=False)
    monkeypatch.setitem(sys.modules, "otel_genai.semconv", None)
    monkeypatch.delattr(otel_genai, "semconv")
    with pytest.raises(ImportError, match="semconv"):
        main(["view"])


def test_demo_gets_its_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The compose file and the wish for the real API are handed on, and the exit code comes back."""
    compose = tmp_path / "compose.yml"
    compose.touch()
    asked: list[object] = []

    def run(compose: Path | None, *, live: bool) -> int:
        asked.append((compose, live))
        return len(asked)

    monkeypatch.setattr(demo, "run", run)
    assert [main(["demo"]), main(["demo", "--live", "--compose", str(compose)])] == [1, 2]
    assert asked == [(None, False), (compose, True)]


def test_a_compose_file_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that does not exist is named."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["demo", "--compose", "nowhere.yml"])
    assert "argument --compose: there is no file nowhere.yml" in capsys.readouterr().err


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted command has the exit code of one, and no traceback."""

    def run(compose: Path | None, *, live: bool) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", run)
    assert main(["demo"]) == 130


def test_doctor_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor's answer is the exit code."""
    doctor = ModuleType("otel_genai._doctor")
    doctor.main = lambda: 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "otel_genai._doctor", doctor)
    monkeypatch.setattr(otel_genai, "_doctor", doctor, raising=False)
    assert main(["doctor"]) == 7


def test_the_library_does_not_import_the_command() -> None:
    """A program that imports otel_genai pays for none of this."""
    script = "import sys, otel_genai; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    ours = {"cli", "demo", "_figures", "_view", "_receiver", "_otlp", "_doctor"}
    assert not {f"otel_genai.{name}" for name in ours} & set(loaded.split())
    assert not {"rich", "grpc", "openai"} & set(loaded.split())
