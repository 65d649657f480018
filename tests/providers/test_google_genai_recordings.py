"""Recorded exchanges with Google's APIs, replayed through the SDK and held against what they say themselves.

What is expected here is worked out from the recorded JSON alone, with none of the code under test.
"""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

genai = pytest.importorskip("google.genai", reason="needs Google's SDK: pip install google-genai")

from google.genai import types  # noqa: E402 (without the SDK there is nothing to test)
from pydantic import ValidationError  # noqa: E402 (the SDK stands on it)

from otel_genai.testing import capture  # noqa: E402 (without the SDK there is nothing to test)
from recordings import MISSING, Exchange, exchanges, misshapen  # noqa: E402 (after the line above)
from sdks.google_genai import VERSION  # noqa: E402 (after the line above)
from sdks.kit import Reply, Wire  # noqa: E402 (after the line above)

HOSTS = {
    "generativelanguage.googleapis.com": "gcp.gemini",
    "test-location-aiplatform.googleapis.com": "gcp.vertex_ai",
}
EXCHANGES = [e for host in HOSTS for e in exchanges(host) if "cachedContents" not in e.url]
needs_recordings = pytest.mark.skipif(not EXCHANGES, reason=MISSING)
pytestmark = [
    needs_recordings,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
]

# --- Sending ---------------------------------------------------------------------------------------------


def _kind(exchange: Exchange) -> str:
    path = urlsplit(exchange.url).path
    if "/interactions" in path:
        return "create" if exchange.method.upper() == "POST" else "get"
    return path.rpartition(":")[2]


def _is_stream(exchange: Exchange) -> bool:
    return "data: {" in exchange.body


