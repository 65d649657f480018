"""Writes RESULTS.md: every number next to its goal, and the profile of what is left where one is missed."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import instructions
from benchmarks.instructions import Counts
from benchmarks.processes import MASKED, NAMES, OFF, ON, PRICED, ROOT, ROWS, Row
from benchmarks.startup import GOAL, StartUp, slowest_imports
from benchmarks.timing import Cost, Timing

HEADER = """# Results

Written by `make bench`; `README.md` tells how to read it. Costs are over the bare SDK; *ours* and *official*
are also given in floors (x). Content on, maskers and prices are compared with the floor's content off.
"""
PROFILED = 200
NOISE = 0.01
"""Of a ratio of instructions: addresses differ from run to run, and with them the hashes of objects."""


class Missed(list[Row]):
    """The rows whose goal was missed: their profile is wanted."""


def head(*, quick: bool) -> str:
    """Say what was measured where."""
    python = PRICED.who("ours").python
    code = "from importlib.metadata import version as v; print(*(f'{p} {v(p)}' for p in "
    telemetry = ("otel-genai", "opentelemetry-sdk", "opentelemetry-instrumentation")
    packages = (*telemetry, "openai", "anthropic", "genai-prices")
    versions = _output(python, "-c", f"{code}{packages}), sep=', ')")
    commit = _output("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    lines = [
        HEADER,
        f"- {now}, commit {commit}{', QUICK: for a first look only' if quick else ''}",
        f"- {machine}, {_processor()}",
        f"- {versions}",
    ]
    return "\n".join(lines) + "\n"


def timing(run: Timing, missed: Missed) -> str:
    """Give the table of CPU times of one provider."""
    lines = [f"\n## {run.provider}: CPU time, µs\n", *_table(("bare SDK", *NAMES[1:], "x floor", "goal", ""))]
    floor_off = run.cost(OFF, "floor")
    for row in ROWS:
        costs = {name: run.cost(row, name) for name in NAMES}
        floor = floor_off if _is_extra(row) else costs["floor"]
        ratio = _ratio(costs["ours"], floor)
        verdict = _verdict(row, *ratio, missed)
        cells = [_cost(costs["bare"], sign=""), *(_cost(costs[name]) for name in NAMES[1:])]
        cells += [
            _times(ratio[0]) + _times(_ratio(costs["official"], floor)[0], " / {}"),
            _goal(row),
            verdict,
        ]
        lines.append(_line(row.title, cells))
    used = run.memory()
    cells = [
        f"{used['bare']:.1f} MB",
        *(f"+{used[name]:.1f} MB" if name in used else "" for name in NAMES[1:]),
    ]
    lines += [_line("peak memory", [*cells, "", "", ""]), ""]
    masked, priced = (_cost(run.added(row)) for row in (MASKED, PRICED))
    lines += _added(f"{masked} µs", f"{priced} µs, and {run.table:+.1f} MB of memory")
    return "\n".join(lines) + "\n"


def counted(provider: str, found: Counts, missed: Missed) -> str:
    """Give the table of instructions of one provider."""
    title = f"\n## {provider}: instructions under callgrind, thousands\n"
    lines = [title, *_table(("bare SDK", *NAMES[1:], "x floor", "goal", ""))]
    floor_off = instructions.over_bare(found, OFF, "floor")
    for row in instructions.COUNTED:
        costs = {name: instructions.over_bare(found, row, name) for name in row.names[1:]}
        floor = floor_off if _is_extra(row) else costs["floor"]
        ratios = {name: cost / floor for name, cost in costs.items()}
        bare = instructions.taken(found, row, "bare")
        cells = [f"{bare / 1e3:,.1f}"]
        cells += [f"+{costs[name] / 1e3:,.1f}" if name in costs else "" for name in NAMES[1:]]
        verdict = _verdict(row, ratios["ours"], NOISE, missed)
        cells += [_times(ratios["ours"]) + _times(ratios.get("official"), " / {}"), _goal(row), verdict]
        lines.append(_line(row.title, cells))
    masked, priced = (f"{instructions.added(found, row) / 1e3:+,.1f}" for row in (MASKED, PRICED))
    return "\n".join([*lines, "", *_added(masked, priced)]) + "\n"


def _is_extra(row: Row) -> bool:
    """Whether a row is the price of a setting: it is compared with the floor's call without any."""
    return row is ON or row.over is not None


def _added(masked: str, priced: str) -> list[str]:
    return [
        f"- the six built-in maskers add to a call with content on: {masked}",
        f"- prices add to a call with content off: {priced}",
    ]


