"""Figures in the terminal: the metrics as tables, what calls cost by whose they were, amounts for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otel_genai import semconv as s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from otel_genai._otlp import Point

PREFIX = s.OPERATION_NAME.removesuffix("operation.name")
SEPARATOR = " · "
NONE = "-"
GAP = 2
THREE_DIGITS = 100
DURATIONS = ((60, "min", 1 / 60, 1), (1, "s", 1, 2), (0.01, "ms", 1e3, 0), (0.001, "ms", 1e3, 1))
"""From how many seconds on a duration is given in which unit, with how many decimals."""

WIDEST = 120
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
DOLLARS = s.COST.unit
A_MILLIONTH = 1e-6


def plain(*, header: bool = False) -> Table:
    """Give a table without lines."""
    return Table(box=None, show_header=header, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0))


NUMBERS: dict[str, tuple[int, Callable[[Point], str]]] = {
    "count": (6, lambda point: f"{point.count:,}" if point.count else ""),
    "sum": (9, lambda point: _amount(point.sum if point.value is None else point.value, point.unit)),
    "avg": (8, lambda point: _amount(point.sum and point.count and point.sum / point.count, point.unit)),
    "p50": (8, lambda point: _amount(_quantile(point, 0.5), point.unit)),
    "p95": (8, lambda point: _amount(_quantile(point, 0.95), point.unit)),
}
"""The columns of a metric, each with its width, so that the tables of all metrics align."""


def metrics(series: Iterable[Point], width: int) -> RenderableType:
    """Render the metrics, all processes together; what tells no rows apart is said once, at the end."""
    points = sorted(_merged(series), key=lambda point: (point.metric, list(_pairs(point).items())))
    groups = [list(group) for _, group in groupby(points, key=lambda point: point.metric)]
    if not groups:
        return Text("No metrics arrived.")
    shared = _shared(groups)
    heading = _numbers(min(width, WIDEST))
    heading.add_row(Text("Metrics", "bold"), *(Text(name, "dim") for name in NUMBERS))
    parts: list[RenderableType] = [heading]
    for group in groups:
        parts += _metric(group, shared, min(width, WIDEST))
    notes = ["p50 and p95 are estimates from the buckets."]
    if shared:
        pairs = ", ".join(f"{key}={value}" for key, value in shared.items())
        notes.append(f"Not shown, being the same everywhere: {pairs}.")
    return Group(*parts, Text("\n".join(notes), "dim"))


def bill(series: Iterable[Point]) -> Iterator[RenderableType]:
    """Render what calls cost by team, or whatever else of `context()` the counter has; else nothing."""
    points = [point for point in _merged(series) if point.metric == s.COST.name]
    for word, attribute in s.CONTEXT.items():
        spent: dict[str, float] = {}
        for point in points:
            whose = str(point.attributes.get(attribute, NONE))
            spent[whose] = spent.get(whose, 0) + (point.value or 0)
        if spent.keys() <= {NONE}:
            continue
        table = plain()
        table.add_column()
        table.add_column(justify="right")
        for whose, amount in (*sorted(spent.items()), ("all", sum(spent.values()))):
            table.add_row(Padding(Text(whose), (0, 0, 0, GAP)), "$" + money(amount))
        title = Text.assemble((f"Cost by {word}", "bold"), (f"  from {s.COST.name}, rounded", "dim"))
        yield Group(title, table)


def _metric(points: Sequence[Point], shared: dict[str, str], width: int) -> list[RenderableType]:
    given = Counter(key for point in points for key in _pairs(point) if key not in shared)
    keys = [key for key, _ in given.most_common()]
    about = [points[0].unit, "by " + ", ".join(keys) if keys else ""]
    table = _numbers(width)
    for point in points:
        pairs = _pairs(point)
        given_last = max((i for i, key in enumerate(keys, 1) if key in pairs), default=0)
        label = SEPARATOR.join(pairs.get(key, NONE) for key in keys[:given_last]) or (NONE if keys else "all")
        numbers = (cell(point) for _, cell in NUMBERS.values())
        table.add_row(Padding(Text(label), (0, 0, 0, GAP)), *numbers)
    title = Text.assemble((points[0].metric, "bold"), *((f"  {word}", "dim") for word in about if word))
    return [title, table]


def _numbers(width: int) -> Table:
    table = plain()
    table.width = width
    table.add_column(ratio=1)
    for wide, _ in NUMBERS.values():
        table.add_column(width=wide, justify="right", no_wrap=True)
    return table


def _shared(groups: Sequence[Sequence[Point]]) -> dict[str, str]:
    """The attributes that tell nothing apart: on every row of each metric that has them, with one value."""
    values: dict[str, set[str]] = {}
    for group in groups:
        rows = [_pairs(point) for point in group]
        for key in dict.fromkeys(key for row in rows for key in row):
            values.setdefault(key, set()).update(row.get(key, "") for row in rows)
    rows_with = Counter(key for group in groups for point in group for key in _pairs(point))
    return {key: found.pop() for key, found in values.items() if len(found) == 1 and rows_with[key] > 1}


def _merged(series: Iterable[Point]) -> Iterable[Point]:
    merged: dict[object, Point] = {}
    for point in series:
        key = identity(point)
        merged[key] = added(merged[key], point) if key in merged else point
    return merged.values()


def identity(point: Point) -> tuple[str, str]:
    """Tell one series of a process from another."""
    return point.metric, repr(sorted(point.attributes.items()))


def added(a: Point, b: Point) -> Point:
    """Two points of one series as one; a gauge keeps the later value."""
    if a.kind == "gauge":
        return max(a, b, key=lambda point: point.time)
    same = a.bounds == b.bounds
    return replace(
        b,
        value=_add(a.value, b.value),
        count=a.count + b.count,
        sum=_add(a.sum, b.sum),
        min=None if a.min is None or b.min is None else min(a.min, b.min),
        max=None if a.max is None or b.max is None else max(a.max, b.max),
        buckets=tuple(map(int.__add__, a.buckets, b.buckets)) if same else (),
    )


def _add(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def _pairs(point: Point) -> dict[str, str]:
    return {key.removeprefix(PREFIX): str(value) for key, value in point.attributes.items()}


def _quantile(point: Point, share: float) -> float | None:
    """Where that share of the measurements lies, taking them as spread evenly inside their bucket."""
    if not point.bounds or not sum(point.buckets):
        return None
    lowest = min(0.0, point.bounds[0]) if point.min is None else point.min
    highest = point.bounds[-1] if point.max is None else point.max
    edges = (lowest, *(min(max(bound, lowest), highest) for bound in point.bounds), highest)
    rank = share * sum(point.buckets)
    for count, (lower, upper) in zip(point.buckets, pairwise(edges), strict=False):
        if count and rank <= count:
            return lower + (upper - lower) * rank / count
        rank -= count
    return highest


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit in SECONDS:
        return seconds(value * SECONDS[unit])
    if unit == DOLLARS:
        return money(value)
    whole = value % 1 == 0 or abs(value) >= THREE_DIGITS
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def money(value: float) -> str:
    """Give an amount to the millionth, which is what a token costs: a large one to the hundredth."""
    if 0 < value < A_MILLIONTH / 2:
        return f"{value:.1g}"
    return f"{value:.6f}" if value < 1 else f"{value:.4f}" if value < THREE_DIGITS else f"{value:,.2f}"


def seconds(value: float) -> str:
    """Give a duration in a unit that fits it."""
    for least, unit, factor, decimals in DURATIONS:
        if abs(value) >= least:
            return f"{value * factor:.{decimals}f} {unit}"
    return f"{value * 1e6:.0f} µs"
