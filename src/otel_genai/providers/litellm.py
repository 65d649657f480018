"""LiteLLM: chat, legacy completions, responses and embeddings of whichever provider it turns to.

The functions are hooked where programs find them, in the package `litellm` itself; its `Router` and its own
helpers call them there, too. What calls what beneath, another SDK included, is part of the same call.

A name that was imported before `instrument()` (`from litellm import completion`) is the function itself, and
so is what LiteLLM's own clients call: those are seen within, where LiteLLM's decorator, which all of these
functions pass, calls what it decorates. There an attempt is a call, and an answer out of the cache is none.

LiteLLM can make spans of its own (`litellm.callbacks = ["otel"]`), of another shape, once a call is over.
Where it does, the call is measured and has no other span, as one per call is enough. That is asked at each
call, as a program may change its mind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s
from otel_genai.providers import _chat, _litellm_answer, _responses
from otel_genai.providers._litellm_names import OPENAI_LIKE, UNKNOWN, ask_usage, named, resolved
from otel_genai.providers.surface import Surface, at
from otel_genai.spec import Attributes, Body, Operation, Provider, Request, Row, Server

if TYPE_CHECKING:
    from openai.types import CompletionUsage, CreateEmbeddingResponse

# --- Who answers -----------------------------------------------------------------------------------------


def server(client: Any, body: Body) -> Server:  # noqa: ARG001 (a plain function has none)
    """Say who will answer, and where, if the caller says where."""
    word, _ = resolved(body)
    url = body.get("api_base") or body.get("base_url")
    name = named(word, url) if word else UNKNOWN
    return at(name, url) if isinstance(url, str) else Server(name)


def served(r: Any) -> Attributes:
    """Say who did answer: LiteLLM may have found another provider than the one that was asked first."""
    hidden = r._hidden_params
    if hidden is None:
        return {}
    word, url = hidden.custom_llm_provider, hidden.api_base
    is_url = isinstance(url, str) and "://" in url
    where = at("", url) if is_url else Server("")
    return {
        s.PROVIDER_NAME: named(word, url) if word and word != _CACHE else None,
        s.SERVER_ADDRESS: where.address,
        s.SERVER_PORT: where.port,
    }


_CACHE = "cached_response"

# --- What was asked --------------------------------------------------------------------------------------


def asked(body: Body) -> Attributes:
    """Name the model as its provider does; what only OpenAI has is told of OpenAI alone."""
    word, model = resolved(body)
    tier = body.get("service_tier")
    is_openai = word in OPENAI_LIKE or word == "azure"
    return {
        s.REQUEST_MODEL: model,
        s.OPENAI_REQUEST_SERVICE_TIER: _chat.unless_auto(tier) if tier and is_openai else None,
    }


def output_type(wanted: Any) -> str | None:
    """Say which kind of output was asked for; a class stands for its JSON schema."""
    return s.OUTPUT_JSON if isinstance(wanted, type) else _chat.output_type(wanted)


def effort(given: Any) -> Any:
    """Give how much the model was told to think: a word, or one among other settings."""
    return given["effort"] if isinstance(given, dict) else given


_DERIVED = ("model", "service_tier")
CHAT_REQUEST: Mapping[str, Row] = {
    **{key: row for key, row in _chat.REQUEST.items() if key not in _DERIVED},
    "response_format": (s.OUTPUT_TYPE, output_type),
    "reasoning_effort": (s.REQUEST_REASONING_LEVEL, effort),
}
RESPONSES_REQUEST: Mapping[str, Row] = {
    key: row for key, row in _responses.REQUEST.items() if key not in _DERIVED
}
EMBEDDINGS_REQUEST: Mapping[str, Row] = {
    "dimensions": s.EMBEDDINGS_DIMENSION_COUNT,
    "encoding_format": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
}

# --- What came back --------------------------------------------------------------------------------------


def response(r: Any) -> Attributes:
    """Say what the answer is called, and which model the provider says it is of."""
    hidden = r._hidden_params
    told = hidden.provider_response_model if hidden is not None else None  # absent in litellm 1.90
    return {s.RESPONSE_ID: r.id, s.RESPONSE_MODEL: told or _bare(r.model, hidden)}


def _bare(model: Any, hidden: Any) -> Any:
    """Take LiteLLM's word for the provider off a model's name."""
    word = hidden.custom_llm_provider if hidden is not None else None
    return model.removeprefix(f"{word}/") if isinstance(model, str) else model


def usage(r: Any) -> Attributes:
    """Count tokens as the provider did; an answer out of LiteLLM's own cache used none."""
    hidden = r._hidden_params
    if hidden is not None and (hidden.cache_hit is True or hidden.custom_llm_provider == _CACHE):
        return {s.USAGE_INPUT_TOKENS: 0, s.USAGE_OUTPUT_TOKENS: 0}
    return counts(r.usage, str(r.model or r.asked)) if _litellm_answer.is_told(r.usage) else {}


