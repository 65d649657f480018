"""LangChain and LangGraph, real ones: what runs is told once, and the program is left alone."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="needs LangGraph: pip install 'otel-genai[frameworks]'")
pytest.importorskip(
    "langchain_openai", reason="needs it to ask a model: pip install 'otel-genai[frameworks]'"
)

import openai
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import StructuredTool, ToolException
from langgraph.checkpoint.memory import MemorySaver
from opentelemetry import context as otel
from opentelemetry import trace

import chains
import otel_genai
from chains import ANSWER, MODEL, QUESTION, STREAMS, TIMES, WAYS
from garbage import collect
from otel_genai import _others
from otel_genai import semconv as s
from otel_genai.providers import _langchain_content as said
from otel_genai.testing import capture
from sdks.kit import Reply, Wire

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # clients keep their connections
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of LangChain's own
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Unexpected type for token usage"),  # langchain-openai adds them up
]
WHOLE = pytest.mark.parametrize("way", WAYS)
PRICES = [{"model": MODEL, "input": 1, "output": 2}]
BOTH = ("langchain", "openai")
ASKED = {"messages": [("user", QUESTION)]}
AGENT = [chains.calls("weather", city="Rome"), chains.said()]
"""What the model of an agent says; an agent's stream is one of steps, so its answers come whole."""
THREAD = {"configurable": {"thread_id": "t-7"}}


@pytest.fixture(autouse=True, scope="module")
def _swept():
    """Collect the connections of clients that nobody closes while their warnings are still ignored."""
    yield
    collect()


class Program:
    """A program, and a server that plays the model."""

    def __init__(self, make: Any, way: str, given: Any, replies: Any, config: Any = None) -> None:
        """Say what is made of a model, how it is called, and what the model says."""
        self.make, self.way, self.given, self.config = make, way, given, config
        self.replies = replies

    def run(self) -> Any:
        """Run it; give what it was given, or what it raised, and what the server was asked."""
        wire = Wire(self.replies, frozenset({"x-stainless-read-timeout"}))
        with wire.serving():
            try:
                result = WAYS[self.way](self.make(chains.model(wire.url)), self.given, self.config)
            except Exception as error:  # noqa: BLE001 (it is compared)
                result = error
        return result, wire.requests

    def seen(self, *names: str, **settings: Any) -> Any:
        """Run it, and give what was seen."""
        with capture(*names, **settings) as seen:
            self.result, _ = self.run()
        return seen


def tree(seen: Any) -> list[tuple[str, str | None]]:
    """Give the names of spans with their parents'."""
    return sorted(((span["name"], span["parent"]) for span in seen.spans), key=str)


def named(seen: Any, name: str) -> list[dict[str, Any]]:
    """Give the attributes of the spans of one name."""
    return [span["attributes"] for span in seen.spans if span["name"] == name]


def tokens(seen: Any) -> tuple[int, int]:
    """Give all tokens that the metrics know of."""
    points = seen.metrics[s.TOKEN_USAGE.name]
    counted = dict.fromkeys(("input", "output"), 0)
    for point in points:
        counted[point["attributes"][s.TOKEN_TYPE]] += point["sum"]
    return counted["input"], counted["output"]


# --- One call of a model is one span ---------------------------------------------------------------------


