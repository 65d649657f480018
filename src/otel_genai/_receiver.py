"""An OTLP receiver inside the process: traces, metrics and logs, by gRPC and by HTTP."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]

from otel_genai._otlp import LOGS, METRICS, SIGNALS, TRACES, Point, Record, Signal, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

LIMIT = 16 * 1024 * 1024
"""The largest message taken, in bytes, after decompression."""

WORKERS = 4
MALFORMED = (
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
    DecodeError,
    json_format.Error,
    zlib.error,
)
INFLATE_GZIP_OR_ZLIB = 47  # a window of 15 bits, plus 32 for "find out which of the two"


@dataclass(frozen=True, slots=True)
class Received:
    """Everything that arrived, in the order of its arrival."""

    spans: tuple[Span, ...]
    points: tuple[Point, ...]
    records: tuple[Record, ...]


class Receiver:
    """Takes OTLP on two ports of this machine (0: any free one) and keeps what arrives until it is taken.

    Use it as a context manager, point an exporter at `grpc_endpoint` or `http_endpoint`,
    and wait for what should arrive: `receiver.wait_for(lambda: receiver.spans, timeout=5)`.
    """

    def __init__(self, host: str = "127.0.0.1", grpc_port: int = 0, http_port: int = 0) -> None:
        """Choose the addresses; nothing is opened before `start`."""
        self.host = host
        self.grpc_port = grpc_port
        self.http_port = http_port
        self._arrived = threading.Condition()
        self._stores: dict[str, list[Any]] = {path: [] for path in SIGNALS}
        self._running = ExitStack()

    def start(self) -> Self:
        """Open both ports; raises `OSError` when one of them is not to be had."""
        with ExitStack() as undo:
            http = undo.enter_context(_HttpServer(_free((self.host, self.http_port)), _Handler))
            http.receiver = self
            threading.Thread(target=http.serve_forever, args=(0.05,), name="otlp-http", daemon=True).start()
            undo.callback(http.shutdown)
            rpc = self._rpc_server()
            self.grpc_port = rpc.add_insecure_port("{}:{}".format(*_free((self.host, self.grpc_port))))
            rpc.start()
            undo.callback(lambda: rpc.stop(grace=1).wait())
            self.http_port = http.server_address[1]
            self._running = undo.pop_all()
        return self

    def stop(self) -> None:
        """Close both ports; what has arrived stays, and the next `start` takes the same ports."""
        self._running.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self.stop()

    @property
    def grpc_endpoint(self) -> str:
        """What to give as OTEL_EXPORTER_OTLP_ENDPOINT with the protocol `grpc`."""
        return f"http://{self.host}:{self.grpc_port}"

    @property
    def http_endpoint(self) -> str:
        """What to give as OTEL_EXPORTER_OTLP_ENDPOINT with the protocol `http/protobuf` or `http/json`."""
        return f"http://{self.host}:{self.http_port}"

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans that arrived."""
        return self._kept(TRACES)

    @property
    def points(self) -> tuple[Point, ...]:
        """The metric data points that arrived; a cumulative series comes again with every export."""
        return self._kept(METRICS)

    @property
    def records(self) -> tuple[Record, ...]:
        """The log records that arrived."""
        return self._kept(LOGS)

    def wait_for(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait until the predicate holds, asking it again after every arrival; False when time ran out."""
        with self._arrived:
            return bool(self._arrived.wait_for(predicate, timeout))

    def take(self) -> Received:
        """Hand out everything that arrived and keep none of it."""
        with self._arrived:
            received = Received(self.spans, self.points, self.records)
            for store in self._stores.values():
                store.clear()
            return received

    def accept(self, signal: Signal, request: Message) -> Message:
        """Keep what a request holds, all of it or, when it cannot be read, nothing."""
        items = list(signal.items(request))
        with self._arrived:
            self._stores[signal.path].extend(items)
            self._arrived.notify_all()
        return signal.response()

    def _kept(self, signal: Signal) -> tuple[Any, ...]:
        with self._arrived:
            return tuple(self._stores[signal.path])

    def _rpc_server(self) -> grpc.Server:
        options = [("grpc.max_receive_message_length", LIMIT), ("grpc.so_reuseport", 0)]
        server = grpc.server(ThreadPoolExecutor(WORKERS, "otlp-grpc"), options=options)
        for signal in SIGNALS.values():
            export = grpc.unary_unary_rpc_method_handler(self._rpc(signal))
            handler = grpc.method_handlers_generic_handler(signal.service, {"Export": export})
            server.add_generic_rpc_handlers((handler,))
        return server

    def _rpc(self, signal: Signal) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                answer = self.accept(signal, signal.request.FromString(body))
            except MALFORMED as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                raise  # for those who read this: abort has raised
            serialized: bytes = answer.SerializeToString()
            return serialized

        return export


def _free(address: tuple[str, int]) -> tuple[str, int]:
    """The address, once it is sure that one can listen there: neither server says clearly why it cannot."""
    try:
        socket.create_server(address).close()
    except OSError as error:
        msg = f"cannot listen on {address[0]}:{address[1]} ({os.strerror(error.errno or 0)})"
        raise OSError(error.errno, msg) from error
    return address


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, reason: object) -> None:
        super().__init__(str(reason))
        self.status = status


class _HttpServer(ThreadingMixIn, TCPServer):
    receiver: Receiver
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what failed here, but not that a client hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Take one export; answer in the encoding of the request, as OTLP wants it."""
        encoding = self.headers.get_content_type()
        answer: Message
        try:
            status, answer = HTTPStatus.OK, self._export(encoding)
        except _RefusedError as refused:
            status = refused.status
            answer = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=str(refused))
            self.close_connection = True
        in_json = encoding == "application/json"
        body = json_format.MessageToJson(answer).encode() if in_json else answer.SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", encoding if in_json else "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _export(self, encoding: str) -> Message:
        if (signal := SIGNALS.get(self.path)) is None:
            raise _RefusedError(
                HTTPStatus.NOT_FOUND, f"no such path: {self.path}; there are {', '.join(SIGNALS)}"
            )
        if (read := READERS.get(encoding)) is None:
            raise _RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{encoding} is not one of {', '.join(READERS)}"
            )
        try:
            return self.server.receiver.accept(signal, read(signal, self._body()))
        except MALFORMED as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, error) from error

    def _body(self) -> bytes:
        if "Content-Length" not in self.headers:
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is needed")
        length = int(self.headers["Content-Length"])
        if not 0 <= length <= LIMIT:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes")
        body = self.rfile.read(length)
        return _inflated(body) if self.headers.get("Content-Encoding") in {"gzip", "deflate"} else body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: the terminal belongs to what is shown."""


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj(INFLATE_GZIP_OR_ZLIB)
    plain = inflater.decompress(body, LIMIT)
    if inflater.unconsumed_tail:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes when decompressed")
    if not inflater.eof:
        msg = "the compressed body ends too early"
        raise ValueError(msg)
    return plain


def _from_protobuf(signal: Signal, body: bytes) -> Message:
    return signal.request.FromString(body)


def _from_json(signal: Signal, body: bytes) -> Message:
    decoded = json.loads(body, object_hook=_with_base64_ids)
    if not isinstance(decoded, dict):
        msg = "the body is not a JSON object"
        raise TypeError(msg)
    return json_format.ParseDict(decoded, signal.request(), ignore_unknown_fields=True)


def _with_base64_ids(decoded: dict[str, Any]) -> dict[str, Any]:
    """OTLP writes ids in hex, protobuf's JSON in base64; attributes of these names are not keys there."""
    ids = decoded.keys() & {"traceId", "spanId", "parentSpanId"}
    return decoded | {key: b64encode(bytes.fromhex(decoded[key])).decode() for key in ids}


READERS: dict[str, Callable[[Signal, bytes], Message]] = {
    "application/x-protobuf": _from_protobuf,
    "application/json": _from_json,
}
