"""MCP on both sides: in processes of their own over stdio and HTTP, and in one process for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import trace

import otel_genai
from otel_genai import _bound
from otel_genai._patching import sdk_version
from otel_genai.providers import _mcp_wire as mcp_wire
from otel_genai.testing import capture

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK leaves streams open, and deprecates its own names
if (sdk_version("mcp") or "2") >= "2":
    pytest.skip("needs mcp < 2, as later ones tell themselves: pip install 'mcp<2'", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an older SDK's own
    from mcp import ClientSession, StdioServerParameters, types
    from mcp.client import stdio
    from mcp.client.streamable_http import streamablehttp_client
    from mcp.shared.memory import create_connected_server_and_client_session as connected
    from mcp.shared.message import ServerMessageMetadata
    from starlette.requests import Request

    import mcp_server

PROGRAM = Path(mcp_server.__file__)
CANARIES = ("marmalade", "artichoke")
PROMPT = types.PromptReference(type="ref/prompt", name="greet")
TEMPLATE = types.ResourceTemplateReference(type="ref/resource", uri="note://{where}")

# --- A client's session with a server --------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Bring what the SDK gives into plain data."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


async def tried(what: Any) -> Any:
    """Say what a request gives, or raises."""
    try:
        return plain(await what)
    except Exception as error:  # noqa: BLE001 (it is compared)
        return [type(error).__name__, str(error)]


async def sample(_: Any, asked: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    """Answer for a model."""
    assert asked.messages[0].content.text == "Which marmalade?"
    said = types.TextContent(type="text", text="artichoke marmalade")
    return types.CreateMessageResult(role="assistant", content=said, model="toy")


async def withdrawn(session: ClientSession) -> list[Any]:
    """Call a tool, cancel the call when its first progress has come, and tell the server."""
    begun, seen = anyio.Event(), []

    async def progress(*how_far: Any) -> None:
        seen.append(how_far[:2])
        begun.set()

    number = session._request_id
    request = types.CallToolRequest(
        method="tools/call", params=types.CallToolRequestParams(name="wait", arguments={})
    )
    asked = types.ClientRequest(request)
    task = asyncio.ensure_future(
        session.send_request(asked, types.CallToolResult, progress_callback=progress)
    )
    await begun.wait()
    task.cancel()
    seen.append(isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError))
    given = types.CancelledNotificationParams(requestId=number)
    told = types.CancelledNotification(method="notifications/cancelled", params=given)
    await session.send_notification(types.ClientNotification(told))
    await session.send_ping()
    return seen


async def step(*_: Any) -> None:
    """Take note of how far a tool is."""


async def scenario(session: ClientSession) -> list[Any]:
    """Ask for everything there is, and for what there is not."""
    seen = [
        await tried(session.call_tool("add", {"a": 1, "b": 2})),
        await tried(session.call_tool("fail", {"what": "marmalade"})),
        await tried(session.call_tool("nowhere")),
        await tried(session.call_tool("ask")),
        await tried(session.get_prompt("greet", {"name": "marmalade"})),
        await tried(session.get_prompt("nobody")),
        await tried(session.read_resource("note://shelf")),
        await tried(session.read_resource("note://floor")),
        await tried(session.complete(PROMPT, {"name": "name", "value": "marmalade"})),
        await tried(session.complete(TEMPLATE, {"name": "where", "value": "marmalade"})),
        await tried(session.list_tools()),
        await tried(session.list_resources()),
        await tried(session.call_tool("tell", progress_callback=step)),
        await tried(session.send_roots_list_changed()),
    ]
    return [*seen, await withdrawn(session)]


@contextlib.asynccontextmanager
async def over(way: str, path: Path, mode: str) -> Any:
    """Give a session with a server in a process of its own."""
    command = [sys.executable, str(PROGRAM), way, str(path), mode]
    if way == "stdio":
        server = StdioServerParameters(command=command[0], args=command[1:])
        async with stdio.stdio_client(server) as (read, write), opened(read, write) as session:
            yield session
        return
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:  # noqa: ASYNC220 (it is quick to start)
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        async with streamablehttp_client(url) as (read, write, _), opened(read, write) as session:
            yield session
        process.stdin.close()
        process.wait(20)


@contextlib.asynccontextmanager
async def opened(read: Any, write: Any) -> Any:
    """Give a session that has begun."""
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(getattr(getattr(message, "root", None), "method", ""))

    async with ClientSession(read, write, sampling_callback=sample, message_handler=hear) as session:
        await session.initialize()
        yield session
    often = {"notifications/message", "notifications/progress"}
    assert {method for method in heard if heard.count(method) > 1} == often
    assert {"notifications/tools/list_changed", "notifications/resources/updated"} < set(heard)


SPANS = {
    "initialize", "tools/call add", "tools/call fail", "tools/call nowhere", "sampling/createMessage",
    "tools/call ask", "prompts/get greet", "prompts/get nobody", "resources/read", "tools/list",
    "completion/complete greet", "completion/complete",
    "resources/list", "tools/call wait", "ping", "tools/call tell", "notifications/initialized",
    "notifications/roots/list_changed", "notifications/tools/list_changed", "notifications/resources/updated",
}  # fmt: skip
KINDS = ("CLIENT", "SERVER")


@pytest.mark.parametrize("way", ["stdio", "http"])
async def test_both_sides_are_one_trace(way: str, tmp_path: Path) -> None:
    """The program sees what it sees without us; a server's span is beneath the client's that asked for it."""
    async with over(way, tmp_path / "bare", "bare") as session:
        bare = await scenario(session)
    with capture("mcp") as seen:
        tracer = seen.tracer_provider.get_tracer("program")
        with tracer.start_as_current_span("program") as program:
            async with over(way, tmp_path / "spans", "NO_CONTENT") as session:
                ours = await scenario(session)
    assert ours == bare
    served = json.loads((tmp_path / "spans").read_text())
    sent = [(span, mcp_server.ids(raw)) for span, raw in zip(seen.spans, seen.finished, strict=True)][:-1]
    sides = [[*sent], [(span, span["ids"]) for span in served["spans"]]]
    both = sent + sides[1]
    assert {ids[0] for _, ids in both} == {program.get_span_context().trace_id}
    known = {ids[1]: span for span, ids in both}
    mine, theirs = (sorted(one["name"] for one, _ in both if one["kind"] == kind) for kind in KINDS)
    mine.remove("notifications/cancelled")  # what it cancels says so
    assert mine == theirs
    assert set(mine) == SPANS
    for span, ids in both:
        if span["kind"] == "SERVER":
            asked = known[ids[2]]
            assert (asked["name"], asked["kind"]) == (span["name"], "CLIENT")
    assert [canary for canary in CANARIES if canary in str([seen.spans, seen.metrics, served])] == []
    check_sessions(way, seen.metrics, served["metrics"])
    check(
        way,
        {side: {span["name"]: span for span, _ in spans} for side, spans in zip("cs", sides, strict=True)},
    )


def check_sessions(way: str, mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """One session, and how it was held, as both of its sides see it."""
    told = {"mcp.protocol.version": types.LATEST_PROTOCOL_VERSION, "network.transport": "pipe"}
    if way == "http":
        told |= {"network.transport": "tcp", "network.protocol.name": "http"}
    [client], [server] = mine["mcp.client.session.duration"], theirs["mcp.server.session.duration"]
    assert (client["count"], server["count"]) == (1, 1)
    assert client["sum"] > 0 < server["sum"]
    if way == "http":
        assert client["attributes"].pop("server.address") == "127.0.0.1"
        assert client["attributes"].pop("server.port") > 0
        assert server["attributes"].pop("network.protocol.version") == "1.1"
    assert client["attributes"] == server["attributes"] == told
    assert {name for name in (*mine, *theirs) if "session" in name} == {
        "mcp.client.session.duration",
        "mcp.server.session.duration",
    }


def check(way: str, found: dict[str, dict[str, Any]]) -> None:
    """Compare some of the spans as wholes."""
    transport = {"network.transport": "pipe"}
    if way == "http":
        transport = {"network.transport": "tcp", "network.protocol.name": "http"}
    mine, theirs = (found[side]["tools/call add"] for side in "cs")
    session = mine["attributes"].pop("mcp.session.id", None)
    assert session == theirs["attributes"].pop("mcp.session.id", None)
    assert (session is not None) is (way == "http")
    if way == "http":
        assert mine["attributes"].pop("server.address") == "127.0.0.1"
        assert mine["attributes"].pop("server.port") > 0
        assert theirs["attributes"].pop("client.address") == "127.0.0.1"
        assert theirs["attributes"].pop("client.port") > 0
        assert theirs["attributes"].pop("network.protocol.version") == "1.1"
    told = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": types.LATEST_PROTOCOL_VERSION,
        "jsonrpc.request.id": "1",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        **transport,
    }
    assert (mine["attributes"], mine["status"]) == (told, "UNSET")
    assert (theirs["attributes"], theirs["status"]) == (told, "UNSET")
    assert (
        found["c"]["resources/list"]["attributes"].keys() & {"gen_ai.operation.name", "gen_ai.tool.name"}
        == set()
    )
    for side in "cs":
        assert found[side]["tools/call fail"]["attributes"]["error.type"] == "tool_error"
        assert found[side]["prompts/get nobody"]["attributes"]["rpc.response.status_code"] == "0"
        assert found[side]["resources/read"]["attributes"]["mcp.resource.uri"] == "note://floor"
        waited = found[side]["tools/call wait"]
        assert (waited["attributes"]["otel_genai.outcome"], waited["status"]) == ("cancelled", "UNSET")
    assert found["s"]["sampling/createMessage"]["kind"] == "CLIENT"
    check_notifications(transport, session, found)


def check_notifications(transport: dict[str, Any], session: str | None, found: dict[str, Any]) -> None:
    """They have no number and no answer; how they travel is known of the session."""
    sent = found["s"]["notifications/resources/updated"]
    got = found["c"]["notifications/resources/updated"]
    assert (sent["kind"], sent["status"], got["kind"], got["status"]) == (
        "CLIENT",
        "UNSET",
        "SERVER",
        "UNSET",
    )
    sent["attributes"].pop("network.protocol.version", None)
    told = {
        "mcp.method.name": "notifications/resources/updated",
        "mcp.protocol.version": types.LATEST_PROTOCOL_VERSION,
        "mcp.resource.uri": "note://shelf",
        **transport,
        **({"mcp.session.id": session} if session else {}),
    }
    assert sent["attributes"] == got["attributes"] == told
    begun = found["s"]["notifications/initialized"]["attributes"]
    assert transport.items() <= begun.items()


# --- In one process --------------------------------------------------------------------------------------


async def inside(scenario: Any = scenario) -> Any:
    """Do something with a server in this process."""
    async with connected(mcp_server.app._mcp_server, sampling_callback=sample) as session:
        return await scenario(session)


async def adding(session: ClientSession) -> Any:
    """Call one tool."""
    return plain(await session.call_tool("add", {"a": 1, "b": 2}))


async def test_what_a_tool_is_given_and_gives_is_content() -> None:
    """With capture on, as objects; of other methods, nothing."""
    with capture("mcp", capture="SPAN_ONLY") as seen:
        await inside()
    tools = [span for span in seen.spans if span["name"] == "tools/call add"]
    assert [span["kind"] for span in tools] == ["SERVER", "CLIENT"]
    for span in tools:
        told = {key: json.loads(text) for key, text in span["attributes"].items() if "tool.call." in key}
        assert told["gen_ai.tool.call.arguments"] == {"a": 1, "b": 2}
        assert told["gen_ai.tool.call.result"]["content"] == [{"type": "text", "text": "3 artichokes"}]
    known = ("tools/call", "prompts/get")
    rest = [span for span in seen.spans if not span["name"].startswith(known)]
    assert not [span for span in rest if any(canary in str(span["attributes"]) for canary in CANARIES)]


async def asking(session: ClientSession, **given: str) -> Any:
    """Get one prompt."""
    return plain(await session.get_prompt("greet", given))


async def test_what_a_prompt_is_filled_in_with_is_content() -> None:
    """Each variable by its name, on both sides; what became of it has no name."""
    with capture("mcp", capture="SPAN_ONLY") as seen:
        await inside(functools.partial(asking, name="marmalade", language="", by="anchovy"))
    prompts = [span for span in seen.spans if span["name"] == "prompts/get greet"]
    assert [span["kind"] for span in prompts] == ["SERVER", "CLIENT"]
    for span in prompts:
        told = {key: value for key, value in span["attributes"].items() if key.startswith("gen_ai.prompt.")}
        assert told == {
            "gen_ai.prompt.name": "greet",
            "gen_ai.prompt.variable.name": "marmalade",
            "gen_ai.prompt.variable.by": "anchovy",
        }
        assert "artichoke" not in str(span["attributes"])


@pytest.mark.parametrize(
    "settings",
    [{}, {"capture": "SPAN_ONLY", "mask": [lambda _: "***"]}],
    ids=["off", "masked"],
)
async def test_the_variables_of_prompts_pass_the_gate(settings: dict[str, Any]) -> None:
    """As all content does: off by default, and masked."""
    with capture("mcp", **settings) as seen:
        await inside(functools.partial(asking, name="marmalade"))
    prompts = [span["attributes"] for span in seen.spans if span["name"] == "prompts/get greet"]
    hidden = "***" if "mask" in settings else None
    assert [told.get("gen_ai.prompt.variable.name") for told in prompts] == [hidden, hidden]
    assert [canary for canary in CANARIES if canary in str([seen.spans, seen.metrics])] == []


async def test_what_is_set_for_tools_is_so_for_these() -> None:
    """The operation that settings know is the conventions'."""
    with capture("mcp", capture="SPAN_ONLY", capture_operations={"execute_tool": "NO_CONTENT"}) as seen:
        await inside(adding)
    assert [canary for canary in CANARIES if canary in str(seen.spans)] == []
    assert not [span for span in seen.spans if "gen_ai.tool.call.arguments" in span["attributes"]]