def counts(u: CompletionUsage, model: str) -> Attributes:
    """Give the counts of one usage record: https://docs.litellm.ai/docs/completion/usage.

    Cached tokens are in the prompt's and reasoning is in the completion's, whatever the provider does:
    https://docs.litellm.ai/docs/completion/prompt_caching. Of images and sound the prompt's details count
    only what was not cached, so they are told where nothing was. What Claude thought, LiteLLM guesses.
    """
    read, written = u.prompt_tokens_details, u.completion_tokens_details
    found: Attributes = {s.USAGE_INPUT_TOKENS: u.prompt_tokens, s.USAGE_OUTPUT_TOKENS: u.completion_tokens}
    if read is not None:
        found[s.USAGE_CACHE_READ_INPUT_TOKENS] = read.cached_tokens
        # its second name is the older one
        wrote = getattr(read, "cache_write_tokens", None)
        found[s.USAGE_CACHE_WRITE_INPUT_TOKENS] = (
            getattr(read, "cache_creation_tokens", None) if wrote is None else wrote
        )
        if not read.cached_tokens:
            found[s.USAGE_AUDIO_INPUT_TOKENS] = read.audio_tokens
            found[s.USAGE_IMAGE_INPUT_TOKENS] = getattr(read, "image_tokens", None)
    if written is not None:
        found[s.USAGE_AUDIO_OUTPUT_TOKENS] = written.audio_tokens
        found[s.USAGE_IMAGE_OUTPUT_TOKENS] = getattr(written, "image_tokens", None)
        found[s.USAGE_REASONING_OUTPUT_TOKENS] = None if "claude" in model else written.reasoning_tokens
    return found


def responses_usage(r: Any) -> Attributes:
    """Count tokens of a response; once it is logged, its usage is of the shape that a chat's has."""
    u = r.usage
    in_chat_shape = u is not None and u.input_tokens is None and _litellm_answer.is_told(u)
    return counts(u, str(r.model)) if in_chat_shape else _responses.usage(r)


def dimensions(r: CreateEmbeddingResponse) -> Attributes:
    """Say how long the vectors are, where they are numbers."""
    vector: Any = r.data[0].embedding
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(vector) if isinstance(vector, list) else None}


def embedded(r: Any) -> Attributes:
    """Say which model answered."""
    return {s.RESPONSE_MODEL: _bare(r.model, r._hidden_params)}


def embedding_usage(r: Any) -> Attributes:
    """Count tokens: there are none in the output."""
    found = usage(r)
    return {s.USAGE_INPUT_TOKENS: found.get(s.USAGE_INPUT_TOKENS)}


# --- The declaration -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Function(Surface):
    """A function of LiteLLM's."""

    def stream(self, request: Request, result: Any) -> Any:
        """Give the result if it is a stream: some answers come whole although a stream was asked for."""
        is_stream = hasattr(type(result), "__next__") or hasattr(type(result), "__anext__")
        return result if request.stream and is_stream else None

    def answer(self, request: Request, result: Any) -> Any:  # noqa: ARG002 (as of every seam)
        """Give the answer with what is missing in it as None."""
        return _litellm_answer.lenient(result)


