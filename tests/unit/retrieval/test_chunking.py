"""Chunking: whole lines, nothing lost, structure followed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.chunking import lines_of, structure_v1
from activities.embedder import MiniLm

LINE = st.sampled_from(
    ["", "    x = 1", "def f():", "class A:", "# note", "@wrap", "## Title", "```", "text text", "====", "a" * 40]
)
SIZED = st.lists(st.tuples(LINE, st.integers(0, 300)), max_size=200)


@given(SIZED, st.sampled_from(["a.py", "b.md", "c"]), st.integers(1, 254))
def test_spans_are_contiguous_cover_every_line_and_keep_to_the_limit(
    sized: list[tuple[str, int]], path: str, limit: int
) -> None:
    lines, sizes = [line for line, _ in sized], [size for _, size in sized]
    spans = structure_v1(path, lines, sizes, limit)
    assert [line for first, last in spans for line in range(first, last + 1)] == list(range(1, len(lines) + 1))
    for first, last in spans:
        assert first == last or sum(sizes[first - 1 : last]) <= limit


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\n\nb", ["a", "", "b"]),
        ("\n", [""]),
        ("a\x0cb\u2028c\n", ["a\x0cb\u2028c"]),
    ],
)
def test_lines_end_where_an_editor_ends_them(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_an_empty_document_has_no_span() -> None:
    assert structure_v1("a.py", [], [], 254) == []


def test_a_line_over_the_limit_is_a_span_of_its_own() -> None:
    assert structure_v1("a.txt", ["a", "long", "b"], [1, 999, 1], 100) == [(1, 1), (2, 2), (3, 3)]


def test_a_definition_starts_a_span_together_with_its_decorator_and_comment() -> None:
    lines = ["import os", "x = 1", "", "# What it does.", "@cached", "def f():", "    return 1"]
    assert structure_v1("a.py", lines, [10] * 7, 80) == [(1, 3), (4, 7)]


def test_a_heading_starts_a_span_and_a_comment_in_a_code_fence_does_not() -> None:
    lines = ["# One", "text", "```", "# not a heading", "```", "# Two", "text"]
    assert structure_v1("a.md", lines, [10] * 7, 100) == [(1, 5), (6, 7)]


def test_text_too_long_for_one_span_is_cut_after_a_blank_line() -> None:
    lines = ["a", "b", "c", "", "d", "e", "f"]
    assert structure_v1("a.txt", lines, [10, 10, 10, 0, 10, 10, 10], 50) == [(1, 4), (5, 7)]


EMBEDDER = MiniLm()


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=60), max_size=12))
def test_the_tokens_of_lines_add_up_to_those_of_their_text(lines: list[str]) -> None:
    assert sum(EMBEDDER.sizes(lines)) == EMBEDDER.sizes(["\n".join(lines)])[0]