async def test_both_sides_are_measured() -> None:
    """One record per request and side, of few attributes, with the error's type."""
    with capture("mcp") as seen:
        await inside()
    for side in ("client", "server"):
        points = seen.metrics[f"mcp.{side}.operation.duration"]
        spans = [span for span in seen.spans if span["kind"] == side.upper()]
        assert sum(point["count"] for point in points) == len(spans) >= len(SPANS)
        [failed] = [
            one["attributes"] for one in points if one["attributes"].get("gen_ai.tool.name") == "fail"
        ]
        assert failed == {
            "mcp.method.name": "tools/call",
            "mcp.protocol.version": types.LATEST_PROTOCOL_VERSION,
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "fail",
            "error.type": "tool_error",
        }
    assert set(seen.metrics) == {
        f"mcp.{side}.{what}.duration" for side in ("client", "server") for what in ("operation", "session")
    }


async def test_a_call_within_its_own_tool_is_that_tool() -> None:
    """Who tells the tool already is told what MCP knows, and the server is beneath that span."""

    async def within(session: ClientSession) -> None:
        with otel_genai.tool("add"):
            await adding(session)
        with otel_genai.tool("sum"):
            await adding(session)

    with capture("mcp") as seen:
        await inside(within)
    found = [one for one in seen.spans if "add" in one["name"] or "sum" in one["name"]]
    assert [(one["name"], one["kind"], one["parent"]) for one in found] == [
        ("tools/call add", "SERVER", "execute_tool add"),
        ("execute_tool add", "INTERNAL", None),
        ("tools/call add", "SERVER", "tools/call add"),
        ("tools/call add", "CLIENT", "execute_tool sum"),
        ("execute_tool sum", "INTERNAL", None),
    ]
    assert found[1]["attributes"]["mcp.method.name"] == "tools/call"


