"""Libraries that make GenAI spans themselves, the real ones: adopted, and measured once.

Each has a model of this file's own beneath, or the wire of an SDK. What is seen of a library is what it does
with a program of a few lines: an agent that calls a model twice, and a tool in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import ways
from otel_genai import _telemetry
from otel_genai import semconv as s
from sdks.kit import Reply, Wire, events, fake
from test_bridge import PRICES, watched

DURATION, TOKENS, CALLS = s.OPERATION_DURATION.name, s.TOKEN_USAGE.name, s.CALLS.name
COST, AGENT, TOOL = s.COST.name, s.AGENT_DURATION.name, s.TOOL_DURATION.name
WORKFLOW = s.WORKFLOW_DURATION.name
SECRET = "ada@x.example"
OURS = "otel_genai"


def there(module, package):
    """Skip a test where its library is missing."""
    found = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not found, reason=f"needs {package}: pip install {package}, or make soak-sdks")


def told(seen):
    """Count what was recorded of GenAI, by scope and metric; tokens by their kind, and cost in millionths."""
    _telemetry.settle()
    data = seen._metrics.get_metrics_data()
    found = Counter()
    for scope in (scope for one in (data.resource_metrics if data else ()) for scope in one.scope_metrics):
        for metric in scope.metrics:
            for point in metric.data.data_points:
                if metric.name == TOKENS:
                    found[scope.scope.name, point.attributes[s.TOKEN_TYPE]] += point.sum
                elif metric.name == COST:
                    found[scope.scope.name, COST] += round(point.value * 1e6)
                elif metric.name in (DURATION, CALLS, AGENT, TOOL, WORKFLOW):
                    found[scope.scope.name, metric.name] += getattr(point, "count", 0) or point.value
    return found


def series(seen, metric):
    """Give the attributes of a metric's points, those of otel-genai."""
    return [point["attributes"] for point in seen.metrics.get(metric, ())]


def names(seen):
    """Count the names of spans."""
    return Counter(span["name"] for span in seen.spans)


def of(seen, operation):
    """Give the attributes of the spans of an operation."""
    return [
        span["attributes"] for span in seen.spans if span["attributes"].get(s.OPERATION_NAME) == operation
    ]


def texts(seen):
    """Give all that spans say."""
    return "".join(span.to_json() for span in seen.finished)


# --- Strands ---------------------------------------------------------------------------------------------

needs_strands = there("strands", "strands-agents")
LATEST = "gen_ai_latest_experimental,gen_ai_span_attributes_only"
ASKED = f"When does it open? {SECRET}"


def strands_model(fail):
    """Make a model that asks for a tool, then answers; or hangs, or fails."""
    from strands.models.model import Model  # noqa: PLC0415 (it may not be installed)

    class Fake(Model):
        def __init__(self):
            self.config = {"model_id": "gpt-4o-mini"}
            self.calls = 0
            self.asked = asyncio.Event()

        def update_config(self, **config):
            self.config.update(config)

        def get_config(self):
            return self.config

        def structured_output(self, *args, **kwargs):
            raise NotImplementedError

        async def stream(self, messages, *args, **kwargs):
            self.calls += 1
            self.asked.set()
            if fail == "model":
                raise LookupError(SECRET)
            if fail == "hang":
                await asyncio.Event().wait()
            yield {"messageStart": {"role": "assistant"}}
            if self.calls == 1:
                yield {"contentBlockStart": {"start": {"toolUse": {"name": "look", "toolUseId": "t1"}}}}
                yield {"contentBlockDelta": {"delta": {"toolUse": {"input": f'{{"place": "{SECRET}"}}'}}}}
            else:
                yield {"contentBlockDelta": {"delta": {"text": f"At nine, {SECRET}."}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "tool_use" if self.calls == 1 else "end_turn"}}
            usage = {"inputTokens": 21, "outputTokens": 6, "totalTokens": 27}
            yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 3}}}

    return Fake()


def strands_agent(model, fail=None):
    """Make an agent with a tool."""
    from strands import Agent, tool  # noqa: PLC0415 (it may not be installed)

    @tool
    def look(place: str) -> str:
        """Look."""
        if fail == "tool":
            raise LookupError(place)
        return place

    return Agent(
        model=model, tools=[look], name="keeper", callback_handler=None, system_prompt=f"Be {SECRET}."
    )


