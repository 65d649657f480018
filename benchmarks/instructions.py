"""Instructions under callgrind: the number to compare commits by, the same on every run to a hundredth."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.processes import ROWS, Candidate, Process, Row
from benchmarks.workloads import LONG, SHORT

WARM = {"call": 60, "short": 8, "long": 1}
RUNS = {"call": (4, 14), "short": (1, 2, 5), "long": (1,)}
"""How often each is done; the difference of the last two leaves out what is around."""
COUNTED = tuple(row for row in ROWS if row.work in ("call", "short", "chunk") and row.words != "all")

Counts = dict[tuple[Candidate, str, int], int]
"""Instructions of a run of so much work."""


def available() -> bool:
    """Whether valgrind is installed."""
    return all(shutil.which(program) for program in ("valgrind", "vgdb"))


def counts(provider: str) -> Counts:
    """Count for all candidates, two at a time: how long it takes changes nothing."""
    plan: dict[Candidate, dict[str, None]] = {}
    for row in COUNTED:
        for name in row.names:
            plan.setdefault(row.who(name), {}).update(dict.fromkeys(_works(row)))
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda item: _count(provider, *item), plan.items())
    return {key: value for each in found for key, value in each.items()}


def taken(found: Counts, row: Row, name: str) -> float:
    """Give the instructions that a candidate takes per piece of work."""
    who = row.who(name)
    if row.is_slope:
        return (found[who, "long", 1] - found[who, "short", 1]) / (LONG - SHORT)
    few, many = RUNS[row.work][-2:]
    return (found[who, row.work, many] - found[who, row.work, few]) / (many - few)


def over_bare(found: Counts, row: Row, name: str) -> float:
    """Give the instructions that a candidate takes over the bare SDK."""
    return taken(found, row, name) - taken(found, row, "bare")


def added(found: Counts, row: Row) -> float:
    """Give the instructions that a setting of ours adds."""
    return taken(found, row, "ours") - taken(found, row.over or row, "ours")


def _works(row: Row) -> tuple[str, ...]:
    return ("short", "long") if row.is_slope else (row.work,)


def _count(provider: str, who: Candidate, works: dict[str, None]) -> Counts:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "out"
        # Counting starts when the work is warm: importing an SDK alone would take a minute.
        options = ("-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
        process = Process(who, provider, "valgrind", *options)
        for work in works:
            process.ask("time", work, WARM[work])
        _tell(process, "instrumentation", "on")
        found = {
            (who, work, count): _run(process, out, work, count) for work in works for count in RUNS[work]
        }
        process.stop()
    return found


def _run(process: Process, out: Path, work: str, count: int) -> int:
    """Do so much work and read how many instructions it took."""
    _tell(process, "zero")
    process.ask("time", work, count)
    _tell(process, "dump")
    dump = max(out.parent.glob(f"{out.name}.*"), key=lambda path: int(path.suffix[1:]))
    total = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
    return int(total.group(1)) if total else 0


def _tell(process: Process, *command: str) -> None:
    vgdb = ["vgdb", f"--pid={process.pid}", *command]
    subprocess.run(vgdb, check=True, capture_output=True, timeout=60)  # noqa: S603 (a fixed command)
