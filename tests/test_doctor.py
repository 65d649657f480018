"""`otel-genai doctor` says what stands in the way, and what to do."""

import os
import re
import subprocess
import sys

import pytest

from otel_genai._receiver import Receiver


def doctor(**variables):
    """Run the command in a fresh process; give its exit code, findings by subject, and advice."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-m", "otel_genai.cli", "doctor"]
    ran = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    report, _, advice = ran.stdout.partition("\n\n")
    found = dict(re.split(r"  +", line[2:], maxsplit=1) for line in report.splitlines())
    return ran.returncode, found, [line.split(". ", 1)[1] for line in advice.splitlines() if ". " in line]


@pytest.fixture
def receiver():
    """Give an endpoint that answers."""
    with Receiver() as sink:
        yield sink


def test_nothing_stands_in_the_way(receiver):
    """With a name and an endpoint that answers there is nothing to do."""
    status, found, advice = doctor(
        OTEL_SERVICE_NAME="shop", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.grpc_endpoint
    )
    assert (status, advice) == (0, [])
    assert found["service.name"] == "shop"
    assert re.fullmatch(
        r"[\d.]+ patched: openai:OpenAI\.request, openai:AsyncOpenAI\.request", found["openai"]
    )
    assert [found[signal].rsplit(": ", 1)[1] for signal in ("traces", "metrics", "logs")] == ["answers"] * 3
    assert found["content"].startswith("NO_CONTENT: no content is recorded")


def test_what_is_set_about_content_and_cost_is_said(receiver, tmp_path):
    """Where content goes and without what, and by what calls are priced."""
    (tmp_path / "prices.json").write_text('[{"model": "m", "input": 1}]')
    there = {"OTEL_SERVICE_NAME": "shop", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint}
    _, found, _ = doctor(
        **there,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
        OTEL_GENAI_MASK="keys,email",
        OTEL_GENAI_PRICES=str(tmp_path / "prices.json"),
    )
    assert found["masked"] == "keys,email (OTEL_GENAI_MASK, OTEL_GENAI_MASK_PATTERN)"
    assert re.match(r"1 of your own; genai-prices [\d.]+, the newest of \d{4}-\d\d-\d\d ", found["prices"])
    _, found, _ = doctor(
        **there, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true", OTEL_GENAI_COST="false"
    )
    assert found["masked"].startswith("nothing is ")
    assert found["prices"].startswith("calls are not priced (OTEL_GENAI_COST=false")
    _, found, _ = doctor(**there)
    assert "masked" not in found


def test_http_is_tried_by_http(receiver):
    """The protocol asked for is the one that is tried."""
    status, found, _ = doctor(
        OTEL_SERVICE_NAME="shop",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.http_endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )
    assert status == 0
    assert found["traces"] == f"http/protobuf to {receiver.http_endpoint}/v1/traces: answers"


def test_everything_stands_in_the_way():
    """Each thing that is wrong is named, with what to do about it."""
    status, found, advice = doctor(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_LOGS_EXPORTER="none",
        OTEL_GENAI_DISABLED="openai",
        OTEL_GENAI_SEMCONV="newest",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="otel_genai",
    )
    assert status == 2
    assert found["openai"].endswith("left out by OTEL_GENAI_DISABLED")
    assert "Connection refused" in found["traces"]
    assert found["logs"] == "not exported"
    bad = "OTEL_GENAI_SEMCONV: 'newest' is not one of published, latest, both; using 'published' instead"
    variables = "OTEL_EXPORTER_OTLP_ENDPOINT (and OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_HEADERS)"
    assert advice == [
        "take otel_genai out of OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        f"correct it: {bad}",
        "set OTEL_SERVICE_NAME, by which back ends find the program",
        f"start a Collector at 127.0.0.1:1, or set {variables} to one that answers",
    ]


def test_another_instrumentation_is_named(receiver, tmp_path):
    """Whoever else instruments the same SDK is named, with both ways to settle it."""
    package = tmp_path / "other_openai-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: other-openai\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nopenai = other:Instrumentor\n")
    status, found, advice = doctor(
        PYTHONPATH=str(tmp_path),
        OTEL_SERVICE_NAME="shop",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.grpc_endpoint,
    )
    assert status == 2
    assert found["also there"] == "other-openai instruments openai too: two spans for every call"
    assert advice == ["set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai, or OTEL_GENAI_DISABLED=openai"]
