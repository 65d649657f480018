"""GenAI spans that libraries make themselves: read by the conventions, measured once, otherwise left alone.

The spans of the table are made by hand, with the attributes that each library's own source sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import sys
import types
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

import otel_genai
import ways
from garbage import collect
from otel_genai import _context, _doctor, _emitters, _others, _telemetry, semconv_mcp, testing
from otel_genai import semconv as s
from otel_genai import semconv_mcp as mcp

CLIENT, INTERNAL, SERVER = SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.SERVER
DURATION, TOKENS, CALLS = s.OPERATION_DURATION.name, s.TOKEN_USAGE.name, s.CALLS.name
COST, AGENT, TOOL = s.COST.name, s.AGENT_DURATION.name, s.TOOL_DURATION.name
WORKFLOW = s.WORKFLOW_DURATION.name
USAGE = {"gen_ai.usage.input_tokens": 21, "gen_ai.usage.output_tokens": 6}


@dataclass
class Case:
    """One span as a library makes it, and what becomes of it."""

    scope: str
    name: str
    said: dict
    called: str
    added: dict = field(default_factory=dict)
    measured: tuple = ()
    kind: SpanKind = INTERNAL


CASES = {
    "mcp client, tool": Case(
        "mcp-python-sdk", "MCP send tools/call add",
        {"mcp.method.name": "tools/call", "jsonrpc.request.id": "2"}, "tools/call add",
        {s.OPERATION_NAME: "execute_tool", s.TOOL_NAME: "add"}, (mcp.CLIENT_DURATION.name,), CLIENT,
    ),
    "mcp client, prompt": Case(
        "mcp-python-sdk", "MCP send prompts/get greet",
        {"mcp.method.name": "prompts/get", "jsonrpc.request.id": "3"}, "prompts/get greet",
        {s.PROMPT_NAME: "greet"}, (mcp.CLIENT_DURATION.name,), CLIENT,
    ),
    "mcp client, other": Case(
        "mcp-python-sdk", "MCP send tools/list", {"mcp.method.name": "tools/list"}, "tools/list", {},
        (mcp.CLIENT_DURATION.name,), CLIENT,
    ),
    "mcp server": Case(
        "mcp-python-sdk", "tools/call add",
        {
            "mcp.method.name": "tools/call", "mcp.protocol.version": "2026-07-28",
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add",
        },
        "tools/call add", {}, (mcp.SERVER_DURATION.name,), SERVER,
    ),
    "pydantic-ai chat": Case(
        "pydantic-ai", "chat gpt-4o-mini",
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "azure", "gen_ai.system": "azure",
            "gen_ai.request.model": "gpt-4o-mini", "gen_ai.response.model": "gpt-4o-mini-2024-07-18", **USAGE,
            "gen_ai.usage.cache_creation.input_tokens": 3,
            "gen_ai.client.operation.time_to_first_chunk": 0.25,
        },
        "chat gpt-4o-mini",
        {s.USAGE_CACHE_WRITE_INPUT_TOKENS: 3, s.RESPONSE_TIME_TO_FIRST_CHUNK: 0.25},
        (DURATION, CALLS, COST), CLIENT,
    ),
    "pydantic-ai agent, version 2": Case(
        "pydantic-ai", "agent run", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"},
        "invoke_agent a", {}, (AGENT,),
    ),
    "pydantic-ai tool, version 2": Case(
        "pydantic-ai", "running tool", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add"},
        "execute_tool add", {}, (TOOL,),
    ),
    "pydantic-ai decision": Case(
        "pydantic-ai", "decide gpt-4o-mini",
        {"gen_ai.operation.name": "decide", "gen_ai.request.model": "gpt-4o-mini"}, "decide gpt-4o-mini",
    ),
    "google-adk inference": Case(
        "gcp.vertex.agent", "generate_content gemini-2.5-flash",
        {
            "gen_ai.system": "gemini", "gen_ai.operation.name": "generate_content",
            "gen_ai.request.model": "gemini-2.5-flash", "gen_ai.response.finish_reasons": ["stop"], **USAGE,
        },
        "generate_content gemini-2.5-flash", {s.PROVIDER_NAME: "gcp.gemini"}, (CALLS, COST),
    ),
    "google-adk, older format, around it": Case(
        "gcp.vertex.agent", "call_llm",
        {"gen_ai.system": "gcp.vertex.agent", "gen_ai.request.model": "gemini-2.5-flash", **USAGE},
        "call_llm",
    ),
    "google-adk tool": Case(
        "gcp.vertex.agent", "execute_tool load skill",
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "load"}, "execute_tool load skill",
    ),
    "agent-framework chat": Case(
        "agent_framework", "chat gpt-4o-mini",
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini", "server.address": "https://api.openai.com/v1/",
            "gen_ai.response.finish_reasons": '["stop"]', **USAGE,
        },
        "chat gpt-4o-mini", {}, (CALLS, COST),
    ),
    "agent-framework agent": Case(
        "agent_framework", "invoke_agent a",
        {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "microsoft.agent_framework",
            "gen_ai.agent.name": "a", **USAGE,
        },
        "invoke_agent a", {}, (AGENT,),
    ),
    "agent-framework workflow": Case(
        "agent_framework", "workflow.run", {"workflow.id": "w1", "workflow.name": "answer"},
        "invoke_workflow answer",
        {s.OPERATION_NAME: "invoke_workflow", s.WORKFLOW_NAME: "answer"}, (WORKFLOW,),
    ),
    "strands model": Case(
        "strands.telemetry.tracer", "chat",
        {
            "gen_ai.operation.name": "chat", "gen_ai.system": "strands-agents",
            "gen_ai.request.model": "us.amazon.nova-lite-v1:0", "gen_ai.usage.prompt_tokens": 21, **USAGE,
            "gen_ai.usage.cache_read_input_tokens": 4, "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.cache_write_input_tokens": 2,
        },
        "chat us.amazon.nova-lite-v1:0", {s.USAGE_CACHE_WRITE_INPUT_TOKENS: 2}, (DURATION, TOKENS, CALLS),
    ),
    "strands agent": Case(
        "strands.telemetry.tracer", "invoke_agent a",
        {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.system": "strands-agents",
            "gen_ai.agent.name": "a",
        },
        "invoke_agent a", {}, (AGENT,),
    ),
    "strands cycle": Case(
        "strands.telemetry.tracer", "execute_event_loop_cycle",
        {"gen_ai.operation.name": "execute_event_loop_cycle", "gen_ai.system": "strands-agents"},
        "execute_event_loop_cycle",
    ),
    "strands graph": Case(
        "strands.telemetry.tracer", "invoke_graph",
        {"gen_ai.operation.name": "invoke_graph", "gen_ai.system": "strands-agents"}, "invoke_graph", {},
        (WORKFLOW,), CLIENT,
    ),
    "strands agent, cancelled": Case(
        "strands.telemetry.tracer", "invoke_agent a",
        {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.system": "strands-agents",
            "gen_ai.agent.name": "a", "strands.cancellation.type": "CancelledError",
        },
        "invoke_agent a", {s.ERROR_TYPE: "CancelledError"}, (AGENT,),
    ),
    "crewai model": Case(
        "crewai", "call llm",
        {
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.provider.name": "openai", **USAGE, "gen_ai.usage.reasoning_tokens": 1,
        },
        "chat gpt-4o-mini", {s.USAGE_REASONING_OUTPUT_TOKENS: 1}, (), CLIENT,
    ),
    "crewai lite agent": Case(
        "crewai", "execute lite agent", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"},
        "invoke_agent a", {}, (AGENT,), CLIENT,
    ),
    "crewai crew": Case(
        "crewai", "execute crew", {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "c"},
        "invoke_workflow c", {}, (WORKFLOW,),
    ),
    "litellm": Case(
        "litellm", "litellm_request",
        {
            "gen_ai.operation.name": "acompletion", "gen_ai.system": "vertex_ai_beta",
            "gen_ai.request.model": "gemini-2.5-flash", **USAGE, "llm.request.type": "acompletion",
            "gen_ai.openai.response.service_tier": "default",
        },
        "chat gemini-2.5-flash",
        {s.PROVIDER_NAME: "gcp.vertex_ai", s.OPENAI_RESPONSE_SERVICE_TIER: "default"},
        (DURATION, TOKENS, CALLS, COST),
    ),
    "litellm, named by the caller": Case(
        "litellm", "my generation",
        {
            "gen_ai.operation.name": "embedding", "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini", **USAGE,
        },
        "my generation", {s.PROVIDER_NAME: "openai"}, (DURATION, TOKENS, CALLS, COST),
    ),
    "the official package": Case(
        "opentelemetry.instrumentation.genai.openai", "chat gpt-4o-mini",
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini", **USAGE,
        },
        "chat gpt-4o-mini", {}, (CALLS, COST), CLIENT,
    ),
    "the official agents": Case(
        "opentelemetry.instrumentation.genai.openai_agents", "invoke_agent a",
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}, "invoke_agent a",
    ),
    "mistralai": Case(
        "mistralai_sdk_tracer", "chat mistral-small-latest",
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "mistral_ai",
            "gen_ai.request.model": "mistral-small-latest", **USAGE,
        },
        "chat mistral-small-latest", {}, (DURATION, TOKENS, CALLS, COST),
    ),
    "anthropic": Case(
        "com.anthropic.sdk.python", "anthropic.messages.create",
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-haiku-4-5", **USAGE, "anthropic.message.stop_reason": "end_turn",
        },
        "chat claude-haiku-4-5", {s.RESPONSE_FINISH_REASONS: ["end_turn"]},
        (DURATION, TOKENS, CALLS, COST), CLIENT,
    ),
    "anthropic on Bedrock": Case(
        "com.anthropic.sdk.python.bedrock", "anthropic.messages.count_tokens",
        {"gen_ai.provider.name": "aws.bedrock"}, "anthropic.messages.count_tokens", {}, (), CLIENT,
    ),
}  # fmt: skip
OUR_COST = {s.USAGE_COST_AMOUNT, s.USAGE_COST_CURRENCY, s.USAGE_COST_SOURCE, s.PRICES}
PRICES = [
    {"model": model, "input": 1, "output": 2}
    for model in (
        "gpt-4o-mini*", "gpt-4.1-mini*", "gemini-2.5-flash", "mistral-small-latest", "claude-haiku-4-5",
    )
]  # fmt: skip


@contextlib.contextmanager
def watched(*providers, **settings):
    """See what is recorded, with the processor in place."""
    with testing.capture(*providers, **settings) as seen:
        seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
        yield seen


@pytest.fixture
def seen():
    """See what is recorded, with prices, and OpenAI's SDK left alone."""
    with watched(disabled="openai", prices=PRICES, cost=True) as seen:
        yield seen


