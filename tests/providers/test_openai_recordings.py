"""Recorded exchanges with OpenAI, replayed through the SDK and held against what they say themselves.

What is expected here is worked out from the recorded JSON alone, with none of the code under test.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
from typing import Any

import openai
import pytest

from otel_genai.testing import capture
from recordings import MISSING, Exchange, exchanges, misshapen
from ways import APIS, Wire, client, each, inside, now, reply, run

HOST = "api.openai.com"
EXCHANGES = list(exchanges(HOST))
POSTS = [
    e for e in EXCHANGES if e.method == "POST" and any(e.url.endswith(api.path) for api in APIS.values())
]
GETS = [e for e in EXCHANGES if e.method == "GET"]
ERRORS = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError"}
needs_recordings = pytest.mark.skipif(not EXCHANGES, reason=MISSING)

# --- Sending ---------------------------------------------------------------------------------------------


def _api(exchange: Exchange) -> Any:
    return next(api for api in APIS.values() if exchange.url.endswith(api.path))


def _wire(exchange: Exchange) -> Wire:
    return Wire([lambda: reply(exchange.body.encode(), sse=exchange.sse, status=exchange.status)])


def _resource(c: Any, exchange: Exchange) -> Any:
    found = c
    for name in _api(exchange).resource.split("."):
        found = getattr(found, name)
    return found


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


async def _post(c: Any, exchange: Exchange) -> None:
    api = _api(exchange)
    if not exchange.sse:
        await now(c.post(api.path, cast_to=object, body=exchange.request))
        return
    cls = openai.AsyncStream if isinstance(c, openai.AsyncOpenAI) else openai.Stream
    body = exchange.request
    got = await now(c.post(api.path, cast_to=object, body=body, stream=True, stream_cls=cls[api.event]))
    _ = [event async for event in each(got)]


async def _bytes(c: Any, exchange: Exchange) -> None:
    create = _resource(c, exchange).with_streaming_response.create
    async with inside(create(**_arguments(_resource(c, exchange).create, exchange))) as response:
        _ = [piece async for piece in each(response.iter_bytes())]


SENT = [
    pytest.param(_create, openai.OpenAI, id="create"),
    pytest.param(_post, openai.AsyncOpenAI, id="async post"),
    pytest.param(_bytes, openai.OpenAI, id="bytes"),
]

# --- What a recording says itself ------------------------------------------------------------------------


def _final(exchange: Exchange) -> Any:
    """Give the recorded answer as one document: of a stream of chunks, what they add up to."""
    answer = exchange.answer
    if not exchange.sse:
        return answer
    if _api(exchange).name == "responses":
        return next(e["response"] for e in reversed(answer) if "response" in e)
    choices: dict[int, dict[str, Any]] = {}
    for event in answer:
        for choice in event["choices"]:
            _add(choices.setdefault(choice["index"], {"message": {}, "finish_reason": None}), choice)
    usage = [event["usage"] for event in answer if event.get("usage")]
    last = {key: answer[-1].get(key) for key in ("id", "model", "service_tier", "system_fingerprint")}
    return {**last, "choices": list(choices.values()), "usage": usage[-1] if usage else None}


def _add(known: dict[str, Any], choice: dict[str, Any]) -> None:
    known["finish_reason"] = choice["finish_reason"] or known["finish_reason"]
    message, delta = known["message"], choice["delta"]
    if delta.get("content"):
        message["content"] = message.get("content", "") + delta["content"]
    calls = message.setdefault("tool_calls", [])
    for call in delta.get("tool_calls") or ():
        if call["index"] == len(calls):
            calls.append({"id": call["id"], "function": {"name": call["function"]["name"], "arguments": ""}})
        calls[call["index"]]["function"]["arguments"] += call["function"].get("arguments") or ""


_COUNTS = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "prompt_tokens_details.cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "prompt_tokens_details.audio_tokens": "gen_ai.usage.audio.input_tokens",
    "completion_tokens_details.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "completion_tokens_details.audio_tokens": "gen_ai.usage.audio.output_tokens",
    "input_tokens_details.cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "input_tokens_details.cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "output_tokens_details.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


def _usage(usage: dict[str, Any] | None, prefix: str = "") -> dict[str, int]:
    found: dict[str, int] = {}
    for key, value in (usage or {}).items():
        if isinstance(value, dict):
            found |= _usage(value, f"{key}.")
        elif prefix + key in _COUNTS and value is not None:
            found[_COUNTS[prefix + key]] = value
    return found


def _reasons(exchange: Exchange, final: Any) -> list[str] | None:
    if "choices" in final:
        return [choice["finish_reason"] for choice in final["choices"]]
    if "output" not in final:
        return None
    if final["status"] == "incomplete":
        return ["length"]
    calls = any(item["type"] in ("function_call", "custom_tool_call") for item in final["output"])
    return ["tool_calls" if calls else "stop"]


def _answered(exchange: Exchange) -> dict[str, Any]:
    """Say which attributes the answer gives."""
    final = _final(exchange)
    found = {
        "gen_ai.response.id": final.get("id"),
        "gen_ai.response.model": final["model"],
        "gen_ai.response.finish_reasons": _reasons(exchange, final),
        "openai.response.service_tier": final.get("service_tier"),
        "openai.response.system_fingerprint": final.get("system_fingerprint"),
        **_usage(final.get("usage")),
    }
    if _api(exchange).name in ("embeddings", "completions"):
        found = {key: value for key, value in found.items() if not key.startswith("openai.")}
    return {key: value for key, value in found.items() if value is not None}


def _texts(parts: Any) -> list[str]:
    """Find all text in recorded parts, however deep."""
    if isinstance(parts, str):
        return [parts]
    if isinstance(parts, dict):
        return [text for key in ("text", "refusal") for text in _texts(parts.get(key))]
    return [text for part in parts or () for text in _texts(part)]


def _calls(calls: Any) -> list[tuple[Any, ...]]:
    return [
        (call.get("call_id") or call["id"], call["name"], _decoded(call.get("arguments") or call["input"]))
        for call in ({**call, **call.get("function", {})} for call in calls or ())
    ]


def _decoded(arguments: str) -> Any:
    return json.loads(arguments) if arguments[:1] in ("{", "[") else arguments


def _said(exchange: Exchange) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Give the text and the tool calls of the recorded answer."""
    final = _final(exchange)
    texts: list[str] = []
    calls: list[Any] = []
    for choice in final.get("choices", ()):
        message = choice.get("message") or {"content": choice.get("text")}
        texts += [text for key in ("content", "refusal") for text in _texts(message.get(key))]
        calls += message.get("tool_calls") or []
    for item in final.get("output", ()):
        texts += _texts(item.get("content")) if item["type"] == "message" else []
        calls += [item] if item["type"] in ("function_call", "custom_tool_call") else []
    return [text for text in texts if text], _calls(calls)


