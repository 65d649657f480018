"""Bedrock's agents and knowledge bases, which answer on a host of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers._bedrock_errors import error
from otel_genai.spec import Attributes, Body, Operation, Row, items, plain


def _dug(value: Any, *path: str) -> Any:
    """Follow a path; None where it ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


# --- Agents ----------------------------------------------------------------------------------------------

AGENT_REQUEST: Mapping[str, Row] = {
    "agentId": s.AGENT_ID,
    "agentName": s.AGENT_NAME,
    "sessionId": s.CONVERSATION_ID,
    "foundationModel": s.REQUEST_MODEL,
    "guardrailConfiguration": (s.AWS_BEDROCK_GUARDRAIL_ID, lambda config: config["guardrailIdentifier"]),
}


def agent_instructions(body: Body) -> list[content.Part]:
    """Read what an agent that is made for this call is told to be."""
    return [content.text(body["instruction"])] if isinstance(body.get("instruction"), str) else []


def agent_inputs(body: Body) -> list[content.Message]:
    """Read what the agent was asked, or what the tools that it asked for have answered."""
    said = body.get("inputText")
    asked = [content.message("user", [content.text(said)])] if isinstance(said, str) and said else []
    state = body.get("sessionState") or body.get("inlineSessionState")
    results = [
        content.tool_result(_dug(state, "invocationId"), _dug(value, "responseBody"))
        for result in items(_dug(state, "returnControlInvocationResults"))
        for value in result.values()
    ]
    return [*asked, content.message("tool", results)] if results else asked


def agent_usage(r: AgentFold) -> Attributes:
    """Count the tokens of all the agent's calls of models: its trace tells them, if it was asked for."""
    return {s.USAGE_INPUT_TOKENS: r.input_tokens, s.USAGE_OUTPUT_TOKENS: r.output_tokens}


def agent_outputs(r: AgentFold) -> list[content.Message]:
    """Read the answer: text, files, and tools that the caller is to run."""
    parts = [content.text(r.text)] if r.text else []
    parts += [content.media("document", None, one.get("bytes"), one.get("type")) for one in r.files]
    parts += [_call(r.control.get("invocationId"), one) for one in items(r.control.get("invocationInputs"))]
    why = "tool_call" if r.control else None
    return [content.message("assistant", parts, None, why)] if parts else []


def _call(call_id: Any, given: dict[str, Any]) -> content.Part:
    asked = next(iter(given.values()))
    name = asked.get("function") or asked.get("apiPath")
    arguments = {one["name"]: one["value"] for one in asked.get("parameters", ())}
    return content.tool_call(call_id, name, arguments)


class AgentFold:
    """Adds up what an agent answers, piece by piece."""

    __slots__ = ("_content", "_has_begun", "_text", "control", "files", "input_tokens", "output_tokens")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._has_begun = False
        self._text = b""
        self.control: dict[str, Any] = {}
        self.files: list[dict[str, Any]] = []
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None

    def add(self, event: dict[str, Any]) -> bool:
        """Take one event in."""
        self._has_begun = True
        if "chunk" in event:
            if self._content:
                self._text += event["chunk"].get("bytes", b"")
            return True
        if "trace" in event:
            for step in event["trace"]["trace"].values():
                self._count(_dug(step, "modelInvocationOutput", "metadata", "usage"))
        elif self._content and "returnControl" in event:
            self.control = event["returnControl"]
        elif self._content and "files" in event:
            self.files += event["files"]["files"]
        return False

    def _count(self, used: Any) -> None:
        if used:
            self.input_tokens = (self.input_tokens or 0) + used.get("inputTokens", 0)
            self.output_tokens = (self.output_tokens or 0) + used.get("outputTokens", 0)

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return self if self._has_begun else None

    @property
    def text(self) -> str:
        """The answer's text so far; a chunk may end within a letter."""
        return self._text.decode(errors="replace")


# --- Knowledge bases -------------------------------------------------------------------------------------


