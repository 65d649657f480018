"""What calls cost: known to the last digit, or told as unknown; and no call waits for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import date, datetime, timezone
from types import SimpleNamespace

import pytest
from genai_prices import Usage
from genai_prices.data import providers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import otel_genai
from otel_genai import _cost, _pricelist, _prices, testing
from otel_genai import semconv as s
from otel_genai._tally import Tally
from registry import KITS, Line, ask

WHO = {s.PROVIDER_NAME: "openai", s.REQUEST_MODEL: "gpt-4o-mini"}
CALL = {
    **WHO,
    s.OPERATION_NAME: s.CHAT,
    s.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    s.USAGE_INPUT_TOKENS: 1000,
    s.USAGE_OUTPUT_TOKENS: 200,
}
PARTS = {
    s.USAGE_CACHE_READ_INPUT_TOKENS: "cache_read_tokens",
    s.USAGE_CACHE_WRITE_INPUT_TOKENS: "cache_write_tokens",
    s.USAGE_AUDIO_INPUT_TOKENS: "input_audio_tokens",
    s.USAGE_IMAGE_INPUT_TOKENS: "input_image_tokens",
    s.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: "cache_audio_read_tokens",
    s.USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: "cache_image_read_tokens",
    s.USAGE_REASONING_OUTPUT_TOKENS: "output_reasoning_tokens",
    s.USAGE_AUDIO_OUTPUT_TOKENS: "output_audio_tokens",
    s.USAGE_IMAGE_OUTPUT_TOKENS: "output_image_tokens",
}
TOTALS = {s.USAGE_INPUT_TOKENS: "input_tokens", s.USAGE_OUTPUT_TOKENS: "output_tokens"}
NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
TABLE = _prices.Table()
MODELS = [
    (provider, model)
    for provider in providers
    for model in provider.models
    if {"input_mtok", "output_mtok"} <= vars(model.get_prices(NOW)).keys()
]
ANY_MODEL = st.integers(0, len(MODELS) - 1).map(MODELS.__getitem__)  # the list itself is long to describe
PLAIN = TABLE.find("openai", "gpt-4o", None, NOW.timestamp())[0]
COUNT = st.integers(0, 400_000)


class Books:
    """Counters, and what is in them."""

    def __init__(self):
        """Have none."""
        self.tallies = {}

    def counter(self, metric):
        """Give a counter, as telemetry does."""
        return self.tallies.setdefault(metric.name, Tally())

    def __getitem__(self, metric):
        """Sum of each set of attributes."""
        return {tuple(one.attributes.items()): one.value for one in self.tallies[metric.name].observe(None)}


@pytest.fixture
def books():
    """Nothing counted yet."""
    return Books()


@pytest.fixture
def costs(books):
    """Begin with no price known."""
    return _cost.Costs(books.counter, fail=_raise)


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch):
    monkeypatch.setattr(_cost, "_said", set())


def _raise(error):
    raise error


def known(costs, *calls):
    """Have the prices of some calls looked up beforehand."""
    for call in calls or (CALL,):
        costs.expect(call)
    costs.settle()
    return costs


def own(*entries):
    """Make a price list."""
    return _pricelist.read(list(entries))


# --- A call that is priced -------------------------------------------------------------------------------


def test_a_known_model_is_told_on_the_span_and_counted_once(costs, books):
    """Amount, currency and source, and one sum for the metric's attributes."""
    amount = (1000 * 0.15 + 200 * 0.6) / 1e6
    told = known(costs).tell(CALL, WHO, 1.0)
    assert told == {
        s.USAGE_COST_AMOUNT: pytest.approx(amount, abs=1e-12),
        s.USAGE_COST_CURRENCY: "USD",
        s.USAGE_COST_SOURCE: "local",
        s.PRICES: TABLE.source,
    }
    assert books[s.COST] == {tuple(WHO.items()): told[s.USAGE_COST_AMOUNT]}
    assert books[s.UNPRICED] == books[s.USAGE_MISSING] == {}


def test_a_call_is_not_kept_waiting_for_prices(costs, books):
    """The first call of a model has no price on its span, but is counted when the price is known."""
    assert costs.tell(CALL, WHO, 1.0) == {}
    costs.settle()
    assert list(books[s.COST]) == [tuple(WHO.items())]
    assert s.USAGE_COST_AMOUNT in costs.tell(CALL, WHO, 1.0)


