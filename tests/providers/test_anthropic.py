"""Anthropic, by every way of calling it and in every condition, asserted as a whole."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import hashlib
import inspect
import json
import logging
import struct
import zlib
from typing import Any

import anthropic
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import garbage
import ways
from anthropic_ways import (
    COLOURS,
    MESSAGES,
    TIDE,
    WAYS,
    Pieces,
    Wire,
    client,
    fake,
    http,
    needs,
    reply,
    told,
)
from otel_genai.testing import capture
from recordings import misshapen
from ways import each, inside, now, run

ASK: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "CANARY-PROMPT"}],
}
CANARIES = ("CANARY-PROMPT", "CANARY-ERROR", "CANARY-ANSWER")


class _Positive:
    """Equal to any number above zero."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, float)) and not isinstance(other, bool) and other > 0

    __hash__ = None  # type: ignore[assignment]  # it equals too much to have one

    def __repr__(self) -> str:
        return "<a positive number>"


class _Json:
    """Equal to the JSON text of a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and json.loads(other) == self.value

    __hash__ = None  # type: ignore[assignment]  # it is compared, never kept

    def __repr__(self) -> str:
        return json.dumps(self.value)


POSITIVE = _Positive()

# --- What each fake is told as ---------------------------------------------------------------------------

_SERVER = {
    "gen_ai.provider.name": "anthropic",
    "server.address": "api.anthropic.com",
    "server.port": 443,
}
_ASKED = {
    "gen_ai.operation.name": "chat",
    **_SERVER,
    "gen_ai.request.model": "claude-haiku-4-5",
    "gen_ai.request.max_tokens": 256,
    "gen_ai.request.stop_sequences": ["END"],
}
_ANSWERED = {**_ASKED, "gen_ai.response.model": "claude-haiku-4-5-20251001"}
SPANS = {
    "messages": {
        **_ANSWERED,
        "gen_ai.response.id": "msg_01LampLitAtDusk",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 21 + 1024 + 256,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 1024,
        "gen_ai.usage.cache_write.input_tokens": 256,
    },
    "messages_structured": {
        **_ANSWERED,
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "msg_01StructuredRock",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 73,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_write.input_tokens": 0,
    },
}
OUTPUT_CHUNKS = {"messages": 4, "messages_structured": 3}


def _says(role: str, text: str, **more: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}], **more}


def _content(answer: str) -> dict[str, Any]:
    definition = {key: TIDE[key] for key in ("name", "description")}
    return {
        "gen_ai.system_instructions": [{"type": "text", "content": "You keep a lighthouse."}],
        "gen_ai.input.messages": [_says("user", "When was the lamp lit?")],
        "gen_ai.tool.definitions": [{"type": "function", **definition, "parameters": TIDE["input_schema"]}],
        "gen_ai.output.messages": [_says("assistant", answer, finish_reason="stop")],
    }


CONTENT = {
    "messages": _content("The lamp was lit at dusk."),
    "messages_structured": _content('{"name":"Fastnet","metres":54}'),
}


def span(attributes: dict[str, Any], *, stream: bool = False, **changed: Any) -> dict[str, Any]:
    """Say how a whole span looks; a changed attribute of None is absent."""
    streaming = {
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": POSITIVE,
        "otel_genai.longest_gap": POSITIVE,
    }
    told = {**attributes, **(streaming if stream else {}), **changed}
    return {
        "name": "chat claude-haiku-4-5",
        "kind": "CLIENT",
        "status": "ERROR" if "error.type" in told else "UNSET",
        "description": None,
        "parent": None,
        "attributes": {key: value for key, value in told.items() if value is not None},
        "events": [],
    }


DIMENSIONS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
)


def metrics(attributes: dict[str, Any], *, chunks: int = 0) -> dict[str, Any]:
    """Say how the metrics of one call with these attributes look."""
    of = {key: attributes[key] for key in DIMENSIONS if key in attributes}

    def one(value: Any = POSITIVE, count: int = 1, **more: str) -> dict[str, Any]:
        return {"attributes": {**of, **more}, "exemplars": POSITIVE, "count": count, "sum": value}

    error = {"error.type": attributes["error.type"]} if "error.type" in attributes else {}
    asked = {key: of[key] for key in ("gen_ai.provider.name", "gen_ai.request.model")}
    asked["otel_genai.outcome"] = attributes.get("otel_genai.outcome", "completed")
    found = {
        "otel_genai.calls": [{"attributes": asked, "exemplars": 0, "value": 1}],
        "gen_ai.client.operation.duration": [one(**error)],
    }
    tokens = {kind: attributes.get(f"gen_ai.usage.{kind}_tokens") for kind in ("input", "output")}
    if usage := [
        one(count, **{"gen_ai.token.type": kind}) for kind, count in tokens.items() if count is not None
    ]:
        found["gen_ai.client.token.usage"] = usage
    if chunks:
        found["gen_ai.client.operation.time_to_first_chunk"] = [one()]
    if chunks > 1:
        found["gen_ai.client.operation.time_per_output_chunk"] = [one(count=min(chunks - 1, 16))]
    return found


def called(
    call: Any, answers: list[Any] | None = None, cls: Any = anthropic.Anthropic, **options: Any
) -> Any:
    """Run `call(client)` on a client of the class over a wire of its own; give its result and the wire."""
    wire = Wire(answers or [])
    return run(call(client(wire, cls, **options)), asynchronous=cls.__name__.startswith("Async")), wire


def ask(**body: Any) -> Any:
    """Make the call that asks for one message; a stream is read to its end."""

    async def call(c: Any) -> Any:
        got = await now(c.messages.create(**{**ASK, **body}))
        return [event async for event in each(got)] if body.get("stream") else got

    return call


def attributes(seen: Any) -> dict[str, Any]:
    """Give the attributes of the one span there is."""
    (only,) = seen.spans
    found: dict[str, Any] = only["attributes"]
    return found


# --- Every way of calling --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_gives_one_whole_span_and_changes_nothing(way, cls):
    """Each way of calling gives one span with its metrics, and the caller what a bare SDK gives."""
    bare, bare_wire = called(way, [way.fake], cls)
    with capture() as seen:
        got, wire = called(way, [way.fake], cls)
    assert got == bare
    assert wire.bare == bare_wire.bare
    expected = span(SPANS[way.fake], stream=way.stream)
    assert seen.spans == [expected]
    chunks = OUTPUT_CHUNKS[way.fake] if way.stream else 0
    assert seen.metrics == metrics(expected["attributes"], chunks=chunks)
    assert seen.events == []


@pytest.mark.parametrize("fake_name", CONTENT)
def test_content_has_the_published_shape(fake_name):
    """What the tests here expect as content is what the conventions' schemas allow."""
    assert misshapen(CONTENT[fake_name]) == []


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_tells_the_content_when_it_is_wanted(way, cls):
    """With capture on, each way has messages, instructions and tools on the span and on the event."""
    bare, bare_wire = called(way, [way.fake], cls)
    with capture(capture="SPAN_AND_EVENT") as seen:
        got, wire = called(way, [way.fake], cls)
    assert (got, wire.bare) == (bare, bare_wire.bare)
    content = CONTENT[way.fake]
    on_span = {key: _Json(value) for key, value in content.items()}
    expected = span(SPANS[way.fake], stream=way.stream, **on_span)
    assert seen.spans == [expected]
    (event,) = seen.events
    told = {key: value for key, value in expected["attributes"].items() if key not in content}
    assert _lists(event) == {
        "name": "gen_ai.client.inference.operation.details",
        "attributes": {**told, **content},
        "span_id": seen.finished[0].context.span_id,
    }


