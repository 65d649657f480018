"""Spans by hand: by `with`, `async with` and as decorators, asserted as a whole against the conventions."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import itertools
import json
import subprocess
import sys
import threading

import pytest
from opentelemetry import trace

import otel_genai
from otel_genai import _call, _manual, testing

INTERNAL, CLIENT = "INTERNAL", "CLIENT"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Let every look at the clock take one second."""
    ticks = itertools.count()
    for module in (_call, _manual):
        monkeypatch.setattr(module, "perf_counter", lambda: float(next(ticks)))


@pytest.fixture
def seen():
    """Record spans by hand, without content."""
    with testing.capture() as seen:
        yield seen


@pytest.fixture
def told():
    """Record spans by hand, with content on the span."""
    with testing.capture(capture="SPAN_ONLY") as seen:
        yield seen


class RefusedError(Exception):
    """What can go wrong."""


def infer():
    """Make an inference that says everything."""
    return otel_genai.inference(
        "llama-3",
        provider="vllm",
        instructions="be brief",
        input=["why?", {"role": "assistant", "parts": [{"type": "text", "content": "what?"}]}],
        tools=[{"type": "function", "name": "search"}],
        server=("gpu-1", 8000),
        choice_count=2,
        frequency_penalty=0.1,
        max_tokens=100,
        output_type="text",
        presence_penalty=0.2,
        reasoning_level="low",
        seed=7,
        stop_sequences=["."],
        stream=True,
        temperature=0.5,
        top_k=40,
        top_p=0.9,
    )


def use_inference(call):
    """Give it chunks, an answer and counts."""
    call.chunk()
    call.chunk()
    call.answer("so", model="llama-3-8b", id="r-1", finish_reasons=["stop", "length"])
    call.usage(
        input_tokens=12,
        output_tokens=4,
        cache_read_input_tokens=2,
        cache_write_input_tokens=3,
        reasoning_output_tokens=1,
    )
    call.set("app.tenant", "acme")
    call.set("app.nothing", None)


def use_embeddings(call):
    """Give it an answer and a count."""
    call.answer(model="e5-large-0")
    call.usage(input_tokens=3)


def use_agent(run):
    """Give it an answer and counts."""
    run.answer("there")
    run.usage(input_tokens=5, output_tokens=6)


CALLED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "vllm",
    "gen_ai.request.model": "llama-3",
    "server.address": "gpu-1",
    "server.port": 8000,
}
DIMENSIONS = {**CALLED, "gen_ai.response.model": "llama-3-8b"}
EMBEDDED = {
    "gen_ai.operation.name": "embeddings",
    "gen_ai.provider.name": "vllm",
    "gen_ai.request.model": "e5",
    "server.address": "gpu-1",
    "server.port": 8000,
}
SEARCHED = {
    "gen_ai.operation.name": "retrieval",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "ranker",
}


def calls(of):
    """Describe the counter of one call."""
    keys = ("gen_ai.provider.name", "gen_ai.request.model")
    return {"otel_genai.outcome": "completed", **{key: of[key] for key in keys}}, 1


