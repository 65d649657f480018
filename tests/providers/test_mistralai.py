"""What is peculiar to Mistral AI: its own spans, its content, what its counts do not say, who answers."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

pytest.importorskip("mistralai", reason="needs the SDK: pip install mistralai")

try:
    from mistralai.client import models
    from mistralai.extra.observability import configure_telemetry
except ImportError:  # before mistralai 2
    from mistralai import models  # type: ignore[attr-defined,no-redef]  # as above

    configure_telemetry = None  # type: ignore[assignment]  # as above

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_genai
from otel_genai.providers import _mistralai_content, mistralai
from otel_genai.testing import capture
from sdks.kit import Reply, Wire, events, fake
from sdks.mistralai import MESSAGES, MODEL, Client

ANSWER = fake("mistralai/chat.json")
STREAM = Reply(kind="text/event-stream", pieces=events(fake("mistralai/chat.sse")))


def answer(**changes: Any) -> Any:
    """Give an answer with something else in it."""
    return models.ChatCompletionResponse.model_validate({**json.loads(ANSWER), **changes})


# --- The SDK's own spans ---------------------------------------------------------------------------------

needs_tracing = pytest.mark.skipif(configure_telemetry is None, reason="needs mistralai >= 2")


def _called(client: Client) -> None:
    client.sdk.chat.complete(model=MODEL, messages=MESSAGES, http_headers={"x-mine": "kept"})
    list(client.sdk.chat.stream(model=MODEL, messages=MESSAGES))
    client.sdk.models.list()


def _run(**resource: str) -> tuple[list[str], Any, list[dict[str, str]]]:
    """Call with the SDK's own tracing on: its spans, ours, and the headers that were sent."""
    native = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(resource))
    provider.add_span_processor(SimpleSpanProcessor(native))
    models_list = Reply(b'{"object": "list", "data": []}')
    with Wire([Reply(ANSWER), STREAM, models_list], frozenset()).serving() as wire:
        client = Client(wire.url, "sync")
        configure_telemetry(client.sdk, provider=provider)
        with capture("mistralai") as seen:
            _called(client)
        client.close()
    return (
        [span.name for span in native.get_finished_spans()],
        seen,
        [dict(r["headers"]) for r in wire.requests],
    )


@needs_tracing
def test_the_sdk_makes_no_span_of_its_own_within_ours():
    """One span a call, and the trace goes on from ours; requests that are not ours keep the SDK's own."""
    native, seen, headers = _run()
    assert native == ["list_models_v1_models_get"]
    assert [span["name"] for span in seen.spans] == [f"chat {MODEL}"] * 2
    ids = [f"{span.context.trace_id:032x}-{span.context.span_id:016x}" for span in seen.finished]
    assert [sent["traceparent"][3:52] for sent in headers[:2]] == ids
    assert headers[0]["x-mine"] == "kept"


@needs_tracing
def test_spans_for_mistrals_own_platform_stay():
    """They are in nobody else's trace."""
    native, seen, _ = _run(**{"service.name": "mistralai_sdk"})
    assert len(native) == 3
    assert len(seen.spans) == 2


@needs_tracing
def test_the_sdk_makes_its_spans_where_we_make_none():
    """Under `suppress()`, and once we are gone."""
    native = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(native))
    with Wire([Reply(ANSWER)], frozenset()).serving() as wire:
        client = Client(wire.url, "sync")
        configure_telemetry(client.sdk, provider=provider)
        with capture("mistralai") as seen, otel_genai.suppress():
            client.sdk.chat.complete(model=MODEL, messages=MESSAGES)
        client.sdk.chat.complete(model=MODEL, messages=MESSAGES)
        client.close()
    assert seen.spans == []
    assert len(native.get_finished_spans()) == 2


# --- Who answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("platform", "name"), [("azure", "azure.ai.inference"), ("gcp", "gcp.vertex_ai")])
def test_a_platform_is_told(platform, name):
    """The classes of Azure and Vertex AI are others, and so is who answers."""
    pytest.importorskip(f"mistralai.{platform}.client", reason="needs mistralai's extras")
    chat = importlib.import_module(f"mistralai.{platform}.client.chat")
    hook = mistralai.PROVIDER.hooks[f"mistralai.{platform}.client.chat:Chat.complete"]
    assert callable(chat.Chat.complete)
    assert hook.server(None, {"server_url": "https://host.example:8443/v1"}) == otel_genai.spec.Server(
        name, "host.example", 8443
    )


def test_a_call_may_go_elsewhere():
    """A call's own server is stronger than the client's."""
    with Wire([Reply(ANSWER)], frozenset()).serving() as wire, capture("mistralai") as seen:
        client = Client("https://elsewhere.example", "sync")
        client.sdk.chat.complete(model=MODEL, messages=MESSAGES, server_url=wire.url)
        client.close()
    assert seen.spans[0]["attributes"]["server.address"] == "127.0.0.1"


