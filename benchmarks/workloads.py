"""The work that every candidate is measured at: the same calls of each SDK, over a fake wire."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from time import process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.floor import Floor

CONCURRENT = 200
SHORT, LONG = 20, 500
"""Chunks of the streams; the cost of one chunk is the slope between the two."""
SENTENCE = "The lighthouse keeper notes wind, tide and every passing ship before the lamp is lit. "
MESSAGES = [
    {"role": ("user", "assistant")[turn % 2], "content": (SENTENCE * 5)[:409]} for turn in range(9)
] + [{"role": "user", "content": (SENTENCE * 5)[:409]}]
"""Ten messages, 4 kB."""

# --- OpenAI ----------------------------------------------------------------------------------------------

DONE = b"data: [DONE]\n\n"
_CHAT = {"id": "chatcmpl-CpV0eXw4hT9sLk2mQ7dRzB1n", "created": 1760000000, "model": "gpt-4.1-mini-2025-04-14",
         "service_tier": "default", "system_fingerprint": "fp_3a7c2e91b0"}  # fmt: skip
_CHAT_USAGE = {
    "prompt_tokens": 921,
    "completion_tokens": 96,
    "total_tokens": 1017,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_CHAT_MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": SENTENCE * 5,
    "refusal": None,
    "annotations": [],
}
CHAT_ANSWER = {
    **_CHAT,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": _CHAT_MESSAGE, "logprobs": None, "finish_reason": "stop"}],
    "usage": _CHAT_USAGE,
}


def _chat_chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**_CHAT, "object": "chat.completion.chunk", "choices": [choice], "usage": None}


def chat_events(chunks: int) -> list[bytes]:
    """Give a stream of so many chunks of text as OpenAI sends it."""
    events = [_chat_chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [_chat_chunk({"content": " lamp"})] * chunks
    events += [_chat_chunk({}, "stop"), {**_chat_chunk({}), "choices": [], "usage": _CHAT_USAGE}]
    return [*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), DONE]


# --- Anthropic -------------------------------------------------------------------------------------------

_USAGE = {
    "input_tokens": 921,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 96,
    "service_tier": "standard",
}
MESSAGE_ANSWER = {
    "id": "msg_01PmW4kTqV9xZcR7uLsE2aYb",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": SENTENCE * 5}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _USAGE,
}


def message_events(chunks: int) -> list[bytes]:
    """Give a stream of so many chunks of text as Anthropic sends it."""
    start = {**MESSAGE_ANSWER, "content": [], "stop_reason": None, "usage": {**_USAGE, "output_tokens": 1}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " lamp"}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[text] * chunks,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 96},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


# --- The fake wire ---------------------------------------------------------------------------------------

REQUESTS: dict[str, dict[str, Any]] = {
    "openai": {
        "model": "gpt-4.1-mini",
        "messages": MESSAGES,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 400,
    },
    "anthropic": {
        "model": "claude-sonnet-4-5",
        "messages": MESSAGES,
        "max_tokens": 400,
        "stop_sequences": ["The end."],
    },
}
STREAMED: dict[str, dict[str, Any]] = {
    "openai": {"stream": True, "stream_options": {"include_usage": True}},
    "anthropic": {"stream": True},
}
ANSWERS = {"openai": json.dumps(CHAT_ANSWER).encode(), "anthropic": json.dumps(MESSAGE_ANSWER).encode()}
EVENTS = {"openai": chat_events, "anthropic": message_events}
CLIENTS = {"openai": "OpenAI", "anthropic": "Anthropic"}
URLS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}


class Wire:
    """Stands in for the network; answers at once, a stream event by event."""

    def __init__(self, provider: str, http: Any) -> None:
        """Prepare the answer; `http` is the SDK's HTTP library."""
        self.http = http
        self.answer = ANSWERS[provider]
        self.events: list[bytes] | None = None
        wire = self

        class Pieces(http.SyncByteStream):  # type: ignore[misc]  # which library it is depends on the SDK
            def __iter__(self) -> Iterator[bytes]:
                return iter(wire.events or ())

        self.pieces = Pieces

    def reply(self, request: Any) -> Any:  # noqa: ARG002 (every request gets what was prepared)
        """Answer one request."""
        if self.events is None:
            return self.http.Response(200, headers={"content-type": "application/json"}, content=self.answer)
        return self.http.Response(200, headers={"content-type": "text/event-stream"}, stream=self.pieces())

    async def areply(self, request: Any) -> Any:
        """Answer one request, after all others had their turn."""
        await asyncio.sleep(0)
        return self.reply(request)


