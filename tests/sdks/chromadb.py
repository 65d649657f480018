"""Chroma: https://docs.trychroma.com/reference/python/collection."""

from __future__ import annotations

import json
import warnings
from typing import Any
from uuid import UUID

import chromadb
import numpy as np
from chromadb.api.async_fastapi import AsyncFastAPI
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.AsyncCollection import AsyncCollection
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings, System
from chromadb.types import Collection as Model

from sdks.kit import Reply, Sdk, Way

ID = UUID("8ecf0f7e-e806-47f8-96a1-4732ef42359e")
PROMPT = "Which vegetable rhymes with marmalade?"
NOTE = "An artichoke does not."


class Embed(chromadb.EmbeddingFunction[Any]):
    """Makes vectors of texts, by their length."""

    def __init__(self) -> None:
        """Need nothing."""

    def __call__(self, input: Any) -> Any:  # noqa: A002 (the SDK's name)
        """Make them."""
        return [np.array([len(text), 1.0], np.float32) for text in input]

    @staticmethod
    def name() -> str:
        """Give a name, as the SDK wants one."""
        return "lengths"

    def get_config(self) -> dict[str, Any]:
        """Have no configuration."""
        return {}

    @staticmethod
    def build_from_config(_: Any) -> Embed:
        """Make one."""
        return Embed()


def client(url: str, colour: str) -> Any:
    """Make a collection as a client of the server would give it; to ask for it is no search."""
    kind = AsyncFastAPI if colour == "async" else FastAPI
    settings = Settings(
        chroma_api_impl=f"{kind.__module__}.{kind.__name__}",
        chroma_server_host=url,
        chroma_server_http_port=0,
        anonymized_telemetry=False,
    )
    known = {"id": ID, "name": "notes", "tenant": "t", "database": "d", "dimension": 2}
    model = Model.from_json({**known, "configuration_json": {}})
    server = System(settings).instance(kind)
    of = AsyncCollection if colour == "async" else Collection
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of older versions, about its own configuration
        return of(client=server, model=model, embedding_function=Embed(), data_loader=None)


async def close(collection: Any) -> None:
    """Close what the SDK leaves open."""
    if isinstance(collection, AsyncCollection):
        await collection._client._cleanup()
    else:
        collection._client._session.close()


def local(*args: Any, **kwargs: Any) -> Any:
    """Query a collection in this process."""
    store = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        notes = store.get_or_create_collection("notes", embedding_function=Embed())
    notes.upsert(["a", "b"], documents=[NOTE, "A cucumber."], metadatas=[{"page": 1}, {"page": 2}])
    return notes.query(*args, **kwargs)


ANSWER = json.dumps(
    {
        "ids": [["a", "b"]],
        "distances": [[0.5, 2.25]],
        "documents": [[NOTE, "A cucumber."]],
        "metadatas": [[{"page": 1}, None]],
        "embeddings": None,
        "uris": None,
        "include": ["metadatas", "documents", "distances"],
    }
).encode()
FOUND = {
    "ids": [["a"], ["b"]],
    "scores": [[0.75], [0.5]],
    "documents": [[NOTE], None],
    "metadatas": [None, None],
    "embeddings": [None, None],
    "select": [["#document", "#score"], ["#score"]],
}
KNOWN = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "notes"}
SPAN = {"name": "retrieval notes", "attributes": {**KNOWN, "gen_ai.retrieval.top_k": 2}}
WAYS = [
    Way(
        "query",
        lambda c: c.query(query_texts=[PROMPT], n_results=2),
        [Reply(ANSWER)],
        SPAN,
        query=PROMPT,
        documents=[
            {"id": "a", "distance": 0.5, "content": NOTE, "metadata": {"page": 1}},
            {"id": "b", "distance": 2.25, "content": "A cucumber."},
        ],
    ),
    Way(
        "query_vectors",
        lambda c: c.query([[1.0, 2.0]], where_document={"$contains": "marmalade"}),
        [Reply(ANSWER)],
        {"name": "retrieval notes", "attributes": KNOWN},
        documents=[
            {"id": "a", "distance": 0.5, "content": NOTE, "metadata": {"page": 1}},
            {"id": "b", "distance": 2.25, "content": "A cucumber."},
        ],
    ),
    Way(
        "local",
        lambda _: local(query_texts=[PROMPT, "And with jam?"], n_results=1, include=["documents"]),
        [Reply()],
        {"name": "retrieval notes", "attributes": {**KNOWN, "gen_ai.retrieval.top_k": 1}},
        query=[PROMPT, "And with jam?"],
        documents=[{"id": "a", "content": NOTE}, {"id": "b", "content": "A cucumber."}],
        colours=("sync",),
        is_local=True,
    ),
]
if hasattr(Collection, "search"):  # from 1.2 on
    WAYS.append(
        Way(
            "search",
            lambda c: c.search(
                [
                    chromadb.Search().rank(chromadb.Knn(PROMPT) * 0.5 + chromadb.Knn([1.0, 2.0])).limit(3),
                    chromadb.Search().rank(chromadb.Knn("And with jam?")).limit(3),
                ]
            ),
            [Reply(json.dumps(FOUND).encode())],
            {"name": "retrieval notes", "attributes": {**KNOWN, "gen_ai.retrieval.top_k": 3}},
            query=[PROMPT, "And with jam?"],
            documents=[{"id": "a", "score": 0.75, "content": NOTE}, {"id": "b", "score": 0.5}],
        )
    )
SDK = Sdk(
    name="chromadb",
    client=client,
    ways=WAYS,
    refusal=Reply(b'{"error": "Overloaded", "message": "marmalade"}', status=503),
    refused={"error.type": "Exception", "http.response.status_code": 503},
    close=close,
)
