"""What the hooks of frameworks and vector stores cost: bare, by hand and ours in turn, in one process.

    .venv-frameworks/bin/python -m benchmarks.frameworks [seconds]

Writes FRAMEWORKS.md.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

import otel_genai

RESULTS = Path(__file__).with_name("FRAMEWORKS.md")
SECONDS = 20.0
"""For each of the works."""
CALLS = 20
"""In one batch; bare, floor and ours take turns."""
SIZE, POINTS = 8, 100

Work = Callable[[], Any]

tracer_provider = TracerProvider(shutdown_on_exit=False)
tracer_provider.add_span_processor(otel_genai.ContextProcessor())
meter_provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
tracer = tracer_provider.get_tracer("by hand")
duration = meter_provider.get_meter("by hand").create_histogram("duration", unit="s")


@contextmanager
def by_hand(operation: str, kind: SpanKind, **attributes: Any) -> Iterator[None]:
    """Tell one operation as a careful programmer would: a span with its attributes, and its duration."""
    known = {
        "gen_ai.operation.name": operation,
        **{key.replace("__", "."): attributes[key] for key in attributes},
    }
    started = perf_counter()
    with tracer.start_as_current_span(" ".join(map(str, known.values())), kind=kind, attributes=known):
        yield
    duration.record(perf_counter() - started, known)


def chain() -> tuple[Work, Work]:
    """Give a prompt and a model that answers at once, run by LangChain: a workflow and a call of a model."""
    runnable = ChatPromptTemplate.from_messages([("user", "{question}")]) | FakeListChatModel(
        responses=["Yes."]
    )
    asked = {"question": "Is it?"}

    def hand() -> None:
        with (
            by_hand("invoke_workflow", SpanKind.INTERNAL, gen_ai__workflow__name="RunnableSequence"),
            by_hand("chat", SpanKind.CLIENT, gen_ai__provider__name="fake", gen_ai__request__model="fake"),
        ):
            runnable.invoke(asked)

    return lambda: runnable.invoke(asked), hand


def tools() -> tuple[Work, Work]:
    """Give a tool that adds, run by LangChain."""

    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    asked = {"a": 1, "b": 2}

    def hand() -> None:
        with by_hand(
            "execute_tool", SpanKind.INTERNAL, gen_ai__tool__name="add", gen_ai__tool__type="function"
        ):
            add.invoke(asked)

    return lambda: add.invoke(asked), hand


def search() -> tuple[Work, Work]:
    """Give a search among a hundred points of Qdrant's, in this process."""
    store = QdrantClient(":memory:")
    store.create_collection("shelf", vectors_config=VectorParams(size=SIZE, distance=Distance.COSINE))
    points = [PointStruct(id=n, vector=[float((n * m) % 7 + 1) for m in range(SIZE)]) for n in range(POINTS)]
    store.upsert("shelf", points)
    asked = [1.0] * SIZE

    def hand() -> None:
        with by_hand(
            "retrieval", SpanKind.CLIENT, gen_ai__data_source__id="shelf", gen_ai__retrieval__top_k=5
        ):
            store.query_points("shelf", query=asked, limit=5)

    return lambda: store.query_points("shelf", query=asked, limit=5), hand


WORKS = {
    "LangChain: prompt and model": chain,
    "LangChain: a tool": tools,
    "Qdrant: a search in memory": search,
}


def batch(work: Work) -> float:
    """Give the CPU seconds of one call, of many in a row."""
    gc.collect()
    gc.disable()
    started = process_time()
    for _ in range(CALLS):
        work()
    spent = process_time() - started
    gc.enable()
    return spent / CALLS


def measured(bare: Work, hand: Work, seconds: float) -> tuple[float, float, float]:
    """Give the CPU seconds of a call bare, and what hand-written telemetry and ours cost over it."""
    rounds: list[tuple[float, float, float]] = []
    ends = perf_counter() + seconds
    while perf_counter() < ends or len(rounds) < 3:  # noqa: PLR2004 (the first is thrown away)
        plain, floor = batch(bare), batch(hand)
        otel_genai.instrument(
            "langchain", "qdrant", tracer_provider=tracer_provider, meter_provider=meter_provider
        )
        bare()  # what is made at the first call is no part of the others
        ours = batch(bare)
        otel_genai.uninstrument()
        rounds.append((plain, floor - plain, ours - plain))
    plains, floors, mine = zip(*rounds[1:], strict=True)
    return median(plains), median(floors), median(mine)


def main() -> None:
    """Measure everything, and write the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    lines = [
        "# What frameworks' hooks cost",
        "",
        "CPU time of one call in microseconds, medians; what is over bare, and the ratio to telemetry by",
        "hand: the same spans with fewer attributes, and a duration. What LangChain does for any callback is",
        "in ours. Made by `make bench`.",
        "",
        "| | bare | by hand, over bare | ours, over bare | x by hand |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, make in WORKS.items():
        plain, floor, ours = measured(*make(), seconds)
        figures = " | ".join(f"{value * 1e6:.0f}" for value in (plain, floor, ours))
        lines.append(f"| {name} | {figures} | {ours / floor:.2f} |")
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
