"""Streams that are asked for their usage: it is told, and the caller sees a stream like any other."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

import ways
from otel_genai import _telemetry, testing
from otel_genai.providers import _ask
from registry import described, events
from ways import each, inside, now

ASK = {"include_usage": True}
CALLS: dict[str, dict[str, Any]] = {
    "chat": {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "When?"}]},
    "completions": {"model": "gpt-3.5-turbo-instruct", "prompt": "When?"},
}
TOKENS = {"chat": (21, 6), "completions": (4, 7)}
COLOURS = {"sync": openai.OpenAI, "async": openai.AsyncOpenAI}

every_api = pytest.mark.parametrize("api", CALLS)
both = pytest.mark.parametrize("colour", COLOURS)


class Server:
    """Answers as the API does: with a usage chunk if the request asks for one."""

    def __init__(self) -> None:
        """Keep the bodies that come."""
        self.bodies: list[dict[str, Any]] = []

    def handle(self, request: Any) -> Any:
        """Answer one request."""
        body = json.loads(request.content)
        self.bodies.append(body)
        api = "chat" if request.url.path.endswith("/chat/completions") else "completions"
        pieces = events(ways.fake(f"{api}.sse"))
        if not (body.get("stream_options") or {}).get("include_usage"):
            pieces = [piece for piece in pieces if b'"choices":[],' not in piece]
        return ways.reply(b"".join(pieces), sse=True)


def endpoint(client: Any, api: str) -> Any:
    """Find the endpoint."""
    return client.chat.completions if api == "chat" else client.completions


async def loop(stream: Any) -> list[Any]:
    """Read to the end."""
    return [described(chunk) async for chunk in each(stream)]


async def step_by_step(stream: Any) -> list[Any]:
    """Read by `next()` alone, and close."""
    found = [described(chunk) async for chunk in ways.steps(stream)]
    await now(stream.close())
    return found


async def inside_with(stream: Any) -> list[Any]:
    """Read in a `with` block."""
    async with inside(stream) as entered:
        return await loop(entered)


async def called(server: Server, colour: str, api: str, read: Any, **more: Any) -> Any:
    """Call for a stream, and read it."""
    client = ways.client(server, COLOURS[colour])
    return await read(await now(endpoint(client, api).create(**CALLS[api], stream=True, **more)))


@both
@every_api
@pytest.mark.parametrize("read", [loop, step_by_step, inside_with])
async def test_the_usage_is_told_and_its_chunk_is_not_seen(api, colour, read):
    """The same chunks as without us, and the counts on the span."""
    bare = await called(Server(), colour, api, read)
    server = Server()
    with testing.capture("openai", stream_usage=True) as seen:
        assert await called(server, colour, api, read) == bare
    assert server.bodies[0].pop("stream_options") == ASK
    assert server.bodies[0] == {**CALLS[api], "stream": True}
    attributes = seen.spans[0]["attributes"]
    told = attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]
    assert told == TOKENS[api]
    assert "otel_genai.outcome" not in attributes


@both
@every_api
async def test_who_asks_sees_it(api, colour):
    """The caller's own chunk is the caller's."""
    bare = await called(Server(), colour, api, loop, stream_options=ASK)
    with testing.capture("openai", stream_usage=True):
        assert await called(Server(), colour, api, loop, stream_options=ASK) == bare
    assert len(bare) == len(await called(Server(), colour, api, loop)) + 1


@both
@every_api
@pytest.mark.parametrize("options", [{"include_usage": False}, {"include_obfuscation": False}, None])
@pytest.mark.parametrize("where", ["stream_options", "extra_body"])
async def test_other_options_stay(api, colour, options, where):
    """A no is a no, and what else was said is said, wherever it was."""
    server = Server()
    more = {where: {"stream_options": options} if where == "extra_body" else options}
    with testing.capture("openai", stream_usage=True) as seen:
        chunks = await called(server, colour, api, loop, **more)
    has_refused = options is not None and "include_usage" in options
    assert server.bodies[0]["stream_options"] == (options if has_refused else {**(options or {}), **ASK})
    assert ("gen_ai.usage.input_tokens" in seen.spans[0]["attributes"]) is not has_refused
    assert len(chunks) == len(await called(Server(), colour, api, loop))


@both
async def test_the_helper_sees_what_it_would(colour):
    """`.stream()` adds chunks up itself, and its final completion has no usage, as without us."""

    async def helped(client: Any) -> Any:
        async with inside(client.chat.completions.stream(**CALLS["chat"])) as stream:
            found = [(event.type, described(getattr(event, "chunk", None))) async for event in each(stream)]
            return found, described(await now(stream.get_final_completion()))

    if not hasattr(ways.client(Server(), COLOURS[colour]).chat.completions, "stream"):
        pytest.skip("needs an SDK that has chat.completions.stream outside of beta")
    bare = await helped(ways.client(Server(), COLOURS[colour]))
    with testing.capture("openai", stream_usage=True) as seen:
        assert await helped(ways.client(Server(), COLOURS[colour])) == bare
    assert seen.spans[0]["attributes"]["gen_ai.usage.input_tokens"] == 21


@both
@pytest.mark.parametrize("form", ["with_raw_response", "with_streaming_response"])
async def test_nobody_asks_for_those_who_read_the_bytes(colour, form):
    """There the chunk could not be kept from them."""
    server = Server()
    with testing.capture("openai", stream_usage=True):
        where = getattr(ways.client(server, COLOURS[colour]).chat.completions, form)
        made = where.create(**CALLS["chat"], stream=True)
        if form == "with_raw_response":
            await loop((await now(made)).parse())
        else:
            async with inside(made) as response:
                assert b'"choices":[],' not in b"".join(
                    [piece async for piece in each(response.iter_bytes())]
                )
    assert "stream_options" not in server.bodies[0]


async def test_without_the_setting_and_without_a_stream_nothing_is_asked():
    """Requests are the caller's."""
    server = Server()
    with testing.capture("openai"):
        await called(server, "sync", "chat", loop)
    with testing.capture("openai", stream_usage=True):
        wire = ways.Wire()
        ways.client(wire).chat.completions.create(**CALLS["chat"])
    assert "stream_options" not in server.bodies[0]
    assert "stream_options" not in json.loads(wire.requests[0]["body"])


