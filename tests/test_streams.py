"""What becomes of a stream is told truthfully: one table, over every provider, colour and way of reading.

A new provider joins by adding its streams to `STREAMS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import re
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace

import anthropic_ways
import garbage
import ways
from otel_genai import _bodies, _call, _streams
from otel_genai.testing import capture
from registry import COLOURS, KITS, Endpoint, Kit, events
from ways import inside, now

# --- The registry ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """One kind of stream, by its events on the wire, of which each takes a second here.

    Args:
        kit, endpoint: where it is in `registry.KITS`.
        whole: the events of a whole stream.
        end: how many at the end say why the answer ended; without them it was cut.
        complete: after how many events the answer is whole, whatever comes after.
        first: after how many events the first output has come.
        part: how many events come before something happens, and the text of these.
        answered: what the span says of a whole stream.
        known: what it says of usage after a part of it.
        errors: the provider's error events -> the code that each is told as.
        unknown: an error event with a code that nobody has documented.
        quota: the body of a refusal because a quota is used up, its status and code.
        helper: the resource that has the `.stream()` helper.
    """

    kit: str
    endpoint: str
    whole: list[bytes]
    end: int
    complete: int
    first: int
    part: tuple[int, str]
    answered: dict[str, Any]
    errors: dict[bytes, str]
    unknown: bytes
    known: dict[str, Any] = field(default_factory=dict)
    quota: tuple[int, bytes, str] | None = None
    helper: str | None = None


def _answered(text: str, read: int, written: int) -> dict[str, Any]:
    return {
        "text": text,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": read,
        "gen_ai.usage.output_tokens": written,
    }


def _error(**said: Any) -> bytes:
    return b"data: " + json.dumps({"error": {"message": "m", "param": None, **said}}).encode() + b"\n\n"


def _failed(code: str) -> bytes:
    """Give the event that ends a response, as the API would have ended the one that begins here."""
    response_id = json.loads(ways.fake("responses.json"))["id"].encode()
    event = events(ways.fake("responses_failed.sse"))[-1].replace(b"server_error", code.encode())
    return re.sub(rb"resp_\w+", response_id, event)


def _error_event(code: str | None) -> bytes:
    event = {"type": "error", "sequence_number": 9, "code": code, "message": "m", "param": None}
    return b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"


_OPENAI: dict[str, Any] = {
    "kit": "openai",
    "errors": {
        _error(type="server_error", code=None): "server_error",
        _error(type="requests", code="rate_limit_exceeded"): "rate_limit_exceeded",
    },
    "unknown": _error(type="odd", code="odder"),
    "quota": (
        429,
        b'{"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}}',
        "insufficient_quota",
    ),
}
STREAMS = {
    "openai-chat": Stream(
        **_OPENAI,
        endpoint="chat",
        whole=events(ways.fake("chat.sse")),
        end=3,
        complete=7,
        first=2,
        part=(3, "The lighthouse"),
        answered=_answered("The lighthouse opens at nine.", 21, 6),
        helper="beta.chat.completions",
    ),
    "openai-completions": Stream(
        **_OPENAI,
        endpoint="completions",
        whole=events(ways.fake("completions.sse")),
        end=3,
        complete=4,
        first=1,
        part=(2, "\n\nRocks,"),
        answered=_answered("\n\nRocks, mostly.", 4, 7),
    ),
    "openai-responses": Stream(
        **{
            **_OPENAI,
            "errors": {
                **_OPENAI["errors"],
                _failed("vector_store_timeout"): "vector_store_timeout",
                _failed("odd"): "_OTHER",
                _error_event("rate_limit_exceeded"): "rate_limit_exceeded",
                _error_event("odd"): "_OTHER",
                _error_event(None): "_OTHER",
            },
        },
        endpoint="responses",
        whole=events(ways.fake("responses.sse")),
        end=1,
        complete=12,
        first=5,
        part=(6, "The lamp was"),
        answered=_answered("The lamp was lit at dusk.", 29, 8),
        helper="responses",
    ),
}


def _overloaded(kind: str) -> bytes:
    event = {"type": "error", "error": {"type": kind, "message": "m"}}
    return b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"


_ANTHROPIC: dict[str, Any] = {
    "kit": "anthropic",
    "whole": events(anthropic_ways.fake("messages.sse")),
    "end": 2,
    "complete": 10,
    "first": 4,
    "part": (5, "The lamp was lit"),
    "answered": {
        **_answered("The lamp was lit at dusk.", 1301, 9),
        "gen_ai.response.finish_reasons": ["end_turn"],
    },
    "known": {"gen_ai.usage.input_tokens": 1301},
    "errors": {_overloaded(kind): kind for kind in ("overloaded_error", "api_error", "rate_limit_error")},
    "unknown": _overloaded("odd_error"),
    "quota": (
        402,
        b'{"type": "error", "error": {"type": "billing_error", "message": "m"}}',
        "billing_error",
    ),
}
STREAMS["anthropic-messages"] = Stream(**_ANTHROPIC, endpoint="messages", helper="messages")
STREAMS["anthropic-beta"] = Stream(**_ANTHROPIC, endpoint="beta", helper="beta.messages")


# --- A caller and a server -------------------------------------------------------------------------------


@dataclass
class Held:
    """What a caller has of a stream: what they go through, and how it is closed."""

    items: Any
    close: Callable[[], Any]


@dataclass
class Caller:
    """One caller of one stream in one way; the clock goes on by a second with each event on the wire."""

    stream: Stream
    colour: str
    way: str
    clock: float = 0.0
    pulled: int = 0
    caught: BaseException | None = None
    current: set[Any] = field(default_factory=set)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kit(self) -> Kit:
        """The SDK."""
        return KITS[self.stream.kit]

    @property
    def endpoint(self) -> Endpoint:
        """What is called."""
        return self.kit.endpoints[self.stream.endpoint]

    def answer(self, given: Any) -> Any:
        """Make a response of events, of a status with its body, or of an exception, which is raised."""
        if isinstance(given, BaseException):
            raise given
        if isinstance(given, tuple):
            return self.kit.response(given[1], status=given[0])
        return self.kit.response([functools.partial(self._piece, piece) for piece in given], kind="sse")

    def _piece(self, piece: Any) -> Any:
        self.clock += 1
        self.pulled += 1
        if isinstance(piece, BaseException):
            raise piece
        return self.wait() if piece is WAIT else piece

    async def wait(self) -> Any:
        """Wait for ever, and say so."""
        self.waiting.set()
        await asyncio.Event().wait()

    def client(self, answers: list[Any]) -> Any:
        """Make a client that gets these answers, one after the other."""
        rest = iter(answers)

        def handle(request: Any) -> Any:
            given = next(rest)
            return self.wait() if given is WAIT else self.answer(given)

        return self.kit.client(handle, self.colour, max_retries=len(answers) - 1)

    async def open(self, client: Any) -> Held:
        """Make the call, outside of any `with`."""
        made = await self._make(client)
        if self.way == "bytes":
            return self._bytes(made)
        if self.way != "raw":
            made = await now((made.__aenter__ if hasattr(made, "__aenter__") else made.__enter__)())
        return self._held(made)

    @contextlib.asynccontextmanager
    async def within(self, client: Any) -> AsyncIterator[Held]:
        """Make the call, and stay inside the SDK's own `with`; one that gives none is closed at the end."""
        made = await self._make(client)
        if self.way == "bytes":
            held = self._bytes(made)
            try:
                yield held
            finally:
                await now(held.close())
            return
        async with inside(made) as entered:
            yield self._held(entered)

    async def _make(self, client: Any) -> Any:
        find, body = ways.Way.find, {**self.endpoint.body, **(self.endpoint.streamed or {})}
        if self.way == "helper":
            resource = find(client, str(self.stream.helper))
            return resource.stream(**{key: value for key, value in body.items() if key != "stream"})
        resource = find(client, self.endpoint.resource)
        if self.way == "raw":
            return await now(resource.create(**body))
        if self.way == "lines":
            return resource.with_streaming_response.create(**body)
        return await now(resource.with_raw_response.create(**body))

    def _held(self, made: Any) -> Held:
        return Held(made.iter_lines() if self.way == "lines" else made, made.close)

    def _bytes(self, made: Any) -> Held:
        response = made.http_response
        if self.colour == "async":
            return Held(response.aiter_bytes(), response.aclose)
        return Held(response.iter_bytes(), response.close)

    async def read(self, held: Held, count: int | None = None) -> None:
        """Go through a stream with the language's own loop, and break when so many events have come."""
        if self.colour == "async":
            async for _ in held.items:
                if self._looks_around(count):
                    break
        else:
            for _ in held.items:
                if self._looks_around(count):
                    break

    def _looks_around(self, count: int | None) -> bool:
        self.current.add(trace.get_current_span())
        return count is not None and self.pulled >= count

    @property
    def part(self) -> int:
        """How many events come before something happens."""
        return self.stream.part[0]


