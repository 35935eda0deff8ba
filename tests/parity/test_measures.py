"""Cases 57 and 58: spans of a document, and the measures of a ranking."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.chunking import CHUNKERS
from perdure.evaluation import precision_at, recall_at, reciprocal_rank
from tests.unit.retrieval.test_chunking import SIZED


@given(SIZED, st.sampled_from(["a.py", "b.md", "c"]), st.sampled_from(sorted(CHUNKERS)), st.integers(1, 254))
def test_case_57_spans_are_contiguous_from_the_first_line_to_the_last(
    sized: list[tuple[str, int]], path: str, chunking: str, limit: int
) -> None:
    spans = CHUNKERS[chunking](path, [line for line, _ in sized], [size for _, size in sized], limit)
    if not sized:
        assert spans == []
        return
    assert (spans[0][0], spans[-1][1]) == (1, len(sized))
    assert all(end + 1 == start for (_, end), (start, _) in pairwise(spans))
    assert all(start <= end for start, end in spans)


@pytest.mark.parametrize(
    ("expected", "found", "recall", "precision", "mrr"),
    [
        ("ab", "abc", 1, 0.667, 1),
        ("ab", "cad", 0.5, 0.333, 0.5),
        ("ab", "cd", 0, 0, 0),
        ("", "c", 1, 0, 0),
    ],
)
def test_case_58_recall_precision_and_reciprocal_rank(
    expected: str, found: str, recall: float, precision: float, mrr: float
) -> None:
    assert recall_at([*expected], [*found], 3) == recall
    assert precision_at([*expected], [*found], 3) == pytest.approx(precision, abs=1e-3)
    assert reciprocal_rank([*expected], [*found]) == mrr
