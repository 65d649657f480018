"""Recorded exchanges with Bedrock, replayed through AWS's SDK and held against what they say themselves.

What is expected here is worked out from the recorded JSON alone, with none of the code under test.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

boto3 = pytest.importorskip("boto3", reason="needs AWS's SDK: pip install boto3")

from botocore.awsrequest import AWSResponse  # noqa: E402 (after the skip)
from botocore.config import Config  # noqa: E402 (after the skip)
from botocore.eventstream import EventStreamBuffer  # noqa: E402 (after the skip)
from botocore.exceptions import ClientError  # noqa: E402 (after the skip)
from urllib3 import HTTPResponse  # noqa: E402 (after the skip)

from otel_genai.testing import capture  # noqa: E402 (after the skip)
from recordings import _LOADER, MISSING, RECORDINGS, misshapen  # noqa: E402 (after the skip)

PATHS = {
    r"/model/(?P<modelId>[^/]+)/converse": "converse",
    r"/model/(?P<modelId>[^/]+)/converse-stream": "converse_stream",
    r"/model/(?P<modelId>[^/]+)/invoke": "invoke_model",
    r"/model/(?P<modelId>[^/]+)/invoke-with-response-stream": "invoke_model_with_response_stream",
    r"/agents/(?P<agentId>[^/]+)/agentAliases/(?P<agentAliasId>[^/]+)/sessions/(?P<sessionId>[^/]+)/text": (
        "invoke_agent"
    ),
    r"/agents/(?P<sessionId>[^/]+)": "invoke_inline_agent",
    r"/knowledgebases/(?P<knowledgeBaseId>[^/]+)/retrieve": "retrieve",
    r"/retrieveAndGenerate": "retrieve_and_generate",
    r"/retrieveAndGenerateStream": "retrieve_and_generate_stream",
}
STREAMS = ("converse_stream", "invoke_model_with_response_stream", "invoke_agent", "invoke_inline_agent",
           "retrieve_and_generate_stream")  # fmt: skip


@dataclass(frozen=True)
class Exchange:
    """One recorded call of an operation."""

    name: str
    host: str
    operation: str
    given: dict[str, Any]
    status: int
    body: bytes

    @property
    def streamed(self) -> bool:
        """Whether a stream was answered."""
        return self.operation in STREAMS and self.status == 200

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, with what stands in the body."""
        return json.loads(self.given["body"]) if "body" in self.given else self.given

    @property
    def answer(self) -> Any:
        """What was answered, decoded: one document, or the events of a stream by their kinds."""
        if not self.streamed:
            return json.loads(self.body)
        buffer = EventStreamBuffer()
        buffer.add_data(self.body)
        return [_decoded(event.headers[":event-type"], json.loads(event.payload)) for event in buffer]


