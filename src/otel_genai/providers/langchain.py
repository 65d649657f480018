"""LangChain and LangGraph: workflows, agents, tools and retrievers, as LangChain's callbacks tell of them.

A graph is a workflow, and so is the outermost run of a chain; a graph that LangChain's `create_agent` or
LangGraph's `create_react_agent` has made is an agent. The steps in between have no spans. The call of a model
is told by the provider's own SDK, with the conversation and the agent that LangChain knows of; where no SDK
that we see is beneath, as with a model in the program itself, it is told as LangChain tells it. A thread's id
is the conversation's; an interrupt is no error.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from otel_genai import semconv as s
from otel_genai.providers import _langchain_content as said
from otel_genai.providers._langchain_models import CHAT, COMPLETION, asked
from otel_genai.spec import Attributes, Operation, Provider, Run, Runs

NAMELESS = ("Runnable", "LangGraph", "StateGraph", "CompiledStateGraph", "CompiledGraph", "Pregel")
"""What the names of chains and graphs begin with that nobody has named."""
STEPS = ("prompt", "parser")
"""Types of runs that coordinate nothing, even if they stand alone."""
CONVERSATIONS = ("thread_id", "session_id", "conversation_id")
"""Where in a run's metadata its conversation is named; the same ones that LangSmith knows."""
MAKERS = {
    ("langchain.agents.factory", "create_agent"),
    ("langgraph.prebuilt.chat_agent_executor", "create_react_agent"),
}
"""The functions that make agents: a graph of theirs has nodes that are functions defined in them."""
GRAPHS = "langgraph.pregel"
"""The modules whose methods run graphs."""
BUBBLE = "GraphBubbleUp"
"""LangGraph's class of exceptions that are none, but its way of handing control upwards."""
INTERRUPT = "GraphInterrupt"
UNTOLD = frozenset({"run", "arun", "invoke", "ainvoke", "agenerate"})
"""LangChain's methods of tools, retrievers and models that do not tell of every end: not of cancellations."""
THROUGH = frozenset({"langchain_core.callbacks.manager", "otel_genai.providers.langchain"})

# --- Chains, graphs and agents ---------------------------------------------------------------------------


class Part(NamedTuple):
    """What a run is part of, and how LangChain says so: in metadata that all runs within inherit."""

    conversation: str | None = None
    agent: str | None = None
    label: str | None = None


def chain(runs: Runs, serialized: Any, inputs: Any, **told: Any) -> None:
    """Begin a chain, a graph, or a step of one."""
    known = metadata(told)
    above = runs.note(told.get("parent_run_id"))
    part = within(known, above)
    name = told.get("name") or (serialized or {}).get("name")
    graph = runs.teller(GRAPHS)
    operation = None
    if is_agent(graph) or is_labelled(name, part, above):
        own = part.label if above is None or part.label != above.label else None
        name = meaningful(getattr(graph, "name", None)) or own or meaningful(name)
        operation, part = AGENT, part._replace(agent=name)
    elif graph is not None or (above is None and told.get("run_type") not in STEPS):
        operation, name = WORKFLOW, meaningful(name)
    begin(runs, Run(operation=operation, body={"name": name, "input": inputs}, note=part), told)


def is_agent(graph: Any) -> bool:
    """Whether a graph is one of the functions' that make agents."""
    builder = getattr(graph, "builder", None)
    nodes = getattr(builder, "nodes", None) or {}
    functions = (getattr(getattr(node, "runnable", None), "func", None) for node in nodes.values())
    return any(_home(function) in MAKERS for function in functions)


def _home(function: Any) -> tuple[Any, str]:
    """Give the module and the function that a function is defined in."""
    return getattr(function, "__module__", None), getattr(function, "__qualname__", "").partition(".")[0]


def is_labelled(name: Any, part: Part, above: Part | None) -> bool:
    """Whether a run is a whole agent by its label, and not a step of it: that has inherited its label."""
    if part.label is None or above is None:
        return part.label is not None
    return part.label == name and part.label != above.label


def within(known: Mapping[str, Any], above: Part | None) -> Part:
    """Say what a run is part of; an inherited label says nothing new."""
    label = known.get("lc_agent_name")
    is_inherited = above is not None and label == above.label
    return Part(conversation(known), above.agent if above and is_inherited else label, label)


def conversation(known: Mapping[str, Any]) -> str | None:
    """Give the id of the conversation that a run is part of."""
    found = next((known[key] for key in CONVERSATIONS if known.get(key)), None)
    return None if found is None else str(found)


