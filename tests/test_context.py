"""`context()` and `suppress()`: on every span within, and nothing left behind in anybody else."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading

import pytest
from opentelemetry import context as otel
from opentelemetry import trace

import garbage
import otel_genai
import toy
from otel_genai import _context, testing
from toy import Client

BLOCKS = [otel_genai.context, otel_genai.suppress]


@pytest.fixture
def seen():
    """Instrument the toy."""
    with testing.capture(toy.PROVIDER) as seen:
        yield seen


@pytest.fixture(autouse=True)
def _in_order(caplog):
    """Let no test end with a complaint, or with a context that was not there before."""
    before = otel.get_current()
    yield
    assert otel.get_current() is before
    assert caplog.records == []


def call(name="call"):
    """Make a patched call and one by hand."""
    Client().chat(model=name)
    with otel_genai.tool(name):
        pass


def conversations(seen, *names):
    """Give each span's conversation, by the name of its call: None where there is none."""
    found = {}
    for ended in seen.spans:
        conversation = ended["attributes"].get("gen_ai.conversation.id")
        name = ended["name"].split()[-1]
        if name in names or not names:
            assert found.setdefault(name, conversation) == conversation
    return found


def chat(name):
    """Be in a conversation."""
    return otel_genai.context(conversation_id=name)


# --- What it does ----------------------------------------------------------------------------------------


def test_attributes_are_on_every_span_within(seen):
    """Conversation and further attributes are on patched calls and those by hand, not on what comes after."""
    with otel_genai.context(conversation_id="c-1", **{"app.tenant": "acme", "app.nothing": None}):
        call("within")
    call("after")
    attributes = [
        {key: value for key, value in ended["attributes"].items() if key.startswith(("app", "gen_ai.conv"))}
        for ended in seen.spans
    ]
    assert attributes == [{"app.tenant": "acme", "gen_ai.conversation.id": "c-1"}] * 2 + [{}] * 2


def test_contexts_nest(seen):
    """The inner wins over the outer, adds to it, and is gone at its end."""
    with otel_genai.context(conversation_id="c-1", tenant="acme", user="ann"):
        with otel_genai.context(conversation_id="c-2", user="bob", round=2):
            call("inner")
        call("outer")
    inner, _, outer, _ = (ended["attributes"] for ended in seen.spans)
    assert (
        inner.items()
        >= {"gen_ai.conversation.id": "c-2", "tenant": "acme", "user.id": "bob", "round": 2}.items()
    )
    assert outer.items() >= {"gen_ai.conversation.id": "c-1", "tenant": "acme", "user.id": "ann"}.items()
    assert "round" not in outer


def test_a_call_s_own_attributes_win(seen):
    """What surrounds a call does not overwrite what it is."""
    with otel_genai.context(**{"gen_ai.request.model": "other", "gen_ai.tool.name": "other"}):
        call("mine")
    assert [ended["name"] for ended in seen.spans] == ["chat mine", "execute_tool mine"]
    assert seen.spans[0]["attributes"]["gen_ai.request.model"] == "mine"


def test_contexts_reach_through_spans_of_ours(seen):
    """A workflow's conversation is its calls' conversation, to any depth."""
    with chat("c-1"), otel_genai.workflow("w"), otel_genai.agent("a"), otel_genai.tool("t"):
        call("call")
    assert set(conversations(seen).values()) == {"c-1"}


def test_suppression_is_not_lifted_within(seen):
    """Nothing inside brings the spans back."""
    with otel_genai.suppress(), chat("c-1"), otel_genai.workflow("w"):
        call()
    assert seen.spans == []


async def test_async_blocks_do_the_same(seen):
    """`async with` is the same block."""
    async with chat("c-1"):
        await asyncio.sleep(0)
        call("within")
        async with otel_genai.suppress():
            call("quiet")
    call("after")
    assert conversations(seen) == {"within": "c-1", "after": None}


