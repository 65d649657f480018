"""Every SDK beside openai and anthropic: harmless, truthful, discreet; each file in `sdks` joins every table.

The SDKs are real, and so is the HTTP server that they talk to.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest

import otel_genai
from otel_genai import _bound
from otel_genai import semconv as s
from otel_genai._patching import sdk_version
from otel_genai.providers import REGISTRY
from otel_genai.testing import capture
from sdk_calls import FAILED, SDKS, now, quick, run, steps
from sdks.kit import Sdk, Way, Wire

pytestmark = [
    # Not every SDK closes its connections, and programs need not close its clients.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CANARIES = ("marmalade", "artichoke")
ALL = [(sdk, way, colour) for sdk in SDKS.values() for way in sdk.ways for colour in way.colours]
REMOTE = [case for case in ALL if not case[1].is_local]
STREAMS = [case for case in ALL if case[1].stream]
FIRST = [(sdk, sdk.ways[0], colour) for sdk in SDKS.values() for colour in sdk.ways[0].colours]


def named(case: tuple[Any, ...]) -> str:
    """Name a case of a table."""
    return "-".join(str(getattr(part, "name", part)) for part in case)


def table(cases: list[Any]) -> Any:
    """Run a test for each case."""
    return pytest.mark.parametrize(("sdk", "way", "colour"), cases, ids=[named(case) for case in cases])


@pytest.fixture(autouse=True, scope="module")
def _quick():
    with quick():
        yield


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - {"anthropic", "openai", "langchain", "mcp"}))
def test_every_provider_is_in_the_tables(name: str) -> None:
    """A provider without a file here is tested by nobody."""
    requires = importlib.import_module(REGISTRY[name]).PROVIDER.requires
    if sdk_version(requires) is None or isinstance(FAILED.get(name), ModuleNotFoundError):
        pytest.skip(f"needs {requires}: pip install 'otel-genai[sdks,frameworks]'; litellm by itself")
    assert FAILED.get(name) is None
    assert name in SDKS


# --- A run -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def instrumented(sdk: Sdk, mode: str = "NO_CONTENT") -> Any:
    """Have one SDK told."""
    with capture(sdk.name, settings=otel_genai.Settings(capture=mode, cost=False)) as seen:
        yield seen


def span_of(seen: Any) -> dict[str, Any]:
    """Give the one span."""
    [span] = seen.spans
    return span


UNSTEADY = {
    s.SERVER_ADDRESS, s.SERVER_PORT, s.RESPONSE_TIME_TO_FIRST_CHUNK, s.LONGEST_GAP,
}  # fmt: skip
CONTENT = {
    s.INPUT_MESSAGES: "input",
    s.OUTPUT_MESSAGES: "output",
    s.SYSTEM_INSTRUCTIONS: "system",
    s.TOOL_DEFINITIONS: "tools",
    s.RETRIEVAL_QUERY_TEXT: "query",
    s.RETRIEVAL_DOCUMENTS: "documents",
}


def steady(span: dict[str, Any]) -> dict[str, Any]:
    """Give a span's attributes but for times, the server and content."""
    return {
        key: value for key, value in span["attributes"].items() if key not in UNSTEADY and key not in CONTENT
    }


# --- The tables ------------------------------------------------------------------------------------------


@table(ALL)
@pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_ONLY"])
async def test_a_call_is_the_same(sdk: Sdk, way: Way, colour: str, mode: str) -> None:
    """The same bytes go out, and the program gets the same."""
    bare = await run(sdk, way, colour)
    assert bool(bare["requests"]) is not way.is_local
    assert "raised" not in bare
    with instrumented(sdk, mode):
        ours = await run(sdk, way, colour)
    assert ours == bare


@table(ALL)
async def test_one_span_tells_the_call(sdk: Sdk, way: Way, colour: str) -> None:
    """All that is known, and nothing else."""
    with instrumented(sdk) as seen:
        await run(sdk, way, colour)
    span = span_of(seen)
    assert (span["name"], steady(span)) == (way.span["name"], dict(way.span["attributes"]))
    assert span["attributes"].get(s.SERVER_ADDRESS) == (None if way.is_local else "127.0.0.1")
    if way.stream and way.output:
        assert span["attributes"][s.RESPONSE_TIME_TO_FIRST_CHUNK] > 0


def _says(way: Way) -> bool:
    return any((way.input, way.output, way.query, way.documents))


def _read(key: str, text: str) -> Any:
    return text if key == s.RETRIEVAL_QUERY_TEXT and text[0] != "[" else json.loads(text)


