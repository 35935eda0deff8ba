"""Versions before the newest: how they are searched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from activities.spans import CorpusState, Hit, KeptVersion
from activities.working_sets.compiler import WorkingSetCompiler
from activities.working_sets.retrieval import EXACT_SPANS
from perdure.working_set import CompilerConfig
from tests.unit.retrieval import fakes


class Corpora(fakes.Corpora):
    """A corpus of two versions with so many spans each."""

    def __init__(self, before: int, now: int) -> None:
        self._spans = {1: before, 2: now}

    async def state(self, tenant: str, corpus: str) -> CorpusState | None:
        return replace(fakes.STATE, version=2, indexed_version=2, span_count=self._spans[2])

    async def versions(self, tenant: str, corpus: str) -> list[KeptVersion]:
        return [KeptVersion(version, f"of {version}", spans) for version, spans in self._spans.items()]


class Index(fakes.Index):
    """Notes which index was searched, and whether exactly."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    async def search_vector(self, index: str, vector: bytes, limit: int, *, exact: bool = True) -> list[Hit]:
        self.asked.append((index, exact))
        return await super().search_vector(index, vector, limit, exact=exact)


@pytest.mark.parametrize(
    ("before", "now", "exact"), [(EXACT_SPANS, EXACT_SPANS + 1, True), (EXACT_SPANS + 1, EXACT_SPANS, False)]
)
async def test_an_older_version_is_searched_by_its_own_size(before: int, now: int, *, exact: bool) -> None:
    index = Index()
    compiler = WorkingSetCompiler(Corpora(before, now), index, fakes.Embedder())
    found = {
        version: await compiler.compile(
            tenant="default", corpus="docs", query="hello?", config=CompilerConfig(as_of=version)
        )
        for version in (1, 2)
    }
    assert index.asked == [("of 1", exact), (fakes.STATE.index, not exact)]
    assert found[1].manifest["index"] == {"approximate": not exact}
    assert found[2].manifest["index"] == {"approximate": exact}
