"""A back end, programs that send to it, and what it has stored in the end."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from e2e import replay
from e2e.backends import (
    WITHIN,
    Backend,
    Containers,
    Counts,
    Programs,
    Stored,
    engines,
    eventually,
    own_metrics,
    read,
    settled,
)
from e2e.images import images
from recordings import MISSING, Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = Path(__file__).with_name("app.py")


def unavailable(reason: str) -> NoReturn:
    """Skip; where nothing may be missing, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


# --- The back end ----------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run everything on whatever can run the back end."""
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", engines() or ("none",), indirect=True, scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Give a running back end that nobody else uses."""
    if request.param == "none":
        unavailable("no Docker engine answers and the programs are not built: `make stack` builds them")
    root = tmp_path_factory.mktemp("stack")
    if request.param == "programs":
        with Programs(root) as programs:
            yield programs
        return
    with images() as missing:
        if missing:
            # Where the programs show the same, their turn is enough.
            (pytest.skip if "programs" in engines() else unavailable)(missing)
        containers = Containers(root)
        try:
            containers.start()
            yield containers
        finally:
            containers.purge()


# --- What is sent ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    service: str
    protocol: str
    capture: str | None


RUNS = (
    Run("off", "grpc", None),
    Run("events-grpc", "grpc", "EVENT_ONLY"),
    Run("events-http", "http/protobuf", "EVENT_ONLY"),
    Run("spans", "http/protobuf", "SPAN_ONLY"),
)
_FOREIGN = re.compile(r"(_?OTEL_|OPENAI_|PYTHON)|.*_proxy$", re.IGNORECASE)


def environment(run: Run, backend: Backend, port: int) -> dict[str, str]:
    """Set what a user sets, and nothing that whoever runs the tests has set."""
    env = {key: value for key, value in os.environ.items() if not _FOREIGN.match(key)} | {
        "OPENAI_API_KEY": "sk-nobody",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OTEL_SERVICE_NAME": run.service,
        "OTEL_EXPORTER_OTLP_PROTOCOL": run.protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": backend.otlp_grpc if run.protocol == "grpc" else backend.otlp_http,
        "_OTEL_GENAI_STRICT": "1",
    }
    if run.capture:
        env["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = run.capture
    return env


def send(backend: Backend, exchanges: list[Exchange], place: Path) -> dict[str, int]:
    """Make all the runs at once; give the port of the API that each one called."""
    calls = place / "calls.json"
    wanted = [
        {"path": replay.path(one), "request": one.request, "asynchronous": "_async_" in one.name}
        for one in exchanges
    ]
    calls.write_text(json.dumps(wanted))
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    with ExitStack() as stack:
        servers = [stack.enter_context(replay.Replay(exchanges)) for _ in RUNS]
        programs = [
            subprocess.Popen(
                [instrument, sys.executable, APP, calls],
                env=environment(run, backend, server.port),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for run, server in zip(RUNS, servers, strict=True)
        ]
        for program in programs:
            stack.enter_context(program)
            stack.callback(program.kill)
        for program, server in zip(programs, servers, strict=True):
            printed, complaints = program.communicate(timeout=2 * WITHIN)
            assert (printed.strip(), complaints, program.returncode) == (str(len(exchanges)), "", 0)
            assert (server.unexpected, server.unasked) == ([], [])
    return {run.service: server.port for run, server in zip(RUNS, servers, strict=True)}


# --- What is stored --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pipeline:
    """A back end to which each run of the program has sent, and what it had then."""

    backend: Backend
    ports: dict[str, int]
    stored: dict[str, Stored]
    own: dict[str, Counts]


@pytest.fixture(scope="session")
def exchanges() -> list[Exchange]:
    """Give the recorded exchanges."""
    found = replay.load()
    if not found:
        pytest.skip(MISSING)
    assert {one.name.partition("#")[0] for one in found} == replay.CASSETTES
    return found


@pytest.fixture(scope="session")
def pipeline(
    backend: Backend, exchanges: list[Exchange], tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    """Run the program in every way, and read what has been stored once all has arrived."""
    before = own_metrics(backend)
    ports = send(backend, exchanges, tmp_path_factory.mktemp("app"))
    own = {
        name: {metric: value - before[name].get(metric, 0.0) for metric, value in counts.items()}
        for name, counts in eventually(functools.partial(settled, backend)).items()
    }
    stored = {run.service: read(backend, run.service) for run in RUNS}
    return Pipeline(backend, ports, stored, own)
