"""Ollama: chat, generate and embed, as they pass `Client._request` on their way to the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _chat
from otel_genai.providers.surface import Surface, at
from otel_genai.spec import Attributes, Body, Operation, Provider, Row, Server, items

if TYPE_CHECKING:
    from ollama import ChatResponse, EmbeddingsResponse, EmbedResponse, GenerateResponse

NAME = "ollama"


def server(client: Any, _: Body) -> Server:
    """Say which server the client asks."""
    return at(NAME, str(client._client.base_url))


REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "format": (s.OUTPUT_TYPE, lambda wanted: s.OUTPUT_JSON if wanted else None),  # "json", or a schema
    "think": (s.REQUEST_REASONING_LEVEL, lambda level: level if isinstance(level, str) else None),
    "dimensions": s.EMBEDDINGS_DIMENSION_COUNT,
}
OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "num_predict": (s.REQUEST_MAX_TOKENS, int),
    "seed": (s.REQUEST_SEED, int),
    "stop": (s.REQUEST_STOP_SEQUENCES, _chat.strings),
    "top_k": (s.REQUEST_TOP_K, int),
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "presence_penalty": (s.REQUEST_PRESENCE_PENALTY, float),
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
}


def options(body: Body) -> Attributes:
    """Read the sampling parameters, which stand in a record of their own."""
    given = body.get("options") or {}
    rows = ((key, *row) for key, row in OPTIONS.items())
    return {name: read(given[key]) for key, name, read in rows if given.get(key) is not None}


def response(r: ChatResponse | GenerateResponse | EmbedResponse) -> Attributes:
    """Say which model answered."""
    return {s.RESPONSE_MODEL: r.model}


def finish(r: ChatResponse | GenerateResponse) -> Attributes:
    """Say why the one generation ended."""
    return {s.RESPONSE_FINISH_REASONS: [r.done_reason]}


def usage(r: ChatResponse | GenerateResponse | EmbedResponse) -> Attributes:
    """Count tokens: https://docs.ollama.com/api/usage. Those that were cached are in neither count."""
    return {s.USAGE_INPUT_TOKENS: r.prompt_eval_count, s.USAGE_OUTPUT_TOKENS: r.eval_count}


def embedded(r: EmbedResponse) -> Attributes:
    """Count tokens: there are none in the output."""
    return {s.USAGE_INPUT_TOKENS: r.prompt_eval_count}


def dimensions(r: EmbedResponse) -> Attributes:
    """Say how long the vectors are."""
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(r.embeddings[0])}


def dimension(r: EmbeddingsResponse) -> Attributes:
    """Say how long the one vector of the older call is; it tells nothing else."""
    return {s.EMBEDDINGS_DIMENSION_COUNT: len(r.embedding)}


def error(raised: Any) -> Attributes:
    """Read the HTTP status of a refusal; an error within a stream has none."""
    status = getattr(raised, "status_code", None)
    return {s.HTTP_STATUS_CODE: status if status and status > 0 else None}


# --- Content ---------------------------------------------------------------------------------------------


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return [_turn(message) for message in items(body.get("messages"))]


def _turn(message: dict[str, Any]) -> content.Message:
    if message.get("role") == "tool":
        return content.message("tool", [content.tool_result(None, message.get("content"))])
    return content.message(message.get("role"), _parts(message))


def _parts(message: dict[str, Any]) -> list[content.Part]:
    parts = [content.reasoning(message["thinking"])] if message.get("thinking") else []
    parts += [content.text(message["content"])] if message.get("content") else []
    parts += [_image(image) for image in items(message.get("images"))]
    return parts + _chat.calls(message.get("tool_calls"))


def _image(image: Any) -> content.Part:
    return content.media("image", data=image.get("value") if isinstance(image, dict) else image)


def prompt(body: Body) -> list[content.Message]:
    """Read the prompt of a completion, with its images."""
    parts = [content.text(body["prompt"])] if body.get("prompt") else []
    parts += [_image(image) for image in items(body.get("images"))]
    return [content.message("user", parts)] if parts else []


def system(body: Body) -> list[content.Part]:
    """Read the system prompt of a completion."""
    return [content.text(body["system"])] if body.get("system") else []


def _thought(r: Any) -> list[content.Part]:
    return [content.reasoning(r.thinking)] if r.thinking else []


def outputs(r: ChatResponse) -> list[content.Message]:
    """Read the one answer."""
    message = r.message
    said = _thought(message)
    said += [content.text(message.content)] if message.content else []
    said += _chat.calls(message.tool_calls)
    why = "tool_call" if message.tool_calls and r.done_reason == "stop" else r.done_reason
    return [content.message("assistant", said, None, why)] if said else []


def texts(r: GenerateResponse) -> list[content.Message]:
    """Read the text of a completion."""
    said = _thought(r)
    said += [content.text(r.response)] if r.response else []
    return [content.message("assistant", said, None, r.done_reason)] if said else []


class Fold:
    """Adds the parts of an answer up, of a chat or of a completion: the last part has the counts."""

    __slots__ = ("_content", "_last", "_texts", "_thoughts", "_tools", "complete")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._last: Any = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._tools: list[Any] = []
        self.complete = False

    def add(self, part: Any) -> bool:
        """Take one part in."""
        self._last = part
        self.complete = self.complete or bool(part.done)
        said = part.message if hasattr(part, "message") else part
        text, tools = said.content if said is not part else part.response, getattr(said, "tool_calls", None)
        if self._content:
            self._texts.append(text or "")
            self._thoughts.append(said.thinking or "")
            self._tools += tools or ()
        return bool(text or said.thinking or tools)

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._last is None else self

    def __getattr__(self, name: str) -> Any:
        """Read what is not said in pieces, of the last part."""
        return getattr(self._last, name)

    @property
    def message(self) -> Fold:
        """Give the message: what is said, thought and asked for."""
        return self

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    response = content

    @property
    def thinking(self) -> str:
        """The reasoning so far."""
        return "".join(self._thoughts)

    @property
    def tool_calls(self) -> list[Any]:
        """The tools asked for."""
        return self._tools


# --- The declaration -------------------------------------------------------------------------------------

CHAT = Operation(
    name=s.CHAT,
    request=REQUEST,
    derived=options,
    response=(response, finish, usage),
    inputs=inputs,
    tools=_chat.tools,
    outputs=outputs,
    fold=Fold,
    error=error,
)
GENERATE = Operation(
    name=s.TEXT_COMPLETION,
    request=REQUEST,
    derived=options,
    response=(response, finish, usage),
    instructions=system,
    inputs=prompt,
    outputs=texts,
    fold=Fold,
    error=error,
)
EMBED = Operation(
    name=s.EMBEDDINGS,
    request=REQUEST,
    response=(response, embedded, dimensions),
    error=error,
)
EMBEDDINGS = Operation(name=s.EMBEDDINGS, request=REQUEST, response=(dimension,), error=error)
PATHS = {
    "/api/chat": CHAT,
    "/api/generate": GENERATE,
    "/api/embed": EMBED,
    "/api/embeddings": EMBEDDINGS,
}
SEAM = Surface(
    lambda given: PATHS.get(given.get("path", "")),
    server,
    names=("cls", "method", "path"),
    streams=lambda given: given.get("stream") is True,
    body=lambda given: given["json"],
)
PROVIDER = Provider(
    NAME,
    requires="ollama >= 0.5.3",
    hooks={"ollama._client:Client._request": SEAM, "ollama._client:AsyncClient._request": SEAM},
)
