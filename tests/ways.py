"""Every way of calling OpenAI's SDK, each written once for its sync and its async client, and a fake wire.

A way is an `async` function; with a sync client nothing in it ever waits, so `run` drives it without a loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict  # noqa: UP035 (see its use)

import openai
import pydantic
import pytest
from openai import _base_client
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

http: Any = getattr(_base_client, "httpx2", None) or _base_client.httpx  # openai 3 moved to httpx2
FAKES = Path(__file__).parent / "fakes" / "openai"

# --- The wire --------------------------------------------------------------------------------------------


class Pieces(http.SyncByteStream, http.AsyncByteStream):
    """A body that arrives in pieces; an exception among them is raised, an async one is awaited."""

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield await piece() if callable(piece) else piece


def fake(name: str) -> bytes:
    """Read one wire body."""
    return (FAKES / name).read_bytes()


def reply(body: bytes, *, sse: bool, status: int = 200, **headers: str) -> Any:
    """Make a response whose body comes as a server would send it: event by event, or in two halves."""
    half = len(body) // 2
    pieces = body.split(b"\n\n") if sse else [body[:half], body[half:]]
    if sse:
        pieces = [piece + b"\n\n" for piece in pieces if piece]
    kind = "text/event-stream; charset=utf-8" if sse else "application/json"
    given = {"content-type": kind, "x-request-id": "req_5e1f", **headers}
    return http.Response(status, headers=given, stream=Pieces(pieces))


@dataclass
class Wire:
    """Answers each request from the fakes by its URL, or from `answers` in their order; keeps the requests.

    An answer is a fake's name (`error_429` is one with that status), an exception, or a function that
    makes the response; the last one answers all further requests.
    """

    answers: list[Any] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def handle(self, request: Any) -> Any:
        """Answer one request."""
        seen = {"url": str(request.url), "headers": dict(request.headers), "body": request.content}
        self.requests.append({"method": request.method, **seen})
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1] if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer()
        body = json.loads(request.content)
        name = answer or next(api.name for api in APIS.values() if request.url.path.endswith(api.path))
        if name.startswith("error_"):
            return reply(fake(f"{name}.json"), sse=False, status=int(name[-3:]))
        if name == "embeddings" and body.get("encoding_format") != "base64":
            name = "embeddings_float"
        sse = bool(body.get("stream"))
        return reply(fake(f"{name}.{'sse' if sse else 'json'}"), sse=sse)


def client(wire: Wire, cls: Any = openai.OpenAI, **options: Any) -> Any:
    """Make one of the SDK's clients whose only server is `wire`."""
    colour = http.AsyncClient if cls.__name__.startswith("Async") else http.Client
    if "Azure" not in cls.__name__:
        options.setdefault("base_url", "https://api.openai.com/v1")
    options.setdefault("api_key", "sk-test")
    options.setdefault("max_retries", 0)
    return cls(http_client=colour(transport=http.MockTransport(wire.handle)), **options)


# --- Both colours at once --------------------------------------------------------------------------------


async def now(value: Any) -> Any:
    """Await what an async client gives; take what a sync one gives."""
    return await value if inspect.isawaitable(value) else value


async def each(items: Any) -> AsyncIterator[Any]:
    """Go through what either client iterates over, by its own iteration."""
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


@contextlib.asynccontextmanager
async def inside(manager: Any) -> AsyncIterator[Any]:
    """Enter either client's context manager."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


async def steps(stream: Any) -> AsyncIterator[Any]:
    """Go through a stream by `next()` alone."""
    step = stream.__anext__ if hasattr(stream, "__anext__") else stream.__next__
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        while True:
            item = await now(step())
            yield item


def run(way: Awaitable[Any], *, asynchronous: bool) -> Any:
    """Run a way: in a loop of its own, or, if it is sync, straight to its end."""
    if asynchronous:
        return asyncio.run(way)
    try:
        way.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a sync client waited")


def told(value: Any) -> Any:
    """Bring what the SDK gave into plain data by which two runs can be compared."""
    if isinstance(value, pydantic.BaseModel):
        return [type(value).__name__, getattr(value, "_request_id", None), told(value.__dict__),
                value.model_extra]  # fmt: skip
    if isinstance(value, http.Response):
        return [type(value).__name__, value.status_code, dict(value.headers), value.content]
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    return [told(item) for item in value] if isinstance(value, (list, tuple)) else value


# --- What is called --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Api:
    """One endpoint: where the SDK has it, and what passes through it."""

    name: str
    resource: str
    path: str
    answer: Any
    event: Any
    body: dict[str, Any]

    @property
    def streamed(self) -> dict[str, Any] | None:
        """What a request for a stream has in addition; None where there are no streams."""
        usage = {} if self.name == "responses" else {"stream_options": {"include_usage": True}}
        return {"stream": True, **usage} if self.event else None


class Lighthouse(pydantic.BaseModel):
    """A structured answer."""

    name: str
    metres: int


class Own(openai.BaseModel):
    """A caller's own type for an answer, with a name of its own."""

    identifier: str = pydantic.Field(alias="id")