WAIT = object()
"""In place of an event, or of an answer: nothing comes any more."""
WAYS = ("raw", "helper", "lines", "bytes")
_PAUSE = 7.0


class OwnError(Exception):
    """The caller's own."""


# --- What can happen -------------------------------------------------------------------------------------


async def read_to_the_end(caller: Caller, client: Any) -> None:
    """Read all."""
    await caller.read(await caller.open(client))


async def read_to_the_end_in_with(caller: Caller, client: Any) -> None:
    """Read all, inside `with`."""
    async with caller.within(client) as held:
        await caller.read(held)


async def break_at_the_end(caller: Caller, client: Any) -> None:
    """Break as soon as the answer is whole, before the connection has ended."""
    async with caller.within(client) as held:
        await caller.read(held, caller.stream.complete)


async def break_and_close(caller: Caller, client: Any) -> None:
    """Break, wait a while, close, and close again."""
    held = await caller.open(client)
    await caller.read(held, caller.part)
    caller.clock += _PAUSE
    await now(held.close())
    await now(held.close())


async def leave_with(caller: Caller, client: Any) -> None:
    """Leave `with` early."""
    async with caller.within(client) as held:
        await caller.read(held, caller.part)
        caller.clock += _PAUSE


async def drop(caller: Caller, client: Any) -> None:
    """Break, and forget the stream."""
    await caller.read(await caller.open(client), caller.part)


