"""AWS's own SDK: its ways of calling Bedrock, for the tables in tests/test_sdks.py.

The bodies have the shape of https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations.html, and
of https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html where they are a model's own.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import inspect
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import aiobotocore.config
import aiobotocore.response
import aiobotocore.session
import boto3
import botocore.config
import botocore.session

from sdks.kit import Reply, Sdk, Way, fake, frame

STREAM = "application/vnd.amazon.eventstream"
RUNTIME, AGENTS = "bedrock-runtime", "bedrock-agent-runtime"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
_KIND = b"\x0d:content-type\x07\x00\x10application/json\x0d:message-type\x07\x00\x05event"


def event(name: str, payload: bytes, kind: bytes = _KIND) -> bytes:
    """Write one event."""
    return frame(b"\x0b:event-type\x07" + struct.pack(">H", len(name)) + name.encode() + kind, payload)


def events(name: str) -> tuple[bytes, ...]:
    """Read a fake of one event on each line, under the event's name."""
    found = [next(iter(json.loads(line).items())) for line in fake(name).splitlines()]
    return tuple(event(key, json.dumps(value).encode()) for key, value in found)


def chunks(name: str) -> tuple[bytes, ...]:
    """Read a fake of what one chunk carries on each line."""
    return tuple(
        event("chunk", json.dumps({"bytes": base64.b64encode(line).decode()}).encode())
        for line in fake(name).splitlines()
    )


# --- Clients ---------------------------------------------------------------------------------------------


@functools.cache
def _session(colour: str) -> Any:
    return aiobotocore.session.get_session() if colour == "async" else boto3.Session()


class Clients:
    """Both clients of one colour; those that are awaited are made when they are first called."""

    def __init__(self, url: str, colour: str) -> None:
        """Know where the server is."""
        self._colour, self._url = colour, url
        self._made: dict[str, Any] = {}
        self._open: list[Any] = []

    def call(self, service: str, name: str, read: Callable[[Any], Any], given: dict[str, Any]) -> Any:
        """Call an operation, and read its answer."""
        if self._colour == "async":
            return self._acall(service, name, read, given)
        if service not in self._made:
            config = botocore.config.Config(retries={"total_max_attempts": 1})
            make = _session("sync").client
            self._made[service] = make(service, endpoint_url=self._url, config=config, **KEYS)
        return read(getattr(self._made[service], name)(**given))

    async def _acall(self, service: str, name: str, read: Callable[[Any], Any], given: dict[str, Any]) -> Any:
        if service not in self._made:
            config = aiobotocore.config.AioConfig(retries={"total_max_attempts": 1})
            make = _session("async").create_client
            manager = make(service, endpoint_url=self._url, config=config, **KEYS)
            self._made[service] = await manager.__aenter__()
            self._open.append(manager)
        found = read(await getattr(self._made[service], name)(**given))
        return await found if inspect.isawaitable(found) else found

    def close(self) -> Any:
        """Close them."""
        return self._aclose() if self._colour == "async" else [one.close() for one in self._made.values()]

    async def _aclose(self) -> None:
        for manager in self._open:
            await manager.__aexit__(None, None, None)


def _itself(result: Any) -> Any:
    return result


def _undated(result: Any) -> Any:
    """Leave out when the server answered."""
    return {key: value for key, value in result.items() if key != "ResponseMetadata"}


def _body(result: Any) -> Any:
    """Read the whole body of a model's answer."""
    return result["body"].read()


def _listed(result: Any) -> Any:
    """Read all events of a stream that has no last one."""
    stream = result.get("completion") or result["stream"]
    return _alisted(stream) if hasattr(stream, "__aiter__") else list(stream)


async def _alisted(stream: Any) -> list[Any]:
    return [event async for event in stream]


def runtime(name: str, read: Callable[[Any], Any] = _itself, **given: Any) -> Callable[[Clients], Any]:
    """Call a model."""
    return lambda clients: clients.call(RUNTIME, name, read, given)