BLOCKS = {
    "inference": {
        "make": infer,
        "use": use_inference,
        "name": "chat llama-3",
        "kind": CLIENT,
        "attributes": {
            **CALLED,
            "gen_ai.request.choice.count": 2,
            "gen_ai.request.frequency_penalty": 0.1,
            "gen_ai.request.max_tokens": 100,
            "gen_ai.output.type": "text",
            "gen_ai.request.presence_penalty": 0.2,
            "gen_ai.request.reasoning.level": "low",
            "gen_ai.request.seed": 7,
            "gen_ai.request.stop_sequences": ["."],
            "gen_ai.request.stream": True,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.top_k": 40,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.response.id": "r-1",
            "gen_ai.response.model": "llama-3-8b",
            "gen_ai.response.finish_reasons": ["stop", "length"],
            "gen_ai.response.time_to_first_chunk": 1.0,
            "otel_genai.longest_gap": 1.0,
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.usage.cache_read.input_tokens": 2,
            "gen_ai.usage.cache_write.input_tokens": 3,
            "gen_ai.usage.reasoning.output_tokens": 1,
            "app.tenant": "acme",
        },
        "content": {
            "gen_ai.system_instructions": [{"type": "text", "content": "be brief"}],
            "gen_ai.input.messages": [
                {"role": "user", "parts": [{"type": "text", "content": "why?"}]},
                {"role": "assistant", "parts": [{"type": "text", "content": "what?"}]},
            ],
            "gen_ai.tool.definitions": [{"type": "function", "name": "search"}],
            "gen_ai.output.messages": [
                {"role": "assistant", "parts": [{"type": "text", "content": "so"}]},
            ],
        },
        "metrics": {
            "otel_genai.calls": [calls(DIMENSIONS)],
            "gen_ai.client.operation.duration": [(DIMENSIONS, 3.0)],
            "gen_ai.client.operation.time_to_first_chunk": [(DIMENSIONS, 1.0)],
            "gen_ai.client.operation.time_per_output_chunk": [(DIMENSIONS, 1.0)],
            "gen_ai.client.token.usage": [
                ({**DIMENSIONS, "gen_ai.token.type": "input"}, 12),
                ({**DIMENSIONS, "gen_ai.token.type": "output"}, 4),
            ],
        },
    },
    "embeddings": {
        "make": lambda: otel_genai.embeddings(
            "e5", provider="vllm", dimensions=8, encoding_formats=["float"], server=("gpu-1", 8000)
        ),
        "use": use_embeddings,
        "name": "embeddings e5",
        "kind": CLIENT,
        "attributes": {
            **EMBEDDED,
            "gen_ai.embeddings.dimension.count": 8,
            "gen_ai.request.encoding_formats": ["float"],
            "gen_ai.response.model": "e5-large-0",
            "gen_ai.usage.input_tokens": 3,
        },
        "content": {},
        "metrics": {
            "otel_genai.calls": [calls(EMBEDDED)],
            "gen_ai.client.operation.duration": [({**EMBEDDED, "gen_ai.response.model": "e5-large-0"}, 1.0)],
            "gen_ai.client.token.usage": [
                ({**EMBEDDED, "gen_ai.response.model": "e5-large-0", "gen_ai.token.type": "input"}, 3)
            ],
        },
    },
    "retrieval": {
        "make": lambda: otel_genai.retrieval(
            "docs", provider="openai", model="ranker", query="why?", top_k=5
        ),
        "use": lambda search: search.documents([{"id": "d-1", "score": 0.5}]),
        "name": "retrieval docs",
        "kind": CLIENT,
        "attributes": {**SEARCHED, "gen_ai.data_source.id": "docs", "gen_ai.retrieval.top_k": 5},
        "content": {
            "gen_ai.retrieval.query.text": "why?",
            "gen_ai.retrieval.documents": [{"id": "d-1", "score": 0.5}],
        },
        "metrics": {"gen_ai.client.operation.duration": [(SEARCHED, 1.0)]},
    },
    "tool": {
        "make": lambda: otel_genai.tool(
            "search", type="extension", call_id="c-1", description="finds", arguments='{"query": "why?"}'
        ),
        "use": lambda run: run.result({"found": 1}),
        "name": "execute_tool search",
        "kind": INTERNAL,
        "attributes": {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.type": "extension",
            "gen_ai.tool.call.id": "c-1",
            "gen_ai.tool.description": "finds",
        },
        "content": {"gen_ai.tool.call.arguments": {"query": "why?"}, "gen_ai.tool.call.result": {"found": 1}},
        "metrics": {
            "gen_ai.execute_tool.duration": [
                ({"gen_ai.tool.name": "search", "gen_ai.tool.type": "extension"}, 1.0)
            ],
        },
    },
    "agent": {
        "make": lambda: otel_genai.agent(
            "planner",
            description="plans",
            model="llama-3",
            data_source="docs",
            instructions=["be brief"],
            input="where?",
        ),
        "use": use_agent,
        "name": "invoke_agent planner",
        "kind": INTERNAL,
        "attributes": {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "planner",
            "gen_ai.agent.description": "plans",
            "gen_ai.request.model": "llama-3",
            "gen_ai.data_source.id": "docs",
            "gen_ai.usage.input_tokens": 5,
            "gen_ai.usage.output_tokens": 6,
        },
        "content": {
            "gen_ai.system_instructions": [{"type": "text", "content": "be brief"}],
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "where?"}]}],
            "gen_ai.output.messages": [
                {"role": "assistant", "parts": [{"type": "text", "content": "there"}]}
            ],
        },
        "metrics": {
            "gen_ai.invoke_agent.duration": [
                ({"gen_ai.agent.name": "planner", "gen_ai.request.model": "llama-3"}, 1.0)
            ],
        },
    },
    "workflow": {
        "make": lambda: otel_genai.workflow("answer", input="where?"),
        "use": lambda run: run.answer("there"),
        "name": "invoke_workflow answer",
        "kind": INTERNAL,
        "attributes": {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "answer"},
        "content": {
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "where?"}]}],
            "gen_ai.output.messages": [
                {"role": "assistant", "parts": [{"type": "text", "content": "there"}]}
            ],
        },
        "metrics": {
            "gen_ai.invoke_workflow.duration": [({"gen_ai.workflow.name": "answer"}, 1.0)],
        },
    },
}
every = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)


