"""Qdrant: searches by points, in this process or on a server, over HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import semconv as s
from otel_genai.providers import _search
from otel_genai.providers.surface import at
from otel_genai.spec import Attributes, Body, Operation, Provider, Server


def server(client: Any, _: Body) -> Server:
    """Say which server is asked; a store in this process has none."""
    remote = client._client
    if getattr(remote, "_prefer_grpc", False):
        return Server(_search.NOBODY, remote._host, remote._grpc_port)
    return at(_search.NOBODY, getattr(remote, "rest_uri", ""))


def error(raised: Any) -> Attributes:
    """Read the HTTP status of a refusal."""
    return {s.HTTP_STATUS_CODE: getattr(raised, "status_code", None)}


# --- What was asked --------------------------------------------------------------------------------------


def asked(body: Body) -> list[Any]:
    """Give what was searched for: a text or a vector, alone or in a query of another kind."""
    requests = body.get("requests")
    queries = [body.get("query")] if requests is None else [request.query for request in requests]
    return [getattr(query, "nearest", query) for query in queries]


def query(body: Body) -> Any:
    """Read the texts searched for; what is a string alone is a point's id."""
    texts = [getattr(one, "text", None) for one in asked(body)]
    return _search.text([text for text in texts if isinstance(text, str)])


def batch(body: Body) -> Attributes:
    """Say how many points are wanted at most, where that is the same for all."""
    limits = {request.limit for request in body["requests"]}
    return {s.RETRIEVAL_TOP_K: limits.pop() if len(limits) == 1 else None, **model(body)}


def model(body: Body) -> Attributes:
    """Say which model makes vectors of the texts, where it is part of the request."""
    models = {getattr(one, "model", None) for one in asked(body)}
    return {s.REQUEST_MODEL: models.pop() if len(models) == 1 else None}


# --- What was found --------------------------------------------------------------------------------------


def points(found: Any) -> list[dict[str, Any]]:
    """Read points, without their vectors."""
    return [_search.document(id=str(one.id), score=one.score, metadata=one.payload) for one in found]


def response(r: Any) -> list[dict[str, Any]]:
    """Read what was found."""
    return points(r.points)


def responses(r: Any) -> list[dict[str, Any]]:
    """Read what was found for all requests."""
    return [point for one in r for point in points(one.points)]


def groups(r: Any) -> list[dict[str, Any]]:
    """Read what was found in all groups."""
    return [point for group in r.groups for point in points(group.hits)]


# --- The declaration -------------------------------------------------------------------------------------

LIMIT = {"collection_name": s.DATA_SOURCE_ID, "limit": s.RETRIEVAL_TOP_K}
BATCH = _search.operation({"collection_name": s.DATA_SOURCE_ID}, batch, query, responses, error)
QUERY = _search.operation(LIMIT, model, query, response, error)
GROUPS = _search.operation(LIMIT, model, query, groups, error)
SEARCH = _search.operation(LIMIT, None, query, points, error)
"""The older calls, by a vector or by points that are like or unlike what is wanted."""
_QUERY = ("collection_name", "query", "using", "prefetch", "query_filter", "search_params", "limit")
_GROUPS = (
    "collection_name",
    "group_by",
    "query",
    "using",
    "prefetch",
    "query_filter",
    "search_params",
    "limit",
)
_SEARCH = ("collection_name", "query_vector", "query_filter", "search_params", "limit")
METHODS: Mapping[str, tuple[Operation, tuple[str, ...]]] = {
    "query_points": (QUERY, _QUERY),
    "query_batch_points": (BATCH, ("collection_name", "requests")),
    "query_points_groups": (GROUPS, _GROUPS),
    "search": (SEARCH, _SEARCH),
    "recommend": (SEARCH, ("collection_name",)),
    "discover": (SEARCH, ("collection_name",)),
}
HOOKS = {
    f"qdrant_client.{module}:{cls}.{method}": _search.Search(operation, server, names=names)
    for module, cls in (("qdrant_client", "QdrantClient"), ("async_qdrant_client", "AsyncQdrantClient"))
    for method, (operation, names) in METHODS.items()
}
PROVIDER = Provider(
    "qdrant",
    requires="qdrant-client >= 1.10",
    hooks=HOOKS,
    optional=frozenset(
        target for target in HOOKS if target.endswith(("search", "recommend", "discover", "groups"))
    ),
)
