"""One operation of one provider, with all that the settings decide resolved beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.trace import SpanKind

from otel_genai import semconv as s
from otel_genai._telemetry import Meters, Telemetry
from otel_genai.spec import Attributes, Operation, Request

BAD_DATA = (AttributeError, LookupError, TypeError, ValueError)
"""What a pure reader raises on a body that is not what the SDK's types say: absent, not a failure."""

_PLAIN = frozenset({str, int, float, bool})
_JSON = _PLAIN | {list, dict}


class Bound:
    """What all calls of one operation share."""

    __slots__ = (
        "captures", "constants", "contents", "emits", "kind", "meters", "on_event", "on_span", "operation",
        "target", "telemetry", "who",
    )  # fmt: skip

    def __init__(
        self, telemetry: Telemetry, provider: str, operation: Operation, kind: SpanKind = SpanKind.CLIENT
    ) -> None:
        """Choose now what every call would otherwise ask."""
        settings = telemetry.settings
        self.telemetry = telemetry
        self.who = (provider, operation.name)
        self.operation = operation
        self.kind = kind
        self.target = s.signals(operation.name, settings.semconv).target
        self.meters = Meters(telemetry, operation.name)
        self.constants = {s.OPERATION_NAME: operation.name, **operation.constants}
        self.emits = settings.events and operation.name in s.INFERENCE
        self.on_span = settings.capture.on_span
        self.on_event = settings.capture.on_event and self.emits
        self.captures = self.on_span or self.on_event
        readers = {
            s.SYSTEM_INSTRUCTIONS: operation.instructions,
            s.INPUT_MESSAGES: operation.inputs,
            s.TOOL_DEFINITIONS: operation.tools,
        }
        self.contents = {key: reader for key, reader in readers.items() if reader and self.captures}

    def request(self, request: Request) -> Attributes:
        """Say in attributes what was asked."""
        server, table = request.server, self.operation.request
        attributes = self.constants.copy()
        attributes[s.PROVIDER_NAME] = server.provider
        if server.address:
            attributes[s.SERVER_ADDRESS] = server.address
            if server.port:
                attributes[s.SERVER_PORT] = server.port
        if request.stream:
            attributes[s.REQUEST_STREAM] = True
        for key, value in request.body.items():
            row = table.get(key)
            if row is None or value is None or (type(value) not in _JSON and not value):
                continue  # unknown, or what an SDK has in place of what was not given
            name = row if isinstance(row, str) else row[0]
            if not isinstance(row, str):
                value = _attempt(row[1], value, request)  # noqa: PLW2901 (in the attribute's own type)
            if type(value) in _PLAIN or (value := clean(value)) is not None:
                attributes[name] = value
        if self.operation.derived is not None:
            attributes.update(cleaned(_attempt(self.operation.derived, request.body, request) or {}))
        return attributes


def _attempt(reader: Callable[[Any], Any], value: Any, request: Request) -> Any:
    """Have a provider's function read what the caller wrote; None where it cannot be read."""
    try:
        return reader(value)
    except BAD_DATA:
        return None
    except Exception as error:  # noqa: BLE001 (the guard)
        request.failures.append(error)
        return None


def cleaned(found: Attributes) -> Attributes:
    """Keep what attributes can hold, and drop what is unknown."""
    kept: Attributes = {}
    for key, value in found.items():
        kind = type(value)
        if not ((kind is str and key not in s.USAGE) or (kind is int and value >= 0)):
            value = clean(value, key)  # noqa: PLW2901 (rarely)
        if value is not None:
            kept[key] = value
    return kept


def clean(value: Any, key: str = "") -> Any:
    """Keep what an attribute can hold; None for the rest."""
    if key in s.USAGE:
        return value if type(value) is int and value >= 0 else None
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        items = [item if item is None else clean(item) for item in value]
        return items if items and (key == s.RESPONSE_FINISH_REASONS or None not in items) else None
    if isinstance(value, str):
        return str.__str__(value)  # of an enum, its value
    for base in (int, float):
        if isinstance(value, base):
            return base(value)
    return None