def test_a_models_other_names_are_known_with_it(costs):
    """Asked for by an alias, answered by a date: looked up while the call runs."""
    assert s.USAGE_COST_AMOUNT in known(costs, WHO).tell(CALL, WHO, 1.0)


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ("claude-haiku-4-5-20251001", (1000 * 1.0 + 200 * 5.0) / 1e6),
        ("claude-3-haiku-20240307", (1000 * 0.25 + 200 * 1.25) / 1e6),
        ("nobody-knows-it", None),
    ],
)
def test_a_model_that_nobody_asked_for_is_priced_at_once(costs, books, monkeypatch, answered, expected):
    """By its own name, which the table has no list of; once, and nothing waits, as the table is there."""
    found = []
    monkeypatch.setattr(
        _prices.Table, "find", lambda *args, own=_prices.Table.find: found.append(args[2]) or own(*args)
    )
    who = {**WHO, s.PROVIDER_NAME: "anthropic", s.REQUEST_MODEL: "claude-haiku-4-5"}
    known(costs, {name: who[name] for name in (s.PROVIDER_NAME, s.REQUEST_MODEL)})
    monkeypatch.setattr(costs, "_later", None)
    for _ in range(3):
        told = costs.tell({**CALL, **who, s.RESPONSE_MODEL: answered}, WHO, 1.0)
        assert told.get(s.USAGE_COST_AMOUNT) == pytest.approx(expected)
    assert found == ["claude-haiku-4-5", answered]
    assert sum(books[s.UNPRICED].values()) == (3 if expected is None else 0)


def test_a_look_up_that_fails_at_once_is_told_and_ends_no_call(books, monkeypatch):
    """It is ours, in the caller's thread."""
    told = []
    costs = known(_cost.Costs(books.counter, fail=told.append), {**WHO, s.REQUEST_MODEL: "gpt-4o"})
    monkeypatch.setattr(_prices.Table, "find", lambda *args: 1 / 0)
    found = {**CALL, s.REQUEST_MODEL: "gpt-4.1", s.RESPONSE_MODEL: "gpt-4.1-2025-04-14"}
    assert [costs.tell(found, WHO, 1.0) for _ in range(2)] == [{}, {}]
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert list(books[s.UNPRICED].values()) == [2]


def test_the_standard_tier_is_no_other_price(costs):
    """What is expected before the answer names a tier holds for the answer."""
    found = {**CALL, s.OPENAI_RESPONSE_SERVICE_TIER: "default"}
    assert s.USAGE_COST_AMOUNT in known(costs, WHO).tell(found, WHO, 1.0)


def test_a_tier_has_its_own_price(costs):
    """Priority costs more."""
    fast = {**CALL, s.OPENAI_RESPONSE_SERVICE_TIER: "priority"}
    known(costs, CALL, fast)
    plain, dear = (costs.tell(call, WHO, 1.0)[s.USAGE_COST_AMOUNT] for call in (CALL, fast))
    assert dear > plain


@pytest.mark.parametrize("tier", ["scale", "some day's"])
def test_a_tier_without_a_price_is_counted_and_costs_nothing_known(costs, books, tier):
    """The standard price would be a wrong one; the same model is still priced without it."""
    found = {**CALL, s.OPENAI_RESPONSE_SERVICE_TIER: tier}
    assert known(costs, CALL, found).tell(found, WHO, 1.0) == {}
    assert list(books[s.UNPRICED].values()) == [1]
    assert s.USAGE_COST_AMOUNT in costs.tell(CALL, WHO, 1.0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("said", "tier", "expected"),
    [
        # claude-opus-5-5: $4 input, $20 output, $0.20 cached, $5 written; batches half, fast double
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, None, 0.0017488),
        ({}, None, 0.0017488),
        ({"service_tier": "batch"}, "batch", 0.0008744),
        ({"service_tier": "standard", "speed": "fast"}, "fast", 0.0034976),
        ({"service_tier": "priority"}, "priority", None),
        ({"service_tier": "standard", "inference_geo": "us"}, "us", None),
        ({"service_tier": {"odd": 1}, "speed": 3}, None, 0.0017488),
    ],
)
def test_what_anthropic_s_tiers_cost(said, tier, expected, stream):
    """21 tokens of input, 1024 cached, 256 written and 9 of output, by the tier that the answer names."""
    if tier == "fast" and sys.version_info < (3, 11):
        pytest.skip("needs Python 3.11, and with it a genai-prices that lists the fast mode")
    kit = KITS["anthropic"]
    endpoint = kit.endpoints["messages"]
    usage = {"input_tokens": 21, "cache_creation_input_tokens": 256, "cache_read_input_tokens": 1024,
             "output_tokens": 9}  # fmt: skip
    answer = {**json.loads(endpoint.bodies[0]), "model": "claude-opus-5-5", "usage": {**usage, **said}}
    first = {"type": "message_start", "message": {**answer, "content": [], "stop_reason": None}}
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    told = [first, last, {"type": "message_stop"}]
    pieces = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told]
    line = Line(
        [lambda: kit.response(pieces, kind="sse") if stream else kit.response(json.dumps(answer).encode())]
    )
    with testing.capture("anthropic", cost=True) as seen, kit.client(line.handle, "sync") as client:
        for _ in range(2):  # the price is known in time for the second
            got = ask(client, endpoint, stream=stream, model="claude-opus-5-5")
            _ = list(got) if stream else got
            _cost.settle()
    attributes = seen.spans[-1]["attributes"]
    assert (attributes.get(s.SERVICE_TIER), attributes.get(s.USAGE_COST_AMOUNT)) == (tier, expected)
    counted = {
        name: sum(one["value"] for one in seen.metrics.get(name, ()))
        for name in (s.COST.name, s.UNPRICED.name)
    }
    paid = {s.COST.name: pytest.approx(2 * (expected or 0)), s.UNPRICED.name: 0 if expected else 2}
    assert counted == paid