def startup(run: StartUp) -> str:
    """Give the table of start-up, and what is imported where it takes too long."""
    lines = ["\n## Start-up under `opentelemetry-instrument`: CPU time, ms\n"]
    lines += _table(("without", "ours", "official", "goal", ""))
    late = False
    for program, code in run.programs.items():
        cells = [_cost(run.cost("bare", program), sign=""), *(_cost(run.cost(n, program)) for n in NAMES[2:])]
        goal = ["", ""]
        if code == "pass":
            cost = run.cost("ours", program)
            late = cost is not None and cost.middle > GOAL
            goal = [f"+{GOAL:.0f}", "**missed**" if late else "met"]
        lines.append(_line(program, [*cells, *goal]))
    if late:
        lines += [
            "\nImported by ours alone, by own time (`-X importtime`):\n",
            "```",
            *slowest_imports(),
            "```",
        ]
    return "\n".join(lines) + "\n"


def profile(run: Timing, rows: Iterable[Row]) -> str:
    """Give the profile of what is left where a goal was missed."""
    parts = []
    for row in rows:
        work = "long" if row.is_slope else row.work
        found = run.processes[row.who("ours")].ask("profile", work, PROFILED if work == "call" else 10)
        lines = [f"{own:8.1f} µs {calls:7.1f} calls  {place}" for own, calls, place in found]
        about = f"ours by own time (cProfile, which doubles it; per {work})"
        title = f"\n### {run.provider}, {row.title}: {about}\n"
        parts.append("\n".join([title, "```", *lines, "```"]))
    return "\n".join(parts) + "\n"


def differences(run: Timing) -> str:
    """Say in what the floor's telemetry differs from ours: the comparison is only as fair as that."""
    floor, ours, priced = (
        run.processes[who].ask("check") for who in (OFF.who("floor"), OFF.who("ours"), PRICED.who("ours"))
    )
    lines = [f"\nThe floor's and our telemetry for {run.provider} differ in:\n"]
    lines += [f"- only by {who}: {what}" for what, who in _unlike(ours, floor)] or ["- nothing"]
    lines.append("\nWith prices ours has besides:\n")
    lines += [f"- {what}" for what, who in _unlike(priced, ours) if who == "ours"] or ["- nothing"]
    return "\n".join(lines) + "\n"


def _unlike(ours: dict[str, dict[str, object]], floor: dict[str, dict[str, object]]) -> list[tuple[str, str]]:
    found = []
    for key in {**ours, **floor}:
        if key not in ours or key not in floor:
            found.append((f"the metric `{key}`", "ours" if key in ours else "the floor"))
        elif ours[key] != floor[key]:
            found += [(f"{key}: {value}", who) for value, who in _values(ours[key], floor[key])]
    return found


def _values(ours: object, floor: object) -> list[tuple[str, str]]:
    flat = [_flat(each) for each in (ours, floor)]
    return [
        (f"`{name}` = {value!r}", who)
        for who, mine, other in (("ours", flat[0], flat[1]), ("the floor", flat[1], flat[0]))
        for name, value in mine.items()
        if other.get(name) != value
    ]


def _flat(given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        return {"points": given}
    attributes = given.get("attributes")
    return {**given, "attributes": None, **attributes} if isinstance(attributes, dict) else given


def _ratio(cost: Cost | None, floor: Cost | None) -> tuple[float | None, float]:
    """Give a ratio and how far off it may be."""
    if cost is None or floor is None or floor.middle <= 0:
        return None, 0.0
    ratio = cost.middle / floor.middle
    return ratio, abs(cost.error / floor.middle) + abs(ratio * floor.error / floor.middle)


def _verdict(row: Row, ratio: float | None, error: float, missed: Missed) -> str:
    if row.goal is None:
        return ""
    if ratio is None or abs(ratio - row.goal) < error:
        return "too close to tell"
    if ratio <= row.goal:
        return "met"
    if row not in missed:
        missed.append(row)
    return "missed, may ship" if row.ships and ratio <= row.ships else "**missed**"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    return f"{row.goal} (ships at {row.ships})" if row.ships else f"{row.goal}"


def _cost(cost: Cost | None, sign: str = "+") -> str:
    if cost is None:
        return ""
    digits = 1 if abs(cost.middle) < 20 else 0  # noqa: PLR2004 (three figures are enough)
    return f"{cost.middle:{sign}.{digits}f} ± {cost.error:.{digits}f}"


def _times(ratio: float | None, form: str = "{}") -> str:
    return "" if ratio is None else form.format(f"{ratio:.2f}")


def _table(columns: Sequence[str]) -> list[str]:
    return [_line("", columns), "|---|" + "---:|" * len(columns)]


def _line(title: str, cells: Iterable[str]) -> str:
    return "| " + " | ".join([title, *cells]) + " |"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 (fixed commands)
