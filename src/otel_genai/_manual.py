"""Spans by hand, for what no patch sees: retrieval, tools, agents, workflows, a model of one's own.

They are the same `Call` as the patched ones: same attributes, metrics, errors and content gate.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from types import FrameType
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_genai import _context, content
from otel_genai import semconv as s
from otel_genai._bound import Bound
from otel_genai._call import Call
from otel_genai._telemetry import Telemetry, active
from otel_genai.spec import Attributes, Operation

_PARAMETERS = {
    "choice_count": s.REQUEST_CHOICE_COUNT,
    "frequency_penalty": s.REQUEST_FREQUENCY_PENALTY,
    "max_tokens": s.REQUEST_MAX_TOKENS,
    "output_type": s.OUTPUT_TYPE,
    "presence_penalty": s.REQUEST_PRESENCE_PENALTY,
    "reasoning_level": s.REQUEST_REASONING_LEVEL,
    "seed": s.REQUEST_SEED,
    "stop_sequences": s.REQUEST_STOP_SEQUENCES,
    "stream": s.REQUEST_STREAM,
    "temperature": s.REQUEST_TEMPERATURE,
    "top_k": s.REQUEST_TOP_K,
    "top_p": s.REQUEST_TOP_P,
}


_SHAPES: dict[str, Callable[[Any], Any]] = {
    s.SYSTEM_INSTRUCTIONS: content.parts,
    s.INPUT_MESSAGES: functools.partial(content.messages, role="user"),
    s.OUTPUT_MESSAGES: functools.partial(content.messages, role="assistant"),
}
"""How content that may be given in short is read, where it is wanted at all."""


@functools.lru_cache(maxsize=64)
def _bound(telemetry: Telemetry, operation: str, kind: SpanKind) -> Bound:
    return Bound(telemetry, "manual", Operation(name=operation), kind)


class Block(_context.Block):
    """A span of one's own: use it by `with`, `async with` or as a decorator."""

    _kind = SpanKind.INTERNAL

    def __init__(self, operation: str, attributes: Attributes, written: dict[str, Any]) -> None:
        """Keep what is known beforehand; the span starts when the block is entered."""
        self._operation = operation
        self._attributes = {key: value for key, value in attributes.items() if value is not None}
        self._written = written
        self._call: Call | None = None

    def set(self, name: str, value: Any) -> None:
        """Set any further span attribute; a None sets nothing."""
        if self._call is not None and value is not None:
            self._call.found[name] = value

    def _set(self, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            self.set(name, value)

    def _write(self, key: str, value: Any) -> None:
        self._safely(self._keep, key, value)

    def _keep(self, key: str, value: Any) -> None:
        # Nothing found, False or 0 are results too, so the call's own test for emptiness is not asked.
        if self._call is not None and value is not None and self._call.captures:
            self._call.written[key] = _SHAPES[key](value) if key in _SHAPES else value

    def _begin(self, frame: FrameType | None) -> Context:
        here = otel.get_current()
        around = _context.current(here)
        if (around is not None and around.suppressed) or _context.suppressed(here):
            return here
        bound = _bound(active(), self._operation, self._kind)
        self._call = Call(bound, {**bound.constants, **self._attributes}, here, around, frame)
        for key, value in self._written.items():
            self._write(key, value)
        return self._call.context

    def _end(self, error: BaseException | None) -> None:
        if self._call is None:
            return
        if error is None:
            self._call.done()
        else:
            self._call.failed(error)

    def _again(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Block:  # noqa: ARG002
        again = copy.copy(self)
        again._attributes = dict(self._attributes)
        again._written = dict(self._written)
        again._call = None
        return again


class _Answering(Block):
    """A block with an answer and token counts."""

    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cache_read_input_tokens: int | None = None,
        cache_write_input_tokens: int | None = None,
        reasoning_output_tokens: int | None = None,
    ) -> None:
        """Set token counts; totals include their parts: cached tokens the input, reasoning the output."""
        self._set(
            {
                s.USAGE_INPUT_TOKENS: input_tokens,
                s.USAGE_OUTPUT_TOKENS: output_tokens,
                s.USAGE_CACHE_READ_INPUT_TOKENS: cache_read_input_tokens,
                s.USAGE_CACHE_WRITE_INPUT_TOKENS: cache_write_input_tokens,
                s.USAGE_REASONING_OUTPUT_TOKENS: reasoning_output_tokens,
            }
        )

    def answer(
        self,
        output: Any = None,
        *,
        model: str | None = None,
        id: str | None = None,  # noqa: A002 (the conventions' word)
        finish_reasons: Sequence[str] | None = None,
    ) -> None:
        """Set what came back.

        Args:
            output: a string, a message (`{"role": ..., "parts": [...]}`), or a list; content, so only
                recorded when capture is on.
            model: the model that answered.
            id: the provider's id of the answer.
            finish_reasons: one per choice, such as `["stop"]`.
        """
        self._set({s.RESPONSE_MODEL: model, s.RESPONSE_ID: id})
        if finish_reasons is not None:
            self.set(s.RESPONSE_FINISH_REASONS, list(finish_reasons))
        self._write(s.OUTPUT_MESSAGES, output)


class Inference(_Answering):
    """One call of a model: made by `inference()`."""

    def chunk(self) -> None:
        """Say that a chunk of output has just come: gives the time to the first and between chunks."""
        if self._call is not None:
            self._call.times.append(perf_counter())


class Embeddings(_Answering):
    """One call of an embedding model: made by `embeddings()`."""


class Retrieval(Block):
    """One search: made by `retrieval()`."""

    _kind = SpanKind.CLIENT

    def documents(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Set what was found: `[{"id": ..., "score": ...}, ...]`; content."""
        self._write(s.RETRIEVAL_DOCUMENTS, [dict(document) for document in found])


class Tool(Block):
    """One execution of a tool: made by `tool()`."""

    def result(self, value: Any) -> None:
        """Set what the tool returned; content."""
        self._write(s.TOOL_CALL_RESULT, value)

    def _returned(self, value: Any) -> None:
        self.result(value)

    def _again(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Block:
        again = super()._again(function, args, kwargs)
        again._attributes.setdefault(s.TOOL_NAME, _name(function))
        wanted = _bound(active(), self._operation, self._kind).gate.captures
        if wanted and s.TOOL_CALL_ARGUMENTS not in again._written:
            again._written[s.TOOL_CALL_ARGUMENTS] = _arguments(function, args, kwargs)
        return again


def _name(function: Callable[..., Any]) -> str:
    """Name whatever can be called: a partial after its function, an object after its class."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _arguments(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any] | None:
    """Name the arguments; None where they do not fit, as the function will say, or it has no signature."""
    try:
        given = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None
    return {name: value for name, value in given.items() if name not in ("self", "cls")}


class Agent(_Answering):
    """One run of an agent: made by `agent()`."""


class Workflow(_Answering):
    """One run of a workflow: made by `workflow()`."""


def _parameters(given: Mapping[str, Any]) -> Attributes:
    unknown = sorted(set(given) - set(_PARAMETERS))
    if unknown:
        msg = f"inference() knows no {', '.join(unknown)}; it knows {', '.join(_PARAMETERS)}"
        raise TypeError(msg)
    return {_PARAMETERS[name]: value for name, value in given.items()}


def _request(instructions: Any, asked: Any, tools: Any = None) -> dict[str, Any]:
    return {s.TOOL_DEFINITIONS: tools, s.SYSTEM_INSTRUCTIONS: instructions, s.INPUT_MESSAGES: asked}


def inference(
    model: str | None = None,
    *,
    provider: str,
    operation: str = s.CHAT,
    instructions: Any = None,
    input: Any = None,  # noqa: A002 (a string, a message, or a list of either)
    tools: Sequence[Mapping[str, Any]] | None = None,
    server: tuple[str, int] | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Inference:
    """Trace one call of a model that no patch sees: `with inference("llama-3", provider="vllm") as call:`.

    A patched call made within is the same inference: its tokens and answer are taken over, not doubled.

    Args:
        model: the model asked for.
        provider: `gen_ai.provider.name`: one of the conventions' names, or the field's name for it.
        operation: `chat`, `text_completion` or `generate_content`.
        instructions: the system prompt; content.
        input: the messages sent; content.
        tools: the tools' definitions; content.
        server: host and port.
        in_process: the model runs in this process, so the span is INTERNAL.
        parameters: temperature, top_p, top_k, max_tokens, seed, stop_sequences, frequency_penalty,
            presence_penalty, choice_count, output_type, reasoning_level, stream.
    """
    address, port = server or (None, None)
    attributes = {
        s.PROVIDER_NAME: provider,
        s.REQUEST_MODEL: model,
        s.SERVER_ADDRESS: address,
        s.SERVER_PORT: port,
        **_parameters(parameters),
    }
    block = Inference(operation, attributes, _request(instructions, input, tools))
    block._kind = SpanKind.INTERNAL if in_process else SpanKind.CLIENT
    return block


def embeddings(
    model: str | None = None,
    *,
    provider: str,
    dimensions: int | None = None,
    encoding_formats: Sequence[str] | None = None,
    server: tuple[str, int] | None = None,
    in_process: bool = False,
) -> Embeddings:
    """Trace one call of an embedding model that no patch sees.

    Args:
        model: the model asked for.
        provider: `gen_ai.provider.name`.
        dimensions: how many the vectors have.
        encoding_formats: such as `["float"]`.
        server: host and port.
        in_process: the model runs in this process, so the span is INTERNAL.
    """
    address, port = server or (None, None)
    attributes = {
        s.PROVIDER_NAME: provider,
        s.REQUEST_MODEL: model,
        s.EMBEDDINGS_DIMENSION_COUNT: dimensions,
        s.REQUEST_ENCODING_FORMATS: list(encoding_formats) if encoding_formats else None,
        s.SERVER_ADDRESS: address,
        s.SERVER_PORT: port,
    }
    block = Embeddings(s.EMBEDDINGS, attributes, {})
    block._kind = SpanKind.INTERNAL if in_process else SpanKind.CLIENT
    return block


def retrieval(
    data_source: str | None = None,
    *,
    provider: str | None = None,
    model: str | None = None,
    query: str | None = None,
    top_k: int | None = None,
) -> Retrieval:
    """Trace one search in a vector store or search engine: `with retrieval("docs", top_k=5) as search:`.

    Args:
        data_source: the store's or index's id.
        provider: `gen_ai.provider.name`, where a GenAI provider is asked.
        model: the embedding or ranking model, where one is part of the request.
        query: the text searched for; content.
        top_k: how many documents are asked for at most.
    """
    attributes = {
        s.DATA_SOURCE_ID: data_source,
        s.PROVIDER_NAME: provider,
        s.REQUEST_MODEL: model,
        s.RETRIEVAL_TOP_K: top_k,
    }
    return Retrieval(s.RETRIEVAL, attributes, {s.RETRIEVAL_QUERY_TEXT: query})


def tool(
    name: str | None = None,
    *,
    type: str = "function",  # noqa: A002 (the conventions' word)
    call_id: str | None = None,
    description: str | None = None,
    arguments: Any = None,
) -> Tool:
    """Trace one execution of a tool: `with tool("get_weather", call_id=call.id) as run:`.

    As a decorator, the function's name, arguments and result are the tool's.

    Args:
        name: the tool's name.
        type: `function` (run by this program), `extension` or `datastore`.
        call_id: the id that the model gave the call.
        description: what the tool is for.
        arguments: what it is called with; content.
    """
    attributes = {
        s.TOOL_NAME: name,
        s.TOOL_TYPE: type,
        s.TOOL_CALL_ID: call_id,
        s.TOOL_DESCRIPTION: description,
    }
    written = {} if arguments is None else {s.TOOL_CALL_ARGUMENTS: content.decoded(arguments)}
    return Tool(s.EXECUTE_TOOL, attributes, written)


def agent(
    name: str | None = None,
    *,
    description: str | None = None,
    model: str | None = None,
    data_source: str | None = None,
    instructions: Any = None,
    input: Any = None,  # noqa: A002 (a string, a message, or a list of either)
) -> Agent:
    """Trace one run of an agent in this process: `with agent("planner") as run:`.

    Args:
        name: the agent's name.
        description: what it is for.
        model: its model, if it can only have one.
        data_source: the id of the data it is grounded in.
        instructions: its system prompt; content.
        input: what it is asked; content.
    """
    attributes = {
        s.AGENT_NAME: name,
        s.AGENT_DESCRIPTION: description,
        s.REQUEST_MODEL: model,
        s.DATA_SOURCE_ID: data_source,
    }
    return Agent(s.INVOKE_AGENT, attributes, _request(instructions, input))


def workflow(name: str | None = None, *, input: Any = None) -> Workflow:  # noqa: A002
    """Trace one run of a workflow that coordinates calls, tools or agents: `with workflow("answer") as run:`.

    Args:
        name: the workflow's name; one of few.
        input: what it is asked; content.
    """
    return Workflow(s.INVOKE_WORKFLOW, {s.WORKFLOW_NAME: name}, _request(None, input))
