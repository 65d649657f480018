"""Context across processes: sent along with HTTP requests to listed hosts, and read on the other side."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import wrapt
from opentelemetry import context as otel

from otel_genai import _baggage, _context
from otel_genai import semconv as s
from otel_genai._hooks import Hook, Wrapper
from otel_genai._telemetry import active

_NOBODY = _baggage.Policy()
_policy = [_NOBODY]
_hooks: dict[tuple[str, str], Hook] = {}
_waiting: set[str] = set()


def inject_context(headers: MutableMapping[str, Any], url: object) -> None:
    """Send the context along with a request: `inject_context(headers, url)`, where no client of ours does.

    Adds a `baggage` header with the attributes that `OTEL_GENAI_BAGGAGE` names, if the host is one that
    `OTEL_GENAI_BAGGAGE_HOSTS` lists; for any other it does nothing. Calls of models never have it. A client
    that follows a redirect may take the header along.

    Args:
        headers: the request's headers; changed in place.
        url: where the request goes.
    """
    try:
        _inject(headers, str(url))
    except Exception as error:  # noqa: BLE001 (the guard)
        _failed(error)


def extract_context(headers: Mapping[str, Any] | Iterable[tuple[Any, Any]]) -> _context.Block:
    """Take over the context that a request brings: `with extract_context(request.headers):`.

    Of its `baggage` header only what `OTEL_GENAI_BAGGAGE` names is believed: at most 8 values of 256
    characters, 2 KiB together, none with control characters. All are strings. What the program itself says
    of the call, around this block or within, is left as it is.

    Args:
        headers: the request's headers, as a mapping or in pairs; a WSGI environment will do.
    """
    found: dict[str, str] = {}
    try:
        if _policy[0].keys:
            found = _policy[0].read(_baggage.headers_of(headers))
    except Exception as error:  # noqa: BLE001 (the guard)
        _failed(error)
    return _context._ScopeBlock(found, modest=True)


def install(keys: Iterable[str], hosts: Iterable[str]) -> None:
    """Send these attributes to these hosts with every request of httpx, httpx2 and requests."""
    _policy[0] = _baggage.Policy(tuple(keys), tuple(hosts))
    if not _policy[0].keys or not _policy[0].hosts:
        _unhook()
        return
    for module in {target[0] for target in _CLIENTS}:
        if module in sys.modules:
            _imported(sys.modules[module])
        elif module not in _waiting:
            _waiting.add(module)
            wrapt.when_imported(module)(_imported)


def remove() -> None:
    """Send nothing, believe nothing, and leave the clients as they were."""
    _policy[0] = _NOBODY
    _unhook()


def _unhook() -> None:
    while _hooks:
        _hooks.popitem()[1].remove()


def _imported(module: Any) -> None:
    """Hook into a client: runs inside the user's own `import`, which must not notice."""
    try:
        for (name, path), wrapper in _CLIENTS.items():
            cls, _, method = path.partition(".")
            if name == module.__name__ and _policy[0].hosts and (name, path) not in _hooks:
                _hooks[name, path] = Hook(getattr(module, cls), method, wrapper)
    except Exception as error:  # noqa: BLE001 (the guard)
        _failed(error)


def _inject(headers: MutableMapping[str, Any], url: str) -> dict[str, Any] | None:
    """Add the header; where that was done, give what stood in its place."""
    here = otel.get_current()
    scope = _context.current(here)
    if scope is None or not scope.attributes or scope.suppressed or _context.suppressed(here):
        return None
    if _asks_a_model(scope) or not _policy[0].trusts(url):
        return None
    before = {name: headers[name] for name in headers if name.lower() == _baggage.HEADER}
    value = _policy[0].written(scope.attributes, ",".join(before.values()))
    if value:
        for name in before:
            del headers[name]
        headers[_baggage.HEADER] = value
    return before if value else None


def _asks_a_model(scope: _context.Scope) -> bool:
    """Whether a request made here is a provider's, even where it goes by way of a host that is listed."""
    call = scope.call
    return call is not None and bool(call.open) and call.bound.operation.name in s.PROVIDER_CALLS


def _before(request: Any) -> dict[str, Any] | None:
    try:
        return _inject(request.headers, str(request.url))
    except Exception as error:  # noqa: BLE001 (the guard)
        _failed(error)
    return None


def _after(request: Any, before: dict[str, Any] | None) -> None:
    """Take the header away again: a redirect's request is made from this one, and may go elsewhere."""
    if before is None:
        return
    try:
        request.headers.pop(_baggage.HEADER, None)
        request.headers.update(before)
    except Exception as error:  # noqa: BLE001 (the guard)
        _failed(error)


def _send(send: Any, _: Any, args: Any, kwargs: Any) -> Any:
    request = args[0] if args else kwargs.get("request")
    before = _before(request)
    try:
        return send(*args, **kwargs)
    finally:
        _after(request, before)


async def _asend(send: Any, _: Any, args: Any, kwargs: Any) -> Any:
    request = args[0] if args else kwargs.get("request")
    before = _before(request)
    try:
        return await send(*args, **kwargs)
    finally:
        _after(request, before)


def _failed(error: Exception) -> None:
    active().failed("context", "baggage", error)


_CLIENTS: dict[tuple[str, str], Wrapper] = {
    ("httpx", "HTTPTransport.handle_request"): _send,
    ("httpx", "AsyncHTTPTransport.handle_async_request"): _asend,
    ("httpx2", "HTTPTransport.handle_request"): _send,
    ("httpx2", "AsyncHTTPTransport.handle_async_request"): _asend,
    ("requests.adapters", "HTTPAdapter.send"): _send,
}
"""Where each client hands over one request, redirects apart."""
