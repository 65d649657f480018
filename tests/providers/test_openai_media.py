"""What is peculiar to images, audio, moderation and stored responses; the rest is in tests/sdks/openai.py."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import openai
import pytest
from openai.resources.beta import Beta
from openai.resources.responses import Responses

from otel_genai.testing import capture
from ways import Pieces, Wire, client, each, fake, http, now, reply, run

COLOURS = [pytest.param(openai.OpenAI, id="sync"), pytest.param(openai.AsyncOpenAI, id="async")]
both = pytest.mark.parametrize("cls", COLOURS)
STORED = json.loads(fake("response_stored.json"))
MP3 = b"ID3\x04" + bytes(1000)


def body(content: bytes, kind: str = "application/json") -> Any:
    """Make an answer."""
    return lambda: reply(content, sse="event-stream" in kind, **{"content-type": kind})


def called(cls: Any, way: Any, *answers: Any, **settings: Any) -> tuple[Any, Any, Wire]:
    """Call once, and give the result, what was told, and the wire."""
    wire = Wire(list(answers))
    with capture("openai", **settings) as seen:
        result = run(way(client(wire, cls)), asynchronous=cls is openai.AsyncOpenAI)
    return result, seen, wire


def attributes(seen: Any) -> dict[str, Any]:
    """Give the one span's."""
    (span,) = seen.spans
    found: dict[str, Any] = span["attributes"]
    return found


def spoken(seen: Any) -> list[Any]:
    """Give the texts of the one span's output."""
    messages = json.loads(attributes(seen)["gen_ai.output.messages"])
    return [part["content"] for message in messages for part in message["parts"]]


# --- Transcripts -----------------------------------------------------------------------------------------


