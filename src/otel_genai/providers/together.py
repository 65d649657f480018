"""Together: chat, legacy completions, embeddings, reranking, audio and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _audio, _chat, _chat_stream, _stainless
from otel_genai.spec import Attributes, Body, Operation, Provider, Row, view

if TYPE_CHECKING:
    from together.types import Completion, CompletionChunk, Embedding, ImageFile, RerankCreateResponse
    from together.types.chat import ChatCompletion


def provider(client: Any, host: str) -> str:  # noqa: ARG001 (the SDK is Together's own)
    """Name who answers; the conventions have no name of their own for it."""
    return "together"


# --- Chat ------------------------------------------------------------------------------------------------


def usage(r: ChatCompletion | Completion | RerankCreateResponse) -> Attributes:
    """Count tokens: cached ones are in the prompt's, as the total is the prompt's and the completion's.

    https://docs.together.ai/reference/chat-completions-1
    """
    u: Any = view(r.usage)
    if u is None:
        return {}
    return {
        s.USAGE_INPUT_TOKENS: u.prompt_tokens,
        s.USAGE_OUTPUT_TOKENS: u.completion_tokens,
        # not in the SDK's type
        s.USAGE_CACHE_READ_INPUT_TOKENS: getattr(u, "cached_tokens", None),
    }


# --- Legacy completions ----------------------------------------------------------------------------------


def prompts(body: Body) -> list[content.Message]:
    """Read the prompt of a legacy completion."""
    return [content.message("user", [content.text(text)]) for text in _chat.strings(body.get("prompt"))]


def texts(r: Completion) -> list[content.Message]:
    """Read the choices of a legacy completion."""
    return [
        content.message("assistant", [content.text(choice.text)], None, _chat.reason(choice.finish_reason))
        for choice in r.choices
        if choice.text
    ]


class CompletionFold:
    """Adds the chunks of a legacy completion up."""

    __slots__ = ("_content", "_texts", "id", "model", "usage")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._texts: dict[int, _Text] = {}
        self.id: str | None = None
        self.model: str | None = None
        self.usage: Any = None

    def add(self, chunk: CompletionChunk) -> bool:
        """Take one chunk in; what the API tells of each choice, its documentation has beside them."""
        self.id = chunk.id
        self.model = getattr(chunk, "model", self.model)  # not in the SDK's type
        self.usage = chunk.usage or self.usage
        said = False
        for choice in chunk.choices or ():
            known = self._texts.setdefault(choice.index or 0, _Text())
            ended = getattr(choice, "finish_reason", None) or chunk.finish_reason
            known.finish_reason = ended or known.finish_reason
            text = choice.text or (choice.delta.content if choice.delta else None)
            said = said or bool(text)
            if self._content:
                known.text += text or ""
        return said

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self.id is None else self

    @property
    def complete(self) -> bool:
        """Whether every choice that began has come to its end."""
        return bool(self._texts) and all(text.finish_reason for text in self._texts.values())

    @property
    def choices(self) -> list[_Text]:
        """The choices, in order."""
        return list(self._texts.values())


class _Text:
    __slots__ = ("finish_reason", "text")

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.text = ""


# --- Embeddings and reranking ----------------------------------------------------------------------------

MODEL: Mapping[str, Row] = {"model": s.REQUEST_MODEL}


def embedded(r: Embedding) -> Attributes:
    """Say which model answered, and how long its vectors are."""
    return {s.RESPONSE_MODEL: r.model, s.EMBEDDINGS_DIMENSION_COUNT: len(r.data[0].embedding)}


def embedding_usage(r: Embedding) -> Attributes:
    """Count tokens: there are none in the output."""
    told: Any = view(getattr(r, "usage", None))  # not in the SDK's type
    return {s.USAGE_INPUT_TOKENS: getattr(told, "prompt_tokens", None)}


def query(body: Body) -> list[content.Message]:
    """Read what documents are ranked by."""
    return [content.message("user", [content.text(text)]) for text in _chat.strings(body.get("query"))]


# --- Images ----------------------------------------------------------------------------------------------

IMAGES_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "seed": s.REQUEST_SEED,
    "n": (s.REQUEST_CHOICE_COUNT, _chat.unless_one),
}


def images(r: ImageFile) -> list[content.Message]:
    """Refer to the images made."""
    return [content.message("assistant", [_image(item)]) for item in r.data]


def _image(item: Any) -> content.Part:
    return content.media("image", getattr(item, "url", None), getattr(item, "b64_json", None))


# --- The declaration -------------------------------------------------------------------------------------

_ERROR = _stainless.error(frozenset())  # https://docs.together.ai/docs/error-codes: the status says it all
CHAT = Operation(
    name=s.CHAT,
    request=_chat.COMMON,
    response=(_chat.response, _chat.finish, usage),
    inputs=_chat.inputs,
    tools=_chat.tools,
    outputs=_chat.outputs,
    fold=_chat_stream.Fold,
    fault=_chat.fault,
    error=_ERROR,
)
COMPLETIONS = Operation(
    name=s.TEXT_COMPLETION,
    request=_chat.COMMON,
    response=(_chat.response, _chat.finish, usage),
    inputs=prompts,
    outputs=texts,
    fold=CompletionFold,
    error=_ERROR,
)
EMBEDDINGS = Operation(name=s.EMBEDDINGS, request=MODEL, response=(embedded, embedding_usage), error=_ERROR)
RERANK = Operation(name=s.RERANK, request=MODEL, response=(_chat.response, usage), inputs=query, error=_ERROR)
TRANSCRIPTION, SPEECH = _audio.operations(_ERROR)
IMAGES = Operation(
    name=s.IMAGE_GENERATION,
    request=IMAGES_REQUEST,
    constants={s.OUTPUT_TYPE: s.OUTPUT_IMAGE},
    response=(_chat.response,),
    inputs=prompts,
    outputs=images,
    error=_ERROR,
)
PATHS = {
    "/chat/completions": CHAT,  # before the path that it ends with
    "/completions": COMPLETIONS,
    "/embeddings": EMBEDDINGS,
    "/rerank": RERANK,
    "/audio/transcriptions": TRANSCRIPTION,
    "/audio/translations": TRANSCRIPTION,
    "/audio/speech": SPEECH,
    "/images/generations": IMAGES,
}
SEAM = _stainless.Seam(
    "together",
    # the version was in the client's URL before together 3
    {f"{version}{path}": operation for path, operation in PATHS.items() for version in ("/v1", "")},
    provider,
)
PROVIDER = Provider(
    "together",
    requires="together >= 2.0",
    hooks={"together:Together.request": SEAM, "together:AsyncTogether.request": SEAM},
)
