"""The engine under a toy SDK: every life of a call, nesting, context, sampling, bad data, our failures."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult

import garbage
import otel_genai
import toy
from child import program
from otel_genai import _bodies, _call, _engine, _manual, _streams, _telemetry, testing
from otel_genai import semconv as s
from otel_genai._bound import Bound
from otel_genai._call import Call
from otel_genai.spec import Operation, Provider
from toy import CLIENTS, AsyncClient, Client, Gateway, ask, close, drain

REQUEST = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "toy",
    "gen_ai.request.model": "toy-1",
    "server.address": "toy.test",
    "server.port": 443,
}
ANSWERED = {
    "gen_ai.response.id": "a-1",
    "gen_ai.response.model": "toy-1-0",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 5,
    "gen_ai.usage.output_tokens": 7,
}
STREAMED = {"gen_ai.request.stream": True}
DIMENSIONS = {**REQUEST, "gen_ai.response.model": "toy-1-0"}
FAILURE = {"name": "exception", "exception.type": "RefusedError"}
QUESTION = '[{"role": "user", "parts": [{"type": "text", "content": "say hello"}]}]'
REPLY = (
    '[{"role": "assistant", "parts": [{"type": "text", "content": "hello there"}], "finish_reason": "stop"}]'
)

both = pytest.mark.parametrize("client", CLIENTS, ids=["sync", "async"])


class RefusedError(Exception):
    """What the toy's server can say."""


@pytest.fixture
def seen():
    """Instrument the toy."""
    with testing.capture(toy.PROVIDER) as seen:
        yield seen


@pytest.fixture
def clock(monkeypatch):
    """Let every look at the clock take one second."""
    ticks = itertools.count()
    for module in (_bodies, _call, _streams, _manual):
        monkeypatch.setattr(module, "perf_counter", lambda: float(next(ticks)))


def span(*parts, name="chat toy-1", error=None, outcome=None, **more):
    """Describe a span: what it has beyond the usual."""
    outcome = outcome or ("failed" if error else None)
    parts = [*parts, {"otel_genai.outcome": outcome}] if outcome else parts
    attributes = {key: value for part in parts for key, value in part.items()}
    return {
        "name": name,
        "kind": "CLIENT",
        "status": "ERROR" if error else "UNSET",
        "description": None,
        "parent": None,
        "attributes": {**attributes, "error.type": "RefusedError"} if error else attributes,
        "events": [FAILURE] if error else [],
        **more,
    }


def point(attributes, total=1.0, **more):
    """Describe a data point with one record in it."""
    return {"attributes": dict(attributes), "count": 1, "sum": total, "exemplars": 1, **more}


def calls(outcome="completed", of=REQUEST):
    """Describe the counter of one call."""
    keys = ("gen_ai.provider.name", "gen_ai.request.model")
    dimensions = {"otel_genai.outcome": outcome, **{key: of[key] for key in keys}}
    return {"otel_genai.calls": [{"attributes": dimensions, "value": 1, "exemplars": 0}]}


def refuse(body=None):
    """Raise, as a server that refuses."""
    raise RefusedError("you said: say hello")


def events(*given):
    """Serve these events."""
    return lambda body: list(given)


# --- The lives of a call ---------------------------------------------------------------------------------


@both
async def test_a_call_that_answers_is_a_span_and_three_records(seen, clock, client):
    """A plain call gives its span, its duration and its tokens, and hands the answer on as it is."""
    answer = await ask(client(), seed=7, temperature=0.5, stop=["."], format={"type": "json"})
    assert answer._json is toy.ANSWER
    asked = {
        "gen_ai.request.seed": 7,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ["."],
        "gen_ai.output.type": "json",
    }
    assert seen.spans == [span(REQUEST, asked, ANSWERED)]
    assert seen.metrics == {
        **calls(),
        "gen_ai.client.operation.duration": [point(DIMENSIONS)],
        "gen_ai.client.token.usage": [
            point({**DIMENSIONS, "gen_ai.token.type": "input"}, 5),
            point({**DIMENSIONS, "gen_ai.token.type": "output"}, 7),
        ],
    }
    assert seen.events == []


@both
async def test_a_call_that_raises_is_an_error_without_the_provider_s_words(seen, clock, client):
    """The caller's exception is the SDK's own; the span and the duration say its type alone."""
    with pytest.raises(RefusedError) as caught:
        await ask(client(refuse))
    assert caught.value.args == ("you said: say hello",)
    assert seen.spans == [span(REQUEST, error=True)]
    assert seen.metrics == {
        **calls("failed"),
        "gen_ai.client.operation.duration": [point({**REQUEST, "error.type": "RefusedError"})],
    }


@pytest.mark.parametrize(
    ("capture", "on_span"), [("SPAN_ONLY", True), ("SPAN_AND_EVENT", True), ("EVENT_ONLY", False)]
)
async def test_an_error_says_its_words_where_content_is_wanted(capture, on_span):
    """With capture on the span, the exception has message and stack trace, and the status a description."""
    with testing.capture(toy.PROVIDER, capture=capture) as seen, pytest.raises(RefusedError):
        await ask(Client(refuse))
    [ended] = seen.spans
    [event] = ended["events"]
    words = {"exception.message": "you said: say hello"} if on_span else {}
    trace = event.pop("exception.stacktrace", "")
    assert event == {**FAILURE, **words}
    assert ("in refuse" in trace) is on_span
    assert ended["description"] == words.get("exception.message")


