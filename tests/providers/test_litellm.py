"""What only LiteLLM does: it calls other SDKs, turns to many providers, retries, caches, counts itself."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("litellm", reason="needs LiteLLM, which openai 3 rules out: pip install 'litellm' mcp")
pytest.importorskip("mcp", reason="LiteLLM needs it for responses: pip install mcp")

import litellm
import openai

from otel_genai.providers import litellm as provider
from otel_genai.providers._litellm_answer import lenient
from otel_genai.providers._litellm_names import UNKNOWN, named, resolved
from otel_genai.providers.litellm import server, usage
from otel_genai.testing import capture
from sdks.kit import Reply, Wire, events, fake
from sdks.litellm import SSE, WAYS, Client

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # it keeps its connections
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # as its models are made
]

MESSAGES = [{"role": "user", "content": "What is 2+2?"}]
CHAT = Reply(fake("litellm/chat.json"))
STREAM = Reply(kind=SSE, pieces=events(fake("litellm/chat.sse")))
CLAUDE = Reply(fake("litellm/claude.json"))
CLAUDE_STREAM = Reply(kind=SSE, pieces=events(fake("litellm/claude.sse")))
BUSY = Reply(b'{"error": {"message": "busy", "type": "server_error"}}', status=500)
COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])


def ran(
    colour: str, call: Any, replies: list[Reply], *names: str, client: Any = Client, **settings: Any
) -> list[dict[str, Any]]:
    """Call, read what is a stream, and give the spans."""
    wire = Wire(replies, frozenset())

    async def program() -> None:
        with contextlib.suppress(openai.APIError):
            got = call(client(wire.url, colour))
            got = await got if inspect.isawaitable(got) else got
            if hasattr(got, "__aiter__"):
                _ = [event async for event in got]
            elif not hasattr(got, "model_dump"):
                list(got)

    with wire.serving(), capture(*(names or ("litellm",)), cost=False, **settings) as seen:
        asyncio.run(program())
    return seen.spans


def told(span: dict[str, Any], *starts: str) -> dict[str, Any]:
    """Give those attributes of a span that start so, without that start."""
    found = span["attributes"].items()
    return {
        key.removeprefix(start): value for start in starts for key, value in found if key.startswith(start)
    }


# --- What is beneath -------------------------------------------------------------------------------------


@COLOURS
@pytest.mark.parametrize("reply", [CHAT, STREAM], ids=["whole", "stream"])
def test_an_sdk_beneath_is_part_of_the_call(colour: str, reply: Reply) -> None:
    """One span, by LiteLLM; OpenAI's SDK adds what it knows, and counts nothing twice."""
    spans = ran(
        colour,
        lambda c: c.completion("openai/gpt-4o-mini", MESSAGES, stream=reply is STREAM),
        [reply],
        "litellm",
        "openai",
    )
    assert [(span["name"], span["parent"]) for span in spans] == [("chat gpt-4o-mini", None)]
    assert told(spans[0], "gen_ai.usage.") == {
        "input_tokens": 84,
        "output_tokens": 31,
        "cache_read.input_tokens": 64,
        "audio.output_tokens": 0,
        "audio.input_tokens": 0,
        "reasoning.output_tokens": 18,
    }
    assert told(spans[0], "openai.") == {
        "api.type": "chat_completions",
        "response.service_tier": "default",
        "response.system_fingerprint": "fp_8b2c",
    }


EARLY = {name: getattr(litellm, name) for name in provider.FUNCTIONS}
"""The functions, as programs have them that import their names before they call `instrument()`."""


class Early(Client):
    """Calls what was imported before."""

    def _given_to(self, function: Any) -> Any:
        name = function.__name__ if self._colour == "sync" else f"a{function.__name__.removeprefix('a')}"
        return super()._given_to(EARLY[name])


@pytest.mark.parametrize("names", [("litellm",), ("litellm", "openai")], ids="+".join)
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_name_that_was_imported_before_is_seen(colour: str, way: Any, names: tuple[str, ...]) -> None:
    """Beneath LiteLLM's decorator: one span, the same as by way of the package."""
    early = ran(colour, way.call, list(way.replies), *names, client=Early)
    known = ran(colour, way.call, list(way.replies), *names)
    assert [span["name"] for span in early] == [span["name"] for span in known] == [way.span["name"]]
    same = {key: value for key, value in known[0]["attributes"].items() if not key.startswith(UNSTEADY)}
    assert {
        key: value for key, value in early[0]["attributes"].items() if not key.startswith(UNSTEADY)
    } == same


UNSTEADY = ("server.", "gen_ai.response.time_to", "otel_genai.longest")


def test_a_stream_that_litellm_adds_up_itself_is_seen() -> None:
    """Beneath the decorator it is a stream, and the caller has an answer."""
    [span] = ran(
        "sync",
        lambda c: EARLY["completion"](
            "openai/gpt-4o-mini", MESSAGES, stream=True, complete_response=True, **c._given
        ),
        [STREAM],
    )
    assert span["attributes"]["gen_ai.usage.output_tokens"] == 31


