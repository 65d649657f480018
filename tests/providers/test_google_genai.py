"""What is peculiar to Google's SDK: loops inside it, two platforms, refused prompts, odd contents."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

import garbage

genai = pytest.importorskip("google.genai", reason="needs Google's SDK: pip install google-genai")

from google.genai import types  # noqa: E402 (without the SDK there is nothing to test)

from otel_genai.providers import _google_genai_content as content  # noqa: E402 (after the line above)
from otel_genai.providers import google_genai as provider  # noqa: E402 (after the line above)
from otel_genai.testing import capture  # noqa: E402 (after the line above)
from sdks.google_genai import MODEL, PROMPT, VERSION  # noqa: E402 (after the line above)
from sdks.kit import Reply, Wire, events, fake  # noqa: E402 (after the line above)

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
needs_continuation = pytest.mark.skipif(VERSION < (2, 34), reason="needs google-genai >= 2.34")
needs_interactions = pytest.mark.skipif(VERSION < (2, 9), reason="needs google-genai >= 2.9")


def told(replies: list[Reply], call: Any, **settings: Any) -> Any:
    """Call a client whose server gives these replies."""
    wire = Wire(replies, frozenset())
    with wire.serving(), capture("google_genai", cost=False, **settings) as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own, of what is experimental
        client = genai.Client(api_key="test", http_options={"base_url": wire.url})
        call(client)
        garbage.collect()
    return seen


def document(body: dict[str, Any], status: int = 200) -> Reply:
    """Make a reply of one document."""
    return Reply(json.dumps(body).encode(), status)


def stream(*documents: dict[str, Any]) -> Reply:
    """Make a reply of several."""
    pieces = tuple(b"data: " + json.dumps(one).encode() + b"\n\n" for one in documents)
    return Reply(pieces=pieces, kind="text/event-stream")


def usages(seen: Any) -> list[tuple[Any, Any]]:
    """Give the input and output tokens of each span."""
    return [usages_of(span["attributes"]) for span in seen.spans]


def usages_of(found: dict[str, Any]) -> tuple[Any, Any]:
    """Give the input and output tokens."""
    return found.get("gen_ai.usage.input_tokens"), found.get("gen_ai.usage.output_tokens")


# --- Loops inside the SDK --------------------------------------------------------------------------------


def boil(what: str) -> str:
    """Boil something."""
    return f"boiled {what}"


boil.__annotations__ = {"what": str, "return": str}  # old SDKs do not read those that are text


def _answer(text: str, tokens: int, **candidate: Any) -> dict[str, Any]:
    said = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", **candidate}
    counts = {"promptTokenCount": tokens, "candidatesTokenCount": 4, "totalTokenCount": tokens + 4}
    return {"candidates": [said], "usageMetadata": counts, "modelVersion": MODEL}


@pytest.mark.parametrize("is_stream", [False, True])
def test_automatic_function_calling_is_one_span_per_model_call(is_stream):
    """The SDK runs the function and asks again: each request is a call of its own, with its own tokens."""
    called, answered = json.loads(fake("google_genai/tool.json")), _answer("Done.", 90)
    reply = stream if is_stream else document
    config = {"tools": [boil]}

    def call(client):
        chat = client.chats.create(model=MODEL, config=config)
        _ = list(chat.send_message_stream(PROMPT)) if is_stream else chat.send_message(PROMPT)

    seen = told([reply(called), reply(answered)], call, capture="SPAN_ONLY")
    assert usages(seen) == [(63, 6), (90, 4)]
    assert [span["name"] for span in seen.spans] == [f"generate_content {MODEL}"] * 2
    asked = json.loads(seen.spans[1]["attributes"]["gen_ai.input.messages"])
    assert [turn["role"] for turn in asked] == ["user", "assistant", "tool"]
    definitions = json.loads(seen.spans[0]["attributes"]["gen_ai.tool.definitions"])
    assert definitions == [{"type": "function", "name": "boil", "description": "Boil something."}]


@needs_continuation
@pytest.mark.parametrize("is_stream", [False, True])
def test_automatic_continuation_is_one_span_per_request(is_stream):
    """Each hop is paid, and tells why it ended, although the SDK hides that from the caller."""
    first = _answer("Two and", 10, finishReason="CONTINUATION", continuationToken="dG9rZW4=")
    reply = stream if is_stream else document

    def call(client):
        if is_stream:
            _ = list(client.models.generate_content_stream(model=MODEL, contents=PROMPT))
        else:
            client.models.generate_content(model=MODEL, contents=PROMPT)

    seen = told([reply(first), reply(_answer(" two.", 12))], call)
    assert usages(seen) == [(10, 4), (12, 4)]
    reasons = [span["attributes"]["gen_ai.response.finish_reasons"] for span in seen.spans]
    assert reasons == [["CONTINUATION"], ["STOP"]]


# --- Who answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"api_key": "k"}, ("gcp.gemini", "generativelanguage.googleapis.com", 443)),
        (
            {"vertexai": True, "project": "p", "location": "europe-west4"},
            ("gcp.vertex_ai", "europe-west4-aiplatform.googleapis.com", 443),
        ),
        ({"api_key": "k", "http_options": {"base_url": "http://proxy:8080"}}, ("gcp.gemini", "proxy", 8080)),
    ],
)
def test_the_platform_and_its_host_are_the_clients(asked, expected):
    """The same classes speak with both platforms."""
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 (comes with the SDK)

    given = {**asked, "credentials": AnonymousCredentials()} if "vertexai" in asked else asked
    server = provider.server(genai.Client(**given).models, {})
    assert (server.provider, server.address, server.port) == expected


def test_a_call_can_name_another_host():
    """The options of one call are stronger than those of the client."""
    config = types.GenerateContentConfig(http_options=types.HttpOptions(base_url="https://other.example/"))
    server = provider.server(genai.Client(api_key="k").models, {"config": config})
    assert (server.address, server.port) == ("other.example", 443)


# --- Failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "expected"), [("SAFETY", "SAFETY"), ("BAD_WEATHER", "_OTHER")])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_prompt_that_is_refused_is_an_error(reason, expected, is_stream):
    """There is no candidate, and the SDK raises nothing."""
    refused = {"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 7}}

    def call(client):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a reason that the SDK does not know
            if is_stream:
                _ = list(client.models.generate_content_stream(model=MODEL, contents=PROMPT))
            else:
                client.models.generate_content(model=MODEL, contents=PROMPT)

    [span] = told([stream(refused) if is_stream else document(refused)], call).spans
    assert (span["attributes"]["error.type"], span["status"]) == (expected, "ERROR")
    assert span["attributes"]["gen_ai.usage.input_tokens"] == 7


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE", "UNAVAILABLE"),
        (400, "WHATEVER", "ClientError"),
    ],
)
def test_the_apis_code_says_more_than_the_class(code, status, expected):
    """A class says whose fault it was; a code that is not documented is not told."""
    refusal = document({"error": {"code": code, "message": "no", "status": status}}, code)

    def call(client):
        with pytest.raises(genai.errors.APIError):
            client.models.generate_content(model=MODEL, contents=PROMPT)

    [span] = told([refusal], call).spans
    found = span["attributes"]
    assert (found["error.type"], found["http.response.status_code"]) == (expected, code)


# --- Tokens ----------------------------------------------------------------------------------------------


def test_thoughts_alone_are_output_and_what_was_not_told_is_unknown():
    """A limit that was reached in thought leaves no candidate's tokens."""
    counts = types.GenerateContentResponseUsageMetadata(thoughts_token_count=60, total_token_count=68)
    found = provider.usage(types.GenerateContentResponse(usage_metadata=counts))
    assert {key: value for key, value in found.items() if value is not None} == {
        "gen_ai.usage.output_tokens": 60,
        "gen_ai.usage.reasoning.output_tokens": 60,
    }