@both
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
async def test_what_only_stops_a_program_is_no_error(seen, client, stop):
    """Interrupts and cancellation end the span without an error, and go on."""

    def serve(body):
        raise stop

    with pytest.raises(stop):
        await ask(client(serve))
    outcome = "cancelled" if stop is asyncio.CancelledError else "stopped"
    assert seen.spans == [span(REQUEST, outcome=outcome)]


async def test_a_cancelled_task_ends_its_span(seen):
    """A call cancelled while it waits ends its span as cancelled."""
    waiting = asyncio.Event()

    async def serve(body):
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(ask(AsyncClient(serve)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen.spans == [span(REQUEST, outcome="cancelled")]


@both
async def test_a_stream_read_to_its_end_is_one_span_with_its_times(seen, clock, client):
    """A stream gives what a plain answer gives, the time to its first output and between outputs."""
    stream = await ask(client(), stream=True)
    assert seen.spans == []
    received = await drain(stream)
    assert [event.text for event in received] == [None, "hello ", "there", None]
    times = {"gen_ai.response.time_to_first_chunk": 1.0, "otel_genai.longest_gap": 1.0}
    assert seen.spans == [span(REQUEST, STREAMED, ANSWERED, times)]
    assert seen.metrics == {
        **calls(),
        "gen_ai.client.operation.duration": [point(DIMENSIONS, 3.0)],
        "gen_ai.client.operation.time_to_first_chunk": [point(DIMENSIONS)],
        "gen_ai.client.operation.time_per_output_chunk": [point(DIMENSIONS)],
        "gen_ai.client.token.usage": [
            point({**DIMENSIONS, "gen_ai.token.type": "input"}, 5),
            point({**DIMENSIONS, "gen_ai.token.type": "output"}, 7),
        ],
    }


@both
async def test_a_stream_is_of_the_sdk_s_own_class(seen, client):
    """What the caller gets is an instance of the SDK's class, by name too, and the class is made once."""
    first, second = await ask(client(), stream=True), await ask(client(), stream=True)
    assert isinstance(first, client.stream_class)
    assert type(first) is type(second)
    assert repr(type(first)) == repr(client.stream_class)
    await close(first)
    await close(second)


@both
async def test_a_closed_stream_ends_its_span_with_what_came(seen, client):
    """Closing after some events is no error; what had come is kept, what had not is absent."""
    stream = await ask(client(), stream=True)
    assert (await anext(stream) if client is AsyncClient else next(stream)).model == "toy-1-0"
    await close(stream)
    known = {"gen_ai.response.id": "a-1", "gen_ai.response.model": "toy-1-0"}
    assert seen.spans == [span(REQUEST, STREAMED, known, outcome="stopped")]


@pytest.mark.parametrize("client", ["Client", "AsyncClient"])
def test_a_dropped_stream_ends_its_span(client):
    """A stream that nobody began to read ends its span when it is dropped, in a program that does no more."""
    printed = program(
        """
        import asyncio, json, sys, garbage, toy
        from otel_genai import testing
        with testing.capture(toy.PROVIDER) as seen:
            asyncio.run(toy.ask(getattr(toy, sys.argv[1])(), stream=True))
            garbage.collect()
            print(json.dumps(seen.spans))
        """,
        client,
    ).stdout
    assert json.loads(printed) == [span(REQUEST, STREAMED, outcome="stopped")]


async def test_breaking_out_of_a_stream_ends_its_span(seen):
    """A loop that breaks drops the stream, and the span ends with it."""
    for event in Client().chat(stream=True):
        if event.text:
            break
    garbage.collect()
    [ended] = seen.spans
    assert ended["status"] == "UNSET"
    assert ended["attributes"]["gen_ai.response.time_to_first_chunk"] >= 0


@both
async def test_a_stream_that_breaks_is_an_error_with_what_came(seen, clock, client):
    """An exception in the middle of a stream goes to the caller, and the partial answer to the span."""
    stream = await ask(client(events(*toy.EVENTS[:2], RefusedError())), stream=True)
    with pytest.raises(RefusedError):
        await drain(stream)
    came = {
        "gen_ai.response.id": "a-1",
        "gen_ai.response.model": "toy-1-0",
        "gen_ai.response.finish_reasons": ["error"],
        "gen_ai.response.time_to_first_chunk": 1.0,
    }
    assert seen.spans == [span(REQUEST, STREAMED, came, error=True)]


@both
async def test_a_cancelled_stream_is_no_error(seen, client):
    """Cancellation in the middle of a stream is the caller's wish."""
    stream = await ask(client(events(toy.EVENTS[0], asyncio.CancelledError())), stream=True)
    with pytest.raises(asyncio.CancelledError):
        await drain(stream)
    [ended] = seen.spans
    assert ended["status"] == "UNSET"


@both
@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}], ids=["plain", "gzip"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_raw_body_is_read_as_it_passes(seen, client, stream, headers):
    """A response that the caller reads on their own gives the same span; its bytes and its methods stay."""
    response = await ask(client(), raw=True, stream=stream, headers=headers)
    assert seen.spans == []
    pieces = await drain(response.iter_raw() if client is Client else response.aiter_raw())
    assert pieces == response._pieces
    assert response.closed == 1
    assert "close" not in vars(response)
    [ended] = seen.spans
    ended["attributes"].pop("gen_ai.response.time_to_first_chunk", None)
    ended["attributes"].pop("otel_genai.longest_gap", None)
    assert ended == span(REQUEST, STREAMED if stream else {}, ANSWERED)


@both
async def test_a_raw_body_given_up_ends_its_span(seen, client):
    """Closing a response that was not read is no error, and closes it once."""
    response = await ask(client(), raw=True, stream=True)
    for _ in range(2):
        await (response.aclose() if client is AsyncClient else asyncio.to_thread(response.close))
    assert response.closed == 2
    assert seen.spans == [span(REQUEST, STREAMED, outcome="stopped")]


@both
async def test_a_raw_body_dropped_ends_its_span(seen, client):
    """A response that nobody reads or closes ends its span when it is dropped."""
    await ask(client(), raw=True)
    garbage.collect()
    assert seen.spans == [span(REQUEST, outcome="stopped")]


@both
async def test_a_raw_body_that_breaks_is_an_error_with_what_came(seen, clock, client):
    """An exception under the caller's own reading is the call's error."""
    response = await ask(client(events(*toy.EVENTS[:2], RefusedError())), raw=True, stream=True)
    with pytest.raises(RefusedError):
        await drain(response.iter_raw() if client is Client else response.aiter_raw())
    [ended] = seen.spans
    assert ended["status"] == "ERROR"
    assert ended["attributes"]["gen_ai.response.model"] == "toy-1-0"
    assert ended["attributes"]["error.type"] == "RefusedError"


ENDS = {
    "done": lambda call: call.done(toy.view(toy.ANSWER)),
    "failed": lambda call: call.failed(RefusedError()),
    "abandoned": lambda call: call.abandoned(),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(ENDS, ENDS)))