def expected(block, **more):
    """Describe the span of a block."""
    return {
        "name": block["name"],
        "kind": block["kind"],
        "status": "UNSET",
        "description": None,
        "parent": None,
        "attributes": block["attributes"],
        "events": [],
        **more,
    }


def measured(seen):
    """Give what was measured: name -> (attributes, sum or count)."""
    return {
        name: [(point["attributes"], point.get("sum", point.get("value"))) for point in points]
        for name, points in seen.metrics.items()
    }


# --- Blocks ----------------------------------------------------------------------------------------------


@every
def test_a_block_is_a_span_and_its_metrics(seen, block):
    """By `with`: name, kind, attributes and metrics are those of the conventions, without content."""
    with block["make"]() as entered:
        assert trace.get_current_span().get_span_context().is_valid
        block["use"](entered)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert seen.spans == [expected(block)]
    assert measured(seen) == block["metrics"]
    assert seen.events == []


@every
async def test_an_async_block_is_the_same_span(seen, block):
    """By `async with` it is no other span."""
    async with block["make"]() as entered:
        await asyncio.sleep(0)
        block["use"](entered)
    assert seen.spans == [expected(block)]
    assert measured(seen) == block["metrics"]


@every
def test_content_is_there_when_capture_is_on(told, block):
    """With capture on, the span has the content too, as JSON."""
    with block["make"]() as entered:
        block["use"](entered)
    [ended] = told.spans
    found = {key: json.loads(_quoted(ended["attributes"].pop(key))) for key in block["content"]}
    assert found == block["content"]
    assert ended == expected(block)


def _quoted(text):
    return text if text[0] in "[{" else json.dumps(text)


@every
def test_content_on_events_is_that_of_inference_alone(block):
    """There is one details event, for inference; other content has no event to be on."""
    with testing.capture(capture="EVENT_ONLY") as seen, block["make"]() as entered:
        block["use"](entered)
    assert seen.spans == [expected(block)]
    if block["name"] != "chat llama-3":
        assert seen.events == []
        return
    [event] = seen.events
    assert _plain(event["attributes"]) == {**block["attributes"], **block["content"]}


def _plain(value):
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@every
def test_a_block_that_raises_is_an_error(seen, block):
    """An exception passes through; the span and the duration have its type, and nothing of its words."""
    raised = RefusedError("secret")
    with pytest.raises(RefusedError) as caught, block["make"]():
        raise raised
    assert caught.value is raised
    [ended] = seen.spans
    assert ended["status"] == "ERROR"
    assert ended["description"] is None
    assert ended["attributes"]["error.type"] == "RefusedError"
    assert ended["attributes"]["otel_genai.outcome"] == "failed"
    assert ended["events"] == [{"name": "exception", "exception.type": "RefusedError"}]
    [duration] = [points for name, points in measured(seen).items() if name.endswith(".duration")]
    assert duration[0][0]["error.type"] == "RefusedError"


