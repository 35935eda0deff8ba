"""Packs spans, rendered as numbered chunks, into a token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from activities.spans import Span

COUNTED = "cl100k_base"
"""The encoding of a span's stored `token_count`."""
SEPARATOR = "\n\n---\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span as it stands in the text. `rank` is its place by relevance, from 1; `end_line`, `text` and
    its `tokens` are as shown.
    """

    span: Span
    rank: int
    end_line: int
    text: str
    tokens: int
    truncated: bool = False

    def head(self, number: int) -> str:
        """What stands before the text: number, path, lines."""
        return f"[{number}] {self.span.path}\nLines {self.span.start_line}-{self.end_line}\n\n"

    def render(self, number: int) -> str:
        """The chunk under its number."""
        return self.head(number) + self.text


@dataclass(frozen=True, slots=True)
class Packed:
    """Chunks in the order of the text. `omitted` are spans that did not fit, even cut, before the budget was full."""

    text: str
    chunks: list[Chunk]
    tokens_used: int
    omitted: list[Span]


def pack(
    ranked: Sequence[Span],
    *,
    budget: int,
    max_spans: int,
    order: Literal["document", "relevance"],
    encoding: str,
    count: Callable[[str, str], int],
) -> Packed:
    """Take spans by rank while they fit; cut the first that doesn't at a line, to what is left.

    `tokens_used` counts the whole text and is at most `budget`. A span of which not even the first line fits is
    omitted, and the next is tried.
    """
    taken: list[Chunk] = []
    omitted: list[Span] = []
    left = budget
    for span in ranked:
        if len(taken) == max_spans or left <= 0:
            break
        tokens = span.token_count if encoding == COUNTED else span.counts.get(encoding)
        if tokens is None:
            tokens = span.counts[encoding] = count(span.text, encoding)
        chunk = Chunk(span=span, rank=len(taken) + 1, end_line=span.end_line, text=span.text, tokens=tokens)
        cost = _cost(chunk, encoding, count)
        if cost > left:
            cut = _cut(chunk, left, encoding, count)
            if cut is None:
                omitted.append(span)
                continue
            chunk, cost = cut, left
        taken.append(chunk)
        left -= cost
    while True:
        text, chunks = render(taken, order)
        used = count(text, encoding) if chunks else 0
        if used <= budget:
            return Packed(text, chunks, used, omitted)
        omitted.append(taken.pop().span)  # the counts of the parts were short of the whole


def render(taken: Sequence[Chunk], order: Literal["document", "relevance"]) -> tuple[str, list[Chunk]]:
    """The text of `taken`, and the chunks in its order."""
    chunks = sorted(taken, key=lambda c: c.span.place) if order == "document" else list(taken)
    return SEPARATOR.join(chunk.render(number) for number, chunk in enumerate(chunks, 1)), chunks


def _cost(chunk: Chunk, encoding: str, count: Callable[[str, str], int]) -> int:
    """At least what the chunk adds to the text: its parts cost no less alone than joined. A number has one token."""
    return count(chunk.head(1), encoding) + chunk.tokens + count(SEPARATOR, encoding)


def _cut(chunk: Chunk, left: int, encoding: str, count: Callable[[str, str], int]) -> Chunk | None:
    lines = chunk.text.split("\n")

    def first(n: int) -> Chunk:
        text = "\n".join(lines[:n])
        end_line, tokens = chunk.span.start_line + n - 1, count(text, encoding)
        return replace(chunk, end_line=end_line, text=text, tokens=tokens, truncated=True)

    fits, over = 0, len(lines)
    while over - fits > 1:
        middle = (fits + over) // 2
        if _cost(first(middle), encoding, count) <= left:
            fits = middle
        else:
            over = middle
    return first(fits) if fits else None
