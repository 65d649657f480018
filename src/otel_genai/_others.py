"""Instrumentations by others on the same SDK: two spans for one call would be one too many."""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

logger = logging.getLogger(__name__)

_MODULES = r"(opentelemetry\.instrumentation(\.genai)?|openinference\.instrumentation)\.{}(_v\d+)?"
"""Where the official packages, OpenLLMetry and OpenInference have their instrumentors."""
_ALSO = {
    "bedrock": ("botocore",),  # whose official instrumentation has spans of models besides those of AWS
    "google_genai": ("google_generativeai",),
    "huggingface_hub": ("huggingface",),
}
"""Under which further names others have an SDK."""
OWN = frozenset({"litellm"})
"""The SDKs that a program may tell at any time to make spans themselves."""
_CALLBACKS = ("callbacks", "success_callback", "_async_success_callback")
"""Where LiteLLM has those who are told of its calls."""
_FIRST, _SECOND = "OpenTelemetry", "OpenTelemetryV2"
"""Those of them who make spans for this program; the word `otel` stands for the one that is in use."""
_ALWAYS = ("USE_OTEL_LITELLM_REQUEST_SPAN", "OTEL_IGNORE_CONTEXT_PROPAGATION")
"""LiteLLM's variables for a span of its own within others, too; it reads the first at every call."""
_told: set[str] = set()


def at_work(name: str) -> str:
    """Say which other instrumentation is at work on the SDK `name`, and what to set; empty if none is."""
    names = "|".join(map(re.escape, (name, *_ALSO.get(name, ()))))
    modules = re.compile(_MODULES.format(f"({names})"))
    for cls in BaseInstrumentor.__subclasses__():
        other = cls._instance
        if other is not None and other.is_instrumented_by_opentelemetry and modules.fullmatch(cls.__module__):
            theirs = cls.__module__.rpartition(".")[2]
            return (
                f"{cls.__module__} instruments it, and one span per call is enough; to have otel-genai's, "
                f"set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={theirs}, or do not call {cls.__name__}; "
                f"to keep it so and hear no more of it, set OTEL_GENAI_DISABLED={name}"
            )
    return ""


def own(name: str) -> str:
    """Say that an SDK makes spans itself, as the program has told it to; empty if it does not.

    What LiteLLM sends to some company is none of them.
    """
    if name not in OWN or not _makers():
        return ""
    return (
        'its own callback "otel" makes them, and one span per call is enough: otel-genai measures the calls, '
        "and makes the span where the callback writes to one of yours instead, unless you set "
        'USE_OTEL_LITELLM_REQUEST_SPAN=true; to have otel-genai\'s alone, take "otel" out of '
        "litellm.callbacks and litellm.success_callback"
    )


def tells(name: str, *, within: bool, stream: bool) -> bool | None:
    """Say whether an SDK makes the span of a call itself; None where nothing has told it to make any.

    Args:
        name: the SDK's.
        within: whether the call begins within a span: LiteLLM may write to that one, and make none.
        stream: whether the answer is a stream: one that is not read in a task ends in a thread, in no span.
    """
    makers = _makers() if name in OWN else ()
    if not makers:
        return None
    _say(f"the spans of {name}", own(name))
    if any(type(one).__name__ == _SECOND for one in makers):
        return True if _is_async() else None  # of other calls it is not told
    if not within or (stream and not _is_async()):
        return True
    configured = (getattr(one, "config", None) for one in makers)
    return any(getattr(config, "ignore_context_propagation", False) for config in configured) or any(
        os.environ.get(variable, "").strip().lower() == "true" for variable in _ALWAYS
    )


def _makers() -> list[Any]:
    """Name those who make spans of LiteLLM's calls."""
    litellm: Any = sys.modules.get("litellm")
    places = (getattr(litellm, name, None) or () for name in _CALLBACKS)
    told = [one for place in places for one in place]
    return [one for one in told if one == "otel" or type(one).__name__ in (_FIRST, _SECOND)]


def _is_async() -> bool:
    from asyncio import get_running_loop  # noqa: PLC0415 (whoever asks has it)

    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True


def stand_down(name: str) -> str:
    """Say why to leave the SDK alone, and warn about it, once; empty if there is no reason."""
    reason = at_work(name)
    if reason:
        _say(name, reason)
    return reason


def _say(what: str, reason: str) -> None:
    if reason not in _told:
        _told.add(reason)
        logger.warning("otel-genai leaves %s alone: %s", what, reason)