class Upload(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0
    name = "a.wav"

    def read(self, *args: Any) -> bytes:
        """Read, and count."""
        self.reads += 1
        return super().read(*args)


@both
@pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_ONLY"])
def test_an_upload_is_read_by_the_sdk_alone(cls, mode):
    """As often as without us, and to the same end."""

    def counted(**settings: Any) -> tuple[int, int]:
        file = Upload(b"RIFF" * 1000)

        async def ask(c: Any) -> Any:
            await now(c.audio.transcriptions.create(model="whisper-1", file=file))

        _, seen, _ = called(cls, ask, body(b'{"text": "A lamp."}'), **settings)
        assert len(seen.spans) == (0 if settings.get("disabled") else 1)
        return file.reads, file.tell()

    assert counted(capture=mode) == counted(disabled="openai")


@both
@pytest.mark.parametrize(
    "text", ["42", "[1, 2]", '"A lamp."', "", "1\n00:00:00,000 --> 00:00:02,400\nA lamp.\n"]
)
@pytest.mark.parametrize("raw", [False, True])
def test_a_transcript_in_bare_text_is_what_it_says(cls, text, raw):
    """Though some could be read as JSON, too."""

    async def ask(c: Any) -> Any:
        transcriptions = c.audio.transcriptions.with_raw_response if raw else c.audio.transcriptions
        await now(transcriptions.create(model="whisper-1", file=b"RIFF", response_format="srt"))

    _, seen, _ = called(cls, ask, body(text.encode(), "text/plain; charset=utf-8"), capture="SPAN_ONLY")
    if text:
        assert spoken(seen) == [text]
    else:
        assert "gen_ai.output.messages" not in attributes(seen)


@both
def test_a_raw_transcript_in_json_has_its_tokens(cls):
    """As one that the SDK has parsed."""

    async def ask(c: Any) -> Any:
        raw = c.audio.transcriptions.with_raw_response
        return (await now(raw.create(model="gpt-4o-transcribe", file=b"RIFF"))).parse().text

    text, seen, _ = called(cls, ask, body(fake("transcription.json")), capture="SPAN_ONLY")
    assert spoken(seen) == [text]
    assert attributes(seen)["gen_ai.usage.audio.input_tokens"] == 24


# --- Speech ----------------------------------------------------------------------------------------------

SPEAK: Any = {"model": "tts-1", "voice": "alloy", "input": "A lamp."}


@both
@pytest.mark.parametrize("read", [True, False])
def test_speech_that_is_streamed_is_the_callers_to_read(cls, read):
    """Piece by piece, or not at all."""

    async def ask(c: Any) -> Any:
        managed = c.audio.speech.with_streaming_response.create(**SPEAK)
        if cls is openai.OpenAI:
            with managed as answer:
                return b"".join(answer.iter_bytes()) if read else b""
        async with managed as answer:
            return b"".join([piece async for piece in answer.iter_bytes()]) if read else b""

    heard, seen, _ = called(cls, ask, body(MP3, "audio/mpeg"), capture="SPAN_ONLY")
    assert heard == (MP3 if read else b"")
    assert attributes(seen).get("otel_genai.outcome") == (None if read else "stopped")
    assert "gen_ai.output.messages" not in attributes(seen)


def test_speech_that_is_streamed_is_not_kept():
    """It may be an hour long."""
    pieces, size = 32, 2**20

    def answer() -> Any:
        stream = Pieces(bytes([number]) * size for number in range(pieces))
        return http.Response(200, headers={"content-type": "audio/mpeg"}, stream=stream)

    async def ask(c: Any) -> Any:
        with c.audio.speech.with_streaming_response.create(**SPEAK) as spoken:
            return sum(len(piece) for piece in spoken.iter_bytes())

    tracemalloc.start()
    try:
        heard, seen, _ = called(openai.OpenAI, ask, answer, capture="SPAN_ONLY")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert heard == pieces * size
    assert most < pieces * size / 2
    assert "otel_genai.outcome" not in attributes(seen)


@both
def test_raw_speech_is_left_alone(cls):
    """It is no JSON, and nobody says that it should be."""

    async def ask(c: Any) -> Any:
        return (await now(c.audio.speech.with_raw_response.create(**SPEAK))).content

    heard, seen, _ = called(cls, ask, body(MP3, "audio/mpeg"), capture="SPAN_ONLY")
    assert heard == MP3
    assert "otel_genai.outcome" not in attributes(seen)


# --- Cost ------------------------------------------------------------------------------------------------

PRICES = [{"model": "gpt-image-1", "input": 5, "output": 40}, {"model": "dall-e-2", "per_request": 0.02}]


@pytest.mark.parametrize(
    ("model", "answer", "usd"),
    [("gpt-image-1", "images.json", (240 * 5 + 4180 * 40) / 1e6), ("dall-e-2", "images_url.json", 0.02)],
)
def test_an_image_has_a_price(model, answer, usd, monkeypatch):
    """By the tokens that are told, or by the call."""

    async def ask(c: Any) -> Any:
        await now(c.images.generate(model=model, prompt="A lamp."))

    monkeypatch.delenv("OTEL_GENAI_COST", raising=False)
    _, seen, _ = called(openai.OpenAI, ask, body(fake(answer)), prices=PRICES)
    assert attributes(seen)["gen_ai.usage.cost.amount"] == pytest.approx(usd)
    assert "otel_genai.unpriced" not in seen.metrics
    assert [point["attributes"]["otel_genai.outcome"] for point in seen.metrics["otel_genai.calls"]] == [
        "completed"
    ]


# --- Moderation ------------------------------------------------------------------------------------------

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/lamp.png"}}
URI = {"type": "uri", "modality": "image", "uri": "https://example.org/lamp.png", "mime_type": None}
A_TEXT = {"type": "text", "content": "A lamp."}


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("A lamp.", [[A_TEXT]]),
        (["A lamp.", "A lamp."], [[A_TEXT], [A_TEXT]]),
        ([{"type": "text", "text": "A lamp."}, IMAGE], [[A_TEXT, URI]]),
    ],
)
def test_what_is_judged_is_content(given, parts):
    """A text, several, or the parts of one message."""

    async def ask(c: Any) -> Any:
        await now(c.moderations.create(input=given))

    _, seen, _ = called(openai.OpenAI, ask, body(fake("moderation.json")), capture="SPAN_ONLY")
    messages = json.loads(attributes(seen)["gen_ai.input.messages"])
    assert messages == [{"role": "user", "parts": found} for found in parts]


# --- Responses that are stored ---------------------------------------------------------------------------


def _stored(status: str, **more: Any) -> Any:
    return body(json.dumps({**STORED, "status": status, **more}).encode())