def test_the_histogram_is_told_as_well(books):
    """If there is one: with the currency and the source, and in the call's context."""
    told = []
    histogram = SimpleNamespace(record=lambda *args: told.append(args))
    costs = known(_cost.Costs(books.counter, histogram=histogram, fail=_raise))
    amount = costs.tell(CALL, WHO, 1.0, "context")[s.USAGE_COST_AMOUNT]
    more = {s.USAGE_COST_CURRENCY: "USD", s.USAGE_COST_SOURCE: "local"}
    assert told == [(amount, {**WHO, **more}, "context")]


def test_what_the_answer_says_it_cost_is_passed_on(costs, books):
    """A gateway knows its own prices best."""
    told = costs.tell({**CALL, s.USAGE_COST_AMOUNT: 0.5}, WHO, 1.0)
    assert told == {s.USAGE_COST_CURRENCY: "USD", s.USAGE_COST_SOURCE: "provider"}
    assert books[s.COST] == {tuple(WHO.items()): 0.5}


def test_another_currency_is_not_added_to_dollars(costs, books):
    """It stays on the span."""
    found = {**CALL, s.USAGE_COST_AMOUNT: 0.5, s.USAGE_COST_CURRENCY: "EUR"}
    assert costs.tell(found, WHO, 1.0)[s.USAGE_COST_CURRENCY] == "EUR"
    assert books[s.COST] == {}


# --- A call whose cost is unknown ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("my-house", "gpt-4o"),
        ("my-openai-proxy", "gpt-4o"),
        ("openai", "whisper-1"),
        ("openai", "x" * 10_000),
    ],
)
def test_a_model_without_a_price_is_counted_and_costs_nothing_known(costs, books, provider, model):
    """It is never 0 $."""
    found = {**CALL, s.PROVIDER_NAME: provider, s.REQUEST_MODEL: model, s.RESPONSE_MODEL: model}
    names = {s.PROVIDER_NAME: provider, s.REQUEST_MODEL: model, s.RESPONSE_MODEL: model}
    assert known(costs, found).tell(found, names, 1.0) == {}
    assert books[s.UNPRICED] == {tuple(names.items()): 1}
    assert books[s.COST] == {}


@pytest.mark.parametrize("left", [{s.USAGE_INPUT_TOKENS}, {s.USAGE_OUTPUT_TOKENS}, set()])
def test_usage_that_was_not_reported_is_counted(costs, books, left):
    """Whether nothing was, or half of it."""
    found = {key: value for key, value in CALL.items() if key not in TOTALS or key in left}
    assert known(costs).tell(found, WHO, 1.0) == {}
    assert list(books[s.USAGE_MISSING].values()) == [1]
    assert books[s.COST] == books[s.UNPRICED] == {}


def test_a_call_that_failed_is_not_missing_its_usage(costs, books):
    """It was not answered, and is not paid for."""
    assert known(costs).tell({**WHO, s.OUTCOME: s.FAILED}, WHO, 1.0) == {}
    assert books[s.USAGE_MISSING] == books[s.UNPRICED] == books[s.COST] == {}


@pytest.mark.parametrize("operation", [s.EMBEDDINGS, s.RERANK, s.MODERATION])
def test_embeddings_have_no_output(costs, operation):
    """So its count is not missing; nor is it of other answers that are no tokens."""
    found = {
        **WHO, s.REQUEST_MODEL: "text-embedding-3-small", s.OPERATION_NAME: operation,
        s.USAGE_INPUT_TOKENS: 10,
    }  # fmt: skip
    assert known(costs, found).tell(found, WHO, 1.0)[s.USAGE_COST_AMOUNT] == pytest.approx(2e-7)


@pytest.mark.parametrize(
    ("operation", "model", "counter"),
    [
        (s.SPEECH, "gpt-4o-mini-tts", s.USAGE_MISSING),  # it has a price per token
        (s.SPEECH, "tts-1", s.UNPRICED),
        (s.TRANSCRIPTION, "whisper-1", s.UNPRICED),
        (s.IMAGE_GENERATION, "dall-e-3", s.UNPRICED),
        (s.MODERATION, "omni-moderation-latest", None),  # it is free
    ],
)
def test_an_api_that_tells_no_tokens_is_not_missing_them(costs, books, operation, model, counter):
    """Unless the model is priced by them: else it has no price, or costs nothing."""
    found = {**WHO, s.REQUEST_MODEL: model, s.OPERATION_NAME: operation}
    assert known(costs, found).tell(found, WHO, 1.0) == {}
    assert {metric for metric in (s.USAGE_MISSING, s.UNPRICED, s.COST) if books[metric]} == (
        {counter} if counter else set()
    )


def test_a_call_may_have_a_price_of_its_own(books):
    """For what is not told in tokens, such as images, it is the program's to say what one call costs."""
    found = {**WHO, s.REQUEST_MODEL: "dall-e-3", s.OPERATION_NAME: s.IMAGE_GENERATION}
    costs = _cost.Costs(books.counter, own({"model": "dall-e-3", "per_request": 0.04}))
    assert costs.tell(found, WHO, 1.0)[s.USAGE_COST_AMOUNT] == pytest.approx(0.04)
    assert books[s.USAGE_MISSING] == books[s.UNPRICED] == {}


