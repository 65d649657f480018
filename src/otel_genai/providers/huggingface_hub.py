"""Hugging Face's InferenceClient: chat, text generation and embeddings, whoever it has answer them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _ask, _chat, _chat_stream, _hosts
from otel_genai.providers.surface import Surface, at
from otel_genai.spec import Attributes, Body, Operation, Provider, Request, Row, Server

if TYPE_CHECKING:
    from huggingface_hub import TextGenerationOutput, TextGenerationStreamOutput

# --- Who answers -----------------------------------------------------------------------------------------

HUGGING_FACE = "huggingface"
ROUTER = "router.huggingface.co"
NAMES = {
    "auto": HUGGING_FACE,  # the router chooses, and does not say whom
    "cohere": s.COHERE,
    "fireworks-ai": "fireworks",
    "groq": s.GROQ,
    "hf-inference": HUGGING_FACE,
    "openai": s.OPENAI,
    "zai-org": "zai",
}
"""The router's name of a provider -> its name, where that is another one or the conventions'."""


def server(client: Any, body: Body) -> Server:
    """Say who answers: at a URL given in place of a model, through the router, or directly."""
    url = _place(client, body)
    if url is not None:
        return _at(url)
    chosen = client.provider or "auto"
    if chosen == "auto":
        model, _, wanted = str(body.get("model") or client.model or "").rpartition(":")
        chosen = wanted if model and wanted in _routed() else chosen
    name = NAMES.get(chosen, chosen)
    token = client.token
    if name == HUGGING_FACE or token is None or token.startswith("hf_"):
        return Server(name, ROUTER, 443)
    direct = _direct(chosen)
    return Server(name) if direct is None else at(name, direct)


def _at(url: str) -> Server:
    """Say who answers at a URL; one that nobody knows is Hugging Face's own server at home."""
    try:
        found = at(HUGGING_FACE, url)
    except ValueError:  # no URL, and the SDK's to refuse
        return Server(HUGGING_FACE)
    return replace(found, provider=_hosts.provider(found.address or "") or HUGGING_FACE)


def _place(client: Any, body: Body) -> str | None:
    """Give the URL that stands in place of a model."""
    places = [place for place in (client.model, body.get("model")) if isinstance(place, str)]
    return next((place for place in places if _is_url(place)), None)


def _is_url(model: object) -> bool:
    return isinstance(model, str) and model.startswith(("https://", "http://"))


def _routed() -> Mapping[str, Mapping[str, Any]]:
    """Give the providers that the SDK knows; where it keeps them is its own affair."""
    providers: Any = sys.modules.get("huggingface_hub.inference._providers")
    return getattr(providers, "PROVIDERS", None) or {}


def _direct(provider: str) -> str | None:
    """Give the URL of a provider that is called with a key of its own."""
    helpers = _routed().get(provider) or {}
    return next((helper.base_url for helper in helpers.values()), None)


