"""Recorded exchanges of LiteLLM's, replayed through it and held against what they say themselves.

What is expected here is worked out from the recorded JSON alone, with none of the code under test.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import pytest

pytest.importorskip("litellm", reason="needs LiteLLM, which openai 3 rules out: pip install 'litellm' mcp")
pytest.importorskip("mcp", reason="LiteLLM needs it for responses: pip install mcp")

from otel_genai.testing import capture
from recordings import MISSING, Exchange, exchanges, misshapen
from sdks.kit import Reply, Wire
from sdks.litellm import SSE, Client

HOSTS = {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}
EXCHANGES = [
    (word, exchange)
    for host, word in HOSTS.items()
    for exchange in exchanges(host)
    if exchange.name.startswith("litellm/")
]
FUNCTIONS = {
    "/messages": "completion",
    "/chat/completions": "completion",
    "/responses": "responses",
    "/embeddings": "embedding",
}
pytestmark = [
    pytest.mark.skipif(not EXCHANGES, reason=MISSING),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # it keeps its connections
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # as its models are made
]


def _function(exchange: Exchange) -> str:
    return next(name for path, name in FUNCTIONS.items() if exchange.url.endswith(path))


def _whole(exchange: Exchange) -> dict[str, Any]:
    """Give the answer as one document, whatever came in pieces."""
    if not exchange.sse:
        return exchange.answer
    if "response" in exchange.answer[-1]:
        return exchange.answer[-1]["response"]
    whole = next(event["message"] for event in exchange.answer if event["type"] == "message_start")
    deltas = [event["delta"] for event in exchange.answer if event["type"] == "content_block_delta"]
    end = next(event for event in exchange.answer if event["type"] == "message_delta")
    text = "".join(delta.get("text", "") for delta in deltas)
    thought = "".join(delta.get("thinking", "") for delta in deltas)
    content = [{"type": "thinking", "thinking": thought}] if thought else []
    content.append({"type": "text", "text": text})
    return {**whole, **end["delta"], "content": content, "usage": {**whole["usage"], **end["usage"]}}


def _used(answer: dict[str, Any]) -> dict[str, int]:
    """Count what was used: Anthropic's cached tokens are apart, others' are within."""
    u = answer["usage"]
    cached = [u.get("cache_read_input_tokens", 0), u.get("cache_creation_input_tokens", 0)]
    total = u.get("prompt_tokens", u.get("input_tokens", 0)) + sum(cached)
    output = u.get("completion_tokens", u.get("output_tokens"))
    found = {"gen_ai.usage.input_tokens": total}
    return found if output is None else {**found, "gen_ai.usage.output_tokens": output}


def _said(answer: dict[str, Any]) -> list[str]:
    """Give the texts that the model wrote."""
    blocks = answer.get("content") or [
        block for item in answer.get("output", ()) if item["type"] == "message" for block in item["content"]
    ]
    written = [block["text"] for block in blocks if block["type"] in ("text", "output_text")]
    return written or [choice["message"]["content"] for choice in answer.get("choices", ())]


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize(("word", "exchange"), EXCHANGES, ids=[one.name for _, one in EXCHANGES])
def test_a_recorded_call_is_told_as_it_was(word: str, exchange: Exchange, colour: str) -> None:
    """Tokens, model and texts are those of the recording."""
    body = exchange.body.encode()
    pieces = tuple(event + b"\n\n" for event in body.split(b"\n\n") if event) if exchange.sse else ()
    kind = SSE if exchange.sse else "application/json"
    wire = Wire([Reply(body, status=exchange.status, kind=kind, pieces=pieces)], frozenset())
    asked = {key: value for key, value in exchange.request.items() if value is not None}

    async def program() -> None:
        function = getattr(Client(wire.url, colour), _function(exchange))
        got = function(**{**asked, "model": f"{word}/{asked['model']}"})
        got = await got if inspect.isawaitable(got) else got
        if exchange.sse:
            _ = [event async for event in got] if colour == "async" else list(got)

    with wire.serving(), capture("litellm", capture="SPAN_ONLY", cost=False) as seen:
        asyncio.run(program())
    [span] = seen.spans
    found, answer = span["attributes"], _whole(exchange)
    assert {key: found.get(key) for key in _used(answer)} == _used(answer)
    assert (found["gen_ai.provider.name"], found["gen_ai.request.model"]) == (word, asked["model"])
    assert found["gen_ai.response.model"] == answer["model"]
    content = {key: json.loads(value) for key, value in found.items() if "messages" in key}
    assert misshapen(content) == []
    turns = content.get("gen_ai.output.messages", ())
    parts = [part for turn in turns for part in turn["parts"]]
    assert [part["content"] for part in parts if part["type"] == "text"] == _said(answer)
