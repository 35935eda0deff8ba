"""Outlines: which names a line stands under."""

from __future__ import annotations

from activities.corpora.outline import outline_of

PYTHON = """\
import os

class Parser(Base):
    @cached
    def parse(self,
        text,
    ):
        def inner(): ...
        return 1

    x = 2

def parse_all(): ...
"""


def test_code_stands_under_the_definitions_that_enclose_it() -> None:
    outline = outline_of("a.py", PYTHON.splitlines())
    assert [(number, line.name) for number, line in enumerate(outline, 1) if line.name] == [
        (3, "Parser"),
        (5, "parse"),
        (8, "inner"),
        (13, "parse_all"),
    ]
    within = [line.within for line in outline]
    assert within[2] == ()
    assert within[3] == within[4] == within[10] == ("Parser",)
    assert within[7] == within[8] == ("Parser", "parse")
    assert within[12] == ()


def test_methods_of_other_languages_have_their_names() -> None:
    lines = ["func (s *Server) Serve(l Listener) error {", "\treturn nil", "}", "pub(crate) async fn go<T>() {}"]
    outline = outline_of("a.go", lines)
    assert [line.name for line in outline] == ["Serve", "", "", "go"]
    assert outline[1].within == ("Serve",)


def test_prose_stands_under_its_headings_and_not_under_comments_in_a_fence() -> None:
    lines = ["# One", "text", "## Two", "```", "# no heading", "```", "Three", "-----", "text", "# Four", "text"]
    outline = outline_of("a.md", lines)
    assert [line.name for line in outline if line.name] == ["One", "Two", "Three", "Four"]
    assert outline[1].within == ("One",)
    assert outline[4].within == ("One", "Two")
    assert outline[8].within == ("One", "Three")
    assert outline[10].within == ("Four",)
