"""LiteLLM's own callback makes spans: one span a call with it and without, and each call counted once."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("litellm", reason="needs LiteLLM, which openai 3 rules out: pip install 'litellm' mcp")
pytest.importorskip("mcp", reason="LiteLLM needs it for responses: pip install mcp")

import litellm
from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER
from litellm.litellm_core_utils.thread_pool_executor import executor
from opentelemetry import trace

import otel_genai
from otel_genai import _others, _telemetry
from otel_genai import semconv as s
from otel_genai.testing import capture
from sdks.kit import Reply, Wire, events, fake
from sdks.litellm import SSE, Client

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # it keeps its connections
    pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning"),  # as its models are made
]

MODEL, MESSAGES = "openai/gpt-4o-mini", [{"role": "user", "content": "What is 2+2?"}]
CHAT = Reply(fake("litellm/chat.json"))
STREAM = Reply(kind=SSE, pieces=events(fake("litellm/chat.sse")))
CLAUDE = Reply(fake("litellm/claude.json"))
BUSY = Reply(b'{"error": {"message": "busy", "type": "server_error"}}', status=500)
COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])
HOOKED = {
    "both hooked": ("litellm", "openai"),
    "litellm hooked": ("litellm",),
    "openai hooked": ("openai",),
    "none hooked": ("ollama",),
}
WITHIN = pytest.mark.parametrize("within", [False, True], ids=["alone", "within a span"])
EARLY = {"sync": litellm.completion, "async": litellm.acompletion}
"""The functions, as programs have them that import their names before they call `instrument()`."""


def first(seen: Any) -> OpenTelemetry:
    """Make what the word `otel` stands for."""
    return OpenTelemetry(
        config=OpenTelemetryConfig(exporter="in_memory"), tracer_provider=seen.tracer_provider
    )


def second(seen: Any) -> Any:
    """Make what takes its place with LITELLM_OTEL_V2."""
    try:
        from litellm.integrations.otel import logger  # noqa: PLC0415 (not of every version)
    except ImportError:  # what it needs of OpenTelemetry is no longer there
        pytest.skip("this LiteLLM's newer callback does not fit this OpenTelemetry: pip install -U litellm")
    return logger.OpenTelemetryV2(tracer_provider=seen.tracer_provider)


def joined(function: Any, *args: Any, **kwargs: Any) -> None:
    """Do in a thread what LiteLLM does in one, and wait for it."""
    thread = threading.Thread(target=function, args=args, kwargs=kwargs)
    thread.start()
    thread.join()


@pytest.fixture
def later(monkeypatch: Any) -> Any:
    """Have LiteLLM tell its callbacks when we say so, in the contexts in which it would."""
    kept: list[Any] = []

    def keep(async_coroutine: Any) -> None:
        kept.append((async_coroutine, contextvars.copy_context()))

    async def tell() -> None:
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        while kept:
            coroutine, context = kept.pop(0)
            await context.run(asyncio.ensure_future, coroutine)

    monkeypatch.setattr(executor, "submit", joined)
    monkeypatch.setattr(GLOBAL_LOGGING_WORKER, "ensure_initialized_and_enqueue", keep)
    monkeypatch.setattr(_others, "_told", set())
    yield tell
    litellm.logging_callback_manager._reset_all_callbacks()


def ran(later: Any, call: Any, replies: list[Reply], *names: str, colour: str = "sync", **more: Any) -> Any:
    """Call, read what is a stream, and give what was seen."""
    callback, within = more.pop("callback", None), more.pop("within", False)
    wire = Wire(replies, frozenset())
    with wire.serving(), capture(*(names or ("litellm", "openai")), cost=False, **more) as seen:
        seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
        litellm.callbacks = [callback(seen)] if callback else []
        tracer = seen.tracer_provider.get_tracer("app")
        around = tracer.start_as_current_span("GET /") if within else contextlib.nullcontext()
        client = Client(wire.url, colour)
        if colour == "sync":
            with around, contextlib.suppress(litellm.InternalServerError):
                got = call(client)
                _ = list(got) if hasattr(got, "__iter__") else None
        else:
            asyncio.run(program(call, client, around, later))
        _telemetry.settle()
        return SimpleNamespace(spans=inferences(seen), metrics=seen.metrics, finished=seen.finished)


async def program(call: Any, client: Client, around: Any, later: Any) -> None:
    """Call in a task."""
    with around, contextlib.suppress(litellm.InternalServerError):
        got = await call(client)
        if hasattr(got, "__aiter__"):
            _ = [event async for event in got]
    await later()


def inferences(seen: Any) -> list[Any]:
    """Give the spans of inferences: LiteLLM writes to those of others, too, which are none for that."""
    return [
        span
        for span in seen.finished
        if span.attributes.get(s.OPERATION_NAME) and span.instrumentation_scope.name != "app"
    ]


def totals(metrics: Any) -> Counter[Any]:
    """Add up calls and tokens, whoever counted them."""
    found: Counter[Any] = Counter()
    for point in metrics.get(s.CALLS.name, ()):
        found["calls"] += point["value"]
    for point in metrics.get(s.TOKEN_USAGE.name, ()):
        found[point["attributes"][s.TOKEN_TYPE]] += point["sum"]
    return found


def ask(*, stream: bool = False, **more: Any) -> Any:
    """Ask for a chat."""
    return lambda c: c.completion(MODEL, MESSAGES, stream=stream, **more)


ONCE = {"calls": 1, "input": 84, "output": 31}


@WITHIN
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@COLOURS
@pytest.mark.parametrize("hooked", HOOKED)
def test_one_call_is_one_span_and_counted_once(
    later: Any, hooked: str, *, colour: str, streamed: bool, within: bool
) -> None:
    """With our hook on LiteLLM; without it, the SDK beneath has its span besides, and counts alone."""
    names, reply = HOOKED[hooked], STREAM if streamed else CHAT
    seen = ran(later, ask(stream=streamed), [reply], *names, colour=colour, callback=first, within=within)
    native = not within or (streamed and colour == "sync")
    own = "litellm" in names and not native
    sdk = names == ("openai",)
    scopes = Counter(span.instrumentation_scope.name for span in seen.spans)
    assert scopes == Counter({"litellm": native, "otel_genai": own + sdk}) - Counter()
    assert totals(seen.metrics) == (ONCE if native or own or sdk else {})


@COLOURS
@pytest.mark.parametrize("hooked", HOOKED)
def test_without_the_callback_it_is_so_too(later: Any, hooked: str, colour: str) -> None:
    """As ever."""
    seen = ran(later, ask(), [CHAT], *HOOKED[hooked], colour=colour)
    expected = hooked != "none hooked"
    assert len(seen.spans) == expected
    assert totals(seen.metrics) == (ONCE if expected else {})


@WITHIN
@COLOURS
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_with_the_newer_callback_it_is_so_too(
    later: Any, colour: str, *, streamed: bool, within: bool
) -> None:
    """It is told of async calls alone: the others have a span of ours."""
    reply = STREAM if streamed else CHAT
    seen = ran(later, ask(stream=streamed), [reply], colour=colour, callback=second, within=within)
    [span] = seen.spans
    assert span.instrumentation_scope.name == ("litellm" if colour == "async" else "otel_genai")
    assert totals(seen.metrics) == ONCE


def test_who_is_named_to_be_left_alone_is_not_counted(later: Any) -> None:
    """Neither by our hook, nor by its span."""
    seen = ran(later, ask(), [CHAT], callback=first, disabled="litellm,openai")
    assert (len(seen.spans), totals(seen.metrics)) == (1, {})


@COLOURS
@WITHIN
def test_other_providers_are_counted_once(later: Any, colour: str, *, within: bool) -> None:
    """Whoever answers."""
    claude = lambda c: c.completion("anthropic/claude-sonnet-4-5", MESSAGES)  # noqa: E731 (one line)
    seen = ran(later, claude, [CLAUDE], colour=colour, callback=first, within=within)
    assert (len(seen.spans), totals(seen.metrics)) == (1, {"calls": 1, "input": 132, "output": 31})


@COLOURS
@WITHIN
def test_a_name_that_was_imported_before_is_counted_once(later: Any, colour: str, *, within: bool) -> None:
    """Beneath LiteLLM's decorator."""
    call = lambda c: EARLY[colour](MODEL, MESSAGES, **c._given)  # noqa: E731 (one line)
    seen = ran(later, call, [CHAT], colour=colour, callback=first, within=within)
    assert (len(seen.spans), totals(seen.metrics)) == (1, ONCE)