@WHOLE
@pytest.mark.parametrize("names", [("langchain",), ("openai",), BOTH], ids="-".join)
def test_a_model_is_told_once(way, names):
    """By its SDK where that is seen, else by LangChain; tokens and cost are counted once."""
    reply = chains.said(stream=way in STREAMS)
    given = {"question": QUESTION}
    program = Program(chains.chain, way, given, [reply])
    seen = program.seen(*names, cost=True, prices=PRICES)
    times = TIMES.get(way, 1)
    assert ANSWER in ("".join(program.result) if way in STREAMS else program.result)
    workflows = [("invoke_workflow", None)] * times if "langchain" in names else []
    parent = "invoke_workflow" if workflows else None
    assert tree(seen) == [(f"chat {MODEL}", parent)] * times + workflows
    assert tokens(seen) == (30 * times, 5 * times)
    [cost] = seen.metrics[s.COST.name]
    assert cost["value"] == pytest.approx((30 + 2 * 5) * times / 1e6)
    for attributes in named(seen, f"chat {MODEL}"):
        assert attributes[s.PROVIDER_NAME] == "openai"
        assert attributes[s.RESPONSE_MODEL] == f"{MODEL}-2025-04-14"
        assert attributes[s.RESPONSE_FINISH_REASONS] == ["stop"]
        assert attributes[s.USAGE_CACHE_READ_INPUT_TOKENS] == 10
        assert (s.RESPONSE_TIME_TO_FIRST_CHUNK in attributes) == (way in STREAMS)
        assert attributes[s.REQUEST_TEMPERATURE] == 0.5


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("names", [("langchain",), BOTH], ids="-".join)
def test_an_agent_and_its_tools(way, names):
    """One span for the agent, one for each call of a model and of a tool, all in one conversation."""
    seen = Program(chains.agent, way, ASKED, AGENT, THREAD).seen(*names)
    agent = "invoke_agent helper"
    assert tree(seen) == [(f"chat {MODEL}", agent)] * 2 + [("execute_tool weather", agent), (agent, None)]
    assert {span["attributes"][s.CONVERSATION_ID] for span in seen.spans} == {"t-7"}
    assert {span["attributes"][s.AGENT_NAME] for span in seen.spans} == {"helper"}
    [tool] = named(seen, "execute_tool weather")
    assert (tool[s.TOOL_CALL_ID], tool[s.TOOL_TYPE]) == ("call_1", "function")
    assert tokens(seen) == (60, 10)
    assert seen.metrics[s.AGENT_DURATION.name][0]["count"] == 1
    assert seen.metrics[s.TOOL_DURATION.name][0]["count"] == 1
    assert {span["status"] for span in seen.spans} == {"UNSET"}


@pytest.mark.parametrize("names", [("langchain",), BOTH], ids="-".join)
def test_several_prompts_at_once(names):
    """Each of them is a call, whoever tells it."""
    wire = Wire([chains.said()], frozenset())
    with wire.serving(), capture(*names) as seen:
        asked = [[chains.human(QUESTION)], [chains.human("And?")]]
        chains.model(wire.url).generate(asked)
        asyncio.run(chains.model(wire.url).agenerate(asked))
    assert tree(seen) == [(f"chat {MODEL}", None)] * 4
    assert tokens(seen) == (120, 20)


@pytest.mark.parametrize("names", [("langchain",), BOTH], ids="-".join)
def test_a_model_of_models_is_the_one_beneath(names):
    """A model that asks another one infers nothing by itself."""
    wire = Wire([chains.said()], frozenset())
    with wire.serving(), capture(*names) as seen:
        assert chains.Delegate(to=chains.model(wire.url)).invoke(QUESTION).content == ANSWER
    assert tree(seen) == [(f"chat {MODEL}", None)]


@pytest.mark.parametrize("names", [("langchain",), BOTH], ids="-".join)
def test_what_comes_out_of_the_cache_was_asked_of_nobody(names):
    """LangChain's own cache: the second answer is no inference."""
    wire = Wire([chains.said()], frozenset())
    with wire.serving(), capture(*names) as seen:
        model = chains.model(wire.url, cache=InMemoryCache())
        assert [model.invoke(QUESTION).content for _ in range(2)] == [ANSWER] * 2
    assert len(wire.requests) == 1
    assert tree(seen) == [(f"chat {MODEL}", None)]


# --- The context -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [chains.chain, chains.agent])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_nothing_is_left_in_the_program_s_context(make, way):
    """Neither after a run nor between the items of a stream does the program find itself within it."""
    fakes = [chains.tool_call("weather", city="Rome"), ANSWER] if make is chains.agent else [ANSWER]
    given = ASKED if make is chains.agent else {"question": QUESTION}
    found: list[Any] = []

    async def run(runnable: Any) -> None:
        with tracer.start_as_current_span("own") as own:
            expected = dict(otel.get_current())
            if way == "astream":
                found.extend([dict(otel.get_current()) == expected async for _ in runnable.astream(given)])
            elif way == "stream":
                found.extend(dict(otel.get_current()) == expected for _ in runnable.stream(given))
            elif way == "ainvoke":
                await runnable.ainvoke(given)
            else:
                runnable.invoke(given)
            found.append(dict(otel.get_current()) == expected)
            found.append(trace.get_current_span() is own)

    with capture("langchain") as seen:
        tracer = seen.tracer_provider.get_tracer("program")
        asyncio.run(run(make(chains.fake(*fakes))))
    assert found
    assert all(found)
    roots = [span for span in seen.spans if span["name"].startswith("invoke_")]
    assert [span["parent"] for span in roots] == ["own"]


