"""Google Gen AI's SDK: its ways of calling, for the tables in tests/test_sdks.py.

The bodies have the shape of https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings
and https://ai.google.dev/api/interactions-api.
"""

from __future__ import annotations

import warnings
from typing import Any

from google import genai
from google.genai.version import __version__

from sdks.kit import Reply, Sdk, Way, events, fake

VERSION = tuple(int(number) for number in __version__.split(".")[:2])
MODEL = "gemini-3.8-flash"
PROMPT = "What is 2+2? marmalade"
BOIL = {
    "name": "boil",
    "description": "Boils.",
    "parameters": {"type": "OBJECT", "properties": {"what": {"type": "STRING"}}},
}
ASKED = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
THOUGHT = {"type": "reasoning", "content": "Two artichoke hearts and two more."}
SAID = {"type": "text", "content": "Four, says the artichoke."}
CALLED = {"type": "tool_call", "id": "call-7", "name": "boil", "arguments": {"what": "artichoke"}}
ANSWERED = [{"role": "assistant", "parts": [THOUGHT, SAID], "finish_reason": "stop"}]
CONTENT = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.provider.name": "gcp.gemini",
    "gen_ai.request.model": MODEL,
    "gen_ai.response.model": "gemini-3.8-flash-001",
    "gen_ai.response.finish_reasons": ["STOP"],
}


def _named(name: str) -> dict[str, str]:
    """Say what an answer is called; the SDK drops that before 1.33."""
    return {"gen_ai.response.id": name} if VERSION >= (1, 33) else {}


STREAM = {
    **CONTENT,
    **_named("znShabWsPILHpgeJlYH5Cw"),
    "gen_ai.request.stream": True,
    "gen_ai.usage.input_tokens": 14,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.usage.reasoning.output_tokens": 21,
    "gen_ai.usage.text.input_tokens": 14,
}
INTERACTION = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.provider.name": "gcp.gemini",
    "gen_ai.request.model": MODEL,
    "gen_ai.response.model": MODEL,
}


def client(url: str, colour: str) -> Any:
    """Make a client of the SDK."""
    # the SDK's own, of aiohttp's
    warnings.filterwarnings("ignore", "Inheritance class", DeprecationWarning)
    made = genai.Client(api_key="test", http_options={"base_url": url})
    return made.aio if colour == "async" else made


def close(client: Any) -> Any:
    """Close a client; old ones cannot be."""
    closed = getattr(client, "aclose", None) or getattr(client, "close", None)
    return closed() if closed is not None else None


def _streamed(name: str, call: Any) -> Way:
    return Way(
        name=name,
        call=call,
        replies=[Reply(pieces=events(fake("google_genai/content.sse")), kind="text/event-stream")],
        span={"name": f"generate_content {MODEL}", "attributes": STREAM},
        input=ASKED,
        output=ANSWERED,
        stream=True,
    )


