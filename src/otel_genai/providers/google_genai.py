"""Google Gen AI: content, embeddings and interactions, from the Gemini API or from Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import semconv as s
from otel_genai.providers import _google_genai_content as content
from otel_genai.providers import _google_genai_interactions as interactions
from otel_genai.providers._google_genai_content import fields
from otel_genai.providers._google_genai_stream import Fold
from otel_genai.providers.surface import Surface, at
from otel_genai.spec import Attributes, Body, Operation, Provider, Request, Row, Server, from_text

if TYPE_CHECKING:
    from google.genai.types import EmbedContentResponse, GenerateContentResponse

CODES = frozenset({
    "ABORTED", "ALREADY_EXISTS", "CANCELLED", "DATA_LOSS", "DEADLINE_EXCEEDED", "FAILED_PRECONDITION",
    "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN",
})  # fmt: skip
"""The API's codes of errors: https://ai.google.dev/gemini-api/docs/troubleshooting, and google.rpc.Code."""
BLOCKED = frozenset({
    "BLOCKLIST", "IMAGE_SAFETY", "JAILBREAK", "MODEL_ARMOR", "OTHER", "PROHIBITED_CONTENT", "SAFETY",
})  # fmt: skip
"""Why a prompt is refused: https://ai.google.dev/api/generate-content#BlockReason."""

# --- Who answers -----------------------------------------------------------------------------------------


def server(client: Any, body: Body) -> Server:
    """Say who answers: one API client speaks with one of the two platforms; a call may name another host."""
    api = client._api_client
    options = fields(fields(body.get("config")).get("http_options"))
    url = options.get("base_url") or fields(api._http_options).get("base_url")
    name = s.GCP_VERTEX_AI if api.vertexai else s.GCP_GEMINI
    return at(name, url) if isinstance(url, str) else Server(name)


def interactions_server(client: Any, body: Body) -> Server:  # noqa: ARG001 (one client, one server)
    """Say who answers: these clients know only where it is."""
    known = getattr(client, "sdk_configuration", None)  # absent before google-genai 2.9
    url = known.get_server_details()[0] if known is not None else str(client._client.base_url)
    gemini = at(s.GCP_GEMINI, url)
    is_vertex = (gemini.address or "").endswith("aiplatform.googleapis.com")
    return at(s.GCP_VERTEX_AI, url) if is_vertex else gemini


# --- The request -----------------------------------------------------------------------------------------


def laid_open(given: Body) -> Body:
    """Put the configuration, a model of the SDK or a dict, beside the other arguments."""
    return {**fields(given.get("config")), **given}


def unless_one(count: int) -> int | None:
    """Give a number of candidates that is worth saying."""
    return count if count != 1 else None


def thinking(config: Any) -> str | None:
    """Give the level of thinking that was asked for, if it was one with a name."""
    level: str | None = fields(config).get("thinking_level")
    return level


REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_output_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "top_k": (s.REQUEST_TOP_K, int),  # a float in the SDK
    "candidate_count": (s.REQUEST_CHOICE_COUNT, unless_one),
    "stop_sequences": s.REQUEST_STOP_SEQUENCES,
    "presence_penalty": (s.REQUEST_PRESENCE_PENALTY, float),
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
    "seed": s.REQUEST_SEED,
    "thinking_config": (s.REQUEST_REASONING_LEVEL, thinking),
}
_MODALITIES = {"AUDIO": s.OUTPUT_SPEECH, "IMAGE": s.OUTPUT_IMAGE, "TEXT": s.OUTPUT_TEXT}


def output_type(body: Body) -> Attributes:
    """Say what kind of output was asked for; an image comes with text, and JSON is text."""
    asked = {content.word(one).upper() for one in body.get("response_modalities") or ()}
    kind = next((kind for name, kind in _MODALITIES.items() if name in asked), None)
    if kind in (None, s.OUTPUT_TEXT):
        written = body.get("response_mime_type")
        kind = s.OUTPUT_JSON if written == "application/json" else kind
    return {s.OUTPUT_TYPE: kind}


# --- The answer ------------------------------------------------------------------------------------------


def response(r: GenerateContentResponse) -> Attributes:
    """Say what the answer is called."""
    return {s.RESPONSE_ID: r.response_id, s.RESPONSE_MODEL: r.model_version}


def finish(r: GenerateContentResponse) -> Attributes:
    """Say why each candidate ended, in the provider's order."""
    return {s.RESPONSE_FINISH_REASONS: [candidate.finish_reason for candidate in r.candidates or ()]}


def tier(r: GenerateContentResponse) -> Attributes:
    """Name what has another price than the standard one: the header is the Gemini API's, the type Vertex's.

    https://ai.google.dev/gemini-api/docs/flex-inference
    """
    http, u = getattr(r, "sdk_http_response", None), r.usage_metadata  # absent before google-genai 1.22
    headers = (http.headers if http is not None else None) or {}
    served = next((headers[name] for name in headers if name.lower() == "x-gemini-service-tier"), None)
    kind = getattr(u, "traffic_type", None)  # absent before google-genai 1.10
    named = content.word(served or kind or "").lower().removeprefix("on_demand_")
    usual = ("", "standard", "on_demand", "unspecified", "traffic_type_unspecified")
    return {s.SERVICE_TIER: None if named in usual else named}


