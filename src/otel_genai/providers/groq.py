"""Groq: chat completions, embeddings, speech to text and text to speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s
from otel_genai.providers import _audio, _chat, _chat_stream, _stainless
from otel_genai.spec import Attributes, Operation, Provider, Row

if TYPE_CHECKING:
    from groq.types import CreateEmbeddingResponse
    from groq.types.chat import ChatCompletion, ChatCompletionChunk


def provider(client: Any, host: str) -> str:  # noqa: ARG001 (the SDK is Groq's own)
    """Name who answers."""
    return s.GROQ


CODES = frozenset({
    "context_length_exceeded", "json_validate_failed", "model_not_found", "rate_limit_exceeded",
    "tool_use_failed",
})  # fmt: skip
"""The codes that the API tells, of which https://console.groq.com/docs/errors documents the kinds."""

# --- Tokens ----------------------------------------------------------------------------------------------


def usage(r: ChatCompletion | Fold) -> Attributes:
    """Count tokens; before groq 0.37 the details are plain dicts.

    Cached tokens are in the prompt's: https://console.groq.com/docs/prompt-caching. Reasoning is in the
    completion's: https://console.groq.com/docs/reasoning.
    """
    return _chat.hosted_usage(r)


class Fold(_chat_stream.Fold):
    """Adds chunks up; what was used, and what went wrong, comes in Groq's own part of the last one."""

    __slots__ = ()

    def add(self, chunk: ChatCompletionChunk) -> bool:  # type: ignore[override]  # of Groq's own SDK
        """Take one chunk in."""
        told = chunk.x_groq
        if told is not None:
            self._usage = told.usage or self._usage
            self.error = told.error or self.error
        return super().add(chunk)  # type: ignore[arg-type]  # it reads what both SDKs' chunks have


def fault(r: Any) -> str | None:
    """Give the code of an error that ended a stream; it has none where it is told in words."""
    return _chat.fault_of(r) if isinstance(r, Fold) else _chat.fault(r)


# --- Embeddings ------------------------------------------------------------------------------------------

EMBEDDINGS_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "encoding_format": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
}


def embedded(r: CreateEmbeddingResponse) -> Attributes:
    """Say which model answered."""
    return {s.RESPONSE_MODEL: r.model}


def dimensions(r: CreateEmbeddingResponse) -> Attributes:
    """Say how long the vectors are, where they are not in base64."""
    vector = r.data[0].embedding
    return {s.EMBEDDINGS_DIMENSION_COUNT: None if isinstance(vector, str) else len(vector)}


def embedding_usage(r: CreateEmbeddingResponse) -> Attributes:
    """Count tokens: there are none in the output."""
    return {s.USAGE_INPUT_TOKENS: r.usage.prompt_tokens}


# --- The declaration -------------------------------------------------------------------------------------

_ERROR = _stainless.error(CODES)
CHAT = Operation(
    name=s.CHAT,
    request=_chat.COMMON,
    response=(_chat.response, _chat.finish, usage),
    inputs=_chat.inputs,
    tools=_chat.tools,
    outputs=_chat.outputs,
    fold=Fold,
    fault=fault,
    error=_ERROR,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request=EMBEDDINGS_REQUEST,
    response=(embedded, dimensions, embedding_usage),
    error=_ERROR,
)
TRANSCRIPTION, SPEECH = _audio.operations(_ERROR)
SEAM = _stainless.Seam(
    "groq",
    {
        "/openai/v1/chat/completions": CHAT,
        "/openai/v1/embeddings": EMBEDDINGS,
        "/openai/v1/audio/transcriptions": TRANSCRIPTION,
        "/openai/v1/audio/translations": TRANSCRIPTION,
        "/openai/v1/audio/speech": SPEECH,
    },
    provider,
)
PROVIDER = Provider(
    "groq",
    requires="groq >= 0.13",
    hooks={"groq:Groq.request": SEAM, "groq:AsyncGroq.request": SEAM},
)
