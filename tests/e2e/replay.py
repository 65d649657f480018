"""Recorded exchanges with OpenAI, and a local server that answers with them."""

from __future__ import annotations

import http.server
import json
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import recordings
from recordings import Exchange

if TYPE_CHECKING:
    from typing_extensions import Self

# Each way of calling, and each thing an answer can tell: cached and reasoning tokens, tools, several
# choices, a stream without usage, errors. Requests of two cassettes must not be the same.
CASSETTES = {
    "openai/otel__test_chat_completion_streaming_cached_tokens",
    "openai/otel__test_chat_completion_tool_calls_no_content",
    "openai/otel__test_chat_completion_multiple_choices_streaming",
    "openai/otel__test_chat_completion_multiple_tools_streaming_with_content",
    "openai/otel__test_chat_completion_streaming_not_complete",
    "openai/otel__test_chat_completion_404",
    "openai/otel__test_structured_output_no_content",
    "openai/otel__test_responses_create_stop_reason[content_mode0]",
    "openai/otel__test_responses_create_streaming_iteration[content_mode0]",
    "openai/otel__test_responses_create_captures_custom_tool_history[content_mode0]",
    "openai/otel__test_responses_create_captures_tool_loop_history[content_mode0]",
    "openai/otel__test_embeddings_with_encoding_format",
    "openai/otel__test_async_chat_completion_multiple_choices",
    "openai/otel__test_async_responses_create_streaming_reports_reasoning_tokens[content_mode0]",
    "openai/otel__test_async_responses_create_api_error[content_mode0]",
    "openai/test_tool_calls__test_cached_tokens",
}


def load() -> list[Exchange]:
    """Give the exchanges, those of a cassette in the order in which they were recorded."""
    return [one for one in recordings.exchanges("api.openai.com") if one.name.partition("#")[0] in CASSETTES]


def path(exchange: Exchange) -> str:
    """Say which part of the API was called."""
    return urlsplit(exchange.url).path


def key(path: str, request: Any) -> str:
    """Spell what a request is recognised by."""
    return f"{path} {json.dumps(request, sort_keys=True)}"


class Replay:
    """Answers each recorded request as OpenAI did, once; the same request again gets the next answer."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.unexpected: list[str] = []
        self._answers: dict[str, deque[Exchange]] = {}
        for exchange in exchanges:
            self._answers.setdefault(key(path(exchange), exchange.request), deque()).append(exchange)
        self._server = _Server(self)
        # By default it would look only twice a second whether it is to end.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return self._server.server_port

    @property
    def unasked(self) -> list[Exchange]:
        """The exchanges that nobody asked for yet."""
        return [exchange for waiting in self._answers.values() for exchange in waiting]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> Exchange | None:
        """Find what OpenAI answered, if this was ever asked."""
        wanted = key(path, json.loads(body))
        try:
            return self._answers[wanted].popleft()
        except LookupError:
            self.unexpected.append(wanted)
            return None


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        exchange = self.server.replay.answer(self.path, body)
        if exchange is None:
            self.send_error(400, "nobody recorded this request")
            return
        self.send_response_only(exchange.status)
        if exchange.sse:
            self._stream(exchange.body.encode())
        else:
            self._whole(exchange.body.encode())

    def _whole(self, content: bytes) -> None:
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, content: bytes) -> None:
        """Send each event in a piece of its own, as it would come from a model."""
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in content.split(b"\n\n"):
            if event.strip():
                self.wfile.write(b"%x\r\n%s\n\n\r\n" % (len(event) + 2, event))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass
