"""The one gate for content: whether, where and how much of it is recorded, and without what."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otel_genai import _budget, content, masking
from otel_genai import semconv as s
from otel_genai.settings import Capture, Settings

if TYPE_CHECKING:
    from otel_genai._call import Call
    from otel_genai._context import Scope

Cleaned = tuple[dict[str, Any], dict[str, str]]

_RANDOM = (1 << 56) - 1
"""The part of a trace's id that is random, by W3C's Trace Context."""
_INLINE = re.compile(r"data:([\w.+/-]*)(?:;[\w=.+-]+)*;base64,([A-Za-z0-9+/_=-]*)")
_MARK = ";base64,"
_FILES = {
    "iVBORw0KGg": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "data",
    "JVBERi0": "application/pdf", "SUQz": "audio/mpeg", "T2dnUw": "audio/ogg", "ZkxhQw": "audio/flac",
    "GkXfo": "video/webm", "AAAAFGZ0eXA": "video/mp4", "AAAAGGZ0eXA": "video/mp4",
    "AAAAHGZ0eXA": "video/mp4", "AAAAIGZ0eXA": "video/mp4", "UEsDB": "application/zip",
}  # fmt: skip
"""What files of well-known kinds begin with in base64; RIFF is both images and sound."""
_BARE = re.compile(rf"(?:{'|'.join(_FILES)})(?:[A-Za-z0-9+/_-]{{60,}}[\r\n]{{0,2}})+[A-Za-z0-9+/_-]*={{0,2}}")
_STRETCH = 500
"""Characters of which every file of a kilobyte has as many at once, from one of their multiples on."""
_SHARE_OF_A_MESSAGE = 8
_SHARE_OF_A_TRACE = 2
"""What an exception's message and its stack trace take of the budget at most: an eighth, and half."""


