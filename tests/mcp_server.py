"""An MCP server for tests: `python mcp_server.py stdio|http FILE MODE`; at its end, its spans are in FILE.

It ends when its standard input does. Over HTTP, it says its port first. MODE is `bare`, or what is captured.
"""

import contextlib
import json
import socket
import sys
import threading
from pathlib import Path

import anyio
from mcp.server import stdio
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import (
    Completion,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
    ResourceUpdatedNotification,
    ResourceUpdatedNotificationParams,
    SamplingMessage,
    ServerNotification,
    TextContent,
    ToolListChangedNotification,
)

app = FastMCP("kitchen", log_level="CRITICAL")


@app.tool()
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"{a + b} artichokes"


@app.tool()
def fail(what: str) -> str:
    """Fail."""
    msg = f"no artichoke in {what}"
    raise ValueError(msg)


@app.tool()
async def wait(ctx: Context) -> str:  # type: ignore[type-arg]  # as the SDK's own examples have it
    """Say how far it is, and wait for ever."""
    await ctx.report_progress(1, 2)
    await anyio.sleep_forever()
    return "never"


@app.tool()
async def ask(ctx: Context) -> str:  # type: ignore[type-arg]  # as above
    """Ask the client's model."""
    asked = [SamplingMessage(role="user", content=TextContent(type="text", text="Which marmalade?"))]
    said = await ctx.session.create_message(asked, max_tokens=9)
    return str(said.content.text)


@app.tool()
async def tell(ctx: Context) -> str:  # type: ignore[type-arg]  # as above
    """Tell the client that things have changed, and how far it is at every step."""
    log = LoggingMessageNotificationParams(level="info", data="artichoke")
    changed = ResourceUpdatedNotificationParams(uri="note://shelf")  # type: ignore[arg-type]  # it is read
    for step in range(9):
        await ctx.report_progress(step, 9)
        await note(ctx, LoggingMessageNotification(method="notifications/message", params=log))
    await note(ctx, ToolListChangedNotification(method="notifications/tools/list_changed"))
    await note(ctx, ResourceUpdatedNotification(method="notifications/resources/updated", params=changed))
    return "told"


async def note(ctx: Context, what: object) -> None:  # type: ignore[type-arg]  # as above
    """Send a notification with the answer, as over HTTP nobody may wait for any other."""
    await ctx.session.send_notification(ServerNotification(what), related_request_id=ctx.request_id)  # type: ignore[arg-type]  # one of them


@app.prompt()
def greet(name: str, language: str = "en", by: str = "me") -> str:
    """Greet."""
    return f"Hello artichoke {name} in {language} by {by}"


@app.completion()
async def complete(*_: object) -> Completion:
    """Propose values."""
    return Completion(values=["artichoke"])


@app.resource("note://shelf")
def shelf() -> str:
    """Give a note."""
    return "artichoke"


async def over_stdio() -> None:
    """Serve by standard input and output."""
    server = app._mcp_server
    async with stdio.stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def over_http() -> None:
    """Serve on a port of this machine."""
    import uvicorn  # noqa: PLC0415 (only here)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # who comes before the server is up waits for it
    config = uvicorn.Config(app.streamable_http_app(), log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)

    def watch() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    print(listening.getsockname()[1], flush=True)  # noqa: T201 (for the test)
    server.run(sockets=[listening])


def main(way: str, path: str, mode: str) -> None:
    """Serve, and write down what was seen of it."""
    from otel_genai.testing import capture  # noqa: PLC0415 (a bare server does without)

    with contextlib.nullcontext() if mode == "bare" else capture("mcp", capture=mode) as seen:
        if way == "http":
            over_http()
        else:
            anyio.run(over_stdio)
        if seen is not None:
            told = [{**span, "ids": ids(raw)} for span, raw in zip(seen.spans, seen.finished, strict=True)]
            Path(path).write_text(json.dumps({"spans": told, "metrics": seen.metrics}))


def ids(span: object) -> list[int | None]:
    """Give a span's trace, its own id and its parent's."""
    parent = span.parent  # type: ignore[attr-defined]  # the SDK's
    context = span.context  # type: ignore[attr-defined]  # the SDK's
    return [context.trace_id, context.span_id, parent.span_id if parent else None]


if __name__ == "__main__":
    main(*sys.argv[1:])
