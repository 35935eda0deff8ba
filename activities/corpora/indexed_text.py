"""What is indexed of a span: its lines under a head of names, as the embedder reads it, and its terms."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from activities.corpora.outline import Line
from activities.terms import searched_text, words_of

HEAD_TOKENS = 54
"""What the head may have of the embedder's input; a span's lines have the rest."""


_SUFFIX = re.compile(r"\.\w+$")


class IndexedText(NamedTuple):
    """`embedded` is what the vector is of; `searched` the terms, joined by spaces."""

    embedded: str
    searched: str


def indexed_text(path: str, lines: Sequence[Line], sizes: Callable[[Sequence[str]], list[int]]) -> IndexedText:
    """The indexed text of a span, a function of where it stands and of its lines; `sizes` counts in tokens.

    The head is a line of words: those of the file's name and its folder's, of the names that enclose the first line,
    and of the names that the lines define; as many as `HEAD_TOKENS` hold.
    """
    text = "\n".join(line.text for line in lines)
    within = next((line.within for line in lines if line.text.strip()), ())
    defined = [line.name for line in lines if line.name]
    place = _SUFFIX.sub("", path)
    words = words_of(" ".join([*place.split("/")[-2:], *within, *defined]))
    held = list(accumulate(sizes(words)))
    head = " ".join(words[: bisect_right(held, HEAD_TOKENS)])
    return IndexedText(f"{head}\n{text}", searched_text(place, within, defined, text))
