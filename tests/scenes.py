"""Calls of every SDK, rich and odd, whole and cut: in the midst of them ours is made to fail."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

import anthropic_ways
import otel_genai
import ways
from ways import TIDE, each, inside, now, run, told

# --- What is asked ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Asked:
    """One endpoint of an SDK, and what is asked there.

    Args:
        kit: the module that knows the SDK.
        path: where the client has the endpoint.
        plain: the arguments of a short call.
        rich: those of a call with everything that a request can hold.
        fake: the name of the fake that answers.
    """

    kit: Any
    path: str
    plain: dict[str, Any]
    rich: dict[str, Any]
    fake: str

    def at(self, client: Any) -> Any:
        """Find the endpoint."""
        return functools.reduce(getattr, self.path.split("."), client)

    async def __call__(self, client: Any, **more: Any) -> Any:
        """Ask."""
        return await now(self.at(client).create(**{**self.plain, **more}))


USER = {"role": "user", "content": "When?"}
CHAT = Asked(
    ways,
    "chat.completions",
    {"model": "gpt-4.1-mini", "messages": [USER]},
    {
        "model": "gpt-4.1-mini",
        "messages": [
            {"role": "system", "content": "You keep a lighthouse."},
            {"role": "user", "content": [
                {"type": "text", "text": "When does it open?"},
                {"type": "image_url", "image_url": {"url": "https://example.test/rock.png"}},
            ]},
            {"role": "assistant", "tool_calls": [{
                "id": "call_1", "type": "function",
                "function": {"name": "tide", "arguments": '{"harbour": "Skerry"}'},
            }]},
            {"role": "tool", "tool_call_id": "call_1", "content": "at six"},
        ],
        "tools": [{"type": "function", "function": TIDE}],
        "n": 2,
        "stop": ["."],
        "temperature": 0,
        "service_tier": "flex",
        "response_format": {"type": "json_object"},
    },
    "chat",
)  # fmt: skip
RESPONSES = Asked(
    ways,
    "responses",
    {"model": "gpt-4.1-mini", "input": "When?"},
    {
        "model": "gpt-4.1-mini",
        "instructions": "You keep a lighthouse.",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "When?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            ]},
            {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "at six"},
        ],
        "tools": [{"type": "function", **TIDE}],
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_object"}},
        "service_tier": "flex",
        "conversation": "conv_1",
    },
    "responses",
)  # fmt: skip
TEXT = {"type": "text", "data": "At six.", "media_type": "text/plain"}
PICTURE = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
MESSAGES = Asked(
    anthropic_ways,
    "messages",
    {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [USER]},
    {
        "model": "claude-haiku-4-5",
        "max_tokens": 64,
        "system": [{"type": "text", "text": "You keep a lighthouse."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "When does it open?"},
                {"type": "image", "source": PICTURE},
                {"type": "document", "source": TEXT},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {"harbour": "Skerry"}},
            ]},
            {"role": "user", "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "image", "source": PICTURE}],
                },
            ]},
        ],
        "tools": [anthropic_ways.TIDE],
        "stop_sequences": ["."],
        "extra_body": {"temperature": 0.5, "output_config": {"effort": "low"}},
    },
    "messages",
)  # fmt: skip


# --- Scenes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scene:
    """One way of calling an SDK, and what answers: as its `Wire` takes it."""

    name: str
    kit: Any
    call: Callable[[Any], Awaitable[Any]]
    answers: tuple[Any, ...]


async def plain(ask: Asked, c: Any) -> Any:
    """Ask with little."""
    return told(await ask(c))


async def rich(ask: Asked, c: Any) -> Any:
    """Ask with everything."""
    return told(await ask(c, **ask.rich))


async def streamed(ask: Asked, c: Any) -> Any:
    """Read every event; a broken connection is the caller's to see."""
    return told([event async for event in each(await ask(c, stream=True))])


async def untyped(ask: Asked, c: Any) -> Any:
    """Read the bytes of a stream, whatever they are."""
    given = {**ask.plain, "stream": True}
    async with inside(ask.at(c).with_streaming_response.create(**given)) as response:
        return [piece async for piece in each(response.iter_bytes())]


async def left(ask: Asked, c: Any) -> Any:
    """Read one event, and close."""
    stream = await ask(c, stream=True)
    async for event in each(stream):
        await now(stream.close())
        return told(event)
    return None


async def dropped(ask: Asked, c: Any) -> Any:
    """Read nothing, and forget it."""
    return type(await ask(c, stream=True)).__name__


async def unread(ask: Asked, c: Any) -> Any:
    """Leave a streaming response without reading it."""
    async with inside(ask.at(c).with_streaming_response.create(**ask.plain)) as response:
        return dict(response.headers)


async def nested(ask: Asked, c: Any) -> Any:
    """Ask within a block of one's own."""
    given = {"instructions": "Be brief.", "input": "When?"}
    with otel_genai.inference(ask.plain["model"], provider="mine", **given) as block:
        got = told(await ask(c))
        block.answer("At six.")
        return got


async def surrounded(ask: Asked, c: Any) -> Any:
    """Ask within what has no span, twice."""
    with otel_genai.context(conversation_id="c-1"), otel_genai.context(**{"app.tenant": "acme"}):
        return told(await ask(c))