@every
@pytest.mark.parametrize(
    ("stop", "outcome"),
    [(KeyboardInterrupt, "stopped"), (asyncio.CancelledError, "cancelled"), (GeneratorExit, "stopped")],
)
def test_a_block_that_is_stopped_is_no_error(seen, block, stop, outcome):
    """What only stops a program or a task is nobody's error."""
    with pytest.raises(stop), block["make"]():
        raise stop
    [ended] = seen.spans
    assert (ended["status"], ended["attributes"]["otel_genai.outcome"]) == ("UNSET", outcome)


@pytest.mark.parametrize("make", [otel_genai.inference, otel_genai.embeddings])
def test_a_model_in_this_process_is_internal(seen, make):
    """The kind says whether a call goes out."""
    with make("llama-3", provider="llama.cpp", in_process=True):
        pass
    assert seen.spans[0]["kind"] == INTERNAL


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: otel_genai.inference(provider="vllm"), "chat"),
        (
            lambda: otel_genai.inference("m", provider="vllm", operation="text_completion"),
            "text_completion m",
        ),
        (lambda: otel_genai.embeddings(provider="vllm"), "embeddings"),
        (otel_genai.retrieval, "retrieval"),
        (otel_genai.tool, "execute_tool"),
        (otel_genai.agent, "invoke_agent"),
        (otel_genai.workflow, "invoke_workflow"),
    ],
)
def test_a_span_is_named_after_what_is_known(seen, make, name):
    """Without a target the operation alone is the name, and nothing unknown is an attribute."""
    with make():
        pass
    [ended] = seen.spans
    assert ended["name"] == name
    assert None not in ended["attributes"].values()


def test_an_unknown_parameter_says_what_is_known():
    """A slip of the pen is found at once."""
    with pytest.raises(TypeError) as caught:
        otel_genai.inference("llama-3", provider="vllm", temprature=0.5, tokens=3)
    assert str(caught.value) == (
        "inference() knows no temprature, tokens; it knows choice_count, frequency_penalty, max_tokens, "
        "output_type, presence_penalty, reasoning_level, seed, stop_sequences, stream, temperature, top_k, "
        "top_p"
    )


@every
def test_a_block_by_hand_is_a_parent(seen, block):
    """Spans that start within are its children."""
    tracer = seen.tracer_provider.get_tracer("test")
    with block["make"]():
        tracer.start_span("within").end()
    tracer.start_span("after").end()
    assert [(ended["name"], ended["parent"]) for ended in seen.spans] == [
        ("within", block["name"]),
        (block["name"], None),
        ("after", None),
    ]


@every
def test_a_block_serves_more_than_once(seen, block):
    """One block, entered twice, is two spans of their own."""
    again = block["make"]()
    with again as entered:
        block["use"](entered)
    with again:
        pass
    first, second = seen.spans
    assert first["attributes"] == block["attributes"]
    assert second["attributes"].keys() <= first["attributes"].keys()
    assert not second["attributes"].keys() & {"gen_ai.response.id", "gen_ai.usage.input_tokens"}


@every
def test_setting_outside_of_the_block_does_no_harm(seen, block):
    """Before it is entered, after it was left, and while suppressed, a block takes all and tells nothing."""
    entered = block["make"]()
    block["use"](entered)
    with entered:
        pass
    block["use"](entered)
    with otel_genai.suppress(), block["make"]() as quiet:
        block["use"](quiet)
    assert len(seen.spans) == 1


def test_blocks_before_instrument_do_no_harm():
    """Without any set-up the blocks run, and settings come from the environment."""
    code = """
import otel_genai
with otel_genai.workflow("w"), otel_genai.inference("m", provider="p", input="x") as call:
    call.answer("y")
    call.usage(input_tokens=1)

@otel_genai.tool()
def search(query):
    return query

print(search("found"))
"""
    environment = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true", "_OTEL_GENAI_STRICT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert (done.stdout, done.stderr) == ("found\n", "")


# --- Decorators ------------------------------------------------------------------------------------------


def plain(query, *, limit: int = 3):
    """Search."""
    return [query] * limit