@table([case for case in ALL if _says(case[1])])
async def test_content_is_told_where_it_is_wanted(sdk: Sdk, way: Way, colour: str) -> None:
    """In the conventions' form."""
    with instrumented(sdk, "SPAN_ONLY") as seen:
        await run(sdk, way, colour)
    attributes = span_of(seen)["attributes"]
    told = {name: _read(key, attributes[key]) for key, name in CONTENT.items() if key in attributes}
    expected = {name: getattr(way, name) for name in CONTENT.values() if getattr(way, name) is not None}
    assert told == expected


@table(ALL)
async def test_no_content_leaves_unasked(sdk: Sdk, way: Way, colour: str) -> None:
    """Not a word of the prompt or the answer is anywhere."""
    sent = await run(sdk, way, colour)
    assert any(canary in str(sent) for canary in CANARIES)
    with instrumented(sdk) as seen:
        await run(sdk, way, colour)
        await run(sdk, way, colour, [sdk.refusal])
    assert len(seen.spans) == 2
    told = str([seen.spans, seen.metrics, seen.events])
    assert [canary for canary in CANARIES if canary in told] == []


@table(STREAMS)
@pytest.mark.parametrize("most", [0, 1])
async def test_a_stream_that_is_left_was_stopped(sdk: Sdk, way: Way, colour: str, most: int) -> None:
    """Left after so many events, or before the first: no error, and nothing more is read than without us."""
    bare = await run(sdk, way, colour, most=most)
    with instrumented(sdk) as seen:
        ours = await run(sdk, way, colour, most=most)
    assert ours == bare
    if not ours["requests"] and not seen.spans:
        return  # the SDK's own generator had not begun, and nothing was called
    span = span_of(seen)
    assert span["attributes"][s.OUTCOME] == "stopped"
    assert (s.ERROR_TYPE in span["attributes"], span["status"]) == (False, "UNSET")


@table(STREAMS)
async def test_a_stream_that_was_cut_is_no_success(sdk: Sdk, way: Way, colour: str) -> None:
    """The connection closes after the first piece; what had come is kept."""
    pieces = way.replies[-1].pieces
    cut = dataclasses.replace(way.replies[-1], pieces=pieces[:1], is_cut=True)
    ended = dataclasses.replace(way.replies[-1], pieces=pieces[:1])
    for reply, outcome in ((cut, "failed"), (ended, way.cut or sdk.cut)):
        bare = await run(sdk, way, colour, [reply])
        with instrumented(sdk) as seen:
            ours = await run(sdk, way, colour, [reply])
        assert ours == bare
        span = span_of(seen)
        assert (span["attributes"][s.OUTCOME], span["status"]) == (outcome, "ERROR")
        assert span["attributes"][s.ERROR_TYPE]


@table([case for case in REMOTE if case[2] == "async"])
async def test_a_task_that_is_cancelled(sdk: Sdk, way: Way, colour: str) -> None:
    """In the call, or between chunks: the cancellation arrives as it was sent, and is nobody's error."""
    held = [dataclasses.replace(reply, is_held=True) for reply in way.replies]
    wire = Wire(held, sdk.random_headers)

    async def program(client: Any) -> None:
        result = await now(way.call(client))
        if way.stream:
            await steps(way.events(result), None)

    with instrumented(sdk) as seen, wire.serving():
        client = sdk.client(wire.url, colour)
        task = asyncio.ensure_future(program(client))
        assert await asyncio.to_thread(wire.held.wait, 20)
        await turns()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        await turns()
        await now(sdk.close(client))
    span = span_of(seen)
    assert (span["attributes"][s.OUTCOME], span["status"]) == ("cancelled", "UNSET")
    assert s.ERROR_TYPE not in span["attributes"]


async def turns() -> None:
    """Give everything else in the loop its turn."""
    for _ in range(9):
        await asyncio.sleep(0.005)


def _is_counted(way: Way) -> bool:
    return {s.USAGE_INPUT_TOKENS, s.USAGE_OUTPUT_TOKENS, s.REQUEST_MODEL} <= way.span["attributes"].keys()


@table([case for case in ALL if _is_counted(case[1])])
async def test_a_call_has_its_price(sdk: Sdk, way: Way, colour: str) -> None:
    """With a price of the user's, a call whose tokens are told has its cost, on span and counter."""
    known = way.span["attributes"]
    prices = [{"model": known[s.REQUEST_MODEL], "input": 1, "output": 2}]
    tokens = known[s.USAGE_INPUT_TOKENS] + 2 * known[s.USAGE_OUTPUT_TOKENS]
    with capture(sdk.name, cost=True, prices=prices) as seen:
        await run(sdk, way, colour)
    assert span_of(seen)["attributes"][s.USAGE_COST_AMOUNT] == pytest.approx(tokens / 1e6)
    [cost] = seen.metrics[s.COST.name]
    assert cost["value"] == pytest.approx(tokens / 1e6)


