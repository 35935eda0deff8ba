"""A document cut into the pieces that become its spans, pure: nothing is embedded or stored."""

from __future__ import annotations

from typing import NamedTuple

from activities.corpora.chunking import chunker_of, lines_of
from activities.corpora.indexed_text import HEAD_TOKENS, IndexedText, indexed_text
from activities.corpora.outline import outline_of
from activities.ports import Embedder


class Piece(NamedTuple):
    """Lines `start_line` to `end_line`, 1-based, inclusive: as they are, and as they are indexed."""

    start_line: int
    end_line: int
    text: str
    indexed: IndexedText


def cut(path: str, content: str, chunking: str, embedder: Embedder) -> list[Piece]:
    """The pieces of a document: contiguous, of whole lines, all of them.

    Raises:
        InvalidRequest: there is no such chunking.
    """
    lines = lines_of(content)
    outline = outline_of(path, lines)
    spans = chunker_of(chunking)(outline, embedder.sizes(lines), embedder.limit - HEAD_TOKENS)
    return [
        Piece(
            first,
            last,
            "\n".join(lines[first - 1 : last]),
            indexed_text(path, outline[first - 1 : last], embedder.sizes),
        )
        for first, last in spans
    ]
