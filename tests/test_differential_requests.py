"""Do no harm: whatever is asked goes out, or is refused, as it would without us."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import pydantic
import pytest

from registry import KITS, Line, ask, attempt, every, resource
from side_by_side import FIRST, WHOLE_OR_STREAM, alike, answer, listed, table
from ways import now

LATE = {name for name, kit in KITS.items() if name == "anthropic" and kit.sdk.__version__ > "1"}
"""The SDKs that read one-shot iterators only below the seam."""


def _one_shot(turns: Any) -> Any:
    return iter([turns]) if isinstance(turns, str) else (turn for turn in turns)


class _Bag:
    """Can be gone through more than once, and is no list."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return iter(self.items)


SHAPES: dict[str, Callable[[Any], Any]] = {
    "generator": _one_shot,
    "tuple": lambda turns: (turns,) if isinstance(turns, str) else tuple(turns),
    "map": lambda turns: map(dict, turns) if isinstance(turns, list) else turns,
    "filter": lambda turns: filter(None, turns),
    "bag": _Bag,
    "nested generator": lambda turns: (
        [{**turns[0], "content": (part for part in [{"type": "text", "text": "Look."}])}]
        if isinstance(turns, list) and isinstance(turns[0], dict)
        else turns
    ),
    "none": lambda _: None,
    "number": lambda _: 7,
    "object": lambda _: object(),
    "generator that fails": lambda _: (1 // 0 for _ in [1]),
}


@WHOLE_OR_STREAM
@pytest.mark.parametrize("shape", SHAPES)
@table(every())
def test_a_conversation_in_any_shape_goes_out_the_same(*, kit, endpoint, colour, shape, stream):
    """One-shot iterators and odd things as the conversation are sent, or refused, as without us."""
    if stream and not endpoint.streamed:
        pytest.skip(f"{endpoint.name} has no streams")

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=stream)])
        given = SHAPES[shape](endpoint.body[endpoint.turns])
        client = kit.client(line.handle, colour)
        log = [await attempt(_asked_all, client, endpoint, stream=stream, **{endpoint.turns: given})]
        rest = await attempt(list, given) if hasattr(given, "__next__") else None
        return [log, rest, line.requests, line.taken]

    alike(kit, colour, scenario, calls=None)


async def _asked_all(client: Any, endpoint: Any, *, stream: bool = False, **more: Any) -> Any:
    got = await now(ask(client, endpoint, stream=stream, **more))
    return await listed(got) if stream else got


@pytest.mark.parametrize("shape", ["generator", "map", "filter", "tuple", "bag"])
@table([case for case in every() if "tools" in case[1].body])
def test_tools_in_any_shape_go_out_the_same(*, kit, endpoint, colour, shape):
    """One-shot iterators as tools are sent as without us."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=False)])
        client = kit.client(line.handle, colour)
        tools = SHAPES[shape](endpoint.body["tools"])
        return [await attempt(ask, client, endpoint, tools=tools), line.requests]

    alike(kit, colour, scenario, calls=None)


class _Loud(str):
    """A string of the caller's own."""

    __slots__ = ()


class _Refuses:
    """Cannot be compared, counted, hashed or copied."""

    def _refuse(self, *_: Any) -> Any:
        raise ValueError("no")

    def __repr__(self) -> str:
        return "refuses"

    __eq__ = __len__ = __bool__ = __hash__ = __copy__ = __deepcopy__ = __iter__ = _refuse  # type: ignore[assignment]


class _Turn(pydantic.BaseModel):
    """A message as the caller's own model."""

    role: str = "user"
    content: str = "When?"


def _circle() -> list[Any]:
    around: list[Any] = []
    around.append(around)
    return around