@pytest.mark.parametrize(
    "odd",
    [
        {s.USAGE_CACHE_READ_INPUT_TOKENS: 1001},
        {s.USAGE_INPUT_TOKENS: "many"},
        {s.USAGE_INPUT_TOKENS: None},
        {s.USAGE_INPUT_TOKENS: float("nan")},
        {s.USAGE_INPUT_TOKENS: -1},
        {s.USAGE_CACHE_READ_INPUT_TOKENS: -5},
        {s.USAGE_INPUT_TOKENS: 10**400},
        {s.USAGE_CACHE_READ_INPUT_TOKENS: [1]},
    ],
)
def test_counts_that_cannot_be_have_no_price(costs, books, odd):
    """Nor does anything raise."""
    assert known(costs).tell({**CALL, **odd}, WHO, 1.0) == {}
    assert books[s.COST] == {}
    assert list(books[s.UNPRICED].values()) == [1]


@pytest.mark.parametrize("name", [None, ["gpt-4o"], 4])
def test_a_model_without_a_name_is_nobodys(costs, books, name):
    """There is nothing to look up or to count it by."""
    assert costs.tell({**CALL, s.RESPONSE_MODEL: None, s.REQUEST_MODEL: name}, WHO, 1.0) == {}
    assert books[s.UNPRICED] == {}


def test_more_calls_than_can_wait_are_counted_as_unpriced(costs, books, monkeypatch):
    """Memory is bounded, and what is lost is told."""
    monkeypatch.setattr(_cost, "LATE", 2)
    monkeypatch.setattr(costs, "_wake", lambda: None)
    for _ in range(5):
        costs.tell(CALL, WHO, 1.0)
    assert list(books[s.UNPRICED].values()) == [3]
    costs.settle()
    assert sum(books[s.COST].values()) == pytest.approx(2 * 0.00027)


def test_models_without_end_are_not_kept(costs, monkeypatch):
    """Their number is bounded."""
    monkeypatch.setattr(_cost, "KEPT", 10)
    for number in range(50):
        costs.expect({**WHO, s.REQUEST_MODEL: f"model-{number}"})
        costs.settle()
        assert len(costs._rates) <= 10


# --- Arithmetic: properties over the whole table ---------------------------------------------------------


@st.composite
def usages(draw):
    """Draw counts in which the parts are within the totals."""
    usage = {total: draw(COUNT) for total in TOTALS}
    for part in draw(st.sets(st.sampled_from(sorted(PARTS)))):
        total = s.USAGE_OUTPUT_TOKENS if "output_tokens" in part else s.USAGE_INPUT_TOKENS
        usage[part] = draw(st.integers(0, usage[total]))
    return usage


