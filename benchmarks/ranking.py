"""How good a ranking is: mean reciprocal rank, and recall at ten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from benchmarks.questions import Place, Question

LEGS = ("semantic", "lexical", "fused", "mmr")
AT = 10


@dataclass
class Ranking:
    """Of one system: for each leg and question the rank, from 1, of the first span with a line of the answer."""

    name: str
    ranks: dict[str, list[int | None]] = field(default_factory=dict)

    def add(self, leg: str, question: Question, ranked: Iterable[Place]) -> None:
        """Note what the leg found, best first."""
        found = (rank for rank, place in enumerate(ranked, 1) if any(place.overlaps(a) for a in question.answers))
        self.ranks.setdefault(leg, []).append(next(found, None))

    def mrr(self, leg: str) -> float:
        """The mean of 1 / rank; 0 for an answer that was not found."""
        return fmean(1 / rank if rank else 0.0 for rank in self.ranks[leg])

    def recall(self, leg: str) -> float:
        """The share of questions with an answer among the first ten."""
        return fmean(rank is not None and rank <= AT for rank in self.ranks[leg])

    def figures(self) -> list[dict[str, object]]:
        """The figures as JSON."""
        return [
            {
                "system": self.name,
                "leg": leg,
                "mrr": round(self.mrr(leg), 4),
                f"recall_at_{AT}": round(self.recall(leg), 4),
                "questions": len(ranks),
            }
            for leg, ranks in self.ranks.items()
        ]


def table(rankings: Sequence[Ranking]) -> str:
    """A line a system, `MRR / recall@10` a leg."""
    width = max(len(ranking.name) for ranking in rankings)
    lines = [" " * width + "".join(f"  {leg:>11}" for leg in LEGS)]
    for ranking in rankings:
        cells = (f"{ranking.mrr(leg):.3f} / {ranking.recall(leg):.2f}" if leg in ranking.ranks else "" for leg in LEGS)
        lines.append(f"{ranking.name:<{width}}" + "".join(f"  {cell:>12}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)
