"""OpenAI, by every way of calling it and in every condition, asserted as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import hashlib
import json
import logging
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, StaticSampler

import garbage
import ways
from otel_genai.testing import capture
from recordings import misshapen
from ways import APIS, TIDE, WAYS, Wire, client, each, fake, http, inside, now, reply, run

COLOURS = [pytest.param(openai.OpenAI, id="sync"), pytest.param(openai.AsyncOpenAI, id="async")]

CANARIES = ("CANARY-PROMPT", "CANARY-ERROR", "CANARY-ANSWER")
ASK: Any = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "CANARY-PROMPT"}]}


class _Positive:
    """Equal to any number above zero."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, float)) and not isinstance(other, bool) and other > 0

    __hash__ = None  # type: ignore[assignment]  # it equals too much to have one

    def __repr__(self) -> str:
        return "<a positive number>"


POSITIVE = _Positive()

# --- What each fake is told as ---------------------------------------------------------------------------

_SERVER = {"gen_ai.provider.name": "openai", "server.address": "api.openai.com", "server.port": 443}
_CHAT = {
    "gen_ai.operation.name": "chat",
    "openai.api.type": "chat_completions",
    **_SERVER,
    "gen_ai.request.model": "gpt-4.1-mini",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.max_tokens": 256,
    "gen_ai.response.model": "gpt-4.1-mini-2025-04-14",
    "gen_ai.response.finish_reasons": ["stop"],
    "openai.response.service_tier": "default",
}
_CHAT_COMPLETION = {
    **_CHAT,
    "openai.response.system_fingerprint": "fp_3a7c2e91b0",
    "gen_ai.usage.cache_read.input_tokens": 0,
    "gen_ai.usage.audio.input_tokens": 0,
    "gen_ai.usage.reasoning.output_tokens": 0,
    "gen_ai.usage.audio.output_tokens": 0,
}
_RESPONSE = {
    **_CHAT,
    "openai.api.type": "responses",
    "gen_ai.usage.cache_read.input_tokens": 0,
    "gen_ai.usage.reasoning.output_tokens": 0,
}
SPANS = {
    "chat": {
        **_CHAT_COMPLETION,
        "gen_ai.response.id": "chatcmpl-CpV0eXw4hT9sLk2mQ7dRzB1n",
        "gen_ai.usage.input_tokens": 21,
        "gen_ai.usage.output_tokens": 6,
    },
    "chat_structured": {
        **_CHAT_COMPLETION,
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "chatcmpl-CpV5sTrUcT4dKm9Lw1Qe2Zr7",
        "gen_ai.usage.input_tokens": 73,
        "gen_ai.usage.output_tokens": 11,
    },
    "responses": {
        **_RESPONSE,
        "gen_ai.response.id": "resp_68e7a1c00d1481a3b5f60c2d7e8f9a10",
        "gen_ai.usage.input_tokens": 29,
        "gen_ai.usage.output_tokens": 8,
    },
    "responses_structured": {
        **_RESPONSE,
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "resp_68e7a1c2b3c4d5e6f708192a3b4c5d6e",
        "gen_ai.usage.input_tokens": 81,
        "gen_ai.usage.output_tokens": 12,
    },
    "embeddings": {
        "gen_ai.operation.name": "embeddings",
        **_SERVER,
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.response.model": "text-embedding-3-small",
        "gen_ai.embeddings.dimension.count": 4,
        "gen_ai.usage.input_tokens": 6,
    },
    "completions": {
        "gen_ai.operation.name": "text_completion",
        **_SERVER,
        "gen_ai.request.model": "gpt-3.5-turbo-instruct",
        "gen_ai.request.max_tokens": 16,
        "gen_ai.response.id": "cmpl-CpVaLeGaCy1Qw2Er3Ty4Ui5O",
        "gen_ai.response.model": "gpt-3.5-turbo-instruct:20230824-v2",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 4,
        "gen_ai.usage.output_tokens": 7,
    },
}
OUTPUT_CHUNKS = {
    "chat": 5,
    "chat_structured": 3,
    "responses": 4,
    "responses_structured": 3,
    "completions": 3,
}
_DEFINITION = {
    "type": "function",
    "name": "tide",
    "description": TIDE["description"],
    "parameters": TIDE["parameters"],
}
_INSTRUCTED = {"gen_ai.tool.definitions": [_DEFINITION]}


def _says(role: str, text: str, **more: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}], **more}


def _answers(text: str) -> dict[str, Any]:
    return {"gen_ai.output.messages": [_says("assistant", text, finish_reason="stop")]}


_CHAT_CONTENT = {
    **_INSTRUCTED,
    "gen_ai.input.messages": [
        _says("developer", "You keep a lighthouse."),
        _says("user", "When does it open?"),
    ],
}
_RESPONSE_CONTENT = {
    **_INSTRUCTED,
    "gen_ai.system_instructions": [{"type": "text", "content": "You keep a lighthouse."}],
    "gen_ai.input.messages": [_says("user", "When was the lamp lit?")],
}
CONTENT = {
    "chat": {**_CHAT_CONTENT, **_answers("The lighthouse opens at nine.")},
    "chat_structured": {**_CHAT_CONTENT, **_answers('{"name":"Fastnet","metres":54}')},
    "responses": {**_RESPONSE_CONTENT, **_answers("The lamp was lit at dusk.")},
    "responses_structured": {**_RESPONSE_CONTENT, **_answers('{"name":"Fastnet","metres":54}')},
    "embeddings": {},
    "completions": {
        "gen_ai.input.messages": [_says("user", "Beware of")],
        **_answers("\n\nRocks, mostly."),
    },
}