@settings(max_examples=400, deadline=None)
@given(ANY_MODEL, usages())
def test_the_amount_is_the_tables_own(choice, usage):
    """Wherever the table's own arithmetic has an answer, it is ours."""
    prices = choice[1].get_prices(NOW)
    counts = {**TOTALS, **PARTS}
    try:
        expected = prices.calc_price(Usage(**{counts[key]: count for key, count in usage.items()}))
    except ValueError:
        expected = None
    rates = _prices.build(vars(prices), "")
    amount = rates.amount(usage, 0)
    assume(expected is not None)
    assert amount == pytest.approx(float(expected["total_price"]), abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(ANY_MODEL, usages())
def test_parts_never_exceed_totals(choice, usage):
    """No split costs more than all tokens at the dearest price, or less than at the cheapest."""
    prices = vars(choice[1].get_prices(NOW))
    rates = _prices.build(prices, "")
    amount = rates.amount(usage, 0)
    assume(amount is not None)
    size = usage[s.USAGE_INPUT_TOKENS]
    asked, answered = next(sides for start, *sides in rates.steps if size > start)
    low = high = rates.request * 1e6
    for side in (asked, answered):
        each = [side.base, *(rate for _, rate in side.parts), *(rate for _, rate in side.cached.values())]
        low += min(each) * usage[side.total]
        high += max(each) * usage[side.total]
    assert low / 1e6 - 1e-9 <= amount <= high / 1e6 + 1e-9


@given(COUNT, COUNT, st.integers(0, 400_000))
def test_cached_tokens_are_never_counted_twice(size, output, cached):
    """Each of them saves the difference of the two prices; more than there are is no answer."""
    usage = {s.USAGE_INPUT_TOKENS: size, s.USAGE_OUTPUT_TOKENS: output}
    plain = PLAIN.amount(usage, 0)
    amount = PLAIN.amount({**usage, s.USAGE_CACHE_READ_INPUT_TOKENS: cached}, 0)
    if cached > size:
        assert amount is None
    else:
        assert amount == pytest.approx(plain - cached * (2.5 - 1.25) / 1e6, abs=1e-11)


@settings(deadline=None)
@given(ANY_MODEL, usages(), usages())
def test_cost_is_additive(choice, one, other):
    """Two calls cost what their tokens cost together, but for the price of the call and long prompts."""
    rates = _prices.build(vars(choice[1].get_prices(NOW)), "")
    assume(len(rates.steps) == 1 and one.keys() == other.keys())
    both = {key: one[key] + other[key] for key in one}
    amounts = [rates.amount(usage, 0) for usage in (one, other, both)]
    assume(None not in amounts)
    assert amounts[0] + amounts[1] == pytest.approx(amounts[2] + rates.request, abs=1e-9)


def test_tokens_in_two_parts_need_to_be_told():
    """How many of the cached ones were audio is not guessed."""
    rates, _ = TABLE.find("gcp.gemini", "gemini-2.5-flash", None, NOW.timestamp())
    usage = {
        s.USAGE_INPUT_TOKENS: 1000, s.USAGE_OUTPUT_TOKENS: 0,
        s.USAGE_AUDIO_INPUT_TOKENS: 400, s.USAGE_CACHE_READ_INPUT_TOKENS: 300,
    }  # fmt: skip
    assert rates.amount(usage, 0) is None
    told = rates.amount({**usage, s.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: 100}, 0)
    assert told == pytest.approx((400 * 0.3 + 300 * 1 + 200 * 0.03 + 100 * 0.1) / 1e6)
    assert rates.amount({**usage, s.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: 301}, 0) is None


# --- The table -------------------------------------------------------------------------------------------


def test_every_provider_of_ours_is_in_the_table():
    """Whatever the conventions call it."""
    names = {
        s.OPENAI, s.AZURE_OPENAI, s.AZURE_INFERENCE, s.AWS_BEDROCK, s.ANTHROPIC, s.COHERE, s.DEEPSEEK,
        s.GCP_GEMINI, s.GCP_VERTEX_AI, s.GROQ, s.MISTRAL_AI, s.MOONSHOT_AI, s.PERPLEXITY, s.X_AI,
    }  # fmt: skip
    assert {_prices.PROVIDERS.get(name, name) for name in names} <= {provider.id for provider in providers}


def test_prices_are_looked_up_anew_when_they_change():
    """By the day, and by the hour."""
    rates, _ = TABLE.find("deepseek", "deepseek-chat", None, NOW.timestamp())
    assert rates.until == NOW.replace(hour=16, minute=30).timestamp()
    later, _ = TABLE.find("deepseek", "deepseek-chat", None, rates.until)
    assert later.until == NOW.replace(day=22, hour=0, minute=30).timestamp()
    assert later.steps != rates.steps


def test_a_price_that_is_over_is_not_used(costs, books):
    """The new one is, at once."""
    known(costs)
    for key, rates in costs._rates.items():
        costs._rates[key] = _prices.Rates(rates.source, rates.steps, until=time.time() - 10, second=9.0)
    assert costs.tell(CALL, WHO, 1.0)[s.USAGE_COST_AMOUNT] == pytest.approx(0.00027)
    assert sum(books[s.COST].values()) == pytest.approx(0.00027)


def test_the_scope_names_the_table():
    """Version and date, and nothing is imported for that."""
    told = _cost.scope()
    assert f"genai-prices {told[s.PRICES_VERSION]}" == TABLE.source
    assert date(2026, 1, 1) < date.fromisoformat(told[s.PRICES_DATE]) <= NOW.date()


@pytest.mark.parametrize(("day", "times"), [(date(2020, 1, 1), 1), (date(2999, 1, 1), 0), (None, 0)])
def test_an_old_table_is_said_once(books, caplog, monkeypatch, day, times):
    """However many there are to say it."""
    monkeypatch.setattr(_prices, "edition", lambda: _prices.Edition("0.9", day))
    for _ in range(2):
        known(_cost.Costs(books.counter, fail=_raise))
    assert len(caplog.messages) == times
    assert all("days old: pip install -U genai-prices" in message for message in caplog.messages)


def test_without_the_package_calls_are_unpriced(costs, books, caplog, monkeypatch):
    """That is said once, with what to install."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    costs.tell(CALL, WHO, 1.0)
    costs.settle()
    assert costs.tell(CALL, WHO, 1.0) == {}
    assert list(books[s.UNPRICED].values()) == [2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "pip install 'otel-genai[cost]'" in caplog.text


def test_a_table_that_cannot_be_read_is_no_ones_end(costs, books, caplog, monkeypatch):
    """Calls go unpriced."""
    monkeypatch.setattr(_prices, "Table", lambda: 1 / 0)
    known(costs).tell(CALL, WHO, 1.0)
    assert list(books[s.UNPRICED].values()) == [1]
    assert "calls have no prices" in caplog.text


@pytest.mark.parametrize(
    ("installed", "newest"),
    [(date(2026, 5, 1), "2026-03-01"), (date(2026, 6, 2), "2026-06-01"), (date(1980, 1, 1), "2026-06-01")],
)
def test_the_tables_date_is_that_of_its_newest_price(tmp_path, monkeypatch, installed, newest):
    """Of those that were not still announced on the day of installation, as far as that is known."""
    days = ["2025, 1, 1", "2026, 3, 1", "2026, 6, 1", "2999, 1, 1"]
    data = tmp_path / "data.py"
    data.write_text("".join(f"start_date=datetime.date({day})" for day in days))
    moment = datetime.combine(installed, datetime.min.time(), timezone.utc).timestamp()
    os.utime(data, (moment, moment))
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    assert str(_prices.edition().date) == newest


def test_a_table_without_its_file_has_no_edition(tmp_path, monkeypatch):
    """Nothing is said of what cannot be read."""
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    assert _prices.edition() is None


def test_no_table_is_no_edition(monkeypatch):
    """Nothing is said of what is not there."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert _cost.scope() == {}


# --- The user's own prices -------------------------------------------------------------------------------


def test_the_users_price_is_stronger_than_the_table(books):
    """And needs no table."""
    costs = known(
        _cost.Costs(books.counter, own({"model": "gpt-4o-*", "input": 1, "output": 2}), fail=_raise)
    )
    told = costs.tell(CALL, WHO, 1.0)
    assert told[s.USAGE_COST_AMOUNT] == (1000 * 1 + 200 * 2) / 1e6
    assert told[s.PRICES] == "own"
    assert costs._table is None


def test_the_asked_for_name_counts_too(books):
    """A deployment answers by another name than it is asked by."""
    prices = own({"model": "gpt-4o-mini", "provider": "OpenAI", "input": 7, "output": 7})
    costs = known(_cost.Costs(books.counter, prices, fail=_raise))
    assert costs.tell(CALL, WHO, 1.0)[s.USAGE_COST_AMOUNT] == 1200 * 7 / 1e6


def test_the_users_price_is_known_at_once(books):
    """For the first call, too, and for one that another name answers than was asked for."""
    costs = _cost.Costs(books.counter, own({"model": "gpt-4o*", "input": 1.0, "output": 2.0}), fail=_raise)
    told = costs.tell(CALL, WHO, 1.0)
    assert told[s.USAGE_COST_AMOUNT] == pytest.approx((1000 + 200 * 2) / 1e6)
    assert told[s.PRICES] == "own"


def test_models_that_have_no_price_are_capped_too():
    """As on every metric: the rest is `_other`."""
    with testing.capture(cost=True, metric_limit=3) as seen:
        for number in range(9):
            with otel_genai.inference(f"nobody-{number}", provider="openai") as call:
                call.usage(input_tokens=1, output_tokens=1)
            with otel_genai.inference(f"nobody-{number}", provider="openai"):
                pass
    for name in (s.UNPRICED.name, s.USAGE_MISSING.name):
        points = seen.metrics[name]
        assert sum(point["value"] for point in points) == 9
        assert {point["attributes"][s.REQUEST_MODEL] for point in points} == {
            "nobody-0", "nobody-1", "nobody-2", "_other"
        }  # fmt: skip


def test_the_first_entry_that_fits_holds():
    """Of a provider's, or of every provider's; whole names, in any case."""
    prices = own(
        {"model": "llama*", "provider": "groq", "input": 1},
        {"model": "Llama-3[1]", "input": 2},
        {"model": "llama*8b*", "input": 3},
    )

    def price(provider, *models):
        rates = _pricelist.find(prices, provider, models)
        return rates and rates.steps[0][1].base

    assert price("groq", "llama-3-8b") == 1
    assert price("other", "llama-3-8b-x") == 3
    assert price("other", "llama-3[1]") == 2
    assert price("other", "llama-31", "my-llama-8b") is None


def test_self_hosted_models_cost_by_the_second(books):
    """Whatever usage they report, or none; a price of nothing is a price."""
    prices = own({"model": "mine", "per_second": 0.002}, {"model": "free", "per_second": 0})
    costs = _cost.Costs(books.counter, prices, fail=_raise)
    for model, amount in (("mine", 0.005), ("free", 0)):
        found = {s.PROVIDER_NAME: "x", s.REQUEST_MODEL: model}
        assert known(costs, found).tell(found, WHO, 2.5)[s.USAGE_COST_AMOUNT] == amount


def test_an_entry_prices_what_it_says_and_no_more():
    """Every kind of price; tokens without one are unknown."""
    entry = {
        "model": "m", "input": 1, "output": 2, "cached_input": 0.1, "cache_write": 3, "reasoning": 5,
        "audio_output": 7, "image_input": 11, "per_request": 0.25, "per_second": 0.5,
    }  # fmt: skip
    rates = own(entry)[0].rates
    usage = {
        s.USAGE_INPUT_TOKENS: 100, s.USAGE_CACHE_READ_INPUT_TOKENS: 10, s.USAGE_CACHE_WRITE_INPUT_TOKENS: 20,
        s.USAGE_OUTPUT_TOKENS: 50, s.USAGE_REASONING_OUTPUT_TOKENS: 30,
    }  # fmt: skip
    tokens = 70 * 1 + 10 * 0.1 + 20 * 3 + 20 * 2 + 30 * 5
    assert rates.amount(usage, 4.0) == pytest.approx(tokens / 1e6 + 0.25 + 4 * 0.5, abs=1e-12)
    assert rates.amount({**usage, s.USAGE_AUDIO_OUTPUT_TOKENS: 5}, 0) is None  # thought aloud, perhaps
    assert own({"model": "m", "input": 1})[0].rates.amount(usage, 0) is None


def test_a_file_and_a_dict_say_the_same(tmp_path):
    """As a list, by model, by path or as text."""
    entries = [{"model": "a", "input": 1}, {"model": "b*", "output": 2}]
    by_model = {"a": {"input": 1}, "b*": {"output": 2}}
    (tmp_path / "list.json").write_text(json.dumps(entries), "utf-8-sig")
    (tmp_path / "dict.json").write_text(json.dumps(by_model))
    read = [
        _pricelist.read(given)
        for given in (entries, by_model, tmp_path / "list.json", str(tmp_path / "dict.json"))
    ]
    assert all(prices == read[0] for prices in read)
    assert _pricelist.read(read[0]) is read[0]
    assert _pricelist.read(None) is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (5, 'not a list of prices; write one such as [{"model": "my-model-*", "input": 0.5, "output": 1.5}]'),
        ({"m": 3}, "not a list of prices; write one"),
        (["m"], 'entry 1: not an entry; write one such as {"model": "my-model-*"'),
        ([{"input": 1}], 'entry 1: "model" is None; write a name, such as "my-model" or "my-*"'),
        ([{"model": "m", "input": 1}, {"model": " ", "input": 1}], "entry 2: \"model\" is ' '; write a name"),
        ([{"model": "m", "provider": 1, "input": 1}], 'entry 1: "provider" is 1; write a name'),
        ([{"model": "m", "imput": 1}], "entry 1 (\"m\"): 'imput' is not known; write input, output,"),
        ([{"model": "m"}], 'entry 1 ("m"): no price; write at least one of input, output'),
        ([{"model": "m", "input": "2.5"}], "entry 1 (\"m\"): \"input\" is '2.5'; write a number of USD"),
        ([{"model": "m", "input": True}], 'entry 1 ("m"): "input" is True; write a number'),
        ([{"model": "m", "input": -1}], 'entry 1 ("m"): "input" is -1; write a number'),
        ([{"model": "m", "input": float("nan")}], 'entry 1 ("m"): "input" is nan; write a number'),
        ([{"model": "m", "input": 10**400}], 'entry 1 ("m"): "input" is 1000'),
    ],
)  # fmt: skip
def test_bad_prices_are_refused_with_what_to_write(given, text):
    """Which entry, what is wrong, what is accepted."""
    with pytest.raises(ValueError, match=r"^.") as caught:
        _pricelist.read(given)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file or directory; give the path of a JSON file of prices"),
        ("[", "not JSON: Expecting value: line 1 column 2 (char 1); write a list such as"),
        (b"\xff\xfe\x00", "not JSON: 'utf-8' codec"),
        ("[" * 200_000, "too deep; write a list"),
        ("3", "not a list of prices"),
        ('[{"model": "m", "input": null}]', 'entry 1 ("m"): no price'),
    ],
    ids=["absent", "cut", "binary", "deep", "number", "empty"],
)
def test_a_bad_file_is_named(tmp_path, content, text):
    """With the place in it."""
    path = tmp_path / "prices.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"^.") as caught:
        _pricelist.read(str(path))
    assert str(caught.value).startswith(f"{path}: {text}")


