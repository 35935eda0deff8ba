"""Weaviate killed or frozen: working sets degrade, ingest loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.worker import Worker

from activities.corpora.corpus import CorpusActivities
from activities.corpora.index import IndexActivities
from activities.spans import IndexUnavailable
from activities.working_sets.breaker import Breaker
from activities.working_sets.compiler import WorkingSetCompiler
from perdure.errors import Unavailable
from perdure.working_set import CompilerConfig, WorkingSet
from tests.retrieval.conftest import DOCUMENTS, PATIENT, Corpora, write
from tests.support.embedders import Remembering
from tests.support.eventually import eventually
from workers.ingest_folder import reindex
from workers.stack.stack import Stack
from workflows.ingest import IngestCorpus

QUERY = "how is memory freed without a garbage collector?"
LEFT_ALONE = "The span index failed a moment ago and is not asked again yet."


@pytest.fixture
async def killed(stack: Stack, corpora: Corpora, folder: Path) -> AsyncIterator[Corpora]:
    """A corpus whose index is down; the server is up again afterwards."""
    await corpora.ingest(folder)
    await stack.weaviate.kill()
    yield corpora
    if not stack.weaviate.running:
        await stack.weaviate.start()


async def test_full_text_serves_while_the_index_is_down_and_the_index_again_afterwards(
    stack: Stack, killed: Corpora
) -> None:
    compiler = WorkingSetCompiler(
        killed.store, killed.index, killed.embedder, breaker=Breaker(failures=1, cooldown=0.2)
    )

    async def compiled() -> tuple[bool, str | None, str, str]:
        found = await compiler.compile(tenant=killed.tenant, corpus="docs", query=QUERY, config=CompilerConfig())
        return found.degraded, found.degraded_reason, found.citations[0].path, found.manifest["index"]["engine"]

    degraded, reason, path, engine = await compiled()
    assert (degraded, path, engine) == (True, "memory.md", "postgres")
    assert reason is not None
    assert reason.startswith(("The span index gave no answer in 2.0 s.", "Weaviate at "))  # late, or it refuses

    await stack.weaviate.start()

    async def whole() -> bool:
        return not (await compiled())[0]

    assert await eventually(whole)


async def test_an_ingest_is_readable_at_once_and_indexed_when_the_index_is_back(
    stack: Stack, killed: Corpora, folder: Path
) -> None:
    (folder / "new.txt").write_text("Quinces ripen in October.\n")
    report = await killed.ingest(folder)
    assert (report.phase, report.version, report.indexed) == ("index_behind", 2, False)
    found = await killed.compile("when do quinces ripen?")
    assert found.degraded
    assert found.manifest["corpus_version"] == 2
    assert "Quinces" in found.text

    await stack.weaviate.start()

    async def caught_up() -> bool:
        config = CompilerConfig(retrieval_timeout=timedelta(seconds=2))
        return not (await killed.compile("when do quinces ripen?", config=config)).degraded

    assert await eventually(caught_up, within=60)
    assert "Quinces" in (await killed.compile("when do quinces ripen?")).text


async def test_turns_do_not_pile_up_on_a_frozen_index(stack: Stack, corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    breaker = Breaker(failures=1, cooldown=600)
    embedder = Remembering(corpora.embedder)
    await embedder.embed([QUERY])  # which has a part of the time, too, and is not what is tried here
    compiler = WorkingSetCompiler(corpora.store, corpora.index, embedder, breaker=breaker)
    config = CompilerConfig(retrieval_timeout=timedelta(seconds=0.5))
    stack.weaviate.freeze()
    try:
        first = await compiler.compile(tenant=corpora.tenant, corpus="docs", query=QUERY, config=config)
        assert first.degraded
        assert breaker.is_open
        rest = await asyncio.gather(
            *(compiler.compile(tenant=corpora.tenant, corpus="docs", query=QUERY, config=config) for _ in range(20))
        )
    finally:
        stack.weaviate.thaw()
    assert all(found.degraded and "left alone" not in found.text for found in rest)
    assert {found.degraded_reason for found in rest} == {LEFT_ALONE}
    assert {found.context_hash for found in rest} == {first.context_hash}


async def test_of_turns_that_come_at_once_only_the_first_wait_for_a_frozen_index(
    stack: Stack, corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    now, changes = [0.0], list[bool]()
    breaker = Breaker(failures=3, cooldown=5, clock=lambda: now[0], on_change=changes.append)
    compiler = WorkingSetCompiler(corpora.store, corpora.index, Remembering(corpora.embedder), breaker=breaker)
    limit = timedelta(seconds=1)

    async def compiled(patience: timedelta = limit) -> WorkingSet:
        config = CompilerConfig(retrieval_timeout=patience)
        return await compiler.compile(tenant=corpora.tenant, corpus="docs", query=QUERY, config=config)

    async def at_once() -> list[WorkingSet]:
        return await asyncio.gather(*(compiled() for _ in range(20)))

    def waited(found: WorkingSet) -> bool:
        """Whether it asked the index, which gave no answer; one that did not ask says so."""
        asked = found.degraded_reason != LEFT_ALONE
        assert not asked or found.compilation_time_ms > limit.total_seconds() * 1000
        return asked

    whole = await compiled(PATIENT)
    stack.weaviate.freeze()
    try:
        first = await at_once()
        opened = list(changes)
        rest = await at_once()
        now[0] = 6
        tried = await at_once()
    finally:
        stack.weaviate.thaw()
    assert opened == [True]
    assert all(found.degraded for found in (*first, *rest, *tried))
    assert all(map(waited, first))
    assert not any(map(waited, rest))
    assert sum(map(waited, tried)) == 1  # after the cooldown one tries

    async def whole_again() -> bool:
        now[0] += 6
        return not (await compiled()).degraded

    assert await eventually(whole_again)
    assert changes == [True, False]
    assert (await compiled(PATIENT)).context_hash == whole.context_hash


class Away:
    """The index, of which some calls find it away."""

    def __init__(self, corpora: Corpora, *calls: str) -> None:
        self._index = corpora.index
        self._calls = calls

    def __getattr__(self, name: str) -> object:
        return self._refuse if name in self._calls else getattr(self._index, name)

    async def _refuse(self, *_: object) -> None:
        raise IndexUnavailable("Weaviate is away.")


@asynccontextmanager
async def away(corpora: Corpora, *calls: str) -> AsyncIterator[Corpora]:
    """The same corpora behind workers whose index is away for those calls."""
    index = Away(corpora, *calls)
    activities = [
        *CorpusActivities(corpora.store, corpora.embedder).all(),
        *IndexActivities(corpora.store, index, corpora.embedder.id).all(),  # type: ignore[arg-type] # by __getattr__
    ]
    queue = f"{corpora.tenant}-away"
    async with Worker(corpora.client, task_queue=queue, workflows=[IngestCorpus], activities=activities):
        yield replace(corpora, task_queue=queue)


async def test_an_index_that_goes_away_once_a_version_is_published_keeps_no_ingest_waiting(
    corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    async with away(corpora, "remove") as without:
        report = await without.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))
        assert (report.phase, report.version, report.error) == (
            "index_behind",
            2,
            "IndexUnavailable: Weaviate is away.",
        )
        report = await corpora.ingest(write(folder, {"fruit.txt": DOCUMENTS["fruit.txt"]}))
    assert (report.phase, report.version) == ("done", 3)
    assert await corpora.store.removed(corpora.tenant, "docs", 10) == []
    # What was changed and is back stays in the index, though it was to be taken out.
    live = {span.span_id for span in await corpora.store.visible(corpora.tenant, "docs", 3, "0" * 32, 1000)}
    name = await corpora.store.index_name(corpora.tenant, "docs", "unused")
    (vector,) = await corpora.embedder.embed(["any"])
    assert {hit.span_id for hit in await corpora.index.search_vector(name, vector, 1000)} == live


async def test_an_index_that_cannot_be_made_anew_is_told_and_keeps_no_ingest_waiting(
    corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    before = await corpora.store.state(corpora.tenant, "docs")
    async with away(corpora, "put") as without:
        with pytest.raises(Unavailable, match=r"^Weaviate is away\. .* Reindex once more when Weaviate is back\.$"):
            await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=without.task_queue)
    assert await corpora.store.state(corpora.tenant, "docs") == before
    assert (await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))).phase == "done"


async def test_what_two_ingests_changed_while_the_index_was_down_is_in_it_afterwards_and_nothing_else(
    stack: Stack, killed: Corpora, folder: Path
) -> None:
    async def live() -> set[str]:
        return {span.span_id for span in await killed.store.visible(killed.tenant, "docs", 9, "0" * 32, 1000)}

    before = await live()
    write(folder, {f"new/{n}.txt": f"Note {n}.\n" for n in range(40)} | {"fruit.txt": "Only plums are left.\n"})
    assert (await killed.ingest(folder)).phase == "index_behind"
    write(folder, {"fruit.txt": "Only quinces are left.\n", "new/0.txt": "Note zero.\n"})
    # The first, which waits for the index, gives way, and so does one of these, which end it only once.
    both = await asyncio.gather(killed.ingest(folder), killed.ingest(folder))
    assert [report.phase for report in both] == ["index_behind"] * 2
    await stack.weaviate.start()
    name = await killed.store.index_name(killed.tenant, "docs", "unused")
    (vector,) = await killed.embedder.embed(["any"])

    async def the_same() -> bool:
        now = await live()
        indexed = {hit.span_id for hit in await killed.index.search_vector(name, vector, 1000)}
        # Of what was there before, Weaviate loses vectors when it is killed soon after it took them.
        return now - before <= indexed <= now and not await killed.store.removed(killed.tenant, "docs", 10)

    assert await eventually(the_same, within=60)
    assert len(await live() - before) == 41
    assert (await killed.store.get_corpus(killed.tenant, "docs")).indexed
    assert await killed.store.unindexed(killed.tenant, "docs", 10) == []
    found = await killed.compile("what fruit is left?")
    assert not found.degraded
    assert "quinces" in found.text
    assert "plums" not in found.text
