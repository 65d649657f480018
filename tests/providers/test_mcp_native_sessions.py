"""MCP's sessions, of its SDK from version 2 on: measured beside its own spans, changed for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import otel_genai
from mcp_sessions import ask_badly, cancel, left, stop
from otel_genai import _others, _patching
from otel_genai._patching import sdk_version
from otel_genai.providers import _mcp_sessions
from otel_genai.testing import capture

if (sdk_version("mcp") or "1") < "2":
    pytest.skip("needs mcp >= 2: pip install 'otel-genai[frameworks]'", allow_module_level=True)

import uvicorn
from mcp import Client, ClientSession, StdioServerParameters
from mcp.server import MCPServer, Server
from mcp.server.connection import Connection
from mcp.shared import _otel
from mcp.shared.memory import create_client_server_memory_streams as streams

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK leaves streams open
CLIENT, SERVER = "mcp.client.session.duration", "mcp.server.session.duration"
OLDER, NEWEST = "2025-11-25", "2026-07-28"
TOLD = {"mcp.protocol.version": OLDER}
PIPED = {**TOLD, "network.transport": "pipe"}
POSTED = {**TOLD, "network.transport": "tcp", "network.protocol.name": "http"}
METHODS = [
    (ClientSession, "__aenter__"),
    (ClientSession, "__aexit__"),
    (Client, "__aexit__"),
    (Connection, "for_loop"),
]


def kitchen() -> MCPServer:
    """Make a server."""
    app = MCPServer("kitchen", log_level="CRITICAL")

    @app.tool()
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        return f"{a + b} artichokes"

    return app


async def broken(*_: Any) -> Any:
    """Fail, as a server's handler."""
    msg = "no artichoke"
    raise ZeroDivisionError(msg)


def held(**how: Any) -> Client:
    """Give a client of a server in this process."""
    return Client(kitchen(), **{"mode": "legacy", **how})


async def leave(client: Client) -> None:
    """Do no more than there is to do."""
    assert (await client.call_tool("add", {"a": 1, "b": 2})).content[0].text == "3 artichokes"


async def fail(_: Client) -> None:
    """Raise what is the caller's own."""
    msg = "no marmalade"
    raise LookupError(msg)


def tried(what: Callable[[Client], Any], **how: Any) -> Any:
    """Say what leaves the block around a session."""
    return left(held(**how), what)


def told(metrics: dict[str, Any]) -> dict[str, Any]:
    """Give the attributes of the sessions that were measured, each once."""
    found = {name: points for name, points in metrics.items() if "session" in name}
    assert [[point["count"] for point in points] for points in found.values()] == [[1]] * len(found)
    return {name: points[0]["attributes"] for name, points in found.items()}


def standing() -> list[Any]:
    """Give the methods that stand in the SDK's classes now."""
    return [vars(kind)[name] for kind, name in METHODS]


# --- What is measured ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "error"),
    [(leave, None), (fail, "LookupError"), (ask_badly, "MCPError"), (cancel, None), (stop, None)],
)
def test_a_session_is_told_with_what_ended_it(what: Callable[[Client], Any], error: str | None) -> None:
    """The caller's exception is as without us; who cancels or stops, has no error; the server has none."""
    bare = tried(what)
    with capture("mcp") as seen:
        assert tried(what) == bare
    assert (bare is None) is (what is leave)
    ended = {"error.type": error} if error else {}
    assert told(seen.metrics) == {CLIENT: {**TOLD, **ended}, SERVER: TOLD}
    assert seen.spans == []


@pytest.mark.parametrize("mode", ["auto", NEWEST])
def test_the_newest_protocol_has_no_sessions(mode: str) -> None:
    """Each of its requests stands alone."""
    with capture("mcp") as seen:
        assert tried(leave, mode=mode) is None
    assert seen.metrics == {}


SERVING = """
import json, sys
from mcp.server import MCPServer
from otel_genai.testing import capture

app = MCPServer("kitchen", log_level="CRITICAL")
with capture("mcp") as seen:
    app.run("stdio")
    open(sys.argv[1], "w").write(json.dumps(seen.metrics))
"""


@pytest.mark.parametrize(
    ("mode", "mine", "theirs"), [("legacy", {CLIENT: PIPED}, {SERVER: TOLD}), ("auto", {}, {})]
)
async def test_over_stdio(mode: str, mine: dict[str, Any], theirs: dict[str, Any], tmp_path: Path) -> None:
    """A client that is given a command knows how it asks; its server is not told what its streams are."""
    path = tmp_path / "metrics"
    env = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = StdioServerParameters(command=sys.executable, args=["-c", SERVING, str(path)], env=env)
    with capture("mcp") as seen:
        async with Client(command, mode=mode) as client:
            assert not (await client.list_tools()).next_cursor
    assert told(seen.metrics) == mine
    assert told(json.loads(path.read_text())) == theirs


