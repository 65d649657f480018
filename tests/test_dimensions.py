"""Caps: a metric has a bounded number of time series, whoever calls and however often."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otel_genai
from otel_genai import testing
from otel_genai._dimensions import LIMIT, OTHER, Caps


def test_the_first_values_are_kept_and_the_rest_is_other(caplog):
    """First come, first served; the same value is always told the same way; one warning for each key."""
    caps = Caps(3)
    told = [caps.keep("user.id", f"u-{number}") for number in (1, 2, 3, 4, 5, 1, 3, 4)]
    assert told == ["u-1", "u-2", "u-3", OTHER, OTHER, "u-1", "u-3", OTHER]
    assert caps.keep("otel_genai.team", "a") == "a"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("user.id has more than 3 different values on metrics")
    for number in range(4):
        caps.keep("otel_genai.team", number)
    assert len(caplog.records) == 2


def test_two_hundred_values_are_kept_if_nothing_else_is_said():
    """The default."""
    caps = Caps()
    told = {caps.keep("key", str(number)) for number in range(1000)}
    assert len(told - {OTHER}) == LIMIT == 200


def test_other_as_a_value_is_no_news(caplog):
    """It may come from outside, where the same is done."""
    caps = Caps(1)
    assert [caps.keep("key", value) for value in ("a", OTHER)] == ["a", OTHER]
    assert caplog.records == []


def test_a_metric_s_attributes_are_capped_together():
    """Each attribute by itself; those that are wanted come in one order."""
    caps = Caps(1)
    assert caps.pairs(("model", "port", "x"), {"model": "m-1", "port": 80}) == [
        ("model", "m-1"),
        ("port", 80),
    ]
    assert caps.pairs(("port", "model"), {"model": "m-2", "port": 80}) == [("port", 80), ("model", OTHER)]
    found = {"model": "m-1", "team": "a", "more": "x"}
    assert caps.pairs(("team", "absent", "model"), found) == [("team", "a"), ("model", "m-1")]


@pytest.mark.parametrize("limit", [0, 1, 50])
def test_threads_admit_no_more_than_the_cap(limit, caplog):
    """All at once, with the same values and with others: never one too many, and one warning."""
    caps = Caps(limit)
    start = threading.Barrier(8)

    def admit(worker):
        start.wait()
        return {caps.keep("key", number * (worker % 2 + 1)) for number in range(200)}

    with ThreadPoolExecutor(8) as pool:
        told = set().union(*pool.map(admit, range(8)))
    assert len(told - {OTHER}) == limit
    assert len(caplog.records) == 1


@given(st.lists(st.one_of(st.text(), st.integers(), st.booleans())), st.integers(0, 5))
def test_no_sequence_of_values_passes_the_cap(values, limit):
    """Whatever comes, it is told as itself or as other, and the same each time."""
    caps = Caps(limit)
    told = [caps.keep("key", value) for value in values]
    assert len(set(told) - {OTHER}) <= limit
    assert all(one in (value, OTHER) for one, value in zip(told, values, strict=True))
    assert [caps.keep("key", value) for value in values] == told


def test_what_went_wrong_is_capped_like_the_rest():
    """A provider may write whatever it likes into a code."""
    with testing.capture(metric_limit=3) as seen:
        for number in range(9):
            with otel_genai.inference("m", provider="p") as call:
                call.set("error.type", f"odd_{number}")
    points = seen.metrics["gen_ai.client.operation.duration"]
    assert {point["attributes"]["error.type"] for point in points} == {"odd_0", "odd_1", "odd_2", "_other"}
    assert len({span["attributes"]["error.type"] for span in seen.spans}) == 9