@COLOURS
def test_each_attempt_of_a_router_is_counted_once(later: Any, colour: str) -> None:
    """One that failed, and the one after it."""

    def call(c: Client) -> Any:
        given = {"model": MODEL, **c._given}
        router = litellm.Router(
            [{"model_name": "small", "litellm_params": given}], num_retries=1, retry_after=0
        )
        return (router.acompletion if colour == "async" else router.completion)("small", MESSAGES)

    seen = ran(later, call, [BUSY, CHAT], colour=colour, callback=first)
    assert totals(seen.metrics) == {**ONCE, "calls": 2}
    assert len(seen.spans) == 2


def test_the_callback_may_come_and_go(later: Any) -> None:
    """It is asked for at each call."""
    for callback, scope in ((None, "otel_genai"), (first, "litellm"), (None, "otel_genai")):
        seen = ran(later, ask(), [CHAT], callback=callback)
        assert [span.instrumentation_scope.name for span in seen.spans] == [scope]
        assert totals(seen.metrics) == ONCE
        litellm.logging_callback_manager._reset_all_callbacks()


def test_it_may_come_while_we_are_at_work(later: Any) -> None:
    """Within one life of our hooks: its first call is ours, its second is LiteLLM's, its third ours."""
    wire = Wire([CHAT], frozenset())
    with wire.serving(), capture("litellm", cost=False) as seen:
        client = Client(wire.url, "sync")
        for callbacks in ([], [first(seen)], []):
            litellm.logging_callback_manager._reset_all_callbacks()
            litellm.callbacks = callbacks
            client.completion(MODEL, MESSAGES)
        scopes = [span.instrumentation_scope.name for span in inferences(seen)]
        assert scopes == ["otel_genai", "litellm", "otel_genai"]
        assert totals(seen.metrics)["calls"] == 3


