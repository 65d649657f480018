"""Mistral AI: chat, fill-in-the-middle, agents and embeddings, on its own platform, Azure and Vertex AI."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s
from otel_genai.content import decoded
from otel_genai.providers import _chat, _mistralai_content
from otel_genai.providers.surface import Surface, at
from otel_genai.spec import Attributes, Body, Operation, Provider, Request, Row, Server, view

if TYPE_CHECKING:
    from mistralai.client.models import ChatCompletionResponse, EmbeddingResponse, UsageInfo

# --- Who answers -----------------------------------------------------------------------------------------


def server(provider: str, client: Any, body: Body) -> Server:
    """Say who answers: the client's server, unless the call names another."""
    given = body.get("server_url")
    url = given if isinstance(given, str) else client.sdk_configuration.get_server_details()[0]
    return at(provider, url)


# --- What was asked --------------------------------------------------------------------------------------


def output_type(wanted: Any) -> str | None:
    """Say which kind of output was asked for."""
    return _chat.output_type({"type": view(wanted).type})


REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "top_k": s.REQUEST_TOP_K,
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
    "presence_penalty": (s.REQUEST_PRESENCE_PENALTY, float),
    "random_seed": s.REQUEST_SEED,
    "stop": (s.REQUEST_STOP_SEQUENCES, _chat.strings),
    "n": (s.REQUEST_CHOICE_COUNT, _chat.unless_one),
    "reasoning_effort": s.REQUEST_REASONING_LEVEL,
    "response_format": (s.OUTPUT_TYPE, output_type),
    "agent_id": s.AGENT_ID,
}
EMBEDDINGS_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "output_dimension": s.EMBEDDINGS_DIMENSION_COUNT,
    "encoding_format": (s.REQUEST_ENCODING_FORMATS, _chat.strings),
}

# --- What came back --------------------------------------------------------------------------------------


def response(r: ChatCompletionResponse) -> Attributes:
    """Say what the answer is called."""
    return {s.RESPONSE_ID: r.id, s.RESPONSE_MODEL: r.model}


def finish(r: ChatCompletionResponse) -> Attributes:
    """Say why each choice ended."""
    return {s.RESPONSE_FINISH_REASONS: [choice.finish_reason for choice in r.choices]}


def usage(r: ChatCompletionResponse) -> Attributes:
    """Count tokens: cached ones are in the prompt's.

    https://docs.mistral.ai/studio-api/conversations/advanced/prompt-caching
    """
    return {} if r.usage is None else _counts(r.usage)


def _counts(u: UsageInfo) -> Attributes:
    given, known = u.model_fields_set, view(getattr(u, "prompt_tokens_details", None))  # not in the type
    tier = getattr(u, "service_tier", None)  # absent before mistralai 3
    return {
        # what was not sent reads as 0
        s.USAGE_INPUT_TOKENS: u.prompt_tokens if "prompt_tokens" in given else None,
        s.USAGE_OUTPUT_TOKENS: u.completion_tokens if "completion_tokens" in given else None,
        s.USAGE_CACHE_READ_INPUT_TOKENS: getattr(known, "cached_tokens", None),
        s.SERVICE_TIER: tier if tier and tier != "standard" else None,
    }


def fault(r: ChatCompletionResponse) -> str | None:
    """Say that a choice ended in an error, which the API does not name."""
    return s.ERROR_OTHER if any(choice.finish_reason == "error" for choice in r.choices) else None


def embedded(r: EmbeddingResponse) -> Attributes:
    """Say which model answered."""
    return {s.RESPONSE_MODEL: r.model}


def embedding_usage(r: EmbeddingResponse) -> Attributes:
    """Count tokens: there are none in the output."""
    return {s.USAGE_INPUT_TOKENS: _counts(r.usage)[s.USAGE_INPUT_TOKENS]}


def dimensions(r: EmbeddingResponse) -> Attributes:
    """Say how long the vectors are; those of whole numbers may have several dimensions in each.

    https://docs.mistral.ai/studio/knowledge-rag/embeddings/code_embeddings
    """
    vector = r.data[0].embedding or []
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(vector) if any(number % 1 for number in vector[:16]) else None}


CODES = frozenset({"authentication_error", "invalid_request_error", "rate_limit_error", "server_error"})
"""The categories that the API documents: https://docs.mistral.ai/resources/error-glossary."""


def error(raised: Any) -> Attributes:
    """Read the SDK's exceptions: the status, and the category, which their one class does not tell."""
    status = getattr(raised, "status_code", None)
    told = decoded(getattr(raised, "body", None))
    kind = told.get("type") if isinstance(told, dict) else None
    return {
        s.HTTP_STATUS_CODE: status if status is not None and status >= 400 else None,  # noqa: PLR2004 (HTTP's)
        s.ERROR_TYPE: kind if kind in CODES else None,
    }


# --- The SDK's own spans ---------------------------------------------------------------------------------

