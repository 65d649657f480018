"""MCP's messages and transports: what is read of them, and where the trace context goes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, get_args
from weakref import WeakKeyDictionary, WeakSet

from otel_genai import semconv_mcp as m
from otel_genai.providers.surface import at
from otel_genai.spec import Request, Server

WITHDRAWN = object()
"""In the place of an answer: the caller has withdrawn its request."""
_transports: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""A stream -> the HTTP transport that it is of."""
_pipes: WeakSet[Any] = WeakSet()
"""The context managers of the transports over stdio."""
_ways: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""A server's session over HTTP -> how its last request has come."""
_NOTHING = {"-": "-"}
"""What is sent along where a trace is to begin anew: there is no such header."""
_versions: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""A session -> the version of the protocol that both sides have agreed on."""


def root(message: Any) -> Any:
    """Take a message out of what the SDK wraps it in."""
    return getattr(message, "root", message)


def told(asked: Any) -> dict[str, Any]:
    """Read a request: its method, and what it is about."""
    params: Any = getattr(asked, "params", None)
    uri = getattr(params, "uri", None)
    return {
        "method": asked.method,
        "params": params,
        "name": _prompt(params.ref) if asked.method == m.COMPLETE else getattr(params, "name", None),
        "uri": None if uri is None else str(uri),
    }


def _prompt(ref: Any) -> Any:
    """Name the prompt that is to be completed, if it is one: there are templates of resources, too."""
    return ref.name if ref.type == "ref/prompt" else None


def is_error(answer: Any) -> bool:
    """Whether something is an error of JSON-RPC."""
    return isinstance(getattr(answer, "code", None), int) and hasattr(answer, "message")


# --- Transports ------------------------------------------------------------------------------------------


def remember(stream: Any, transport: Any) -> None:
    """Keep which transport a stream is of."""
    if hasattr(stream, "send"):
        _transports[stream] = transport


def transport(session: Any) -> Any:
    """Give the HTTP transport of a session, if it has one."""
    return _transports.get(session._write_stream)


def server(session: Any) -> Server:
    """Say which server is asked, where it has an address."""
    return at("", getattr(transport(session), "url", ""))


def agree(session: Any, version: Any) -> None:
    """Keep which version of the protocol a session speaks."""
    if isinstance(version, str):
        _versions[session] = version


def sent_over(session: Any) -> dict[str, Any]:
    """Say how a session's requests travel."""
    http, version = transport(session), _versions.get(session)
    if http is not None:
        return {"transport": "tcp", "protocol": "http", "session": http.session_id, "version": version}
    if session in _ways:
        return {**_ways[session], "version": version}
    return {"transport": "pipe" if _is_piped(session) else None, "version": version}


def came_over(responder: Any) -> dict[str, Any]:
    """Say how a request has come, and from where."""
    session = responder._session
    request = _http(responder)
    if request is None or not hasattr(request, "headers"):
        return sent_over(session)
    host, port = getattr(request, "client", None) or (None, None)
    way = _ways[session] = {
        "transport": "tcp",
        "protocol": "http",
        "protocol_version": request.scope.get("http_version"),
        "session": request.headers.get("mcp-session-id"),
    }
    return {
        **way,
        "version": _versions.get(session) or request.headers.get("mcp-protocol-version"),
        "client": host,
        "client_port": port,
    }


def _is_piped(session: Any) -> bool:
    """Whether a session's stream is one of a transport over stdio, which keeps it in its frame."""
    frames = [manager.gen.ag_frame for manager in list(_pipes)]
    return any(frame and frame.f_locals.get("write_stream") is session._write_stream for frame in frames)


def stdio(module: Any, _: Any) -> Callable[[], None]:
    """Have the transports over stdio known as such; give what undoes that."""
    name = next(name for name in ("stdio_client", "stdio_server") if hasattr(module, name))
    original = getattr(module, name)

    @functools.wraps(original)
    def opened(*args: Any, **kwargs: Any) -> Any:
        manager = original(*args, **kwargs)
        if hasattr(manager, "gen"):
            _pipes.add(manager)
        return manager

    def undo() -> None:
        if getattr(module, name) is opened:
            setattr(module, name, original)

    setattr(module, name, opened)
    return undo


# --- The trace context -----------------------------------------------------------------------------------


def carried(responder: Any) -> Mapping[str, str]:
    """Give what was sent along with a request, beside what the protocol knows; else, the headers of HTTP."""
    return _strings(responder.request_meta) or getattr(_http(responder), "headers", None) or {}


def told_in(notification: Any, session: Any) -> Mapping[str, str]:
    """Give what was sent along with a notification.

    The SDK does not say by which request of HTTP it has come, and works where the session was opened: in
    what has nothing to do with it.
    """
    sent = _strings(getattr(notification.params, "meta", None))
    return sent or (_NOTHING if session in _ways else {})


def _strings(meta: Any) -> dict[str, str]:
    """Give what is in a `_meta` beside what the protocol knows."""
    more = getattr(meta, "model_extra", None) or {}
    return {key: value for key, value in more.items() if isinstance(value, str)}


def _http(responder: Any) -> Any:
    """Give the HTTP request that a request has come by, if it has."""
    return getattr(getattr(responder, "message_metadata", None), "request_context", None)


class Carrier(dict[str, str]):
    """Puts what it is given into a copy of a message's `_meta`, and the copy in the message's place."""

    def __init__(self, request: Request, message: Any, name: str) -> None:
        """Begin empty: what nothing is put into is sent as it is, under the parameter's `name`."""
        super().__init__()
        self._request = request
        self._message = message
        self._name = name

    def __setitem__(self, key: str, value: str) -> None:
        """Send a value along."""
        super().__setitem__(key, value)
        message = _with(self._message, self)
        if self._request.args:
            self._request.args = (message, *self._request.args[1:])
        else:
            self._request.kwargs = {**self._request.kwargs, self._name: message}


def _with(message: Any, more: Mapping[str, str]) -> Any:
    """Copy a message, with more in its `_meta`."""
    asked = root(message)
    params = asked.params
    if isinstance(params, dict):
        params = {**params, "_meta": {**(params.get("_meta") or {}), **more}}
    else:
        if params is None:
            params = _kind(asked)()
        meta = params.meta
        meta = type(params).Meta(**more) if meta is None else meta.model_copy(update=dict(more))
        params = params.model_copy(update={"meta": meta})
    copy = asked.model_copy(update={"params": params})
    return copy if asked is message else message.model_copy(update={"root": copy})


def _kind(asked: Any) -> Any:
    """Give the class that a request's parameters are of, where there are none."""
    annotation = type(asked).model_fields["params"].annotation
    return next(kind for kind in (annotation, *get_args(annotation)) if hasattr(kind, "Meta"))
