"""Chroma: queries and searches of a collection, in this process or over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otel_genai import semconv as s
from otel_genai.providers import _search
from otel_genai.providers.surface import at
from otel_genai.spec import Attributes, Body, Provider, Server


def server(collection: Any, _: Body) -> Server:
    """Say which server is asked; a collection in this process has none."""
    return at(_search.NOBODY, getattr(collection._client, "_api_url", ""))


def source(collection: Any) -> str:
    """Name the collection."""
    name: str = collection.name
    return name


def error(raised: Any) -> Attributes:
    """Read the HTTP status of a refusal that Chroma has no class for: its exception is that of the client."""
    answer = getattr(raised.__context__, "response", None)
    return {s.HTTP_STATUS_CODE: getattr(answer, "status_code", None)}


# --- Queries ---------------------------------------------------------------------------------------------


def query(body: Body) -> Any:
    """Read the texts searched for; a query may be vectors, or images."""
    texts = body.get("query_texts")
    return _search.text([texts] if isinstance(texts, str) else list(texts or ()))


def documents(found: Any) -> list[dict[str, Any]]:
    """Read what was found: a distance is no score, as less of it is better."""
    return [
        _search.document(id=name, distance=distance, score=score, content=text, metadata=metadata)
        for name, distance, score, text, metadata in zip(
            *(_column(found, name) for name in ("ids", "distances", "scores", "documents", "metadatas")),
            strict=True,
        )
    ]


def _column(found: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Give one column of the answers to all queries, one after the other; it may not have been asked for."""
    lengths = [len(ids) for ids in found["ids"]]
    columns = found.get(name) or [None] * len(lengths)
    for column, length in zip(columns, lengths, strict=True):
        yield from column if column is not None else [None] * length


# --- Searches --------------------------------------------------------------------------------------------


def searches(body: Body) -> list[dict[str, Any]]:
    """Read the searches, of which one may be given alone."""
    given: Any = body["searches"]
    return [one.to_dict() for one in (given if isinstance(given, list) else [given])]


def limit(body: Body) -> Attributes:
    """Say how many documents are wanted at most, where that is the same for all."""
    limits = {one["limit"].get("limit") for one in searches(body)}
    return {s.RETRIEVAL_TOP_K: limits.pop() if len(limits) == 1 else None}


def searched(body: Body) -> Any:
    """Read the texts that the ranking compares with."""
    return _search.text([text for one in searches(body) for text in _texts(one.get("rank"))])


def _texts(rank: Any) -> Iterator[str]:
    """Go through a ranking: an expression whose leaves compare with a text, or with a vector."""
    for key, value in rank.items() if isinstance(rank, dict) else ():
        if key == "$knn" and isinstance(value["query"], str):
            yield value["query"]
        for part in value if isinstance(value, list) else [value]:
            yield from _texts(part)


# --- The declaration -------------------------------------------------------------------------------------

QUERY = _search.operation({"n_results": s.RETRIEVAL_TOP_K}, None, query, documents, error)
SEARCH = _search.operation({}, limit, searched, documents, error)
_QUERY = (
    "query_embeddings", "query_texts", "query_images", "query_uris", "ids", "n_results",
)  # fmt: skip
SURFACES = {
    "query": _search.Search(QUERY, server, names=_QUERY, source=source),
    "search": _search.Search(SEARCH, server, names=("searches",), source=source),
}
HOOKS = {
    f"chromadb.api.models.{cls}:{cls}.{method}": surface
    for cls in ("Collection", "AsyncCollection")
    for method, surface in SURFACES.items()
}
PROVIDER = Provider(
    "chromadb",
    requires="chromadb >= 1.0",
    hooks=HOOKS,
    optional=frozenset(target for target in HOOKS if target.endswith("search")),
)