async def quiet(ask: Asked, c: Any) -> Any:
    """Ask where nothing is to be recorded."""
    with otel_genai.suppress():
        return told(await ask(c))


async def elsewhere(ask: Asked, c: Any) -> Any:
    """Ask at a URL written in full."""
    path = {"chat": "v1/chat/completions", "responses": "v1/responses", "messages": "v1/messages"}[ask.fake]
    url = f"https://{c.base_url.host}/{path}/"
    return told(await now(c.post(url, cast_to=dict, body=ask.plain)))


def odd(ask: Asked, body: bytes, *, sse: bool = False) -> Callable[[], Any]:
    """Answer with what is not what it should be."""
    return lambda: ask.kit.reply(body, sse=sse)


def cut(ask: Asked, events: int) -> Callable[[], Any]:
    """Answer with a few events of a fake, and then with a broken connection."""

    def answer() -> Any:
        found = ask.kit.reply(ask.kit.fake(f"{ask.fake}.sse"), sse=True)
        found.stream.pieces[events:] = [ConnectionError("reset")]
        return found

    return answer


ODD = b'{"choices": [7], "output": 3, "content": [7], "usage": 3}'
ODD_EVENTS = b'data: {"choices": [7]}\n\ndata: {"type": "content_block_delta", "index": {}}\n\ndata: [1]\n\n'


def of(ask: Asked, *more: tuple[Any, str]) -> Iterator[Scene]:
    """Make the scenes of one endpoint; `more` are further fakes, and how they are asked for."""
    fakes = [(one, ask.fake) for one in (rich, nested, surrounded, quiet, elsewhere, left, dropped, unread)]
    odds = [(plain, odd(ask, ODD)), (untyped, odd(ask, ODD_EVENTS, sse=True))]
    cuts = [(streamed, cut(ask, 6)), (untyped, cut(ask, 2))]
    for call, answer in [*fakes, *odds, *cuts, (plain, "error_429"), (plain, "error_401"), *more]:
        kind = answer if isinstance(answer, str) else answer.__qualname__.partition(".")[0]
        yield Scene(f"{ask.fake} {call.__name__}: {kind}", ask.kit, functools.partial(call, ask), (answer,))


WAYS = {
    ways: (
        "chat-create", "chat-stream-for", "chat-stream-with", "chat-stream-raw-parse",
        "chat-stream-streaming-iter_bytes", "chat-streaming-read", "chat-raw-text", "chat-post-stream-own",
        "chat-post-response", "chat-post-str", "chat-parse", "chat-helper-events", "responses-create",
        "responses-stream-for", "responses-helper-parse-final", "embeddings-create", "completions-create",
        "completions-stream-for",
    ),
    anthropic_ways: (
        "messages-create", "messages-stream-with", "messages-stream-raw-parse", "messages-raw-text",
        "messages-stream-streaming-iter_bytes", "messages-streaming-read", "messages-post-response",
        "messages-post-stream-own", "messages-post-str", "messages-parse", "messages-helper-events",
        "messages-helper-parse-final", "beta-create", "beta-stream-for", "beta-helper-text_stream",
    ),
}  # fmt: skip
SCENES = [
    *(
        Scene(way.name, kit, way, (way.fake,))
        for kit, names in WAYS.items()
        for way in kit.WAYS
        if way.name in names
    ),
    *of(CHAT, (rich, "chat_tools"), (streamed, "chat_tools"), (streamed, "chat_reasoning")),
    *of(RESPONSES, (rich, "responses_tools"), (streamed, "responses_tools")),
    *of(
        MESSAGES,
        *[
            (call, f"messages_{kind}")
            for call in (plain, streamed)
            for kind in ("tools", "server", "refusal")
        ],
    ),
]
CLIENTS = {
    ways: (openai.OpenAI, openai.AsyncOpenAI),
    anthropic_ways: (anthropic.Anthropic, anthropic.AsyncAnthropic),
}


def is_there(scene: Scene, cls: Any) -> bool:
    """Whether this version of the SDK has what the scene calls."""
    try:
        return outcome(scene, cls) is not None
    except pytest.skip.Exception:
        return False


def outcome(scene: Scene, cls: Any) -> Any:
    """Run a scene; give all that the caller can see, and all that the server saw."""
    wire = scene.kit.Wire(list(scene.answers))
    here = contextvars.Context()  # what a fault leaves behind in it is not the next one's
    try:
        call = scene.call(scene.kit.client(wire, cls))
        got = here.run(run, call, asynchronous=cls.__name__.startswith("Async"))
    except Exception as error:  # noqa: BLE001 (compared as a whole)
        got = raised(error)
    return got, getattr(wire, "bare", wire.requests)


def raised(error: BaseException | None) -> Any:
    """Describe an exception and those behind it."""
    if error is None:
        return None
    return [type(error), str(error), raised(error.__cause__), raised(error.__context__)]


@functools.cache
def bare(scene: Scene, cls: Any) -> Any:
    """Give what the bare SDK does."""
    return outcome(scene, cls)


RUNS = [(scene, cls) for scene in SCENES for cls in CLIENTS[scene.kit] if is_there(scene, cls)]