async def coroutine(query, *, limit: int = 3):
    """Search."""
    await asyncio.sleep(0)
    return [query] * limit


def generator(query, *, limit: int = 3):
    """Search."""
    got = yield query
    while got:
        try:
            got = yield got
        except RefusedError as error:  # noqa: PERF203 (what it is for)
            got = yield str(error)
    return limit


async def async_generator(query, *, limit: int = 3):
    """Search."""
    got = yield query
    while got:
        await asyncio.sleep(0)
        try:
            got = yield got
        except RefusedError as error:
            got = yield str(error)


COLOURS = {
    plain: inspect.isfunction,
    coroutine: inspect.iscoroutinefunction,
    generator: inspect.isgeneratorfunction,
    async_generator: inspect.isasyncgenfunction,
}


async def run(function, *args, **kwargs):
    """Run a function of any colour to its end."""
    result = function(*args, **kwargs)
    if inspect.isawaitable(result):
        return await result
    if inspect.isgenerator(result):
        return list(result)
    return [item async for item in result] if inspect.isasyncgen(result) else result


@every
@pytest.mark.parametrize("function", COLOURS, ids=lambda function: function.__name__)
async def test_a_decorated_function_is_a_span_per_call(seen, block, function):
    """Functions of every colour give one span for each call, none for being decorated."""
    decorated = block["make"]()(function)
    assert seen.spans == []
    for _ in range(2):
        await run(decorated, "x")
    assert [ended["name"] for ended in seen.spans] == [block["name"]] * 2
    assert {ended["status"] for ended in seen.spans} == {"UNSET"}


@pytest.mark.parametrize("function", COLOURS, ids=lambda function: function.__name__)
def test_a_decorated_function_looks_as_before(function):
    """Colour, name, documentation, signature and the original itself are kept."""
    decorated = otel_genai.tool()(function)
    assert [is_it(decorated) for is_it in COLOURS.values()] == [is_it(function) for is_it in COLOURS.values()]
    assert decorated.__name__ == function.__name__
    assert decorated.__doc__ == "Search."
    assert inspect.signature(decorated) == inspect.signature(function)
    assert decorated.__wrapped__ is function


@pytest.mark.parametrize("function", COLOURS, ids=lambda function: function.__name__)
async def test_a_decorated_function_returns_what_it_returned(seen, function):
    """Arguments and results pass through."""
    decorated = otel_genai.tool()(function)
    assert await run(decorated, "x", limit=2) == await run(function, "x", limit=2)


def test_a_decorated_generator_passes_everything_through(seen):
    """`send`, `throw` and the returned value reach the body and come back."""
    running = otel_genai.tool()(generator)("first", limit=9)
    assert next(running) == "first"
    assert running.send("second") == "second"
    assert running.throw(RefusedError("third")) == "third"
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == 9
    assert seen.spans[0]["status"] == "UNSET"


async def test_a_decorated_async_generator_passes_everything_through(seen):
    """`asend` and `athrow` reach the body and come back."""
    running = otel_genai.tool()(async_generator)("first")
    assert await anext(running) == "first"
    assert await running.asend("second") == "second"
    assert await running.athrow(RefusedError("third")) == "third"
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    assert seen.spans[0]["status"] == "UNSET"


async def test_a_decorated_function_that_raises_is_an_error(seen):
    """In every colour, and the exception is the function's own."""

    def fail():
        raise RefusedError

    async def fail_async():
        fail()

    def fail_generator():
        yield 1
        fail()

    async def fail_async_generator():
        yield 1
        fail()

    for function in (fail, fail_async, fail_generator, fail_async_generator):
        with pytest.raises(RefusedError):
            await run(otel_genai.tool()(function))
    assert [(ended["name"], ended["status"]) for ended in seen.spans] == [
        ("execute_tool fail", "ERROR"),
        ("execute_tool fail_async", "ERROR"),
        ("execute_tool fail_generator", "ERROR"),
        ("execute_tool fail_async_generator", "ERROR"),
    ]


def closed(running):
    """Close it."""
    running.close()


def dropped(running):
    """Leave it to whoever holds it last."""


