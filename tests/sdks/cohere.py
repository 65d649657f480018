"""Cohere: its ways of calling, for the tables in tests/test_sdks.py.

The bodies have the shape of https://docs.cohere.com/reference/chat and of its neighbours, and, of the first
generation, of https://docs.cohere.com/v1/reference/chat and of its own.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cohere

from sdks.kit import Reply, Sdk, Way, events, fake, lines

MODEL = "command-a-03-2025"
MESSAGES: Any = [{"role": "user", "content": "What is 2+2? marmalade"}]
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "What is 2+2? marmalade"}]}]
ANSWERED = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "Four, says the artichoke."}],
        "finish_reason": "stop",
    }
]
PLANNED = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "I will boil the artichoke."},
            {
                "type": "tool_call",
                "id": "boil_m3kdvxncg1p8",
                "name": "boil",
                "arguments": {"what": "artichoke"},
            },
        ],
        "finish_reason": "tool_call",
    }
]
BOIL: Any = {
    "type": "function",
    "function": {"name": "boil", "description": "Boils.", "parameters": {"type": "object"}},
}
BOILS = [{"type": "function", "name": "boil", "description": "Boils.", "parameters": {"type": "object"}}]
V1_BOIL: Any = {"name": "boil", "description": "Boils.", "parameter_definitions": {"what": {"type": "str"}}}
TEXT = "What is 2+2? marmalade"


def client(url: str, colour: str) -> Any:
    """Make a client of each generation."""
    classes: Any = (cohere.AsyncClient, cohere.AsyncClientV2)
    if colour == "sync":
        classes = (cohere.Client, cohere.ClientV2)
    v1, v2 = (cls("test", base_url=url) for cls in classes)
    return SimpleNamespace(v1=v1, v2=v2)


async def close(clients: Any) -> None:
    """Close both."""
    for each in (clients.v1, clients.v2):
        http = each._client_wrapper.httpx_client.httpx_client
        if hasattr(http, "aclose"):
            await http.aclose()
        else:
            http.close()


def _stream(name: str) -> list[Reply]:
    body = fake(f"cohere/{name}")
    if name.endswith(".jsonl"):
        return [Reply(pieces=lines(body), kind="application/stream+json")]
    return [Reply(pieces=events(body), kind="text/event-stream")]


def _span(operation: str, model: str, **attributes: Any) -> dict[str, Any]:
    """Say what a span has: keys are the ends of the attributes' names."""
    found = {f"gen_ai.{key.replace('__', '.')}": value for key, value in attributes.items()}
    named = {"gen_ai.operation.name": operation, "gen_ai.provider.name": "cohere"}
    return {
        "name": f"{operation} {model}",
        "attributes": {**named, "gen_ai.request.model": model, **found},
    }


def _told(name: str, given: int, written: int, reason: str = "COMPLETE") -> dict[str, Any]:
    return {
        "response__id": name,
        "response__finish_reasons": [reason],
        "usage__input_tokens": given,
        "usage__output_tokens": written,
    }


