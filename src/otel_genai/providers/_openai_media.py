"""What OpenAI's API offers besides text: images, speech, transcripts, and moderation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _audio, _chat, _responses, _stainless
from otel_genai.spec import Attributes, Body, Operation, Row, view

if TYPE_CHECKING:
    from openai import HttpxBinaryResponseContent
    from openai.types import ImagesResponse, ModerationCreateResponse

# --- Images ----------------------------------------------------------------------------------------------

IMAGE_REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "n": (s.REQUEST_CHOICE_COUNT, _chat.unless_one),
}


def image_usage(r: ImagesResponse) -> Attributes:
    """Count tokens, which GPT image models alone tell: those of both kinds are in the totals.

    https://developers.openai.com/api/reference/resources/images#(resource)images%20%3E%20(model)images_response
    """
    u: Any = view(getattr(r, "usage", None))  # no type of its own before openai 1.76
    if u is None:
        return {}
    read, written = view(u.input_tokens_details), view(getattr(u, "output_tokens_details", None))
    return {
        s.USAGE_INPUT_TOKENS: u.input_tokens,
        s.USAGE_OUTPUT_TOKENS: u.output_tokens,
        s.USAGE_TEXT_INPUT_TOKENS: getattr(read, "text_tokens", None),
        s.USAGE_IMAGE_INPUT_TOKENS: getattr(read, "image_tokens", None),
        s.USAGE_TEXT_OUTPUT_TOKENS: getattr(written, "text_tokens", None),
        s.USAGE_IMAGE_OUTPUT_TOKENS: getattr(written, "image_tokens", None),
    }


def described(body: Body) -> list[content.Message]:
    """Read what the images are to show; images that are sent along are uploads, which are not read."""
    prompt = body.get("prompt")
    return [content.message("user", [content.text(prompt)])] if isinstance(prompt, str) else []


def images(r: ImagesResponse) -> list[content.Message]:
    """Describe the images, one message each, beside the prompt that the model made of the caller's."""
    form = getattr(r, "output_format", None)  # absent before openai 1.76
    kind = f"image/{form}" if isinstance(form, str) else None
    found = []
    for image in r.data or ():
        parts = [content.media("image", image.url, image.b64_json, kind)]
        parts += [content.text(image.revised_prompt)] if image.revised_prompt else []
        found.append(content.message("assistant", parts))
    return found


def image_fault(r: ImagesResponse) -> str | None:
    """Give the code of an error that came in place of images."""
    return None if r.data else _chat.fault_of(r)


class ImageFold:
    """Keeps the images that are complete, and what they used."""

    __slots__ = ("_content", "complete", "data", "output_format", "usage")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self.complete = False
        self.data: list[Any] = []
        self.output_format: str | None = None
        self.usage: Any = None

    def add(self, event: Any) -> bool:
        """Take one event in: an image, in part or as a whole."""
        kind = event.type or ""
        if kind.endswith(".completed"):
            self.complete = True
            self.usage = event.usage or self.usage
            self.output_format = event.output_format
            if self._content:
                self.data.append(_Image(event.b64_json))
        return kind.endswith((".completed", ".partial_image"))

    @property
    def answer(self) -> Any:
        """What has been received so far."""
        return self


class _Image:
    __slots__ = ("b64_json",)
    url = revised_prompt = None

    def __init__(self, b64_json: str) -> None:
        self.b64_json = b64_json


# --- Speech and transcripts ------------------------------------------------------------------------------


def speech_usage(r: HttpxBinaryResponseContent) -> Attributes:
    """Count tokens, which are told where the audio comes as events: in the last of them.

    https://developers.openai.com/api/reference/resources/audio/subresources/speech/methods/create
    """
    if not _is_events(r):
        return {}
    last = r.content.rpartition(b"data: {")[2]
    done = json.loads(b"{" + last.partition(b"\n")[0])
    return _totals(view(done["usage"])) if done["type"] == "speech.audio.done" else {}


def said(r: HttpxBinaryResponseContent) -> list[content.Message]:
    """Describe the audio."""
    if _is_events(r):
        return []
    kind = r.response.headers.get("content-type", "").partition(";")[0]
    return [content.message("assistant", [content.media("audio", data=r.content, mime_type=kind or None)])]


