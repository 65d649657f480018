"""Counters that cost a call next to nothing: added up here, and read when metrics are collected."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_genai import _guard
from otel_genai import semconv as s
from otel_genai._dimensions import Caps

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

Key = tuple[tuple[str, Any], ...]

BEFORE = 0.002
"""Seconds for which a new sum is 0 before it is told: Prometheus knows milliseconds."""


class Tally:
    """One counter: what has been added for each set of attributes."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._lock = Lock()
        self._sums: dict[Key, float] = {}
        self._told: set[Key] = set()

    def add(self, amount: float, attributes: Key) -> None:
        """Add to the sum of these attributes, given as pairs that are always in the same order."""
        with self._lock:
            self._sums[attributes] = self._sums.get(attributes, 0) + amount

    def observe(self, _: CallbackOptions) -> Iterator[Observation]:
        """Give the sums so far; a new one is 0 first.

        To the SDK a sum starts when it is first observed, and adds up what is observed at one time. If it
        started with its first value, a back end could not tell that this was counted since: all that a
        short job spends.
        """
        with self._lock:
            sums = list(self._sums.items())
        new = [attributes for attributes, _ in sums if attributes not in self._told]
        for attributes in new:
            yield Observation(0, dict(attributes))
        if new:
            time.sleep(BEFORE)
        for attributes, value in sums:
            yield Observation(value, dict(attributes))
        self._told.update(new)

    def forget(self) -> None:
        """Begin again, in a process that was forked: what was counted before is the parent's."""
        self._lock = Lock()
        self._sums = {}
        self._told = set()


class Tallies:
    """The counters of one meter provider: however often we are switched on, they go on counting."""

    def __init__(self) -> None:
        """Have none yet."""
        self._made: dict[str, Tally] = {}
        self.caps = Caps()
        _guard.forked(self)

    def counter(self, meter: Meter, metric: s.Metric) -> Tally:
        """Give the counter of a metric; the meter is told of it once."""
        if metric.name not in self._made:
            tally = self._made[metric.name] = Tally()
            meter.create_observable_counter(
                metric.name, [tally.observe], unit=metric.unit, description=metric.description
            )
        return self._made[metric.name]

    def forget(self) -> None:
        """Leave what was counted to the process that counted it."""
        for tally in self._made.values():
            tally.forget()


_of: weakref.WeakKeyDictionary[Any, Tallies] = weakref.WeakKeyDictionary()
_everybody = Tallies()
"""The global provider's, which may be set up later."""


def of(provider: MeterProvider | None) -> Tallies:
    """Give the counters of a meter provider; None is the global one."""
    world = metrics.get_meter_provider()
    if provider is None:
        return _of.get(world, _everybody)
    return _everybody if provider is world and world not in _of else _of.setdefault(provider, Tallies())
