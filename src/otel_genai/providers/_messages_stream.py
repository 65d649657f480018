"""Streams of the Messages format: events add up to what reads like a Message."""

from __future__ import annotations

from typing import Any

from otel_genai import content
from otel_genai.spec import plain


class Fold:
    """Adds events up to what reads like a Message."""

    __slots__ = ("_blocks", "_content", "_message", "_usage", "complete", "error", "stop_reason")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._message: Any = None
        self._usage: Any = None
        self._blocks: dict[Any, dict[str, Any]] = {}
        self.stop_reason: Any = None
        self.complete = False
        self.error: str | None = None

    def add(self, event: Any) -> bool:
        """Take one event in."""
        kind = event.type
        if kind == "content_block_delta":
            if self._content:
                _extend(self._blocks[event.index], event.delta)
            return True
        if kind == "content_block_start":
            if self._content:
                self._blocks[event.index] = dict(plain(event.content_block))
        elif kind == "message_start":
            self._message = event.message
        elif kind == "message_delta":
            self.stop_reason = event.delta.stop_reason
            self._usage = event.usage
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":  # only in a body read by hand: the SDK raises it
            self.error = event.error.type
        return False

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._message is None and self.error is None else self

    @property
    def id(self) -> Any:
        """The message's id."""
        return self._message.id

    @property
    def model(self) -> Any:
        """The model that answers."""
        return self._message.model

    @property
    def usage(self) -> Any:
        """The counts: those at the end replace those at the start, where the output has only begun."""
        return _Latest(self._usage, self._message.usage)

    @property
    def content(self) -> list[dict[str, Any]]:
        """The blocks, in order."""
        return [_closed(block) for block in self._blocks.values()]


class _Latest:
    """A usage record whose gaps are filled by an earlier one; a stream that was cut has no late one."""

    def __init__(self, late: Any, early: Any) -> None:
        self._records = (late, early)

    def __getattr__(self, name: str) -> Any:
        """Read one count; how much was written in all is not known before the end."""
        if name == "output_tokens" and self._records[0] is None:
            return None
        found = (getattr(record, name, None) for record in self._records)
        return next((value for value in found if value is not None), None)


_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json",
           "compaction_delta": "content"}  # fmt: skip


def _extend(block: dict[str, Any], delta: Any) -> None:
    """Add a delta's text to its block."""
    key = _DELTAS.get(delta.type)
    if key is not None:
        block[key] = (block.get(key) or "") + getattr(delta, key)


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    """Make a tool's input of its pieces; a broken one stays text."""
    return {**block, "input": content.decoded(block["partial_json"])} if block.get("partial_json") else block
