"""What OpenAI's SDK has besides text and vectors: images, audio, moderation, and responses that are stored.

Chat and the rest of what it has are in tests/providers/test_openai.py, by every way there is. The bodies have
the shape of https://developers.openai.com/api/reference.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from typing import Any

import openai
from openai.resources.audio import Transcriptions
from openai.resources.images import Images
from openai.resources.responses import Responses

from sdks.kit import Reply, Sdk, Way, events, fake

FORM = {"Content-Type": "multipart/form-data; boundary=seam"}  # else another in every request
PNG = ("marmalade.png", b"\x89PNG marmalade")
WAV = ("marmalade.wav", b"RIFF marmalade")
MP3 = b"ID3\x04 artichoke"
SAID = "Two artichokes and two more."
STORED = "resp_68e7a1c00d14"


def client(url: str, colour: str) -> Any:
    """Make a client of one colour that asks a server of ours, once."""
    cls = openai.OpenAI if colour == "sync" else openai.AsyncOpenAI
    return cls(base_url=f"{url}/v1", api_key="none", max_retries=0)


def quietly(call: Any) -> Any:
    """Call what the SDK calls deprecated."""

    def called(client: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return call(client)

    return called


def message(role: str, *parts: dict[str, Any], **more: str) -> dict[str, Any]:
    """Write a turn as it is told."""
    return {"role": role, "parts": list(parts), **more}


def text(content: str) -> dict[str, Any]:
    """Write a text as it is told."""
    return {"type": "text", "content": content}


def media(kind: str, mime_type: str | None, data: bytes) -> dict[str, Any]:
    """Write a file as it is told."""
    digest = hashlib.sha256(data).hexdigest()
    return {
        "type": "inline_media",
        "modality": kind,
        "mime_type": mime_type,
        "size": len(data),
        "sha256": digest,
    }


def span(operation: str, model: str | None, **attributes: Any) -> dict[str, Any]:
    """Write a span as it is told, with `_` for `.` in the names that are the conventions'."""
    asked = {"gen_ai.request.model": model} if model else {}
    told = {f"gen_ai.{name.replace('__', '.')}": value for name, value in attributes.items()}
    who = {"gen_ai.operation.name": operation, "gen_ai.provider.name": "openai"}
    return {"name": f"{operation} {model}" if model else operation, "attributes": {**who, **asked, **told}}


def _sse(name: str) -> list[Reply]:
    return [Reply(pieces=events(fake(f"openai/{name}.sse")), kind="text/event-stream")]


def _json(name: str) -> list[Reply]:
    return [Reply(fake(f"openai/{name}.json"))]


PROMPT = [message("user", text("A jar of marmalade."))]
HINT = [message("user", text("Mind the marmalade."))]
HEARD = [message("assistant", text(SAID))]
DRAWN = [
    message("assistant", media("image", "image/png", b"\x89PNG\r\n\x1a\n")),
    message(
        "assistant", media("image", "image/png", b"\x89PNG\r\n\x1a\n\x01"), text("An artichoke in a jar.")
    ),
]
DETAILED = {
    "usage__input_tokens": 240,
    "usage__text__input_tokens": 46,
    "usage__image__input_tokens": 194,
    "usage__output_tokens": 4180,
    "usage__text__output_tokens": 20,
    "usage__image__output_tokens": 4160,
}
HEARD_USAGE = {
    "usage__input_tokens": 31,
    "usage__text__input_tokens": 7,
    "usage__audio__input_tokens": 24,
    "usage__output_tokens": 9,
}


def _fetched(status: str, reason: str, **more: Any) -> dict[str, Any]:
    told = span(
        "fetch_response",
        None,
        response__id=STORED,
        response__model="gpt-4.1-mini-2025-04-14",
        response__status=status,
        response__finish_reasons=[reason],
        **more,
    )
    told["attributes"] |= {"openai.api.type": "responses", "openai.response.service_tier": "default"}
    return told


