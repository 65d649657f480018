"""Chroma: what makes vectors of a query is a call of its own, beneath the search."""

from __future__ import annotations

import pytest

from otel_genai.demo.standin import StandIn
from otel_genai.testing import capture

chromadb = pytest.importorskip("chromadb", reason="pip install 'otel-genai[frameworks]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK's own, about keys that would be stored


def test_an_embedding_function_is_told_beneath_the_search() -> None:
    """Chroma's own function for OpenAI calls OpenAI's SDK: one span each, and no vector anywhere."""
    from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction  # noqa: PLC0415 (if it is there)

    store = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
    with StandIn() as api, capture("chromadb", "openai", capture="SPAN_ONLY") as seen:
        embed = OpenAIEmbeddingFunction(api_key="none", api_base=api.url, model_name="text-embedding-3-small")
        notes = store.get_or_create_collection("embedded", embedding_function=embed)
        notes.upsert(["a"], documents=["An artichoke."])
        found = notes.query(query_texts=["Which vegetable?"], n_results=1)
    assert found["ids"] == [["a"]]
    told = [(span["name"], span["kind"], span["parent"]) for span in seen.spans]
    assert told == [
        ("embeddings text-embedding-3-small", "CLIENT", None),
        ("embeddings text-embedding-3-small", "CLIENT", "retrieval embedded"),
        ("retrieval embedded", "CLIENT", None),
    ]
    vector = notes.get(["a"], include=["embeddings"])["embeddings"][0]
    assert str(float(vector[0]))[:7] not in str(seen.spans)
