"""What is peculiar to Cohere: counts of two kinds, two generations, who answers, what failed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("cohere", reason="needs the SDK: pip install cohere")

import cohere
from cohere.core.unchecked_base_model import construct_type

from otel_genai import spec
from otel_genai.providers import _cohere_content
from otel_genai.providers import cohere as provider
from otel_genai.testing import capture
from sdks.cohere import MESSAGES, MODEL, client, close
from sdks.kit import Reply, Wire, fake


def told(**usage: Any) -> dict[str, Any]:
    """Give what is told of a usage record as it is sent, without what is unknown."""
    answer = cohere.V2ChatResponse.model_validate({**json.loads(fake("cohere/chat.json")), "usage": usage})
    return {key: value for key, value in provider.usage(answer).items() if value is not None}


# --- Tokens ----------------------------------------------------------------------------------------------


def test_what_is_billed_is_counted():
    """The conventions ask for it by name; the tokens that Cohere adds itself are billed to nobody."""
    counts = {"input_tokens": 71.0, "output_tokens": 9.0}
    billed = {"input_tokens": 5.0, "output_tokens": 7.0}
    assert told(billed_units=billed, tokens=counts, cached_tokens=64) == {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
    }


def test_where_nothing_is_billed_what_was_processed_is_counted():
    """Of those, the cached ones are a part."""
    assert told(tokens={"input_tokens": 71.0, "output_tokens": 9.0}, cached_tokens=64.0) == {
        "gen_ai.usage.input_tokens": 71,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 64,
    }


def test_tokens_of_images_are_tokens():
    """An embedding of an image has no others."""
    assert told(billed_units={"image_tokens": 1610.0}) == {
        "gen_ai.usage.input_tokens": 1610,
        "gen_ai.usage.image.input_tokens": 1610,
    }


@pytest.mark.parametrize(
    ("embeddings", "count"),
    [
        ({"float": [[0.5, 0.25]]}, 2),
        ({"ubinary": [[255, 1]]}, 16),
        ({"base64": ["AAAA"]}, None),
        ({}, None),
    ],
)
def test_packed_vectors_have_eight_dimensions_a_number(embeddings, count):
    """And one in base64 tells none."""
    answer = {"id": "1", "embeddings": embeddings}
    response = construct_type(type_=cohere.EmbedByTypeResponse, object_=answer)  # as the SDK does
    assert provider.dimensions(response) == {"gen_ai.embeddings.dimension.count": count}


# --- One call, one span ----------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_many_texts_are_one_call(colour):
    """The SDK makes several requests, with threads of its own, and one answer of theirs."""
    with Wire([Reply(fake("cohere/v1_embed.json"))], frozenset()).serving() as wire:
        clients = client(wire.url, colour)
        with capture("cohere") as seen:
            done = clients.v1.embed(
                model="embed-english-v3.0", texts=["marmalade"] * 100, input_type="search_query"
            )
            _ = await done if colour == "async" else done
        await close(clients)
    assert len(wire.requests) == 2
    [span] = seen.spans
    assert span["attributes"]["gen_ai.usage.input_tokens"] == 4


def test_the_second_generation_is_a_part_of_the_first_client_too():
    """`client.v2` is no client, and has the server of the client that it is a part of."""
    with Wire([Reply(fake("cohere/chat.json"))], frozenset()).serving() as wire:
        clients = client(wire.url, "sync")
        with capture("cohere") as seen:
            clients.v1.v2.chat(model=MODEL, messages=MESSAGES)
        clients.v1._client_wrapper.httpx_client.httpx_client.close()
    [span] = seen.spans
    assert span["attributes"]["server.address"] == "127.0.0.1"


# --- Who answers, and what failed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "who"),
    [("BedrockClient", "aws.bedrock"), ("BedrockClientV2", "aws.bedrock"), ("SagemakerClientV2", "cohere")],
)
def test_a_platform_is_told_without_a_server(name, who):
    """The base URL of such a client is not where its requests go."""
    cls = type("Mine", (getattr(cohere, name),), {})
    assert provider.server(cls.__new__(cls), {}) == spec.Server(who)


@pytest.mark.parametrize(
    ("reason", "error"),
    [("COMPLETE", None), ("MAX_TOKENS", None), ("ERROR", "_OTHER"), ("TIMEOUT", "TIMEOUT")],
)
def test_some_reasons_to_finish_are_failures(reason, error):
    """The answer has the status of a success all the same."""
    assert provider.fault(SimpleNamespace(finish_reason=reason)) == error  # type: ignore[arg-type]  # all that is read


def test_an_error_at_the_end_of_a_stream_is_a_failure():
    """The last event has a message for it, which is not told."""
    fold = _cohere_content.Fold(content=True)
    end = {"type": "message-end", "delta": {"error": "marmalade", "finish_reason": None, "usage": None}}
    fold.add(spec.view(end))
    assert provider.fault(fold) == "_OTHER"


# --- Content ---------------------------------------------------------------------------------------------


def test_every_kind_of_turn_is_read():
    """Plans, calls, results of tools and images, from dictionaries and from the SDK's own types."""
    call = {"id": "t1", "type": "function", "function": {"name": "boil", "arguments": '{"a": 1}'}}
    document = {"type": "document", "document": {"data": {"done": True}}}
    messages = [
        cohere.SystemChatMessageV2(content="Be brief."),
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]},
        {"role": "assistant", "tool_plan": "I will boil.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": [document]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "odd", "data": "x"}],
        },
    ]
    assert [(turn["role"], turn["parts"]) for turn in _cohere_content.inputs({"messages": messages})] == [
        ("system", [{"type": "text", "content": "Be brief."}]),
        (
            "user",
            [{"type": "uri", "modality": "image", "uri": "https://x.example/a.png", "mime_type": None}],
        ),
        (
            "assistant",
            [
                {"type": "reasoning", "content": "I will boil."},
                {"type": "tool_call", "id": "t1", "name": "boil", "arguments": {"a": 1}},
            ],
        ),
        (
            "tool",
            [
                {
                    "type": "tool_call_response",
                    "id": "t1",
                    "response": [{"type": "document", "content": {"data": {"done": True}}}],
                }
            ],
        ),
        ("assistant", [{"type": "reasoning", "content": "hm"}, {"type": "odd"}]),
    ]


def test_results_of_tools_follow_the_message_in_the_first_generation():
    """They stand apart from the conversation there, as does the message."""
    result = {"call": {"name": "boil", "parameters": {}}, "outputs": [{"done": True}]}
    history = [cohere.ChatbotMessage(message="Boiling.", tool_calls=[{"name": "boil", "parameters": {}}])]
    body = {"message": "And now?", "chat_history": history, "tool_results": [result]}
    assert [
        (turn["role"], [part["type"] for part in turn["parts"]]) for turn in _cohere_content.v1_inputs(body)
    ] == [
        ("assistant", ["text", "tool_call"]),
        ("user", ["text"]),
        ("tool", ["tool_call_response"]),
    ]
