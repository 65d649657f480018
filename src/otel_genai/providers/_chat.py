"""The Chat Completions format, which OpenAI's API and every host compatible with it speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.spec import Attributes, Body, Row, items, view

if TYPE_CHECKING:
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion

_FORMATS = {"json_object": s.OUTPUT_JSON, "json_schema": s.OUTPUT_JSON}
_FINISH = {
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "eos": "stop",  # of Together
    "eos_token": "stop",  # of Hugging Face
    "stop_sequence": "stop",
}
CODES = frozenset(
    {
        "bio_policy",
        "data_residency_mismatch",
        "empty_image_file",
        "failed_to_download_image",
        "image_content_policy_violation",
        "image_file_not_found",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "insufficient_quota",
        "invalid_base64_image",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
        "invalid_image_url",
        "invalid_prompt",
        "misalignment_policy_violation",
        "rate_limit_exceeded",
        "server_error",
        "unsupported_image_media_type",
        "vector_store_timeout",
    }
)
"""The error codes that the API documents: the SDK's `ResponseError.code`, and those of its error guide."""


def strings(value: Any) -> list[str]:
    """Make a list of what may be given as one string."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, (list, tuple)) else []


def unless_one(count: int) -> int | None:
    """Give a number of choices that is worth saying."""
    return count if count != 1 else None


def unless_auto(tier: str) -> str | None:
    """Give a service tier that was chosen."""
    return tier if tier != "auto" else None


def output_type(wanted: Any) -> str | None:
    """Say which kind of output was asked for."""
    kind: str = wanted["type"]
    return _FORMATS.get(kind, kind)


COMMON: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_tokens": s.REQUEST_MAX_TOKENS,
    "max_completion_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
    "presence_penalty": (s.REQUEST_PRESENCE_PENALTY, float),
    "top_k": s.REQUEST_TOP_K,  # not OpenAI's own: hosts take it in `extra_body`
    "seed": s.REQUEST_SEED,
    "stop": (s.REQUEST_STOP_SEQUENCES, strings),
    "n": (s.REQUEST_CHOICE_COUNT, unless_one),
    "reasoning_effort": s.REQUEST_REASONING_LEVEL,
    "response_format": (s.OUTPUT_TYPE, output_type),
}
"""What every host takes in this format."""
REQUEST: Mapping[str, Row] = {
    **COMMON,
    "service_tier": (s.OPENAI_REQUEST_SERVICE_TIER, unless_auto),
}


def response(r: ChatCompletion) -> Attributes:
    """Say what the answer is called."""
    return {s.RESPONSE_ID: r.id, s.RESPONSE_MODEL: r.model}


def openai_response(r: ChatCompletion) -> Attributes:
    """Say what only OpenAI's own API tells."""
    return {
        s.OPENAI_RESPONSE_SERVICE_TIER: r.service_tier,
        s.OPENAI_RESPONSE_SYSTEM_FINGERPRINT: r.system_fingerprint,
    }


def finish(r: ChatCompletion) -> Attributes:
    """Say why each choice ended, in the provider's order."""
    return {s.RESPONSE_FINISH_REASONS: [choice.finish_reason for choice in r.choices]}


def fault(r: ChatCompletion) -> str | None:
    """Give the code of an error that came as an answer, or as an event that the SDK did not see."""
    return None if r.choices and r.choices[-1].finish_reason else fault_of(r)


def fault_of(r: Any) -> str | None:
    """Look for an error beside what was answered; the SDK's types take microseconds to say that none is."""
    told = getattr(r, "error", None)
    return code(view(told)) if told else None


def code(error: Any) -> str:
    """Give an error's code if it is a documented one; some have it as their type."""
    known = (getattr(error, "code", None), getattr(error, "type", None))
    return next((value for value in known if isinstance(value, str) and value in CODES), s.ERROR_OTHER)


def usage(r: ChatCompletion) -> Attributes:
    """Count tokens: cached ones are in the prompt's, reasoning is in the completion's."""
    return {} if r.usage is None else counts(r.usage)


def counts(u: CompletionUsage) -> Attributes:
    """Give the counts of one usage record, whose details some hosts leave out."""
    read, written = u.prompt_tokens_details, u.completion_tokens_details
    found: Attributes = {s.USAGE_INPUT_TOKENS: u.prompt_tokens, s.USAGE_OUTPUT_TOKENS: u.completion_tokens}
    if read is not None:
        found[s.USAGE_CACHE_READ_INPUT_TOKENS] = read.cached_tokens
        found[s.USAGE_AUDIO_INPUT_TOKENS] = read.audio_tokens
        # absent before openai 3
        found[s.USAGE_CACHE_WRITE_INPUT_TOKENS] = getattr(read, "cache_write_tokens", None)
        found[s.USAGE_TEXT_INPUT_TOKENS] = getattr(read, "text_tokens", None)
        found[s.USAGE_IMAGE_INPUT_TOKENS] = getattr(read, "image_tokens", None)
    if written is not None:
        found[s.USAGE_REASONING_OUTPUT_TOKENS] = written.reasoning_tokens
        found[s.USAGE_AUDIO_OUTPUT_TOKENS] = written.audio_tokens
        found[s.USAGE_TEXT_OUTPUT_TOKENS] = getattr(written, "text_tokens", None)  # absent before openai 3
    return found