async def never_read_closed(caller: Caller, client: Any) -> None:
    """Close without having read."""
    held = await caller.open(client)
    await now(held.close())


async def never_read_in_with(caller: Caller, client: Any) -> None:
    """Go in and out."""
    async with caller.within(client):
        caller.clock += _PAUSE


async def never_read_dropped(caller: Caller, client: Any) -> None:
    """Forget the stream at once."""
    await caller.open(client)


async def raise_in_with(caller: Caller, client: Any) -> None:
    """Raise inside `with`, between two events."""
    own = OwnError()

    async def work() -> None:
        async with caller.within(client) as held:
            await caller.read(held, caller.part)
            caller.clock += _PAUSE
            raise own

    with pytest.raises(OwnError) as caught:
        await work()
    assert (caught.value, own.__cause__, own.__context__) == (own, None, None)


async def raise_outside(caller: Caller, client: Any) -> None:
    """Raise with the stream in a local variable that nobody closes."""

    async def work() -> None:
        held = await caller.open(client)
        await caller.read(held, caller.part)
        raise OwnError

    with contextlib.suppress(OwnError):
        await work()


async def _cancelled(caller: Caller, work: Any) -> None:
    task = asyncio.create_task(work)
    await caller.waiting.wait()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    # Before 3.11 asyncio itself loses the message on its way out of a task.
    assert caught.value.args == (("enough",) if sys.version_info >= (3, 11) else ())


async def cancel_while_waiting(caller: Caller, client: Any) -> None:
    """Have the task cancelled while it waits, for the answer or for an event."""
    await _cancelled(caller, read_to_the_end(caller, client))


async def cancel_between_events(caller: Caller, client: Any) -> None:
    """Have the task cancelled while it does something with an event, inside `async with`."""

    async def work() -> None:
        async with caller.within(client) as held:
            await caller.read(held, caller.part)
            await caller.wait()

    await _cancelled(caller, work())


async def fail(caller: Caller, client: Any) -> None:
    """Read until it fails, and keep what was raised."""
    try:
        async with caller.within(client) as held:
            await caller.read(held)
    except Exception as error:  # noqa: BLE001 (whatever the SDK raises)
        caller.caught = error.with_traceback(None)


# --- What is answered ------------------------------------------------------------------------------------