# --- What the settings say -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "there", "is_priced"),
    [
        (None, "table", True),
        (None, "prices", True),
        (None, "nothing", False),
        (False, "table prices", False),
        (True, "table", True),
    ],
)
def test_calls_are_priced_where_there_is_something_for_it(books, monkeypatch, wanted, there, is_priced):
    """A table or prices of one's own, unless it is not wanted."""
    monkeypatch.setattr(_prices, "is_installed", lambda: "table" in there)
    prices = own({"model": "m", "input": 1}) if "prices" in there else None
    assert (_cost.start(prices, books.counter, wanted=wanted) is not None) == is_priced


@pytest.mark.parametrize(
    ("given", "wanted"), [(None, None), (True, True), ("FALSE", False), (" true ", True), (False, False)]
)
def test_the_setting_is_read(given, wanted):
    """From a program or from the environment."""
    assert _pricelist.wanted(given) is wanted


def test_the_setting_is_refused_with_what_to_write(monkeypatch):
    """A word that is neither, and a wish that cannot come true."""
    with pytest.raises(ValueError, match=r"^'maybe' is not one of true, false$"):
        _pricelist.wanted("maybe")
    monkeypatch.setattr(_prices, "is_installed", lambda: False)
    assert _pricelist.wanted("false") is False
    with pytest.raises(ValueError, match=r"^genai-prices is not installed: pip install 'otel-genai\[cost\]'"):
        _pricelist.wanted("true")


