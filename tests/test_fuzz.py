"""Bad data is nobody's bug: whatever a host answers, a call ends as it would without us, and its span ends.

From real bodies and event streams Hypothesis makes odd ones; every way of calling is tried on them.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from hypothesis import strategies as st

from odd import EXAMPLES, KIND, STATUS, bodies, cut, is_shallow, mutated, over, sound, streams, written
from otel_genai import semconv as s
from registry import COLOURS, KITS, Line, ask, resource
from side_by_side import instrumented, small_heap
from ways import each, now, run

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
        sound(seen)


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
    body = mutated(draw, endpoint.body)
    body, once = body if isinstance(body, dict) else {"odd": body}, False
    if is_shallow(body):
        shape = draw(st.integers(0, len(SHAPES) - 1))
        once = shape == ONE_SHOT
        key = draw(st.sampled_from([endpoint.turns, *body]))
        if key in body:
            body[key] = ("shape", shape, body[key])
    else:
        body = json.loads(written({"odd": None, **{k: v for k, v in body.items() if is_shallow(v)}}))
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
