"""Steps of Google's Interactions API: what they say, and how events add up to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import content
from otel_genai.providers._google_genai_content import fields

_MEDIA = ("image", "audio", "video", "document")
_SILENT = ("thought_signature", "text_annotation_delta")


def parts_of(given: Any) -> list[content.Part]:
    """Read content: a string, one piece of it, or several."""
    if given is None:
        return []
    return [_part(one) for one in (given if isinstance(given, (list, tuple)) else [given])]


def _part(item: Any) -> content.Part:
    if isinstance(item, str):
        return content.text(item)
    block = fields(item)
    kind = str(block.get("type") or "text")
    if kind in _MEDIA:
        return content.media(kind, block.get("uri"), block.get("data"), block.get("mime_type"))
    return content.text(block.get("text")) if kind == "text" else {"type": kind}


def step_parts(step: Mapping[str, Any]) -> list[content.Part]:
    """Read one step: what was said or thought, or a call of a tool, or its result."""
    kind = str(step.get("type"))
    name, _, what = kind.rpartition("_")
    if kind in ("model_output", "user_input"):
        return parts_of(step.get("content"))
    if kind == "thought":
        return [content.reasoning(part.get("content")) for part in parts_of(step.get("summary"))]
    if what == "call":
        return [_call(name, step)]
    return [_answered(name, step) if what == "result" else {"type": kind}]


def _call(name: str, step: Mapping[str, Any]) -> content.Part:
    asked = "".join(step.get("written") or ()) or _plain(step.get("arguments"))
    if name == "function":
        return content.tool_call(step.get("id"), step.get("name"), asked)
    details = {"type": name, "input": content.decoded(asked)}
    return content.server_tool_call(step.get("id"), step.get("name") or name, details)


def _answered(name: str, step: Mapping[str, Any]) -> content.Part:
    result = _result(step.get("result"))
    if name == "function":
        return content.tool_result(step.get("call_id"), result)
    return content.server_tool_result(step.get("call_id"), name, result)


def _result(given: Any) -> Any:
    """Read what a tool answered; media in it are described."""
    if isinstance(given, (list, tuple)):
        return [_piece(one) for one in given]
    return _plain(given)


def _piece(item: Any) -> Any:
    block = fields(item) if not isinstance(item, str) else {}
    return _part(item) if block.get("type") in ("text", *_MEDIA) else _plain(item)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


class _Hops:
    """The counts of one interaction that took several requests: each was paid."""

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        """Add one count, or one list of counts, up."""
        found = [getattr(record, name, None) for record in self._records]
        known = [value for value in found if value is not None]
        if known and isinstance(known[0], list):
            return [item for value in known for item in value]
        return sum(known) if known else None


class Fold:
    """Adds events up to what reads like an Interaction."""

    __slots__ = ("_content", "_interaction", "_steps", "_usage", "complete", "error", "status")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._interaction: Any = None
        self._steps: dict[Any, dict[str, Any]] = {}
        self._usage: list[Any] = []
        self.complete = False
        self.error: Any = None
        self.status: Any = None

    def add(self, event: Any) -> bool:
        """Take one event in."""
        kind = getattr(event, "event_type", None)  # an event of a kind that the SDK does not know has none
        if kind == "step.delta":
            if self._content:
                _extend(self._steps[len(self._usage), event.index], event.delta)
            return event.delta.type not in _SILENT
        if kind == "step.start":
            if self._content:
                self._steps[len(self._usage), event.index] = dict(fields(event.step))
        elif kind in ("interaction.created", "interaction.completed"):
            self._interaction = event.interaction
            self.status = event.interaction.status
            if kind == "interaction.completed":
                self._usage.append(event.interaction.usage)
                self.complete = self.status != "requires_continuation"
        elif kind == "interaction.status_update":
            self.status = event.status
        elif kind == "error":
            self.error = event.error or kind
            self.complete = True
        return False

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._interaction is None and self.error is None else self

    @property
    def id(self) -> Any:
        """The interaction's id."""
        return self._interaction.id

    @property
    def model(self) -> Any:
        """The model that answers."""
        return self._interaction.model

    @property
    def service_tier(self) -> Any:
        """The tier that served the call."""
        return getattr(self._interaction, "service_tier", None)

    @property
    def usage(self) -> Any:
        """The counts, which come at the end of each request."""
        return _Hops(self._usage) if self._usage else None

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps, in order."""
        return [_closed(step) for step in self._steps.values()]


def _extend(step: dict[str, Any], delta: Any) -> None:
    """Add a delta to its step: text and arguments come in pieces, the rest comes whole."""
    kind = delta.type
    if kind == "text":
        step.setdefault("said", []).append(delta.text)
    elif kind == "arguments_delta":
        step.setdefault("written", []).append(delta.arguments or "")
    elif kind == "thought_summary":
        step["summary"] = [*(step.get("summary") or ()), delta.content]
    elif kind in _MEDIA:
        step["content"] = [*_closed(step)["content"], delta]
        step["said"] = []
    elif kind not in _SILENT:
        step.update(
            {key: found for key, found in fields(delta).items() if key != "type" and found is not None}
        )


def _closed(step: dict[str, Any]) -> dict[str, Any]:
    """Make one text of the pieces that came last."""
    said = "".join(step.get("said") or ())
    return {**step, "content": [*(step.get("content") or ()), *([said] if said else ())]}