_BEGINNING = {
    "cut": lambda c: [],
    "reset": lambda c: [c.kit.http.RemoteProtocolError("peer closed connection")],
    "slow": lambda c: [c.kit.http.ReadTimeout("slow")],
    "wait": lambda c: [WAIT],
    "unknown": lambda c: [c.stream.unknown],
}


def whole(caller: Caller) -> list[Any]:
    """Answer with everything."""
    return [caller.stream.whole]


def begun(how: str) -> Callable[[Caller], list[Any]]:
    """Answer with a part, and then with something else."""
    return lambda caller: [caller.stream.whole[: caller.part] + _BEGINNING[how](caller)]


def without_end(caller: Caller) -> list[Any]:
    """Answer with everything but the end."""
    return [caller.stream.whole[: -caller.stream.end]]


def refused(*statuses: int) -> Callable[[Caller], list[Any]]:
    """Refuse again and again; at 200, answer."""
    return lambda caller: [
        caller.stream.whole if status == 200 else (status, caller.kit.refusals[status]) for status in statuses
    ]


def no_quota(caller: Caller) -> list[Any]:
    """Refuse because a quota is used up."""
    if caller.stream.quota is None:
        pytest.skip(f"{caller.stream.kit} has no word for it")
    return [caller.stream.quota[:2]]


# --- The table -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of the table: what happens, and what is told.

    Args:
        happens: what the caller does.
        answers: what the server does.
        outcome: `otel_genai.outcome`.
        error: `error.type`, or what gives it.
        kept: what is told of the answer: "all", "most" (all but the end), "part" or "nothing".
        more: further attributes.
        colours: in which clients it can happen.
    """

    happens: Callable[[Caller, Any], Awaitable[None]]
    outcome: str
    kept: str
    answers: Callable[[Caller], list[Any]] = whole
    error: str | Callable[[Caller], str] | None = None
    more: dict[str, Any] | Callable[[Caller], dict[str, Any]] = field(default_factory=dict)
    colours: tuple[str, ...] = COLOURS


def by_class(caller: Caller) -> str:
    """Give the class of what the caller got."""
    return type(caller.caught).__name__


def by_class_or_other(caller: Caller) -> str:
    """Give the class of what the caller got; who reads the bytes on their own gets nothing raised."""
    return by_class(caller) if caller.caught else "_OTHER"


def _status(status: int, resent: int = 0) -> dict[str, Any]:
    again = {"http.request.resend_count": resent} if resent else {}
    return {"http.response.status_code": status, **again}


_ASYNC = ("async",)
TABLE = {
    "read to the end": Row(read_to_the_end, "completed", "all"),
    "read to the end in with": Row(read_to_the_end_in_with, "completed", "all"),
    "break at the end": Row(break_at_the_end, "completed", "end"),
    "break and close": Row(break_and_close, "stopped", "part"),
    "with left early": Row(leave_with, "stopped", "part"),
    "dropped": Row(drop, "stopped", "part"),
    "never read, closed": Row(never_read_closed, "stopped", "nothing"),
    "never read, in with": Row(never_read_in_with, "stopped", "nothing"),
    "never read, dropped": Row(never_read_dropped, "stopped", "nothing"),
    "own exception in with": Row(raise_in_with, "stopped", "part"),
    "own exception outside": Row(raise_outside, "stopped", "part"),
    "cancelled in the call": Row(
        cancel_while_waiting, "cancelled", "nothing", lambda _: [WAIT], colours=_ASYNC
    ),
    "cancelled at an event": Row(cancel_while_waiting, "cancelled", "part", begun("wait"), colours=_ASYNC),
    "cancelled between events": Row(cancel_between_events, "cancelled", "part", colours=_ASYNC),
    "cut off": Row(fail, "truncated", "part", begun("cut"), "stream_truncated"),
    "cut off before the end": Row(fail, "truncated", "most", without_end, "stream_truncated"),
    "cut off at the start": Row(fail, "truncated", "nothing", lambda _: [[]], "stream_truncated"),
    "connection reset": Row(fail, "failed", "part", begun("reset"), by_class),
    "timed out in the stream": Row(fail, "failed", "part", begun("slow"), by_class),
    "unknown error event": Row(fail, "failed", "part", begun("unknown"), by_class_or_other),
    "timed out": Row(
        fail, "failed", "nothing", lambda c: [c.kit.http.ReadTimeout("slow")], "APITimeoutError"
    ),
    "no connection": Row(
        fail, "failed", "nothing", lambda c: [c.kit.http.ConnectError("no")], "APIConnectionError"
    ),
    "refused": Row(fail, "failed", "nothing", refused(400), "BadRequestError", _status(400)),
    "broken": Row(fail, "failed", "nothing", refused(500), "InternalServerError", _status(500)),
    "too many requests": Row(fail, "failed", "nothing", refused(429), "RateLimitError", _status(429)),
    "quota used up": Row(
        fail,
        "failed",
        "nothing",
        no_quota,
        lambda c: c.stream.quota[2],
        lambda c: {"http.response.status_code": c.stream.quota[0]},
    ),
    "retries that end well": Row(fail, "completed", "all", refused(500, 429, 200)),
    "retries that end badly": Row(
        fail, "failed", "nothing", refused(429, 500, 500), "InternalServerError", _status(500, 2)
    ),
    "retried, then cut off": Row(
        fail, "truncated", "part", lambda c: [*refused(500)(c), *begun("cut")(c)], "stream_truncated"
    ),
    "retried, then reset": Row(
        fail,
        "failed",
        "part",
        lambda c: [*refused(500)(c), *begun("reset")(c)],
        by_class,
        {"http.request.resend_count": 1},
    ),
}
CASES = [
    pytest.param(stream, colour, way, id=f"{name}-{colour}-{way}")
    for name, stream in STREAMS.items()
    for colour in COLOURS
    for way in WAYS
    if way != "helper" or stream.helper
]


@pytest.fixture(autouse=True)
def _small_heap():
    """Leave out of collections what was there before, which would make them slow."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def at_once(monkeypatch):
    """Retry without waiting."""
    for kit in KITS.values():
        monkeypatch.setattr(kit.sdk._base_client.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0)


