"""What the legs find, and what is found without them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from activities.spans import CorpusState, EmbedderId, Hit, IndexUnavailable
from activities.working_sets import retrieval
from activities.working_sets.breaker import Breaker
from activities.working_sets.explain import Explain
from activities.working_sets.retrieval import EXACT_SPANS, MOST_HITS, Found, Retrieval, best
from perdure.working_set import CompilerConfig
from tests.unit.retrieval.fakes import EMBEDDER, SPAN, STATE, Corpora, Embedder, Index


class Hanging(Index):
    """Never answers by a vector."""

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        await asyncio.Event().wait()
        return []


class Crowded(Index):
    """Finds spans of a version to come before the one span that there is; notes how many were asked for."""

    def __init__(self, others: int) -> None:
        self._others = others
        self.asked: list[int] = []

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        self.asked.append(limit)
        others = (Hit(f"other{n}", 1.0 - n / 10_000) for n in range(self._others))
        return [*others, Hit(SPAN.span_id, 0.5)][:limit]


def retrieval_with(embedder: Embedder, index: Index | None = None) -> Retrieval:
    return Retrieval(
        Corpora(),
        index or Index(),
        embedder,
        breaker=Breaker(),
        embedder_breaker=Breaker(failures=2),
        cached_spans=8,
    )


async def found(
    embedder: Embedder,
    corpus_embedder: EmbedderId = EMBEDDER,
    retrieval: Retrieval | None = None,
    config: CompilerConfig | None = None,
    state: CorpusState = STATE,
) -> Found:
    retrieval = retrieval or retrieval_with(embedder)
    state, config, log = replace(state, embedder=corpus_embedder), config or CompilerConfig(), Explain("hello?")
    async with retrieval.embedding("hello?", config, log) as vector:
        return await retrieval.find("default", "docs", state, "hello?", vector, config, log)


@pytest.mark.parametrize(
    ("state", "promised"),
    [
        (STATE, True),
        (replace(STATE, span_count=EXACT_SPANS + 1), False),
        (replace(STATE, settled_for=timedelta()), False),
        (replace(STATE, settled_for=timedelta(microseconds=1)), False),  # it took longer than that
    ],
)
async def test_the_same_is_promised_of_an_exact_search_in_an_index_that_stays(
    state: CorpusState, promised: bool
) -> None:
    assert (await found(Embedder(), state=state)).promised is promised


async def test_both_legs_are_asked() -> None:
    result = await found(Embedder())
    assert [scored.span for scored in result.semantic] == [SPAN]
    assert result.lexical == []
    assert result.degraded is None


async def test_a_broken_embedder_leaves_the_lexical_leg_and_says_so() -> None:
    result = await found(Embedder(broken=True))
    assert result.semantic == []
    assert [scored.span for scored in result.lexical] == [SPAN]
    assert result.degraded == ("embedder_failed", "The embedder failed: the model is gone")


async def test_vectors_of_two_embedders_never_meet() -> None:
    result = await found(Embedder(), replace(EMBEDDER, version="2"))
    assert result.semantic == []
    assert result.degraded is not None
    assert result.degraded == ("other_embedder", "The corpus was embedded with fake@2; this worker has fake@1.")


async def test_an_embedder_that_fails_again_and_again_is_left_alone() -> None:
    embedder = Embedder(broken=True)
    retrieval = retrieval_with(embedder)
    reasons = []
    for _ in range(4):
        degraded = (await found(embedder, retrieval=retrieval)).degraded
        assert degraded is not None
        reasons.append(degraded.reason)
    assert reasons == ["embedder_failed"] * 2 + ["embedder_left_alone"] * 2
    assert embedder.asked == 2


class Down(Index):
    """Fails whenever it is asked."""

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        raise IndexUnavailable("It is down.")


class EverySecond(Index):
    """Fails every second time."""

    def __init__(self) -> None:
        self.asked = 0

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        self.asked += 1
        if self.asked % 2:
            raise IndexUnavailable("gone for a moment")
        return await super().search_vector(index, vector, limit)


async def test_an_index_that_answers_in_between_is_not_left_alone() -> None:
    embedder = Embedder()
    retrieval = retrieval_with(embedder, EverySecond())
    told = [(await found(embedder, retrieval=retrieval)).degraded for _ in range(8)]
    assert [degraded and degraded.reason for degraded in told] == ["index_failed", None] * 4


async def test_an_embedder_that_answers_in_between_is_not_left_alone() -> None:
    broken, whole = Embedder(broken=True), Embedder()
    retrieval = retrieval_with(broken)
    for embedder, reason in [(broken, "embedder_failed"), (whole, None)] * 3:
        retrieval._embedder = embedder
        degraded = (await found(embedder, retrieval=retrieval)).degraded
        assert (degraded and degraded.reason) == reason


async def test_nothing_is_embedded_for_an_index_that_is_left_alone() -> None:
    embedder = Embedder()
    retrieval = retrieval_with(embedder, Down())
    reasons = [(await found(embedder, retrieval=retrieval)).degraded for _ in range(5)]
    assert [degraded.reason for degraded in reasons if degraded] == ["index_failed"] * 3 + ["index_left_alone"] * 2
    assert embedder.asked == 3


async def test_an_embedder_that_is_late_is_not_waited_for() -> None:
    config = CompilerConfig(retrieval_timeout=timedelta(milliseconds=20))
    result = await found(Embedder(hangs=True), config=config)
    assert result.degraded == ("embedder_failed", "The embedder gave no answer in 0.02 s.")
    assert [scored.span for scored in result.lexical] == [SPAN]


async def test_a_slow_embedder_and_a_slow_index_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "TOTAL_SECONDS", 0.4)
    config = CompilerConfig(retrieval_timeout=timedelta(seconds=5))
    slow = Embedder(seconds=0.2)
    async with asyncio.timeout(2):
        answer = await found(slow, retrieval=retrieval_with(slow, Hanging()), config=config)
    assert answer.degraded is not None
    assert answer.degraded.reason == "index_failed"
    assert [scored.span for scored in answer.lexical] == [SPAN]


async def test_nobody_is_refused_an_embedder_that_was_late_for_who_hardly_waited() -> None:
    late, prompt = Embedder(hangs=True), Embedder()
    breaker = Breaker(failures=1)
    retrieval = Retrieval(
        Corpora(), Index(), late, breaker=Breaker(failures=1), embedder_breaker=breaker, cached_spans=8
    )
    hardly = CompilerConfig(retrieval_timeout=timedelta(milliseconds=20))
    assert (await found(late, retrieval=retrieval, config=hardly)).degraded is not None
    assert not breaker.is_open
    retrieval = Retrieval(
        Corpora(), Index(), prompt, breaker=Breaker(failures=1), embedder_breaker=breaker, cached_spans=8
    )
    assert (await found(prompt, retrieval=retrieval)).degraded is None


@pytest.mark.parametrize(
    ("others", "asked", "finds"),
    [
        (49, [60], True),  # fewer than were asked for: there are no more
        (60, [60, 510], True),
        (509, [60, 510], True),
        (510, [60, 510], False),  # the limit
    ],
)
async def test_spans_of_other_versions_take_no_places_up_to_a_limit(
    others: int, asked: list[int], *, finds: bool
) -> None:
    index = Crowded(others)
    result = await found(Embedder(), retrieval=retrieval_with(Embedder(), index))
    assert index.asked == asked
    assert [scored.span for scored in result.semantic] == ([SPAN] if finds else [])


@pytest.mark.parametrize(
    ("scores", "asked"),
    [
        ([1 - n / 100 for n in range(100)], [12]),  # no tie
        ([1.0] * 11 + [0.5] * 100, [12]),  # a tie that ends among the first
        ([1.0] * 40 + [0.5] * 100, [12, 60]),  # a tie that does not
        ([0.9999999 + n % 2 / 10**8 for n in range(9000)], [12, 60, 300, 1500, MOST_HITS]),  # one without end
        ([1.0] * 30, [12, 60]),  # fewer than are asked for
        ([1.0], [12]),
        ([], [12]),
    ],
)
async def test_as_many_hits_are_asked_for_as_a_tie_at_the_edge_needs(scores: list[float], asked: list[int]) -> None:
    limits = []

    async def search(limit: int) -> list[Hit]:
        limits.append(limit)
        return [Hit(str(n), score) for n, score in enumerate(scores[:limit])]

    hits = await best(search, 2, 0.00001)
    assert limits == asked
    assert len(hits) == min(asked[-1], len(scores))


async def test_no_more_hits_are_asked_for_than_the_most() -> None:
    limits = []

    async def search(limit: int) -> list[Hit]:
        limits.append(limit)
        return []

    await best(search, 5000, 0.00001)
    assert limits == [MOST_HITS]
