"""Programs of LangChain and LangGraph that are run with us and without: whatever a framework can tell of.

All of them give the same every time: no server, no clock, nothing side by side.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool, ToolException
from langgraph.checkpoint.memory import MemorySaver
from opentelemetry import context as otel

import chains
import otel_genai
import toy
from chains import ANSWER, QUESTION, WAYS
from otel_genai.providers import langchain

ASKED = {"messages": [("user", QUESTION)]}
THREAD = {"thread_id": "t-7"}
LEFT = ("stream", "astream")

# --- What a program has ----------------------------------------------------------------------------------


def call() -> AIMessage:
    """Make the message that asks for the weather."""
    return chains.tool_call("weather", city="Rome")


class Asking(BaseChatModel):
    """A model whose SDK is seen, and which tells what it can."""

    count: int = 1

    @property
    def _llm_type(self) -> str:
        return "toy"

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        text = toy.Client().chat().text
        choices = [ChatGeneration(message=AIMessage(text)) for _ in range(self.count)]
        counts = {"prompt_tokens": 3, "completion_tokens": 4}
        return ChatResult(generations=choices, llm_output={"token_usage": counts, "model_name": "m"})


class Library(BaseRetriever):
    """Finds a document."""

    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [
            Document(id="d-1", page_content="Two artichokes grow.", metadata={"score": 0.5, "text": query})
        ]


def counted(text: str = ANSWER) -> AIMessage:
    """Make an answer with all that may be told of it."""
    return AIMessage(
        text,
        id="msg-1",
        response_metadata={"finish_reason": "stop", "model_name": "m-1"},
        usage_metadata={
            "input_tokens": 9,
            "output_tokens": 4,
            "total_tokens": 13,
            "input_token_details": {"cache_read": 1},
            "output_token_details": {"reasoning": 2},
        },
    )


def refuse(city: str) -> str:
    """Refuse."""
    raise ToolException(city)


def fail(city: str) -> str:
    """Fail."""
    raise LookupError(city)


def _failing() -> Iterator[Any]:
    yield "first"
    raise LookupError(QUESTION)


def messages() -> list[Any]:
    """Say something in every form."""
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file_id": "f-1"},
        {"type": "thinking", "thinking": "b"},
        {"type": "tool_use", "name": "c"},
    ]
    function = {"name": "f", "arguments": '{"x": 1}'}
    asked = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    return [
        ("human", "q"),
        asked,
        {"role": "tool", "content": "r", "tool_call_id": "1"},
        chains.human(blocks),
    ]


# --- What it does with it --------------------------------------------------------------------------------

Scene = Callable[[dict[str, Any]], Any]
SCENES: dict[str, Scene] = {}


def scene(function: Scene) -> Scene:
    """Have a scene played."""
    SCENES[function.__name__] = function
    return function


def _ways(name: str, make: Callable[[], Any], given: Any, ways: Any = WAYS) -> None:
    def play(way: str) -> Scene:
        return lambda config: WAYS[way](make(), given, config)

    SCENES.update({f"{name} {way}": play(way) for way in ways})


def _one_by_one(runnable: Any) -> Any:
    """Have a batch run one after the other."""
    return runnable.with_config(max_concurrency=1)


_ways("chain", lambda: _one_by_one(chains.chain(chains.fake(*[counted()] * 3))), {"question": QUESTION})
_ways("agent", lambda: chains.agent(chains.fake(call(), counted())), ASKED, ["invoke", *LEFT, "ainvoke"])
_ways("react", lambda: chains.react(chains.fake(call(), ANSWER)), ASKED, ["invoke", "ainvoke"])
_ways("broken", lambda: chains.graph({"step": chains.broken}), {"question": QUESTION}, ["invoke", "astream"])
_ways("retriever", Library, QUESTION, ["invoke", "ainvoke"])
_ways("seen", lambda: Asking() | RunnableLambda(lambda found: found.content), QUESTION, ["invoke", "ainvoke"])
_ways("text", lambda: FakeListLLM(responses=[ANSWER]), QUESTION, ["invoke", "astream"])


@scene
def failing_model(config: dict[str, Any]) -> Any:
    """Have a model raise after it has answered once."""
    model = chains.Fake(messages=_failing())
    return [model.invoke(QUESTION, config), model.invoke(QUESTION, config)]


@scene
def parameters(config: dict[str, Any]) -> Any:
    """Ask with all that can be asked."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    return chains.fake(counted('{"a": 1}')).invoke(
        messages(), config, stop="x", n=2, tools=[tool], temperature=1, max_tokens=9
    )


