"""A toy SDK over a toy HTTP response, and its provider: the engine is tested with nothing real around it.

This module is the SDK: its hooks stand at `toy:Client.request` and its like. What a client answers is up to
its `serve`, which is given the body and gives an answer or raises; a list is a stream's events, in which an
exception is raised when its turn comes.
"""

from __future__ import annotations

import gzip
import inspect
import json
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.spec import Json, Operation, Provider, Request, Server, view

ANSWER = {
    "id": "a-1",
    "model": "toy-1-0",
    "text": "hello there",
    "finish": "stop",
    "usage": {"input": 5, "output": 7},
}
EVENTS: list[Any] = [
    {"id": "a-1", "model": "toy-1-0"},
    {"text": "hello "},
    {"text": "there"},
    {"finish": "stop", "usage": {"input": 5, "output": 7}},
]


# --- The SDK ---------------------------------------------------------------------------------------------


class Response:
    """An HTTP response whose body comes in pieces."""

    def __init__(self, status=200, *, headers=None, content=b"", pieces=()):
        """Keep the pieces until they are asked for."""
        self.status = status
        self.headers = dict(headers or {})
        self._pieces = pieces or [content]
        self.is_stream_consumed = False
        self.closed = 0

    @property
    def content(self):
        """The whole body, decompressed."""
        body = b"".join(self._pieces)
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def iter_raw(self, chunk_size=None):
        """Give the pieces as they come."""
        self.is_stream_consumed = True
        for piece in self._pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
        self.close()

    async def aiter_raw(self, chunk_size=None):
        """Give the pieces as they come."""
        for piece in self.iter_raw(chunk_size):
            yield piece

    def close(self):
        """Count how often the body was given up."""
        self.closed += 1

    async def aclose(self):
        """Count how often the body was given up."""
        self.closed += 1


def respond(answer, **headers):
    """Put an answer on the wire: a document, or a list as server-sent events."""
    kind = "text/event-stream" if isinstance(answer, list) else "application/json"
    pieces = [_event(event) for event in answer] if isinstance(answer, list) else [_json(answer)]
    if headers.get("content-encoding") == "gzip":
        pieces = [gzip.compress(b"".join(pieces))]
    return Response(headers={"content-type": kind, **headers}, pieces=pieces)


def _event(event):
    return event if isinstance(event, BaseException) else b"data: " + _json(event) + b"\n\n"


