"""Older versions of a corpus: read as they were, kept for a while, and no burden to the newest."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.corpora.corpus import CorpusActivities
from activities.corpora.index import IndexActivities
from activities.corpora.ingest import Step, Target, Upload
from activities.spans import SETTLED_FOR, Span
from activities.stores.corpus_tables import corpus_versions, spans
from activities.working_sets import past
from activities.working_sets.compiler import WorkingSetCompiler
from perdure.errors import CorpusVersionNotFound
from perdure.working_set import CompilerConfig
from tests.retrieval.conftest import DOCUMENTS, PATIENT, Corpora, write
from tests.support.eventually import eventually
from workers.ingest_folder import ingest_folder, reindex
from workflows.ingest import IngestCorpus

QUESTION = "what fruit is in the basket?"
FIRST = "0" * 32


def as_of(version: int, **fields: object) -> CompilerConfig:
    return CompilerConfig.model_validate({"as_of": version, "retrieval_timeout": PATIENT, **fields})


async def spans_held(corpora: Corpora) -> int:
    async with corpora.engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(spans))).scalar_one()


async def kept(corpora: Corpora) -> list[int]:
    return [item.version for item in await corpora.store.versions(corpora.tenant, "docs")]


async def own_indexes(corpora: Corpora) -> list[str]:
    """Of versions before the newest."""
    versions = await corpora.store.versions(corpora.tenant, "docs")
    return [item.index_name for item in versions if item.index_name is not None]


async def age(corpora: Corpora, by: timedelta) -> None:
    """Let all versions have been published that much earlier."""
    async with corpora.engine.begin() as connection:
        await connection.execute(update(corpus_versions).values(published_at=corpus_versions.c.published_at - by))


async def test_a_version_gives_the_same_whatever_was_ingested_since(corpora: Corpora, folder: Path) -> None:
    queries = [QUESTION, "memory and workers", "first line"]
    await corpora.ingest(folder)
    then = [await corpora.compile(query) for query in queries]
    # Words that are rare in the first version and common in the second: BM25 over both would score otherwise.
    fruit = {f"fruit/{n}.txt": f"Fruit in basket {n}: apples, pears, memory, line.\n" for n in range(40)}
    await corpora.ingest(write(folder, {**fruit, "fruit.txt": "Nothing is left.\n"}))
    for query, before in zip(queries, then, strict=True):
        again = await corpora.compile(query, config=as_of(1))
        assert again.degraded_reason is None
        assert (again.text, again.context_hash) == (before.text, before.context_hash)
        assert again.citations == before.citations
        assert (await corpora.compile(query)).context_hash != before.context_hash


async def test_what_is_removed_takes_no_place_among_the_newest(corpora: Corpora, folder: Path) -> None:
    near = {f"fruit/{n}.txt": f"Fruit is in the basket, {n} of it.\n" for n in range(60)}
    await corpora.ingest(write(folder, near))
    alone = await corpora.ingest(write(folder.parent / "alone", DOCUMENTS), "alone")
    assert alone.version == 1
    for path in near:
        (folder / path).unlink()
    await corpora.ingest(folder, prune=True)
    config = CompilerConfig(semantic_k=3, lexical_k=3)
    found, wanted = await corpora.compile(QUESTION, config=config), await corpora.compile(QUESTION, "alone", config)
    assert (found.text, found.context_hash) == (wanted.text, wanted.context_hash)
    assert len(found.citations) >= 3
    assert "of it" in (await corpora.compile(QUESTION, config=as_of(1))).text


async def test_each_version_knows_how_many_spans_it_has(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    await corpora.ingest(write(folder, {f"fruit/{n}.txt": f"Fruit is in the basket, {n} of it.\n" for n in range(9)}))
    await corpora.ingest(folder)  # changes nothing
    (folder / "fruit.txt").unlink()
    await corpora.ingest(folder, prune=True)
    versions = await corpora.store.versions(corpora.tenant, "docs")
    told = {item.version: item.span_count for item in versions}
    seen = {
        item.version: await corpora.store.visible(corpora.tenant, "docs", item.version, FIRST, 99) for item in versions
    }
    assert told == {version: len(spans) for version, spans in seen.items()}
    assert told[2] - told[1] == 9
    assert told[2] - told[3] == 1


async def test_a_version_that_nobody_made_is_refused_and_the_newest_needs_no_index_of_its_own(
    corpora: Corpora, folder: Path
) -> None:
    await corpora.ingest(folder)
    assert (await corpora.compile(QUESTION, config=as_of(1))).context_hash == (
        await corpora.compile(QUESTION)
    ).context_hash
    assert await own_indexes(corpora) == []
    for version in (2, 99):
        with pytest.raises(CorpusVersionNotFound) as refused:
            await corpora.compile(QUESTION, config=as_of(version))
        assert refused.value.details == {"corpus": "docs", "version": version, "first": 1, "last": 1}


async def test_versions_are_kept_for_their_time_and_then_cleared_away(corpora: Corpora, folder: Path) -> None:
    for number in range(1, 4):
        await corpora.ingest(write(folder, {"fruit.txt": f"There are {number} apples in the basket.\n"}))
    assert await kept(corpora) == [1, 2, 3]
    held = await spans_held(corpora)
    assert "1 apples" in (await corpora.compile(QUESTION, config=as_of(1))).text
    (name,) = await own_indexes(corpora)

    await age(corpora, timedelta(days=6))
    await corpora.ingest(folder)  # changes nothing, and clears nothing away yet
    assert (await kept(corpora), await spans_held(corpora)) == ([1, 2, 3], held)

    await age(corpora, timedelta(days=2))
    newest = await corpora.compile(QUESTION)
    await corpora.ingest(folder)
    assert await kept(corpora) == [2, 3]  # the one before the newest stays, for whoever reads it right now
    assert await spans_held(corpora) == held - 1
    assert await own_indexes(corpora) == []
    with pytest.raises(CorpusVersionNotFound, match="keeps 2 to 3"):
        await corpora.compile(QUESTION, config=as_of(1))
    assert "2 apples" in (await corpora.compile(QUESTION, config=as_of(2))).text
    after = await corpora.compile(QUESTION)
    assert (after.text, after.context_hash) == (newest.text, newest.context_hash)
    await corpora.index.drop(name)  # it is gone already: no error


async def test_without_a_retention_only_the_version_before_is_kept(corpora: Corpora, folder: Path, unique: str) -> None:
    queue = f"{unique}-short"
    ingest = CorpusActivities(corpora.store, corpora.embedder).all()
    index = IndexActivities(corpora.store, corpora.index, corpora.embedder.id, retention=timedelta(0)).all()
    async with Worker(corpora.client, task_queue=queue, workflows=[IngestCorpus], activities=[*ingest, *index]):
        for number in range(1, 5):
            write(folder, {"fruit.txt": f"There are {number} apples in the basket.\n"})
            await ingest_folder(
                corpora.client, corpora.store, folder, corpus="docs", tenant=corpora.tenant, task_queue=queue
            )
            assert await kept(corpora) == [n for n in (number - 1, number) if n]


async def test_a_rebuilt_index_leaves_older_versions_readable(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))
    then = await corpora.compile(QUESTION, config=as_of(1))
    await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=corpora.tenant)
    assert await own_indexes(corpora) == []
    again = await corpora.compile(QUESTION, config=as_of(1))
    assert (again.degraded, again.context_hash) == (False, then.context_hash)


async def test_many_readers_of_a_version_make_its_index_once(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))
    found = await asyncio.gather(*(corpora.compile(QUESTION, config=as_of(1)) for _ in range(10)))
    assert {item.context_hash for item in found} == {found[0].context_hash}
    assert not any(item.degraded for item in found)
    assert len(await own_indexes(corpora)) == 1


async def test_only_so_many_older_versions_have_an_index(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))
    store, name = corpora.store, "another"
    assert not (await corpora.compile(QUESTION, config=as_of(1))).degraded
    (first,) = await own_indexes(corpora)
    assert await store.hold_index(corpora.tenant, "docs", 2, name, at_most=1) == [first]
    assert await own_indexes(corpora) == [name]
    assert await store.hold_index(corpora.tenant, "docs", 9, "of nothing", at_most=1) == ["of nothing"]


class Slow:
    """The index, which puts nothing before it is told to."""

    def __init__(self, corpora: Corpora) -> None:
        self._index = corpora.index
        self.go = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    async def put(self, index: str, spans: list[Span]) -> None:
        await self.go.wait()
        await self._index.put(index, spans)


async def test_whoever_cannot_wait_for_the_index_gets_full_text_of_that_version(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))
    slow = Slow(corpora)
    compiler = WorkingSetCompiler(corpora.store, slow, corpora.embedder)  # type: ignore[arg-type] # by __getattr__

    async def compiled() -> tuple[bool, bool]:
        config = as_of(1, retrieval_timeout=timedelta(seconds=0.5))
        found = await compiler.compile(tenant=corpora.tenant, corpus="docs", query=QUESTION, config=config)
        return found.degraded, "apples" in found.text

    assert await compiled() == (True, True)
    slow.go.set()

    async def whole() -> bool:
        return await compiled() == (False, True)

    assert await eventually(whole)
    assert past.VERSIONS_INDEXED > 1


async def test_nothing_is_promised_while_an_ingest_changes_the_index(
    corpora: Corpora, folder: Path, unique: str
) -> None:
    async def promised() -> bool:
        return (await corpora.compile(QUESTION)).manifest["index"]["approximate"] is False

    async def unpromised() -> bool:
        return not await promised()

    await corpora.ingest(folder)
    assert await promised()
    slow, queue = Slow(corpora), f"{unique}-slow"
    index = IndexActivities(corpora.store, slow, corpora.embedder.id).all()  # type: ignore[arg-type] # by __getattr__
    activities = [*CorpusActivities(corpora.store, corpora.embedder).all(), *index]
    async with Worker(corpora.client, task_queue=queue, workflows=[IngestCorpus], activities=activities):
        write(folder, {"fruit.txt": "Only plums are left in the basket.\n"})
        ingest = asyncio.create_task(
            ingest_folder(corpora.client, corpora.store, folder, corpus="docs", tenant=corpora.tenant, task_queue=queue)
        )
        assert await eventually(unpromised)
        assert not ingest.done()
        slow.go.set()
        assert (await ingest).version == 2
    assert await promised()
    (folder / "fruit.txt").unlink()
    assert (await corpora.ingest(folder, prune=True)).removed == 1
    assert await promised()
    assert (await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=corpora.tenant)).indexed
    assert await promised()


async def test_the_index_waits_for_readers_that_saw_it_settled(corpora: Corpora, folder: Path) -> None:
    store, tenant = corpora.store, corpora.tenant
    await corpora.ingest(folder)
    first = await store.take_index(tenant, "docs", "an ingest")
    second = await store.take_index(tenant, "docs", "an ingest")
    assert first == SETTLED_FOR
    assert timedelta(0) < second < first
    assert (state := await store.state(tenant, "docs")) is not None
    assert state.settled_for == timedelta(0)
    await store.settle(tenant, "docs", "an ingest")
    assert (state := await store.state(tenant, "docs")) is not None
    assert state.settled_for == SETTLED_FOR


async def test_what_an_ingest_has_not_published_yet_takes_no_place(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    near = [(f"fruit/{n}.txt", f"Fruit is in the basket, {n} of it.\n") for n in range(20)]
    await corpora.store.stage(corpora.tenant, "docs", "upload", 0, near)
    activities = CorpusActivities(corpora.store, corpora.embedder)
    upload, environment = Upload(tenant=corpora.tenant, corpus="docs", upload_id="upload"), ActivityEnvironment()
    begun = await environment.run(activities.begin_ingest, upload)
    step = Step(upload=upload, version=begun.version, chunking=begun.chunking, after=-1)
    while not (stepped := await environment.run(activities.ingest_files, step)).done:
        step = step.model_copy(update={"after": stepped.after})
    index = IndexActivities(corpora.store, corpora.index, corpora.embedder.id)
    await environment.run(index.index_spans, Target(tenant=corpora.tenant, corpus="docs", fresh="unused"))
    found = await corpora.compile(QUESTION, config=CompilerConfig(semantic_k=3, lexical_k=1), explain=True)
    assert found.explain is not None
    assert (len(found.explain["stages"]["semantic"]), found.manifest["corpus_version"]) == (3, 1)
    assert "of it" not in found.text
