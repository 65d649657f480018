"""Odd data that Hypothesis makes of real bodies and streams, and what holds of all that is told of it."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_genai import semconv as s
from registry import decoded, events
from sdks.kit import frame

MANY = int(os.environ.get("FUZZ", "10000"))
"""How many cases the long run tries of each SDK."""
EXAMPLES = [
    pytest.param(500, id="some"),
    pytest.param(MANY, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]
CONTENT = (s.SYSTEM_INSTRUCTIONS, s.INPUT_MESSAGES, s.OUTPUT_MESSAGES, s.TOOL_DEFINITIONS)


def over(check: Callable[[Any], None], cases: st.SearchStrategy[Any], examples: int) -> None:
    """Try so many cases, always the same ones; with FUZZ_NEW in the environment new ones each time."""
    settings(
        max_examples=examples,
        derandomize="FUZZ_NEW" not in os.environ,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )(given(cases)(check))()


# --- Bodies and event streams ----------------------------------------------------------------------------


class _Deep:
    """So many lists within each other; written by hand, as no encoder goes so deep."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


_DEEP = re.compile(r'"\$deep (\d+)\$"')


def written(value: Any) -> str:
    """Write JSON, with what JSON has not: NaN, and depth."""
    plain = json.dumps(value, default=lambda deep: f"$deep {deep.depth}$")
    return _DEEP.sub(lambda found: "[" * int(found[1]) + "]" * int(found[1]), plain)


JUNK = st.sampled_from([
    None, True, False, 0, -1, 3, 2**31, 2**63, 10**30, -(10**30), 1.5, 1e308, float("nan"), float("inf"),
    "", "x", "stop", "\ud800", "half \udfff", "\x00", "9" * 5000, "{",
    "[1", '{"a": 1}', "data:,x", "é" * 3000,
    [], {}, [None], [[]], [3], ["x"], [{}], {"": None}, {"type": "hologram"}, {"type": 3}, {"type": []},
    {"id": {}, "index": "0", "content": [None]}, {"text": {"value": 1}}, [{"type": None}, 7, "x"],
    _Deep(20), _Deep(450), _Deep(100_000),
]) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Go through the paths of all that is in a document."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from _nodes(item, (*path, key))


def mutated(draw: Any, document: Any) -> Any:
    """Change a document in one to three places."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(_nodes(document))
        if not paths:
            return copy.deepcopy(draw(JUNK))
        *way, last = paths[draw(st.integers(0, len(paths) - 1))]
        parent = document
        for key in way:
            parent = parent[key]
        deed = draw(st.sampled_from(("put", "put", "put", "drop", "add", "wrap", "swap")))
        if deed == "put":
            parent[last] = copy.deepcopy(draw(JUNK))
        elif deed == "drop":
            del parent[last]
        elif deed == "wrap":
            parent[last] = draw(st.sampled_from(([parent[last]], {"value": parent[last]})))
        elif deed == "swap":
            other = document[next(iter(document))] if isinstance(document, dict) else document[0]
            parent[last] = copy.deepcopy(other)
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(("error", "type", "usage", "message", "x", "")))] = copy.deepcopy(
                draw(JUNK)
            )
        else:
            parent.insert(last, copy.deepcopy(draw(JUNK)))
        if not is_shallow(document):
            break
    return document


def is_shallow(document: Any) -> bool:
    """Whether a document can be written and read without one's own encoder."""
    return "$deep" not in json.dumps(document, default=lambda deep: f"$deep {deep.depth}$")


def _twice(draw: Any, text: str) -> str:
    """Give a key twice, with another value before or after."""
    keys = [found.start() for found in re.finditer(r'"[^"\\]+": ', text)]
    if not keys:
        return text
    at = keys[draw(st.integers(0, len(keys) - 1))]
    key = text[at : text.index(": ", at) + 2]
    return f"{text[:at]}{key}{written(copy.deepcopy(draw(JUNK)))}, {text[at:]}"


GATEWAY = st.sampled_from([
    b"", b" ", b"\n", b"null", b"[]", b"{}", b'"busy"', b"7", b"NaN", b"true", b"upstream connect error",
    b"<html><body>502</body></html>", b'{"error": "busy"}', b'{"error": {"message": "busy", "type": 3}}',
    b'{"error": null}', b"data: [DONE]\n\n", b'{"detail": [{"loc": ["body"]}]}', b"\xff\xfe\x00", b"\x00" * 9,
    b"9" * 5000, b"\xef\xbb\xbf{}", b'{"id": "x", "id": null}',
])  # fmt: skip


def damaged(draw: Any, body: bytes) -> bytes:
    """Cut, glue and encode bytes wrongly; mostly leave them."""
    deed = draw(st.sampled_from(("nothing",) * 6 + ("cut", "insert", "bom", "utf-16", "latin", "again")))
    at = draw(st.integers(0, len(body)))
    return {
        "nothing": lambda: body,
        "cut": lambda: body[:at],
        "insert": lambda: body[:at] + draw(st.binary(min_size=1, max_size=4)) + body[at:],
        "bom": lambda: b"\xef\xbb\xbf" + body,
        "utf-16": lambda: body.decode(errors="replace").encode("utf-16"),
        "latin": lambda: body.decode(errors="replace").encode("latin-1", errors="replace"),
        "again": lambda: body + body,
    }[deed]()


