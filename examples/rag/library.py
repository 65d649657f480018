"""The library: documents in a vector store inside the process, found by their meaning."""

from __future__ import annotations

from documents import DOCUMENTS
from openai import AsyncOpenAI
from qdrant_client import AsyncQdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

SHELF = "city-guide"
EMBEDDING = "text-embedding-3-small"


class Library:
    """Keeps the documents, and finds those that are nearest to a question."""

    def __init__(self, client: AsyncOpenAI) -> None:
        """Be empty; `fill` reads the documents."""
        self._client = client
        self._store = AsyncQdrantClient(":memory:")

    async def fill(self) -> None:
        """Put every document on the shelf."""
        vectors = await self._vectors(list(DOCUMENTS.values()))
        size = VectorParams(size=len(vectors[0]), distance=Distance.COSINE)
        await self._store.create_collection(SHELF, vectors_config=size)
        points = [
            PointStruct(id=number, vector=vector, payload={"name": name, "text": text})
            for number, (vector, (name, text)) in enumerate(zip(vectors, DOCUMENTS.items(), strict=True))
        ]
        await self._store.upsert(SHELF, points)

    async def search(self, question: str, limit: int = 3) -> list[str]:
        """Give the documents that are nearest to the question."""
        [vector] = await self._vectors([question])
        found = await self._store.query_points(SHELF, query=vector, limit=limit)
        return [point.payload["text"] for point in found.points if point.payload]

    async def _vectors(self, texts: list[str]) -> list[list[float]]:
        answer = await self._client.embeddings.create(model=EMBEDDING, input=texts)
        return [each.embedding for each in answer.data]
