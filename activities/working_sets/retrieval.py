"""Finds the spans that a query may want: the semantic and the lexical leg, or full text when the index is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

from activities.corpora.ports import CorpusReader
from activities.ports import Embedder, SpanIndex
from activities.spans import CorpusState, Hit, IndexUnavailable, Span
from activities.terms import terms_of
from activities.working_sets.breaker import Breaker
from activities.working_sets.explain import Explain
from activities.working_sets.fusion import similarities
from activities.working_sets.span_cache import SpanCache
from perdure.working_set import CompilerConfig

_OVER_FETCH = 10
"""Hits asked for beyond k, so that a tie at the edge is broken by our order and not by the index's."""
WIDER = 10
"""Times as many hits are asked for, once, when spans of other versions left a leg short: while an ingest works, the
index holds what is not published yet, and for a moment what is published no more."""
_MORE = 5
"""Times as many hits are asked for when the tie at the edge is longer."""
MOST_HITS = 2000
"""What a leg asks for at most. Only when more spans are equally good does the index's own order decide."""
EXACT_SPANS = 20_000
"""In a larger corpus vectors are searched approximately; an exact search takes time by the number of spans."""
_PATIENCE_SECONDS = 0.5
"""Timeouts shorter than this do not count against the circuit breaker."""
TOTAL_SECONDS = 16.0
"""What a query may wait for embedder and index together, whatever each is given: an attempt to commit has 20 s, and
one that never ends in time would be made for ever."""
_LEXICAL_DIGITS = 3
_LEXICAL_TIE = 0.002
_SEMANTIC_TIE = 0.00001
"""Differences of an index's scores that may be none in ours, which are rounded."""


Reason: TypeAlias = Literal[
    "not_published",
    "no_index",
    "index_behind",
    "other_embedder",
    "index_left_alone",
    "index_failed",
    "embedder_left_alone",
    "embedder_failed",
]
"""Why the index had no part in a working set, by a name that can be counted."""


class Degraded(NamedTuple):
    """Why the index had no part in it, to be counted and to be read."""

    reason: Reason
    text: str


class EmbedderFailed(Exception):
    """The query has no vector. None is made up."""

    def __init__(self, reason: Literal["embedder_left_alone", "embedder_failed"], text: str) -> None:
        super().__init__(text)
        self.degraded = Degraded(reason, text)