async def test_what_comes_too_late_is_an_error_of_no_server() -> None:
    """A request that times out, and one that is not understood."""

    async def late(session: ClientSession) -> Any:
        return await tried(session.call_tool("wait", read_timeout_seconds=timedelta(seconds=0.05)))

    bare = await inside(late)
    with capture("mcp") as seen:
        assert await inside(late) == bare
    [span] = [span for span in seen.spans if span["name"] == "tools/call wait" and span["kind"] == "CLIENT"]
    assert span["attributes"]["error.type"] == "TimeoutError"
    assert "rpc.response.status_code" not in span["attributes"]


async def test_what_the_caller_did_wrong_is_no_error_of_the_server() -> None:
    """The client's span is an error, the server's is not."""

    async def refuse(_: Any) -> Any:
        return types.ErrorData(code=types.INVALID_PARAMS, message="no marmalade")

    async def asked(session: ClientSession) -> Any:
        return await tried(
            session.send_request(types.ClientRequest(types.PingRequest(method="ping")), types.EmptyResult)
        )

    handlers = mcp_server.app._mcp_server.request_handlers
    before = handlers[types.PingRequest]
    handlers[types.PingRequest] = refuse
    try:
        with capture("mcp") as seen:
            assert await inside(asked) == ["McpError", "no marmalade"]
    finally:
        handlers[types.PingRequest] = before
    theirs, mine = [span for span in seen.spans if span["name"] == "ping"]
    assert (theirs["kind"], theirs["status"], mine["status"]) == ("SERVER", "UNSET", "ERROR")
    assert [span["attributes"]["rpc.response.status_code"] for span in (mine, theirs)] == ["-32602"] * 2
    assert (mine["attributes"]["error.type"], "error.type" in theirs["attributes"]) == ("-32602", False)