def _lists(value: Any) -> Any:
    """Make lists of the tuples that a log record keeps."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_tool_runner_gives_one_span_per_model_call(stream, cls):
    """Each model call that the runner makes is a span of its own, and the runner's messages are the SDK's."""
    tool = {
        "model": "claude-haiku-4-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "When?"}],
    }

    async def call(c: Any) -> Any:
        runner = needs(c, "beta.messages.tool_runner")
        decorate = anthropic.beta_async_tool if cls is anthropic.AsyncAnthropic else anthropic.beta_tool
        horn = decorate(_horn if cls is anthropic.Anthropic else _ahorn, name="horn")
        tide = decorate(_turn if cls is anthropic.Anthropic else _aturn, name="tide")
        given = runner(**tool, tools=[tide, horn], **({"stream": True} if stream else {}))
        return [told([event async for event in each(one)] if stream else one) async for one in each(given)]

    answers = ["messages_tools", "messages"]
    bare, bare_wire = called(call, answers, cls)
    with capture(capture="SPAN_ONLY") as seen:
        got, wire = called(call, answers, cls)
    assert (got, wire.bare) == (bare, bare_wire.bare)
    told_of = [one["attributes"] for one in seen.spans]
    assert [one["gen_ai.response.finish_reasons"] for one in told_of] == [["tool_use"], ["end_turn"]]
    second = json.loads(told_of[1]["gen_ai.input.messages"])
    sent = json.loads(wire.requests[1]["body"])["messages"]  # anthropic 2 sends what is new in the thread
    assert [turn["role"] for turn in second] == [turn["role"] for turn in sent]
    assert [part["type"] for part in second[-1]["parts"]] == ["tool_call_response"] * 2


def _turn(harbour: str) -> str:
    """Say when the tide turns."""
    return f"At nine in {harbour}."


def _horn() -> str:
    """Sound the horn."""
    return "Tooted."


async def _aturn(harbour: str) -> str:
    """Say when the tide turns."""
    return _turn(harbour)


async def _ahorn() -> str:
    """Sound the horn."""
    return _horn()


_BATCH = [{"custom_id": "one", "params": ASK}]
NOT_INFERRING = {
    "/v1/messages/count_tokens": lambda c: c.messages.count_tokens(
        model=ASK["model"], messages=ASK["messages"]
    ),
    "/v1/messages/count_tokens?beta=true": lambda c: c.beta.messages.count_tokens(
        model=ASK["model"], messages=ASK["messages"]
    ),
    "/v1/messages/batches": lambda c: c.messages.batches.create(requests=_BATCH),
    "/v1/messages/batches?beta=true": lambda c: c.beta.messages.batches.create(requests=_BATCH),
    "/v1/models/claude": lambda c: c.models.retrieve("claude"),
    "/v1/files": lambda c: c.post("/v1/files", cast_to=object, body={}),
}


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("path", NOT_INFERRING)
def test_what_infers_nothing_has_no_span(path, cls):
    """Counting tokens, batches of messages and other endpoints pass as they are."""

    async def call(c: Any) -> Any:
        return told(await now(NOT_INFERRING[path](c)))

    def answer() -> Any:
        return reply(b'{"id": "msgbatch_1", "type": "message_batch", "input_tokens": 3}', sse=False)

    bare, bare_wire = called(call, [answer], cls)
    with capture() as seen:
        got, wire = called(call, [answer], cls)
    assert (got, wire.requests) == (bare, bare_wire.requests)
    url = wire.requests[0]["url"]
    assert url.removesuffix("?beta=true") == f"https://api.anthropic.com{path}".removesuffix("?beta=true")
    assert (seen.spans, seen.metrics) == ([], {})


@pytest.mark.parametrize("path", ["/v1/messages", "v1/messages", "https://api.anthropic.com/v1/messages"])
def test_a_path_may_be_written_in_any_way(path):
    """`client.post` takes a path with and without its slash, or a whole URL."""

    async def call(c: Any) -> Any:
        return c.post(path, cast_to=object, body=dict(MESSAGES))

    with capture() as seen:
        called(call)
    assert seen.spans == [span(SPANS["messages"])]


# --- Who answers -----------------------------------------------------------------------------------------

_VERTEX = {"region": "europe-west1", "project_id": "lights", "access_token": "ya29.test"}
_AWS = {"aws_region": "eu-west-1", "api_key": "bearer"}
_SIGNED = {"aws_region": "eu-west-1", "aws_access_key": "AKIATEST", "aws_secret_key": "secret"}
CLASSES = [
    ("AnthropicBedrock", _AWS, "aws.bedrock", "bedrock-runtime.eu-west-1.amazonaws.com"),
    ("AnthropicBedrock", _SIGNED, "aws.bedrock", "bedrock-runtime.eu-west-1.amazonaws.com"),
    ("AnthropicBedrockMantle", _AWS, "aws.bedrock", "bedrock-mantle.eu-west-1.api.aws"),
    # Anthropic's own platform, sold by Amazon.
    (
        "AnthropicAWS",
        {"aws_region": "eu-west-1", "api_key": "key", "workspace_id": "w"},
        "anthropic",
        "aws-external-anthropic.eu-west-1.api.aws",
    ),
    ("AnthropicVertex", _VERTEX, "gcp.vertex_ai", "europe-west1-aiplatform.googleapis.com"),
    (
        "AnthropicFoundry",
        {"resource": "lights", "api_key": "key"},
        "azure.ai.inference",
        "lights.services.ai.azure.com",
    ),
]


@pytest.fixture
def _no_cloud(monkeypatch):
    """Keep what the machine knows of clouds away."""
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ANTHROPIC_FOUNDRY_RESOURCE", "ANTHROPIC_FOUNDRY_BASE_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def framed(body: bytes) -> Any:
    """Answer with a stream as Bedrock sends it: https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html."""
    header = b"".join(
        bytes([len(key)]) + key + b"\x07" + struct.pack(">H", len(value)) + value
        for key, value in ((b":event-type", b"chunk"), (b":message-type", b"event"))
    )
    frames = []
    for line in body.splitlines():
        if line.startswith(b"data:"):
            payload = json.dumps({"bytes": base64.b64encode(line[5:].strip()).decode()}).encode()
            prelude = struct.pack(">II", 16 + len(header) + len(payload), len(header))
            frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + header + payload
            frames.append(frame + struct.pack(">I", zlib.crc32(frame)))
    headers = {"content-type": "application/vnd.amazon.eventstream"}
    return http.Response(200, headers=headers, stream=Pieces(frames))


@pytest.mark.usefixtures("_no_cloud")
@pytest.mark.parametrize("colour", ["", "Async"], ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "options", "provider", "host"), CLASSES)
def test_the_client_class_names_the_provider(*, name, options, provider, host, stream, colour):
    """Bedrock's, Vertex's and Foundry's clients name their platform and host, and send the same."""
    cls = getattr(anthropic, colour + name, None)
    if cls is None:
        pytest.skip(f"anthropic {anthropic.__version__} has no {colour}{name}")
    if "api_key" in options and name == "AnthropicBedrock" and "api_key" not in _parameters(cls):
        pytest.skip(f"anthropic {anthropic.__version__} has no API keys for Bedrock")

    def answer() -> Any:
        body = fake(f"messages.{'sse' if stream else 'json'}")
        return framed(body) if stream and name == "AnthropicBedrock" else reply(body, sse=stream)

    async def call(c: Any) -> Any:
        got = await now(c.messages.create(**MESSAGES, stream=stream))
        return told([event async for event in each(got)] if stream else got)

    bare, bare_wire = called(call, [answer], cls, **options)
    with capture(capture="SPAN_ONLY") as seen:
        got, wire = called(call, [answer], cls, **options)
    assert got == bare
    assert [one["body"] for one in wire.bare] == [one["body"] for one in bare_wire.bare]
    assert [one["url"] for one in wire.bare] == [one["url"] for one in bare_wire.bare]
    content = {key: _Json(value) for key, value in CONTENT["messages"].items()}
    who = {"gen_ai.provider.name": provider, "server.address": host}
    assert seen.spans == [span(SPANS["messages"], stream=stream, **who, **content)]