def test_a_call_ends_exactly_once(first, second):
    """Whatever comes second changes nothing."""
    seen = testing.Seen()
    telemetry = _telemetry.Telemetry(otel_genai.Settings(), seen.tracer_provider, seen.meter_provider)
    call = Call(
        Bound(telemetry, "toy", toy.CHAT), {"gen_ai.request.model": "toy-1"}, otel.get_current(), None
    )
    assert call.open
    ENDS[first](call)
    once = seen.spans
    assert not call.open
    ENDS[second](call)
    assert seen.spans == once
    assert [found["count"] for found in seen.metrics["gen_ai.client.operation.duration"]] == [1]
    assert (once[0]["status"] == "ERROR") is (first == "failed")
    assert ("gen_ai.response.id" in once[0]["attributes"]) is (first == "done")


def test_a_call_ended_by_many_threads_ends_once(seen):
    """A stream closed by several threads at once gives one span and one duration."""
    stream = Client().chat(stream=True)
    start = threading.Barrier(8)

    def end():
        start.wait()
        stream.close()

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.spans == [span(REQUEST, STREAMED, outcome="stopped")]
    assert [found["count"] for found in seen.metrics["gen_ai.client.operation.duration"]] == [1]


def test_a_call_of_no_known_operation_passes_unseen(seen):
    """What the hook does not know goes through as without us."""
    assert Client(lambda body: {"listed": True}).request({}).listed is True
    assert seen.spans == []


def test_an_operation_of_another_name_has_its_own_metrics(seen):
    """Embeddings count input tokens only."""
    Client().embed()
    [ended] = seen.spans
    assert ended["name"] == "embeddings toy-e"
    assert ended["attributes"] == {
        **REQUEST,
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "toy-e",
        "gen_ai.usage.input_tokens": 5,
    }
    assert len(seen.metrics["gen_ai.client.token.usage"]) == 1


@pytest.mark.parametrize(("wanted", "count"), [("all", 29), (16, 16), (0, None)])
def test_gaps_are_sampled(wanted, count):
    """Of a stream's gaps as many are recorded as the setting says."""
    with testing.capture(toy.PROVIDER, stream_gaps=wanted) as seen:
        list(Client(events(*[{"text": "x"}] * 30)).chat(stream=True))
    points = seen.metrics.get("gen_ai.client.operation.time_per_output_chunk")
    assert (points[0]["count"] if points else None) == count


# --- Generations of the conventions ----------------------------------------------------------------------

INFERENCE = {
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
    "gen_ai.client.inference.time_per_output_chunk",
    "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "otel_genai.calls",
}
OPERATION = {
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_per_output_chunk",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
    "otel_genai.calls",
}


