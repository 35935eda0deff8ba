"""Spans, hits and corpora as stores give them to the compiler and to ingest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid5

from perdure.errors import InvalidRequest

_NAMESPACE = UUID("6f1c4f0e-2d0b-5b6e-9a3c-0d9d5f3f7a11")

SETTLED_FOR = timedelta(seconds=1)
"""How long an index stays as it is after a reader saw it settled: BM25 scores depend on all that it holds."""
CHANGED_WITHIN = timedelta(seconds=90)
"""How long after it was sent a change of an index may still be made, if nothing is heard of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run of whole lines of an artifact. `vector` is float32, little-endian, of length 1 in the Euclidean norm."""

    span_id: str
    artifact_id: str
    path: str
    start_line: int
    end_line: int
    text: str
    token_count: int
    vector: bytes = field(repr=False)
    terms: str = field(default="", repr=False, compare=False)
    """What full text searches for it; empty in a span that was read to be packed."""
    counts: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)
    """Tokens by encoding, of the text and of the text as it is rendered; remembered by packing."""

    @property
    def place(self) -> tuple[str, int]:
        """What breaks a tie: path, then line."""
        return self.path, self.start_line


class IndexUnavailable(Exception):
    """The span index is down, late, or lacks what was asked for."""


class EmbedderRefused(Exception):
    """The embedder refuses, or its vectors are not what the settings say; asking again gives the same answer."""


class Hit(NamedTuple):
    """A span that a leg found, and the leg's own score; higher is better."""

    span_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderId:
    """Which embedder made a vector. Vectors of two are never compared."""

    name: str
    version: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusState:
    """A corpus as of now. `index` names its part of the span index; it holds `indexed_version`, which may be behind."""

    version: int
    embedder: EmbedderId
    chunking: str
    index: str | None
    indexed_version: int
    span_count: int
    settled_for: timedelta
    """How long from now on the index holds what the version has and nothing else; zero: it may not even now."""


class KeptVersion(NamedTuple):
    """A version that can still be read. `index_name` is that of an index of it alone, if it was asked for."""

    version: int
    index_name: str | None
    span_count: int


def made_otherwise(
    corpus: str, embedder: EmbedderId, chunking: str, asked: EmbedderId, asked_chunking: str
) -> InvalidRequest:
    """The refusal of an embedder or a chunking that is not what the corpus was made with."""
    return InvalidRequest(
        f"Corpus {corpus} was made with {embedder} and {chunking}; asked for are {asked} and {asked_chunking}. Ingest "
        "into a new corpus, or with what this one has.",
        corpus=corpus,
        embedder=str(embedder),
        chunking=chunking,
    )


def artifact_id(tenant: str, corpus: str, path: str) -> str:
    """The artifact's id, a function of where it is; JSON keeps the parts apart."""
    return _id([tenant, corpus, path])


def span_id(corpus: str, path: str, start_line: int, end_line: int, *indexed: str) -> str:
    """The span's id, a function of where it is and of all that is indexed of it: the same in any store and in any order
    of ingest. Enclosing names are indexed too, so lines that stay as they are make another span under another heading.
    """
    return _id([corpus, path, start_line, end_line, *(hashlib.sha256(text.encode()).hexdigest() for text in indexed)])


def _id(parts: Sequence[str | int]) -> str:
    return str(uuid5(_NAMESPACE, json.dumps(parts, ensure_ascii=True, separators=(",", ":"))))