def _parameters(cls: Any) -> Any:
    return inspect.signature(cls.__init__).parameters


def test_a_host_of_ones_own_is_told():
    """A gateway's host and port are told; what speaks Anthropic's language is Anthropic."""
    with capture() as seen:
        called(ask(), base_url="http://gateway.example.org:8080/anthropic")
    found = attributes(seen)
    assert [found[key] for key in _SERVER] == ["anthropic", "gateway.example.org", 8080]


# --- The SDK's own tracing -------------------------------------------------------------------------------


@pytest.fixture
def native():
    """Give the options that have the SDK trace to a provider of its own, and the spans it makes there."""
    if not hasattr(anthropic.Anthropic, "open_telemetry"):
        pytest.skip(f"anthropic {anthropic.__version__} has no tracing of its own")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


async def _whole(c: Any) -> Any:
    return told(await now(c.messages.create(**ASK)))


async def _events(c: Any) -> Any:
    return told([event async for event in each(await now(c.messages.create(**ASK, stream=True)))])


async def _helper(c: Any) -> Any:
    async with inside(c.messages.stream(**ASK)) as stream:
        return told(await now(stream.get_final_message()))


async def _beta(c: Any) -> Any:
    return told(await now(c.beta.messages.create(**ASK)))


async def _raw(c: Any) -> Any:
    return told(await now((await now(c.messages.with_raw_response.create(**ASK))).parse()))


async def _refused(c: Any) -> Any:
    with pytest.raises(anthropic.RateLimitError) as raised:
        await now(c.messages.create(**ASK))
    return raised.value.body


async def _count(c: Any) -> Any:
    return told(await now(c.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])))


def _counted() -> Any:
    return reply(b'{"input_tokens": 3}', sse=False)


CALLS = {
    "whole": (_whole, "messages"),
    "events": (_events, "messages"),
    "helper": (_helper, "messages"),
    "beta": (_beta, "messages"),
    "raw": (_raw, "messages"),
    "refused": (_refused, "error_429"),
    "count": (_count, _counted),
}


def _spans(exporter: Any) -> list[tuple[str, str]]:
    finished = exporter.get_finished_spans()
    assert {span.instrumentation_scope.name for span in finished} <= {"com.anthropic.sdk.python"}
    return [(span.name, span.status.status_code.name) for span in finished]