class OwnEvent(openai.BaseModel):
    """A caller's own type for an event: whatever comes."""


_PARAMETERS = {
    "type": "object",
    "properties": {"harbour": {"type": "string"}},
    "required": ["harbour"],
    "additionalProperties": False,
}
TIDE = {"name": "tide", "description": "When the tide turns.", "parameters": _PARAMETERS, "strict": True}
CHAT = {
    "model": "gpt-4.1-mini",
    "messages": [
        {"role": "developer", "content": "You keep a lighthouse."},
        {"role": "user", "content": "When does it open?"},
    ],
    "tools": [{"type": "function", "function": TIDE}],
    "temperature": 0.5,
    "max_completion_tokens": 256,
}
RESPONSES = {
    "model": "gpt-4.1-mini",
    "instructions": "You keep a lighthouse.",
    "input": "When was the lamp lit?",
    "tools": [{"type": "function", **TIDE}],
    "temperature": 0.5,
    "max_output_tokens": 256,
}
EMBEDDINGS = {"model": "text-embedding-3-small", "input": ["a lamp", "a rock"]}
COMPLETIONS = {"model": "gpt-3.5-turbo-instruct", "prompt": "Beware of", "max_tokens": 16}
APIS = {
    "chat": Api("chat", "chat.completions", "/chat/completions", ChatCompletion, ChatCompletionChunk, CHAT),
    "responses": Api("responses", "responses", "/responses", Response, ResponseStreamEvent, RESPONSES),
    "embeddings": Api("embeddings", "embeddings", "/embeddings", CreateEmbeddingResponse, None, EMBEDDINGS),
    "completions": Api("completions", "completions", "/completions", Completion, Completion, COMPLETIONS),
}


@dataclass(frozen=True)
class Way:
    """One way of calling: what it needs of the installed SDK, and which fake answers it."""

    name: str
    api: Api
    call: Callable[[Any], Awaitable[Any]]
    needs: str
    stream: bool = False
    structured: bool = False

    @property
    def fake(self) -> str:
        """The name of the fake that answers."""
        return f"{self.api.name}_structured" if self.structured else self.api.name

    async def __call__(self, client: Any) -> Any:
        """Call, and give all that the SDK gave."""
        try:
            self.find(client, self.needs)
        except AttributeError:
            pytest.skip(f"openai {openai.__version__} has no {self.needs}")
        return await self.call(client)

    @staticmethod
    def find(client: Any, path: str) -> Any:
        """Follow a dotted path from the client."""
        return functools.reduce(getattr, path.split("."), client)


async def _parse(r: Any) -> Any:
    return told(await now(r.parse()))


async def _parse_events(r: Any) -> Any:
    return await _iterate(await now(r.parse()))


async def _iterate(stream: Any, walk: Any = each) -> Any:
    known = isinstance(stream, (openai.Stream, openai.AsyncStream))
    return [
        type(stream).__name__,
        known,
        dict(stream.response.headers),
        told([e async for e in walk(stream)]),
    ]


READ = {  # how an answer whose body has not been read can be read
    "parse": _parse,
    "json": lambda r: now(r.json()),
    "read": lambda r: now(r.read()),
    "text": lambda r: now(r.text()),
    "iter_bytes": lambda r: _all(r.iter_bytes()),
    "iter_lines": lambda r: _all(r.iter_lines()),
    "iter_text": lambda r: _all(r.iter_text()),
    "iter_raw": lambda r: _all(getattr(r.http_response, _colour(r, "iter_raw"))()),
}
READ_EVENTS = {**READ, "parse": _parse_events}
del READ_EVENTS["json"]
RAW = {  # how an answer whose body has been read can be read
    "parse": _parse,
    "json": lambda r: now(r.http_response.json()),
    "text": lambda r: now(r.text),
    "nothing": lambda r: now(None),
}


def _colour(r: Any, name: str) -> str:
    return f"a{name}" if "Async" in type(r).__name__ else name


async def _all(items: Any, walk: Any = each) -> Any:
    return told([item async for item in walk(items)])


async def _done(stream: Any) -> Any:
    return (await now(stream.until_done())) is stream


async def _final(stream: Any) -> Any:
    final = getattr(stream, "get_final_completion", None) or stream.get_final_response
    return told(await now(final()))


async def _text(stream: Any) -> Any:
    return [e.delta async for e in each(stream) if e.type in ("content.delta", "response.output_text.delta")]


HELPERS = {  # what a helper's stream offers
    "events": _all,
    "next": lambda s: _all(s, steps),
    "until_done": _done,
    "final": _final,
    "text": _text,
}


async def _plain(resource: Any, body: Any) -> Any:
    return told(await now(resource.create(**body)))


async def _stream(walk: Any, resource: Any, body: Any) -> Any:
    return await _iterate(await now(resource.create(**body)), walk)


async def _managed(resource: Any, body: Any) -> Any:
    async with inside(await now(resource.create(**body))) as stream:
        return await _iterate(stream)


