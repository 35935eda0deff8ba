"""The record of one compilation: every stage's candidates, and how long each stage took."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from activities.spans import Span
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
        """Note what a stage gave, best first."""
        self._stages[name] = list(candidates)

    def total_ms(self) -> float:
        """Milliseconds since the start."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def report(self, config: CompilerConfig) -> dict[str, Any]:
        """The record as JSON; ranks from 1."""
        return {
            "query": self._query,
            "query_embedding_hash": None if self._embedding is None else hashlib.sha256(self._embedding).hexdigest(),
            "stages": {
                name: [
                    {
                        "span_id": span.span_id,
                        "path": span.path,
                        "lines": [span.start_line, span.end_line],
                        "score": score,
                        "tokens": span.token_count,
                        "rank": rank,
                    }
                    for rank, (span, score) in enumerate(found, 1)
                ]
                for name, found in self._stages.items()
            },
            "timings": {
                **{f"{name}_ms": round(seconds * 1000, 3) for name, seconds in self._seconds.items()},
                "total_ms": self.total_ms(),
            },
            "thresholds": config.model_dump(mode="json"),
        }