@pytest.mark.parametrize(
    ("generation", "names"),
    [("published", OPERATION), ("latest", INFERENCE), ("both", OPERATION | INFERENCE)],
)
def test_a_generation_chooses_the_metrics_of_inference(generation, names):
    """Published, latest, or both families, each from the same call."""
    with testing.capture(toy.PROVIDER, semconv=generation) as seen:
        list(Client().chat(stream=True))
    assert set(seen.metrics) == names


@pytest.mark.parametrize("generation", ["published", "latest", "both"])
def test_a_generation_leaves_the_other_operations_alone(generation):
    """Embeddings keep the operation's duration; their tokens have a metric in the published one only."""
    with testing.capture(toy.PROVIDER, semconv=generation) as seen:
        Client().embed()
    tokens = set() if generation == "latest" else {"gen_ai.client.token.usage"}
    assert set(seen.metrics) == {"gen_ai.client.operation.duration", "otel_genai.calls"} | tokens


def test_token_counters_are_split_by_modality():
    """What the provider says per modality is counted so, and the rest as unknown."""
    parts = {"input": 10, "image": 4}
    read = Operation(
        name="chat",
        response=(
            lambda r: {
                s.USAGE_INPUT_TOKENS: r.usage.input,
                s.USAGE_IMAGE_INPUT_TOKENS: r.usage.image,
                s.USAGE_CACHE_READ_INPUT_TOKENS: 3,
            },
        ),
    )
    seen = testing.Seen()
    settings = otel_genai.Settings(semconv="latest")
    telemetry = _telemetry.Telemetry(settings, seen.tracer_provider, seen.meter_provider)
    Call(Bound(telemetry, "toy", read), {}, otel.get_current(), None).done(toy.view({"usage": parts}))
    counted = {
        (name, found["attributes"]["gen_ai.token.modality"]): found["value"]
        for name, points in seen.metrics.items()
        for found in points
        if "gen_ai.token.modality" in found["attributes"]
    }
    assert counted == {
        ("gen_ai.client.inference.usage.input_tokens", "image"): 4,
        ("gen_ai.client.inference.usage.input_tokens", "unknown"): 6,
        ("gen_ai.client.inference.usage.cache_read.input_tokens", "unknown"): 3,
    }


# --- Content ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("capture", list(otel_genai.Capture))
def test_content_goes_where_it_is_wanted(capture, stream):
    """Messages are on the span as JSON, on the event as structure, on both, or nowhere."""
    with testing.capture(toy.PROVIDER, capture=capture) as seen:
        for _ in Client().chat(stream=stream)._json if not stream else Client().chat(stream=True):
            pass
    [ended] = seen.spans
    on_span = {
        key: ended["attributes"].get(key) for key in ("gen_ai.input.messages", "gen_ai.output.messages")
    }
    assert list(on_span.values()) == ([QUESTION, REPLY] if capture.on_span else [None, None])
    if not capture.on_event:
        assert seen.events == []
        return
    [event] = seen.events
    assert event["name"] == "gen_ai.client.inference.operation.details"
    assert event["span_id"] == seen.finished[0].context.span_id
    assert event["attributes"]["gen_ai.input.messages"][0]["parts"][0]["content"] == "say hello"
    assert event["attributes"]["gen_ai.output.messages"][0]["finish_reason"] == "stop"
    assert event["attributes"]["gen_ai.usage.input_tokens"] == 5


def test_an_event_without_content_has_the_span_s_attributes():
    """`emit_event` alone gives the details, and no content."""
    with testing.capture(toy.PROVIDER, emit_event=True) as seen:
        Client().chat()
        Client().embed()
    [event] = seen.events
    event["attributes"]["gen_ai.response.finish_reasons"] = ["stop"]
    assert event["attributes"] == seen.spans[0]["attributes"]


def test_what_the_caller_changes_later_was_read_before():
    """The request's content is that of the request, not what the caller made of it while waiting."""
    body = {"model": "toy-1", "prompt": "say hello"}

    def serve(given):
        given["prompt"] = "changed"
        return toy.ANSWER

    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        Client(serve).request(body)
    assert seen.spans[0]["attributes"]["gen_ai.input.messages"] == QUESTION


# --- Calls within calls ----------------------------------------------------------------------------------


@both
async def test_a_patched_call_within_one_by_hand_is_the_same_inference(seen, client):
    """One span of the outer's, its gaps filled by the inner, its own values kept."""
    with otel_genai.inference("mine", provider="gateway", temperature=0.1) as call:
        await ask(client(), temperature=0.9, seed=7)
        call.answer(model="mine-0")
    assert seen.spans == [
        span(
            {**REQUEST, "gen_ai.request.model": "mine", "gen_ai.provider.name": "gateway"},
            {"gen_ai.request.temperature": 0.1, "gen_ai.request.seed": 7},
            {**ANSWERED, "gen_ai.response.model": "mine-0"},
            name="chat mine",
        )
    ]
    assert [found["sum"] for found in seen.metrics["gen_ai.client.token.usage"]] == [5, 7]
    assert [found["count"] for found in seen.metrics["gen_ai.client.operation.duration"]] == [1]


