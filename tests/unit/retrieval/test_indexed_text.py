"""What is indexed of a span: names first, then its lines."""

from __future__ import annotations

from activities.corpora.indexed_text import HEAD_TOKENS, indexed_text
from activities.corpora.outline import Line, outline_of
from activities.embedder import MiniLm

SIZES = MiniLm().sizes


def test_lines_stand_under_the_names_of_their_place() -> None:
    lines = ["class HttpParser:", "    def parse_header(self):", "        return 1"]
    outline = outline_of("x", lines)
    whole = indexed_text("lib/net/http1.py", outline, SIZES)
    assert whole.embedded == "net http1 http parser parse header\n" + "\n".join(lines)
    part = indexed_text("lib/net/http1.py", outline[2:], SIZES)
    assert part.embedded == "net http1 http parser parse header\n        return 1"


def test_names_are_searched_thrice_and_the_whole_path_once() -> None:
    found = indexed_text("lib/net/http1.py", [Line("x", name="Stop", within=("Worker",))], SIZES).searched.split()
    assert sorted(found) == sorted(["lib", "net", "http1", "x", "stop", "stop", *["worker"] * 3])


def test_a_head_too_long_keeps_its_first_names() -> None:
    lines = [Line(f"def function{n}(): ...", name=f"function{n}") for n in range(60)]
    head = indexed_text("a.py", lines, SIZES).embedded.split("\n")[0]
    assert head.startswith("a function0 function1 ")
    assert HEAD_TOKENS - 3 <= SIZES([head])[0] <= HEAD_TOKENS


def test_blank_lines_first_do_not_hide_what_encloses_the_rest() -> None:
    assert indexed_text("a.py", [Line(""), Line("x", within=("f",))], SIZES).embedded == "a f\n\nx"
