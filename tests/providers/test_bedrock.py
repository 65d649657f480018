"""Bedrock: what is peculiar to it; the rest is in the tables of every SDK."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="needs AWS's SDKs: pip install boto3 aiobotocore")

from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from otel_genai.providers import _bedrock_converse, _bedrock_invoke, bedrock
from otel_genai.providers._bedrock_agents import AgentFold, GenerationFold
from otel_genai.testing import capture
from sdks.bedrock import (
    KEYS,
    SDK,
    STREAM,
    USER,
    Clients,
    _session,
    events,
    runtime,
)
from sdks.kit import Reply, Wire, fake

LLAMA: Any = {"modelId": "meta.llama3-8b-instruct-v1:0", "body": '{"prompt": "marmalade"}'}


def told(call: Any, *replies: Reply, mode: str = "NO_CONTENT") -> list[dict[str, Any]]:
    """Call, and give the spans."""
    with (
        Wire(replies, SDK.random_headers).serving() as wire,
        capture("bedrock", capture=mode, cost=False) as seen,
    ):
        clients = Clients(wire.url, "sync")
        call(clients)
        clients.close()
    return seen.spans


# --- What is whose ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "name", "given"),
    [
        ("dynamodb", "list_tables", {}),
        ("kendra", "retrieve", {"IndexId": "0" * 36, "QueryText": "marmalade"}),
        ("bedrock", "list_foundation_models", {}),
    ],
)
def test_other_calls_to_aws_are_left_alone(service, name, given):
    """Operations of other services are none of ours, whatever they are called."""
    assert told(lambda clients: clients.call(service, name, lambda result: result, given), Reply(b"{}")) == []


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/9x2k"
FORMATS = {
    "an opaque ARN, Claude": (PROFILE, {"anthropic_version": "x", "messages": []}, "MESSAGES"),
    "an opaque ARN, Nova": (PROFILE, {"inferenceConfig": {}, "messages": []}, "NOVA"),
    "Nova without settings": ("us.amazon.nova-2-lite-v1:0", {"messages": []}, "NOVA"),
    "chat completions": ("qwen.qwen3-32b-v1:0", {"messages": []}, "CHAT"),
    "Llama": ("meta.llama3-8b-instruct-v1:0", {"prompt": ""}, "TEXT"),
    "Nova's embeddings": ("amazon.nova-2-multimodal-embeddings-v1:0", {"schemaVersion": "x"}, "EMBEDDINGS"),
    "Cohere's reranking": ("cohere.rerank-v3-5:0", {"query": "", "documents": []}, "RERANK"),
    "an image": ("amazon.nova-canvas-v1:0", {"taskType": "TEXT_IMAGE"}, "IMAGES"),
    "nothing known": ("new.model-v1", {}, "TEXT"),
}


@pytest.mark.parametrize(("model", "body", "format_"), FORMATS.values(), ids=FORMATS)
def test_the_format_is_known_by_the_body(model, body, format_):
    """A model's name says less than its body: an ARN can be of any."""
    operation, flat = _bedrock_invoke.choose({"modelId": model, "body": json.dumps(body).encode()})
    assert operation is getattr(_bedrock_invoke, format_)
    assert flat["modelId"] == model


@pytest.mark.parametrize("body", [b"marmalade", "[1]", None, "[" * 100000])
def test_a_body_that_is_no_object_says_nothing(body):
    """The service refuses it, not we."""
    _, flat = _bedrock_invoke.choose({"modelId": "m", "body": body})
    assert flat == {"modelId": "m", "guardrailIdentifier": None}


def test_a_file_is_sent_and_not_read():
    """The SDK takes a file as a body: it is read once, by the SDK."""
    body = io.BytesIO(LLAMA["body"].encode())
    wire = Wire([Reply(fake("bedrock/llama.json"))], SDK.random_headers)
    with wire.serving(), capture("bedrock", cost=False) as seen:
        clients = Clients(wire.url, "sync")
        runtime("invoke_model", modelId=LLAMA["modelId"], body=body)(clients)["body"].read()
        clients.close()
    assert wire.requests[0]["body"] == LLAMA["body"].encode()
    assert seen.spans[0]["name"] == "text_completion meta.llama3-8b-instruct-v1:0"


# --- Bodies and streams ----------------------------------------------------------------------------------