def span(fake_name: str, *, stream: bool = False, **changed: Any) -> dict[str, Any]:
    """Say how a whole span looks; a changed attribute of None is absent."""
    attributes = dict(SPANS[fake_name])
    if stream:
        attributes["gen_ai.request.stream"] = True
        attributes["gen_ai.response.time_to_first_chunk"] = POSITIVE
        attributes["otel_genai.longest_gap"] = POSITIVE
    attributes.update(changed)
    attributes = {key: value for key, value in attributes.items() if value is not None}
    target = attributes["gen_ai.request.model"]
    return {
        "name": f"{attributes['gen_ai.operation.name']} {target}",
        "kind": "CLIENT",
        "status": "UNSET",
        "description": None,
        "parent": None,
        "attributes": attributes,
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
    outcome = {"otel_genai.outcome": attributes.get("otel_genai.outcome", "completed")}
    asked = {key: of[key] for key in ("gen_ai.provider.name", "gen_ai.request.model")}
    found = {
        "otel_genai.calls": [{"attributes": {**outcome, **asked}, "exemplars": 0, "value": 1}],
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


def is_async(cls: Any) -> bool:
    """Say which colour a client class has."""
    return cls.__name__.startswith("Async")


def called(call: Any, answers: list[Any] | None = None, cls: Any = openai.OpenAI, **options: Any) -> Any:
    """Run `call(client)` on a client of the class over a wire of its own; give its result and the wire."""
    wire = Wire(answers or [])
    return run(call(client(wire, cls, **options)), asynchronous=is_async(cls)), wire


def chat(**body: Any) -> Any:
    """Make the call that asks for one chat completion; a stream is read to its end."""

    async def call(c: Any) -> Any:
        got = await now(c.chat.completions.create(**{**ASK, **body}))
        return [event async for event in each(got)] if body.get("stream") else got

    return call


def responses(**body: Any) -> Any:
    """Make the call that asks for one response; a stream is read to its end."""

    async def call(c: Any) -> Any:
        got = await now(c.responses.create(**{"model": "gpt-4.1-mini", "input": "CANARY-PROMPT", **body}))
        return [event async for event in each(got)] if body.get("stream") else got

    return call


def attributes(seen: Any) -> dict[str, Any]:
    """Give the attributes of the one span there is."""
    (only,) = seen.spans
    found: dict[str, Any] = only["attributes"]
    return found


def picked(seen: Any, *prefixes: str) -> dict[str, Any]:
    """Give those attributes of the one span whose names begin so, without the prefix they share."""
    return {key: value for key, value in attributes(seen).items() if key.startswith(prefixes)}


# --- Every way of calling --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_gives_one_whole_span_and_changes_nothing(way, cls):
    """Each way of calling gives one span with its metrics, and the caller what a bare SDK gives."""
    bare, bare_wire = called(way, [way.fake], cls)
    with capture() as seen:
        got, wire = called(way, [way.fake], cls)

    assert got == bare
    assert wire.requests == bare_wire.requests
    changed = _embedding_format(way, wire)
    expected = span(way.fake, stream=way.stream, **changed)
    assert seen.spans == [expected]
    chunks = OUTPUT_CHUNKS[way.fake] if way.stream else 0
    assert seen.metrics == metrics(expected["attributes"], chunks=chunks)
    assert seen.events == []


def _embedding_format(way: Any, wire: Wire) -> dict[str, Any]:
    """Tell what the SDK adds to a request for embeddings on its own, in some of the ways."""
    sent = (
        json.loads(wire.requests[0]["body"]).get("encoding_format") if way.api.name == "embeddings" else None
    )
    return {"gen_ai.request.encoding_formats": [sent]} if sent else {}


@pytest.mark.parametrize("fake_name", CONTENT)
def test_content_has_the_published_shape(fake_name):
    """What the tests here expect as content is what the conventions' schemas allow."""
    assert misshapen(CONTENT[fake_name]) == []


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_tells_the_content_when_it_is_wanted(way, cls):
    """With capture on, each way has messages, instructions and tools on the span and on the event."""
    with capture(capture="SPAN_AND_EVENT") as seen:
        _, wire = called(way, [way.fake], cls)

    content = CONTENT[way.fake]
    on_span = {key: _Json(value) for key, value in content.items()}
    changed = _embedding_format(way, wire)
    expected = span(way.fake, stream=way.stream, **changed, **on_span)
    assert seen.spans == [expected]
    if way.api.name == "embeddings":
        assert seen.events == []
        return
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


class _Json:
    """Equal to the JSON text of a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and json.loads(other) == self.value

    __hash__ = None  # type: ignore[assignment]  # it is compared, never kept

    def __repr__(self) -> str:
        return json.dumps(self.value)


# --- Who answers -----------------------------------------------------------------------------------------

HOSTS = {
    "https://api.openai.com/v1": ("openai", "api.openai.com", 443),
    "https://eu.api.openai.com/v1": ("openai", "eu.api.openai.com", 443),
    "https://lights.openai.azure.com/openai/v1": ("azure.ai.openai", "lights.openai.azure.com", 443),
    "https://lights.cognitiveservices.azure.com/openai/v1": (
        "azure.ai.openai",
        "lights.cognitiveservices.azure.com",
        443,
    ),
    "https://lights.services.ai.azure.com/models": (
        "azure.ai.inference",
        "lights.services.ai.azure.com",
        443,
    ),
    "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1": (
        "aws.bedrock",
        "bedrock-runtime.us-west-2.amazonaws.com",
        443,
    ),
    "https://bedrock-mantle.us-east-1.api.aws/v1": (
        "aws.bedrock",
        "bedrock-mantle.us-east-1.api.aws",
        443,
    ),
    "https://api.groq.com/openai/v1": ("groq", "api.groq.com", 443),
    "https://api.deepseek.com": ("deepseek", "api.deepseek.com", 443),
    "https://api.x.ai/v1": ("x_ai", "api.x.ai", 443),
    "https://api.mistral.ai/v1": ("mistral_ai", "api.mistral.ai", 443),
    "https://api.perplexity.ai": ("perplexity", "api.perplexity.ai", 443),
    "https://api.moonshot.ai/v1": ("moonshot_ai", "api.moonshot.ai", 443),
    "https://api.cohere.ai/compatibility/v1": ("cohere", "api.cohere.ai", 443),
    "https://api.anthropic.com/v1": ("anthropic", "api.anthropic.com", 443),
    "https://generativelanguage.googleapis.com/v1beta/openai": (
        "gcp.gemini",
        "generativelanguage.googleapis.com",
        443,
    ),
    "https://europe-west1-aiplatform.googleapis.com/v1/openapi": (
        "gcp.vertex_ai",
        "europe-west1-aiplatform.googleapis.com",
        443,
    ),
    "https://models.inference.ai.azure.com": ("github", "models.inference.ai.azure.com", 443),
    "https://router.huggingface.co/v1": ("huggingface", "router.huggingface.co", 443),
    "https://openrouter.ai/api/v1": ("openrouter", "openrouter.ai", 443),
    "https://dbc-7.cloud.databricks.com/serving-endpoints": (
        "databricks",
        "dbc-7.cloud.databricks.com",
        443,
    ),
    "https://us-south.ml.cloud.ibm.com/ml/gateway/v1": ("ibm.watsonx.ai", "us-south.ml.cloud.ibm.com", 443),
    "https://llm.example.org:8443/v1": ("openai", "llm.example.org", 8443),
    "http://localhost:11434/v1": ("openai", "localhost", 11434),
    "http://10.0.0.7/v1": ("openai", "10.0.0.7", 80),
    "https://api.groq.com.example.org/v1": ("openai", "api.groq.com.example.org", 443),
}
AZURE = {"azure_endpoint": "https://lights.openai.azure.com", "api_version": "2024-10-21"}
BEHIND_GATEWAY = {"base_url": "https://gateway.example.org/v1"}
CLASSES = [
    ("AzureOpenAI", AZURE, "azure.ai.openai", "lights.openai.azure.com"),
    ("AsyncAzureOpenAI", AZURE, "azure.ai.openai", "lights.openai.azure.com"),
    ("BedrockOpenAI", BEHIND_GATEWAY, "aws.bedrock", "gateway.example.org"),
    ("AsyncBedrockOpenAI", BEHIND_GATEWAY, "aws.bedrock", "gateway.example.org"),
]


def _who(seen: Any) -> tuple[Any, ...]:
    found = attributes(seen)
    return tuple(found.get(key) for key in _SERVER)


@pytest.mark.parametrize("url", HOSTS)
def test_the_host_names_the_provider(url):
    """A host that is known names its provider; one that is not speaks OpenAI's language."""
    with capture() as seen:
        called(chat(), base_url=url)
    assert _who(seen) == HOSTS[url]


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("http://10.0.0.7:8000/v1", "vllm"),
        ("http://10.0.0.7:8001/v1", "openai"),
        ("http://llm.corp.example/v1", "llama_cpp"),
        ("https://llm.corp.example:8443/v1", "llama_cpp"),
        ("http://[fd00::7]:1234/v1", "lm_studio"),
        ("https://api.openai.com/v1", "toy"),
    ],
)
def test_the_user_names_who_answers_at_a_host_of_their_own(url, provider):
    """At one port, or at every one; their word counts more than what is known of a host."""
    hosts = "10.0.0.7:8000=vllm,llm.corp.example=llama_cpp,[fd00::7]:1234=lm_studio,api.openai.com=toy"
    with capture(hosts=hosts) as seen:
        called(chat(), base_url=url)
    assert _who(seen)[0] == provider
    (duration,) = seen.metrics["gen_ai.client.operation.duration"]
    assert duration["attributes"]["gen_ai.provider.name"] == provider


def test_a_host_of_the_users_own_has_no_prices_of_openai():
    """A model that is served there under a name that OpenAI has a price for costs something else."""
    pytest.importorskip("genai_prices", reason="the extra `cost` is not installed")
    with capture(hosts="10.0.0.7=vllm", cost=True) as seen:
        called(chat(), base_url="http://10.0.0.7:8000/v1")
    assert not [name for name in seen.metrics if "cost" in name]
    (unpriced,) = seen.metrics["otel_genai.unpriced"]
    assert unpriced["attributes"]["gen_ai.provider.name"] == "vllm"


