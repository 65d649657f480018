"""Libraries that make GenAI spans of their own: how to know them, and how to read them by the conventions.

One row each, by the scope of their spans; whoever is not in the table is left alone. Every row rests on the
source that its comment names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from otel_genai import semconv as s
from otel_genai import semconv_mcp as mcp
from otel_genai import semconv_old as old

Attributes = Mapping[str, Any]

CALLS = frozenset({s.OPERATION_DURATION.name, s.TOKEN_USAGE.name})
RUNS = frozenset({s.AGENT_DURATION.name, s.TOOL_DURATION.name, s.WORKFLOW_DURATION.name})
STREAMS = frozenset({s.TIME_TO_FIRST_CHUNK.name, s.TIME_PER_OUTPUT_CHUNK.name})
"""Metrics that a library may record itself."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Emitter:
    """What is known of one library's spans.

    Args:
        requires: its distribution, and the versions that make spans.
        scopes: the instrumentation scopes of its spans; with a `*` at the end, what one begins with.
        default: whether it emits: `on`, `off`, or `private`, to a provider of its own.
        switch: how a program chooses otherwise, for people.
        records: names of the metrics it records itself: they are not derived a second time.
        names: what the names of spans begin with which are normalised; others are kept.
        operations: its own values of the operation's name -> the conventions'.
        spans: names of spans that say no operation -> the operation.
        renamed: attributes of its own -> the conventions', besides those that are merely old.
        content: what further attributes with content begin with.
        provider: the provider of ours whose hooks measure the calls of `operations`, and make no spans then.
        beneath: who answers -> the provider of ours whose hooks see the call further down, outside the span.
        infers: whether its spans of models are measured; not where the SDKs below them are seen anyway.
        local: whether its agents run in this process, whatever the kinds of their spans say.
        affirms: an attribute of those of its spans that say OK where all went well: they have failed if not.
    """

    requires: str
    scopes: tuple[str, ...]
    default: str
    switch: str
    records: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    operations: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    content: tuple[str, ...] = ()
    provider: str = ""
    beneath: Mapping[str, str] = field(default_factory=dict)
    infers: bool = True
    local: bool = False
    affirms: str = ""


