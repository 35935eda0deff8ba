"""Counts tokens as OpenAI's encodings do; light to import, so that workflow code may."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

_PIECE = 500_000
"""Characters counted at once: the tokenizer refuses a million."""


def count(text: str, encoding: str = "cl100k_base") -> int:
    """How many tokens `text` has in `encoding`; names of special tokens count as plain text.

    A text of over half a million characters is counted in pieces, which may add one token a piece.

    Raises:
        KeyError: the encoding is not known.
    """
    encoder = _encoder(encoding)
    if len(text) <= _PIECE:
        return len(encoder.encode_ordinary(text))
    return sum(len(encoder.encode_ordinary(text[i : i + _PIECE])) for i in range(0, len(text), _PIECE))


@cache
def _encoder(encoding: str) -> Any:
    with warnings.catch_warnings():  # bpe-openai 0.1.4 reads its tables by a deprecated function
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai  # loads its tables, some 35 ms

        return bpe_openai.get_encoding(encoding)
