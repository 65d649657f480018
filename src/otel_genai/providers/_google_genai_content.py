"""Content of the Gemini API: what is said, called and answered, however a caller writes it down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.spec import Attributes, Body, Json, plain

if TYPE_CHECKING:
    from google.genai.types import GenerateContentResponse

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def fields(value: Any) -> Mapping[str, Any]:
    """Lay one level of a value open, by the SDK's own names: its models, or dicts that stand for them."""
    if value is None:
        return {}
    if isinstance(value, Json):
        value = plain(value)
    if isinstance(value, dict):
        return {key if key.islower() else _HUMP.sub("_", key).lower(): value[key] for key in value}
    found: Mapping[str, Any] = vars(value)
    return found


def word(value: Any) -> str:
    """Give the text of one of the API's enums."""
    return str.__str__(value)


# --- Tokens ----------------------------------------------------------------------------------------------

_INPUT = {
    "TEXT": s.USAGE_TEXT_INPUT_TOKENS,
    "IMAGE": s.USAGE_IMAGE_INPUT_TOKENS,
    "AUDIO": s.USAGE_AUDIO_INPUT_TOKENS,
}
_OUTPUT = {
    "TEXT": s.USAGE_TEXT_OUTPUT_TOKENS,
    "IMAGE": s.USAGE_IMAGE_OUTPUT_TOKENS,
    "AUDIO": s.USAGE_AUDIO_OUTPUT_TOKENS,
}
_CACHED = {
    "TEXT": s.USAGE_TEXT_CACHE_READ_INPUT_TOKENS,
    "IMAGE": s.USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
    "AUDIO": s.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
}
DETAILS = {
    "prompt_tokens_details": _INPUT,
    "tool_use_prompt_tokens_details": _INPUT,
    "candidates_tokens_details": _OUTPUT,
    "cache_tokens_details": _CACHED,
}
INTERACTION_DETAILS = {
    "input_tokens_by_modality": _INPUT,
    "tool_use_tokens_by_modality": _INPUT,
    "output_tokens_by_modality": _OUTPUT,
    "cached_tokens_by_modality": _CACHED,
}


def total(*counts: int | None) -> int | None:
    """Add counts up; None where there is none: the API leaves zeros out."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def add_details(found: Attributes, details: Any, attributes: Mapping[str, str], count: str) -> None:
    """Add one list of counts by modality."""
    for detail in details or ():
        name = attributes.get(word(detail.modality or "").upper())
        if name is not None:
            found[name] = total(found.get(name), getattr(detail, count))


# --- What was sent ---------------------------------------------------------------------------------------


def instructions(body: Body) -> list[content.Part]:
    """Read the system prompt: content of any shape, whose role means nothing."""
    return [part for turn in _turns(body.get("system_instruction")) for part in turn["parts"]]


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return _turns(body.get("contents"))


def _turns(given: Any) -> list[content.Message]:
    """Read contents as the SDK does: parts that stand side by side are one turn of the user's."""
    found: list[content.Message] = []
    loose: list[content.Part] | None = None
    for item in given if isinstance(given, (list, tuple)) else [given]:
        if item is None:
            continue
        inside = _inside(item)
        if isinstance(item, (list, tuple)):
            found.append(content.message("user", [part(one) for one in item]))
        elif "parts" in inside:
            found.append(_turn(inside))
        else:
            if loose is None:
                found.append(content.message("user", loose := []))
            loose.append(part(item))
            continue
        loose = None
    return found


def _turn(inside: Mapping[str, Any]) -> content.Message:
    parts = [part(one) for one in inside["parts"] or ()]
    role = inside.get("role") or "user"
    if parts and all(one["type"] == "tool_call_response" for one in parts):
        role = "tool"
    return content.message("assistant" if role == "model" else role, parts)


def _inside(item: Any) -> Mapping[str, Any]:
    """Give what is in an item; one that is no record has nothing."""
    return fields(item) if isinstance(item, dict) or hasattr(item, "__dict__") else {}


def part(item: Any) -> content.Part:
    """Read one part: text, media, a call or its answer."""
    if isinstance(item, str):
        return content.text(item)
    inside = _inside(item)
    for kind, reader in _PARTS.items():
        value = inside.get(kind)
        if value is not None:
            return reader(value, inside)
    if type(item).__module__.partition(".")[0] == "PIL":
        return content.media("image")
    return {"type": next((key for key, value in inside.items() if value is not None), "part")}


