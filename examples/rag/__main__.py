"""Run the service on a stand-in for its providers, ask it, say what was good, and show telemetry and log.

python examples/rag            # shows the traces and metrics here
python examples/rag --stack    # sends them to the Collector on this machine, and says where to look
python examples/rag --serve    # goes on until Ctrl-C, for questions of your own
python examples/rag --live     # the real providers, with OPENAI_API_KEY and ANTHROPIC_API_KEY
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from otel_genai import cli
from otel_genai._receiver import Receiver
from otel_genai._view import view
from otel_genai.demo.standin import StandIn

HERE = Path(__file__).parent
SERVICE = "city-guide"
READY_SECONDS = 60
ASKED = (
    {"question": "When do trams run?", "user": "ada", "conversation": "c-1"},
    {"question": "When are museums free?", "user": "ada", "conversation": "c-1"},
    {
        "question": "Is the castle lit at midnight?",
        "user": "ben",
        "conversation": "c-2",
        "model": "claude-haiku-4-5",
    },
)


def environment(endpoint: str, stand_in: StandIn | None) -> dict[str, str]:
    """Say where telemetry goes, what is told, and who answers."""
    others = {found.name for found in entry_points(group="opentelemetry_instrumentor")} - {"otel_genai"}
    telling = {
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(sorted(others)),
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
    }
    keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
    answering = (
        {"OPENAI_BASE_URL": stand_in.url, "ANTHROPIC_BASE_URL": stand_in.origin, **keys} if stand_in else {}
    )
    return {**os.environ, **telling, **answering}


@contextlib.contextmanager
def serving(url: str, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service while the block lasts; at its end workers finish, and what they recorded is sent."""
    scripts = Path(sys.executable).parent
    command = [
        scripts / "opentelemetry-instrument",
        scripts / "gunicorn",
        "--bind",
        url.removeprefix("http://"),
    ]
    service = subprocess.Popen(command, cwd=HERE, env=settings)
    try:
        wait(url, service)
        yield service
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait()


def wait(url: str, service: subprocess.Popen[bytes]) -> None:
    """Wait until the service answers."""
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health").is_success:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.wait(0.1)
            break  # it has ended
    message = f"the service does not answer at {url}: what it said is above"
    raise SystemExit(message)


def ask(client: httpx.Client, question: dict[str, str]) -> str:
    """Print an answer as it comes; give its reference."""
    reference = ""
    print(f"\n{question['user']}: {question['question']}")
    with client.stream("POST", "/ask", json=question) as response:
        for line in response.iter_lines():
            piece: dict[str, Any] = json.loads(line)
            reference = piece.get("answer", reference)
            print(piece.get("text", ""), end="", flush=True)
    print()
    return reference


def talk(url: str) -> None:
    """Ask a few questions, and say which answers were helpful."""
    with httpx.Client(base_url=url, timeout=60) as client:
        references = [ask(client, question) for question in ASKED]
        for number, reference in enumerate(references):
            opinion = {"answer": reference, "helpful": number != 1, "comment": "short and right"}
            client.post("/feedback", json=opinion).raise_for_status()


def main() -> None:
    """Run it as the options say."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser("rag", description=__doc__, formatter_class=raw)
    parser.add_argument("--stack", action="store_true", help="send the telemetry to the Collector here")
    parser.add_argument("--serve", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--live", action="store_true", help="call the real providers")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    options = parser.parse_args()
    url = f"http://127.0.0.1:{options.port}"
    log = Path(tempfile.mkdtemp(prefix=f"{SERVICE}-")) / "app.log"
    with contextlib.ExitStack() as stack:
        stand_in = None if options.live else stack.enter_context(StandIn())
        receiver = None if options.stack else stack.enter_context(Receiver())
        endpoint = receiver.grpc_endpoint if receiver else "http://127.0.0.1:4317"
        with serving(url, {**environment(endpoint, stand_in), "RAG_LOG": str(log)}):
            talk(url)
            if options.serve:
                print(f"\nAsk more at {url}/ask; Ctrl-C ends.")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        if receiver:
            print()
            view(receiver, Console())
        else:
            print(f"\nThe traces: http://localhost:16686/search?service={SERVICE}")
    print(f"\n$ otel-genai report {log}")
    cli.main(["report", str(log)])


if __name__ == "__main__":
    main()