class Gate:
    """Decides for one operation; everything is chosen beforehand that can be."""

    __slots__ = (
        "_budget", "_maskers", "_on_error", "_share", "captures", "emits", "on_event", "on_hook", "on_span",
    )  # fmt: skip

    def __init__(self, settings: Settings, operation: str) -> None:
        """Read the settings for one operation."""
        mode: Capture = settings.capture_operations.get(operation, settings.capture)
        wanted = mode.on_event if settings.emit_event is None else settings.emit_event
        self.emits = (wanted and operation in s.INFERENCE) or operation == s.EVALUATE
        self.on_span = mode.on_span
        self.on_event = mode.on_event and self.emits
        self.on_hook = settings.completion_hook is not None and operation in s.INFERENCE
        if settings.capture_operations.get(operation) is Capture.NO_CONTENT:
            self.on_hook = False
        self.captures = self.on_span or self.on_event or self.on_hook
        self._maskers = settings.maskers
        self._budget = settings.content_budget
        self._share = settings.capture_sample
        self._on_error = settings.capture_on_error

    def opened(self, around: Scope | None, trace_id: int) -> tuple[bool, bool, bool]:
        """Say whether one call's content may go on its span, on its event, and to the completion hook."""
        if not self.captures or not is_sampled(trace_id, self._share):
            return False, False, False
        narrowed = around.capture if around is not None else None
        if narrowed is None:
            return self.on_span, self.on_event, self.on_hook
        on_hook = self.on_hook and narrowed is not Capture.NO_CONTENT
        return self.on_span and narrowed.on_span, self.on_event and narrowed.on_event, on_hook

    def wants(self, outcome: str) -> bool:
        """Whether the content of a call that ended so is recorded."""
        return not self._on_error or outcome in (s.FAILED, s.TRUNCATED)

    def cleaned(self, written: dict[str, Any], fail: Callable[[Exception], None]) -> Cleaned:
        """Give content by attribute without what is masked: as plain data, and the same as JSON.

        Args:
            written: content by attribute.
            fail: told of a masker that failed: what it was to mask is left out.
        """
        plain, texts = {}, {}
        for key, value in written.items():
            found = self._cleaned(value, fail)
            if found is not None:
                plain[key], texts[key] = found
        return plain, texts

    def fitted(self, cleaned: Cleaned, limit: int | None) -> Cleaned:
        """Give content as it may be recorded: within the budget.

        Args:
            cleaned: what `cleaned` gave.
            limit: characters at which an attribute would be cut off, if at any.
        """
        plain, texts = cleaned
        sizes = [_budget.size(text) for text in texts.values()]
        most = self._budget if limit is None else min(self._budget, limit)
        if sum(sizes) > self._budget or max(sizes, default=0) > most:
            known = {key: _decoded(text) for key, text in texts.items()}
            plain = _budget.fitted(known, self._budget, most)
            texts = {key: content.to_json(value) for key, value in plain.items()}
        return plain, texts

    def error(self, message: str, trace: str, fail: Callable[[Exception], None]) -> tuple[str, str] | None:
        """Give an exception's message and stack trace as they may be recorded; None if a masker failed."""
        try:
            found = [masking.masked(_described(text), self._maskers) for text in (message, trace)]
        except Exception as error:  # noqa: BLE001 (a masker may be anybody's)
            fail(error)
            return None
        return (
            _budget.text(found[0], self._budget // _SHARE_OF_A_MESSAGE),
            _budget.text(found[1], self._budget // _SHARE_OF_A_TRACE),
        )

    def _cleaned(self, value: Any, fail: Callable[[Exception], None]) -> tuple[Any, str] | None:
        try:
            return self._clean(value)
        except Exception as error:  # noqa: BLE001 (a masker may be anybody's)
            fail(error)
            return None

    def _clean(self, value: Any) -> tuple[Any, str]:
        """Describe media, and mask; give the result and its JSON."""
        text = content.to_json(value)
        # One character is found at ten times the speed.
        if (";" in text and _MARK in text) or _may_have_file(text):
            value = _each(value if isinstance(value, str) else json.loads(text), _described)
            text = content.to_json(value)
        if self._maskers:
            value = masking.masked(value if isinstance(value, str) else json.loads(text), self._maskers)
            text = content.to_json(value)
        return value, text


def is_sampled(trace_id: int, share: float) -> bool:
    """Whether a trace is one of the share: the same in every process."""
    return (trace_id & _RANDOM) < share * (_RANDOM + 1)


def within(around: Scope | None, outer: Call) -> tuple[bool, bool, bool]:
    """Say the same as `Gate.opened` of a call within another one for the same inference.

    What is recorded of both is in one place: where less is allowed within, nothing is.
    """
    places = outer.on_span, outer.on_event, outer.on_hook
    narrowed = around.capture if around is not None else None
    if narrowed is None:
        return places
    allowed = narrowed.on_span, narrowed.on_event, narrowed is not Capture.NO_CONTENT
    fits = all(may for place, may in zip(places, allowed, strict=True) if place)
    return places if fits else (False, False, False)


def hush(scope: Scope, error: BaseException) -> None:
    """Have the calls around, through which an error passes, not say what the call itself does not."""
    outer = scope.parent
    while outer is not None:
        if outer.call is not None:
            outer.call.hushed |= {id(error)}
        outer = outer.parent


def is_hushed(error: BaseException, hushed: frozenset[int]) -> bool:
    """Whether an error, or one that it was raised from, is one of those."""
    waiting, seen = [error] if hushed else [], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in hushed:
            return True
        if id(one) not in seen:
            seen.add(id(one))
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
            waiting += getattr(one, "exceptions", ())  # of a group
    return False


def _decoded(text: str) -> Any:
    """Read JSON back; a text that was never JSON is itself."""
    try:
        return json.loads(text) if text[:1] in ("[", "{") else text
    except ValueError:
        return text


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    return [_each(item, change) for item in value] if isinstance(value, list) else value


def _described(text: str) -> str:
    """Put a description in the place of files that a text carries."""
    text = _INLINE.sub(_description, text) if _MARK in text else text
    return _BARE.sub(_bare_description, text) if _may_have_file(text) else text


def _may_have_file(text: str) -> bool:
    """Whether there is a stretch without a space that is long enough, and what a file begins with."""
    starts = range(0, len(text) - _STRETCH + 1, _STRETCH)
    return any(" " not in text[at : at + _STRETCH] for at in starts) and any(mark in text for mark in _FILES)


def _description(found: re.Match[str]) -> str:
    return content.described(found[2], found[1])


def _bare_description(found: re.Match[str]) -> str:
    return content.described(
        found[0], next(kind for mark, kind in _FILES.items() if found[0].startswith(mark))
    )