def emit(seen, case, *inside, **more):
    """Make the span as the library would: what it says, it says after the start."""
    tracer = seen.tracer_provider.get_tracer(case.scope)
    with tracer.start_as_current_span(case.name, kind=case.kind, **more) as span:
        span.set_attributes(case.said)
        for step in inside:
            step()
    return span


def points(seen):
    """Give every data point there is, whoever recorded it: (scope, metric, attributes, value or sum)."""
    _telemetry.settle()
    data = seen._metrics.get_metrics_data()
    return [
        (
            scope.scope.name,
            metric.name,
            dict(point.attributes),
            getattr(point, "sum", getattr(point, "value", 0)),
        )
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def names(found):
    """Name the metrics among data points that were added to."""
    return {name for _, name, _, value in found if value}


# --- Each row of the table -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_span_is_read_by_the_conventions(seen, case):
    """It gets the conventions' name and what was missing; all that its library said stays."""
    emit(seen, case)
    (span,) = seen.spans
    said = {key: list(value) if isinstance(value, list) else value for key, value in case.said.items()}
    assert span["name"] == case.called
    assert span["attributes"].items() >= said.items()
    assert {k: v for k, v in span["attributes"].items() if k not in said and k not in OUR_COST} == case.added


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_span_is_measured_but_for_what_its_library_measures(seen, case):
    """What the table says that a library records itself is not derived; the rest is, once."""
    emit(seen, case)
    found = points(seen)
    assert names(found) == set(case.measured)
    assert {scope for scope, *_ in found} <= {"otel_genai"}
    if TOKENS in case.measured:
        assert [value for _, name, _, value in found if name == TOKENS] == [21, 6]
    if CALLS in case.measured:
        assert [(attributes[s.OUTCOME], value) for _, name, attributes, value in found if name == CALLS] == [
            (s.COMPLETED, 1)
        ]


def test_every_row_of_the_table_has_a_case():
    """No emitter is known by its name alone."""
    assert {_emitters.known(case.scope) for case in CASES.values()} == set(_emitters.EMITTERS)


def test_metrics_name_the_provider_as_the_conventions_do(seen):
    """What a library calls a provider stays on its span; series are those of our own calls."""
    emit(seen, CASES["pydantic-ai chat"])
    (duration,) = [attributes for _, name, attributes, _ in points(seen) if name == DURATION]
    assert duration == {
        s.OPERATION_NAME: "chat",
        s.PROVIDER_NAME: s.AZURE_OPENAI,
        s.REQUEST_MODEL: "gpt-4o-mini",
        s.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    }
    assert seen.spans[0]["attributes"][s.PROVIDER_NAME] == "azure"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("https://a:b@llm.corp.example:8000/v1", "llm.corp.example"),
        ("10.0.0.7", "10.0.0.7"),
        ("llm.corp.example:8000", "llm.corp.example"),
        ("[::1]:8000", "::1"),
        ("::1", "::1"),
        ("x://[", None),
        ("[", None),
    ],
)
def test_metrics_name_the_host_alone(seen, written, told):
    """Some libraries write the port to their spans, too, or the whole URL."""
    case = CASES["litellm"]
    emit(seen, Case(case.scope, case.name, {**case.said, "server.address": written}, ""))
    (duration,) = [attributes for _, name, attributes, _ in points(seen) if name == DURATION]
    assert duration.get(s.SERVER_ADDRESS) == told


