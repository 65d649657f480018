"""Bad data is nobody's bug: whatever a host answers, a call ends as it would without us, and its span ends.

From real bodies and event streams Hypothesis makes odd ones; every way of calling is tried on them.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_genai import semconv as s
from registry import COLOURS, KITS, Line, ask, decoded, events, resource
from side_by_side import instrumented, small_heap
from ways import each, now, run

EXAMPLES = [
    pytest.param(500, id="some"),
    pytest.param(10_000, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]
CONTENT = (s.SYSTEM_INSTRUCTIONS, s.INPUT_MESSAGES, s.OUTPUT_MESSAGES, s.TOOL_DEFINITIONS)


def over(check: Callable[[Any], None], cases: st.SearchStrategy[Any], examples: int) -> None:
    """Try so many cases: always the same ones in the normal run, new ones each time in a long one."""
    settings(
        max_examples=examples,
        derandomize=examples <= 500,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )(given(cases)(check))()


# --- Odd data --------------------------------------------------------------------------------------------


class _Deep:
    """So many lists within each other; written by hand, as no encoder goes so deep."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


_DEEP = re.compile(r'"\$deep (\d+)\$"')


def _text(value: Any) -> str:
    """Write JSON, with what JSON has not: NaN, and depth."""
    written = json.dumps(value, default=lambda deep: f"$deep {deep.depth}$")
    return _DEEP.sub(lambda found: "[" * int(found[1]) + "]" * int(found[1]), written)


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


def _mutated(draw: Any, document: Any) -> Any:
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
        if not _is_shallow(document):
            break
    return document


def _is_shallow(document: Any) -> bool:
    return "$deep" not in json.dumps(document, default=lambda deep: f"$deep {deep.depth}$")


def _twice(draw: Any, text: str) -> str:
    """Give a key twice, with another value before or after."""
    keys = [found.start() for found in re.finditer(r'"[^"\\]+": ', text)]
    if not keys:
        return text
    at = keys[draw(st.integers(0, len(keys) - 1))]
    key = text[at : text.index(": ", at) + 2]
    return f"{text[:at]}{key}{_text(copy.deepcopy(draw(JUNK)))}, {text[at:]}"


GATEWAY = st.sampled_from([
    b"", b" ", b"\n", b"null", b"[]", b"{}", b'"busy"', b"7", b"NaN", b"true", b"upstream connect error",
    b"<html><body>502</body></html>", b'{"error": "busy"}', b'{"error": {"message": "busy", "type": 3}}',
    b'{"error": null}', b"data: [DONE]\n\n", b'{"detail": [{"loc": ["body"]}]}', b"\xff\xfe\x00", b"\x00" * 9,
    b"9" * 5000, b"\xef\xbb\xbf{}", b'{"id": "x", "id": null}',
])  # fmt: skip


def _damaged(draw: Any, body: bytes) -> bytes:
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


def bodies(draw: Any, samples: tuple[bytes, ...]) -> bytes:
    """Make a whole body."""
    if draw(st.integers(0, 9)) == 0:
        return draw(GATEWAY)
    text = _text(_mutated(draw, json.loads(draw(st.sampled_from(samples)))))
    if draw(st.integers(0, 5)) == 0:
        text = _twice(draw, text)
    return _damaged(draw, text.encode(errors="surrogatepass"))


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
    text = _text(_mutated(draw, value))
    if draw(st.integers(0, 5)) == 0:
        text = _twice(draw, text)
    return name + b"data: " + text.encode(errors="surrogatepass") + b"\n\n"


def streams(draw: Any, samples: tuple[bytes, ...]) -> bytes:
    """Make an event stream."""
    if draw(st.integers(0, 14)) == 0:
        return draw(GATEWAY)
    pieces = events(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(pieces) - 1, 0)))
        deed = draw(
            st.sampled_from(("change", "change", "change", "insert", "insert", "drop", "again", "move"))
        )
        if deed == "insert" or not pieces:
            pieces.insert(at, draw(LINES))
        elif deed == "change":
            pieces[at] = _changed(draw, pieces[at])
        elif deed == "drop":
            del pieces[at]
        elif deed == "again":
            pieces.append(pieces[at])
        else:
            pieces.append(pieces.pop(at))
    body = b"".join(pieces)
    ends = draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r")))
    body = body.replace(b"\n", ends)
    if draw(st.integers(0, 3)) == 0:
        body = body.rstrip(b"\r\n")
    return _damaged(draw, body)


