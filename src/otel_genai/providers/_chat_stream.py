"""Streams in the Chat Completions format: what their chunks add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_genai.providers import _chat

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

# not in every SDK's type
_RARE_OUTPUT = ("refusal", "reasoning_content", "reasoning", "function_call", "audio")


class _Message:
    """What the deltas of one choice add up to."""

    __slots__ = ("_calls", "_content", "_reasoning", "_refusal", "role")

    def __init__(self) -> None:
        self.role = "assistant"
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[Any, dict[str, Any]] = {}

    def add(self, delta: Any) -> None:
        """Take one delta in."""
        if delta.content:
            self._content.append(delta.content)
        refusal = getattr(delta, "refusal", None)
        if refusal:
            self._refusal.append(refusal)
        self._reasoning += [part["content"] for part in _chat.thought(delta)]
        for call in delta.tool_calls or ():
            key = call.id if call.index is None else call.index  # some hosts send calls whole and uncounted
            known = self._calls.setdefault(key, {"function": {"name": "", "arguments": ""}})
            known["id"] = known.get("id") or call.id
            if call.function is not None:
                known["function"]["name"] += call.function.name or ""
                known["function"]["arguments"] += call.function.arguments or ""

    @property
    def content(self) -> str:
        return "".join(self._content)

    @property
    def refusal(self) -> str:
        return "".join(self._refusal)

    @property
    def reasoning(self) -> str | None:
        return "".join(self._reasoning) or None

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        return list(self._calls.values())


class _Choice:
    __slots__ = ("finish_reason", "message")

    def __init__(self) -> None:
        self.finish_reason: Any = None
        self.message = _Message()


class Fold:
    """Adds chunks up to what reads like a ChatCompletion."""

    __slots__ = ("_choices", "_content", "_head", "_last", "_usage", "error")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._head: Any = None
        self._last: Any = None
        self._choices: dict[Any, _Choice] = {}
        self.error: Any = None
        self._usage: Any = None

    def add(self, chunk: ChatCompletionChunk) -> bool:
        """Take one chunk in."""
        self._last = chunk
        choices = chunk.choices
        if self._head is None and chunk.model:  # Azure's first chunk has filter results and no model
            self._head = chunk
        if not choices:
            self._add_rest(chunk)
            return False
        output = False
        for choice in choices:
            known = self._choices.get(choice.index)
            if known is None:
                known = self._choices[choice.index] = _Choice()
            finish, delta = choice.finish_reason, choice.delta
            if finish is not None:
                known.finish_reason = finish
                self._add_rest(chunk)  # some hosts have no chunk for it alone
            if delta.content or delta.tool_calls:
                output = True
            elif finish is None:
                output = output or any(getattr(delta, name, None) for name in _RARE_OUTPUT)
            if self._content:
                known.message.add(delta)
        return output

    def _add_rest(self, chunk: Any) -> None:
        """Take in what is beside the choices."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        elif not chunk.choices:  # an error event is the SDK's to raise, unless the caller reads the bytes
            self.error = self.error or getattr(chunk, "error", None)

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._last is None else self

    @property
    def complete(self) -> bool:
        """Whether every choice that began has come to its end."""
        choices: list[Any] = self.choices
        return bool(choices) and all(choice.finish_reason is not None for choice in choices)

    @property
    def usage(self) -> Any:
        """What was used; some hosts count on in each chunk."""
        return self._last.usage if self._usage is None else self._usage

    @property
    def id(self) -> Any:
        """The completion's id."""
        return (self._head or self._last).id

    @property
    def model(self) -> Any:
        """The model that answers."""
        return (self._head or self._last).model

    @property
    def service_tier(self) -> Any:
        """The tier that served the call."""
        return self._last.service_tier or (self._head or self._last).service_tier

    @property
    def system_fingerprint(self) -> Any:
        """The back end's configuration."""
        return self._last.system_fingerprint or (self._head or self._last).system_fingerprint

    @property
    def choices(self) -> list[_Choice]:
        """The choices, in order."""
        return list(self._choices.values())
