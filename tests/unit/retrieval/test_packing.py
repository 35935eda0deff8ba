"""Packing: the budget holds for the text as rendered, and nothing is dropped in silence."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.spans import Span, span_id
from activities.tokens import count
from activities.working_sets.compiler import _cited
from activities.working_sets.packing import SEPARATOR, Packed, pack
from perdure.working_set import context_hash

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)
UNUSUAL = st.one_of(
    TEXT,
    st.sampled_from(["}\n\n", "---\n\n---", "x" * 300, "👩‍👩‍👧 emoji", "中文字符\n再来", "\r\n", "[1] a\nLines 1-1"]),
)


def span(text: str, path: str = "test.txt", start: int = 1) -> Span:
    lines = text.count("\n") + 1
    return Span(
        span_id=span_id("c", path, start, start + lines - 1, text),
        artifact_id=path,
        path=path,
        start_line=start,
        end_line=start + lines - 1,
        text=text,
        token_count=count(text),
        vector=b"",
    )


def packed(
    spans: list[Span],
    budget: int,
    order: Literal["document", "relevance"] = "document",
    encoding: str = "cl100k_base",
    max_spans: int = 100,
) -> Packed:
    return pack(spans, budget=budget, max_spans=max_spans, order=order, encoding=encoding, count=count)


def test_one_span_is_rendered_and_hashed_as_ever() -> None:
    result = packed([span("This is a test document about Rust programming.")], 8000)
    assert result.text == "[1] test.txt\nLines 1-1\n\nThis is a test document about Rust programming."
    assert context_hash(result.text) == "ed05ed75d638c6f6c2a3c8de77deea978b4a670cfccf6523633567e4be8f5de8"


@pytest.mark.parametrize(("spans", "budget"), [([], 8000), ([span("text")], 0)])
def test_nothing_to_pack_or_no_budget_gives_the_empty_text(spans: list[Span], budget: int) -> None:
    result = packed(spans, budget)
    assert (result.text, result.chunks, result.tokens_used) == ("", [], 0)
    assert context_hash(result.text) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@settings(max_examples=200, deadline=None)
@given(st.lists(UNUSUAL, max_size=12), st.integers(0, 400), st.sampled_from(["cl100k_base", "o200k_base"]))
def test_the_rendered_text_never_exceeds_the_budget(texts: list[str], budget: int, encoding: str) -> None:
    result = packed([span(text, f"{i}.txt") for i, text in enumerate(texts)], budget, encoding=encoding)
    assert result.tokens_used == count(result.text, encoding) <= budget


@given(st.lists(UNUSUAL, min_size=1, max_size=12))
def test_costs_of_chunks_add_up_to_the_whole(texts: list[str]) -> None:
    result = packed([span(text, f"{i}.txt") for i, text in enumerate(texts)], 100_000)
    parts = [chunk.render(number) for number, chunk in enumerate(result.chunks, 1)]
    assert result.tokens_used == sum(count(part + SEPARATOR) for part in parts[:-1]) + count(parts[-1])


def test_a_span_too_large_for_the_budget_is_cut_at_a_line_and_marked() -> None:
    large = span("\n".join(f"line number {n} of a long document" for n in range(1, 100)), start=11)
    result = packed([large], 100)
    (chunk,) = result.chunks
    assert chunk.truncated
    assert large.text.startswith(chunk.text + "\n")
    assert chunk.end_line == 11 + chunk.text.count("\n")
    assert f"Lines 11-{chunk.end_line}\n" in result.text
    assert 85 <= result.tokens_used <= 100
    assert chunk.tokens == count(chunk.text)


def test_a_span_whose_first_line_does_not_fit_is_reported_and_the_next_is_tried() -> None:
    wide, small = span("word " * 500, "wide.txt"), span("small", "small.txt")
    result = packed([wide, small], 100)
    assert [chunk.span for chunk in result.chunks] == [small]
    assert result.omitted == [wide]


def test_most_of_the_budget_is_used_when_candidates_hold_enough() -> None:
    spans = [span("\n".join(f"value {n} = {i * n}" for n in range(40)), f"{i}.py") for i in range(60)]
    for budget in (500, 2000, 8000):
        assert packed(spans, budget).tokens_used >= 0.95 * budget


@pytest.mark.parametrize(
    ("order", "paths", "ranks"), [("document", ["a", "b"], [2, 1]), ("relevance", ["b", "a"], [1, 2])]
)
def test_chunks_stand_in_the_order_asked_for_and_keep_their_rank(
    order: Literal["document", "relevance"], paths: list[str], ranks: list[int]
) -> None:
    result = packed([span("x", "b"), span("y", "a")], 100, order)
    assert [chunk.span.path for chunk in result.chunks] == paths
    assert [chunk.rank for chunk in result.chunks] == ranks
    assert result.text.startswith(f"[1] {paths[0]}\n")


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
def test_a_chunk_has_the_tokens_of_the_encoding_that_is_asked_for(encoding: str) -> None:
    text = "नमस्ते दुनिया"
    assert count(text, "cl100k_base") != count(text, "o200k_base")
    (chunk,) = packed([span(text)], 1000, encoding=encoding).chunks
    assert chunk.tokens == count(text, encoding)


def test_each_of_many_spans_says_where_in_the_text_its_lines_stand() -> None:
    result = packed([span(f"text {n}", f"{n:02}.txt") for n in range(12)], 8000)
    spans, citations = _cited(result, {chunk.span.span_id: 0.0 for chunk in result.chunks})
    assert [result.text[s.text_start : s.text_end] for s in spans] == [f"text {n}" for n in range(12)]
    assert [citation.number for citation in citations] == list(range(1, 13))


def test_no_more_spans_are_taken_than_allowed() -> None:
    assert len(packed([span("x", str(n)) for n in range(9)], 8000, max_spans=3).chunks) == 3
