"""Do no harm: however a stream or a body is read and left, it gives the same and takes as much."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from registry import FORMS, Line, ask, asked, attempt, described, events, fault, left
from side_by_side import FIRST, STREAMED, WHOLE_OR_STREAM, alike, answer, settle, table, walked
from ways import each, inside, now, run

# --- How a stream is read and left -----------------------------------------------------------------------


class Reader:
    """A program that reads a stream, and notes all that it sees."""

    def __init__(self, stream: Any, colour: str) -> None:
        self.stream = stream
        self.response = stream.response
        self.colour = colour
        self.log: list[Any] = []

    def note(self, seen: Any) -> None:
        """Note something, and how far the response has been read."""
        self.log.append((seen, left(self.response)))

    async def steps(self, count: int) -> None:
        """Take steps, whatever they give."""
        for _ in range(count):
            step = self.stream.__anext__ if self.colour == "async" else self.stream.__next__
            self.note(await attempt(step))

    async def loop(self, count: int = -1) -> None:
        """Go through it with `for`, and break out."""
        self.note(await attempt(self._loop, count))

    async def _loop(self, count: int) -> None:
        walk = each(self.stream)
        try:
            async for event in walk:
                self.note(described(event))
                count -= 1
                if count == 0:
                    break
        finally:
            await walk.aclose()

    async def close(self) -> None:
        """Close the stream."""
        self.note(await attempt(self.stream.close))

    async def close_response(self) -> None:
        """Close what is below the stream."""
        self.note(await attempt(self.response.aclose if self.colour == "async" else self.response.close))

    async def read_response(self) -> None:
        """Read what is below the stream."""
        self.note(await attempt(self.response.aread if self.colour == "async" else self.response.read))


async def _with(reader: Reader, error: BaseException | None) -> None:
    async with inside(reader.stream):
        await reader.steps(1)
        if error is not None:
            raise error


async def _two_iterators(r: Reader) -> None:
    make = type(r.stream).__aiter__ if r.colour == "async" else type(r.stream).__iter__
    one, two = make(r.stream), make(r.stream)
    for walk in (one, two, one, two):
        r.note(await attempt(walk.__anext__ if r.colour == "async" else walk.__next__))
    r.note(await attempt(one.aclose if r.colour == "async" else one.close))
    await r.steps(2)


async def _drop(r: Reader, steps: int) -> None:
    await r.steps(steps)
    r.stream = None
    await settle(r.colour)
    r.note("dropped")


async def _drop_all(r: Reader, steps: int) -> None:
    """Let the program forget the HTTP response, too: the server still knows it."""
    await r.steps(steps)
    r.stream = r.response = None
    await settle(r.colour)


async def _sequence(r: Reader, *deeds: Any) -> None:
    for deed in deeds:
        if isinstance(deed, int):
            await r.steps(deed)
        else:
            await getattr(r, deed)()


async def _breaks(r: Reader, *, rest: bool = False) -> None:
    await r.loop(1)
    await r.loop(1)
    if rest:
        await r.loop()
        await r.steps(1)


def _then(*deeds: Any) -> Callable[[Reader], Awaitable[None]]:
    return lambda r: _sequence(r, *deeds)


LIVES: dict[str, Callable[[Reader], Awaitable[Any]]] = {
    "to the end, and again": _then("loop", 2, "loop"),
    "by steps, past the end": _then(40, "loop", "close", 1),
    "nothing": _then(),
    "nothing, closed": _then("close", "close", 2, "loop"),
    "one, closed": _then(1, "close", 2, "loop", "close"),
    "one, response closed": _then(1, "close_response", 2, "close"),
    "response closed first": _then("close_response", 2),
    "response read first": _then("read_response", 3, "loop"),
    "response read in the middle": _then(1, "read_response", "loop"),
    "break": lambda r: r.loop(1),
    "one, then the rest": _then(1, "loop"),
    "break twice": _breaks,
    "break, then the rest": lambda r: _breaks(r, rest=True),
    "two iterators": _two_iterators,
    "with, left early": lambda r: _left_with(r, None),
    "with, left by an error": lambda r: _left_with(r, ValueError("own", 1)),
    "with, left by a stop": lambda r: _left_with(r, KeyboardInterrupt()),
    "dropped unread": lambda r: _drop(r, 0),
    "dropped after one": lambda r: _drop(r, 1),
    "dropped after the end": lambda r: _drop(r, 40),
    "all dropped unread": lambda r: _drop_all(r, 0),
    "all dropped after one": lambda r: _drop_all(r, 1),
}


async def _left_with(r: Reader, error: BaseException | None) -> None:
    r.note(await attempt(_with, r, error))
    await r.steps(2)


@pytest.mark.parametrize("life", LIVES)
@table([(*case, form) for case in STREAMED for form in (FORMS if case in FIRST else ("plain",))], "form")
def test_a_stream_is_read_and_left_the_same(*, kit, endpoint, colour, life, form):
    """Step by step a stream gives the same, takes as much from the wire, and leaves the same unread."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=True)])
        log = []
        async with asked(kit.client(line.handle, colour), endpoint, form, stream=True) as got:
            stream = await now(got.parse()) if form in ("raw", "streaming") else got
            if form == "raw":
                del got
            reader = Reader(stream, colour)
            del stream
            if form in ("plain", "post"):
                del got
            await LIVES[life](reader)
            log += reader.log
        return [log, line.taken]

    alike(kit, colour, scenario)


