"""Every way of calling Anthropic's SDK, written once for the sync and the async client, and a fake wire."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict  # noqa: UP035 (see its use)

import anthropic
import pydantic
import pytest
from anthropic import _base_client
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent

import ways
from ways import each, inside, now, steps

http: Any = getattr(_base_client, "httpx2", None) or _base_client.httpx  # anthropic 1 moved to httpx2
FAKES = Path(__file__).parent / "fakes" / "anthropic"
COLOURS = [
    pytest.param(anthropic.Anthropic, id="sync"),
    pytest.param(anthropic.AsyncAnthropic, id="async"),
]

# --- The wire --------------------------------------------------------------------------------------------


class Pieces(ways.Pieces, http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
    """A body that arrives in pieces, for the HTTP library that this SDK uses."""


def fake(name: str) -> bytes:
    """Read one wire body."""
    return (FAKES / name).read_bytes()


def reply(body: bytes, *, sse: bool, status: int = 200, **headers: str) -> Any:
    """Make a response whose body comes as a server would send it: event by event, or in two halves."""
    half = len(body) // 2
    pieces = (
        [piece + b"\n\n" for piece in body.split(b"\n\n") if piece] if sse else [body[:half], body[half:]]
    )
    kind = "text/event-stream; charset=utf-8" if sse else "application/json"
    given = {"content-type": kind, "request-id": "req_5e1f", **headers}
    return http.Response(status, headers=given, stream=Pieces(pieces))


class Wire(ways.Wire):
    """Answers from the fakes: `error_429` is one with that status."""

    def handle(self, request: Any) -> Any:
        """Answer one request, and keep it."""
        seen = {"url": str(request.url), "headers": dict(request.headers), "body": request.content}
        self.requests.append({"method": request.method, **seen})
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1] if self.answers else "messages"
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer()
        if answer.startswith("error_"):
            return reply(fake(f"{answer}.json"), sse=False, status=int(answer[-3:]))
        sse = bool(json.loads(request.content).get("stream"))
        return reply(fake(f"{answer}.{'sse' if sse else 'json'}"), sse=sse)

    @property
    def contexts(self) -> list[str | None]:
        """Say which trace context came with each request."""
        return [request["headers"].get("traceparent") for request in self.requests]

    @property
    def bare(self) -> list[dict[str, Any]]:
        """Give the requests without their trace context."""
        without = [{**request, "headers": dict(request["headers"])} for request in self.requests]
        for request in without:
            request["headers"].pop("traceparent", None)
        return without


def client(wire: Wire, cls: Any = anthropic.Anthropic, **options: Any) -> Any:
    """Make one of the SDK's clients whose only server is `wire`."""
    colour = http.AsyncClient if cls.__name__.startswith("Async") else http.Client
    if cls in (anthropic.Anthropic, anthropic.AsyncAnthropic):
        options = {"api_key": "sk-ant-test", "base_url": "https://api.anthropic.com", **options}
    options.setdefault("max_retries", 0)
    return cls(http_client=colour(transport=http.MockTransport(wire.handle)), **options)


# --- What is called --------------------------------------------------------------------------------------


class Api(ways.Api):
    """One endpoint; streams need nothing but to be asked for."""

    @property
    def streamed(self) -> dict[str, Any]:
        """What a request for a stream has in addition."""
        return {"stream": True}


@dataclass(frozen=True)
class Way(ways.Way):
    """One way of calling."""

    @property
    def fake(self) -> str:
        """The name of the fake that answers."""
        return "messages_structured" if self.structured else "messages"

    async def __call__(self, client: Any) -> Any:
        """Call, and give all that the SDK gave."""
        needs(client, self.needs)
        return await self.call(client)


def needs(client: Any, path: str) -> Any:
    """Give what the client has at a dotted path; skip the test where this version of the SDK has none."""
    try:
        return Way.find(client, path)
    except AttributeError:
        return pytest.skip(f"anthropic {anthropic.__version__} has no {path}")


class Own(anthropic.BaseModel):
    """A caller's own type for an answer, with a name of its own."""

    identifier: str = pydantic.Field(alias="id")


class OwnEvent(anthropic.BaseModel):
    """A caller's own type for an event: whatever comes."""


