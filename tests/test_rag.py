"""The example of a web service: one request is one trace, under load too, and feedback finds its answer."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn_worker", reason="pip install -r examples/rag/requirements.txt")

from otel_genai._receiver import Receiver  # noqa: E402 (after the line above)
from otel_genai.demo.standin import StandIn  # noqa: E402 (after the line above)

HOME = Path(__file__).parent.parent
RAG = HOME / "examples" / "rag"
REQUESTS, AT_ONCE = 200, 40
STAGES = ["chat", "embeddings", "invoke_workflow", "retrieval"]
MEGABYTE = 1024 * 1024
OPERATION, USER, CONVERSATION = "gen_ai.operation.name", "user.id", "gen_ai.conversation.id"
MODELS = ("gpt-4o-mini", "claude-haiku-4-5")


@pytest.fixture(scope="module")
def program() -> Any:
    """Give what is in the program that runs the example."""
    return runpy.run_path(str(RAG / "__main__.py"))


@pytest.fixture
def free_port() -> int:
    """Give a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextlib.contextmanager
def served(program: Any, receiver: Receiver, port: int) -> Any:
    """Run the service on a stand-in that answers at once."""
    with StandIn(pace=0) as stand_in:
        settings = program["environment"](receiver.grpc_endpoint, stand_in)
        settings["OTEL_BSP_MAX_QUEUE_SIZE"] = "100000"  # what is lost here would be lost by us
        with program["serving"](f"http://127.0.0.1:{port}", settings) as service:
            yield service


def asked(client: Any, number: int) -> tuple[str, str]:
    """Ask one question for one user; give the answer and its reference."""
    question = {
        "question": "When do trams run?",
        "user": f"u-{number}",
        "conversation": f"c-{number}",
        "model": MODELS[number % 2],
    }
    with client.stream("POST", "/ask", json=question, timeout=100) as response:
        pieces = [json.loads(line) for line in response.iter_lines()]
    return "".join(piece.get("text", "") for piece in pieces), pieces[-1]["answer"]


def many(url: str, first: int) -> list[tuple[str, str]]:
    """Ask many questions, so many at once."""
    with httpx.Client(base_url=url) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda number: asked(client, number), range(first, first + REQUESTS)))


def memory(service: subprocess.Popen[bytes]) -> int:
    """Give the bytes that the workers hold."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{child}/statm").read_text().split()[1]) * page for child in children)


def by_trace(spans: Any) -> dict[str, list[Any]]:
    """Put spans together with those of their trace."""
    found: dict[str, list[Any]] = {}
    for span in spans:
        found.setdefault(span.trace_id, []).append(span)
    return found


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc: Linux has it")
def test_two_hundred_requests_at_once(program, free_port) -> None:
    """No span is lost, no user's is another's, each trace adds up, and memory stays flat."""
    url = f"http://127.0.0.1:{free_port}"
    with Receiver() as receiver:
        with served(program, receiver, free_port) as service:
            answers = many(url, 0)
            before = memory(service)
            answers += many(url, REQUESTS)
            grown = memory(service) - before
        received = receiver.take()
    assert all(text.startswith("As it is written: Trams run from six") for text, _ in answers)
    traces = [spans for spans in by_trace(received.spans).values() if len(spans) > 1]
    assert len(traces) == 2 * REQUESTS
    users = [whose(spans) for spans in traces]
    assert sorted(users) == sorted(f"u-{number} c-{number}" for number in range(2 * REQUESTS))
    assert grown < 30 * MEGABYTE


def whose(spans: list[Any]) -> str:
    """Check that one request's spans are whole, and say whose they are."""
    [root] = [span for span in spans if not span.parent_id]
    inside = [span for span in spans if span is not root]
    assert root.name == "POST /ask"
    assert sorted(span.attributes[OPERATION] for span in inside) == STAGES
    [workflow] = [span for span in inside if span.attributes[OPERATION] == "invoke_workflow"]
    stages = [span for span in inside if span is not workflow]
    assert {span.parent_id for span in stages} == {workflow.span_id}
    assert workflow.parent_id == root.span_id
    assert root.start <= workflow.start
    assert workflow.end <= root.end
    assert sum(span.end - span.start for span in stages) <= workflow.end - workflow.start
    [user] = {f"{span.attributes[USER]} {span.attributes[CONVERSATION]}" for span in inside}
    return user


def test_feedback_is_found_beside_its_answer(program, free_port) -> None:
    """Whichever worker hears of it: a span below the answer's, an event in its trace, a score by prompt."""
    url = f"http://127.0.0.1:{free_port}"
    with Receiver() as receiver:
        with served(program, receiver, free_port), httpx.Client(base_url=url) as client:
            _, reference = asked(client, 0)
            for _ in range(4):
                opinion = {"answer": reference, "helpful": True, "comment": "right"}
                client.post("/feedback", json=opinion).raise_for_status()
        received = receiver.take()
    [chat] = [span for span in received.spans if span.attributes.get(OPERATION) == "chat"]
    below = [span for span in received.spans if span.parent_id == chat.span_id]
    assert [span.name for span in below] == ["evaluate user_feedback"] * 4
    events = [record for record in received.records if record.event_name == "gen_ai.evaluation.result"]
    assert {event.span_id for event in events} == {chat.span_id}
    [scores] = [point for point in received.points if point.metric == "otel_genai.evaluation.score"][-1:]
    assert scores.attributes["gen_ai.prompt.name"] == "answer"
    assert scores.attributes["gen_ai.prompt.version"] == "2"


def test_the_example_runs_by_one_command(free_port, tmp_path) -> None:
    """It answers, shows the traces, the metrics and what it cost, and sums up its log, which is elsewhere."""
    command = [sys.executable, str(RAG), "--port", str(free_port)]
    settings = {"COLUMNS": "140", "OTEL_GENAI_COST": "true", "TMPDIR": str(tmp_path)}
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    for words in ("As it is written: Trams run", "invoke_workflow answer", "evaluate user_feedback"):
        assert words in done.stdout
    assert '{"time"' not in done.stdout + done.stderr  # it would stand in the midst of an answer
    _, _, report = done.stdout.partition("\n$ otel-genai report ")
    log, _, report = report.partition("\n")
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    found = [line for line in lines if line["message"] == "found 3 documents"]
    assert [line[CONVERSATION] for line in found] == ["c-1", "c-1", "c-2"]
    assert report.startswith("14 calls in 5 traces")
    chats = [line for line in lines if line.get(OPERATION) == "chat"]
    assert ["gen_ai.usage.cost.amount" in line for line in chats] == [True] * 3
