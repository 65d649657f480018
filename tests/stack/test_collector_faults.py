"""Faults of the one-machine Collector: whatever was accepted is stored in the end, with nobody's help."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from e2e.backends import eventually
from single import Collector, Jaeger, Prometheus, all_of, attributes, ids, span, traces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVICE = "faults"
NUMBERS = itertools.count(1)
TEXT = attributes({"said": "word " * 200})


def some(count: int, size: int = 1) -> list[Span]:
    """Make spans that nobody has made before, of about a kilobyte each for every `size`."""
    text = TEXT if size == 1 else attributes({"said": "word " * 200 * size})
    return [span(next(NUMBERS), attributes=text) for _ in range(count)]


def stored(jaeger: Jaeger, accepted: set[str]) -> None:
    """Assert that Jaeger has everything."""
    missing = accepted - jaeger.ids(SERVICE)
    assert not missing, f"{len(missing)} of {len(accepted)} are missing"


def taken(collector: Collector) -> None:
    """Assert that the Collector takes data."""
    assert collector.send(traces(SERVICE, some(1))) == 200


def tell(tell: Callable[[str], None], text: str) -> None:
    """Put the counts into the output of the tests."""
    tell(f"{text}")


class Load:
    """Threads that send without a pause, and note what was accepted."""

    def __init__(self, collector: Collector, threads: int = 2) -> None:
        self.collector = collector
        self.accepted: set[str] = set()
        self.answers: list[int] = []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._send) for _ in range(threads)]

    def _send(self) -> None:
        while not self._over.is_set():
            spans = some(20)
            status = self.collector.send(traces(SERVICE, spans))
            self.answers.append(status)
            if status == 200:
                self.accepted |= ids(spans)
            elif status == 0:
                time.sleep(0.01)  # nobody listens: let the one that is to listen start

    def stop(self) -> None:
        """End the threads."""
        self._over.set()
        self._pool.shutdown()
        for one in self._running:
            one.result()


def until(load: Load, more: int) -> None:
    """Wait until more requests have been accepted."""
    wanted = load.answers.count(200) + more

    def check() -> None:
        assert load.answers.count(200) >= wanted

    eventually(check)


def test_jaeger_away_and_back(root: Path, tell: Callable[[str], None]) -> None:
    """What is sent while Jaeger is away is stored once it is back."""
    jaeger = Jaeger(root)
    with all_of(jaeger, collector := Collector(root, "config.yaml", JAEGER_OTLP_ENDPOINT=jaeger.otlp)):
        sent = [some(100) for _ in range(30)]
        answers = [collector.send(traces(SERVICE, spans)) for spans in sent[:10]]
        jaeger.stop()
        answers += [collector.send(traces(SERVICE, spans)) for spans in sent[10:]]
        jaeger.__enter__()
        accepted = ids(one for spans in sent for one in spans)
        eventually(lambda: stored(jaeger, accepted))
        counts = collector.counts()
    assert set(answers) == {200}
    assert counts.get("exporter_send_failed_spans", 0) == counts.get("exporter_enqueue_failed_spans", 0) == 0
    tell(f"Jaeger stopped and back: {len(accepted)} accepted, {len(accepted)} stored")


def test_prometheus_away_and_back(root: Path, tell: Callable[[str], None]) -> None:
    """Counts that are made while Prometheus is away are there once it is back."""
    prometheus = Prometheus(root)
    collector = Collector(
        root,
        "config.yaml",
        PROMETHEUS_OTLP_ENDPOINT=prometheus.otlp,
        JAEGER_OTLP_ENDPOINT="127.0.0.1:1",
        COLLECTOR_SPAN_METRICS_EVERY="200ms",
    )
    query = f'sum(last_over_time(traces_span_metrics_calls_total{{service_name="{SERVICE}"}}[10m]))'

    def counted(wanted: int) -> None:
        assert prometheus.value(query) == wanted

    with all_of(prometheus, collector):
        assert collector.send(traces(SERVICE, some(100))) == 200
        eventually(lambda: counted(100))
        prometheus.kill()
        for _ in range(20):
            assert collector.send(traces(SERVICE, some(100))) == 200
        prometheus.__enter__()
        eventually(lambda: counted(2100))
    tell("Prometheus killed and back: 2100 spans sent, 2100 counted")


@pytest.mark.parametrize("away", [False, True], ids=["jaeger-there", "jaeger-away"])
def test_killed_under_load(root: Path, tell: Callable[[str], None], away: bool) -> None:  # noqa: FBT001 (pytest gives it)
    """The Collector, killed with -9 twice while it is sent to, has stored all that it accepted."""
    jaeger = Jaeger(root)
    with all_of(jaeger, collector := Collector(root, "config.yaml", JAEGER_OTLP_ENDPOINT=jaeger.otlp)):
        load = Load(collector)
        try:
            if away:
                jaeger.stop()
            for _ in range(2):
                until(load, 100)
                collector.kill()
                collector.__enter__()
            until(load, 20)
        finally:
            load.stop()
        if away:
            jaeger.__enter__()
        eventually(lambda: stored(jaeger, load.accepted))
        more = len(jaeger.ids(SERVICE)) - len(load.accepted)
    statuses = {status: load.answers.count(status) for status in sorted(set(load.answers))}
    tell(
        f"Collector killed twice under load: {len(load.accepted)} accepted, {len(load.accepted)} stored, "
        f"{more} stored besides whose answer was lost; requests by status {statuses}",
    )


def test_full_queue(root: Path, tell: Callable[[str], None]) -> None:
    """Once the queue is full the sender is told to try again; what it was told is accepted is stored."""
    jaeger = Jaeger(root)
    collector = Collector(
        root, "config.yaml", JAEGER_OTLP_ENDPOINT=jaeger.otlp, COLLECTOR_TRACES_QUEUE_BYTES="3000000"
    )
    accepted: set[str] = set()
    answers = []
    with collector:
        for spans in (some(100) for _ in range(60)):
            answers.append(collector.send(traces(SERVICE, spans)))
            accepted |= ids(spans) if answers[-1] == 200 else set()
        refused = answers.count(503)
        with jaeger:
            eventually(lambda: stored(jaeger, accepted))
            again = some(100)
            assert collector.send(traces(SERVICE, again)) == 200
            eventually(lambda: stored(jaeger, accepted | ids(again)))
            besides = jaeger.ids(SERVICE) - accepted - ids(again)
    tell(f"queue full: {len(answers) - refused} requests accepted and stored, {refused} refused (503)")
    assert set(answers) == {200, 503}
    assert not besides


@pytest.mark.soak
def test_memory_stays_within_its_limit(root: Path, tell: Callable[[str], None]) -> None:
    """Big messages from many senders, with Jaeger away: refused at the limit, stored if accepted."""
    jaeger = Jaeger(root)
    collector = Collector(
        root, "config.yaml", JAEGER_OTLP_ENDPOINT=jaeger.otlp, COLLECTOR_MEMORY_MIB="200", GOMEMLIMIT="240MiB"
    )
    accepted: set[str] = set()
    answers: list[int] = []
    memory = []

    def send(_: int) -> None:
        spans = some(8, size=1000)  # 8 MB
        answers.append(collector.send(traces(SERVICE, spans)))
        if answers[-1] == 200:
            accepted.update(ids(spans))
        memory.append(collector.counts().get("process_memory_rss", 0.0) / 2**20)

    with collector:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(send, range(60)))
        with jaeger:
            eventually(lambda: taken(collector))
            for _ in range(4):  # after a long outage gRPC waits for up to two minutes before it tries again
                with contextlib.suppress(AssertionError):
                    eventually(lambda: stored(jaeger, accepted))
            stored(jaeger, accepted)
    statuses = {status: answers.count(status) for status in sorted(set(answers))}
    tell(
        f"480 MB sent, limit 200 MiB: {statuses}, {max(memory):.0f} MiB resident at most; "
        f"{len(accepted)} spans accepted, {len(accepted)} stored",
    )
    assert set(answers) <= {200, 503}
    assert max(memory) < 400  # MiB: half of what the limiter looks at is garbage at times
