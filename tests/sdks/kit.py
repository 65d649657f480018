"""What an SDK's file is made of, and a real HTTP server that answers what the file says."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FAKES = Path(__file__).parent.parent / "fakes"
COLOURS = ("sync", "async")
BODILESS = (204, 304)
"""Statuses of answers that have no body."""


def fake(name: str) -> bytes:
    """Read one wire body: `ollama/chat.json`."""
    return (FAKES / name).read_bytes()


def lines(body: bytes) -> tuple[bytes, ...]:
    """Cut a body of JSON lines into its lines."""
    return tuple(line + b"\n" for line in body.splitlines())


def events(body: bytes) -> tuple[bytes, ...]:
    """Cut a body of server-sent events into its events."""
    return tuple(event + b"\n\n" for event in body.split(b"\n\n") if event.strip())


def frame(headers: bytes, payload: bytes) -> bytes:
    """Write one message as AWS does: https://smithy.io/2.0/aws/amazon-eventstream.html."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


@dataclass(frozen=True)
class Reply:
    """One answer of the server.

    Args:
        body: all of it.
        kind: the content type; None where none is said.
        pieces: the same as it comes, piece by piece, where it is a stream.
        is_cut: whether the connection is closed in its midst.
        is_held: whether nothing comes after the first piece, or nothing at all, until the server ends.
    """

    body: bytes = b""
    status: int = 200
    kind: str | None = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    is_cut: bool = False
    is_held: bool = False


@dataclass(frozen=True)
class Way:
    """One way of calling an SDK.

    Args:
        name: what it is called in the names of tests.
        call: calls, given a client; what it gives is awaited where it can be.
        replies: what the server answers, in their order.
        span: `name`, and `attributes`: all that the span has with capture off, but for times and the server.
        input, output, system, tools, query, documents: the content, with capture on.
        stream: whether there is something to iterate over, in what `call` gives.
        events: where that is.
        colours: in which colours the SDK has it.
        cut: how a stream that ends too early ends, where that is not as of the SDK's others.
        is_local: whether no server is asked: what is called is in this process.
    """

    name: str
    call: Callable[[Any], Any]
    replies: Sequence[Reply]
    span: Mapping[str, Any]
    input: Any = None
    output: Any = None
    system: Any = None
    tools: Any = None
    query: Any = None
    documents: Any = None
    stream: bool = False
    events: Callable[[Any], Any] = lambda result: result
    colours: Sequence[str] = COLOURS
    cut: str | None = None
    is_local: bool = False


@dataclass(frozen=True)
class Sdk:
    """An SDK.

    Args:
        name: the provider's name in settings.
        client: makes a client of one colour whose only server is at a URL, and that tries once.
        ways: of calling it.
        refusal: an error of the provider's.
        refused: the attributes of a span with that error: `error.type`, the HTTP status where it is told.
        cut: how a call ends whose stream is ends too early: `truncated`, or `failed` where the SDK notices.
        random_headers: headers that differ from call to call, in small letters.
        close: closes a client.
        binds: whether a client keeps to the functions that it found when it was made.
    """

    name: str
    client: Callable[[str, str], Any]
    ways: Sequence[Way]
    refusal: Reply
    refused: Mapping[str, Any] = field(default_factory=dict)
    cut: str = "truncated"
    random_headers: frozenset[str] = frozenset()
    close: Callable[[Any], Any] = lambda client: None
    binds: bool = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be quiet about clients that have left."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Wire:
    """A server on this machine; keeps what it was asked."""

    def __init__(self, replies: Sequence[Reply], random: frozenset[str]) -> None:
        """Answer with these, the last one again and again."""
        self.answer(replies)
        self.random = random | {"host", "date", "content-length", "transfer-encoding", "user-agent"}
        self.held, self.released = threading.Event(), threading.Event()
        self.url = ""

    def answer(self, replies: Sequence[Reply]) -> None:
        """Answer with these from now on, and forget what was asked before."""
        self.replies = list(replies)
        self.requests: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def serving(self) -> Iterator[Wire]:
        """Listen on a port of this machine."""
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # it would wait for the client, on a connection that is kept

            def do_POST(self) -> None:
                wire._answer(self)

            do_GET = do_POST  # noqa: N815 (Python's name)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return "Sat, 21 Nov 2026 00:00:00 GMT"  # some SDKs hand the headers on

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        server = _Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def chosen(self) -> Reply:
        """Give the answer to the last request."""
        return self.replies[min(len(self.requests), len(self.replies)) - 1]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        known = sorted((name, value) for name, value in headers.items() if name not in self.random)
        body = _body(handler, headers)
        self.requests.append(
            {"method": handler.command, "path": handler.path, "headers": known, "body": body}
        )
        reply = self.chosen()
        if reply.is_held and not reply.pieces:
            self.held.set()
            self.released.wait(30)
        handler.send_response(reply.status)
        for name, value in {"content-type": reply.kind, **reply.headers}.items():
            if value is not None:
                handler.send_header(name, value)
        with contextlib.suppress(OSError):  # the client has seen enough
            self._send(handler, reply)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.status in BODILESS:
            handler.end_headers()
        elif not reply.pieces:
            handler.send_header("content-length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
        else:
            handler.send_header("transfer-encoding", "chunked")
            handler.end_headers()
            for piece in reply.pieces:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                handler.wfile.flush()
                if reply.is_held:
                    self.held.set()
                    self.released.wait(30)
            if not reply.is_cut:
                handler.wfile.write(b"0\r\n\r\n")
            else:
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_RDWR)


def _body(handler: BaseHTTPRequestHandler, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return handler.rfile.read(int(headers.get("content-length", 0)))
    read = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        read += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return read