def invoke(model: str, body: Any, *, stream: bool = False, **given: Any) -> Callable[[Clients], Any]:
    """Call a model in its own format."""
    name = "invoke_model_with_response_stream" if stream else "invoke_model"
    text = json.dumps(body)
    return runtime(name, _itself if stream else _body, modelId=model, body=text, **given)


def agents(name: str, read: Callable[[Any], Any], **given: Any) -> Callable[[Clients], Any]:
    """Call an agent or a knowledge base."""
    return lambda clients: clients.call(AGENTS, name, read, given)


# --- Ways ------------------------------------------------------------------------------------------------

PROMPT = "What is 2+2? marmalade"
INSTRUCTION = "Answer in marmalade, whatever it is that you are asked."
CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
ASKED = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
TEXT = {"type": "text", "content": "Four, says the artichoke."}
SAID = [{"role": "assistant", "parts": [TEXT], "finish_reason": "stop"}]
SCHEMA = {"type": "object", "properties": {"what": {"type": "string"}}}
TOOLS = [{"type": "function", "name": "boil", "description": "Boils.", "parameters": SCHEMA}]
CONVERSED = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Two artichokes and two more."},
            TEXT,
            {
                "type": "tool_call",
                "id": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q",
                "name": "boil",
                "arguments": {"what": "artichoke"},
            },
        ],
        "finish_reason": "tool_call",
    }
]
USER: Any = [{"role": "user", "content": [{"text": PROMPT}]}]
CONVERSE: Any = {
    "modelId": CLAUDE,
    "messages": USER,
    "system": [{"text": "Answer in marmalade."}, {"cachePoint": {"type": "default"}}],
    "inferenceConfig": {"maxTokens": 64, "temperature": 0, "topP": 1, "stopSequences": ["END"]},
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "boil", "description": "Boils.", "inputSchema": {"json": SCHEMA}}}]
    },
    "guardrailConfig": {"guardrailIdentifier": "sgi5gkybzqak", "guardrailVersion": "1"},
    "additionalModelRequestFields": {"top_k": 40},
}


def _told(operation: str, model: str, **attributes: Any) -> dict[str, Any]:
    found = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": model,
    }
    keys = {key.replace("__", "."): value for key, value in attributes.items()}
    return {"name": f"{operation} {model}", "attributes": {**found, **keys}}


def _usage(given: int | None, written: int | None = None, reason: str | None = None) -> dict[str, Any]:
    found = {
        "gen_ai__usage__input_tokens": given,
        "gen_ai__usage__output_tokens": written,
        "gen_ai__response__finish_reasons": reason and [reason],
    }
    return {key: value for key, value in found.items() if value is not None}