def _read(body: bytes) -> Any:
    """Read JSON; None where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def bodies(draw: Any, samples: tuple[bytes, ...]) -> bytes:
    """Make a whole body; one that is no JSON is only damaged."""
    if draw(st.integers(0, 9)) == 0:
        return draw(GATEWAY)
    body = draw(st.sampled_from(samples))
    document = _read(body)
    if document is None:
        return damaged(draw, body)
    text = written(mutated(draw, document))
    if draw(st.integers(0, 5)) == 0:
        text = _twice(draw, text)
    return damaged(draw, text.encode(errors="surrogatepass"))


LINES = st.sampled_from([
    b": a comment\n\n", b":\n", b"data\n\n", b"data:\n\n", b"data: {\n\n", b"event\n\n", b"event: ping\n\n",
    b"id: \x00\n", b"retry: soon\n\n", b"retry: 3\n\n", b"nonsense\n\n", b"\n\n\n", b"data: [DONE]\n\n",
    b"data:[DONE]\n\n", b"data: null\n\n", b"data: 7\n\n", b"data: []\n\n", b"data: {}\n\n", b'data: "x"\n\n',
    b"data: NaN\n\n", b"data: \xff\xfe\n\n", b"data: " + b"[" * 100_000 + b"\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n', b'event: lamp\ndata: {"type": "lamp", "lit": [1]}\n\n',
    b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}\n\n',
    b'event: error\ndata: {"type": "error", "code": "server_error", "message": "m", "param": null}\n\n',
    b'data: {"error": {"message": "busy", "code": 3}}\n\n', b'data: {"error": "busy"}\n\n',
    b'data: {"error": []}\n\n', b'data: {"type": "response.failed"}\n\n', b'data: {"choices": []}\n\n',
    b"event: thread.x\ndata: {}\n\n", b"event: error\ndata: overloaded\n\n", b"event: error\ndata:\n\n",
])  # fmt: skip


def _changed(draw: Any, event: bytes) -> bytes:
    """Change one event: what it says, or how it is written."""
    value = decoded(event) if b"[" * 20 not in event else None  # that one is deep already
    if value is None:
        return draw(LINES)
    name, _, _ = event.partition(b"data:")
    deed = draw(st.sampled_from(("value", "value", "value", "value", "lines", "name", "cut", "no name")))
    if deed == "lines":
        lines = json.dumps(value, indent=draw(st.integers(0, 2))).encode().splitlines()
        return name + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    if deed == "name":
        return (
            b"event: "
            + draw(st.sampled_from((b"error", b"ping", b"x", b"", b"message_stop")))
            + b"\n"
            + event
        )
    if deed == "cut":
        return event[: draw(st.integers(0, len(event)))] + b"\n\n"
    if deed == "no name":
        return b"data: " + json.dumps(value).encode() + b"\n\n"
    text = written(mutated(draw, value))
    if draw(st.integers(0, 5)) == 0:
        text = _twice(draw, text)
    return name + b"data: " + text.encode(errors="surrogatepass") + b"\n\n"


def _rearrange(
    draw: Any, pieces: list[bytes], more: st.SearchStrategy[bytes], changed: Callable[[Any, bytes], bytes]
) -> None:
    """Change up to three pieces of a stream, or their order."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(pieces) - 1, 0)))
        deed = draw(
            st.sampled_from(("change", "change", "change", "insert", "insert", "drop", "again", "move"))
        )
        if deed == "insert" or not pieces:
            pieces.insert(at, draw(more))
        elif deed == "change":
            pieces[at] = changed(draw, pieces[at])
        elif deed == "drop":
            del pieces[at]
        elif deed == "again":
            pieces.append(pieces[at])
        else:
            pieces.append(pieces.pop(at))


def streams(draw: Any, samples: tuple[bytes, ...]) -> bytes:
    """Make an event stream."""
    if draw(st.integers(0, 14)) == 0:
        return draw(GATEWAY)
    pieces = events(draw(st.sampled_from(samples)))
    _rearrange(draw, pieces, LINES, _changed)
    body = b"".join(pieces)
    ends = draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r")))
    body = body.replace(b"\n", ends)
    if draw(st.integers(0, 3)) == 0:
        body = body.rstrip(b"\r\n")
    return damaged(draw, body)


JSON_LINES = st.sampled_from([
    b"\n", b" \n", b"null\n", b"7\n", b"[]\n", b"{}\n", b"{\n", b'"x"\n', b"NaN\n", b"\xff\xfe\n",
    b"<html>\n",    b"[" * 100_000 + b"\n", b'{"error": "busy"}\n', b'{"error": null}\n', b'{"done": true}\n',
    b'{"event_type": "hologram"}\n', b'{"message": null, "response": null}\n', b"data: [DONE]\n",
])  # fmt: skip


