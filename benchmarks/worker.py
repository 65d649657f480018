"""One candidate in a process of its own: does the work that standard input names, answers how long it took.

`python -m benchmarks.worker CANDIDATE PROVIDER [content] [masks] [cost] [all]`, then lines such as `call 20`.
"""

from __future__ import annotations

import cProfile
import gc
import importlib
import json
import pstats
import resource
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.workloads import Workloads

OFFICIAL = {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}
OURS = ("otel_genai", "opentelemetry")
"""Where the cost of telemetry is: the packages whose functions a profile shows."""
TIMES = ("gen_ai.response.time_to_first_chunk", "otel_genai.longest_gap")
"""Attributes whose values are never twice the same."""


class Drop(SpanProcessor):
    """Takes spans and does nothing with them."""


class Candidate:
    """An SDK with what is measured around it, or nothing; the providers are there in any case."""

    def __init__(self, name: str, provider: str, words: list[str]) -> None:
        """Set everything up."""
        self.settle: Callable[[], Any] = bool  # most have nothing that is done later
        self.reader = InMemoryMetricReader()
        self.traces, self.metrics = TracerProvider(), MeterProvider([self.reader])
        self.traces.add_span_processor(Drop())
        given: Any = {
            "tracer_provider": self.traces,
            "meter_provider": self.metrics,
            "logger_provider": LoggerProvider(),
        }
        floor = None
        if name == "floor":
            floors = importlib.import_module("benchmarks.floor").FLOORS
            gaps = None if "all" in words else 16
            floor = floors[provider](self.traces, self.metrics, content="content" in words, gaps=gaps)
        elif name == "ours":
            ours = importlib.import_module("otel_genai")
            ours.instrument(provider, **given)
            self.settle = ours.flush
        elif name == "official":
            module = importlib.import_module(f"opentelemetry.instrumentation.genai.{provider}")
            getattr(module, OFFICIAL[provider])().instrument(**given)
        self.work = Workloads(provider, floor)

    def time(self, name: str, count: int) -> float:
        """Give the CPU seconds of so many; cycles left behind are paid for by who made them."""
        work: Callable[[], float | None] = getattr(self.work, name)
        gc.disable()
        for _ in range(2 if count > 1 else 0):  # others have run since: their data fill the caches
            work()
        gc.collect()
        own = 0.0
        began = process_time()
        for _ in range(count):
            own += work() or 0.0
        gc.collect()
        return own or process_time() - began

    def profile(self, name: str, count: int) -> list[tuple[float, float, str]]:
        """Give telemetry's functions by own time: microseconds and calls per piece of work, and the name."""
        work = getattr(self.work, name)
        gc.disable()
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(count):
            work()
        profiler.disable()
        rows = []
        entries: Any = pstats.Stats(profiler)
        for (path, line, function), (_, calls, own, _, _) in entries.stats.items():
            place = next((path[path.rfind(package) :] for package in OURS if f"/{package}/" in path), None)
            if place is not None:
                rows.append((own / count * 1e6, calls / count, f"{place}:{line} {function}"))
        return sorted(rows, reverse=True)[:15]

    def check(self, *_: Any) -> dict[str, Any]:
        """Say what is emitted for a call and for a stream: the attributes' values, but for times."""
        exporter = InMemorySpanExporter()
        self.traces.add_span_processor(SimpleSpanProcessor(exporter))
        self.work.call()
        self.work.short()
        found: dict[str, Any] = {}
        for way, span in zip(("call", "stream"), exporter.get_finished_spans(), strict=True):
            attributes = span.attributes or {}
            told = {key: "a time" if key in TIMES else value for key, value in attributes.items()}
            found[way] = {"name": span.name, "kind": span.kind.name, "attributes": told}
        data = self.reader.get_metrics_data()
        for resource_metrics in data.resource_metrics if data else ():
            for metric in (metric for scope in resource_metrics.scope_metrics for metric in scope.metrics):
                found[metric.name] = [sorted(point.attributes or ()) for point in metric.data.data_points]
        return found

    def memory(self, *_: Any) -> int:
        """Give the most memory that was in use so far, in kB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(name: str, provider: str, *words: str) -> None:
    """Serve until the input ends."""
    candidate = Candidate(name, provider, list(words))
    candidate.work.call()
    candidate.settle()  # what a thread imports stays, too: no collection should go through it again
    candidate.work.short()
    gc.collect()
    gc.freeze()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        command, work, count = line.split()
        answer = getattr(candidate, command)(work, int(count))
        sys.stdout.write(json.dumps(answer, default=list) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
