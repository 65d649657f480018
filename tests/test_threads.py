"""Whose call it was, in tasks, threads and pools: the work is its submitter's, wherever it is done."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from opentelemetry import context as otel
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

import garbage
import otel_genai
import toy
from otel_genai import _threads, testing
from otel_genai._processor import ContextProcessor
from toy import Client

ORIGINAL = vars(ThreadPoolExecutor)["submit"]


@pytest.fixture
def seen():
    """Instrument the toy, with the processor for the spans of others."""
    with testing.capture(toy.PROVIDER) as seen:
        seen.tracer_provider.add_span_processor(ContextProcessor())
        yield seen


@pytest.fixture
def pools():
    """Have thread pools carry the context."""
    _threads.install()
    yield
    _threads.remove()
    assert vars(ThreadPoolExecutor)["submit"] is ORIGINAL


def call(name="call"):
    """Make a patched call and one by hand."""
    Client().chat(model=name)
    with otel_genai.tool(name):
        pass


def theirs(seen, name="theirs"):
    """Make a span that is not ours."""
    seen.tracer_provider.get_tracer("theirs").start_span(name).end()


def users(seen):
    """Give the user of each span, by its name."""
    return [(ended["name"].split()[-1], ended["attributes"].get("user.id")) for ended in seen.spans]


async def test_tasks_have_their_own(seen):
    """Fifty requests at once, each with its user, and nothing mixed up."""

    async def step(name):
        await asyncio.sleep(0)
        call(name)
        theirs(seen, name)

    async def request(number):
        async with otel_genai.context(user=f"u-{number}"):
            await asyncio.gather(step(f"u-{number}"), asyncio.create_task(step(f"u-{number}")))
        call("after")

    await asyncio.gather(*map(request, range(50)))
    assert dict(users(seen)) == {
        **{f"u-{number}": f"u-{number}" for number in range(50)},
        "after": None,
    }
    assert all(user == name or (name, user) == ("after", None) for name, user in users(seen))


async def test_a_thread_of_asyncio_s_has_it(seen, pools):
    """`to_thread` with and without us; `run_in_executor`, which carries nothing by itself, with us."""
    loop = asyncio.get_running_loop()
    with otel_genai.context(user="u-7"):
        await asyncio.to_thread(call, "to_thread")
        await loop.run_in_executor(None, call, "executor")
        _threads.remove()
        await asyncio.to_thread(call, "to_thread")
        await loop.run_in_executor(None, call, "bare")
    await asyncio.to_thread(call, "after")
    assert dict(users(seen)) == {"to_thread": "u-7", "executor": "u-7", "bare": None, "after": None}


def test_a_pool_s_work_is_its_submitter_s(seen, pools):
    """Also when the same thread serves many, and for `map`; spans are children of what submitted them."""
    with ThreadPoolExecutor(1) as pool:
        for user in ("u-1", "u-2"):
            with otel_genai.context(user=user), otel_genai.workflow(user):
                pool.submit(call, user).result()
                list(pool.map(call, [user]))
        pool.submit(call, "after").result()
    assert all(user == (None if name == "after" else name) for name, user in users(seen))
    assert {ended["parent"] for ended in seen.spans if ended["name"].startswith("chat u")} == {
        "invoke_workflow u-1",
        "invoke_workflow u-2",
    }
    assert len(seen.spans) == 12


def test_work_outlives_the_block_that_submitted_it(seen, pools):
    """Whose work it is was settled when it was submitted, however late it runs."""
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with otel_genai.context(user="u-7"), otel_genai.suppress():
            quiet = pool.submit(lambda: go.wait() and call("quiet"))
        with otel_genai.context(user="u-7"):
            late = pool.submit(call, "late")
        go.set()
        wait([quiet, late])
        assert quiet.exception() is late.exception() is None
    assert users(seen) == [("late", "u-7")] * 2


def test_work_that_a_generator_submits_is_the_generator_s(seen, pools):
    """Its block holds in its body alone, and the body's work is part of it."""

    def items(pool):
        with otel_genai.context(user="u-7"):
            yield pool.submit(call, "body").result()

    with ThreadPoolExecutor(1) as pool:
        for _ in items(pool):
            pool.submit(call, "caller").result()
    assert users(seen) == [("body", "u-7")] * 2 + [("caller", None)] * 2