def _asked(exchange: Exchange) -> tuple[list[tuple[str, list[str]]], list[tuple[Any, ...]]]:
    """Give the roles and texts of the recorded request, turn by turn, and the tool calls in it."""
    request = exchange.request
    turns = request.get("messages") or request.get("input") or request.get("prompt")
    if isinstance(turns, str):
        return [("user", [turns])], []
    calls = [call for turn in turns for call in turn.get("tool_calls") or ()]
    calls += [turn for turn in turns if turn.get("type") in ("function_call", "custom_tool_call")]
    return [_turn(turn) for turn in turns], _calls(calls)


def _turn(turn: dict[str, Any]) -> tuple[str, list[str]]:
    if turn.get("role") == "tool" or turn.get("type", "").endswith("_output"):
        return "tool", []
    return turn.get("role") or "assistant", _texts(turn.get("content"))


# --- The comparison --------------------------------------------------------------------------------------


def _replayed(exchange: Exchange, send: Any, cls: Any, mode: str) -> Any:
    """Replay one exchange; the caller meets the recorded error, if it was one."""
    failure = getattr(openai, ERRORS.get(exchange.status, ""), None)
    with capture(capture=mode, content_budget=10**8) as seen:
        c = client(_wire(exchange), cls)
        with pytest.raises(failure) if failure else contextlib.nullcontext():
            run(send(c, exchange), asynchronous=cls is openai.AsyncOpenAI)
    return seen


