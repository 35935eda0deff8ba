"""Compiles working sets: retrieval, fusion, diversity, packing, and a manifest of how it was done."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

from activities import tokens
from activities.corpora.ports import CorpusVersions
from activities.ports import Embedder, SpanIndex
from activities.spans import CorpusState
from activities.terms import TERMS
from activities.working_sets.breaker import Breaker
from activities.working_sets.explain import Explain
from activities.working_sets.fusion import RANK_CONSTANT, by_score, diversify, fuse
from activities.working_sets.packing import SEPARATOR, Packed, pack
from activities.working_sets.past import PastVersions
from activities.working_sets.retrieval import Degraded, Found, Reason, Retrieval, is_exact
from perdure.errors import CorpusNotFound
from perdure.working_set import Citation, CompilerConfig, WorkingSet, WorkingSetSpan, context_hash

MANY = 200
"""Candidates that are chosen from in a thread: with a thousand it takes 0.15 s, and the worker has other sessions."""
_FULL_TEXT = {"engine": "postgres", "kind": "full-text", "configuration": "simple", "terms": TERMS}


class WorkingSetCompiler:
    """`activities.ports.Compiler`. The same query, config and corpus version give the same text and hash.

    Without an index, or while it is down, late or behind, Postgres full-text search is the only leg, and the set says
    `degraded`; so does the empty one of a corpus of which nothing is published yet. Keeps up to `cached_spans` spans in
    memory, some 4 KB each. `on_compiled` is told of each working set the seconds it took, and why it is degraded if it
    is.
    """

    def __init__(
        self,
        corpora: CorpusVersions,
        index: SpanIndex | None,
        embedder: Embedder,
        *,
        breaker: Breaker | None = None,
        embedder_breaker: Breaker | None = None,
        on_compiled: Callable[[float, Reason | None], None] = lambda *_: None,
        cached_spans: int = 8192,
    ) -> None:
        self._corpora = corpora
        self._index = index
        self._embedder = embedder
        self._past = PastVersions(corpora, index, embedder.id)
        self._on_compiled = on_compiled
        self._retrieval = Retrieval(
            corpora,
            index,
            embedder,
            breaker=breaker or Breaker(),
            embedder_breaker=embedder_breaker or Breaker(),
            cached_spans=cached_spans,
        )
        self._program_version = _program_version()

    async def close(self) -> None:
        """Give up what goes on in the background."""
        await self._past.close()

    async def prepare(self, *, tenant: str, corpus: str, version: int) -> None:
        state = await self._state(tenant, corpus)
        await self._past.state(tenant, corpus, state, version, None)

    async def compile(
        self,
        *,
        tenant: str,
        corpus: str,
        query: str,
        config: CompilerConfig,
        search_query: str | None = None,
        explain: bool = False,
    ) -> WorkingSet:
        searched = query if search_query is None else search_query
        log = Explain(searched)
        # The query is embedded while Postgres tells which version there is.
        async with self._retrieval.embedding(searched, config, log) as vector:
            state = await self._state(tenant, corpus)
            if config.as_of is not None:
                state = await self._past.state(tenant, corpus, state, config.as_of, config.retrieval_timeout)
            found = Found([], [])
            if state.version == 0:
                found = Found([], [], Degraded("not_published", f"No version of corpus {corpus} is published yet."))
            elif config.token_budget > 0:
                found = await self._retrieval.find(tenant, corpus, state, searched, vector, config, log)
        if len(found.semantic) + len(found.lexical) > MANY:
            packed, scores = await asyncio.to_thread(choose, found, config, log)
        else:
            packed, scores = choose(found, config, log)
        with log.timed("build_context"):
            manifest = self._manifest(corpus, state, query, search_query, config, found, packed)
            spans, citations = _cited(packed, scores)
            digest = context_hash(packed.text)
        elapsed_ms = log.total_ms()
        self._on_compiled(elapsed_ms / 1000, found.degraded.reason if found.degraded else None)
        return WorkingSet(
            text=packed.text,
            spans=spans,
            citations=citations,
            tokens_used=packed.tokens_used,
            query=query,
            context_hash=digest,
            compilation_time_ms=elapsed_ms,
            degraded=found.degraded is not None,
            degraded_reason=found.degraded.text if found.degraded else None,
            manifest=manifest,
            explain=log.report(config) if explain else None,
        )

    async def _state(self, tenant: str, corpus: str) -> CorpusState:
        state = await self._corpora.state(tenant, corpus)
        if state is None:
            raise CorpusNotFound(corpus=corpus)
        return state

    def _manifest(
        self,
        corpus: str,
        state: CorpusState,
        query: str,
        search_query: str | None,
        config: CompilerConfig,
        found: Found,
        packed: Packed,
    ) -> dict[str, Any]:
        index = self._index if found.degraded is None else None
        return {
            "program_version": self._program_version,
            "corpus": corpus,
            "corpus_version": state.version,
            "tokenizer": config.tokenizer,
            "embedder": {
                "name": state.embedder.name,
                "version": state.embedder.version,
                "dimension": state.embedder.dimension,
            },
            "chunking": state.chunking,
            "index": _FULL_TEXT
            if index is None
            else {**index.parameters(exact=is_exact(state)), "approximate": not found.promised},
            "fusion": {
                "kind": "reciprocal_rank",
                "constant": RANK_CONSTANT,
                "semantic_weight": config.semantic_weight,
                "lexical_weight": config.lexical_weight,
            },
            "config": config.model_dump(mode="json"),
            "config_hash": hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
            "search_query": search_query,
            "query_hash": hashlib.sha256(query.encode()).hexdigest(),
            "omitted": [span.span_id for span in packed.omitted],
        }


def choose(found: Found, config: CompilerConfig, log: Explain) -> tuple[Packed, dict[str, float]]:
    """From candidates to text: fused, made diverse if so configured, and packed; and each span's fused score."""
    log.stage("semantic", found.semantic)
    log.stage("lexical", found.lexical)
    with log.timed("fusion"):
        spans = {scored.span.span_id: scored.span for scored in (*found.semantic, *found.lexical)}
        legs = ((config.semantic_weight, found.semantic), (config.lexical_weight, found.lexical))
        scores = fuse((weight, [scored.span.span_id for scored in leg]) for weight, leg in legs)
        ranked = [spans[span_id] for span_id in by_score(scores, lambda span_id: spans[span_id].place)]
    log.stage("fused", [(span, scores[span.span_id]) for span in ranked])
    with log.timed("mmr"):
        if config.enable_mmr:
            order = diversify(
                [scores[span.span_id] for span in ranked], [span.vector for span in ranked], config.mmr_lambda
            )
            ranked = [ranked[position] for position in order]
            log.stage("mmr", [(span, scores[span.span_id]) for span in ranked])
    with log.timed("packing"):
        packed = pack(
            ranked,
            budget=config.token_budget,
            max_spans=config.max_spans,
            order=config.order,
            encoding=config.tokenizer,
            count=tokens.count,
        )
    log.packed(packed)
    by_rank = sorted(packed.chunks, key=lambda chunk: chunk.rank)
    log.stage("packed", [(chunk.span, scores[chunk.span.span_id]) for chunk in by_rank])
    log.stage("final", [(chunk.span, scores[chunk.span.span_id]) for chunk in packed.chunks])
    return packed, scores


def _cited(packed: Packed, scores: dict[str, float]) -> tuple[list[WorkingSetSpan], list[Citation]]:
    spans, citations = [], []
    end = -len(SEPARATOR)
    for number, chunk in enumerate(packed.chunks, 1):
        start = end + len(SEPARATOR) + len(chunk.head(number))
        end = start + len(chunk.text)
        where: dict[str, Any] = {
            "span_id": chunk.span.span_id,
            "artifact_id": chunk.span.artifact_id,
            "path": chunk.span.path,
            "start_line": chunk.span.start_line,
            "end_line": chunk.end_line,
            "rank": chunk.rank,
        }
        spans.append(
            WorkingSetSpan(**where, text_start=start, text_end=end, token_count=chunk.tokens, truncated=chunk.truncated)
        )
        citations.append(Citation(**where, number=number, score=scores[chunk.span.span_id]))
    return spans, citations


def _program_version() -> str:
    try:
        return metadata.version("perdure")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