@contextlib.contextmanager
def on_a_port(**how: Any) -> Iterator[int]:
    """Serve over HTTP from a thread."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # who comes before the server is up waits for it
    app = kitchen().streamable_http_app(**how)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    ("mode", "stateless", "sides"),
    [
        ("legacy", False, {CLIENT, SERVER}),
        ("legacy", True, {CLIENT}),
        ("auto", False, set()),
        ("auto", True, set()),
    ],
)
def test_over_http(mode: str, stateless: bool, sides: set[str]) -> None:  # noqa: FBT001 (of the table)
    """A client knows its server's address; a server that keeps no sessions has none, and does not say so."""

    async def ask(port: int) -> None:
        async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
            await leave(client)

    with capture("mcp") as seen:
        with on_a_port(stateless_http=stateless) as port:
            asyncio.run(ask(port))
        address = {"server.address": "127.0.0.1", "server.port": port}
        both = {CLIENT: {**POSTED, **address}, SERVER: POSTED}
    assert told(seen.metrics) == {name: both[name] for name in sides}


async def test_a_session_over_streams_alone_has_what_both_sides_have_agreed_on() -> None:
    """Nobody has told it whose streams they are; without `initialize`, it is none."""
    app = Server("kitchen")
    for is_opened in (False, True):
        with capture("mcp") as seen:
            async with streams() as (mine, theirs), anyio.create_task_group() as tasks:
                tasks.start_soon(app.run, *theirs, app.create_initialization_options())
                async with ClientSession(*mine) as session:
                    if is_opened:
                        await session.initialize()
                await mine[1].aclose()
        assert told(seen.metrics) == ({CLIENT: TOLD, SERVER: TOLD} if is_opened else {})


async def test_what_was_never_opened_is_none() -> None:
    """A server that does not answer, and one that is only knocked at."""
    with capture("mcp") as seen, contextlib.suppress(Exception):
        async with streams() as (mine, theirs):
            await theirs[1].aclose()
            async with ClientSession(*mine) as session:
                await session.initialize()
    assert seen.metrics == {}


async def test_a_server_that_a_handler_ends_has_its_error() -> None:
    """What the tasks of a server raise comes as a group: it is named after what is in it."""
    app = Server("kitchen", on_list_tools=broken)
    with capture("mcp") as seen, contextlib.suppress(Exception):
        async with Client(app, mode="legacy", raise_exceptions=True) as client:
            await client.list_tools()
    assert told(seen.metrics)[SERVER] == {**TOLD, "error.type": "ZeroDivisionError"}