@needs_recordings
@pytest.mark.parametrize(("send", "cls"), SENT)
@pytest.mark.parametrize("exchange", POSTS, ids=lambda exchange: exchange.name)
def test_a_recorded_exchange_is_told_as_it_was(exchange, send, cls, caplog):
    """One span per exchange with the recorded model, tokens, finish reasons and ids, and nothing unread."""
    caplog.set_level(logging.DEBUG, "otel_genai")
    seen = _replayed(exchange, send, cls, "NO_CONTENT")
    (span,) = seen.spans
    found = span["attributes"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")] == []
    assert found["gen_ai.request.model"] == exchange.request["model"]
    assert (found["server.address"], found["gen_ai.provider.name"]) == (HOST, "openai")
    if exchange.status in ERRORS:
        assert (span["status"], found["error.type"]) == ("ERROR", ERRORS[exchange.status])
        return
    expected = _answered(exchange)
    prefixes = ("gen_ai.response.", "gen_ai.usage.", "openai.response.")
    told = {key: value for key, value in found.items() if key.startswith(prefixes)}
    first = told.pop("gen_ai.response.time_to_first_chunk", None)
    assert told == expected
    assert (first is not None) is exchange.sse
    assert span["status"] == "UNSET"
    points = seen.metrics.get("gen_ai.client.token.usage", [])
    sums = {point["attributes"]["gen_ai.token.type"]: point["sum"] for point in points}
    kinds = {kind: expected.get(f"gen_ai.usage.{kind}_tokens") for kind in ("input", "output")}
    assert sums == {kind: count for kind, count in kinds.items() if count is not None}


@needs_recordings
@pytest.mark.parametrize(("send", "cls"), SENT)
@pytest.mark.parametrize(
    "exchange", [e for e in POSTS if "embeddings" not in e.url], ids=lambda exchange: exchange.name
)
def test_a_recorded_conversation_is_told_as_it_was(exchange, send, cls):
    """With capture on, all recorded text and every tool call are told, in the conventions' shape."""
    seen = _replayed(exchange, send, cls, "SPAN_ONLY")
    told = {
        key: json.loads(value)
        for key, value in seen.spans[0]["attributes"].items()
        if key.endswith((".messages", ".definitions", "_instructions"))
    }
    assert misshapen(told) == []
    turns, calls = _asked(exchange)
    asked = told["gen_ai.input.messages"]
    assert [(turn["role"], _spoken([turn])) for turn in asked] == turns
    assert _made(asked) == calls
    texts, calls = _said(exchange) if exchange.status not in ERRORS else ([], [])
    said = told.get("gen_ai.output.messages", [])
    assert _spoken(said) == texts
    assert _made(said) == calls
    assert len(told.get("gen_ai.tool.definitions", ())) == len(exchange.request.get("tools") or ())


def _spoken(messages: Any) -> list[str]:
    return [part["content"] for turn in messages for part in turn["parts"] if part["type"] == "text"]


def _made(messages: Any) -> list[tuple[Any, ...]]:
    parts = [part for turn in messages for part in turn["parts"] if part["type"] == "tool_call"]
    return [(part["id"], part["name"], part["arguments"]) for part in parts]


@needs_recordings
@pytest.mark.parametrize("exchange", GETS, ids=lambda exchange: exchange.name)
def test_a_stored_response_that_is_fetched_is_no_inference(exchange):
    """It is told what became of it, without its tokens, whether the answer was read by the SDK or raw."""
    with capture(capture="SPAN_ONLY") as seen:
        responses = client(_wire(exchange)).responses
        responses.retrieve(exchange.url.rpartition("/")[2])
        responses.with_raw_response.retrieve(exchange.url.rpartition("/")[2])
    stored = exchange.answer
    for span in seen.spans:
        found = span["attributes"]
        assert (span["name"], span["status"]) == ("fetch_response", "UNSET")
        assert found["gen_ai.response.id"] == stored["id"]
        assert found["gen_ai.response.model"] == stored["model"]
        assert found["gen_ai.response.status"] == stored["status"]
        reason = {"completed": "stop", "failed": "error"}[stored["status"]]
        assert found["gen_ai.response.finish_reasons"] == [reason]
        texts = [part["text"] for item in stored["output"] for part in item.get("content") or ()]
        assert _spoken(json.loads(found.get("gen_ai.output.messages", "[]"))) == texts
        assert not [key for key in found if "usage" in key or "input" in key]
    assert len(seen.spans) == 2
    assert not seen.metrics.keys() & {"otel_genai.calls", "gen_ai.client.token.usage"}
