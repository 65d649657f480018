"""Streams of Converse: what their events add up to."""

from __future__ import annotations

import json
from typing import Any

from otel_genai.spec import view


def unpacked(event: dict[str, Any]) -> Any:
    """Decode the JSON that one event of a stream carries."""
    return json.loads(event["chunk"]["bytes"])


class Fold:
    """Adds events up to what reads like the answer of Converse."""

    __slots__ = (
        "_blocks", "_content", "_end", "_has_begun", "_role", "complete", "stopReason",
    )  # fmt: skip

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._has_begun = False
        self._role = "assistant"
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._end: dict[str, Any] = {}
        self.stopReason: Any = None
        self.complete = False

    def add(self, event: dict[str, Any]) -> bool:
        """Take one event in."""
        self._has_begun = True
        if "contentBlockDelta" in event:
            if self._content:
                found = event["contentBlockDelta"]
                _extend(self._blocks.setdefault(found.get("contentBlockIndex"), {}), found["delta"])
            return True
        if "contentBlockStart" in event:
            if self._content:
                found = event["contentBlockStart"]
                start = {kind: dict(value) for kind, value in found["start"].items()}
                self._blocks[found.get("contentBlockIndex")] = start
        elif "messageStart" in event:
            self._role = event["messageStart"]["role"]
        elif "messageStop" in event:
            self.stopReason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            self._end = event["metadata"]
            self.complete = True
        return False

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return self if self._has_begun else None

    @property
    def output(self) -> Any:
        """The message so far."""
        return {"message": {"role": self._role, "content": list(self._blocks.values())}}

    def __getattr__(self, name: str) -> Any:
        """Read what comes at the end, if it has come."""
        return view(self._end.get(name))


def _extend(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta to its block."""
    for kind, value in delta.items():
        if kind == "text":
            block["text"] = block.get("text", "") + value
        elif kind == "toolUse":
            use = block.setdefault("toolUse", {})
            use["input"] = use.get("input", "") + value["input"]  # JSON, which is decoded where it is read
        elif kind == "reasoningContent" and "text" in value:
            known = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
            known["text"] += value["text"]
        elif kind == "reasoningContent":
            block.setdefault("reasoningContent", {})
        elif kind == "toolResult":
            block.setdefault("toolResult", {}).setdefault("content", []).extend(value)