READ = {
    "read": lambda body: body.read(),
    "in pieces": lambda body: list(body.iter_chunks(7)),
    "in lines": lambda body: list(body.iter_lines()),
    "iterated": list,
    "as JSON": json.load,
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_a_body_is_told_once_it_is_read(read):
    """However it is read, and no sooner."""
    [span] = told(
        lambda c: read(runtime("invoke_model", **LLAMA)(c)["body"]), Reply(fake("bedrock/llama.json"))
    )
    assert span["attributes"]["gen_ai.usage.output_tokens"] == 8
    assert "otel_genai.outcome" not in span["attributes"]


def test_a_body_that_nobody_reads_was_stopped():
    """The call ends when its answer is dropped."""
    [span] = told(
        lambda c: runtime("invoke_model", **LLAMA)(c)["body"].close(), Reply(fake("bedrock/llama.json"))
    )
    assert span["attributes"]["otel_genai.outcome"] == "stopped"


def test_an_error_inside_a_stream_tells_its_code():
    """Its class says only that it was in a stream, and the status is that of the answer before it."""
    stream = Reply(kind=STREAM, pieces=(*events("bedrock/converse.jsonl")[5:6], _exception()))

    def call(clients: Clients) -> None:
        events_ = runtime("converse_stream", modelId="m", messages=USER)(clients)["stream"]
        with pytest.raises(EventStreamError):
            list(events_)
        events_.close()

    [span] = told(call, stream, mode="SPAN_ONLY")
    found = span["attributes"]
    assert (found["error.type"], found["otel_genai.outcome"]) == ("ThrottlingException", "failed")
    assert "http.response.status_code" not in found
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"][0]["content"] == "Four, says "


def _exception() -> bytes:
    """Write the event of an exception, which has a header more and no name."""
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":exception-type", b"throttlingException"),
            (b":content-type", b"application/json"),
            (b":message-type", b"exception"),
        )
    )
    payload = b'{"message": "Slow down, marmalade."}'
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


@pytest.mark.parametrize(
    ("code", "kind"),
    [("ExpiredTokenException", "ExpiredTokenException"), ("MarmaladeException", "ClientError")],
)
def test_a_documented_code_is_told_where_the_class_is_none(code, kind):
    """The SDK has classes for the operation's own errors alone; an unknown code is no metric's."""
    refusal = Reply(b'{"message": "no"}', status=403, headers={"x-amzn-errortype": code})

    def call(clients: Clients) -> None:
        with pytest.raises(ClientError):
            runtime("converse", modelId="m", messages=USER)(clients)

    [span] = told(call, refusal)
    assert (span["attributes"]["error.type"], span["attributes"]["http.response.status_code"]) == (kind, 403)


def test_who_tried_again_says_so():
    """Retries are inside the call: one span, and how often was tried again."""
    refusal = Reply(b'{"message": "no"}', status=429, headers={"x-amzn-errortype": "ThrottlingException"})
    with Wire([refusal], SDK.random_headers).serving() as wire, capture("bedrock", cost=False) as seen:
        config = Config(retries={"total_max_attempts": 2, "mode": "standard"})
        client = _session("sync").client("bedrock-runtime", endpoint_url=wire.url, config=config, **KEYS)
        with pytest.raises(ClientError):
            client.converse(modelId="m", messages=USER)
        client.close()
    [span] = seen.spans
    assert (len(wire.requests), span["attributes"]["http.request.resend_count"]) == (2, 1)


def test_no_server_no_status():
    """An exception of the SDK's own is told by its class."""
    assert bedrock._bedrock_agents.error(OSError("marmalade")) == {}


# --- Content ---------------------------------------------------------------------------------------------


