"""The seam of SDKs that are best watched where they are called: the arguments, by name, are the body."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from otel_genai.providers import _ask
from otel_genai.spec import Body, Operation, Request, Server


@functools.lru_cache(maxsize=1000)
def at(provider: str, url: str) -> Server:
    """Say who answers at a URL; its parts take microseconds to read, so once per URL."""
    try:
        parts = urlsplit(url)
        return Server(provider, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme))
    except ValueError:  # no URL: the SDK's to refuse
        return Server(provider)


def _itself(result: Any) -> Any:
    return result


@dataclass(frozen=True, slots=True)
class Surface:
    """A function or a method of an SDK.

    Args:
        operation: what a call is, or a function that says so by the body; None is no call of ours.
        server: who answers, by client (None for a plain function) and body.
        names: the names of positional parameters, in their order.
        streams: whether the result is a stream, or a function that says so by the body.
        body: brings what was given into the form that tables and readers read.
        events: where in the result the stream is.
        iterables: what may be given as any iterable, which the SDK reads once.
    """

    operation: Operation | Callable[[Body], Operation | None]
    server: Callable[[Any, Body], Server]
    names: tuple[str, ...] = ()
    streams: bool | Callable[[Body], bool] = False
    body: Callable[[Body], Body] | None = None
    events: Callable[[Any], Any] = _itself
    iterables: tuple[str, ...] = ()

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say which operation this is."""
        given = {**dict(zip(self.names, args, strict=False)), **kwargs} if args else kwargs
        operation = self.operation if isinstance(self.operation, Operation) else self.operation(given)
        if operation is None:
            return None
        stream = self.streams if isinstance(self.streams, bool) else bool(self.streams(given))
        server = self.server(client, given)
        return Request(operation, self._body(given), server, stream, args, kwargs)

    def _body(self, given: Body) -> Body:
        if self.body is None:
            return given
        try:
            return self.body(given)
        except (AttributeError, LookupError, TypeError, ValueError):  # not what the SDK's types say
            return given

    def hold(self, request: Request) -> None:
        """List one-shot iterators, so that they can be read and still be sent."""
        for key in self.iterables:
            value: Any = request.body.get(key)
            if not hasattr(type(value), "__next__"):
                continue
            held = list(value)
            request.body = {**request.body, key: held}
            self._give(request, key, held)

    def _give(self, request: Request, key: str, value: Any) -> None:
        """Go on with another argument, where the caller's stands."""
        at = self.names.index(key) if key in self.names else len(request.args)
        if at < len(request.args):
            request.args = (*request.args[:at], value, *request.args[at + 1 :])
        else:
            request.kwargs = {**request.kwargs, key: value}

    def ask(self, request: Request) -> bool:
        """Ask for the usage of a stream, where this SDK's is told only then."""
        extra = _ask.addition(request)
        if not extra or len(request.args) > len(self.names):
            return False  # nothing says what the last of the arguments are
        for key, value in extra.items():
            self._give(request, key, value)
        return True

    def stream_class(self, request: Request) -> type[Any] | None:  # noqa: ARG002 (as of every seam)
        """Say that no caller chooses the class of a stream here."""
        return None

    def with_stream_class(self, request: Request, cls: type[Any]) -> None:
        """Leave the stream as the SDK makes it."""

    def stream(self, request: Request, result: Any) -> Any:
        """Give the stream in the result, if it is one."""
        return self.events(result) if request.stream else None

    def unread(self, result: Any) -> Any:  # noqa: ARG002 (as of every seam)
        """Say that the SDK has read the answer."""
        return None

    def answer(self, request: Request, result: Any) -> Any:  # noqa: ARG002 (as of every seam)
        """Give the SDK's own object."""
        return result
