"""Streams that are asked for their usage, of SDKs that make their streams on their own."""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from otel_genai import _telemetry
from otel_genai.providers import _ask, _litellm_answer
from otel_genai.testing import capture
from sdks.kit import Reply, Wire

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # not every SDK closes its connections
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # as LiteLLM's are made
]
ASK = {"include_usage": True}
CALLS: dict[str, Callable[..., Any]] = {
    "huggingface_hub": lambda c, m, **more: c.chat_completion(m.MESSAGES, model=m.MODEL, stream=True, **more),
    "litellm": lambda c, m, **more: c.completion(model=m.MODEL, messages=m.MESSAGES, stream=True, **more),
}
TOKENS = {"huggingface_hub": (43, 8), "litellm": (84, 31)}

every_sdk = pytest.mark.parametrize("sdk", CALLS)
both = pytest.mark.parametrize("colour", ["sync", "async"])


def of(sdk: str) -> Any:
    """Give an SDK's file of the tables."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an SDK's own
            return importlib.import_module(f"sdks.{sdk}")
    except ModuleNotFoundError:
        return pytest.skip(f"needs {sdk}: pip install 'otel-genai[sdks]'; litellm and mcp without the rest")


class Server(Wire):
    """Answers as such an API does: with a usage chunk if the request asks for one."""

    def chosen(self) -> Reply:
        """Give the stream, with or without."""
        [reply] = self.replies
        is_asked = (self.asked[-1].get("stream_options") or {}).get("include_usage")
        kept = [piece for piece in reply.pieces if is_asked or b'"prompt_tokens"' not in piece]
        return Reply(pieces=tuple(kept), kind=reply.kind)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Give the bodies that came."""
        return [json.loads(request["body"]) for request in self.requests]


async def called(sdk: str, colour: str, **more: Any) -> tuple[Server, list[str]]:
    """Call for a stream, and read it."""
    module = of(sdk)
    [reply] = next(way.replies for way in module.WAYS if way.stream)
    server = Server([reply], frozenset())
    seen: list[str] = []
    with server.serving():
        client = module.SDK.client(server.url, colour)
        stream = CALLS[sdk](client, module, **more)
        stream = await stream if inspect.isawaitable(stream) else stream
        if colour == "sync":
            seen += [str(chunk) for chunk in stream]
        else:
            seen += [str(chunk) async for chunk in stream]
        closed = module.SDK.close(client)
        _ = await closed if inspect.isawaitable(closed) else closed
    return server, seen


@every_sdk
@both
async def test_the_usage_is_told_and_its_chunk_is_not_seen(sdk: str, colour: str) -> None:
    """The same chunks as without us, and the counts on the span; nothing else in the request."""
    bare, chunks = await called(sdk, colour)
    with capture(sdk, stream_usage=True) as seen:
        server, ours = await called(sdk, colour)
    assert ours == chunks
    [body] = server.asked
    assert body.pop("stream_options") == ASK
    [known] = bare.asked
    known.pop("stream_options", None)  # the SDK's own null
    assert body == known
    [span] = seen.spans
    told = [span["attributes"].get(f"gen_ai.usage.{kind}_tokens") for kind in ("input", "output")]
    assert tuple(told) == TOKENS[sdk]
    assert "otel_genai.outcome" not in span["attributes"]


@every_sdk
@both
async def test_who_asks_sees_it(sdk: str, colour: str) -> None:
    """The caller's own chunk is the caller's."""
    _, chunks = await called(sdk, colour, stream_options=ASK)
    with capture(sdk, stream_usage=True):
        _, ours = await called(sdk, colour, stream_options=ASK)
    assert ours == chunks
    assert len(ours) == len((await called(sdk, colour))[1]) + 1


@every_sdk
@pytest.mark.parametrize("options", [{"include_usage": False}, {"other": 1}, None])
async def test_other_options_stay(sdk: str, options: Any) -> None:
    """A no is a no, and what else was said is said."""
    with capture(sdk, stream_usage=True):
        server, chunks = await called(sdk, "sync", stream_options=options)
    has_refused = options is not None and "include_usage" in options
    assert server.asked[0]["stream_options"] == (options if has_refused else {**(options or {}), **ASK})
    assert len(chunks) == len((await called(sdk, "sync"))[1])


@both
async def test_what_goes_in_place_of_ours_is_left_alone(colour: str) -> None:
    """A body of the caller's own is stronger than any argument."""
    given = {"extra_body": {"stream_options": ASK}}
    _, chunks = await called("huggingface_hub", colour, **given)
    with capture("huggingface_hub", stream_usage=True):
        server, ours = await called("huggingface_hub", colour, **given)
    assert ours == chunks
    assert server.asked[0]["stream_options"] == ASK


@every_sdk
async def test_without_the_setting_nothing_is_asked(sdk: str) -> None:
    """Requests are the caller's."""
    with capture(sdk):
        server, _ = await called(sdk, "sync")
    assert not server.asked[0].get("stream_options")


def _broken(_: Any) -> Any:
    raise RuntimeError("injected")


@every_sdk
@both
async def test_faults_of_ours_are_not_the_callers(sdk: str, colour: str, monkeypatch: Any) -> None:
    """In asking, the request goes out as it was; in hiding, the chunk is seen."""
    monkeypatch.delenv(_telemetry.STRICT)
    _, chunks = await called(sdk, colour)
    with monkeypatch.context() as patch, capture(sdk, stream_usage=True) as seen:
        patch.setattr(_ask.usage, "__code__", _broken.__code__)
        server, ours = await called(sdk, colour)
        assert (ours, server.asked[0].get("stream_options")) == (chunks, None)
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == 1
    hides = _litellm_answer.is_usage if sdk == "litellm" else _ask.is_usage
    _, chunks = await called(sdk, colour, stream_options=ASK)
    with monkeypatch.context() as patch, capture(sdk, stream_usage=True) as seen:
        patch.setattr(hides, "__code__", _broken.__code__)
        assert (await called(sdk, colour))[1] == chunks
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == len(chunks)


def test_litellm_asks_openai_itself() -> None:
    """And others, who are not of OpenAI's kind, tell it unasked."""
    of("litellm")
    ask_usage = importlib.import_module("otel_genai.providers._litellm_names").ask_usage
    asked = {
        "openai/llama": "http://localhost:8000/v1",
        "azure/deployed": "https://mine.openai.azure.com",
        "deepseek/deepseek-chat": None,
    }
    unasked = {
        "gpt-4o": None,
        "openai/gpt-4o": "https://api.openai.com/v1",
        "anthropic/claude-sonnet-4-5": None,
        "mistral/mistral-small": None,
    }
    for model, url in asked.items():
        assert ask_usage({"model": model, "api_base": url}) == {"stream_options": ASK}
    for model, url in unasked.items():
        assert ask_usage({"model": model, "api_base": url}) is None
