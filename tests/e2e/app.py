"""An ordinary program that calls OpenAI, and knows nothing of telemetry.

Reads the calls from a JSON file, a list of `{"path", "request", "asynchronous"}`, sends them to
OPENAI_BASE_URL and prints how many it sent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from openai import APIStatusError, AsyncOpenAI, OpenAI


def method(client: Any, path: str) -> Any:
    """Find the client's method for a path of the API."""
    return {
        "/v1/chat/completions": client.chat.completions.create,
        "/v1/responses": client.responses.create,
        "/v1/embeddings": client.embeddings.create,
    }[path]


def send(client: OpenAI, call: dict[str, Any]) -> None:
    """Make one call and read its answer to the end; an error is an answer too."""
    try:
        answer = method(client, call["path"])(**call["request"])
        if call["request"].get("stream"):
            list(answer)
    except APIStatusError:
        pass


async def asend(client: AsyncOpenAI, call: dict[str, Any]) -> None:
    """Make one call and read its answer to the end; an error is an answer too."""
    try:
        answer = await method(client, call["path"])(**call["request"])
        if call["request"].get("stream"):
            async for _ in answer:
                pass
    except APIStatusError:
        pass


async def together(calls: list[dict[str, Any]]) -> None:
    """Make several calls at the same time."""
    async with AsyncOpenAI() as client:
        await asyncio.gather(*(asend(client, call) for call in calls))


def main() -> None:
    """Make all the calls."""
    calls = json.loads(Path(sys.argv[1]).read_text())
    with OpenAI() as client:
        for call in calls:
            if not call["asynchronous"]:
                send(client, call)
    asyncio.run(together([call for call in calls if call["asynchronous"]]))
    print(len(calls))  # noqa: T201 (what it is asked for)


if __name__ == "__main__":
    main()
