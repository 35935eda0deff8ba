"""Cases 55 to 60: spans of a document, the measures of a ranking, and what changed between two."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.corpora.chunking import CHUNKERS, chunker_of, lines_v1
from activities.corpora.outline import Line, outline_of
from perdure.diff import diff
from perdure.evaluation import precision_at, recall_at, reciprocal_rank
from tests.unit.retrieval.test_chunking import SIZED, plain
from tests.unit.test_diff import A, B, Cited, working_set


@pytest.mark.parametrize(
    ("lines", "spans"),
    [
        (plain(100), [(1, 40), (41, 80), (81, 100)]),
        ([*plain(25), Line(""), *plain(25)], [(1, 26), (27, 51)]),
        (plain(41), [(1, 40), (41, 41)]),
        (plain(3), [(1, 3)]),
        ([], []),
    ],
)
def test_case_55_the_predecessors_boundaries(lines: list[Line], spans: list[tuple[int, int]]) -> None:
    assert lines_v1(lines, [], 254) == spans


@given(SIZED, st.sampled_from(["a.py", "b.md", "c"]), st.sampled_from(sorted(CHUNKERS)), st.integers(1, 254))
def test_case_57_spans_are_contiguous_from_the_first_line_to_the_last(
    sized: list[tuple[str, int]], path: str, chunking: str, limit: int
) -> None:
    outline = outline_of(path, [line for line, _ in sized])
    spans = chunker_of(chunking)(outline, [size for _, size in sized], limit)
    if not sized:
        assert spans == []
        return
    assert (spans[0][0], spans[-1][1]) == (1, len(sized))
    assert all(end + 1 == start for (_, end), (start, _) in pairwise(spans))
    assert all(start <= end for start, end in spans)


@pytest.mark.parametrize(
    ("before", "after", "summary"),
    [
        ([A, B], [A, B], "No changes"),
        ([A], [A, B], "1 added"),
        ([A, B], [A], "1 removed"),
        ([A, B], [("b", 0.5), ("a", 0.4)], "2 reranked"),
        ([A, B], [("a", 0.501), ("b", 0.399)], "No changes"),
    ],
)
def test_case_60_what_changed_between_two_working_sets(before: Cited, after: Cited, summary: str) -> None:
    assert diff(working_set(before, text="the same"), working_set(after, text="the same")).summary == summary


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
