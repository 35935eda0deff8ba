"""Ids follow from content and place alone."""

from __future__ import annotations

from activities.corpora.indexed_text import indexed_text
from activities.corpora.outline import Line
from activities.spans import artifact_id, span_id
from tests.support.embedders import Hashed


def test_an_id_is_the_same_in_any_process() -> None:
    assert span_id("docs", "a/b.md", 1, 9, "text") == "d89d1f4b-f3c2-51bd-a16c-cb224edeedc7"
    assert artifact_id("default", "docs", "a/b.md") == "42bf767e-134a-5ec2-8126-49e907d72867"


def test_parts_that_join_to_the_same_text_have_different_ids() -> None:
    assert artifact_id("t", "a", "b/c") != artifact_id("t", "a/b", "c")
    assert span_id("a", "b1", 1, 2, "x") != span_id("a", "b", 11, 2, "x")


def test_the_same_lines_under_another_name_are_another_span() -> None:
    cat, cats = (indexed_text("a.py", [Line("pass", within=(name,))], Hashed().sizes) for name in ("Cat", "Cats"))
    assert cat.searched == cats.searched  # stems alone do not tell
    assert span_id("c", "a.py", 1, 1, *cat) != span_id("c", "a.py", 1, 1, *cats)


def test_a_changed_text_or_place_changes_the_id() -> None:
    first = span_id("c", "p", 1, 2, "x")
    assert len({first, span_id("c", "p", 1, 2, "y"), span_id("c", "p", 2, 3, "x"), span_id("d", "p", 1, 2, "x")}) == 4
