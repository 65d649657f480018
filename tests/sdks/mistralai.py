"""Mistral AI's SDK: its ways of calling, for the tables in tests/test_sdks.py.

The bodies have the shape of https://docs.mistral.ai/api, of
https://docs.mistral.ai/studio-api/conversations/advanced/prompt-caching (cached tokens) and of
https://docs.mistral.ai/resources/error-glossary (errors).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from sdks.kit import Reply, Sdk, Way, events, fake

try:
    from mistralai.client import Mistral
except ImportError:  # before mistralai 2
    from mistralai import Mistral  # type: ignore[attr-defined,no-redef]  # as above

MODEL = "mistral-medium-latest"
MESSAGES: Any = [{"role": "user", "content": "What is 2+2? marmalade"}]
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "What is 2+2? marmalade"}]}]
ANSWERED = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "Four, says the artichoke."}],
        "finish_reason": "stop",
    }
]
THOUGHT = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Two artichokes and two more."},
            {"type": "text", "content": "Four artichokes."},
        ],
        "finish_reason": "stop",
    }
]
CODE = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "    return 'artichoke'"}],
        "finish_reason": "stop",
    }
]
GAP = [
    {
        "role": "user",
        "parts": [
            {"type": "text", "content": "def marmalade():"},
            {"type": "text", "content": "print(marmalade())"},
        ],
    }
]
BOIL: Any = {
    "type": "function",
    "function": {"name": "boil", "description": "Boils.", "parameters": {"type": "object"}},
}
BOILS = [{"type": "function", "name": "boil", "description": "Boils.", "parameters": {"type": "object"}}]


class Client:
    """The SDK's client, whose methods have a name in each colour."""

    def __init__(self, url: str, colour: str) -> None:
        """Have no server but this."""
        self.sdk: Any = Mistral(api_key="test", server_url=url)
        self._suffix = "_async" if colour == "async" else ""

    def call(self, path: str, **kwargs: Any) -> Any:
        """Call a method of a part of the SDK: `chat.complete`."""
        part, _, method = path.partition(".")
        return getattr(getattr(self.sdk, part), method + self._suffix)(**kwargs)

    def close(self) -> Any:
        """Close what is open."""
        self.sdk.sdk_configuration.client.close()
        return self.sdk.sdk_configuration.async_client.aclose() if self._suffix else None


class Sum(BaseModel):
    """What an answer is parsed into."""

    artichokes: int


def _stream(name: str) -> list[Reply]:
    return [Reply(pieces=events(fake(f"mistralai/{name}")), kind="text/event-stream")]


def _called(call_id: str, what: str) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": "boil", "arguments": {"what": what}}


def _span(operation: str, model: str, **attributes: Any) -> dict[str, Any]:
    """Say what a span has: keys are the ends of the attributes' names."""
    found = {f"gen_ai.{key.replace('__', '.')}": value for key, value in attributes.items()}
    named = {"gen_ai.request.model": model} if model else {}
    return {
        "name": f"{operation} {model}".strip(),
        "attributes": {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "mistral_ai",
            **named,
            **found,
        },
    }


def _told(name: str, model: str, given: int, written: int, reason: str = "stop") -> dict[str, Any]:
    return {
        "response__id": name,
        "response__model": model,
        "response__finish_reasons": [reason],
        "usage__input_tokens": given,
        "usage__output_tokens": written,
    }