def retrieval(body: Body) -> Attributes:
    """Say what was searched, and for how much."""
    base = body.get("knowledgeBaseId")
    search = _dug(body, "retrievalConfiguration", "vectorSearchConfiguration")
    return {
        s.AWS_BEDROCK_KNOWLEDGE_BASE_ID: base,
        s.DATA_SOURCE_ID: base,
        s.RETRIEVAL_TOP_K: _dug(search, "numberOfResults"),
        s.AWS_BEDROCK_GUARDRAIL_ID: _dug(body, "guardrailConfiguration", "guardrailId"),
    }


def sought(body: Body) -> Any:
    """Read the text searched for."""
    return _dug(body, "retrievalQuery", "text")


def retrieved(r: Any) -> list[dict[str, Any]]:
    """Read what was found, and where it stands."""
    found = [plain(one) for one in r.retrievalResults]
    return [{**_also(one), "content": _dug(one, "content", "text")} for one in items(found)]


def _also(one: dict[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("score", "location", "metadata") if name in one}


def generation(body: Body) -> Body:
    """Lay the settings of a generation flat, from a knowledge base or from documents sent along."""
    both = body.get("retrieveAndGenerateConfiguration")
    config = _dug(both, "knowledgeBaseConfiguration") or _dug(both, "externalSourcesConfiguration") or {}
    settings = _dug(config, "generationConfiguration") or {}
    inference = _dug(settings, "inferenceConfig", "textInferenceConfig") or {}
    return {**inference, **settings, **config, "input": body.get("input"), "sessionId": body.get("sessionId")}


def conversation(r: Any) -> Attributes:
    """Say which session the service made for this call."""
    return {s.CONVERSATION_ID: r.sessionId}


def question(body: Body) -> list[content.Message]:
    """Read what was asked."""
    asked = _dug(body, "input", "text")
    return [content.message("user", [content.text(asked)])] if isinstance(asked, str) else []


def generated(r: Any) -> list[content.Message]:
    """Read the answer."""
    said = plain(r.output)["text"]
    why = "content_filter" if r.guardrailAction == "INTERVENED" else None
    return [content.message("assistant", [content.text(said)], None, why)]


class GenerationFold:
    """Adds up what is generated from a knowledge base."""

    __slots__ = ("_content", "_text", "guardrailAction", "sessionId")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._text: list[str] | None = None
        self.guardrailAction: Any = None
        self.sessionId = None
        """It is beside the stream."""

    def add(self, event: dict[str, Any]) -> bool:
        """Take one event in."""
        self._text = self._text or []
        if "output" in event:
            if self._content:
                self._text.append(event["output"]["text"])
            return True
        if "guardrail" in event:
            self.guardrailAction = event["guardrail"]["action"]
        return False

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._text is None else self

    @property
    def output(self) -> Any:
        """The text so far."""
        return {"text": "".join(self._text or ())}


def reranking(body: Body) -> Attributes:
    """Say which model puts documents in their order."""
    config = _dug(body, "rerankingConfiguration", "bedrockRerankingConfiguration")
    return {s.REQUEST_MODEL: _dug(config, "modelConfiguration", "modelArn")}


# --- The declaration -------------------------------------------------------------------------------------

AGENT = Operation(
    name=s.INVOKE_AGENT,
    request=AGENT_REQUEST,
    response=(agent_usage,),
    instructions=agent_instructions,
    inputs=agent_inputs,
    outputs=agent_outputs,
    fold=AgentFold,
    error=error,
)
RETRIEVE = Operation(
    name=s.RETRIEVAL,
    derived=retrieval,
    contents={s.RETRIEVAL_QUERY_TEXT: sought},
    results={s.RETRIEVAL_DOCUMENTS: retrieved},
    error=error,
)
GENERATE = Operation(
    name=s.CHAT,
    request={
        "modelArn": s.REQUEST_MODEL,
        "maxTokens": s.REQUEST_MAX_TOKENS,
        "temperature": (s.REQUEST_TEMPERATURE, float),
        "topP": (s.REQUEST_TOP_P, float),
        "stopSequences": s.REQUEST_STOP_SEQUENCES,
        "sessionId": s.CONVERSATION_ID,
    },
    derived=retrieval,
    response=(conversation,),
    inputs=question,
    outputs=generated,
    fold=GenerationFold,
    error=error,
)
RERANK = Operation(name=s.RERANK, derived=reranking, error=error)
