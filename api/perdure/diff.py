"""What changed from one working set to another."""

from __future__ import annotations

from collections.abc import Iterable

from perdure.base import Result
from perdure.working_set import Citation, WorkingSet

SCORE_TOLERANCE = 0.001
"""A score that moved by no more than this, at the same rank, is the same."""
_DIGITS = 9
"""Scores have no more; what floating point adds beyond them is no difference."""


class Reranked(Result):
    """A span that both working sets cite, at another rank or with another score; lines as cited after."""

    span_id: str
    path: str
    start_line: int
    end_line: int
    rank_before: int
    rank_after: int
    score_before: float
    score_after: float


class WorkingSetDiff(Result):
    """Citations that came and went, by rank, and those that moved, by their new rank. `query` is the later one's."""

    query: str
    before_hash: str
    after_hash: str
    added: list[Citation]
    removed: list[Citation]
    reranked: list[Reranked]

    @property
    def identical(self) -> bool:
        """Whether both have the same text."""
        return self.before_hash == self.after_hash

    @property
    def summary(self) -> str:
        """Such as `3 added, 1 removed, 2 reranked`; parts that are zero are left out."""
        counts = {"added": len(self.added), "removed": len(self.removed), "reranked": len(self.reranked)}
        parts = [f"{count} {name}" for name, count in counts.items() if count]
        if parts:
            return ", ".join(parts)
        return "No changes" if self.identical else "The same citations, in another text"


def diff(before: WorkingSet, after: WorkingSet) -> WorkingSetDiff:
    """Compare two working sets by the spans that they cite, on relevance ranks."""
    old, new = _by_span(before.citations), _by_span(after.citations)
    moved = [_reranked(old[span_id], new[span_id]) for span_id in old.keys() & new.keys()]
    return WorkingSetDiff(
        query=after.query,
        before_hash=before.context_hash,
        after_hash=after.context_hash,
        added=_ranked(new[span_id] for span_id in new.keys() - old.keys()),
        removed=_ranked(old[span_id] for span_id in old.keys() - new.keys()),
        reranked=sorted((item for item in moved if item is not None), key=lambda item: item.rank_after),
    )


def _by_span(citations: Iterable[Citation]) -> dict[str, Citation]:
    return {citation.span_id: citation for citation in citations}


def _ranked(citations: Iterable[Citation]) -> list[Citation]:
    return sorted(citations, key=lambda citation: citation.rank)


def _reranked(before: Citation, after: Citation) -> Reranked | None:
    if before.rank == after.rank and round(abs(before.score - after.score), _DIGITS) <= SCORE_TOLERANCE:
        return None
    return Reranked(
        span_id=after.span_id,
        path=after.path,
        start_line=after.start_line,
        end_line=after.end_line,
        rank_before=before.rank,
        rank_after=after.rank,
        score_before=before.score,
        score_after=after.score,
    )
