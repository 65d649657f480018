"""The largest export that the defaults allow, 512 spans of 8 KiB of content, through the real Collector."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.backends import Backend, Found, eventually, read, settled
from e2e.batch import CONTENT, PACKAGES
from e2e.conftest import Run, environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # Docker may have images to fetch

PROGRAM = Path(__file__).with_name("batch.py")
SPANS = 512
BUDGET = 8192
ONE_EXPORT = {
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(SPANS),
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT": "true",
}

Contents = dict[str, dict[str, str]]


def exported(backend: Backend, run: Run) -> Found:
    """Run the program, whose spans are all queued before the first is exported."""
    done = subprocess.run(
        [sys.executable, PROGRAM, str(SPANS)],
        env=environment(run, backend, 0) | ONE_EXPORT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: Found = json.loads(done.stdout)
    return found


def stored(backend: Backend, service: str) -> Contents:
    """Give each trace's content as Jaeger has it, text for text."""
    groups = json.loads(read(backend, service).texts["Jaeger"])["result"]["resourceSpans"]
    spans = [span for group in groups for scoped in group["scopeSpans"] for span in scoped["spans"]]
    content = {
        span["traceId"]: {
            one["key"]: one["value"]["stringValue"] for one in span["attributes"] if one["key"] in CONTENT
        }
        for span in spans
    }
    assert len(content) == len(spans)
    return content


def bytes_of(contents: Contents) -> list[int]:
    """Give the bytes of each span's content."""
    return [sum(len(text.encode()) for text in texts.values()) for texts in contents.values()]


@pytest.mark.parametrize("protocol", PACKAGES)
def test_the_largest_batch_arrives_whole(backend: Backend, protocol: str) -> None:
    """One export of 512 spans, each with all the content that the budget allows, is stored text for text."""
    run = Run(f"batch-{PACKAGES[protocol]}", protocol, "SPAN_ONLY")
    sent = exported(backend, run)
    assert (sent["spans"], sent["results"]) == ([SPANS], ["SUCCESS"])
    sizes = bytes_of(sent["content"])
    assert max(sizes) <= BUDGET
    assert min(sizes) > BUDGET * 0.95
    assert sent["bytes"][0] > sum(sizes)

    eventually(functools.partial(settled, backend))
    kept = stored(backend, run.service)
    assert (len(kept), sum(bytes_of(kept))) == (SPANS, sum(sizes))
    assert kept == sent["content"]