@table([case for case in ALL if _says(case[1])])
async def test_what_is_masked_is_nowhere(sdk: Sdk, way: Way, colour: str) -> None:
    """Content passes the maskers, of whichever SDK it is."""
    with capture(sdk.name, capture="SPAN_AND_EVENT", mask_pattern="|".join(CANARIES)) as seen:
        await run(sdk, way, colour)
        await run(sdk, way, colour, [sdk.refusal])
    told = str([seen.spans, seen.events])
    assert [canary for canary in CANARIES if canary in told] == []
    assert any(key in told for key in CONTENT)


@table(REMOTE)
async def test_a_refusal_is_the_same_and_is_told(sdk: Sdk, way: Way, colour: str) -> None:
    """The same exception, and its type and status on the span."""
    bare = await run(sdk, way, colour, [sdk.refusal])
    assert "raised" in bare
    with instrumented(sdk) as seen:
        ours = await run(sdk, way, colour, [sdk.refusal])
    assert ours == bare
    span = span_of(seen)
    assert {key: span["attributes"].get(key) for key in sdk.refused} == dict(sdk.refused)
    assert (span["attributes"][s.OUTCOME], span["status"]) == ("failed", "ERROR")


class _Broken:
    """A fold that fails at every event."""

    def __init__(self, *, content: bool) -> None:
        """Start."""

    def add(self, _: Any) -> bool:
        """Fail."""
        msg = "a failure of ours"
        raise RuntimeError(msg)

    @property
    def answer(self) -> Any:
        """Fail."""
        msg = "a failure of ours"
        raise RuntimeError(msg)


def _fails(*_: Any) -> Any:
    msg = "a failure of ours"
    raise RuntimeError(msg)


BROKEN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "asked": lambda operation: {
        "request": dict.fromkeys(operation.request, (s.REQUEST_MODEL, _fails)),
        **dict.fromkeys(("derived", "instructions", "inputs", "tools"), _fails),
        "contents": dict.fromkeys(operation.contents, _fails),
    },
    "answered": lambda operation: {
        "response": (_fails,),
        **dict.fromkeys(("outputs", "fault", "error"), _fails),
        "results": dict.fromkeys(operation.results, _fails),
    },
    "streamed": lambda operation: {"fold": _Broken} if operation.fold else {},
}


@table(ALL)
async def test_our_failures_stay_ours(
    sdk: Sdk, way: Way, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's readers fail: the program sees nothing of it, and the span is there."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    original = _bound.Bound.__init__
    answers = {"asked": way.replies, "answered": way.replies, "streamed": way.replies if way.stream else ()}
    without = {"told": await run(sdk, way, colour), "refused": await run(sdk, way, colour, [sdk.refusal])}
    for name, changes in BROKEN.items():

        def broken(self: Any, telemetry: Any, provider: str, operation: Any, *kind: Any) -> None:
            changed = dataclasses.replace(operation, **changes(operation))  # noqa: B023 (it is called within)
            original(self, telemetry, provider, changed, *kind)

        monkeypatch.setattr(_bound.Bound, "__init__", broken)
        with instrumented(sdk, "SPAN_ONLY") as seen:
            if answers[name]:
                assert await run(sdk, way, colour, answers[name]) == without["told"]
            if name == "answered":
                assert await run(sdk, way, colour, [sdk.refusal]) == without["refused"]
        assert len(seen.spans) == bool(answers[name]) + (name == "answered")


@table(FIRST)
async def test_hooks_come_and_go(sdk: Sdk, way: Way, colour: str) -> None:
    """However often they are put in place and taken away, a call has one span, or none."""
    for _ in range(2):
        with instrumented(sdk) as seen:
            otel_genai.instrument(sdk.name)
            await run(sdk, way, colour)
        assert len(seen.spans) <= 1
        bare = await run(sdk, way, colour)
        assert "raised" not in bare
    with instrumented(sdk) as seen:
        await run(sdk, way, colour)
        [status] = [one for one in otel_genai.providers() if one.name == sdk.name]
    assert len(seen.spans) == 1
    assert (status.state, status.reason) == ("patched", "")