CHAT = _told("c14c80c3-18eb-4519-9460-6c92edd8cfb4", 5, 7)
TOOLS = _told("5a50480a-cf52-46f0-af01-53d18539bd31", 37, 28, "TOOL_CALL")
V1_CHAT = _told("0ca0ffa5-2f4c-4b0d-8a5c-3e0b8d6c1a11", 12, 7)
WAYS = [
    Way(
        name="chat",
        call=lambda c: c.v2.chat(
            model=MODEL, messages=MESSAGES, max_tokens=64, temperature=0, p=1, k=3, seed=1729,
            stop_sequences=["END"], frequency_penalty=0.5, presence_penalty=0.25,
            response_format={"type": "json_object"},
        ),
        replies=[Reply(fake("cohere/chat.json"))],
        span=_span(
            "chat", MODEL, request__max_tokens=64, request__temperature=0.0, request__top_p=1.0,
            request__top_k=3, request__seed=1729, request__stop_sequences=["END"],
            request__frequency_penalty=0.5, request__presence_penalty=0.25, output__type="json", **CHAT,
        ),
        input=ASKED,
        output=ANSWERED,
    ),
    Way(
        name="chat, stream",
        call=lambda c: c.v2.chat_stream(model=MODEL, messages=MESSAGES),
        replies=_stream("chat.sse"),
        span=_span("chat", MODEL, request__stream=True, **CHAT),
        input=ASKED,
        output=ANSWERED,
        stream=True,
    ),
    Way(
        name="chat, tools",
        call=lambda c: c.v2.chat(
            model=MODEL, messages=[cohere.UserChatMessageV2(content=TEXT)], tools=[BOIL]
        ),
        replies=[Reply(fake("cohere/chat_tools.json"))],
        span=_span("chat", MODEL, **TOOLS),
        input=ASKED,
        output=PLANNED,
        tools=BOILS,
    ),
    Way(
        name="chat, tools, stream",
        call=lambda c: c.v2.chat_stream(model=MODEL, messages=MESSAGES, tools=[BOIL]),
        replies=_stream("chat_tools.sse"),
        span=_span("chat", MODEL, request__stream=True, **TOOLS),
        input=ASKED,
        output=PLANNED,
        tools=BOILS,
        stream=True,
    ),
    Way(
        name="chat, thinking, stream",
        call=lambda c: c.v2.chat_stream(model="command-a-reasoning-08-2025", messages=MESSAGES),
        replies=_stream("chat_thinking.sse"),
        span=_span(
            "chat", "command-a-reasoning-08-2025", request__stream=True,
            **_told("9e5f00aa", 4, 64, "MAX_TOKENS"),
        ),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "Two artichokes and two more."},
                    {"type": "text", "content": "Four artichokes."},
                ],
                "finish_reason": "length",
            }
        ],
        stream=True,
    ),
    Way(
        name="embed",
        call=lambda c: c.v2.embed(
            model="embed-v4.0", texts=["marmalade"], input_type="search_query",
            embedding_types=["float", "int8"],
        ),
        replies=[Reply(fake("cohere/embed.json"))],
        span=_span(
            "embeddings", "embed-v4.0", request__encoding_formats=["float", "int8"],
            embeddings__dimension__count=4, usage__input_tokens=2,
        ),
    ),
    Way(
        name="rerank",
        call=lambda c: c.v2.rerank(model="rerank-v3.5", query="marmalade", documents=["a", "b"], top_n=2),
        replies=[Reply(fake("cohere/rerank.json"))],
        span=_span("rerank", "rerank-v3.5"),
    ),
    Way(
        name="v1 chat",
        call=lambda c: c.v1.chat(
            model=MODEL, message=TEXT, preamble="Cook marmalade.", conversation_id="kitchen-1",
            chat_history=[{"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello"}],
        ),
        replies=[Reply(fake("cohere/v1_chat.json"))],
        span=_span("chat", MODEL, conversation__id="kitchen-1", **V1_CHAT),
        system=[{"type": "text", "content": "Cook marmalade."}],
        input=[
            {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
            {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]},
            *ASKED,
        ],
        output=ANSWERED,
    ),
    Way(
        name="v1 chat, stream",
        call=lambda c: c.v1.chat_stream(model=MODEL, message=TEXT),
        replies=_stream("v1_chat.jsonl"),
        span=_span("chat", MODEL, request__stream=True, **V1_CHAT),
        input=ASKED,
        output=ANSWERED,
        stream=True,
    ),
    Way(
        name="v1 chat, tools",
        call=lambda c: c.v1.chat(model=MODEL, message=TEXT, tools=[V1_BOIL]),
        replies=[Reply(fake("cohere/v1_tools.json"))],
        span=_span("chat", MODEL, **_told("g1", 30, 20)),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "I will boil the artichoke."},
                    {"type": "tool_call", "id": None, "name": "boil", "arguments": {"what": "artichoke"}},
                ],
                "finish_reason": "stop",
            }
        ],
        tools=[
            {
                "type": "function",
                "name": "boil",
                "description": "Boils.",
                "parameters": {"what": {"type": "str"}},
            }
        ],
    ),
    Way(
        name="v1 embed",
        call=lambda c: c.v1.embed(
            model="embed-english-v3.0", texts=["marmalade"], input_type="search_query"
        ),
        replies=[Reply(fake("cohere/v1_embed.json"))],
        span=_span(
            "embeddings", "embed-english-v3.0", embeddings__dimension__count=3, usage__input_tokens=2
        ),
    ),
    Way(
        name="v1 rerank",
        call=lambda c: c.v1.rerank(model="rerank-v3.5", query="marmalade", documents=["a", "b"]),
        replies=[Reply(fake("cohere/rerank.json"))],
        span=_span("rerank", "rerank-v3.5"),
    ),
]  # fmt: skip
SDK = Sdk(
    name="cohere",
    client=client,
    ways=WAYS,
    refusal=Reply(b'{"id": "a1", "message": "model \'marmalade\' not found"}', status=404),
    refused={"error.type": "NotFoundError", "http.response.status_code": 404},
    close=close,
    binds=True,
)
