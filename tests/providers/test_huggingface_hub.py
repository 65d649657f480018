"""What only Hugging Face does: who answers, text that comes bare, errors that are made of others."""

from __future__ import annotations

import sys
from typing import Any

import pytest

hub = pytest.importorskip("huggingface_hub", reason="pip install huggingface_hub to test it")

from otel_genai.providers import huggingface_hub as provider  # noqa: E402 (after the skip)
from otel_genai.testing import capture  # noqa: E402 (after the skip)
from sdks.kit import Reply, Wire, events, fake  # noqa: E402 (after the skip)

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ROUTER = ("router.huggingface.co", 443)
AT = "https://x.us-east-1.aws.endpoints.huggingface.cloud"


@pytest.mark.parametrize(
    ("options", "model", "name", "at"),
    [
        ({}, MODEL, "huggingface", ROUTER),
        ({"provider": "auto"}, MODEL, "huggingface", ROUTER),
        ({"provider": "hf-inference"}, MODEL, "huggingface", ROUTER),
        ({"provider": "groq"}, MODEL, "groq", ROUTER),
        ({"provider": "cohere"}, MODEL, "cohere", ROUTER),
        ({"provider": "fireworks-ai"}, MODEL, "fireworks", ROUTER),
        ({"provider": "together"}, MODEL, "together", ROUTER),
        ({"provider": "nscale"}, MODEL, "nscale", ROUTER),
        ({"provider": "auto"}, f"{MODEL}:cohere", "cohere", ROUTER),
        ({"provider": "auto"}, f"{MODEL}:cheapest", "huggingface", ROUTER),
        ({"provider": "auto", "model": f"{MODEL}:together"}, None, "together", ROUTER),
        ({"provider": "together", "api_key": "own"}, MODEL, "together", ("api.together.xyz", 443)),
        ({"provider": "unheard-of", "api_key": "own"}, MODEL, "unheard-of", (None, None)),
        ({"model": AT}, None, "huggingface", (AT.removeprefix("https://"), 443)),
        ({"base_url": "http://10.0.0.7:8080/v1"}, MODEL, "huggingface", ("10.0.0.7", 8080)),
        ({"base_url": "https://api.groq.com/openai/v1"}, MODEL, "groq", ("api.groq.com", 443)),
        ({}, "http://localhost:3000", "huggingface", ("localhost", 3000)),
        ({"base_url": "http://localhost:port"}, MODEL, "huggingface", (None, None)),
    ],
)
def test_who_answers(options: dict[str, Any], model: str | None, name: str, at: tuple[Any, Any]) -> None:
    """The router's provider by the conventions' name, at the router, or where the key or the URL is for."""
    client = hub.InferenceClient(**{"api_key": "hf_test", **options})
    found = provider.server(client, {"model": model})
    assert (found.provider, found.address, found.port) == (name, *at)


def test_nothing_is_known_of_an_sdk_that_keeps_its_providers_elsewhere(monkeypatch: Any) -> None:
    """Whom the model's name says is unknown then, and where they are."""
    monkeypatch.delitem(sys.modules, "huggingface_hub.inference._providers")
    client = hub.InferenceClient(provider="groq", api_key="gsk_own")
    assert provider.server(client, {"model": MODEL}) == provider.Server("groq")


def told(call: Any, reply: Reply, **options: Any) -> dict[str, Any]:
    """Call a server that answers once, and give the span."""
    wire = Wire([reply], frozenset())
    with wire.serving(), capture("huggingface_hub", cost=False, capture="SPAN_ONLY") as seen:
        call(hub.InferenceClient(base_url=wire.url, api_key="hf_test", **options))
    [span] = seen.spans
    return span


def test_a_url_in_place_of_a_model_is_none() -> None:
    """It is where the model is."""
    body = Reply(fake("huggingface_hub/text.json"))
    span = told(lambda client: client.text_generation("?"), body)
    assert "gen_ai.request.model" not in span["attributes"]
    span = told(
        lambda client: client.chat_completion([], model=MODEL), Reply(fake("huggingface_hub/chat.json"))
    )
    assert span["attributes"]["gen_ai.request.model"] == MODEL


def test_a_bare_text_has_no_end_of_its_own() -> None:
    """Strings say no more than what they are: no reason, no tokens, and no doubt about the end."""
    reply = Reply(pieces=events(fake("huggingface_hub/text.sse")), kind="text/event-stream")
    span = told(lambda client: list(client.text_generation("?", stream=True)), reply)
    assert "otel_genai.outcome" not in span["attributes"]
    assert "gen_ai.usage.output_tokens" not in span["attributes"]
    expected = '[{"role": "assistant", "parts": [{"type": "text", "content": " four artichokes.</s>"}]}]'
    assert span["attributes"]["gen_ai.output.messages"] == expected


def test_an_error_inside_a_stream_is_told() -> None:
    """By the class that the SDK makes of it."""
    reply = Reply(pieces=events(fake("huggingface_hub/chat_error.sse")), kind="text/event-stream")

    def call(client: Any) -> None:
        with pytest.raises(Exception, match="overloaded"):
            list(client.chat_completion([], model=MODEL, stream=True))

    span = told(call, reply)
    assert span["attributes"]["error.type"] == "OverloadedError"
    assert "http.response.status_code" not in span["attributes"]


def test_an_error_made_of_another_has_its_status() -> None:
    """The server's own kind of error is raised from the one that has the status."""
    reply = Reply(b'{"error": "Input is too long", "error_type": "validation"}', status=422)

    def call(client: Any) -> None:
        with pytest.raises(Exception, match="too long"):
            client.text_generation("?")

    span = told(call, reply)
    assert span["attributes"]["error.type"] == "ValidationError"
    assert span["attributes"]["http.response.status_code"] == 422


def test_a_prompt_is_counted_where_it_is_listed() -> None:
    """With `decoder_input_details`, each of its tokens is."""
    body = fake("huggingface_hub/text.json")
    listed = body.replace(b'"prefill": []', b'"prefill": [{"id": 1, "text": "?", "logprob": null}]')
    assert listed != body

    def call(client: Any) -> None:
        client.text_generation("?", details=True, decoder_input_details=True)

    assert told(call, Reply(listed))["attributes"]["gen_ai.usage.input_tokens"] == 1
    assert "gen_ai.usage.input_tokens" not in told(call, Reply(body))["attributes"]