@pytest.mark.parametrize("status", [StatusCode.UNSET, StatusCode.OK])
def test_a_span_of_a_request_that_does_not_say_ok_has_failed(seen, status):
    """Mistral's SDK loses the errors of streams; what it makes without a request has no status."""
    case = CASES["mistralai"]
    said = {**case.said, "http.request.method": "POST"}
    emit(seen, Case(case.scope, case.name, said, ""), lambda: trace.get_current_span().set_status(status))
    failed = status is StatusCode.UNSET
    (span,), (calls,) = seen.spans, seen.metrics[CALLS]
    assert (span["status"], span["attributes"].get(s.ERROR_TYPE)) == (
        ("ERROR", s.ERROR_OTHER) if failed else ("OK", None)
    )
    assert calls["attributes"][s.OUTCOME] == (s.FAILED if failed else s.COMPLETED)


def test_histograms_lead_to_the_span(seen):
    """Exemplars are the library's own span."""
    emit(seen, CASES["litellm"])
    assert all(point["exemplars"] for point in seen.metrics[DURATION])


def test_the_newest_metrics_are_derived_too():
    """A library knows the published ones; of the newest there are no others."""
    with watched(disabled="openai", semconv="latest") as seen:
        emit(seen, CASES["agent-framework chat"])
        assert {
            s.INFERENCE_DURATION.name,
            s.INFERENCE_INPUT_TOKENS.name,
            s.USAGE_COUNTERS[s.USAGE_INPUT_TOKENS].name,
        } <= names(points(seen))


def test_whose_call_it_was_is_on_counters():
    """The dimensions that the settings name are those of the context that the span started in."""
    with watched(disabled="openai", metric_dimensions="team") as seen:
        with otel_genai.context(team="search"):
            emit(seen, CASES["litellm"])
        (calls,) = [attributes for _, name, attributes, _ in points(seen) if name == CALLS]
    assert calls[s.TEAM] == "search"


# --- How it ended ----------------------------------------------------------------------------------------


def test_an_error_is_named(seen):
    """A span that ended in an exception says which, as a call of ours would; so do its metrics."""
    with pytest.raises(LookupError):
        emit(seen, CASES["litellm"], lambda: {}["x"])
    (span,) = seen.spans
    assert (span["attributes"][s.ERROR_TYPE], span["attributes"][s.OUTCOME]) == ("KeyError", s.FAILED)
    found = points(seen)
    assert [a[s.OUTCOME] for _, name, a, _ in found if name == CALLS] == [s.FAILED]
    assert [a[s.ERROR_TYPE] for _, name, a, _ in found if name == DURATION] == ["KeyError"]


def test_an_error_without_an_exception_is_some_error(seen):
    """The status alone says that there was one."""
    emit(seen, CASES["strands agent"], lambda: trace.get_current_span().set_status(StatusCode.ERROR))
    assert seen.spans[0]["attributes"][s.ERROR_TYPE] == s.ERROR_OTHER


@pytest.mark.parametrize(("code", "is_error"), [("-32602", False), ("-32603", True)])
def test_what_is_the_callers_fault_is_no_error_of_a_server(seen, code, is_error):
    """Its metric does not say so, and the span is as the SDK left it."""
    failed = {"error.type": code, "rpc.response.status_code": code}
    case = CASES["mcp server"]
    emit(seen, Case(case.scope, case.name, {**case.said, **failed}, "", kind=SERVER))
    (attributes,) = [attributes for _, _, attributes, _ in points(seen)]
    assert (s.ERROR_TYPE in attributes) is is_error
    assert seen.spans[0]["attributes"][s.ERROR_TYPE] == code


# --- Never twice -----------------------------------------------------------------------------------------


def ask(seen):
    """Ask OpenAI's SDK over a fake wire."""
    return lambda: ways.client(ways.Wire(["chat"])).chat.completions.create(**ways.CHAT)


def record_as_the_library(seen, emitter):
    """Record what a library records itself of a call, under its own scope."""
    meter = seen.meter_provider.get_meter(emitter.scopes[0])
    if DURATION in emitter.records:
        meter.create_histogram(DURATION, unit="s").record(0.1)
    if TOKENS in emitter.records:
        for kind, count in (("input", 21), ("output", 6)):
            meter.create_histogram(TOKENS, unit="{token}").record(count, {s.TOKEN_TYPE: kind})


INFERENCES = [
    name for name, case in CASES.items() if {CALLS} <= {*case.measured} and "embedding" not in str(case.said)
]


