"""Feedback from another process when the answer's is gone: beside the answer, in events and metrics."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.backends import Backend, eventually, read, settled
from e2e.conftest import Run, environment
from otel_genai.demo.standin import StandIn

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # Docker may have images to fetch

ANSWER = """
import openai, otel_genai
with otel_genai.context(prompt="answer@2"):
    openai.OpenAI().responses.create(model="gpt-4o-mini", input="Why is the sky blue?")
print(otel_genai.reference())
"""
FEEDBACK = """
import sys, otel_genai
otel_genai.feedback("down", comment="too long", of=sys.argv[1])
"""
WORDS = {"gen_ai.evaluation.name": "user_feedback", "gen_ai.evaluation.score.label": "down"}


def program(code: str, env: dict[str, str], *arguments: str) -> str:
    """Run a program under `opentelemetry-instrument`; give what it prints."""
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    command = [instrument, sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_feedback_finds_its_answer(backend: Backend) -> None:
    """In Jaeger it is below the answer's span, in the events it has that span's ids, and it has a score."""
    run = Run("feedback", "grpc", "SPAN_AND_EVENT")
    with StandIn(pace=0) as api:
        env = environment(run, backend, 0) | {"OPENAI_BASE_URL": api.url}
        reference = program(ANSWER, env)
        eventually(functools.partial(settled, backend))
        assert [span["name"] for span in read(backend, run.service).calls] == ["chat gpt-4o-mini"]
        program(FEEDBACK, env, reference)
    eventually(functools.partial(settled, backend))
    stored = read(backend, run.service)
    spans = {span["name"]: span for span in stored.calls}
    answer, opinion = spans["chat gpt-4o-mini"], spans["evaluate user_feedback"]
    assert opinion["parent"] == answer["id"]
    assert WORDS.items() <= opinion["attributes"].items()
    assert opinion["attributes"]["gen_ai.evaluation.explanation"] == "too long"
    [event] = [event for event in stored.events if event["name"] == "gen_ai.evaluation.result"]
    assert (event["span"], WORDS.items() <= event["attributes"].items()) == (answer["id"], True)
    [score] = stored.series["otel_genai_evaluation_score_sum"].items()
    assert ("gen_ai_prompt_version", "2") in score[0]
    assert score[1] == 0.0