@dataclass(frozen=True, slots=True)
class _Decorated(_Function):
    """A function that LiteLLM has decorated, beneath the decorator."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation this is, for calls that did not come by way of the package."""
        request = _Function.request(self, client, args, kwargs)
        if request is not None:
            request.is_beneath = True
        return request


def _streams(body: Body) -> bool:
    """Whether a stream is what the caller gets."""
    return bool(body.get("stream")) and not body.get("complete_response")


def _is_stream(body: Body) -> bool:
    """Whether a stream is what LiteLLM gets, whatever it makes of it."""
    return bool(body.get("stream"))


CHAT = Operation(
    name=s.CHAT,
    request=CHAT_REQUEST,
    derived=asked,
    response=(response, served, _chat.finish, usage),
    inputs=_chat.inputs,
    tools=_chat.tools,
    outputs=_chat.outputs,
    fold=_litellm_answer.Fold,
    asks=ask_usage,
    is_usage=_litellm_answer.is_usage,
    fault=_chat.fault,
    error=_litellm_answer.error,
)
RESPONSES = Operation(
    name=s.CHAT,
    request=RESPONSES_REQUEST,
    derived=asked,
    response=(_responses.response, served, _responses.finish, _responses.compacted, responses_usage),
    instructions=_responses.instructions,
    inputs=_responses.inputs,
    tools=_chat.tools,
    outputs=_responses.outputs,
    fold=_litellm_answer.ResponsesFold,
    fault=_responses.fault,
    error=_litellm_answer.error,
)
COMPLETIONS = Operation(
    name=s.TEXT_COMPLETION,
    request=CHAT_REQUEST,
    derived=asked,
    response=(response, served, _chat.finish, usage),
    inputs=_litellm_answer.prompts,
    outputs=_litellm_answer.texts,
    fold=_litellm_answer.CompletionFold,
    error=_litellm_answer.error,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request=EMBEDDINGS_REQUEST,
    derived=asked,
    response=(embedded, served, dimensions, embedding_usage),
    error=_litellm_answer.error,
)


def _chat_call(body: Body) -> Operation | None:
    """Say that a call is a chat; one with fallbacks is several, each of which comes here, too."""
    return None if body.get("fallbacks") else CHAT


_SYNC = ("model", "messages", "timeout", "temperature", "top_p", "n", "stream", "stream_options")
_ASYNC = (*_SYNC[:2], "functions", "function_call", *_SYNC[2:])
_PROMPT = ("prompt", "model", "best_of", "echo", "frequency_penalty")
_INPUT = ("input", "model", "include", "instructions", "max_output_tokens")
_EMBED = ("model", "input", "dimensions", "encoding_format")
FUNCTIONS = {
    "completion": _Function(_chat_call, server, _SYNC, _streams),
    "acompletion": _Function(_chat_call, server, _ASYNC, _streams),
    "text_completion": _Function(COMPLETIONS, server, _PROMPT, _streams),
    "atext_completion": _Function(COMPLETIONS, server, _PROMPT, _streams),
    "responses": _Function(RESPONSES, server, _INPUT, _streams, iterables=("tools",)),
    "aresponses": _Function(RESPONSES, server, _INPUT, _streams, iterables=("tools",)),
    "embedding": _Function(EMBEDDINGS, server, _EMBED),
    "aembedding": _Function(EMBEDDINGS, server, _EMBED),
}


def _beneath(name: str, function: _Function) -> tuple[str, _Decorated]:
    """Give the place within a function where the decorator has what it decorates."""
    module = "litellm.responses.main" if name.endswith("responses") else "litellm.main"
    streams = _is_stream if function.streams else False
    hook = _Decorated(function.operation, server, function.names, streams, iterables=function.iterables)
    return f"{module}:{name}.__closure__.original_function", hook


PROVIDER = Provider(
    "litellm",
    requires="litellm >= 1.103",
    hooks={f"litellm:{name}": function for name, function in FUNCTIONS.items()}
    | dict(_beneath(name, function) for name, function in FUNCTIONS.items()),
    optional=frozenset({"litellm:responses", "litellm:aresponses"}),
)
