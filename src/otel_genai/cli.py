"""The `otel-genai` command: a demo, a viewer for the terminal, a report of logs, and a check of the rest."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path

# ruff: noqa: PLC0415 (each command imports what it needs; that need not be there for the others)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0 when all went well, 2 when the user has to do something."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # old code pages have no box-drawing characters
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.command(arguments)
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("otel-genai", description=__doc__)
    parser.add_argument("--version", action="version", version=f"otel-genai {version('otel-genai')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run a small program and show the telemetry of its LLM calls")
    demo.add_argument(
        "--compose", type=_file, metavar="FILE", help="send it through this docker-compose.yml's stack"
    )
    demo.add_argument("--live", action="store_true", help="call the real API, with your OPENAI_API_KEY")
    demo.set_defaults(command=_demo)
    view = commands.add_parser("view", help="show the OTLP that programs send to this machine")
    view.add_argument("--grpc-port", type=int, default=4317, metavar="PORT", help="default: %(default)s")
    view.add_argument("--http-port", type=int, default=4318, metavar="PORT", help="default: %(default)s")
    view.set_defaults(command=_view)
    report = commands.add_parser("report", help="sum up the calls in a log file of JSON lines")
    report.add_argument("file", metavar="FILE", help="as jsonlog.start(FILE) writes it; - is standard input")
    report.add_argument("--by", default="model", choices=GROUPS, help="default: %(default)s")
    report.add_argument("--json", action="store_true", help="print it as JSON, for other programs")
    report.set_defaults(command=_report)
    doctor = commands.add_parser("doctor", help="check what is installed and set, and say what is wrong")
    doctor.set_defaults(command=_doctor)
    return parser


GROUPS = ("model", "conversation_id", "user", "session", "team", "prompt", "experiment")
"""By what a report's calls are grouped; those of `_report`, which is slower to import."""


def _file(name: str) -> Path:
    if not (path := Path(name)).is_file():
        msg = f"there is no file {name}"
        raise argparse.ArgumentTypeError(msg)
    return path


def _demo(arguments: argparse.Namespace) -> int:
    from otel_genai import demo

    return demo.run(arguments.compose, live=arguments.live)


def _view(arguments: argparse.Namespace) -> int:
    try:
        from rich.console import Console

        from otel_genai._view import view
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("rich"):
            raise
        return _failed('otel-genai view needs rich: pip install "otel-genai[view]"')
    from otel_genai._receiver import Receiver

    receiver = Receiver(grpc_port=arguments.grpc_port, http_port=arguments.http_port)
    try:
        receiver.start()
    except OSError as error:
        reason = f"otel-genai view: {error.strerror}"
        return _failed(f"{reason}; stop what listens there, or choose --grpc-port and --http-port")
    ended: list[int] = []
    for end in (signal.SIGINT, signal.SIGTERM):  # an exception could break off a line that is being printed
        signal.signal(end, lambda number, _: ended.append(number))
    console = Console()
    console.print(f"gRPC on {receiver.grpc_endpoint}, HTTP on {receiver.http_endpoint}; Ctrl-C ends.")
    try:
        view(receiver, console, follow=lambda: not ended)
    finally:
        receiver.stop()
    return 0


def _report(arguments: argparse.Namespace) -> int:
    try:
        from otel_genai._report import print_json, read, show
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("rich"):
            raise
        return _failed('otel-genai report needs rich: pip install "otel-genai[view]"')
    try:
        with _opened(arguments.file) as lines:
            report = read(lines, arguments.by)
    except OSError as error:
        return _failed(f"otel-genai report: {arguments.file}: {error.strerror}")
    if report.lines and not report.known:
        what = f"none of its lines ({report.lines:,}) is of otel_genai.jsonlog"
        return _failed(f"otel-genai report: {arguments.file}: {what}; {_LOGGING}")
    (print_json if arguments.json else show)(report)
    return 0


_LOGGING = (
    "have the program call otel_genai.configure(), "
    'then otel_genai.jsonlog.start("calls.log"), and give that file'
)


def _opened(name: str) -> AbstractContextManager[Iterable[str]]:
    return nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8", errors="replace")


def _doctor(_: argparse.Namespace) -> int:
    from otel_genai import _doctor

    return _doctor.main()


def _failed(line: str) -> int:
    print(line, file=sys.stderr)  # noqa: T201 (for the user)
    return 2


if __name__ == "__main__":
    sys.exit(main())
