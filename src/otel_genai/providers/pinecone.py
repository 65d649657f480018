"""Pinecone: queries and searches of an index, over HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from otel_genai import semconv as s
from otel_genai.providers import _search
from otel_genai.providers.surface import at
from otel_genai.spec import Attributes, Body, Provider, Server


def server(index: Any, _: Body) -> Server:
    """Say which host is asked: every index has its own."""
    return at(_search.NOBODY, index._host if "://" in index._host else f"https://{index._host}")


def source(index: Any) -> str | None:
    """Name the index by its host, `name-project.svc.region.pinecone.io`, as nothing else does."""
    host = urlsplit(index._host if "://" in index._host else f"//{index._host}").hostname or ""
    # https://docs.pinecone.io/guides/manage-data/target-an-index
    return host.partition(".")[0].rpartition("-")[0] if host.endswith(".pinecone.io") else None


def error(raised: Any) -> Attributes:
    """Read the HTTP status of a refusal."""
    return {s.HTTP_STATUS_CODE: getattr(raised, "status_code", None)}


# --- By vectors ------------------------------------------------------------------------------------------


def nothing(_: Body) -> None:
    """Say nothing: a query is a vector, or an id."""


def matches(r: Any) -> list[dict[str, Any]]:
    """Read what was found, without vectors."""
    return [_search.document(id=one.id, score=one.score, metadata=one.metadata) for one in r.matches]


# --- By words --------------------------------------------------------------------------------------------


def _record(query: Any) -> Mapping[str, Any]:
    """Give the fields of a query, of the SDK's type or plain."""
    found: Mapping[str, Any] = query if isinstance(query, Mapping) else query.to_dict()
    return found


def flat(body: Body) -> Body:
    """Lay the older nested form of a search out flat."""
    return {**body, **_record(body["query"])} if body.get("query") is not None else body


def wanted(body: Body) -> Any:
    """Read the text searched for."""
    inputs = body.get("inputs")
    return inputs.get("text") if isinstance(inputs, Mapping) else None


def hits(r: Any) -> list[dict[str, Any]]:
    """Read what was found."""
    return [_search.document(id=one.id, score=one.score, metadata=one.fields) for one in r.result.hits]


def clauses(body: Body) -> Any:
    """Read the texts by which documents are scored; a clause may be a vector."""
    given = [
        one.get("query") if isinstance(one, Mapping) else getattr(one, "query", None)
        for one in body["score_by"]
    ]
    return _search.text([one for one in given if isinstance(one, str)])


def found(r: Any) -> list[dict[str, Any]]:
    """Read the documents found."""
    return [
        _search.document(id=one.id, score=one.score, metadata=_fields(one.to_dict())) for one in r.matches
    ]


def _fields(document: Mapping[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in document.items() if name not in ("_id", "_score")} or None


# --- The declaration -------------------------------------------------------------------------------------

LIMIT = {"top_k": s.RETRIEVAL_TOP_K}
QUERY = _search.operation(LIMIT, None, nothing, matches, error)
SEARCH = _search.operation(LIMIT, None, wanted, hits, error)
DOCUMENTS = _search.operation(LIMIT, None, clauses, found, error)
_QUERY = _search.Search(QUERY, server, source=source)
_SEARCH = _search.Search(SEARCH, server, body=flat, source=source)
_DOCUMENTS = _search.Search(DOCUMENTS, server, source=source)
HOOKS = {
    "pinecone.index:Index.query": _QUERY,
    "pinecone.index:Index.search": _SEARCH,
    "pinecone.async_client.async_index:AsyncIndex.query": _QUERY,
    "pinecone.async_client.async_index:AsyncIndex.search": _SEARCH,
    "pinecone.grpc:GrpcIndex.query": _QUERY,
    "pinecone.grpc:GrpcIndex.search": _SEARCH,
    "pinecone.client.documents:Documents.search": _DOCUMENTS,
    "pinecone.async_client.documents:AsyncDocuments.search": _DOCUMENTS,
}
PROVIDER = Provider(
    "pinecone",
    requires="pinecone >= 9.0.1",
    hooks=HOOKS,
    optional=frozenset(target for target in HOOKS if "Documents" in target),
)
