"""Recorded traffic of the real APIs: what leaves the process of it, and what it cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from otel_genai import _cost, testing
from otel_genai import semconv as s
from recordings import MISSING, Exchange, exchanges
from registry import KITS, attempt, events
from ways import each, run

HOSTS = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}
RECORDED = {
    name: [one for one in exchanges(host) if one.method == "POST" and isinstance(one.request, dict)]
    for name, host in HOSTS.items()
}
CASES = [(name, exchange) for name, found in RECORDED.items() for exchange in found]
needs_recordings = pytest.mark.skipif(not CASES, reason=MISSING)
each_exchange = pytest.mark.parametrize(
    ("name", "exchange"), CASES, ids=[f"{name}-{exchange.name}" for name, exchange in CASES]
)
SENTENCE = 20
"""Characters from which on a text with a space in it is taken for what somebody said."""


def replayed(name: str, exchange: Exchange) -> None:
    """Have the SDK ask what was asked, and read what was answered, whatever it is."""
    kit = KITS[name]
    body = exchange.body.encode()
    pieces = events(body) if exchange.sse else [body]
    kind = "sse" if exchange.sse else "json"

    async def program() -> None:
        client = kit.client(lambda _: kit.response(pieces, status=exchange.status, kind=kind), "sync")
        options = {"stream": True} if exchange.sse else {}
        path = urlsplit(exchange.url).path.removeprefix("/v1" if name == "openai" else "")

        async def ask() -> Any:
            got = client.post(path, cast_to=object, body=exchange.request, **options)
            return [event async for event in each(got)] if exchange.sse else got

        await attempt(ask)  # some of what was recorded are errors

    run(program(), asynchronous=False)


def said(value: Any) -> Iterator[str]:
    """Give every text in a request or an answer that somebody said, and nobody would use as a name."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)  # maskers see what stands in it
    if isinstance(value, str) and len(value) >= SENTENCE and " " in value:
        yield json.dumps(value, ensure_ascii=False)[1:-1]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from said(item)


def told(seen: testing.Seen) -> str:
    """Give all that was recorded as one text."""
    return json.dumps([seen.spans, seen.events, seen.metrics], default=str, ensure_ascii=False)


@needs_recordings
@each_exchange
def test_nothing_that_was_said_leaves_while_content_is_off(name, exchange):
    """No sentence of the request or the answer, in no signal; the call is there."""
    with testing.capture(name, emit_event=True) as seen:
        replayed(name, exchange)
    found = told(seen)
    sentences = [*said(exchange.request), *said(exchange.answer)]
    assert [text for text in sentences if text in found] == []
    assert len(seen.spans) <= 1


@needs_recordings
@each_exchange
def test_nothing_that_is_masked_leaves_while_content_is_on(name, exchange):
    """Wherever it stood in a message, a tool or an error."""

    def masker(text: str) -> str:
        return "[said]" if " " in text else text

    settings = {"capture": "SPAN_AND_EVENT", "mask": [masker], "content_budget": 10**7}
    with testing.capture(name, **settings) as seen:
        replayed(name, exchange)
    found = told(seen)
    assert [text for text in (*said(exchange.request), *said(exchange.answer)) if text in found] == []
    if seen.spans and next(said(exchange.request), None) and s.INPUT_MESSAGES in seen.spans[0]["attributes"]:
        assert "[said]" in found


@needs_recordings
@pytest.mark.parametrize("name", HOSTS)
def test_each_recorded_call_has_a_cost_or_is_counted_as_having_none(name):
    """What was used is priced, or counted by model; nothing costs nothing."""
    with testing.capture(name, cost=True) as seen:
        for exchange in RECORDED[name]:
            replayed(name, exchange)
            _cost.settle()
    metrics = seen.metrics
    used = [span["attributes"] for span in seen.spans if s.USAGE_INPUT_TOKENS in span["attributes"]]
    amounts = [found[s.USAGE_COST_AMOUNT] for found in used if s.USAGE_COST_AMOUNT in found]
    assert len(amounts) > len(used) / 2  # the first call of each model is priced a moment later
    assert all(0 < amount < 1 for amount in amounts)
    spent = sum(point["value"] for point in metrics[s.COST.name])
    assert spent >= sum(amounts) - 1e-9
    models = {point["attributes"][s.REQUEST_MODEL] for point in metrics[s.COST.name]}
    unpriced = {point["attributes"][s.REQUEST_MODEL] for point in metrics.get(s.UNPRICED.name, ())}
    assert {found[s.REQUEST_MODEL] for found in used} <= models | unpriced
