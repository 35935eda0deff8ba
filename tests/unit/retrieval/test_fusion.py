"""Fusion and diversity, beyond the golden values of the parity tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from activities.working_sets.fusion import by_score, diversify, fuse, similarities
from tests.unit.retrieval.fakes import vector


def test_scores_are_rounded_so_that_no_last_bit_breaks_a_tie() -> None:
    fused = fuse([(0.7, ["A", "B", "C"]), (0.3, ["B"])]).values()
    near = similarities(vector(1, 0, 0), [vector(0.9, 0.1, 0), vector(1, 2, 3)])
    assert list(fused) == [round(score, 9) for score in fused]
    assert near == [round(score, 6) for score in near]


def test_equal_scores_are_ordered_by_place() -> None:
    scores = fuse([(0.5, [("b.md", 1)]), (0.5, [("a.md", 9)])])
    assert by_score(scores, lambda place: place) == [("a.md", 9), ("b.md", 1)]


def test_diversity_counts_the_nearest_and_not_all_that_are_near() -> None:
    between, beside = vector(0.6, 0.6, 0.53), vector(0.7, 0, 0.714)
    assert diversify([4.0, 3.0, 2.0, 1.0], [vector(1, 0, 0), vector(0, 1, 0), between, beside], 0.0) == [0, 1, 2, 3]


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 1))
def test_diversity_loses_nobody_and_keeps_the_first(scores: list[float], weight: float) -> None:
    ranked = sorted(scores, reverse=True)
    order = diversify(ranked, [vector(1, i % 3) for i in range(len(ranked))], weight)
    assert sorted(order) == list(range(len(ranked)))
    assert order[:1] == ([0] if ranked else [])
