"""A corpus of one span, with fakes for all that a compilation asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from activities.spans import SETTLED_FOR, CorpusState, EmbedderId, Hit, KeptVersion, Span


def vector(*values: float) -> bytes:
    """Of length 1, in that direction."""
    unit = np.array(values, dtype=np.float64) / np.linalg.norm(values)
    return unit.astype("<f4").tobytes()


EMBEDDER = EmbedderId(name="fake", version="1", dimension=2)
VECTOR = vector(1, 0)
SPAN = Span(
    span_id="s1",
    artifact_id="a1",
    path="a.md",
    start_line=1,
    end_line=1,
    text="hello",
    token_count=1,
    vector=VECTOR,
)
STATE = CorpusState(
    version=1,
    embedder=EMBEDDER,
    chunking="structure-v2",
    index="i",
    indexed_version=1,
    span_count=1,
    settled_for=SETTLED_FOR,
)


class Embedder:
    """Gives every text the same vector, or fails, or never answers."""

    id = EMBEDDER
    limit = 10

    def __init__(self, *, broken: bool = False, hangs: bool = False, seconds: float = 0) -> None:
        self._broken = broken
        self._seconds = seconds
        self._hangs = hangs
        self.asked = 0

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self._seconds)
        if self._broken:
            raise RuntimeError("the model is gone")
        return [VECTOR for _ in texts]

    def sizes(self, lines: Sequence[str]) -> list[int]:
        return [1 for _ in lines]


class Corpora:
    """One corpus of one span."""

    async def state(self, tenant: str, corpus: str) -> CorpusState | None:
        return STATE

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        return [SPAN for span_id in span_ids if span_id == SPAN.span_id]

    async def search_text(self, tenant: str, corpus: str, version: int, terms: Sequence[str], limit: int) -> list[Hit]:
        return [Hit(SPAN.span_id, 1.0)]

    async def versions(self, tenant: str, corpus: str) -> list[KeptVersion]:
        return [KeptVersion(STATE.version, None, STATE.span_count)]

    async def visible(self, tenant: str, corpus: str, version: int, after: str, limit: int) -> list[Span]:
        return [SPAN] if after < SPAN.span_id else []

    async def forget_index(self, tenant: str, corpus: str, index: str) -> None: ...

    async def hold_index(self, tenant: str, corpus: str, version: int, index: str, at_most: int) -> list[str]:
        return []


class Index:
    """Finds the one span by its vector, and nothing by its words."""

    def parameters(self, *, exact: bool) -> dict[str, object]:
        return {"approximate": not exact}

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        return [Hit(SPAN.span_id, 1.0)]

    async def search_text(self, index: str, terms: Sequence[str], limit: int) -> list[Hit]:
        return []

    async def prepare(self, index: str) -> None: ...

    async def put(self, index: str, spans: Sequence[Span]) -> None: ...

    async def remove(self, index: str, span_ids: Sequence[str]) -> None: ...

    async def drop(self, index: str) -> None: ...