def hosted_usage(r: Any) -> Attributes:
    """Count tokens as `usage` does, where the SDK's type does not know the details: they are plain data."""
    u = r.usage
    if u is None:
        return {}
    read: Any = view(getattr(u, "prompt_tokens_details", None))
    written: Any = view(getattr(u, "completion_tokens_details", None))
    return {
        s.USAGE_INPUT_TOKENS: u.prompt_tokens,
        s.USAGE_OUTPUT_TOKENS: u.completion_tokens,
        s.USAGE_CACHE_READ_INPUT_TOKENS: getattr(read, "cached_tokens", None),
        s.USAGE_REASONING_OUTPUT_TOKENS: getattr(written, "reasoning_tokens", None),
    }


# --- Content ---------------------------------------------------------------------------------------------


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return [_turn(message) for message in items(body.get("messages"))]


def _turn(message: dict[str, Any]) -> content.Message:
    role = message.get("role")
    if role == "tool":
        parts = [content.tool_result(message.get("tool_call_id"), message.get("content"))]
    else:
        parts = said(message.get("content"))
        if message.get("tool_calls"):
            parts += calls(message["tool_calls"])
        if message.get("refusal"):
            parts.append(content.text(message["refusal"]))
    return content.message(role, parts, message.get("name"))


def said(given: Any) -> list[content.Part]:
    """Read the content of one message."""
    return [content.text(given)] if isinstance(given, str) else [part(item) for item in items(given)]


def part(item: dict[str, Any]) -> content.Part:
    """Read one part of a message: text, or media by reference."""
    kind = str(item.get("type"))
    if kind in _TEXT:
        return content.text(item.get(_TEXT[kind]))
    return _MEDIA[kind](item) if kind in _MEDIA else {"type": kind}


def _image(item: dict[str, Any]) -> content.Part:
    image = item.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    return content.media("image", url) if url else content.file("image", item.get("file_id"))


def _audio(item: dict[str, Any]) -> content.Part:
    audio = item["input_audio"]
    return content.media("audio", data=audio.get("data"), mime_type=f"audio/{audio.get('format')}")


def _document(item: dict[str, Any]) -> content.Part:
    document = item.get("file") or item
    if document.get("file_id"):
        return content.file("document", document["file_id"])
    data = document.get("file_data")  # base64, bare or as a data URL
    url = data if isinstance(data, str) and data.startswith("data:") else document.get("file_url")
    return content.media("document", url, data)


_TEXT = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_MEDIA = {
    "image_url": _image,
    "input_image": _image,
    "input_audio": _audio,
    "file": _document,
    "input_file": _document,
}


def calls(given: Any) -> list[content.Part]:
    """Read the tools that the model asked for."""
    parts = []
    for call in items(given):
        function = call.get("function") or call.get("custom") or {}
        arguments = function.get("arguments", function.get("input"))
        parts.append(content.tool_call(call.get("id"), function.get("name"), arguments))
    return parts


def tools(body: Body) -> list[dict[str, Any]]:
    """Read the definitions of the tools offered."""
    return [definition(tool) for tool in items(body.get("tools"))]


def definition(tool: dict[str, Any]) -> dict[str, Any]:
    """Read one tool's definition: chat nests what the Responses API lays flat."""
    kind = tool.get("type", "function")
    nested = tool.get(kind)
    about = nested if isinstance(nested, dict) else tool
    found = {key: about.get(key) for key in ("description", "parameters") if about.get(key) is not None}
    return {"type": kind, "name": about.get("name") or kind, **found}


def outputs(r: ChatCompletion) -> list[content.Message]:
    """Read the choices, one message each."""
    messages = []
    for choice in r.choices:
        message = choice.message
        parts = thought(message)
        refusal = getattr(message, "refusal", None)  # OpenAI's own
        parts += [content.text(text) for text in (message.content, refusal) if text]
        parts += calls(message.tool_calls)
        if parts:
            why = reason(choice.finish_reason)
            messages.append(content.message(message.role or "assistant", parts, None, why))
    return messages


def reason(why: Any) -> Any:
    """Say why a choice ended in the conventions' words."""
    return _FINISH.get(why, why)


def thought(message: Any) -> list[content.Part]:
    """Read the reasoning that some hosts (DeepSeek, vLLM, OpenRouter) put beside the answer."""
    said = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return [content.reasoning(said)] if isinstance(said, str) else []
