"""Content that libraries write to spans of their own: it passes the user's maskers before it leaves.

It is written over where it is: nobody but the SDK may do so by its methods, as the span is ending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from opentelemetry.trace import Status

from otel_genai import _emitters, masking
from otel_genai import semconv as s
from otel_genai import semconv_mcp as mcp
from otel_genai._emitters import Emitter
from otel_genai._telemetry import active

Maskers = Iterable[masking.Masker]
_NUMBERS = (bool, int, float)
_NAMES = frozenset({
    s.OPERATION_NAME, s.PROVIDER_NAME, s.REQUEST_MODEL, s.RESPONSE_MODEL, s.RESPONSE_ID, s.AGENT_NAME,
    s.TOOL_NAME, s.ERROR_TYPE, s.EXCEPTION_TYPE, mcp.METHOD_NAME,
})  # fmt: skip
"""What tells the span from others."""


def mask(span: Any, emitter: Emitter, fail: Callable[[Exception], None]) -> None:
    """Have the content on a span pass the user's maskers, if there are any.

    Args:
        span: one that is ending.
        emitter: whose it is.
        fail: told of a failure of ours: no text that could be content is left then.
    """
    maskers = active().settings.maskers
    if not maskers:
        return
    try:
        _mask(span, emitter, maskers)
    except Exception as error:  # noqa: BLE001 (the guard)
        fail(error)
        try:
            _leave_out(span)
        except Exception as worse:  # noqa: BLE001 (as above)
            fail(worse)


def _mask(span: Any, emitter: Emitter, maskers: Maskers) -> None:
    """Mask the content among the attributes, and whatever events and the status say in words."""
    _within(span._attributes, partial(_emitters.is_content, emitter), maskers)
    for event in span._events:
        if event.attributes:
            _within(event.attributes, _may_be_content, maskers)
    described = span._status.description
    if described:
        clean = _masked(described, maskers)
        if clean != described:
            span._status = Status(span._status.status_code, clean)


def _leave_out(span: Any) -> None:
    """Leave numbers, and the few words that are names."""
    for held in (span._attributes, *(event.attributes for event in span._events if event.attributes)):
        held._immutable = False
        for key in [
            key for key, value in held.items() if not isinstance(value, _NUMBERS) and key not in _NAMES
        ]:
            del held[key]
        held._immutable = True
    span._status = Status(span._status.status_code)


def _within(held: Any, is_content: Callable[[str], bool], maskers: Maskers) -> None:
    was = held._immutable
    held._immutable = False
    try:
        for key, value in [(key, value) for key, value in held.items() if is_content(key)]:
            clean = _masked(value, maskers)
            if clean is None:
                del held[key]
            elif not _is_same(clean, value):
                held[key] = clean
    finally:
        held._immutable = was


def _may_be_content(key: str) -> bool:
    """Whether an event says more by an attribute than what kind of thing happened."""
    return key != s.EXCEPTION_TYPE


def _masked(value: Any, maskers: Maskers) -> Any:
    try:
        return masking.masked(value, maskers)
    except Exception as error:  # noqa: BLE001 (a masker may be anybody's)
        active().failed("native", "mask", error, again=True, private=True)
        return None


def _is_same(clean: Any, value: Any) -> bool:
    """Whether nothing was masked; a list comes back for a tuple, and bytes as they are printed."""
    if isinstance(value, bytes):
        return bool(clean == str(value))
    return bool(clean == (list(value) if isinstance(value, tuple) else value))
