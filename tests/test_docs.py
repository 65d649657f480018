"""The code in the documents runs as it is written."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from otel_genai import semconv as s
from otel_genai._receiver import Receiver
from otel_genai.demo.standin import StandIn
from otel_genai.providers import REGISTRY
from otel_genai.settings import VARIABLES

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text()
DOCUMENTS = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{path.stem} {number}")
    for path in DOCUMENTS
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
]


def run(code):
    """Run a block by itself beside a stand-in for the API, and give what it sent."""
    with StandIn() as api, Receiver() as receiver:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment |= {
            "OPENAI_BASE_URL": api.url,
            "OPENAI_API_KEY": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
            "PYTHONPATH": str(HOME / "tests" / "standins"),  # for libraries of a gigabyte
        }
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
        return receiver.take()


@pytest.mark.parametrize("code", BLOCKS)
def test_python_runs(code):
    """Each Python block runs by itself, and where it configures export, its spans arrive."""
    sent = run(code)
    if "configure()" in code:
        assert [span.name for span in sent.spans] == ["chat gpt-4o-mini"]


def test_whose_call_it_was():
    """In the chapter's example the pool's call has all of the context, and the other side what was sent."""
    chapter = README.partition("## Whose call it was\n")[2]
    sent = run(re.findall(r"```python\n(.*?)```", chapter, re.DOTALL)[0])
    known = {*s.CONTEXT.values(), s.PROMPT_VERSION}
    whose = [{key: span.attributes[key] for key in known & span.attributes.keys()} for span in sent.spans]
    here = {s.USER_ID: "u-7", s.SESSION_ID: "s-1", s.TEAM: "search"}
    prompt = {s.PROMPT_NAME: "sky", s.PROMPT_VERSION: "3"}
    there = {s.USER_ID: "u-7", s.TEAM: "search"}
    assert whose == [here | prompt | {s.EXPERIMENT: "blue"}, there]
    calls = [point for point in sent.points if point.metric == s.CALLS.name]
    assert {(point.attributes[s.TEAM], point.value) for point in calls} == {("search", 2)}


@pytest.mark.parametrize("library", ["transformers", "vllm"])
def test_a_model_in_the_process_is_told(library):
    """Both examples tell an inference that leaves nothing out, and no content."""
    page = (HOME / "docs" / "local-models.md").read_text()
    (code,) = re.findall(rf"With `{library}[^`]*`:\n\n```python\n(.*?)```", page, re.DOTALL)
    sent = run(code)
    (span,) = sent.spans
    known = {
        s.OPERATION_NAME: s.CHAT, s.PROVIDER_NAME: library, s.REQUEST_MODEL: "Qwen/Qwen3-0.6B",
        s.REQUEST_MAX_TOKENS: 64, s.RESPONSE_FINISH_REASONS: ["stop"],
        s.USAGE_INPUT_TOKENS: 5, s.USAGE_OUTPUT_TOKENS: 3,
    }  # fmt: skip
    more = {s.REQUEST_TEMPERATURE: 0.2, s.USAGE_CACHE_READ_INPUT_TOKENS: 2, s.RESPONSE_ID: "0"}
    assert (span.name, span.kind) == ("chat Qwen/Qwen3-0.6B", "INTERNAL")
    assert span.attributes == known | (more if library == "vllm" else {})
    assert {
        point.metric for point in sent.points if "cost" in point.metric or "priced" in point.metric
    } == set()
    assert {point.value for point in sent.points if point.metric == s.CALLS.name} == {1}


def test_a_search_by_hand_is_told():
    """The example's span has what was searched and found; the vector is nowhere."""
    (code,) = re.findall(r"```python\n(.*?)```", (HOME / "docs" / "retrieval.md").read_text(), re.DOTALL)
    sent = run(code)
    (span,) = sent.spans
    assert (span.name, span.kind) == ("retrieval notes", "CLIENT")
    assert json.loads(span.attributes.pop(s.RETRIEVAL_DOCUMENTS)) == [
        {"id": "7", "distance": 0.1},
        {"id": "9", "distance": 0.4},
    ]
    assert span.attributes == {
        s.OPERATION_NAME: s.RETRIEVAL, s.DATA_SOURCE_ID: "notes", s.RETRIEVAL_TOP_K: 3,
        s.RETRIEVAL_QUERY_TEXT: "Why is the sky blue?",
    }  # fmt: skip


def test_settings_table_is_complete():
    """Every setting stands in the README's table with its variable."""
    rows = re.findall(r"^\| `(OTEL_[A-Z_]+)` \| `(\w+)` \|", README, re.MULTILINE)
    assert {name: variable for variable, name in rows} == VARIABLES


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    """Every relative link names a file that is there."""
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert links or path.name != "README.md"


def test_the_page_of_providers_is_what_the_providers_say():
    """`python docs/providers.py` has been run, and says of each what is not seen."""
    page = runpy.run_path(str(HOME / "docs" / "providers.py"))
    assert page["PAGE"].read_text() == page["page"]()
    assert page["MISSING"].keys() == REGISTRY.keys()
