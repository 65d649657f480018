"""The Responses format: one response made of items, with the instructions apart from the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _chat
from otel_genai.spec import Attributes, Body, Row, items, plain, view

if TYPE_CHECKING:
    from openai.types.responses import Response, ResponseUsage

REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "max_output_tokens": s.REQUEST_MAX_TOKENS,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "top_p": (s.REQUEST_TOP_P, float),
    "reasoning": (s.REQUEST_REASONING_LEVEL, lambda reasoning: reasoning["effort"]),
    "text": (s.OUTPUT_TYPE, lambda text: _chat.output_type(text["format"])),
    "service_tier": (s.OPENAI_REQUEST_SERVICE_TIER, _chat.unless_auto),
    "previous_response_id": s.REQUEST_PREVIOUS_RESPONSE_ID,
    "conversation": (s.CONVERSATION_ID, lambda c: c if isinstance(c, str) else c["id"]),
}
FETCH_REQUEST: Mapping[str, Row] = {
    "response_id": s.RESPONSE_ID,
    "starting_after": (s.REQUEST_STREAM_CURSOR, str),
}
_INCOMPLETE = {"max_output_tokens": "length"}
_LAST = ("response.completed", "response.failed", "response.incomplete", "response.cancelled", "error")
_TOOL_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_TOOL_RESULTS = ("function_call_output", "custom_tool_call_output", "computer_call_output")


def response(r: Response) -> Attributes:
    """Say what the answer is called, and which conversation it belongs to."""
    conversation = view(getattr(r, "conversation", None))  # no type of its own before openai 1.100
    return {
        s.RESPONSE_ID: r.id,
        s.RESPONSE_MODEL: r.model,
        s.CONVERSATION_ID: conversation.id if conversation is not None else None,
    }


def tier(r: Response) -> Attributes:
    """Say which tier served the call."""
    return {s.OPENAI_RESPONSE_SERVICE_TIER: getattr(r, "service_tier", None)}  # absent before openai 1.71


def finish(r: Response) -> Attributes:
    """Say why the one generation ended; one that was sent to the background has not."""
    waiting = r.status in ("queued", "in_progress") and getattr(r, "background", None)  # absent before 1.80
    return {} if waiting else {s.RESPONSE_FINISH_REASONS: [_finish(r)]}


def _finish(r: Response) -> str | None:
    if r.status == "incomplete" and r.incomplete_details is not None:
        reason = r.incomplete_details.reason
        return _INCOMPLETE.get(str(reason), reason)
    if r.status in ("failed", "cancelled"):
        return s.FINISH_ERROR
    if r.status != "completed":
        return None
    return "tool_calls" if any(item.type in _TOOL_CALLS for item in r.output) else "stop"


def fetched(r: Response) -> Attributes:
    """Say what a stored response is, and how it ended; its tokens were counted when they were used."""
    reason = _finish(r)
    return {
        s.RESPONSE_ID: r.id,
        s.RESPONSE_MODEL: r.model,
        s.RESPONSE_STATUS: r.status,
        s.RESPONSE_FINISH_REASONS: [reason] if reason else None,
    }


def fault(r: Response) -> str | None:
    """Give the error code of a response that failed."""
    return _chat.code(r.error) if r.status == "failed" else None


def compacted(r: Response) -> Attributes:
    """Say that the provider shortened the conversation, where it did."""
    return {s.CONVERSATION_COMPACTED: any(item.type == "compaction" for item in r.output) or None}


def usage(r: Response) -> Attributes:
    """Count tokens: cached ones are in the input's, reasoning is in the output's."""
    return {} if r.usage is None else _counts(r.usage)


def _counts(u: ResponseUsage) -> Attributes:
    found: Attributes = {s.USAGE_INPUT_TOKENS: u.input_tokens, s.USAGE_OUTPUT_TOKENS: u.output_tokens}
    # Compatible hosts leave details out; openai 1.66 has no type for those of the input.
    read, written = view(getattr(u, "input_tokens_details", None)), u.output_tokens_details
    if read is not None:
        found[s.USAGE_CACHE_READ_INPUT_TOKENS] = read.cached_tokens
        found[s.USAGE_CACHE_WRITE_INPUT_TOKENS] = getattr(read, "cache_write_tokens", None)
    if written is not None:
        found[s.USAGE_REASONING_OUTPUT_TOKENS] = written.reasoning_tokens
    return found


def instructions(body: Body) -> list[content.Part]:
    """Read the instructions, which stand apart from the conversation."""
    return [content.text(body["instructions"])] if body.get("instructions") else []


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent: a string, or a list of turns and tool calls."""
    given = body.get("input")
    if isinstance(given, str):
        return [content.message("user", [content.text(given)])]
    return [_turn(item) for item in items(given)]