def test_a_client_of_litellms_own_is_seen() -> None:
    """It calls the functions by names of its own."""
    [span] = ran(
        "sync",
        lambda c: litellm.LiteLLM(api_key="test").chat.completions.create(
            model="openai/gpt-4o-mini", messages=MESSAGES, api_base=c._given["api_base"]
        ),
        [CHAT],
    )
    assert span["name"] == "chat gpt-4o-mini"


def test_nothing_of_ours_stays_within() -> None:
    """Once we are gone, the decorator has what it had."""
    held = [_decorated(name) for name in provider.FUNCTIONS]
    for _ in range(2):
        with capture("litellm", cost=False):
            within = [_decorated(name) for name in provider.FUNCTIONS]
        after = [_decorated(name) for name in provider.FUNCTIONS]
        assert [now is before for now, before in zip(within, held, strict=True)] == [False] * len(held)
        assert [now is before for now, before in zip(after, held, strict=True)] == [True] * len(held)


def _decorated(name: str) -> Any:
    module = "litellm.responses.main" if name.endswith("responses") else "litellm.main"
    function = getattr(importlib.import_module(module), name)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
    return cells["original_function"].cell_contents


PROGRAM = """
import json, logging, sys
from opentelemetry import metrics, trace
import otel_genai
from otel_genai import testing

seen = testing.Seen()
trace.set_tracer_provider(seen.tracer_provider)
metrics.set_meter_provider(seen.meter_provider)
logging.basicConfig(format="%(message)s", level=logging.WARNING)
otel_genai.instrument("litellm")
import litellm

litellm.callbacks = [CALLBACKS]
for _ in range(2):
    litellm.completion("openai/gpt-4o-mini", [{"role": "user", "content": "2"}], mock_response="4")
[status] = [one for one in otel_genai.providers() if one.name == "litellm"]
scopes = [span.instrumentation_scope.name for span in seen.finished]
print(json.dumps([scopes.count("otel_genai"), status.state, status.reason]))
"""


@pytest.mark.parametrize(("callbacks", "spans"), [('"otel"', 0), ("print", 2)])
def test_spans_of_its_own_are_enough(callbacks: str, spans: int) -> None:
    """LiteLLM's are left alone then, from the first call on, and one line says what to set."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("CALLBACKS", callbacks)],
        env={
            "PATH": os.environ["PATH"],
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OTEL_EXPORTER": "in_memory",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, state, reason = json.loads(done.stdout.splitlines()[-1])
    assert (told, state) == (spans, "patched")
    assert ('take "otel" out of litellm.callbacks' in reason) is (spans == 0)
    assert done.stderr.count("otel-genai leaves the spans of litellm alone") == (spans == 0)


@COLOURS
def test_a_router_is_seen_call_by_call(colour: str) -> None:
    """An attempt that failed is a call of its own, as the one after it."""

    def call(c: Client) -> Any:
        given = {"model": "openai/gpt-4o-mini", **c._given}
        router = litellm.Router(
            [{"model_name": "small", "litellm_params": given}], num_retries=1, retry_after=0
        )
        return (router.acompletion if colour == "async" else router.completion)("small", MESSAGES)

    spans = ran(colour, call, [BUSY, CHAT], "litellm", "openai")
    assert [(span["name"], span["attributes"].get("error.type")) for span in spans] == [
        ("chat gpt-4o-mini", "InternalServerError"),
        ("chat gpt-4o-mini", None),
    ]


@COLOURS
def test_fallbacks_are_seen_call_by_call(colour: str) -> None:
    """Each attempt is one call, of its own provider; what tries them one after the other is none."""
    spans = ran(
        colour,
        lambda c: c.completion(
            "openai/gpt-4o-mini",
            MESSAGES,
            fallbacks=[{"model": "mistral/mistral-small", "api_base": c._given["api_base"], "api_key": "x"}],
        ),
        [BUSY, CHAT],
    )
    assert [told(span, "gen_ai.provider.", "gen_ai.request.", "error.") for span in spans] == [
        {"name": "openai", "model": "gpt-4o-mini", "type": "InternalServerError"},
        {"name": "mistral_ai", "model": "mistral-small"},
    ]


# --- Tokens ----------------------------------------------------------------------------------------------


@COLOURS
@pytest.mark.parametrize("reply", [CLAUDE, CLAUDE_STREAM], ids=["whole", "stream"])
def test_claude_is_counted_as_it_counts(colour: str, reply: Reply) -> None:
    """What was cached is in the input; of what was thought, LiteLLM has a guess alone."""
    [span] = ran(
        colour,
        lambda c: c.completion("anthropic/claude-sonnet-4-5", MESSAGES, stream=reply is CLAUDE_STREAM),
        [reply],
    )
    assert told(span, "gen_ai.usage.") == {
        "input_tokens": 132,
        "output_tokens": 31,
        "cache_read.input_tokens": 100,
        "cache_write.input_tokens": 20,
    }
    assert told(span, "gen_ai.provider.", "gen_ai.request.m", "gen_ai.response.m") == {
        "name": "anthropic",
        "odel": "claude-sonnet-4-5-20250929",
    }
    assert span["name"] == "chat claude-sonnet-4-5"


@COLOURS
@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["plain", "asked"])
def test_a_count_that_litellm_made_itself_is_none(colour: str, options: dict[str, Any]) -> None:
    """Of a stream whose usage the provider did not tell, it counts the tokens with a table of its own."""
    silent = Reply(kind=SSE, pieces=(*STREAM.pieces[:-2], STREAM.pieces[-1]))
    [span] = ran(
        colour, lambda c: c.completion("openai/gpt-4o-mini", MESSAGES, stream=True, **options), [silent]
    )
    assert told(span, "gen_ai.usage.") == {}
    assert told(span, "gen_ai.response.finish") == {"_reasons": ["stop"]}


def test_an_answer_out_of_the_cache_used_nothing() -> None:
    """Its tokens were used before, and paid for then; a real cache needs all that LiteLLM's proxy does."""
    answer = litellm.ModelResponse(usage=litellm.Usage(84, 31, 115))
    assert usage(lenient(answer)) == {
        "gen_ai.usage.input_tokens": 84,
        "gen_ai.usage.output_tokens": 31,
    }
    answer._hidden_params = {"cache_hit": True}
    assert usage(lenient(answer)) == {"gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}


@COLOURS
def test_a_stream_of_plain_text(colour: str) -> None:
    """A legacy completion, piece by piece."""
    [span] = ran(
        colour,
        lambda c: c.text_completion(
            prompt="2+2 =", model="text-completion-openai/gpt-3.5-turbo-instruct", stream=True
        ),
        [Reply(kind=SSE, pieces=events(fake("litellm/completions.sse")))],
        capture="SPAN_ONLY",
    )
    assert span["name"] == "text_completion gpt-3.5-turbo-instruct"
    assert json.loads(span["attributes"]["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": " four artichokes."}],
            "finish_reason": "length",
        }
    ]


# --- Errors ----------------------------------------------------------------------------------------------


@COLOURS
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
def test_the_status_is_what_was_answered(colour: str, model: str) -> None:
    """LiteLLM has one for all its errors, be there an answer or not."""
    [answered] = ran(colour, lambda c: c.completion(model, MESSAGES, num_retries=0), [BUSY])
    [alone] = ran(
        colour, lambda c: c.completion(model, MESSAGES, num_retries=0, api_base="http://127.0.0.1:9"), [BUSY]
    )
    assert told(answered, "error.", "http.response.") == {"type": "InternalServerError", "status_code": 500}
    assert told(alone, "error.", "http.response.") == {"type": "InternalServerError"}


def test_a_quota_that_is_used_up_is_told_as_such() -> None:
    """It is no matter of waiting, as other errors of that class."""
    body = b'{"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}'
    [span] = ran("sync", lambda c: c.completion("openai/gpt-4o-mini", MESSAGES), [Reply(body, status=429)])
    assert told(span, "error.", "http.response.") == {"type": "insufficient_quota", "status_code": 429}


# --- Names -----------------------------------------------------------------------------------------------

NAMES = {
    "gpt-4o": ("openai", "gpt-4o"),
    "azure/my-deployment": ("azure.ai.openai", "my-deployment"),
    "bedrock/converse/anthropic.claude-3-haiku": ("aws.bedrock", "anthropic.claude-3-haiku"),
    "gemini/gemini-2.5-pro": ("gcp.gemini", "gemini-2.5-pro"),
    "vertex_ai/gemini-2.5-pro": ("gcp.vertex_ai", "gemini-2.5-pro"),
    "xai/grok-4": ("x_ai", "grok-4"),
    "together_ai/meta-llama/Llama-3": ("together", "meta-llama/Llama-3"),
    "openrouter/openai/gpt-4o": ("openrouter", "openai/gpt-4o"),
    "meta-llama/Llama-3": (UNKNOWN, "meta-llama/Llama-3"),
}


@pytest.mark.parametrize("model", NAMES)
def test_who_is_meant_by_a_models_name(model: str) -> None:
    """What stands before the slash is LiteLLM's word; the rest is the provider's own name."""
    body = {"model": model}
    assert (server(None, body).provider, resolved(body)[1]) == NAMES[model]


def test_who_is_named_beside_the_model() -> None:
    """The caller's word holds; a public host that speaks OpenAI's language has its own name."""
    assert resolved({"model": "openai/gpt-4o", "custom_llm_provider": "openrouter"}) == (
        "openrouter",
        "openai/gpt-4o",
    )
    assert named("openai", "https://api.deepseek.com/v1") == "deepseek"
    assert named("openai", "http://10.0.0.1:8000/v1") == "openai"
    assert named("vertex_ai-language-models") == "gcp.vertex_ai"
