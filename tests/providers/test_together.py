"""What only Together does: another host for chat, and completions whose chunks end in two ways."""

from __future__ import annotations

from typing import Any

import pytest

together = pytest.importorskip("together", reason="pip install together to test it")

import httpx  # noqa: E402 (it comes with the SDK)

from otel_genai.testing import capture  # noqa: E402 (after the skip)
from sdks.kit import fake  # noqa: E402 (after the skip)

MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"


def client(body: bytes, kind: str = "application/json", **options: Any) -> tuple[Any, list[Any]]:
    """Make a client that is answered with one body, and keep what it sends."""
    sent: list[Any] = []

    def answer(request: Any) -> Any:
        sent.append(request)
        return httpx.Response(200, headers={"content-type": kind}, content=body)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return together.Together(api_key="test", http_client=http, max_retries=0, **options), sent


def chatted(**options: Any) -> tuple[dict[str, Any], str]:
    """Chat once; give the span's attributes, and the host that was asked."""
    c, sent = client(fake("together/chat.json"), **options)
    with capture("together", cost=False) as seen:
        c.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "?"}])
    [span] = seen.spans
    return span["attributes"], sent[0].url.host


@pytest.mark.parametrize(
    "options",
    [{}, {"base_url": "https://llm.corp.example:8443/v1"}],
    ids=["usual", "own"],
)
def test_the_host_is_the_one_that_was_asked(options: dict[str, Any]) -> None:
    """Since together 3, chat goes to another host than the client's, unless that is the user's own."""
    attributes, host = chatted(**options)
    assert attributes["server.address"] == host
    assert attributes["server.port"] == (8443 if options else 443)
    assert attributes["gen_ai.provider.name"] == "together"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://chat.example.org/v1/chat/completions", ("chat.example.org", 443)),
        ("http://chat.example.org/v1/chat/completions", ("chat.example.org", 80)),
        ("http://10.0.0.7:8000/v1/chat/completions", ("10.0.0.7", 8000)),
        ("https://[::1]:8000/v1/chat/completions", ("::1", 8000)),
    ],
)
def test_a_url_in_full_says_who_answers(url: str, server: tuple[str, int]) -> None:
    """The client's own is not asked, nor told."""
    c, sent = client(fake("together/chat.json"))
    with capture("together", cost=False) as seen:
        c.post(url, body={"model": MODEL, "messages": []}, cast_to=object)
    [span] = seen.spans
    assert (span["attributes"]["server.address"], span["attributes"]["server.port"]) == server
    assert str(sent[0].url) == url


def test_a_url_that_is_none_is_refused_by_the_sdk() -> None:
    """And told without a host."""
    c, _ = client(fake("together/chat.json"))
    with capture("together", cost=False) as seen, pytest.raises(Exception, match="port"):
        c.post("https://chat.example.org:port/v1/chat/completions", body={"model": MODEL}, cast_to=object)
    [span] = seen.spans
    assert "server.address" not in span["attributes"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("completion", (["eos"], "stop", 46, 9, MODEL)),
        ("completion_documented", (["length"], "length", 9, 5, None)),
    ],
)
def test_a_streamed_completion_ends_as_recorded_or_as_documented(name: str, expected: Any) -> None:
    """The API tells its end in the choice, its documentation beside it."""
    c, _ = client(fake(f"together/{name}.sse"), "text/event-stream")
    with capture("together", cost=False, capture="SPAN_ONLY") as seen:
        list(c.completions.create(model=MODEL, prompt="?", stream=True))
    [span] = seen.spans
    found = span["attributes"]
    reasons, why, given, written, model = expected
    assert found["gen_ai.response.finish_reasons"] == reasons
    assert f'"content": " Four artichokes."}}], "finish_reason": "{why}"' in found["gen_ai.output.messages"]
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (given, written)
    assert found.get("gen_ai.response.model") == model
