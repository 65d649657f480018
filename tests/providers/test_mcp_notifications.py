"""MCP's notifications: spans on both sides, in one trace; how far a request is, and its log, have none."""

from __future__ import annotations

import warnings
from typing import Any

import anyio
import pytest

from otel_genai._patching import sdk_version
from otel_genai.providers import _mcp_wire
from otel_genai.testing import capture

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK leaves streams open, and deprecates its own names
if (sdk_version("mcp") or "2") >= "2":
    pytest.skip("needs mcp < 2, as later ones tell themselves: pip install 'mcp<2'", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an older SDK's own
    from mcp import ClientSession, types
    from mcp.shared.memory import create_connected_server_and_client_session as connected
    from mcp.shared.message import ServerMessageMetadata
    from starlette.requests import Request

    import mcp_server

SERVED = mcp_server.app._mcp_server
CHANGED = "notifications/roots/list_changed"


def change(**more: Any) -> types.ClientNotification:
    """Make a notification."""
    return types.ClientNotification(types.RootsListChangedNotification(method=CHANGED, **more))


def of(seen: Any, name: str) -> list[Any]:
    """Give the spans of a name as the SDK has them: the server's, and the client's."""
    return sorted((raw for raw in seen.finished if raw.name == name), key=lambda raw: raw.kind.value)


async def noted(session: ClientSession, what: types.ClientNotification, seen: list[Any]) -> None:
    """Send a notification, and wait until the server's handler has it."""
    come = anyio.Event()

    async def handle(notification: Any) -> None:
        seen.append(notification)
        come.set()

    SERVED.notification_handlers[types.RootsListChangedNotification] = handle
    try:
        await session.send_notification(notification=what)
        await come.wait()
    finally:
        del SERVED.notification_handlers[types.RootsListChangedNotification]
    await session.send_ping()  # the handler's span has ended


async def test_what_a_caller_sends_along_stays() -> None:
    """What is in `_meta` already arrives too, and the caller's own notification is not touched."""
    mine = change(params={"_meta": {"mine": "marmalade"}})
    before, got = mine.model_dump(by_alias=True), []
    with capture("mcp", capture="SPAN_ONLY") as seen:
        async with connected(SERVED) as session:
            await noted(session, mine, got)
    assert mine.model_dump(by_alias=True) == before
    theirs, ours = of(seen, CHANGED)
    assert theirs.parent.span_id == ours.context.span_id
    [arrived] = got
    meta = arrived.params.meta.model_dump()
    assert meta["mine"] == "marmalade"
    assert meta["traceparent"].split("-")[1:3] == [
        f"{ours.context.trace_id:032x}",
        f"{ours.context.span_id:016x}",
    ]
    assert "marmalade" not in str(seen.spans)


async def test_both_sides_are_measured() -> None:
    """As requests are, without a request's number."""
    with capture("mcp") as seen:
        async with connected(SERVED) as session:
            await noted(session, change(), [])
    for side in ("client", "server"):
        [point] = [
            point
            for point in seen.metrics[f"mcp.{side}.operation.duration"]
            if point["attributes"]["mcp.method.name"] == CHANGED
        ]
        told = {"mcp.method.name": CHANGED, "mcp.protocol.version": types.LATEST_PROTOCOL_VERSION}
        assert (point["count"], point["attributes"]) == (1, told)
    assert [dict(raw.attributes) for raw in of(seen, CHANGED)] == [told, told]


async def test_a_notification_that_cannot_be_sent_is_an_error() -> None:
    """The caller has the SDK's own exception."""
    with capture("mcp") as seen:
        async with connected(SERVED) as session:
            await session._write_stream.aclose()
            with pytest.raises(anyio.ClosedResourceError):
                await session.send_roots_list_changed()
    [span] = [span for span in seen.spans if span["name"] == CHANGED]
    assert (span["kind"], span["status"]) == ("CLIENT", "ERROR")
    assert span["attributes"]["error.type"] == "ClosedResourceError"


@pytest.mark.parametrize("http", [False, True])
async def test_a_client_that_sends_no_context(http: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 (the case)
    """Over HTTP, where the session was opened has nothing to do with it."""
    scope = {
        "type": "http",
        "headers": [(b"host", b"h")],
        "client": ("10.0.0.7", 4711),
        "http_version": "1.1",
    }
    metadata = ServerMessageMetadata(request_context=Request(scope))
    with (
        capture("mcp") as seen,
        seen.tracer_provider.get_tracer("server").start_as_current_span("first") as first,
    ):
        monkeypatch.setattr(_mcp_wire.Carrier, "__setitem__", lambda *_: None)  # it knows no tracing
        async with connected(SERVED) as session:
            original = session._write_stream.send

            async def send(message: Any) -> None:
                message.metadata = metadata if http else None
                await original(message)

            session._write_stream.send = send
            await session.send_ping()
            await noted(session, change(), [])
    theirs, _ = of(seen, CHANGED)
    if http:
        assert theirs.parent is None
        assert theirs.attributes["network.protocol.name"] == "http"
    else:
        assert theirs.parent.span_id == first.get_span_context().span_id


async def test_what_one_request_brings_any_number_of_has_no_spans() -> None:
    """Progress and log messages; what they say is not read, either."""

    async def step(*_: Any) -> None:
        pass

    with capture("mcp", capture="SPAN_ONLY") as seen:
        async with connected(SERVED) as session:
            await session.call_tool("tell", progress_callback=step)
    told = sorted(span["name"] for span in seen.spans if span["name"].startswith("notifications/"))
    assert told == sorted(
        2 * [f"notifications/{what}" for what in ("initialized", "resources/updated", "tools/list_changed")]
    )


async def test_methods_of_others_are_left_alone() -> None:
    """A caller can make up as many as it likes."""
    with capture("mcp") as seen:
        async with connected(SERVED) as session:
            await session.send_notification(types.Notification(method="notifications/marmalade", params=None))
            await session.send_ping()
    assert "marmalade" not in str([seen.spans, seen.metrics])