async def test_what_a_caller_sends_along_stays() -> None:
    """What is in `_meta` already is sent too, and the caller's own request is not touched."""
    asked = types.CallToolRequest(
        method="tools/call",
        params=types.CallToolRequestParams(
            name="add", arguments={"a": 1, "b": 2}, _meta={"progressToken": "p", "mine": "marmalade"}
        ),
    )
    before, sent = asked.model_dump(by_alias=True), []
    handlers = mcp_server.app._mcp_server.request_handlers
    original = handlers[types.CallToolRequest]

    async def spy(request: Any) -> Any:
        sent.append(request.params.meta.model_dump())
        return await original(request)

    async def send(session: ClientSession) -> Any:
        return await session.send_request(types.ClientRequest(asked), types.CallToolResult)

    handlers[types.CallToolRequest] = spy
    try:
        with capture("mcp"):
            await inside(send)
    finally:
        handlers[types.CallToolRequest] = original
    [meta] = sent
    context = trace.get_current_span().get_span_context()
    assert (meta["progressToken"], meta["mine"], context.is_valid) == ("p", "marmalade", False)
    assert meta["traceparent"].startswith("00-")
    assert asked.model_dump(by_alias=True) == before


@pytest.mark.parametrize("header", [None, f"00-{'ab' * 16}-{'cd' * 8}-01"])
async def test_a_client_that_sends_no_context(header: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then HTTP's own is taken, of this request: not what the session was opened in."""
    head = [(b"host", b"127.0.0.1"), *([(b"traceparent", header.encode())] if header else [])]
    scope = {"type": "http", "headers": head, "client": ("10.0.0.7", 4711), "http_version": "1.1"}
    metadata = ServerMessageMetadata(request_context=Request(scope))

    async def ping(session: ClientSession) -> None:
        original = session._write_stream.send

        async def send(message: Any) -> None:
            message.metadata = metadata
            await original(message)

        session._write_stream.send = send
        await session.send_ping()

    with capture("mcp") as seen, seen.tracer_provider.get_tracer("server").start_as_current_span("first"):
        monkeypatch.setattr(mcp_wire.Carrier, "__setitem__", lambda *_: None)  # it knows no tracing
        await inside(ping)
    [served] = [raw for raw in seen.finished if (raw.name, raw.kind.name) == ("ping", "SERVER")]
    assert (f"{served.parent.span_id:x}" if served.parent else None) == ("cd" * 8 if header else None)
    assert (served.attributes["client.address"], served.attributes["client.port"]) == ("10.0.0.7", 4711)


def _fails(*_: Any) -> Any:
    msg = "a failure of ours"
    raise RuntimeError(msg)


@pytest.mark.parametrize("what", ["request", "answer", "readers"])
async def test_our_failures_stay_ours(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of ours fails, both sides do what they do without us."""
    bare = await inside(adding)
    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    from otel_genai.providers import mcp  # noqa: PLC0415 (only where the SDK is the one it is for)

    if what == "readers":
        original = _bound.Bound.__init__

        def broken(self: Any, telemetry: Any, provider: str, operation: Any, *kind: Any) -> None:
            original(self, telemetry, provider, operation, *kind)
            self.contents = dict.fromkeys(self.contents, _fails)
            self.results = [(key, _fails) for key, _ in self.results]

        monkeypatch.setattr(_bound.Bound, "__init__", broken)
    else:
        for seam in (mcp.Sent, mcp.Served):
            monkeypatch.setattr(seam, what, _fails)
    with capture("mcp", capture="SPAN_ONLY"):
        assert await inside(adding) == bare


async def test_hooks_come_and_go() -> None:
    """Taken away, nothing of ours is left; nothing is sent along, either."""
    with capture("mcp") as seen:
        await inside(adding)
        [status] = [one for one in otel_genai.providers() if one.name == "mcp"]
        assert (status.state, status.reason) == ("patched", "")
    known = len(seen.spans)
    assert known >= 4
    await inside(adding)
    assert len(seen.spans) == known