@pytest.mark.parametrize("hooked", [True, False], ids=["hooked", "not hooked"])
@pytest.mark.parametrize("name", ["none", *INFERENCES])
def test_one_inference_is_one_span_and_counted_once(name, hooked):
    """A library's own span on or off, our hook on or off: one span where either is on, and one count."""
    case = CASES.get(name)
    settings = {} if hooked else {"disabled": "openai"}
    with watched("openai", prices=PRICES, cost=True, **settings) as seen:
        if case is None:
            ask(seen)()
        else:
            emit(seen, case, ask(seen), attributes=case.said)
            record_as_the_library(seen, _emitters.known(case.scope))
        found, spans = points(seen), seen.spans
    expected = 1 if case or hooked else 0
    totals = Counter()
    for _, metric, attributes, value in found:
        totals[metric, attributes.get(s.TOKEN_TYPE)] += value
    assert len(spans) == expected
    assert totals[CALLS, None] == expected
    assert (totals[TOKENS, "input"], totals[TOKENS, "output"]) == (21 * expected, 6 * expected)
    assert len([1 for _, metric, *_ in found if metric == DURATION]) == expected
    if expected and (hooked or "strands" not in name):  # which names no provider, so that nobody can price it
        assert totals[COST, None] == pytest.approx((21 + 12) / 1e6)


def test_a_call_of_ours_takes_the_span_for_its_own():
    """It adds what it knows to the library's span, which keeps its own words, its name and its end."""
    case = CASES["strands model"]
    with watched("openai", capture="SPAN_ONLY") as seen:
        span = emit(
            seen,
            case,
            ask(seen),
            lambda: trace.get_current_span().set_attribute("late", 1),
            attributes=case.said,
        )
    attributes = dict(span.attributes)
    assert attributes["late"] == 1
    assert attributes[s.REQUEST_MODEL] == case.said["gen_ai.request.model"]
    assert attributes[s.PROVIDER_NAME] == s.OPENAI
    assert attributes[s.SERVER_ADDRESS] == "api.openai.com"
    assert attributes[s.RESPONSE_ID].startswith("chatcmpl-")
    assert "lighthouse" in attributes[s.OUTPUT_MESSAGES]


def test_a_failed_try_is_not_the_spans_failure():
    """A library may try again: both calls are counted, and its span says what the library says."""
    case = CASES["strands model"]
    client = ways.client(ways.Wire(["error_500", "chat"]))

    def failing():
        with pytest.raises(ways.openai.InternalServerError):
            client.chat.completions.create(**ways.CHAT)

    with watched("openai") as seen:
        emit(seen, case, failing, lambda: client.chat.completions.create(**ways.CHAT), attributes=case.said)
        found = points(seen)
        (span,) = seen.spans
    assert Counter(a[s.OUTCOME] for _, name, a, _ in found if name == CALLS) == {s.FAILED: 1, s.COMPLETED: 1}
    assert (span["status"], span["events"]) == ("UNSET", [])
    assert not {s.ERROR_TYPE, s.OUTCOME} & span["attributes"].keys()


def test_a_stream_that_outlives_the_span_is_counted(caplog):
    """The library's span has ended by then: it is left alone, without a warning of the SDK's."""
    case = CASES["strands model"]
    with watched("openai") as seen, caplog.at_level(logging.WARNING):
        streams = []
        create = ways.client(ways.Wire(["chat"])).chat.completions.create
        usage = {"include_usage": True}
        emit(
            seen, case, lambda: streams.append(create(**ways.CHAT, stream=True, stream_options=usage)),
            attributes=case.said,
        )  # fmt: skip
        assert names(points(seen)) == set()
        list(streams.pop())
        assert {CALLS, DURATION, TOKENS} <= names(points(seen))
        assert len(seen.spans) == 1
    assert caplog.records == []


def test_another_operation_is_a_span_of_its_own():
    """Embeddings within a chat are no chat."""
    with watched("openai") as seen:
        create = ways.client(ways.Wire(["embeddings"])).embeddings.create
        emit(
            seen,
            CASES["strands model"],
            lambda: create(**ways.EMBEDDINGS),
            attributes=CASES["strands model"].said,
        )
        found = points(seen)
    assert [span["attributes"][s.OPERATION_NAME] for span in seen.spans] == ["embeddings", "chat"]
    assert sum(value for _, name, _, value in found if name == CALLS) == 2


def test_of_two_libraries_spans_the_inner_one_is_measured(seen):
    """A framework's, and within it that of an instrumentation which records its own metrics."""
    outer, inner = CASES["strands model"], CASES["the official package"]
    emit(seen, outer, lambda: emit(seen, inner))
    found = points(seen)
    assert names(found) == {CALLS, COST}
    assert [attributes[s.PROVIDER_NAME] for _, name, attributes, _ in found if name == CALLS] == [s.OPENAI]


def test_of_two_spans_of_an_mcp_request_the_inner_one_is_measured(seen):
    """A framework has one of its own around the SDK's."""
    outer = Case(
        "agent_framework",
        "tools/call add",
        {"mcp.method.name": "tools/call", "gen_ai.tool.name": "add"},
        "",
        kind=CLIENT,
    )
    emit(seen, outer, lambda: emit(seen, CASES["mcp client, tool"]))
    assert [name for _, name, *_ in points(seen)] == [mcp.CLIENT_DURATION.name]


def test_within_a_call_of_ours_it_is_the_same_call(seen):
    """An inference by hand around a library's span is counted by hand."""
    with otel_genai.inference("gpt-4o-mini", provider="openai") as call:
        emit(seen, CASES["mistralai"])
        call.usage(input_tokens=21, output_tokens=6)
    assert sum(value for _, name, _, value in points(seen) if name == CALLS) == 1


@pytest.mark.parametrize(("name", "times"), [("mistralai", 1), ("crewai model", 0), ("strands agent", 0)])
def test_what_a_framework_said_it_will_ask_is_asked_by_it(seen, name, times):
    """A framework whose runs we tell has no second span for the model then."""

    class Asked:
        claims = 0

        def claim(self):
            self.claims += 1

    scope = _context.Scope(None)
    scope.asked = asked = Asked()
    token = otel.attach(otel.set_value(_context.KEY, scope))
    emit(seen, CASES[name])
    otel.detach(token)
    assert asked.claims == times


@pytest.mark.parametrize(
    ("hooked", "system", "counted"),
    [
        ("litellm", "openai", 0), ("litellm", "gemini", 0),
        ("openai", "openai", 0), ("openai", "azure", 0), ("openai", "gemini", 1),
    ],
)  # fmt: skip
def test_what_our_hooks_see_anyway_is_not_counted_again(seen, monkeypatch, hooked, system, counted):
    """LiteLLM's callback makes its spans afterwards, beside those of ours, or of the SDK that it calls."""
    monkeypatch.setattr(_emitters, "patched", lambda name: name == hooked)
    case = CASES["litellm"]
    emit(seen, Case(case.scope, case.name, {**case.said, "gen_ai.system": system}, ""))
    assert sum(value for _, name, _, value in points(seen) if name == CALLS) == counted
    assert seen.spans[0]["name"] == "chat gemini-2.5-flash"


