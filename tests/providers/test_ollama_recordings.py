"""Recorded exchanges with Ollama, replayed through the SDK and held against what they say themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("ollama", reason="needs the SDK: pip install ollama")

from otel_genai.testing import capture
from recordings import MISSING, Exchange, exchanges, misshapen
from sdks.kit import Reply, Wire
from sdks.ollama import JSON_LINES, client

EXCHANGES = [e for e in exchanges("127.0.0.1:11434") if e.method == "POST"]


def _replay(exchange: Exchange) -> None:
    """Make the recorded call; what the SDK raises is the program's."""
    request = dict(exchange.request)
    pieces = tuple(line + b"\n" for line in exchange.body.encode().splitlines()) if request["stream"] else ()
    reply = Reply(exchange.body.encode(), exchange.status, JSON_LINES, pieces=pieces)
    with Wire([reply], frozenset()).serving() as wire:
        ollama = client(wire.url, "sync")
        result = ollama.chat(**request)
        for _ in result if request["stream"] else ():
            pass
        ollama._client.close()
        assert json.loads(wire.requests[0]["body"]) == exchange.request


def _said(exchange: Exchange) -> tuple[str, str, dict[str, Any]]:
    """Add the recorded answer up: its text, its reasoning, and its last part."""
    parts = [json.loads(line) for line in exchange.body.splitlines() if line]
    text = "".join(part["message"].get("content") or "" for part in parts)
    thought = "".join(part["message"].get("thinking") or "" for part in parts)
    return text, thought, parts[-1]


@pytest.mark.skipif(not EXCHANGES, reason=MISSING)
@pytest.mark.parametrize("exchange", [e for e in EXCHANGES if e.status == 200], ids=lambda e: e.name)
def test_a_recorded_answer_is_told(exchange: Exchange) -> None:
    """Tokens, model, finish reason and message are those of the recording."""
    text, thought, last = _said(exchange)
    with capture("ollama", capture="SPAN_ONLY") as seen:
        _replay(exchange)
    [span] = seen.spans
    told = span["attributes"]
    assert told["gen_ai.response.model"] == last["model"]
    assert told["gen_ai.usage.input_tokens"] == last["prompt_eval_count"]
    assert told["gen_ai.usage.output_tokens"] == last["eval_count"]
    assert told["gen_ai.response.finish_reasons"] == [last["done_reason"]]
    [message] = json.loads(told["gen_ai.output.messages"])
    parts = {part["type"]: part.get("content") for part in message["parts"]}
    assert (parts.get("text", ""), parts.get("reasoning", "")) == (text, thought)
    asked = json.loads(told["gen_ai.input.messages"])
    assert [turn["role"] for turn in asked] == [turn["role"] for turn in exchange.request["messages"]]
    content = ("input.messages", "output.messages", "tool.definitions")
    decoded = {
        f"gen_ai.{key}": json.loads(told[f"gen_ai.{key}"]) for key in content if f"gen_ai.{key}" in told
    }
    assert misshapen(decoded) == []
