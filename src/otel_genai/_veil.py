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
from otel_genai._emitters import Emitter
from otel_genai._telemetry import active

Maskers = Iterable[masking.Masker]


def mask(span: Any, emitter: Emitter) -> None:
    """Mask the content among a span's attributes, and whatever its events and its status say in words.

    What a masker fails on is left out.
    """
    maskers = active().settings.maskers
    if not maskers:
        return
    _within(span._attributes, partial(_emitters.is_content, emitter), maskers)
    for event in span._events:
        if event.attributes:
            _within(event.attributes, _may_be_content, maskers)
    described = span._status.description
    if described:
        clean = _masked(described, maskers)
        if clean != described:
            span._status = Status(span._status.status_code, clean)


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