def usage(r: GenerateContentResponse) -> Attributes:
    """Count tokens: the prompt's include cached ones; results of tools and thoughts are counted apart.

    The total is the sum of all four: https://ai.google.dev/api/generate-content#UsageMetadata
    """
    u: Any = r.usage_metadata
    if u is None:
        return {}
    return {
        s.USAGE_INPUT_TOKENS: content.total(u.prompt_token_count, u.tool_use_prompt_token_count),
        s.USAGE_OUTPUT_TOKENS: content.total(u.candidates_token_count, u.thoughts_token_count),
        s.USAGE_CACHE_READ_INPUT_TOKENS: u.cached_content_token_count,
        s.USAGE_REASONING_OUTPUT_TOKENS: u.thoughts_token_count,
    }


def modalities(r: GenerateContentResponse) -> Attributes:
    """Count tokens by kind, as far as the API does; there is no word for those of video and documents."""
    u: Any = r.usage_metadata
    found: Attributes = {}
    for name, attributes in content.DETAILS.items() if u is not None else ():
        content.add_details(found, getattr(u, name), attributes, "token_count")
    return found


def fault(r: Any) -> str | None:
    """Give the reason for which the prompt was refused: there is no candidate then."""
    feedback = r.prompt_feedback
    if r.candidates or feedback is None or feedback.block_reason is None:
        return None
    reason = content.word(feedback.block_reason)
    return reason if reason in BLOCKED else s.ERROR_OTHER


def error(raised: Any) -> Attributes:
    """Read exceptions of the SDK: its classes say little more than whose fault it was, the code says what."""
    code, status = getattr(raised, "code", None), getattr(raised, "status", None)
    refused = isinstance(code, int) and 400 <= code < 600  # noqa: PLR2004 (HTTP's)
    return {
        s.HTTP_STATUS_CODE: code if refused else None,
        s.ERROR_TYPE: status if refused and status in CODES else None,
    }


# --- Embeddings ------------------------------------------------------------------------------------------

EMBEDDINGS_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "output_dimensionality": s.EMBEDDINGS_DIMENSION_COUNT,
}


def dimensions(r: EmbedContentResponse) -> Attributes:
    """Say how long the vectors are."""
    first = r.embeddings[0].values if r.embeddings else None
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(first) if first else None}


def embedding_usage(r: EmbedContentResponse) -> Attributes:
    """Count tokens: of the whole request, or of each text, which only Vertex AI tells."""
    whole = getattr(r, "usage_metadata", None)  # absent in google-genai 3.0
    if whole is not None and whole.prompt_token_count is not None:
        return {s.USAGE_INPUT_TOKENS: whole.prompt_token_count}
    told = [e.statistics.token_count for e in r.embeddings or () if e.statistics is not None]
    counts = [count for count in told if count is not None]
    return {s.USAGE_INPUT_TOKENS: int(sum(counts)) if counts else None}


# --- The declaration -------------------------------------------------------------------------------------

CONTENT = Operation(
    name=s.GENERATE_CONTENT,
    request=REQUEST,
    derived=output_type,
    response=(response, finish, usage, modalities, tier),
    instructions=content.instructions,
    inputs=content.inputs,
    tools=content.tools,
    outputs=content.outputs,
    fold=Fold,
    fault=fault,
    error=error,
)
EMBEDDINGS = Operation(
    name=s.EMBEDDINGS,
    request=EMBEDDINGS_REQUEST,
    response=(dimensions, embedding_usage),
    error=error,
)
# Below automatic function calling, automatic continuation and chats: one request passes there.
ONCE = Surface(CONTENT, server, body=laid_open, iterables=("contents",))
STREAM = Surface(CONTENT, server, streams=True, body=laid_open, iterables=("contents",))
EMBED = Surface(EMBEDDINGS, server, body=laid_open)


class _Interactions(Surface):
    """A method of the interactions' resource, which some call for the raw response."""

    def stream(self, request: Request, result: Any) -> Any:
        """Give the result, if it is the SDK's own stream."""
        return result if request.stream and not hasattr(result, "http_response") else None

    def unread(self, result: Any) -> Any:
        """Give the response whose body has not been read yet."""
        response = getattr(result, "http_response", None)
        return None if response is None or response.is_stream_consumed else response

    def answer(self, request: Request, result: Any) -> Any:  # noqa: ARG002 (as of every seam)
        """Give what the readers can read."""
        response = getattr(result, "http_response", None)
        return result if response is None else from_text(response.content)


INTERACT = _Interactions(
    interactions.operation,
    interactions_server,
    streams=interactions.is_stream,
    body=interactions.laid_open,
)
FETCH = _Interactions(
    interactions.FETCH, interactions_server, names=("id",), streams=lambda given: given.get("stream") is True
)
_INTERACTIONS: dict[str, Surface] = {
    f"google.genai.{place}.{name}": surface
    for place in (
        "_gaos.google_genai:GeminiNextGenInteractions",
        "_gaos.google_genai:AsyncGeminiNextGenInteractions",
        # before google-genai 2.9
        "_interactions.resources.interactions:InteractionsResource",
        "_interactions.resources.interactions:AsyncInteractionsResource",
    )
    for name, surface in {"create": INTERACT, "get": FETCH}.items()
}
PROVIDER = Provider(
    "google_genai",
    requires="google-genai >= 1.8",
    hooks={
        f"google.genai.models:{colour}Models.{name}": surface
        for colour in ("", "Async")
        for name, surface in {
            "_generate_content": ONCE,
            "_generate_content_stream": STREAM,
            "embed_content": EMBED,
        }.items()
    }
    | _INTERACTIONS,
    optional=frozenset(_INTERACTIONS),
)
