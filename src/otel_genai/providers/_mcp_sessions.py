"""MCP's sessions: how long each was open, as one of its sides sees it, and which error ended it.

Version 1 of the SDK has one class for the sessions of both sides. Version 2 has one for clients; a server has
connections, of which those with a loop are for sessions, and the others for one request each.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from otel_genai import semconv as s
from otel_genai import semconv_mcp as m
from otel_genai.providers import _mcp_wire
from otel_genai.providers.surface import at
from otel_genai.spec import Attributes, Runs

Told = Callable[[Any], Attributes]
"""Says how a session was held."""
_since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
"""A session that is open -> when it was opened."""
_ways: WeakKeyDictionary[Any, Attributes] = WeakKeyDictionary()
"""A client's session of version 2 -> how it travels, and to whom."""
_HTTP = {m.NETWORK_TRANSPORT: "tcp", m.NETWORK_PROTOCOL_NAME: "http"}
_PIPE = {m.NETWORK_TRANSPORT: "pipe"}

# --- The seams: each has sessions measured, and gives what undoes that -----------------------------------


def measured(module: Any, runs: Runs) -> Callable[[], None]:
    """Watch the sessions of both sides, of version 1."""
    return _watched(module.BaseSession, runs, _sent_over)


def asked(module: Any, runs: Runs) -> Callable[[], None]:
    """Watch the sessions of clients, of version 2."""
    return _watched(module.ClientSession, runs, _known)


def addressed(module: Any, runs: Runs) -> Callable[[], None]:
    """Have it known with whom a client's session is, of version 2: its `Client` has been told."""
    kind = module.Client
    leave = kind.__aexit__
    piped = getattr(module, "StdioServerParameters", ())  # 2.0 has none

    @functools.wraps(leave)
    async def left(self: Any, *given: Any) -> Any:
        runs.safely(_note, self, piped)
        return await leave(self, *given)

    return _placed(kind, __aexit__=left)


def served(module: Any, runs: Runs) -> Callable[[], None]:
    """Watch a server's connections that have a loop, of version 2: what closes with one tells its end."""
    kind = module.Connection
    make = vars(kind)["for_loop"].__func__

    def ended(connection: Any, around: BaseException | None) -> None:
        error = sys.exc_info()[1]
        given = () if error is around else (error,)  # the server may run where one is being handled
        runs.safely(_end, runs, connection, given, _known)

    def begun(connection: Any) -> None:
        _begin(connection)
        connection.exit_stack.callback(ended, connection, sys.exc_info()[1])

    @functools.wraps(make)
    def made(cls: Any, *args: Any, **kwargs: Any) -> Any:
        connection = make(cls, *args, **kwargs)
        runs.safely(begun, connection)
        return connection

    return _placed(kind, for_loop=classmethod(made))


def _watched(kind: Any, runs: Runs, told: Told) -> Callable[[], None]:
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
            runs.safely(_end, runs, self, (*given, raised), told)
            raise
        runs.safely(_end, runs, self, given, told)
        return result

    return _placed(kind, __aenter__=entered, __aexit__=left)


def _placed(kind: Any, **ours: Any) -> Callable[[], None]:
    """Put methods of ours in the place of a class's own; what undoes that leaves those under others'."""
    originals = {name: vars(kind)[name] for name in ours}

    def undo() -> None:
        for name, one in ours.items():
            if vars(kind).get(name) is one:
                setattr(kind, name, originals[name])

    for name, one in ours.items():
        setattr(kind, name, one)
    return undo


# --- What is told of a session ---------------------------------------------------------------------------


def _begin(session: Any) -> None:
    if not _is_single(session):
        _since[session] = perf_counter()


def _end(runs: Runs, session: Any, given: tuple[Any, ...], told: Told) -> None:
    """Tell a session, and how it ended: in what the caller raised, or in what the SDK did."""
    since = _since.pop(session, None)
    if since is None or not _is_one(session):
        return
    metric, keys = m.SESSIONS[hasattr(type(session), "client_params")]
    error = next((_name(one) for one in given if isinstance(one, Exception)), None)
    runs.measure(metric, keys, perf_counter() - since, {**told(session), s.ERROR_TYPE: error})


def _is_one(session: Any) -> bool:
    """Whether a client has opened it: who only knocks at a server's port has not.

    A client of version 2 says so, too, as it may speak the newest protocol, which has no sessions.
    """
    kind = type(session)
    says = [name for name in ("client_params", "initialize_result") if hasattr(kind, name)]
    return all(getattr(session, name) is not None for name in says)


def _is_single(session: Any) -> bool:
    """Whether it is a server's for a single request over HTTP, for which nothing must be opened."""
    return getattr(getattr(session, "_initialization_state", None), "name", "") == "Initialized"


def _sent_over(session: Any) -> Attributes:
    way, server = _mcp_wire.sent_over(session), _mcp_wire.server(session)
    return {
        m.PROTOCOL_VERSION: way.get("version"),
        m.NETWORK_TRANSPORT: way.get("transport"),
        m.NETWORK_PROTOCOL_NAME: way.get("protocol"),
        m.NETWORK_PROTOCOL_VERSION: way.get("protocol_version"),
        s.SERVER_ADDRESS: server.address,
        s.SERVER_PORT: server.port,
    }


def _known(session: Any) -> Attributes:
    """Say what version 2 tells of a session; at a server, those over HTTP alone have an id."""
    has_id = getattr(session, "session_id", None) is not None
    way = _HTTP if has_id else _ways.get(session, {})
    return {m.PROTOCOL_VERSION: session.protocol_version, **way}


def _note(client: Any, piped: Any) -> None:
    """Keep how a client's session travels, where it was given a URL or a command; it may not be entered."""
    given = client.server
    with contextlib.suppress(RuntimeError):
        if isinstance(given, str):
            server = at("", given)
            _ways[client.session] = {**_HTTP, s.SERVER_ADDRESS: server.address, s.SERVER_PORT: server.port}
        elif isinstance(given, piped):
            _ways[client.session] = _PIPE


def _name(error: Exception) -> str:
    """Name an error; a group of one, as tasks make it, is that one."""
    within: tuple[Any, ...] = getattr(error, "exceptions", ())
    while len(within) == 1 and isinstance(within[0], Exception):
        error = within[0]
        within = getattr(error, "exceptions", ())
    return type(error).__qualname__
