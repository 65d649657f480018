"""LangChain and LangGraph with us and without: the same, whatever fails; and nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import sys
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="needs LangGraph: pip install 'otel-genai[frameworks]'")
pytest.importorskip(
    "langchain_openai", reason="needs it to ask a model: pip install 'otel-genai[frameworks]'"
)

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from langchain_core.tracers import context as tracing

import chains
import otel_genai
from chains import ANSWER, MODEL, QUESTION, STREAMS, WAYS
from garbage import collect
from otel_genai import _answers, _patching, _runs
from otel_genai import semconv as s
from otel_genai.providers import langchain
from otel_genai.testing import capture
from sdks.kit import Reply, Wire

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # clients keep their connections
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of LangChain's own
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # of streams that are left
]
ASKED = {"messages": [("user", QUESTION)]}
BOTH = ("langchain", "openai")
REFUSAL = Reply(b'{"error": {"message": "artichoke", "type": "server_error"}}', status=500)


@pytest.fixture(autouse=True, scope="module")
def _swept():
    """Collect the connections of clients that nobody closes while their warnings are still ignored."""
    yield
    collect()


class Recorder(BaseCallbackHandler):
    """A callback of the program's own."""

    def __init__(self) -> None:
        """Start."""
        self.told: list[str] = []


def _telling(name: str) -> Any:
    return lambda self, *_, **__: self.told.append(name)


for _name in langchain.CALLBACKS:
    setattr(Recorder, _name, _telling(_name))


def run(way: str, make: Any, given: Any, replies: Any) -> dict[str, Any]:
    """Run a program; give what it got or raised, what the server was asked, what its callback was told."""
    wire, recorder = Wire(replies, frozenset({"x-stainless-read-timeout"})), Recorder()
    config = {"callbacks": [recorder], "configurable": {"thread_id": "t-7"}}
    with wire.serving():
        try:
            result = str(WAYS[way](make(chains.model(wire.url)), given, config))
        except Exception as error:  # noqa: BLE001 (it is compared)
            result = repr(error)
    asked = [(one["path"], one["body"]) for one in wire.requests]
    return {"result": _without_ids(result), "asked": asked, "told": recorder.told}


def _without_ids(text: str) -> str:
    return chains.IDS.sub("id", text)


PROGRAMS = {
    "chain": (chains.chain, {"question": QUESTION}, lambda stream: [chains.said(stream=stream)]),
    "agent": (chains.agent, ASKED, lambda _: [chains.calls("weather", city="Rome"), chains.said()]),
    "refused": (chains.chain, {"question": QUESTION}, lambda _: [REFUSAL]),
}
ALL = pytest.mark.parametrize("program", PROGRAMS)
WHOLE = pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])


@functools.cache
def _bare(program: str, way: str) -> dict[str, Any]:
    make, given, replies = PROGRAMS[program]
    return run(way, make, given, replies(way in STREAMS))


@ALL
@WHOLE
def test_a_program_is_the_same(program, way):
    """The same result or exception, the same requests, the same told to callbacks of the program's own."""
    bare = _bare(program, way)
    make, given, replies = PROGRAMS[program]
    with capture(*BOTH, capture="SPAN_ONLY") as seen:
        ours = run(way, make, given, replies(way in STREAMS))
    assert ours == bare
    assert seen.spans