async def collected(caller: Caller) -> None:
    """Collect the garbage; what is asynchronous is closed by the loop, in its next rounds."""
    for _ in range(12 if caller.colour == "async" else 0):
        garbage.collect()
        await asyncio.sleep(0)
    garbage.collect()


def told(caller: Caller, row: Row) -> dict[str, Any]:
    """Say what the span of a row tells of how the call went."""
    stream, (_, text) = caller.stream, caller.stream.part
    error = row.error(caller) if callable(row.error) else row.error
    outcome = {} if row.outcome == "completed" else {"otel_genai.outcome": row.outcome}
    found = {
        **outcome,
        **({"error.type": error} if error else {}),
        **(row.more(caller) if callable(row.more) else row.more),
    }
    if row.kept == "nothing":
        return found
    found["gen_ai.response.time_to_first_chunk"] = float(stream.first)
    if row.kept == "all":
        return found | stream.answered
    if row.kept == "end":  # the usage may come even later
        return found | {key: stream.answered[key] for key in ("text", "gen_ai.response.finish_reasons")}
    found |= {**stream.known, "text": text if row.kept == "part" else stream.answered["text"]}
    return found | ({"gen_ai.response.finish_reasons": ["error"]} if error else {})


_TOLD = (
    "error.type",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "http.",
    "otel_genai.outcome",
)


def found(seen: Any) -> dict[str, Any]:
    """Give what the one span tells of how the call went."""
    [only] = seen.spans
    attributes = only["attributes"]
    kept = {key: value for key, value in attributes.items() if key.startswith(_TOLD)}
    if "gen_ai.output.messages" in attributes:
        [message] = json.loads(attributes["gen_ai.output.messages"])
        kept["text"] = "".join(part["content"] for part in message["parts"])
    return kept