def told_by_itself(monkeypatch, *callbacks):
    """Have OpenAI's SDK be one that can be told to make spans when its calls are over, as LiteLLM can."""
    monkeypatch.setattr(_others, "OWN", {"openai"})
    made = [one if one == "otel" else type(one, (), {})() for one in callbacks]
    monkeypatch.setitem(sys.modules, "litellm", types.SimpleNamespace(callbacks=made, success_callback=None))


@pytest.mark.parametrize(
    ("callbacks", "variable", "alone", "within"),
    [
        ((), "false", 1, 1), (("Company",), "true", 1, 1),
        (("otel",), "false", 0, 1), (("OpenTelemetry", "otel"), "", 0, 1), (("otel",), "True", 0, 0),
        (("OpenTelemetryV2", "otel"), "true", 1, 1),
    ],
)  # fmt: skip
def test_where_an_sdk_makes_the_span_itself_ours_only_measures(
    monkeypatch, callbacks, variable, *, alone, within
):
    """Such a span comes when the call is over; where the span around would be written to, ours is there."""
    told_by_itself(monkeypatch, *callbacks)
    monkeypatch.setenv("USE_OTEL_LITELLM_REQUEST_SPAN", variable)
    with watched("openai", prices=PRICES, cost=True) as seen:
        ask(seen)()
        assert len(seen.spans) == alone
        with seen.tracer_provider.get_tracer("app").start_as_current_span("GET /") as around:
            ask(seen)()
        ours = [span for span in seen.finished[alone:] if span is not around and span.name != "GET /"]
        assert [span.parent.span_id for span in ours] == [around.get_span_context().span_id] * within
        assert all(around.start_time <= span.start_time <= span.end_time for span in ours)
        found = points(seen)
    totals = Counter()
    for _, metric, attributes, value in found:
        totals[metric, attributes.get(s.TOKEN_TYPE)] += value
    assert (totals[CALLS, None], totals[TOKENS, "input"]) == (2, 42)
    assert totals[COST, None] == pytest.approx(66e-6)


def test_a_call_without_a_span_can_be_evaluated(monkeypatch):
    """There is nothing to refer to but the answer's id, or the span around."""
    told_by_itself(monkeypatch, "otel")
    with watched("openai", judges=["length"]) as seen:
        ask(seen)()
        otel_genai.feedback("up")
        with seen.tracer_provider.get_tracer("app").start_as_current_span("GET /"):
            ask(seen)()
            otel_genai.feedback("down", of=otel_genai.reference())
        _telemetry.settle()
        assert s.INTERNAL_ERRORS.name not in seen.metrics
        assert {"evaluate user_feedback"} <= {span["name"] for span in seen.spans}


# --- Left alone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope", ["my.app", "opentelemetry.instrumentation.httpx", "openinference.instrumentation.openai"]
)
def test_unknown_scopes_are_left_alone(seen, scope):
    """Whatever their spans say."""
    case = CASES["litellm"]
    emit(seen, Case(scope, case.name, case.said, ""))
    assert (seen.spans[0]["name"], seen.spans[0]["attributes"]) == (case.name, case.said)
    assert points(seen) == []


def test_a_scope_can_be_left_alone():
    """By its name, as a provider can."""
    with watched(disabled="openai,litellm,mcp-python-sdk") as seen:
        emit(seen, CASES["mcp client, tool"])
        assert seen.spans[0]["name"] == "MCP send tools/call add"


def test_after_uninstrument_they_are_left_alone(seen):
    """The processor stays where it is, and does nothing."""
    otel_genai.uninstrument()
    emit(seen, CASES["mcp client, tool"])
    assert seen.spans[0]["name"] == "MCP send tools/call add"
    otel_genai.instrument(disabled="openai", tracer_provider=seen.tracer_provider)
    emit(seen, CASES["mcp client, tool"])
    assert seen.spans[1]["name"] == "tools/call add"


def test_a_full_span_keeps_what_it_has(seen):
    """The SDK would drop the oldest attributes for new ones."""
    many = {f"a{number}": number for number in range(125)}
    case = CASES["anthropic"]
    emit(seen, Case(case.scope, case.name, {**many, **case.said}, "", kind=CLIENT))
    (span,) = seen.finished
    held = span._attributes
    emit(
        seen,
        Case(
            case.scope, case.name, {"anthropic.message.stop_reason": "end_turn", **many, "x": 1, "y": 2}, ""
        ),
    )
    second = seen.finished[1]
    assert len(second.attributes) == held.maxlen
    assert s.RESPONSE_FINISH_REASONS not in second.attributes
    assert "anthropic.message.stop_reason" in second.attributes


# --- Content ---------------------------------------------------------------------------------------------

SECRET = "write to ada@example.com"
SPOKEN = {
    "gen_ai.input.messages": f'[{{"role": "user", "parts": [{{"type": "text", "content": "{SECRET}"}}]}}]',
    "pydantic_ai.all_messages": f'["{SECRET}"]',
    "model_name": SECRET,
}


def test_content_that_a_library_writes_is_its_own_switchs(seen):
    """With our content off, it is as it was: the library was asked for it."""
    case = CASES["pydantic-ai chat"]
    emit(seen, Case(case.scope, case.name, {**case.said, **SPOKEN}, ""))
    assert seen.spans[0]["attributes"].items() >= SPOKEN.items()


def test_content_that_a_library_writes_is_masked():
    """The user's maskers are for whatever leaves; other attributes are not looked into."""
    case = CASES["pydantic-ai chat"]
    with watched(disabled="openai", mask=["email"]) as seen:
        emit(seen, Case(case.scope, case.name, {**case.said, **SPOKEN}, ""))
        attributes = seen.spans[0]["attributes"]
    assert "ada@" not in attributes["gen_ai.input.messages"] + attributes["pydantic_ai.all_messages"]
    assert attributes["gen_ai.input.messages"].startswith('[{"role": "user"')
    assert attributes["model_name"] == SECRET


