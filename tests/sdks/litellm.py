"""LiteLLM: its ways of calling, for the tables in tests/test_sdks.py.

It is asked for models that speak OpenAI's language: for those, all that a program gets comes from the wire.
The bodies have the shape of https://platform.openai.com/docs/api-reference.
"""

from __future__ import annotations

import importlib
import os
import time
import uuid
import warnings
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch one over the network

import litellm
import mcp  # noqa: F401 (LiteLLM does not handle tools and responses without it)

from sdks.kit import Reply, Sdk, Way, events, fake

litellm.suppress_debug_info = True
litellm.disable_streaming_logging = True  # a thread of its own would keep streams that were left
# It says when an answer was made, and makes up an id where there is none: two runs are compared.
STILL = SimpleNamespace(**{**vars(time), "time": lambda: 1763700000.0})
for module in (
    "types.utils",
    "litellm_core_utils.llm_response_utils.convert_dict_to_response",
    "litellm_core_utils.streaming_handler",
    "responses.litellm_completion_transformation.streaming_iterator",
    "responses.streaming_iterator",
):
    importlib.import_module(f"litellm.{module}").time = STILL
litellm.types.utils.uuid = SimpleNamespace(**{**vars(uuid), "uuid4": lambda: uuid.UUID(int=4)})

VERSION = tuple(int(number) for number in version("litellm").split(".")[:2])
SSE = "text/event-stream"
MODEL = "openai/gpt-4o-mini"
MESSAGES: Any = [
    {"role": "system", "content": "Be brief, marmalade."},
    {"role": "user", "content": "What is 2+2? marmalade"},
]
BOIL: Any = {"type": "function", "function": {"name": "boil", "description": "Boils.", "parameters": {}}}
ASKED = [
    {"role": "system", "parts": [{"type": "text", "content": "Be brief, marmalade."}]},
    {"role": "user", "parts": [{"type": "text", "content": "What is 2+2? marmalade"}]},
]
SAID = {"type": "text", "content": "Four, says the artichoke."}
CALLED = {
    "type": "tool_call",
    "id": "call_Qm3",
    "name": "boil",
    "arguments": {"minutes": 7, "what": "artichoke"},
}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.id": "chatcmpl-CbqG1Xn7dK4vR2mT8sYw0uPzLh3Ef",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
}
USED = {
    "gen_ai.usage.input_tokens": 84,
    "gen_ai.usage.output_tokens": 31,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.usage.audio.output_tokens": 0,
    "gen_ai.usage.reasoning.output_tokens": 18,
}
WRITTEN = {
    "gen_ai.operation.name": "text_completion",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-3.5-turbo-instruct",
    "gen_ai.request.max_tokens": 5,
    "gen_ai.response.id": "cmpl-Cbq7tYw2",
    "gen_ai.response.finish_reasons": ["length"],
}
FOUR = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": " four artichokes."}],
        "finish_reason": "length",
    }
]
RESPONDED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.id": (
        "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDpOb25lO3Jlc3BvbnNlX2lkOnJlc3BfMGMxZDVlMmY="
    ),
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 40,
    "gen_ai.usage.output_tokens": 24,
    "gen_ai.usage.cache_read.input_tokens": 32,
    "gen_ai.usage.reasoning.output_tokens": 16,
}
THOUGHT = [
    {
        "role": "assistant",
        "parts": [{"type": "reasoning", "content": "Two artichokes and two more."}, SAID],
        "finish_reason": "stop",
    }
]


class Client:
    """LiteLLM has functions, and no clients: this one says where the server is."""

    def __init__(self, url: str, colour: str) -> None:
        """Stand for the functions of one colour."""
        # Its models do not fit what is put in them, which pydantic warns of.
        warnings.filterwarnings("ignore", module=r"(pydantic|litellm|openai|asyncio)\b")
        self._colour = colour
        self._given = {"api_base": url, "api_key": "sk-test", "max_retries": 0}

    def __getattr__(self, name: str) -> Any:
        """Give the function of that name, as it is now."""
        if self._colour == "async":
            return self._given_to(getattr(litellm, f"a{name}"))
        call = self._given_to(getattr(litellm, name))
        return lambda *args, **kwargs: _Sync.of(call(*args, **kwargs))

    def _given_to(self, function: Any) -> Any:
        return lambda *args, **kwargs: function(*args, **{**self._given, **kwargs})