@pytest.mark.parametrize("name", langchain.CALLBACKS)
@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_a_callback_that_fails_is_ours_alone(name, way, monkeypatch):
    """Whatever of ours fails, the program gets what it would have got, and the failure is counted."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT")

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(langchain.CALLBACKS, name, broken)
    for program, (make, given, replies) in PROGRAMS.items():
        bare = _bare(program, way)
        with capture(*BOTH) as seen:
            ours = run(way, make, given, replies(way in STREAMS))
            was_told = name in ours["told"]
            counted = [point["value"] for point in seen.metrics.get(s.INTERNAL_ERRORS.name, ())]
        assert ours == bare
        # Before Python 3.11, LangChain's tasks forget the program's callbacks, but not ours.
        assert bool(counted) == was_told or sys.version_info < (3, 11)


@pytest.mark.parametrize("reader", ["inputs", "outputs", "arguments", "result", "messages", "conversation"])
def test_a_reader_that_fails_is_ours_alone(reader, monkeypatch):
    """What cannot be read is not told, and the rest is."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT")

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    module = langchain if reader == "conversation" else langchain.said
    monkeypatch.setattr(module, reader, broken)
    make, given, replies = PROGRAMS["agent"]
    bare = run("invoke", make, given, replies(False))
    with capture(*BOTH, capture="SPAN_ONLY") as seen:
        assert run("invoke", make, given, replies(False)) == bare
    assert seen.spans