def metadata(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what LangChain knows of a run besides its type."""
    return told.get("metadata") or {}


def changed(part: Part, above: Part | None) -> Attributes:
    """Give what is known of a run that is not already known around it; None where that no longer holds."""
    found: Attributes = {}
    if part.conversation and (above is None or above.conversation != part.conversation):
        found[s.CONVERSATION_ID] = part.conversation
    if part.agent != (above.agent if above else None):
        found[s.AGENT_NAME] = part.agent
    return found


def meaningful(name: Any) -> str | None:
    """Give the name of a chain or a graph, if somebody has given it one."""
    return name if isinstance(name, str) and not name.startswith(NAMELESS) else None


def ended(runs: Runs, outputs: Any = None, **told: Any) -> None:
    """End a run of whatever kind."""
    runs.done(told["run_id"], outputs)


def failed(runs: Runs, error: BaseException, **told: Any) -> None:
    """End a run that raised, were it only to hand control upwards."""
    kinds = {cls.__name__ for cls in type(error).__mro__}
    if INTERRUPT in kinds:
        runs.stopped(told["run_id"])
    elif BUBBLE in kinds:
        runs.done(told["run_id"])
    else:
        runs.failed(told["run_id"], error)


def over(runs: Runs, *args: Any, **told: Any) -> None:
    """See that the program is not left within a run that has ended, whatever failed in telling so."""
    runs.over(told["run_id"], next((one for one in args if isinstance(one, BaseException)), None))


# --- Tools and retrievers --------------------------------------------------------------------------------


def tool(runs: Runs, serialized: Any, input_str: str, **told: Any) -> None:
    """Begin a tool."""
    found, given = serialized or {}, told.get("inputs")
    body = {
        "name": found.get("name") or told.get("name"),
        "description": found.get("description"),
        "id": told.get("tool_call_id"),
        "arguments": input_str if given is None else given,
    }
    begin(runs, Run(operation=TOOL, body=body), told)


def retriever(runs: Runs, _: Any, query: str, **told: Any) -> None:
    """Begin a search."""
    begin(runs, Run(operation=RETRIEVAL, body={"query": query}, is_remote=True), told)


def model(runs: Runs, serialized: Any, messages: Any, **told: Any) -> None:
    """Begin to ask a chat model."""
    begin(runs, asked(CHAT, serialized, messages, told), told)


def text_model(runs: Runs, serialized: Any, prompts: Any, **told: Any) -> None:
    """Begin to ask a model that completes text."""
    begin(runs, asked(COMPLETION, serialized, prompts, told), told)


def begin(runs: Runs, what: Run, told: Mapping[str, Any]) -> None:
    """Begin a run that is part of what its metadata says."""
    above = runs.note(told.get("parent_run_id"))
    part = what.note or within(metadata(told), above)
    what.shared = changed(part, above)
    if what.operation is not None and what.operation.name not in (s.INVOKE_WORKFLOW, s.INVOKE_AGENT):
        what.keeper = runs.manager("langchain_core.", UNTOLD)
    # What a step says is known to nobody: it has nothing that could carry it.
    what.note = above if what.operation is None and above is not None else part
    runs.begin(told["run_id"], told.get("parent_run_id"), what)


def token(runs: Runs, *_: Any, **told: Any) -> None:
    """Take note that an answer goes on."""
    runs.heard(told["run_id"])


def answered(runs: Runs, result: Any, **told: Any) -> None:
    """End the asking of a model; what comes out of LangChain's cache was asked of nobody."""
    runs.done(told["run_id"], result, is_known=said.is_cached(result, told["run_id"]))


# --- The declaration -------------------------------------------------------------------------------------

WORKFLOW = Operation(
    name=s.INVOKE_WORKFLOW,
    request={"name": s.WORKFLOW_NAME},
    inputs=said.inputs,
    outputs=said.outputs,
)
AGENT = Operation(
    name=s.INVOKE_AGENT,
    request={"name": s.AGENT_NAME},
    inputs=said.inputs,
    outputs=said.outputs,
)
TOOL = Operation(
    name=s.EXECUTE_TOOL,
    constants={s.TOOL_TYPE: "function"},
    request={"name": s.TOOL_NAME, "description": s.TOOL_DESCRIPTION, "id": s.TOOL_CALL_ID},
    contents={s.TOOL_CALL_ARGUMENTS: said.arguments},
    response=(said.called,),
    results={s.TOOL_CALL_RESULT: said.result},
    fault=said.fault,
)
RETRIEVAL = Operation(
    name=s.RETRIEVAL,
    contents={s.RETRIEVAL_QUERY_TEXT: said.query},
    results={s.RETRIEVAL_DOCUMENTS: said.documents},
)
CALLBACKS: Mapping[str, Callable[..., None]] = {
    "on_chain_start": chain,
    "on_chain_end": ended,
    "on_chain_error": failed,
    "on_tool_start": tool,
    "on_tool_end": ended,
    "on_tool_error": failed,
    "on_retriever_start": retriever,
    "on_retriever_end": ended,
    "on_retriever_error": failed,
    "on_chat_model_start": model,
    "on_llm_start": text_model,
    "on_llm_new_token": token,
    "on_stream_event": token,
    "on_llm_end": answered,
    "on_llm_error": failed,
}
ENDS = ("_end", "_error")
"""What the names of callbacks end with that tell of an end."""


def attach(module: Any, runs: Runs) -> Callable[[], None]:
    """Have every callback manager that LangChain makes call us, too."""
    runs.through |= THROUGH
    base: Any = importlib.import_module("langchain_core.callbacks.base").BaseCallbackHandler
    members = {name: _callback(runs, name, function) for name, function in CALLBACKS.items()}
    # In the caller's own task: in a thread of an executor's, nothing could be made current.
    options = {"run_inline": True, "raise_error": runs.strict, "__module__": __name__}
    handler = type("OtelGenai", (base,), {**members, **options})()
    variable: ContextVar[Any] = ContextVar("otel_genai", default=handler)
    module.register_configure_hook(variable, inheritable=True)

    def detach() -> None:
        hooks = module._configure_hooks
        hooks[:] = [hook for hook in hooks if hook[0] is not variable]

    return detach


def _callback(runs: Runs, name: str, function: Callable[..., None]) -> Callable[..., None]:
    ends = name.endswith(ENDS)

    def tell(_: Any, *args: Any, **told: Any) -> None:
        runs.safely(functools.partial(function, **told), runs, *args)
        if ends:
            runs.safely(functools.partial(over, **told), runs, *args)

    return tell


PROVIDER = Provider(
    "langchain",
    requires="langchain-core >= 0.3.15",
    attach={"langchain_core.tracers.context": attach},
)
