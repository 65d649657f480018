"""What is said in LangChain: messages in every form that it takes, and what models and tools answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.content import Message, Part
from otel_genai.spec import Body, plain

ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "function": "tool"}
"""LangChain's types of messages -> the conventions' roles."""
TEXTS = ("text", "input_text", "output_text", "text-plain")
THOUGHTS = ("thinking", "reasoning")
CALLS = ("tool_use", "tool_call", "tool_call_chunk", "function_call", "invalid_tool_call")
"""Blocks that say again what a message's `tool_calls` say."""
OWN_NAMES = ("lc_run-", "run-")
"""What the ids of messages begin with that LangChain has named after its runs."""
MEDIA = ("image", "audio", "video", "file", "image_url")

# --- What a run was given, and what it gave --------------------------------------------------------------


def inputs(body: Body) -> list[Message]:
    """Read what a chain, a graph or an agent is asked."""
    return _said(body["input"], "user")


def outputs(result: Any) -> list[Message]:
    """Read what came of it: of a conversation, the last turn."""
    return _said(result, "assistant")[-1:]


def _said(value: Any, role: str) -> list[Message]:
    found = value.get("messages") if isinstance(value, Mapping) else value
    if is_message(found) or (isinstance(found, (list, tuple)) and found and _are_messages(found)):
        return messages(found)
    if value is None or value == "":
        return []
    return [content.message(role, [content.text(content.to_json(_plain(value)))])]


def _are_messages(found: Any) -> bool:
    return isinstance(found, list) and all(is_message(one) for one in found)


def arguments(body: Body) -> Any:
    """Read what a tool is called with."""
    return content.decoded(body["arguments"])


def result(output: Any) -> Any:
    """Read what a tool gave: LangChain may have put it into a message."""
    given = getattr(output, "content", output) if is_message(output) else output
    return content.decoded(given) if isinstance(given, str) else _plain(given)


def called(output: Any) -> dict[str, Any]:
    """Say which call of the model's a tool has answered."""
    return {s.TOOL_CALL_ID: getattr(output, "tool_call_id", None)}


def fault(output: Any) -> str | None:
    """Give the code of a failure that the tool's caller is told of instead of the program."""
    return s.ERROR_TOOL if getattr(output, "status", None) == "error" else None


def query(body: Body) -> Any:
    """Read what is searched for."""
    return body["query"]


def documents(found: Any) -> list[dict[str, Any]]:
    """Read what was found: ids and scores, where they are told."""
    return [{"id": getattr(one, "id", None), **_scored(one.metadata)} for one in found]


def _scored(metadata: Mapping[str, Any]) -> dict[str, Any]:
    score = metadata.get("score", metadata.get("relevance_score"))
    return {} if score is None else {"score": score}


def is_cached(answer: Any, run: Any) -> bool:
    """Whether an answer comes out of LangChain's cache.

    It says that it has cost nothing; in older versions only its name is that of another run.
    """
    found = [one.message for one in generations(answer) if hasattr(one, "message")]
    return any(_costs_nothing(one) or _is_of_another(one, str(run)) for one in found)


def _costs_nothing(message: Any) -> bool:
    counts = getattr(message, "usage_metadata", None)
    return counts is not None and counts.get("total_cost") == 0


def _is_of_another(message: Any, run: str) -> bool:
    """Whether a message has been named after another run than this."""
    name = getattr(message, "id", None)
    return isinstance(name, str) and name.startswith(OWN_NAMES) and run not in name


def generations(answer: Any) -> Iterator[Any]:
    """Give the choices of an answer."""
    for prompt in getattr(answer, "generations", None) or ():
        yield from prompt if isinstance(prompt, list) else (prompt,)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return plain(value)


# --- Messages --------------------------------------------------------------------------------------------


def is_message(value: Any) -> bool:
    """Whether a value is a message: LangChain's own, a dictionary with a role, or a pair of role and text."""
    if isinstance(value, Mapping):
        return "content" in value and ("role" in value or "type" in value)
    if isinstance(value, tuple):
        return len(value) == 2 and all(isinstance(one, str) for one in value)  # noqa: PLR2004 (a pair)
    return hasattr(value, "content") and hasattr(value, "type")


def messages(given: Any) -> list[Message]:
    """Read messages."""
    return [message(one) for one in (given if isinstance(given, list) else [given])]


def message(given: Any) -> Message:
    """Read one message."""
    if isinstance(given, str):
        return content.message("user", [content.text(given)])
    if isinstance(given, tuple):
        return content.message(ROLES.get(given[0], given[0]), [content.text(given[1])])
    read: Callable[[str], Any] = (
        given.get if isinstance(given, Mapping) else lambda name: getattr(given, name, None)
    )
    kind = read("role") or read("type")
    role = ROLES.get(kind, kind)
    if role == "tool":
        answer = content.tool_result(read("tool_call_id"), _plain(read("content")))
        return content.message(role, [answer], read("name"))
    calls = [content.tool_call(one["id"], one["name"], one["args"]) for one in _calls(read("tool_calls"))]
    return content.message(role, [*parts(read("content")), *calls], read("name"))


def _calls(given: Any) -> list[Any]:
    """Give the calls of tools; those of OpenAI's form are read as they are in LangChain's."""
    return [
        {"id": one.get("id"), "name": one["function"]["name"], "args": one["function"]["arguments"]}
        if "function" in one
        else one
        for one in given or ()
    ]


def parts(given: Any) -> list[Part]:
    """Read a message's content: a text, or blocks of LangChain's or of a provider's form."""
    blocks = given if isinstance(given, list) else [given] if given else []
    return [part for block in blocks if (part := _part(block)) is not None]


def _part(block: Any) -> Part | None:
    if not isinstance(block, Mapping):
        return content.text(block)
    kind = block.get("type")
    if kind in TEXTS:
        return content.text(block.get("text"))
    if kind in THOUGHTS:
        return content.reasoning(block.get(kind))
    if kind in MEDIA:
        return _media(kind, block)
    return None if kind in CALLS else {"type": kind}


def _media(kind: Any, block: Mapping[str, Any]) -> Part:
    inner = block.get("image_url")
    url = inner.get("url") if isinstance(inner, Mapping) else inner or block.get("url")
    data = block.get("base64") or block.get("data")
    modality = "image" if kind == "image_url" else "document" if kind == "file" else kind
    if block.get("file_id"):
        return content.file(modality, block["file_id"])
    return content.media(modality, url, data, block.get("mime_type"))
