"""The telemetry back end as plain programs, for where there is no Docker.

Runs the Collector, Jaeger and Prometheus, which programs.py builds from source, and Alertmanager,
where it is installed, on loopback with the configuration files that docker-compose.yml uses too::

    python collector/stack.py build | up | down | status

Tests use `Stack` on free ports in a temporary directory. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from process import DIRECT, Program
from programs import BIN, COLLECTOR, HOME, StackError, build_all, built

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["DIRECT", "Ports", "Program", "Stack", "StackError", "build_all", "built"]

HOST = "127.0.0.1"

# How long programs may take to become ready.
READY_WITHIN = 60.0

PROMETHEUS_FLAGS = (
    "--web.enable-otlp-receiver",
    "--enable-feature=exemplar-storage,created-timestamp-zero-ingestion",
)
# Debian's name of it, and its own.
ALERTMANAGERS = ("prometheus-alertmanager", "alertmanager")


@dataclass(frozen=True)
class Ports:
    """Where the programs listen on loopback."""

    collector_grpc: int = 4317
    collector_http: int = 4318
    collector_health: int = 13133
    collector_metrics: int = 8888
    jaeger_otlp: int = 14317
    jaeger_ui: int = 16686
    jaeger_grpc: int = 16685
    jaeger_health: int = 14133
    jaeger_metrics: int = 14888
    prometheus: int = 9090
    alertmanager: int = 9093

    @staticmethod
    def variable(name: str) -> str:
        """Name the environment variable of a port: `COLLECTOR_GRPC_PORT` for `collector_grpc`."""
        return f"{name.upper()}_PORT"

    @classmethod
    def from_env(cls) -> Ports:
        """Take the ports that the environment names and the defaults for the rest."""
        named = {f.name: os.environ.get(cls.variable(f.name)) for f in fields(cls)}
        return cls(**{name: int(port) for name, port in named.items() if port})

    @classmethod
    def free(cls) -> Ports:
        """Pick ports nobody uses, so that stacks can run side by side."""
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in fields(cls)]
            for one in sockets:
                one.bind((HOST, 0))
            return cls(*(one.getsockname()[1] for one in sockets))

    def env(self) -> dict[str, str]:
        """Spell the ports as the configuration files read them."""
        return {self.variable(f.name): str(getattr(self, f.name)) for f in fields(self)}


class Stack:
    """Collector, Jaeger, Prometheus, Alertmanager on loopback; all they write is below one directory.

    `with Stack(tmp_path, Ports.free()) as stack:` gives a test one of its own.
    """

    def __init__(self, root: Path = HOME, ports: Ports | None = None) -> None:
        """Name the directory and the ports; nothing starts before `start`."""
        self.root = root.resolve()
        self.ports = ports or Ports()
        self.programs = (
            *self._alertmanager(),
            self._jaeger(),
            self._prometheus(),
            self._collector(),
        )

    @property
    def otlp_grpc(self) -> str:
        """Where OTLP over gRPC goes."""
        return f"http://{HOST}:{self.ports.collector_grpc}"

    @property
    def otlp_http(self) -> str:
        """Where OTLP over HTTP goes, without `/v1/traces`."""
        return f"http://{HOST}:{self.ports.collector_http}"

    @property
    def jaeger_url(self) -> str:
        """Jaeger's UI and API."""
        return f"http://{HOST}:{self.ports.jaeger_ui}"

    @property
    def prometheus_url(self) -> str:
        """Prometheus' UI and API."""
        return f"http://{HOST}:{self.ports.prometheus}"

    @property
    def alertmanager_url(self) -> str:
        """Alertmanager's UI and API, where it is installed."""
        return f"http://{HOST}:{self.ports.alertmanager}"

    @property
    def collector_metrics_url(self) -> str:
        """The Collector's own metrics: what it accepted, refused, sent and lost."""
        return f"http://{HOST}:{self.ports.collector_metrics}/metrics"

    @property
    def events_file(self) -> Path:
        """The file of GenAI events, one OTLP export as JSON a line."""
        return self.root / "data" / "events.jsonl"

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start what does not run yet and wait until all is ready; leave nothing on failure."""
        if not built():
            msg = f"programs missing or out of date: run `python {COLLECTOR / 'stack.py'} build`"
            raise StackError(msg)
        self._write_files()
        # Prompts end up in there: nobody else on the machine is to read them.
        (self.root / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + READY_WITHIN
        try:
            for program in self.programs:
                program.start()
            for program in self.programs:
                program.wait_ready(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all of it, the Collector first: it still has data for the others."""
        for program in reversed(self.programs):
            program.stop()

    def purge(self) -> None:
        """Forget everything stored and logged; the built programs stay."""
        for name in ("data", "logs", "run"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def _write_files(self) -> None:
        """Put prometheus.yaml, as it is, beside the rules and the addresses of what is here."""
        place = self.root / "run"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(COLLECTOR / "prometheus.yaml", place / "prometheus.yaml")
        (place / "rules").unlink(missing_ok=True)
        (place / "rules").symlink_to(COLLECTOR / "rules")
        ports = {
            "otel-collector": self.ports.collector_metrics,
            "jaeger": self.ports.jaeger_metrics,
            "prometheus": self.ports.prometheus,
        }
        if any(program.name == "alertmanager" for program in self.programs):
            ports["alertmanager"] = self.ports.alertmanager
        lines = [f'- {{targets: ["{HOST}:{port}"], labels: {{job: {job}}}}}\n' for job, port in ports.items()]
        (place / "targets.yaml").write_text("".join(lines))
        told = f'- targets: ["{HOST}:{self.ports.alertmanager}"]\n' if "alertmanager" in ports else "[]\n"
        (place / "alertmanagers.yaml").write_text(told)
        routes = (COLLECTOR / "alertmanager.yaml").read_text()
        if url := os.environ.get("ALERT_WEBHOOK_URL"):
            routes = re.sub(r"(?<=url: &webhook )\S+", lambda _: url, routes)
        (place / "alertmanager.yaml").write_text(routes)

    def _alertmanager(self) -> list[Program]:
        """Give Alertmanager, if there is one: it is not built from source."""
        found = next(filter(None, map(shutil.which, ALERTMANAGERS)), None)
        if found is None:
            return []
        program = self._program(
            "alertmanager",
            f"{self.alertmanager_url}/-/ready",
            found,
            f"--config.file={self.root / 'run' / 'alertmanager.yaml'}",
            f"--storage.path={self.root / 'data' / 'alertmanager'}",
            f"--web.listen-address={HOST}:{self.ports.alertmanager}",
            "--cluster.listen-address=",  # there is one only
        )
        return [program]

    def _jaeger(self) -> Program:
        ready = f"http://{HOST}:{self.ports.jaeger_health}/status"
        return self._program("jaeger", ready, "jaeger", f"--config=file:{COLLECTOR / 'jaeger.yaml'}")

    def _prometheus(self) -> Program:
        return self._program(
            "prometheus",
            f"{self.prometheus_url}/-/ready",
            "prometheus",
            f"--config.file={self.root / 'run' / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self.root / 'data' / 'prometheus'}",
            f"--web.listen-address={HOST}:{self.ports.prometheus}",
            *PROMETHEUS_FLAGS,
        )

    def _collector(self) -> Program:
        ready = f"http://{HOST}:{self.ports.collector_health}/"
        return self._program("collector", ready, "otelcol", f"--config={COLLECTOR / 'config.yaml'}")

    def _program(self, name: str, ready_url: str, program: str, *arguments: str) -> Program:
        # OTEL_* is meant for the applications: it would make the back end name itself after them.
        # Jaeger traces its own queries if left to itself.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        env = (
            inherited
            | self.ports.env()
            | {
                "COLLECTOR_BIND": HOST,
                "COLLECTOR_EVENTS_FILE": str(self.events_file),
                "COLLECTOR_QUEUE": str(self.root / "data" / "queue"),
                "JAEGER_OTLP_ENDPOINT": f"{HOST}:{self.ports.jaeger_otlp}",
                "PROMETHEUS_OTLP_ENDPOINT": f"{self.prometheus_url}/api/v1/otlp",
                "OTEL_TRACES_SAMPLER": "always_off",
                "JAEGER_LISTEN_HOST": HOST,
                "JAEGER_DATA": str(self.root / "data" / "jaeger"),
                "PROMETHEUS_URL": self.prometheus_url,
            }
        )
        return Program(name, (str(BIN / program), *arguments), ready_url, self.root, env)


