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

def call():
    if "{sdk}" == "openai":
        import ways
        ways.client(ways.Wire(["chat"])).chat.completions.create(**ways.CHAT)
    else:
        import anthropic_ways
        client = anthropic_ways.client(anthropic_ways.Wire(["messages"]), open_telemetry=False)
        client.messages.create(**anthropic_ways.MESSAGES)

{steps}
status = next(one for one in otel_genai.providers() if one.name == "{sdk}")
scopes = [span.instrumentation_scope.name for span in seen.finished]
print(json.dumps([scopes, status.state, status.reason]))
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
    return *json.loads(done.stdout), done.stderr


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
