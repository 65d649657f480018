"""A file of log lines summed up: calls, latency, tokens, cost, what failed and what stands out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import mean, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from otel_genai import semconv as s
from otel_genai._figures import SEPARATOR, money, plain, seconds
from otel_genai.jsonlog import DURATION

Line = Mapping[str, Any]

GROUPS = {"model": (s.OPERATION_NAME, s.PROVIDER_NAME), **{word: (key,) for word, key in s.CONTEXT.items()}}
"""By what calls can be grouped -> the attributes that tell the groups apart."""
ENOUGH = 8
"""Calls of a group from which on one can stand out from the others."""
FENCE = 3.0
"""How many interquartile ranges above the upper quartile a call lies that stands out (Tukey's far out)."""
SHOWN = 10
NONE = "-"
_TARGETS = (s.REQUEST_MODEL, s.RESPONSE_MODEL, s.TOOL_NAME, s.AGENT_NAME, s.WORKFLOW_NAME, s.DATA_SOURCE_ID)
_LOGGED = {"time", "level", "logger", "message"}
"""What each line of `jsonlog` has."""


@dataclass(slots=True)
class Group:
    """The calls of one kind.

    Attributes:
        calls: how many.
        outcomes: how many ended how, but for those that were completed.
        seconds: p50, p95, p99 and the longest.
        tokens: in and out, of the calls that told them; None where none did.
        cost: US dollars, of the calls that have one; None where none has.
    """

    calls: int
    outcomes: dict[str, int]
    seconds: dict[str, float]
    tokens: dict[str, int | None]
    cost: float | None


@dataclass(slots=True)
class Outlier:
    """A call that took, or cost, far more than others of its group; `times` the median."""

    what: str
    group: str
    value: float
    times: float
    trace_id: str
    conversation: str | None


@dataclass(slots=True)
class Report:
    """What a file says; times are those of the first and the last call, as written in it.

    Of its lines, those are known that `jsonlog` writes, and those are unread that are no JSON object.
    """

    calls: int = 0
    lines: int = 0
    known: int = 0
    unread: int = 0
    unpriced: int = 0
    traces: int = 0
    first: str = ""
    last: str = ""
    groups: dict[str, Group] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    outliers: list[Outlier] = field(default_factory=list)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


def read(lines: Iterable[str], by: str = "model") -> Report:
    """Sum up.

    Args:
        lines: of a log file; what is no JSON object is counted as unread, other lines than calls' are passed.
        by: a key of `GROUPS`.
    """
    report = Report()
    calls: list[Line] = []
    scores: dict[str, list[Line]] = defaultdict(list)
    for line in _objects(lines, report):
        if s.EVALUATION_NAME in line:
            scores[str(line[s.EVALUATION_NAME])].append(line)
        elif s.OPERATION_NAME in line and isinstance(line.get(DURATION), (int, float)):
            calls.append(line)
        elif not line.keys() >= _LOGGED:
            continue
        report.known += 1
    _count(report, calls)
    grouped: dict[str, list[Line]] = defaultdict(list)
    for call in calls:
        grouped[_group(call, by)].append(call)
    for name in sorted(grouped):
        report.groups[name] = _summed(grouped[name])
        report.outliers += _outliers(name, grouped[name])
    report.outliers.sort(key=lambda one: -one.times)
    report.scores = {name: _scored(found) for name, found in sorted(scores.items())}
    return report


def _objects(lines: Iterable[str], report: Report) -> Iterator[Line]:
    for text in lines:
        if not text.strip():
            continue
        report.lines += 1
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict):
            yield line
        else:
            report.unread += 1


def _count(report: Report, calls: list[Line]) -> None:
    report.calls = len(calls)
    report.traces = len({call.get("trace_id") for call in calls})
    times = sorted(str(call["time"]) for call in calls if "time" in call)
    report.first, report.last = (times[0], times[-1]) if times else ("", "")
    report.errors = dict(Counter(str(call[s.ERROR_TYPE]) for call in calls if s.ERROR_TYPE in call))
    report.unpriced = sum(
        _is_of_a_model(call) and s.USAGE_INPUT_TOKENS in call and s.USAGE_COST_AMOUNT not in call
        for call in calls
    )


def _is_of_a_model(call: Line) -> bool:
    """Whether tokens and cost are the call's own: an agent's may be the sum of those of its calls."""
    return call[s.OPERATION_NAME] in s.MODEL_CALLS


def _group(call: Line, by: str) -> str:
    parts = [str(call.get(key, NONE)) for key in GROUPS[by]]
    if by == "model":
        parts = [part for part in parts if part != NONE]
        parts += [str(call[key]) for key in _TARGETS if key in call][:1]
    return " ".join(parts)


