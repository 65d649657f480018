"""What only Groq does: its own part of a stream's last chunk, and errors inside a stream."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

groq = pytest.importorskip("groq", reason="pip install groq to test it")

import httpx  # noqa: E402 (it comes with the SDK)

from otel_genai.testing import capture  # noqa: E402 (after the skip)
from sdks.kit import fake  # noqa: E402 (after the skip)


def asked(body: bytes, **options: Any) -> dict[str, Any]:
    """Ask for a stream, read it to its end or its error, and give the span."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    client = groq.Groq(
        api_key="test",
        http_client=httpx.Client(transport=httpx.MockTransport(lambda _: answer)),
        max_retries=0,
    )
    with capture("groq", cost=False) as seen:
        stream = client.chat.completions.create(
            model="openai/gpt-oss-20b", messages=[{"role": "user", "content": "?"}], stream=True, **options
        )
        with contextlib.suppress(groq.APIError):
            list(stream)
    [span] = seen.spans
    return span


def told(span: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Give some of a span's attributes."""
    return {key: span["attributes"].get(key) for key in keys}


def test_usage_is_in_groqs_own_part() -> None:
    """It comes unasked; where it was asked for, in OpenAI's place, too, it is counted once."""
    expected = {
        "gen_ai.usage.input_tokens": 84,
        "gen_ai.usage.output_tokens": 31,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "gen_ai.usage.reasoning.output_tokens": 18,
    }
    body = fake("groq/chat.sse")
    assert told(asked(body), *expected) == expected
    last = json.loads(body.split(b"\n\n")[-3].removeprefix(b"data: "))
    again = {**last, "choices": [], "usage": last["x_groq"]["usage"], "x_groq": None}
    both = body.replace(b"data: [DONE]", b"data: " + json.dumps(again).encode() + b"\n\ndata: [DONE]")
    assert told(asked(both), *expected) == expected


@pytest.mark.parametrize(
    ("name", "kind"), [("chat_failed", "_OTHER"), ("chat_error", "tool_use_failed")], ids=["chunk", "event"]
)
def test_an_error_inside_a_stream_is_told(name: str, kind: str) -> None:
    """In words in the last chunk, which the SDK does not raise, or with a code in an event of its own."""
    span = asked(fake(f"groq/{name}.sse"))
    assert told(span, "error.type", "otel_genai.outcome", "gen_ai.response.finish_reasons") == {
        "error.type": kind,
        "otel_genai.outcome": "failed",
        "gen_ai.response.finish_reasons": ["error"],
    }


def test_who_answers_is_groq() -> None:
    """At its own address, if at no other."""
    keys = ("gen_ai.provider.name", "server.address", "server.port")
    assert told(asked(fake("groq/chat.sse")), *keys) == dict(
        zip(keys, ("groq", "api.groq.com", 443), strict=True)
    )
