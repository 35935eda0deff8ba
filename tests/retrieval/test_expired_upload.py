"""Ingests that waited for so long that another ingest has cleared away what was sent for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, update

from activities.stores.corpus_tables import is_corpus, uploads
from perdure.contract import INGEST_WORKFLOW
from perdure.corpus import Ingest, IngestReport, ingest_workflow_id
from perdure.errors import UploadExpired
from tests.retrieval.conftest import DOCUMENTS, Corpora, write
from workers.ingest_folder import follow

SENT = list(DOCUMENTS.items())
LEFT_OUT = ["photo.png", "video.mp4"]


async def sent(corpora: Corpora) -> None:
    """All documents, and the names of files that cannot be ingested."""
    await corpora.store.stage(corpora.tenant, "docs", "waiting", 0, SENT)
    await corpora.store.stage_left_out(corpora.tenant, "docs", "waiting", 0, LEFT_OUT)


async def expires(corpora: Corpora, folder: Path, sequences: Sequence[int]) -> None:
    """Make those rows of the upload older than a day; the next ingest that changes something removes them."""
    mine = is_corpus(uploads, corpora.tenant, "docs"), uploads.c.upload_id == "waiting"
    async with corpora.engine.begin() as connection:
        await connection.execute(
            update(uploads)
            .where(*mine, uploads.c.sequence.in_(sequences))
            .values(created_at=func.now() - timedelta(hours=25))
        )
    await corpora.ingest(write(folder, {"fruit.txt": "Only plums are left in the basket.\n"}))


async def ingest_what_was_sent(corpora: Corpora, *, prune: bool, counted: bool = True) -> IngestReport:
    files, failed = len(SENT) + len(LEFT_OUT), len(LEFT_OUT)
    report = IngestReport(files=files, failed=failed) if counted else IngestReport()
    handle = await corpora.client.start_workflow(
        INGEST_WORKFLOW,
        Ingest(tenant=corpora.tenant, corpus="docs", upload_id="waiting", prune=prune, report=report),
        id=ingest_workflow_id(corpora.tenant, "docs"),
        task_queue=corpora.task_queue,
        result_type=IngestReport,
    )
    return await follow(handle, lambda _: None)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("prune", [True, False])
async def test_an_upload_that_is_gone_is_refused_and_the_corpus_stays(
    corpora: Corpora, folder: Path, prune: bool, counted: bool
) -> None:
    await corpora.ingest(folder)
    await sent(corpora)
    await expires(corpora, folder, range(-9, 9))
    before = await corpora.store.get_corpus(corpora.tenant, "docs")
    with pytest.raises(UploadExpired, match="Ingest again") as refused:
        await ingest_what_was_sent(corpora, prune=prune, counted=counted)
    assert refused.value.details == {"corpus": "docs", "upload_id": "waiting", "left": 0}
    assert await corpora.store.get_corpus(corpora.tenant, "docs") == before
    report = await corpora.ingest(write(folder, {"fruit.txt": "There are pears again.\n"}), prune=prune)
    assert (report.version, report.updated, report.removed) == (before.version + 1, 1, 0)


@pytest.mark.parametrize("gone", [[0, 1], [-2, -3]], ids=["files", "names of files that were left out"])
async def test_an_upload_of_which_a_part_is_gone_does_not_prune(
    corpora: Corpora, folder: Path, gone: list[int]
) -> None:
    await corpora.ingest(folder)
    await sent(corpora)
    await expires(corpora, folder, gone)
    before = await corpora.store.list_artifacts(corpora.tenant, "docs")
    with pytest.raises(UploadExpired):
        await ingest_what_was_sent(corpora, prune=True)
    assert await corpora.store.list_artifacts(corpora.tenant, "docs") == before


@pytest.mark.parametrize("prune", [True, False])
async def test_an_upload_that_is_whole_is_ingested(corpora: Corpora, prune: bool) -> None:
    await corpora.store.stage(corpora.tenant, "docs", "waiting", 0, SENT)
    if prune:
        await corpora.store.stage_left_out(corpora.tenant, "docs", "waiting", 0, LEFT_OUT)
    report = await ingest_what_was_sent(corpora, prune=prune)
    assert (report.phase, report.created) == ("done", len(SENT))