def _ids(context: str | None) -> tuple[int, int] | None:
    """Read the trace's and the span's id out of a `traceparent`."""
    return tuple(int(part, 16) for part in context.split("-")[1:3]) if context else None


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("propagation", [True, False], ids=["sends", "keeps"])
@pytest.mark.parametrize("theirs", [True, False], ids=["theirs", "not theirs"])
@pytest.mark.parametrize("ours", [True, False], ids=["ours", "not ours"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_told_once_whoever_else_tells(*, name, ours, theirs, propagation, cls, native):
    """One span per inference whichever of us is on; a trace context goes out where the SDK sends one."""
    provider, exporter = native
    options = {"tracer_provider": provider, "propagation": propagation, "traces": theirs}
    call, answer = CALLS[name]
    bare, bare_wire = called(call, [answer], cls, open_telemetry=options)
    known = _spans(exporter)
    assert len(known) == theirs
    exporter.clear()
    with capture() if ours else contextlib.nullcontext() as seen:
        got, wire = called(call, [answer], cls, open_telemetry=options)
    assert (got, wire.bare) == (bare, bare_wire.bare)
    told_by_us = ours and name != "count"
    assert _spans(exporter) == ([] if told_by_us else known)
    assert [bool(context) for context in wire.contexts] == [bool(context) for context in bare_wire.contexts]
    assert [bool(context) for context in wire.contexts] == [theirs and propagation]
    if ours:
        assert len(seen.spans) == told_by_us
    finished = seen.finished if told_by_us else exporter.get_finished_spans()
    if theirs and propagation:
        context = finished[0].get_span_context()
        assert [_ids(one) for one in wire.contexts] == [(context.trace_id, context.span_id)]


@pytest.mark.parametrize(
    "told_by_us",
    [
        pytest.param(True, id="ours"),
        pytest.param(False, id="not ours"),
    ],
)
def test_without_a_tracer_provider_nothing_is_sent(told_by_us, native):
    """The SDK sends no trace context in a program that has set up no tracing, so neither do we."""
    with capture() if told_by_us else contextlib.nullcontext():
        _, wire = called(_whole)
    assert wire.contexts == [None]


def test_the_environment_switches_the_sdks_tracing_off(native, monkeypatch):
    """With `ANTHROPIC_OPEN_TELEMETRY=false` ours is the one span, and no trace context is sent."""
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "false")
    with capture() as seen:
        _, wire = called(_whole)
    assert (len(seen.spans), wire.contexts) == (1, [None])


def test_the_callers_own_headers_are_not_changed(native):
    """The trace context is written into a copy: what the caller handed over stays what it was."""
    provider, _ = native
    headers = {"X-Own": "1"}
    options = anthropic._models.FinalRequestOptions.construct(
        method="post",
        url="/v1/messages",
        json_data=copy.deepcopy(ASK),
        headers=headers,
        span_name="anthropic.messages.create",
    )
    body, before = options.json_data, dict(vars(options))

    async def call(c: Any) -> None:
        c.messages.create(**ASK, extra_headers=headers)
        c.request(anthropic.types.Message, options)

    with capture(capture="SPAN_ONLY") as seen:
        _, wire = called(call, open_telemetry={"tracer_provider": provider})
    assert headers == {"X-Own": "1"}
    assert vars(options) == before
    assert (options.headers, body) == ({"X-Own": "1"}, ASK)
    assert (len(seen.spans), [one["headers"]["x-own"] for one in wire.requests]) == (2, ["1", "1"])
    assert None not in wire.contexts


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "not ours"])
@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
@pytest.mark.parametrize("where", ["extra_headers", "default_headers"])
def test_a_trace_context_of_the_callers_own_is_replaced(where, name, ours, native):
    """The SDK sends its span's context in place of any that is there, in one header; so do we."""
    provider, exporter = native
    given = {name: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
    extra = {"extra_headers": given} if where == "extra_headers" else {}
    default = {"default_headers": given} if where == "default_headers" else {}

    async def call(c: Any) -> None:
        c.messages.create(**ASK, **extra)

    with capture() if ours else contextlib.nullcontext() as seen:
        _, wire = called(call, open_telemetry={"tracer_provider": provider}, **default)
    (context,) = (
        one.get_span_context() for one in (seen.finished if ours else exporter.get_finished_spans())
    )
    assert [_ids(one) for one in wire.contexts] == [(context.trace_id, context.span_id)]


@pytest.mark.parametrize("cls", COLOURS)
def test_all_attempts_carry_the_one_span(cls, native, no_waiting):
    """Each retry of a call sends the same trace context: that of the call's span."""
    provider, _ = native
    with capture() as seen:
        answers = ["error_529", "error_500", "messages"]
        _, wire = called(_whole, answers, cls, max_retries=2, open_telemetry={"tracer_provider": provider})
    context = seen.finished[0].get_span_context()
    assert [_ids(one) for one in wire.contexts] == [(context.trace_id, context.span_id)] * 3


@pytest.fixture
def no_waiting(monkeypatch):
    """Retry at once."""
    monkeypatch.setattr(anthropic._base_client.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0)


# --- What is asked ---------------------------------------------------------------------------------------

_FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
_OLD = {"temperature": 1, "top_p": 0.5, "top_k": 40}
PARAMETERS = [
    ({}, {}),
    ({"extra_body": _OLD}, {"temperature": 1.0, "top_p": 0.5, "top_k": 40}),
    ({"extra_body": {"temperature": None, "top_k": "many", "top_p": "most"}}, {"top_k": "many"}),
    ({"stop_sequences": ["END", "STOP"]}, {"stop_sequences": ["END", "STOP"]}),
    ({"extra_body": {"output_config": {"effort": "low"}}}, {"reasoning.level": "low"}),
    ({"extra_body": {"output_config": {"format": _FORMAT}}}, {"output.type": "json"}),
    ({"extra_body": {"output_config": "odd"}}, {}),
    ({"extra_body": {"thread": {"type": "create"}}}, {}),
    (
        {"extra_body": {"thread": {"type": "continue", "previous_message_id": "msg_1"}}},
        {"previous_response.id": "msg_1"},
    ),
    ({"extra_body": {"max_tokens": 65}}, {"max_tokens": 65}),
    ({"stop_sequences": anthropic.NOT_GIVEN, "system": anthropic.NOT_GIVEN}, {}),
    ({"metadata": {"user_id": "someone"}, "tool_choice": {"type": "auto"}}, {}),
]


@pytest.mark.parametrize(("body", "expected"), PARAMETERS)
def test_parameters_of_the_request_are_attributes(body, expected):
    """Each parameter that says something is told in the conventions' type; others leave no trace."""
    with capture() as seen:
        called(ask(**body))
    prefixes = ("gen_ai.request.", "gen_ai.output.")
    told = {key: value for key, value in attributes(seen).items() if key.startswith(prefixes)}
    found = {key.replace(".request", "").partition(".")[2]: value for key, value in told.items()}
    assert found.pop("model") == "claude-haiku-4-5"
    assert json.dumps(found, sort_keys=True) == json.dumps({"max_tokens": 64, **expected}, sort_keys=True)


def _once(*items: Any) -> Any:
    return (item for item in items)


def _turn_of(content: Any) -> Any:
    return {"role": "user", "content": content}


_LOOK = {"type": "text", "text": "Look."}
ONE_SHOT = {
    "messages": lambda: {"messages": _once(*ASK["messages"])},
    "a map": lambda: {"messages": map(dict, ASK["messages"])},
    "a list's iterator": lambda: {"messages": iter(ASK["messages"])},
    "content": lambda: {"messages": [_turn_of(_once(_LOOK, _LOOK))]},
    "messages and content": lambda: {"messages": _once(_turn_of(_once(_LOOK)), _turn_of("b"))},
    "a tool's result": lambda: {
        "messages": [_turn_of([{"type": "tool_result", "tool_use_id": "toolu_1", "content": _once(_LOOK)}])]
    },
    "system": lambda: {"system": _once(_LOOK)},
    "tools": lambda: {"tools": _once(TIDE)},
    "stop_sequences": lambda: {"stop_sequences": _once("END")},
    "extra_body": lambda: {"extra_body": {"messages": _once(*ASK["messages"]), "system": _once(_LOOK)}},
    "with extra_body": lambda: {"system": _once(_LOOK), "extra_body": {"top_k": 3}},
    "tuples": lambda: {"messages": tuple(ASK["messages"]), "tools": (TIDE,)},
}


async def _attempt(call: Any, c: Any) -> Any:
    """Give what a call gives, or what it raises."""
    try:
        return told(await now(call(c)))
    except Exception as error:  # noqa: BLE001 (it is compared)
        return [type(error).__name__, str(error)]


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_AND_EVENT"])
@pytest.mark.parametrize("beta", [False, True], ids=["stable", "beta"])
@pytest.mark.parametrize("name", ONE_SHOT)
def test_what_can_be_read_once_reaches_the_provider_whole(*, name, beta, mode, cls):
    """An iterator anywhere in the request is sent as without us, or refused as without us."""

    async def call(c: Any) -> Any:
        create = (c.beta.messages if beta else c.messages).create
        return await _attempt(lambda _: create(**{**ASK, **ONE_SHOT[name]()}), c)

    bare, bare_wire = called(call, cls=cls)
    with capture(capture=mode) as seen:
        got, wire = called(call, cls=cls)
    assert len(seen.spans) == 1
    if mode != "NO_CONTENT" and bare[0] == "TypeError":
        return  # what an old SDK could not send, it can once it has been listed
    assert (got, wire.bare) == (bare, bare_wire.bare)


@pytest.mark.parametrize("name", ["messages", "content", "system", "tools", "messages and content"])
def test_what_can_be_read_once_is_told(name):
    """With content wanted, what an iterator gave is told as it was sent."""
    with capture(capture="SPAN_ONLY") as seen:
        _, wire = called(ask(**ONE_SHOT[name]()))
    sent = json.loads(wire.requests[0]["body"])
    found = attributes(seen)
    keys = {"messages": "input.messages", "system": "system_instructions", "tools": "tool.definitions"}
    told = {key: json.loads(found[f"gen_ai.{keys[key]}"]) for key in keys if key in sent}
    assert {key: len(value) for key, value in told.items()} == {
        key: len(sent[key]) for key in keys if key in sent
    }


@pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_ONLY"])
def test_the_sdks_own_blocks_can_be_sent_back(mode):
    """Blocks of an earlier answer go back as history: sent as without us, and told like any others."""

    async def call(c: Any) -> Any:
        first = c.messages.create(**ASK)
        history = [*ASK["messages"], {"role": "assistant", "content": first.content}]
        absent = getattr(anthropic, "omit", anthropic.NOT_GIVEN)
        return c.messages.create(**{**ASK, "messages": history, "system": absent, "tools": absent}).id

    bare, bare_wire = called(call, ["messages_tools"])
    with capture(capture=mode) as seen:
        got, wire = called(call, ["messages_tools"])
    assert (got, wire.bare) == (bare, bare_wire.bare)
    if mode == "SPAN_ONLY":
        second = seen.spans[1]["attributes"]
        (_, turn) = json.loads(second["gen_ai.input.messages"])
        assert turn == {"role": "assistant", "parts": _TOOLS_PARTS}
        assert "gen_ai.system_instructions" not in second


def test_content_is_what_it_was_when_the_call_began():
    """A list of messages that the caller goes on with while a stream runs is told as it was sent."""
    messages = list(ASK["messages"])

    async def call(c: Any) -> None:
        for _ in c.messages.create(**{**ASK, "messages": messages}, stream=True):
            messages[:] = [{"role": "user", "content": "later"}]

    with capture(capture="SPAN_ONLY") as seen:
        called(call)
    assert attributes(seen)["gen_ai.input.messages"] == _Json([_says("user", "CANARY-PROMPT")])


# --- What is sent ----------------------------------------------------------------------------------------

INLINE = "aGVsbG8gbGlnaHRob3VzZQ=="
_TEXT = {"type": "text", "content": "Look."}


def _described(modality: str, mime_type: str | None) -> dict[str, Any]:
    known = {"size": 16, "sha256": hashlib.sha256(b"hello lighthouse").hexdigest()}
    return {"type": "inline_media", "modality": modality, "mime_type": mime_type, **known}


def _source(**source: str) -> dict[str, Any]:
    return {"source": source}


_PNG = _source(type="base64", media_type="image/png", data=INLINE)
_PDF = _source(type="base64", media_type="application/pdf", data=INLINE)
_URL = "https://example.org/a"
_TOOLS_PARTS = [
    {"type": "reasoning", "content": "The tide decides."},
    {"type": "redacted_thinking"},
    {"type": "text", "content": "I will look."},
    {"type": "tool_call", "id": "toolu_01Tide", "name": "tide", "arguments": {"harbour": "Porto"}},
    {"type": "tool_call", "id": "toolu_02Horn", "name": "horn", "arguments": {}},
]
BLOCKS = [
    (_LOOK, _TEXT),
    ({"type": "image", **_PNG}, _described("image", "image/png")),
    (
        {"type": "image", **_source(type="url", url=_URL)},
        {"type": "uri", "modality": "image", "uri": _URL, "mime_type": None},
    ),
    (
        {"type": "image", **_source(type="file", file_id="file_1")},
        {"type": "file", "modality": "image", "file_id": "file_1"},
    ),
    ({"type": "document", **_PDF}, _described("document", "application/pdf")),
    (
        {"type": "document", **_source(type="url", url=_URL)},
        {"type": "uri", "modality": "document", "uri": _URL, "mime_type": None},
    ),
    (
        {"type": "document", **_source(type="file", file_id="file_1")},
        {"type": "file", "modality": "document", "file_id": "file_1"},
    ),
    (
        {"type": "document", **_source(type="text", media_type="text/plain", data="Look.")},
        {"type": "document", "content": [_TEXT]},
    ),
    (
        {"type": "document", "source": {"type": "content", "content": [_LOOK, {"type": "image", **_PNG}]}},
        {"type": "document", "content": [_TEXT, _described("image", "image/png")]},
    ),
    (
        {"type": "document", "source": {"type": "content", "content": "Look."}},
        {"type": "document", "content": [_TEXT]},
    ),
    (
        {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {"day": 3}},
        {"type": "tool_call", "id": "toolu_1", "name": "tide", "arguments": {"day": 3}},
    ),
    (
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "high"},
        {"type": "tool_call_response", "id": "toolu_1", "response": "high"},
    ),
    (
        {"type": "tool_result", "tool_use_id": "toolu_1"},
        {"type": "tool_call_response", "id": "toolu_1", "response": None},
    ),
    (
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [_LOOK, {"type": "image", **_PNG}]},
        {
            "type": "tool_call_response",
            "id": "toolu_1",
            "response": [_LOOK, _described("image", "image/png")],
        },
    ),
    (
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "reasoning", "content": "Hm."},
    ),
    ({"type": "redacted_thinking", "data": "UkVE"}, {"type": "redacted_thinking"}),
    (
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "tide"}},
        {
            "type": "server_tool_call",
            "id": "srv_1",
            "name": "web_search",
            "server_tool_call": {"type": "web_search", "input": {"query": "tide"}},
        },
    ),
    (
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
        {
            "type": "server_tool_call_response",
            "id": "srv_1",
            "server_tool_call_response": {"type": "web_search", "content": []},
        },
    ),
    (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "srv_1",
            "content": {"type": "web_fetch_result", "url": _URL, "content": {"type": "document", **_PDF}},
        },
        {
            "type": "server_tool_call_response",
            "id": "srv_1",
            "server_tool_call_response": {
                "type": "web_fetch",
                "content": {
                    "type": "web_fetch_result",
                    "url": _URL,
                    "content": _described("document", "application/pdf"),
                },
            },
        },
    ),
    (
        {"type": "mcp_tool_use", "id": "mcp_1", "name": "tide", "server_name": "sea", "input": {}},
        {
            "type": "server_tool_call",
            "id": "mcp_1",
            "name": "tide",
            "server_tool_call": {"type": "tide", "input": {}},
        },
    ),
    (
        {"type": "search_result", "source": "tides", "title": "Tides", "content": [_LOOK]},
        {"type": "search_result", "source": "tides", "title": "Tides", "content": [_TEXT]},
    ),
    (
        {"type": "compaction", "content": "They spoke of tides.", "encrypted_content": "ZW5j"},
        {"type": "compaction", "content": "They spoke of tides."},
    ),
    ({"type": "hologram", "data": INLINE}, {"type": "hologram"}),
]