def cut(draw: Any, body: bytes) -> list[Any]:
    """Let a body come in pieces that end anywhere."""
    at = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[start:end] for start, end in zip([0, *at], [*at, len(body)], strict=True)]


# --- One case --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One call with one odd answer."""

    provider: str
    at: int
    colour: str
    status: int
    kind: str | None
    pieces: list[Any]

    @property
    def kit(self) -> Any:
        """The kit of the provider."""
        return KITS[self.provider]

    @property
    def way(self) -> Any:
        """The way of calling."""
        return self.kit.ways[self.at]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:  # noqa: FBT001 (Hypothesis calls it)
        printer.text(repr(self))

    def __repr__(self) -> str:
        head = [piece if len(piece) < 3000 else piece[:3000] + b"..." for piece in self.pieces]
        return f"<{self.way.name} {self.colour} {self.status} {self.kind} {head}>"


STATUS = st.sampled_from((200,) * 12 + (201, 202, 204, 206, 299, 400, 500))
KIND = st.sampled_from(
    ("right",) * 9 + ("text/html", "application/json; charset=utf-16", "json", "sse", "text/plain", None)
)


def _endpoints(name: str, *, stream: bool) -> list[str]:
    return [endpoint.name for endpoint in KITS[name].endpoints.values() if endpoint.streamed or not stream]


@st.composite
def cases(draw: Any, name: str, *, stream: bool) -> Case:
    """Make a case."""
    kit = KITS[name]
    endpoint = kit.endpoints[draw(st.sampled_from(_endpoints(name, stream=stream)))]
    ways = [at for at, way in enumerate(kit.ways) if way.api.name == endpoint.name and way.stream is stream]
    body = streams(draw, endpoint.streams) if stream else bodies(draw, endpoint.bodies)
    kind = draw(KIND)
    return Case(
        name,
        draw(st.sampled_from(ways)),
        draw(st.sampled_from(COLOURS)),
        draw(STATUS),
        ("sse" if stream else "json") if kind == "right" else kind,
        cut(draw, body),
    )


_ADDRESS = re.compile(r"0x[0-9a-f]+")


def ended(make: Callable[[], Any], colour: str) -> tuple[str, str]:
    """Say how a program ended."""
    try:
        return "gave", _ADDRESS.sub("", repr(run(make(), asynchronous=colour == "async")))
    except BaseException as error:  # noqa: BLE001 (it is compared)
        return type(error).__name__, _ADDRESS.sub("", str(error))


def harmless(kit: Any, make: Callable[[], Any], colour: str, *, spans: int | None = 1) -> None:
    """Check that a program ends the same, its spans end, and what they say can be sent."""
    with small_heap():
        bare = ended(make, colour)
    with instrumented(kit, "SPAN_AND_EVENT") as (seen, balance):
        ours = ended(make, colour)
        assert ours == bare
        balance.settle()
        assert spans is None or balance.begun == spans
        assert s.INTERNAL_ERRORS.name not in seen.metrics
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


# --- Answers ---------------------------------------------------------------------------------------------


def _check(case: Case) -> None:
    async def program() -> Any:
        line = Line([lambda: case.kit.response(case.pieces, status=case.status, kind=case.kind)])
        client = case.kit.client(line.handle, case.colour)
        return [await case.way.call(client), line.requests, line.taken]

    harmless(case.kit, program, case.colour, spans=None)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", KITS)
def test_an_odd_body_does_no_harm(name, examples):
    """Whatever a body holds, the call ends as without us, its span ends, and nothing of ours fails."""
    over(_check, cases(name, stream=False), examples)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", KITS)
def test_an_odd_stream_does_no_harm(name, examples):
    """Whatever a stream holds, it ends as without us, its span ends, and nothing of ours fails."""
    over(_check, cases(name, stream=True), examples)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", KITS)