IMAGE = {
    "type": "inline_media",
    "modality": "image",
    "mime_type": "image/png",
    "size": 6,
    "sha256": "610f5ae4d76e332636a17bd357fd6ce99029316a99d320280d4d77a746bf29e8",
}
PNG = {"format": "png", "source": {"bytes": b"GIF89a"}}
A = {"type": "text", "content": "a"}
BLOCKS = {
    "text": ({"text": "a"}, [A]),
    "image": ({"image": PNG}, [IMAGE]),
    "base64": ({"image": {"format": "png", "source": {"bytes": "R0lGODlh"}}}, [IMAGE]),
    "S3": (
        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://a/b.mp4"}}}},
        [{"type": "uri", "modality": "video", "uri": "s3://a/b.mp4", "mime_type": "video/mp4"}],
    ),
    "document": (
        {"document": {"format": "txt", "name": "a", "source": {"text": "a"}}},
        [{"type": "document", "content": [A]}],
    ),
    "tool's answer": (
        {
            "toolResult": {
                "toolUseId": "1",
                "content": [
                    {"json": {"a": 1}},
                    {"text": "a"},
                    {"image": PNG},
                ],
            }
        },
        [{"type": "tool_call_response", "id": "1", "response": [{"json": {"a": 1}}, {"text": "a"}, IMAGE]}],
    ),
    "tool of the provider": (
        {"toolUse": {"toolUseId": "1", "name": "search", "input": {}, "type": "server_tool_use"}},
        [
            {
                "type": "server_tool_call",
                "id": "1",
                "name": "search",
                "server_tool_call": {"type": "search", "input": {}},
            }
        ],
    ),
    "its answer": (
        {"toolResult": {"toolUseId": "1", "content": [{"text": "a"}], "type": "search_result"}},
        [
            {
                "type": "server_tool_call_response",
                "id": "1",
                "server_tool_call_response": {"type": "search_result", "content": [{"text": "a"}]},
            }
        ],
    ),
    "guarded": ({"guardContent": {"text": {"text": "a"}}}, [A]),
    "guarded image": (
        {"guardContent": {"image": PNG}},
        [IMAGE],
    ),
    "redacted": ({"reasoningContent": {"redactedContent": b"a"}}, [{"type": "redacted_reasoning"}]),
    "cited": ({"citationsContent": {"content": [{"text": "a"}]}}, [A]),
    "found": (
        {"searchResult": {"source": "s", "title": "t", "content": [{"text": "a"}]}},
        [
            {
                "type": "search_result",
                "source": "s",
                "title": "t",
                "content": [A],
            }
        ],
    ),
    "cache": ({"cachePoint": {"type": "default"}}, []),
    "new": ({"hologram": {}}, [{"type": "hologram"}]),
}


@pytest.mark.parametrize(("block", "parts"), BLOCKS.values(), ids=BLOCKS)
def test_blocks_have_the_conventions_form(block, parts):
    """Media are described, never copied."""
    assert _bedrock_converse.parts([block]) == parts


def test_a_tool_of_the_service_is_told_by_name():
    """Beside the caller's own."""
    body = {"toolConfig": {"tools": [{"systemTool": {"name": "nova_code_interpreter"}}, {"cachePoint": {}}]}}
    assert _bedrock_converse.tools(body) == [{"type": "system_tool", "name": "nova_code_interpreter"}]


EFFORTS = {
    "all models": {"outputConfig": {"effort": "high"}},
    "Claude": {"additionalModelRequestFields": {"output_config": {"effort": "high"}}},
    "OpenAI": {"additionalModelRequestFields": {"reasoning_effort": "high"}},
    "Nova": {"additionalModelRequestFields": {"reasoningConfig": {"maxReasoningEffort": "high"}}},
    "Nova's own format": {"reasoningConfig": {"maxReasoningEffort": "high"}},
}


@pytest.mark.parametrize("body", EFFORTS.values(), ids=EFFORTS)
def test_how_hard_to_think(body):
    """Each model has its own word for it."""
    assert _bedrock_converse.extra(body)["gen_ai.request.reasoning.level"] == "high"


@pytest.mark.parametrize("fold", [_bedrock_converse.Fold, AgentFold, GenerationFold])
def test_nothing_received_is_no_answer(fold):
    """A stream that was left before its first event has told nothing."""
    assert fold(content=True).answer is None


def test_files_and_letters_of_an_agent_are_put_together():
    """A letter may be cut in two by the end of a chunk."""
    fold = AgentFold(content=True)
    files = [{"name": "a.png", "type": "image/png", "bytes": b"GIF89a"}]
    for one in ({"chunk": {"bytes": b"\xc3"}}, {"chunk": {"bytes": b"\xa9"}}, {"files": {"files": files}}):
        fold.add(one)
    [message] = bedrock._bedrock_agents.agent_outputs(fold)
    assert message["parts"] == [{"type": "text", "content": "é"}, {**IMAGE, "modality": "document"}]