def test_content_that_a_masker_fails_on_is_left_out(monkeypatch):
    """And the rest stays."""
    monkeypatch.setenv(_telemetry.STRICT, "0")

    def broken(text):
        raise ValueError(text)

    case = CASES["pydantic-ai chat"]
    with watched(disabled="openai", mask=[broken]) as seen:
        emit(seen, Case(case.scope, case.name, {**case.said, **SPOKEN}, ""))
        (span,) = seen.spans
        assert seen.metrics[s.INTERNAL_ERRORS.name]
    assert "gen_ai.input.messages" not in span["attributes"]
    assert span["attributes"].items() >= case.said.items()


EVENTS = [
    ("gen_ai.user.message", {"content": f'[{{"text": "{SECRET}"}}]', "role": "user"}),
    ("gen_ai.choice", {"message": f'[{{"text": "{SECRET}"}}]', "finish_reason": "end_turn", "index": 7}),
    ("gen_ai.client.inference.operation.details", {"gen_ai.input.messages": SPOKEN["gen_ai.input.messages"]}),
    ("files", {"names": (SECRET, "b"), "bytes": b"x", "flag": True, "share": 0.5}),
    ("empty", {}),
]
"""As Strands writes messages, before and after the conventions changed; and what else events may hold."""


def happen(span):
    """Have the events happen to a span, each at a time of its own."""
    for number, (name, attributes) in enumerate(EVENTS):
        span.add_event(name, attributes, timestamp=1000 + number)


def events(span):
    """Give what a span says of its events."""
    return [(event.name, dict(event.attributes), event.timestamp) for event in span.events]


def test_content_in_events_is_masked():
    """Strands' messages are events of its spans; what holds no secret is as it was."""
    case = CASES["strands model"]
    with watched(disabled="openai") as plain:
        emit(plain, case, lambda: happen(trace.get_current_span()))
    with watched(disabled="openai", mask=["email"]) as seen:
        emit(seen, case, lambda: happen(trace.get_current_span()))
    was, now = events(plain.finished[0]), events(seen.finished[0])
    assert SECRET in str(was)
    assert "ada@" not in str(now)
    assert now == [(name, clean(attributes), time) for name, attributes, time in was]


def clean(value):
    """Mask by hand."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(clean, value))
    return value.replace("ada@example.com", "[email]") if isinstance(value, str) else value


def test_what_an_exception_says_is_masked():
    """On its event and in the span's status; which one it was stays."""
    case = CASES["strands model"]

    def fail():
        raise LookupError(SECRET)

    with watched(disabled="openai", mask=["email"]) as seen:
        with pytest.raises(LookupError, match=SECRET):
            emit(seen, case, fail)
        (span,) = seen.finished
    (event,) = span.events
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "LookupError: write to [email]"
    assert event.attributes["exception.type"] == "LookupError"
    assert event.attributes["exception.message"] == "write to [email]"
    assert "LookupError: write to [email]" in event.attributes["exception.stacktrace"]
    assert "ada@" not in span.to_json()
    assert span.attributes[s.ERROR_TYPE] == "LookupError"


def test_what_a_masker_fails_on_in_events_is_left_out(monkeypatch):
    """The event stays, and what else it says; so does how many were dropped."""
    monkeypatch.setenv(_telemetry.STRICT, "0")

    def broken(text):
        if "write to" in text:
            raise ValueError(text)
        return text

    def fail():
        happen(trace.get_current_span())
        raise LookupError(SECRET)

    with watched(disabled="openai", mask=[broken]) as seen:
        with pytest.raises(LookupError):
            emit(seen, CASES["strands model"], fail)
        (span,) = seen.finished
        assert seen.metrics[s.INTERNAL_ERRORS.name]
    assert [event.name for event in span.events] == [*(name for name, _ in EVENTS), "exception"]
    assert dict(span.events[1].attributes) == {"finish_reason": "end_turn", "index": 7}
    assert dict(span.events[5].attributes) == {"exception.type": "LookupError", "exception.escaped": "False"}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.dropped_events == 0


def test_where_nothing_is_masked_nothing_is_touched():
    """Without maskers the events are the library's own."""
    with watched(disabled="openai") as seen:
        emit(seen, CASES["strands model"], lambda: happen(trace.get_current_span()))
    assert [(name, attributes) for name, attributes, _ in events(seen.finished[0])] == EVENTS


def test_masking_goes_on_where_reading_was_switched_off(monkeypatch):
    """What fails again and again is not tried again; content passes the maskers all the same."""
    monkeypatch.setenv(_telemetry.STRICT, "0")

    def broken(*_):
        raise RuntimeError

    case = CASES["pydantic-ai chat"]
    with watched(disabled="openai", mask=["email"]) as seen:
        monkeypatch.setattr(_emitters, "missing", broken)
        for _ in range(_telemetry.FAILURES + 2):
            emit(seen, Case(case.scope, case.name, {**case.said, **SPOKEN}, ""))
        assert not [span for span in seen.spans if "ada@" in span["attributes"]["gen_ai.input.messages"]]
        assert len(seen.spans) == _telemetry.FAILURES + 2


# --- Failures of ours ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", ["otel_genai._emitters.missing", "otel_genai._bridge._record", "otel_genai._bridge.Adopted"]
)
def test_our_failure_hurts_nobody(monkeypatch, where, caplog):
    """The span is exported as its library made it, the failure is counted, and told once."""
    monkeypatch.setenv(_telemetry.STRICT, "0")

    def broken(*_, **__):
        raise RuntimeError(where)

    with watched(disabled="openai") as seen:
        monkeypatch.setattr(where, broken)
        for _ in range(_telemetry.FAILURES + 2):
            emit(seen, CASES["mistralai"])
        assert len(seen.spans) == _telemetry.FAILURES + 2
        assert all(span["attributes"].items() >= CASES["mistralai"].said.items() for span in seen.spans)
        (errors,) = seen.metrics[s.INTERNAL_ERRORS.name]
    assert errors["value"] == _telemetry.FAILURES  # then it is switched off
    assert len([record for record in caplog.records if "native span" in record.getMessage()]) == 2


def test_a_call_of_ours_goes_on_where_the_span_cannot_be_taken(monkeypatch):
    """It has a span of its own then."""
    monkeypatch.setenv(_telemetry.STRICT, "0")
    with watched("openai") as seen:

        def broken(*_):
            monkeypatch.setattr("otel_genai._bridge.Lent", None)
            ask(seen)()

        emit(seen, CASES["strands model"], broken, attributes=CASES["strands model"].said)
        assert len(seen.spans) == 2