CACHED = {"gen_ai__usage__cache_read__input_tokens": 1200, "gen_ai__usage__cache_write__input_tokens": 100}
CONVERSE_TOLD = {
    **_usage(1330, 62, "tool_use"),
    **CACHED,
    "gen_ai__request__max_tokens": 64,
    "gen_ai__request__temperature": 0.0,
    "gen_ai__request__top_p": 1.0,
    "gen_ai__request__top_k": 40,
    "gen_ai__request__stop_sequences": ["END"],
    "aws__bedrock__guardrail__id": "sgi5gkybzqak",
    "gen_ai__response__model": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
    "us.anthropic.claude-3-5-haiku-20241022-v1:0",
    "otel_genai__service_tier": "priority+optimized",
}
STREAMED = {"gen_ai__request__stream": True}
MESSAGES = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": []}
MESSAGES |= {"messages": [{"role": "user", "content": PROMPT}], "system": "Answer in marmalade."}
CLAUDE_TOLD = {
    **_usage(334, 11, "end_turn"),
    "gen_ai__usage__cache_read__input_tokens": 300,
    "gen_ai__usage__cache_write__input_tokens": 20,
    "gen_ai__request__max_tokens": 64,
    "gen_ai__response__id": "msg_bdrk_01XFDUDYJgAACzvnptvVoYEL",
    "gen_ai__response__model": "claude-sonnet-4-20250514",
}
NOVA_TOLD = {
    **_usage(113, 9, "end_turn"),
    "gen_ai__usage__cache_read__input_tokens": 100,
    "gen_ai__usage__cache_write__input_tokens": 0,
    "gen_ai__request__max_tokens": 64,
    "gen_ai__request__top_k": 4,
}
NOVA = {"schemaVersion": "messages-v1", "messages": USER, "inferenceConfig": {"maxTokens": 64, "topK": 4}}
LLAMA = {"prompt": PROMPT, "max_gen_len": 64, "temperature": 0.5, "top_p": 0.9}
LLAMA_TOLD = {
    **_usage(17, 8, "stop"),
    "gen_ai__request__max_tokens": 64,
    "gen_ai__request__temperature": 0.5,
    "gen_ai__request__top_p": 0.9,
}
SYSTEM = [{"type": "text", "content": "Answer in marmalade."}]
SYNC = ("sync",)
"""A body that is awaited is not watched: what is known of it is in the headers."""
COUNTS = {
    "x-amzn-bedrock-input-token-count": "14",
    "x-amzn-bedrock-output-token-count": "11",
    "x-amzn-bedrock-cache-read-input-token-count": "300",
    "x-amzn-bedrock-cache-write-input-token-count": "20",
}
RETRIEVED = {
    "aws.bedrock.knowledge_base.id": "XFWUPB9PAW",
    "gen_ai.data_source.id": "XFWUPB9PAW",
    "gen_ai.retrieval.top_k": 3,
}
BASE: Any = {
    "knowledgeBaseId": "XFWUPB9PAW",
    "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": 3}},
}
GENERATE: Any = {
    "input": {"text": PROMPT},
    "sessionId": "c86b69be-2f93-43c7-8b87-402acc8ebe6d",
    "retrieveAndGenerateConfiguration": {
        "type": "KNOWLEDGE_BASE",
        "knowledgeBaseConfiguration": {
            **BASE,
            "modelArn": "amazon.nova-pro-v1:0",
            "generationConfiguration": {
                "guardrailConfiguration": {"guardrailId": "sgi5gkybzqak", "guardrailVersion": "1"},
                "inferenceConfig": {"textInferenceConfig": {"maxTokens": 64, "temperature": 0.5}},
            },
        },
    },
}
GENERATE_TOLD = {
    **{key.replace(".", "__"): value for key, value in RETRIEVED.items()},
    "gen_ai__conversation__id": "c86b69be-2f93-43c7-8b87-402acc8ebe6d",
    "gen_ai__request__max_tokens": 64,
    "gen_ai__request__temperature": 0.5,
    "aws__bedrock__guardrail__id": "sgi5gkybzqak",
}
AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "aws.bedrock",
    "gen_ai.conversation.id": "session-1",
    "gen_ai.request.stream": True,
}
ANSWERED = [{"role": "assistant", "parts": [{"type": "text", "content": "Four, says é the artichoke."}]}]

WAYS = [
    Way(
        "converse",
        runtime("converse", _undated, **CONVERSE),
        [Reply(fake("bedrock/converse.json"))],
        _told("chat", CLAUDE, **CONVERSE_TOLD),
        input=ASKED,
        output=CONVERSED,
        system=SYSTEM,
        tools=TOOLS,
    ),
    Way(
        "converse_stream",
        runtime("converse_stream", **CONVERSE),
        [Reply(kind=STREAM, pieces=events("bedrock/converse.jsonl"))],
        _told("chat", CLAUDE, **CONVERSE_TOLD, **STREAMED),
        input=ASKED,
        output=CONVERSED,
        system=SYSTEM,
        tools=TOOLS,
        stream=True,
        events=lambda result: result["stream"],
    ),
    Way(
        "claude",
        invoke(CLAUDE, MESSAGES, guardrailIdentifier="sgi5gkybzqak", guardrailVersion="1"),
        [Reply(fake("bedrock/claude.json"))],
        _told("chat", CLAUDE, **CLAUDE_TOLD, aws__bedrock__guardrail__id="sgi5gkybzqak"),
        input=ASKED,
        output=SAID,
        system=SYSTEM,
    ),
    Way(
        "claude_stream",
        invoke(CLAUDE, MESSAGES, stream=True),
        [Reply(kind=STREAM, pieces=chunks("bedrock/claude.jsonl"))],
        _told("chat", CLAUDE, **CLAUDE_TOLD, **STREAMED),
        input=ASKED,
        output=SAID,
        system=SYSTEM,
        stream=True,
        events=lambda result: result["body"],
    ),
    Way(
        "nova",
        invoke("amazon.nova-lite-v1:0", NOVA),
        [Reply(fake("bedrock/nova.json"))],
        _told("chat", "amazon.nova-lite-v1:0", **NOVA_TOLD),
        input=ASKED,
        output=SAID,
    ),
    Way(
        "nova_stream",
        invoke("amazon.nova-lite-v1:0", NOVA, stream=True),
        [Reply(kind=STREAM, pieces=chunks("bedrock/nova.jsonl"))],
        _told("chat", "amazon.nova-lite-v1:0", **NOVA_TOLD, **STREAMED),
        input=ASKED,
        output=SAID,
        stream=True,
        events=lambda result: result["body"],
    ),
    Way(
        "titan",
        invoke(
            "amazon.titan-text-lite-v1",
            {"inputText": PROMPT, "textGenerationConfig": {"maxTokenCount": 64, "stopSequences": ["END"]}},
        ),
        [Reply(fake("bedrock/titan.json"))],
        _told(
            "text_completion",
            "amazon.titan-text-lite-v1",
            **_usage(7, 9, "FINISH"),
            gen_ai__request__max_tokens=64,
            gen_ai__request__stop_sequences=["END"],
        ),
        input=ASKED,
        output=SAID,
    ),
    Way(
        "llama",
        invoke("us.meta.llama3-3-70b-instruct-v1:0", LLAMA),
        [Reply(fake("bedrock/llama.json"))],
        _told("text_completion", "us.meta.llama3-3-70b-instruct-v1:0", **LLAMA_TOLD),
        input=ASKED,
        output=SAID,
    ),
    Way(
        "llama_stream",
        invoke("us.meta.llama3-3-70b-instruct-v1:0", LLAMA, stream=True),
        [Reply(kind=STREAM, pieces=chunks("bedrock/llama.jsonl"))],
        _told("text_completion", "us.meta.llama3-3-70b-instruct-v1:0", **LLAMA_TOLD, **STREAMED),
        input=ASKED,
        output=SAID,
        stream=True,
        events=lambda result: result["body"],
    ),
    Way(
        "mistral_stream",
        invoke(
            "mistral.mistral-7b-instruct-v0:2",
            {"prompt": PROMPT, "max_tokens": 64, "stop": ["END"], "top_k": 50},
            stream=True,
        ),
        [Reply(kind=STREAM, pieces=chunks("bedrock/mistral.jsonl"))],
        _told(
            "text_completion",
            "mistral.mistral-7b-instruct-v0:2",
            **_usage(16, 8, "stop"),
            **STREAMED,
            gen_ai__request__max_tokens=64,
            gen_ai__request__stop_sequences=["END"],
            gen_ai__request__top_k=50,
        ),
        input=ASKED,
        output=SAID,
        stream=True,
        events=lambda result: result["body"],
    ),
    Way(
        "mistral_chat",
        invoke(
            "us.mistral.pixtral-large-2502-v1:0",
            {
                "messages": [{"role": "user", "content": PROMPT}],
                "max_tokens": 64,
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "boil", "description": "Boils.", "parameters": SCHEMA},
                    }
                ],
            },
        ),
        [Reply(fake("bedrock/mistral_chat.json"))],
        _told(
            "chat",
            "us.mistral.pixtral-large-2502-v1:0",
            **_usage(91, 22, "tool_calls"),
            gen_ai__request__max_tokens=64,
            gen_ai__response__id="5b0b2c1e-8d0f-4a52-9c33-6f0a5a8f5d11",
            gen_ai__response__model="pixtral-large-2502",
        ),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "tool_call",
                        "id": "kPq8sYb3c",
                        "name": "boil",
                        "arguments": {"what": "artichoke"},
                    }
                ],
                "finish_reason": "tool_call",
            }
        ],
        tools=TOOLS,
    ),
    Way(
        "gpt_stream",
        invoke(
            "openai.gpt-oss-120b-1:0",
            {"messages": [{"role": "user", "content": PROMPT}], "max_completion_tokens": 64},
            stream=True,
        ),
        [Reply(kind=STREAM, pieces=chunks("bedrock/gpt.jsonl"))],
        _told(
            "chat",
            "openai.gpt-oss-120b-1:0",
            **_usage(74, 12, "stop"),
            **STREAMED,
            gen_ai__request__max_tokens=64,
            gen_ai__response__id="chatcmpl-d7a1e3f2",
            gen_ai__response__model="openai.gpt-oss-120b-1:0",
        ),
        input=ASKED,
        output=SAID,
        stream=True,
        events=lambda result: result["body"],
    ),
    Way(
        "titan_embeddings",
        invoke(
            "amazon.titan-embed-text-v2:0",
            {"inputText": PROMPT, "dimensions": 4, "embeddingTypes": ["float"]},
        ),
        [Reply(fake("bedrock/titan_embed.json"))],
        _told(
            "embeddings",
            "amazon.titan-embed-text-v2:0",
            **_usage(4),
            gen_ai__embeddings__dimension__count=4,
            gen_ai__request__encoding_formats=["float"],
        ),
    ),
    Way(
        "cohere_embeddings",
        invoke("cohere.embed-v4:0", {"texts": [PROMPT], "input_type": "search_query"}),
        [Reply(fake("bedrock/cohere_embed.json"), headers={"x-amzn-bedrock-input-token-count": "3"})],
        _told("embeddings", "cohere.embed-v4:0", **_usage(3), gen_ai__embeddings__dimension__count=3),
    ),
    Way(
        "agent",
        agents(
            "invoke_agent",
            _listed,
            agentId="XNW1LGJJZT",
            agentAliasId="TSTALIASID",
            sessionId="session-1",
            inputText=PROMPT,
            enableTrace=True,
        ),
        [Reply(kind=STREAM, pieces=events("bedrock/agent.jsonl"))],
        {
            "name": "invoke_agent",
            "attributes": {
                **AGENT,
                "gen_ai.agent.id": "XNW1LGJJZT",
                "gen_ai.usage.input_tokens": 570,
                "gen_ai.usage.output_tokens": 46,
            },
        },
        input=ASKED,
        output=ANSWERED,
    ),
    Way(
        "inline_agent",
        agents(
            "invoke_inline_agent",
            _listed,
            foundationModel=CLAUDE,
            instruction=INSTRUCTION,
            sessionId="session-1",
            agentName="cook",
            inlineSessionState={
                "invocationId": "call-1",
                "returnControlInvocationResults": [
                    {
                        "functionResult": {
                            "actionGroup": "kitchen",
                            "function": "boil",
                            "responseBody": {"TEXT": {"body": "Boiled in marmalade."}},
                        }
                    }
                ],
            },
            guardrailConfiguration={"guardrailIdentifier": "sgi5gkybzqak", "guardrailVersion": "1"},
        ),
        [Reply(kind=STREAM, pieces=events("bedrock/agent_tools.jsonl"))],
        {
            "name": "invoke_agent cook",
            "attributes": {
                **AGENT,
                "gen_ai.agent.name": "cook",
                "gen_ai.request.model": CLAUDE,
                "aws.bedrock.guardrail.id": "sgi5gkybzqak",
            },
        },
        input=[
            {
                "role": "tool",
                "parts": [
                    {
                        "type": "tool_call_response",
                        "id": "call-1",
                        "response": {"TEXT": {"body": "Boiled in marmalade."}},
                    }
                ],
            }
        ],
        output=[
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "tool_call",
                        "id": "79e0feaa-c6f7-49bf-814d-b7c498505172",
                        "name": "boil",
                        "arguments": {"what": "artichoke"},
                    }
                ],
                "finish_reason": "tool_call",
            }
        ],
        system=[{"type": "text", "content": INSTRUCTION}],
    ),
    Way(
        "retrieve",
        agents("retrieve", _undated, **BASE, retrievalQuery={"text": PROMPT}),
        [Reply(fake("bedrock/retrieve.json"))],
        {
            "name": "retrieval XFWUPB9PAW",
            "attributes": {
                **RETRIEVED,
                "gen_ai.operation.name": "retrieval",
                "gen_ai.provider.name": "aws.bedrock",
            },
        },
        query=PROMPT,
        documents=[
            {
                "score": 0.62,
                "content": "Artichokes, says the artichoke, are boiled.",
                "location": {"s3Location": {"uri": "s3://kitchen/artichoke.txt"}, "type": "S3"},
                "metadata": {"x-amz-bedrock-kb-data-source-id": "VYV3J5D9O6"},
            }
        ],
    ),
    Way(
        "generate",
        agents("retrieve_and_generate", _undated, **GENERATE),
        [Reply(fake("bedrock/generate.json"))],
        _told("chat", "amazon.nova-pro-v1:0", **GENERATE_TOLD),
        input=ASKED,
        output=[{"role": "assistant", "parts": [TEXT], "finish_reason": "content_filter"}],
    ),
    Way(
        "generate_stream",
        agents("retrieve_and_generate_stream", _listed, **GENERATE),
        [Reply(kind=STREAM, pieces=events("bedrock/generate.jsonl"))],
        _told("chat", "amazon.nova-pro-v1:0", **GENERATE_TOLD, **STREAMED),
        input=ASKED,
        output=[{"role": "assistant", "parts": [TEXT]}],
    ),
    Way(
        "rerank",
        agents(
            "rerank",
            _undated,
            queries=[{"type": "TEXT", "textQuery": {"text": PROMPT}}],
            sources=[
                {
                    "type": "INLINE",
                    "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "artichoke"}},
                }
            ],
            rerankingConfiguration={
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {
                    "modelConfiguration": {
                        "modelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0"
                    }
                },
            },
        ),
        [Reply(fake("bedrock/rerank.json"))],
        _told("rerank", "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0"),
    ),
]
NEW = ("converse", "converse_stream", "agent", "inline_agent", "generate_stream", "rerank")
"""What not every supported SDK can send, or reads all of the answer to."""


def _is_new() -> bool:
    model = botocore.session.get_session().get_service_model(RUNTIME)
    return "serviceTier" in model.operation_model("Converse").output_shape.members


BODIES = ("claude", "nova", "titan", "llama", "mistral_chat", "titan_embeddings", "cohere_embeddings")
"""What answers with a body that is read as a file: before aiobotocore 3, none that is awaited is watched."""
IS_WATCHED = issubclass(aiobotocore.response.StreamingBody, io.IOBase)


def _colours(way: Way) -> Way:
    is_awaited = IS_WATCHED or way.name not in BODIES
    return way if is_awaited else dataclasses.replace(way, colours=("sync",))


SDK = Sdk(
    name="bedrock",
    client=Clients,
    ways=[_colours(way) for way in WAYS if way.name not in NEW or _is_new()],
    refusal=Reply(
        b'{"message": "Too many requests of marmalade, please wait before trying again."}',
        status=429,
        headers={
            "x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"
        },
    ),
    refused={"error.type": "ThrottlingException", "http.response.status_code": 429},
    random_headers=frozenset({"authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request"}),
    close=lambda clients: clients.close(),
)
