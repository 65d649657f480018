"""Beside the instrumentations of others, the real ones: one span per call, theirs, and one line about it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = """
import importlib, json, logging, sys
from opentelemetry import metrics, trace
import otel_genai
from otel_genai import testing

seen = testing.Seen()
trace.set_tracer_provider(seen.tracer_provider)
metrics.set_meter_provider(seen.meter_provider)
logging.basicConfig(format="%(message)s", level=logging.WARNING)

def ours():
    otel_genai.instrument()

def instrumentor():
    names = {{"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor"}}
    return getattr(importlib.import_module("{module}"), names["{sdk}"])()

def theirs():
    instrumentor().instrument()

def call(answer=None, **more):
    if "{sdk}" == "openai":
        import ways
        client = ways.client(ways.Wire([answer or "chat"]))
        answer = client.chat.completions.create(**ways.CHAT, **more)
    else:
        import anthropic_ways
        client = anthropic_ways.client(anthropic_ways.Wire([answer or "messages"]), open_telemetry=False)
        answer = client.messages.create(**anthropic_ways.MESSAGES, **more)
    if more:
        list(answer)

def fail():
    try:
        call("error_429")
    except Exception as error:
        assert error.status_code == 429
    else:
        raise AssertionError

{steps}
status = next(one for one in otel_genai.providers() if one.name == "{sdk}")
scopes = [span.instrumentation_scope.name for span in seen.finished]
told = {{}}
data = seen._metrics.get_metrics_data()
for scope in (data.resource_metrics[0].scope_metrics if data else ()):
    for metric in scope.metrics:
        for point in metric.data.data_points:
            who = ("ours" if scope.scope.name == "otel_genai" else "theirs", metric.name)
            kind = point.attributes.get("gen_ai.token.type")
            value = point.sum if kind else getattr(point, "count", 0) or point.value
            key = " ".join((*who, *([kind] if kind else [])))
            told[key] = told.get(key, 0) + value
print(json.dumps([scopes, status.state, status.reason, seen.spans, told]))
"""
PACKAGES = (
    "opentelemetry.instrumentation.genai",  # the official ones
    "opentelemetry.instrumentation",  # OpenLLMetry
    "openinference.instrumentation",
)
OTHERS = [(f"{package}.{sdk}", sdk) for package in PACKAGES for sdk in ("openai", "anthropic")]


def _is_there(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not all(_is_there(module) for module, _ in OTHERS),
    reason="the others' packages are in an environment of their own: make test-others",
)


def beside(module, sdk, steps, **environment):
    """Run a program with both, and give the spans' scopes, what became of ours, why, and what was said."""
    (*found, _, _), said = ran(module, sdk, steps, **environment)
    return *found, said


def ran(module, sdk, steps, **environment):
    """Run a program with both, and give all that is known of it then, and what was said."""
    program = textwrap.dedent(PROGRAM.format(module=module, sdk=sdk, steps=steps))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("steps", ["theirs(); ours()", "ours(); theirs()", "import {sdk}; ours(); theirs()"])
@pytest.mark.parametrize(("module", "sdk"), OTHERS)
def test_another_instrumentation_is_left_the_field(module, sdk, steps):
    """Whoever came first: one span a call, theirs; one line says what to set, and the status says it too."""
    scopes, state, reason, said = beside(module, sdk, f"{steps.format(sdk=sdk)}; call(); call()")
    assert len(scopes) == 2
    assert "otel_genai" not in scopes
    assert state == "skipped"
    assert said.count(f"otel-genai leaves {sdk} alone: {module} instruments it") == 1
    for way_out in (f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={sdk}", f"OTEL_GENAI_DISABLED={sdk}"):
        assert way_out in reason


@pytest.mark.parametrize(("module", "sdk"), OTHERS)
def test_what_we_say_to_set_keeps_us_quiet(module, sdk):
    """Left to the other on purpose: nothing is said."""
    steps = "theirs(); ours(); call()"
    scopes, state, _, said = beside(module, sdk, steps, OTEL_GENAI_DISABLED=sdk)
    assert (len(scopes), state) == (1, "disabled")
    assert "otel-genai" not in said


@pytest.mark.parametrize(("module", "sdk"), OTHERS)
def test_another_instrumentation_that_is_there_and_not_at_work_changes_nothing(module, sdk):
    """Installed and imported is not instrumented."""
    scopes, state, _, said = beside(module, sdk, f"import {module}; ours(); call()")
    assert (scopes, state) == (["otel_genai"], "patched")
    assert "leaves" not in said


@pytest.mark.parametrize(("module", "sdk"), OTHERS)
def test_instrumenting_again_looks_again(module, sdk):
    """Once the other has gone, ours can have the field."""
    steps = "theirs(); ours(); call(); instrumentor().uninstrument(); ours(); call()"
    scopes, state, _, _ = beside(module, sdk, steps)
    assert (state, scopes.count("otel_genai")) == ("patched", 1)


ADOPT = "seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())"
PRICED = (
    "otel_genai.instrument(cost=True, prices=[{'model': pattern, 'input': 1e6, 'output': 1e6} "
    "for pattern in ('gpt*', 'claude*')])"
)


@pytest.mark.parametrize("calls", ["call()", "call(**STREAM)", "fail()"], ids=["whole", "streamed", "failed"])
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_the_official_instrumentation_is_adopted(sdk, calls):
    """Its one span is completed and measured once: what it counts itself is left to it, the rest is ours."""
    stream = {"stream": True}
    if sdk == "openai":
        stream["stream_options"] = {"include_usage": True}
    steps = f"{ADOPT}; theirs(); {PRICED}; {calls.replace('STREAM', str(stream))}"
    (scopes, state, _, spans, told), _ = ran(f"opentelemetry.instrumentation.genai.{sdk}", sdk, steps)
    (span,) = spans
    said = span["attributes"]
    assert (state, scopes) == ("skipped", [f"opentelemetry.instrumentation.genai.{sdk}"])
    assert span["name"] == f"chat {said['gen_ai.request.model']}"
    assert (told["ours otel_genai.calls"], told["theirs gen_ai.client.operation.duration"]) == (1, 1)
    assert "ours gen_ai.client.operation.duration" not in told
    assert not [key for key in told if key.startswith("ours gen_ai.client.token")]
    assert not [key for key in said if key.endswith(("messages", "instructions"))]
    if "fail" in calls:
        assert (span["status"], said["otel_genai.outcome"]) == ("ERROR", "failed")
        assert said["error.type"]
        return
    tokens = said["gen_ai.usage.input_tokens"] + said["gen_ai.usage.output_tokens"]
    assert told["theirs gen_ai.client.token.usage input"] == said["gen_ai.usage.input_tokens"]
    assert said["gen_ai.usage.cost.amount"] == tokens == told["ours gen_ai.client.cost.usd"]