async def _part(r: Any, colour: str, how: str, steps: int) -> list[Any]:
    """Begin to read a body in one of its ways."""
    name = f"a{how}" if colour == "async" and not hasattr(r, "parse") else how
    items = getattr(r, name)()
    log = []
    for _ in range(steps):
        log += [await attempt(items.__anext__ if colour == "async" else items.__next__)]
    return log


BODY_DEEDS: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
    **{
        f"{how} {steps}": functools.partial(_part, how=how, steps=steps)
        for how in ("iter_bytes", "iter_text", "iter_lines")
        for steps in (0, 1, 60)
    },
    "raw 1": lambda r, colour: _part(r.http_response, colour, "iter_raw", 1),
    "raw 60": lambda r, colour: _part(r.http_response, colour, "iter_raw", 60),
    "read": lambda r, _: attempt(r.read),
    "text": lambda r, _: attempt(r.text),
    "json": lambda r, _: attempt(r.json),
    "parse": lambda r, _: attempt(r.parse),
    "close": lambda r, _: attempt(r.close),
    "look": lambda r, _: attempt(lambda: r),
}
BODIES = [
    ("iter_bytes 1", "iter_bytes 1"),
    ("iter_bytes 60", "iter_bytes 60"),
    ("iter_bytes 1", "close", "iter_bytes 1"),
    ("iter_text 1", "close", "read"),
    ("iter_lines 1", "read"),
    ("iter_lines 60", "text"),
    ("iter_bytes 0", "iter_lines 60"),
    ("raw 1", "raw 1"),
    ("raw 1", "read"),
    ("raw 60", "look"),
    ("read", "read", "json", "parse", "iter_bytes 60", "raw 1"),
    ("json", "text"),
    ("text", "parse"),
    ("parse", "read"),
    ("close", "read", "iter_lines 1", "parse", "close"),
    ("look",),
    (),
]


