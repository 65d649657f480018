"""What a receiver got, in the terminal: each trace as a tree, the metrics as tables."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from rich.console import Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otel_genai import semconv as s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from otel_genai._otlp import Point, Span
    from otel_genai._receiver import Received, Receiver

STEP = 0.2
QUIET = 1.0
"""Seconds without a new span after which a trace whose root has arrived is taken as complete."""

PATIENCE = 10.0
"""The same for a trace without a root: its caller may send spans elsewhere."""

PREFIX = s.OPERATION_NAME.removesuffix("operation.name")
SEPARATOR = " · "
NONE = "-"
OK = "ok"
GAP = 2
THREE_DIGITS = 100
DURATIONS = ((60, "min", 1 / 60, 1), (1, "s", 1, 2), (0.01, "ms", 1e3, 0), (0.001, "ms", 1e3, 1))
"""From how many seconds on a duration is given in which unit, with how many decimals."""

WIDEST = 120
NANOSECONDS = 1e9
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def view(receiver: Receiver, console: Console, follow: Callable[[], bool] = lambda: False) -> None:
    """Print each trace when it is complete, and at the end what is left and the metrics.

    Args:
        receiver: where the telemetry arrives; everything is taken out of it.
        console: where to print.
        follow: whether to go on waiting for more; asked several times a second.
    """
    arrived = _Arrived()
    while follow():
        receiver.wait_for(lambda: receiver.spans, STEP)
        arrived.add(receiver.take())
        for spans in arrived.complete(time.monotonic()):
            console.print(trace(spans, console), "")
    arrived.add(receiver.take())
    for spans in arrived.complete(float("inf")):
        console.print(trace(spans, console), "")
    console.print(metrics(arrived.series.values(), console.width))


@dataclass(slots=True)
class _Arrived:
    """The traces not printed yet, with the time of their last span, and the state of every metric series."""

    traces: dict[str, tuple[list[Span], float]] = field(default_factory=dict)
    series: dict[object, Point] = field(default_factory=dict)

    def add(self, received: Received) -> None:
        now = time.monotonic()
        for span in received.spans:
            spans, _ = self.traces.get(span.trace_id, ([], now))
            spans.append(span)
            self.traces[span.trace_id] = spans, now
        for point in received.points:
            delta = point.temporality == "DELTA"
            # A cumulative series that starts anew is another run of the program: both count.
            key = (*_identity(point), repr(point.resource), None if delta else point.start)
            self.series[key] = _sum(self.series[key], point) if delta and key in self.series else point

    def complete(self, now: float) -> Iterator[list[Span]]:
        for trace_id, (spans, last) in list(self.traces.items()):
            rooted = any(not span.parent_id for span in spans)
            if now - last >= (QUIET if rooted else PATIENCE):
                del self.traces[trace_id]
                yield spans


@dataclass(frozen=True, slots=True)
class _Fact:
    """A column of the wide form; folded, its cell gets a word before it and one inside its parentheses."""

    title: str
    cell: Callable[[Span], str]
    before: str = ""
    inside: str = ""
    right: bool = False

    def folded(self, span: Span) -> str:
        cell = self.cell(span)
        return cell and self.before + cell.replace(")", self.inside + ")")


def _tokens(total: str, part: str) -> Callable[[Span], str]:
    def cell(span: Span) -> str:
        count, inside = _number(span, total), _number(span, part)
        return "" if count is None else f"{count:,} ({inside:,})" if inside else f"{count:,}"

    return cell


def _model(span: Span) -> str:
    return str(span.attributes.get(s.RESPONSE_MODEL) or span.attributes.get(s.REQUEST_MODEL, ""))


def _number(span: Span, attribute: str) -> float | None:
    value = span.attributes.get(attribute)  # of any program, so of any type
    return value if isinstance(value, int | float) else None


def _first_chunk(span: Span) -> str:
    waited = _number(span, s.RESPONSE_TIME_TO_FIRST_CHUNK)
    return "" if waited is None else _seconds(waited)


def _outcome(span: Span) -> str:
    if _failed(span):
        return str(span.attributes.get(s.ERROR_TYPE, "error"))
    reasons = span.attributes.get(s.RESPONSE_FINISH_REASONS, OK)
    return ", ".join(map(str, reasons)) if isinstance(reasons, list) else str(reasons)


FACTS = (
    _Fact("Model", _model),
    _Fact(
        "In\n(cached)",
        _tokens(s.USAGE_INPUT_TOKENS, s.USAGE_CACHE_READ_INPUT_TOKENS),
        "in ",
        " cached",
        right=True,
    ),
    _Fact(
        "Out\n(reasoning)",
        _tokens(s.USAGE_OUTPUT_TOKENS, s.USAGE_REASONING_OUTPUT_TOKENS),
        "out ",
        " reasoning",
        right=True,
    ),
    _Fact("First\nchunk", _first_chunk, "first chunk ", right=True),
    _Fact("Outcome", _outcome),
)


def _style(fact: _Fact, span: Span) -> str:
    return "bold red" if fact.cell is _outcome and _failed(span) else ""


def _failed(span: Span) -> bool:
    return span.status == "ERROR" or s.ERROR_TYPE in span.attributes


@dataclass(frozen=True, slots=True)
class _Row:
    """A span in its place: its branch of the tree, what continues below it, and how long it took."""

    span: Span
    branch: str
    below: str
    took: str


def trace(spans: Iterable[Span], console: Console) -> RenderableType:
    """Render one trace: a column for each fact where they fit, else the facts folded into lines."""
    rows = list(_tree(sorted(spans, key=lambda span: span.start)))
    services = dict.fromkeys(str(row.span.resource.get("service.name", "")) for row in rows)
    about = [*filter(None, services), "1 span" if len(rows) == 1 else f"{len(rows)} spans"]
    title = Text.assemble(("Trace " + rows[0].span.trace_id, "bold"), *(SEPARATOR + word for word in about))
    wide = _wide(rows)
    fits = Measurement.get(console, console.options.update(max_width=10_000), wide).maximum <= console.width
    return Group(title, wide if fits else _folded(rows, console.width))


def _tree(spans: Sequence[Span]) -> Iterator[_Row]:
    ids = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in ids else "", []).append(span)

    def rows(parent: str, indent: str) -> Iterator[_Row]:
        siblings = children.get(parent, [])
        for span in siblings:
            last = span is siblings[-1]
            branch, below = ("", "") if not parent else ("└─ ", "   ") if last else ("├─ ", "│  ")
            under = "│" if span.span_id in children else ""
            took = _seconds((span.end - span.start) / NANOSECONDS)
            yield _Row(span, indent + branch, indent + below + under, took)
            yield from rows(span.span_id, indent + below)

    return rows("", "")


def _table(*, header: bool = False) -> Table:
    return Table(box=None, show_header=header, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0))


def _wide(rows: Sequence[_Row]) -> Table:
    table = _table(header=True)
    facts = [fact for fact in FACTS if any(fact.cell(row.span) for row in rows)]
    table.add_column("Span", vertical="bottom", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    for fact in facts:
        table.add_column(fact.title, justify="right" if fact.right else "left", no_wrap=True)
    for row in rows:
        cells = (Text(fact.cell(row.span), _style(fact, row.span)) for fact in facts)
        table.add_row(_name(row), row.took, *cells)
    return table


def _folded(rows: Sequence[_Row], width: int) -> Table:
    table = _table()
    longest = max(len(row.branch + row.span.name) for row in rows)
    name, took = min(longest, width // 2), max(len(row.took) for row in rows)
    table.add_column(width=name, no_wrap=True)
    table.add_column(width=took, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for row in rows:
        facts = _lines(row.span, width - name - took - 2 * GAP)
        table.add_row(_name(row, len(facts)), row.took, Text("\n").join(facts))
    return table


def _name(row: _Row, height: int = 1) -> Text:
    return Text("\n").join([Text(row.branch + row.span.name), *[Text(row.below)] * (height - 1)])


def _lines(span: Span, width: int) -> list[Text]:
    lines: list[Text] = []
    for fact in FACTS:
        text = Text(fact.folded(span), _style(fact, span))
        # The name says the model already; and that it went well need not be said beside other facts.
        if not text or span.name.endswith(f" {text}") or (text.plain == OK and lines):
            continue
        if lines and len(lines[-1]) + len(SEPARATOR) + len(text) <= width:
            lines[-1] = Text.assemble(lines[-1], SEPARATOR, text)
        else:
            lines.append(text)
    return lines


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


def _metric(points: Sequence[Point], shared: dict[str, str], width: int) -> list[RenderableType]:
    given = Counter(key for point in points for key in _pairs(point) if key not in shared)
    keys = [key for key, _ in given.most_common()]
    about = [points[0].unit, "by " + ", ".join(keys) if keys else ""]
    table = _numbers(width)
    for point in points:
        pairs = _pairs(point)
        given_last = max((i for i, key in enumerate(keys, 1) if key in pairs), default=0)
        label = SEPARATOR.join(pairs.get(key, NONE) for key in keys[:given_last]) or "all"
        numbers = (cell(point) for _, cell in NUMBERS.values())
        table.add_row(Padding(Text(label), (0, 0, 0, GAP)), *numbers)
    title = Text.assemble((points[0].metric, "bold"), *((f"  {word}", "dim") for word in about if word))
    return [title, table]


def _numbers(width: int) -> Table:
    table = _table()
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
        key = _identity(point)
        merged[key] = _sum(merged[key], point) if key in merged else point
    return merged.values()


def _identity(point: Point) -> tuple[str, str]:
    return point.metric, repr(sorted(point.attributes.items()))


def _sum(a: Point, b: Point) -> Point:
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
        return _seconds(value * SECONDS[unit])
    whole = value % 1 == 0 or abs(value) >= THREE_DIGITS
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def _seconds(value: float) -> str:
    for least, unit, factor, decimals in DURATIONS:
        if abs(value) >= least:
            return f"{value * factor:.{decimals}f} {unit}"
    return f"{value * 1e6:.0f} µs"