@pytest.mark.parametrize(("block", "part"), BLOCKS)
def test_what_is_sent_is_told_in_the_published_shape(block, part):
    """Text, media, thinking, tools, their results are told; inline media is described, never copied."""
    with capture(capture="SPAN_ONLY") as seen:
        called(ask(messages=[{"role": "user", "content": [block]}]))
    messages = attributes(seen)["gen_ai.input.messages"]
    assert json.loads(messages) == [{"role": "user", "parts": [part]}]
    assert misshapen({"gen_ai.input.messages": json.loads(messages)}) == []
    assert INLINE not in messages


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "image"}, {"type": "image"}),
        ({"type": "image", "source": "odd"}, {"type": "image"}),
        ({"type": "document", "source": {"type": "hologram"}}, None),
        ({"type": None}, {"type": "None"}),
        ({}, None),
        ("odd", None),
        (3, None),
    ],
)
def test_an_odd_block_costs_nothing_but_itself(block, part):
    """A block that is none leaves its neighbours, and the system prompt, as they are."""
    body = {"messages": [{"role": "user", "content": [_LOOK, block]}], "system": [_LOOK]}

    async def call(c: Any) -> Any:
        return await now(c.post("/v1/messages", cast_to=object, body={**ASK, **body}))

    with capture(capture="SPAN_ONLY") as seen:
        called(call)
    found = attributes(seen)
    assert json.loads(found["gen_ai.system_instructions"]) == [_TEXT]
    parts = json.loads(found["gen_ai.input.messages"])[0]["parts"]
    assert parts[0] == _TEXT
    assert part is None or parts[1:] == [part]


