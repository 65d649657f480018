"""MCP: requests and notifications of clients and servers, over stdio and HTTP, in one trace on both sides.

The trace context goes along in their `_meta`, as the configured propagator writes it. How long a session was
is a metric, on both sides. From version 2 on, the SDK makes spans itself, and those are adopted; sessions are
measured beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from otel_genai import semconv as s
from otel_genai import semconv_mcp as m
from otel_genai.providers import _mcp_sessions, _mcp_wire
from otel_genai.providers.surface import Surface
from otel_genai.spec import Attributes, Body, Operation, Provider, Request, Row, Server

_responses: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""Who answers a request -> what was answered."""

# --- What was asked --------------------------------------------------------------------------------------

REQUEST: Mapping[str, Row] = {
    "uri": m.RESOURCE_URI,
    "id": m.REQUEST_ID,
    "version": m.PROTOCOL_VERSION,
    "session": m.SESSION_ID,
    "transport": m.NETWORK_TRANSPORT,
    "protocol": m.NETWORK_PROTOCOL_NAME,
    "protocol_version": m.NETWORK_PROTOCOL_VERSION,
    "client": m.CLIENT_ADDRESS,
    "client_port": m.CLIENT_PORT,
}


def arguments(body: Body) -> Any:
    """Read what a tool is called with, or a prompt filled in with."""
    return getattr(body["params"], "arguments", None)


# --- What was answered -----------------------------------------------------------------------------------


def agreed(r: Any) -> Attributes:
    """Say which version of the protocol both sides have agreed on."""
    return {m.PROTOCOL_VERSION: getattr(r, "protocolVersion", None)}


def status(r: Any) -> Attributes:
    """Say which error a server answers with."""
    return {m.STATUS_CODE: str(r.code) if _mcp_wire.is_error(r) else None}


def ending(r: Any) -> Attributes:
    """Say that the caller wanted no more of it."""
    return {s.OUTCOME: s.CANCELLED if r is _mcp_wire.WITHDRAWN else None}


def fault(r: Any) -> str | None:
    """Tell a tool's failure, and an error that is not the caller's fault."""
    if _mcp_wire.is_error(r):
        return None if str(r.code) in m.CALLERS_FAULT else str(r.code)
    return m.TOOL_ERROR if getattr(r, "isError", False) is True else None


def error(raised: Any) -> Attributes:
    """Read the error that came from the other side; that none came in time is no answer."""
    told = getattr(raised, "error", None)
    if isinstance(raised.__context__, TimeoutError):
        return {s.ERROR_TYPE: type(raised.__context__).__name__}
    code = str(told.code) if told is not None and _mcp_wire.is_error(told) else None
    return {s.ERROR_TYPE: code, m.STATUS_CODE: code}


def result(r: Any) -> Any:
    """Read what a tool has given."""
    return r.model_dump(mode="json", by_alias=True, exclude_none=True)


# --- The operations --------------------------------------------------------------------------------------

CONTENTS = {m.TOOLS_CALL: s.TOOL_CALL_ARGUMENTS, m.PROMPTS_GET: s.PROMPT_VARIABLE}
"""Method -> what its arguments are; the conventions have no word for what a prompt gives."""


def operation(method: str, *, is_served: bool) -> Operation:
    """Make the operation of one method, as one of its sides sees it."""
    target = m.TARGETS.get(method, "")
    is_tool = method == m.TOOLS_CALL
    return Operation(
        name=method,
        signals=m.signals(method, is_served=is_served),
        is_served=is_served,
        request={**REQUEST, **({"name": target} if target else {})},
        constants={m.METHOD_NAME: method, **({s.OPERATION_NAME: s.EXECUTE_TOOL} if is_tool else {})},
        response=(agreed, status, ending),
        contents={CONTENTS[method]: arguments} if method in CONTENTS else {},
        results={s.TOOL_CALL_RESULT: result} if is_tool else {},
        fault=fault,
        error=error,
    )


METHODS = sorted(m.REQUESTS | m.NOTIFICATIONS)
SENT = {method: operation(method, is_served=False) for method in METHODS}
SERVED = {method: operation(method, is_served=True) for method in METHODS}
"""Methods of others than the protocol itself are not told: a caller can make up as many as it likes."""


def _sent(body: Body) -> Operation | None:
    return SENT.get(body["method"])


def _served(body: Body) -> Operation | None:
    return SERVED.get(body["method"])


def server(session: Any, _: Body) -> Server:
    """Say which server is asked, where it has an address."""
    return _mcp_wire.server(session)


def nobody(_: Any, __: Body) -> Server:
    """Say nothing: who answers is here."""
    return Server("")