@pytest.mark.parametrize(("name", "options", "provider", "host"), CLASSES)
def test_the_client_class_names_the_provider(name, options, provider, host, monkeypatch):
    """Azure's and Bedrock's clients name their provider whatever host they call."""
    if not hasattr(openai, name):
        pytest.skip(f"openai {openai.__version__} has no {name}")
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    with capture() as seen:
        called(chat(), cls=getattr(openai, name), **options)
    assert _who(seen) == (provider, host, 443)
    assert seen.spans[0]["name"] == "chat gpt-4.1-mini"


def test_a_client_whose_address_is_changed_is_told_by_the_new_one():
    """The server is read from the client at each call, not remembered from the first."""

    async def twice(c: Any) -> None:
        c.chat.completions.create(**ASK)
        c.base_url = "https://api.groq.com/openai/v1"
        c.chat.completions.create(**ASK)

    with capture() as seen:
        called(twice)
    assert [one["attributes"]["gen_ai.provider.name"] for one in seen.spans] == ["openai", "groq"]


def test_the_module_itself_is_a_client(monkeypatch):
    """`openai.chat.completions.create` without a client of one's own is seen, too."""
    wire = Wire()
    monkeypatch.setattr(openai, "api_key", "sk-test")
    monkeypatch.setattr(openai, "base_url", None)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(openai, "http_client", http.Client(transport=http.MockTransport(wire.handle)))
    try:
        with capture() as seen:
            openai.chat.completions.create(**APIS["chat"].body)
    finally:
        openai._reset_client()
    assert seen.spans == [span("chat")]


# --- What is asked ---------------------------------------------------------------------------------------

_SCHEMA = {"name": "lighthouse", "schema": {"type": "object"}}
PARAMETERS = [
    (chat, {}, {}),
    (chat, {"temperature": 0, "top_p": 1}, {"temperature": 0.0, "top_p": 1.0}),
    (chat, {"temperature": None, "seed": openai.NOT_GIVEN}, {}),
    (chat, {"max_tokens": 64}, {"max_tokens": 64}),
    (chat, {"max_completion_tokens": 65}, {"max_tokens": 65}),
    (
        chat,
        {"frequency_penalty": 1, "presence_penalty": -0.5, "seed": 7},
        {"frequency_penalty": 1.0, "presence_penalty": -0.5, "seed": 7},
    ),
    (chat, {"stop": "END"}, {"stop_sequences": ["END"]}),
    (chat, {"stop": ["END", "STOP"]}, {"stop_sequences": ["END", "STOP"]}),
    (chat, {"n": 1}, {}),
    (chat, {"n": 3}, {"choice.count": 3}),
    (chat, {"service_tier": "auto"}, {}),
    (chat, {"service_tier": "default"}, {"service_tier": "default"}),
    (chat, {"reasoning_effort": "high"}, {"reasoning.level": "high"}),
    (chat, {"response_format": {"type": "text"}}, {"output.type": "text"}),
    (chat, {"response_format": {"type": "json_object"}}, {"output.type": "json"}),
    (chat, {"response_format": {"type": "json_schema", "json_schema": _SCHEMA}}, {"output.type": "json"}),
    (chat, {"extra_body": {"top_k": 40, "seed": 8}}, {"top_k": 40, "seed": 8}),
    (chat, {"seed": 7, "extra_body": {"seed": 8}}, {"seed": 8}),
    (chat, {"extra_body": {"stop": 4, "n": "many", "response_format": "odd"}}, {"choice.count": "many"}),
    (chat, {"user": "someone", "metadata": {"a": "b"}, "logit_bias": {"50256": -100}}, {}),
    (responses, {"temperature": 1, "top_p": 0.5}, {"temperature": 1.0, "top_p": 0.5}),
    (responses, {"max_output_tokens": 99}, {"max_tokens": 99}),
    (responses, {"reasoning": {"effort": "low"}}, {"reasoning.level": "low"}),
    (responses, {"reasoning": {"summary": "auto"}}, {}),
    (responses, {"text": {"format": {"type": "text"}}}, {"output.type": "text"}),
    (responses, {"text": {"format": {"type": "json_schema", **_SCHEMA}}}, {"output.type": "json"}),
    (responses, {"text": {"verbosity": "low"}}, {}),
    (responses, {"previous_response_id": "resp_1"}, {"previous_response.id": "resp_1"}),
    (responses, {"extra_body": {"conversation": "conv_1"}}, {"conversation.id": "conv_1"}),
    (responses, {"extra_body": {"conversation": {"id": "conv_2"}}}, {"conversation.id": "conv_2"}),
    (responses, {"extra_body": {"service_tier": "flex"}}, {"service_tier": "flex"}),
    (responses, {"extra_body": {"service_tier": "auto"}}, {}),
]


@pytest.mark.parametrize(("call", "body", "expected"), PARAMETERS)
def test_parameters_of_the_request_are_attributes(call, body, expected):
    """Each parameter that says something is told in the conventions' type; others leave no trace."""
    with capture() as seen:
        called(call(**body))
    prefixes = ("gen_ai.request.", "openai.request.", "gen_ai.output.", "gen_ai.conversation.")
    found = {
        key.replace(".request", "").partition(".")[2]: value for key, value in picked(seen, *prefixes).items()
    }
    assert found.pop("model") == "gpt-4.1-mini"
    assert json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"encoding_format": "float"}, {"gen_ai.request.encoding_formats": ["float"]}),
        ({"encoding_format": "base64"}, {"gen_ai.request.encoding_formats": ["base64"]}),
        (
            {"dimensions": 4},
            {"gen_ai.embeddings.dimension.count": 4, "gen_ai.request.encoding_formats": ["base64"]},
        ),
    ],
)
def test_parameters_of_embeddings_are_attributes(body, expected):
    """Embeddings tell their format, and the vectors' length however they are encoded."""

    async def call(c: Any) -> Any:
        return c.embeddings.create(**{**APIS["embeddings"].body, **body})

    with capture() as seen:
        called(call)
    assert seen.spans == [span("embeddings", **expected)]


def test_parameters_of_legacy_completions_are_attributes():
    """Legacy completions have the same parameters as chat."""
    body = {"stop": "\n", "n": 2, "seed": 3, "temperature": 0, "presence_penalty": 1}

    async def call(c: Any) -> Any:
        return c.completions.create(**{**APIS["completions"].body, **body})

    with capture() as seen:
        called(call)
    assert seen.spans == [
        span(
            "completions",
            **{
                "gen_ai.request.stop_sequences": ["\n"],
                "gen_ai.request.choice.count": 2,
                "gen_ai.request.seed": 3,
                "gen_ai.request.temperature": 0.0,
                "gen_ai.request.presence_penalty": 1.0,
            },
        )
    ]


@pytest.mark.parametrize("cls", COLOURS)
def test_a_one_shot_iterator_reaches_the_provider_whole(cls):
    """Messages from a generator are sent as without us, and told when content is wanted."""

    def call() -> Any:
        return chat(messages=(message for message in ASK["messages"]))

    _, bare = called(call(), cls=cls)
    with capture(capture="SPAN_ONLY") as seen:
        _, wire = called(call(), cls=cls)
    assert wire.requests == bare.requests
    assert b"CANARY-PROMPT" in wire.requests[0]["body"]
    assert attributes(seen)["gen_ai.input.messages"] == _Json([_says("user", "CANARY-PROMPT")])


def test_content_is_what_it_was_when_the_call_began():
    """A list of messages that the caller goes on with while a stream runs is told as it was sent."""
    messages = list(ASK["messages"])

    async def call(c: Any) -> None:
        for _ in c.chat.completions.create(**{**ASK, "messages": messages}, stream=True):
            messages[:] = [{"role": "user", "content": "later"}]

    with capture(capture="SPAN_ONLY") as seen:
        called(call)
    assert attributes(seen)["gen_ai.input.messages"] == _Json([_says("user", "CANARY-PROMPT")])


# --- What is sent ----------------------------------------------------------------------------------------

INLINE = "aGVsbG8gbGlnaHRob3VzZQ=="
_TEXT = {"type": "text", "content": "Look."}
_URI = {"type": "uri", "modality": "image", "uri": "https://example.org/a.png", "mime_type": None}


def _inline(modality: str, mime_type: str | None) -> dict[str, Any]:
    known = {"size": 16, "sha256": hashlib.sha256(b"hello lighthouse").hexdigest()}
    return {"type": "inline_media", "modality": modality, "mime_type": mime_type, **known}