async def test_tasks_keep_their_conversations_apart(seen):
    """Tasks that take turns are each in their own, and children in their parent's."""
    turn = asyncio.Barrier(3) if hasattr(asyncio, "Barrier") else None

    async def child(name):
        call(name)

    async def talk(name):
        async with chat(name):
            for _ in range(3):
                await (turn.wait() if turn else asyncio.sleep(0))
                call(name)
            await asyncio.create_task(child(f"{name}-child"))
        call(f"{name}-after")

    await asyncio.gather(*map(talk, "abc"))
    assert conversations(seen) == {
        **{name: name for name in "abc"},
        **{f"{name}-child": name for name in "abc"},
        **{f"{name}-after": None for name in "abc"},
    }


async def test_threads_started_with_the_context_are_in_it(seen):
    """`asyncio.to_thread` takes the context along."""
    with chat("c-1"):
        await asyncio.to_thread(call, "thread")
    assert conversations(seen) == {"thread": "c-1"}


# --- Decorators ------------------------------------------------------------------------------------------


def function(name):
    """Make a call."""
    call(name)


async def coroutine(name):
    """Make a call, now and later."""
    call(name)
    await asyncio.create_task(later(name))


async def later(name):
    """Make a call."""
    call(name)


def generator(name):
    """Make a call with every item."""
    call(name)
    yield 1
    call(name)
    yield 2


async def async_generator(name):
    """Make a call with every item."""
    call(name)
    yield 1
    await asyncio.create_task(later(name))
    yield 2


FUNCTIONS = [function, coroutine, generator, async_generator]


async def run(decorated, name):
    """Run it to its end, and make a call of one's own with every item."""
    result = decorated(name)
    if inspect.isawaitable(result):
        await result
    elif inspect.isgenerator(result):
        for _ in result:
            call("caller")
    elif inspect.isasyncgen(result):
        async for _ in result:
            call("caller")
    call("caller")


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
async def test_a_decorated_function_runs_in_the_context(seen, function):
    """Functions of every colour are in it, with all they start; their callers are not."""
    await run(chat("c-1")(function), "callee")
    assert conversations(seen) == {"callee": "c-1", "caller": None}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
async def test_a_decorated_function_runs_in_silence(seen, function):
    """Suppression holds in it, with all it starts; its callers are seen."""
    await run(otel_genai.suppress()(function), "callee")
    assert conversations(seen) == {"caller": None}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_decorated_function_looks_as_before(block, function):
    """Colour, name and signature are kept."""
    decorated = block()(function)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    assert [kind(decorated) for kind in kinds] == [kind(function) for kind in kinds]
    assert (decorated.__name__, decorated.__doc__) == (function.__name__, function.__doc__)
    assert inspect.signature(decorated) == inspect.signature(function)


# --- Generators that enter a block -----------------------------------------------------------------------


@contextlib.contextmanager
def helper():
    """Make a conversation of one's own."""
    with chat("c-1"):
        yield


@contextlib.contextmanager
def helper_of_helper():
    """Make it by way of another."""
    with helper():
        yield


@contextlib.asynccontextmanager
async def async_helper():
    """Make a conversation of one's own, where it takes waiting."""
    async with chat("c-1"):
        await asyncio.sleep(0)
        yield


@contextlib.contextmanager
def stacked():
    """Enter it by way of a stack."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(chat("c-1"))
        yield


HELPERS = [lambda: chat("c-1"), helper, helper_of_helper, stacked]
by_helpers = pytest.mark.parametrize("make", HELPERS, ids=["context", "helper", "helper of helper", "stack"])


def items(make):
    """Be in a conversation while giving items."""
    with make():
        call("body")
        yield 1
        call("body")
        yield 2
        call("body")


def stacked_items(make):
    """Be in a conversation that a stack holds while giving items."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(make())
        call("body")
        yield 1
        call("body")


