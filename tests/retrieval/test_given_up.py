"""Ingests that were given up half-way: what they left behind is nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.corpora.batch import CutFile
from activities.corpora.corpus import CorpusActivities
from activities.corpora.index import IndexActivities
from activities.corpora.ingest import Step, Target, Upload
from activities.ports import Fenced
from perdure.wire import FENCED
from tests.retrieval.conftest import DOCUMENTS, Corpora, write
from tests.support.embedders import Hashed
from workers.ingest_folder import reindex

QUESTIONS = ("what frees memory?", "what fruit is in the basket?", "how does a worker stop?")


@pytest.fixture
def embedder() -> Hashed:
    """One that costs little: much is embedded, and what it means is not tried here."""
    return Hashed()


async def gives_up(corpora: Corpora, files: dict[str, str], *, indexed: bool = False) -> Step:
    """Ingest `files` as far as their spans, or the index, and no further."""
    await corpora.store.stage(corpora.tenant, "docs", "given-up", 0, list(files.items()))
    activities, environment = CorpusActivities(corpora.store, corpora.embedder), ActivityEnvironment()
    upload = Upload(tenant=corpora.tenant, corpus="docs", upload_id="given-up")
    begun = await environment.run(activities.begin_ingest, upload)
    step = Step(upload=upload, version=begun.version, chunking=begun.chunking, after=-1)
    assert not (await environment.run(activities.ingest_files, step)).done
    if indexed:
        target = Target(tenant=corpora.tenant, corpus="docs", fresh="unused")
        index = IndexActivities(corpora.store, corpora.index, corpora.embedder.id)
        await environment.run(index.index_spans, target)
    return step


async def found(corpora: Corpora) -> list[tuple[int, str]]:
    sets = [await corpora.compile(question) for question in QUESTIONS]
    assert [made.degraded_reason for made in sets] == [None] * len(sets)
    return [(made.manifest["corpus_version"], made.context_hash) for made in sets]


def shifted() -> dict[str, str]:
    """All documents with a line more on top, and enough others for a step not to be the last."""
    return {
        **{path: "A line on top.\n" + content for path, content in DOCUMENTS.items()},
        **{f"more/{n}.txt": f"Fruit and memory, {n} of them.\n" for n in range(300)},
    }


@pytest.mark.parametrize("indexed", [False, True])
async def test_a_rebuilt_index_holds_the_published_version(corpora: Corpora, folder: Path, indexed: bool) -> None:
    await corpora.ingest(folder)
    before = await found(corpora)
    artifacts = await corpora.store.list_artifacts(corpora.tenant, "docs")
    await gives_up(corpora, shifted(), indexed=indexed)
    assert await corpora.store.list_artifacts(corpora.tenant, "docs") == artifacts
    rebuilt = await reindex(corpora.client, corpus="docs", tenant=corpora.tenant, task_queue=corpora.tenant)
    assert rebuilt.version == 1
    assert await found(corpora) == before
    assert (await corpora.compile(QUESTIONS[0])).manifest["index"]["approximate"] is False


@pytest.mark.parametrize("indexed", [False, True])
async def test_the_next_ingest_publishes_what_it_was_given_and_no_more(
    corpora: Corpora, folder: Path, indexed: bool
) -> None:
    await corpora.ingest(folder)
    await corpora.ingest(folder, "alone")
    await gives_up(corpora, shifted(), indexed=indexed)
    write(folder, {"fruit.txt": "Only plums are left in the basket.\n"})
    for corpus in ("docs", "alone"):
        report = await corpora.ingest(folder, corpus)
        assert (report.version, report.created, report.updated) == (2, 0, 1)
    artifacts = await corpora.store.list_artifacts(corpora.tenant, "docs")
    assert {item.path: item.spans for item in artifacts} == {
        item.path: item.spans for item in await corpora.store.list_artifacts(corpora.tenant, "alone")
    }
    assert (await corpora.store.get_corpus(corpora.tenant, "docs")).spans == sum(item.spans for item in artifacts)
    for question in QUESTIONS:
        made, wanted = await corpora.compile(question), await corpora.compile(question, "alone")
        assert (made.text, made.manifest["index"]) == (wanted.text, wanted.manifest["index"])


async def test_what_was_embedded_is_not_embedded_again(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    await gives_up(corpora, shifted())
    held = {span.span_id for span in await corpora.store.visible(corpora.tenant, "docs", 2, "0" * 32, 1000)}
    report = await corpora.ingest(write(folder, shifted()))
    assert (report.version, report.created, report.updated) == (2, 300, len(DOCUMENTS))
    after = {span.span_id for span in await corpora.store.visible(corpora.tenant, "docs", 2, "0" * 32, 1000)}
    assert held < after


async def test_a_late_activity_of_it_writes_nothing(corpora: Corpora, folder: Path) -> None:
    await corpora.ingest(folder)
    step = await gives_up(corpora, shifted())
    late = await corpora.store.staged(corpora.tenant, "docs", "given-up", -1, 1)
    before = (await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left.\n"}))).version
    hashes = await found(corpora)
    for version in (step.version, before + 1):
        with pytest.raises(Fenced):
            await corpora.store.commit(corpora.tenant, "docs", version, "given-up", [CutFile(file=late[0], spans=[])])
    activities = CorpusActivities(corpora.store, corpora.embedder)
    with pytest.raises(ApplicationError, match="took over") as ended:
        await ActivityEnvironment().run(activities.ingest_files, step)
    assert (ended.value.type, ended.value.non_retryable) == (FENCED, True)
    assert await corpora.store.publish(corpora.tenant, "docs", step.version, "given-up") == (2, 0)
    assert await found(corpora) == hashes