def _file(modality: str) -> dict[str, Any]:
    return {"type": "file", "modality": modality, "file_id": "file-1"}


CHAT_PARTS = [
    ({"type": "text", "text": "Look."}, _TEXT),
    ({"type": "refusal", "refusal": "Look."}, _TEXT),
    ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, _URI),
    (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{INLINE}"}},
        _inline("image", "image/png"),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": INLINE, "format": "wav"}},
        _inline("audio", "audio/wav"),
    ),
    ({"type": "file", "file": {"file_id": "file-1"}}, _file("document")),
    (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{INLINE}"}},
        _inline("document", "application/pdf"),
    ),
    ({"type": "hologram", "data": INLINE}, {"type": "hologram"}),
]
RESPONSE_PARTS = [
    ({"type": "input_text", "text": "Look."}, _TEXT),
    ({"type": "output_text", "text": "Look."}, _TEXT),
    ({"type": "input_image", "image_url": "https://example.org/a.png"}, _URI),
    ({"type": "input_image", "image_url": f"data:image/png;base64,{INLINE}"}, _inline("image", "image/png")),
    ({"type": "input_image", "file_id": "file-1"}, _file("image")),
    ({"type": "input_file", "file_id": "file-1"}, _file("document")),
    (
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {**_URI, "modality": "document", "uri": "https://example.org/a.pdf"},
    ),
    ({"type": "input_file", "file_data": INLINE}, _inline("document", None)),
]
_TIDE_CALL = {"type": "tool_call", "id": "call_1", "name": "tide", "arguments": {"day": 3}}
TURNS = [
    (
        chat,
        {"role": "user", "name": "ann", "content": "Look."},
        {"role": "user", "parts": [_TEXT], "name": "ann"},
    ),
    (
        chat,
        {
            "role": "assistant",
            "refusal": "Look.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "tide", "arguments": '{"day": 3}'},
                },
                {"id": "call_2", "type": "custom", "custom": {"name": "horn", "input": "[loud"}},
            ],
        },
        {
            "role": "assistant",
            "parts": [
                _TIDE_CALL,
                {"type": "tool_call", "id": "call_2", "name": "horn", "arguments": "[loud"},
                _TEXT,
            ],
        },
    ),
    (
        chat,
        {"role": "tool", "tool_call_id": "call_1", "content": '{"metres": 2}'},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call_1", "response": {"metres": 2}}],
        },
    ),
    (
        responses,
        {"type": "function_call", "call_id": "call_1", "name": "tide", "arguments": '{"day": 3}'},
        {"role": "assistant", "parts": [_TIDE_CALL]},
    ),
    (
        responses,
        {"type": "function_call_output", "call_id": "call_1", "output": "high"},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "high"}]},
    ),
    (
        responses,
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}]},
    ),
    (
        responses,
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "server_tool_call",
                    "id": "ws_1",
                    "name": "web_search",
                    "server_tool_call": {"type": "web_search_call", "status": "completed"},
                }
            ],
        },
    ),
    (
        responses,
        {"type": "item_reference", "id": "msg_1"},
        {"role": "assistant", "parts": [{"type": "item_reference", "id": "msg_1"}]},
    ),
    *(
        (chat, {"role": "user", "content": [given]}, {"role": "user", "parts": [told]})
        for given, told in CHAT_PARTS
    ),
    *(
        (responses, {"role": "user", "content": [given]}, {"role": "user", "parts": [told]})
        for given, told in RESPONSE_PARTS
    ),
]


@pytest.mark.parametrize(("call", "turn", "told"), TURNS)
def test_what_is_sent_is_told_in_the_published_shape(call, turn, told):
    """Text, tool calls, their results and media are told; media sent inline is described, never copied."""
    body = {"messages": [turn]} if call is chat else {"input": [turn]}
    with capture(capture="SPAN_ONLY") as seen:
        called(call(**body))
    messages = attributes(seen)["gen_ai.input.messages"]
    assert json.loads(messages) == [told]
    assert misshapen({"gen_ai.input.messages": [told]}) == []
    assert INLINE not in messages


@pytest.mark.parametrize(
    "path", ["/chat/completions", "chat/completions", "https://api.openai.com/v1/chat/completions"]
)
def test_a_path_may_be_written_in_any_way(path):
    """`client.post` takes a path with and without its slash, or a whole URL."""

    async def call(c: Any) -> Any:
        return c.post(path, cast_to=object, body=APIS["chat"].body)

    with capture() as seen:
        called(call)
    assert seen.spans == [span("chat")]


@pytest.mark.parametrize("named", [False, True])
def test_the_request_method_itself_may_be_called(named):
    """`client.request` is seen with its arguments by position or by name, whatever the body is."""
    construct = openai._models.FinalRequestOptions.construct
    body = {"method": "post", "url": "/chat/completions", "json_data": ["odd"], "extra_json": {"model": "m"}}
    options = construct(**body, post_parser=lambda answer: answer)

    async def call(c: Any) -> Any:
        if named:
            return c.request(cast_to=ways.ChatCompletion, options=options)
        return c.request(ways.ChatCompletion, options)

    def answer() -> Any:
        return reply(fake("chat.json"), sse=False)

    parser = options.post_parser
    with capture() as seen, contextlib.suppress(RuntimeError, TypeError):  # the SDK cannot merge such a body
        called(call, [answer])
    assert attributes(seen)["gen_ai.request.model"] == "m"
    assert options.post_parser is parser


# --- What is answered ------------------------------------------------------------------------------------


def _call(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def _usage(given: int, made: int, **more: int) -> dict[str, int]:
    named = {key.replace("__", "."): value for key, value in more.items()}
    return {"input_tokens": given, "output_tokens": made, **named}


def _details(cached: int = 0, audio: int = 0, reasoning: int = 0, spoken: int = 0) -> dict[str, int]:
    return {
        "cache_read__input_tokens": cached,
        "audio__input_tokens": audio,
        "reasoning__output_tokens": reasoning,
        "audio__output_tokens": spoken,
    }


_REFUSED = _says("assistant", "I cannot help to wreck ships.", finish_reason="stop")
_THOUGHT = {"cache_read__input_tokens": 128, "reasoning__output_tokens": 64}
_NO_THOUGHT = {"cache_read__input_tokens": 0, "reasoning__output_tokens": 0}
ANSWERS = [
    pytest.param(
        chat,
        "chat_tools",
        ["tool_calls"],
        _usage(88, 37, **_details()),
        [
            {
                "role": "assistant",
                "parts": [
                    _call("call_9fKq2LwZ", "tide", harbour="Porto", day=3),
                    _call("call_7bHt5RxC", "wind", harbour="Porto"),
                ],
                "finish_reason": "tool_call",
            }
        ],
        id="chat tools",
    ),
    pytest.param(
        chat,
        "chat_choices",
        ["stop", "length"],
        _usage(17, 5, **_details()),
        [
            _says("assistant", "Low tide.", finish_reason="stop"),
            _says("assistant", "High", finish_reason="length"),
        ],
        id="chat choices",
    ),
    pytest.param(chat, "chat_refusal", ["stop"], _usage(30, 9, **_details()), [_REFUSED], id="chat refusal"),
    pytest.param(
        chat,
        "chat_details",
        ["stop"],
        _usage(2048, 300, **_details(1920, 64, 192, 48)),
        [_says("assistant", "Fog until noon.", finish_reason="stop")],
        id="chat details",
    ),
    pytest.param(
        chat,
        "chat_legacy",
        ["stop"],
        _usage(5, 2),
        [_says("assistant", "Aye.", finish_reason="stop")],
        id="chat legacy host",
    ),
    pytest.param(
        responses,
        "responses_tools",
        ["tool_calls"],
        _usage(140, 75, **_THOUGHT),
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "The tide decides."},
                    _call("call_Zt81QmWe", "tide", harbour="Porto"),
                ],
                "finish_reason": "tool_call",
            }
        ],
        id="responses tools",
    ),
    pytest.param(
        responses,
        "responses_incomplete",
        ["length"],
        _usage(29, 16, **_NO_THOUGHT),
        [_says("assistant", "The keeper", finish_reason="length")],
        id="responses incomplete",
    ),
]
ONLY_WHOLE = [
    pytest.param(
        responses,
        "responses_refusal",
        ["stop"],
        _usage(31, 9, **_NO_THOUGHT),
        [_REFUSED],
        id="responses refusal",
    ),
    pytest.param(responses, "responses_queued", None, {}, None, id="responses queued"),
]
ONLY_STREAMED = [
    pytest.param(
        chat,
        "chat_legacy_tools",
        ["tool_calls"],
        _usage(9, 8),
        [
            {
                "role": "assistant",
                "parts": [_call("t1", "tide", day=1), _call("t2", "wind", day=2)],
                "finish_reason": "tool_call",
            }
        ],
        id="chat tools without index",
    ),
    pytest.param(
        chat,
        "chat_azure",
        ["stop"],
        _usage(8, 3, **_details()),
        [_says("assistant", "Calm sea.", finish_reason="stop")],
        id="chat azure",
    ),
    pytest.param(
        chat,
        "chat_reasoning",
        ["stop"],
        _usage(14, 9, cache_read__input_tokens=0, reasoning__output_tokens=5),
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "Count the flashes."},
                    {"type": "text", "content": "Two flashes."},
                ],
                "finish_reason": "stop",
            }
        ],
        id="chat reasoning",
    ),
    pytest.param(
        responses,
        "responses_failed",
        ["error"],
        {},
        [_says("assistant", "The", finish_reason="error")],
        id="responses failed",
    ),
]