def _turn(item: dict[str, Any]) -> content.Message:
    kind = item.get("type", "message")
    if kind == "message":
        return content.message(item.get("role"), _chat.said(item.get("content")))
    if kind in _TOOL_RESULTS:
        return content.message("tool", [content.tool_result(item.get("call_id"), item.get("output"))])
    return content.message("assistant", _item(item))


def _item(item: dict[str, Any]) -> list[content.Part]:
    """Read what the model produced: text, thoughts, tools it asks for, tools the provider ran."""
    kind = str(item.get("type"))
    if kind == "message":
        return _chat.said(item.get("content"))
    if kind in _TOOL_CALLS:
        call_id = item.get("call_id") or item.get("id")
        return [content.tool_call(call_id, item.get("name"), item.get(_TOOL_CALLS[kind]))]
    if kind == "reasoning":
        said = [*(item.get("summary") or ()), *(item.get("content") or ())]
        return [content.reasoning(block.get("text")) for block in said]
    if kind.endswith("_call"):
        details = {key: value for key, value in item.items() if key not in ("id", "result")}
        return [content.server_tool_call(item.get("id"), kind.removesuffix("_call"), details)]
    return [{"type": kind, "id": item.get("id")}]


def outputs(r: Response) -> list[content.Message]:
    """Read the output, one message: the Responses API makes one choice."""
    parts = [part for item in r.output for part in _item(plain(item))]
    reason = {"tool_calls": "tool_call"}.get(str(_finish(r)), _finish(r))
    return [content.message("assistant", parts, None, reason)] if parts else []


class Fold:
    """Takes the response from the event that carries it whole, or what there was of it."""

    __slots__ = ("_content", "_error", "_items", "_response", "_text", "complete")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self.complete = False
        self._error: Any = None
        self._response: Any = None
        self._items: list[Any] = []
        self._text: list[str] = []

    def add(self, event: Any) -> bool:
        """Take one event in."""
        if event.type is None:  # openai 1 wraps the `error` event; some hosts send one without a type
            event = view(getattr(event, "data", None)) or event
        kind: str = event.type or ("error" if event.error else "")
        if kind.endswith(".delta"):
            if self._content and kind == "response.output_text.delta":
                self._text.append(event.delta)
            return True
        if kind == "response.output_item.done":
            self._items.append(event.item)
            self._text.clear()
        else:
            self.complete = self.complete or kind in _LAST
            self._error = event if kind == "error" else self._error
            # An SDK that is older than what the response holds leaves it as plain data.
            self._response = view(getattr(event, "response", None)) or self._response
        return kind.endswith(".partial_image")

    @property
    def answer(self) -> Any:
        """Give the response; one that was broken off gets the items that had come."""
        if self._error is None and (self._response is None or self._response.output):
            return self._response
        return _Partial(self._response or view({}), self._items, "".join(self._text), self._error)


class _Partial:
    """A response that did not come to its end."""

    def __init__(self, known: Any, items: list[Any], text: str, error: Any) -> None:
        self._known = known
        if error is not None:
            self.status, self.error = "failed", view(getattr(error, "error", None)) or error
        broken_off = {"type": "message", "content": [{"type": "output_text", "text": text}]}
        self.output = [*items, _Item(broken_off)] if text else items

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)


class _Item:
    type = "message"

    def __init__(self, item: dict[str, Any]) -> None:
        self._item = item

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return self._item