def _is_events(r: HttpxBinaryResponseContent) -> bool:
    told: str = r.response.headers.get("content-type", "")
    return told.startswith("text/event-stream")


def transcript_usage(r: Any) -> Attributes:
    """Count tokens, those of the audio are in the input's; Whisper is billed by seconds, which are no tokens.

    https://developers.openai.com/api/reference/resources/audio/subresources/transcriptions/methods/create
    """
    u: Any = view(
        getattr(r, "usage", None)
    )  # absent before openai 1.90, from translations, and from bare text
    if u is None or getattr(u, "type", None) == "duration":
        return {}
    read = view(getattr(u, "input_token_details", None))
    return {
        **_totals(u),
        s.USAGE_TEXT_INPUT_TOKENS: getattr(read, "text_tokens", None),
        s.USAGE_AUDIO_INPUT_TOKENS: getattr(read, "audio_tokens", None),
    }


def _totals(u: Any) -> Attributes:
    return {s.USAGE_INPUT_TOKENS: u.input_tokens, s.USAGE_OUTPUT_TOKENS: u.output_tokens}


class TranscriptFold:
    """Takes the transcript from the event that has it whole, or what there was of it."""

    __slots__ = ("_content", "_heard", "complete", "usage")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._heard: list[str] = []
        self.complete = False
        self.usage: Any = None

    def add(self, event: Any) -> bool:
        """Take one event in."""
        kind = event.type
        if kind == "transcript.text.delta":
            if self._content:
                self._heard.append(event.delta)
            return True
        if kind == "transcript.text.done":
            self.complete = True
            self.usage = getattr(event, "usage", None)  # absent before openai 1.90
            if self._content:
                self._heard = [event.text]
        return bool(kind == "transcript.text.segment")

    @property
    def text(self) -> str:
        """What has been heard so far."""
        return "".join(self._heard)

    @property
    def answer(self) -> Any:
        """What has been received so far."""
        return self


# --- Moderation ------------------------------------------------------------------------------------------


def moderated(r: ModerationCreateResponse) -> Attributes:
    """Say what the answer is called."""
    return {s.RESPONSE_ID: r.id, s.RESPONSE_MODEL: r.model}


def judged(body: Body) -> list[content.Message]:
    """Read what is to be judged: a text, several, or the parts of one message."""
    given = body.get("input")
    if isinstance(given, (list, tuple)) and all(isinstance(text, str) for text in given):
        return [content.message("user", [content.text(text)]) for text in given]
    return [content.message("user", _chat.said(given))] if given else []


def moderation_fault(r: ModerationCreateResponse) -> str | None:
    """Give the code of an error that came in place of a judgement."""
    return None if r.results else _chat.fault_of(r)


# --- The declaration -------------------------------------------------------------------------------------

_ERROR = _stainless.error(_chat.CODES)
IMAGES = Operation(
    name=s.IMAGE_GENERATION,
    request=IMAGE_REQUEST,
    constants={s.OUTPUT_TYPE: s.OUTPUT_IMAGE},
    response=(image_usage,),
    inputs=described,
    outputs=images,
    fold=ImageFold,
    fault=image_fault,
    error=_ERROR,
)
SPEECH = Operation(
    name=s.SPEECH,
    request=_audio.SPEECH,
    constants={s.OUTPUT_TYPE: s.OUTPUT_SPEECH},
    response=(speech_usage,),
    instructions=_responses.instructions,
    inputs=_audio.spoken,
    outputs=said,
    error=_ERROR,
)
TRANSCRIPTION = Operation(
    name=s.TRANSCRIPTION,
    request=_audio.TRANSCRIPTION,
    response=(transcript_usage,),
    inputs=_audio.hints,
    outputs=_audio.heard,
    fold=TranscriptFold,
    error=_ERROR,
)
MODERATION = Operation(
    name=s.MODERATION,
    request={"model": s.REQUEST_MODEL},
    response=(moderated,),
    inputs=judged,
    fault=moderation_fault,
    error=_ERROR,
)
OPERATIONS = {
    "/images/generations": IMAGES,
    "/images/edits": IMAGES,
    "/images/variations": IMAGES,
    "/audio/speech": SPEECH,
    "/audio/transcriptions": TRANSCRIPTION,
    "/audio/translations": TRANSCRIPTION,
    "/moderations": MODERATION,
}
"""Path -> what a POST to it is."""
