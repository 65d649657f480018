"""Vector stores: which index a host is of, and which server a client asks; no SDK is needed for that."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from otel_genai.providers import chromadb, pinecone, qdrant


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("https://docs-example-4zo0ijk.svc.us-east1-aws.pinecone.io", "docs-example"),
        ("docs-4zo0ijk.svc.aped-4627-b74a.pinecone.io", "docs"),
        ("http://localhost:5081", None),
        ("https://pinecone.io.example", None),
    ],
)
def test_an_index_is_named_by_its_host(host: str, name: str | None) -> None:
    """Where the host is one of Pinecone's; elsewhere nothing says the name."""
    assert pinecone.source(SimpleNamespace(_host=host)) == name


def test_a_host_without_a_scheme_is_reached_by_https() -> None:
    """As the SDK does."""
    server = pinecone.server(SimpleNamespace(_host="docs-4zo0ijk.svc.eu.pinecone.io"), {})
    assert (server.provider, server.address, server.port) == ("", "docs-4zo0ijk.svc.eu.pinecone.io", 443)


def test_grpc_has_a_port_of_its_own() -> None:
    """Qdrant's client speaks HTTP on one port, and gRPC on another, if it is to."""
    remote = SimpleNamespace(_prefer_grpc=True, _host="db", _grpc_port=6334, rest_uri="http://db:6333")
    server = qdrant.server(SimpleNamespace(_client=remote), {})
    assert (server.address, server.port) == ("db", 6334)
    remote._prefer_grpc = False
    server = qdrant.server(SimpleNamespace(_client=remote), {})
    assert (server.address, server.port) == ("db", 6333)


def test_a_store_in_this_process_has_no_server() -> None:
    """Neither Chroma's nor Qdrant's."""
    for find in (chromadb.server, qdrant.server):
        assert find(SimpleNamespace(_client=SimpleNamespace()), {}).address is None
