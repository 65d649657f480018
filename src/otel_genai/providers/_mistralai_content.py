"""Mistral AI's content: conversations, answers, and what the chunks of a stream add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai.providers import _chat
from otel_genai.spec import Body, items, plain

if TYPE_CHECKING:
    from mistralai.client.models import ChatCompletionResponse, CompletionChunk, CompletionEvent

_FINISH = {"tool_calls": "tool_call", "model_length": "length"}
_NO_ID = "null"
"""What the SDK's types have in place of an id that was not sent."""


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return [_turn(turn) for turn in items(body.get("messages")) if isinstance(turn, dict)]


def prompt(body: Body) -> list[content.Message]:
    """Read what is to be completed in the middle: what stands before, and what stands after."""
    given = (body.get("prompt"), body.get("suffix"))
    parts = [content.text(text) for text in given if isinstance(text, str)]
    return [content.message("user", parts)] if parts else []


def outputs(r: ChatCompletionResponse) -> list[content.Message]:
    """Read the choices, one message each."""
    messages = []
    for choice in r.choices:
        message: Any = choice.message
        parts = _said(message.content) + _calls(message.tool_calls)
        why = _FINISH.get(str(choice.finish_reason), choice.finish_reason)
        if parts:
            messages.append(content.message("assistant", parts, None, why))
    return messages


def _turn(turn: dict[str, Any]) -> content.Message:
    role, said = turn.get("role"), turn.get("content")
    if role == "tool":
        answer = said if isinstance(said, str) else _said(said)
        parts = [content.tool_result(turn.get("tool_call_id"), answer)]
    else:
        parts = _said(said) + _calls(turn.get("tool_calls"))
    return content.message(role, parts, turn.get("name"))


def _said(given: Any) -> list[content.Part]:
    """Read the content of one message: a string, or chunks."""
    if isinstance(given, str):
        return [content.text(given)] if given else []
    return [_part(chunk) for chunk in items(given) if isinstance(chunk, dict)]


def _part(chunk: dict[str, Any]) -> content.Part:
    kind = str(chunk.get("type"))
    return _PARTS[kind](chunk) if kind in _PARTS else {"type": kind}


def _image(chunk: dict[str, Any]) -> content.Part:
    image = chunk.get("image_url")
    return content.media("image", image.get("url") if isinstance(image, dict) else image)


def _audio(chunk: dict[str, Any]) -> content.Part:
    """Read audio, whose one string is a URL or base64."""
    audio = chunk.get("input_audio")
    is_url = isinstance(audio, str) and audio.startswith(("http://", "https://", "data:"))
    return content.media("audio", audio) if is_url else content.media("audio", data=audio)


def _thought(chunk: dict[str, Any]) -> content.Part:
    said = [part.get("text") or "" for part in items(chunk.get("thinking")) if isinstance(part, dict)]
    return content.reasoning("".join(said))


_PARTS: Mapping[str, Callable[[dict[str, Any]], content.Part]] = {
    "text": lambda chunk: content.text(chunk.get("text")),
    "image_url": _image,
    "document_url": lambda chunk: content.media("document", chunk.get("document_url")),
    "input_audio": _audio,
    "file": lambda chunk: content.file("document", chunk.get("file_id")),
    "thinking": _thought,
    "reference": lambda chunk: {"type": "reference", "reference_ids": chunk.get("reference_ids")},
}


def _calls(given: Any) -> list[content.Part]:
    """Read the tools that the model asked for."""
    calls = _chat.calls(given)
    return [{**call, "id": None} if call["id"] == _NO_ID else call for call in calls]


# --- Streams ---------------------------------------------------------------------------------------------


class _Message:
    """What the deltas of one choice add up to."""

    __slots__ = ("_calls", "content")

    def __init__(self) -> None:
        self.content: list[dict[str, Any]] = []
        self._calls: dict[Any, dict[str, Any]] = {}

    def add(self, delta: Any) -> None:
        """Take one delta in: a piece of text, chunks, calls of tools."""
        said = delta.content or ()
        for chunk in [{"type": "text", "text": said}] if isinstance(said, str) else said:
            self._extend(plain(chunk))
        for call in delta.tool_calls or ():
            self._call(call)

    def _extend(self, chunk: dict[str, Any]) -> None:
        """Add a chunk to the one before, if both are text or both are thoughts."""
        key = {"text": "text", "thinking": "thinking"}.get(chunk["type"])
        if key and self.content and self.content[-1]["type"] == chunk["type"]:
            chunk = {**chunk, key: self.content.pop()[key] + chunk[key]}
        self.content.append(chunk)

    def _call(self, call: Any) -> None:
        """Add a call: they come whole, or in pieces of which only the first has the id."""
        key = (call.index, call.id)
        if call.id in (None, _NO_ID):
            key = next((known for known in reversed(self._calls) if known[0] == call.index), key)
        arguments = call.function.arguments
        known = self._calls.setdefault(key, {"id": call.id, "function": {"name": "", "arguments": ""}})
        function = known["function"]
        function["name"] = function["name"] or call.function.name
        function["arguments"] = (
            arguments if isinstance(arguments, dict) else function["arguments"] + arguments
        )

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        return list(self._calls.values())


class _Choice:
    __slots__ = ("finish_reason", "message")

    def __init__(self) -> None:
        self.finish_reason: Any = None
        self.message = _Message()


class Fold:
    """Adds chunks up to what reads like a ChatCompletionResponse."""

    __slots__ = ("_choices", "_content", "_head", "usage")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._head: CompletionChunk | None = None
        self._choices: dict[Any, _Choice] = {}
        self.usage: Any = None

    def add(self, event: CompletionEvent) -> bool:
        """Take one chunk in."""
        chunk, output = event.data, False
        self._head = self._head or chunk
        if chunk.usage:
            self.usage = chunk.usage
        for choice in chunk.choices:
            known = self._choices.get(choice.index)
            if known is None:
                known = self._choices[choice.index] = _Choice()
            known.finish_reason = choice.finish_reason or known.finish_reason
            output = output or bool(choice.delta.content or choice.delta.tool_calls)
            if self._content:
                known.message.add(choice.delta)
        return output

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._head is None else self

    @property
    def complete(self) -> bool:
        """Whether every choice that began has come to its end."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    @property
    def id(self) -> Any:
        """The completion's id."""
        return self._head and self._head.id

    @property
    def model(self) -> Any:
        """The model that answers."""
        return self._head and self._head.model

    @property
    def choices(self) -> list[_Choice]:
        """The choices, in order."""
        return list(self._choices.values())
