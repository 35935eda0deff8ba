"""How a document is cut into spans: runs of whole lines that follow its structure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

Lines: TypeAlias = tuple[int, int]
"""First and last line of a span, 1-based, inclusive."""
Chunker: TypeAlias = Callable[[str, Sequence[str], Sequence[int], int], list[Lines]]
"""`(path, lines, sizes, limit)` to spans; `sizes` counts each line in the embedder's tokens."""

DEFAULT_CHUNKING = "structure-v1"
"""A name stands for exact boundaries: another rule needs another name."""

_DEFINITION = re.compile(
    r"(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|static|abstract|final|async|unsafe|extern)\s+)*"
    r"(?:def|class|fn|func|function|struct|enum|trait|impl|interface|namespace|module|message|service|type)\s+\S"
)
_COMMENT = re.compile(r"@|#|//|/\*|\*")
_HEADING = re.compile(r"#{1,6}\s")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|~{3,}|\^{3,})\s*$")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_PROSE = (".md", ".markdown", ".mdx", ".rst", ".txt")
_TOP, _INNER, _GAP, _NONE = 3, 2, 1, 0


def lines_of(text: str) -> list[str]:
    r"""The lines of `text`: they end with `\n` or `\r\n`, and a final line end adds no empty line."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def structure_v1(path: str, lines: Sequence[str], sizes: Sequence[int], limit: int) -> list[Lines]:
    """Contiguous spans that cover every line, each at most `limit` tokens unless it is one line.

    A span ends before a heading or a definition once it holds a quarter of `limit`. One that would grow over `limit`
    ends before the best start in its last three quarters: heading or definition, inner definition, line after a blank
    one, any line; the last of the best.
    """
    starts = _prose_starts(lines) if path.lower().endswith(_PROSE) else _code_starts(lines)
    enough = limit // 4
    spans: list[Lines] = []
    first, held = 0, 0
    best, best_rank = 0, -1  # the best start seen for the next span
    index = 0
    while index < len(lines):
        rank = starts[index]
        if index > first and held >= enough:
            if rank >= _INNER:
                spans.append((first + 1, index))
                first, held, best_rank = index, 0, -1
            elif rank >= best_rank:
                best, best_rank = index, rank
        if index > first and held + sizes[index] > limit:
            end = best if best_rank >= 0 else index
            spans.append((first + 1, end))
            first, held, best_rank = end, 0, -1
            index = end  # the lines after the cut are looked at again, as part of the new span
            continue
        held += sizes[index]
        index += 1
    if lines:
        spans.append((first + 1, len(lines)))
    return spans


CHUNKERS: dict[str, Chunker] = {DEFAULT_CHUNKING: structure_v1}


def _prose_starts(lines: Sequence[str]) -> list[int]:
    ranks, fenced = [], False
    for index, line in enumerate(lines):
        fence = _FENCE.match(line) is not None
        after_gap = index > 0 and not lines[index - 1].strip()
        if fenced:
            ranks.append(_NONE)
        elif _HEADING.match(line) or (line.strip() and index + 1 < len(lines) and _UNDERLINE.match(lines[index + 1])):
            ranks.append(_TOP)
        else:
            ranks.append(_GAP if after_gap and line.strip() else _NONE)
        fenced ^= fence
    return ranks


def _code_starts(lines: Sequence[str]) -> list[int]:
    ranks = []
    for index, line in enumerate(lines):
        stripped = line.lstrip()
        if _DEFINITION.match(stripped):
            ranks.append(_TOP if len(stripped) == len(line) else _INNER)
            _lift(ranks, lines)
        else:
            ranks.append(_GAP if stripped and index > 0 and not lines[index - 1].strip() else _NONE)
    return ranks


def _lift(ranks: list[int], lines: Sequence[str]) -> None:
    """Move the start of a definition up to the decorators and comments right above it."""
    index = len(ranks) - 1
    while index > 0 and _COMMENT.match(lines[index - 1].lstrip()):
        ranks[index - 1], ranks[index] = ranks[index], _NONE
        index -= 1