def test_prices_can_be_part_of_what_is_hashed():
    """As settings are."""
    assert len({own({"model": "m", "input": 1, "audio_input": 2, "cached_audio_input": 3})}) == 1


# --- Threads, forks, beginnings and ends -----------------------------------------------------------------


def test_calls_of_many_threads_are_all_counted(costs, books):
    """Whether they waited for the price or not."""
    threads = [
        threading.Thread(target=lambda: [costs.tell(CALL, WHO, 1.0) for _ in range(100)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    costs.settle()
    assert sum(books[s.COST].values()) == pytest.approx(800 * 0.00027)
    assert books[s.UNPRICED] == {}


def test_a_failure_in_the_thread_is_told(books, monkeypatch):
    """To whoever counts our failures, once for a model; its calls are unpriced."""
    told = []
    costs = _cost.Costs(books.counter, fail=told.append)
    monkeypatch.setattr(_prices.Table, "find", lambda *args: 1 / 0)
    for _ in range(2):
        costs.tell(CALL, WHO, 1.0)
        costs.settle()
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert list(books[s.UNPRICED].values()) == [2]


def test_a_failure_is_no_noise_where_nobody_counts_it(books, monkeypatch, caplog):
    """It is in the log of who looks for it."""
    caplog.set_level(logging.DEBUG, "otel_genai")
    costs = _cost.Costs(books.counter)
    monkeypatch.setattr(_prices.Table, "find", lambda *args: 1 / 0)
    costs.tell(CALL, WHO, 1.0)
    costs.settle()
    assert "a call could not be priced" in caplog.text


def test_where_no_thread_starts_the_end_does_it(costs, books, monkeypatch):
    """Python starts none when it is about to end."""

    def refuse(*args):
        raise RuntimeError

    monkeypatch.setattr(_cost, "start_new_thread", refuse)
    costs.tell(CALL, WHO, 1.0)
    assert books[s.COST] == {}
    costs.settle()
    assert len(books[s.COST]) == 1


def test_everything_that_waits_is_settled(costs, books):
    """Whoever priced it."""
    costs.tell(CALL, WHO, 1.0)
    _cost.settle(30)
    assert len(books[s.COST]) == 1


def test_settling_does_not_wait_longer_than_asked(costs):
    """Whoever is at work."""
    costs._busy.acquire()
    began = time.monotonic()
    costs.settle(0.05)
    assert 0.04 < time.monotonic() - began < 2
    costs._busy.release()


PROGRAM = """
import os, sys, time
from otel_genai import _cost, _guard, semconv as s
from otel_genai._tally import Tally

_guard.watch()
books = {}
costs = _cost.Costs(lambda metric: books.setdefault(metric.name, Tally()))
found = {s.PROVIDER_NAME: "openai", s.REQUEST_MODEL: "gpt-4o"}
found |= {s.USAGE_INPUT_TOKENS: 1, s.USAGE_OUTPUT_TOKENS: 1}
def sums(name="gen_ai.client.cost.usd"):
    return sum(books[name]._sums.values())
"""


def run(body):
    """Run a program of its own, and give what it printed."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + body], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.split()


def test_the_table_is_not_imported_at_start_up():
    """Not before a call wants a price, and then by another thread."""
    body = """
_cost.scope()
print("genai_prices" in sys.modules)
began = time.perf_counter(); costs.expect(found); print(time.perf_counter() - began < 0.1)
costs.settle(); print("genai_prices" in sys.modules)
"""
    assert run(body) == ["False", "True", "True"]


def test_the_programs_end_waits_for_prices():
    """What is counted is there when the SDK reads it for the last time."""
    body = """
import atexit
atexit.register(lambda: print(sums()))
costs.tell(found, {}, 1.0)
"""
    assert run(body) == ["1.25e-05"]


MOMENTS = {
    "at once": "",
    "while the table is imported": "while 'genai_prices' not in sys.modules: pass",
    "when it is there": "costs.settle(20)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_forked_process_counts_its_own_calls(moment):
    """Whatever the parent was doing at that moment."""
    body = f"""
import warnings; warnings.simplefilter("ignore")
costs.tell(found, {{}}, 1.0)
{moment}
child = os.fork()
for tally in (books.values() if not child else ()):
    tally.forget()
costs.tell(found, {{}}, 1.0); costs.tell(found, {{}}, 1.0)
costs.settle(20)
os.write(1, f"{{round(sums() * 1e6, 6)}} {{sums('otel_genai.unpriced')}}\\n".encode())  # at once
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""
    assert sorted(run(body)) == sorted(["37.5", "0", "25.0", "0"])


def test_what_is_known_of_a_call_is_on_the_counter_and_not_on_the_histogram():
    """A histogram has a series for each bucket: whose calls they were would multiply them."""
    own = [{"model": "m*", "input": 1, "output": 2}]
    wanted = {"metric_dimensions": "team", "cost_histogram": True, "cost": None, "prices": own}
    with (
        testing.capture(**wanted) as seen,
        otel_genai.context(team="search"),
        otel_genai.inference("m1", provider="p") as call,
    ):
        call.usage(input_tokens=10**6, output_tokens=10**6)
    metrics = seen.metrics
    [spent], [each] = metrics["gen_ai.client.cost.usd"], metrics["gen_ai.client.operation.cost"]
    assert (spent["value"], spent["attributes"]["otel_genai.team"]) == (3, "search")
    assert "otel_genai.team" not in each["attributes"]
    assert (each["sum"], metrics["otel_genai.calls"][0]["attributes"]["otel_genai.team"]) == (3, "search")