def _check_answer(seen: Any, reasons: Any, usage: Any, messages: Any) -> None:
    found = attributes(seen)
    assert found.get("gen_ai.response.finish_reasons") == reasons
    assert {key[13:]: value for key, value in picked(seen, "gen_ai.usage.").items()} == usage
    told = json.loads(found["gen_ai.output.messages"]) if "gen_ai.output.messages" in found else None
    assert told == messages
    assert misshapen({"gen_ai.output.messages": told or []}) == []
    failed = ("ERROR", "server_error", "failed")
    ended = (seen.spans[0]["status"], found.get("error.type"), found.get("otel_genai.outcome"))
    assert ended == (failed if reasons == ["error"] else ("UNSET", None, None))


@pytest.mark.parametrize(("call", "name", "reasons", "usage", "messages"), [*ANSWERS, *ONLY_WHOLE])
def test_an_answer_is_told_in_full(call, name, reasons, usage, messages):
    """Finish reasons, every kind of token and every part of the output come from the answer."""
    with capture(capture="SPAN_ONLY") as seen:
        called(call(), [name])
    _check_answer(seen, reasons, usage, messages)


@pytest.mark.parametrize("raw", [False, True], ids=["events", "bytes"])
@pytest.mark.parametrize(("call", "name", "reasons", "usage", "messages"), [*ANSWERS, *ONLY_STREAMED])
def test_a_streamed_answer_is_told_in_full(*, call, name, reasons, usage, messages, raw):
    """A stream adds up to what the same answer would tell in one piece, read as events or as bytes."""

    async def as_bytes(c: Any) -> None:
        resource = c.chat.completions if call is chat else c.responses
        ask = ASK if call is chat else {"model": ASK["model"], "input": "CANARY-PROMPT"}
        with resource.with_streaming_response.create(**ask, stream=True) as response:
            list(response.iter_bytes())

    with capture(capture="SPAN_ONLY") as seen:
        called(as_bytes if raw else call(stream=True), [name])
    _check_answer(seen, reasons, usage, messages)


def test_a_response_tells_its_conversation_and_that_it_was_compacted():
    """The conversation's id, that the provider shortened it, and the tier come from the answer."""
    with capture() as seen:
        called(responses(), ["responses_conversation"])
    assert picked(seen, "gen_ai.conversation.", "openai.response.") == {
        "gen_ai.conversation.id": "conv_68e7a1c8",
        "gen_ai.conversation.compacted": True,
        "openai.response.service_tier": "flex",
    }


# --- What goes wrong -------------------------------------------------------------------------------------

FAILURES = [
    ("error_400", "BadRequestError", 1),
    ("error_401", "AuthenticationError", 1),
    ("error_404", "NotFoundError", 1),
    ("error_429", "RateLimitError", 3),
    ("error_500", "InternalServerError", 3),
    ("error_503", "InternalServerError", 3),
    (http.ReadTimeout("CANARY-ERROR"), "APITimeoutError", 3),
    (http.ConnectError("CANARY-ERROR"), "APIConnectionError", 3),
]


@pytest.fixture
def _no_waiting(monkeypatch):
    """Retry at once."""
    monkeypatch.setattr(openai._base_client.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0)


def _everything(seen: Any, caplog: Any) -> str:
    """Write down all that has been recorded anywhere."""
    spans = [one.to_json() for one in seen.finished]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")]
    return repr((spans, seen.spans, seen.events, seen.metrics, ours))


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize(("answer", "error", "requests"), FAILURES, ids=str)
def test_a_failure_is_one_span_without_content(*, answer, error, requests, cls, stream, caplog):
    """All retries together are one span; it says the error's type, and nothing that anybody said."""
    caplog.set_level(logging.DEBUG)
    wire = Wire([answer])
    ask = chat(stream=stream)
    with capture(emit_event=True) as seen, pytest.raises(getattr(openai, error)) as raised:
        run(ask(client(wire, cls, max_retries=2)), asynchronous=is_async(cls))

    assert len(wire.requests) == requests
    streaming = {"gen_ai.request.stream": True} if stream else {}
    known = {key: value for key, value in SPANS["chat"].items() if key in _SERVER or key.startswith(ASKED)}
    status = {"http.response.status_code": int(answer[-3:])} if isinstance(answer, str) else {}
    resent = {"http.request.resend_count": requests - 1} if requests > 1 else {}
    ended = {"error.type": error, "otel_genai.outcome": "failed", **status, **resent}
    told = {**known, **streaming, **ended}
    assert seen.spans == [
        {
            "name": "chat gpt-4.1-mini",
            "kind": "CLIENT",
            "status": "ERROR",
            "description": None,
            "parent": None,
            "attributes": told,
            "events": [{"name": "exception", "exception.type": error}],
        }
    ]
    assert seen.metrics == metrics(told)
    assert [event["attributes"] for event in seen.events] == [told]
    assert raised.value.__traceback__ is not None
    assert not [canary for canary in CANARIES if canary in _everything(seen, caplog)]


ASKED = ("gen_ai.operation.name", "gen_ai.request.model", "openai.api.type")


@pytest.mark.parametrize(
    ("mode", "told"),
    [("NO_CONTENT", False), ("EVENT_ONLY", False), ("SPAN_ONLY", True), ("SPAN_AND_EVENT", True)],
)
def test_an_error_says_what_the_provider_said_only_where_content_may_be(mode, told):
    """The provider's message can echo the prompt: it is on the span only if content may be there."""
    with capture(capture=mode) as seen, pytest.raises(openai.BadRequestError) as raised:
        called(chat(), ["error_400"])
    (only,) = seen.spans
    assert only["description"] == (str(raised.value) if told else None)
    (event,) = only["events"]
    assert event["exception.type"] == "BadRequestError"
    assert ("exception.message" in event, "exception.stacktrace" in event) == (told, told)
    assert ("CANARY-ERROR" in repr(only)) is told


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("failure", ["error_429", "error_500", http.ReadTimeout("slow")], ids=str)
def test_a_call_that_succeeds_in_the_end_is_one_span_without_error(failure, cls):
    """A retry that helps leaves one span, and no trace of the failure before it."""

    async def call(c: Any) -> Any:
        return await now(c.chat.completions.create(**APIS["chat"].body))

    with capture() as seen:
        _, wire = called(call, [failure, failure, "chat"], cls, max_retries=2)
    assert len(wire.requests) == 3
    assert seen.spans == [span("chat")]