@pytest.mark.parametrize(
    ("tool", "definition"),
    [
        (TIDE, CONTENT["messages"]["gen_ai.tool.definitions"][0]),
        ({**TIDE, "type": "custom"}, CONTENT["messages"]["gen_ai.tool.definitions"][0]),
        (
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "web_search_20250305", "name": "web_search"},
        ),
    ],
)
def test_tools_are_told_in_the_published_shape(tool, definition):
    """A tool of the caller's is a function; one of the provider's is named by its type."""
    with capture(capture="SPAN_ONLY") as seen:
        called(ask(tools=[tool]))
    told = json.loads(attributes(seen)["gen_ai.tool.definitions"])
    assert told == [definition]
    assert misshapen({"gen_ai.tool.definitions": told}) == []


# --- What is answered ------------------------------------------------------------------------------------


def _usage(given: int, made: int, **more: int) -> dict[str, int]:
    counts = {"input_tokens": given, "output_tokens": made}
    return {**counts, "cache_read.input_tokens": 0, "cache_write.input_tokens": 0, **more}


_SEARCHED = [
    {
        "type": "server_tool_call",
        "id": "srvtoolu_01Web",
        "name": "web_search",
        "server_tool_call": {"type": "web_search", "input": {"query": "tide Porto"}},
    },
    {
        "type": "server_tool_call_response",
        "id": "srvtoolu_01Web",
        "server_tool_call_response": {
            "type": "web_search",
            "content": [
                {
                    "type": "web_search_result",
                    "url": "https://example.org/tides",
                    "title": "Tides",
                    "encrypted_content": "ZW5j",
                    "page_age": None,
                }
            ],
        },
    },
    {"type": "text", "content": "High at nine."},
]
_THOUGHT = {"reasoning.output_tokens": 40}
ANSWERS = [
    ("messages_tools", "tool_use", _usage(140, 75, **_THOUGHT), _TOOLS_PARTS, "tool_call"),
    ("messages_server", "pause_turn", _usage(310, 44), _SEARCHED, "pause_turn"),
    ("messages_cut", "max_tokens", _usage(29, 16), "The keeper", "length"),
    ("messages_sequence", "stop_sequence", _usage(29, 16), "The end", "stop"),
    ("messages_window", "model_context_window_exceeded", _usage(29, 16), "Too", "length"),
    ("messages_refusal", "refusal", _usage(29, 16), "I cannot help to wreck ships.", "content_filter"),
]


@pytest.mark.parametrize("how", ["whole", "raw bytes", "events", "helper", "bytes", "beta"])
@pytest.mark.parametrize(("name", "reason", "usage", "parts", "finish"), ANSWERS)
def test_an_answer_is_told_in_full(*, name, reason, usage, parts, finish, how):
    """Finish reason, every kind of token and every block come from the answer, in one piece or in many."""

    async def read(c: Any) -> None:
        if how == "helper":
            with c.messages.stream(**ASK) as stream:
                stream.until_done()
            return
        if how in ("bytes", "raw bytes"):
            body = {**ASK, "stream": True} if how == "bytes" else ASK
            with c.messages.with_streaming_response.create(**body) as response:
                list(response.iter_bytes())
            return
        streaming = {"stream": True} if how != "whole" else {}
        got = (c.beta.messages if how == "beta" else c.messages).create(**ASK, **streaming)
        _ = [event for event in got] if streaming else got  # noqa: C416 (read as a stream)

    with capture(capture="SPAN_ONLY") as seen:
        called(read, [name])
    found = attributes(seen)
    assert found["gen_ai.response.finish_reasons"] == [reason]
    counts = {key[13:]: value for key, value in found.items() if key.startswith("gen_ai.usage.")}
    assert counts == usage
    parts = [{"type": "text", "content": parts}] if isinstance(parts, str) else parts
    said = [{"role": "assistant", "parts": parts, "finish_reason": finish}]
    assert _pruned(json.loads(found["gen_ai.output.messages"])) == _pruned(said)
    assert misshapen({"gen_ai.output.messages": json.loads(found["gen_ai.output.messages"])}) == []
    assert seen.spans[0]["status"] == "UNSET"


def _pruned(value: Any) -> Any:
    """Leave out what is None: each version of the SDK adds fields of its own."""
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item is not None}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _events_of(name: str) -> list[bytes]:
    return [event + b"\n\n" for event in fake(name).split(b"\n\n") if event]


def _with_late_usage(**usage: int) -> Any:
    late = json.dumps(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
    )

    def answer() -> Any:
        pieces = [
            f"event: message_delta\ndata: {late}\n\n".encode() if b"message_delta" in event else event
            for event in _events_of("messages.sse")
        ]
        return reply(b"".join(pieces), sse=True)

    return answer


