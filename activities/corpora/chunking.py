"""How a document is cut into spans: runs of whole lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from activities.corpora.outline import INNER, Line
from perdure.errors import InvalidRequest

Lines: TypeAlias = tuple[int, int]
"""First and last line of a span, 1-based, inclusive."""
Chunker: TypeAlias = Callable[[Sequence[Line], Sequence[int], int], list[Lines]]
"""`(lines, sizes, limit)` to spans; `sizes` counts each line in the embedder's tokens."""

DEFAULT_CHUNKING = "structure-v2"
"""A name stands for exact boundaries and an exact indexed text: another rule needs another name."""

_V1_HEADING = frozenset("=-~^")
_V1_DEFINITION = ("def ", "class ", "function ", "pub fn ", "fn ", "const ", "let ")


def lines_of(text: str) -> list[str]:
    r"""The lines of `text`: they end with `\n` or `\r\n`, and a final line end adds no empty line."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def structure_v2(lines: Sequence[Line], sizes: Sequence[int], limit: int) -> list[Lines]:
    """Contiguous spans that cover every line, each at most `limit` tokens unless it is one line.

    A span ends before a heading or a definition once it holds a quarter of `limit`. One that would grow over `limit`
    ends before the best start in its last three quarters: heading or definition, inner definition, line after a blank
    one, any line; the last of the best.
    """
    enough = limit // 4
    spans: list[Lines] = []
    first, held = 0, 0
    best, best_start = 0, -1  # where the next span starts best
    index = 0
    while index < len(lines):
        start = lines[index].start
        if index > first and held >= enough:
            if start >= INNER:
                spans.append((first + 1, index))
                first, held, best_start = index, 0, -1
            elif start >= best_start:
                best, best_start = index, start
        if index > first and held + sizes[index] > limit:
            end = best if best_start >= 0 else index
            spans.append((first + 1, end))
            first, held, best_start = end, 0, -1
            index = end  # the lines after the cut are looked at again, as part of the new span
            continue
        held += sizes[index]
        index += 1
    if lines:
        spans.append((first + 1, len(lines)))
    return spans


def lines_v1(lines: Sequence[Line], _sizes: Sequence[int], _limit: int) -> list[Lines]:
    """AvocadoDB's boundaries: contiguous spans that cover every line, of 40 lines at most.

    A span ends with its 40th line; with a blank line or code fence from its 20th on, a heading from its 15th, a
    definition from its 30th. It knows no tokens: what a span has beyond the embedder's limit is found by its words, not
    by its meaning.
    """
    spans: list[Lines] = []
    first = 1
    for number, line in enumerate(lines, 1):
        if number == len(lines) or number - first + 1 >= _v1_least(line.text.strip()):
            spans.append((first, number))
            first = number + 1
    return spans


def _v1_least(text: str) -> int:
    """Lines that a span must have to end with this one."""
    if (text.startswith("#") and len(text) > 1) or (len(text) >= 3 and _V1_HEADING.issuperset(text)):
        return 15
    if not text or text.startswith(("```", "~~~")):
        return 20
    return 30 if text.startswith(_V1_DEFINITION) else 40


CHUNKERS: dict[str, Chunker] = {DEFAULT_CHUNKING: structure_v2, "lines-v1": lines_v1}


def chunker_of(name: str) -> Chunker:
    """The chunker of this name.

    Raises:
        InvalidRequest: there is none.
    """
    if name not in CHUNKERS:
        raise InvalidRequest(
            f"Unknown chunking: {name!r}. Use one of {', '.join(CHUNKERS)}, or leave it out.", chunking=name
        )
    return CHUNKERS[name]