def test_a_span_that_the_garbage_collector_ends_is_told(seen):
    """A generator that was dropped: its span has been exported by the time that it is measured."""

    def stream():
        with seen.tracer_provider.get_tracer("mistralai_sdk_tracer").start_as_current_span("chat m") as span:
            span.set_attributes(CASES["mistralai"].said)
            yield

    held = stream()
    next(held)
    circle = [held]
    circle.append(circle)
    del held, circle
    collect()
    assert CALLS in names(points(seen))


def test_without_a_sample_there_is_no_measure():
    """Processors see recording spans alone: the docs say so."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF  # noqa: PLC0415 (of this test alone)

    with watched(disabled="openai", sampler=ALWAYS_OFF) as seen:
        emit(seen, CASES["mistralai"])
        assert (seen.spans, points(seen)) == ([], [])


def test_what_is_lent_is_a_span():
    """Of its own accord it does nothing that is its owner's to do."""
    from otel_genai._bridge import Lent  # noqa: PLC0415 (imported by those who need it)

    with testing.capture(disabled="openai") as seen:
        span = seen.tracer_provider.get_tracer("x").start_span("mine")
        lent = Lent(span)
        lent.update_name("other")
        lent.add_event("event")
        lent.record_exception(ValueError())
        lent.set_status(StatusCode.ERROR)
        lent.set_attribute("known", 1)
        lent.set_attribute("known", 2)
        lent.end()
        assert isinstance(lent, Span)
        assert set_span_in_context(lent)
        assert lent.get_span_context() == span.get_span_context()
        assert (span.name, span.is_recording(), lent.is_recording()) == ("mine", True, True)
        assert (len(span.events), span.status.status_code) == (0, StatusCode.UNSET)
        assert span.attributes == {"known": 1}
        lent.set_attributes({s.ERROR_TYPE: s.ERROR_TRUNCATED, s.OUTCOME: s.TRUNCATED})
        assert span.status.status_code is StatusCode.ERROR
        span.end()


# --- The names -------------------------------------------------------------------------------------------

MODEL = Path(__file__).parents[2] / "shared" / "semconv" / "model"


def test_names_of_mcp_are_the_conventions():
    """Each attribute is in the model, and the metrics have its units."""
    if not MODEL.is_dir():
        pytest.skip("the conventions' model is not beside the checkout")
    text = "".join(path.read_text() for path in sorted(MODEL.rglob("*.yaml")))
    ours = [
        value for value in vars(semconv_mcp).values() if isinstance(value, str) and value.startswith("mcp.")
    ]
    assert ours
    assert [name for name in (*ours, mcp.STATUS_CODE, mcp.REQUEST_ID) if name not in text] == []
    documents = [yaml.safe_load(path.read_text()) for path in sorted(MODEL.rglob("*.yaml"))]
    metrics = {one["name"]: one for document in documents for one in document.get("metrics", ())}
    for metric in (mcp.CLIENT_DURATION, mcp.SERVER_DURATION, mcp.CLIENT_SESSION, mcp.SERVER_SESSION):
        assert metrics[metric.name]["unit"] == metric.unit


# --- The libraries themselves ----------------------------------------------------------------------------


def need(package, version):
    """Skip where a library is not installed, or too old to make spans."""
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        found = "0"
    if int(found.partition(".")[0]) < version:
        pytest.skip(f"{package} {found} makes no such spans: pip install '{package} >= {version}'")