# --- The seams -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent(Surface):
    """A method of `BaseSession` by which both sides ask, or notify."""

    message: str = "request"
    """The name of its first parameter."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say what is sent; the trace context goes into a copy of it."""
        message = args[0] if args else kwargs[self.message]
        said = _mcp_wire.root(message)
        operation = SENT.get(said.method)
        if operation is None:
            return None
        number = str(client._request_id) if said.method in m.REQUESTS else None
        body = {**_mcp_wire.told(said), "id": number, "owner": client, **_mcp_wire.sent_over(client)}
        request = Request(operation, body, server(client, body), False, args, kwargs)
        request.carrier = _mcp_wire.Carrier(request, message, self.message)
        return request

    def answer(self, request: Request, result: Any) -> Any:
        """Give the answer; the first one says which version both sides speak."""
        if request.body["method"] == m.INITIALIZE:
            _mcp_wire.agree(request.body["owner"], result.protocolVersion)
        return result


@dataclass(frozen=True, slots=True)
class Served(Surface):
    """A method that handles a request: what it is given, besides, is who answers."""

    methods: frozenset[str] = m.REQUESTS

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say what is asked, and by whom."""
        responder = args[0] if args else next(iter(kwargs.values()))
        asked = _mcp_wire.root(responder.request)
        if asked.method not in self.methods:
            return None
        body = {
            **_mcp_wire.told(asked),
            "id": str(responder.request_id),
            "responder": responder,
            **_mcp_wire.came_over(responder),
        }
        request = Request(SERVED[asked.method], body, nobody(client, body), False, args, kwargs)
        request.parent = _mcp_wire.carried(responder)
        return request

    def answer(self, request: Request, result: Any) -> Any:  # noqa: ARG002 (the method gives nothing back)
        """Give what was answered."""
        responder = request.body["responder"]
        given = _responses.pop(responder, None)
        if request.body["method"] == m.INITIALIZE:
            _mcp_wire.agree(responder._session, getattr(given, "protocolVersion", None))
        return _mcp_wire.WITHDRAWN if given is None and responder.cancelled else given


@dataclass(frozen=True, slots=True)
class Noticed(Surface):
    """A method that is given all that comes: requests have seams of their own, notifications have not."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say what is told of; a server is given the session, a client is it."""
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        said = _mcp_wire.root(given[self.names[0]])
        method = getattr(said, "method", None)
        if method not in m.NOTIFICATIONS:
            return None
        session = given.get("session", client)
        body = {**_mcp_wire.told(said), **_mcp_wire.sent_over(session)}
        request = Request(SERVED[method], body, nobody(client, body), False, args, kwargs)
        request.parent = _mcp_wire.told_in(said, session)
        return request


@dataclass(frozen=True, slots=True)
class Respond(Surface):
    """`RequestResponder.respond`: what is answered passes here, and is no call."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what is answered for the request's own seam."""
        given = args[0] if args else kwargs["response"]
        _responses[client] = _mcp_wire.root(given)


@dataclass(frozen=True, slots=True)
class Post(Surface):
    """`StreamableHTTPTransport.post_writer`: whose stream it is given is the transport's; no call."""

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep whose streams they are."""
        for stream in (*args, *kwargs.values()):
            _mcp_wire.remember(stream, client)


# --- The declaration -------------------------------------------------------------------------------------

_CLIENTS = frozenset({"sampling/createMessage", "elicitation/create", "roots/list", "ping"})
PROVIDER = Provider(
    "mcp",
    requires="mcp >= 1.12, < 2",
    native="mcp >= 2",
    hooks={
        "mcp.shared.session:BaseSession.send_request": Sent(_sent, server),
        "mcp.shared.session:BaseSession.send_notification": Sent(_sent, server, message="notification"),
        "mcp.shared.session:RequestResponder.respond": Respond(_served, nobody),
        "mcp.server.lowlevel.server:Server._handle_request": Served(_served, nobody),
        "mcp.server.session:ServerSession._received_request": Served(
            _served, nobody, methods=frozenset({"initialize"})
        ),
        "mcp.server.lowlevel.server:Server._handle_message": Noticed(
            _served, nobody, names=("message", "session")
        ),
        "mcp.client.session:ClientSession._received_request": Served(_served, nobody, methods=_CLIENTS),
        "mcp.client.session:ClientSession._handle_incoming": Noticed(_served, nobody, names=("req",)),
        "mcp.client.streamable_http:StreamableHTTPTransport.post_writer": Post(_sent, nobody),
    },
    attach={
        "mcp.client.stdio": _mcp_wire.stdio,
        "mcp.server.stdio": _mcp_wire.stdio,
        "mcp.shared.session": _mcp_sessions.measured,
    },
    beside={
        "mcp.client.session": _mcp_sessions.asked,
        "mcp.client.client": _mcp_sessions.addressed,
        "mcp.server.connection": _mcp_sessions.served,
    },
)
