"""Counters that are read when metrics are collected."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from otel_genai import _tally
from otel_genai import semconv as s

MILLISECOND = 1_000_000
BLUE, RED = (("team", "blue"),), (("team", "red"),)


def points(reader):
    """Collect, and give what is told of each set of attributes."""
    collected = reader.get_metrics_data()
    (metric,) = collected.resource_metrics[0].scope_metrics[0].metrics
    return {point.attributes["team"]: point for point in metric.data.data_points}


@pytest.mark.parametrize("temporality", ["CUMULATIVE", "DELTA"])
def test_a_sum_starts_before_it_is_first_told(temporality) -> None:
    """A program that tells its counters once has counted from nothing, by a clock of milliseconds, too."""
    chosen = AggregationTemporality[temporality]
    reader = InMemoryMetricReader(preferred_temporality={ObservableCounter: chosen})
    provider = MeterProvider([reader])
    tally = _tally.of(provider).counter(provider.get_meter("m"), s.COST)
    tally.add(0.75, BLUE)
    first = points(reader)["blue"]
    assert first.value == 0.75
    assert first.start_time_unix_nano // MILLISECOND < first.time_unix_nano // MILLISECOND

    tally.add(0.25, BLUE)
    tally.add(2.0, RED)
    later = points(reader)
    assert {team: point.value for team, point in later.items()} == {
        "blue": 0.25 if temporality == "DELTA" else 1.0,
        "red": 2.0,
    }
    new = later["red"]
    assert first.time_unix_nano < new.start_time_unix_nano
    assert new.start_time_unix_nano // MILLISECOND < new.time_unix_nano // MILLISECOND
    provider.shutdown()


def test_only_what_is_new_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting takes no time where all sums are known."""
    waited = []
    monkeypatch.setattr(_tally.time, "sleep", waited.append)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    tally = _tally.of(provider).counter(provider.get_meter("m"), s.COST)
    for amount, attributes in ((1, BLUE), (1, BLUE), (1, RED)):
        tally.add(amount, attributes)
        points(reader)
    assert waited == [_tally.BEFORE] * 2
    provider.shutdown()