def test_no_content_leaves_unasked():
    """Not a word of what is asked, found, called or answered is anywhere; with capture on, it is."""

    class Library(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return [Document(id="d-1", page_content=f"artichoke {query}", metadata={"score": 0.5})]

    def program() -> None:
        Library().invoke("marmalade")
        tool = StructuredTool.from_function(
            func=lambda city: f"artichoke {city}", name="look", description="Look"
        )
        messages = [chains.tool_call("look", city="marmalade"), "artichoke"]
        chains.agent(chains.fake(*messages), tool).invoke({"messages": [("user", "marmalade")]})
        chains.chain(chains.fake("artichoke")).invoke({"question": "marmalade"})
        with contextlib.suppress(RuntimeError):
            chains.graph({"step": chains.broken}).invoke({"question": "marmalade"})

    with capture("langchain") as seen:
        program()
    told = str([seen.spans, seen.metrics, seen.events])
    assert [canary for canary in ("marmalade", "artichoke") if canary in told] == []
    with capture("langchain", capture="SPAN_ONLY") as seen:
        program()
    [search] = [span["attributes"] for span in seen.spans if span["name"] == "retrieval"]
    assert search[s.RETRIEVAL_QUERY_TEXT] == "marmalade"
    assert search[s.RETRIEVAL_DOCUMENTS] == '[{"id": "d-1", "score": 0.5}]'
    [tool] = [span["attributes"] for span in seen.spans if span["name"] == "execute_tool look"]
    assert tool[s.TOOL_CALL_ARGUMENTS] == '{"city": "marmalade"}'
    assert tool[s.TOOL_CALL_RESULT] == "artichoke marmalade"
    [agent] = [span["attributes"] for span in seen.spans if span["name"] == "invoke_agent helper"]
    assert "marmalade" in agent[s.INPUT_MESSAGES]
    assert "artichoke" in agent[s.OUTPUT_MESSAGES]


def test_hooks_come_and_go():
    """However often, a run is told once; in the end LangChain is as it was, and runs on without us."""
    before = list(tracing._configure_hooks)
    runnable = chains.chain(chains.fake(*[ANSWER] * 4))
    for _ in range(2):
        with capture("langchain") as seen:
            otel_genai.instrument("langchain", tracer_provider=seen.tracer_provider)
            assert len(tracing._configure_hooks) == len(before) + 1
            runnable.invoke({"question": QUESTION})
            [status] = [one for one in otel_genai.providers() if one.name == "langchain"]
        assert (status.state, status.reason) == ("patched", "")
        assert [span["name"] for span in seen.spans] == ["chat", "invoke_workflow"]
        assert tracing._configure_hooks == before
        runnable.invoke({"question": QUESTION})
        assert len(seen.spans) == 2


def test_what_is_open_when_hooks_go_was_stopped():
    """A run that is under way is told, and ends without us."""
    with capture("langchain") as seen:
        stream = chains.chain(chains.fake(ANSWER)).stream({"question": QUESTION})
        first = next(stream)
    assert ANSWER.startswith(first)
    assert first + "".join(stream) == ANSWER
    assert {span["attributes"][s.OUTCOME] for span in seen.spans} == {"stopped"}


def _runs_of_langchain() -> _runs.Runs:
    [attached] = _patching._installed["langchain"].patches
    return attached.runs


@pytest.mark.parametrize("way", STREAMS)
@pytest.mark.parametrize("make", [chains.chain, chains.agent])
def test_a_stream_that_is_left_was_stopped(make, way):
    """Left after its first item: no error, and nothing of it stays."""
    fakes = [chains.tool_call("weather", city="Rome"), ANSWER] if make is chains.agent else [ANSWER]
    given = ASKED if make is chains.agent else {"question": QUESTION}

    async def leave() -> None:
        stream = make(chains.fake(*fakes)).astream(given)
        await anext(stream)
        await stream.aclose()

    with capture("langchain") as seen:
        if way == "astream":
            asyncio.run(leave())
        else:
            stream = make(chains.fake(*fakes)).stream(given)
            next(stream)
            stream.close()
        assert len(_runs_of_langchain()) == 0
    assert {span["status"] for span in seen.spans} == {"UNSET"}
    assert [span["name"] for span in seen.spans if span["name"].startswith("invoke_")]


def _one(number: int) -> None:
    """Make a run: a third are read to their end, a third are left, and a third raise; some in a loop."""
    make = chains.agent if number % 40 == 0 else chains.chain
    given = ASKED if make is chains.agent else {"question": QUESTION}
    runnable = make(chains.fake(ANSWER, ANSWER))
    if number % 3 == 2:
        runnable = runnable | RunnableLambda(chains.broken)
    if number % 10 == 0:
        asyncio.run(_awaited(runnable, given, is_left=number % 3 == 1))
    elif number % 3 == 1:
        runnable.stream(given).__next__()  # and nobody asks for more
    else:
        with contextlib.suppress(RuntimeError):
            runnable.invoke(given)


async def _awaited(runnable: Any, given: Any, *, is_left: bool) -> None:
    with contextlib.suppress(RuntimeError):
        if not is_left:
            await runnable.ainvoke(given)
        async for _ in runnable.astream(given):
            break


@pytest.mark.parametrize(
    "runs", [2_000, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_nothing_is_left_of_runs(runs):
    """Whatever becomes of them, no run stays known when it is over, and no memory goes with it."""
    with capture("langchain") as seen:
        known = []
        for number in range(runs):
            _one(number)
            if number % 100 == 0:
                seen._spans.clear()
            if number in (runs // 5, runs - 1):
                seen._spans.clear()
                _answers.latest.forget()  # as many as it keeps are kept on purpose
                collect()
                known.append((len(gc.get_objects()), sys.getallocatedblocks()))
                assert len(_runs_of_langchain()) == 0
    (objects, blocks), (objects_later, blocks_later) = known
    assert objects_later - objects < runs // 8  # less than one for as many as six runs
    assert blocks_later - blocks < 2_000 + runs // 10  # the interpreter itself keeps some at first


def test_runs_that_never_end_do_not_pile_up(monkeypatch):
    """A framework that forgets to tell of an end costs a bounded memory: the oldest were stopped."""
    monkeypatch.setattr(_runs, "MOST", 5)
    with capture("langchain") as seen:
        chains.chain(chains.fake(ANSWER)).invoke({"question": QUESTION})
        runs = _runs_of_langchain()
        for number in range(8):
            langchain.chain(runs, None, {}, run_id=number, name="endless")
        assert len(runs) == 5
        stopped = [span for span in seen.spans if span["attributes"].get(s.OUTCOME) == "stopped"]
        assert len(stopped) == 3


def test_the_model_s_own_way_is_kept():
    """With us, a model streams when it is asked to, and only then."""
    wire = Wire([chains.said()], frozenset())
    with wire.serving(), capture(*BOTH):
        chains.model(wire.url).invoke(QUESTION)
    assert b'"stream": true' not in wire.requests[0]["body"]
    assert wire.requests[0]["path"] == "/v1/chat/completions"
    assert MODEL.encode() in wire.requests[0]["body"]