def without_conversion(surface: Any) -> None:
    """Leave out openai's conversion of a request by its types: 2 ms for ten messages, for every candidate.

    It would drown what is measured. What was not given is dropped, as the conversion does.
    """
    package, *_ = type(surface).__module__.partition(".")
    module: Any = importlib.import_module(type(surface).__module__)
    is_given: Any = importlib.import_module(f"{package}._utils").is_given
    if not hasattr(module, "maybe_transform"):
        return

    def given(request: Mapping[str, Any], _: Any) -> dict[str, Any]:
        return {key: value for key, value in request.items() if is_given(value)}

    async def agiven(request: Mapping[str, Any], kind: Any) -> dict[str, Any]:
        return given(request, kind)

    module.maybe_transform, module.async_maybe_transform = given, agiven


class Workloads:
    """The calls of one SDK, each a function without arguments; `floor`, if given, stands around them."""

    def __init__(self, provider: str, floor: Floor | None = None) -> None:
        """Make the SDK's clients over a fake wire."""
        sdk = importlib.import_module(provider)
        base: Any = importlib.import_module(f"{provider}._base_client")
        http = getattr(base, "httpx2", None) or base.httpx
        self.wire = wire = Wire(provider, http)
        options: dict[str, Any] = {"api_key": "sk-test", "base_url": URLS[provider], "max_retries": 0}
        transport, atransport = http.MockTransport(wire.reply), http.MockTransport(wire.areply)
        name = CLIENTS[provider]
        client = getattr(sdk, name)(http_client=http.Client(transport=transport), **options)
        aclient = getattr(sdk, f"Async{name}")(http_client=http.AsyncClient(transport=atransport), **options)
        self.create, self.acreate = _surface(client), _surface(aclient)
        self.stream = self.create
        if floor is not None:
            self.create, self.stream, self.acreate = floor.around(self.create, self.acreate)
        self.request = REQUESTS[provider]
        self.streamed = {**self.request, **STREAMED[provider]}
        self.bodies = {size: EVENTS[provider](size) for size in (SHORT, LONG)}
        self.loop = asyncio.new_event_loop()

    def call(self) -> None:
        """Make one call."""
        self.wire.events = None
        self.create(**self.request)

    def short(self) -> None:
        """Read one short stream to its end."""
        self._read(SHORT)

    def long(self) -> None:
        """Read one long stream to its end."""
        self._read(LONG)

    def _read(self, size: int) -> None:
        self.wire.events = self.bodies[size]
        for _ in self.stream(**self.streamed):
            pass

    def end(self) -> float:
        """Give the seconds that the step to the end of a stream takes, after its last event."""
        body = self.wire.events = self.bodies[SHORT]
        events = iter(self.stream(**self.streamed))
        for _ in range(len(body) - (body[-1] == DONE)):
            next(events)
        began = process_time()
        for _ in events:
            pass
        return process_time() - began

    def concurrent(self) -> None:
        """Make many calls at once in one event loop."""
        self.wire.events = None
        self.loop.run_until_complete(self._many())

    async def _many(self) -> None:
        await asyncio.gather(*[self.acreate(**self.request) for _ in range(CONCURRENT)])


def _surface(client: Any) -> Callable[..., Any]:
    surface = client.chat.completions if hasattr(client, "chat") else client.messages
    without_conversion(surface)
    create: Callable[..., Any] = surface.create
    return create
