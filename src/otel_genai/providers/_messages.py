"""The Messages format, which Anthropic's API and every platform that hosts its models speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers._messages_stream import Fold
from otel_genai.spec import Attributes, Body, Row, items, view

if TYPE_CHECKING:
    from anthropic.types import Message

CODES = frozenset({
    "api_error", "authentication_error", "billing_error", "invalid_request_error", "not_found_error",
    "overloaded_error", "permission_error", "rate_limit_error", "request_too_large", "timeout_error",
})  # fmt: skip
"""The error types that the API documents: https://docs.claude.com/en/api/errors."""

REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_tokens": s.REQUEST_MAX_TOKENS,
    "stop_sequences": s.REQUEST_STOP_SEQUENCES,
    "output_config": (s.REQUEST_REASONING_LEVEL, lambda config: config["effort"]),
    "thread": (s.REQUEST_PREVIOUS_RESPONSE_ID, lambda thread: thread["previous_message_id"]),
    # Dropped by anthropic 2, which takes them in `extra_body`.
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "top_k": s.REQUEST_TOP_K,
}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}


def output_type(body: Body) -> Attributes:
    """Say that JSON was asked for, where it was."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    return {s.OUTPUT_TYPE: s.OUTPUT_JSON} if wanted else {}


def response(r: Message) -> Attributes:
    """Say what the answer is called."""
    return {s.RESPONSE_ID: r.id, s.RESPONSE_MODEL: r.model}


def finish(r: Message) -> Attributes:
    """Say why the one generation ended."""
    return {s.RESPONSE_FINISH_REASONS: [r.stop_reason]}


def usage(r: Message) -> Attributes:
    """Count tokens: the API counts cached ones apart, the conventions count them in."""
    u: Any = view(r.usage)
    given, details = getattr(u, "input_tokens", None), getattr(u, "output_tokens_details", None)
    read = getattr(u, "cache_read_input_tokens", None)
    written = getattr(u, "cache_creation_input_tokens", None)
    return {
        s.USAGE_INPUT_TOKENS: None if given is None else given + (read or 0) + (written or 0),
        s.USAGE_OUTPUT_TOKENS: getattr(u, "output_tokens", None),
        s.USAGE_CACHE_READ_INPUT_TOKENS: read,
        s.USAGE_CACHE_WRITE_INPUT_TOKENS: written,
        # a part that an older SDK does not know is a plain dict there
        s.USAGE_REASONING_OUTPUT_TOKENS: getattr(view(details), "thinking_tokens", None) if details else None,
        s.SERVICE_TIER: _tier(u),
    }


_USUAL = (None, "standard")


def _tier(u: Any) -> str | None:
    """Name what has another price than the standard one: a tier, the fast mode, inference kept in the US."""
    tier, speed = getattr(u, "service_tier", None), getattr(u, "speed", None)
    place = getattr(u, "inference_geo", None)
    if tier in _USUAL and speed in _USUAL and place != "us":
        return None
    named = (tier, speed, place if place == "us" else None)
    return "+".join([one for one in named if isinstance(one, str) and one != "standard"]) or None


def fault(r: Any) -> str | None:
    """Give the code of an error event that ended a stream."""
    code = r.error if isinstance(r, Fold) else None
    return code if code is None or code in CODES else s.ERROR_OTHER


# --- Content ---------------------------------------------------------------------------------------------


def instructions(body: Body) -> list[content.Part]:
    """Read the system prompt, which stands apart from the conversation."""
    return _parts(body.get("system"))


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return [
        content.message(turn.get("role"), _parts(turn.get("content")))
        for turn in items(body.get("messages"))
        if isinstance(turn, dict)
    ]


def tools(body: Body) -> list[dict[str, Any]]:
    """Read the definitions of the tools offered."""
    return [_definition(tool) for tool in items(body.get("tools")) if isinstance(tool, dict)]


def _definition(tool: dict[str, Any]) -> dict[str, Any]:
    kind = tool.get("type") or "function"
    found = {"type": "function" if kind == "custom" else kind, "name": tool.get("name")}
    about = {"description": tool.get("description"), "parameters": tool.get("input_schema")}
    return found | {key: value for key, value in about.items() if value is not None}


def outputs(r: Message) -> list[content.Message]:
    """Read the answer: one message made of blocks."""
    reason = r.stop_reason
    parts = [part for block in r.content for part in _parts([block])]
    return [content.message("assistant", parts, None, _FINISH.get(str(reason), reason))] if parts else []


def _parts(given: Any) -> list[content.Part]:
    """Read the content of one turn: a string, or blocks."""
    if isinstance(given, str):
        return [content.text(given)]
    return [_block(block) for block in items(given) if isinstance(block, dict)]


def _block(block: dict[str, Any]) -> content.Part:
    kind, source = str(block.get("type")), block.get("source")
    if kind in ("image", "document") and isinstance(source, dict):
        return _media(kind, source)
    if kind in _BLOCKS:
        return _BLOCKS[kind](block)
    if kind.endswith("_tool_result"):
        details = _without_data(block.get("content"))
        return content.server_tool_result(
            block.get("tool_use_id"), kind.removesuffix("_tool_result"), details
        )
    return {"type": kind}


def _media(modality: str, source: dict[str, Any]) -> content.Part:
    kind = source.get("type")
    if kind == "file":
        return content.file(modality, source.get("file_id"))
    if kind in ("text", "content"):
        return {"type": modality, "content": _parts(source.get("data" if kind == "text" else "content"))}
    return content.media(modality, source.get("url"), source.get("data"), source.get("media_type"))


def _without_data(value: Any) -> Any:
    """Describe the media anywhere in what a tool has answered."""
    if isinstance(value, list):
        return [_without_data(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("source"), dict):
        return _block(value)
    return {key: _without_data(item) for key, item in value.items()}


def _server_tool(block: dict[str, Any]) -> content.Part:
    details = {"type": block.get("name"), "input": block.get("input")}
    return content.server_tool_call(block.get("id"), block.get("name"), details)


_BLOCKS: Mapping[str, Callable[[dict[str, Any]], content.Part]] = {
    "text": lambda block: content.text(block.get("text")),
    "thinking": lambda block: content.reasoning(block.get("thinking")),
    "tool_use": lambda block: content.tool_call(block.get("id"), block.get("name"), block.get("input")),
    "tool_result": lambda block: content.tool_result(
        block.get("tool_use_id"), _without_data(block.get("content"))
    ),
    "server_tool_use": _server_tool,
    "mcp_tool_use": _server_tool,
    "search_result": lambda block: {**block, "content": _parts(block.get("content"))},
    "compaction": lambda block: {"type": "compaction", "content": block.get("content")},
}