def _decoded(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    if "bytes" not in payload:
        return {kind: payload}
    inside = base64.b64decode(payload["bytes"])
    return json.loads(inside) if inside[:2] == b'{"' else {kind: inside.decode()}


def _exchanges() -> Iterator[Exchange]:
    for cassette in sorted((RECORDINGS / "bedrock").glob("*.yaml")):
        for interaction in yaml.load(cassette.read_text(encoding="utf-8"), _LOADER)["interactions"]:
            _, _, host, path = interaction["request"]["uri"].split("/", 3)
            for known, name in PATHS.items():
                match = re.fullmatch(known, f"/{path}")
                if match is not None and "bedrock" in host:
                    given = {key: unquote(value) for key, value in match.groupdict().items()}
                    yield _exchange(cassette.stem, host, name, given, interaction)


def _exchange(name: str, host: str, operation: str, given: Any, interaction: Any) -> Exchange:
    asked, answered = interaction["request"]["body"], interaction["response"]
    sent = {"body": asked} if operation.startswith("invoke_model") else json.loads(asked)
    body = answered["body"].get("string") or b""
    body = body if isinstance(body, bytes) else body.encode()
    return Exchange(name, host, operation, given | sent, answered["status"]["code"], body)


EXCHANGES = list(_exchanges())
needs_recordings = pytest.mark.skipif(not EXCHANGES, reason=MISSING)
pytestmark = pytest.mark.skipif(
    tuple(map(int, boto3.__version__.split(".")[:2])) < (1, 37),
    reason="older SDKs do not know all that was asked: pip install 'boto3 >= 1.37'",
)


def _replayed(exchange: Exchange, mode: str) -> dict[str, Any]:
    """Replay one exchange through a client whose transport answers what was recorded; give the span."""
    service, region = exchange.host.split(".")[:2]
    client = boto3.Session().client(
        service,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-send", lambda request, **_: _response(exchange, request))
    with capture("bedrock", capture=mode, content_budget=10**8) as seen:
        with pytest.raises(ClientError) if exchange.status >= 400 else contextlib.nullcontext():
            result = getattr(client, exchange.operation)(**exchange.given)
            if exchange.operation == "invoke_model":
                assert result["body"].read() == exchange.body
            elif exchange.streamed:
                list(result.get("stream") or result.get("body") or result["completion"])
        [span] = seen.spans
    return span


def _response(exchange: Exchange, request: Any) -> AWSResponse:
    raw = HTTPResponse(io.BytesIO(exchange.body), preload_content=False)
    errors = {"x-amzn-errortype": "ValidationException"} if exchange.status >= 400 else {}
    return AWSResponse(request.url, exchange.status, errors, raw)


# --- What a recording says itself ------------------------------------------------------------------------


def _events(exchange: Exchange, kind: str) -> list[Any]:
    return [event[kind] for event in exchange.answer if kind in event]


def _used(value: Any) -> Iterator[dict[str, Any]]:
    """Find every record of usage, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get("usage"), dict):
            yield value["usage"]
        for item in value.values():
            yield from _used(item)
    elif isinstance(value, list):
        for item in value:
            yield from _used(item)


def _answered(exchange: Exchange) -> dict[str, Any]:
    """Say which tokens and which reason the answer tells."""
    records = list(_used(exchange.answer))
    if "agent" in exchange.operation:
        counts = [(one["inputTokens"], one["outputTokens"]) for one in records]
        given, written = (sum(column) for column in zip(*counts, strict=True)) if counts else (None, None)
        reasons = None
    else:
        whole: dict[str, Any] = {}
        for record in records:
            whole |= record
        given = whole.get("inputTokens", whole.get("input_tokens"))
        written = whole.get("outputTokens", whole.get("output_tokens"))
        reasons = re.findall(rb'"stop_?[rR]eason":\s*"(\w+)"', _text(exchange))[-1:]
    found = {
        "gen_ai.usage.input_tokens": given,
        "gen_ai.usage.output_tokens": written,
        "gen_ai.response.finish_reasons": [reason.decode() for reason in reasons] if reasons else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _text(exchange: Exchange) -> bytes:
    return json.dumps(exchange.answer).encode()


def _said(exchange: Exchange) -> str:
    """Join all the text that was answered."""
    answer = exchange.answer
    if exchange.operation == "retrieve":
        return ""
    if exchange.operation == "retrieve_and_generate":
        return answer["output"]["text"]
    if not exchange.streamed:
        blocks = answer.get("content") or answer["output"]["message"]["content"]
        return "".join(block.get("text", "") for block in blocks)
    if "agent" in exchange.operation:
        return "".join(_events(exchange, "chunk"))
    if exchange.operation == "retrieve_and_generate_stream":
        return "".join(event["text"] for event in _events(exchange, "output"))
    deltas = [event.get("contentBlockDelta", event).get("delta", {}) for event in answer]
    return "".join(delta.get("text", "") for delta in deltas)


# --- The comparison --------------------------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_exchange_is_told_as_it_was(exchange, caplog):
    """One span with the recorded model, tokens and finish reasons, and nothing unread."""
    caplog.set_level(logging.DEBUG, "otel_genai")
    span = _replayed(exchange, "NO_CONTENT")
    found = span["attributes"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")] == []
    assert (found["server.address"], found["gen_ai.provider.name"]) == (exchange.host, "aws.bedrock")
    assert found.get("gen_ai.request.stream", False) is (exchange.operation in STREAMS)
    if "modelId" in exchange.given:
        assert found["gen_ai.request.model"] == exchange.given["modelId"]
    if exchange.status >= 400:
        expected = {"error.type": "ValidationException", "http.response.status_code": exchange.status}
        assert {key: found.get(key) for key in expected} == expected
        return
    keys = ("usage.input_tokens", "usage.output_tokens", "response.finish_reasons")
    told = {f"gen_ai.{key}": found[f"gen_ai.{key}"] for key in keys if f"gen_ai.{key}" in found}
    assert told == _answered(exchange)
    assert (span["status"], "otel_genai.outcome" in found) == ("UNSET", False)


@needs_recordings
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_conversation_is_told_as_it_was(exchange):
    """With capture on, all recorded text and the tools are told, in the conventions' shape."""
    found = _replayed(exchange, "SPAN_ONLY")["attributes"]
    told = {
        key: json.loads(value)
        for key, value in found.items()
        if key.endswith((".messages", ".definitions", "_instructions"))
    }
    assert misshapen(told) == []
    said = told.get("gen_ai.output.messages", [])
    assert _spoken(said) == ("" if exchange.status >= 400 else _said(exchange))
    asked = exchange.request
    turns = asked.get("messages", [])
    messages = told.get("gen_ai.input.messages", [])
    if turns:
        assert [turn["role"] for turn in messages] == [turn["role"] for turn in turns]
    elif "inputText" in asked:
        assert _spoken(messages) == asked["inputText"]
    tools = [tool.get("toolSpec", tool)["name"] for tool in _offered(asked)]
    assert [tool["name"] for tool in told.get("gen_ai.tool.definitions", ())] == tools


def _offered(asked: dict[str, Any]) -> list[dict[str, Any]]:
    return asked.get("tools") or asked.get("toolConfig", {}).get("tools") or []


def _spoken(messages: Any) -> str:
    return "".join(part["content"] for turn in messages for part in turn["parts"] if part["type"] == "text")
