"""Instrumentations by others on the same SDK: two spans for one call would be one too many."""

from __future__ import annotations

import logging
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
_CALLBACKS = ("callbacks", "success_callback", "_async_success_callback")
"""Where LiteLLM has those who are told of its calls."""
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
    return _own() if name == "litellm" else ""


def _own() -> str:
    """Say that LiteLLM makes spans itself, if it was told to; what some company is sent is none."""
    litellm: Any = sys.modules.get("litellm")
    places = (getattr(litellm, name, None) or () for name in _CALLBACKS)
    if not any(one == "otel" or type(one).__name__ == "OpenTelemetry" for place in places for one in place):
        return ""
    return (
        'its own callback "otel" makes spans, and one span per call is enough; to have otel-genai\'s, take '
        '"otel" out of litellm.callbacks and litellm.success_callback; to keep it so and hear no more of it, '
        "set OTEL_GENAI_DISABLED=litellm"
    )


def stand_down(name: str) -> str:
    """Say why to leave the SDK alone, and warn about it, once; empty if there is no reason."""
    reason = at_work(name)
    if reason and reason not in _told:
        _told.add(reason)
        logger.warning("otel-genai leaves %s alone: %s", name, reason)
    return reason
