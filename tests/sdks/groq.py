"""Groq's own SDK: its ways of calling, for the tables in tests/test_sdks.py.

The bodies have the shape of https://console.groq.com/docs/api-reference.
"""

from __future__ import annotations

from typing import Any

import groq

from sdks.kit import Reply, Sdk, Way, events, fake

FORM = {"Content-Type": "multipart/form-data; boundary=seam"}  # else another in every request
MODEL = "openai/gpt-oss-20b"
MESSAGES: Any = [{"role": "user", "content": "What is 2+2? marmalade"}]
BOIL: Any = {"type": "function", "function": {"name": "boil", "description": "Boils.", "parameters": {}}}
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "What is 2+2? marmalade"}]}]
ANSWERED = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Two artichoke hearts and two more."},
            {"type": "text", "content": "Four, says the artichoke."},
        ],
        "finish_reason": "stop",
    }
]
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "groq",
    "gen_ai.request.model": MODEL,
    "gen_ai.response.id": "chatcmpl-7f1b0a2c-5d3e-4a61-9c0d-2b6a8e4f9d11",
    "gen_ai.response.model": MODEL,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 84,
    "gen_ai.usage.output_tokens": 31,
    "gen_ai.usage.cache_read.input_tokens": 64,
    "gen_ai.usage.reasoning.output_tokens": 18,
}


def client(url: str, colour: str) -> Any:
    """Make a client of the SDK."""
    cls = groq.AsyncGroq if colour == "async" else groq.Groq
    return cls(api_key="gsk-test", base_url=url, max_retries=0)


def _heard(name: str, call: Any) -> Way:
    return Way(
        name=name,
        call=call,
        replies=[Reply(fake("groq/transcription.json"))],
        span={
            "name": "transcription whisper-large-v3",
            "attributes": {
                "gen_ai.operation.name": "transcription",
                "gen_ai.provider.name": "groq",
                "gen_ai.request.model": "whisper-large-v3",
            },
        },
        input=[{"role": "user", "parts": [{"type": "text", "content": "Mind the marmalade."}]}],
        output=[
            {"role": "assistant", "parts": [{"type": "text", "content": " Two artichokes and two more."}]}
        ],
    )


WAYS: list[Way] = [
    Way(
        name="chat",
        call=lambda c: c.chat.completions.create(
            model=MODEL, messages=MESSAGES, max_tokens=64, temperature=0, seed=1729, stop="END", user="u"
        ),
        replies=[Reply(fake("groq/chat.json"))],
        span={
            "name": f"chat {MODEL}",
            "attributes": {
                **CHAT,
                "gen_ai.request.max_tokens": 64,
                "gen_ai.request.temperature": 0.0,
                "gen_ai.request.seed": 1729,
                "gen_ai.request.stop_sequences": ["END"],
            },
        },
        input=ASKED,
        output=ANSWERED,
    ),
    Way(
        name="chat, stream",
        call=lambda c: c.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True),
        replies=[Reply(pieces=events(fake("groq/chat.sse")), kind="text/event-stream")],
        span={"name": f"chat {MODEL}", "attributes": {**CHAT, "gen_ai.request.stream": True}},
        input=ASKED,
        output=ANSWERED,
        stream=True,
    ),
    Way(
        name="chat, tools",
        call=lambda c: c.chat.completions.create(
            model="llama-3.3-70b-versatile", messages=MESSAGES, tools=[BOIL]
        ),
        replies=[Reply(fake("groq/chat_tools.json"))],
        span={
            "name": "chat llama-3.3-70b-versatile",
            "attributes": {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "groq",
                "gen_ai.request.model": "llama-3.3-70b-versatile",
                "gen_ai.response.id": "chatcmpl-7f1b0a2c-5d3e-4a61-9c0d-2b6a8e4f9d11",
                "gen_ai.response.model": "llama-3.3-70b-versatile",
                "gen_ai.response.finish_reasons": ["tool_calls"],
                "gen_ai.usage.input_tokens": 211,
                "gen_ai.usage.output_tokens": 15,
            },
        },
        input=ASKED,
        output=[
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "tool_call",
                        "id": "fc_5k2m",
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
        name="embeddings",
        call=lambda c: c.embeddings.create(model="nomic-embed-text-v1_5", input="marmalade"),
        replies=[Reply(fake("groq/embeddings.json"))],
        span={
            "name": "embeddings nomic-embed-text-v1_5",
            "attributes": {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "groq",
                "gen_ai.request.model": "nomic-embed-text-v1_5",
                "gen_ai.response.model": "nomic-embed-text-v1_5",
                "gen_ai.embeddings.dimension.count": 4,
                "gen_ai.usage.input_tokens": 6,
            },
        },
    ),
    _heard(
        "transcription",
        lambda c: c.audio.transcriptions.create(
            model="whisper-large-v3",
            file=("a.wav", b"RIFF"),
            prompt="Mind the marmalade.",
            extra_headers=FORM,
        ),
    ),
    _heard(
        "translation",
        lambda c: c.audio.translations.create(
            model="whisper-large-v3",
            file=("a.wav", b"RIFF"),
            prompt="Mind the marmalade.",
            extra_headers=FORM,
        ),
    ),
    Way(
        name="speech",
        call=lambda c: c.audio.speech.create(model="playai-tts", input="Mind the marmalade.", voice="v"),
        replies=[Reply(b"RIFF\xff\xfe\x00artichoke", kind="audio/wav")],
        span={
            "name": "speech playai-tts",
            "attributes": {
                "gen_ai.operation.name": "speech",
                "gen_ai.provider.name": "groq",
                "gen_ai.request.model": "playai-tts",
                "gen_ai.output.type": "speech",
            },
        },
        input=[{"role": "user", "parts": [{"type": "text", "content": "Mind the marmalade."}]}],
    ),
]
SDK = Sdk(
    name="groq",
    client=client,
    ways=[
        way for way in WAYS if way.name != "speech" or hasattr(groq.resources.audio, "Speech")
    ],  # since 0.26
    refusal=Reply(
        b'{"error": {"message": "The model `marmalade` does not exist", "type": "invalid_request_error",'
        b' "code": "model_not_found"}}',
        status=404,
    ),
    refused={"error.type": "NotFoundError", "http.response.status_code": 404},
    close=lambda client: client.close(),
)