@both
def test_a_response_in_the_background_is_one_inference(cls):
    """Asking after it is none, however often; its tokens are those of nobody."""

    async def ask(c: Any) -> Any:
        response = await now(c.responses.create(model="gpt-4.1-mini", input="A lamp."))
        while response.status in ("queued", "in_progress"):
            response = await now(c.responses.retrieve(response.id))

    answers = [_stored(status, output=[]) for status in ("queued", "queued", "in_progress")]
    _, seen, _ = called(cls, ask, *answers, _stored("completed"))
    assert [span["name"] for span in seen.spans] == ["chat gpt-4.1-mini", *["fetch_response"] * 3]
    polls = [span["attributes"] for span in seen.spans[1:]]
    assert [poll["gen_ai.response.status"] for poll in polls] == ["queued", "in_progress", "completed"]
    assert [poll.get("gen_ai.response.finish_reasons") for poll in polls] == [None, None, ["stop"]]
    assert not [key for poll in polls for key in poll if "usage" in key]
    (calls,) = seen.metrics["otel_genai.calls"]
    assert calls["value"] == 1
    took = {
        point["attributes"]["gen_ai.operation.name"]: point["count"]
        for point in seen.metrics["gen_ai.client.operation.duration"]
    }
    assert took == {"chat": 1, "fetch_response": 3}


@pytest.mark.parametrize(
    ("status", "more", "reasons"),
    [
        ("failed", {"error": {"code": "server_error", "message": "Out of oil."}}, ["error"]),
        ("cancelled", {}, ["error"]),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, ["length"]),
        ("incomplete", {"incomplete_details": {"reason": "content_filter"}}, ["content_filter"]),
    ],
)
def test_what_became_of_a_response_is_no_failure_of_fetching_it(status, more, reasons):
    """It is told by the status and the reason."""

    async def ask(c: Any) -> Any:
        await now(c.responses.retrieve("resp_1"))

    _, seen, _ = called(openai.OpenAI, ask, _stored(status, **more))
    found = attributes(seen)
    assert (found["gen_ai.response.status"], found["gen_ai.response.finish_reasons"]) == (status, reasons)
    assert (seen.spans[0]["status"], seen.spans[0]["kind"]) == ("UNSET", "CLIENT")
    assert not found.keys() & {"error.type", "otel_genai.outcome"}


@both
def test_a_response_that_is_not_there_was_asked_for(cls):
    """The span says which; the exception is the caller's."""

    async def ask(c: Any) -> Any:
        with pytest.raises(openai.NotFoundError):
            await now(c.responses.retrieve("resp_1"))

    refused = reply(fake("error_404.json"), sse=False, status=404)
    _, seen, _ = called(cls, ask, lambda: refused)
    found = attributes(seen)
    assert (found["gen_ai.response.id"], found["error.type"]) == ("resp_1", "NotFoundError")


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.beta.responses.retrieve("resp_1"),
        lambda c: c.get("/responses/resp_1", cast_to=openai.types.responses.Response),
        lambda c: c.get("https://api.openai.com/v1/responses/resp_1/?include=x", cast_to=object),
    ],
    ids=["beta", "get", "in full"],
)
def test_a_response_is_fetched_by_any_way_to_it(call):
    """By its path, whatever the query."""
    if call.__code__.co_names[0] == "beta" and not hasattr(Beta, "responses"):
        pytest.skip(f"openai {openai.__version__} has no beta.responses")

    async def ask(c: Any) -> Any:
        call(c)

    _, seen, _ = called(openai.OpenAI, ask, _stored("completed"))
    found = attributes(seen)
    assert (found["gen_ai.operation.name"], found["gen_ai.response.id"]) == ("fetch_response", STORED["id"])


@both
def test_a_stream_is_taken_up_where_it_was_left(cls):
    """The cursor says from where."""
    if not hasattr(Responses, "cancel"):
        pytest.skip(f"openai {openai.__version__} cannot fetch streams")

    async def ask(c: Any) -> Any:
        stream = await now(c.responses.retrieve("resp_1", stream=True, starting_after=0))
        return [event.type async for event in each(stream)]

    _, seen, wire = called(cls, ask, body(fake("response_stored.sse"), "text/event-stream"))
    assert wire.requests[0]["method"] == "GET"
    found = attributes(seen)
    assert (found["gen_ai.request.stream_cursor"], found["gen_ai.response.id"]) == ("0", STORED["id"])


@both
@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.conversations.create(items=[]),
        lambda c: c.conversations.retrieve("conv_1"),
        lambda c: c.conversations.items.list("conv_1"),
    ],
)
def test_conversations_have_no_spans(cls, call):
    """Keeping one is no inference, and the conventions have no name for it."""
    if not hasattr(openai.OpenAI, "conversations"):
        pytest.skip(f"openai {openai.__version__} has no conversations")

    async def ask(c: Any) -> Any:
        await now(call(c))

    _, seen, _ = called(cls, ask, body(b'{"id": "conv_1", "object": "conversation", "data": []}'))
    assert (seen.spans, seen.metrics) == ([], {})