@WHOLE_OR_STREAM
@pytest.mark.parametrize("deeds", BODIES, ids=", ".join)
@table(FIRST)
def test_a_body_is_read_and_left_the_same(*, kit, endpoint, colour, deeds, stream):
    """A body that the caller reads on their own gives the same, in every order of reading it."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=stream)])
        log = []
        async with asked(kit.client(line.handle, colour), endpoint, "streaming", stream=stream) as got:
            for deed in deeds:
                log += [await BODY_DEEDS[deed](got, colour), line.taken]
        return [log, line.taken]

    alike(kit, colour, scenario)


# --- From outside ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [False, True], ids=["stream", "response"])
@table([case for case in STREAMED if case[2] == "sync"])
def test_a_stream_may_be_closed_by_another_thread(*, kit, endpoint, colour, below):
    """A stream closed by a thread while another one waits for its next event ends the same in both."""

    async def scenario() -> Any:
        waits, go_on = threading.Event(), threading.Event()
        pieces = events(endpoint.streams[0])

        def wait() -> bytes:
            waits.set()
            assert go_on.wait(30)
            return pieces[1]

        line = Line([lambda: kit.response([pieces[0], wait, *pieces[2:]], kind="sse")])
        stream = ask(kit.client(line.handle, colour), endpoint, stream=True)
        log: list[Any] = []
        worker = threading.Thread(target=lambda: log.append(run(walked(stream), asynchronous=False)))
        worker.start()
        assert waits.wait(30)
        closed = await attempt((stream.response if below else stream).close)
        state = line.taken
        go_on.set()
        worker.join(30)
        return [log, closed, state, line.taken]

    alike(kit, colour, scenario)


ASYNC_STREAMED = [case for case in STREAMED if case[2] == "async"]


@pytest.mark.parametrize("below", [False, True], ids=["stream", "response"])
@table(ASYNC_STREAMED)
def test_a_stream_may_be_closed_within_its_loop(*, kit, endpoint, colour, below):
    """`close()` or `aclose()` inside `async for` ends it the same."""

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=True)])
        stream = await ask(kit.client(line.handle, colour), endpoint, stream=True)
        log = []

        async def loop() -> None:
            async for event in stream:
                log.append(described(event))
                await (stream.response.aclose() if below else stream.close())

        return [await attempt(loop), log, await walked(stream), line.taken]

    alike(kit, colour, scenario)


@pytest.mark.parametrize("words", [(), ("why",), (3,)], ids=repr)
@pytest.mark.parametrize("where", ["call", "body", "chunk", "lines"])
@table(ASYNC_STREAMED)
def test_a_cancellation_reaches_the_caller_unchanged(*, kit, endpoint, colour, where, words):
    """A task cancelled in the call, in the body or in mid-chunk sees its `CancelledError`, and no other."""

    async def scenario() -> Any:
        waits = asyncio.Event()

        async def wait(_: Any = None) -> Any:
            waits.set()
            await asyncio.Event().wait()

        body = [b'{"id": ', wait] if where == "body" else [events(endpoint.streams[0])[0], wait]
        line = Line([lambda: kit.response(body, kind="json" if where == "body" else "sse")])
        client = kit.client(wait if where == "call" else line.handle, colour)
        log = []

        async def program() -> Any:
            try:
                if where == "lines":
                    async with asked(client, endpoint, "streaming", stream=True) as raw:
                        log.extend([item async for item in raw.iter_lines()])
                else:
                    got = await ask(client, endpoint, stream=where == "chunk")
                    log.extend([described(event) async for event in got])
            except BaseException as error:
                log.append(fault(error))
                raise

        task = asyncio.create_task(program())
        await waits.wait()
        task.cancel(*words)
        ended = await attempt(lambda: task)
        return [
            ended,
            task.cancelled(),
            task.cancelling() if hasattr(task, "cancelling") else 0,
            log,
            line.taken,
        ]

    alike(kit, colour, scenario)


@table(ASYNC_STREAMED)
def test_a_task_may_go_on_after_a_cancellation(*, kit, endpoint, colour):
    """A program that catches the cancellation and steps on sees the same as without us."""

    async def scenario() -> Any:
        waits = asyncio.Event()
        pieces = events(endpoint.streams[0])

        async def wait() -> Any:
            waits.set()
            await asyncio.Event().wait()

        line = Line([lambda: kit.response([pieces[0], wait, *pieces[1:]], kind="sse")])
        stream = await ask(kit.client(line.handle, colour), endpoint, stream=True)
        task = asyncio.create_task(walked(stream, 3))
        await waits.wait()
        task.cancel()
        return [await attempt(lambda: task), await walked(stream), line.taken]

    alike(kit, colour, scenario)
