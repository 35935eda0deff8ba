"""The record of one compilation: every stage's candidates, and how long each stage took."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from activities.spans import Span
from activities.working_sets.packing import Packed
from perdure.working_set import CompilerConfig

STAGES = ("semantic", "lexical", "fused", "mmr", "packed", "final")
TIMINGS = ("embed_query", "semantic_search", "lexical_search", "fusion", "mmr", "packing", "build_context")


class Explain:
    """Filled as a compilation goes on; costs little when nobody asks for the report."""

    def __init__(self, query: str) -> None:
        self._started = time.perf_counter()
        self._query = query
        self._embedding: bytes | None = None
        self._seconds = dict.fromkeys(TIMINGS, 0.0)
        self._stages: dict[str, list[tuple[Span, float]]] = {stage: [] for stage in STAGES}
        self._packed: Packed | None = None

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`, one of `TIMINGS`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - started

    def embedding(self, vector: bytes) -> None:
        """Note the query's vector."""
        self._embedding = vector

    def stage(self, name: str, candidates: Iterable[tuple[Span, float]]) -> None:
        """Note what a stage gave, best first; `final`, in the order of the text."""
        self._stages[name] = list(candidates)

    def packed(self, packed: Packed) -> None:
        """Note what was packed."""
        self._packed = packed

    def total_ms(self) -> float:
        """Milliseconds since the start."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def report(self, config: CompilerConfig) -> dict[str, Any]:
        """The record as JSON; ranks from 1, each stage's by its own order."""
        return {
            "query": self._query,
            "query_embedding_hash": None if self._embedding is None else hashlib.sha256(self._embedding).hexdigest(),
            "stages": {
                name: [
                    {**_named(span), "score": score, "tokens": span.token_count, "rank": rank}
                    for rank, (span, score) in enumerate(found, 1)
                ]
                for name, found in self._stages.items()
            },
            "dropped": self._dropped(config),
            "tokens": self._ledger(config),
            "timings": {
                **{f"{name}_ms": round(seconds * 1000, 3) for name, seconds in self._seconds.items()},
                "total_ms": self.total_ms(),
            },
            "thresholds": config.model_dump(mode="json"),
        }

    def _dropped(self, config: CompilerConfig) -> list[dict[str, Any]]:
        """The candidates that are not in the text, by their rank before packing, each with the reason."""
        if self._packed is None:
            return []
        ranked = self._stages["mmr"] or self._stages["fused"]
        taken = {chunk.span.span_id for chunk in self._packed.chunks}
        too_large = {span.span_id for span in self._packed.omitted}
        full = "max_spans" if len(taken) == config.max_spans else "budget_used_up"
        return [
            {**_named(span), "rank": rank, "reason": "first_line_over_budget" if span.span_id in too_large else full}
            for rank, (span, _) in enumerate(ranked, 1)
            if span.span_id not in taken
        ]

    def _ledger(self, config: CompilerConfig) -> dict[str, Any]:
        """Where the budget went: texts, headings with separators, and what is left; and which spans were cut."""
        chunks = self._packed.chunks if self._packed else []
        used = self._packed.tokens_used if self._packed else 0
        texts = sum(chunk.tokens for chunk in chunks)
        return {
            "budget": config.token_budget,
            "used": used,
            "texts": texts,
            "headings_and_separators": used - texts,
            "left": config.token_budget - used,
            "truncated": [chunk.span.span_id for chunk in chunks if chunk.truncated],
        }


def _named(span: Span) -> dict[str, Any]:
    return {"span_id": span.span_id, "path": span.path, "lines": [span.start_line, span.end_line]}