async def test_a_streamed_call_within_one_by_hand_gives_its_times(seen, clock):
    """The outer's time to the first chunk is the inner's."""
    with otel_genai.inference("mine", provider="gateway", stream=True):
        list(Client().chat(stream=True))
    [ended] = seen.spans
    assert ended["attributes"]["gen_ai.response.time_to_first_chunk"] == 2.0
    assert ended["attributes"]["otel_genai.longest_gap"] == 1.0


def test_calls_one_after_the_other_within_one_by_hand_add_up(seen):
    """An inference made of two calls has the tokens of both."""
    with otel_genai.inference("mine", provider="gateway"):
        Client().chat()
        Client().chat()
    [ended] = seen.spans
    assert ended["attributes"]["gen_ai.usage.input_tokens"] == 10
    assert ended["attributes"]["gen_ai.usage.output_tokens"] == 14


def test_counts_set_by_hand_win_over_those_of_the_call_within(seen):
    """Whoever counts by hand knows better."""
    with otel_genai.inference("mine", provider="gateway") as call:
        Client().chat()
        call.usage(input_tokens=1)
    [ended] = seen.spans
    assert ended["attributes"]["gen_ai.usage.input_tokens"] == 1
    assert ended["attributes"]["gen_ai.usage.output_tokens"] == 7


def test_a_patched_call_within_a_patched_one_is_the_same_inference(seen):
    """An SDK over an SDK gives one span, and its tokens once."""
    Gateway(Client(), id="g-1").request({"model": "gateway-1", "prompt": "say hello"})
    assert seen.spans == [
        span(
            {**REQUEST, "gen_ai.request.model": "gateway-1"},
            {**ANSWERED, "gen_ai.response.id": "g-1"},
            name="chat gateway-1",
        )
    ]
    assert [found["sum"] for found in seen.metrics["gen_ai.client.token.usage"]] == [5, 7]


def test_three_calls_within_each_other_are_one_inference(seen):
    """By hand over an SDK over an SDK: one span, and its tokens once."""
    with otel_genai.inference("mine", provider="gateway"):
        Gateway(Client()).request({"model": "gateway-1", "prompt": "say hello"})
    [ended] = seen.spans
    assert ended["attributes"]["gen_ai.usage.input_tokens"] == 5
    assert [found["sum"] for found in seen.metrics["gen_ai.client.token.usage"]] == [5, 7]


def test_the_content_of_a_call_within_fills_the_outer_s_gaps():
    """Messages that the outer does not give are the inner's."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        with otel_genai.inference("mine", provider="gateway", input="my words"):
            Client().chat()
        with otel_genai.inference("mine", provider="gateway"):
            Client().chat()
    first, second = (ended["attributes"] for ended in seen.spans)
    assert first["gen_ai.input.messages"] == QUESTION.replace("say hello", "my words")
    assert second["gen_ai.input.messages"] == QUESTION
    assert first["gen_ai.output.messages"] == second["gen_ai.output.messages"] == REPLY


def test_a_failed_call_within_one_by_hand_is_not_the_outer_s_failure(seen):
    """An inference that mends a refused call by another one succeeded."""
    with otel_genai.inference("mine", provider="gateway"):
        with pytest.raises(RefusedError):
            Client(refuse).chat()
        Client().chat()
    [ended] = seen.spans
    assert ended["status"] == "UNSET"
    assert ended["attributes"]["gen_ai.usage.input_tokens"] == 5


def test_a_call_after_the_outer_one_ended_is_one_of_its_own(seen):
    """A stale context makes no call disappear."""
    with otel_genai.inference("mine", provider="gateway"):
        stale = otel.get_current()
    token = otel.attach(stale)
    Client().chat()
    otel.detach(token)
    assert [ended["name"] for ended in seen.spans] == ["chat mine", "chat toy-1"]


def test_embeddings_within_an_inference_are_two_spans(seen):
    """Another operation is a child, and each counts its own tokens."""
    with otel_genai.inference("mine", provider="gateway") as call:
        Client().embed()
        call.usage(input_tokens=1, output_tokens=1)
    inner, outer = seen.finished
    assert [inner.name, outer.name] == ["embeddings toy-e", "chat mine"]
    assert inner.parent.span_id == outer.context.span_id
    assert outer.attributes["gen_ai.usage.input_tokens"] == 1


def test_embeddings_within_embeddings_are_one_span(seen):
    """By hand over the SDK it is the same embedding."""
    with otel_genai.embeddings("mine", provider="gateway"):
        Client().embed()
    [ended] = seen.spans
    assert ended["name"] == "embeddings mine"
    assert ended["attributes"]["gen_ai.usage.input_tokens"] == 5


AROUND = {
    "agent": lambda: otel_genai.agent("planner"),
    "workflow": lambda: otel_genai.workflow("answer"),
    "tool": lambda: otel_genai.tool("search"),
    "retrieval": lambda: otel_genai.retrieval("docs"),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_is_no_inference_is_a_parent(seen, around):
    """Agents, workflows, tools and searches keep their own tokens, and the call within its span."""
    with AROUND[around]():
        Client().chat()
    inner, outer = seen.finished
    assert inner.name == "chat toy-1"
    assert inner.parent.span_id == outer.context.span_id
    assert "gen_ai.usage.input_tokens" not in outer.attributes


@pytest.mark.parametrize("around", AROUND)
def test_a_call_in_a_tool_in_an_inference_is_one_of_its_own(seen, around):
    """What runs between makes it another inference: the model asks for a tool, the tool for a model."""
    with otel_genai.inference("mine", provider="gateway"), AROUND[around]():
        Client().chat()
    assert len(seen.finished) == 3
    assert seen.finished[0].parent.span_id == seen.finished[1].context.span_id
    assert "gen_ai.usage.input_tokens" not in seen.finished[2].attributes


# --- The context of a call -------------------------------------------------------------------------------


@both
async def test_the_span_is_current_during_the_call_and_not_after(seen, client):
    """Spans started within are its children; when the call has returned, the caller's context is back."""
    tracer = seen.tracer_provider.get_tracer("test")

    def serve(body):
        tracer.start_span("POST").end()
        return toy.ANSWER

    before = otel.get_current()
    with tracer.start_as_current_span("request"):
        await ask(client(serve))
        tracer.start_span("after").end()
    assert otel.get_current() is before
    assert {ended["name"]: ended["parent"] for ended in seen.spans} == {
        "POST": "chat toy-1",
        "chat toy-1": "request",
        "after": "request",
        "request": None,
    }


