"""Agents that LangChain's and LangGraph's own functions make: which run is one, and what it is called."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="needs LangGraph: pip install 'otel-genai[frameworks]'")
pytest.importorskip(
    "langchain_openai", reason="tests/chains.py needs it: pip install 'otel-genai[frameworks]'"
)

from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent

import chains
import otel_genai
from chains import ANSWER, WAYS
from otel_genai import semconv as s
from otel_genai.testing import capture

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of LangChain's and LangGraph's own
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
ASKED = {"messages": [("user", "What of Rome?")]}
THREAD = {"configurable": {"thread_id": "t-7"}}
MAKERS = pytest.mark.parametrize("make", [chains.created, chains.react])
COLOURS = pytest.mark.parametrize("way", ["invoke", "ainvoke"])


def model(*said: Any) -> Any:
    """Make a model that asks for the weather, and answers."""
    return chains.fake(*(said or (call(), ANSWER)))


def call() -> Any:
    """Make the message that asks for the weather; LangGraph keeps it."""
    return chains.tool_call("weather", city="Rome")


def tree(seen: Any) -> list[tuple[str, str | None]]:
    """Give the names of spans with their parents', in the order of their ends."""
    return [(span["name"], span["parent"]) for span in seen.spans]


def agents(seen: Any) -> list[tuple[str, Any]]:
    """Give the names of spans with the agent that each is told of, in the order of their ends."""
    return [(span["name"], span["attributes"].get(s.AGENT_NAME)) for span in seen.spans]


@MAKERS
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["helper", None])
def test_it_is_an_agent(make, way, name):
    """With its models and its tools within; one that nobody has named has no name."""
    agent = f"invoke_agent {name}" if name else "invoke_agent"
    times = 3 if "batch" in way else 1
    fakes = [call(), ANSWER] if times == 1 else [ANSWER] * times
    with capture("langchain") as seen:
        WAYS[way](make(model(*fakes), name=name), ASKED, THREAD)
    within = ["chat", "chat", "execute_tool weather"] if times == 1 else ["chat"] * times
    assert sorted(tree(seen), key=str) == [*((one, agent) for one in within), *[(agent, None)] * times]
    assert {found for _, found in agents(seen)} == {name}
    assert {span["attributes"][s.CONVERSATION_ID] for span in seen.spans} == {"t-7"}
    assert {span["kind"] for span in seen.spans if span["name"] == agent} == {"INTERNAL"}
    [measured] = seen.metrics[s.AGENT_DURATION.name]
    assert measured["count"] == times
    assert measured["attributes"] == ({s.AGENT_NAME: name} if name else {})
    assert s.WORKFLOW_DURATION.name not in seen.metrics


def _no_more(_: Any) -> dict[str, Any]:
    return {}


def test_it_is_one_in_every_shape():
    """With hooks, another way of calling tools, no tools at all, or another configuration."""
    shapes = [
        {"version": "v1"},
        {"pre_model_hook": _no_more, "post_model_hook": _no_more},
    ]
    known = inspect.signature(create_react_agent).parameters
    made = [chains.react(model(), **shape) for shape in shapes if shape.keys() <= known.keys()]
    made += [
        chains.react(model()).with_config(tags=["x"]),
        chains.react(model()).with_config(run_name="helper"),
    ]
    for agent in made:
        with capture("langchain") as seen:
            agent.invoke(ASKED)
        assert tree(seen)[-1] == ("invoke_agent helper", None)
    with capture("langchain") as seen:
        chains.react(model(), name=None).with_config(run_name="first").invoke(ASKED)
    assert tree(seen)[-1] == ("invoke_agent first", None)


@MAKERS
def test_it_may_be_called_as_one_of_its_steps_is(make):
    """Its steps are not agents for all that."""
    for name in ("agent", "model", "tools"):
        with capture("langchain") as seen:
            make(model(), name=name).invoke(ASKED)
        assert [found for found, _ in tree(seen) if "agent" in found] == [f"invoke_agent {name}"]


def test_a_graph_of_one_s_own_is_a_workflow_however_it_looks():
    """The names of its steps do not make it an agent."""
    built: Any = StateGraph(MessagesState)
    answer = chains.fake(call())
    built.add_node("agent", lambda state: {"messages": [answer.invoke(state["messages"])]})
    built.add_node("tools", ToolNode([chains.weather]))
    built.add_edge(START, "agent")
    built.add_edge("agent", "tools")
    with capture("langchain") as seen:
        built.compile().invoke(ASKED)
    workflow = "invoke_workflow"
    assert tree(seen) == [("chat", workflow), ("execute_tool weather", workflow), (workflow, None)]
    assert {found for _, found in agents(seen)} == {None}


@MAKERS
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("name", ["helper", None])
def test_one_that_is_a_step_of_a_graph(make, way, name):
    """It is an agent within a workflow, and what runs beside it is none of its doing."""
    other = chains.fake("And?")
    built: Any = StateGraph(MessagesState)
    built.add_node("first", make(model(), name=name))
    built.add_node("second", lambda state: {"messages": [other.invoke(state["messages"])]})
    built.add_edge(START, "first")
    built.add_edge("first", "second")
    with capture("langchain") as seen:
        graph = built.compile()
        graph.name = "inquiry"
        WAYS[way](graph, ASKED)
    agent, workflow = f"invoke_agent {name}" if name else "invoke_agent", "invoke_workflow inquiry"
    assert tree(seen) == [
        ("chat", agent),
        ("execute_tool weather", agent),
        ("chat", agent),
        (agent, workflow),
        ("chat", workflow),
        (workflow, None),
    ]
    assert [found for _, found in agents(seen)] == [name, name, name, name, None, None]