class Scored(NamedTuple):
    """A span and a leg's score of it."""

    span: Span
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the legs found, best first, each cut to its k. `degraded` says why the index had no part in it."""

    semantic: list[Scored]
    lexical: list[Scored]
    degraded: Degraded | None = None
    promised: bool = True
    """Whether the same index would give the same again: searched exactly, and settled all the while."""


def ordered(found: list[Scored], limit: int) -> list[Scored]:
    """The best `limit`, ties by path and line."""
    return sorted(found, key=lambda scored: (-scored.score, scored.span.place))[:limit]


def is_exact(state: CorpusState) -> bool:
    """Whether the nearest spans of a corpus are searched for exactly."""
    return state.span_count <= EXACT_SPANS


async def best(search: Callable[[int], Awaitable[list[Hit]]], k: int, tie: float) -> list[Hit]:
    """Hits among which the best k are, whoever breaks their ties: all others score less than the k-th by over `tie`.

    `search` answers the best of a number of hits, best first. At most `MOST_HITS` are asked for.
    """
    limit = min(k + _OVER_FETCH, MOST_HITS)
    while True:
        hits = await search(limit)
        if len(hits) < limit or limit >= MOST_HITS or hits[k - 1].score - hits[-1].score > tie:
            return hits
        limit = min(limit * _MORE, MOST_HITS)


class Retrieval:
    """Both legs at once. Postgres decides which spans exist and what they say; the index only finds them."""

    def __init__(
        self,
        corpora: CorpusReader,
        index: SpanIndex | None,
        embedder: Embedder,
        *,
        breaker: Breaker,
        embedder_breaker: Breaker,
        cached_spans: int,
    ) -> None:
        self._corpora = corpora
        self._index = index
        self._embedder = embedder
        self._breaker = breaker
        self._embedder_breaker = embedder_breaker
        self._spans = SpanCache(corpora, cached_spans)

    @asynccontextmanager
    async def embedding(
        self, query: str, config: CompilerConfig, log: Explain
    ) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """The query's vector, made meanwhile if the index will be asked, as far as one can tell; dropped at the end."""
        making: list[asyncio.Task[bytes]] = []

        def vector() -> Awaitable[bytes]:
            if not making:
                making.append(asyncio.create_task(self._embed(query, config.retrieval_timeout.total_seconds(), log)))
            return making[0]

        if self._index is not None and not self._breaker.is_open:
            vector()
        try:
            yield vector
        finally:
            for task in making:
                task.cancel()
            await asyncio.gather(*making, return_exceptions=True)

    async def find(
        self,
        tenant: str,
        corpus: str,
        state: CorpusState,
        query: str,
        embedding: Callable[[], Awaitable[bytes]],
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
                held = await self._held(tenant, corpus, state, near, matching)
                if _crowded(near, held, config.semantic_k) or _crowded(matching, held, config.lexical_k):
                    vector, near, matching = await self._ask(state, embedding, terms, config, log, times=WIDER)
                    held = await self._held(tenant, corpus, state, near, matching)
                took = timedelta(milliseconds=log.total_ms())
            except EmbedderFailed as error:
                degraded = error.degraded
            except (IndexUnavailable, TimeoutError) as error:
                if not _impatient(error, config.retrieval_timeout.total_seconds()):
                    self._breaker.failed()
                late = f"The span index gave no answer in {config.retrieval_timeout.total_seconds()} s."
                degraded = Degraded("index_failed", str(error) or late)
            else:
                self._breaker.succeeded()
                # The index's own scores differ in their last bits from one build of it to the next: compute them here.
                exact = [held[hit.span_id] for hit in near if hit.span_id in held]
                scores = similarities(vector, [span.vector for span in exact])
                semantic = [Scored(span, score) for span, score in zip(exact, scores, strict=True)]
                return Found(
                    ordered(semantic, config.semantic_k),
                    ordered(_scored(matching, held), config.lexical_k),
                    promised=is_exact(state) and took < state.settled_for,
                )
        with log.timed("lexical_search"):
            matching = await self._corpora.search_text(tenant, corpus, state.version, terms, config.lexical_k)
            held = await self._spans.get(tenant, corpus, state.version, (hit.span_id for hit in matching))
        return Found([], ordered(_scored(matching, held), config.lexical_k), degraded)

    async def _held(
        self, tenant: str, corpus: str, state: CorpusState, near: list[Hit], matching: list[Hit]
    ) -> dict[str, Span]:
        return await self._spans.get(tenant, corpus, state.version, (hit.span_id for hit in (*near, *matching)))

    def _refusal(self, state: CorpusState) -> Degraded | None:
        if self._index is None:
            return Degraded("no_index", "No span index is configured.")
        if state.index is None or state.indexed_version < state.version:
            return Degraded(
                "index_behind", f"The span index has not caught up with version {state.version} of the corpus."
            )
        if state.embedder != self._embedder.id:
            return Degraded(
                "other_embedder",
                f"The corpus was embedded with {state.embedder}; this worker has {self._embedder.id}.",
            )
        if not self._breaker.allow():
            return Degraded("index_left_alone", "The span index failed a moment ago and is not asked again yet.")
        return None

    async def _ask(
        self,
        state: CorpusState,
        embedding: Callable[[], Awaitable[bytes]],
        terms: list[str],
        config: CompilerConfig,
        log: Explain,
        times: int = 1,
    ) -> tuple[bytes, list[Hit], list[Hit]]:
        assert self._index is not None
        assert state.index is not None
        index, name = self._index, state.index

        def left() -> float:
            return min(config.retrieval_timeout.total_seconds(), TOTAL_SECONDS - log.total_ms() / 1000)

        async def match() -> list[Hit]:
            if not terms:
                return []
            with log.timed("lexical_search"):
                async with asyncio.timeout(left()):
                    return await best(partial(index.search_text, name, terms), times * config.lexical_k, _LEXICAL_TIE)

        matching = asyncio.create_task(match())  # while the query is embedded, which is not the index's time
        try:
            vector = await embedding()
            with log.timed("semantic_search"):
                async with asyncio.timeout(left()):
                    search = partial(index.search_vector, name, vector, exact=is_exact(state))
                    near = await best(search, times * config.semantic_k, _SEMANTIC_TIE)
            return vector, near, await matching
        finally:
            if not matching.done():
                matching.cancel()
            await asyncio.gather(matching, return_exceptions=True)

    async def _embed(self, query: str, limit: float, log: Explain) -> bytes:
        if not self._embedder_breaker.allow():
            raise EmbedderFailed("embedder_left_alone", "The embedder failed a moment ago and is not asked again yet.")
        try:
            with log.timed("embed_query"):
                async with asyncio.timeout(limit):
                    (vector,) = await self._embedder.embed([query])
        except Exception as error:  # whatever a model's runtime raises: the turn goes on without the semantic leg
            if not _impatient(error, limit):
                self._embedder_breaker.failed()
            late = f"The embedder gave no answer in {limit} s."
            text = late if isinstance(error, TimeoutError) else f"The embedder failed: {error}"
            raise EmbedderFailed("embedder_failed", text) from error
        self._embedder_breaker.succeeded()
        log.embedding(vector)
        return vector


def _impatient(error: Exception, limit: float) -> bool:
    """Whether the caller gave up so soon that others, who wait longer, cannot go by it."""
    return isinstance(error, TimeoutError) and limit < _PATIENCE_SECONDS


def _crowded(hits: list[Hit], held: dict[str, Span], k: int) -> bool:
    """Whether hits that the version lacks took the places of some that it may have."""
    return len(hits) > k and sum(hit.span_id in held for hit in hits) < k


def _scored(hits: list[Hit], held: dict[str, Span]) -> list[Scored]:
    return [Scored(held[hit.span_id], round(hit.score, _LEXICAL_DIGITS)) for hit in hits if hit.span_id in held]
