"""One operation of one provider, with all that the settings decide resolved beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.trace import SpanKind

from otel_genai import _servers, content
from otel_genai import semconv as s
from otel_genai._gate import Gate
from otel_genai._telemetry import Meters, Telemetry
from otel_genai.spec import Attributes, Operation, Request

BAD_DATA = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a pure reader raises on a body that is not what the SDK's types say: absent, not a failure."""

_JSON = frozenset({str, int, float, bool, list, dict})
_LONG = 2**63
"""The first integer that is too long for an attribute."""


class Bound:
    """What all calls of one operation share."""

    __slots__ = (
        "constants", "contents", "costs", "gate", "kind", "meters", "operation", "results", "rows",
        "servers", "target", "telemetry", "who",
    )  # fmt: skip

    def __init__(
        self, telemetry: Telemetry, provider: str, operation: Operation, kind: SpanKind = SpanKind.CLIENT
    ) -> None:
        """Choose now what every call would otherwise ask."""
        settings = telemetry.settings
        self.telemetry = telemetry
        self.who = (provider, operation.name)
        self.operation = operation
        self.kind = SpanKind.SERVER if operation.is_served else kind
        self.servers = _servers.by_address(settings.hosts)
        remote = kind is SpanKind.CLIENT
        signals = operation.signals or s.signals(operation.name, settings.semconv, remote=remote)
        self.target = signals.target
        self.meters = Meters(telemetry, operation.name, remote=remote, signals=operation.signals)
        own = {} if operation.signals else {s.OPERATION_NAME: operation.name}
        self.constants = {**own, **operation.constants}
        table = operation.request.items()
        self.rows = [(key, row, None) if isinstance(row, str) else (key, *row) for key, row in table]
        self.gate = Gate(settings, self.constants.get(s.OPERATION_NAME, operation.name))
        self.costs = telemetry.costs if operation.name in s.MODEL_CALLS else None
        readers = {
            s.SYSTEM_INSTRUCTIONS: operation.instructions,
            s.INPUT_MESSAGES: operation.inputs,
            s.TOOL_DEFINITIONS: operation.tools,
            **operation.contents,
        }
        self.contents = {key: reader for key, reader in readers.items() if reader}
        said = {s.OUTPUT_MESSAGES: operation.outputs} if operation.outputs else {}
        self.results = [*said.items(), *operation.results.items()]

    def request(self, request: Request) -> Attributes:
        """Say in attributes what was asked."""
        server, body = request.server, request.body
        attributes = self.constants.copy()
        if server.provider:
            attributes[s.PROVIDER_NAME] = server.provider
        if server.address:
            self._place(attributes, server.address, server.port)
        if request.stream:
            attributes[s.REQUEST_STREAM] = True
        for key, name, conversion in self.rows:
            value = body.get(key)
            kind = type(value)
            if value is None or (kind not in _JSON and not _is_given(value)):
                continue  # unknown, or what an SDK has in place of what was not given
            if conversion is not None and conversion is not kind:
                value = _attempt(conversion, value, request)  # in the attribute's own type
                kind = type(value)
            if (
                (kind is str and value.isascii())
                or (kind is int and 0 <= value < _LONG)
                or kind is float
                or (value := clean(value)) is not None
            ):
                attributes[name] = value
        if self.operation.derived is not None:
            derived = _attempt(self.operation.derived, body, request)
            if derived:
                attributes.update(cleaned(derived))
        return attributes

    def _place(self, attributes: Attributes, host: str, port: int | None) -> None:
        """Say where the call goes, and who that is by the settings, if they know."""
        attributes[s.SERVER_ADDRESS] = host
        if port:
            attributes[s.SERVER_PORT] = port
        if self.servers and (name := self.servers.get((host, port)) or self.servers.get((host, None))):
            attributes[s.PROVIDER_NAME] = name


def _is_given(value: Any) -> bool:
    """Whether a value is not what an SDK has in place of one; a caller's own type may refuse to say."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 (the caller's own)
        return False


def _attempt(reader: Callable[[Any], Any], value: Any, request: Request) -> Any:
    """Have a provider's function read what the caller wrote; None where it cannot be read."""
    try:
        return reader(value)
    except BAD_DATA:
        return None
    except Exception as error:  # noqa: BLE001 (the guard)
        request.failures += (error,)
        return None


def cleaned(*given: Attributes) -> Attributes:
    """Give what attributes can hold; what is unknown is left out."""
    fit = {}
    for found in given:
        for key, value in found.items():
            if value is None:
                continue
            kind = type(value)
            if (
                (kind is int and 0 <= value < _LONG)
                or (kind is str and value.isascii() and key not in s.USAGE)
                or (value := clean(value, key)) is not None
            ):
                fit[key] = value
    return fit


def clean(value: Any, key: str = "") -> Any:
    """Keep what an attribute can hold; None for the rest."""
    if key in s.USAGE:
        return value if type(value) is int and 0 <= value < _LONG else None
    if type(value) is list and len(value) == 1 and type(value[0]) is str and value[0].isascii():
        return [value[0]]  # most lists are of this kind
    if isinstance(value, str):
        return content.sendable(str.__str__(value))  # of an enum, its value
    if isinstance(value, (bool, float)):
        return value if isinstance(value, bool) else float(value)
    if isinstance(value, int):
        return int(value) if -_LONG <= value < _LONG else None
    return _clean_list(value, key) if isinstance(value, (list, tuple)) else None


def _clean_list(given: Any, key: str) -> list[Any] | None:
    """Keep a list of items that are all known and of one type; a finish reason may be still to come."""
    items = [None if isinstance(item, (list, tuple)) else clean(item) for item in given]
    types = {type(item) for item in items if item is not None}
    unknown = None in items and key != s.RESPONSE_FINISH_REASONS
    return None if unknown or len(types) > 1 or not items else items
