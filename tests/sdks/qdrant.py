"""Qdrant: https://api.qdrant.tech/api-reference/search."""

from __future__ import annotations

import json
from typing import Any

import qdrant_client
from qdrant_client import models

from sdks.kit import Reply, Sdk, Way

PROMPT = "Which vegetable rhymes with marmalade?"
NOTE = "An artichoke does not."
MODEL = "sentence-transformers/all-minilm-l6-v2"


def client(url: str, colour: str) -> Any:
    """Make a client; the server makes the vectors."""
    kind = qdrant_client.AsyncQdrantClient if colour == "async" else qdrant_client.QdrantClient
    more = {"cloud_inference": True, "check_compatibility": False} if NEW else {}
    return kind(url=url, timeout=20, **more)


NEW = "cloud_inference" in qdrant_client.QdrantClient.__init__.__annotations__


def local(ask: Any) -> Any:
    """Ask a store in this process."""
    store = qdrant_client.QdrantClient(":memory:")
    size = models.VectorParams(size=2, distance=models.Distance.DOT)
    store.create_collection("notes", vectors_config=size)
    store.upsert("notes", [models.PointStruct(id=1, vector=[1.0, 0.5], payload={"text": NOTE})])
    return ask(store)


async def alocal(ask: Any) -> Any:
    """Do the same with a client of the other colour."""
    store = qdrant_client.AsyncQdrantClient(":memory:")
    size = models.VectorParams(size=2, distance=models.Distance.DOT)
    await store.create_collection("notes", vectors_config=size)
    await store.upsert("notes", [models.PointStruct(id=1, vector=[1.0, 0.5], payload={"text": NOTE})])
    return await ask(store)


def answer(result: Any) -> Reply:
    """Wrap a result as the server does."""
    return Reply(json.dumps({"result": result, "status": "ok", "time": 0.001}).encode())


POINTS = [
    {"id": 1, "version": 3, "score": 0.75, "payload": {"text": NOTE}, "vector": None},
    {"id": "8ecf0f7e-e806-47f8-96a1-4732ef42359e", "version": 3, "score": 0.5, "payload": None},
]
FOUND = [
    {"id": "1", "score": 0.75, "metadata": {"text": NOTE}},
    {"id": "8ecf0f7e-e806-47f8-96a1-4732ef42359e", "score": 0.5},
]
KNOWN = {
    "gen_ai.operation.name": "retrieval",
    "gen_ai.data_source.id": "notes",
    "gen_ai.retrieval.top_k": 2,
}
SPAN = {"name": "retrieval notes", "attributes": KNOWN}
ASKED = {"name": "retrieval notes", "attributes": {**KNOWN, "gen_ai.request.model": MODEL}}
WORDS = models.Document(text=PROMPT, model=MODEL) if hasattr(models, "Document") else None
WAYS = [
    Way(
        "query_points",
        lambda c: c.query_points("notes", [0.5, 0.25], limit=2),
        [answer({"points": POINTS})],
        SPAN,
        documents=FOUND,
    ),
    Way(
        "query_batch_points",
        lambda c: c.query_batch_points(
            "notes", [models.QueryRequest(query=[0.5, 0.25], limit=2), models.QueryRequest(query=1, limit=2)]
        ),
        [answer([{"points": POINTS[:1]}, {"points": POINTS[1:]}])],
        SPAN,
        documents=FOUND,
    ),
    Way(
        "local",
        lambda _: local(lambda store: store.query_points("notes", [0.5, 0.25], limit=2)),
        [Reply()],
        SPAN,
        documents=[{"id": "1", "score": 0.625, "metadata": {"text": NOTE}}],
        colours=("sync",),
        is_local=True,
    ),
    Way(
        "alocal",
        lambda _: alocal(lambda store: store.query_points("notes", [0.5, 0.25], limit=2)),
        [Reply()],
        SPAN,
        documents=[{"id": "1", "score": 0.625, "metadata": {"text": NOTE}}],
        colours=("async",),
        is_local=True,
    ),
]
if NEW:
    WAYS += [
        Way(
            "words",
            lambda c: c.query_points("notes", WORDS, limit=2),
            [answer({"points": POINTS})],
            ASKED,
            query=PROMPT,
            documents=FOUND,
        ),
        Way(
            "words_batch",
            lambda c: c.query_batch_points(
                collection_name="notes",
                requests=[models.QueryRequest(query=models.NearestQuery(nearest=WORDS), limit=2)],
            ),
            [answer([{"points": POINTS}])],
            ASKED,
            query=PROMPT,
            documents=FOUND,
        ),
    ]
if hasattr(qdrant_client.QdrantClient, "query_points_groups"):  # from 1.11 on
    WAYS.append(
        Way(
            "query_points_groups",
            lambda c: c.query_points_groups("notes", "page", query=[0.5, 0.25], limit=2),
            [answer({"groups": [{"id": "1", "hits": POINTS[:1]}, {"id": "2", "hits": POINTS[1:]}]})],
            SPAN,
            documents=FOUND,
        )
    )
if hasattr(qdrant_client.QdrantClient, "search"):  # until 1.16
    WAYS.append(
        Way(
            "search",
            lambda c: c.search("notes", [0.5, 0.25], limit=2),
            [answer(POINTS)],
            SPAN,
            documents=FOUND,
        )
    )
SDK = Sdk(
    name="qdrant",
    client=client,
    ways=WAYS,
    refusal=Reply(b'{"status": {"error": "Not found: marmalade"}, "time": 0.001}', status=404),
    refused={"error.type": "UnexpectedResponse", "http.response.status_code": 404},
    close=lambda c: c.close(),
)
