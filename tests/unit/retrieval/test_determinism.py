"""The same query, config and version give the same bytes, however the index and the store answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from activities.spans import Hit, Span, span_id
from activities.tokens import count
from activities.working_sets.compiler import WorkingSetCompiler, choose
from activities.working_sets.explain import Explain
from activities.working_sets.fusion import by_score, diversify, fuse, similarities
from activities.working_sets.retrieval import Found, Scored, ordered
from perdure.working_set import CompilerConfig, WorkingSet
from tests.unit.retrieval import fakes

REPEATS = 10_000
DIMENSION = 8


def _spans(number: int) -> list[Span]:
    """Spans of a few files; each third has the vector of the one before, and so the same score."""
    numbers = np.random.default_rng(7)
    found: list[Span] = []
    for n in range(number):
        values = numbers.normal(size=DIMENSION)
        vector = (values / np.linalg.norm(values)).astype("<f4").tobytes()
        path, line, text = f"{n % 4}.md", 1 + 2 * (n // 4), f"line {n} speaks of ownership\nand of number {n % 5}"
        found.append(
            Span(
                span_id=span_id("docs", path, line, line + 1, text),
                artifact_id=path,
                path=path,
                start_line=line,
                end_line=line + 1,
                text=text,
                token_count=count(text),
                vector=found[-1].vector if n % 3 == 2 else vector,
            )
        )
    return found


SPANS = {span.span_id: span for span in _spans(16)}
VECTOR = next(iter(SPANS.values())).vector


class Store(fakes.Corpora):
    """Gives spans in another order each time."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        found = [replace(SPANS[one], counts={}) for one in span_ids]
        self._chance.shuffle(found)
        return found


class Index(fakes.Index):
    """Gives all spans in another order each time, its scores wrong in their last bits."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        return self._shuffled(dict.fromkeys(SPANS, 0.5))

    async def search_text(self, index: str, terms: Sequence[str], limit: int) -> list[Hit]:
        return self._shuffled({one: 1.25 + span.start_line % 3 for one, span in SPANS.items()})

    def _shuffled(self, scores: dict[str, float]) -> list[Hit]:
        hits = [Hit(one, score + self._chance.uniform(-1e-6, 1e-6)) for one, score in scores.items()]
        self._chance.shuffle(hits)
        return hits


class Embedder(fakes.Embedder):
    """One vector for every text."""

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [VECTOR for _ in texts]


def seen(found: WorkingSet) -> tuple[object, ...]:
    """All of a working set but its time."""
    return found.text, found.context_hash, tuple(found.citations), tuple(found.spans), str(found.manifest)


CONFIG = CompilerConfig(token_budget=160, semantic_k=12, lexical_k=6)


def test_hits_in_ten_thousand_orders_give_one_text_and_one_order_of_relevance() -> None:
    chance = random.Random(10)
    spans = [replace(span, counts={}) for span in SPANS.values()]
    near = [
        Scored(span, score) for span, score in zip(spans, similarities(VECTOR, [s.vector for s in spans]), strict=True)
    ]
    matching = [Scored(span, 1.25 + span.start_line % 3) for span in spans]
    distinct = set()
    for _ in range(REPEATS):
        chance.shuffle(near)
        chance.shuffle(matching)
        found = Found(ordered(near, CONFIG.semantic_k), ordered(matching, CONFIG.lexical_k))
        packed, scores = choose(found, CONFIG, Explain("ownership?"))
        distinct.add(
            (
                packed.text,
                tuple((chunk.rank, chunk.span.span_id) for chunk in packed.chunks),
                str(sorted(scores.items())),
            )
        )
    assert len(distinct) == 1
    assert 3 <= len(packed.chunks) < len(SPANS)


async def test_an_index_and_a_store_that_answer_in_any_order_give_one_working_set() -> None:
    chance = random.Random(11)
    compiler = WorkingSetCompiler(Store(chance), Index(chance), Embedder(), cached_spans=0)
    distinct = set()
    for _ in range(500):
        found = await compiler.compile(tenant="default", corpus="docs", query="ownership?", config=CONFIG)
        distinct.add(seen(found))
    assert len(distinct) == 1
    assert not found.degraded
    assert 3 <= len(found.citations) < len(SPANS)
    assert found.tokens_used == count(found.text) <= 160


def test_fusion_and_diversity_do_not_depend_on_the_order_in_which_legs_were_filled() -> None:
    chance = random.Random(12)
    legs = [(0.7, list(SPANS)), (0.3, list(SPANS)[::-2])]
    vectors = {one: span.vector for one, span in SPANS.items()}
    distinct = set()
    for _ in range(1000):
        chance.shuffle(legs)
        scores = fuse(legs)
        shuffled = dict(chance.sample(list(scores.items()), len(scores)))
        ranked = by_score(shuffled, lambda one: SPANS[one].place)
        order = diversify([scores[one] for one in ranked], [vectors[one] for one in ranked], 0.5)
        distinct.add(tuple(ranked[position] for position in order))
    assert len(distinct) == 1