def test_vertex_counts_the_tokens_of_each_text():
    """Statistics of single embeddings add up."""
    embeddings = [
        types.ContentEmbedding(values=[0.5], statistics=types.ContentEmbeddingStatistics(token_count=n))
        for n in (3.0, 4.0)
    ]
    response = types.EmbedContentResponse(embeddings=embeddings)
    assert provider.embedding_usage(response) == {"gen_ai.usage.input_tokens": 7}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("ON_DEMAND", None), ("ON_DEMAND_FLEX", "flex"), ("PROVISIONED_THROUGHPUT", "provisioned_throughput")],
)
def test_vertex_names_the_tier_as_a_type_of_traffic(kind, expected):
    """What has another price is told."""
    if not hasattr(getattr(types, "TrafficType", None), kind):
        pytest.skip("needs a google-genai that knows this type of traffic")
    counts = types.GenerateContentResponseUsageMetadata(traffic_type=kind)
    found = provider.tier(types.GenerateContentResponse(usage_metadata=counts))
    assert found == {"otel_genai.service_tier": expected}


# --- Content ---------------------------------------------------------------------------------------------

IMAGE = {"type": "inline_media", "modality": "image", "mime_type": "image/png", "size": 3}
TEXT = {"type": "text", "content": "hi"}
URI = {"type": "uri", "modality": "document", "uri": "gs://b/x.pdf", "mime_type": "application/pdf"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hi", [("user", [TEXT])]),
        (["hi", types.Part(text="hi")], [("user", [TEXT, TEXT])]),
        ({"parts": [{"text": "hi"}]}, [("user", [TEXT])]),
        (types.Content(role="model", parts=[types.Part(text="hi")]), [("assistant", [TEXT])]),
        (["hi", {"role": "model", "parts": [{"text": "hi"}]}, ["hi", "hi"], "hi"],
         [("user", [TEXT]), ("assistant", [TEXT]), ("user", [TEXT, TEXT]), ("user", [TEXT])]),
        (types.Part.from_uri(file_uri="gs://b/x.pdf", mime_type="application/pdf"), [("user", [URI])]),
        ([{"fileData": {"fileUri": "gs://b/x.pdf", "mimeType": "application/pdf"}}], [("user", [URI])]),
        (types.File(uri="gs://b/x.pdf", mime_type="application/pdf"), [("user", [URI])]),
        ({"parts": [{"videoMetadata": {}}]}, [("user", [{"type": "video_metadata"}])]),
        (None, []),
    ],
)  # fmt: skip
def test_contents_are_read_in_any_shape(given, expected):
    """As the SDK reads them: parts side by side are one turn."""
    assert content.inputs({"contents": given}) == [{"role": role, "parts": parts} for role, parts in expected]


