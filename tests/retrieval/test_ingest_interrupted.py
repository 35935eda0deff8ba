"""Ingests whose watcher leaves, and whose worker is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from temporalio.client import Client, WorkflowExecutionStatus

from activities.embedder import MiniLm
from activities.stores.corpus_store import PostgresCorpusStore
from perdure.cli.output import INTERRUPTED
from perdure.corpus import IngestReport, ingest_workflow_id
from tests.retrieval.conftest import DOCUMENTS, corpora_with, write
from tests.support.embeddings import DIMENSION, embeddings_server
from tests.support.eventually import eventually
from tests.support.site import site_on
from workers.ingest_folder import ingest_folder
from workers.settings import Settings
from workers.stack.stack import Stack

FILES = 900
ANSWERS = 5
"""Requests that are answered before the worker is killed: those of a step of the ingest, and one more."""


def _hear_ctrl_c() -> None:
    """What a shell runs in the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_ctrl_c_leaves_the_ingest_running_and_says_how_to_watch_it(
    stack: Stack, settings: Settings, temporal_client: Client, folder: Path, embedder: MiniLm
) -> None:
    tenant, url = settings.tenant, settings.require_database_url()
    own = {"PERDURE_DATABASE_URL": url, "PERDURE_TENANT": tenant, "PERDURE_TASK_QUEUE": tenant}
    workflow = temporal_client.get_workflow_handle(ingest_workflow_id(tenant, "docs"), result_type=IngestReport)

    async def running() -> bool:
        return (await workflow.describe()).status is WorkflowExecutionStatus.RUNNING

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "perdure.cli", "corpus", "ingest", str(folder), "--name", "docs"),
        env={**os.environ, **stack.addresses.environment(), **own, "PYTHONPATH": ":".join(filter(None, sys.path))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_hear_ctrl_c,
    )
    assert await eventually(running)  # nobody polls the queue: it waits
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (INTERRUPTED, b"")
    said = err.decode()
    assert "what has started goes on" in said
    assert workflow.id in said.replace("\n", "")
    assert "Traceback" not in said
    assert await running()

    async with corpora_with(embedder, stack, url, temporal_client, tenant) as corpora:
        report = await workflow.result()
        assert (report.phase, report.created, report.indexed) == ("done", len(DOCUMENTS), True)
        assert "garbage collector" in (await corpora.compile("what frees memory?")).text


async def test_an_ingest_goes_on_where_a_killed_worker_was_and_does_nothing_twice(
    stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    folder = write(tmp_path / "many", {f"{n}.txt": f"Note number {n}.\n" for n in range(FILES)})
    with embeddings_server() as server:
        async with site_on(stack, settings, tmp_path) as site:
            store = PostgresCorpusStore(site.engine)

            async def held() -> set[str]:
                return {span.span_id for span in await store.visible(settings.tenant, "docs", 1, "0" * 32, 1000)}

            remote = {"embedder_url": server.url, "embedder_model": "m", "embedder_dimension": str(DIMENSION)}
            worker = await site.start_worker(module="tests.support.brisk_worker", **remote)
            server.answers = ANSWERS
            queue = settings.task_queue
            ingest = asyncio.create_task(
                ingest_folder(site.bare, store, folder, corpus="docs", tenant=settings.tenant, task_queue=queue)
            )

            async def in_the_middle() -> bool:
                return len(server.requests) > ANSWERS

            assert await eventually(in_the_middle)
            await worker.kill()
            before = await held()
            assert 0 < len(before) < FILES
            assert (await store.get_corpus(settings.tenant, "docs")).version == 0  # readers see nothing of it yet
            asked, server.answers = len(server.requests), None
            await worker.start()
            report = await ingest
            assert (report.phase, report.created, report.updated, report.skipped) == ("done", FILES, 0, 0)
            assert (report.version, report.indexed) == (1, True)
            after = await held()
            assert len(after) == FILES
            assert before < after
            assert await store.unindexed(settings.tenant, "docs", 10) == []
            answered, again = (
                {text for request in requests for text in request["input"]}
                for requests in (server.requests[:ANSWERS], server.requests[asked:])
            )
            assert len(answered) == len(before)
            assert not answered & again
