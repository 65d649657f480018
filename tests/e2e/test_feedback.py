"""Feedback that comes later, from another process: beside the answer, in Jaeger and among the events."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from e2e.backends import Backend, Found, eventually, read, settled
from e2e.conftest import Run, environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # Docker may have images to fetch

COMMENT = "far too short"
ASK = """
import otel_genai

otel_genai.configure()
with otel_genai.context(prompt="sky@3"), otel_genai.inference("toy-1", provider="toy") as call:
    call.answer("blue", id="r-1")
print(otel_genai.reference())
"""
RATE = f"""
import sys

import otel_genai

otel_genai.configure()
otel_genai.feedback("down", comment="{COMMENT}", of=sys.argv[1])
"""


def ran(backend: Backend, service: str, code: str, *arguments: str) -> str:
    """Run a program, and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(Run(service, "grpc", "SPAN_AND_EVENT"), backend, 0),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_feedback_is_found_beside_the_answer(backend: Backend) -> None:
    """One trace of two programs, an event of the answer's span, and a score by prompt version and model."""
    reference = ran(backend, "asking", ASK)
    eventually(functools.partial(settled, backend))
    ran(backend, "rating", RATE, reference)
    eventually(functools.partial(settled, backend))

    (answer,) = (span for span in read(backend, "asking").spans if span["name"] == "chat toy-1")
    rating = read(backend, "rating")
    (rated,) = (span for span in rating.spans if span["name"] == "evaluate user_feedback")
    assert rated["parent"] == answer["id"]
    (event,) = rating.events
    assert (event["name"], event["span"]) == ("gen_ai.evaluation.result", answer["id"])
    said: Found = {
        "gen_ai.evaluation.name": "user_feedback",
        "gen_ai.evaluation.score.value": 0.0,
        "gen_ai.evaluation.score.label": "down",
        "gen_ai.evaluation.explanation": COMMENT,
        "gen_ai.response.id": "r-1",
        "gen_ai.request.model": "toy-1",
        "gen_ai.prompt.name": "sky",
        "gen_ai.prompt.version": "3",
    }
    for attributes in (rated["attributes"], event["attributes"]):
        assert {key: attributes.get(key) for key in said} == said

    ((labels, count),) = rating.series["otel_genai_evaluation_score_count"].items()
    assert (count, dict(labels)["gen_ai_prompt_version"]) == (1, "3")
    assert COMMENT not in rating.texts["Prometheus"]