@pytest.mark.parametrize("raw", [False, True], ids=["events", "bytes"])
@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize(
    ("end", "error"),
    [
        (None, ("APIError", None)),
        (http.ReadError("CANARY-ERROR"), ("APIConnectionError", "ReadError")),
        (http.ReadTimeout("CANARY-ERROR"), ("APITimeoutError", "ReadTimeout")),
    ],
    ids=["said so", "cut off", "timed out"],
)
def test_a_stream_that_breaks_is_an_error_and_keeps_what_came(end, error, cls, raw, caplog):
    """A stream broken by the provider or the network has its error, and what was received till then."""
    caplog.set_level(logging.DEBUG)
    body = fake("chat_error.sse")

    def answer() -> Any:
        response = reply(body, sse=True)
        if end is not None:
            response.stream.pieces[-1] = end
        return response

    async def read(c: Any) -> None:
        if not raw:
            await chat(stream=True)(c)
            return
        async with inside(c.chat.completions.with_streaming_response.create(**ASK, stream=True)) as r:
            _ = [line async for line in each(r.iter_lines())]

    def once(mode: str) -> Any:
        with capture(capture=mode) as seen:
            try:
                called(read, [answer], cls)
            except (openai.APIError, http.HTTPError) as caught:
                return seen, type(caught).__name__
            return seen, None

    seen, caught = once("SPAN_ONLY")
    (only,) = seen.spans
    assert caught in error
    assert (only["status"], only["attributes"]["otel_genai.outcome"]) == ("ERROR", "failed")
    assert only["attributes"]["error.type"] == ("server_error" if end is None else caught)
    assert only["attributes"]["gen_ai.response.id"] == "chatcmpl-CpV9eRrO"
    assert only["attributes"]["gen_ai.response.finish_reasons"] == ["error"]
    said = json.loads(only["attributes"]["gen_ai.output.messages"])
    assert [message["parts"] for message in said] == [
        [{"type": "text", "content": "The CANARY-ANSWER begins"}]
    ]
    seen, _ = once("NO_CONTENT")
    assert not [canary for canary in CANARIES if canary in _everything(seen, caplog)]


_CODED = [
    ({"code": "rate_limit_exceeded", "message": "CANARY-ERROR"}, "rate_limit_exceeded"),
    ({"type": "server_error", "code": 502}, "server_error"),
    ({"code": 502, "message": "CANARY-ERROR"}, "_OTHER"),
    ("CANARY-ERROR", "_OTHER"),
]


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize(("error", "code"), _CODED)
@pytest.mark.parametrize("name", APIS)
def test_an_answer_that_is_an_error_is_told_as_one(name, error, code, cls):
    """A 200 that holds an error in place of an answer, or a response that failed, has the error's code."""
    api = APIS[name]
    body = json.dumps({"error": error, **({"status": "failed"} if name == "responses" else {})}).encode()

    async def ask(c: Any) -> Any:
        return ways.told(await now(c.post(api.path, cast_to=api.answer, body=api.body)))

    bare, _ = called(ask, [lambda: reply(body, sse=False)], cls)
    with capture() as seen:
        got, _ = called(ask, [lambda: reply(body, sse=False)], cls)
    assert got == bare
    found = attributes(seen)
    assert (found["error.type"], found["otel_genai.outcome"]) == (code, "failed")
    assert seen.spans[0]["status"] == "ERROR"
    assert "CANARY" not in repr(seen.spans)


PARSING = [
    ("chat.completions", "chat_invalid", "ValidationError", (73, 12)),
    ("chat.completions", "chat_cut", "LengthFinishReasonError", (73, 4)),
    ("beta.chat.completions", "chat_invalid", "ValidationError", (73, 12)),
    ("beta.chat.completions", "chat_cut", "LengthFinishReasonError", (73, 4)),
    ("responses", "responses_invalid", "ValidationError", (81, 13)),
]


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize(("resource", "name", "error", "usage"), PARSING)
def test_an_answer_that_does_not_parse_was_billed(resource, name, error, usage, cls):
    """`parse()` raises the SDK's own exception; the span has it, and the tokens that were paid."""

    async def call(c: Any) -> Any:
        parent = ways.Way.find(c, resource)
        if not hasattr(parent, "parse"):
            pytest.skip(f"openai {openai.__version__} has no {resource}.parse")
        if resource == "responses":
            return await now(parent.parse(**APIS["responses"].body, text_format=ways.Lighthouse))
        return await now(parent.parse(**ASK, response_format=ways.Lighthouse))

    raised = []
    for settings in (None, {}):
        with contextlib.ExitStack() as stack:
            seen = stack.enter_context(capture(**settings)) if settings is not None else None
            with pytest.raises((ValueError, openai.OpenAIError)) as caught:
                called(call, [name], cls)
            raised.append((type(caught.value), str(caught.value)))
    bare, ours = raised
    assert ours == bare
    assert ours[0].__name__ == error
    found = attributes(seen)
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == usage
    assert (found["error.type"], seen.spans[0]["status"]) == (error, "ERROR")


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_what_stops_a_program_is_nobodys_error(error):
    """A call ended from outside has one span, without an error, and the exception passes."""

    def stop() -> Any:
        raise error

    with capture() as seen, pytest.raises(error):
        called(chat(), [stop])
    assert (seen.spans[0]["status"], "error.type" in attributes(seen)) == ("UNSET", False)
    assert "error.type" not in seen.metrics["gen_ai.client.operation.duration"][0]["attributes"]


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
async def test_a_cancelled_task_ends_its_span(stream):
    """A task cancelled while it waits for an answer, or for a stream's next event, ends its span at once."""
    waiting = asyncio.Event()

    async def wait() -> Any:
        waiting.set()
        await asyncio.Event().wait()

    def streaming() -> Any:
        response = reply(fake("chat.sse"), sse=True)
        response.stream.pieces[3:] = [wait]
        return response

    with capture(capture="SPAN_ONLY") as seen:
        c = client(Wire([streaming if stream else wait]), openai.AsyncOpenAI)
        task = asyncio.create_task(chat(stream=stream)(c))
        await waiting.wait()
        assert seen.spans == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        found = attributes(seen)
    assert (seen.spans[0]["status"], "error.type" in found) == ("UNSET", False)
    said = json.loads(found["gen_ai.output.messages"]) if stream else None
    assert said == ([_says("assistant", "The lighthouse")] if stream else None)


# --- Streams that the caller leaves ----------------------------------------------------------------------


async def _leave_and_close(c: Any) -> None:
    stream = await now(c.chat.completions.create(**ASK, stream=True))
    await _three(stream)
    await now(stream.close())


async def _leave_with(c: Any) -> None:
    async with inside(await now(c.chat.completions.create(**ASK, stream=True))) as stream:
        await _three(stream)


async def _leave_and_drop(c: Any) -> None:
    stream = await now(c.chat.completions.create(**ASK, stream=True))
    await _three(stream)
    del stream
    await _collect(c)


async def _leave_helper(c: Any) -> None:
    async with inside(c.beta.chat.completions.stream(**ASK)) as stream:
        async for event in each(stream):
            if event.type == "chunk" and event.chunk.choices[0].delta.content == " lighthouse":
                break


async def _leave_raw(c: Any) -> None:
    raw = await now(c.chat.completions.with_raw_response.create(**ASK, stream=True))
    stream = await now(raw.parse())
    await _three(stream)
    await now(stream.close())


async def _leave_lines(c: Any) -> None:
    async with inside(c.chat.completions.with_streaming_response.create(**ASK, stream=True)) as raw:
        async for line in each(raw.iter_lines()):
            if " lighthouse" in line:
                break


async def _leave_bytes_dropped(c: Any) -> None:
    raw = await now(c.chat.completions.with_raw_response.create(**ASK, stream=True))
    await _three(
        raw.http_response.aiter_bytes()
        if isinstance(c, openai.AsyncOpenAI)
        else raw.http_response.iter_bytes()
    )
    del raw
    await _collect(c)


async def _never_read_and_closed(c: Any) -> None:
    stream = await now(c.chat.completions.create(**ASK, stream=True))
    await now(stream.close())


