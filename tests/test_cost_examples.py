"""Fifty calls, priced by hand from the table's published prices, to a millionth of a dollar.

Each example says which entry of the table holds, how many tokens were counted, and then what is paid, one
price after the other. `input@200000` is the price for prompts of more than 200,000 tokens, `input/flex` that
of a service tier; `call` is the price of a single call.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from genai_prices import types
from genai_prices.data import providers

from otel_genai import _cost, _prices
from otel_genai import semconv as s

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
EVENING = NOON.replace(hour=20)
COUNTS = {
    "input": s.USAGE_INPUT_TOKENS,
    "output": s.USAGE_OUTPUT_TOKENS,
    "cached": s.USAGE_CACHE_READ_INPUT_TOKENS,
    "written": s.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "reasoning": s.USAGE_REASONING_OUTPUT_TOKENS,
    "text_in": s.USAGE_TEXT_INPUT_TOKENS,
    "audio_in": s.USAGE_AUDIO_INPUT_TOKENS,
    "audio_out": s.USAGE_AUDIO_OUTPUT_TOKENS,
    "image_in": s.USAGE_IMAGE_INPUT_TOKENS,
    "image_out": s.USAGE_IMAGE_OUTPUT_TOKENS,
    "cached_audio": s.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
    "cached_image": s.USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
}
PRICES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "written": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_in": "input_audio_mtok",
    "audio_out": "output_audio_mtok",
    "image_in": "input_image_mtok",
    "image_out": "output_image_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "cached_image": "cache_image_read_mtok",
    "call": "requests_kcount",
}
EXAMPLES = [
    # provider, model that answered, entry of the table, what was counted, what is paid
    ("openai", "gpt-4o", "openai gpt-4o", "1000 input, 500 output", "1000 input + 500 output"),
    ("openai", "gpt-4o-2024-08-06", "openai gpt-4o", "1 input, 1 output", "1 input + 1 output"),
    ("openai", "gpt-4o", "openai gpt-4o", "0 input, 0 output", "0 input"),
    (
        "openai", "gpt-4o-mini-2024-07-18", "openai gpt-4o-mini",
        "10000 input, 8000 cached, 100 output", "2000 input + 8000 cached + 100 output",
    ),
    (
        "openai", "gpt-4o-mini", "openai gpt-4o-mini",
        "700 input, 700 cached, 9 output", "700 cached + 9 output",
    ),
    ("openai", "gpt-4.1", "openai gpt-4.1", "123456 input, 7890 output", "123456 input + 7890 output"),
    (
        "openai", "gpt-4.1-mini", "openai gpt-4.1-mini",
        "3 input, 1 cached, 2 output", "2 input + 1 cached + 2 output",
    ),
    # what was thought costs what is said, where it has no price of its own
    ("openai", "o3", "openai o3", "50 input, 4000 output, 3500 reasoning", "50 input + 4000 output"),
    (
        "openai", "o4-mini-2025-04-16", "openai o4-mini",
        "80 input, 900 output, 900 reasoning", "80 input + 900 output",
    ),
    (
        "openai", "o1", "openai o1",
        "2000 input, 1024 cached, 64 output", "976 input + 1024 cached + 64 output",
    ),
    (
        "openai", "gpt-5", "openai gpt-5",
        "5000 input, 2560 cached, 800 output", "2440 input + 2560 cached + 800 output",
    ),
    (
        "openai", "gpt-3.5-turbo-0125", "openai gpt-3.5-turbo",
        "333 input, 333 output", "333 input + 333 output",
    ),
    (
        "openai", "gpt-4-turbo", "openai gpt-4-turbo",
        "128000 input, 4096 output", "128000 input + 4096 output",
    ),
    # tiers of service
    ("openai flex", "gpt-5", "openai gpt-5", "1000 input, 100 output", "1000 input/flex + 100 output/flex"),
    (
        "openai priority", "gpt-5-mini", "openai gpt-5-mini",
        "1000 input, 600 cached, 100 output",
        "400 input/priority + 600 cached/priority + 100 output/priority",
    ),
    ("openai flex", "o3", "openai o3", "10 input, 20 output", "10 input/flex + 20 output/flex"),
    ("openai default", "gpt-4o", "openai gpt-4o", "1000 input, 10 output", "1000 input + 10 output"),
    ("openai batch", "gpt-4.1", "openai gpt-4.1", "90 input, 10 output", "90 input/batch + 10 output/batch"),
    (
        # the batch price list has no cached tokens: those cost as ever
        "openai batch", "gpt-4o", "openai gpt-4o",
        "1000 input, 500 cached, 10 output", "500 input/batch + 500 cached + 10 output/batch",
    ),
    (
        "anthropic batch", "claude-opus-5-5", "anthropic claude-opus-5-5",
        "1000 input, 600 cached, 300 written, 50 output",
        "100 input/batch + 600 cached/batch + 300 written/batch + 50 output/batch",
    ),
    (
        "anthropic batch", "claude-sonnet-4-5-20250929", "anthropic claude-sonnet-4-5",
        "200001 input, 9 output", "200001 input/batch@200000 + 9 output/batch@200000",
    ),
    (
        "anthropic fast", "claude-opus-4-8", "anthropic claude-opus-4-8",
        "1000 input, 600 cached, 50 output", "400 input/fast + 600 cached/fast + 50 output/fast",
    ),
    (
        "anthropic standard", "claude-opus-5-5", "anthropic claude-opus-5-5",
        "1000 input, 50 output", "1000 input + 50 output",
    ),
    # speech and pictures
    (
        "openai", "gpt-audio", "openai gpt-audio",
        "1200 input, 1000 audio_in, 350 output, 300 audio_out",
        "200 input + 1000 audio_in + 50 output + 300 audio_out",
    ),
    (
        "openai", "gpt-realtime", "openai gpt-realtime",
        "1000 input, 600 audio_in, 500 cached, 400 cached_audio, 100 output, 80 audio_out",
        # 400 of the 500 cached were audio: 100 cached text, 200 audio heard anew, and 300 the rest
        "300 input + 200 audio_in + 100 cached + 400 cached_audio + 20 output + 80 audio_out",
    ),
    (
        "openai", "gpt-realtime", "openai gpt-realtime",  # no cached tokens of either kind
        "1000 input, 600 audio_in, 0 cached, 100 output", "400 input + 600 audio_in + 100 output",
    ),
    (
        "openai", "gpt-realtime", "openai gpt-realtime",  # everything was audio, so the cached was
        "600 input, 600 audio_in, 200 cached, 0 output", "400 audio_in + 200 cached_audio",
    ),
    (
        "openai", "gpt-image-1", "openai gpt-image-1",
        "50 input, 40 image_in, 4160 output", "10 input + 40 image_in + 4160 output",
    ),
    (
        "gcp.gemini", "gemini-2.5-flash-image", "google gemini-2.5-flash-image",
        "20 input, 1300 output, 1290 image_out", "20 input + 10 output + 1290 image_out",
    ),
    (
        "gcp.vertex_ai", "gemini-2.0-flash", "google gemini-2.0-flash",
        "5000 input, 4000 audio_in, 1000 text_in, 10 output", "1000 input + 4000 audio_in + 10 output",
    ),
    # embeddings
    ("openai", "text-embedding-3-small", "openai text-embedding-3-small", "8191 input", "8191 input"),
    ("openai", "text-embedding-3-large", "openai text-embedding-3-large", "7 input, 0 output", "7 input"),
    ("gcp.gemini", "gemini-embedding-001", "google gemini-embedding-001", "100 input", "100 input"),
    # caches that are written to
    (
        "anthropic", "claude-3-5-haiku-20241022", "anthropic claude-3-5-haiku-latest",
        "3000 input, 1000 cached, 1500 written, 200 output",
        "500 input + 1000 cached + 1500 written + 200 output",
    ),
    (
        "anthropic", "claude-opus-4-20250514", "anthropic claude-opus-4-0",
        "11 input, 22 output", "11 input + 22 output",
    ),
    (
        "anthropic", "claude-3-haiku-20240307", "anthropic claude-3-haiku",
        "2048 input, 2048 written, 1 output", "2048 written + 1 output",
    ),
    # prompts so long that all of the call costs more
    (
        "anthropic", "claude-sonnet-4-5-20250929", "anthropic claude-sonnet-4-5",
        "200000 input, 1000 output", "200000 input + 1000 output",
    ),
    (
        "anthropic", "claude-sonnet-4-5-20250929", "anthropic claude-sonnet-4-5",
        "200001 input, 1000 output", "200001 input@200000 + 1000 output@200000",
    ),
    (
        "anthropic", "claude-sonnet-4-5", "anthropic claude-sonnet-4-5",
        "300000 input, 250000 cached, 40000 written, 10 output",
        "10000 input@200000 + 250000 cached@200000 + 40000 written@200000 + 10 output@200000",
    ),
    (
        "gcp.gemini", "gemini-2.5-pro", "google gemini-2.5-pro",
        "10 input, 9000 output", "10 input + 9000 output",
    ),
    (
        "gcp.vertex_ai", "gemini-2.5-pro", "google gemini-2.5-pro",
        "900000 input, 5 output", "900000 input@200000 + 5 output@200000",
    ),
    (
        "gcp.gemini", "gemini-2.5-flash", "google gemini-2.5-flash",
        "1000 input, 900 cached, 50 output, 40 reasoning", "100 input + 900 cached + 50 output",
    ),
    # the hour counts
    (
        "deepseek", "deepseek-chat", "deepseek deepseek-chat",
        "1000 input, 10 output", "1000 input + 10 output",
    ),
    (
        "deepseek", "deepseek-chat 20h", "deepseek deepseek-chat",
        "1000 input, 400 cached, 10 output", "600 input + 400 cached + 10 output",
    ),
    # a price for the call itself, and for what was thought
    ("perplexity", "sonar", "perplexity sonar", "30 input, 300 output", "30 input + 300 output + 1 call"),
    ("perplexity", "sonar-pro", "perplexity sonar-pro", "5 input, 1 output", "5 input + 1 output + 1 call"),
    (
        "perplexity", "sonar-deep-research", "perplexity sonar-deep-research",
        "33 input, 11000 output, 9000 reasoning", "33 input + 2000 output + 9000 reasoning",
    ),
    # other houses
    (
        "groq", "llama-3.3-70b-versatile", "groq llama-3.3-70b-versatile",
        "99 input, 1 output", "99 input + 1 output",
    ),
    (
        "mistral_ai", "mistral-small-latest", "mistral mistral-small-latest",
        "6 input, 7 output", "6 input + 7 output",
    ),
    (
        "cohere", "command-r-08-2024", "cohere command-r",
        "1000000 input, 1 output", "1000000 input + 1 output",
    ),
    ("x_ai", "grok-3", "x-ai grok-3", "100 input, 64 cached, 10 output", "36 input + 64 cached + 10 output"),
    (
        "moonshot_ai", "kimi-k2-thinking", "moonshotai kimi-k2-thinking",
        "8 input, 9 output", "8 input + 9 output",
    ),
    (
        "aws.bedrock", "amazon.nova-lite-v1:0", "aws amazon.nova-lite-v1:0",
        "1000 input, 400 cached, 5 output", "600 input + 400 cached + 5 output",
    ),
    # a house that offers another's models: its own list first, then the maker's
    ("azure.ai.openai", "o1-2024-12-17", "azure o1", "17 input, 19 output", "17 input + 19 output"),
    (
        "azure.ai.openai default", "gpt-4o-2024-11-20", "openai gpt-4o",
        "12 input, 3 output", "12 input + 3 output",
    ),
]  # fmt: skip
UNKNOWN = [
    # provider and tier, model: it costs something else than the standard, and the table does not say what
    ("openai scale", "gpt-4o"),
    ("openai flex", "gpt-4o"),
    ("anthropic priority", "claude-opus-5-5"),
    ("anthropic fast", "claude-haiku-4-5"),
    ("anthropic batch", "claude-3-haiku-20240307"),
    ("anthropic us", "claude-opus-5-5"),
    ("anthropic fast+us", "claude-opus-5-5"),
    # the table's tiers are the maker's, not those of a house that offers its models
    ("azure.ai.openai priority", "gpt-4o-2024-11-20"),
    ("gcp.vertex_ai batch", "claude-opus-5-5"),
]


def listed(entry, name, when):
    """Read one price from the table: in USD, for one token or call."""
    name, _, start = name.partition("@")
    name, _, tier = name.partition("/")
    house, model = entry.split()
    info = next(info for maker in providers if maker.id == house for info in maker.models if info.id == model)
    if isinstance(info.prices, types.ModelPrice):
        prices = info.prices
    else:  # the last of those that hold at the time
        holding = [item for item in info.prices if item.constraint is None or item.constraint.active(when)]
        prices = (holding[-1] if holding else info.prices[0]).prices
    if tier:
        kind = {"batch": "processing", "fast": "speed"}.get(tier, "service_tier")
        prices = next(variant for variant in info.price_variants if variant.when == {kind: tier}).prices
    price = vars(prices)[PRICES[name]]
    if isinstance(price, types.TieredPrices):
        price = next(step for step in price.tiers if step.start == int(start)).price if start else price.base
    return Decimal(price) / (1000 if name == "call" else 1_000_000)


def numbers(text):
    """Read `3 input, 4 output`."""
    return [(int(count), name) for count, name in re.findall(r"(\d+) ([\w@/]+)", text)]


def test_there_are_fifty_examples():
    """And no two are the same."""
    assert len(set(EXAMPLES)) == len(EXAMPLES) >= 50


@pytest.mark.parametrize(
    ("who", "model", "entry", "counted", "paid"),
    EXAMPLES,
    ids=[f"{number}-{row[0]}-{row[1]}" for number, row in enumerate(EXAMPLES)],
)
def test_a_call_costs_what_the_price_list_says(who, model, entry, counted, paid):
    """One price after the other, by hand."""
    provider, _, tier = who.partition(" ")
    if tier == "fast" and sys.version_info < (3, 11):
        pytest.skip("needs Python 3.11, and with it a genai-prices that lists the fast mode")
    name, _, hour = model.partition(" ")
    when = EVENING if hour else NOON
    expected = sum(count * listed(entry, price, when) for count, price in numbers(paid))

    rates, _ = _prices.Table().find(*asked(provider, name, tier), when.timestamp())
    amount = rates.amount({COUNTS[part]: count for count, part in numbers(counted)}, seconds=1.5)

    assert amount == pytest.approx(float(expected), abs=1e-6, rel=0)
    assert amount == pytest.approx(float(expected), rel=1e-9)


def asked(provider, name, tier):
    """Say whose prices are looked up for an answer, as its attributes name the tier."""
    names = s.SERVICE_TIER if provider == "anthropic" else s.OPENAI_RESPONSE_SERVICE_TIER
    key = _cost._key({s.PROVIDER_NAME: provider, s.REQUEST_MODEL: name, names: tier or None})
    return key[0], key[1], key[3]


@pytest.mark.parametrize(("who", "model"), UNKNOWN)
def test_a_tier_that_is_not_listed_has_no_price(who, model):
    """Not the standard one either; the same model without a tier has its own."""
    provider, _, tier = who.partition(" ")
    table = _prices.Table()
    assert table.find(*asked(provider, model, tier), NOON.timestamp())[0] is None
    assert table.find(*asked(provider, model, ""), NOON.timestamp())[0] is not None


def test_the_hour_makes_a_difference():
    """Otherwise the example of the evening would say nothing."""
    entry = "deepseek deepseek-chat"
    assert listed(entry, "input", NOON) != listed(entry, "input", EVENING)


def test_the_standard_tier_has_no_prices_of_its_own():
    """So that an answer of that tier is priced like one that says nothing."""
    variants = [v for maker in providers for model in maker.models for v in model.price_variants or ()]
    standard = [v for v in variants if v.when == {"service_tier": "default"}]
    assert standard
    assert all(not vars(variant.prices) for variant in standard)