TIDE = {
    "name": "tide",
    "description": "When the tide turns.",
    "input_schema": {
        "type": "object",
        "properties": {"harbour": {"type": "string"}},
        "required": ["harbour"],
    },
}
MESSAGES = {
    "model": "claude-haiku-4-5",
    "max_tokens": 256,
    "system": "You keep a lighthouse.",
    "messages": [{"role": "user", "content": "When was the lamp lit?"}],
    "stop_sequences": ["END"],
    "tools": [TIDE],
}
APIS = {
    "messages": Api("messages", "messages", "/v1/messages", Message, RawMessageStreamEvent, MESSAGES),
    "beta": Api(
        "beta",
        "beta.messages",
        "/v1/messages?beta=true",
        BetaMessage,
        BetaRawMessageStreamEvent,
        MESSAGES,
    ),
}


def told(value: Any) -> Any:
    """Bring what the SDK gave into plain data by which two runs can be compared."""
    if isinstance(value, http.Response):
        return [value.status_code, dict(value.headers), value.content]
    return ways.told(value)


def _post(api: Api) -> Iterator[Way]:
    """Yield the ways through `client.post`, with every type that an answer can be cast to."""

    async def post(cast_to: Any, c: Any) -> Any:
        return told(await now(c.post(api.path, cast_to=cast_to, body=dict(api.body))))

    async def stream(events: Any, given: Any, c: Any) -> Any:
        cls = anthropic.AsyncStream if isinstance(c, anthropic.AsyncAnthropic) else anthropic.Stream
        options = {"stream_cls": cls[events]} if given else {}
        body = {**api.body, **api.streamed}
        got = await now(c.post(api.path, cast_to=events, body=body, stream=True, **options))
        return [isinstance(got, cls), told([event async for event in each(got)])]

    mapping = Dict[str, Any]  # noqa: UP006 (on Python 3.10 the SDK cannot take `dict[...]`)
    casts = {"model": api.answer, "object": object, "dict": mapping, "response": http.Response}
    for name, cast_to in {**casts, "own": Own, "str": str}.items():
        yield Way(f"{api.name}-post-{name}", api, functools.partial(post, cast_to), "post")
    for name, event in {"model": api.event, "object": object, "own": OwnEvent}.items():
        for given in (True, False):
            called = f"{api.name}-post-stream-{name}{'' if given else '-default'}"
            yield Way(called, api, functools.partial(stream, event, given), "post", stream=True)


async def _all(items: Any, walk: Any = each) -> Any:
    return told([item async for item in walk(items)])


async def _done(stream: Any) -> Any:
    await now(stream.until_done())
    return told(stream.current_message_snapshot)


async def _final(stream: Any) -> Any:
    return told(await now(stream.get_final_message()))


HELPERS = {  # what a helper's stream offers
    "events": _all,
    "next": lambda s: _all(s, steps),
    "text_stream": lambda s: _all(s.text_stream),
    "until_done": _done,
    "final": _final,
    "final_text": lambda s: now(s.get_final_text()),
}


def _helpers(api: Api) -> Iterator[Way]:
    """Yield the ways through the helpers."""
    resource = api.resource
    structured = {**api.body, "output_format": ways.Lighthouse}

    async def parse(c: Any) -> Any:
        return told(await now(Way.find(c, resource).parse(**structured)))

    async def stream(body: Any, read: Any, c: Any) -> Any:
        create = Way.find(c, resource).stream
        if not body.keys() <= inspect.signature(create).parameters.keys():
            pytest.skip(f"anthropic {anthropic.__version__} has no output_format in {resource}.stream")
        async with inside(create(**body)) as entered:
            return [type(entered).__name__, entered.request_id, await read(entered)]

    yield Way(f"{api.name}-parse", api, parse, f"{resource}.parse", structured=True)
    for how, read in HELPERS.items():
        call = functools.partial(stream, api.body, read)
        yield Way(f"{api.name}-helper-{how}", api, call, f"{resource}.stream", stream=True)
        call = functools.partial(stream, structured, read)
        name = f"{api.name}-helper-parse-{how}"
        yield Way(name, api, call, f"{resource}.stream", stream=True, structured=True)


def _create(api: Api) -> Iterator[Way]:
    """Yield the ways through `create`: those of any SDK, but a raw answer's `text` is a method."""

    async def raw_text(c: Any) -> Any:
        return await ways._raw(_text, Way.find(c, api.resource), api.body)

    for way in ways._create(api):
        given = vars(way) if way.name != f"{api.name}-raw-text" else {**vars(way), "call": raw_text}
        yield Way(**given)


async def _text(r: Any) -> Any:
    return await now(r.text() if callable(r.text) else r.text)  # a property before anthropic 1


WAYS = [
    *(way for api in APIS.values() for way in _create(api)),
    *(way for api in APIS.values() for way in (*_post(api), *_helpers(api))),
]
