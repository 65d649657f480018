"""Together's own SDK: its ways of calling, for the tables in tests/test_sdks.py.

The bodies have the shape of https://docs.together.ai/reference/chat-completions-1 and its neighbours; those
of chat that of recorded answers.
"""

from __future__ import annotations

from typing import Any

import together

from sdks.kit import Reply, Sdk, Way, events, fake

FORM = {"Content-Type": "multipart/form-data; boundary=seam"}  # else another in every request
MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
PROMPT = "What is 2+2? marmalade"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
BOIL: Any = {"type": "function", "function": {"name": "boil", "description": "Boils.", "parameters": {}}}
ASKED = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
_TOGETHER = {"gen_ai.provider.name": "together"}
USED = {
    "gen_ai.usage.input_tokens": 46,
    "gen_ai.usage.output_tokens": 9,
    "gen_ai.usage.cache_read.input_tokens": 32,
}


def client(url: str, colour: str) -> Any:
    """Make a client of the SDK."""
    cls = together.AsyncTogether if colour == "async" else together.Together
    return cls(api_key="test", base_url=url, max_retries=0)


def _span(operation: str, model: str = MODEL, **more: Any) -> dict[str, Any]:
    told = {f"gen_ai.{key.replace('__', '.')}": value for key, value in more.items()}
    asked = {"gen_ai.operation.name": operation, **_TOGETHER, "gen_ai.request.model": model}
    return {"name": f"{operation} {model}", "attributes": {**asked, **told}}


def _answered(operation: str, answer: str, reason: str, **more: Any) -> dict[str, Any]:
    span = _span(operation, response__id=answer, response__model=MODEL, **more)
    return {**span, "attributes": {**span["attributes"], "gen_ai.response.finish_reasons": [reason], **USED}}


def _said(text: str, **more: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "parts": [{"type": "text", "content": text}], **more}]


def _heard(name: str, call: Any) -> Way:
    return Way(
        name=name,
        call=call,
        replies=[Reply(fake("together/transcription.json"))],
        span=_span("transcription", "openai/whisper-large-v3"),
        input=[{"role": "user", "parts": [{"type": "text", "content": "Mind the marmalade."}]}],
        output=_said("Two artichokes and two more."),
    )


