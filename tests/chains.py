"""Programs of LangChain and LangGraph for the tests, with a real SDK, and a server that plays the model."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from sdks.kit import Reply

try:
    from langchain.agents import create_agent as _create_agent
except ImportError:
    _create_agent = None
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 5,
    "total_tokens": 35,
    "prompt_tokens_details": {"cached_tokens": 10},
}
ANSWER = "Two artichokes."
QUESTION = "What of the marmalade?"
MODEL = "gpt-4.1-mini"


def _body(message: dict[str, Any], finish: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{MODEL}-2025-04-14",
        "choices": [choice],
        "usage": USAGE,
    }


def _chunks(body: dict[str, Any]) -> Iterator[bytes]:
    choice = body["choices"][0]
    message, head = choice["message"], {**body, "object": "chat.completion.chunk", "usage": None}
    calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls", ()))]
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in message["content"] or "")]
    deltas += [{"tool_calls": calls}] if calls else []
    for delta in deltas:
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield _event({**head, "choices": [last]})
    yield _event({**head, "choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def said(text: str = ANSWER, *, stream: bool = False) -> Reply:
    """Give the answer that says this."""
    return _reply(_body({"content": text}, "stop"), stream=stream)


def calls(name: str, *, stream: bool = False, **arguments: Any) -> Reply:
    """Give the answer that asks for a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": "call_1", "type": "function", "function": function}
    return _reply(_body({"content": None, "tool_calls": [call]}, "tool_calls"), stream=stream)


def _reply(body: dict[str, Any], *, stream: bool) -> Reply:
    if stream:
        return Reply(kind="text/event-stream", pieces=tuple(_chunks(body)))
    return Reply(json.dumps(body).encode())


def model(url: str, **more: Any) -> ChatOpenAI:
    """Make a chat model that asks a server of ours, once."""
    return ChatOpenAI(
        model=MODEL,
        base_url=f"{url}/v1",
        api_key="none",
        max_retries=0,
        stream_usage=True,
        temperature=0.5,
        **more,
    )


class Fake(GenericFakeChatModel):
    """A model of the program's own, which no SDK is beneath."""

    def bind_tools(self, *_: Any, **__: Any) -> Fake:
        """Know the tools already."""
        return self


def fake(*messages: Any) -> Fake:
    """Make a model that says this."""
    return Fake(messages=iter([AIMessage(one) if isinstance(one, str) else one for one in messages]))


def chain(model: Any) -> Any:
    """Make a sequence: a prompt, a model, a parser."""
    return ChatPromptTemplate.from_messages([("user", "{question}")]) | model | StrOutputParser()


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def created(model: Any, *tools: Any, name: str | None = "helper", **more: Any) -> Any:
    """Make an agent that knows the weather, by LangChain's own function."""
    if _create_agent is None:
        pytest.skip("needs LangChain 1: pip install 'otel-genai[frameworks]'")
    return _create_agent(model, [*(tools or (weather,))], name=name, system_prompt="Be brief.", **more)


def react(model: Any, *tools: Any, name: str | None = "helper", **more: Any) -> Any:
    """Make an agent that knows the weather, by LangGraph's own function."""
    made = create_react_agent(model, [*(tools or (weather,))], **more)
    if name is not None:
        made.name = name  # in older versions, the function takes none
    return made


agent = react if _create_agent is None else created
"""Makes an agent by the newest function there is."""


class State(TypedDict, total=False):
    """What a graph knows."""

    question: str
    left: str
    right: str
    answer: str


def graph(steps: dict[str, Callable[[Any], Any]], *, side_by_side: bool = False, **more: Any) -> Any:
    """Make a graph of steps, one after the other or all at once."""
    built: Any = StateGraph(State)
    before = START
    for name, step in steps.items():
        node = f"{name}_step"
        built.add_node(node, step)
        built.add_edge(before, node)
        if side_by_side:
            built.add_edge(node, END)
        else:
            before = node
    if not side_by_side:
        built.add_edge(before, END)
    made = built.compile(**more)
    made.name = "inquiry"
    return made


def kept(steps: dict[str, Callable[[Any], Any]], **more: Any) -> Any:
    """Make a graph that keeps its threads."""
    return graph(steps, checkpointer=MemorySaver(), **more)


def waiting() -> Any:
    """Give what LangGraph has for runs that wait for a person."""
    why = "needs a LangGraph that can interrupt: pip install 'otel-genai[frameworks]'"
    types = pytest.importorskip("langgraph.types", reason=why)
    return types if hasattr(types, "interrupt") else pytest.skip(why)


def invoke(runnable: Any, given: Any, config: Any = None) -> Any:
    """Call it."""
    return runnable.invoke(given, config)


def stream(runnable: Any, given: Any, config: Any = None) -> Any:
    """Read its stream."""
    return list(runnable.stream(given, config))


def batch(runnable: Any, given: Any, config: Any = None) -> Any:
    """Call it three times at once."""
    return runnable.batch([given] * 3, config)


def ainvoke(runnable: Any, given: Any, config: Any = None) -> Any:
    """Call it in a loop."""
    return asyncio.run(_awaited(runnable, given, config))


async def _awaited(runnable: Any, given: Any, config: Any) -> Any:
    return await runnable.ainvoke(given, config)


def astream(runnable: Any, given: Any, config: Any = None) -> Any:
    """Read its stream in a loop."""
    return asyncio.run(_streamed(runnable, given, config))


async def _streamed(runnable: Any, given: Any, config: Any) -> Any:
    return [one async for one in runnable.astream(given, config)]


def abatch(runnable: Any, given: Any, config: Any = None) -> Any:
    """Call it three times at once in a loop."""
    return asyncio.run(_batched(runnable, given, config))


async def _batched(runnable: Any, given: Any, config: Any) -> Any:
    return await runnable.abatch([given] * 3, config)


WAYS: dict[str, Callable[..., Any]] = {
    "invoke": invoke,
    "ainvoke": ainvoke,
    "stream": stream,
    "astream": astream,
    "batch": batch,
    "abatch": abatch,
}
NEVER = ALWAYS_OFF
IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STREAMS = ("stream", "astream")
TIMES = {"batch": 3, "abatch": 3}
"""How many calls a way makes."""


class Delegate(BaseChatModel):
    """A model that asks another one."""

    to: Any

    @property
    def _llm_type(self) -> str:
        return "delegate"

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.to.invoke(messages))])


def broken(_: Any) -> Any:
    """Fail, as a step does."""
    msg = "marmalade"
    raise RuntimeError(msg)


def human(text: str) -> HumanMessage:
    """Ask."""
    return HumanMessage(text)


def tool_call(name: str, **arguments: Any) -> AIMessage:
    """Make the message that asks for a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": "call_1"}])


class Turns(MessagesState):
    """What a graph knows that hands over."""

    answer: str


def handing_over(helper: Any) -> Any:
    """Make a graph of an agent that hands over to the next step."""
    built: Any = StateGraph(Turns)
    built.add_node("helper_step", helper, destinations=("answer_step",))
    built.add_node("answer_step", lambda state: {"answer": state["answer"]})
    built.add_edge(START, "helper_step")
    built.add_edge("answer_step", END)
    made = built.compile()
    made.name = "inquiry"
    return made
