"""The candidates, each in a process and an environment of its own, and how they are asked to work."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workloads import SHORT

ROOT = Path(__file__).parent.parent
SECONDS = 300
"""How long one process may take; a candidate that hangs must not hang the benchmark."""


@dataclass(frozen=True)
class Candidate:
    """Who is measured: the bare SDK, the floor, ours or the official package, and how it is set."""

    name: str
    words: str = ""
    """`content` captures messages on the span, `masks` masks them, `cost` prices calls, `all` records every
    gap of a stream."""

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        environment = "plain" if self.name in ("bare", "floor") else self.name
        if "cost" in self.words:
            environment = "cost"  # where prices are installed, and nothing else is different
        return str(ROOT / f".venv-bench-{environment}" / "bin" / "python")


@dataclass(frozen=True)
class Row:
    """One line of the results: a piece of work, and who does it how."""

    title: str
    work: str
    words: str = ""
    goal: float | None = None
    """The most that ours may cost, in floors."""
    ships: float | None = None
    """The most that may ship where the goal is missed."""
    over: Row | None = None
    """What ours is compared with; the others have no such setting, and no number."""

    @property
    def names(self) -> tuple[str, ...]:
        """Who has numbers."""
        return ("bare", "ours") if self.over else NAMES

    @property
    def is_slope(self) -> bool:
        """Whether it is what one more chunk costs."""
        return self.work == "chunk"

    def who(self, name: str) -> Candidate:
        """Give who does it: the bare SDK has no settings, the official package none for gaps."""
        words = "" if name == "bare" or (name, self.words) == ("official", "all") else self.words
        return Candidate(name, words)


NAMES = ("bare", "floor", "ours", "official")
OFF = Row("call, content off", "call", goal=1.05, ships=1.3)
ON = Row("call, content on", "call", "content", goal=2.0)
MASKED = Row("call, content on, six maskers", "call", "content masks", over=ON)
PRICED = Row("call, content off, priced", "call", "cost", over=OFF)
ROWS = (
    OFF,
    PRICED,
    ON,
    MASKED,
    Row(f"stream of {SHORT} chunks, 16 gaps", "short"),
    Row("chunk, 16 gaps", "chunk", goal=1.2),
    Row("end of a stream, 16 gaps", "end"),
    Row(f"stream of {SHORT} chunks, all gaps", "short", "all"),
    Row("chunk, all gaps", "chunk", "all", goal=1.2),
    Row("one of 200 concurrent async calls", "concurrent"),
)


class Process:
    """One candidate at work."""

    def __init__(self, candidate: Candidate, provider: str, *before: str) -> None:
        """Start it, under the command `before` if there is one."""
        settings = {"PYTHONHASHSEED": "0", "ANTHROPIC_OPEN_TELEMETRY": "false"}
        if "content" in candidate.words:
            settings["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
        if "masks" in candidate.words:
            settings["OTEL_GENAI_MASK"] = "keys,email,phone,card,iban,ip"
        if "all" in candidate.words:
            settings["OTEL_GENAI_STREAM_GAPS"] = "all"
        module = [candidate.python, "-m", "benchmarks.worker", candidate.name, provider]
        self._process = subprocess.Popen(  # noqa: S603 (the benchmark's own program)
            [*before, *module, *candidate.words.split()],
            cwd=ROOT,
            env={**clean(), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._line()

    def ask(self, command: str, work: str = "-", count: int = 1) -> Any:
        """Have it do something, and give its answer."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{command} {work} {count}\n")
            self._process.stdin.flush()
        return json.loads(self._line())

    def stop(self) -> None:
        """Let it end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(SECONDS)

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            msg = f"{' '.join(map(str, self._process.args))} ended"  # type: ignore[arg-type]  # a list
            raise RuntimeError(msg)
        return line


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """Have the processes that are started meanwhile share a core: none moves, and finds other caches."""
    everywhere = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if everywhere:
        os.sched_setaffinity(0, {max(everywhere)})
    try:
        yield
    finally:
        if everywhere:
            os.sched_setaffinity(0, everywhere)


def clean() -> dict[str, str]:
    """Give an environment without settings for OpenTelemetry, whose results nobody could repeat."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ANTHROPIC_"))}


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