WAYS = [
    Way(
        name="chat",
        call=lambda c: c.chat.completions.create(
            model=MODEL, messages=MESSAGES, max_tokens=64, temperature=0.5, top_k=40, stop=["END"]
        ),
        replies=[Reply(fake("together/chat.json"))],
        span=_answered(
            "chat",
            "ovCayuC-fdNmn-a273a08bc95b1f24",
            "stop",
            request__max_tokens=64,
            request__temperature=0.5,
            request__top_k=40,
            request__stop_sequences=["END"],
        ),
        input=ASKED,
        output=_said("Four artichokes.", finish_reason="stop"),
    ),
    Way(
        name="chat, stream",
        call=lambda c: c.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True),
        replies=[Reply(pieces=events(fake("together/chat.sse")), kind="text/event-stream")],
        span=_answered("chat", "ovCb55p-zfFMX-a273a0f90faa9289", "stop", request__stream=True),
        input=ASKED,
        output=_said("Four artichokes.", finish_reason="stop"),
        stream=True,
    ),
    Way(
        name="chat, tools",
        call=lambda c: c.chat.completions.create(model=MODEL, messages=MESSAGES, tools=[BOIL]),
        replies=[Reply(fake("together/chat_tools.json"))],
        span={
            "name": f"chat {MODEL}",
            "attributes": {
                **_answered("chat", "ovCayG8-6Ng1vN-a273a07efb3b8b71", "tool_calls")["attributes"],
                "gen_ai.usage.input_tokens": 198,
                "gen_ai.usage.output_tokens": 24,
                "gen_ai.usage.cache_read.input_tokens": 0,
            },
        },
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "tool_call",
                        "id": "call_3xdm9hr8",
                        "name": "boil",
                        "arguments": {"what": "artichoke"},
                    }
                ],
                "finish_reason": "tool_call",
            }
        ],
        tools=[{"type": "function", "name": "boil", "description": "Boils.", "parameters": {}}],
    ),
    Way(
        name="completion",
        call=lambda c: c.completions.create(model=MODEL, prompt=PROMPT),
        replies=[Reply(fake("together/completion.json"))],
        span=_answered("text_completion", "ovCc1aa-zfFMX-a273b0f90faa1122", "eos"),
        input=ASKED,
        output=_said(" Four artichokes.", finish_reason="stop"),
    ),
    Way(
        name="completion, stream",
        call=lambda c: c.completions.create(model=MODEL, prompt=PROMPT, stream=True),
        replies=[Reply(pieces=events(fake("together/completion.sse")), kind="text/event-stream")],
        span=_answered("text_completion", "ovCb55p-zfFMX-a273a0f90faa9289", "eos", request__stream=True),
        input=ASKED,
        output=_said(" Four artichokes.", finish_reason="stop"),
        stream=True,
    ),
    Way(
        name="embeddings",
        call=lambda c: c.embeddings.create(model="BAAI/bge-large-en-v1.5", input="marmalade"),
        replies=[Reply(fake("together/embeddings.json"))],
        span=_span(
            "embeddings",
            "BAAI/bge-large-en-v1.5",
            response__model="BAAI/bge-large-en-v1.5",
            embeddings__dimension__count=3,
        ),
    ),
    Way(
        name="rerank",
        call=lambda c: c.rerank.create(
            model="Salesforce/Llama-Rank-v1", query=PROMPT, documents=["pear", "artichoke"]
        ),
        replies=[Reply(fake("together/rerank.json"))],
        span=_span(
            "rerank",
            "Salesforce/Llama-Rank-v1",
            response__id="ovRr1",
            response__model="Salesforce/Llama-Rank-v1",
            usage__input_tokens=37,
            usage__output_tokens=0,
        ),
        input=ASKED,
    ),
    _heard(
        "transcription",
        lambda c: c.audio.transcriptions.create(
            model="openai/whisper-large-v3",
            file=("a.wav", b"RIFF"),
            prompt="Mind the marmalade.",
            extra_headers=FORM,
        ),
    ),
    _heard(
        "translation",
        lambda c: c.audio.translations.create(
            model="openai/whisper-large-v3",
            file=("a.wav", b"RIFF"),
            prompt="Mind the marmalade.",
            extra_headers=FORM,
        ),
    ),
    Way(
        name="image",
        call=lambda c: c.images.generate(model="black-forest-labs/FLUX.1-schnell", prompt=PROMPT, n=2),
        replies=[Reply(fake("together/images.json"))],
        span=_span(
            "image_generation",
            "black-forest-labs/FLUX.1-schnell",
            output__type="image",
            request__choice__count=2,
            response__id="ovIm1",
            response__model="black-forest-labs/FLUX.1-schnell",
        ),
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "uri",
                        "modality": "image",
                        "uri": "https://api.together.ai/imgproxy/artichoke.png",
                        "mime_type": None,
                    }
                ],
            }
        ],
    ),
    Way(
        name="speech",
        call=lambda c: c.audio.speech.create(
            model="hexgrad/Kokoro-82M", input="Mind the marmalade.", voice="v"
        ),
        replies=[Reply(b"RIFF\xff\xfe\x00artichoke", kind="audio/wav")],
        span={
            "name": "speech hexgrad/Kokoro-82M",
            "attributes": {
                "gen_ai.operation.name": "speech",
                "gen_ai.provider.name": "together",
                "gen_ai.request.model": "hexgrad/Kokoro-82M",
                "gen_ai.output.type": "speech",
            },
        },
        input=[{"role": "user", "parts": [{"type": "text", "content": "Mind the marmalade."}]}],
    ),
]
SDK = Sdk(
    name="together",
    client=client,
    ways=WAYS,
    refusal=Reply(
        b'{"error": {"message": "Unable to access model marmalade", "type": "invalid_request_error",'
        b' "param": null, "code": "model_not_available"}}',
        status=404,
    ),
    refused={"error.type": "NotFoundError", "http.response.status_code": 404},
    close=lambda client: client.close(),
)