async def test_a_server_that_is_cancelled_has_no_error() -> None:
    """It was stopped on purpose: its session was as long as it was."""
    app = Server("kitchen")
    with capture("mcp") as seen, contextlib.suppress(Exception):
        async with (
            streams() as (mine, theirs),
            ClientSession(*mine) as session,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(app.run, *theirs, app.create_initialization_options())
            await session.initialize()
            tasks.cancel_scope.cancel()
    assert told(seen.metrics) == {CLIENT: TOLD, SERVER: TOLD}


def test_an_error_that_is_being_handled_around_is_not_the_sessions() -> None:
    """A program may serve as its answer to a failure."""
    with capture("mcp") as seen:
        try:
            {}["artichoke"]
        except KeyError:
            assert tried(leave) is None
    assert told(seen.metrics) == {CLIENT: TOLD, SERVER: TOLD}


async def test_what_is_suppressed_is_not_told() -> None:
    """Neither are sessions within a block that is to be kept quiet."""
    with capture("mcp") as seen, otel_genai.suppress():
        async with held() as client:
            await leave(client)
    assert seen.metrics == {}


def test_the_spans_of_the_sdk_are_as_many_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are adopted as ever, and measured."""
    found = []
    for name in ("openai", "mcp"):
        with capture(name) as seen:
            seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
            monkeypatch.setattr(_otel, "_tracer", seen.tracer_provider.get_tracer("mcp-python-sdk"))
            assert tried(leave) is None
            found.append([(span["name"], span["kind"], span["parent"]) for span in seen.spans])
    assert found[0] == found[1]
    assert ("tools/call add", "SERVER", "tools/call add") in found[1]
    operations = {"mcp.client.operation.duration", "mcp.server.operation.duration"}
    assert {CLIENT, SERVER, *operations} <= seen.metrics.keys()


# --- How it comes and goes -------------------------------------------------------------------------------


async def test_hooks_come_and_go() -> None:
    """The SDK is no less left alone; what was open then is not told, and nothing of ours is left."""
    originals = standing()
    for _ in range(2):
        async with contextlib.AsyncExitStack() as stack:
            with capture("mcp") as seen:
                [status] = [one for one in otel_genai.providers() if one.name == "mcp"]
                assert (status.state, status.targets) == ("skipped", [])
                assert status.reason.endswith("makes its spans itself, and those are adopted")
                assert not _patching._is_patched("mcp")
                assert [new is old for new, old in zip(standing(), originals, strict=True)] == [False] * 4
                await stack.enter_async_context(held())
            assert all(new is old for new, old in zip(standing(), originals, strict=True))
        assert told(seen.metrics) == {}


PROGRAM = """
import sys, otel_genai
from otel_genai.testing import capture

def standing():
    from mcp import Client, ClientSession
    from mcp.server.connection import Connection
    found = [vars(ClientSession)[name] for name in ("__aenter__", "__aexit__")]
    found += [vars(Client)["__aexit__"], vars(Connection)["for_loop"]]
    return [getattr(one, "__func__", one).__code__.co_filename.endswith("_mcp_sessions.py") for one in found]

if sys.argv[1] == "after":
    standing()
otel_genai.instrument("mcp")
otel_genai.uninstrument()
otel_genai.instrument("mcp")
print(*[name for name in sys.modules if name.partition(".")[0] == "mcp" and sys.argv[1] == "before"])
print(*standing())
otel_genai.uninstrument()
print(*standing())
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_sdk_may_be_imported_before_or_after(order: str) -> None:
    """We import nothing of it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, order], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", "True True True True", "False False False False"]


def test_somebody_elses_hook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs goes on to call ours, which says nothing any more."""
    for kind, name in METHODS:
        monkeypatch.setattr(kind, name, vars(kind)[name])  # what is put back in the end
    with capture("mcp") as seen:
        ours = Connection.for_loop
        Connection.for_loop = theirs = staticmethod(ours)
    assert vars(Connection)["for_loop"] is theirs
    assert tried(leave) is None
    assert seen.metrics == {}


@pytest.mark.parametrize(("name", "found"), [("mcp", {}), ("mcp-python-sdk", {CLIENT: TOLD, SERVER: TOLD})])
def test_what_is_switched_off_is_not_measured(
    name: str, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naming the SDK leaves its sessions out; naming its spans leaves those alone."""
    monkeypatch.setenv("OTEL_GENAI_DISABLED", name)
    with capture() as seen:
        assert tried(leave) is None
    assert told(seen.metrics) == found


def test_beside_anothers_instrumentation_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """That one may measure sessions itself."""
    originals = standing()
    monkeypatch.setattr(_others, "stand_down", lambda name: f"somebody instruments {name}")
    with capture("mcp") as seen:
        assert all(new is old for new, old in zip(standing(), originals, strict=True))
        assert tried(leave) is None
    assert seen.metrics == {}


async def test_a_client_that_is_not_open_may_be_left() -> None:
    """As without us: nothing happens."""
    with capture("mcp") as seen:
        await Client("http://127.0.0.1:1/mcp").__aexit__(None, None, None)
    assert seen.metrics == {}


@pytest.mark.parametrize("what", ["_begin", "_end", "_note"])
def test_our_failures_stay_ours(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted, and nobody else hears of them."""

    def raising(*_: Any) -> Any:
        msg = "a failure of ours"
        raise RuntimeError(msg)

    bare = tried(fail)
    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    monkeypatch.setattr(_mcp_sessions, what, raising)
    with capture("mcp") as seen:
        assert tried(leave) is None
        assert tried(fail) == bare
    counted = seen.metrics["otel_genai.instrumentation.errors"]
    assert sum(point["value"] for point in counted) == (2 if what == "_note" else 4)


def test_where_a_later_sdk_has_other_classes_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its import goes through, and what could not be put in place is in the log."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    monkeypatch.delattr("mcp.client.client.Client")
    with capture("mcp") as seen:
        assert tried(leave) is None
    assert told(seen.metrics) == {CLIENT: TOLD, SERVER: TOLD}
    assert "otel-genai failed on mcp import" in caplog.text