@MAKERS
@COLOURS
def test_one_that_is_part_of_a_chain(make, way):
    """The chain is the workflow."""
    with capture("langchain") as seen:
        WAYS[way](make(model()) | RunnableLambda(lambda state: state["messages"][-1].content), ASKED)
    assert tree(seen)[-2:] == [("invoke_agent helper", "invoke_workflow"), ("invoke_workflow", None)]


@pytest.mark.parametrize("outer", [chains.created, chains.react])
@pytest.mark.parametrize("inner", [chains.created, chains.react])
@pytest.mark.parametrize("name", ["scout", None, "helper"])
def test_one_within_the_tool_of_another(outer, inner, name):
    """Each knows its own name alone, and the outer one's goes on where the inner one has ended."""
    scout = inner(model(), name=name)

    def ask(city: str) -> str:
        """Ask somebody."""
        return str(scout.invoke({"messages": [("user", city)]})["messages"][-1].content)

    with capture("langchain") as seen:
        asking = model(chains.tool_call("ask", city="Rome"), ANSWER)
        outer(asking, StructuredTool.from_function(ask)).invoke(ASKED, THREAD)
    agent = f"invoke_agent {name}" if name else "invoke_agent"
    assert agents(seen) == [
        ("chat", "helper"),
        ("chat", name),
        ("execute_tool weather", name),
        ("chat", name),
        (agent, name),
        ("execute_tool ask", "helper"),
        ("chat", "helper"),
        ("invoke_agent helper", "helper"),
    ]
    assert next(parent for found, parent in tree(seen) if found == agent) == "execute_tool ask"
    assert {span["attributes"][s.CONVERSATION_ID] for span in seen.spans} == {"t-7"}


@MAKERS
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_one_that_waits_for_a_person(make, way):
    """It is told twice, without an error: until it asks, and from the answer on."""
    if way.startswith("a") and sys.version_info < (3, 11):
        pytest.skip("LangGraph's interrupts in tasks need Python 3.11")
    waiting = chains.waiting()

    def confirm(city: str) -> str:
        """Ask."""
        return str(waiting.interrupt(city))

    with capture("langchain") as seen:
        asking = model(chains.tool_call("confirm", city="Rome"), ANSWER)
        made = make(asking, StructuredTool.from_function(confirm), checkpointer=MemorySaver())
        WAYS[way](made, ASKED, THREAD)
        WAYS[way](made, waiting.Command(resume="yes"), THREAD)
    agent = "invoke_agent helper"
    assert tree(seen) == [
        ("chat", agent),
        ("execute_tool confirm", agent),
        (agent, None),
        ("execute_tool confirm", agent),
        ("chat", agent),
        (agent, None),
    ]
    assert {span["status"] for span in seen.spans} == {"UNSET"}
    assert {span["attributes"][s.CONVERSATION_ID] for span in seen.spans} == {"t-7"}
    assert seen.metrics[s.AGENT_DURATION.name][0]["count"] == 2


def _failing() -> Iterator[Any]:
    yield call()
    raise LookupError


@MAKERS
@COLOURS
def test_one_that_fails(make, way):
    """The failure is its own, and the metric knows it."""
    made = make(chains.Fake(messages=_failing()))
    with capture("langchain") as seen, pytest.raises(LookupError):
        WAYS[way](made, ASKED)
    assert [(span["name"], span["status"]) for span in seen.spans] == [
        ("chat", "UNSET"),
        ("execute_tool weather", "UNSET"),
        ("chat", "ERROR"),
        ("invoke_agent helper", "ERROR"),
    ]
    [measured] = seen.metrics[s.AGENT_DURATION.name]
    assert measured["attributes"] == {s.AGENT_NAME: "helper", s.ERROR_TYPE: "LookupError"}


def test_a_label_of_one_s_own_makes_an_agent():
    """LangChain's own metadata for an agent's name, on a runnable that no function of its own made."""
    answer = RunnableLambda(lambda _: ANSWER).with_config(
        run_name="scout", metadata={"lc_agent_name": "scout"}
    )
    with capture("langchain") as seen:
        (RunnableLambda(lambda given: given) | answer).invoke("?")
    assert tree(seen) == [("invoke_agent scout", "invoke_workflow"), ("invoke_workflow", None)]


@MAKERS
@pytest.mark.parametrize("way", WAYS)
def test_its_last_answer_has_a_reference_where_its_trace_goes_on(make, way):
    """Its models run in tasks and threads of its own; the caller gives away what the caller was told."""
    batch = "batch" in way
    fakes = [ANSWER] * 3 if batch else [call(), ANSWER]
    with capture("langchain") as seen:
        with seen.tracer_provider.get_tracer("server").start_as_current_span("POST /ask"):
            WAYS[way](make(model(*fakes)), ASKED, THREAD)
            reference = otel_genai.reference()
        chats = [f"{one.context.span_id:016x}" for one in seen.finished if one.name == "chat"]
    assert reference.split("-")[2] in (chats if batch else chats[-1:])