def _changed_line(draw: Any, line: bytes) -> bytes:
    document = _read(line)
    if document is None:
        return draw(JSON_LINES)
    text = written(mutated(draw, document))
    if draw(st.integers(0, 5)) == 0:
        text = _twice(draw, text)
    return text.encode(errors="surrogatepass") + b"\n"


def lines(draw: Any, samples: tuple[bytes, ...]) -> bytes:
    """Make a stream of JSON lines."""
    if draw(st.integers(0, 14)) == 0:
        return draw(GATEWAY)
    pieces = draw(st.sampled_from(samples)).splitlines(keepends=True)
    _rearrange(draw, pieces, JSON_LINES, _changed_line)
    return damaged(draw, b"".join(pieces))


HEADERS = st.sampled_from([
    (b"\x07\x00\x05event", b"\x07\x00\x05error"), (b"\x07\x00\x05event", b"\x07\x00\x09exception"),
    (b":event-type", b":event-kind"), (b":message-type", b":message-kind"), (b"json", b"cbor"),
    (b"\x07", b"\x09"),
])  # fmt: skip
FRAMES = st.sampled_from([
    b"", b"\x00", frame(b"", b""), frame(b"", b"{}"), frame(b"\x00", b"{}"),
    *(
        frame(b"\x0b:event-type\x07\x00\x05chunk\x0d:message-type\x07\x00\x05event", payload)
        for payload in (
            b"", b"{}", b"null", b"[]", b"7", b"{", b'{"bytes": 7}', b'{"bytes": ""}', b'{"bytes": "e30="}',
            b'{"bytes": "bnVsbA=="}', b'{"bytes": "W10="}', b'{"bytes": "%%%"}', b'{"message": "busy"}',
        )
    ),
])  # fmt: skip


def _changed_frame(draw: Any, piece: bytes) -> bytes:
    """Change one frame: what it carries, or how that is framed."""
    start = 12 + int.from_bytes(piece[4:8], "big")
    headers, payload = piece[12:start], piece[start:-4]
    value = _read(payload)
    deed = draw(st.sampled_from(("value", "value", "value", "value", "headers", "bytes", "cut")))
    at = draw(st.integers(0, len(piece)))
    if deed == "bytes":
        return piece[:at] + draw(st.binary(min_size=1, max_size=4)) + piece[at + 1 :]
    if deed == "cut":
        return piece[:at]
    if deed == "headers" or value is None:
        return frame(headers.replace(*draw(HEADERS)), payload)
    inside = _read(base64.b64decode(value["bytes"])) if isinstance(value, dict) and "bytes" in value else None
    if inside is not None and draw(st.integers(0, 5)):
        text = written(mutated(draw, inside)).encode(errors="surrogatepass")
        return frame(headers, json.dumps({**value, "bytes": base64.b64encode(text).decode()}).encode())
    return frame(headers, written(mutated(draw, value)).encode(errors="surrogatepass"))


def frames(draw: Any, sample: tuple[bytes, ...]) -> bytes:
    """Make a stream of frames, as AWS writes them."""
    if draw(st.integers(0, 14)) == 0:
        return draw(GATEWAY)
    pieces = list(sample)
    # What was changed once is not looked into once more: it may be no frame.
    known = frozenset(pieces)
    _rearrange(
        draw, pieces, FRAMES, lambda draw, piece: _changed_frame(draw, piece) if piece in known else piece
    )
    return damaged(draw, b"".join(pieces))


def cut(draw: Any, body: bytes) -> list[Any]:
    """Let a body come in pieces that end anywhere."""
    at = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[start:end] for start, end in zip([0, *at], [*at, len(body)], strict=True)]


STATUS = st.sampled_from((200,) * 12 + (201, 202, 204, 206, 299, 400, 500))
KIND = st.sampled_from(
    ("right",) * 9 + ("text/html", "application/json; charset=utf-16", "json", "sse", "text/plain", None)
)


# --- What is told of it ----------------------------------------------------------------------------------


def sound(seen: Any) -> None:
    """Check that what was told has the types that it may have, and can be sent."""
    for span in seen.finished:
        _legal(span)
    encode_spans(seen.finished).SerializeToString()
    encode_logs(seen._records.get_finished_logs()).SerializeToString()
    if data := seen._metrics.get_metrics_data():
        encode_metrics(data).SerializeToString()


def _legal(span: Any) -> None:
    """Check that a span's attributes have the types that they may have."""
    span.name.encode()
    for key, value in span.attributes.items():
        many = value if isinstance(value, tuple) else (value,)
        assert len({type(one) for one in many}) == 1, (key, value)
        assert type(many[0]) in (str, bool, int, float), (key, value)
        if key in s.USAGE:
            assert type(value) is int, (key, value)
            assert value >= 0, (key, value)
        if key in CONTENT:
            json.loads(value, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    pytest.fail(f"{constant} is no JSON")