@COLOURS
def test_where_each_call_has_a_span_of_litellms(later: Any, monkeypatch: Any, colour: str) -> None:
    """Its own variable says so: then there is none of ours."""
    monkeypatch.setenv("USE_OTEL_LITELLM_REQUEST_SPAN", "true")
    seen = ran(later, ask(), [CHAT], colour=colour, callback=first, within=True)
    [span] = seen.spans
    assert (span.instrumentation_scope.name, span.name) == ("litellm", "chat gpt-4o-mini")
    [around] = [span for span in seen.finished if span.name == "GET /"]
    assert span.parent.span_id == around.context.span_id
    assert totals(seen.metrics) == ONCE


@COLOURS
@WITHIN
def test_a_call_that_fails_is_one_span_and_counted_once(later: Any, colour: str, *, within: bool) -> None:
    """As failed."""
    seen = ran(later, ask(num_retries=0), [BUSY], colour=colour, callback=first, within=within)
    [span] = seen.spans
    assert span.attributes[s.ERROR_TYPE] == "InternalServerError"
    [point] = seen.metrics[s.CALLS.name]
    assert (point["value"], point["attributes"][s.OUTCOME]) == (1, s.FAILED)


def test_it_is_said_once(later: Any, caplog: Any) -> None:
    """What makes the spans, and what to set."""
    for _ in range(2):
        ran(later, ask(), [CHAT], callback=first)
    [line] = [record.getMessage() for record in caplog.records if record.name == _others.__name__]
    assert "leaves the spans of litellm alone" in line
    assert 'take "otel" out of litellm.callbacks' in line


def test_what_is_sent_to_a_company_changes_nothing(later: Any) -> None:
    """Its callback is of another class, and makes no span here."""
    company = type("Company", (litellm.integrations.custom_logger.CustomLogger,), {})
    seen = ran(later, ask(), [CHAT], callback=lambda _: company())
    assert [span.instrumentation_scope.name for span in seen.spans] == ["otel_genai"]


def test_ours_is_not_what_litellm_writes_to(later: Any) -> None:
    """Its callback has the span around, as without us: some of what it writes is content."""
    seen = ran(later, ask(), [CHAT], callback=first, within=True)
    [ours] = seen.spans
    assert not [key for key in ours.attributes if key.startswith(("llm.", *s.CONTENT))]
    [around] = [span for span in seen.finished if span.name == "GET /"]
    assert "llm.request.type" in around.attributes
    assert ours.parent.span_id == around.context.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN
