"""Converse: one format for every model, which Nova's own is, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers._bedrock_errors import error
from otel_genai.providers._bedrock_stream import Fold
from otel_genai.spec import Attributes, Body, Operation, Row, items, plain

REQUEST: Mapping[str, Row] = {
    "modelId": s.REQUEST_MODEL,
    "maxTokens": s.REQUEST_MAX_TOKENS,
    "max_new_tokens": s.REQUEST_MAX_TOKENS,  # of Nova's first examples
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "topP": (s.REQUEST_TOP_P, float),
    "topK": s.REQUEST_TOP_K,
    "stopSequences": s.REQUEST_STOP_SEQUENCES,
    "guardrailConfig": (s.AWS_BEDROCK_GUARDRAIL_ID, lambda config: config["guardrailIdentifier"]),
    "guardrailIdentifier": s.AWS_BEDROCK_GUARDRAIL_ID,
    "outputConfig": (s.OUTPUT_TYPE, lambda config: s.OUTPUT_JSON if config["textFormat"] else None),
}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}


def body(given: Body) -> Body:
    """Lay the inference's settings flat."""
    config = given.get("inferenceConfig")
    return {**given, **config} if isinstance(config, Mapping) else given


def extra(given: Body) -> Attributes:
    """Read what is each model's own: how hard to think, and how many tokens to choose from."""
    fields = given.get("additionalModelRequestFields")
    fields = fields if isinstance(fields, Mapping) else given
    config = fields.get("inferenceConfig")
    reasoning = fields.get("reasoningConfig")  # Nova's
    output = given.get("outputConfig")
    return {
        s.REQUEST_TOP_K: fields.get("top_k") or _within(config, "topK"),
        s.REQUEST_REASONING_LEVEL: _within(output, "effort")
        or _within(fields.get("output_config"), "effort")
        or fields.get("reasoning_effort")
        or _within(reasoning, "maxReasoningEffort"),
    }


def _within(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def response(r: Any) -> Attributes:
    """Say which model a prompt router has chosen; else, no model is told."""
    router = r.trace and r.trace.promptRouter
    return {s.RESPONSE_MODEL: router.invokedModelId if router else None}


def tier(r: Any) -> Attributes:
    """Name what has another price than the usual one."""
    known = (r.serviceTier and r.serviceTier.type, r.performanceConfig and r.performanceConfig.latency)
    return {s.SERVICE_TIER: "+".join([one for one in known if one not in (None, *_USUAL)]) or None}


_USUAL = ("default", "standard")


def finish(r: Any) -> Attributes:
    """Say why the one generation ended."""
    return {s.RESPONSE_FINISH_REASONS: [r.stopReason]}


def usage(r: Any) -> Attributes:
    """Count tokens: the API counts cached ones apart, the conventions count them in.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    u = r.usage
    if u is None:
        return {}
    # Nova's own format says that these are counts.
    read = u.cacheReadInputTokenCount if u.cacheReadInputTokens is None else u.cacheReadInputTokens
    written = u.cacheWriteInputTokenCount if u.cacheWriteInputTokens is None else u.cacheWriteInputTokens
    return {
        s.USAGE_INPUT_TOKENS: None if u.inputTokens is None else u.inputTokens + (read or 0) + (written or 0),
        s.USAGE_OUTPUT_TOKENS: u.outputTokens,
        s.USAGE_CACHE_READ_INPUT_TOKENS: read,
        s.USAGE_CACHE_WRITE_INPUT_TOKENS: written,
    }


# --- Content ---------------------------------------------------------------------------------------------


def instructions(given: Body) -> list[content.Part]:
    """Read the system prompt, which stands apart from the conversation."""
    return parts(given.get("system"))


def inputs(given: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return [
        content.message(turn.get("role"), parts(turn.get("content")))
        for turn in items(given.get("messages"))
        if isinstance(turn, dict)
    ]


def tools(given: Body) -> list[dict[str, Any]]:
    """Read the definitions of the tools offered."""
    config = given.get("toolConfig")
    offered = items(config.get("tools")) if isinstance(config, Mapping) else ()
    return [found for tool in offered if isinstance(tool, dict) for found in _definitions(tool)]


def _definitions(tool: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "toolSpec" in tool:
        spec = tool["toolSpec"]
        about = {
            "description": spec.get("description"),
            "parameters": _within(spec.get("inputSchema"), "json"),
        }
        known = {key: value for key, value in about.items() if value is not None}
        yield {"type": "function", "name": spec.get("name"), **known}
    elif "systemTool" in tool:
        yield {"type": "system_tool", "name": tool["systemTool"].get("name")}


def outputs(r: Any) -> list[content.Message]:
    """Read the answer: one message made of blocks."""
    said = plain(r.output)["message"]
    found = parts(said["content"])
    why = _FINISH.get(r.stopReason, r.stopReason)
    return [content.message(said.get("role") or "assistant", found, None, why)] if found else []


def parts(given: Any) -> list[content.Part]:
    """Read the content of one turn: blocks, each under the name of its kind."""
    if isinstance(given, str):
        return [content.text(given)]
    return [part for block in items(given) if isinstance(block, dict) for part in _block(block)]


def _block(block: dict[str, Any]) -> Iterator[content.Part]:
    for kind, value in block.items():
        if kind in _MEDIA:
            yield _media(kind, value)
        elif kind in _BLOCKS:
            yield from _BLOCKS[kind](value)
        elif kind != "cachePoint":
            yield {"type": kind}


_MEDIA = ("image", "document", "video", "audio")
_TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "pdf": "application/pdf",
}


def _media(kind: str, value: dict[str, Any]) -> content.Part:
    source, form = value["source"], value.get("format")
    if kind == "document" and ("text" in source or "content" in source):
        said = parts(source.get("text") or source.get("content"))
        return {"type": kind, "content": said}
    mime_type = _TYPES.get(str(form)) if kind == "document" else form and f"{kind}/{form}"
    where = _within(source.get("s3Location"), "uri")
    return content.media(kind, where, source.get("bytes"), mime_type)


def _tool_use(value: dict[str, Any]) -> list[content.Part]:
    call_id, name, given = value.get("toolUseId"), value.get("name"), value.get("input")
    if value.get("type") == "server_tool_use":
        return [content.server_tool_call(call_id, name, {"type": name, "input": given})]
    return [content.tool_call(call_id, name, given)]


def _tool_result(value: dict[str, Any]) -> list[content.Part]:
    """Read a tool's answer: text and JSON are told as they are, media are described."""
    given = value.get("content")
    said = [part for block in items(given) for part in _told(block)] if isinstance(given, list) else given
    if value.get("type"):
        return [content.server_tool_result(value.get("toolUseId"), value["type"], said)]
    return [content.tool_result(value.get("toolUseId"), said)]


def _told(block: Any) -> list[Any]:
    return [block] if not isinstance(block, dict) or {"text", "json"} & block.keys() else list(_block(block))


def _reasoning(value: dict[str, Any]) -> list[content.Part]:
    said = value.get("reasoningText")
    return [content.reasoning(said.get("text"))] if said else [{"type": "redacted_reasoning"}]


def _search_result(value: dict[str, Any]) -> list[content.Part]:
    about = {"source": value.get("source"), "title": value.get("title")}
    return [{"type": "search_result", **about, "content": parts(value.get("content"))}]


_BLOCKS: Mapping[str, Callable[[Any], list[content.Part]]] = {
    "text": lambda value: [content.text(value)],
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "reasoningContent": _reasoning,
    "guardContent": lambda value: (
        [content.text(value["text"]["text"])] if "text" in value else [_media("image", value["image"])]
    ),
    "citationsContent": lambda value: parts(value.get("content")),
    "searchResult": _search_result,
}


CONVERSE = Operation(
    name=s.CHAT,
    request=REQUEST,
    derived=extra,
    response=(response, finish, usage, tier),
    instructions=instructions,
    inputs=inputs,
    tools=tools,
    outputs=outputs,
    fold=Fold,
    error=error,
)