_OPERATION_IDS = frozenset(
    {
        "agents_completion_v1_agents_completions_post",
        "chat_completion_v1_chat_completions_post",
        "embeddings_v1_embeddings_post",
        "fim_completion_v1_fim_completions_post",
        "stream_agents",
        "stream_chat",
        "stream_fim",
    }
)
"""What the SDK calls the requests of the calls below."""


class Native(Surface):
    """Where the SDK would begin a span of its own within a call of ours: it makes none then.

    Spans that it sends to Mistral's own platform stay: they are in nobody else's trace.
    """

    __slots__ = ()

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:  # noqa: ARG002 (as of every seam)
        """Tell the SDK that it is not tracing; no call begins here."""
        if kwargs["operation_id"] in _OPERATION_IDS and not _is_dedicated(kwargs["tracer"]):
            kwargs["tracing_enabled"] = False  # of this call alone: the caller's own keywords
        return None


def _is_dedicated(tracer: Any) -> bool:
    """Whether a tracer is the SDK's own, whose spans go to Mistral's platform."""
    resource = getattr(tracer, "resource", None)
    return resource is not None and resource.attributes.get("service.name") == "mistralai_sdk"


class Traced(Surface):
    """A call of the SDK, which would send the context of its own span: ours goes in its place."""

    __slots__ = ()

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation this is, and where the trace context goes."""
        request = Surface.request(self, client, args, kwargs)
        if request is not None and _sends_context(client):
            given = kwargs.get("http_headers")
            request.carrier = dict(given) if isinstance(given, Mapping) else {}
            request.kwargs = {**kwargs, "http_headers": request.carrier}
        return request


def _sends_context(client: Any) -> bool:
    """Whether the SDK is known to trace this client, to anywhere but Mistral's platform."""
    hooks = vars(client.sdk_configuration).get("_hooks")  # no field of it
    for hook in getattr(hooks, "before_request_hooks", ()):
        if type(hook).__name__ == "TracingHook":
            wanted = getattr(hook, "_telemetry_use_global_provider", hook.tracing_enabled)
            provider = getattr(hook, "tracer_provider", None)
            return bool(wanted) or (provider is not None and hook._auto_telemetry_provider is None)
    return False


# --- The declaration -------------------------------------------------------------------------------------


def _completion(name: str) -> Operation:
    return Operation(
        name=name,
        request=REQUEST,
        response=(response, finish, usage),
        inputs=_mistralai_content.prompt if name == s.TEXT_COMPLETION else _mistralai_content.inputs,
        tools=_chat.tools,
        outputs=_mistralai_content.outputs,
        fold=_mistralai_content.Fold,
        fault=fault,
        error=error,
    )


CHAT, FIM, AGENT = _completion(s.CHAT), _completion(s.TEXT_COMPLETION), _completion(s.INVOKE_AGENT)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request=EMBEDDINGS_REQUEST,
    response=(embedded, dimensions, embedding_usage),
    error=error,
)
PLATFORMS = {
    "mistralai.client": (s.MISTRAL_AI, ("chat", "fim", "agents", "embeddings")),
    "mistralai.azure.client": (s.AZURE_INFERENCE, ("chat",)),
    "mistralai.gcp.client": (s.GCP_VERTEX_AI, ("chat", "fim")),
    "mistralai": (s.MISTRAL_AI, ("chat", "fim", "agents", "embeddings")),  # before mistralai 2
}
_SURFACES = {
    "chat": ("Chat", CHAT, {"complete": False, "stream": True}),
    "fim": ("Fim", FIM, {"complete": False, "stream": True}),
    "agents": ("Agents", AGENT, {"complete": False, "stream": True}),
    "embeddings": ("Embeddings", EMBEDDINGS, {"create": False}),
}
"""Module -> its class, the operation, and the methods, which may give a stream."""


def _hooks(package: str, provider: str, module: str) -> dict[str, Surface]:
    name, operation, methods = _SURFACES[module]
    who, iterables = functools.partial(server, provider), ("messages", "tools", "inputs")
    return {
        f"{package}.{module}:{name}.{method}{color}": Traced(
            operation, who, streams=streams, iterables=iterables
        )
        for method, streams in methods.items()
        for color in ("", "_async")
    }


_NATIVE = Native(CHAT, functools.partial(server, s.MISTRAL_AI))
NATIVE = {
    f"{package}._hooks.tracing:get_traced_request_and_span": _NATIVE
    for package in ("mistralai.client", "mistralai")
}
HOOKS = NATIVE | {
    target: hook
    for package, (provider, modules) in PLATFORMS.items()
    for module in modules
    for target, hook in _hooks(package, provider, module).items()
}
PROVIDER = Provider(
    "mistralai",
    requires="mistralai >= 1.9.3",
    hooks=HOOKS,
    optional=frozenset(target for target in HOOKS if not target.startswith("mistralai.client.")),
)