def test_what_a_program_says_around_a_run_holds_after_it(monkeypatch):
    """A block of ours around an awaited run ends where it ends, and is known within."""

    async def run() -> None:
        with otel_genai.context(user="u-7"):
            await chains.chain(chains.fake(ANSWER)).ainvoke({"question": QUESTION})
        await chains.chain(chains.fake(ANSWER)).ainvoke({"question": QUESTION})

    with capture("langchain") as seen:
        asyncio.run(run())
    assert [span["attributes"].get(s.USER_ID) for span in seen.spans] == ["u-7", "u-7", None, None]


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_a_tool_does_is_within_it(colour):
    """The program's own spans in a tool, and calls of models there, are the tool's."""
    wire = Wire([chains.said()], frozenset())

    def look(city: str) -> str:
        """Look it up."""
        with tracer.start_as_current_span("GET"):
            return str(chains.model(wire.url).invoke(f"{city}?").content)

    async def alook(city: str) -> str:
        """Look it up."""
        with tracer.start_as_current_span("GET"):
            return str((await chains.model(wire.url).ainvoke(f"{city}?")).content)

    tool = StructuredTool.from_function(look, alook if colour == "async" else None, name="look")
    with wire.serving(), capture(*BOTH) as seen:
        tracer = seen.tracer_provider.get_tracer("program")
        agent = chains.agent(chains.fake(chains.tool_call("look", city="Rome"), ANSWER), tool)
        WAYS["ainvoke" if colour == "async" else "invoke"](agent, ASKED)
    assert ("GET", "execute_tool look") in tree(seen)
    assert (f"chat {MODEL}", "GET") in tree(seen)
    assert ("execute_tool look", "invoke_agent helper") in tree(seen)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_tool_that_is_told_by_hand_too_is_told_once(colour):
    """`@otel_genai.tool` on what LangChain runs is the same execution."""

    @otel_genai.tool()
    def look(city: str) -> str:
        """Look it up."""
        return city

    tool = StructuredTool.from_function(look)
    with capture("langchain") as seen:
        agent = chains.agent(chains.fake(chains.tool_call("look", city="Rome"), ANSWER), tool)
        WAYS["ainvoke" if colour == "async" else "invoke"](agent, ASKED)
    assert [name for name, _ in tree(seen) if "tool" in name] == ["execute_tool look"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_branches_have_their_parent(way):
    """Steps that run side by side, in threads or in tasks, are of one workflow."""
    wire = Wire([chains.said()], frozenset())
    both = threading.Barrier(2)

    def ask(side: str) -> Any:
        def step(_: Any) -> Any:
            both.wait(20)
            return {side: chains.model(wire.url).invoke(side).content}

        return step

    with wire.serving(), capture(*BOTH) as seen:
        steps = {side: ask(side) for side in ("left", "right")}
        WAYS[way](chains.graph(steps, side_by_side=True), {"question": "?"})
    workflow = "invoke_workflow inquiry"
    assert tree(seen) == [(f"chat {MODEL}", workflow)] * 2 + [(workflow, None)]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_an_agent_within_a_workflow(way):
    """A graph within a graph is an agent if it is one of `create_agent`."""
    wire = Wire(AGENT, frozenset())
    with wire.serving(), capture(*BOTH) as seen:
        helper = chains.agent(chains.model(wire.url))
        asked = {"messages": [("user", QUESTION)]}

        def ask(_: Any) -> Any:
            return {"answer": helper.invoke(asked)["messages"][-1].content}

        WAYS[way](chains.graph({"helper": ask}), {"question": QUESTION}, THREAD)
    assert ("invoke_agent helper", "invoke_workflow inquiry") in tree(seen)
    assert ("execute_tool weather", "invoke_agent helper") in tree(seen)
    assert {span["attributes"].get(s.CONVERSATION_ID) for span in seen.spans} == {"t-7"}
    assert s.AGENT_NAME not in named(seen, "invoke_workflow inquiry")[0]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("is_node", [True, False], ids=["a node", "called in one"])
def test_a_graph_within_a_graph_is_a_workflow(way, is_node):
    """What the program has defined is told where it is nested, too."""
    inner = chains.graph({"ask": lambda _: {"answer": chains.fake(ANSWER).invoke(QUESTION).content}})
    inner.name = "errand" if is_node else "LangGraph"

    def call(state: chains.State) -> Any:
        return inner.invoke(state)

    step = inner if is_node else call
    with capture("langchain") as seen:
        WAYS[way](chains.graph({"errand": step}), {"question": QUESTION}, THREAD)
    nested, outer = "invoke_workflow errand" if is_node else "invoke_workflow", "invoke_workflow inquiry"
    assert set(tree(seen)) == {("chat", nested), (nested, outer), (outer, None)}
    assert {span["attributes"][s.CONVERSATION_ID] for span in seen.spans} == {"t-7"}
    assert sum(point["count"] for point in seen.metrics[s.WORKFLOW_DURATION.name]) == 2


# --- Control flow and failures ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_an_interrupt_is_no_error(way):
    """A run that waits for an answer, and the one that goes on with it, are of one conversation."""
    if way.startswith("a") and sys.version_info < (3, 11):
        pytest.skip("LangGraph's interrupts in tasks need Python 3.11")
    wire, waiting = Wire([chains.said()], frozenset()), chains.waiting()

    def step(_: Any) -> Any:
        found = waiting.interrupt("Which city?")
        return {"answer": chains.model(wire.url).invoke(found).content}

    with wire.serving(), capture(*BOTH) as seen:
        graph = chains.kept({"step": step})
        WAYS[way](graph, {"question": QUESTION}, THREAD)
        WAYS[way](graph, waiting.Command(resume="Rome"), THREAD)
    workflow = "invoke_workflow inquiry"
    assert tree(seen) == [(f"chat {MODEL}", workflow), (workflow, None), (workflow, None)]
    assert {span["status"] for span in seen.spans} == {"UNSET"}
    assert [span["attributes"][s.CONVERSATION_ID] for span in seen.spans] == ["t-7"] * 3
    assert not [span for span in seen.spans if s.ERROR_TYPE in span["attributes"]]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tool_that_asks_a_person_was_stopped(way):
    """An interrupt in a tool ends it without an error; it begins anew when there is an answer."""
    waiting = chains.waiting()

    def confirm(city: str) -> str:
        """Ask."""
        return str(waiting.interrupt(city))

    with capture("langchain") as seen:
        tool = StructuredTool.from_function(confirm)
        model = chains.fake(chains.tool_call("confirm", city="Rome"), ANSWER)
        agent = chains.agent(model, tool, checkpointer=MemorySaver())
        WAYS[way](agent, ASKED, THREAD)
        WAYS[way](agent, waiting.Command(resume="yes"), THREAD)
    outcomes = [found.get(s.OUTCOME) for found in named(seen, "execute_tool confirm")]
    assert outcomes == ["stopped", None]
    assert {span["status"] for span in seen.spans} == {"UNSET"}


@pytest.mark.parametrize("names", [("langchain",), BOTH], ids="-".join)
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_refusal_is_told_by_all_that_fail(way, names):
    """The provider's error is on the call and on the workflow that it ends."""
    refusal = Reply(b'{"error": {"message": "busy", "type": "server_error"}}', status=500)
    program = Program(chains.chain, way, {"question": QUESTION}, [refusal])
    seen = program.seen(*names)
    assert isinstance(program.result, openai.APIError)
    assert [(span["name"], span["status"]) for span in seen.spans] == [
        (f"chat {MODEL}", "ERROR"),
        ("invoke_workflow", "ERROR"),
    ]
    chat, workflow = (span["attributes"][s.ERROR_TYPE] for span in seen.spans)
    assert workflow == type(program.result).__qualname__
    assert chat == ("InternalServerError" if "openai" in names else workflow)


def test_a_tool_s_failure_that_the_model_is_told_of():
    """A tool that answers with its error has failed, and the agent has not."""

    def broken(city: str) -> str:
        """Fail."""
        raise ToolException(city)

    with capture("langchain") as seen:
        tool = StructuredTool.from_function(broken, handle_tool_error=True)
        chains.agent(chains.fake(chains.tool_call("broken", city="Rome"), ANSWER), tool).invoke(ASKED)
    statuses = {span["name"]: span["status"] for span in seen.spans}
    assert statuses["execute_tool broken"] == "ERROR"
    assert statuses["invoke_agent helper"] == "UNSET"
    assert named(seen, "execute_tool broken")[0][s.ERROR_TYPE] == "tool_error"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_agent_that_hands_over_has_done_its_part(way):
    """Control that goes to the graph above is no error of the agent that gives it."""
    command = chains.waiting().Command

    def hand_over(city: str) -> Any:
        """Hand over."""
        return command(goto="answer_step", graph=command.PARENT, update={"answer": city})

    with capture("langchain") as seen:
        tool = StructuredTool.from_function(hand_over)
        helper = chains.agent(chains.fake(chains.tool_call("hand_over", city="Rome")), tool)
        graph = chains.handing_over(helper)
        WAYS[way](graph, ASKED)
    assert ("invoke_agent helper", "invoke_workflow inquiry") in tree(seen)
    assert {span["status"] for span in seen.spans} == {"UNSET"}
    assert not [span for span in seen.spans if s.OUTCOME in span["attributes"]]


# --- Beside others ---------------------------------------------------------------------------------------


class Library(BaseRetriever):
    """Searches, and is told by hand, too."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        with otel_genai.retrieval("herbs", top_k=2) as search:
            found = [Document(id="d-1", page_content=query)]
            search.documents([{"id": one.id} for one in found])
        return found


def test_a_search_that_a_store_tells_too_is_told_once():
    """The store says what it is called, and LangChain what was found."""
    with capture("langchain", capture="SPAN_ONLY") as seen:
        Library().invoke(QUESTION)
        asyncio.run(Library().ainvoke(QUESTION))
    assert tree(seen) == [("retrieval herbs", None)] * 2
    for span in seen.spans:
        assert span["attributes"][s.DATA_SOURCE_ID] == "herbs"
        assert span["attributes"][s.RETRIEVAL_TOP_K] == 2
        assert span["attributes"][s.RETRIEVAL_QUERY_TEXT] == QUESTION


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_what_is_suppressed_is_not_told(way):
    """Neither the run nor what runs within, in whatever thread or task."""
    wire = Wire([chains.said(stream=way in STREAMS)], frozenset())
    with wire.serving(), capture(*BOTH) as seen:
        with otel_genai.suppress():
            WAYS[way](chains.chain(chains.model(wire.url)), {"question": QUESTION})
        assert len(wire.requests) == 1
        assert seen.spans == []
        with otel_genai.suppress():
            WAYS[way](chains.chain(chains.fake(ANSWER)), {"question": QUESTION})
        assert seen.spans == []
        WAYS[way](chains.chain(chains.fake(ANSWER)), {"question": QUESTION})
    assert len(seen.spans) == 2


def test_where_others_are_at_work_they_are_left_the_field(monkeypatch):
    """Another instrumentation of LangChain tells all: none of our spans but the SDK's."""
    monkeypatch.setattr(_others, "stand_down", lambda name: "theirs" if name == "langchain" else "")
    wire = Wire([chains.said()], frozenset())
    with wire.serving(), capture(*BOTH) as seen:
        chains.chain(chains.model(wire.url)).invoke({"question": QUESTION})
        [status] = [one for one in otel_genai.providers() if one.name == "langchain"]
    assert tree(seen) == [(f"chat {MODEL}", None)]
    assert (status.state, status.reason) == ("skipped", "theirs")


def test_where_others_tell_of_the_sdk_langchain_does_not(monkeypatch):
    """A model's call that another instrumentation of its SDK tells is not told by us, too."""
    monkeypatch.setattr(_others, "at_work", lambda name: "theirs" if name == "openai" else "")
    wire = Wire([chains.said()], frozenset())
    with wire.serving(), capture(*BOTH) as seen:
        chains.chain(chains.model(wire.url)).invoke({"question": QUESTION})
    assert tree(seen) == [("invoke_workflow", None)]


# --- Streams of tokens -----------------------------------------------------------------------------------


def _messages(agent: Any) -> Any:
    return list(agent.stream(ASKED, THREAD, stream_mode="messages"))


async def _amessages(agent: Any) -> Any:
    return [one async for one in agent.astream(ASKED, THREAD, stream_mode="messages")]


async def _events(agent: Any) -> Any:
    return [one async for one in agent.astream_events(ASKED, THREAD, version="v2")]


@pytest.mark.parametrize("names", [("langchain",), BOTH], ids="-".join)
@pytest.mark.parametrize("read", [_messages, _amessages, _events])
def test_tokens_of_an_agent_as_they_come(read, names):
    """A graph that hands tokens on has its model stream: still one span a call, with all that it tells."""
    if read is not _messages and sys.version_info < (3, 11):
        pytest.skip("LangGraph's streams of tokens in tasks need Python 3.11")
    if read is not _events:
        why = "needs a LangGraph that streams messages: pip install 'otel-genai[frameworks]'"
        pytest.importorskip("langgraph.types", reason=why)  # came after them
    wire = Wire([chains.calls("weather", city="Rome", stream=True), chains.said(stream=True)], frozenset())
    with wire.serving(), capture(*names) as seen:
        items = read(chains.agent(chains.model(wire.url)))
        if not isinstance(items, list):
            items = asyncio.run(items)
    assert len(items) > 5
    agent = "invoke_agent helper"
    assert tree(seen) == [(f"chat {MODEL}", agent)] * 2 + [("execute_tool weather", agent), (agent, None)]
    assert tokens(seen) == (60, 10)
    for attributes in named(seen, f"chat {MODEL}"):
        assert attributes[s.REQUEST_STREAM] is True
        assert attributes[s.RESPONSE_TIME_TO_FIRST_CHUNK] > 0
        assert attributes[s.CONVERSATION_ID] == "t-7"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_tools_side_by_side(way):
    """Two tools that the model asks for at once run in threads or tasks: both are the agent's."""
    asked = chains.tool_call("weather", city="Rome")
    asked.tool_calls.append(
        {"name": "weather", "args": {"city": "Bari"}, "id": "call_2", "type": "tool_call"}
    )
    with capture("langchain") as seen:
        WAYS[way](chains.agent(chains.fake(asked, ANSWER)), ASKED)
    agent = "invoke_agent helper"
    assert tree(seen) == [("chat", agent)] * 2 + [("execute_tool weather", agent)] * 2 + [(agent, None)]
    ids = {attributes[s.TOOL_CALL_ID] for attributes in named(seen, "execute_tool weather")}
    assert ids == {"call_1", "call_2"}


def test_a_text_model_is_told():
    """Models that complete text have no messages."""
    with capture("langchain", capture="SPAN_ONLY") as seen:
        FakeListLLM(responses=[ANSWER]).invoke(QUESTION)
    [span] = seen.spans
    assert span["attributes"][s.OPERATION_NAME] == s.TEXT_COMPLETION
    assert QUESTION in span["attributes"][s.INPUT_MESSAGES]
    assert ANSWER in span["attributes"][s.OUTPUT_MESSAGES]


def test_no_tokens_of_input_are_unknown_ones():
    """LangChain says 0 of a stream that did not tell."""
    counts = {"input_tokens": 0, "output_tokens": 9, "total_tokens": 9}
    with capture("langchain") as seen:
        chains.fake(AIMessage(ANSWER, usage_metadata=counts)).invoke(QUESTION)
    [span] = seen.spans
    assert s.USAGE_INPUT_TOKENS not in span["attributes"]
    assert span["attributes"][s.USAGE_OUTPUT_TOKENS] == 9


def test_what_is_said_in_every_form():
    """Messages in all the forms that LangChain takes, with what is not text."""
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "base64": "YQ==", "mime_type": "image/png"},
        {"type": "file", "file_id": "f-1"},
        {"type": "thinking", "thinking": "b"},
        {"type": "tool_use", "name": "c"},
        {"type": "odd"},
        "d",
    ]
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    given = [
        ("human", "q"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "r", "tool_call_id": "1"},
        chains.human(blocks),
    ]
    first, second, third, last = said.inputs({"input": {"messages": given}})
    assert first == {"role": "user", "parts": [{"type": "text", "content": "q"}]}
    assert second["parts"] == [{"type": "tool_call", "id": "1", "name": "f", "arguments": {"x": 1}}]
    assert third["parts"] == [{"type": "tool_call_response", "id": "1", "response": "r"}]
    kinds = [part["type"] for part in last["parts"]]
    assert kinds == ["text", "uri", "inline_media", "file", "reasoning", "odd", "text"]
    assert said.inputs({"input": "q"}) == [first]
    assert said.inputs({"input": None}) == []
    assert said.inputs({"input": {"question": "q"}})[0]["parts"][0]["content"] == '{"question": "q"}'