def check(seen: Any, caller: Caller, row: Row) -> None:
    """Compare all that is told with the row."""
    expected, given = told(caller, row), found(seen)
    if row.kept == "end":
        given = {key: value for key, value in given.items() if not key.startswith("gen_ai.usage.")}
    assert given == expected
    [only] = seen.spans
    assert only["status"] == ("ERROR" if row.error else "UNSET")
    assert [event["exception.type"] for event in only["events"]] == (
        [type(caller.caught).__name__] if caller.caught else []
    )
    [calls] = seen.metrics["otel_genai.calls"]
    assert calls["value"] == 1
    assert calls["attributes"] == {
        "otel_genai.outcome": row.outcome,
        "gen_ai.provider.name": caller.kit.name,
        "gen_ai.request.model": caller.endpoint.body["model"],
    }
    [duration] = seen.metrics["gen_ai.client.operation.duration"]
    assert (duration["count"], duration["sum"]) == (1, caller.clock)
    assert duration["attributes"].get("error.type") == expected.get("error.type")
    [span] = seen.finished
    assert span.end_time - span.start_time == int(caller.clock * 1e9)
    assert caller.current <= {trace.INVALID_SPAN}


def play(caller: Caller, row: Row, monkeypatch: Any) -> None:
    """Let it happen, and check what is told."""
    for module in (_bodies, _call, _streams):
        monkeypatch.setattr(module, "perf_counter", lambda: caller.clock)

    async def scene() -> None:
        before = otel.get_current()
        await row.happens(caller, caller.client(row.answers(caller)))
        if row.happens in (drop, never_read_dropped, raise_outside):
            await collected(caller)
        once = seen.spans
        assert len(once) == 1
        assert otel.get_current() is before
        await collected(caller)
        assert seen.spans == once

    with capture(capture="SPAN_ONLY") as seen:
        ways.run(scene(), asynchronous=caller.colour == "async")
        check(seen, caller, row)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("stream", "colour", "way"), CASES)
@pytest.mark.parametrize("row", TABLE)
def test_what_becomes_of_a_stream_is_told(row, stream, colour, way, monkeypatch):
    """Outcome, status, error, times and what came are those of the table, and the span ends once."""
    if colour not in TABLE[row].colours:
        pytest.skip("nothing waits in a sync client")
    play(Caller(stream, colour, way), TABLE[row], monkeypatch)


@pytest.mark.parametrize(("stream", "colour", "way"), CASES)
def test_a_provider_s_error_event_is_told_by_its_code(stream, colour, way, monkeypatch):
    """Each error that the API documents for the middle of a stream is told by its own code."""
    for event, code in stream.errors.items():
        answers = [[*stream.whole[: stream.part[0]], event]]
        row = Row(fail, "failed", "part", lambda _, given=answers: given, code)
        play(Caller(stream, colour, way), row, monkeypatch)


def test_every_stream_of_every_provider_is_in_the_table():
    """Each endpoint of the registry that can stream has its events here."""
    here = {(stream.kit, stream.endpoint) for stream in STREAMS.values()}
    known = {
        (kit.name, endpoint.name)
        for kit in KITS.values()
        for endpoint in kit.endpoints.values()
        if endpoint.streamed
    }
    assert known == here


# --- Elsewhere than where it began -----------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS[:1])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_may_end_in_another_thread(stream, way, caplog):
    """Begun in one thread, read in a second and closed in a third, it is told once, and nothing complains."""
    caller = Caller(stream, "sync", way)
    held: list[Held] = []

    def in_a_thread(work: Callable[[], Awaitable[Any]]) -> None:
        thread = threading.Thread(target=lambda: ways.run(work(), asynchronous=False))
        thread.start()
        thread.join()

    async def begin() -> None:
        held.append(await caller.open(caller.client([stream.whole])))

    async def end() -> None:
        held[0].close()

    with capture() as seen:
        in_a_thread(begin)
        in_a_thread(lambda: caller.read(held[0], caller.part))
        assert seen.spans == []
        in_a_thread(end)
        assert found(seen)["otel_genai.outcome"] == "stopped"
    assert caplog.records == []
    assert caller.current == {trace.INVALID_SPAN}


@pytest.mark.parametrize("way", WAYS[:1])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
async def test_a_stream_may_end_in_another_task(stream, way, caplog):
    """Begun in one task, read in a second and closed in a third, it is told once, and nothing complains."""
    caller = Caller(stream, "async", way)
    with capture() as seen:
        held = await asyncio.create_task(caller.open(caller.client([stream.whole])))
        await asyncio.create_task(caller.read(held, caller.part))
        assert seen.spans == []
        await asyncio.create_task(held.close())
        assert found(seen)["otel_genai.outcome"] == "stopped"
    assert caplog.records == []
    assert caller.current == {trace.INVALID_SPAN}
