"""Speech to text and text to speech, in the form that OpenAI's API has given them and other hosts speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _chat
from otel_genai.spec import Body, Row

TRANSCRIPTION: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "temperature": (s.REQUEST_TEMPERATURE, float),
}
SPEECH: Mapping[str, Row] = {"model": s.REQUEST_MODEL}


def hints(body: Body) -> list[content.Message]:
    """Read the words that a transcription is to be like; its audio only where it is given by a URL."""
    url, prompt = body.get("url"), body.get("prompt")
    parts = [content.media("audio", url)] if isinstance(url, str) else []
    parts += [content.text(prompt)] if isinstance(prompt, str) else []
    return [content.message("user", parts)] if parts else []


def heard(r: Any) -> list[content.Message]:
    """Read the text of what was said."""
    return [content.message("assistant", [content.text(r.text)])] if r.text else []


def spoken(body: Body) -> list[content.Message]:
    """Read the text that is to be said."""
    return [content.message("user", [content.text(text)]) for text in _chat.strings(body.get("input"))]
