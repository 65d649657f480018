"""What a receiver got, in the terminal: each trace as a tree, and in the end the metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group
from rich.measure import Measurement
from rich.text import Text

from otel_genai import semconv as s
from otel_genai._figures import GAP, SEPARATOR, added, bill, identity, metrics, money, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType
    from rich.table import Table

    from otel_genai._otlp import Point, Span
    from otel_genai._receiver import Received, Receiver

STEP = 0.2
QUIET = 1.0
"""Seconds without a new span after which a trace whose root has arrived is taken as complete."""

PATIENCE = 10.0
"""The same for a trace without a root: its caller may send spans elsewhere."""

OK = "ok"
NANOSECONDS = 1e9


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
    for costs in bill(arrived.series.values()):
        console.print("", costs, sep="\n")


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
            key = (*identity(point), repr(point.resource), None if delta else point.start)
            self.series[key] = added(self.series[key], point) if delta and key in self.series else point

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
    return "" if waited is None else seconds(waited)


def _cost(span: Span) -> str:
    amount, currency = _number(span, s.USAGE_COST_AMOUNT), span.attributes.get(s.USAGE_COST_CURRENCY, s.USD)
    if amount is None:
        return ""
    return f"${money(amount)}" if currency == s.USD else f"{money(amount)} {currency}"


def _team(span: Span) -> str:
    return str(span.attributes.get(s.TEAM, ""))


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
    _Fact("Cost", _cost, right=True),
    _Fact("First\nchunk", _first_chunk, "first chunk ", right=True),
    _Fact("Outcome", _outcome),
    _Fact("Team", _team, "team "),
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
            took = seconds((span.end - span.start) / NANOSECONDS)
            yield _Row(span, indent + branch, indent + below + under, took)
            yield from rows(span.span_id, indent + below)

    return rows("", "")


def _wide(rows: Sequence[_Row]) -> Table:
    table = plain(header=True)
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
    table = plain()
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