# mcp/shared/jsonrpc_dispatcher.py has the spans of clients, mcp/server/_otel.py those of servers
MCP = Emitter(
    requires="mcp >= 2",
    scopes=("mcp-python-sdk",),
    default="on",
    switch="none",
    names=("MCP send ",),
)
# pydantic_ai/_instrumentation.py: open_model_request_span; models/instrumented.py: record_metrics
PYDANTIC_AI = Emitter(
    requires="pydantic-ai-slim >= 2",
    scopes=("pydantic-ai",),
    default="off",
    switch="`Agent.instrument_all()`, or `Agent(capabilities=[Instrumentation()])`",
    records=frozenset({s.TOKEN_USAGE.name, s.TIME_TO_FIRST_CHUNK.name}),
    names=("agent run", "running tool", "running output function"),
    content=(
        "pydantic_ai.all_messages", "final_result", "tool_arguments", "tool_response", "metadata",
        "model_request_parameters",
    ),
)  # fmt: skip
# google/adk/telemetry/tracing.py, _metrics.py
GOOGLE_ADK = Emitter(
    requires="google-adk >= 2",
    scopes=("gcp.vertex.agent",),
    default="on",
    switch="`ADK_TELEMETRY_SCHEMA_VERSION_OPT_IN` chooses the format",
    records=CALLS | RUNS,
    content=tuple(
        f"gcp.vertex.agent.{what}"
        for what in ("llm_request", "llm_response", "tool_call_args", "tool_response", "data")
    ),
)
# agent_framework/observability.py
AGENT_FRAMEWORK = Emitter(
    requires="agent-framework-core >= 1",
    scopes=("agent_framework",),
    default="on",
    switch="`ENABLE_INSTRUMENTATION=false`",
    records=CALLS,
    names=("workflow.run",),
    spans={"workflow.run": s.INVOKE_WORKFLOW},
    renamed={"workflow.name": s.WORKFLOW_NAME},
)
# strands/telemetry/tracer.py: start_multiagent_span, end_span_with_cancellation, _add_event
STRANDS = Emitter(
    requires="strands-agents >= 1",
    scopes=("strands.telemetry.tracer",),
    default="on",
    switch="none",
    names=("chat",),
    operations={"invoke_graph": s.INVOKE_WORKFLOW, "invoke_swarm": s.INVOKE_WORKFLOW},
    renamed={"strands.cancellation.type": s.ERROR_TYPE},
    content=("content",),
)
# crewai/telemetry/tracing/session.py: a provider of its own; handlers.py: what its spans are called
CREWAI = Emitter(
    requires="crewai >= 1.15",
    scopes=("crewai",),
    default="private",
    switch="`CREWAI_TRACING_ENABLED`",
    names=("execute crew", "execute flow", "execute agent", "execute lite agent", "call tool", "call llm"),
    content=("crewai.", s.AGENT_DESCRIPTION),
    infers=False,
    local=True,
)
# litellm/integrations/opentelemetry.py: _start_primary_span, set_attributes; otel/model/semconv.py
LITELLM = Emitter(
    requires="litellm >= 1.90",
    scopes=("litellm",),
    default="off",
    switch='`litellm.callbacks = ["otel"]`',
    names=("litellm_request",),
    operations={
        "acompletion": s.CHAT,
        "completion": s.CHAT,
        "completion_with_retries": s.CHAT,
        "responses": s.CHAT,
        "aresponses": s.CHAT,
        "atext_completion": s.TEXT_COMPLETION,
        "embedding": s.EMBEDDINGS,
        "aembedding": s.EMBEDDINGS,
    },
    content=("llm.", "metadata.", "hidden_params", "litellm.provider.error.stack_trace"),
    provider="litellm",
    beneath={s.OPENAI: "openai", s.AZURE_OPENAI: "openai"},
)
# opentelemetry/util/genai/handler.py, _instruments.py; each package gives its own name as the scope
OFFICIAL = Emitter(
    requires="opentelemetry-util-genai >= 1.3b0",
    scopes=("opentelemetry.instrumentation.genai.*", "opentelemetry.util.genai.*"),
    default="off",
    switch="the instrumentors of `opentelemetry-instrumentation-genai-*`",
    records=CALLS | RUNS | STREAMS,
)
# mistralai/extra/observability/otel.py: get_traced_response; an error of a stream is lost on the way
MISTRALAI = Emitter(
    requires="mistralai >= 3",
    scopes=("mistralai_sdk_tracer",),
    default="off",
    switch="`MISTRAL_SDK_TELEMETRY=global`",
    affirms="http.request.method",
)
# anthropic/_tracing.py: SPAN_ATTRIBUTES; lib/_tracing/_config.py: a scope per platform
ANTHROPIC = Emitter(
    requires="anthropic >= 1.17",
    scopes=("com.anthropic.sdk.python*",),
    default="on",
    switch="`ANTHROPIC_OPEN_TELEMETRY=false`",
    names=("anthropic.messages.create",),
    renamed={
        "anthropic.message.stop_reason": s.RESPONSE_FINISH_REASONS,
        "anthropic.response.service_tier": s.SERVICE_TIER,
    },
    content=("anthropic.tool_result.content",),
)
EMITTERS = (
    MCP, PYDANTIC_AI, GOOGLE_ADK, AGENT_FRAMEWORK, STRANDS, CREWAI, LITELLM, OFFICIAL, MISTRALAI, ANTHROPIC,
)  # fmt: skip

MARK = "_otel_genai_adopted"
"""The attribute by which the span object of a known library is found again."""
stopped = False
"""Whether `uninstrument()` has taken everything away, so that these spans, too, are left alone."""


def _nobody(name: str) -> bool:  # noqa: ARG001 (as what takes its place)
    return False


patched: Callable[[str], bool] = _nobody
"""Says whether a provider's hooks are in place."""