@scene
def a_tool_that_refuses(config: dict[str, Any]) -> Any:
    """Tell the model of a failure."""
    tool = StructuredTool.from_function(refuse, handle_tool_error=True)
    return chains.agent(chains.fake(chains.tool_call("refuse", city="Rome"), ANSWER), tool).invoke(
        ASKED, config
    )


@scene
def a_tool_that_fails(config: dict[str, Any]) -> Any:
    """Fail by oneself."""
    return StructuredTool.from_function(fail).invoke({"city": "Rome"}, config)


@scene
def a_tool(config: dict[str, Any]) -> Any:
    """Give what is no text."""
    found = StructuredTool.from_function(lambda city: {"in": [city]}, name="look", description="Look")
    return [found.invoke({"city": "Rome"}, config), asyncio.run(found.ainvoke({"city": "Bari"}, config))]


@scene
def cached(config: dict[str, Any]) -> Any:
    """Ask the same twice."""
    model = chains.Fake(messages=iter([counted()]), cache=InMemoryCache())
    return [model.invoke(QUESTION, config) for _ in range(2)]


@scene
def several(config: dict[str, Any]) -> Any:
    """Ask with several prompts at once, for several choices."""
    asked = [[chains.human(QUESTION)], [chains.human("And?")]]
    return Asking(count=2).generate(asked, callbacks=config["callbacks"])


@scene
def a_model_of_models(config: dict[str, Any]) -> Any:
    """Ask by way of another model."""
    return chains.Delegate(to=chains.fake(ANSWER)).invoke(QUESTION, config)


@scene
def documents(config: dict[str, Any]) -> Any:
    """Answer from what was found."""
    found = RunnableLambda(lambda asked: {"question": Library().invoke(asked["question"])[0].page_content})
    return (found | chains.chain(chains.fake(ANSWER))).invoke({"question": QUESTION}, config)


@scene
def left(config: dict[str, Any]) -> Any:
    """Leave streams after their first item."""
    found = []
    for make in (chains.chain, chains.agent):
        given = ASKED if make is chains.agent else {"question": QUESTION}
        stream = make(chains.fake(ANSWER)).stream(given, config)
        found.append(next(stream))
        stream.close()
    return found


@scene
def tokens(config: dict[str, Any]) -> Any:
    """Read what a graph's model says as it comes."""

    async def read() -> list[Any]:
        return [
            (one["event"], one["name"])
            async for one in chains.agent(chains.fake(ANSWER)).astream_events(ASKED, config, version="v2")
        ]

    return asyncio.run(read())


@scene
def waiting(config: dict[str, Any]) -> Any:
    """Wait for a person, and go on."""
    types = chains.waiting()
    graph = chains.kept({"step": lambda _: {"answer": str(types.interrupt("Which city?"))}})
    return [graph.invoke({"question": QUESTION}, config), graph.invoke(types.Command(resume="Rome"), config)]


@scene
def a_tool_that_waits(config: dict[str, Any]) -> Any:
    """Wait for a person in a tool, and go on."""
    types = chains.waiting()
    tool = StructuredTool.from_function(
        lambda city: str(types.interrupt(city)), name="ask", description="Ask"
    )
    model = chains.fake(chains.tool_call("ask", city="Rome"), ANSWER)
    agent = chains.agent(model, tool, checkpointer=MemorySaver())
    return [agent.invoke(ASKED, config), agent.invoke(types.Command(resume="yes"), config)]


@scene
def handing_over(config: dict[str, Any]) -> Any:
    """Hand over to the graph above."""
    command = chains.waiting().Command

    def hand_over(city: str) -> Any:
        """Hand over."""
        return command(goto="answer_step", graph=command.PARENT, update={"answer": city})

    tool = StructuredTool.from_function(hand_over)
    helper = chains.agent(chains.fake(chains.tool_call("hand_over", city="Rome")), tool)
    return chains.handing_over(helper).invoke(ASKED, config)


@scene
def an_agent_in_an_agent(config: dict[str, Any]) -> Any:
    """Ask an agent without a name for help."""
    scout = chains.agent(chains.fake(ANSWER), name=None)

    def ask(city: str) -> str:
        """Ask somebody."""
        return str(scout.invoke({"messages": [("user", city)]})["messages"][-1].content)

    tool = StructuredTool.from_function(ask)
    return chains.agent(chains.fake(chains.tool_call("ask", city="Rome"), ANSWER), tool).invoke(ASKED, config)


@scene
def going(config: dict[str, Any]) -> Any:
    """Go on with a run when the hooks have gone."""
    stream = chains.chain(chains.fake(ANSWER)).stream({"question": QUESTION}, config)
    first = next(stream)
    otel_genai.uninstrument("langchain")
    return [first, *stream]


@scene
def prompt_alone(config: dict[str, Any]) -> Any:
    """Fill in a prompt, which is no workflow, and ask for nothing."""
    prompt = ChatPromptTemplate.from_messages([("user", "{question}")])
    return [prompt.invoke({"question": QUESTION}, config), chains.fake("").invoke("", config)]


UNORDERED = ("handing_over",)
"""Where LangChain itself tells handlers in any order: it puts them into a set."""

# --- What comes of it ------------------------------------------------------------------------------------


_FLEETING = re.compile(r"0x[0-9a-f]+|[0-9a-f]{32}")


class Recorder(BaseCallbackHandler):
    """A handler of the program's own."""

    run_inline = True

    def __init__(self, name: str, told: list[Any]) -> None:
        """Write to a list, which may be others', too."""
        self.name = name
        self.told = told


def _telling(event: str) -> Any:
    def tell(self: Recorder, *args: Any, **known: Any) -> None:
        self.told.append([self.name, event, described(args), described(known)])

    return tell


for _event in langchain.CALLBACKS:
    setattr(Recorder, _event, _telling(_event))


def described(value: Any) -> Any:
    """Bring what a program sees into plain data by which two runs can be compared."""
    if isinstance(value, dict):
        return {str(key): described(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(described, value)]
    if isinstance(value, UUID):
        return "id"
    if isinstance(value, BaseException):
        frames = [(one.name, one.lineno) for one in traceback.extract_tb(value.__traceback__)[-3:]]
        return [type(value).__name__, _lasting(str(value)), repr(value.__cause__), frames]
    return [type(value).__name__, _lasting(repr(value))]


def _lasting(text: str) -> str:
    return _FLEETING.sub("", chains.IDS.sub("id", text))


def outcome(name: str) -> dict[str, Any]:
    """Play a scene; give what it gave or raised, and all that its own handlers were told, in order."""
    told: list[Any] = []
    handlers = [Recorder("first", told), Recorder("second", told)]
    config = {"callbacks": handlers, "configurable": THREAD, "tags": ["x"], "metadata": {"y": 1}}

    def play() -> tuple[Any, bool]:
        before = dict(otel.get_current())
        try:
            result = SCENES[name](config)
        except Exception as error:  # noqa: BLE001 (it is compared)
            result = error
        return described(result), dict(otel.get_current()) == before

    result, is_where_it_was = contextvars.copy_context().run(play)
    if name in UNORDERED:
        told.sort(key=lambda one: str(one[0]))
    return {"result": result, "told": told, "context": is_where_it_was}