def test_media_are_described_and_never_copied():
    """Bytes are known by their size and hash."""
    given = types.Part.from_bytes(data=b"png", mime_type="image/png")
    [turn] = content.inputs({"contents": given})
    assert {**turn["parts"][0], "sha256": None} == {**IMAGE, "sha256": None}
    assert len(turn["parts"][0]["sha256"]) == 64


def test_answers_of_functions_and_tools_of_the_provider_are_parts():
    """Answers are linked to calls by name; what the provider ran is told as its own."""
    parts = [
        {"functionResponse": {"name": "boil", "response": {"result": "soft"}}},
        {"executableCode": {"code": "2+2", "language": "PYTHON"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4"}},
    ]
    [turn] = content.inputs({"contents": [{"role": "user", "parts": parts}]})
    ran = {"type": "code_execution", "code": "2+2", "language": "PYTHON"}
    result = {"type": "code_execution", "content": {"outcome": "OUTCOME_OK", "output": "4"}}
    assert turn["parts"] == [
        {"type": "tool_call_response", "id": None, "response": {"result": "soft"}, "name": "boil"},
        {"type": "server_tool_call", "id": None, "name": "code_execution", "server_tool_call": ran},
        {"type": "server_tool_call_response", "id": None, "server_tool_call_response": result},
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"response_modalities": ["TEXT", "IMAGE"]}, "image"),
        ({"response_modalities": [types.Modality.AUDIO]}, "speech"),
        ({"response_modalities": ["text"], "response_mime_type": "application/json"}, "json"),
        ({"response_mime_type": "text/plain"}, None),
    ],
)
def test_the_kind_of_output_is_what_was_asked_for(given, expected):
    """An image comes with text; JSON is text."""
    assert provider.output_type(given) == {"gen_ai.output.type": expected}


