"""Hugging Face's InferenceClient: its ways of calling, for the tables in tests/test_sdks.py.

The bodies have the shape of https://huggingface.github.io/text-generation-inference/ and of
https://huggingface.co/docs/inference-providers/tasks/chat-completion.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import huggingface_hub

from sdks.kit import Reply, Sdk, Way, events, fake

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PROMPT = "What is 2+2? marmalade"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
BOIL: Any = {"type": "function", "function": {"name": "boil", "description": "Boils.", "parameters": {}}}
ASKED = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]


def client(url: str, colour: str) -> Any:
    """Make a client of the SDK."""
    cls = huggingface_hub.AsyncInferenceClient if colour == "async" else huggingface_hub.InferenceClient
    return cls(base_url=url, api_key="hf_test")


def _chat(answer: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"chat {MODEL}",
        "attributes": {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "huggingface",
            "gen_ai.request.model": MODEL,
            "gen_ai.response.id": answer,
            "gen_ai.response.model": MODEL,
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 43,
            "gen_ai.usage.output_tokens": 8,
            **{f"gen_ai.{key.replace('__', '.')}": value for key, value in more.items()},
        },
    }


def _text(**more: Any) -> dict[str, Any]:
    return {
        "name": "text_completion",
        "attributes": {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.provider.name": "huggingface",
            **{f"gen_ai.{key.replace('__', '.')}": value for key, value in more.items()},
        },
    }


def _said(text: str, **more: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": [{"type": "text", "content": text}], **more}]


WAYS = [
    Way(
        name="chat",
        call=lambda c: c.chat_completion(
            MESSAGES, model=MODEL, max_tokens=64, temperature=0.5, stop=["END"], seed=7
        ),
        replies=[Reply(fake("huggingface_hub/chat.json"))],
        span=_chat(
            "chatcmpl-hf-9d1",
            request__max_tokens=64,
            request__temperature=0.5,
            request__stop_sequences=["END"],
            request__seed=7,
            usage__cache_read__input_tokens=16,
        ),
        input=ASKED,
        output=_said("Four artichokes.", finish_reason="stop"),
    ),
    Way(
        name="chat, stream",
        call=lambda c: c.chat.completions.create(
            messages=MESSAGES, model=MODEL, stream=True, stream_options={"include_usage": True}
        ),
        replies=[Reply(pieces=events(fake("huggingface_hub/chat.sse")), kind="text/event-stream")],
        span=_chat("chatcmpl-hf-9d3", request__stream=True),
        input=ASKED,
        output=_said("Four artichokes.", finish_reason="stop"),
        stream=True,
    ),
    Way(
        name="chat, tools",
        call=lambda c: c.chat_completion(
            MESSAGES, model=MODEL, tools=[BOIL], response_format={"type": "json_object"}
        ),
        replies=[Reply(fake("huggingface_hub/chat_tools.json"))],
        span=_chat(
            "chatcmpl-hf-9d2",
            output__type="json",
            response__finish_reasons=["tool_calls"],
            usage__input_tokens=143,
            usage__output_tokens=18,
        ),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "0", "name": "boil", "arguments": {"what": "artichoke"}}
                ],
                "finish_reason": "tool_call",
            }
        ],
        tools=[{"type": "function", "name": "boil", "description": "Boils.", "parameters": {}}],
    ),
    Way(
        name="text",
        call=lambda c: c.text_generation(PROMPT, max_new_tokens=20, top_k=4, stop=["END"]),
        replies=[Reply(fake("huggingface_hub/text.json"))],
        span=_text(request__max_tokens=20, request__top_k=4, request__stop_sequences=["END"]),
        input=ASKED,
        output=_said(" four artichokes."),
    ),
    Way(
        name="text, details",
        call=lambda c: c.text_generation(PROMPT, details=True),
        replies=[Reply(fake("huggingface_hub/text.json"))],
        span=_text(response__finish_reasons=["eos_token"], usage__output_tokens=5),
        input=ASKED,
        output=_said(" four artichokes.", finish_reason="stop"),
    ),
    Way(
        name="text, stream",
        call=lambda c: c.text_generation(PROMPT, details=True, stream=True),
        replies=[Reply(pieces=events(fake("huggingface_hub/text.sse")), kind="text/event-stream")],
        span=_text(
            request__stream=True,
            response__finish_reasons=["eos_token"],
            usage__input_tokens=12,
            usage__output_tokens=4,
        ),
        input=ASKED,
        output=_said(" four artichokes.", finish_reason="stop"),
        stream=True,
    ),
]
if importlib.util.find_spec("numpy"):  # the SDK gives its arrays
    WAYS.append(
        Way(
            name="embeddings",
            call=lambda c: c.feature_extraction("artichoke and marmalade"),
            replies=[Reply(fake("huggingface_hub/features.json"))],
            span={
                "name": "embeddings",
                "attributes": {
                    "gen_ai.operation.name": "embeddings",
                    "gen_ai.provider.name": "huggingface",
                    "gen_ai.embeddings.dimension.count": 4,
                },
            },
        )
    )


async def _close(client: Any) -> None:
    close = getattr(client, "close", None)  # of the async one alone before huggingface_hub 1
    closed = close() if close is not None else None
    if closed is not None:
        await closed


SDK = Sdk(
    name="huggingface_hub",
    client=client,
    ways=WAYS,
    refusal=Reply(
        b'{"error": "Model marmalade is not supported"}', status=400, headers={"x-request-id": "r-1"}
    ),
    refused={"http.response.status_code": 400},  # before huggingface_hub 1, the async client raises aiohttp's
    random_headers=frozenset({"x-amzn-trace-id"}),
    close=_close,
)