async def _never_read_and_dropped(c: Any) -> None:
    stream = await now(c.chat.completions.create(**ASK, stream=True))
    del stream
    await _collect(c)


async def _never_read_raw(c: Any) -> None:
    raw = await now(c.chat.completions.with_raw_response.create(**ASK, stream=True))
    del raw
    await _collect(c)


async def _never_read_streaming(c: Any) -> None:
    async with inside(c.chat.completions.with_streaming_response.create(**ASK, stream=True)):
        pass


async def _never_read_helper(c: Any) -> None:
    async with inside(c.beta.chat.completions.stream(**ASK)):
        pass


async def _three(events: Any) -> None:
    """Take the first three events, with a walk that is left unfinished."""
    count = 0
    walk = each(events)
    async for _ in walk:
        count += 1
        if count == 3:
            break
    await walk.aclose()


@pytest.fixture
def _small_heap():
    """Leave out of collections what was there before, which would make them slow."""
    gc.freeze()
    yield
    gc.unfreeze()


async def _collect(c: Any) -> None:
    """Collect the garbage; what is asynchronous is closed by the loop, in its next rounds."""
    garbage.collect()
    for _ in range(4 if isinstance(c, openai.AsyncOpenAI) else 0):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        garbage.collect()


LEFT = [
    _leave_and_close,
    _leave_with,
    _leave_and_drop,
    _leave_helper,
    _leave_raw,
    _leave_lines,
    _leave_bytes_dropped,
]
NEVER_READ = [
    _never_read_and_closed,
    _never_read_and_dropped,
    _never_read_raw,
    _never_read_streaming,
    _never_read_helper,
]


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.usefixtures("_small_heap")
@pytest.mark.parametrize("leave", LEFT + NEVER_READ, ids=lambda leave: leave.__name__[1:])
def test_a_stream_left_early_ends_its_span_with_what_came(leave, cls):
    """However a stream is left, it has one span: no error, no invented finish, what was received."""

    async def ended(c: Any) -> list[Any]:
        await leave(c)
        return list(seen.spans)

    with capture(capture="SPAN_ONLY") as seen:
        spans, _ = called(ended, cls=cls)
    came = leave in LEFT
    sums = {"chunks": 2} if came else {}
    known = {key: value for key, value in SPANS["chat"].items() if key in _SERVER or key.startswith(ASKED)}
    received = {
        "gen_ai.response.id": "chatcmpl-CpV0eXw4hT9sLk2mQ7dRzB1n",
        "gen_ai.response.model": "gpt-4.1-mini-2025-04-14",
        "gen_ai.response.time_to_first_chunk": POSITIVE,
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_3a7c2e91b0",
        "otel_genai.longest_gap": POSITIVE,
        "gen_ai.output.messages": _Json([_says("assistant", "The lighthouse")]),
    }
    told = {
        **known,
        "gen_ai.request.stream": True,
        "gen_ai.input.messages": _Json([_says("user", "CANARY-PROMPT")]),
        **(received if came else {}),
        "otel_genai.outcome": "stopped",
    }
    assert spans == seen.spans
    assert seen.spans == [
        {
            "name": "chat gpt-4.1-mini",
            "kind": "CLIENT",
            "status": "UNSET",
            "description": None,
            "parent": None,
            "attributes": told,
            "events": [],
        }
    ]
    assert seen.metrics == metrics(told, **sums)


async def _partial_text(c: Any, events: int) -> None:
    stream = await now(c.responses.create(model="gpt-4.1-mini", input="CANARY-PROMPT", stream=True))
    for _ in range(events):
        await now(stream.__anext__() if isinstance(c, openai.AsyncOpenAI) else stream.__next__())
    await now(stream.close())


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize(
    ("events", "began", "text"),
    [(1, False, None), (4, False, None), (5, True, "The"), (6, True, "The lamp was")],
)
def test_only_output_counts_as_the_first_chunk(events, began, text, cls):
    """`response.created` and what announces an item are no output yet; the text that came is kept."""
    with capture(capture="SPAN_ONLY") as seen:
        called(lambda c: _partial_text(c, events), cls=cls)
    found = attributes(seen)
    assert ("gen_ai.response.time_to_first_chunk" in found) is began
    assert found["gen_ai.response.id"] == "resp_68e7a1c00d1481a3b5f60c2d7e8f9a10"
    assert found.get("gen_ai.output.messages") == (_Json([_says("assistant", text)]) if text else None)
    assert "gen_ai.response.finish_reasons" not in found


# --- Streams in other shapes -----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("how", ["parse", "read", "iter_lines"])
@pytest.mark.parametrize("name", ["chat", "responses", "completions"])
@pytest.mark.parametrize("shape", ["tiny pieces", "no last line end", "CRLF", "gzip"])
def test_a_body_may_come_in_any_shape(shape, name, how, cls):
    """Events cut anywhere, a last line without its end, CRLF or a compressed body change nothing."""
    (way,) = [way for way in WAYS if way.name == f"{name}-stream-streaming-{how}"]
    body = fake(f"{name}.sse")
    if shape == "no last line end":
        body = body.removesuffix(b"data: [DONE]\n\n").rstrip(b"\n")
    if shape == "CRLF":
        body = body.replace(b"\n", b"\r\n")
    if shape == "gzip":
        body = gzip.compress(body)

    def answer() -> Any:
        response = reply(body, sse=True, **({"content-encoding": "gzip"} if shape == "gzip" else {}))
        response.stream.pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
        return response

    bare, _ = called(way, [answer], cls)
    with capture() as seen:
        got, _ = called(way, [answer], cls)
    assert got == bare
    timed = {"gen_ai.response.time_to_first_chunk": None, "otel_genai.longest_gap": None}
    untimed = shape == "gzip"  # what a compressed piece holds is known only when the body is complete
    assert seen.spans == [span(name, stream=True, **(timed if untimed else {}))]


def test_a_compressed_body_that_is_cut_off_costs_nothing_but_itself():
    """What was received of a compressed body and cannot be read is left out; that it broke off is told."""
    body = gzip.compress(fake("chat.sse"))[:200]

    def answer() -> Any:
        return http.Response(
            200,
            headers={"content-type": "text/event-stream", "content-encoding": "gzip"},
            stream=ways.Pieces([body[:100], b"not gzip at all" * 9]),
        )

    async def call(c: Any) -> None:
        with c.chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
            list(response.http_response.iter_raw())

    with capture() as seen:
        called(call, [answer])
    assert (attributes(seen)["error.type"], "gen_ai.usage.input_tokens" in attributes(seen)) == (
        "stream_truncated",
        False,
    )


@pytest.mark.parametrize(("gaps", "recorded"), [(16, 16), (None, 39), (0, None), (100, 39)])
def test_a_setting_says_how_many_gaps_are_recorded(gaps, recorded):
    """Of a long stream's gaps 16 are recorded, or as many as the setting says; the longest is on the span."""
    piece = next(piece for piece in fake("chat.sse").split(b"\n\n") if b" lighthouse" in piece)

    def answer() -> Any:
        return reply(b"\n\n".join([piece] * 40), sse=True)

    with capture(stream_gaps=gaps) as seen:
        called(chat(stream=True), [answer])
    points = seen.metrics.get("gen_ai.client.operation.time_per_output_chunk")
    assert (points[0]["count"] if points else None) == recorded
    assert attributes(seen)["otel_genai.longest_gap"] == POSITIVE


# --- Generations of the conventions ----------------------------------------------------------------------


def _counters(of: dict[str, Any], counts: dict[str, int]) -> dict[str, Any]:
    modality = {"gen_ai.token.modality": "unknown"}
    return {
        f"gen_ai.client.inference.usage.{kind}_tokens": [
            {"attributes": {**of, **modality}, "exemplars": POSITIVE, "value": value}
        ]
        for kind, value in counts.items()
    }