@both
async def test_the_span_is_not_current_after_a_failed_call(seen, client):
    """A call that raises leaves nothing behind."""
    before = otel.get_current()
    with pytest.raises(RefusedError):
        await ask(client(refuse))
    assert otel.get_current() is before


@both
async def test_the_span_is_not_current_between_the_chunks_of_a_stream(seen, client):
    """What the caller does with a chunk is not part of the call."""
    stream = await ask(client(), stream=True)
    current = set()
    if client is AsyncClient:
        async for _ in stream:
            current.add(trace.get_current_span())
    else:
        for _ in stream:
            current.add(trace.get_current_span())
    assert current == {trace.INVALID_SPAN}


def test_code_that_changes_the_context_and_leaves_it_so_is_not_undone(seen, caplog):
    """An SDK that leaves a context of its own attached is not ours to mend, and gives no complaint."""
    key = otel.create_key("theirs")

    def serve(body):
        otel.attach(otel.set_value(key, "kept"))
        return toy.ANSWER

    before = otel.get_current()
    token = otel.attach(before)
    Client(serve).chat()
    assert otel.get_value(key) == "kept"
    otel.detach(token)
    assert caplog.records == []
    assert len(seen.spans) == 1


class Noting(Sampler):
    """Remembers what it was asked about."""

    def __init__(self):
        """Nothing yet."""
        self.asked = []

    def should_sample(  # noqa: PLR0917 (the SDK's signature)
        self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None
    ):
        """Take all."""
        self.asked.append((name, dict(attributes)))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self):
        """Say what it is."""
        return "noting"


def test_a_sampler_sees_what_it_may_decide_by():
    """Operation, provider, model and server, and everything else of the request, are there at creation."""
    sampler = Noting()
    with (
        testing.capture(toy.PROVIDER, sampler=sampler),
        otel_genai.agent("planner"),
        otel_genai.tool("search"),
        otel_genai.context(conversation_id="c-1", **{"app.tenant": "acme"}),
    ):
        Client().chat(seed=7)
    assert sampler.asked == [
        ("invoke_agent planner", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}),
        (
            "execute_tool search",
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "search",
                "gen_ai.tool.type": "function",
            },
        ),
        (
            "chat toy-1",
            {
                **REQUEST,
                "gen_ai.request.seed": 7,
                "gen_ai.conversation.id": "c-1",
                "app.tenant": "acme",
            },
        ),
    ]


@both
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_sampled_out_is_still_measured(client, stream):
    """Metrics count every call; content is not even read."""
    with testing.capture(toy.PROVIDER, sampler=ALWAYS_OFF, capture="SPAN_ONLY") as seen:
        answer = await ask(client(), stream=stream)
        if stream:
            await drain(answer)
    assert seen.spans == []
    assert [found["count"] for found in seen.metrics["gen_ai.client.operation.duration"]] == [1]
    assert [found["sum"] for found in seen.metrics["gen_ai.client.token.usage"]] == [5, 7]


@both
@pytest.mark.parametrize("quiet", [otel_genai.suppress, suppress_instrumentation])
async def test_suppression_is_honoured(seen, client, quiet):
    """Neither our own switch nor OpenTelemetry's lets a patched call or one by hand be seen."""
    with quiet():
        assert (await ask(client())).id == "a-1"
        with otel_genai.inference("mine", provider="gateway") as call:
            call.answer("hello")
    assert seen.spans == []
    assert seen.metrics == {}


# --- Bad data and failures of ours -----------------------------------------------------------------------

