"""InvokeModel: a body in the format of the model's own maker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import (
    _bedrock_converse,
    _bedrock_stream,
    _chat,
    _chat_stream,
    _messages,
    _messages_stream,
)
from otel_genai.providers._bedrock_errors import error
from otel_genai.providers._bedrock_stream import unpacked
from otel_genai.providers._bedrock_text import METRICS, OURS, TEXT, counted
from otel_genai.spec import Attributes, Body, Operation, plain, view

# --- Anthropic, Nova -------------------------------------------------------------------------------------


class MessagesFold(_messages_stream.Fold):
    """Adds the events of Anthropic's format up."""

    __slots__ = ()

    def add(self, event: Any) -> bool:
        """Take one event in."""
        return super().add(view(unpacked(event)))


class NovaFold(_bedrock_stream.Fold):
    """Adds the events of Nova's format up."""

    __slots__ = ()

    def add(self, event: Any) -> bool:
        """Take one event in."""
        return super().add(unpacked(event))


# --- Chat completions: Mistral's larger models, OpenAI's open ones, and many others ----------------------


def spelled(given: dict[str, Any]) -> dict[str, Any]:
    """Spell an answer or a chunk as OpenAI does: Mistral has other words for two of its keys."""
    choices = given.get("choices")
    if not isinstance(choices, list):
        return given
    return {**given, "choices": [_choice(one) if isinstance(one, dict) else one for one in choices]}


def _choice(one: dict[str, Any]) -> dict[str, Any]:
    return {"finish_reason": one.get("stop_reason"), "delta": one.get("message"), **one}


def _spelled(r: Any) -> Any:
    given = plain(r)
    return view(spelled(given)) if isinstance(given, dict) else r


def chat_finish(r: Any) -> Attributes:
    """Say why each choice ended."""
    return _chat.finish(_spelled(r))


def chat_usage(r: Any) -> Attributes:
    """Count tokens, by the model's own counts where it has them."""
    metrics = getattr(r, METRICS, None)
    return _chat.usage(r) if r.usage is not None or metrics is None else counted(metrics)


def chat_outputs(r: Any) -> list[content.Message]:
    """Read the choices, one message each."""
    return _chat.outputs(_spelled(r))


class ChatFold(_chat_stream.Fold):
    """Adds chunks up."""

    __slots__ = ("_metrics",)

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        super().__init__(content=content)
        self._metrics: Any = None

    def add(self, event: Any) -> bool:
        """Take one chunk in."""
        chunk = view(spelled(unpacked(event)))
        self._metrics = getattr(chunk, METRICS) or self._metrics
        return super().add(chunk)

    def __getattr__(self, name: str) -> Any:
        """Give Bedrock's counts."""
        if name == METRICS:
            return self._metrics
        raise AttributeError(name)


# --- Embeddings ------------------------------------------------------------------------------------------


def vectors(r: Any) -> Attributes:
    """Say how long the vectors are; Cohere's and Nova's come by type."""
    given = plain(r)
    found = given.get("embedding") or given.get("embeddings") or given["embeddingsByType"]
    if isinstance(found, dict):
        found = next(iter(found.values()))
    first = found[0]
    if isinstance(first, dict):
        first = first["embedding"]
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(first if isinstance(first, list) else found)}


def embedding_usage(r: Any) -> Attributes:
    """Count tokens: Titan does, for the others Bedrock."""
    counted_by = getattr(r, METRICS)
    return {s.USAGE_INPUT_TOKENS: r.inputTextTokenCount or (counted_by and counted_by.inputTokenCount)}


# --- Answers that do not count ---------------------------------------------------------------------------


def counts(headers: Mapping[str, str]) -> dict[str, int] | None:
    """Read the counts that are in the headers, as the last event of a stream would tell them."""
    return {name: int(headers[header]) for name, header in _HEADERS.items() if header in headers} or None


_HEADERS = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}


# --- The declaration -------------------------------------------------------------------------------------

MESSAGES = Operation(
    name=s.CHAT,
    request={**_messages.REQUEST, **OURS},
    derived=_messages.output_type,
    response=(_messages.response, _messages.finish, _messages.usage),
    instructions=_messages.instructions,
    inputs=_messages.inputs,
    tools=_messages.tools,
    outputs=_messages.outputs,
    fold=MessagesFold,
    error=error,
)
NOVA = replace(_bedrock_converse.CONVERSE, fold=NovaFold)
CHAT = Operation(
    name=s.CHAT,
    request={**_chat.COMMON, **OURS},
    response=(_chat.response, chat_finish, chat_usage),
    inputs=_chat.inputs,
    tools=_chat.tools,
    outputs=chat_outputs,
    fold=ChatFold,
    error=error,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request={
        "dimensions": s.EMBEDDINGS_DIMENSION_COUNT,
        "output_dimension": s.EMBEDDINGS_DIMENSION_COUNT,
        "embeddingTypes": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
        "embedding_types": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
        **OURS,
    },
    response=(vectors, embedding_usage),
    error=error,
)
RERANK = Operation(name=s.RERANK, request=OURS, error=error)
IMAGES = Operation(name=s.IMAGE_GENERATION, request=OURS, error=error)
NAMES = {
    "embed": EMBEDDINGS,
    "rerank": RERANK,
    "titan-image": IMAGES,
    "nova-canvas": IMAGES,
    "stability.": IMAGES,
}
"""What a model is that has this in its name."""
KEYS = {
    "anthropic_version": MESSAGES,
    "schemaVersion": NOVA,
    "inferenceConfig": NOVA,
    "prompt": TEXT,
    "inputText": TEXT,
    "messages": CHAT,
}
"""The format that a body has with this in it; which model an ARN is of, its name may not say."""
MAKERS = {"anthropic.claude": MESSAGES, "amazon.nova": NOVA}


def choose(given: Body) -> tuple[Operation, Body]:
    """Say which format a body is in, and lay it flat."""
    model, body = str(given.get("modelId")), _decoded(given.get("body"))
    config = body.get("textGenerationConfig")  # Titan's
    flat = {**body, **(config if isinstance(config, Mapping) else {}), "modelId": given.get("modelId"),
            "guardrailIdentifier": given.get("guardrailIdentifier")}  # fmt: skip
    operation = _named(NAMES, model) or _written(body, model)
    return operation, _bedrock_converse.body(flat) if operation is NOVA else flat


def _written(body: Body, model: str) -> Operation:
    known = next((operation for key, operation in KEYS.items() if key in body), None)
    if known in (None, CHAT):  # it may be Nova's, with no settings
        return _named(MAKERS, model) or known or TEXT
    return known


def _named(table: Mapping[str, Operation], model: str) -> Operation | None:
    return next((operation for name, operation in table.items() if name in model), None)


def _decoded(body: Any) -> dict[str, Any]:
    """Decode a body; a file is the SDK's to read."""
    try:
        found = json.loads(body) if isinstance(body, (str, bytes, bytearray)) else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}