# --- What came back --------------------------------------------------------------------------------------


def test_counts_that_were_not_sent_are_unknown():
    """The SDK's type has 0 in their place."""
    assert answer(usage={"total_tokens": 9}).usage.prompt_tokens == 0
    told = mistralai.usage(answer(usage={"total_tokens": 9}))
    assert {key: value for key, value in told.items() if value is not None} == {}


def test_a_tier_with_another_price_is_told():
    """The standard one is not worth a word."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    tiers = [
        mistralai.usage(answer(usage={**usage, "service_tier": tier})) for tier in ("standard", "priority")
    ]
    assert [told["otel_genai.service_tier"] for told in tiers] == [None, "priority"]


def test_an_answer_that_ended_in_an_error_is_a_failure():
    """The API says so in the reason alone."""
    choice = {"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""}}
    assert (mistralai.fault(answer()), mistralai.fault(answer(choices=[choice]))) == (None, "_OTHER")


@pytest.mark.parametrize(("vector", "count"), [([0.5, -0.25], 2), ([12.0, -7.0], None), ([], None)])
def test_packed_vectors_do_not_tell_their_dimensions(vector, count):
    """Of binary ones, each number stands for eight."""
    data = [{"object": "embedding", "embedding": vector, "index": 0}]
    embedded = models.EmbeddingResponse(id="1", object="list", model="m", usage={}, data=data)
    assert mistralai.dimensions(embedded) == {"gen_ai.embeddings.dimension.count": count}


def test_errors_are_told_by_their_category():
    """A category that the API does not document is not told."""

    class RaisedError(Exception):
        status_code = 429
        body = '{"object": "error", "type": "rate_limit_error", "message": "marmalade"}'

    assert mistralai.error(RaisedError()) == {
        "http.response.status_code": 429,
        "error.type": "rate_limit_error",
    }
    RaisedError.body = '{"type": "marmalade"}'
    assert mistralai.error(RaisedError())["error.type"] is None


# --- Content ---------------------------------------------------------------------------------------------


def test_every_kind_of_chunk_is_read():
    """Media by reference, files and thoughts, from dictionaries and from the SDK's own types."""
    chunks: list[Any] = [
        {"type": "image_url", "image_url": "https://x.example/a.png"},
        models.ImageURLChunk(image_url=models.ImageURL(url="https://x.example/b.png")),
        {"type": "document_url", "document_url": "https://x.example/c.pdf"},
        {"type": "input_audio", "input_audio": "https://x.example/d.mp3"},
        {"type": "input_audio", "input_audio": "UklGRg=="},
        {"type": "file", "file_id": "f1"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "reference", "reference_ids": [1]},
        {"type": "odd", "data": "secret"},
    ]
    messages = [
        models.SystemMessage(content="Be brief."),
        {"role": "user", "content": chunks},
        models.AssistantMessage(
            tool_calls=[models.ToolCall(function=models.FunctionCall(name="boil", arguments='{"a": 1}'))]
        ),
        {"role": "tool", "tool_call_id": "t1", "name": "boil", "content": '{"done": true}'},
    ]
    system, user, assistant, tool = _mistralai_content.inputs({"messages": messages})
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
    assert [(part["type"], part.get("modality")) for part in user["parts"]] == [
        ("uri", "image"),
        ("uri", "image"),
        ("uri", "document"),
        ("uri", "audio"),
        ("inline_media", "audio"),
        ("file", "document"),
        ("reasoning", None),
        ("reference", None),
        ("odd", None),
    ]
    assert "UklG" not in str(user)
    assert assistant["parts"] == [{"type": "tool_call", "id": None, "name": "boil", "arguments": {"a": 1}}]
    assert tool == {
        "role": "tool",
        "name": "boil",
        "parts": [{"type": "tool_call_response", "id": "t1", "response": {"done": True}}],
    }


def test_calls_in_pieces_become_one():
    """Only the first piece has the id; two calls without an index of their own stay two."""

    def event(*calls: dict[str, Any], finish: str | None = None) -> Any:
        choice = {"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": finish}
        return models.CompletionEvent(data={"id": "1", "model": "m", "choices": [choice]})  # type: ignore[arg-type]  # as sent

    fold = _mistralai_content.Fold(content=True)
    fold.add(event({"id": "a", "function": {"name": "boil", "arguments": '{"x"'}}))
    fold.add(event({"function": {"name": "", "arguments": ": 1}"}}))
    fold.add(event({"id": "b", "function": {"name": "fry", "arguments": {"y": 2}}}, finish="tool_calls"))
    [message] = _mistralai_content.outputs(fold.answer)
    assert [(part["id"], part["name"], part["arguments"]) for part in message["parts"]] == [
        ("a", "boil", {"x": 1}),
        ("b", "fry", {"y": 2}),
    ]
