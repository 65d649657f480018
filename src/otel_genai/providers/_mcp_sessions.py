"""MCP's sessions: how long each was open, as one of its sides sees it, and which error ended it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from otel_genai import semconv as s
from otel_genai import semconv_mcp as m
from otel_genai.providers import _mcp_wire
from otel_genai.spec import Attributes, Runs

_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
"""A session that is open -> when it was opened."""


def measured(module: Any, runs: Runs) -> Callable[[], None]:
    """Have sessions measured; give what undoes that."""
    kind = module.BaseSession
    enter, leave = kind.__aenter__, kind.__aexit__

    @functools.wraps(enter)
    async def entered(self: Any) -> Any:
        runs.safely(_begin, self)
        return await enter(self)

    @functools.wraps(leave)
    async def left(self: Any, *given: Any) -> Any:
        try:
            result = await leave(self, *given)
        except BaseException as raised:
            runs.safely(_end, runs, self, (*given, raised))
            raise
        runs.safely(_end, runs, self, given)
        return result

    def undo() -> None:
        for name, ours, original in (("__aenter__", entered, enter), ("__aexit__", left, leave)):
            if vars(kind).get(name) is ours:
                setattr(kind, name, original)

    kind.__aenter__, kind.__aexit__ = entered, left
    return undo


def _begin(session: Any) -> None:
    if not _is_single(session):
        _since[session] = perf_counter()


def _end(runs: Runs, session: Any, given: tuple[Any, ...]) -> None:
    """Tell a session; what no client has opened is none, as of whoever only knocks at a server's port."""
    since = _since.pop(session, None)
    is_served = hasattr(type(session), "client_params")
    if since is None or (is_served and session.client_params is None):
        return
    metric, keys = m.SESSIONS[is_served]
    runs.measure(metric, keys, perf_counter() - since, _found(session, given))


def _found(session: Any, given: tuple[Any, ...]) -> Attributes:
    """Say how a session was held, and how it ended: in what the caller raised, or in what the SDK did."""
    way, server = _mcp_wire.sent_over(session), _mcp_wire.server(session)
    return {
        m.PROTOCOL_VERSION: way.get("version"),
        m.NETWORK_TRANSPORT: way.get("transport"),
        m.NETWORK_PROTOCOL_NAME: way.get("protocol"),
        m.NETWORK_PROTOCOL_VERSION: way.get("protocol_version"),
        s.SERVER_ADDRESS: server.address,
        s.SERVER_PORT: server.port,
        s.ERROR_TYPE: next((_name(one) for one in given if isinstance(one, Exception)), None),
    }


def _name(error: Exception) -> str:
    """Name an error; a group of one, as tasks make it, is that one."""
    within: tuple[Any, ...] = getattr(error, "exceptions", ())
    while len(within) == 1 and isinstance(within[0], Exception):
        error = within[0]
        within = getattr(error, "exceptions", ())
    return type(error).__qualname__


def _is_single(session: Any) -> bool:
    """Whether it is a server's for a single request over HTTP, for which nothing must be opened."""
    return getattr(getattr(session, "_initialization_state", None), "name", "") == "Initialized"
