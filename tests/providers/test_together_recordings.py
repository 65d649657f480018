"""Recorded exchanges with Together, replayed through the SDK and held against what they say themselves.

What is expected here is worked out from the recorded JSON alone, with none of the code under test.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

together = pytest.importorskip("together", reason="pip install together to test it")

import httpx  # noqa: E402 (it comes with the SDK)

from otel_genai.testing import capture  # noqa: E402 (after the skip)
from recordings import MISSING, Exchange, exchanges, misshapen  # noqa: E402 (after the skip)
from ways import each, now, run  # noqa: E402 (after the skip)

EXCHANGES = list(exchanges("api.together.ai"))
pytestmark = pytest.mark.skipif(not EXCHANGES, reason=MISSING)


def _answered(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    """Say which attributes the answer gives, and what was said."""
    chunks = exchange.answer if exchange.sse else [exchange.answer]
    last = chunks[-1]
    said = [chunk["choices"][0]["delta" if exchange.sse else "message"] for chunk in chunks]
    found = {
        "gen_ai.response.id": last["id"],
        "gen_ai.response.model": last["model"],
        "gen_ai.response.finish_reasons": [last["choices"][0]["finish_reason"]],
        "gen_ai.usage.input_tokens": last["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": last["usage"]["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": last["usage"]["cached_tokens"],
    }
    calls = [call["function"] for message in said for call in message.get("tool_calls") or ()]
    return found, {
        "text": "".join(message["content"] or "" for message in said),
        "calls": [(call["name"], json.loads(call["arguments"])) for call in calls],
    }


async def _replayed(exchange: Exchange, cls: Any) -> None:
    answer = httpx.Response(
        exchange.status,
        headers={"content-type": "text/event-stream" if exchange.sse else "application/json"},
        content=exchange.body.encode(),
    )
    kind = httpx.AsyncClient if cls is together.AsyncTogether else httpx.Client
    http = kind(transport=httpx.MockTransport(lambda _: answer))
    client = cls(api_key="test", http_client=http, max_retries=0)
    got = await now(client.chat.completions.create(**exchange.request))
    if exchange.sse:
        _ = [event async for event in each(got)]


@pytest.mark.parametrize("cls", [together.Together, together.AsyncTogether])
@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange.name for exchange in EXCHANGES])
def test_what_was_recorded_is_told(exchange: Exchange, cls: Any) -> None:
    """Tokens, model, reasons and messages are those of the recorded answer."""
    with capture("together", capture="SPAN_ONLY", cost=False) as seen:
        run(_replayed(exchange, cls), asynchronous=cls is together.AsyncTogether)
    [span] = seen.spans
    found = span["attributes"]
    expected, said = _answered(exchange)
    assert {key: found.get(key) for key in expected} == expected
    told = {key: json.loads(found[key]) for key in ("gen_ai.input.messages", "gen_ai.output.messages")}
    assert misshapen(told) == []
    [message] = told["gen_ai.output.messages"]
    texts = [part["content"] for part in message["parts"] if part["type"] == "text"]
    calls = [(part["name"], part["arguments"]) for part in message["parts"] if part["type"] == "tool_call"]
    assert {"text": "".join(texts), "calls": calls} == said
    asked = [part["content"] for turn in told["gen_ai.input.messages"] for part in turn["parts"]]
    assert asked == [turn["content"] for turn in exchange.request["messages"]]
