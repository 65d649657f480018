"""Recorded exchanges with Mistral AI, replayed through the SDK and held against what they say themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("mistralai", reason="needs the SDK: pip install mistralai")

from otel_genai.testing import capture
from recordings import MISSING, Exchange, exchanges, misshapen
from sdks.kit import Reply, Wire, events
from sdks.mistralai import Client

EXCHANGES = [e for e in exchanges("api.mistral.ai") if e.method == "POST" and e.sse]


def _replay(exchange: Exchange) -> None:
    """Make the recorded call, and read the stream to its end."""
    reply = Reply(kind="text/event-stream", pieces=events(exchange.body.encode()))
    with Wire([reply], frozenset()).serving() as wire:
        mistral = Client(wire.url, "sync")
        list(mistral.call("chat.stream", **exchange.request))
        mistral.close()
        assert json.loads(wire.requests[0]["body"])["messages"] == exchange.request["messages"]


def _answered(exchange: Exchange) -> tuple[str, list[tuple[Any, ...]], dict[str, Any]]:
    """Add the recorded chunks up: the text, the tool calls, and the last chunk."""
    deltas = [chunk["choices"][0]["delta"] for chunk in exchange.answer]
    text = "".join(delta.get("content") or "" for delta in deltas)
    calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    made = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls
    ]
    return text, made, exchange.answer[-1]


@pytest.mark.skipif(not EXCHANGES, reason=MISSING)
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_stream_is_told(exchange: Exchange) -> None:
    """Tokens, model, finish reason and message are those of the recording."""
    text, calls, last = _answered(exchange)
    with capture("mistralai", capture="SPAN_ONLY") as seen:
        _replay(exchange)
    [span] = seen.spans
    told = span["attributes"]
    assert (span["name"], span["status"]) == (f"chat {exchange.request['model']}", "UNSET")
    assert (told["gen_ai.response.id"], told["gen_ai.response.model"]) == (last["id"], last["model"])
    assert told["gen_ai.usage.input_tokens"] == last["usage"]["prompt_tokens"]
    assert told["gen_ai.usage.output_tokens"] == last["usage"]["completion_tokens"]
    assert told["gen_ai.response.finish_reasons"] == [last["choices"][0]["finish_reason"]]
    [message] = json.loads(told["gen_ai.output.messages"])
    parts = message["parts"]
    assert "".join(part["content"] for part in parts if part["type"] == "text") == text
    asked_for = [part for part in parts if part["type"] == "tool_call"]
    assert [(part["id"], part["name"], part["arguments"]) for part in asked_for] == calls
    asked = json.loads(told["gen_ai.input.messages"])
    assert [turn["role"] for turn in asked] == [turn["role"] for turn in exchange.request["messages"]]
    content = ("input.messages", "output.messages", "tool.definitions")
    decoded = {
        f"gen_ai.{key}": json.loads(told[f"gen_ai.{key}"]) for key in content if f"gen_ai.{key}" in told
    }
    assert misshapen(decoded) == []
