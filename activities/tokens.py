"""Counts tokens as OpenAI's encodings do; light to import, so that workflow code may."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import cache
from typing import Any

_WHOLE = 500_000
"""Characters counted at once: the tokenizer refuses a million."""
_PIECE = 50_000
"""Characters that never have the 200,000 tokens which the tokenizer refuses, too: none has more than four."""
_LONGEST = 128
"""Characters of the longest token, which is spaces."""


def count(text: str, encoding: str = "cl100k_base") -> int:
    """How many tokens `text` has in `encoding`; names of special tokens count as plain text.

    A text of over half a million characters or 200,000 tokens is counted in pieces, which may add one token a piece.

    Raises:
        KeyError: the encoding is not known.
    """
    encoder = _encoder(encoding)
    if len(text) <= _WHOLE:
        with suppress(ValueError):  # too many tokens for it
            return len(encoder.encode_ordinary(text))
    return sum(len(encoder.encode_ordinary(text[i : i + _PIECE])) for i in range(0, len(text), _PIECE))


def first(text: str, limit: int) -> str:
    """The start of `text` that has at most `limit` tokens; all of it, if it has no more."""
    text = text[: limit * _LONGEST]
    if count(text) <= limit:
        return text
    fits, over = 0, len(text)
    while over - fits > 1:
        middle = (fits + over) // 2
        if count(text[:middle]) <= limit:
            fits = middle
        else:
            over = middle
    return text[:fits]


@cache
def _encoder(encoding: str) -> Any:
    with warnings.catch_warnings():  # bpe-openai 0.1.4 reads its tables by a deprecated function
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai  # loads its tables, some 35 ms

        return bpe_openai.get_encoding(encoding)
