"""The terms that the lexical leg compares: words of prose and of identifiers, without their endings."""

from __future__ import annotations

import re
from collections.abc import Iterable

TERMS = "stemmed-words-v1"
"""A name stands for exact terms: those of a query match only what was indexed by the same rule."""
MAX_QUERY_TERMS = 64
"""Different terms of a query that are looked for: the first ones."""
MAX_CHARACTERS = 65_536
"""How long a span's terms may be together: a `tsvector` holds a megabyte. Only a line of that length has more."""

_IDENTIFIER = re.compile(r"\w+")
_SEPARATOR = re.compile(r"[\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TWICE = re.compile(r"([bdfgkmnprt])\1$")
_NAME_WEIGHT = 3


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case, split at all but letters and digits, and where an identifier has a hump."""
    return [word.lower() for part in _SEPARATOR.split(text) for word in _HUMP.split(part) if word]


_STOP_WORDS = frozenset(
    words_of(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
        "this to was will with"
    )
)


def terms_of(query: str) -> list[str]:
    """The query's different terms, at most `MAX_QUERY_TERMS`; stop words only if there is nothing else."""
    terms = list(_terms(query))
    telling = [stem for word, stem in terms if word not in _STOP_WORDS]
    return list(dict.fromkeys(telling or (stem for _, stem in terms)))[:MAX_QUERY_TERMS]


def searched_text(path: str, within: Iterable[str], defined: Iterable[str], text: str) -> str:
    """What is searched for a span: the terms of its path, names and text, names thrice, joined by spaces."""
    names = " ".join(within)
    heard = " ".join([path, *[names] * _NAME_WEIGHT, text, *[" ".join(defined)] * (_NAME_WEIGHT - 1)])
    terms = " ".join(stem for _, stem in _terms(heard))
    return terms if len(terms) <= MAX_CHARACTERS else terms[:MAX_CHARACTERS].rpartition(" ")[0]


def _terms(text: str) -> Iterable[tuple[str, str]]:
    """Each word and its stem; an identifier of several words also as one, so that it is found however it is written."""
    for identifier in _IDENTIFIER.findall(text):
        words = words_of(identifier)
        for word in words:
            yield word, _stem(word)
        if len(words) > 1:
            whole = "".join(words)
            yield whole, whole


def _stem(word: str) -> str:
    """`parsing`, `parsed`, `parses` and `parse` alike; good enough to compare, not to be read."""
    if len(word) <= 3 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            if ending in ("ing", "ed"):
                word = _TWICE.sub(r"\1", word)
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word
