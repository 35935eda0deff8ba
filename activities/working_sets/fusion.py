"""Weighted reciprocal rank fusion, and maximal marginal relevance over what it gives."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

RANK_CONSTANT = 60
"""Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion", SIGIR 2009."""
_DIGITS = 9
"""Scores are rounded, so that no tie is broken by the last bits of floating point."""
_SIMILARITY_DIGITS = 6

K = TypeVar("K", bound=Hashable)


def fuse(legs: Iterable[tuple[float, Sequence[K]]]) -> dict[K, float]:
    """The sum of `weight / (60 + rank)` over the legs that hold a key, ranks from 0."""
    scores: dict[K, float] = {}
    for weight, keys in legs:
        for rank, key in enumerate(keys):
            scores[key] = scores.get(key, 0.0) + weight / (RANK_CONSTANT + rank)
    return {key: round(score, _DIGITS) for key, score in scores.items()}


def by_score(scores: dict[K, float], place: Callable[[K], Any]) -> list[K]:
    """Keys by falling score; equal ones by `place`."""
    return sorted(scores, key=lambda key: (-scores[key], place(key)))


def similarities(query: bytes, vectors: Sequence[bytes]) -> list[float]:
    """`(1 + cosine) / 2` of `query` with each vector, rounded; all are float32, little-endian, of length 1.

    Raises:
        ValueError: a vector has another dimension than the query.
    """
    if any(len(vector) != len(query) for vector in vectors):
        raise ValueError(f"A vector's dimension differs from the query's, which is {len(query) // 4}.")
    found = (1 + _matrix(vectors, len(query)) @ _matrix([query], len(query))[0]) / 2
    return [float(score) for score in np.round(found, _SIMILARITY_DIGITS)]


def diversify(scores: Sequence[float], vectors: Sequence[bytes | None], weight: float) -> list[int]:
    """Positions in the order of maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    The first stays first; then whichever has the most of `weight * relevance - (1 - weight) * similarity`, where
    relevance is the score scaled to [0, 1] and similarity the highest cosine with one taken before. Ties go to the
    earlier position. A position without a vector resembles nothing.
    """
    if len(scores) < 2:
        return list(range(len(scores)))
    values = np.asarray(scores, dtype=np.float64)
    spread = values.max() - values.min()
    relevance = (values - values.min()) / spread if spread > 0 else np.ones_like(values)
    matrix = _matrix(vectors, next((len(vector) for vector in vectors if vector is not None), 4))
    similarity = np.round(matrix @ matrix.T, _SIMILARITY_DIGITS)
    gain, loss = np.round(weight * relevance, _DIGITS), np.round((1 - weight) * similarity, _DIGITS)
    gain[0] = -np.inf  # taken
    chosen, nearest = [0], loss[0].copy()
    for _ in range(len(values) - 1):
        best = int(np.argmax(gain - nearest))
        gain[best] = -np.inf
        chosen.append(best)
        np.maximum(nearest, loss[best], out=nearest)
    return chosen


def _matrix(vectors: Sequence[bytes | None], size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    joined = b"".join(vector if vector is not None else bytes(size) for vector in vectors)
    return np.frombuffer(joined, dtype="<f4").reshape(len(vectors), size // 4).astype(np.float64)