@pytest.mark.parametrize("raw", [False, True], ids=["events", "bytes"])
@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ({"output_tokens": 9}, (1301, 9, 1024, 256)),
        (
            {
                "input_tokens": 40,
                "output_tokens": 9,
                "cache_read_input_tokens": 2000,
                "cache_creation_input_tokens": 0,
            },
            (2040, 9, 2000, 0),
        ),
        ({"output_tokens": 0, "input_tokens": 30}, (1310, 0, 1024, 256)),
    ],
)
def test_usage_at_a_streams_end_replaces_that_at_its_start(late, expected, raw):
    """`message_start` counts what came in, `message_delta` what went out and what has changed since."""

    async def read(c: Any) -> None:
        with c.messages.with_streaming_response.create(**ASK, stream=True) as response:
            list(response.iter_bytes())

    with capture() as seen:
        called(read if raw else ask(stream=True), [_with_late_usage(**late)])
    keys = ("input_tokens", "output_tokens", "cache_read.input_tokens", "cache_write.input_tokens")
    assert tuple(attributes(seen)[f"gen_ai.usage.{key}"] for key in keys) == expected


# --- What goes wrong -------------------------------------------------------------------------------------

FAILURES = [
    ("error_400", "BadRequestError", 1),
    ("error_401", "AuthenticationError", 1),
    ("error_402", "PaymentRequiredError", 1),
    ("error_403", "PermissionDeniedError", 1),
    ("error_404", "NotFoundError", 1),
    ("error_413", "ContentTooLargeError", 1),
    ("error_429", "RateLimitError", 3),
    ("error_500", "InternalServerError", 3),
    ("error_529", "OverloadedError", 3),
    (http.ReadTimeout("CANARY-ERROR"), "APITimeoutError", 3),
    (http.ConnectError("CANARY-ERROR"), "APIConnectionError", 3),
]
_KNOWN = {key: value for key, value in _ASKED.items() if key != "gen_ai.request.stop_sequences"}


def _everything(seen: Any, caplog: Any) -> str:
    """Write down all that has been recorded anywhere."""
    spans = [one.to_json() for one in seen.finished]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")]
    return repr((spans, seen.spans, seen.events, seen.metrics, ours))


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize(("answer", "error", "requests"), FAILURES, ids=str)
def test_a_failure_is_one_span_without_content(*, answer, error, requests, cls, stream, caplog):
    """All retries together are one span; it says the error's type, status and attempts, and nothing said."""
    caplog.set_level(logging.DEBUG)
    wire = Wire([answer])
    with capture(emit_event=True) as seen, pytest.raises(anthropic.APIError) as raised:
        run(
            ask(stream=stream)(client(wire, cls, max_retries=2)),
            asynchronous=cls is anthropic.AsyncAnthropic,
        )
    assert len(wire.requests) == requests
    raised_as = type(raised.value).__name__
    assert raised_as in (
        error,
        "APIStatusError",
        "RequestTooLargeError",
        "InternalServerError",
    )  # older SDKs know fewer
    status = int(answer[-3:]) if isinstance(answer, str) else None
    told = {
        **_KNOWN,
        "gen_ai.request.max_tokens": 64,
        "error.type": "billing_error" if answer == "error_402" else raised_as,
        "otel_genai.outcome": "failed",
        **({"gen_ai.request.stream": True} if stream else {}),
        **({"http.response.status_code": status} if status else {}),
        **({"http.request.resend_count": requests - 1} if requests > 1 else {}),
    }
    assert seen.spans == [
        {**span(told), "events": [{"name": "exception", "exception.type": raised_as}]},
    ]
    assert seen.metrics == metrics(told)
    assert [event["attributes"] for event in _lists(seen.events)] == [told]
    assert not [canary for canary in CANARIES if canary in _everything(seen, caplog)]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("failure", ["error_429", "error_529", http.ReadTimeout("slow")], ids=str)
def test_a_call_that_succeeds_in_the_end_is_one_span_without_error(failure, cls):
    """A retry that helps leaves one span, and no trace of the failure before it."""

    async def call(c: Any) -> Any:
        return await now(c.messages.create(**MESSAGES))

    with capture() as seen:
        _, wire = called(call, [failure, failure, "messages"], cls, max_retries=2)
    assert len(wire.requests) == 3
    (only,) = seen.spans
    only["attributes"].pop("http.request.resend_count", None)
    assert only == span(SPANS["messages"])


async def _read_events(c: Any) -> None:
    _ = [event async for event in each(await now(c.messages.create(**ASK, stream=True)))]


async def _read_helper(c: Any) -> None:
    async with inside(c.messages.stream(**ASK)) as stream:
        await now(stream.until_done())


async def _read_lines(c: Any) -> None:
    async with inside(c.messages.with_streaming_response.create(**ASK, stream=True)) as response:
        _ = [line async for line in each(response.iter_lines())]


def _ending(end: Any) -> Any:
    def answer() -> Any:
        response = reply(fake("messages_error.sse"), sse=True)
        if end is not None:
            response.stream.pieces[-1:] = [] if end == "silence" else [end]
        return response

    return answer


