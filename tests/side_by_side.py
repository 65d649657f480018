"""Run a program bare and instrumented, and compare all that it saw: what the tables of differences share."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor

import garbage
from otel_genai import _patching
from otel_genai._telemetry import STRICT
from otel_genai.testing import Seen, capture
from registry import COLOURS, KITS, attempt, events, every, named
from ways import each, run

MODES = ("NO_CONTENT", "SPAN_AND_EVENT")
STREAMED = every(lambda endpoint: endpoint.streamed)
FIRST = [(kit, next(iter(kit.endpoints.values())), colour) for kit in KITS.values() for colour in COLOURS]
WHOLE_OR_STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
_RESOURCE = Resource.create()
_ONCE = {
    (_patching, "version"): functools.cache(_patching.version),  # it stands in a long file
    (Resource, "create"): lambda _: _RESOURCE,  # every detector is a thread
}
"""What each instrumentation would look up anew."""


def table(cases: list[Any], *more: str) -> Any:
    """Run a test over cases of the registry: kit, endpoint, colour, and what else is named."""
    cases = [pytest.param(*case, id=named(case)) for case in cases]
    return pytest.mark.parametrize(("kit", "endpoint", "colour", *more), cases)


# --- Both runs -------------------------------------------------------------------------------------------


class Balance(SpanProcessor):
    """Counts the spans that have begun and not ended."""

    def __init__(self) -> None:
        self.begun = self.open = 0
        self._changed = threading.Condition()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Count one more."""
        with self._changed:
            self.begun += 1
            self.open += 1

    def on_end(self, span: Any) -> None:
        """Count one less."""
        with self._changed:
            self.open -= 1
            self._changed.notify_all()

    def settle(self) -> None:
        """Collect what was left unread in a circle of references, and wait for its end to be told."""
        if self.open:
            garbage.collect(most=1)
        with self._changed:
            self._changed.wait_for(lambda: self.open == 0, timeout=5)


@contextlib.contextmanager
def small_heap() -> Iterator[None]:
    """Leave out of collections what was there before, which would make them slow."""
    gc.freeze()
    try:
        yield
    finally:
        garbage.collect()  # what has come since, which would be left out the next time
        gc.unfreeze()


class Complaints(logging.Handler):
    """Keeps what we say of our failures, and OpenTelemetry of what it cannot take."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.said.append(f"{record.getMessage()} {record.exc_info and record.exc_info[1]!r}")


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Listen to both loggers."""
    ears, loggers = Complaints(), [logging.getLogger(name) for name in ("opentelemetry", "otel_genai")]
    for logger in loggers:
        logger.addHandler(ears)
    try:
        yield ears.said
    finally:
        for logger in loggers:
            logger.removeHandler(ears)


@contextlib.contextmanager
def instrumented(kit: Any, mode: str) -> Iterator[tuple[Seen, Balance]]:
    """Instrument one SDK for a block, as in a user's program: no failure of ours may be counted."""
    balance = Balance()
    with small_heap(), listening() as complaints, pytest.MonkeyPatch.context() as patched:
        patched.delenv(STRICT)
        for (owner, name), found in _ONCE.items():
            patched.setattr(owner, name, found)
        with capture(kit.name, capture=mode) as seen:
            seen.tracer_provider.add_span_processor(balance)
            yield seen, balance
            balance.settle()
            assert balance.open == 0
            assert complaints == []
            for provider in (seen.tracer_provider, seen.meter_provider, seen.logger_provider):
                provider.shutdown()  # else each would stay until the program's end


def alike(kit: Any, colour: str, scenario: Callable[[], Awaitable[Any]], *, calls: int | None = 1) -> Any:
    """Run a scenario bare and instrumented: it must see the same; `calls` spans show that we were there."""
    with small_heap():
        bare = run(scenario(), asynchronous=colour == "async")
    for mode in MODES:
        with instrumented(kit, mode) as (_, balance):
            ours = run(scenario(), asynchronous=colour == "async")
            assert ours == bare
        assert calls is None or balance.begun == calls
    return bare


async def settle(colour: str) -> None:
    """Collect the garbage; what is asynchronous is closed by the loop, in its next rounds."""
    garbage.collect()
    for _ in range(8 if colour == "async" else 0):
        await asyncio.sleep(0)
    garbage.collect()


# --- What is answered, and how it is read ----------------------------------------------------------------


def whole(kit: Any, body: bytes) -> Any:
    """Make what answers with a whole body, in two halves."""
    half = len(body) // 2
    return lambda: kit.response([body[:half], body[half:]])


def streamed(kit: Any, body: bytes) -> Any:
    """Make what answers with an event stream, event by event."""
    return lambda: kit.response(events(body), kind="sse")


def answer(kit: Any, endpoint: Any, *, stream: bool) -> Any:
    """Make what answers with the endpoint's first sample."""
    return streamed(kit, endpoint.streams[0]) if stream else whole(kit, endpoint.bodies[0])


async def listed(items: Any) -> list[Any]:
    """Read all that comes."""
    return [item async for item in each(items)]


async def walked(items: Any, more: int = 2) -> list[Any]:
    """Take step after step, and some more after the end or an error."""
    log = []
    step = items.__anext__ if hasattr(items, "__anext__") else items.__next__
    after = 0
    while after < more:
        log.append(await attempt(step))
        after += isinstance(log[-1], list) and log[-1][:1] == ["raised"]
    return log