@both
async def test_a_host_that_refuses_who_asks_is_not_asked(colour):
    """Mistral's API tells the usage unasked, and knows no such option."""
    server = Server()
    client = ways.client(server, COLOURS[colour], base_url="https://api.mistral.ai/v1")
    with testing.capture("openai", stream_usage=True):
        await loop(await now(client.chat.completions.create(**CALLS["chat"], stream=True)))
    assert "stream_options" not in server.bodies[0]


def _broken(_: Any) -> Any:
    raise RuntimeError("injected")


@both
async def test_a_fault_in_asking_is_not_the_callers(colour, monkeypatch):
    """The request goes out as it was."""
    monkeypatch.delenv(_telemetry.STRICT)
    bare = await called(Server(), colour, "chat", loop)
    server = Server()
    monkeypatch.setattr(_ask.usage, "__code__", _broken.__code__)
    with testing.capture("openai", stream_usage=True) as seen:
        assert await called(server, colour, "chat", loop) == bare
    assert "stream_options" not in server.bodies[0]
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == 1


@both
async def test_a_fault_in_hiding_is_not_the_callers(colour, monkeypatch):
    """The chunk is seen, which does less harm than none at all."""
    monkeypatch.delenv(_telemetry.STRICT)
    bare = await called(Server(), colour, "chat", loop, stream_options=ASK)
    monkeypatch.setattr(_ask.is_usage, "__code__", _broken.__code__)
    with testing.capture("openai", stream_usage=True) as seen:
        assert await called(Server(), colour, "chat", loop) == bare
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == len(bare)
