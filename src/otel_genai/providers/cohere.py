"""Cohere: chat, embeddings and reranking, in both generations of its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s
from otel_genai.providers import _chat, _cohere_content
from otel_genai.providers.surface import Surface, at
from otel_genai.spec import Attributes, Body, Operation, Provider, Row, Server, view

if TYPE_CHECKING:
    from cohere import EmbedByTypeResponse, EmbedResponse, NonStreamedChatResponse, Usage, V2ChatResponse
    from cohere.types import ApiMeta

# --- Who answers -----------------------------------------------------------------------------------------

CLIENTS = {"BedrockClient": s.AWS_BEDROCK, "SagemakerClient": s.COHERE, "OciClient": s.COHERE}
"""Clients that send their requests elsewhere than to their base URL, which says nothing then."""


def server(client: Any, body: Body) -> Server:  # noqa: ARG001 (no call names another)
    """Say who answers, by the client's class and its base URL."""
    for cls in type(client).__mro__:
        if (name := CLIENTS.get(cls.__name__.removesuffix("V2"))) is not None:
            return Server(name)
    wrapper = getattr(client, "_client_wrapper", None)
    if wrapper is None:  # the part of a client that speaks the second generation
        wrapper = client._raw_client._client_wrapper
    return at(s.COHERE, wrapper.get_base_url())


# --- What was asked --------------------------------------------------------------------------------------


def output_type(wanted: Any) -> str | None:
    """Say which kind of output was asked for."""
    return _chat.output_type({"type": view(wanted).type})


REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "p": (s.REQUEST_TOP_P, float),
    "k": s.REQUEST_TOP_K,
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
    "presence_penalty": (s.REQUEST_PRESENCE_PENALTY, float),
    "seed": s.REQUEST_SEED,
    "stop_sequences": s.REQUEST_STOP_SEQUENCES,
    "response_format": (s.OUTPUT_TYPE, output_type),
    "conversation_id": s.CONVERSATION_ID,  # the first generation's, which keeps conversations
}
EMBED_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "output_dimension": s.EMBEDDINGS_DIMENSION_COUNT,
    "embedding_types": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
}

# --- What came back --------------------------------------------------------------------------------------


def response(r: V2ChatResponse) -> Attributes:
    """Say what the answer is called; its model is not told."""
    return {s.RESPONSE_ID: r.id}


def v1_response(r: NonStreamedChatResponse) -> Attributes:
    """Say what the answer is called."""
    return {s.RESPONSE_ID: r.generation_id}


def finish(r: V2ChatResponse | NonStreamedChatResponse) -> Attributes:
    """Say why the one generation ended."""
    return {s.RESPONSE_FINISH_REASONS: [r.finish_reason]}


def usage(r: V2ChatResponse) -> Attributes:
    """Count tokens."""
    return {} if r.usage is None else _counts(r.usage)


def told(r: NonStreamedChatResponse | EmbedByTypeResponse | EmbedResponse) -> Attributes:
    """Count tokens, of what tells them beside the answer."""
    return {} if r.meta is None else _counts(r.meta)


def _counts(u: Usage | ApiMeta) -> Attributes:
    """Count what is billed, as the conventions ask for where it differs from what was processed.

    The cached tokens are of those processed, and may be more than those billed.
    https://docs.cohere.com/docs/how-does-cohere-pricing-work
    """
    billed, used = u.billed_units, u.tokens
    given = _whole(getattr(billed, "input_tokens", None))
    images = _whole(getattr(billed, "image_tokens", None))
    if given is None:
        given = images
    if given is not None:
        written = _whole(getattr(billed, "output_tokens", None))
        return {
            s.USAGE_INPUT_TOKENS: given,
            s.USAGE_OUTPUT_TOKENS: written,
            s.USAGE_IMAGE_INPUT_TOKENS: images,
        }
    return {
        s.USAGE_INPUT_TOKENS: _whole(getattr(used, "input_tokens", None)),
        s.USAGE_OUTPUT_TOKENS: _whole(getattr(used, "output_tokens", None)),
        s.USAGE_CACHE_READ_INPUT_TOKENS: _whole(
            getattr(u, "cached_tokens", None)
        ),  # absent before cohere 5.18
    }


def _whole(count: float | None) -> int | None:
    """Make an integer of a count, which the SDK has as a float."""
    return None if count is None else int(count)


_PACKED = {"float_": 1, "int8": 1, "uint8": 1, "binary": 8, "ubinary": 8}
"""Type of embeddings -> how many dimensions a number stands for."""


def dimensions(r: EmbedByTypeResponse | EmbedResponse) -> Attributes:
    """Say how long the vectors are."""
    vectors: Any = r.embeddings
    if isinstance(vectors, list):
        return {s.EMBEDDINGS_DIMENSION_COUNT: len(vectors[0])}
    kinds = ((getattr(vectors, kind, None), each) for kind, each in _PACKED.items())
    return {
        s.EMBEDDINGS_DIMENSION_COUNT: next((len(found[0]) * each for found, each in kinds if found), None)
    }


FAULTS = {"ERROR": s.ERROR_OTHER, "TIMEOUT": "TIMEOUT"}
"""Reasons to finish that are failures: https://docs.cohere.com/reference/chat."""


def fault(r: V2ChatResponse | NonStreamedChatResponse) -> str | None:
    """Say that the generation failed."""
    told = getattr(r, "error", None)  # the last event of a stream has it
    return FAULTS.get(str(r.finish_reason)) or (s.ERROR_OTHER if told else None)


def error(raised: Any) -> Attributes:
    """Read the SDK's exceptions, whose classes tell all but the status."""
    status = getattr(raised, "status_code", None)
    return {s.HTTP_STATUS_CODE: status if status is not None and status >= 400 else None}  # noqa: PLR2004 (HTTP's)


# --- The declaration -------------------------------------------------------------------------------------

CHAT = Operation(
    name=s.CHAT,
    request=REQUEST,
    response=(response, finish, usage),
    inputs=_cohere_content.inputs,
    tools=_chat.tools,
    outputs=_cohere_content.outputs,
    fold=_cohere_content.Fold,
    fault=fault,
    error=error,
)
V1_CHAT = Operation(
    name=s.CHAT,
    request=REQUEST,
    response=(v1_response, finish, told),
    instructions=_cohere_content.preamble,
    inputs=_cohere_content.v1_inputs,
    tools=_cohere_content.v1_tools,
    outputs=_cohere_content.v1_outputs,
    fold=_cohere_content.V1Fold,
    fault=fault,
    error=error,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request=EMBED_REQUEST,
    response=(dimensions, told),
    error=error,
)
RERANK = Operation(name=s.RERANK, request={"model": s.REQUEST_MODEL}, error=error)
"""It is billed by searches."""

_METHODS = {
    # An embedding of many texts is several requests, made by threads, whose answers become one.
    "cohere.client": {"Client": {"embed": EMBEDDINGS}},
    "cohere.base_client": {"BaseCohere": {"chat": V1_CHAT, "chat_stream": V1_CHAT, "rerank": RERANK}},
    "cohere.v2.client": {
        "V2Client": {"chat": CHAT, "chat_stream": CHAT, "embed": EMBEDDINGS, "rerank": RERANK}
    },
}
PROVIDER = Provider(
    "cohere",
    requires="cohere >= 5.20",
    hooks={
        f"{module}:{color}{name}.{method}": Surface(operation, server, streams=method == "chat_stream")
        for module, classes in _METHODS.items()
        for name, methods in classes.items()
        for method, operation in methods.items()
        for color in ("", "Async")
    },
)