CHAT: Any = {
    **_told("cmpl-e5cc70bb28c444948073e77776eb30ef", "mistral-medium-2508", 96, 7),
    "usage__cache_read__input_tokens": 64,
}
TOOLS = _told("cmpl-0f3a", "mistral-medium-2508", 88, 22, "tool_calls")
THINKING = _told("cmpl-3c1b", "magistral-medium-2509", 11, 18)
FIM = _told("447e3e0d457e42e98248b5d2ef52a2a3", "codestral-2508", 8, 9)
WAYS = [
    Way(
        name="chat",
        call=lambda c: c.call(
            "chat.complete", model=MODEL, messages=MESSAGES, max_tokens=64, temperature=0, top_p=1,
            random_seed=1729, stop="END", n=2, frequency_penalty=0.5, presence_penalty=0.25,
            response_format={"type": "text"},
        ),
        replies=[Reply(fake("mistralai/chat.json"))],
        span=_span(
            "chat", MODEL, request__max_tokens=64, request__temperature=0.0, request__top_p=1.0,
            request__seed=1729, request__stop_sequences=["END"], request__choice__count=2,
            request__frequency_penalty=0.5, request__presence_penalty=0.25, output__type="text", **CHAT,
        ),
        input=ASKED,
        output=ANSWERED,
    ),
    Way(
        name="chat, stream",
        call=lambda c: c.call("chat.stream", model=MODEL, messages=MESSAGES),
        replies=_stream("chat.sse"),
        span=_span("chat", MODEL, request__stream=True, **CHAT),
        input=ASKED,
        output=ANSWERED,
        stream=True,
    ),
    Way(
        name="chat, tools",
        call=lambda c: c.call("chat.complete", model=MODEL, messages=iter(MESSAGES), tools=[BOIL]),
        replies=[Reply(fake("mistralai/chat_tools.json"))],
        span=_span("chat", MODEL, **TOOLS),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [_called("D681PevKs", "artichoke")],
                "finish_reason": "tool_call",
            }
        ],
        tools=BOILS,
    ),
    Way(
        name="chat, tools, stream",
        call=lambda c: c.call("chat.stream", model=MODEL, messages=MESSAGES, tools=[BOIL]),
        replies=_stream("chat_tools.sse"),
        span=_span(
            "chat", MODEL, request__stream=True, **{**TOOLS, "usage__output_tokens": 44}
        ),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [_called("D681PevKs", "artichoke"), _called("8sBwKqPfe", "egg")],
                "finish_reason": "tool_call",
            }
        ],
        tools=BOILS,
        stream=True,
    ),
    Way(
        name="chat, thinking",
        call=lambda c: c.call("chat.complete", model="magistral-medium-latest", messages=MESSAGES),
        replies=[Reply(fake("mistralai/chat_thinking.json"))],
        span=_span("chat", "magistral-medium-latest", **THINKING),
        input=ASKED,
        output=THOUGHT,
    ),
    Way(
        name="chat, thinking, stream",
        call=lambda c: c.call("chat.stream", model="magistral-medium-latest", messages=MESSAGES),
        replies=_stream("chat_thinking.sse"),
        span=_span("chat", "magistral-medium-latest", request__stream=True, **THINKING),
        input=ASKED,
        output=THOUGHT,
        stream=True,
    ),
    Way(
        name="chat, parse, stream",
        call=lambda c: c.call("chat.parse_stream", response_format=Sum, model=MODEL, messages=MESSAGES),
        replies=_stream("chat.sse"),
        span=_span("chat", MODEL, request__stream=True, output__type="json", **CHAT),
        input=ASKED,
        output=ANSWERED,
        stream=True,
    ),
    Way(
        name="fim",
        call=lambda c: c.call(
            "fim.complete", model="codestral-latest", prompt="def marmalade():", suffix="print(marmalade())"
        ),
        replies=[Reply(fake("mistralai/fim.json"))],
        span=_span("text_completion", "codestral-latest", **FIM),
        input=GAP,
        output=CODE,
    ),
    Way(
        name="fim, stream",
        call=lambda c: c.call(
            "fim.stream", model="codestral-latest", prompt="def marmalade():", suffix="print(marmalade())"
        ),
        replies=_stream("fim.sse"),
        span=_span("text_completion", "codestral-latest", request__stream=True, **FIM),
        input=GAP,
        output=CODE,
        stream=True,
    ),
    Way(
        name="agents",
        call=lambda c: c.call("agents.complete", agent_id="ag:1:cook", messages=MESSAGES),
        replies=[Reply(fake("mistralai/chat.json"))],
        span=_span("invoke_agent", "", agent__id="ag:1:cook", **CHAT),
        input=ASKED,
        output=ANSWERED,
    ),
    Way(
        name="agents, stream",
        call=lambda c: c.call("agents.stream", agent_id="ag:1:cook", messages=MESSAGES),
        replies=_stream("chat.sse"),
        span=_span("invoke_agent", "", agent__id="ag:1:cook", request__stream=True, **CHAT),
        input=ASKED,
        output=ANSWERED,
        stream=True,
    ),
    Way(
        name="embeddings",
        call=lambda c: c.call(
            "embeddings.create", model="mistral-embed", inputs=["marmalade", "marmalade"]
        ),
        replies=[Reply(fake("mistralai/embeddings.json"))],
        span=_span(
            "embeddings", "mistral-embed", response__model="mistral-embed", usage__input_tokens=12,
            embeddings__dimension__count=3,
        ),
    ),
]  # fmt: skip
SDK = Sdk(
    name="mistralai",
    client=Client,
    ways=WAYS,
    refusal=Reply(
        b'{"object": "error", "message": "Invalid model: marmalade", "type": "invalid_request_error",'
        b' "param": "model", "code": "unknown_model"}',
        status=400,
    ),
    refused={"error.type": "invalid_request_error", "http.response.status_code": 400},
    close=Client.close,
)
