"""What a diff of two working sets says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.diff import diff
from perdure.working_set import Citation, WorkingSet, context_hash

Cited = list[tuple[str, float]]
"""Span ids in the order of their ranks, each with its score."""


def working_set(cited: Cited, text: str | None = None, query: str = "q") -> WorkingSet:
    citations = [
        Citation(
            number=rank,
            span_id=span_id,
            artifact_id="a",
            path=f"{span_id}.md",
            start_line=1,
            end_line=2,
            score=score,
            rank=rank,
        )
        for rank, (span_id, score) in enumerate(cited, 1)
    ]
    text = repr(cited) if text is None else text
    return WorkingSet(
        text=text,
        spans=[],
        citations=citations[::-1],  # in the text they stand in another order than by rank
        tokens_used=0,
        query=query,
        context_hash=context_hash(text),
        compilation_time_ms=0,
        manifest={},
    )


A, B = ("a", 0.5), ("b", 0.4)


@pytest.mark.parametrize(
    ("before", "after", "summary"),
    [
        ([A], [A], "No changes"),
        ([A], [A, B], "1 added"),
        ([A, B], [A], "1 removed"),
        ([A, B], [("b", 0.5), ("a", 0.4)], "2 reranked"),
        ([A, B], [("c", 0.6), ("b", 0.3), ("d", 0.2)], "2 added, 1 removed, 1 reranked"),
    ],
)
def test_a_summary_counts_what_changed_and_leaves_zeros_out(before: Cited, after: Cited, summary: str) -> None:
    found = diff(working_set(before), working_set(after))
    assert found.summary == summary
    assert found.identical == (before == after)


@pytest.mark.parametrize(("score", "moved"), [(0.501, False), (0.499, False), (0.50101, True), (0.49899, True)])
def test_a_small_change_of_the_score_at_the_same_rank_is_no_change(score: float, *, moved: bool) -> None:
    found = diff(working_set([A], "x"), working_set([("a", score)], "x"))
    assert [item.span_id for item in found.reranked] == (["a"] if moved else [])


def test_a_text_that_changed_under_the_same_citations_is_not_called_unchanged() -> None:
    found = diff(working_set([A], "whole"), working_set([A], "cut"))
    assert (found.added, found.removed, found.reranked, found.identical) == ([], [], [], False)
    assert found.summary == "The same citations, in another text"


def test_it_names_the_later_query_and_both_hashes() -> None:
    before, after = working_set([A], query="old"), working_set([B], query="new")
    found = diff(before, after)
    assert (found.query, found.before_hash, found.after_hash) == ("new", before.context_hash, after.context_hash)


CITED = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 1, allow_nan=False)), max_size=8, unique_by=lambda item: item[0]
)


@given(CITED)
def test_a_working_set_does_not_differ_from_itself(cited: Cited) -> None:
    found = diff(working_set(cited), working_set(cited))
    assert (found.added, found.removed, found.reranked, found.identical) == ([], [], [], True)


@given(CITED, CITED)
def test_the_other_way_round_what_was_added_is_removed(left: Cited, right: Cited) -> None:
    there, back = diff(working_set(left), working_set(right)), diff(working_set(right), working_set(left))
    assert (there.added, there.removed) == (back.removed, back.added)
    assert {i.span_id for i in there.reranked} == {i.span_id for i in back.reranked}
    assert there.identical == back.identical


@given(CITED, CITED)
def test_lists_are_sorted_by_rank_and_hold_each_span_once(left: Cited, right: Cited) -> None:
    found = diff(working_set(left), working_set(right))
    for ranks in (
        [c.rank for c in found.added],
        [c.rank for c in found.removed],
        [r.rank_after for r in found.reranked],
    ):
        assert ranks == sorted(ranks)
    ids = [c.span_id for c in (*found.added, *found.removed)] + [r.span_id for r in found.reranked]
    assert len(ids) == len(set(ids))
    assert set(ids) <= {span_id for span_id, _ in (*left, *right)}
