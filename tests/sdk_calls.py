"""The SDKs that have a file in `sdks` and are installed here, and calls of them as a program sees them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import inspect
import pkgutil
import re
import ssl
import sys
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import garbage
import sdks
from otel_genai import _patching
from otel_genai.providers import REGISTRY
from sdks.kit import Sdk, Way, Wire

_ADDRESS = re.compile(r"0x[0-9a-f]+|127\.0\.0\.1:\d+|port[ =]\d+")


def _found() -> tuple[dict[str, Sdk], dict[str, Exception]]:
    """Give the SDKs that are installed here, and what is wrong with the files of others."""
    found, failed = {}, {}
    for module in pkgutil.iter_modules(sdks.__path__):
        if module.name not in REGISTRY:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an SDK's own, of which it is full when it is old
                found[module.name] = importlib.import_module(f"sdks.{module.name}").SDK
        except Exception as error:  # noqa: BLE001 (one file does not keep the others from being tested)
            failed[module.name] = error
    return found, failed


SDKS, FAILED = _found()


async def now(value: Any) -> Any:
    """Await what can be awaited."""
    return await value if inspect.isawaitable(value) else value


def described(value: Any) -> Any:
    """Bring what a program can see of a value into plain data by which two runs can be compared."""
    try:
        return _described(value, 0)
    except RecursionError:
        return "too deep"


def _described(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (str, bytes, bool, int, float)):
        return _ADDRESS.sub("", repr(value))
    if isinstance(value, timedelta):
        return "as long as it took"
    if isinstance(value, BaseException):
        args = [
            _ADDRESS.sub("", repr(arg)) if isinstance(arg, str) else _described(arg, 0) for arg in value.args
        ]
        inside = [args, _described(value.__cause__, 0), _described(value.__context__, 0)]
        return [_kinds(value), _ADDRESS.sub("", str(value)), *inside]
    if isinstance(value, dict):
        return {str(key): _described(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(_described(item, depth + 1) for item in value)]
    public = [name for name in dir(value) if not name.startswith("_")]
    own = getattr(value, "__dict__", {}) if depth < 4 else {}
    seen = {name: _described(item, depth + 1) for name, item in own.items() if not name.startswith("_")}
    return [_kinds(value), public, seen, _ADDRESS.sub("", repr(value)) if not own else ""]


def _kinds(value: Any) -> list[str]:
    """Name the classes that `isinstance` knows; a class with the name of its parent is the same to it."""
    return sorted({f"{cls.__module__}.{cls.__qualname__}" for cls in type(value).__mro__})


async def steps(stream: Any, most: int | None) -> list[Any]:
    """Iterate as a program would, and leave the loop after so many."""
    seen: list[Any] = []
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            seen.append(described(event))
            if len(seen) == most:
                break
    else:
        for event in stream:
            seen.append(described(event))
            if len(seen) == most:
                break
    return seen


async def leave(stream: Any) -> None:
    """Leave a stream as a program in a hurry does: an async one cannot be left to the collector here."""
    close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
    if hasattr(stream, "__aiter__") and close is not None:
        await now(close())


async def tried(way: Way, client: Any, most: int | None = None) -> dict[str, Any]:
    """Call once, and say all that a program can see of it; `most` events are read."""
    seen: dict[str, Any] = {"events": []}
    try:
        result = await now(way.call(client))
        if way.stream:
            stream = way.events(result)
            seen["stream"] = [_kinds(stream), inspect.isgenerator(stream), inspect.isasyncgen(stream)]
            if most != 0:
                seen["events"] = await steps(stream, most)
            await leave(stream)
            del stream
        else:
            seen["result"] = described(result)
        del result
    except Exception as error:  # noqa: BLE001 (it is compared)
        seen["raised"] = described(error)
        del error
    return seen


async def turns() -> None:
    """Collect the garbage; the loop closes async generators within each other, one in each turn."""
    garbage.collect()
    for _ in range(9):
        await asyncio.sleep(0)


async def run(
    sdk: Sdk, way: Way, colour: str, replies: Any = None, most: int | None = None
) -> dict[str, Any]:
    """Call once with a client and a server of its own; what the server saw belongs to it."""
    wire = Wire(replies or way.replies, sdk.random_headers)
    with wire.serving():
        client = sdk.client(wire.url, colour)
        seen = await tried(way, client, most)
        await now(sdk.close(client))
        await turns()
    seen["requests"] = wire.requests
    return seen


class Lab:
    """One server, and one client of each colour, for many calls of an SDK."""

    def __init__(self, sdk: Sdk) -> None:
        """Know the SDK."""
        self.sdk = sdk
        self._wire = Wire((), sdk.random_headers)
        self._clients: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()

    @contextlib.contextmanager
    def open(self) -> Iterator[Lab]:
        """Listen, and close everything at the end."""
        with self._wire.serving():
            yield self
            self._close()
            self.within(turns())
            self._loop.close()

    def _close(self) -> None:
        while self._clients:
            self.within(self._closed(self._clients.popitem()[1]))

    async def _closed(self, client: Any) -> None:
        await now(self.sdk.close(client))

    def within(self, what: Any) -> Any:
        """Run a coroutine in the loop of all of these calls."""
        return self._loop.run_until_complete(what)

    def call(self, way: Way, colour: str, replies: Any = None, most: int | None = None) -> dict[str, Any]:
        """Call as `run` does."""
        if "aiohttp" in sys.modules:  # it has one empty body for all answers, which has an end but once
            sys.modules["aiohttp.streams"].EMPTY_PAYLOAD._read_eof_chunk = False
        self._wire.answer(replies or way.replies)
        if self.sdk.binds:
            self._close()
        if colour not in self._clients:
            self._clients[colour] = self.sdk.client(self._wire.url, colour)
        seen: dict[str, Any] = self.within(tried(way, self._clients[colour], most))
        return {**seen, "requests": list(self._wire.requests)}


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Spare each run what takes longest: certificates, which no server here has, and looks at all modules."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_verify_locations", "load_default_certs"):
            patch.setattr(ssl.SSLContext, name, lambda *_, **__: None)
        patch.setattr(_patching, "version", functools.cache(_patching.version))
        garbage.collect()
        gc.freeze()
        yield
        gc.unfreeze()
        garbage.collect()
