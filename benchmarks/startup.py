"""CPU time from start to end of `opentelemetry-instrument python -c ...`, with the SDKs installed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from time import monotonic

from benchmarks.processes import Candidate, clean, say
from benchmarks.timing import Cost

NAMES = ("bare", "ours", "official")
GOAL = 20.0
"""Milliseconds that ours may add where no SDK is used."""
SETTINGS = {
    **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
    "PYTHONHASHSEED": "0",
}
"""Exporters would add a start-up of their own to everybody's."""


class StartUp:
    """What each candidate adds to a program that does nothing, or only imports an SDK."""

    def __init__(self, providers: list[str], names: tuple[str, ...] = NAMES) -> None:
        """Plan: a program that uses no SDK, and one per SDK."""
        self.names = names
        self.programs = {
            "SDKs unused": "pass",
            **{f"`import {name}`": f"import {name}" for name in providers},
        }
        self.samples: dict[tuple[str, str], list[float]] = {}

    def run(self, seconds: float) -> None:
        """Go round until the time is over, and at least three times."""
        for program in self.programs:  # the first start compiles
            for name in self.names:
                self._start(name, program)
        began, rounds = monotonic(), 0
        while rounds < 3 or monotonic() - began < seconds:  # noqa: PLR2004 (a median of three)
            for program in self.programs:
                for name in self.names:
                    self.samples.setdefault((name, program), []).append(self._start(name, program))
            rounds += 1
        say(f"start-up: {rounds} rounds")

    def cost(self, name: str, program: str) -> Cost | None:
        """Give the milliseconds over the same without telemetry for SDKs; of that, what it takes itself."""
        if name not in self.names:
            return None
        each = self.samples[name, program]
        if name != "bare":
            bare = self.samples["bare", program]
            each = [spent - without for spent, without in zip(each, bare, strict=True)]
        return Cost.of(each)

    def _start(self, name: str, program: str) -> float:
        """Run a program, and give the CPU milliseconds that it and its children took."""
        python = Path(Candidate(name).python)
        command = [
            str(python.with_name("opentelemetry-instrument")),
            str(python),
            "-c",
            self.programs[program],
        ]
        process = os.posix_spawn(command[0], command, {**clean(), **SETTINGS})
        _, status, used = os.wait4(process, 0)
        if status:
            msg = f"{' '.join(command)} failed"
            raise RuntimeError(msg)
        return (used.ru_utime + used.ru_stime) * 1e3


def slowest_imports(count: int = 12) -> list[str]:
    """Name what ours imports at start-up that nobody else does, by own time."""
    with_ours, without = _imports("ours"), _imports("bare")
    extra = sorted(((own, name) for name, own in with_ours.items() if name not in without), reverse=True)
    return [f"{own / 1e3:7.2f} ms  {name}" for own, name in extra[:count]]


def _imports(name: str) -> dict[str, int]:
    python = Path(Candidate(name).python)
    command = [
        str(python.with_name("opentelemetry-instrument")),
        str(python),
        "-X",
        "importtime",
        "-c",
        "pass",
    ]
    environment = {**clean(), **SETTINGS}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 (the benchmark's own)
    lines = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", run.stderr, re.MULTILINE)
    return {module: int(own) for own, module in lines}
