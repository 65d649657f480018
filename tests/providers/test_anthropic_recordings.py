"""Recorded exchanges with Anthropic, replayed through the SDK and held against what they say themselves.

What is expected here is worked out from the recorded JSON alone, with none of the code under test.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
from typing import Any

import anthropic
import pytest

from anthropic_ways import Wire, client, reply
from otel_genai.testing import capture
from recordings import MISSING, Exchange, exchanges, misshapen
from ways import each, inside, now, run

HOST = "api.anthropic.com"
EXCHANGES = [e for e in exchanges(HOST) if e.method == "POST" and "/v1/messages" in e.url]
ERRORS = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError"}
needs_recordings = pytest.mark.skipif(not EXCHANGES, reason=MISSING)
pytestmark = pytest.mark.filterwarnings(
    "ignore:The model:DeprecationWarning", "ignore:Using Claude:UserWarning"
)

# --- Sending ---------------------------------------------------------------------------------------------


def _wire(exchange: Exchange) -> Wire:
    return Wire([lambda: reply(exchange.body.encode(), sse=exchange.sse, status=exchange.status)])


def _resource(c: Any, exchange: Exchange) -> Any:
    return c.beta.messages if "beta=true" in exchange.url else c.messages


def _arguments(create: Any, exchange: Exchange) -> dict[str, Any]:
    """Give the recorded request as arguments; what the installed SDK does not know goes in `extra_body`."""
    known = inspect.signature(create).parameters
    given = {key: value for key, value in exchange.request.items() if key in known}
    return {**given, "extra_body": {key: exchange.request[key] for key in exchange.request.keys() - given}}


async def _create(c: Any, exchange: Exchange) -> None:
    create = _resource(c, exchange).create
    got = await now(create(**_arguments(create, exchange)))
    if exchange.sse:
        _ = [event async for event in each(got)]


async def _helper(c: Any, exchange: Exchange) -> None:
    helper = _resource(c, exchange).stream
    arguments = _arguments(helper, exchange)
    arguments["extra_body"].pop("stream", None)
    if not exchange.sse:
        await _create(c, exchange)
        return
    async with inside(helper(**arguments)) as stream:
        await now(stream.until_done())


async def _bytes(c: Any, exchange: Exchange) -> None:
    resource = _resource(c, exchange)
    create = resource.with_streaming_response.create
    async with inside(create(**_arguments(resource.create, exchange))) as response:
        _ = [piece async for piece in each(response.iter_bytes())]


SENT = [
    pytest.param(_create, anthropic.Anthropic, id="create"),
    pytest.param(_helper, anthropic.AsyncAnthropic, id="async helper"),
    pytest.param(_bytes, anthropic.Anthropic, id="bytes"),
]

# --- What a recording says itself ------------------------------------------------------------------------


def _final(exchange: Exchange) -> Any:
    """Give the recorded answer as one document: of a stream of events, what they add up to."""
    if not exchange.sse:
        return exchange.answer
    message: dict[str, Any] = {}
    for event in exchange.answer:
        if event["type"] == "message_start":
            message = {**event["message"], "content": []}
        elif event["type"] == "content_block_start":
            message["content"].append({**event["content_block"], "pieces": ""})
        elif event["type"] == "content_block_delta":
            block, delta = message["content"][event["index"]], event["delta"]
            block["pieces"] += delta.get("text") or delta.get("partial_json") or delta.get("thinking") or ""
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] = {**message["usage"], **event["usage"]}
    for block in message["content"]:
        pieces = block.pop("pieces")
        if block["type"] == "text":
            block["text"] = pieces
        elif block["type"] == "tool_use" and pieces:
            block["input"] = json.loads(pieces)
    return message


def _answered(exchange: Exchange) -> dict[str, Any]:
    """Say which attributes the answer gives."""
    final = _final(exchange)
    usage = final["usage"]
    read, written = (usage.get(f"cache_{key}_input_tokens") for key in ("read", "creation"))
    found = {
        "gen_ai.response.id": final["id"],
        "gen_ai.response.model": final["model"],
        "gen_ai.response.finish_reasons": [final["stop_reason"]],
        "gen_ai.usage.input_tokens": usage["input_tokens"] + (read or 0) + (written or 0),
        "gen_ai.usage.output_tokens": usage["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_write.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": (usage.get("output_tokens_details") or {}).get(
            "thinking_tokens"
        ),
    }
    return {key: value for key, value in found.items() if value is not None}


def _blocks(given: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": given}] if isinstance(given, str) else list(given or ())


def _texts(given: Any) -> list[str]:
    return [block["text"] for block in _blocks(given) if block["type"] == "text"]


def _calls(given: Any) -> list[tuple[Any, ...]]:
    return [
        (block["id"], block["name"], block["input"])
        for block in _blocks(given)
        if block["type"] == "tool_use"
    ]


# --- The comparison --------------------------------------------------------------------------------------


def _replayed(exchange: Exchange, send: Any, cls: Any, mode: str) -> Any:
    """Replay one exchange; the caller meets the recorded error, if it was one."""
    failure = getattr(anthropic, ERRORS.get(exchange.status, ""), None)
    with capture(capture=mode, content_budget=10**8) as seen:
        c = client(_wire(exchange), cls)
        with pytest.raises(failure) if failure else contextlib.nullcontext():
            run(send(c, exchange), asynchronous=cls is anthropic.AsyncAnthropic)
    return seen


@needs_recordings
@pytest.mark.parametrize(("send", "cls"), SENT)
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_exchange_is_told_as_it_was(exchange, send, cls, caplog):
    """One span per exchange with the recorded model, tokens, finish reasons and ids, and nothing unread."""
    caplog.set_level(logging.DEBUG, "otel_genai")
    seen = _replayed(exchange, send, cls, "NO_CONTENT")
    (span,) = seen.spans
    found = span["attributes"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")] == []
    assert found["gen_ai.request.model"] == exchange.request["model"]
    assert (found["server.address"], found["gen_ai.provider.name"]) == (HOST, "anthropic")
    if exchange.status in ERRORS:
        assert (span["status"], found["error.type"]) == ("ERROR", ERRORS[exchange.status])
        assert found["http.response.status_code"] == exchange.status
        return
    expected = _answered(exchange)
    told = {
        key: value for key, value in found.items() if key.startswith(("gen_ai.response.", "gen_ai.usage."))
    }
    first = told.pop("gen_ai.response.time_to_first_chunk", None)
    assert told == expected
    assert (first is not None) is exchange.sse
    assert (span["status"], "otel_genai.outcome" in found) == ("UNSET", False)
    points = seen.metrics["gen_ai.client.token.usage"]
    sums = {point["attributes"]["gen_ai.token.type"]: point["sum"] for point in points}
    assert sums == {kind: expected[f"gen_ai.usage.{kind}_tokens"] for kind in ("input", "output")}


@needs_recordings
@pytest.mark.parametrize(("send", "cls"), SENT)
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_conversation_is_told_as_it_was(exchange, send, cls):
    """With capture on, all recorded text and every tool call are told, in the conventions' shape."""
    seen = _replayed(exchange, send, cls, "SPAN_ONLY")
    told = {
        key: json.loads(value)
        for key, value in seen.spans[0]["attributes"].items()
        if key.endswith((".messages", ".definitions", "_instructions"))
    }
    assert misshapen(told) == []
    request = exchange.request
    asked = told["gen_ai.input.messages"]
    turns = [(turn["role"], _texts(turn["content"]), _calls(turn["content"])) for turn in request["messages"]]
    assert [(turn["role"], _spoken([turn]), _made([turn])) for turn in asked] == turns
    system = told.get("gen_ai.system_instructions", [])
    assert [part["content"] for part in system] == _texts(request.get("system"))
    answer = _final(exchange)["content"] if exchange.status not in ERRORS else []
    said = told.get("gen_ai.output.messages", [])
    assert (_spoken(said), _made(said)) == (_texts(answer), _calls(answer))
    tools = [tool["name"] for tool in request.get("tools") or ()]
    assert [tool["name"] for tool in told.get("gen_ai.tool.definitions", ())] == tools


def _spoken(messages: Any) -> list[str]:
    return [part["content"] for turn in messages for part in turn["parts"] if part["type"] == "text"]


def _made(messages: Any) -> list[tuple[Any, ...]]:
    parts = [part for turn in messages for part in turn["parts"] if part["type"] == "tool_call"]
    return [(part["id"], part["name"], part["arguments"]) for part in parts]
