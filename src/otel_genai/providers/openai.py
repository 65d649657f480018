"""OpenAI: chat, responses, embeddings, images, audio and moderation, whichever client sends them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _ask, _chat, _chat_stream, _hosts, _openai_media, _responses, _stainless
from otel_genai.spec import Attributes, Body, Operation, Provider, Row

if TYPE_CHECKING:
    from openai.types import Completion, CreateEmbeddingResponse

# --- Who answers -----------------------------------------------------------------------------------------

CLIENTS = {"AzureOpenAI": s.AZURE_OPENAI, "BedrockOpenAI": s.AWS_BEDROCK}


def provider(client: Any, host: str) -> str:
    """Name who answers: by the client's class, then by host; a host nobody knows speaks OpenAI's language."""
    for cls in type(client).__mro__:
        if (name := CLIENTS.get(cls.__name__.removeprefix("Async"))) is not None:
            return name
    return _hosts.provider(host) or s.OPENAI


# --- Embeddings and legacy completions -------------------------------------------------------------------

EMBEDDINGS_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "dimensions": s.EMBEDDINGS_DIMENSION_COUNT,
    "encoding_format": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
}


def embedded(r: CreateEmbeddingResponse) -> Attributes:
    """Say which model answered."""
    return {s.RESPONSE_MODEL: r.model}


def dimensions(r: CreateEmbeddingResponse) -> Attributes:
    """Say how long the vectors are; in base64, which the SDK asks for, they are 4 bytes a number."""
    vector: Any = r.data[0].embedding
    base64 = isinstance(vector, str)
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(vector.rstrip("=")) * 3 // 16 if base64 else len(vector)}


def embedding_usage(r: CreateEmbeddingResponse) -> Attributes:
    """Count tokens: there are none in the output."""
    return {s.USAGE_INPUT_TOKENS: r.usage.prompt_tokens}


def embedding_fault(r: CreateEmbeddingResponse) -> str | None:
    """Give the code of an error that came in place of vectors."""
    return None if r.data else _chat.fault_of(r)


def prompts(body: Body) -> list[content.Message]:
    """Read the prompt of a legacy completion: a string, or several."""
    prompt = body.get("prompt")
    given = [prompt] if isinstance(prompt, str) else prompt
    return [content.message("user", [content.text(p)]) for p in given or () if isinstance(p, str)]


def texts(r: Completion) -> list[content.Message]:
    """Read the choices of a legacy completion."""
    return [
        content.message("assistant", [content.text(choice.text)], None, choice.finish_reason)
        for choice in r.choices
    ]


class CompletionFold(_chat_stream.Fold):
    """Adds the chunks of a legacy completion up."""

    __slots__ = ("_texts",)

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        super().__init__(content=content)
        self._texts: dict[Any, _Text] = {}

    def add(self, chunk: Any) -> bool:
        """Take one chunk in."""
        self._last = chunk
        if self._head is None and chunk.model:
            self._head = chunk
        self._add_rest(chunk)
        for choice in chunk.choices or ():
            known = self._texts.setdefault(choice.index, _Text())
            known.finish_reason = choice.finish_reason or known.finish_reason
            if self._content:
                known.text += choice.text or ""
        return any(choice.text for choice in chunk.choices or ())

    @property
    def choices(self) -> list[Any]:
        """The choices, in order."""
        return list(self._texts.values())


class _Text:
    __slots__ = ("finish_reason", "text")

    def __init__(self) -> None:
        self.finish_reason: Any = None
        self.text = ""


# --- The declaration -------------------------------------------------------------------------------------

_ERROR = _stainless.error(_chat.CODES)
CHAT = Operation(
    name=s.CHAT,
    request=_chat.REQUEST,
    constants={s.OPENAI_API_TYPE: "chat_completions"},
    response=(_chat.response, _chat.openai_response, _chat.finish, _chat.usage),
    inputs=_chat.inputs,
    tools=_chat.tools,
    outputs=_chat.outputs,
    fold=_chat_stream.Fold,
    asks=_ask.usage,
    is_usage=_ask.is_usage,
    fault=_chat.fault,
    error=_ERROR,
)
RESPONSES = Operation(
    name=s.CHAT,
    request=_responses.REQUEST,
    constants={s.OPENAI_API_TYPE: "responses"},
    response=(
        _responses.response,
        _responses.tier,
        _responses.finish,
        _responses.compacted,
        _responses.usage,
    ),
    instructions=_responses.instructions,
    inputs=_responses.inputs,
    tools=_chat.tools,
    outputs=_responses.outputs,
    fold=_responses.Fold,
    fault=_responses.fault,
    error=_ERROR,
)
FETCH = Operation(
    name=s.FETCH_RESPONSE,
    request=_responses.FETCH_REQUEST,
    constants={s.OPENAI_API_TYPE: "responses"},
    response=(_responses.fetched, _responses.tier),
    outputs=_responses.outputs,
    fold=_responses.Fold,
    error=_ERROR,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request=EMBEDDINGS_REQUEST,
    response=(embedded, dimensions, embedding_usage),
    fault=embedding_fault,
    error=_ERROR,
)
COMPLETIONS = Operation(
    name=s.TEXT_COMPLETION,
    request=_chat.REQUEST,
    response=(_chat.response, _chat.finish, _chat.usage),
    inputs=prompts,
    outputs=texts,
    fold=CompletionFold,
    asks=_ask.usage,
    is_usage=_ask.is_usage,
    fault=_chat.fault,
    error=_ERROR,
)
SEAM = _stainless.Seam(
    "openai",
    {
        "/chat/completions": CHAT,
        "/responses": RESPONSES,
        "/embeddings": EMBEDDINGS,
        "/completions": COMPLETIONS,
        **_openai_media.OPERATIONS,
    },
    provider,
    patterns=(
        ("get", re.compile(r"(?:^|/)responses/(?P<response_id>[^/]+)$"), FETCH),
        # A response that was cancelled comes back as it is stored.
        ("post", re.compile(r"(?:^|/)responses/(?P<response_id>[^/]+)/cancel$"), FETCH),
    ),
)
PROVIDER = Provider(
    "openai",
    requires="openai >= 1.66",
    hooks={"openai:OpenAI.request": SEAM, "openai:AsyncOpenAI.request": SEAM},
)