class Call(Surface):
    """A method of the client, whose model may be the client's own."""

    __slots__ = ()

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation this is, and of which model."""
        request = Surface.request(self, client, args, kwargs)
        if request is not None:
            model = request.body.get("model") or client.model
            request.body = {**request.body, "model": None if _is_url(model) else model}
        return request


# --- Text generation -------------------------------------------------------------------------------------

TEXT_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_new_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "top_k": s.REQUEST_TOP_K,
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
    "seed": s.REQUEST_SEED,
    "stop_sequences": (s.REQUEST_STOP_SEQUENCES, _chat.strings),
    "stop": (s.REQUEST_STOP_SEQUENCES, _chat.strings),
}


class TextFold:
    """Adds a text up that comes token by token: as strings, or with details."""

    __slots__ = ("_began", "_content", "_texts", "complete", "details")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._began = False
        self._content = content
        self._texts: list[str] = []
        self.complete = False
        self.details: Any = None

    def add(self, event: str | TextGenerationStreamOutput) -> bool:
        """Take one token in."""
        self._began = True
        if isinstance(event, str):
            self.complete = True  # nothing tells the end
            text = event
        else:
            self.details = event.details or self.details
            self.complete = self.details is not None
            text = "" if event.token.special else event.token.text
        if self._content:
            self._texts.append(text)
        return bool(text)

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return self if self._began else None

    @property
    def generated_text(self) -> str:
        """The text so far."""
        return "".join(self._texts)


def finish(r: str | TextGenerationOutput) -> Attributes:
    """Say why the text ended, where details were asked for."""
    details = None if isinstance(r, str) else r.details
    return {} if details is None else {s.RESPONSE_FINISH_REASONS: [details.finish_reason]}


def text_usage(r: Any) -> Attributes:
    """Count tokens, where details were asked for: a stream tells how many the prompt has, else it is listed.

    https://huggingface.github.io/text-generation-inference/
    """
    details = None if isinstance(r, str) else r.details
    if details is None:
        return {}
    listed = getattr(details, "prefill", None)
    given = getattr(details, "input_length", None)
    return {
        s.USAGE_INPUT_TOKENS: len(listed) if given is None and listed else given,
        s.USAGE_OUTPUT_TOKENS: details.generated_tokens,
    }


def prompts(body: Body) -> list[content.Message]:
    """Read the prompt."""
    return [content.message("user", [content.text(text)]) for text in _chat.strings(body.get("prompt"))]


def texts(r: str | TextGenerationOutput) -> list[content.Message]:
    """Read the text."""
    if isinstance(r, str):
        return [content.message("assistant", [content.text(r)])]
    why = None if r.details is None else _chat.reason(r.details.finish_reason)
    return [content.message("assistant", [content.text(r.generated_text)], None, why)]


# --- Embeddings, and errors ------------------------------------------------------------------------------

EMBEDDINGS_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "dimensions": s.EMBEDDINGS_DIMENSION_COUNT,
    "encoding_format": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
}


def dimensions(r: Any) -> Attributes:
    """Say how long the vectors are: an array of numpy, of one vector or of several."""
    return {s.EMBEDDINGS_DIMENSION_COUNT: int(r.shape[-1])}


def error(raised: Any) -> Attributes:
    """Read the HTTP status: that of the answer, of an error of aiohttp's, or of what an error was made of."""
    cause = raised.__cause__
    for one in (raised, cause):
        response = getattr(one, "response", None)
        status = getattr(response, "status_code", None) or getattr(one, "status", None)
        if status is not None:
            return {s.HTTP_STATUS_CODE: status}
    return {}


# --- The declaration -------------------------------------------------------------------------------------

CHAT = Operation(
    name=s.CHAT,
    request=_chat.COMMON,
    response=(_chat.response, _chat.finish, _chat.hosted_usage),
    inputs=_chat.inputs,
    tools=_chat.tools,
    outputs=_chat.outputs,
    fold=_chat_stream.Fold,
    asks=_ask.usage,
    is_usage=_ask.is_usage,
    fault=_chat.fault,
    error=error,
)
TEXT = Operation(
    name=s.TEXT_COMPLETION,
    request=TEXT_REQUEST,
    response=(finish, text_usage),
    inputs=prompts,
    outputs=texts,
    fold=TextFold,
    error=error,
)
EMBEDDINGS = Operation(name=s.EMBEDDINGS, request=EMBEDDINGS_REQUEST, response=(dimensions,), error=error)


def _streams(body: Body) -> bool:
    return bool(body.get("stream"))


METHODS = {
    "chat_completion": Call(CHAT, server, ("messages",), _streams),
    "text_generation": Call(TEXT, server, ("prompt",), _streams),
    "feature_extraction": Call(EMBEDDINGS, server, ("text",)),
}
CLIENTS = (
    "huggingface_hub.inference._client:InferenceClient",
    "huggingface_hub.inference._generated._async_client:AsyncInferenceClient",
)
PROVIDER = Provider(
    "huggingface_hub",
    requires="huggingface_hub >= 0.30",
    hooks={f"{client}.{name}": method for client in CLIENTS for name, method in METHODS.items()},
)
