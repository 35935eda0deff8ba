"""Spans kept in memory: each is read once, and only where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from activities.spans import Span
from activities.working_sets.span_cache import SpanCache
from tests.unit.retrieval.fakes import SPAN, Corpora


class Noted(Corpora):
    """Has every span in version 1 and none in any other; notes which are read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    async def spans(self, tenant: str, corpus: str, version: int, span_ids: Sequence[str]) -> list[Span]:
        self.read += span_ids
        return [replace(SPAN, span_id=span_id) for span_id in span_ids if version == 1]


async def test_a_span_is_read_once() -> None:
    corpora = Noted()
    cache = SpanCache(corpora, 8)
    for _ in range(2):
        assert sorted(await cache.get("t", "c", 1, ["a", "b", "a"])) == ["a", "b"]
    assert corpora.read == ["a", "b"]


async def test_what_one_version_corpus_or_tenant_has_no_other_has() -> None:
    corpora = Noted()
    cache = SpanCache(corpora, 8)
    assert await cache.get("t", "c", 1, ["a"])
    assert await cache.get("t", "c", 2, ["a"]) == {}
    assert await cache.get("t", "d", 1, ["a"])
    assert await cache.get("u", "c", 1, ["a"])
    assert corpora.read == ["a"] * 4


async def test_the_one_that_was_asked_for_longest_ago_is_forgotten() -> None:
    corpora = Noted()
    cache = SpanCache(corpora, 2)
    for span_id in ("a", "b", "a", "c"):
        assert await cache.get("t", "c", 1, [span_id])
    assert corpora.read == ["a", "b", "c"]
    assert await cache.get("t", "c", 1, ["a"])
    assert corpora.read == ["a", "b", "c"]
    assert await cache.get("t", "c", 1, ["b"])
    assert corpora.read == ["a", "b", "c", "b"]
