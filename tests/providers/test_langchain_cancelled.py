"""Tasks that are cancelled within LangChain, which does not tell its callbacks of each: told all the same."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="needs LangGraph: pip install 'otel-genai[frameworks]'")
pytest.importorskip(
    "langchain_openai", reason="needs it to ask a model: pip install 'otel-genai[frameworks]'"
)

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from opentelemetry import trace

import chains
from garbage import collect
from otel_genai import _runs
from otel_genai import semconv as s
from otel_genai._telemetry import settle
from otel_genai.testing import capture

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of LangChain's own
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


class Stuck:
    """Work without an end, which has the task that waits for it cancelled as soon as it has begun."""

    def __init__(self, task: Any = None) -> None:
        """Say which task; without one, none is."""
        self.task = task or asyncio.current_task()
        self.begun = asyncio.Event()

    async def wait(self, *_: Any, **__: Any) -> Any:
        """Begin, and go on for ever."""
        self.begun.set()
        if self.task is not None:
            asyncio.get_running_loop().call_soon(self.task.cancel)
        await asyncio.Event().wait()


class Model(BaseChatModel):
    """A model in the program itself."""

    work: Any

    @property
    def _llm_type(self) -> str:
        return "stuck"

    def _generate(self, *_: Any, **__: Any) -> Any:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("x"))])

    async def _agenerate(self, *_: Any, **__: Any) -> Any:
        await self.work.wait()

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        """Know them already."""
        return self


class Search(BaseRetriever):
    """A search without an end."""

    work: Any

    def _get_relevant_documents(self, query: str, **_: Any) -> Any:
        return [query]

    async def _aget_relevant_documents(self, query: str, **_: Any) -> Any:
        return await self.work.wait(query)


def tool(work: Stuck) -> StructuredTool:
    """Make a tool without an end."""

    async def search(words: str) -> str:
        """Search."""
        return str(await work.wait(words))

    return StructuredTool.from_function(coroutine=search)


WAYS = {
    "tool": (lambda work: tool(work).ainvoke({"words": "x"}), "execute_tool search"),
    "retriever": (lambda work: Search(work=work).ainvoke("x"), "retrieval"),
    "model": (lambda work: Model(work=work).ainvoke("x"), "chat"),
    "agent": (lambda work: chains.react(Model(work=work)).ainvoke({"messages": [("user", "x")]}), "chat"),
}


def swept() -> None:
    """Have the garbage collected, and told what it was."""
    collect()
    settle()


def kept() -> int:
    """Say how many runs are open."""
    swept()
    return sum(len(one) for one in gc.get_objects() if type(one) is _runs.Runs)


async def _cancelled(way: Any) -> None:
    """Have the current task cancelled within, and go on."""
    try:
        await way(Stuck())
    except asyncio.CancelledError:
        task: Any = asyncio.current_task()
        if hasattr(task, "uncancel"):  # from Python 3.11 on
            task.uncancel()
        return
    pytest.fail("it was not cancelled")


@pytest.mark.parametrize("name", WAYS)
def test_a_task_that_is_cancelled_and_goes_on_is_in_nothing(name):
    """However often: each is told as cancelled, in a trace of its own, and nothing stays open."""
    way, span_name = WAYS[name]

    async def work() -> None:
        for _ in range(5):
            await _cancelled(way)
            await asyncio.sleep(0)  # until then, the event loop holds the exception
            swept()
            assert not trace.get_current_span().get_span_context().is_valid
        await chains.weather.ainvoke({"city": "Lyon"})

    with capture("langchain") as seen:
        asyncio.run(work())
        assert kept() == 0
        spans = seen.spans
        calls = seen.metrics.get(s.CALLS.name, [])
    told = [span for span in spans if span["name"] == span_name]
    assert [span["attributes"][s.OUTCOME] for span in told] == ["cancelled"] * 5
    assert {span["status"] for span in spans} == {"UNSET"}
    assert [span["parent"] for span in told] == ["invoke_agent helper" if name == "agent" else None] * 5
    assert [span["parent"] for span in spans if span["name"] == "execute_tool weather"] == [None]
    if span_name == "chat":
        assert [(point["attributes"][s.OUTCOME], point["value"]) for point in calls] == [("cancelled", 5)]


def test_one_after_the_other_without_collecting_garbage():
    """What LangChain leaves for the garbage collector is over nevertheless when the task goes on."""

    async def work() -> None:
        for _ in range(50):
            await _cancelled(WAYS["model"][0])

    with capture("langchain") as seen:
        asyncio.run(work())
        assert kept() == 0
        assert [span["parent"] for span in seen.spans] == [None] * 50
        assert len({span.context.trace_id for span in seen.finished}) == 50


def test_what_a_graph_cancels_beside_a_failure_ends_with_it():
    """LangGraph cancels what runs in parallel to what fails."""

    async def work() -> None:
        stuck = Stuck()
        stuck.task = None

        async def lazy(_: Any) -> None:
            await tool(stuck).ainvoke({"words": "x"})

        async def bad(_: Any) -> None:
            await stuck.begun.wait()
            raise LookupError

        graph = StateGraph(MessagesState)
        for node in (lazy, bad):
            graph.add_node(node.__name__, node)
            graph.add_edge(START, node.__name__)
        made = graph.compile()
        made.name = "pair"
        with pytest.raises(LookupError):
            await made.ainvoke({"messages": [("user", "x")]})

    with capture("langchain") as seen:
        asyncio.run(work())
        assert kept() == 0
        outcomes = {span["name"]: span["attributes"].get(s.OUTCOME) for span in seen.spans}
        parents = {span["name"]: span["parent"] for span in seen.spans}
    assert outcomes == {"invoke_workflow pair": "failed", "execute_tool search": "cancelled"}
    assert parents["execute_tool search"] == "invoke_workflow pair"