def _summed(calls: list[Line]) -> Group:
    outcomes = Counter(str(call[s.OUTCOME]) for call in calls if s.OUTCOME in call)
    own = [call for call in calls if _is_of_a_model(call)]
    return Group(
        calls=len(calls),
        outcomes=dict(outcomes),
        seconds=_spread([float(call[DURATION]) for call in calls]),
        tokens={"in": _sum(own, s.USAGE_INPUT_TOKENS), "out": _sum(own, s.USAGE_OUTPUT_TOKENS)},
        cost=_sum(own, s.USAGE_COST_AMOUNT),
    )


def _numbers(calls: list[Line], key: str) -> list[Any]:
    given = [call.get(key) for call in calls]
    return [value for value in given if isinstance(value, (int, float)) and not isinstance(value, bool)]


def _sum(calls: list[Line], key: str) -> Any:
    numbers = _numbers(calls, key)
    return sum(numbers) if numbers else None


def _spread(values: list[float]) -> dict[str, float]:
    """Give percentiles; of a single value they are all that value."""
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}


def _outliers(group: str, calls: list[Line]) -> Iterator[Outlier]:
    for what, key in (("seconds", DURATION), ("cost", s.USAGE_COST_AMOUNT)):
        values = _numbers(calls, key)
        if len(values) < ENOUGH:
            continue
        lower, median, upper = quantiles(values, n=4, method="inclusive")
        fence = upper + FENCE * (upper - lower)
        for call in calls:
            value = call.get(key)
            if isinstance(value, (int, float)) and value > fence and median > 0:
                yield Outlier(
                    what,
                    group,
                    float(value),
                    value / median,
                    str(call.get("trace_id", NONE)),
                    call.get(s.CONVERSATION_ID),
                )


def _scored(lines: list[Line]) -> dict[str, Any]:
    """Say how often something was evaluated, the mean of its scores and how often each label was given."""
    scores = _numbers(lines, s.EVALUATION_SCORE_VALUE)
    labels = Counter(
        str(line[s.EVALUATION_SCORE_LABEL]) for line in lines if s.EVALUATION_SCORE_LABEL in line
    )
    return {"results": len(lines), "mean": mean(scores) if scores else None, "labels": dict(labels)}


def print_json(report: Report) -> None:
    """Print all of it as one JSON object."""
    print(json.dumps(asdict(report), indent=2))  # noqa: T201 (for other programs)


def show(report: Report, console: Console | None = None) -> None:
    """Print it for people."""
    out = console or Console()
    between = f", {report.first} to {report.last}" if report.calls else ""
    calls, traces = _many(report.calls, "call"), _many(report.traces, "trace")
    out.print(f"[bold]{calls}[/] in {traces}{between}", highlight=False)
    if report.groups:
        out.print("", _groups(report.groups))
    outcomes: Counter[str] = Counter()
    for group in report.groups.values():
        outcomes.update(group.outcomes)
    for title, table in (
        ("Not completed", _counted(outcomes)),
        ("Errors", _counted(report.errors)),
        ("Stand out", _standing_out(report.outliers)),
        ("Evaluations", _scores(report.scores)),
    ):
        if table.row_count:
            out.print(f"\n[bold]{title}[/]", table)
    if report.unpriced:
        told = _many(report.unpriced, "call of a model has", "calls of models have")
        lines = "its line" if report.unpriced == 1 else "their lines"
        out.print(f"\n{told} tokens, but no price on {lines}.", style="dim")
    if report.unread:
        left = _many(report.unread, "line is no JSON and was", "lines are no JSON and were")
        out.print(f"\n{left} left out.", style="dim")


def _many(count: int, one: str, more: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def _table(*columns: str) -> Table:
    table = plain(header=True)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=bool(index))
    return table


def _groups(groups: Mapping[str, Group]) -> Table:
    table = _table("", "calls", "not ok", "p50", "p95", "max", "in", "out", "cost")
    for name, group in groups.items():
        table.add_row(
            name,
            f"{group.calls:,}",
            f"{sum(group.outcomes.values()):,}" if group.outcomes else "",
            *(seconds(group.seconds[share]) for share in ("p50", "p95", "max")),
            *("" if count is None else f"{count:,}" for count in group.tokens.values()),
            "" if group.cost is None else "$" + money(group.cost),
        )
    return table


def _counted(counts: Mapping[str, int]) -> Table:
    table = _table("", "calls")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{count:,}")
    return table


def _standing_out(outliers: list[Outlier]) -> Table:
    table = _table("", "took or cost", "of the median", "trace", "conversation")
    for one in outliers[:SHOWN]:
        value = "$" + money(one.value) if one.what == "cost" else seconds(one.value)
        table.add_row(one.group, value, f"{one.times:.1f} x", one.trace_id, one.conversation or "")
    return table


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("", "results", "mean score", "labels")
    for name, found in scores.items():
        labels = SEPARATOR.join(f"{count} {label}" for label, count in found["labels"].items())
        table.add_row(
            name, f"{found['results']:,}", "" if found["mean"] is None else f"{found['mean']:.2f}", labels
        )
    return table