async def async_items(make):
    """Be in a conversation while giving items."""
    with make():
        call("body")
        yield 1
        await asyncio.sleep(0)
        call("body")
        yield 2
        call("body")


APART = {"body": "c-1", "caller": None}


@by_helpers
@pytest.mark.parametrize("items", [items, stacked_items])
def test_a_generator_leaves_nothing_in_its_caller(seen, make, items):
    """Between two items and after the last the caller is not in the conversation, the body always is."""
    for _ in items(make):
        call("caller")
    call("caller")
    assert conversations(seen) == APART


@by_helpers
async def test_an_async_generator_leaves_nothing_in_its_caller(seen, make):
    """Between two items and after the last the caller is not in the conversation, the body always is."""
    async for _ in async_items(make):
        call("caller")
    call("caller")
    assert conversations(seen) == APART


@pytest.mark.parametrize("end", ["close", "drop", "throw"])
def test_a_generator_given_up_leaves_nothing_in_its_caller(seen, end):
    """Closed, dropped or killed in the middle, it takes its context along."""
    running = items(HELPERS[0])
    next(running)
    call("caller")
    if end == "close":
        running.close()
    elif end == "throw":
        with pytest.raises(ZeroDivisionError):
            running.throw(ZeroDivisionError)
    del running
    garbage.collect()
    call("caller")
    assert conversations(seen) == APART


async def test_an_async_generator_given_up_leaves_nothing_in_its_caller(seen):
    """Closed in the middle, it takes its context along."""
    async with contextlib.aclosing(async_items(HELPERS[0])) as running:
        await anext(running)
        call("caller")
    call("caller")
    assert conversations(seen) == APART


async def test_an_async_generator_dropped_leaves_nothing_in_its_caller(seen):
    """Broken out of and left to the event loop, it takes its context along."""

    async def consumer():
        async for _ in async_items(HELPERS[0]):
            call("caller")
            break
        garbage.collect()
        await asyncio.sleep(0)
        call("caller")

    await asyncio.create_task(consumer())
    assert conversations(seen) == APART


def test_generators_that_take_turns_keep_their_conversations_apart(seen):
    """Two of them over one another, ended in either order, each in its own."""

    def talk(name):
        with chat(name):
            for _ in range(3):
                call(name)
                yield

    def drive():
        for first, second in ("ab", "ba"):
            one, other = talk(first), talk(second)
            for _ in zip(one, other, strict=True):
                call("caller")

    contextvars.copy_context().run(drive)
    assert conversations(seen) == {"a": "a", "b": "b", "caller": None}


def test_a_generator_finished_in_another_thread_harms_nobody(seen):
    """The thread that ends it is left as it was, and so is the one that began it."""
    running = items(HELPERS[0])

    def begin():
        next(running)
        call("caller")

    def finish():
        before = otel.get_current()
        for _ in running:
            call("caller")
        call("caller")
        assert otel.get_current() is before

    contextvars.copy_context().run(begin)
    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert conversations(seen, "caller") == {"caller": None}


async def test_an_async_generator_finished_in_another_task_harms_nobody(seen):
    """Each task steps it once, as a server's framework does, and none is left in the conversation."""
    running = async_items(HELPERS[0])

    async def step():
        before = otel.get_current()
        await anext(running, None)
        call("caller")
        return before

    for _ in range(3):
        await asyncio.create_task(step())
    call("caller")
    assert conversations(seen, "caller") == {"caller": None}


@pytest.mark.parametrize("decorated", [True, False])
def test_a_generator_finished_in_another_context_harms_nobody(seen, decorated):
    """Every step in a `contextvars.Context` of its own, as in Starlette's thread pool."""
    running = chat("c-1")(generator)("body") if decorated else items(HELPERS[0])
    for _ in range(3):
        here = contextvars.copy_context()
        here.run(next, running, None)
        here.run(call, "caller")
    call("caller")
    assert conversations(seen, "caller") == {"caller": None}
    if decorated:
        assert conversations(seen) == APART


