"""A small local stand-in for the APIs of OpenAI and Anthropic: the same shapes, no key and no network."""

from __future__ import annotations

import json
import random
import struct
import sys
import threading
from base64 import b64encode
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any

from otel_genai.demo.messages import messages
from otel_genai.demo.model import Answer, Json, RefusedError, answer_to, model_of, pieces, tokens, vector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}
CREATED = 1_760_000_000
SECONDS_TO_THINK = 0.1
SECONDS_PER_CHUNK = (0.004, 0.03)


class StandIn:
    """Serve the APIs on a free port of this machine while the context lasts.

    Attributes:
        url: for OpenAI's client.
        origin: the same without the API's version, for Anthropic's.
    """

    def __init__(self, pace: float = 1.0) -> None:
        """Open the port. Answers take as long as in life, times `pace`; with 0 they come at once."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.pace, self._server.stopping = pace, threading.Event()
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.origin}/v1"

    def __enter__(self) -> Self:
        """Start to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop, and let go of the answers under way."""
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    pace: float
    stopping: threading.Event

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what failed here, but not that a client hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer one call."""
        try:
            answer = self._called()
        except RefusedError as refused:
            self._whole(refused.status, refused.body)
            return
        self._wait(SECONDS_TO_THINK)
        if isinstance(answer, dict):
            self._whole(HTTPStatus.OK, answer)
        else:
            self._stream(answer)

    def _called(self) -> Json | Iterator[str]:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        except ValueError:
            body = None
        if (endpoint := ENDPOINTS.get(self.path)) is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"Invalid URL (POST {self.path})")
        if not isinstance(body, dict):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "We could not parse the JSON body of your request.")
        return endpoint(body)

    def _whole(self, status: HTTPStatus, answer: Json) -> None:
        body = json.dumps(answer).encode()
        self._head(status, "application/json", "Content-Length", str(len(body)))
        self.wfile.write(body)

    def _stream(self, events: Iterator[str]) -> None:
        chance = random.Random(CREATED)  # noqa: S311 (the rhythm of the chunks is no secret)
        self._head(HTTPStatus.OK, "text/event-stream; charset=utf-8", "Transfer-Encoding", "chunked")
        for event in events:
            data = event.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self._wait(chance.uniform(*SECONDS_PER_CHUNK))
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: HTTPStatus, content_type: str, *framing: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header(*framing)
        self.send_header("x-request-id", f"req_{threading.get_ident():032x}")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("retry-after-ms", f"{1 + 500 * self.server.pace:.0f}")
        self.end_headers()

    def _wait(self, seconds: float) -> None:
        self.server.stopping.wait(seconds * self.server.pace)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: the terminal belongs to the program that is served."""


def _chat(body: Json) -> Json | Iterator[str]:
    tools = [tool["function"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    answer = answer_to(body, body.get("messages") or [], tools)
    frame: Json = {
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion.chunk" if body.get("stream") else "chat.completion",
        "created": CREATED,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_57a4d1c0de",
    }
    choices = range(body.get("n") or 1)
    usage = _chat_usage(answer, len(choices))
    if body.get("stream"):
        with_usage = (body.get("stream_options") or {}).get("include_usage")
        return _chat_stream(frame, answer, choices, usage if with_usage else None)
    message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
    if answer.tool:
        message["tool_calls"] = [_tool_call(answer)]
    finish = "tool_calls" if answer.tool else "stop"
    every = [{"index": i, "message": message, "logprobs": None, "finish_reason": finish} for i in choices]
    return frame | {"choices": every, "usage": usage}


def _tool_call(answer: Answer) -> Json:
    function = {"name": answer.tool, "arguments": answer.arguments}
    return {"id": f"call_{answer.id}", "type": "function", "function": function}


def _chat_usage(answer: Answer, choices: int) -> Json:
    completion, reasoning = answer.completion * choices, answer.reasoning * choices
    return {
        "prompt_tokens": answer.prompt,
        "completion_tokens": completion,
        "total_tokens": answer.prompt + completion,
        "prompt_tokens_details": {"cached_tokens": answer.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


def _chat_stream(frame: Json, answer: Answer, choices: range, usage: Json | None) -> Iterator[str]:
    if usage:
        frame |= {"usage": None}
    for delta in _deltas(answer):
        for i in choices:
            finish = None if delta else "tool_calls" if answer.tool else "stop"
            choice = {"index": i, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield f"data: {json.dumps(frame | {'choices': [choice]})}\n\n"
    if usage:
        yield f"data: {json.dumps(frame | {'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _deltas(answer: Answer) -> Iterator[Json]:
    yield {"role": "assistant", "content": "" if answer.text else None, "refusal": None}
    for piece in pieces(answer.text):
        yield {"content": piece}
    if answer.tool:
        head = {"index": 0, **_tool_call(answer), "function": {"name": answer.tool, "arguments": ""}}
        yield {"tool_calls": [head]}
    for piece in pieces(answer.arguments):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    yield {}


def _responses(body: Json) -> Json | Iterator[str]:
    given = body.get("input") or []
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
    tools = [tool for tool in body.get("tools") or () if tool.get("type") == "function"]
    answer = answer_to(body, turns, tools)
    items = _items(answer)
    started = _response(body, answer)
    usage = {
        "input_tokens": answer.prompt,
        "input_tokens_details": {"cached_tokens": answer.cached, "cache_write_tokens": 0},
        "output_tokens": answer.completion,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning},
        "total_tokens": answer.prompt + answer.completion,
    }
    completed = started | {"status": "completed", "output": items, "usage": usage}
    if not body.get("stream"):
        return completed
    events = enumerate(_response_events(started, items, completed))
    return (f"event: {e['type']}\ndata: {json.dumps(e | {'sequence_number': i})}\n\n" for i, e in events)


def _response(body: Json, answer: Answer) -> Json:
    echoed: Json = dict.fromkeys(("instructions", "max_output_tokens", "previous_response_id"))
    echoed |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {}}
    echoed |= {"temperature": 1.0, "top_p": 1.0, "truncation": "disabled", "store": True}
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "model": answer.model,
        "output": [],
        "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
        "service_tier": "default",
        **dict.fromkeys(("error", "incomplete_details", "usage")),
        **{key: body.get(key, usual) for key, usual in echoed.items()},
    }


def _items(answer: Answer) -> list[Json]:
    items: list[Json] = []
    if answer.reasoning:
        items.append({"id": f"rs_{answer.id}", "type": "reasoning", "summary": [], "content": []})
    if answer.tool:
        call = {"id": f"fc_{answer.id}", "type": "function_call", "status": "completed", "name": answer.tool}
        items.append(call | {"arguments": answer.arguments, "call_id": f"call_{answer.id}"})
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        message = {"id": f"msg_{answer.id}", "type": "message", "status": "completed", "role": "assistant"}
        items.append(message | {"content": [part]})
    return items


def _response_events(started: Json, items: list[Json], completed: Json) -> Iterator[Json]:
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item["id"]}
        begun = {"status": "in_progress", "content": [], "arguments": ""}
        empty = item | {key: value for key, value in begun.items() if key in item}
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        if item["type"] == "message":
            yield from _text_events(item["content"][0], place | {"content_index": 0})
        elif item["type"] == "function_call":
            for piece in pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": completed}


def _text_events(part: Json, place: Json) -> Iterator[Json]:
    yield {"type": "response.content_part.added", **place, "part": part | {"text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _embeddings(body: Json) -> Json:
    model, given = model_of(body), body.get("input") or ""
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    size = body.get("dimensions") or DIMENSIONS.get(model, 1536)
    found: list[Any] = [vector(text, size) for text in inputs]
    if body.get("encoding_format") == "base64":
        found = [b64encode(struct.pack(f"<{size}f", *numbers)).decode() for numbers in found]
    data = [{"object": "embedding", "index": i, "embedding": numbers} for i, numbers in enumerate(found)]
    prompt = sum(tokens(text) if isinstance(text, str) else len(text) for text in inputs)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    return {"object": "list", "data": data, "model": model, "usage": usage}


ENDPOINTS: dict[str, Callable[[Json], Json | Iterator[str]]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _responses,
    "/v1/embeddings": _embeddings,
    "/v1/messages": messages,
}
