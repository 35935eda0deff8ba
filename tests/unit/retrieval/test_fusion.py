"""Fusion and diversity, by golden values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.working_sets.fusion import by_score, diversify, fuse, similarities


def vector(*values: float) -> bytes:
    unit = np.array(values, dtype=np.float64) / np.linalg.norm(values)
    return unit.astype("<f4").tobytes()


def test_reciprocal_ranks_are_weighted_and_summed() -> None:
    scores = fuse([(0.7, ["A", "B", "C"]), (0.3, ["B"])])
    assert scores == pytest.approx({"B": 0.0164754, "A": 0.0116667, "C": 0.0112903}, abs=1e-7)
    assert by_score(scores, str) == ["B", "A", "C"]


def test_scores_are_rounded_so_that_no_last_bit_breaks_a_tie() -> None:
    fused = fuse([(0.7, ["A", "B", "C"]), (0.3, ["B"])]).values()
    near = similarities(vector(1, 0, 0), [vector(0.9, 0.1, 0), vector(1, 2, 3)])
    assert list(fused) == [round(score, 9) for score in fused]
    assert near == [round(score, 6) for score in near]


def test_equal_scores_are_ordered_by_place() -> None:
    scores = fuse([(0.5, [("b.md", 1)]), (0.5, [("a.md", 9)])])
    assert by_score(scores, lambda place: place) == [("a.md", 9), ("b.md", 1)]


@pytest.mark.parametrize(("weight", "order"), [(0.5, "ACB"), (1.0, "ABC"), (0.0, "ACB")])
def test_diversity_is_weighed_against_relevance(weight: float, order: str) -> None:
    vectors = [vector(1, 0), vector(1, 0), vector(0, 1)]
    assert diversify([0.0116667, 0.0114754, 0.0112903], vectors, weight) == ["ABC".index(name) for name in order]


def test_diversity_counts_the_nearest_and_not_all_that_are_near() -> None:
    between, beside = vector(0.6, 0.6, 0.53), vector(0.7, 0, 0.714)
    assert diversify([4.0, 3.0, 2.0, 1.0], [vector(1, 0, 0), vector(0, 1, 0), between, beside], 0.0) == [0, 1, 2, 3]


def test_a_candidate_without_a_vector_resembles_nothing() -> None:
    assert diversify([3.0, 2.0, 1.0], [vector(1, 0), vector(1, 0), None], 0.0) == [0, 2, 1]
    assert diversify([2.0, 1.0], [None, None], 0.5) == [0, 1]


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0, 1))
def test_diversity_loses_nobody_and_keeps_the_first(scores: list[float], weight: float) -> None:
    ranked = sorted(scores, reverse=True)
    order = diversify(ranked, [vector(1, i % 3) for i in range(len(ranked))], weight)
    assert sorted(order) == list(range(len(ranked)))
    assert order[:1] == ([0] if ranked else [])


def test_similarity_is_half_of_one_plus_the_cosine() -> None:
    found = similarities(vector(1, 0, 0), [vector(1, 0, 0), vector(0, 1, 0), vector(0.9, 0.1, 0)])
    assert found == pytest.approx([1.0, 0.5, 0.99694], abs=1e-5)


def test_vectors_of_another_dimension_are_an_error() -> None:
    with pytest.raises(ValueError, match="dimension"):
        similarities(vector(1, 0, 0), [vector(1, 0)])