async def _now(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _read(stream: Any) -> None:
    _ = [event async for event in stream] if hasattr(stream, "__aiter__") else list(stream)


def _config(request: dict[str, Any]) -> dict[str, Any]:
    beside = ("tools", "toolConfig", "systemInstruction", "safetySettings", "cachedContent", "labels")
    return {
        **(request.get("generationConfig") or {}),
        **{key: request[key] for key in beside if key in request},
    }


def _model(exchange: Exchange) -> str:
    return urlsplit(exchange.url).path.partition("/models/")[2].partition(":")[0]


async def _send(client: Any, exchange: Exchange) -> None:
    kind, url = _kind(exchange), urlsplit(exchange.url)
    if kind == "create":
        got = await _now(client.interactions.create(**exchange.request))
        if exchange.request.get("stream"):
            await _read(got)
    elif kind == "get":
        query = dict(parse_qsl(url.query))
        asked = {key: query[key] for key in ("last_event_id",) if key in query}
        stream = query.get("stream") == "true"
        got = await _now(client.interactions.get(url.path.rpartition("/")[2], stream=stream, **asked))
        if stream:
            await _read(got)
    elif kind == "batchEmbedContents":
        texts = [one["content"] for one in exchange.request["requests"]]
        await _now(client.models.embed_content(model=_model(exchange), contents=texts))
    else:
        contents, config = exchange.request["contents"], _config(exchange.request)
        if kind == "streamGenerateContent":
            call = client.models.generate_content_stream
            await _read(await _now(call(model=_model(exchange), contents=contents, config=config)))
        else:
            await _now(
                client.models.generate_content(model=_model(exchange), contents=contents, config=config)
            )


def _skip_what_is_too_new(exchange: Exchange) -> None:
    """Skip what the SDK cannot send, as it is older than the recording."""
    if _kind(exchange) in ("create", "get"):
        if VERSION < (2, 9):
            pytest.skip("needs google-genai >= 2.9")
    elif VERSION < (2, 0) and exchange.request:
        try:
            types.GenerateContentConfig.model_validate(_config(exchange.request))
            for turn in exchange.request.get("contents", ()):
                types.Content.model_validate(turn)
        except ValidationError:
            pytest.skip("needs google-genai >= 2, which knows all that was asked for here")


async def _replayed(exchange: Exchange, colour: str, mode: str) -> Any:
    """Replay one exchange."""
    _skip_what_is_too_new(exchange)
    kind = "text/event-stream" if _is_stream(exchange) else "application/json"
    wire = Wire([Reply(exchange.body.encode(), exchange.status, kind)], frozenset())
    with wire.serving(), capture("google_genai", capture=mode, content_budget=10**8, cost=False) as seen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the SDK's own, of what is experimental
            client = genai.Client(api_key="test", http_options={"base_url": wire.url})
            await _send(client.aio if colour == "async" else client, exchange)
        if VERSION >= (2, 0):
            await client.aio.aclose()
            client.close()
    return seen


# --- What a recording says itself ------------------------------------------------------------------------


def _documents(exchange: Exchange) -> list[dict[str, Any]]:
    """Give the recorded answer's documents: one, or the events of a stream."""
    lines = [line[5:].strip() for line in exchange.body.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line != "[DONE]"] if lines else [json.loads(exchange.body)]


def _last(documents: list[dict[str, Any]], key: str) -> Any:
    return next((document[key] for document in reversed(documents) if key in document), None)


def _by_kind(details: list[dict[str, Any]], count: str, name: str, found: dict[str, int]) -> None:
    for one in details:
        kind = one["modality"].lower()
        if kind in ("text", "image", "audio"):
            key = f"gen_ai.usage.{kind}.{name}"
            found[key] = found.get(key, 0) + one[count]


def _content_usage(u: dict[str, Any]) -> dict[str, int]:
    groups = {
        "input_tokens": ("promptTokenCount", "toolUsePromptTokenCount"),
        "output_tokens": ("candidatesTokenCount", "thoughtsTokenCount"),
        "cache_read.input_tokens": ("cachedContentTokenCount",),
        "reasoning.output_tokens": ("thoughtsTokenCount",),
    }
    found = {
        f"gen_ai.usage.{name}": sum(u.get(key, 0) for key in keys)
        for name, keys in groups.items()
        if any(key in u for key in keys)
    }
    if "totalTokenCount" in u:  # the API's own sum
        both = found.get("gen_ai.usage.input_tokens", 0) + found.get("gen_ai.usage.output_tokens", 0)
        assert u["totalTokenCount"] == both
    for key in ("promptTokensDetails", "toolUsePromptTokensDetails"):
        _by_kind(u.get(key, []), "tokenCount", "input_tokens", found)
    _by_kind(u.get("candidatesTokensDetails", []), "tokenCount", "output_tokens", found)
    _by_kind(u.get("cacheTokensDetails", []), "tokenCount", "cache_read.input_tokens", found)
    return found


def _interaction_usage(u: dict[str, Any]) -> dict[str, int]:
    found = {
        "gen_ai.usage.input_tokens": u["total_input_tokens"] + u["total_tool_use_tokens"],
        "gen_ai.usage.output_tokens": u["total_output_tokens"] + u["total_thought_tokens"],
        "gen_ai.usage.cache_read.input_tokens": u["total_cached_tokens"],
        "gen_ai.usage.reasoning.output_tokens": u["total_thought_tokens"],
    }
    both = found["gen_ai.usage.input_tokens"] + found["gen_ai.usage.output_tokens"]
    assert u["total_tokens"] == both
    for key in ("input_tokens_by_modality", "tool_use_tokens_by_modality"):
        _by_kind(u.get(key, []), "tokens", "input_tokens", found)
    _by_kind(u.get("output_tokens_by_modality", []), "tokens", "output_tokens", found)
    return found


def _interaction(exchange: Exchange) -> dict[str, Any]:
    documents = _documents(exchange)
    return _last(documents, "interaction") or documents[-1]


def _answered(exchange: Exchange) -> dict[str, Any]:
    """Say which attributes the answer gives."""
    kind, documents = _kind(exchange), _documents(exchange)
    if kind == "batchEmbedContents":
        return {"gen_ai.embeddings.dimension.count": len(documents[0]["embeddings"][0]["values"])}
    if kind in ("create", "get"):
        told = _interaction(exchange)
        reasons = {
            "completed": "stop",
            "incomplete": "length",
            "failed": "error",
            "requires_action": "tool_call",
        }
        found = {
            "gen_ai.response.id": told["id"],
            "gen_ai.response.model": told.get("model"),
            "gen_ai.response.finish_reasons": [reasons[told["status"]]]
            if told["status"] in reasons
            else None,
            "gen_ai.response.status": told["status"] if kind == "get" else None,
        }
        return {
            **found,
            **(_interaction_usage(told["usage"]) if kind == "create" and "usage" in told else {}),
        }
    ends = [one for document in documents for one in document.get("candidates", ()) if "finishReason" in one]
    return {
        "gen_ai.response.id": _last(documents, "responseId") if VERSION >= (1, 33) else None,
        "gen_ai.response.model": _last(documents, "modelVersion"),
        "gen_ai.response.finish_reasons": [one["finishReason"] for one in ends] or None,
        **_content_usage(_last(documents, "usageMetadata") or {}),
    }


def _said(exchange: Exchange) -> tuple[str, str, list[tuple[Any, Any]]]:
    """Give the text, the thoughts and the calls of the recorded answer."""
    texts, thoughts, calls = [], [], []
    if _kind(exchange) in ("create", "get"):
        return _told(exchange)
    for document in _documents(exchange):
        for candidate in document.get("candidates", ()):
            for part in candidate.get("content", {}).get("parts", ()):
                (thoughts if part.get("thought") else texts).append(part.get("text", ""))
                if "functionCall" in part:
                    calls.append((part["functionCall"]["name"], part["functionCall"].get("args")))
    return "".join(texts), "".join(thoughts), calls


def _told(exchange: Exchange) -> tuple[str, str, list[tuple[Any, Any]]]:
    documents = _documents(exchange)
    steps = [step for document in documents for step in document.get("steps") or ()]
    blocks = [block for step in steps if step["type"] == "model_output" for block in step.get("content", ())]
    summaries = [block for step in steps if step["type"] == "thought" for block in step.get("summary", ())]
    deltas = [document["delta"] for document in documents if "delta" in document]
    blocks += [delta for delta in deltas if delta["type"] == "text"]
    summaries += [delta["content"] for delta in deltas if delta["type"] == "thought_summary"]
    calls = [(step["name"], step["arguments"]) for step in steps if step["type"] == "function_call"]
    return "".join(b["text"] for b in blocks), "".join(b["text"] for b in summaries), calls


def _asked(exchange: Exchange) -> list[tuple[str, str]]:
    """Give the roles and texts of the recorded request, turn by turn."""
    if _kind(exchange) == "create":
        given = exchange.request["input"]
        blocks = [{"text": given}] if isinstance(given, str) else given
        return [("user", "".join(block.get("text", "") for block in blocks))]
    roles = {"model": "assistant"}
    found = []
    for turn in exchange.request["contents"]:
        parts = turn["parts"] if isinstance(turn["parts"], list) else [turn["parts"]]
        role = (
            "tool" if parts and all("functionResponse" in one for one in parts) else turn.get("role", "user")
        )
        found.append((roles.get(role, role), "".join(part.get("text", "") for part in parts)))
    return found


# --- The comparison --------------------------------------------------------------------------------------

OPERATIONS = {"batchEmbedContents": "embeddings", "get": "fetch_response"}


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
async def test_a_recorded_exchange_is_told_as_it_was(exchange, colour, caplog):
    """One span per exchange with the recorded model, tokens, finish reasons and ids, and nothing unread."""
    caplog.set_level(logging.DEBUG, "otel_genai")
    [span] = (await _replayed(exchange, colour, "NO_CONTENT")).spans
    found = span["attributes"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")] == []
    agent = exchange.request.get("agent") if exchange.request else None
    operation = "invoke_agent" if agent else OPERATIONS.get(_kind(exchange), "generate_content")
    assert found["gen_ai.operation.name"] == operation
    prefixes = ("gen_ai.response.", "gen_ai.usage.", "gen_ai.embeddings.")
    told = {key: value for key, value in found.items() if key.startswith(prefixes)}
    first = told.pop("gen_ai.response.time_to_first_chunk", None)
    assert told == {key: value for key, value in _answered(exchange).items() if value is not None}
    assert (first is not None) is _is_stream(exchange)
    assert span["status"] == "UNSET"


@pytest.mark.parametrize(
    "exchange", [e for e in EXCHANGES if "Embed" not in e.url], ids=lambda exchange: exchange.name
)
async def test_a_recorded_conversation_is_told_as_it_was(exchange):
    """With capture on, all recorded text and every tool call are told, in the conventions' shape."""
    seen = await _replayed(exchange, "sync", "SPAN_ONLY")
    told = {
        key: json.loads(value)
        for key, value in seen.spans[0]["attributes"].items()
        if key.endswith((".messages", ".definitions", "_instructions"))
    }
    assert misshapen(told) == []
    if _kind(exchange) != "get":
        turns = told["gen_ai.input.messages"]
        assert [(turn["role"], _spoken([turn], "text")) for turn in turns] == _asked(exchange)
    said = told.get("gen_ai.output.messages", [])
    calls = [
        (part["name"], part["arguments"])
        for turn in said
        for part in turn["parts"]
        if part["type"] == "tool_call"
    ]
    assert (_spoken(said, "text"), _spoken(said, "reasoning"), calls) == _said(exchange)


def _spoken(messages: Any, kind: str) -> str:
    return "".join(part["content"] for turn in messages for part in turn["parts"] if part["type"] == kind)
