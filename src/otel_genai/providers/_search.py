"""Searches in vector stores: what the stores' providers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_genai import semconv as s
from otel_genai.providers.surface import Surface
from otel_genai.spec import Attributes, Body, Operation, Request, Row

NOBODY = ""
"""The provider of a search: a store is none of GenAI."""
SOURCE = "otel_genai.source"
"""What was searched, in a body."""


@dataclass(frozen=True, slots=True)
class Search(Surface):
    """A method that searches; what it searches may be known to its client alone."""

    source: Callable[[Any], str | None] | None = None

    def request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Say what is searched, too."""
        request = Surface.request(self, client, args, kwargs)
        if request is not None and self.source is not None:
            request.body = {**request.body, SOURCE: self.source(client)}
        return request


def operation(
    request: Mapping[str, Row],
    derived: Callable[[Body], Attributes] | None,
    query: Callable[[Body], Any],
    documents: Callable[[Any], Any],
    error: Callable[[Any], Attributes] | None = None,
) -> Operation:
    """Make the operation of a store's search."""
    return Operation(
        name=s.RETRIEVAL,
        request={SOURCE: s.DATA_SOURCE_ID, **request},
        derived=derived,
        contents={s.RETRIEVAL_QUERY_TEXT: query},
        results={s.RETRIEVAL_DOCUMENTS: documents},
        error=error,
    )


def text(found: list[str]) -> Any:
    """Give the one text that was searched for, or all of them."""
    return found[0] if len(found) == 1 else found


def document(**known: Any) -> dict[str, Any]:
    """Give a document as it is told: without what is not known of it."""
    return {name: value for name, value in known.items() if value is not None}
