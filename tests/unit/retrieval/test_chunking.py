"""Chunking: whole lines, nothing lost, structure followed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.corpora.chunking import CHUNKERS, chunker_of, lines_of, lines_v1, structure_v2
from activities.corpora.indexed_text import HEAD_TOKENS, indexed_text
from activities.corpora.outline import Line, outline_of
from activities.embedder import MiniLm
from perdure.errors import InvalidRequest

LINE = st.sampled_from(
    ["", "    x = 1", "def f():", "class A:", "# note", "@wrap", "## Title", "```", "text text", "====", "a" * 40]
)
SIZED = st.lists(st.tuples(LINE, st.integers(0, 300)), max_size=200)
UNUSUAL = st.one_of(
    LINE,
    st.sampled_from(
        [
            "👩‍👩‍👧 " * 20,
            "中文文本。" * 90,
            "שלום עולם " * 40,
            "a\u200bb\ufeff" * 50,
            "x" * 5000,
            "한국어 " * 60,
            "é̂" * 99,
        ]
    ),
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=60),
)
EMBEDDER = MiniLm()


def plain(count: int) -> list[Line]:
    return [Line(f"line {n}") for n in range(1, count + 1)]


def structured(path: str, lines: list[str], sizes: list[int], limit: int) -> list[tuple[int, int]]:
    return structure_v2(outline_of(path, lines), sizes, limit)


@pytest.mark.parametrize("chunking", CHUNKERS)
@given(SIZED, st.sampled_from(["a.py", "b.md", "c"]), st.integers(1, 254))
def test_spans_are_contiguous_and_cover_every_line(
    chunking: str, sized: list[tuple[str, int]], path: str, limit: int
) -> None:
    lines, sizes = [line for line, _ in sized], [size for _, size in sized]
    spans = chunker_of(chunking)(outline_of(path, lines), sizes, limit)
    assert [line for first, last in spans for line in range(first, last + 1)] == list(range(1, len(lines) + 1))


@given(SIZED, st.sampled_from(["a.py", "b.md", "c"]), st.integers(1, 254))
def test_spans_keep_to_the_limit_unless_they_are_one_line(sized: list[tuple[str, int]], path: str, limit: int) -> None:
    lines, sizes = [line for line, _ in sized], [size for _, size in sized]
    for first, last in structured(path, lines, sizes, limit):
        assert first == last or sum(sizes[first - 1 : last]) <= limit


@settings(deadline=None, max_examples=60)
@given(st.lists(UNUSUAL, max_size=40), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["py", "md"]))
def test_the_embedder_reads_every_span_of_unusual_text_with_its_head(
    texts: list[str], end: str, ended: bool, suffix: str
) -> None:
    content = end.join(texts) + (end if ended and texts else "")
    path = f"src/中文/a folder with words/{'Camel' * 60}.{suffix}"
    lines = lines_of(content)
    outline = outline_of(path, lines)
    spans = structure_v2(outline, EMBEDDER.sizes(lines), EMBEDDER.limit - HEAD_TOKENS)
    assert [line for first, last in spans for line in range(first, last + 1)] == list(range(1, len(lines) + 1))
    for first, last in spans:
        held = indexed_text(path, outline[first - 1 : last], EMBEDDER.sizes)
        assert held.embedded.endswith("\n".join(lines[first - 1 : last]))
        assert first == last or EMBEDDER.sizes([held.embedded])[0] <= EMBEDDER.limit


@pytest.mark.parametrize("chunking", CHUNKERS)
def test_a_line_of_a_megabyte_is_a_span(chunking: str) -> None:
    lines = ["x = '" + "A9" * 512 * 1024 + "'"]
    outline = outline_of("a.py", lines)
    assert chunker_of(chunking)(outline, EMBEDDER.sizes(lines), 200) == [(1, 1)]
    assert len(indexed_text("a.py", outline, EMBEDDER.sizes).searched) <= 65_536


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


@pytest.mark.parametrize("chunking", CHUNKERS)
def test_an_empty_document_has_no_span(chunking: str) -> None:
    assert chunker_of(chunking)([], [], 254) == []


def test_a_line_over_the_limit_is_a_span_of_its_own() -> None:
    assert structured("a.txt", ["a", "long", "b"], [1, 999, 1], 100) == [(1, 1), (2, 2), (3, 3)]


def test_a_definition_starts_a_span_together_with_its_decorator_and_comment() -> None:
    lines = ["import os", "x = 1", "", "# What it does.", "@cached", "def f():", "    return 1"]
    assert structured("a.py", lines, [10] * 7, 80) == [(1, 3), (4, 7)]


def test_a_heading_starts_a_span_and_a_comment_in_a_code_fence_does_not() -> None:
    lines = ["# One", "text", "```", "# not a heading", "```", "# Two", "text"]
    assert structured("a.md", lines, [10] * 7, 100) == [(1, 5), (6, 7)]


def test_text_too_long_for_one_span_is_cut_after_a_blank_line() -> None:
    lines = ["a", "b", "c", "", "d", "e", "f"]
    assert structured("a.txt", lines, [10, 10, 10, 0, 10, 10, 10], 50) == [(1, 4), (5, 7)]


def test_of_starts_that_are_equally_good_the_last_is_taken() -> None:
    lines = ["a", "b", "", "c", "d", "", "e", "f", "g", "h", "i"]
    assert structured("a.txt", lines, [1] * 11, 8) == [(1, 6), (7, 11)]


@pytest.mark.parametrize(
    ("lines", "spans"),
    [
        ([], []),
        (plain(3), [(1, 3)]),
        (plain(41), [(1, 40), (41, 41)]),
        (plain(100), [(1, 40), (41, 80), (81, 100)]),
        ([*plain(25), Line(" "), *plain(25)], [(1, 26), (27, 51)]),
        ([*plain(18), Line(""), *plain(21)], [(1, 40)]),
        ([*plain(19), Line(""), *plain(21)], [(1, 20), (21, 41)]),
        ([*plain(15), Line("# Heading"), *plain(9)], [(1, 16), (17, 25)]),
        ([*plain(13), Line("# Heading"), *plain(9)], [(1, 23)]),
        ([*plain(15), Line("#"), *plain(9)], [(1, 25)]),
        ([*plain(14), Line("  -=-  "), *plain(9)], [(1, 15), (16, 24)]),
        ([*plain(14), Line("--"), *plain(9)], [(1, 24)]),
        ([*plain(18), Line("```py"), *plain(9)], [(1, 28)]),
        ([*plain(19), Line("```py"), *plain(9)], [(1, 20), (21, 29)]),
        ([*plain(28), Line("def f():"), *plain(5)], [(1, 34)]),
        ([*plain(29), Line("    pub fn f()"), *plain(5)], [(1, 30), (31, 35)]),
    ],
)
def test_lines_v1_has_the_boundaries_of_avocado(lines: list[Line], spans: list[tuple[int, int]]) -> None:
    assert lines_v1(lines, [], 1) == spans


def test_an_unknown_chunking_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="structure-v2, lines-v1"):
        chunker_of("structure-v1")


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=60), max_size=12))
def test_the_tokens_of_lines_add_up_to_those_of_their_text(lines: list[str]) -> None:
    assert sum(EMBEDDER.sizes(lines)) == EMBEDDER.sizes(["\n".join(lines)])[0]
