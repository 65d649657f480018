"""`make bench`: measures every candidate and writes RESULTS.md; QUICK=1 takes a minute, for a first look."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks import instructions, report
from benchmarks.processes import Candidate, say
from benchmarks.startup import NAMES, StartUp
from benchmarks.timing import Timing
from benchmarks.workloads import REQUESTS

RESULTS = Path(__file__).with_name("RESULTS.md")
QUICK = os.environ.get("QUICK") == "1"
SECONDS = 4 if QUICK else 30
"""For the rounds of one provider's processes."""
STARTS = 1 if QUICK else 3
"""How often the processes are started: at which addresses their code is, is a matter of luck."""


def providers() -> list[str]:
    """Name the providers that ours knows and that there is work for."""
    code = "from otel_genai.providers import REGISTRY; print(*REGISTRY)"
    command = [Candidate("ours").python, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (our own)
    return [name for name in run.stdout.split() if name in REQUESTS]


def measure(provider: str) -> str:
    """Measure one provider, and give its part of the results."""
    missed = report.Missed()
    run = Timing(provider, samples := {})
    run.run(SECONDS)
    for _ in range(1, STARTS):
        run.stop()
        run = Timing(provider, samples)
        run.run(SECONDS)
    parts = [report.timing(run, missed)]
    if instructions.available() and not QUICK:
        say(f"{provider}: counting instructions")
        parts.append(report.counted(provider, instructions.counts(provider), missed))
    parts += [report.profile(run, missed), report.differences(run)]
    run.stop()
    return "".join(parts)


def main() -> None:
    """Measure everything; what is known so far is written at once."""
    known = providers()
    text = report.head(quick=QUICK)
    for provider in known:
        text += measure(provider)
        RESULTS.write_text(text)
    run = StartUp(known, ("bare", "ours") if QUICK else NAMES)
    run.run(SECONDS * STARTS)
    RESULTS.write_text(text + report.startup(run))
    say(RESULTS.read_text())


if __name__ == "__main__":
    main()