BAD = [
    ({"usage": None}, s.USAGE),
    ({"usage": {"input": "5", "output": -1}}, s.USAGE),
    ({"usage": {"input": 5.0, "output": True}}, s.USAGE),
    ({"usage": 5}, s.USAGE),
    ({"id": None}, {s.RESPONSE_ID}),
    ({"id": {"a": 1}}, {s.RESPONSE_ID}),
    ({"model": [None]}, {s.RESPONSE_MODEL}),
]


@both
@pytest.mark.parametrize(("broken", "absent"), BAD)
async def test_bad_data_in_an_answer_is_absent_and_no_failure(seen, client, broken, absent):
    """What an answer does not say as it should is left out; the rest stays, and nobody is warned."""
    await ask(client(lambda body: {**toy.ANSWER, **broken}))
    kept = {key: value for key, value in ANSWERED.items() if key not in absent}
    assert seen.spans == [span(REQUEST, kept)]
    assert "otel_genai.instrumentation.errors" not in seen.metrics


@pytest.mark.parametrize("answer", [None, "text", 3, b"\x00", []])
def test_an_answer_that_is_no_answer_is_a_span_without_one(seen, answer):
    """An answer of another type altogether leaves the request's attributes."""
    Client(lambda body: answer).request({"model": "toy-1"})
    assert seen.spans == [span(REQUEST)]


def test_bad_data_in_a_request_is_absent_and_no_failure(seen):
    """What cannot be an attribute is left out; an enum is its value."""

    class Level(str):
        __slots__ = ()

    Client().chat(seed=Level("7"), temperature=object(), stop=5, format={})
    assert seen.spans == [span(REQUEST, {"gen_ai.request.seed": "7"}, ANSWERED)]
    assert type(seen.finished[0].attributes["gen_ai.request.seed"]) is str


@both
async def test_bad_data_in_a_stream_loses_that_event_alone(seen, client):
    """An event that cannot be read passes; the others count."""
    stream = await ask(client(events(toy.EVENTS[0], {"text": 5}, *toy.EVENTS[1:])), stream=True)
    assert len(await drain(stream)) == 5
    assert seen.spans[0]["attributes"].items() >= ANSWERED.items()


def broken(*args, **kwargs):
    """Fail, as a bug of ours would."""
    raise RuntimeError("a bug")


class Broken:
    """A tracer or a meter that fails at everything, or at one thing."""

    def __init__(self, inner=None, *names):
        """Fail at `names`, or at everything."""
        self._inner, self._names = inner, names

    def __getattr__(self, name):
        """Fail, or pass on."""
        return broken if name in self._names or not self._names else getattr(self._inner, name)


def variant(**changes):
    """Give the toy's provider with a changed operation, under the same hooks."""
    operation = Operation(**{name: changes.get(name, getattr(toy.CHAT, name)) for name in FIELDS})

    class Hook(toy.Hook):
        def request(self, client, args, kwargs):
            found = super().request(client, args, kwargs)
            found.operation = operation
            return found

    return Provider("toy", requires="toy-sdk", hooks=dict.fromkeys(toy.PROVIDER.hooks, Hook()))


FIELDS = ("name", "request", "constants", "derived", "response", "inputs", "outputs", "fold")


class BrokenHook(toy.Hook):
    """A hook that fails at one thing."""

    def __init__(self, name):
        """Fail at `name`."""
        setattr(self, name, broken)


class BrokenFold(toy.Fold):
    """A fold that fails at every event."""

    def add(self, event):
        """Fail."""
        broken()


def hooked(name):
    """Give a provider whose hook fails at `name`."""
    return Provider("toy", requires="toy-sdk", hooks=dict.fromkeys(toy.PROVIDER.hooks, BrokenHook(name)))


class BrokenProcessor(SpanProcessor):
    """A span processor that fails."""

    def on_end(self, span):
        """Fail."""
        broken()


def no_tracer(telemetry, seen):
    """Have no span begun."""
    telemetry.tracer = Broken()


def no_meter(telemetry, seen):
    """Have no instrument made."""
    telemetry._meter = Broken()


def no_record(telemetry, seen):
    """Have no duration recorded."""
    telemetry._instruments[s.OPERATION_DURATION.name] = Broken()


def no_processor(telemetry, seen):
    """Have no span ended."""
    seen.tracer_provider.add_span_processor(BrokenProcessor())


BUGS = {
    "a reader of the answer": (variant(response=(broken, toy.usage)), None),
    "a reader of the body": (variant(derived=broken), None),
    "a reader of content": (variant(outputs=broken, inputs=broken), None),
    "a fold": (variant(fold=BrokenFold), None),
    "a fold's making": (variant(fold=broken), None),
    "a hook": (hooked("request"), None),
    "a hook's stream class": (hooked("stream_class"), None),
    "a hook's answer": (hooked("unread"), None),
    "the tracer": (toy.PROVIDER, no_tracer),
    "the meter": (toy.PROVIDER, no_meter),
    "a record": (toy.PROVIDER, no_record),
    "a span processor": (toy.PROVIDER, no_processor),
}
UNSEEN = {"a hook", "the tracer", "the meter"}
"""Bugs that leave no span."""


@pytest.fixture
def lenient(monkeypatch):
    """Behave as for users: failures of ours do not raise."""
    monkeypatch.delenv(_telemetry.STRICT)