def _text(said: Any, inside: Mapping[str, Any]) -> content.Part:
    return content.reasoning(said) if inside.get("thought") else content.text(said)


def _call(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as of every reader of parts)
    call = fields(value)
    return content.tool_call(call.get("id"), call.get("name"), call.get("args"))


def _result(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    result = fields(value)
    read = content.tool_result(result.get("id"), result.get("response"))
    media = [part(one) for one in result.get("parts") or ()]
    # the Gemini API links answers to calls by name
    return {**read, "name": result.get("name"), **({"parts": media} if media else {})}


def _blob(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    blob = fields(value)
    kind = blob.get("mime_type")
    return content.media(_modality(kind), data=blob.get("data"), mime_type=kind)


def _file(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    file = fields(value)
    kind = file.get("mime_type")
    return content.media(_modality(kind), file.get("file_uri"), mime_type=kind)


def _uploaded(uri: Any, inside: Mapping[str, Any]) -> content.Part:
    kind = inside.get("mime_type")
    return content.media(_modality(kind), uri, mime_type=kind)


def _code(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    code = fields(value)
    details = {"type": "code_execution", "code": code.get("code"), "language": code.get("language")}
    return content.server_tool_call(code.get("id"), "code_execution", details)


def _code_result(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    result = fields(value)
    details = {"outcome": result.get("outcome"), "output": result.get("output")}
    return content.server_tool_result(result.get("id"), "code_execution", details)


def _server_call(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    call = fields(value)
    name = word(call.get("tool_type") or "tool").lower()
    return content.server_tool_call(call.get("id"), name, {"type": name, "input": call.get("args")})


def _server_result(value: Any, inside: Mapping[str, Any]) -> content.Part:  # noqa: ARG001 (as above)
    result = fields(value)
    name = word(result.get("tool_type") or "tool").lower()
    return content.server_tool_result(result.get("id"), name, result.get("response"))


_PARTS = {
    "text": _text,
    "function_call": _call,
    "function_response": _result,
    "inline_data": _blob,
    "file_data": _file,
    "executable_code": _code,
    "code_execution_result": _code_result,
    "tool_call": _server_call,
    "tool_response": _server_result,
    "uri": _uploaded,
}


def _modality(mime_type: Any) -> str:
    kind = mime_type.partition("/")[0] if isinstance(mime_type, str) else ""
    return kind if kind in ("image", "audio", "video") else "document"


def tools(body: Body) -> list[dict[str, Any]]:
    """Read the definitions of the tools offered."""
    return [one for tool in body.get("tools") or () for one in _definitions(tool)]


def _definitions(tool: Any) -> Iterator[dict[str, Any]]:
    """Read one entry: functions of Python, functions declared, and tools that the provider has."""
    if callable(tool) and hasattr(tool, "__name__"):
        yield _described("function", tool.__name__, tool.__doc__, None)
        return
    for kind, value in _inside(tool).items():
        if kind == "function_declarations":
            for one in map(fields, value or ()):
                schema = one.get("parameters") or one.get("parameters_json_schema")
                yield _described("function", one.get("name"), one.get("description"), schema)
        elif value is not None:
            yield {"type": kind, "name": kind}


def _described(kind: str, name: Any, description: Any, schema: Any) -> dict[str, Any]:
    if hasattr(schema, "model_dump"):
        schema = schema.model_dump(mode="json", exclude_none=True)
    about = {"description": description, "parameters": schema}
    return {"type": kind, "name": name, **{key: value for key, value in about.items() if value is not None}}


# --- What was answered -----------------------------------------------------------------------------------

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"} | dict.fromkeys(
    ("BLOCKLIST", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_SAFETY", "LANGUAGE", "MODEL_ARMOR",
     "PROHIBITED_CONTENT", "RECITATION", "SAFETY", "SPII"), "content_filter",
)  # fmt: skip


def outputs(r: GenerateContentResponse) -> list[content.Message]:
    """Read the candidates, one message each."""
    found = []
    for candidate in r.candidates or ():
        said = candidate.content
        parts = [part(one) for one in (said.parts if said is not None else None) or ()]
        if parts:
            found.append(content.message("assistant", parts, None, _why(candidate.finish_reason, parts)))
    return found


def _why(reason: Any, parts: list[content.Part]) -> str | None:
    """Say in the conventions' words why it ended: there is one reason for an answer and a call here."""
    if reason is None:
        return None
    if word(reason) == "STOP" and any(one["type"] == "tool_call" for one in parts):
        return "tool_call"
    return _FINISH.get(word(reason), word(reason))