@pytest.mark.parametrize("end", [closed, dropped])
def test_a_decorated_generator_given_up_ends_its_span(seen, end):
    """The body is closed, its `finally` runs within the span, and it is no error."""
    within = []

    @otel_genai.tool()
    def count():
        try:
            yield from itertools.count()
        finally:
            within.append(trace.get_current_span().name)

    running = count()
    assert next(running) == 0
    end(running)
    del running
    assert within == ["execute_tool count"]
    assert [ended["status"] for ended in seen.spans] == ["UNSET"]


async def test_a_decorated_async_generator_given_up_ends_its_span(seen):
    """The body is closed, its `finally` runs within the span, and it is no error."""
    within = []

    @otel_genai.tool()
    async def count():
        try:
            for number in itertools.count():
                yield number
        finally:
            await asyncio.sleep(0)
            within.append(trace.get_current_span().name)

    async with contextlib.aclosing(count()) as running:
        assert await anext(running) == 0
    assert within == ["execute_tool count"]
    assert [ended["status"] for ended in seen.spans] == ["UNSET"]


def test_a_decorated_generator_closes_as_before(seen):
    """What the body returns on being closed is what closing returns, where Python knows that."""

    def stubborn():
        try:
            yield 1
        except GeneratorExit:
            return 2

    def close(function):
        running = function()
        next(running)
        return running.close()

    assert close(otel_genai.tool()(stubborn)) == close(stubborn)


def test_a_decorated_generator_that_will_not_close_complains_as_before(seen):
    """A body that yields on being closed is Python's own RuntimeError."""

    @otel_genai.tool()
    def stubborn():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    running = stubborn()
    next(running)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        running.close()


def test_a_decorated_generator_that_nobody_reads_is_no_span(seen):
    """A generator that was never started has done nothing."""
    otel_genai.tool()(generator)("x").close()
    assert seen.spans == []


@pytest.mark.parametrize("function", [generator, async_generator], ids=lambda function: function.__name__)
async def test_a_decorated_generator_is_current_in_its_body_alone(seen, function):
    """The caller is not inside the span while it has an item in its hands, the body is."""
    inside, outside = [], []

    @otel_genai.workflow("answer")
    async def arun():
        inside.append(trace.get_current_span().name)
        yield 1
        inside.append(trace.get_current_span().name)

    @otel_genai.workflow("answer")
    def run():
        inside.append(trace.get_current_span().name)
        yield 1
        inside.append(trace.get_current_span().name)

    if function is generator:
        outside.extend(trace.get_current_span() for _ in run())
    else:
        outside.extend([trace.get_current_span() async for _ in arun()])
    assert inside == ["invoke_workflow answer"] * 2
    assert outside == [trace.INVALID_SPAN]


def test_a_decorated_generator_starts_where_it_is_first_read(seen):
    """Its parent is what surrounds the first step, in whatever thread the later ones run."""
    tracer = seen.tracer_provider.get_tracer("test")
    running = otel_genai.workflow("answer")(generator)("x")
    with tracer.start_as_current_span("reader"):
        next(running)
    thread = threading.Thread(target=lambda: list(running))
    thread.start()
    thread.join()
    assert [(ended["name"], ended["parent"]) for ended in seen.spans] == [
        ("reader", None),
        ("invoke_workflow answer", "reader"),
    ]


def test_a_tool_takes_name_arguments_and_result_of_its_function(told):
    """As a decorator it needs to be told nothing."""
    otel_genai.tool()(plain)("x", limit=1)
    assert told.spans[0]["name"] == "execute_tool plain"
    assert told.spans[0]["attributes"] == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "plain",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.arguments": '{"query": "x", "limit": 1}',
        "gen_ai.tool.call.result": '["x"]',
    }


def test_a_tool_s_own_words_win_over_those_of_its_function(told):
    """What is given is kept."""
    otel_genai.tool("search", arguments={"query": "y"})(plain)("x")
    assert told.spans[0]["name"] == "execute_tool search"
    assert told.spans[0]["attributes"]["gen_ai.tool.call.arguments"] == '{"query": "y"}'


