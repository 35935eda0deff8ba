"""Activities that run on after their ingest was ended, while the next one does its work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, update
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.corpora.corpus import CorpusActivities
from activities.corpora.index import IndexActivities
from activities.corpora.ingest import Target
from activities.ports import Fenced
from activities.spans import SETTLED_FOR, IndexUnavailable, Span
from activities.stores.corpus_tables import corpora as corpora_table
from tests.retrieval.conftest import DOCUMENTS, Corpora, write
from tests.retrieval.test_index_away import away
from tests.support.embedders import Hashed
from tests.support.eventually import eventually
from workers.ingest_folder import reindex
from workflows.ingest import IngestCorpus

FRUIT = "what fruit is in the basket?"
PLUMS = {"fruit.txt": "Only plums are left in the basket.\n"}


class Held:
    """The index, which holds each change back until it is told to make it."""

    def __init__(self, corpora: Corpora) -> None:
        self._index = corpora.index
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    async def put(self, index: str, spans: Sequence[Span]) -> None:
        await self._held()
        await self._index.put(index, spans)

    async def remove(self, index: str, span_ids: Sequence[str]) -> None:
        await self._held()
        await self._index.remove(index, span_ids)

    async def _held(self) -> None:
        self.asked.set()
        await self.go.wait()


@pytest.fixture
def embedder() -> Hashed:
    """One that costs little: what is embedded means nothing here."""
    return Hashed()


@pytest.fixture
def held(corpora: Corpora) -> Held:
    return Held(corpora)


@pytest.fixture
def late(corpora: Corpora, held: Held) -> IndexActivities:
    """Of an ingest that was ended."""
    return IndexActivities(corpora.store, held, corpora.embedder.id)  # type: ignore[arg-type] # by __getattr__


def target(corpora: Corpora) -> Target:
    return Target(tenant=corpora.tenant, corpus="docs", fresh=f"{corpora.tenant}-late")


async def live(corpora: Corpora) -> set[str]:
    state = await corpora.store.state(corpora.tenant, "docs")
    assert state is not None
    return {span.span_id for span in await corpora.store.visible(corpora.tenant, "docs", state.version, "0" * 32, 99)}


async def indexed(corpora: Corpora, index: str | None = None) -> set[str]:
    name = index or await corpora.store.index_name(corpora.tenant, "docs", "unused")
    (vector,) = await corpora.embedder.embed(["any"])
    return {hit.span_id for hit in await corpora.index.search_vector(name, vector, 99)}


async def unindexed(corpora: Corpora, folder: Path) -> None:
    """Ingest `folder`, and leave the index as it is."""
    activities = [
        *CorpusActivities(corpora.store, corpora.embedder).all(),
        *IndexActivities(corpora.store, None, corpora.embedder.id).all(),
    ]
    queue = f"{corpora.tenant}-without"
    async with Worker(corpora.client, task_queue=queue, workflows=[IngestCorpus], activities=activities):
        assert not (await replace(corpora, task_queue=queue).ingest(folder)).indexed


async def replaced(corpora: Corpora, folder: Path) -> None:
    """Ingest `folder`, and then plums for its fruit, which the index still holds."""
    await corpora.ingest(folder)
    await unindexed(corpora, write(folder, PLUMS))
    write(folder, {"fruit.txt": DOCUMENTS["fruit.txt"]})


async def test_the_next_ingest_puts_nothing_before_a_late_removal_is_made(
    corpora: Corpora, folder: Path, held: Held, late: IndexActivities
) -> None:
    await replaced(corpora, folder)
    tidying = asyncio.create_task(ActivityEnvironment().run(late.tidy_index, target(corpora)))
    await held.asked.wait()
    ingest = asyncio.create_task(corpora.ingest(folder))
    await asyncio.wait([ingest], timeout=5)  # long enough for it to be done, if it did not wait
    held.go.set()
    await tidying
    assert (await ingest).version == 3
    found = await corpora.compile(FRUIT)
    assert (found.degraded, "apples" in found.text) == (False, True)
    assert await indexed(corpora) == await live(corpora)


async def test_what_a_thawed_worker_removes_is_missed_and_put_again(
    corpora: Corpora, folder: Path, held: Held, late: IndexActivities
) -> None:
    await replaced(corpora, folder)
    tidying = asyncio.create_task(ActivityEnvironment().run(late.tidy_index, target(corpora)))
    await held.asked.wait()
    async with corpora.engine.begin() as connection:  # so long ago that nobody waits for it any more
        await connection.execute(update(corpora_table).values(index_changing_until=func.now()))
    assert (await corpora.ingest(folder)).version == 3
    held.go.set()
    await tidying
    found = await corpora.compile(FRUIT)
    assert (found.degraded, "apples" in found.text) == (True, True)
    assert (await corpora.ingest(folder)).version == 3
    found = await corpora.compile(FRUIT)
    assert (found.degraded, "apples" in found.text) == (False, True)
    assert await indexed(corpora) == await live(corpora)


async def test_what_a_thawed_worker_put_is_not_taken_for_what_the_next_ingest_put(
    corpora: Corpora, folder: Path, held: Held, late: IndexActivities
) -> None:
    await unindexed(corpora, folder)
    putting = asyncio.create_task(ActivityEnvironment().run(late.index_spans, target(corpora)))
    await held.asked.wait()
    async with corpora.engine.begin() as connection:
        await connection.execute(update(corpora_table).values(index_changing_until=func.now()))
    assert (await corpora.ingest(write(folder, PLUMS))).phase == "done"
    held.go.set()
    with pytest.raises(IndexUnavailable, match="changed the index"):
        await putting


async def test_only_one_ingest_at_a_time_has_the_index(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    store, here = corpora.store, (corpora.tenant, "docs")

    async def takes(by: str) -> bool:
        await store.take_index(*here, by)
        await asyncio.sleep(SETTLED_FOR.total_seconds())
        return await store.take_index(*here, by) == timedelta(0)

    assert await takes("one")
    assert not await takes("two")
    await store.settle(*here, "two")
    assert (state := await store.state(*here)) is not None
    assert state.settled_for == timedelta(0)
    await store.release_index(*here, "two")  # which has none
    assert not await takes("two")
    assert await takes("one")  # again, by its next attempt
    await store.release_index(*here, "one")
    assert await takes("two")


async def test_a_late_rebuild_does_not_hide_what_was_published_since(
    corpora: Corpora, folder: Path, held: Held, late: IndexActivities
) -> None:
    await corpora.ingest(folder)
    rebuilding = asyncio.create_task(ActivityEnvironment().run(late.rebuild_index, target(corpora)))
    await held.asked.wait()
    assert (await corpora.ingest(write(folder, PLUMS))).version == 2
    held.go.set()
    with pytest.raises(IndexUnavailable):  # the ingest dropped what it had made
        await rebuilding
    found = await corpora.compile(FRUIT)
    assert (found.degraded, "plums" in found.text) == (False, True)
    assert await indexed(corpora) == await live(corpora)
    with pytest.raises(IndexUnavailable):
        await indexed(corpora, target(corpora).fresh)


async def test_a_rebuild_that_died_while_it_waited_for_another_change_puts_nothing_again(
    corpora: Corpora, folder: Path, held: Held, late: IndexActivities
) -> None:
    await corpora.ingest(folder)
    here = corpora.tenant, "docs"

    async def taken() -> bool:
        return not await corpora.store.take_index(*here, "another")

    assert await eventually(taken)
    held.go.set()
    told: list[tuple[str, ...]] = []
    first, second = ActivityEnvironment(), ActivityEnvironment()
    first.on_heartbeat = lambda *details: told.append(details)
    rebuilding = asyncio.create_task(first.run(late.rebuild_index, target(corpora)))

    async def waits() -> bool:
        return len(told) > 2

    assert await eventually(waits)
    rebuilding.cancel()
    await asyncio.gather(rebuilding, return_exceptions=True)
    await corpora.store.release_index(*here, "another")
    held.asked.clear()
    second.info = replace(second.info, heartbeat_details=told[-1])
    await second.run(late.rebuild_index, target(corpora))
    assert not held.asked.is_set()
    assert await indexed(corpora, target(corpora).fresh) == await live(corpora)


@pytest.mark.parametrize("stale", ["version", "index", "dropped"])
async def test_an_index_is_switched_to_only_if_nothing_has_changed_since(
    corpora: Corpora, folder: Path, stale: str
) -> None:
    store, here = corpora.store, (corpora.tenant, "docs")
    await corpora.ingest(folder)
    before = await store.state(*here)
    assert before is not None
    if stale != "dropped":
        await store.reserve_index(*here, "fresh")
    version = 2 if stale == "version" else 1
    with pytest.raises(Fenced, match="took over"):
        await store.switch_index(*here, "fresh", version, "other" if stale == "index" else before.index)
    assert await store.state(*here) == before


async def test_an_index_that_could_not_be_dropped_is_dropped_by_the_next_ingest(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    old = await corpora.store.index_name(corpora.tenant, "docs", "unused")
    async with away(corpora, "drop") as without:
        report = await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=without.task_queue)
    assert (report.phase, report.spans) == ("done", len(await live(corpora)))
    assert await indexed(corpora, old) == await indexed(corpora)
    await corpora.ingest(folder)
    with pytest.raises(IndexUnavailable):
        await indexed(corpora, old)
    assert await corpora.store.unused_indexes(corpora.tenant, "docs") == []