@pytest.mark.parametrize("hooked", [True, False], ids=["hooked", "not hooked"])
@pytest.mark.parametrize("native", [True, False], ids=["native", "not native"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_pydantic_ai_over_openai(native, hooked, streamed):
    """The agent's one inference is one span, and its tokens are counted once."""
    need("pydantic-ai-slim", 2)
    from pydantic_ai import Agent  # noqa: PLC0415 (it may not be installed)
    from pydantic_ai.capabilities import Instrumentation  # noqa: PLC0415 (as above)
    from pydantic_ai.models.instrumented import InstrumentationSettings  # noqa: PLC0415 (as above)
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 (as above)
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415 (as above)

    settings = {} if hooked else {"disabled": "openai"}
    with watched("openai", prices=PRICES, cost=True, **settings) as seen:
        telemetry = InstrumentationSettings(
            tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider
        )
        client = ways.client(ways.Wire(["chat"]), ways.openai.AsyncOpenAI)
        model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
        agent = Agent(
            model, name="keeper", capabilities=[Instrumentation(settings=telemetry)] if native else []
        )

        async def run():
            if not streamed:
                return (await agent.run("When does it open?")).output
            async with agent.run_stream("When does it open?") as answer:
                return await answer.get_output()

        assert "lighthouse" in asyncio.run(run()).lower()
        found, spans = points(seen), seen.spans
    expected = 1 if native or hooked else 0
    totals = Counter()
    for _, metric, attributes, value in found:
        totals[metric, attributes.get(s.TOKEN_TYPE)] += value
    inferences = [span for span in spans if span["attributes"].get(s.OPERATION_NAME) == s.CHAT]
    assert len(inferences) == expected
    assert totals[CALLS, None] == expected
    assert (totals[TOKENS, "input"], totals[TOKENS, "output"]) == (21 * expected, 6 * expected)
    assert totals[COST, None] == pytest.approx(33e-6 * expected)
    assert len([span for span in spans if span["name"] == "invoke_agent keeper"]) == native
    assert len([1 for _, metric, *_ in found if metric == AGENT]) == native


def test_pydantic_ai_without_any_sdk(seen):
    """Its own test model: agent, tool and model in one trace, each measured."""
    need("pydantic-ai-slim", 2)
    from pydantic_ai import Agent  # noqa: PLC0415 (it may not be installed)
    from pydantic_ai.capabilities import Instrumentation  # noqa: PLC0415 (as above)
    from pydantic_ai.models.instrumented import InstrumentationSettings  # noqa: PLC0415 (as above)
    from pydantic_ai.models.test import TestModel  # noqa: PLC0415 (as above)

    telemetry = InstrumentationSettings(
        tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider
    )
    agent = Agent(TestModel(), name="keeper", capabilities=[Instrumentation(settings=telemetry)])

    @agent.tool_plain
    def look(place: str) -> str:
        return place

    asyncio.run(agent.run("When does it open?"))
    found = points(seen)
    assert {span["name"] for span in seen.spans} == {"chat test", "execute_tool look", "invoke_agent keeper"}
    assert {DURATION, CALLS, AGENT, TOOL} <= names(found)
    assert sum(value for _, name, _, value in found if name == CALLS) == 2
    assert {scope for scope, name, *_ in found if name == TOKENS} == {"pydantic-ai"}


def test_what_a_tool_of_pydantic_ai_fails_with_is_masked():
    """Its exception is an event of several spans, and the status of each."""
    need("pydantic-ai-slim", 2)
    from pydantic_ai import Agent  # noqa: PLC0415 (it may not be installed)
    from pydantic_ai.capabilities import Instrumentation  # noqa: PLC0415 (as above)
    from pydantic_ai.models.instrumented import InstrumentationSettings  # noqa: PLC0415 (as above)
    from pydantic_ai.models.test import TestModel  # noqa: PLC0415 (as above)

    with watched(disabled="openai", mask=["email"]) as seen:
        telemetry = InstrumentationSettings(
            tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider
        )
        agent = Agent(TestModel(), name="keeper", capabilities=[Instrumentation(settings=telemetry)])

        @agent.tool_plain
        def look(place: str) -> str:
            raise LookupError(SECRET)

        with pytest.raises(LookupError, match=SECRET):
            asyncio.run(agent.run(f"When does it open? {SECRET}"))
        told = [span.to_json() for span in seen.finished]
    assert "[email]" in "".join(told)
    assert "LookupError" in "".join(told)
    assert not [one for one in told if "ada@" in one]


@pytest.mark.parametrize("hooked", [True, False], ids=["hooked", "not hooked"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_the_anthropic_sdk(streamed, hooked):
    """Its spans are replaced where we see its calls, and adopted where we do not: one each, counted once."""
    anthropic_ways = pytest.importorskip("anthropic_ways", reason="pip install anthropic")
    if not hasattr(anthropic_ways.anthropic.Anthropic, "open_telemetry"):
        pytest.skip("this anthropic makes no spans: pip install 'anthropic >= 1.17'")
    settings = {} if hooked else {"disabled": "anthropic"}
    with watched("anthropic", **settings) as seen:
        client = anthropic_ways.client(
            anthropic_ways.Wire(["messages"]), open_telemetry={"tracer_provider": seen.tracer_provider}
        )
        answer = client.messages.create(**anthropic_ways.MESSAGES, stream=streamed)
        events = list(answer) if streamed else [answer]
        found, (span,) = points(seen), seen.spans
    assert events
    attributes = span["attributes"]
    assert span["name"] == f"chat {attributes[s.REQUEST_MODEL]}"
    assert attributes[s.RESPONSE_FINISH_REASONS] == ["end_turn"]
    counted = {a[s.TOKEN_TYPE]: value for _, name, a, value in found if name == TOKENS}
    assert counted == {"input": attributes[s.USAGE_INPUT_TOKENS], "output": attributes[s.USAGE_OUTPUT_TOKENS]}
    assert sum(value for _, name, _, value in found if name == CALLS) == 1


@pytest.fixture
def mcp_spans(monkeypatch, seen):
    """Have the SDK's module-wide tracer go where the test looks."""
    need("mcp", 2)
    from mcp.shared import _otel  # noqa: PLC0415 (it may not be installed)

    monkeypatch.setattr(_otel, "_tracer", seen.tracer_provider.get_tracer("mcp-python-sdk"))
    return seen


def test_mcp_client_and_server_are_one_trace(mcp_spans):
    """The server's spans are below the client's, both are named by the conventions, both are measured."""
    from mcp import Client  # noqa: PLC0415 (it may not be installed)
    from mcp.server import MCPServer  # noqa: PLC0415 (as above)

    server = MCPServer("sums")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    def fail() -> int:
        raise ValueError

    async def talk():
        with otel_genai.agent("adder"):
            async with Client(server, mode="legacy") as client:  # else nothing is sent
                await client.call_tool("add", {"a": 1, "b": 2})
                await client.call_tool("fail", {})

    asyncio.run(talk())
    spans = mcp_spans.finished
    tools = [span for span in spans if span.name == "tools/call add"]
    assert {span.context.trace_id for span in spans} == {spans[-1].context.trace_id}
    assert {span.kind for span in tools} == {CLIENT, SERVER}
    server_side, client_side = sorted(tools, key=lambda span: span.kind is CLIENT)
    assert server_side.parent.span_id == client_side.context.span_id
    for span in tools:
        assert span.attributes.items() >= {s.OPERATION_NAME: s.EXECUTE_TOOL, s.TOOL_NAME: "add"}.items()
    found = points(mcp_spans)
    for metric in (mcp.CLIENT_DURATION.name, mcp.SERVER_DURATION.name):
        tools = {
            attributes.get(s.TOOL_NAME): attributes for _, name, attributes, _ in found if name == metric
        }
        assert {"add", "fail"} <= tools.keys()
        assert (tools["fail"].get(s.ERROR_TYPE) == "tool_error") is (metric == mcp.SERVER_DURATION.name)
    assert TOOL not in names(found)


# --- For people ------------------------------------------------------------------------------------------


def test_the_doctor_names_who_makes_spans(monkeypatch):
    """Of those that are installed, in versions that do."""
    there = {"mcp": "1.9.0", "google-adk": "2.13.0", "crewai": "1.15.30", "litellm": "1.109.1"}
    monkeypatch.setattr(_doctor, "_installed", there.get)
    end = "; those that reach this program's provider are adopted"
    assert [(finding.subject, finding.text, finding.advice) for finding in _doctor._native()] == [
        ("google-adk itself", f"2.13.0 makes GenAI spans, on by default{end}", ""),
        ("crewai itself", f"1.15.30 makes GenAI spans, sent to a provider of its own{end}", ""),
        ("litellm itself", f"1.109.1 makes GenAI spans, off by default{end}", ""),
    ]


def test_the_page_says_what_the_table_does():
    """One row each, in the table's order."""
    page = (Path(__file__).parent.parent / "docs" / "native-spans.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    cells = [
        (f"`{one.requires}`", listed(one.scopes), one.default, one.switch, listed(sorted(one.records)))
        for one in _emitters.EMITTERS
    ]
    assert rows == [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in cells]


def listed(words):
    """Write words as a table of Markdown has them."""
    return ", ".join(f"`{word}`" for word in words)
