"""What the user decides: keyword arguments over environment over defaults, frozen once read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, get_args

from otel_genai.semconv import Generation

logger = logging.getLogger(__name__)


class Capture(Enum):
    """Where the content of messages, tools and documents is recorded, if anywhere."""

    NO_CONTENT = "NO_CONTENT"
    SPAN_ONLY = "SPAN_ONLY"
    EVENT_ONLY = "EVENT_ONLY"
    SPAN_AND_EVENT = "SPAN_AND_EVENT"

    @property
    def on_span(self) -> bool:
        """Whether spans carry content."""
        return self in (Capture.SPAN_ONLY, Capture.SPAN_AND_EVENT)

    @property
    def on_event(self) -> bool:
        """Whether events carry content."""
        return self in (Capture.EVENT_ONLY, Capture.SPAN_AND_EVENT)


def _capture(value: object) -> Capture:
    if isinstance(value, Capture):
        return value
    # Older packages knew only true and false; whoever set true wants to see content.
    words = {"TRUE": "SPAN_ONLY", "FALSE": "NO_CONTENT", **{mode.value: mode.value for mode in Capture}}
    word = str(value).strip().upper()
    if word not in words:
        msg = f"{value!r} is not one of {', '.join(mode.value for mode in Capture)}, true, false"
        raise ValueError(msg)
    return Capture(words[word])


def _semconv(value: object) -> str:
    word = str(value).strip().lower()
    if word not in get_args(Generation):
        msg = f"{value!r} is not one of {', '.join(get_args(Generation))}"
        raise ValueError(msg)
    return word


def _disabled(value: object) -> frozenset[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)):
        msg = f"{value!r} is not a list of provider names, such as openai,anthropic"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad setting)
    return frozenset(str(name).strip().lower() for name in names if str(name).strip())


def _stream_gaps(value: object) -> int | None:
    if value is None or str(value).strip().lower() == "all":
        return None
    try:
        count = int(str(value))
    except ValueError:
        count = -1
    if count < 0:
        msg = f"{value!r} is not a number of gaps (0 or more) or all"
        raise ValueError(msg)
    return count


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    flags = {"true": True, "false": False}
    if str(value).strip().lower() not in flags:
        msg = f"{value!r} is not one of true, false"
        raise ValueError(msg)
    return flags[str(value).strip().lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How otel-genai behaves. A bad value raises `ValueError` and says what is accepted.

    Args:
        capture: where content is recorded; a `Capture` or its name. `true` means `SPAN_ONLY`.
        emit_event: whether each inference emits its details event; None: when events carry content.
        semconv: generation of the conventions: `published`, `latest`, or `both` metric families.
        disabled: names of providers to leave alone.
        stream_gaps: how many of a stream's gaps between chunks are recorded as a metric, chosen at
            random; None (`all` in the environment) records every one.
    """

    capture: Capture = Capture.NO_CONTENT
    emit_event: bool | None = None
    semconv: Generation = "published"
    disabled: frozenset[str] = frozenset()
    stream_gaps: int | None = 16

    def __post_init__(self) -> None:
        """Bring each value into its type, or say what is accepted."""
        for field in fields(self):
            try:
                value = _READ[field.name][1](getattr(self, field.name))
            except ValueError as error:
                msg = f"Settings({field.name}=...): {error}"
                raise ValueError(msg) from None
            object.__setattr__(self, field.name, value)

    @property
    def events(self) -> bool:
        """Whether inference calls emit their details event."""
        return self.capture.on_event if self.emit_event is None else self.emit_event


_READ: dict[str, tuple[str, Callable[[object], Any]]] = {
    "capture": ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", _capture),
    "emit_event": ("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", _flag),
    "semconv": ("OTEL_GENAI_SEMCONV", _semconv),
    "disabled": ("OTEL_GENAI_DISABLED", _disabled),
    "stream_gaps": ("OTEL_GENAI_STREAM_GAPS", _stream_gaps),
}
_warned: set[tuple[str, str]] = set()
VARIABLES = {name: variable for name, (variable, _) in _READ.items()}
"""Setting -> environment variable."""


def from_env(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings: `overrides` win over the environment, which wins over the defaults.

    A bad value in the environment gets one warning, however often it is read, and the default, which is
    always the safe choice.
    """
    environ = os.environ if environ is None else environ
    chosen = dict(overrides)
    for name, (variable, read) in _READ.items():
        text = environ.get(variable, "").strip()
        if name in chosen or not text:
            continue
        try:
            chosen[name] = read(text)
        except ValueError as error:
            if (variable, text) not in _warned:
                _warned.add((variable, text))
                logger.warning("%s: %s; using %s instead", variable, error, _default(name))
    return Settings(**chosen)


def _default(name: str) -> str:
    value = getattr(Settings(), name)
    return value.value if isinstance(value, Enum) else repr(value)