class Shop:
    """Has tools as methods."""

    @otel_genai.tool()
    def price(self, item):
        """Say the price."""
        return len(item)

    @classmethod
    @otel_genai.tool()
    def name(cls, word):
        """Say the name."""
        return word


def test_a_method_s_arguments_are_those_of_the_model(told):
    """The object that a method belongs to is no argument of the tool's."""
    assert Shop().price("bread") == 5
    assert Shop.name("corner") == "corner"
    assert [ended["attributes"]["gen_ai.tool.call.arguments"] for ended in told.spans] == [
        '{"item": "bread"}',
        '{"word": "corner"}',
    ]


def test_wrong_arguments_raise_the_function_s_own_error(told):
    """A call that does not fit says so in the function's words, and is the tool's error."""
    with pytest.raises(TypeError, match=r"plain\(\) missing 1 required positional argument: 'query'"):
        otel_genai.tool()(plain)()
    with pytest.raises(TypeError, match=r"plain\(\) got an unexpected keyword argument 'size'"):
        otel_genai.tool()(plain)("x", size=3)
    assert [ended["status"] for ended in told.spans] == ["ERROR", "ERROR"]


class Callable:
    """Can be called."""

    def __call__(self, query):
        """Search."""
        return query


@pytest.mark.parametrize(
    ("function", "name"),
    [(functools.partial(plain, limit=1), "plain"), (Callable(), "Callable"), (max, "max"), (dict, "dict")],
)
def test_whatever_can_be_called_can_be_a_tool(told, function, name):
    """Partials, objects, built-ins and classes have a name too, and run."""
    assert otel_genai.tool()(function)(["xy"]) == function(["xy"])
    assert told.spans[0]["name"] == f"execute_tool {name}"


def test_one_decorated_function_runs_in_many_threads(told):
    """Calls at the same time are spans of their own, each with its own arguments and result."""
    start = threading.Barrier(8)

    @otel_genai.tool()
    def search(query):
        start.wait()
        return query

    threads = [threading.Thread(target=search, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told_apart = {
        ended["attributes"]["gen_ai.tool.call.arguments"]: ended["attributes"]["gen_ai.tool.call.result"]
        for ended in told.spans
    }
    assert told_apart == {f'{{"query": "{number}"}}': str(number) for number in range(8)}


async def test_one_decorated_function_runs_in_many_tasks(told):
    """Calls that take turns are spans of their own, none within another."""
    arrived = []
    everybody = asyncio.Event()

    @otel_genai.tool()
    async def search(query):
        arrived.append(query)
        if len(arrived) == 8:
            everybody.set()
        await everybody.wait()
        return query

    assert await asyncio.gather(*map(search, map(str, range(8)))) == [str(number) for number in range(8)]
    assert {ended["parent"] for ended in told.spans} == {None}
    assert {ended["attributes"]["gen_ai.tool.call.result"] for ended in told.spans} == set("01234567")


def test_one_decorated_function_calls_itself(seen):
    """Recursion is a span within a span."""

    @otel_genai.tool()
    def count(number):
        return number and count(number - 1)

    count(2)
    assert [ended["parent"] for ended in seen.spans] == ["execute_tool count", "execute_tool count", None]


CIRCLE = []
CIRCLE.append(CIRCLE)
RESULTS = [
    ("found", "found"),
    (5, "5"),
    (0, "0"),
    (False, "false"),
    ("", ""),
    ([], "[]"),
    ({}, "{}"),
    (None, None),
    ({"at": RefusedError("x")}, '{"at": "x"}'),
    ({("a", 1): {2}}, """{"('a', 1)": "{2}"}"""),
    (CIRCLE, '"[[...]]"'),
    ({"text": "caf\u00e9 \ud83d"}, '{"text": "caf\u00e9 ?"}'),
]


@pytest.mark.parametrize(("result", "written"), RESULTS)
def test_a_tool_s_result_may_be_anything(told, result, written):
    """Nothing found is a result; what JSON does not know is text; what cannot be sent is replaced."""
    with otel_genai.tool("search") as run:
        run.result(result)
    assert told.spans[0]["attributes"].get("gen_ai.tool.call.result") == written
