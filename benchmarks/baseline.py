"""The plain way to retrieve: windows of twenty lines, exact cosine, BM25 over split identifiers, weights .7 and .3."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from activities.corpora.chunking import lines_of
from activities.embedder import MiniLm
from activities.terms import words_of
from activities.working_sets.fusion import by_score, diversify, fuse
from benchmarks.questions import Place, QuestionSet
from benchmarks.ranking import Ranking

_LINES = 20
_SEMANTIC_K, _LEXICAL_K = 50, 20
_SEMANTIC_WEIGHT, _LEXICAL_WEIGHT, _MMR_LAMBDA = 0.7, 0.3, 0.5
_TEXTS_AT_ONCE = 8


async def baseline(found: QuestionSet, embedder: MiniLm) -> Ranking:
    """Ask all questions of the baseline, in this process: no server is needed."""
    places, texts = _windows(found.files)
    matcher = Bm25([words_of(text) for text in texts])
    vectors = await embed_all(embedder, texts)
    matrix = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(texts), -1)
    ranking = Ranking(f"baseline: {_LINES}-line windows")
    queries = await embed_all(embedder, [question.text for question in found.questions])
    for question, query in zip(found.questions, queries, strict=True):
        near = _best(np.round(matrix @ np.frombuffer(query, dtype="<f4"), 6), _SEMANTIC_K)
        matching = _best(np.round(matcher.scores(words_of(question.text)), 3), _LEXICAL_K)
        scores = fuse([(_SEMANTIC_WEIGHT, near), (_LEXICAL_WEIGHT, matching)])
        fused = by_score(scores, lambda window: window)
        order = diversify([scores[w] for w in fused], [vectors[w] for w in fused], _MMR_LAMBDA)
        legs = {"semantic": near, "lexical": matching, "fused": fused, "mmr": [fused[i] for i in order]}
        for leg, windows in legs.items():
            ranking.add(leg, question, (places[window] for window in windows))
    return ranking


async def embed_all(embedder: MiniLm, texts: Sequence[str], *, at_once: int = 2) -> list[bytes]:
    """The vectors of `texts`, `at_once` of them being made at any time."""
    turn = asyncio.Semaphore(at_once)

    async def embed(group: Sequence[str]) -> list[bytes]:
        async with turn:
            return await embedder.embed(group)

    groups = [texts[i : i + _TEXTS_AT_ONCE] for i in range(0, len(texts), _TEXTS_AT_ONCE)]
    return [vector for made in await asyncio.gather(*map(embed, groups)) for vector in made]


class Bm25:
    """BM25 with Lucene's idf, k1 1.2 and b 0.75, over documents that are lists of words."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        lengths = np.array([len(document) for document in documents])
        self._norm = 1.2 * (1 - 0.75 + 0.75 * lengths / lengths.mean())
        found: dict[str, list[tuple[int, int]]] = {}
        for number, document in enumerate(documents):
            for word, count in Counter(document).items():
                found.setdefault(word, []).append((number, count))
        self._postings = {word: np.array(postings).T for word, postings in found.items()}

    def scores(self, query: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """A score for each document; 0 where no word of the query is."""
        total = len(self._norm)
        scores = np.zeros(total)
        for word in set(query) & self._postings.keys():
            numbers, counts = self._postings[word]
            weight = math.log(1 + (total - len(numbers) + 0.5) / (len(numbers) + 0.5))
            scores[numbers] += weight * counts * 2.2 / (counts + self._norm[numbers])
        return scores


def _windows(files: dict[str, str]) -> tuple[list[Place], list[str]]:
    places, texts = [], []
    for path, content in sorted(files.items()):
        lines = lines_of(content)
        for first in range(0, len(lines), _LINES):
            window = lines[first : first + _LINES]
            places.append(Place(path, first + 1, first + len(window)))
            texts.append("\n".join(window))
    return places, texts


def _best(scores: np.ndarray[tuple[int], np.dtype[np.float64]], limit: int) -> list[int]:
    order = np.argsort(-scores, kind="stable")[:limit]
    return [int(number) for number in order if scores[number] > 0]