class _Sync:
    """A stream of which a program sees the half that is meant: LiteLLM's have both colours."""

    def __init__(self, stream: Any) -> None:
        """Stand before a stream."""
        self._stream = stream

    @staticmethod
    def of(result: Any) -> Any:
        """Leave alone what is no stream."""
        return _Sync(result) if hasattr(type(result), "__next__") else result

    def __iter__(self) -> Any:
        """Iterate."""
        return iter(self._stream)


WAYS = [
    Way(
        name="chat",
        call=lambda c: c.completion(
            MODEL, MESSAGES, max_tokens=64, temperature=1, seed=1729, stop="END", tools=[BOIL], user="u"
        ),
        replies=[Reply(fake("litellm/chat.json"))],
        span={
            "name": "chat gpt-4o-mini",
            "attributes": {
                **CHAT,
                **USED,
                "gen_ai.request.max_tokens": 64,
                "gen_ai.request.temperature": 1.0,
                "gen_ai.request.seed": 1729,
                "gen_ai.request.stop_sequences": ["END"],
                "gen_ai.response.finish_reasons": ["tool_calls"],
            },
        },
        input=ASKED,
        output=[{"role": "assistant", "parts": [SAID, CALLED], "finish_reason": "tool_call"}],
        tools=[{"type": "function", "name": "boil", "description": "Boils.", "parameters": {}}],
    ),
    Way(
        name="stream",
        call=lambda c: c.completion(model=MODEL, messages=MESSAGES, stream=True),
        replies=[Reply(kind=SSE, pieces=events(fake("litellm/chat.sse")))],
        span={
            "name": "chat gpt-4o-mini",
            "attributes": {
                **CHAT,
                **USED,
                "gen_ai.request.stream": True,
                "gen_ai.response.finish_reasons": ["stop"],
            },
        },
        input=ASKED,
        output=[{"role": "assistant", "parts": [SAID], "finish_reason": "stop"}],
        stream=True,
    ),
    Way(
        name="text",
        call=lambda c: c.text_completion(
            "2+2 marmalades are", "text-completion-openai/gpt-3.5-turbo-instruct", max_tokens=5
        ),
        replies=[Reply(fake("litellm/completions.json"))],
        span={
            "name": "text_completion gpt-3.5-turbo-instruct",
            "attributes": {
                **WRITTEN,
                "gen_ai.response.model": "gpt-3.5-turbo-instruct:20230824-v2",
                "gen_ai.usage.input_tokens": 7,
                "gen_ai.usage.output_tokens": 5,
            },
        },
        input=[{"role": "user", "parts": [{"type": "text", "content": "2+2 marmalades are"}]}],
        output=FOUR,
    ),
    Way(
        name="embeddings",
        call=lambda c: c.embedding(model="openai/text-embedding-3-small", input=["2+2 marmalades"]),
        replies=[Reply(fake("litellm/embeddings.json"))],
        span={
            "name": "embeddings text-embedding-3-small",
            "attributes": {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "text-embedding-3-small",
                "gen_ai.response.model": "text-embedding-3-small",
                "gen_ai.embeddings.dimension.count": 4,
                "gen_ai.usage.input_tokens": 6,
            },
        },
    ),
    Way(
        name="responses",
        call=lambda c: c.responses(
            input="What is 2+2? marmalade",
            model=MODEL,
            instructions="Be brief, marmalade.",
            max_output_tokens=64,
            text={"format": {"type": "text"}},
        ),
        replies=[Reply(fake("litellm/responses.json"))],
        span={
            "name": "chat gpt-4o-mini",
            "attributes": {
                **RESPONDED,
                "gen_ai.request.max_tokens": 64,
                "gen_ai.output.type": "text",
            },
        },
        input=ASKED[1:],
        output=THOUGHT,
        system=[{"type": "text", "content": "Be brief, marmalade."}],
    ),
    Way(
        name="responses stream",
        call=lambda c: c.responses(input="What is 2+2? marmalade", model=MODEL, stream=True),
        replies=[Reply(kind=SSE, pieces=events(fake("litellm/responses.sse")))],
        span={
            "name": "chat gpt-4o-mini",
            "attributes": {**RESPONDED, "gen_ai.request.stream": True},
        },
        input=ASKED[1:],
        output=THOUGHT,
        stream=True,
        cut="failed" if VERSION >= (1, 105) else "truncated",
    ),
]
SDK = Sdk(
    name="litellm",
    client=Client,
    ways=WAYS,
    refusal=Reply(fake("litellm/error_404.json"), status=404),
    refused={"error.type": "NotFoundError", "http.response.status_code": 404},
    cut="truncated",
)
