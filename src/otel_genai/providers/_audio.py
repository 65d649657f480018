"""Speech to text and text to speech, in the form that OpenAI's API has given them and other hosts speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _chat
from otel_genai.spec import Attributes, Body, Operation, Row

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


def operations(error: Callable[[Any], Attributes]) -> tuple[Operation, Operation]:
    """Give both, with an SDK's reader of exceptions."""
    transcription = Operation(
        name=s.TRANSCRIPTION, request=TRANSCRIPTION, inputs=hints, outputs=heard, error=error
    )
    constants = {s.OUTPUT_TYPE: s.OUTPUT_SPEECH}
    speech = Operation(name=s.SPEECH, request=SPEECH, constants=constants, inputs=spoken, error=error)
    return transcription, speech
