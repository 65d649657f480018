"""Cohere's content: conversations, answers and streams of both generations of its API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai.providers import _chat
from otel_genai.spec import Body, items, view

if TYPE_CHECKING:
    from cohere import NonStreamedChatResponse, V2ChatResponse

_FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_call",
    "ERROR_TOXIC": "content_filter",
    "ERROR": "error",
    "TIMEOUT": "error",
}
_ROLES = {"CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool", "USER": "user"}


def _answer(parts: list[content.Part], reason: Any) -> list[content.Message]:
    return [content.message("assistant", parts, None, _FINISH.get(str(reason), reason))] if parts else []


# --- The second generation -------------------------------------------------------------------------------


def inputs(body: Body) -> list[content.Message]:
    """Read the conversation sent."""
    return [_turn(turn) for turn in items(body.get("messages")) if isinstance(turn, dict)]


def _turn(turn: dict[str, Any]) -> content.Message:
    role, said = turn.get("role"), turn.get("content")
    if role == "tool":
        answer = said if isinstance(said, str) else _said(said)
        return content.message(role, [content.tool_result(turn.get("tool_call_id"), answer)])
    return content.message(
        role, _planned(turn.get("tool_plan")) + _said(said) + _chat.calls(turn.get("tool_calls"))
    )


def _planned(plan: Any) -> list[content.Part]:
    """Read what the model thought about the tools to be called."""
    return [content.reasoning(plan)] if plan else []


def _said(given: Any) -> list[content.Part]:
    """Read the content of one message: a string, or blocks."""
    if isinstance(given, str):
        return [content.text(given)]
    return [_part(block) for block in items(given) if isinstance(block, dict)]


def _part(block: dict[str, Any]) -> content.Part:
    kind = str(block.get("type"))
    if kind == "text":
        return content.text(block.get("text"))
    if kind == "thinking":
        return content.reasoning(block.get("thinking"))
    if kind == "image_url":
        return _chat.part(block)
    return {"type": kind, "content": block.get("document")} if kind == "document" else {"type": kind}


def outputs(r: V2ChatResponse) -> list[content.Message]:
    """Read the one answer."""
    message = r.message
    parts = _planned(message.tool_plan) + _said(message.content) + _chat.calls(message.tool_calls)
    return _answer(parts, r.finish_reason)


class Fold:
    """Adds events up to what reads like a V2ChatResponse, and like its message."""

    __slots__ = ("_blocks", "_calls", "_content", "_plan", "error", "finish_reason", "id", "usage")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._calls: dict[Any, dict[str, Any]] = {}
        self._plan: list[str] = []
        self.id: Any = None
        self.finish_reason: Any = None
        self.error: Any = None
        self.usage: Any = None

    def add(self, event: Any) -> bool:
        """Take one event in."""
        kind = event.type
        if kind == "message-start":
            self.id = event.id
        elif kind == "message-end":
            delta: Any = view(event.delta)
            self.finish_reason, self.usage = delta.finish_reason, delta.usage
            self.error = getattr(delta, "error", None)  # absent from older types
        elif kind in _OUTPUT:
            if self._content:
                self._extend(kind, event)
            return kind in ("content-delta", "tool-plan-delta", "tool-call-delta", "tool-call-start")
        return False

    def _extend(self, kind: str, event: Any) -> None:
        """Add what an event brings to its block, to its call or to the plan."""
        message = view(event.delta.message)  # before cohere 5.13.12, the types are not those that are sent
        if kind == "tool-plan-delta":
            self._plan.append(message.tool_plan or "")
        elif kind.startswith("content"):
            for name in ("text", "thinking"):
                piece = getattr(message.content, name, None)  # nobody thought before cohere 5.17
                if piece:
                    block = self._blocks.setdefault(event.index, {"type": name, name: ""})
                    block[name] += piece
        else:
            call = message.tool_calls
            known = self._calls.setdefault(event.index, {"function": {"name": None, "arguments": ""}})
            if kind == "tool-call-start":
                known["id"], known["function"]["name"] = call.id, call.function.name
            known["function"]["arguments"] += call.function.arguments or ""

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self.id is None and self.finish_reason is None and not self._blocks else self

    @property
    def complete(self) -> bool:
        """Whether the last event has come."""
        return self.finish_reason is not None

    @property
    def message(self) -> Fold:
        """The message."""
        return self

    @property
    def content(self) -> list[dict[str, Any]]:
        """The blocks of the message, in order."""
        return list(self._blocks.values())

    @property
    def tool_plan(self) -> str:
        """What was thought about the tools to be called."""
        return "".join(self._plan)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tools that the model asked for."""
        return list(self._calls.values())


_OUTPUT = frozenset(
    {"content-start", "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta"}
)

# --- The first generation --------------------------------------------------------------------------------


def preamble(body: Body) -> list[content.Part]:
    """Read the instructions, which stand apart from the conversation."""
    given = body.get("preamble")
    return [content.text(given)] if isinstance(given, str) else []


def v1_inputs(body: Body) -> list[content.Message]:
    """Read the conversation so far, and the message that is to be answered."""
    turns = [_v1_turn(turn) for turn in items(body.get("chat_history")) if isinstance(turn, dict)]
    message, results = body.get("message"), _results(body.get("tool_results"))
    if isinstance(message, str) and message:
        turns.append(content.message("user", [content.text(message)]))
    return [*turns, content.message("tool", results)] if results else turns


def _v1_turn(turn: dict[str, Any]) -> content.Message:
    role, said = turn.get("role"), turn.get("message")
    parts = [content.text(said)] if said else []
    parts += _v1_calls(turn.get("tool_calls")) + _results(turn.get("tool_results"))
    return content.message(_ROLES.get(str(role), role), parts)


def _v1_calls(given: Any) -> list[content.Part]:
    return [content.tool_call(None, call.get("name"), call.get("parameters")) for call in items(given)]


def _results(given: Any) -> list[content.Part]:
    return [content.tool_result(None, result.get("outputs")) for result in items(given)]


def v1_tools(body: Body) -> list[dict[str, Any]]:
    """Read the definitions of the tools offered."""
    return [
        {
            "type": "function",
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": tool.get("parameter_definitions"),
        }
        for tool in items(body.get("tools"))
    ]


def v1_outputs(r: NonStreamedChatResponse) -> list[content.Message]:
    """Read the one answer."""
    parts = [content.text(r.text)] if r.text else []
    return _answer(parts + _v1_calls(r.tool_calls), r.finish_reason)


class V1Fold:
    """Adds events up to what reads like a NonStreamedChatResponse."""

    __slots__ = ("_begun", "_content", "_text", "finish_reason", "generation_id", "meta", "tool_calls")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._begun = False
        self._text: list[str] = []
        self.generation_id: Any = None
        self.finish_reason: Any = None
        self.tool_calls: Any = None
        self.meta: Any = None

    def add(self, event: Any) -> bool:
        """Take one event in."""
        kind = event.event_type
        self._begun = True
        if kind == "text-generation":
            if self._content:
                self._text.append(event.text)
            return True
        if kind == "stream-start":
            self.generation_id = event.generation_id
        elif kind == "tool-calls-generation":
            self.tool_calls = event.tool_calls
        elif kind == "stream-end":
            self.finish_reason, self.meta = event.finish_reason, event.response.meta
        return kind in ("tool-calls-chunk", "tool-calls-generation")

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return self if self._begun else None

    @property
    def complete(self) -> bool:
        """Whether the last event has come."""
        return self.finish_reason is not None

    @property
    def text(self) -> str:
        """What was written so far."""
        return "".join(self._text)
