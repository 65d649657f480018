"""Content in the conventions' JSON shape: messages made of parts. Built only when capture is on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

_DEPTH = 20
"""How deep the attributes of a log record are nested at most: OTLP's decoders give up at a hundred levels."""

_URL_SAFE = str.maketrans("-_", "+/", "=")
Part = dict[str, Any]
Message = dict[str, Any]


def text(content: object) -> Part:
    """Build a part of plain text."""
    return {"type": "text", "content": content}


def reasoning(content: object) -> Part:
    """Build a part of the model's own reasoning."""
    return {"type": "reasoning", "content": content}


def tool_call(call_id: object, name: object, arguments: object) -> Part:
    """Build the part in which the model asks for a tool; JSON arguments are decoded."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": decoded(arguments)}


def tool_result(call_id: object, response: object) -> Part:
    """Build the part that carries a tool's answer back to the model."""
    return {"type": "tool_call_response", "id": call_id, "response": decoded(response)}


def server_tool_call(call_id: object, name: object, details: object) -> Part:
    """Build the part that says the provider ran a tool of its own."""
    return {"type": "server_tool_call", "id": call_id, "name": name, "server_tool_call": details}


def server_tool_result(call_id: object, name: object, details: object) -> Part:
    """Build the part that carries the answer of a tool that the provider ran."""
    return {
        "type": "server_tool_call_response",
        "id": call_id,
        "server_tool_call_response": {"type": name, "content": details},
    }


def file(modality: str, file_id: object) -> Part:
    """Build the part that refers to a file uploaded before."""
    return {"type": "file", "modality": modality, "file_id": file_id}


def media(modality: str, url: object = None, data: object = None, mime_type: object = None) -> Part:
    """Refer to media by its URL; media sent inline is described, never copied."""
    if isinstance(url, str) and not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "uri": url, "mime_type": mime_type}
    if isinstance(url, str):
        header, _, data = url.partition(",")
        mime_type = header[len("data:") :].split(";", 1)[0] or mime_type
    size, digest = fingerprint(data)
    found = {"type": "inline_media", "modality": modality, "mime_type": mime_type, "size": size}
    return found if digest is None else {**found, "sha256": digest}


def fingerprint(data: object) -> tuple[int | None, str | None]:
    """Give the bytes and the SHA-256 of a file, given as bytes or in base64; None where it is neither."""
    import base64  # noqa: PLC0415 (a program without media need not wait for these)
    import hashlib  # noqa: PLC0415

    if isinstance(data, str):
        try:
            data = base64.b64decode(data.translate(_URL_SAFE) + "==")
        except ValueError:
            return None, None
    return (len(data), hashlib.sha256(data).hexdigest()) if isinstance(data, bytes) else (None, None)


def message(role: object, parts: list[Part], name: object = None, finish: object = None) -> Message:
    """Build one turn of a conversation."""
    turn: Message = {"role": role, "parts": parts}
    if name is not None:
        turn["name"] = name
    if finish is not None:
        turn["finish_reason"] = finish
    return turn


def messages(given: object, role: str) -> list[Message]:
    """Read what a user hands over by hand: a string, one message, or a list of either."""
    turns = given if isinstance(given, (list, tuple)) else [given]
    return [turn if isinstance(turn, dict) else message(role, [text(turn)]) for turn in turns]


def parts(given: object) -> list[Part]:
    """Read instructions handed over by hand: a string, one part, or a list of either."""
    items: Iterable[object] = given if isinstance(given, (list, tuple)) else [given]
    return [item if isinstance(item, dict) else text(item) for item in items]


def decoded(value: object) -> object:
    """Decode a string that is a JSON object or array; anything else is returned as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def to_json(value: object) -> str:
    """Encode content for a span's attribute; what JSON does not know is written as text."""
    if isinstance(value, str):
        return sendable(value)
    try:
        text = _strict_json(value)
    except (TypeError, ValueError, RecursionError) as error:  # a key that is no string, NaN, a circle, depth
        text = _strict_json(str(value) if "Circular" in str(error) else to_plain(value))
    return sendable(text)


def _said(value: object) -> str:
    """Write what JSON does not know as text: bytes are a file, and said to be one."""
    return described(value) if isinstance(value, (bytes, bytearray, memoryview)) else str(value)


_strict_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_said).encode


def described(data: object, mime_type: str = "data") -> str:
    """Put a file into words, given as `fingerprint` takes it."""
    size, digest = fingerprint(bytes(data) if isinstance(data, (bytearray, memoryview)) else data)
    return f"[{mime_type or 'data'}, {size} bytes, sha256 {digest}]"


def sendable(text: str) -> str:
    """Replace half an emoji and its like, with which no exporter could send the text."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def to_plain(value: object, depth: int = 0) -> Any:
    """Bring content into the types that a log record can carry; what is too deep for one becomes text."""
    if isinstance(value, (dict, list, tuple)) and depth == _DEPTH:
        return _as_text(value)
    if isinstance(value, dict):
        # A log record has no empty keys.
        return {sendable(str(key)): to_plain(item, depth + 1) for key, item in value.items() if key != ""}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, depth + 1) for item in value]
    return value if value is None or _is_number(value) else sendable(_said(value))


def _is_number(value: object) -> bool:
    """Whether a value is one of the numbers that can be sent, True and False among them."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _as_text(value: object) -> str:
    try:
        return sendable(_strict_json(value))
    except (TypeError, ValueError):
        return sendable(str(value))
    except RecursionError:
        return f"<{type(value).__name__}>"