def _up(stack: Stack) -> None:
    build_all()
    stack.start()
    print(f"OTLP         {stack.otlp_grpc} (gRPC), {stack.otlp_http} (HTTP)")
    print(f"Jaeger       {stack.jaeger_url}")
    print(f"Prometheus   {stack.prometheus_url}")
    if any(program.name == "alertmanager" for program in stack.programs):
        print(f"Alertmanager {stack.alertmanager_url}")
    else:
        print(f"no Alertmanager: alerts are only in Prometheus; install {ALERTMANAGERS[0]}")
    print(f"events       {stack.events_file}")


def _status(stack: Stack) -> int:
    """Print a line for each program; 0 if all are ready."""
    ready = [program.running() and program.ready() for program in stack.programs]
    for program, good in zip(stack.programs, ready, strict=True):
        state = "ready" if good else "not ready" if program.running() else "stopped"
        print(f"{program.name:<12} {state:<10} log: {program.log}")
    return 0 if all(ready) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the telemetry back end without Docker.")
    parser.add_argument("--root", type=Path, default=HOME, help="where data and logs go (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the programs; nothing to do if they are up to date")
    commands.add_parser("up", help="start everything, building it first if need be")
    down = commands.add_parser("down", help="stop everything; the data stays")
    down.add_argument("--purge", action="store_true", help="delete data and logs too")
    commands.add_parser("status", help="say what runs; exit status 0 if all of it is ready")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    chosen = _parse(arguments)
    stack = Stack(chosen.root, Ports.from_env())
    try:
        if chosen.command == "build":
            build_all()
        elif chosen.command == "up":
            _up(stack)
        elif chosen.command == "status":
            return _status(stack)
        else:
            stack.stop()
            if chosen.purge:
                stack.purge()
            else:
                print(f"data and logs stay in {stack.root}; `down --purge` deletes them")
    except StackError as error:
        print(f"stack.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
