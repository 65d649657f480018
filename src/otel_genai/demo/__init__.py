"""The demo: an ordinary program, a stand-in for the API it calls, and a look at the telemetry it sends."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

SERVICE = "otel-genai-demo"
LOCAL = "127.0.0.1"
ENGINE_SECONDS, STACK_SECONDS, COLLECTOR_SECONDS, JAEGER_SECONDS = 10, 600, 30, 60

# ruff: noqa: PLC0415 (the program runs inside this package: it should not load what only its frame needs)


def run(compose: Path | None = None, *, live: bool = False) -> int:
    """Run the program under `opentelemetry-instrument`, show its trace and metrics, return an exit code.

    Args:
        compose: bring this stack up with Docker and send the telemetry through it. Where that cannot
            be, one line says why, and the telemetry is shown here.
        live: call the real API with the OPENAI_API_KEY of the environment instead of the stand-in.
    """
    problem = _missing()
    if live and not os.environ.get("OPENAI_API_KEY"):
        problem = problem or "--live calls the real API: set OPENAI_API_KEY to your key"
    if problem:
        _say(f"otel-genai demo: {problem}", sys.stderr)
        return 2
    from otel_genai.demo.standin import StandIn

    with nullcontext() if live else StandIn() as stand_in:
        environment = _environment(stand_in.url if stand_in else None)
        if compose is not None:
            if not (problem := _start(compose)):
                return _through_stack(environment)
            _say(f"Not through the stack, as {problem}; the telemetry is shown here instead.")
        return _here(environment)


def _say(line: str, to: Any = None) -> None:
    print(line, file=to, flush=True)


def _missing() -> str:
    packages = {"openai": "openai", "rich": "rich", "genai_prices": "genai-prices"}
    missing = [package for name, package in packages.items() if find_spec(name) is None]
    # Without its configurator opentelemetry-instrument sets up no SDK.
    if not entry_points(group="opentelemetry_configurator"):
        missing.append("opentelemetry-distro")
    return f'{", ".join(missing)} missing: pip install "otel-genai[demo]"' if missing else ""


def _environment(api: str | None) -> dict[str, str]:
    """The program's environment, with our settings: the user's OTEL_ ones are for the user's programs."""
    foreign = ("OTEL_", "OPENAI_") if api else ("OTEL_",)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # A proxy of the user's could not reach the servers that run here.
    direct = ",".join(filter(None, (kept.get("NO_PROXY") or kept.get("no_proxy"), LOCAL)))
    ours = {f"OTEL_{signal}_EXPORTER": "otlp" for signal in ("TRACES", "METRICS", "LOGS")}
    ours |= {"OTEL_SERVICE_NAME": SERVICE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    ours |= {"OTEL_GENAI_METRIC_DIMENSIONS": "team"}
    # Other instrumentations that are installed would tell of the same calls again.
    others = {found.name for found in entry_points(group="opentelemetry_instrumentor")} - {"otel_genai"}
    ours |= {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(sorted(others))}
    ours |= {"OPENAI_BASE_URL": api, "OPENAI_API_KEY": "none"} if api else {}
    return kept | ours | {"NO_PROXY": direct, "no_proxy": direct}


def _program(environment: dict[str, str], endpoint: str) -> int:
    instrument = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    command = [instrument or "opentelemetry-instrument", sys.executable, "-m", "otel_genai.demo.app"]
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 (our own program)


def _here(environment: dict[str, str]) -> int:
    from rich.console import Console

    from otel_genai._receiver import Receiver
    from otel_genai._view import view

    with Receiver() as receiver:
        status = _program(environment, receiver.grpc_endpoint)
        _say("")
        view(receiver, Console())
    return status


def _start(compose: Path) -> str:
    """Bring the stack up; return what keeps it from running, if anything does."""
    try:
        _docker("info", timeout=ENGINE_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return "no Docker engine answers"
    try:
        _docker("compose", "version", timeout=ENGINE_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return "docker has no compose command"
    _say(f"Starting {compose} ...")
    try:
        _docker("compose", "-f", str(compose), "up", "-d", timeout=STACK_SECONDS)
    except subprocess.TimeoutExpired:
        return f"docker compose was not done after {STACK_SECONDS} seconds"
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if "error" in line.lower()] or lines[:1]
        return "; ".join(["docker compose could not start it", *reasons[-1:]])
    endpoint = _collector().removeprefix("http://")
    return "" if _answers(endpoint) else f"no Collector answers at {endpoint}"


def _docker(*arguments: str, timeout: float) -> None:
    command = ["docker", *arguments]
    subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)  # noqa: S603


def _collector() -> str:
    return f"http://{LOCAL}:{os.environ.get('COLLECTOR_GRPC_PORT', '4317')}"


def _answers(address: str) -> bool:
    # Docker listens on a published port before the program behind it does: only gRPC itself can tell.
    import grpc  # type: ignore[import-untyped]

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=COLLECTOR_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True


def _through_stack(environment: dict[str, str]) -> int:
    began = datetime.now(timezone.utc)
    status = _program(environment, _collector())
    port = int(os.environ.get("JAEGER_UI_PORT", "16686"))
    ends = time.monotonic() + JAEGER_SECONDS
    while not (trace_id := _found(port, began)):
        if time.monotonic() > ends:
            _say(f"The trace is not in Jaeger yet; look for {SERVICE} at http://{LOCAL}:{port}", sys.stderr)
            return status or 1
        time.sleep(0.5)
    _say(f"\nThe trace: http://{LOCAL}:{port}/trace/{trace_id}")
    return status


def _found(port: int, began: datetime) -> str | None:
    """The id of the trace that has arrived in Jaeger since, once its root is there."""
    times = {"start_time_min": began, "start_time_max": datetime.now(timezone.utc) + timedelta(minutes=1)}
    query = {f"query.{name}": value.isoformat().replace("+00:00", "Z") for name, value in times.items()}
    query |= {"query.service_name": SERVICE, "query.num_traces": "1"}
    connection = http.client.HTTPConnection(LOCAL, port, timeout=5)
    try:
        connection.request("GET", f"/api/v3/traces?{urlencode(query)}")
        result = json.load(connection.getresponse()).get("result", {})
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    for group in result.get("resourceSpans", ()):
        for span in (span for scoped in group["scopeSpans"] for span in scoped["spans"]):
            if not span.get("parentSpanId"):
                return str(span["traceId"])
    return None