ANSWERED = [message("assistant", text("Four, says the artichoke."), finish_reason="stop")]
WAYS = [
    Way(
        name="images",
        call=lambda c: c.images.generate(model="gpt-image-1", prompt="A jar of marmalade.", n=2),
        replies=_json("images"),
        span=span(
            "image_generation", "gpt-image-1", output__type="image", request__choice__count=2, **DETAILED
        ),
        input=PROMPT,
        output=DRAWN,
    ),
    Way(
        name="images, edited",
        call=lambda c: c.images.edit(
            model="gpt-image-1", image=PNG, prompt="A jar of marmalade.", n=1, extra_headers=FORM
        ),
        replies=_json("images"),
        span=span("image_generation", "gpt-image-1", output__type="image", **DETAILED),
        input=PROMPT,
        output=DRAWN,
    ),
    Way(
        name="images, varied",
        call=quietly(lambda c: c.images.create_variation(image=PNG, model="dall-e-2", extra_headers=FORM)),
        replies=_json("images_url"),
        span=span("image_generation", "dall-e-2", output__type="image"),
        output=[
            message(
                "assistant",
                {
                    "type": "uri",
                    "modality": "image",
                    "uri": "https://images.example.org/artichoke.png",
                    "mime_type": None,
                },
            )
        ],
    ),
    Way(
        name="speech",
        call=lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input="A jar of marmalade."),
        replies=[Reply(MP3, kind="audio/mpeg")],
        span=span("speech", "tts-1", output__type="speech"),
        input=PROMPT,
        output=[message("assistant", media("audio", "audio/mpeg", MP3))],
    ),
    Way(
        name="speech, instructed, in events",
        call=lambda c: c.audio.speech.create(
            model="gpt-4o-mini-tts",
            voice="alloy",
            input="A jar of marmalade.",
            extra_body={"instructions": "As if it were hot.", "stream_format": "sse"},
        ),
        replies=[Reply(fake("openai/speech.sse"), kind="text/event-stream; charset=utf-8")],
        span=span(
            "speech",
            "gpt-4o-mini-tts",
            output__type="speech",
            usage__input_tokens=14,
            usage__output_tokens=101,
        ),
        input=PROMPT,
        system=[text("As if it were hot.")],
    ),
    Way(
        name="transcription",
        call=lambda c: c.audio.transcriptions.create(
            model="gpt-4o-transcribe",
            file=WAV,
            prompt="Mind the marmalade.",
            temperature=0,
            extra_headers=FORM,
        ),
        replies=_json("transcription"),
        span=span("transcription", "gpt-4o-transcribe", request__temperature=0.0, **HEARD_USAGE),
        input=HINT,
        output=HEARD,
    ),
    Way(
        name="transcription, by Whisper",
        call=lambda c: c.audio.transcriptions.create(
            model="whisper-1", file=WAV, response_format="verbose_json", extra_headers=FORM
        ),
        replies=_json("transcription_whisper"),
        span=span("transcription", "whisper-1"),
        output=HEARD,
    ),
    Way(
        name="transcription, as text",
        call=lambda c: c.audio.transcriptions.create(
            model="whisper-1", file=WAV, response_format="text", extra_headers=FORM
        ),
        replies=[Reply(SAID.encode(), kind="text/plain; charset=utf-8")],
        span=span("transcription", "whisper-1"),
        output=HEARD,
    ),
    Way(
        name="translation",
        call=quietly(
            lambda c: c.audio.translations.create(
                model="whisper-1", file=WAV, prompt="Mind the marmalade.", extra_headers=FORM
            )
        ),
        replies=[Reply(b'{"text": "Two artichokes and two more."}')],
        span=span("transcription", "whisper-1"),
        input=HINT,
        output=HEARD,
    ),
    Way(
        name="moderation",
        call=lambda c: c.moderations.create(
            model="omni-moderation-latest", input=["A jar of marmalade.", "An empty jar."]
        ),
        replies=_json("moderation"),
        span=span(
            "moderation",
            "omni-moderation-latest",
            response__id="modr-0d9740456c391e43c445bf0f010940c7",
            response__model="omni-moderation-2024-09-26",
        ),
        input=[*PROMPT, message("user", text("An empty jar."))],
    ),
    Way(
        name="response, fetched",
        call=lambda c: c.responses.retrieve(STORED),
        replies=_json("response_stored"),
        span=_fetched("completed", "stop"),
        output=ANSWERED,
    ),
]


def _takes(method: Any, parameter: str) -> bool:
    return parameter in inspect.signature(method).parameters


if _takes(Images.generate, "stream"):  # since openai 1.97
    WAYS += [
        Way(
            name="images, stream",
            call=lambda c: c.images.generate(
                model="gpt-image-1", prompt="A jar of marmalade.", stream=True, partial_images=2
            ),
            replies=_sse("images"),
            span=span(
                "image_generation",
                "gpt-image-1",
                output__type="image",
                request__stream=True,
                usage__input_tokens=46,
                usage__text__input_tokens=46,
                usage__image__input_tokens=0,
                usage__output_tokens=4260,
            ),
            input=PROMPT,
            output=DRAWN[:1],
            stream=True,
        ),
        Way(
            name="images, edited, stream",
            call=lambda c: c.images.edit(
                model="gpt-image-1",
                image=[PNG, PNG],
                prompt="A jar of marmalade.",
                stream=True,
                extra_headers=FORM,
            ),
            replies=_sse("images_edit"),
            span=span(
                "image_generation",
                "gpt-image-1",
                output__type="image",
                request__stream=True,
                usage__input_tokens=240,
                usage__text__input_tokens=46,
                usage__image__input_tokens=194,
                usage__output_tokens=4260,
            ),
            input=PROMPT,
            output=DRAWN[:1],
            stream=True,
        ),
    ]
if _takes(Transcriptions.create, "stream"):  # since openai 1.68
    WAYS.append(
        Way(
            name="transcription, stream",
            call=lambda c: c.audio.transcriptions.create(
                model="gpt-4o-mini-transcribe",
                file=WAV,
                prompt="Mind the marmalade.",
                stream=True,
                extra_headers=FORM,
            ),
            replies=_sse("transcription"),
            span=span("transcription", "gpt-4o-mini-transcribe", request__stream=True, **HEARD_USAGE),
            input=HINT,
            output=HEARD,
            stream=True,
        )
    )
if hasattr(Responses, "cancel"):  # since openai 1.79
    WAYS.append(
        Way(
            name="response, cancelled",
            call=lambda c: c.responses.cancel(STORED),
            replies=_json("response_cancelled"),
            span=_fetched("cancelled", "error"),
        )
    )
if _takes(Responses.retrieve, "stream"):  # since openai 1.89
    WAYS.append(
        Way(
            name="response, fetched, stream",
            call=lambda c: c.responses.retrieve(STORED, stream=True, starting_after=7),
            replies=_sse("response_stored"),
            span=_fetched("completed", "stop", request__stream=True, request__stream_cursor="7"),
            output=ANSWERED,
            stream=True,
        )
    )
SDK = Sdk(
    name="openai",
    client=client,
    ways=WAYS,
    refusal=Reply(
        b'{"error": {"message": "No marmalade here", "type": "invalid_request_error", "code": null}}',
        status=404,
    ),
    refused={"error.type": "NotFoundError", "http.response.status_code": 404},
    close=lambda client: client.close(),
)
