"""MCP's sessions: each is measured once on each side, and changes for nobody."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import otel_genai
from mcp_sessions import ask_badly, cancel, left, stop
from otel_genai._patching import sdk_version
from otel_genai.providers import _mcp_sessions
from otel_genai.testing import capture

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK leaves streams open, and deprecates its own names
if (sdk_version("mcp") or "2") >= "2":
    pytest.skip("needs mcp < 2, as later ones tell themselves: pip install 'mcp<2'", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an older SDK's own
    from mcp import ClientSession, types
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.shared.memory import create_client_server_memory_streams as streams
    from mcp.shared.session import BaseSession

    import mcp_server

CLIENT, SERVER = "mcp.client.session.duration", "mcp.server.session.duration"
TOLD = {"mcp.protocol.version": types.LATEST_PROTOCOL_VERSION}
SERVED = mcp_server.app._mcp_server


@contextlib.asynccontextmanager
async def held(*, raises: bool = False) -> Any:
    """Give a session with a server in this process."""
    async with streams() as (mine, theirs), anyio.create_task_group() as tasks:
        options = SERVED.create_initialization_options()
        tasks.start_soon(SERVED.run, *theirs, options, raises)
        async with ClientSession(*mine) as session:
            await session.initialize()
            yield session


async def leave(_: ClientSession) -> None:
    """Do nothing more."""


async def fail(session: ClientSession) -> None:
    """Raise what is the caller's own."""
    await session.send_ping()
    msg = "no marmalade"
    raise LookupError(msg)


def tried(what: Callable[[ClientSession], Any]) -> Any:
    """Say what leaves the block around a session."""
    return left(held(), what)


def told(seen: Any) -> dict[str, Any]:
    """Give the attributes of the one session that each side has measured."""
    found = {name: seen.metrics[name] for name in (CLIENT, SERVER)}
    assert [[point["count"] for point in points] for points in found.values()] == [[1], [1]]
    return {name: points[0]["attributes"] for name, points in found.items()}


@pytest.mark.parametrize(
    ("what", "error"),
    [(leave, None), (fail, "LookupError"), (ask_badly, "McpError"), (cancel, None), (stop, None)],
)
def test_a_session_is_told_with_what_ended_it(
    what: Callable[[ClientSession], Any], error: str | None
) -> None:
    """The caller's exception is as without us; who cancels or stops, has no error; the server has none."""
    bare = tried(what)
    with capture("mcp") as seen:
        assert tried(what) == bare
    assert (bare is None) is (what is leave)
    assert told(seen) == {CLIENT: {**TOLD, **({"error.type": error} if error else {})}, SERVER: TOLD}


async def test_a_server_that_a_handler_ends_has_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tasks of a server raise comes as a group: it is named after what is in it."""

    async def broken(_: Any) -> Any:
        msg = "no artichoke"
        raise ZeroDivisionError(msg)

    monkeypatch.setitem(SERVED.request_handlers, types.ListToolsRequest, broken)
    with capture("mcp") as seen, contextlib.suppress(Exception):
        async with held(raises=True) as session:
            await session.list_tools()
    assert told(seen)[SERVER] == {**TOLD, "error.type": "ZeroDivisionError"}


async def test_what_the_sdk_raises_at_the_end_is_the_sessions() -> None:
    """Where one of its tasks fails, the block is cancelled, and then raises that."""

    async def broken() -> None:
        msg = "no artichoke"
        raise ZeroDivisionError(msg)

    with capture("mcp") as seen, contextlib.suppress(Exception):
        async with held() as session:
            session._task_group.start_soon(broken)
            await anyio.sleep_forever()
    assert told(seen)[CLIENT] == {**TOLD, "error.type": "ZeroDivisionError"}


async def test_a_server_that_does_not_answer_ends_the_client_s_session() -> None:
    """Which version both would have spoken nobody knows; a server that nobody has asked has no session."""
    with capture("mcp") as seen, contextlib.suppress(Exception):
        async with streams() as (mine, theirs):
            await theirs[1].aclose()
            async with ClientSession(*mine) as session:
                await session.initialize()
    [point] = seen.metrics[CLIENT]
    assert point["attributes"] == {"error.type": "McpError"}
    assert SERVER not in seen.metrics


async def test_a_port_that_is_only_knocked_at_has_no_session() -> None:
    """A server's session that no client has opened is none."""
    with capture("mcp") as seen:
        async with streams() as (mine, theirs), anyio.create_task_group() as tasks:
            tasks.start_soon(SERVED.run, *theirs, SERVED.create_initialization_options())
            await mine[1].aclose()
    assert seen.metrics == {}


async def test_a_server_without_sessions_has_none() -> None:
    """Over HTTP there may be one of the SDK's for every request: nothing is opened for it."""
    manager = StreamableHTTPSessionManager(SERVED, stateless=True, json_response=True)
    given = {
        "protocolVersion": types.LATEST_PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "c", "version": "1"},
    }
    with capture("mcp") as seen:
        async with manager.run():
            for method, params in (("initialize", given), ("tools/list", {})):
                assert await posted(manager, method, params) == 200
    assert {name for name in seen.metrics if "session" in name} == set()
    [point, *more] = seen.metrics["mcp.server.operation.duration"]
    assert [one["count"] for one in (point, *more)] == [1, 1]


async def posted(manager: StreamableHTTPSessionManager, method: str, params: dict[str, Any]) -> int:
    """Send one request to a server in this process; give the status of the answer."""
    asked = types.JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params).model_dump_json()
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"", "http_version": "1.1",
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }  # fmt: skip
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked.encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await manager.handle_request(scope, receive, send)
    return int(said[0]["status"])


async def test_what_is_suppressed_is_not_told() -> None:
    """Neither are sessions within a block that is to be kept quiet."""
    with capture("mcp") as seen, otel_genai.suppress():
        async with held():
            pass
    assert seen.metrics == {}


async def test_hooks_come_and_go() -> None:
    """What was open then is not told; nothing of ours is left, but under somebody else's."""
    original = vars(BaseSession)["__aenter__"], vars(BaseSession)["__aexit__"]
    async with contextlib.AsyncExitStack() as stack:
        with capture("mcp") as seen:
            await stack.enter_async_context(held())
        assert (vars(BaseSession)["__aenter__"], vars(BaseSession)["__aexit__"]) == original
    assert SERVER not in seen.metrics
    assert CLIENT not in seen.metrics


async def test_somebody_elses_hook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs goes on to call ours, which says nothing any more."""
    monkeypatch.setattr(BaseSession, "__aenter__", BaseSession.__aenter__)
    with capture("mcp") as seen:
        ours = BaseSession.__aenter__

        async def theirs(self: Any) -> Any:
            return await ours(self)

        monkeypatch.setattr(BaseSession, "__aenter__", theirs)
    assert BaseSession.__aenter__ is theirs
    async with held():
        pass
    assert seen.metrics == {}


@pytest.mark.parametrize("what", ["_begin", "_end"])
async def test_our_failures_stay_ours(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted."""

    def broken(*_: Any) -> Any:
        msg = "a failure of ours"
        raise RuntimeError(msg)

    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    monkeypatch.setattr(_mcp_sessions, what, broken)
    with capture("mcp") as seen:
        async with held() as session:
            assert (await session.list_tools()).tools
    assert sum(point["value"] for point in seen.metrics["otel_genai.instrumentation.errors"]) == 2