def test_an_odd_stream_that_is_left_does_no_harm(name, examples):
    """However far an odd stream was read before it was closed or dropped, its span ends."""

    @st.composite
    def left(draw: Any) -> Any:
        return draw(cases(name, stream=True)), draw(st.integers(0, 6)), draw(st.booleans())

    def check(drawn: Any) -> None:
        case, steps, closed = drawn
        endpoint = case.kit.endpoints[case.way.api.name]

        async def program() -> Any:
            line = Line([lambda: case.kit.response(case.pieces, status=case.status, kind=case.kind)])
            stream = await now(ask(case.kit.client(line.handle, case.colour), endpoint, stream=True))
            walk, came = each(stream), []
            with contextlib.suppress(StopAsyncIteration):
                came.extend([repr(await walk.__anext__()) for _ in range(steps)])
            await walk.aclose()
            if closed:
                await now(stream.close())
            return [came, line.taken]

        harmless(case.kit, program, case.colour)

    over(check, left(), examples)


# --- Requests --------------------------------------------------------------------------------------------


class _Model(pydantic.BaseModel):
    """A caller's own model."""

    role: Any = "user"
    content: Any = None
    type: Any = None


SHAPES: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: value,
    lambda value: tuple(value) if isinstance(value, list) else value,
    lambda value: iter(value) if isinstance(value, list) else value,
    lambda value: (
        [_Model(content=item) for item in value] if isinstance(value, list) else _Model(content=value)
    ),
    lambda value: {1, 2},
    lambda value: b"bytes",
    lambda value: _circle(value),  # noqa: PLW0108 (it is defined below)
    lambda value: object,
]


ONE_SHOT = 3


def _circle(value: Any) -> Any:
    around: dict[str, Any] = {"type": "function", "value": value}
    around["function"] = {"name": "f", "parameters": around}
    return [around]


@st.composite
def requests(draw: Any, name: str) -> Any:
    """Make an odd request: its endpoint, how it is made, and its body."""
    endpoint = KITS[name].endpoints[draw(st.sampled_from(_endpoints(name, stream=False)))]
    body = _mutated(draw, endpoint.body)
    body, once = body if isinstance(body, dict) else {"odd": body}, False
    if _is_shallow(body):
        shape = draw(st.integers(0, len(SHAPES) - 1))
        once = shape == ONE_SHOT
        key = draw(st.sampled_from([endpoint.turns, *body]))
        if key in body:
            body[key] = ("shape", shape, body[key])
    else:
        body = json.loads(_text({"odd": None, **{k: v for k, v in body.items() if _is_shallow(v)}}))
    return (
        endpoint.name,
        draw(st.sampled_from(("create",) if once else ("create", "post", "post list"))),
        body,
        draw(st.sampled_from(COLOURS)),
    )


def _shaped(body: dict[str, Any]) -> dict[str, Any]:
    """Make the body anew for each run: some of it can be read only once."""
    return {
        key: SHAPES[value[1]](value[2]) if isinstance(value, tuple) and value[:1] == ("shape",) else value
        for key, value in body.items()
    }


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", KITS)
def test_an_odd_request_does_no_harm(name, examples):
    """Whatever is asked, the same goes out or is refused as without us, and nothing of ours fails."""
    kit = KITS[name]

    def check(drawn: Any) -> None:
        called, how, body, colour = drawn
        endpoint = kit.endpoints[called]

        async def program() -> Any:
            line = Line([lambda: kit.response(endpoint.bodies[0])])
            client = kit.client(line.handle, colour)
            given = _shaped(body)
            try:
                if how == "create":
                    got = await now(ask(client, endpoint, **given))
                else:
                    sent = [given] if how == "post list" else given
                    got = await now(client.post(endpoint.path, cast_to=object, body=sent))
            except Exception as error:  # noqa: BLE001 (it is compared, with what was sent before it)
                got = [type(error).__name__, str(error)]
            return [got, line.requests, line.taken]

        harmless(kit, program, colour, spans=None)

    over(check, requests(name), examples)


# --- Single cases ----------------------------------------------------------------------------------------

