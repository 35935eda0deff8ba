"""Embedders that cost little."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from activities.ports import Embedder
from activities.spans import EmbedderId


class Hashed:
    """Vectors of few dimensions, made from the words: cheap, and the same in any process."""

    id = EmbedderId(name="hashed-words", version="1", dimension=8)
    limit = 256

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [self._vector(text) for text in texts]

    def sizes(self, lines: Sequence[str]) -> list[int]:
        return [1 + len(line) // 4 for line in lines]

    def _vector(self, text: str) -> bytes:
        sums = np.full(self.id.dimension, 0.1)
        for word in text.lower().split():
            sums += np.frombuffer(hashlib.sha256(word.encode()).digest()[: self.id.dimension], dtype=np.int8)
        vector: bytes = (sums / np.linalg.norm(sums)).astype("<f4").tobytes()
        return vector


class Remembering:
    """Another embedder, which embeds a text once."""

    def __init__(self, embedder: Embedder) -> None:
        self.id, self.limit, self.sizes = embedder.id, embedder.limit, embedder.sizes
        self._embedder = embedder
        self._vectors: dict[str, bytes] = {}

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        for text in texts:
            if text not in self._vectors:
                (self._vectors[text],) = await self._embedder.embed([text])
        return [self._vectors[text] for text in texts]
