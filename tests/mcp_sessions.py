"""What happens within an MCP session in the tests of both generations of the SDK, and what leaves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio


async def ask_badly(session: Any) -> None:
    """Raise what the server has answered."""
    await session.get_prompt("nobody")


async def cancel(_: Any) -> None:
    """Have the task cancelled."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await anyio.sleep_forever()


async def stop(_: Any) -> None:
    """End the program."""
    raise KeyboardInterrupt


def shape(error: BaseException | None) -> Any:
    """Say what was raised, and of what that is a group."""
    parts = [shape(part) for part in getattr(error, "exceptions", ())]
    return [type(error).__name__, str(error), parts, shape(error.__cause__) if error.__cause__ else None]


def left(held: AbstractAsyncContextManager[Any], what: Callable[[Any], Any]) -> Any:
    """Say what leaves the block around a session, in a loop of its own; None if nothing does."""

    async def within() -> None:
        async with held as session:
            await what(session)

    try:
        return asyncio.run(within())
    except BaseException as error:  # noqa: BLE001 (it is compared)
        return shape(error)