_ID = '{"id": %s}'
BODIES = {
    "integer of more than 64 bits": _ID % 2**63,
    "half an emoji": _ID % '"\\udfff"',
    "list of two types": _ID % "[false, 0]",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("odd", BODIES)
@pytest.mark.parametrize("name", KITS)
def test_what_cannot_be_told_is_left_out(name, odd):
    """An answer whose values no attribute can hold is told without them, and nothing of ours fails."""
    kit, body = KITS[name], BODIES[odd].encode()
    endpoint = next(iter(kit.endpoints.values()))

    async def program() -> Any:
        client = kit.client(Line([lambda: kit.response(body)]).handle, "sync")
        return resource(client, endpoint).with_raw_response.create(**endpoint.body).text

    harmless(kit, program, "sync")


_NAMELESS = [{"type": "function", "function": {"name": "f", "parameters": {"": None}}}]
REQUESTS: dict[str, Callable[[Any, Any], Any]] = {
    "NaN": lambda client, _: client.responses.create(model="m", input="When?", instructions=float("nan")),
    "half an emoji": lambda client, body: client.chat.completions.create(**{**body, "model": "\ud83d"}),
    "no name": lambda client, body: client.chat.completions.create(**body, tools=_NAMELESS),
    "once": lambda client, body: client.post(
        "/chat/completions", cast_to=object, body={**body, "messages": iter(body["messages"])}
    ),
}


@pytest.mark.parametrize("odd", REQUESTS)
def test_what_is_asked_oddly_is_told_soundly(odd):
    """Content is JSON that can be sent, and what OpenAI's SDK refuses is refused with capture on, too."""
    kit = KITS["openai"]
    body = {"model": "m", "messages": [{"role": "user", "content": "When?"}]}

    async def program() -> Any:
        line = Line([lambda: kit.response(b"{}")])
        return [REQUESTS[odd](kit.client(line.handle, "sync"), body), line.requests]

    harmless(kit, program, "sync", spans=None)


def test_reading_an_odd_answer_warns_nobody():
    """Where a caller's own type does not fit the answer, its reading by us warns no more than the SDK."""
    kit = KITS["anthropic"]
    endpoint = next(iter(kit.endpoints.values()))
    body = {**json.loads(endpoint.bodies[0]), "content": [{"type": "text", "text": ["When?"]}]}

    async def program() -> Any:
        client = kit.client(Line([lambda: kit.response(json.dumps(body).encode())]).handle, "sync")
        return ask(client, endpoint)

    harmless(kit, program, "sync")


@pytest.mark.parametrize("name", KITS)
@pytest.mark.parametrize("depth", [200, 450, 980])
def test_an_answer_of_the_caller_s_own_type_may_be_too_deep_to_read(name, depth):
    """What the caller's model takes, its own serializer may refuse: that is bad data, and no failure."""
    kit = KITS[name]
    endpoint = next(iter(kit.endpoints.values()))
    body = json.dumps({**json.loads(endpoint.bodies[0]), "id": "deep"})
    body = body.replace('"deep"', "[" * depth + "]" * depth)
    own = type("Own", (kit.sdk.BaseModel,), {})

    async def program() -> Any:
        client = kit.client(Line([lambda: kit.response(body.encode())]).handle, "sync")
        client.post(endpoint.path, cast_to=own, body=endpoint.body)

    harmless(kit, program, "sync")


@pytest.mark.parametrize("odd", [["x"], [7], "7", True, -1, 2**70, 1.5, {"a": 1}])
@pytest.mark.parametrize("name", KITS)
def test_a_count_that_is_no_count_is_absent(name, odd):
    """Whatever a host says that it has counted."""
    kit = KITS[name]
    endpoint = next(iter(kit.endpoints.values()))
    body = json.loads(endpoint.bodies[0])
    usage = {key: odd if key.endswith("_tokens") else value for key, value in body["usage"].items()}

    async def program() -> Any:
        answer = json.dumps({**body, "usage": usage}).encode()
        client = kit.client(Line([lambda: kit.response(answer)]).handle, "sync")
        return str(ask(client, endpoint))

    harmless(kit, program, "sync")
