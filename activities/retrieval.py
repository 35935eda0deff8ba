"""Finds the spans that a query may want: the semantic and the lexical leg, or full text when the index is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from activities.breaker import Breaker
from activities.explain import Explain
from activities.fusion import similarities
from activities.ports import CorpusReader, Embedder, SpanIndex
from activities.span_cache import SpanCache
from activities.spans import CorpusState, Hit, IndexUnavailable, Span
from activities.terms import terms_of
from perdure.working_set import CompilerConfig

_OVER_FETCH = 10
"""Hits asked for beyond k, so that a tie at the edge is broken by our order and not by the index's."""
_LEXICAL_DIGITS = 3


class EmbedderFailed(Exception):
    """The query has no vector. None is made up."""


class Scored(NamedTuple):
    """A span and a leg's score of it."""

    span: Span
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the legs found, best first, each cut to its k. `degraded` says why the index had no part in it."""

    semantic: list[Scored]
    lexical: list[Scored]
    degraded: str | None = None


def ordered(found: list[Scored], limit: int) -> list[Scored]:
    """The best `limit`, ties by path and line."""
    return sorted(found, key=lambda scored: (-scored.score, scored.span.place))[:limit]


class Retrieval:
    """Both legs at once. Postgres decides which spans exist and what they say; the index only finds them."""

    def __init__(
        self, corpora: CorpusReader, index: SpanIndex | None, embedder: Embedder, breaker: Breaker, cached_spans: int
    ) -> None:
        self._corpora = corpora
        self._index = index
        self._embedder = embedder
        self._breaker = breaker
        self._spans = SpanCache(corpora, cached_spans)

    @asynccontextmanager
    async def embedding(self, query: str, log: Explain) -> AsyncIterator[Awaitable[bytes]]:
        """The query's vector, being made meanwhile; dropped at the end if nobody waited for it."""
        vector = asyncio.create_task(self._embed(query, log))
        try:
            yield vector
        finally:
            vector.cancel()
            await asyncio.gather(vector, return_exceptions=True)

    async def find(
        self,
        tenant: str,
        corpus: str,
        state: CorpusState,
        query: str,
        embedding: Awaitable[bytes],
        config: CompilerConfig,
        log: Explain,
    ) -> Found:
        """Candidates of `query` in the version that `state` names.

        An index that is down, late or behind is no error: the lexical leg then runs in Postgres, alone.
        """
        terms = terms_of(query)
        degraded = self._refusal(state)
        if degraded is None:
            try:
                vector, near, matching = await self._ask(state, embedding, terms, config, log)
            except EmbedderFailed as error:
                degraded = str(error)
            except (IndexUnavailable, TimeoutError) as error:
                self._breaker.failed()
                degraded = (
                    str(error) or f"The span index gave no answer in {config.retrieval_timeout.total_seconds()} s."
                )
            else:
                self._breaker.succeeded()
                held = await self._spans.get(tenant, corpus, state.version, (hit.span_id for hit in (*near, *matching)))
                # The index's own scores differ in their last bits from one build of it to the next: compute them here.
                exact = [held[hit.span_id] for hit in near if hit.span_id in held]
                scores = similarities(vector, [span.vector for span in exact])
                semantic = [Scored(span, score) for span, score in zip(exact, scores, strict=True)]
                return Found(ordered(semantic, config.semantic_k), ordered(_scored(matching, held), config.lexical_k))
        with log.timed("lexical_search"):
            matching = await self._corpora.search_text(tenant, corpus, state.version, terms, config.lexical_k)
            held = await self._spans.get(tenant, corpus, state.version, (hit.span_id for hit in matching))
        return Found([], ordered(_scored(matching, held), config.lexical_k), degraded)

    def _refusal(self, state: CorpusState) -> str | None:
        if self._index is None:
            return "No span index is configured."
        if state.index is None or state.indexed_version < state.version:
            return f"The span index has not caught up with version {state.version} of the corpus."
        if state.embedder != self._embedder.id:
            return f"The corpus was embedded with {state.embedder}; this worker has {self._embedder.id}."
        if not self._breaker.allow():
            return "The span index failed a moment ago and is not asked again yet."
        return None

    async def _ask(
        self, state: CorpusState, embedding: Awaitable[bytes], terms: list[str], config: CompilerConfig, log: Explain
    ) -> tuple[bytes, list[Hit], list[Hit]]:
        assert self._index is not None
        assert state.index is not None
        index, name = self._index, state.index
        limit = config.retrieval_timeout.total_seconds()

        async def match() -> list[Hit]:
            if not terms:
                return []
            with log.timed("lexical_search"):
                async with asyncio.timeout(limit):
                    return await index.search_text(name, terms, config.lexical_k + _OVER_FETCH)

        matching = asyncio.create_task(match())  # while the query is embedded, which is not the index's time
        try:
            vector = await embedding
            with log.timed("semantic_search"):
                async with asyncio.timeout(limit):
                    near = await index.search_vector(name, vector, config.semantic_k + _OVER_FETCH)
            return vector, near, await matching
        finally:
            if not matching.done():
                matching.cancel()
            await asyncio.gather(matching, return_exceptions=True)

    async def _embed(self, query: str, log: Explain) -> bytes:
        try:
            with log.timed("embed_query"):
                (vector,) = await self._embedder.embed([query])
        except Exception as error:  # whatever a model's runtime raises: the turn goes on without the semantic leg
            raise EmbedderFailed(f"The embedder failed: {error}") from error
        log.embedding(vector)
        return vector


def _scored(hits: list[Hit], held: dict[str, Span]) -> list[Scored]:
    return [Scored(held[hit.span_id], round(hit.score, _LEXICAL_DIGITS)) for hit in hits if hit.span_id in held]