async def _raw(read: Any, resource: Any, body: Any) -> Any:
    response = await now(resource.with_raw_response.create(**body))
    return [dict(response.headers), response.request_id, response.status_code, await read(response)]


async def _streaming(read: Any, resource: Any, body: Any) -> Any:
    async with inside(resource.with_streaming_response.create(**body)) as response:
        return [dict(response.headers), response.request_id, await read(response)]


def _create(api: Api) -> Iterator[Way]:
    """Yield the ways through `create`."""

    def way(name: str, call: Any, *, stream: bool = False) -> Way:
        body = {**api.body, **api.streamed} if stream else api.body
        needs = f"{api.resource}.create"
        return Way(f"{api.name}-{name}", api, lambda c: call(Way.find(c, api.resource), body), needs, stream)

    yield way("create", _plain)
    yield from (way(f"raw-{name}", functools.partial(_raw, read)) for name, read in RAW.items())
    yield from (way(f"streaming-{name}", functools.partial(_streaming, read)) for name, read in READ.items())
    if not api.streamed:
        return
    yield way("stream-for", functools.partial(_stream, each), stream=True)
    yield way("stream-next", functools.partial(_stream, steps), stream=True)
    yield way("stream-with", _managed, stream=True)
    yield way("stream-raw-parse", functools.partial(_raw, _parse_events), stream=True)
    for name, read in READ_EVENTS.items():
        yield way(f"stream-streaming-{name}", functools.partial(_streaming, read), stream=True)


def _post(api: Api) -> Iterator[Way]:
    """Yield the ways through `client.post`, with every type that an answer can be cast to."""

    async def post(cast_to: Any, c: Any) -> Any:
        return told(await now(c.post(api.path, cast_to=cast_to, body=api.body)))

    async def stream(events: Any, given: Any, c: Any) -> Any:
        asynchronous = isinstance(c, openai.AsyncOpenAI)
        cls = (openai.AsyncStream if asynchronous else openai.Stream)[events]
        options = {"stream_cls": cls} if given else {}
        body = {**api.body, **api.streamed}
        got = await now(c.post(api.path, cast_to=events, body=body, stream=True, **options))
        return await _iterate(got)

    mapping = Dict[str, Any]  # noqa: UP006 (on Python 3.10 the SDK cannot take `dict[...]`)
    casts = {"model": api.answer, "object": object, "dict": mapping, "response": http.Response}
    for name, cast_to in {**casts, "own": Own, "str": str}.items():
        if name != "own" or api.name != "embeddings":  # embeddings have no id
            yield Way(f"{api.name}-post-{name}", api, functools.partial(post, cast_to), "post")
    events = {"model": api.event, "object": object, "own": OwnEvent} if api.streamed else {}
    for name, event in events.items():
        for given in (True, False):
            called = f"{api.name}-post-stream-{name}{'' if given else '-default'}"
            yield Way(called, api, functools.partial(stream, event, given), "post", stream=True)


def _helpers(api: Api, resource: str, format_key: str) -> Iterator[Way]:
    """Yield the ways through the helpers that parse."""
    body = {**api.body, format_key: Lighthouse}
    options = {"stream_options": {"include_usage": True}} if api.name == "chat" else {}

    async def parse(c: Any) -> Any:
        return told(await now(Way.find(c, resource).parse(**body)))

    async def raw(c: Any) -> Any:
        response = await now(Way.find(c, resource).with_raw_response.parse(**body))
        return [dict(response.headers), told(await now(response.parse()))]

    async def streaming(c: Any) -> Any:
        async with inside(Way.find(c, resource).with_streaming_response.parse(**body)) as response:
            return [dict(response.headers), told(await now(response.parse()))]

    async def stream(body: Any, read: Any, c: Any) -> Any:
        async with inside(Way.find(c, resource).stream(**body, **options)) as entered:
            return [type(entered).__name__, await read(entered)]

    name = resource.replace(".completions", "")
    yield Way(f"{name}-parse", api, parse, f"{resource}.parse", structured=True)
    yield Way(f"{name}-parse-raw", api, raw, f"{resource}.with_raw_response.parse", structured=True)
    needs = f"{resource}.with_streaming_response.parse"
    yield Way(f"{name}-parse-streaming", api, streaming, needs, structured=True)
    for how, read in HELPERS.items():
        needs = f"{resource}.stream"
        call = functools.partial(stream, api.body, read)
        yield Way(f"{name}-helper-{how}", api, call, needs, stream=True)
        call = functools.partial(stream, body, read)
        yield Way(f"{name}-helper-parse-{how}", api, call, needs, stream=True, structured=True)


WAYS = [
    *(way for api in APIS.values() for way in (*_create(api), *_post(api))),
    *_helpers(APIS["chat"], "chat.completions", "response_format"),
    *_helpers(APIS["chat"], "beta.chat.completions", "response_format"),
    *_helpers(APIS["responses"], "responses", "text_format"),
]
