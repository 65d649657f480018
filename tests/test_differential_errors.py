"""Do no harm: whatever goes wrong, the program sees the same exception, after the same attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from registry import KITS, Line, ask, asked, attempt, described, events
from side_by_side import FIRST, STREAMED, WHOLE_OR_STREAM, alike, answer, listed, table, walked
from ways import now


@pytest.fixture
def _at_once(monkeypatch):
    """Retry without waiting."""
    for kit in KITS.values():
        client = kit.sdk._base_client.BaseClient
        monkeypatch.setattr(client, "_calculate_retry_timeout", lambda *_, **__: 0.0)


@pytest.mark.parametrize("when", ["request", "response"])
@WHOLE_OR_STREAM
@pytest.mark.parametrize("error", [
    ValueError("hook"), KeyError(3), KeyboardInterrupt(), SystemExit(4),
    asyncio.CancelledError("why"), StopAsyncIteration(5), GeneratorExit(), Warning("w"),
], ids=repr)  # fmt: skip
@table(FIRST)
def test_an_error_in_a_callers_hook_passes_unchanged(*, kit, endpoint, colour, when, stream, error):
    """What an event hook of the caller's HTTP client raises arrives as it does without us."""

    def hook(_: Any) -> None:
        raise error

    async def ahook(_: Any) -> None:
        raise error

    async def scenario() -> Any:
        line = Line([answer(kit, endpoint, stream=stream)])
        hooks = {when: [ahook if colour == "async" else hook]}
        http_client = kit.http_client(line.handle, colour, event_hooks=hooks)
        client = kit.client(line.handle, colour, http_client=http_client)
        error.__context__ = error.__cause__ = error.__traceback__ = None
        return [await attempt(ask, client, endpoint, stream=stream), line.requests, line.taken]

    alike(kit, colour, scenario)


# --- What goes wrong -------------------------------------------------------------------------------------


def _failures(kit: Any) -> dict[str, Any]:
    def refused(body: bytes, status: int = 200, **more: str) -> Any:
        return lambda: kit.response(body, status=status, **more)

    http = kit.http
    return {
        **{f"status {status}": refused(body, status) for status, body in kit.refusals.items()},
        "no body": refused(b"", 500),
        "html": refused(b"<html>", 502, kind="text/html"),
        "not json": refused(b"{nope"),
        "not utf-8": refused(b'{"id": "\xff"}'),
        "broken code": refused(b"{}", **{"content-encoding": "gzip"}),
        "redirected": refused(b"", 301, location="https://x.test/"),
        "cut off": lambda: kit.response([b'{"id":', http.ReadError("cut")]),
        "too slow": lambda: kit.response([b'{"id":', http.ReadTimeout("slow")]),
        "stopped": lambda: kit.response([b'{"id":', KeyboardInterrupt("stop")]),
        "no connection": lambda: http.ConnectError("refused"),
        "timeout": lambda: http.ReadTimeout("slow"),
        "odd error": lambda: RuntimeError("odd"),
        "cancelled": lambda: asyncio.CancelledError("by", "whom"),
        "interrupted": lambda: KeyboardInterrupt("stop"),
        "exit": lambda: SystemExit(3),
    }


FAILURES = [(*case, failure) for case in FIRST for failure in _failures(case[0])]


@pytest.mark.usefixtures("_at_once")
@WHOLE_OR_STREAM
@pytest.mark.parametrize(("form", "retries"), [("plain", 2), ("raw", 0), ("streaming", 0), ("post", 2)])
@table(FAILURES, "failure")
def test_a_failure_is_the_same_failure(*, kit, endpoint, colour, failure, form, stream, retries):
    """Type, words, causes and all that an exception carries are the same, after as many attempts."""

    async def scenario() -> Any:
        line = Line([_failures(kit)[failure]])
        client = kit.client(line.handle, colour, max_retries=retries)
        return [await attempt(_read, kit, client, endpoint, form, stream), line.requests, line.taken]

    alike(kit, colour, scenario)


async def _read(kit: Any, client: Any, endpoint: Any, form: str, stream: Any) -> Any:
    async with asked(client, endpoint, form, stream=stream) as got:
        parsed = await now(got.parse()) if form in ("raw", "streaming") else got
        return await listed(parsed) if isinstance(parsed, tuple(kit.streams.values())) else parsed


@pytest.mark.usefixtures("_at_once")
@WHOLE_OR_STREAM
@table(FIRST)
def test_a_retry_that_helps_gives_the_same(*, kit, endpoint, colour, stream):
    """Two failures and then an answer: the same requests, the same retries told, the same answer."""

    async def scenario() -> Any:
        failed = _failures(kit)["status 429"]
        line = Line([failed, kit.http.ConnectError("no"), answer(kit, endpoint, stream=stream)])
        client = kit.client(line.handle, colour, max_retries=2)
        async with asked(client, endpoint, "raw", stream=stream) as raw:
            parsed = await now(raw.parse())
            log = [raw.retries_taken, await attempt(listed, parsed) if stream else described(parsed)]
        return [log, line.requests, line.taken]

    alike(kit, colour, scenario)


BREAKS: dict[str, Callable[[Any], BaseException]] = {
    "cut off": lambda http: http.ReadError("cut"),
    "too slow": lambda http: http.ReadTimeout("slow"),
    "bad protocol": lambda http: http.RemoteProtocolError("incomplete chunked read"),
    "odd": lambda _: ValueError("odd", 3),
    "stopped": lambda _: KeyboardInterrupt("stop"),
    "cancelled": lambda _: asyncio.CancelledError("by", "whom"),
    "exit": lambda _: SystemExit(3),
    "left": lambda _: GeneratorExit(),
}


BROKEN = [
    *((*case, broken, "stream", at) for case in STREAMED for broken in BREAKS for at in (0, 2)),
    *(
        (*case, broken, how, 2)
        for case in FIRST
        for broken in BREAKS
        for how in ("iter_lines", "iter_bytes", "read", "parse")
    ),
]


@table(BROKEN, "broken", "how", "at")
def test_a_stream_that_breaks_breaks_the_same(*, kit, endpoint, colour, broken, at, how):
    """What came before is given, then the same exception; the next step after it is the same, too."""

    async def scenario() -> Any:
        error = BREAKS[broken](kit.http)

        def response() -> Any:
            return kit.response([*events(endpoint.streams[0])[:at], error], kind="sse")

        line = Line([response])
        client = kit.client(line.handle, colour)
        if how == "stream":
            return [await walked(await now(ask(client, endpoint, stream=True))), line.taken]
        log = []

        async def enter() -> None:
            async with asked(client, endpoint, "streaming", stream=True) as got:
                if how == "parse":
                    log.append(await attempt(_parsed, got))
                elif how == "read":
                    log.append(await attempt(got.read))
                else:
                    log.extend(await walked(getattr(got, how)()))

        return [await attempt(enter), log, line.taken]

    alike(kit, colour, scenario)


async def _parsed(raw: Any) -> Any:
    return await listed(await now(raw.parse()))