async def test_asyncio_s_threads_work_for_the_generator_that_asks(seen, pools):
    """`to_thread` brings a context of its own, in which the generator's block holds for the worker, too."""

    async def items():
        with otel_genai.context(user="u-7"):
            await asyncio.to_thread(call, "body")
            yield 1
            await asyncio.to_thread(call, "body")

    async for _ in items():
        await asyncio.to_thread(call, "caller")
    assert users(seen) == [("body", "u-7")] * 2 + [("caller", None)] * 2 + [("body", "u-7")] * 2


def test_pools_within_pools(seen, pools):
    """The context goes on to whatever the work submits."""
    with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as inner, otel_genai.context(user="u-7"):
        outer.submit(lambda: inner.submit(call, "inner").result()).result()
    assert dict(users(seen)) == {"inner": "u-7"}


def test_a_pool_works_as_before(pools):
    """Results, exceptions, keywords, misuse, and the worker's own context between two pieces of work."""
    with ThreadPoolExecutor(1) as pool, otel_genai.context(user="u-7"):
        assert pool.submit(dict, a=1).result() == {"a": 1}
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        with pytest.raises(TypeError):
            pool.submit()
        assert pool.submit(otel.get_current).result() != {}
        assert pool.submit(contextvars.copy_context).result()
        _threads.remove()
        assert pool.submit(otel.get_current).result() == {}
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(print)
    assert inspect.signature(ThreadPoolExecutor.submit) == inspect.signature(ORIGINAL)


def test_a_pool_keeps_nothing_of_what_is_done(pools):
    """Neither the work nor its context stays alive in a worker that waits."""

    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    with ThreadPoolExecutor(1) as pool:
        with otel_genai.context(user="u-7"):
            pool.submit(id, thing).result()
        del thing
        pool.submit(int).result()
        garbage.collect()
        assert gone() is None


def test_a_failure_of_ours_submits_all_the_same(pools, monkeypatch):
    """The work runs, without the context."""
    told = []
    monkeypatch.setattr(_threads, "_carrying", lambda _: 1 / 0)
    monkeypatch.setattr(_threads, "active", lambda: types.SimpleNamespace(failed=lambda *a: told.append(a)))
    with ThreadPoolExecutor(1) as pool, otel_genai.context(user="u-7"):
        assert pool.submit(int, "3").result() == 3
    assert [args[:2] for args in told] == [("threads", "submit")]


def test_pools_are_patched_once(pools):
    """However often it is asked for, one removal takes it all away."""
    ours = vars(ThreadPoolExecutor)["submit"]
    _threads.install()
    assert vars(ThreadPoolExecutor)["submit"] is ours


def test_somebody_else_s_patch_over_ours_stays():
    """Ours falls silent under it."""
    _threads.install()
    ours = vars(ThreadPoolExecutor)["submit"]

    def submit(self, *args, **kwargs):
        return ours.__get__(self)(*args, **kwargs)

    ThreadPoolExecutor.submit = submit
    try:
        _threads.remove()
        assert vars(ThreadPoolExecutor)["submit"] is submit
        with ThreadPoolExecutor(1) as pool, otel_genai.context(user="u-7"):
            assert pool.submit(otel.get_current).result() == {}
    finally:
        ThreadPoolExecutor.submit = ORIGINAL


def test_another_instrumentation_for_threads_is_enough():
    """Where OpenTelemetry's own is at work, ours is not."""

    class ThreadingInstrumentor(BaseInstrumentor):
        __module__ = "opentelemetry.instrumentation.threading"

        def instrumentation_dependencies(self):
            return ()

        def _instrument(self, **_):
            pass

        def _uninstrument(self, **_):
            pass

    ThreadingInstrumentor().instrument()
    try:
        _threads.install()
        assert vars(ThreadPoolExecutor)["submit"] is ORIGINAL
    finally:
        ThreadingInstrumentor().uninstrument()
    _threads.install()
    assert vars(ThreadPoolExecutor)["submit"] is not ORIGINAL
    _threads.remove()
    del ThreadingInstrumentor
    garbage.collect()