ODD: dict[str, Callable[[], dict[str, Any]]] = {
    "model none": lambda: {"model": None},
    "model own string": lambda: {"model": _Loud("m")},
    "model number": lambda: {"model": 3},
    "model refuses": lambda: {"model": _Refuses()},
    "model half an emoji": lambda: {"model": "\ud83d"},
    "temperature nan": lambda: {"temperature": float("nan")},
    "temperature text": lambda: {"temperature": "hot"},
    "temperature huge": lambda: {"temperature": 10**400},
    "extra body": lambda: {"extra_body": {"top_k": 1, 3: 4}},
    "extra body list": lambda: {"extra_body": [1]},
    "extra body none": lambda: {"extra_body": None},
    "extra headers": lambda: {"extra_headers": {"x-lamp": "lit", "Authorization": "none"}},
    "extra headers bad": lambda: {"extra_headers": {"x-lamp": 3}},
    "extra query": lambda: {"extra_query": {"a": [1, 2]}},
    "timeout": lambda: {"timeout": 3.5},
    "timeout none": lambda: {"timeout": None},
    "timeout odd": lambda: {"timeout": "soon"},
    "raw header": lambda: {"extra_headers": {"X-Stainless-Raw-Response": "true"}},
    "stream none": lambda: {"stream": None},
    "stream odd": lambda: {"stream": 0},
    "tools circle": lambda: {"tools": _circle()},
    "tools model": lambda: {"tools": [_Turn()]},
    "tools set": lambda: {"tools": {1}},
    "no such parameter": lambda: {"lamp": 1},
    "unhashable kinds": lambda: {"tools": [{"type": ["function"]}, {"type": {}}], "seed": _Loud("b")},
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@table(every())
def test_an_odd_argument_is_the_sdks_affair(*, kit, endpoint, colour, odd):
    """Parameters that are odd, or options of one call, go out or are refused as without us."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=False)])
        log = await attempt(ask, kit.client(line.handle, colour), endpoint, **ODD[odd]())
        return [log, line.requests, line.taken]

    alike(kit, colour, scenario, calls=None)


@table(FIRST)
@pytest.mark.parametrize("turns", [
    [_Turn()], [None], [3], [_Loud("x")], [[]], [{1: 2}], [{"role": _Refuses()}],
    [{"role": "user", "content": [_Turn(), None, {"type": {}}, {"type": "image_url"}]}],
    [{"role": "tool", "content": float("nan")}], [{"role": "assistant", "tool_calls": 3}],
], ids=repr)  # fmt: skip
def test_odd_turns_are_the_sdks_affair(*, kit, endpoint, colour, turns):
    """Messages that are models, or nothing a message should be, go out or are refused as without us."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=False)])
        given = copy.copy(turns)
        log = await attempt(ask, kit.client(line.handle, colour), endpoint, **{endpoint.turns: given})
        return [log, line.requests, _repr(given) == _repr(turns)]

    alike(kit, colour, scenario, calls=None)


def _repr(value: Any) -> str:
    return repr([type(item) for item in value])


@table(every())
def test_what_is_given_is_not_changed(*, kit, endpoint, colour):
    """Neither the arguments nor anything in them is changed or replaced."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=False)])
        body = copy.deepcopy(endpoint.body)
        inner = {key: id(value) for key, value in body.items()}
        await now(resource(kit.client(line.handle, colour), endpoint).create(**body))
        return [body == endpoint.body, {key: id(value) for key, value in body.items()} == inner]

    assert alike(kit, colour, scenario) == [True, True]


MISUSES: dict[str, Callable[[Any, Any, str], Any]] = {
    "nothing": lambda c, e, _: functools.reduce(getattr, e.resource.split("."), c).create(),
    "no model": lambda c, e, _: functools.reduce(getattr, e.resource.split("."), c).create(
        **{key: value for key, value in e.body.items() if key != "model"}
    ),
    "positional": lambda c, e, _: functools.reduce(getattr, e.resource.split("."), c).create("m"),
    "post without a type": lambda c, e, _: c.post(e.path, body=e.body),
    "post without a body": lambda c, e, _: c.post(e.path, cast_to=e.answer),
    "post of a list": lambda c, e, _: c.post(e.path, cast_to=object, body=[1]),
    "post of text": lambda c, e, _: c.post(e.path, cast_to=object, body="odd"),
    "post of an odd type": lambda c, e, _: c.post(e.path, cast_to=3, body=e.body),
    "request without options": lambda c, *_: c.request(object),
    "request of nothing": lambda c, *_: c.request(),
    "request of odd options": lambda c, *_: c.request(object, 3),
    "post of an odd path": lambda c, e, _: c.post(3, cast_to=object, body=e.body),
    "post of a bad url": lambda c, e, _: c.post("http://[", cast_to=object, body=e.body),
    "unknown stream class": lambda c, e, _: c.post(
        e.path, cast_to=object, body=e.body, stream=True, stream_cls=int
    ),
}  # fmt: skip


@pytest.mark.parametrize("misuse", MISUSES)
@table(FIRST)
def test_a_misuse_is_refused_by_the_sdk(*, kit, endpoint, colour, misuse):
    """A call that the SDK refuses is refused by the SDK, in its own words."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=False)])
        client = kit.client(line.handle, colour)
        return [await attempt(MISUSES[misuse], client, endpoint, colour), line.requests]

    alike(kit, colour, scenario, calls=None)