_KEPT = 1000
"""Scopes that are remembered at most, known or not."""
by_scope: dict[str, Emitter | None] = {}
"""The rows of scopes that were asked for before."""


def known(scope: str) -> Emitter | None:
    """Give the row of a scope; None for the many that have none."""
    try:
        return by_scope[scope]
    except KeyError:
        pass
    found = next((one for one in EMITTERS if any(_fits(pattern, scope) for pattern in one.scopes)), None)
    if len(by_scope) < _KEPT:
        by_scope[scope] = found
    return found


def _fits(pattern: str, scope: str) -> bool:
    return scope.startswith(pattern[:-1]) if pattern.endswith("*") else scope == pattern


def operation(emitter: Emitter, name: str, said: Attributes) -> str | None:
    """Say which operation a span is, if it is one."""
    found = said.get(s.OPERATION_NAME)
    if found is None:
        target = mcp.TARGETS.get(said.get(mcp.METHOD_NAME, ""))
        return s.EXECUTE_TOOL if target == s.TOOL_NAME else emitter.spans.get(name)
    return emitter.operations.get(found, found)


def provider(said: Attributes) -> str | None:
    """Name who answers as the conventions do; None where only the library itself is named."""
    found = said.get(s.PROVIDER_NAME) or said.get(old.SYSTEM)
    if not isinstance(found, str) or found.startswith("fallback:"):  # pydantic-ai's, of several
        return None
    return old.PROVIDERS.get(found, found)


def host(said: Attributes) -> str | None:
    """Give the server's host; some write its port, too, or the whole URL, which is not for metrics."""
    found = said.get(s.SERVER_ADDRESS)
    if not isinstance(found, str):
        return found
    has_scheme, has_port = "://" in found, found.count(":") == 1 or found.startswith("[")
    if not (has_scheme or has_port):
        return found
    try:
        return urlsplit(found if has_scheme else f"//{found}").hostname
    except ValueError:
        return None


def missing(emitter: Emitter, name: str, said: Attributes) -> dict[str, Any]:
    """Say in the conventions' words what a span says in other ones, or by its name alone.

    Args:
        emitter: whose span it is.
        name: the span's.
        said: its attributes.
    """
    found = {s.OPERATION_NAME: operation(emitter, name, said), **_target(name, said)}
    for table in (emitter.renamed, old.RENAMED):
        for key in table.keys() & said.keys():
            found.setdefault(table[key], said[key])
    if s.PROVIDER_NAME in found:
        found[s.PROVIDER_NAME] = provider(said)
    reason = found.get(s.RESPONSE_FINISH_REASONS)
    if isinstance(reason, str):
        found[s.RESPONSE_FINISH_REASONS] = [reason]
    return {key: value for key, value in found.items() if value is not None and key not in said}


def _target(name: str, said: Attributes) -> dict[str, Any]:
    """Read the tool or the prompt of an MCP request that only the span's name has."""
    method = said.get(mcp.METHOD_NAME)
    attribute = mcp.TARGETS.get(method) if isinstance(method, str) else None
    target = name.removeprefix(f"MCP send {method} ")
    return {attribute: target} if attribute and target != name else {}


def title(emitter: Emitter, name: str, said: Attributes) -> str:
    """Name a span as the conventions do, where its own name is one of those that stand for nothing else.

    Args:
        emitter: whose span it is.
        name: the span's.
        said: its attributes, with those that were missing.
    """
    if not name.startswith(emitter.names):
        return name
    method, verb = said.get(mcp.METHOD_NAME), operation(emitter, name, said)
    if isinstance(method, str):
        verb, target = method, said.get(mcp.TARGETS.get(method, ""))
    elif verb in s.OPERATIONS:
        target = said.get(s.signals(verb, "published").target)
    else:
        return name
    return f"{verb} {target}" if isinstance(target, str) else str(verb)


def is_content(emitter: Emitter, key: str) -> bool:
    """Whether an attribute holds content: by today's names or older ones, or the library's own."""
    return key.startswith((*s.CONTENT, *old.CONTENT, *emitter.content))