_GENERATED = [
    Way(
        name="content",
        call=lambda c: c.models.generate_content(
            model=MODEL,
            contents=PROMPT,
            config={
                "system_instruction": "Count in vegetables. marmalade",
                "max_output_tokens": 64,
                "temperature": 0,
                "top_p": 0.9,
                "top_k": 40,
                "candidate_count": 1,
                "seed": 1729,
                "presence_penalty": 0.5,
                "frequency_penalty": 0.25,
                "stop_sequences": ["END"],
                "response_mime_type": "application/json",
            },
        ),
        replies=[
            Reply(fake("google_genai/content.json"), headers={"x-gemini-service-tier": "flex"}),
        ],
        span={
            "name": f"generate_content {MODEL}",
            "attributes": {
                **CONTENT,
                "gen_ai.output.type": "json",
                "gen_ai.request.max_tokens": 64,
                "gen_ai.request.temperature": 0.0,
                "gen_ai.request.top_p": 0.9,
                "gen_ai.request.top_k": 40,
                "gen_ai.request.seed": 1729,
                "gen_ai.request.presence_penalty": 0.5,
                "gen_ai.request.frequency_penalty": 0.25,
                "gen_ai.request.stop_sequences": ["END"],
                **_named("znShae3kA9OC0-kPqpTl-Qg"),
                "gen_ai.usage.input_tokens": 1074,
                "gen_ai.usage.output_tokens": 30,
                "gen_ai.usage.cache_read.input_tokens": 1024,
                "gen_ai.usage.reasoning.output_tokens": 21,
                "gen_ai.usage.text.input_tokens": 816,
                "gen_ai.usage.image.input_tokens": 258,
                "gen_ai.usage.text.output_tokens": 9,
                "gen_ai.usage.text.cache_read.input_tokens": 766,
                "gen_ai.usage.image.cache_read.input_tokens": 258,
                # headers are dropped before 1.22
                **({"otel_genai.service_tier": "flex"} if VERSION >= (1, 22) else {}),
            },
        },
        input=ASKED,
        output=ANSWERED,
        system=[{"type": "text", "content": "Count in vegetables. marmalade"}],
    ),
    _streamed("content, stream", lambda c: c.models.generate_content_stream(model=MODEL, contents=PROMPT)),
    Way(
        name="content, tools",
        call=lambda c: c.models.generate_content(
            model=MODEL, contents=[PROMPT], config={"tools": [{"function_declarations": [BOIL]}]}
        ),
        replies=[Reply(fake("google_genai/tool.json"))],
        span={
            "name": f"generate_content {MODEL}",
            "attributes": {
                **CONTENT,
                **_named("zXShabfkKvb7juMP5dGvwQc"),
                "gen_ai.usage.input_tokens": 63,
                "gen_ai.usage.output_tokens": 6,
            },
        },
        input=ASKED,
        output=[{"role": "assistant", "parts": [CALLED], "finish_reason": "tool_call"}],
        tools=[{"type": "function", **BOIL}],
    ),
    _streamed("chat, stream", lambda c: c.chats.create(model=MODEL).send_message_stream(PROMPT)),
    Way(
        name="embeddings",
        call=lambda c: c.models.embed_content(
            model="gemini-embedding-001", contents=[PROMPT, PROMPT], config={"output_dimensionality": 4}
        ),
        replies=[Reply(fake("google_genai/embeddings.json"))],
        span={
            "name": "embeddings gemini-embedding-001",
            "attributes": {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "gcp.gemini",
                "gen_ai.request.model": "gemini-embedding-001",
                "gen_ai.embeddings.dimension.count": 4,
            },
        },
    ),
]
_INTERACTIONS = [
    Way(
        name="interaction",
        call=lambda c: c.interactions.create(
            model=MODEL,
            input=PROMPT,
            system_instruction="Count in vegetables. marmalade",
            previous_interaction_id="v1_before",
            generation_config={"temperature": 0.5, "max_output_tokens": 64, "thinking_level": "low"},
            tools=[{"type": "google_search"}],
        ),
        replies=[Reply(fake("google_genai/interaction.json"))],
        span={
            "name": f"generate_content {MODEL}",
            "attributes": {
                **INTERACTION,
                "gen_ai.request.max_tokens": 64,
                "gen_ai.request.temperature": 0.5,
                "gen_ai.request.reasoning.level": "low",
                "gen_ai.request.previous_response.id": "v1_before",
                "gen_ai.response.id": "v1_ChdOQ2M4YXBYc0NyNnkxTWtQazctZDhRYxIXTkNj",
                "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.usage.input_tokens": 30,
                "gen_ai.usage.output_tokens": 30,
                "gen_ai.usage.cache_read.input_tokens": 16,
                "gen_ai.usage.reasoning.output_tokens": 21,
                "gen_ai.usage.text.input_tokens": 30,
                "otel_genai.service_tier": "flex",
            },
        },
        input=ASKED,
        system=[{"type": "text", "content": "Count in vegetables. marmalade"}],
        tools=[{"type": "google_search", "name": "google_search"}],
        output=[
            {
                "role": "assistant",
                "parts": [
                    THOUGHT,
                    {
                        "type": "server_tool_call",
                        "id": "s1",
                        "name": "google_search",
                        "server_tool_call": {
                            "type": "google_search",
                            "input": {"queries": ["artichoke arithmetic"]},
                        },
                    },
                    {
                        "type": "server_tool_call_response",
                        "id": "s1",
                        "server_tool_call_response": {
                            "type": "google_search",
                            "content": [{"search_suggestions": "artichoke"}],
                        },
                    },
                    SAID,
                ],
                "finish_reason": "stop",
            }
        ],
    ),
    Way(
        name="interaction, stream",
        call=lambda c: c.interactions.create(model=MODEL, input=PROMPT, stream=True),
        replies=[Reply(pieces=events(fake("google_genai/interaction.sse")), kind="text/event-stream")],
        span={
            "name": f"generate_content {MODEL}",
            "attributes": {
                **INTERACTION,
                "gen_ai.request.stream": True,
                "gen_ai.response.id": "v1_Chc0UWdqYXJtSkt2",
                "gen_ai.response.finish_reasons": ["tool_call"],
                "gen_ai.usage.input_tokens": 11,
                "gen_ai.usage.output_tokens": 68,
                "gen_ai.usage.cache_read.input_tokens": 0,
                "gen_ai.usage.reasoning.output_tokens": 26,
                "gen_ai.usage.text.input_tokens": 11,
            },
        },
        input=ASKED,
        output=[{"role": "assistant", "parts": [THOUGHT, SAID, CALLED], "finish_reason": "tool_call"}],
        stream=True,
    ),
    Way(
        name="interaction, fetched",
        call=lambda c: c.interactions.get("v1_ChdOQ2M4YXBYc0NyNnkxTWtQazctZDhRYxIXTkNj"),
        replies=[Reply(fake("google_genai/interaction.json"))],
        span={
            "name": "fetch_response",
            "attributes": {
                "gen_ai.operation.name": "fetch_response",
                "gen_ai.provider.name": "gcp.gemini",
                "gen_ai.response.id": "v1_ChdOQ2M4YXBYc0NyNnkxTWtQazctZDhRYxIXTkNj",
                "gen_ai.response.model": MODEL,
                "gen_ai.response.status": "completed",
                "gen_ai.response.finish_reasons": ["stop"],
            },
        },
    ),
]
SDK = Sdk(
    name="google_genai",
    client=client,
    ways=_GENERATED + (_INTERACTIONS if VERSION >= (2, 0) else []),
    refusal=Reply(b'{"error": {"code": 404, "message": "no marmalade", "status": "NOT_FOUND"}}', status=404),
    refused={"http.response.status_code": 404},
    close=close,
)