@pytest.fixture
def strands(monkeypatch):
    """Have the library's one tracer go where the test looks; what it did to threads is undone."""
    tracer = pytest.importorskip("strands.telemetry.tracer")

    @contextlib.contextmanager
    def watch(*providers, **settings):
        with watched(*providers, **{"disabled": "openai", **settings}) as seen:
            own = tracer.Tracer()
            own.tracer = seen.tracer_provider.get_tracer(own.service_name)
            monkeypatch.setattr(tracer, "_tracer_instance", own)
            yield seen

    yield watch
    tracer.ThreadingInstrumentor().uninstrument()


@needs_strands
@pytest.mark.parametrize("conventions", ["", LATEST], ids=["older", "latest"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_an_agent_of_strands(strands, monkeypatch, conventions, streamed):
    """Two calls, one tool, one agent: a span each, and what they tell once; cycles are the library's own."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", conventions)
    with strands(prices=PRICES, cost=True) as seen:
        agent = strands_agent(strands_model(None))

        async def run():
            if not streamed:
                return await agent.invoke_async(ASKED)
            return [event async for event in agent.stream_async(ASKED)][-1]["result"]

        assert "nine" in str(asyncio.run(run()))
        assert names(seen) == {
            "chat gpt-4o-mini": 2,
            "execute_tool look": 1,
            "execute_event_loop_cycle": 2,
            "invoke_agent keeper": 1,
        }
        assert told(seen) == {
            (OURS, "input"): 42,
            (OURS, "output"): 12,
            (OURS, DURATION): 2,
            (OURS, CALLS): 2,
            (OURS, TOOL): 1,
            (OURS, AGENT): 1,
        }
        dimensions = {s.OPERATION_NAME: "chat", s.REQUEST_MODEL: "gpt-4o-mini"}
        assert series(seen, DURATION) == [dimensions]  # the library is nobody's provider
        assert len({span.context.trace_id for span in seen.finished}) == 1


@needs_strands
@pytest.mark.parametrize("fail", ["model", "tool"])
def test_failures_of_strands(strands, fail):
    """What has failed says so in its span and its metrics; the agent goes on where the tool alone has."""
    with strands() as seen:
        with contextlib.suppress(LookupError):
            asyncio.run(strands_agent(strands_model(fail), fail).invoke_async(ASKED))
        failed = {span["name"] for span in seen.spans if s.ERROR_TYPE in span["attributes"]}
        found = told(seen)
        outcomes = {point[s.OUTCOME] for point in series(seen, CALLS)}
        metric = TOOL if fail == "tool" else DURATION
        (errors,) = [point[s.ERROR_TYPE] for point in series(seen, metric)]
    of_model = {"chat gpt-4o-mini", "execute_event_loop_cycle", "invoke_agent keeper"}
    assert failed == ({"execute_tool look"} if fail == "tool" else of_model)
    assert (errors, outcomes) == ("LookupError", {s.COMPLETED if fail == "tool" else s.FAILED})
    assert (found[OURS, CALLS], found[OURS, AGENT]) == (2 if fail == "tool" else 1, 1)


@needs_strands
def test_a_run_of_strands_that_is_cancelled(strands):
    """Its agent says so; the library never ends the span of the call within."""
    with strands() as seen:
        model = strands_model("hang")

        async def run():
            task = asyncio.ensure_future(strands_agent(model).invoke_async(ASKED))
            await model.asked.wait()
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(run())
        assert names(seen) == {"invoke_agent keeper": 1}
        assert seen.spans[0]["attributes"][s.ERROR_TYPE] == "CancelledError"
        assert [point[s.ERROR_TYPE] for point in series(seen, AGENT)] == ["CancelledError"]


@needs_strands
@pytest.mark.parametrize("conventions", ["", LATEST], ids=["older", "latest"])
@pytest.mark.parametrize("fail", [None, "model", "tool"])
def test_content_of_strands_is_masked(strands, monkeypatch, conventions, fail):
    """Its events, its attributes, and what errors say."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", conventions)
    with strands(mask=["email"]) as seen:
        with contextlib.suppress(LookupError):
            asyncio.run(strands_agent(strands_model(fail), fail).invoke_async(ASKED))
        said = texts(seen)
    assert "[email]" in said
    assert SECRET not in said


@needs_strands
@pytest.mark.parametrize("hooked", [True, False], ids=["hooked", "not hooked"])
def test_strands_over_openai(strands, hooked):
    """One span a call, counted once; with the hook it says who answered, and what that cost."""
    from strands.models.openai import OpenAIModel  # noqa: PLC0415 (it may not be installed)

    with strands("openai", prices=PRICES, cost=True, disabled="" if hooked else "openai") as seen:
        client = ways.client(ways.Wire(["chat"]), ways.openai.AsyncOpenAI)
        agent = strands_agent(OpenAIModel(client=client, model_id="gpt-4o-mini"))
        assert "lighthouse" in str(asyncio.run(agent.invoke_async(ASKED)))
        (chat,) = of(seen, s.CHAT)
        found = told(seen)
    assert (found[OURS, "input"], found[OURS, "output"]) == (21, 6)
    assert (found[OURS, CALLS], found[OURS, DURATION], found[OURS, AGENT]) == (1, 1, 1)
    assert (found[OURS, COST], chat.get(s.PROVIDER_NAME)) == ((33, s.OPENAI) if hooked else (0, None))
    assert not [key for key in chat if key.startswith(s.CONTENT)]  # no content of ours, as none was asked for


@needs_strands
def test_a_graph_of_strands(strands):
    """It is a workflow, of which the conventions have a metric."""
    from strands.multiagent import GraphBuilder  # noqa: PLC0415 (it may not be installed)

    with strands() as seen:
        builder = GraphBuilder()
        builder.add_node(strands_agent(strands_model(None)), "only")
        builder.set_entry_point("only")
        builder.set_execution_timeout(60)
        asyncio.run(builder.build().invoke_async(ASKED))
        found = told(seen)
    assert (found[OURS, WORKFLOW], found[OURS, AGENT], found[OURS, CALLS]) == (1, 1, 2)


# --- Agent Framework -------------------------------------------------------------------------------------

needs_framework = there("agent_framework", "agent-framework-core")
THEIRS = "agent_framework"


@pytest.fixture
def framework(monkeypatch):
    """Have the library's tracer and meter go where the test looks."""
    observability = pytest.importorskip("agent_framework.observability")
    tools = importlib.import_module("agent_framework._tools")

    @contextlib.contextmanager
    def watch(*providers, sensitive=False, **settings):
        with watched(*providers, **{"disabled": "openai", **settings}) as seen:
            meter = seen.meter_provider.get_meter(THEIRS)
            tracer = seen.tracer_provider.get_tracer(THEIRS)
            monkeypatch.setattr(observability, "get_tracer", lambda *_, **__: tracer)
            monkeypatch.setattr(observability, "get_meter", lambda *_, **__: meter)
            monkeypatch.setattr(tools, "get_meter", lambda *_, **__: meter)
            own = observability.ObservabilitySettings(
                enable_instrumentation=True, enable_sensitive_data=sensitive
            )
            monkeypatch.setattr(observability, "OBSERVABILITY_SETTINGS", own)
            monkeypatch.setattr(tools, "OBSERVABILITY_SETTINGS", own, raising=False)
            yield seen

    return watch


def framework_client(fail=None, openai=None):
    """Make a chat client that asks for a tool, then answers; or asks the SDK; or fails."""
    import agent_framework as af  # noqa: PLC0415 (it may not be installed)
    from agent_framework import observability  # noqa: PLC0415 (as above)

    class Plain(af.BaseChatClient):
        OTEL_PROVIDER_NAME = "openai"
        model = "gpt-4o-mini"
        calls = 0

        def service_url(self):
            return "https://llm.example:8443/v1"

        async def told(self):
            self.calls += 1
            if fail == "model":
                raise LookupError(SECRET)
            if openai is not None:
                answer = await openai.chat.completions.create(**ways.CHAT)
                return [af.Content.from_text(answer.choices[0].message.content)]
            if self.calls == 1:
                return [af.Content.from_function_call("c1", "look", arguments={"place": SECRET})]
            return [af.Content.from_text(f"At nine, {SECRET}.")]

        def _inner_get_response(self, *, messages, stream, options, **kwargs):
            usage = {"input_token_count": 21, "output_token_count": 6, "total_token_count": 27}
            last = {"finish_reason": "stop", "response_id": "r1", "model": "gpt-4o-mini-2024-07-18"}

            async def updates():
                yield af.ChatResponseUpdate(role="assistant", contents=await self.told())
                contents = [af.Content.from_usage(usage)]
                yield af.ChatResponseUpdate(role="assistant", contents=contents, **last)

            async def whole():
                message = af.Message(role="assistant", contents=await self.told())
                return af.ChatResponse(messages=[message], usage_details=usage, **last)

            return self._build_response_stream(updates()) if stream else whole()

    layer = importlib.import_module("agent_framework._tools").FunctionInvocationLayer
    return type("Fake", (layer, observability.ChatTelemetryLayer, Plain), {})()


def framework_run(client, fail=None, *, streamed=False):
    """Run an agent with a tool."""
    import agent_framework as af  # noqa: PLC0415 (it may not be installed)

    @af.tool(approval_mode="never_require")
    def look(place: str) -> str:
        """Look."""
        if fail == "tool":
            raise LookupError(place)
        return place

    agent = af.Agent(client=client, name="keeper", instructions=f"Be {SECRET}.", tools=[look])

    async def run():
        if not streamed:
            return (await agent.run(ASKED)).text
        return "".join([update.text async for update in agent.run(ASKED, stream=True)])

    return asyncio.run(run())


@needs_framework
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_an_agent_of_agent_framework(framework, streamed):
    """Two calls, one tool, one agent: a span each; durations and tokens are the library's, the rest ours."""
    with framework(prices=PRICES, cost=True) as seen:
        assert "nine" in framework_run(framework_client(), streamed=streamed)
        assert names(seen) == {"chat gpt-4o-mini": 2, "execute_tool look": 1, "invoke_agent keeper": 1}
        assert told(seen) == {
            (THEIRS, "input"): 42,
            (THEIRS, "output"): 12,
            (THEIRS, DURATION): 2,
            (OURS, CALLS): 2,
            (OURS, COST): 66,
            (OURS, TOOL): 1,
            (OURS, AGENT): 1,
        }
        assert [chat[s.USAGE_COST_AMOUNT] for chat in of(seen, s.CHAT)] == [pytest.approx(33e-6)] * 2
        (cost,) = series(seen, COST)
        assert cost[s.SERVER_ADDRESS] == "llm.example"
        assert SECRET not in texts(seen)  # as the library has it, until a program asks for content


@needs_framework
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("fail", ["model", "tool"])
def test_failures_of_agent_framework(framework, fail, streamed):
    """What has failed says so; a call that has is counted as such, and its duration once."""
    with framework() as seen:
        with contextlib.suppress(LookupError):
            framework_run(framework_client(fail), fail, streamed=streamed)
        failed = {span["name"] for span in seen.spans if s.ERROR_TYPE in span["attributes"]}
        found = told(seen)
        outcomes = {point[s.OUTCOME] for point in series(seen, CALLS)}
    assert failed == (
        {"execute_tool look"} if fail == "tool" else {"chat gpt-4o-mini", "invoke_agent keeper"}
    )
    assert outcomes == {s.COMPLETED if fail == "tool" else s.FAILED}
    calls = 2 if fail == "tool" else 1
    assert (found[OURS, CALLS], found[THEIRS, DURATION], found[OURS, DURATION]) == (calls, calls, 0)
    assert (found[OURS, TOOL], found[OURS, AGENT]) == (calls - 1, 1)


@needs_framework
@pytest.mark.parametrize("fail", [None, "model", "tool"])
def test_content_of_agent_framework_is_masked(framework, fail):
    """All that it writes where a program asks it for content."""
    with framework(sensitive=True, mask=["email"]) as seen:
        with contextlib.suppress(LookupError):
            framework_run(framework_client(fail), fail)
        said = texts(seen)
    assert "[email]" in said
    assert SECRET not in said


@needs_framework
@pytest.mark.parametrize("hooked", [True, False], ids=["hooked", "not hooked"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_agent_framework_over_openai(framework, hooked, streamed):
    """One span a call; what the library counts itself is not counted again."""
    with framework("openai", prices=PRICES, cost=True, disabled="" if hooked else "openai") as seen:
        sdk = ways.client(ways.Wire(["chat"]), ways.openai.AsyncOpenAI)
        assert "lighthouse" in framework_run(framework_client(openai=sdk), streamed=streamed)
        (chat,) = of(seen, s.CHAT)
        found = told(seen)
    assert (found[THEIRS, "input"], found[THEIRS, "output"], found[THEIRS, DURATION]) == (21, 6, 1)
    assert (found[OURS, "input"], found[OURS, DURATION]) == (0, 0)
    assert (found[OURS, CALLS], found[OURS, COST], found[OURS, AGENT]) == (1, 33, 1)
    assert ("openai.api.type" in chat) is hooked


@needs_framework
def test_a_workflow_of_agent_framework(framework):
    """Its run is one, named by the conventions."""
    import agent_framework as af  # noqa: PLC0415 (it may not be installed)

    async def loud(text, ctx):
        await ctx.yield_output(text.upper())

    loud.__annotations__ = {"text": str, "ctx": af.WorkflowContext[str, str]}
    with framework() as seen:
        workflow = af.WorkflowBuilder(start_executor=af.executor(loud), name="shout").build()
        assert asyncio.run(workflow.run("a")).get_outputs() == ["A"]
        assert names(seen)["invoke_workflow shout"] == 1
        assert told(seen) == {(OURS, WORKFLOW): 1}
        assert series(seen, WORKFLOW) == [{s.WORKFLOW_NAME: "shout"}]


# --- Mistral ---------------------------------------------------------------------------------------------

needs_mistral = there("mistralai", "'mistralai >= 3'")
WHOLE = Reply(fake("mistralai/chat.json"))
STREAM = Reply(kind="text/event-stream", pieces=events(fake("mistralai/chat.sse")))
REFUSAL = Reply(
    b'{"object": "error", "message": "no marmalade", "type": "rate_limit_error", "code": "3"}', status=429
)
MISTRAL_PRICES = [{"model": "mistral-medium*", "input": 1, "output": 2}]


@contextlib.contextmanager
def mistral(reply, *, streamed=False, hooked=False, **settings):
    """Call the SDK with its own spans on; give what is seen, and what it raised."""
    configure = pytest.importorskip("mistralai.extra.observability").configure_telemetry
    from sdks.mistralai import MESSAGES, MODEL, Client  # noqa: PLC0415 (the SDK may not be installed)

    settings = {"disabled": "" if hooked else "mistralai", "prices": MISTRAL_PRICES, "cost": True, **settings}
    with watched("mistralai", **settings) as seen, Wire([reply], frozenset()).serving() as wire:
        client = Client(wire.url, "sync")
        configure(client.sdk, provider=seen.tracer_provider, redaction=False)
        raised = None
        try:
            if streamed:
                list(client.sdk.chat.stream(model=MODEL, messages=MESSAGES))
            else:
                client.sdk.chat.complete(model=MODEL, messages=MESSAGES)
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            raised = error
        client.close()
        yield seen, raised


@needs_mistral
@pytest.mark.parametrize("hooked", [True, False], ids=["hooked", "not hooked"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_the_mistral_sdk(streamed, hooked):
    """Its span is replaced where we see the call, and adopted where we do not: one, and counted once."""
    with mistral(STREAM if streamed else WHOLE, streamed=streamed, hooked=hooked) as (seen, raised):
        (span,) = seen.spans
        (finished,) = seen.finished
        (duration,) = series(seen, DURATION)
        counted = {key: value for (_, key), value in told(seen).items()}
    assert raised is None
    assert finished.instrumentation_scope.name == (OURS if hooked else "mistralai_sdk_tracer")
    assert span["name"] == "chat mistral-medium-latest"
    assert span["attributes"][s.USAGE_COST_AMOUNT] == pytest.approx((96 + 14) / 1e6)
    assert counted == {"input": 96, "output": 7, DURATION: 1, CALLS: 1, COST: 110}
    assert duration[s.SERVER_ADDRESS] == "127.0.0.1"  # what the SDK calls the address has the port, too
    assert (s.INPUT_MESSAGES in span["attributes"]) is not hooked


@needs_mistral
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_an_error_of_mistral(streamed):
    """It is a failure, even where the SDK ends the span of a stream without a word."""
    with mistral(REFUSAL, streamed=streamed) as (seen, raised):
        (span,) = seen.spans
        (calls,) = series(seen, CALLS)
        (duration,) = series(seen, DURATION)
    assert type(raised).__name__ == "SDKError"
    assert (span["status"], calls[s.OUTCOME]) == ("ERROR", s.FAILED)
    kind = s.ERROR_OTHER if streamed else "rate_limit_error"
    assert (span["attributes"][s.ERROR_TYPE], duration[s.ERROR_TYPE]) == (kind, kind)


@needs_mistral
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_content_of_mistral_is_masked(streamed):
    """The SDK writes it always."""
    reply = STREAM if streamed else WHOLE
    with mistral(reply, streamed=streamed, mask=[lambda text: text.replace("artichoke", "[plant]")]) as (
        seen,
        _,
    ):
        said = texts(seen)
    assert "[plant]" in said
    assert "artichoke" not in said


# --- crewAI ----------------------------------------------------------------------------------------------

needs_crewai = there("crewai", "crewai")
CREW = """
import json, sys
import crewai
from crewai.telemetry.tracing.session import telemetry_session
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
import otel_genai
from test_bridge import watched
from test_emitters import OURS, told

SECRET = sys.argv[1]

class Fake(crewai.BaseLLM):
    fails: bool = False

    def call(self, messages, **_):
        if self.fails:
            raise LookupError(SECRET)
        return f"Final Answer: At nine, {SECRET}"

def run(fails):
    with watched(disabled="openai", mask=["email"]) as seen:
        processors = [otel_genai.ContextProcessor(), SimpleSpanProcessor(seen._spans)]
        with telemetry_session("k1", "house", processors=processors):
            model = Fake(model="gpt-4o-mini", fails=fails)
            agent = crewai.Agent(role="keeper", goal=f"Help {SECRET}", backstory=SECRET, llm=model)
            task = crewai.Task(description=f"When? {SECRET}", expected_output="a time", agent=agent)
            crew = crewai.Crew(agents=[agent], tasks=[task], name="house")
            try:
                crew.kickoff(inputs={"who": SECRET})
            except LookupError:
                assert fails
        found = {name: count for (scope, name), count in told(seen).items() if scope == OURS}
        return seen.spans, found

print(json.dumps([run(False), run(True)]))
"""


@needs_crewai
@pytest.mark.timeout(180)  # what it imports takes a while
def test_a_crew_whose_spans_a_program_takes(tmp_path):
    """Its own provider can be given our processor: its spans are adopted, and all that they say is masked."""
    done = subprocess.run(
        [sys.executable, "-c", CREW, SECRET],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            "HOME": str(tmp_path),
            "CREWAI_STORAGE_DIR": str(tmp_path),
            "CREWAI_DISABLE_TELEMETRY": "true",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (spans, found), (failed, counted) = json.loads(done.stdout.splitlines()[-1])
    named = {span["attributes"][s.OPERATION_NAME]: span["name"] for span in spans}
    key = next(span["attributes"][s.AGENT_NAME] for span in spans if s.AGENT_NAME in span["attributes"])
    assert named == {
        "execute_task": "execute task",
        s.INVOKE_AGENT: f"invoke_agent {key}",
        s.INVOKE_WORKFLOW: "invoke_workflow house",
    }
    assert found == {AGENT: 1, WORKFLOW: 1}
    assert {span["attributes"].get(s.ERROR_TYPE) for span in failed} == {s.ERROR_OTHER}
    assert counted == {AGENT: sum("invoke_agent" in span["name"] for span in failed), WORKFLOW: 1}
    for said in (json.dumps(spans), json.dumps(failed)):
        assert "[email]" in said
        assert SECRET not in said


# --- Google ADK ------------------------------------------------------------------------------------------

has_google = importlib.util.find_spec("google") is not None
needs_adk = there("google.adk" if has_google else "google", "google-adk")


@pytest.fixture
def adk(monkeypatch):
    """Give what runs an agent of its own model, with its tracer and its meter where the test looks."""
    from google.adk.agents import LlmAgent  # noqa: PLC0415 (it may not be installed)
    from google.adk.models.base_llm import BaseLlm  # noqa: PLC0415 (as above)
    from google.adk.models.llm_response import LlmResponse  # noqa: PLC0415 (as above)
    from google.adk.runners import InMemoryRunner  # noqa: PLC0415 (as above)
    from google.adk.telemetry import tracing  # noqa: PLC0415 (as above)
    from google.genai import types  # noqa: PLC0415 (as above)

    class Fake(BaseLlm):
        calls: int = 0
        fail: bool = False

        async def generate_content_async(self, *_, **__):
            self.calls += 1
            if self.fail:
                raise LookupError(SECRET)
            counts = {"prompt_token_count": 21, "candidates_token_count": 6, "total_token_count": 27}
            said = types.Part(text=f"At nine, {SECRET}.")
            if self.calls == 1:
                said = types.Part(function_call=types.FunctionCall(name="look", args={"place": SECRET}))
            yield LlmResponse(
                content=types.Content(role="model", parts=[said]),
                usage_metadata=types.GenerateContentResponseUsageMetadata(**counts),
                finish_reason=types.FinishReason.STOP,
            )

    def look(place: str) -> str:
        """Look."""
        return place

    async def run(model):
        agent = LlmAgent(name="keeper", model=model, tools=[look], instruction="Be brief.")
        runner = InMemoryRunner(agent=agent, app_name="app")
        session = await runner.session_service.create_session(app_name="app", user_id="u")
        asked = types.Content(role="user", parts=[types.Part(text=ASKED)])
        return [e async for e in runner.run_async(user_id="u", session_id=session.id, new_message=asked)]

    def ran(seen, *, fail=False):
        monkeypatch.setattr(tracing, "tracer", seen.tracer_provider.get_tracer("gcp.vertex.agent"))
        return asyncio.run(run(Fake(model="gemini-2.5-flash", fail=fail)))

    return ran


@needs_adk
@pytest.mark.filterwarnings("ignore")  # of what it is not asked to do
def test_google_adk(adk):
    """Two calls, a tool, an agent: a span each; what it does not count itself is counted once."""
    with watched(prices=PRICES, cost=True) as seen:
        assert SECRET in adk(seen)[-1].content.parts[0].text
        chats, (agent,) = of(seen, "generate_content"), of(seen, s.INVOKE_AGENT)
        found = told(seen)
        assert SECRET not in texts(seen)  # no content was asked for
        parents = {span["name"]: span["parent"] for span in seen.spans}
    assert names(seen) == {
        "generate_content gemini-2.5-flash": 2,
        "execute_tool look": 1,
        "invoke_agent keeper": 1,
        "invoke_workflow keeper": 1,
    }
    assert (
        parents["generate_content gemini-2.5-flash"] == parents["execute_tool look"] == "invoke_agent keeper"
    )
    for chat in chats:
        assert (chat[s.USAGE_INPUT_TOKENS], chat[s.USAGE_OUTPUT_TOKENS]) == (21, 6)
        assert (chat[s.PROVIDER_NAME], chat[s.USAGE_COST_AMOUNT]) == ("gcp.gemini", pytest.approx(33e-6))
        assert chat[s.CONVERSATION_ID] == agent[s.CONVERSATION_ID]
    assert (found[OURS, CALLS], found[OURS, COST]) == (2, 66)
    assert not found.keys() & {
        (OURS, "input"),
        (OURS, "output"),
        (OURS, DURATION),
        (OURS, AGENT),
        (OURS, TOOL),
    }


@needs_adk
@pytest.mark.filterwarnings("ignore")  # as above
def test_google_adk_that_fails(adk):
    """A model that raises is a failed call, in a failed agent."""
    with watched() as seen:
        with pytest.raises(LookupError):
            adk(seen, fail=True)
        (chat,) = of(seen, "generate_content")
        (calls,) = series(seen, CALLS)
    assert (chat[s.ERROR_TYPE], chat[s.OUTCOME], calls[s.OUTCOME]) == ("LookupError", "failed", "failed")
    assert {span["status"] for span in seen.spans} == {"ERROR"}
