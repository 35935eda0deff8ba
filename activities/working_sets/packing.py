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

    `tokens_used` is what the whole text counts, and at most `budget`. A span of which not even the first line fits is
    omitted, and the next is tried.
    """
    taken: list[Chunk] = []
    omitted: list[Span] = []
    left = budget
    for span in ranked:
        if len(taken) == max_spans or left <= 0:
            break
        chunk, cost = _whole(span, len(taken) + 1, encoding, count)
        if cost > left:
            cut = _cut(chunk, left, encoding, count)
            if cut is None:
                omitted.append(span)
                continue
            chunk, cost = cut
        taken.append(chunk)
        left -= cost
    text, chunks = render(taken, order)
    # The last chunk has no separator after it, which never makes it dearer.
    used = budget - left - _cost(chunks[-1], encoding, count) + count(chunks[-1].render(1), encoding) if chunks else 0
    return Packed(text, chunks, used, omitted)


def render(taken: Sequence[Chunk], order: Literal["document", "relevance"]) -> tuple[str, list[Chunk]]:
    """The text of `taken`, and the chunks in its order."""
    chunks = sorted(taken, key=lambda c: c.span.place) if order == "document" else list(taken)
    return SEPARATOR.join(chunk.render(number) for number, chunk in enumerate(chunks, 1)), chunks


def _whole(span: Span, rank: int, encoding: str, count: Callable[[str, str], int]) -> tuple[Chunk, int]:
    """The whole span as a chunk, and its cost; both counts are made once for a span that is kept in memory."""
    tokens, cost = span.counts.get(encoding, (span.token_count if encoding == COUNTED else None, None))
    if tokens is None:
        tokens = count(span.text, encoding)
    chunk = Chunk(span=span, rank=rank, end_line=span.end_line, text=span.text, tokens=tokens)
    if cost is None:
        cost = _cost(chunk, encoding, count)
        span.counts[encoding] = tokens, cost
    return chunk, cost


def _cost(chunk: Chunk, encoding: str, count: Callable[[str, str], int]) -> int:
    """What the chunk adds to the text, exactly: no token reaches over the end of a separator.

    Both encodings split a text before they count it (their patterns are in OpenAI's tiktoken), and always between a
    run of punctuation with its line ends, which `---` is, and the `[` that follows; a number of up to three digits is
    one token, so that the chunk's number does not matter.
    """
    return count(chunk.render(1) + SEPARATOR, encoding)


def _cut(chunk: Chunk, left: int, encoding: str, count: Callable[[str, str], int]) -> tuple[Chunk, int] | None:
    """The most lines of `chunk` that cost at most `left`, and their cost; none if the first costs more."""
    lines = chunk.text.split("\n")
    best = None
    fits, over = 0, len(lines)
    while over - fits > 1:
        middle = (fits + over) // 2
        text = "\n".join(lines[:middle])
        shorter = replace(chunk, end_line=chunk.span.start_line + middle - 1, text=text, truncated=True)
        cost = _cost(shorter, encoding, count)
        if cost <= left:
            best, fits = (shorter, cost), middle
        else:
            over = middle
    if best is None:
        return None
    shorter, cost = best
    return replace(shorter, tokens=count(shorter.text, encoding)), cost