def _json(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


class Answer(Json):
    """A decoded answer, an object like any other."""


def answered(value):
    """Make an answer of a document."""
    return Answer(value) if isinstance(value, dict) else value


class Stream:
    """The events of an answer, made as Stainless makes them."""

    def __init__(self, response):
        """Read nothing yet."""
        self.response = response
        self._iterator = self.__stream__()

    def __next__(self):
        """Give the next event."""
        return next(self._iterator)

    def __iter__(self):
        """Give the rest of the events."""
        yield from self._iterator

    def __stream__(self):
        """Decode the events as they come."""
        try:
            for piece in self.response.iter_raw():
                yield view(json.loads(piece.removeprefix(b"data: ")))
        finally:
            self.response.close()

    def close(self):
        """Want no more."""
        self.response.close()


class AsyncStream:
    """The same, awaited."""

    def __init__(self, response):
        """Read nothing yet."""
        self.response = response
        self._iterator = self.__stream__()

    async def __anext__(self):
        """Give the next event."""
        return await self._iterator.__anext__()

    async def __aiter__(self):
        """Give the rest of the events."""
        async for event in self._iterator:
            yield event

    async def __stream__(self):
        """Decode the events as they come."""
        try:
            async for piece in self.response.aiter_raw():
                yield view(json.loads(piece.removeprefix(b"data: ")))
        finally:
            await self.response.aclose()

    async def close(self):
        """Want no more."""
        await self.response.aclose()


class Client:
    """The client: everything passes `request`."""

    stream_class = Stream

    def __init__(self, serve=None):
        """Answer by `serve`."""
        self._serve = serve or (lambda body: EVENTS if body.get("stream") else ANSWER)

    def request(self, body, *, raw=False, stream_cls=None, **headers):
        """Send one call."""
        answer = self._serve(body)
        if raw:
            return respond(answer, **headers)
        return stream_cls(respond(answer)) if stream_cls else answered(answer)

    def chat(self, *, raw=False, headers=None, **body):
        """Ask the model."""
        body = {"model": "toy-1", "prompt": "say hello", **body}
        cls = self.stream_class if body.get("stream") and not raw else None
        return self.request(body, raw=raw, stream_cls=cls, **(headers or {}))

    def embed(self, **body):
        """Ask for vectors."""
        return self.request({"model": "toy-e", "vectors": True, **body})


class AsyncClient(Client):
    """The client, awaited; `serve` may be a coroutine function."""

    stream_class = AsyncStream

    async def request(self, body, *, raw=False, stream_cls=None, **headers):
        """Send one call."""
        answer = self._serve(body)
        answer = await answer if inspect.isawaitable(answer) else answer
        if raw:
            return respond(answer, **headers)
        return stream_cls(respond(answer)) if stream_cls else answered(answer)


class Gateway:
    """An SDK over the SDK."""

    def __init__(self, client, **answer):
        """Ask `client`, and answer with what it answered and `answer` on top."""
        self._client = client
        self._answer = answer

    def request(self, body):
        """Send one call by way of the client."""
        answer = self._client.request({"model": "toy-1", "prompt": "say hello"})._json
        return answered({**answer, **self._answer})


class Heir(Client):
    """A client that inherits the function we stand in for."""


CLIENTS = [Client, AsyncClient]


async def ask(client, **body):
    """Call and, where it must be, await."""
    answer = client.chat(**body)
    return await answer if inspect.isawaitable(answer) else answer


async def drain(stream):
    """Read a stream of either colour to its end."""
    return [event async for event in stream] if hasattr(stream, "__aiter__") else list(stream)


async def close(stream):
    """Close a stream of either colour."""
    closing = stream.close()
    if inspect.isawaitable(closing):
        await closing


# --- The provider ----------------------------------------------------------------------------------------


def response(r):
    """Say what the answer says about itself."""
    return {s.RESPONSE_ID: r.id, s.RESPONSE_MODEL: r.model, s.RESPONSE_FINISH_REASONS: [r.finish]}


def usage(r):
    """Count tokens."""
    return {s.USAGE_INPUT_TOKENS: r.usage.input, s.USAGE_OUTPUT_TOKENS: r.usage.output}


def derived(body):
    """Say what a table cannot."""
    return {s.OUTPUT_TYPE: body["format"]["type"]}


def inputs(body):
    """Read the prompt."""
    return [content.message("user", [content.text(body["prompt"])])]


def outputs(r):
    """Read the answer's text."""
    return [content.message("assistant", [content.text(r.text)], None, r.finish)]


class Fold:
    """Adds events up."""

    def __init__(self, *, content):
        """Start empty."""
        self._found = {"text": ""}

    def add(self, event):
        """Take one event in."""
        text = event.text or ""
        self._found.update(event._json, text=self._found["text"] + text)
        return bool(text)

    @property
    def answer(self):
        """What there is."""
        return view(self._found)


CHAT = Operation(
    name=s.CHAT,
    request={
        "model": s.REQUEST_MODEL,
        "seed": s.REQUEST_SEED,
        "stop": (s.REQUEST_STOP_SEQUENCES, tuple),
        "temperature": s.REQUEST_TEMPERATURE,
    },
    derived=derived,
    response=(response, usage),
    inputs=inputs,
    outputs=outputs,
    fold=Fold,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request={"model": s.REQUEST_MODEL},
    response=(lambda r: {s.USAGE_INPUT_TOKENS: r.usage.input},),
)


class Hook:
    """What is known about `request`."""

    def request(self, client, args, kwargs):
        """Say which operation it is; a body without a model is none of ours."""
        body = args[0]
        if "model" not in body:
            return None
        operation = EMBEDDINGS if body.get("vectors") else CHAT
        return Request(
            operation, body, Server("toy", "toy.test", 443), bool(body.get("stream")), args, kwargs
        )

    def hold(self, request):
        """Nothing of a body can be read only once."""

    def stream_class(self, request):
        """Give the class asked for."""
        return request.kwargs.get("stream_cls")

    def with_stream_class(self, request, cls):
        """Ask for another class."""
        request.kwargs = {**request.kwargs, "stream_cls": cls}

    def stream(self, request, result):
        """Leave streams to their class."""

    def unread(self, result):
        """Give a raw response."""
        return result if isinstance(result, Response) else None

    def answer(self, request, result):
        """Give the answer."""
        return result


HOOK = Hook()
TARGETS = ("Client.request", "AsyncClient.request", "Gateway.request")
PROVIDER = Provider("toy", requires="toy-sdk", hooks={f"toy:{target}": HOOK for target in TARGETS})