def test_a_configuration_may_be_written_as_the_api_writes_it():
    """Names of the wire are those of the SDK."""
    body = provider.laid_open({"model": MODEL, "config": {"maxOutputTokens": 5, "topK": 3, "seed": 1}})
    assert {key: body[key] for key in ("max_output_tokens", "top_k", "seed")} == {
        "max_output_tokens": 5, "top_k": 3, "seed": 1,
    }  # fmt: skip


# --- Interactions ----------------------------------------------------------------------------------------


def _interact(client: Any, **more: Any) -> Any:
    create = getattr(client, "interactions", client).create
    return create(model=MODEL, input=PROMPT, **more)


@needs_interactions
def test_a_request_may_be_given_as_one():
    """As keyword arguments, or as one object."""
    body = {"model": MODEL, "input": PROMPT, "generation_config": {"seed": 7}}
    [span] = told(
        [Reply(fake("google_genai/interaction.json"))],
        lambda client: client.interactions.create(request={"body": body}),
    ).spans
    assert span["name"] == f"generate_content {MODEL}"
    assert span["attributes"]["gen_ai.request.seed"] == 7


@needs_interactions
def test_an_agent_is_invoked_and_what_runs_in_the_background_has_no_end():
    """There is no model, and no reason."""
    started = document(
        {"id": "v1_x", "status": "in_progress", "agent": "deep-research", "object": "interaction"}
    )
    [span] = told(
        [started],
        lambda client: client.interactions.create(agent="deep-research", input=PROMPT, background=True),
    ).spans
    assert span["name"] == "invoke_agent deep-research"
    assert {key for key in span["attributes"] if key.startswith("gen_ai.response")} == {"gen_ai.response.id"}


@needs_interactions
def test_an_interaction_that_failed_is_an_error():
    """The SDK raises nothing."""
    failed = document({"id": "v1_x", "status": "failed", "model": MODEL, "object": "interaction"})
    [span] = told([failed], _interact).spans
    assert (span["attributes"]["error.type"], span["status"]) == ("_OTHER", "ERROR")
    assert span["attributes"]["gen_ai.response.finish_reasons"] == ["error"]


@needs_continuation
def test_the_requests_of_one_interaction_add_up():
    """An interaction that the SDK continues is one call, whose requests were all paid."""
    document_ = fake("google_genai/interaction.sse").replace(
        b'"status":"requires_action"', b'"status":"requires_continuation","continuation_token":"t"'
    )
    last = fake("google_genai/interaction.sse").replace(b"requires_action", b"completed")
    replies = [Reply(pieces=events(one), kind="text/event-stream") for one in (document_, last)]
    seen = told(replies, lambda client: list(_interact(client, stream=True)))
    assert usages(seen) == [(22, 136)]
    assert seen.spans[0]["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]


@needs_interactions
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_raw_response_is_told_as_well(is_stream):
    """Whoever reads the body, what it says is the same."""

    def call(client):
        got = _interact(client.interactions.with_raw_response, stream=is_stream).parse()
        _ = list(got) if is_stream else got

    reply = Reply(pieces=events(fake("google_genai/interaction.sse")), kind="text/event-stream")
    replies = [reply if is_stream else Reply(fake("google_genai/interaction.json"))]
    [span] = told(replies, call, capture="SPAN_ONLY").spans
    found = span["attributes"]
    assert usages_of(found) == ((11, 68) if is_stream else (30, 30))
    assert "Four, says the artichoke." in found["gen_ai.output.messages"]


@needs_interactions
def test_a_stream_of_an_interaction_that_is_left_is_stopped():
    """Its block is left, and it is gone."""

    def call(client):
        with _interact(client, stream=True) as events_:
            next(events_)

    reply = Reply(pieces=events(fake("google_genai/interaction.sse")), kind="text/event-stream")
    [span] = told([reply], call).spans
    assert span["attributes"]["otel_genai.outcome"] == "stopped"
