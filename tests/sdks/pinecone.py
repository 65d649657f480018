"""Pinecone: https://docs.pinecone.io/reference/api/data-plane."""

from __future__ import annotations

import json
from typing import Any

from pinecone.async_client.async_index import AsyncIndex
from pinecone.index import Index

from sdks.kit import Reply, Sdk, Way

PROMPT = "Which vegetable rhymes with marmalade?"
NOTE = "An artichoke does not."


def client(url: str, colour: str) -> Any:
    """Make a client of one index."""
    return (AsyncIndex if colour == "async" else Index)(host=url, api_key="key")


MATCHES = {
    "matches": [
        {"id": "a", "score": 0.75, "values": [0.5, 0.25], "metadata": {"text": NOTE}},
        {"id": "b", "score": 0.5},
    ],
    "namespace": "",
    "usage": {"readUnits": 5},
}
HITS = {
    "result": {"hits": [{"_id": "a", "_score": 0.75, "fields": {"text": NOTE}}]},
    "usage": {"read_units": 6, "embed_total_tokens": 9},
}
SPAN = {
    "name": "retrieval",
    "attributes": {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.top_k": 2},
}
HIT = [{"id": "a", "score": 0.75, "metadata": {"text": NOTE}}]
WAYS = [
    Way(
        "query",
        lambda c: c.query(top_k=2, vector=[0.5, 0.25], include_metadata=True, include_values=True),
        [Reply(json.dumps(MATCHES).encode())],
        SPAN,
        documents=[*HIT, {"id": "b", "score": 0.5}],
    ),
    Way(
        "search",
        lambda c: c.search(namespace="n", top_k=2, inputs={"text": PROMPT}),
        [Reply(json.dumps(HITS).encode())],
        SPAN,
        query=PROMPT,
        documents=HIT,
    ),
]
if hasattr(Index, "documents"):  # from 10 on
    WAYS.append(
        Way(
            "search_nested",
            lambda c: c.search_records(namespace="n", query={"top_k": 2, "inputs": {"text": PROMPT}}),
            [Reply(json.dumps(HITS).encode())],
            SPAN,
            query=PROMPT,
            documents=HIT,
        )
    )
    WAYS.append(
        Way(
            "documents",
            lambda c: c.documents.search(
                namespace="n",
                top_k=2,
                score_by=[{"type": "text", "query": PROMPT, "fields": ["text"]}],
                include_fields=["text"],
            ),
            [
                Reply(
                    json.dumps(
                        {
                            "matches": [{"_id": "a", "_score": 0.75, "text": NOTE}],
                            "namespace": "n",
                            "usage": {"read_units": 1},
                        }
                    ).encode()
                )
            ],
            SPAN,
            query=PROMPT,
            documents=HIT,
        )
    )
SDK = Sdk(
    name="pinecone",
    client=client,
    ways=WAYS,
    refusal=Reply(b'{"code": 3, "message": "no marmalade", "details": []}', status=400),
    refused={"error.type": "ApiError", "http.response.status_code": 400},
    close=lambda c: c.close(),
    binds=True,
)