BROKEN = {
    "overloaded": (None, "failed", {"overloaded_error"}),
    "cut": ("silence", "truncated", {"stream_truncated"}),
    "reset": (http.ReadError("CANARY-ERROR"), "failed", {"APIConnectionError", "ReadError"}),
    "timeout": (http.ReadTimeout("CANARY-ERROR"), "failed", {"APITimeoutError", "ReadTimeout"}),
}


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("read", [_read_events, _read_helper, _read_lines], ids=["events", "helper", "lines"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_is_an_error_and_keeps_what_came(name, read, cls, caplog):
    """A stream broken by the provider or the network has its outcome, and what was received till then."""
    caplog.set_level(logging.DEBUG)
    end, outcome, errors = BROKEN[name]

    async def caught(c: Any) -> Any:
        try:
            await read(c)
        except (anthropic.APIError, http.HTTPError) as error:
            return type(error).__name__, str(error)

    bare, _ = called(caught, [_ending(end)], cls)
    for mode in ("SPAN_ONLY", "NO_CONTENT"):
        with capture(capture=mode) as seen:
            got, _ = called(caught, [_ending(end)], cls)
        assert got == bare
        (only,) = seen.spans
        found = only["attributes"]
        assert (only["status"], found["otel_genai.outcome"]) == ("ERROR", outcome)
        assert found["error.type"] in errors
        assert found["gen_ai.response.id"] == "msg_01Overloaded"
        assert found["gen_ai.usage.input_tokens"] == 12
        assert found["gen_ai.response.finish_reasons"] == ["error"]
        if mode == "SPAN_ONLY":
            (said,) = json.loads(found["gen_ai.output.messages"])
            assert said["parts"] == [{"type": "text", "content": "The CANARY-ANSWER begins"}]
    assert not [canary for canary in CANARIES if canary in _everything(seen, caplog)]


@pytest.mark.parametrize("cls", COLOURS)
def test_an_answer_that_does_not_parse_was_billed(cls):
    """`parse()` raises the SDK's own exception; the span has it, and the tokens that were paid."""

    async def call(c: Any) -> Any:
        parse = needs(c, "messages.parse")
        return await now(parse(**ASK, output_format=ways.Lighthouse))

    raised = []
    for settings in (None, {}):
        with contextlib.ExitStack() as stack:
            seen = stack.enter_context(capture(**settings)) if settings is not None else None
            with pytest.raises(ValueError, match="metres") as caught:
                called(call, ["messages_invalid"], cls)
            raised.append((type(caught.value), str(caught.value)))
    assert raised[0] == raised[1]
    found = attributes(seen)
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (81, 13)
    assert (found["error.type"], seen.spans[0]["status"]) == ("ValidationError", "ERROR")


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
async def test_a_cancelled_task_ends_its_span(stream):
    """A task cancelled while it waits for an answer, or for a stream's next event, ends its span at once."""
    waiting = asyncio.Event()

    async def wait() -> Any:
        waiting.set()
        await asyncio.Event().wait()

    def streaming() -> Any:
        response = reply(fake("messages.sse"), sse=True)
        response.stream.pieces[5:] = [wait]
        return response

    with capture() as seen:
        c = client(Wire([streaming if stream else wait]), anthropic.AsyncAnthropic)
        task = asyncio.create_task(ask(stream=stream)(c))
        await waiting.wait()
        assert seen.spans == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        found = attributes(seen)
    assert (seen.spans[0]["status"], "error.type" in found) == ("UNSET", False)
    assert found["otel_genai.outcome"] == "cancelled"


# --- Streams that the caller leaves ----------------------------------------------------------------------


async def _leave_and_close(c: Any) -> None:
    stream = await now(c.messages.create(**ASK, stream=True))
    await _four(stream)
    await now(stream.close())


async def _leave_with(c: Any) -> None:
    async with inside(await now(c.messages.create(**ASK, stream=True))) as stream:
        await _four(stream)


async def _leave_helper(c: Any) -> None:
    async with inside(c.messages.stream(**ASK)) as stream:
        await _four(stream)


async def _raise_in_helper(c: Any) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with inside(c.messages.stream(**ASK)) as stream:
            await _four(stream)
            raise ZeroDivisionError


async def _leave_bytes(c: Any) -> None:
    async with inside(c.messages.with_streaming_response.create(**ASK, stream=True)) as response:
        await _four(response.iter_lines(), 12)


async def _never_read(c: Any) -> None:
    await now((await now(c.messages.create(**ASK, stream=True))).close())


async def _never_read_helper(c: Any) -> None:
    async with inside(c.messages.stream(**ASK)):
        pass


async def _dropped(c: Any) -> None:
    stream = await now(c.messages.create(**ASK, stream=True))
    await _four(stream)
    del stream
    garbage.collect()
    if isinstance(c, anthropic.AsyncAnthropic):
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def _four(items: Any, count: int = 4) -> None:
    step = items.__anext__ if hasattr(items, "__anext__") else items.__next__
    for _ in range(count):
        await now(step())


LEFT = [_leave_and_close, _leave_with, _leave_helper, _raise_in_helper, _leave_bytes, _dropped]


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("leave", [*LEFT, _never_read, _never_read_helper], ids=lambda it: it.__name__[1:])
def test_a_stream_left_early_ends_its_span_with_what_came(leave, cls):
    """However a stream is left, it has one span: no error, no invented finish, what was received."""
    with capture(capture="SPAN_ONLY") as seen:
        called(leave, cls=cls)
        garbage.collect()
    (only,) = seen.spans
    found = only["attributes"]
    assert (only["status"], found["otel_genai.outcome"]) == ("UNSET", "stopped")
    assert "gen_ai.response.finish_reasons" not in found
    came = leave in LEFT
    assert found.get("gen_ai.response.id") == ("msg_01LampLitAtDusk" if came else None)
    assert found.get("gen_ai.usage.input_tokens") == (1301 if came else None)
    if came:
        (said,) = json.loads(found["gen_ai.output.messages"])
        assert "The lamp was lit at dusk.".startswith(said["parts"][0]["content"])


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_span_is_current_on_the_wire_and_nowhere_else(stream, cls):
    """HTTP spans nest under the call's span; the caller's own context is untouched, also within a stream."""
    within = []

    def answer() -> Any:
        within.append(trace.get_current_span())
        return reply(fake(f"messages.{'sse' if stream else 'json'}"), sse=stream)

    async def call(c: Any) -> None:
        with seen.tracer_provider.get_tracer("app").start_as_current_span("app") as outer:
            got = await now(c.messages.create(**ASK, stream=stream))
            assert trace.get_current_span() is outer
            if stream:
                async for _ in each(got):
                    assert trace.get_current_span() is outer

    with capture() as seen:
        called(call, [answer], cls)
    assert [(one["name"], one["parent"]) for one in seen.spans] == [
        ("chat claude-haiku-4-5", "app"),
        ("app", None),
    ]
    assert [one.get_span_context() for one in within] == [seen.finished[0].context]


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("raw", [False, True], ids=["events", "bytes"])
@pytest.mark.parametrize("odd", [b"{}", b'{"type": 3, "message": 7, "usage": 1}', b"[1]"])
def test_an_odd_event_is_left_out_of_a_stream(odd, raw, cls):
    """An event that is not what it should be costs nothing but itself, and raises what it raises bare."""

    def answer() -> Any:
        return reply(b"event: message_delta\ndata: " + odd + b"\n\n" + fake("messages.sse"), sse=True)

    async def call(c: Any) -> Any:
        return await _attempt(_read_lines if raw else ask(stream=True), c)

    bare, _ = called(call, [answer], cls)
    with capture(capture="SPAN_AND_EVENT") as seen:
        got, _ = called(call, [answer], cls)
    assert got == bare
    found = attributes(seen)
    kept = ("gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "gen_ai.response.model")
    assert {key: found.get(key) for key in kept} == {key: SPANS["messages"][key] for key in kept}


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'"text"',
        b"null",
        b'{"content": "odd", "usage": 7, "model": 3, "id": null}',
        b'{"content": [{}], "usage": {"input_tokens": "many", "output_tokens": -1}}',
        b'{"content": null, "usage": {"output_tokens": 3}}',
    ],
)
def test_an_odd_answer_is_the_hosts_affair(body):
    """A host's odd 200 is no failure of anybody's: what can be read is told, and the call goes on."""

    async def call(c: Any) -> Any:
        return await _attempt(lambda c: c.post("/v1/messages", cast_to=anthropic.types.Message, body=ASK), c)

    bare, _ = called(call, [lambda: reply(body, sse=False)])
    with capture(capture="SPAN_AND_EVENT") as seen:
        got, _ = called(call, [lambda: reply(body, sse=False)])
    assert got == bare
    assert (len(seen.spans), seen.spans[0]["status"]) == (1, "UNSET")
    if b'"output_tokens": 3' in body:
        assert attributes(seen)["gen_ai.usage.output_tokens"] == 3
