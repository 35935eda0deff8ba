"""What the legs find, and what is found without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from activities.breaker import Breaker
from activities.explain import Explain
from activities.retrieval import Found, Retrieval
from activities.spans import CorpusState, EmbedderId, Hit, Span
from perdure.working_set import CompilerConfig

EMBEDDER = EmbedderId(name="fake", version="1", dimension=2)
VECTOR = np.array([1, 0], dtype="<f4").tobytes()
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


class Embedder:
    """Gives every text the same vector, or fails."""

    id = EMBEDDER
    limit = 10

    def __init__(self, *, broken: bool = False) -> None:
        self._broken = broken

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        if self._broken:
            raise RuntimeError("the model is gone")
        return [VECTOR for _ in texts]

    def sizes(self, lines: Sequence[str]) -> list[int]:
        return [1 for _ in lines]


class Corpora:
    """One corpus of one span."""

    async def state(self, tenant: str, corpus: str) -> CorpusState | None:
        raise AssertionError("the compiler asks for it, not the retrieval")

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        return [SPAN for span_id in span_ids if span_id == SPAN.span_id]

    async def search_text(self, tenant: str, corpus: str, version: int, terms: Sequence[str], limit: int) -> list[Hit]:
        return [Hit(SPAN.span_id, 1.0)]


class Index:
    """Finds the one span by its vector, and nothing by its words."""

    parameters: dict[str, object] = {}  # noqa: RUF012 - as the protocol has it

    async def search_vector(self, index: str, vector: bytes, limit: int) -> list[Hit]:
        return [Hit(SPAN.span_id, 1.0)]

    async def search_text(self, index: str, terms: Sequence[str], limit: int) -> list[Hit]:
        return []

    async def prepare(self, index: str) -> None: ...

    async def put(self, index: str, spans: Sequence[Span]) -> None: ...

    async def remove(self, index: str, span_ids: Sequence[str]) -> None: ...

    async def drop(self, index: str) -> None: ...


async def found(embedder: Embedder, corpus_embedder: EmbedderId = EMBEDDER) -> Found:
    retrieval = Retrieval(Corpora(), Index(), embedder, Breaker(), cached_spans=8)
    state = CorpusState(version=1, embedder=corpus_embedder, chunking="structure-v2", index="i", indexed_version=1)
    log = Explain("hello?")
    async with retrieval.embedding("hello?", log) as vector:
        return await retrieval.find("default", "docs", state, "hello?", vector, CompilerConfig(), log)


async def test_both_legs_are_asked() -> None:
    result = await found(Embedder())
    assert [scored.span for scored in result.semantic] == [SPAN]
    assert result.lexical == []
    assert result.degraded is None


async def test_a_broken_embedder_leaves_the_lexical_leg_and_says_so() -> None:
    result = await found(Embedder(broken=True))
    assert result.semantic == []
    assert [scored.span for scored in result.lexical] == [SPAN]
    assert result.degraded == "The embedder failed: the model is gone"


async def test_vectors_of_two_embedders_never_meet() -> None:
    result = await found(Embedder(), replace(EMBEDDER, version="2"))
    assert result.semantic == []
    assert result.degraded is not None
    assert "this worker has" in result.degraded