@pytest.mark.parametrize("generation", ["published", "latest", "both"])
def test_metrics_come_in_the_generation_that_is_asked_for(generation, monkeypatch):
    """`OTEL_GENAI_SEMCONV` chooses the family of metrics, or both; the span is the same in each."""
    monkeypatch.setenv("OTEL_GENAI_SEMCONV", generation)
    (way,) = [way for way in WAYS if way.name == "responses-stream-for"]
    with capture() as seen:
        called(way)
    assert seen.spans == [span("responses", stream=True)]
    told = SPANS["responses"]
    of = {key: told[key] for key in DIMENSIONS}
    published = metrics(told, chunks=4)

    def one(value: Any = POSITIVE, count: int = 1) -> list[dict[str, Any]]:
        return [{"attributes": of, "exemplars": POSITIVE, "count": count, "sum": value}]

    latest = {
        "gen_ai.client.inference.duration": one(),
        "gen_ai.client.inference.time_to_first_chunk": one(),
        "gen_ai.client.inference.time_per_output_chunk": one(count=3),
        "gen_ai.client.inference.operation.input_tokens": one(29),
        "gen_ai.client.inference.operation.output_tokens": one(8),
        "otel_genai.calls": published["otel_genai.calls"],
        **_counters(of, {"input": 29, "output": 8, "cache_read.input": 0, "reasoning.output": 0}),
    }
    families = {"published": published, "latest": latest, "both": {**published, **latest}}
    assert seen.metrics == families[generation]


@pytest.mark.parametrize("generation", ["published", "latest", "both"])
def test_embeddings_are_measured_alike_in_every_generation(generation):
    """Embeddings are no inference: their duration has one name in all generations."""
    with capture(semconv=generation) as seen:
        called(next(way for way in WAYS if way.name == "embeddings-create"))
    names = {"gen_ai.client.operation.duration", "otel_genai.calls"}
    assert set(seen.metrics) == (names if generation == "latest" else {*names, "gen_ai.client.token.usage"})


def test_tokens_are_counted_by_modality_where_the_provider_says_it():
    """The newest counters split what the provider splits; the rest is of unknown modality."""
    with capture(semconv="latest") as seen:
        called(chat(), ["chat_details"])
    split = {
        point["attributes"]["gen_ai.token.modality"]: point["value"]
        for point in seen.metrics["gen_ai.client.inference.usage.input_tokens"]
    }
    assert split == {"audio": 64, "unknown": 2048 - 64}


# --- The program around ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_span_is_current_on_the_wire_and_nowhere_else(stream, cls):
    """HTTP spans nest under the call's span; the caller's own context is untouched, also within a stream."""
    within = []

    def answer() -> Any:
        within.append(trace.get_current_span())
        return reply(fake(f"chat.{'sse' if stream else 'json'}"), sse=stream)

    async def call(c: Any) -> None:
        with seen.tracer_provider.get_tracer("app").start_as_current_span("app") as outer:
            got = await now(c.chat.completions.create(**ASK, stream=stream))
            assert trace.get_current_span() is outer
            if stream:
                async for _ in each(got):
                    assert trace.get_current_span() is outer
            assert trace.get_current_span() is outer

    with capture() as seen:
        called(call, [answer], cls)
    assert [(one["name"], one["parent"]) for one in seen.spans] == [
        ("chat gpt-4.1-mini", "app"),
        ("app", None),
    ]
    assert [one.get_span_context() for one in within] == [seen.finished[0].context]


async def test_calls_at_the_same_time_keep_apart():
    """Tasks that call at once have a span each, with their own answers."""
    names = ["chat", "chat_tools", "chat_details", "chat_refusal"] * 5

    async def one(name: str) -> str:
        c = client(Wire([name]), openai.AsyncOpenAI)
        events = [event async for event in await c.chat.completions.create(**ASK, stream=True)]
        return events[0].id

    with capture() as seen:
        ids = await asyncio.gather(*map(one, names))
    assert sorted(one["attributes"]["gen_ai.response.id"] for one in seen.spans) == sorted(ids)


def test_a_call_that_is_not_sampled_is_measured():
    """Metrics do not depend on sampling; a span that is dropped carries nothing."""
    with capture(sampler=ALWAYS_OFF, capture="SPAN_ONLY") as seen:
        called(chat(stream=True))
    assert seen.spans == []
    expected = metrics(SPANS["chat"], chunks=5)
    for points in expected.values():
        points[:] = [{**point, "exemplars": 0} for point in points]
    assert seen.metrics == expected


def test_a_sampler_sees_what_was_asked():
    """What sampling rules look at is there when the span begins."""
    asked = []

    class Rule(StaticSampler):
        """Samples all, and notes what it was told."""

        def should_sample(self, *args: Any, **kwargs: Any) -> Any:
            """Note the attributes."""
            asked.append(dict(kwargs.get("attributes") or args[4]))
            return super().should_sample(*args, **kwargs)

    with capture(sampler=Rule(Decision.RECORD_AND_SAMPLE)) as seen:
        called(chat())
    assert len(seen.spans) == 1
    assert asked[0].items() >= {**_SERVER, "gen_ai.operation.name": "chat"}.items()
    assert asked[0]["gen_ai.request.model"] == "gpt-4.1-mini"


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("models", lambda c: c.models.list()),
        ("responses/resp_1", lambda c: c.responses.delete("resp_1")),
        ("responses/resp_1/input_items", lambda c: c.responses.input_items.list("resp_1")),
        ("images/generations", lambda c: c.get("/images/generations", cast_to=object)),
        ("chat/completions", lambda c: c.get("/chat/completions", cast_to=object)),
        ("files", lambda c: c.post("/files", cast_to=object, body={})),
    ],
)
def test_other_endpoints_are_left_alone(path, call):
    """What asks no model, and fetches no response, passes without a span."""

    async def ask(c: Any) -> Any:
        return await now(call(c))

    def answer() -> Any:
        return reply(b'{"id": "x", "object": "list", "data": [], "results": []}', sse=False)

    with capture() as seen:
        _, wire = called(ask, [answer])
    assert wire.requests[0]["url"] == f"https://api.openai.com/v1/{path}"
    assert (seen.spans, seen.metrics) == ([], {})


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'"text"',
        b"null",
        b'{"choices": "odd", "usage": 7, "model": 3, "id": null}',
        b'{"choices": [{}], "usage": {"prompt_tokens": "many", "completion_tokens": -1}}',
        b'{"choices": null, "usage": {"prompt_tokens": 3}, "output": 1, "data": [1]}',
    ],
)
@pytest.mark.parametrize("name", APIS)
def test_an_odd_answer_is_the_hosts_affair(name, body):
    """A host's odd 200 is no failure of anybody's: what can be read is told, and the call goes on."""
    api = APIS[name]

    async def ask(c: Any) -> Any:
        return ways.told(await now(c.post(api.path, cast_to=api.answer, body=api.body)))

    bare, _ = called(ask, [lambda: reply(body, sse=False)])
    with capture(capture="SPAN_AND_EVENT") as seen:
        got, _ = called(ask, [lambda: reply(body, sse=False)])
    assert got == bare
    assert (len(seen.spans), seen.spans[0]["status"]) == (1, "UNSET")


@pytest.mark.parametrize("cls", COLOURS)
@pytest.mark.parametrize("raw", [False, True], ids=["events", "bytes"])
@pytest.mark.parametrize("name", ["chat", "responses", "completions"])
@pytest.mark.parametrize(
    "odd", [b"{}", b'{"type": 3, "choices": [7], "usage": 1, "response": "odd"}', b"[1]"]
)
def test_an_odd_event_is_left_out_of_a_stream(odd, name, raw, cls):
    """An event that is not what it should be costs nothing but itself."""
    (way,) = [
        way for way in WAYS if way.name == f"{name}-{'stream-streaming-iter_lines' if raw else 'stream-for'}"
    ]
    body = fake(f"{name}.sse")

    def answer() -> Any:
        return reply(b"data: " + odd + b"\n\n" + body, sse=True)

    bare, _ = called(way, [answer], cls)
    with capture(capture="SPAN_AND_EVENT") as seen:
        got, _ = called(way, [answer], cls)
    assert got == bare
    found = attributes(seen)
    kept = ("gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "gen_ai.response.model")
    assert {key: found.get(key) for key in kept} == {key: SPANS[name][key] for key in kept}