def test_spans_of_the_caller_may_overlap_with_a_generator(seen):
    """Spans that begin or end between two items keep their parents, in the caller and in the body."""
    tracer = seen.tracer_provider.get_tracer("test")

    def drive():
        running = items(HELPERS[0])
        with tracer.start_as_current_span("first"):
            next(running)
            tracer.start_span("in first").end()
        assert trace.get_current_span() is trace.INVALID_SPAN
        with tracer.start_as_current_span("second"):
            list(running)
            tracer.start_span("in second").end()
        assert trace.get_current_span() is trace.INVALID_SPAN
        tracer.start_span("after").end()

    contextvars.copy_context().run(drive)
    parents = {ended["name"]: ended["parent"] for ended in seen.spans if "body" not in ended["name"]}
    assert parents == {
        "in first": "first",
        "in second": "second",
        "first": None,
        "second": None,
        "after": None,
    }


def test_generators_that_never_end_in_order_leave_no_chain(seen):
    """However many contexts go stale in a caller, none of them is kept by the next."""

    def drive():
        for _ in range(50):
            one, other = items(HELPERS[0]), items(HELPERS[0])
            next(one)
            next(other)
            one.close()
            other.close()
        scope = otel.get_value(_context.KEY)
        depth = 0
        while scope is not None:
            scope, depth = scope.below, depth + 1
        assert depth <= 2
        call("caller")

    contextvars.copy_context().run(drive)
    assert conversations(seen) == APART


def test_a_span_begun_between_two_items_outlives_the_generator(seen):
    """The caller's span stays current when the generator ends under it."""
    tracer = seen.tracer_provider.get_tracer("test")

    def drive():
        running = items(HELPERS[0])
        next(running)
        with tracer.start_as_current_span("theirs"):
            list(running)
            assert trace.get_current_span().name == "theirs"
        assert trace.get_current_span() is trace.INVALID_SPAN
        call("caller")

    contextvars.copy_context().run(drive)
    assert conversations(seen, "caller") == {"caller": None}


@by_helpers
def test_the_body_of_a_helper_s_block_is_in_the_context(seen, make):
    """Helpers made with `contextlib` are blocks: what is inside them is inside."""
    with make():
        call("body")
    call("caller")
    assert conversations(seen) == APART


async def test_the_body_of_an_async_helper_s_block_is_in_the_context(seen):
    """Also where it takes waiting, with the tasks started in it."""
    async with async_helper():
        call("body")
        await asyncio.create_task(later("body"))
    call("caller")
    assert conversations(seen) == APART


async def test_an_async_helper_in_an_async_generator_leaves_nothing(seen):
    """A block by way of a helper holds while the generator that uses it runs."""

    async def items():
        async with async_helper():
            call("body")
            yield 1
            call("body")

    async for _ in items():
        call("caller")
    call("caller")
    assert conversations(seen) == APART


def test_a_decorated_helper_is_a_block(seen):
    """`@contextmanager` over a generator in a conversation: its own code is in it, its user's is not."""

    @contextlib.contextmanager
    @chat("c-1")
    def set_up():
        call("body")
        yield
        call("body")

    with set_up():
        call("caller")
    assert conversations(seen) == APART


def test_a_generator_in_silence_does_not_silence_its_caller(seen):
    """`suppress()` in a generator holds in its body alone."""

    def quiet():
        with otel_genai.suppress():
            call("body")
            yield 1
            call("body")

    for _ in quiet():
        call("caller")
    call("caller")
    assert conversations(seen) == {"caller": None}


def test_a_generator_that_starts_other_generators_keeps_them_in(seen):
    """What a body reads while it runs is inside."""

    def inner():
        call("inner")
        yield 1
        call("inner")

    def outer():
        with chat("c-1"):
            yield from inner()
            for _ in inner():
                call("body")

    for _ in outer():
        call("caller")
    assert conversations(seen) == {**APART, "inner": "c-1"}
