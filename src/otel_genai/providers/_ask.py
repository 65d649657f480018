"""Asking for a stream's usage, where an API tells it only then: the one thing that changes requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import semconv as s
from otel_genai.spec import Body, Request

OPTIONS = "stream_options"
_REFUSING = (s.MISTRAL_AI,)
"""Who tells it unasked, and refuses who asks: https://github.com/openai/openai-agents-python/issues/442."""


def addition(request: Request) -> Body | None:
    """Give what to add to a request to be told its stream's usage; None where that is not to be asked."""
    asks = request.operation.asks
    return asks(request.body) if asks and request.server.provider not in _REFUSING else None


def usage(body: Body) -> Body | None:
    """Ask for a stream's usage, unless the caller has said whether they want it."""
    extra = body.get("extra_body")
    if isinstance(extra, Mapping) and OPTIONS in extra:
        return None  # SDKs that have such an argument would send it in place of ours
    given = body.get(OPTIONS)
    options = given if isinstance(given, Mapping) else {}
    return None if "include_usage" in options else {OPTIONS: {**options, "include_usage": True}}


def is_usage(chunk: Any) -> bool:
    """Whether a chunk has come for its usage alone."""
    return not chunk.choices and chunk.usage is not None