def test_what_fails_ten_times_in_a_row_is_switched_off(lenient, caplog):
    """The eleventh call is left alone, one line says so, and the next `instrument()` starts anew."""
    provider = variant(response=(broken,))
    with testing.capture(provider) as seen:
        for _ in range(12):
            Client().chat()
        assert len(seen.spans) == 10
        assert [record.message for record in caplog.records if "off" in record.message] == [
            "otel-genai switches toy chat off, as it failed 10 times in a row"
        ]
    with testing.capture(provider) as seen:
        Client().chat()
        assert len(seen.spans) == 1


def test_failures_that_are_not_in_a_row_switch_nothing_off(lenient):
    """A call that goes well starts the count anew."""
    fails = iter([True] * 9 + [False] + [True] * 9)

    def sometimes(answer):
        if next(fails):
            raise RuntimeError("a bug")
        return {}

    with testing.capture(variant(response=(sometimes,))) as seen:
        for _ in range(19):
            Client().chat()
        assert len(seen.spans) == 19


@both
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("bug", BUGS)
async def test_a_failure_of_ours_never_reaches_the_caller(lenient, caplog, client, bug, stream):
    """The call goes on, the failure is counted each time and told once, and the span ends."""
    provider, sabotage = BUGS[bug]
    with testing.capture(provider, capture="SPAN_ONLY") as seen:
        if sabotage:
            sabotage(_telemetry.active(), seen)
        for _ in range(2):
            answer = await ask(client(), stream=stream)
            if stream:
                assert [event.text for event in await drain(answer)] == [None, "hello ", "there", None]
            else:
                assert answer._json is toy.ANSWER
    if bug in ("a fold", "a fold's making", "a hook's stream class") and not stream:
        assert caplog.records == []
        return
    if bug == "a hook's answer" and stream:
        assert caplog.records == []
        return
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    operation = "request" if bug in UNSEEN else "chat"
    assert told == [
        (logging.WARNING, f"otel-genai failed on toy {operation}; the call itself is not affected"),
    ]
    assert caplog.records[0].exc_info[1].args == ("a bug",)
    assert len(seen.finished) == (0 if bug in UNSEEN else 2)
    if bug != "the meter":
        [counted] = seen.metrics["otel_genai.instrumentation.errors"]
        assert counted["value"] >= 2
        assert counted["attributes"] == {"gen_ai.provider.name": "toy", "gen_ai.operation.name": operation}


@both
async def test_the_caller_s_exception_wins_over_a_failure_of_ours(lenient, client):
    """While the SDK's exception is on its way, a bug of ours does not take its place."""
    with testing.capture(toy.PROVIDER) as seen:
        no_processor(None, seen)
        with pytest.raises(RefusedError) as caught:
            await ask(client(refuse))
    assert caught.value.__context__ is None


def test_what_one_reader_loses_the_others_keep(lenient, caplog):
    """A bug in one group of attributes costs that group."""
    with testing.capture(variant(response=(broken, toy.usage))) as seen:
        Client().chat()
    usage = {key: value for key, value in ANSWERED.items() if key in s.USAGE}
    assert seen.spans == [span(REQUEST, usage)]


def test_a_metric_that_fails_costs_the_metric_alone(lenient, caplog):
    """The span keeps its answer when a record fails."""
    with testing.capture(toy.PROVIDER) as seen:
        no_record(_telemetry.active(), seen)
        Client().chat()
    assert seen.spans == [span(REQUEST, ANSWERED)]


@pytest.mark.parametrize("bug", ["a reader of the answer", "a hook", "the tracer", "the meter", "a record"])
def test_a_failure_of_ours_raises_where_our_tests_ask_for_it(bug):
    """Under the private switch nothing is hidden."""
    provider, sabotage = BUGS[bug]
    with testing.capture(provider) as seen:
        if sabotage:
            sabotage(_telemetry.active(), seen)
        with pytest.raises(RuntimeError, match="a bug"):
            Client().chat()


def test_a_failure_by_hand_never_reaches_the_caller(lenient, caplog):
    """A block whose span cannot be made runs its body."""
    with testing.capture(toy.PROVIDER) as seen:
        no_tracer(_telemetry.active(), seen)
        for _ in range(2):
            with otel_genai.tool("search") as run:
                run.result("found")
    assert seen.spans == []
    assert [record.getMessage() for record in caplog.records] == [
        "otel-genai failed on manual execute_tool; the call itself is not affected"
    ]
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == 2


def test_a_failure_that_cannot_be_counted_is_told(lenient, caplog):
    """A broken meter does not hide a bug."""
    with testing.capture(hooked("request")) as seen:
        no_meter(_telemetry.active(), seen)
        Client().chat()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_seam_picks_the_colour_of_the_function():
    """A coroutine function gets a coroutine function, and everything else a plain one."""
    seam = _engine.Seam(None, toy.PROVIDER, toy.HOOK)
    assert seam.wrapper(AsyncClient.request) == seam._acall
    assert seam.wrapper(Client.request) == seam._call
