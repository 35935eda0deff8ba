"""The client's side of ingest: reads a folder, stages it in Postgres, starts the workflow and follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.corpora.chunking import chunker_of
from activities.corpora.ports import CorpusStore
from perdure.base import parse
from perdure.contract import INGEST_WORKFLOW, TASK_QUEUE
from perdure.corpus import (
    GET_PROGRESS,
    MAX_FAILURES,
    MAX_FILE_BYTES,
    FailedFile,
    Ingest,
    IngestReport,
    ingest_workflow_id,
)
from perdure.errors import InvalidRequest, PerdureError, Unavailable
from perdure.ids import DEFAULT_TENANT
from perdure.wire import named
from workers.corpus_files import read_folder

_SHOWN_FAILURES = 5
_STAGED_BYTES = 4 * 1024 * 1024
_POLL_SECONDS = 0.25
_QUERY_TIMEOUT = timedelta(seconds=5)
OnProgress = Callable[[IngestReport], None]


async def ingest_folder(
    client: Client,
    store: CorpusStore,
    folder: Path,
    *,
    corpus: str,
    tenant: str = DEFAULT_TENANT,
    task_queue: str = TASK_QUEUE,
    chunking: str | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
    exclude: Sequence[str] = (),
    prune: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> IngestReport:
    """Ingest `folder` into `corpus`, and answer once readers see the new version.

    With `prune`, the folder is all that the corpus holds from then on: documents whose files are gone, or are passed
    over now, are not in the new version. Files that cannot be read leave theirs as they are, and folders that cannot be
    listed all that is below them.

    Cancelling it leaves the workflow running. Another ingest of the same corpus is waited for first, and watched. The
    report's phase is `index_behind` when the span index could not be reached: the workflow goes on until it can.

    Raises:
        FileNotFoundError: there is no such folder.
        InvalidRequest: the names are no ids, no file can be ingested, there is no such chunking, the corpus was made
            with another one or with another embedder, or a single file is to prune it.
        UploadExpired: it waited for so long for another ingest that files it sent are gone.
        PerdureError: the ingest failed.
    """
    workflow_id = ingest_workflow_id(tenant, corpus)
    if chunking is not None:
        chunker_of(chunking)  # before everything is read and staged
    upload_id = uuid4().hex
    failures: list[FailedFile] = []
    staged, failed = 0, 0
    entries = read_folder(folder, max_file_bytes, exclude)
    while batch := await asyncio.to_thread(_batch, entries):
        files = [entry for entry in batch if not isinstance(entry, FailedFile)]
        refused = [entry for entry in batch if isinstance(entry, FailedFile)]
        if files:
            await store.stage(tenant, corpus, upload_id, staged, files)
        if refused and prune:
            await store.stage_left_out(tenant, corpus, upload_id, failed, [entry.path for entry in refused])
        staged, failed = staged + len(files), failed + len(refused)
        failures = [*failures, *refused][:MAX_FAILURES]
        on_progress(IngestReport(files=staged + failed, failed=failed, failures=failures))
    if not staged:
        raise _nothing_in(folder, failed, failures)
    if prune:
        _check_folder(folder)
    report = IngestReport(files=staged + failed, failed=failed, failures=failures)
    request = Ingest(tenant=tenant, corpus=corpus, upload_id=upload_id, chunking=chunking, prune=prune, report=report)
    handle = await _start(client, workflow_id, task_queue, request, on_progress)
    on_progress(report.model_copy(update={"phase": "embedding"}))
    return await follow(handle, on_progress)


async def reindex(
    client: Client,
    *,
    corpus: str,
    tenant: str = DEFAULT_TENANT,
    task_queue: str = TASK_QUEUE,
    on_progress: OnProgress = lambda _: None,
) -> IngestReport:
    """Make the corpus's index anew from Postgres; the old one serves until the new one is whole.

    Raises:
        CorpusNotFound: there is no such corpus.
        InvalidRequest: the names are no ids, or the workers have another embedder than the corpus was made with.
        Unavailable: the workers have no span index, or it is away; the old one is left as it is.
    """
    request = parse(Ingest, {"tenant": tenant, "corpus": corpus})
    handle = await _start(client, ingest_workflow_id(tenant, corpus), task_queue, request, on_progress)
    on_progress(request.report.model_copy(update={"phase": "indexing"}))
    return await follow(handle, on_progress)


async def follow(handle: WorkflowHandle[object, IngestReport], on_progress: OnProgress) -> IngestReport:
    """Wait until readers see what the ingest made.

    Raises:
        PerdureError: the ingest failed, by its own name.
    """
    result = asyncio.create_task(handle.result())
    try:
        while True:
            finished, _ = await asyncio.wait([result], timeout=_POLL_SECONDS)
            report = result.result() if finished else await _progress(handle)
            if report is not None:
                on_progress(report)
                if report.phase in ("done", "index_behind"):
                    return report
    except WorkflowFailureError as error:
        if isinstance(error.cause, ApplicationError):
            raise named(error.cause) from error
        if isinstance(error.cause, TerminatedError | CancelledError):
            raise Unavailable("The ingest was ended from outside. Ingest again: what it embedded is kept.") from error
        raise
    finally:
        result.cancel()
        await asyncio.gather(result, return_exceptions=True)


async def _start(
    client: Client, workflow_id: str, task_queue: str, request: Ingest, on_progress: OnProgress
) -> WorkflowHandle[object, IngestReport]:
    while True:
        try:
            return await client.start_workflow(
                INGEST_WORKFLOW,
                request,
                id=workflow_id,
                task_queue=task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                result_type=IngestReport,
                static_summary=f"Ingest into {request.corpus}" if request.upload_id else f"Reindex {request.corpus}",
            )
        except WorkflowAlreadyStartedError:
            await _wait_for_other(client, workflow_id, on_progress)


async def _wait_for_other(client: Client, workflow_id: str, on_progress: OnProgress) -> None:
    """Wait for the ingest that runs. One that only waits for the index is ended: what it left is in the outbox."""
    other = client.get_workflow_handle(workflow_id, result_type=IngestReport)
    first_run_id = (await other.describe()).raw_description.workflow_execution_info.first_run_id
    try:
        if (await follow(other, on_progress)).phase != "index_behind":
            return
    except (PerdureError, WorkflowFailureError, RPCError):  # how the other one ended is its caller's business
        return
    await asyncio.sleep(4 * _POLL_SECONDS)  # its own caller is to see as much
    # This one and no later one, which another caller who waited may have started.
    behind = client.get_workflow_handle(workflow_id, first_execution_run_id=first_run_id)
    with suppress(RPCError):  # it has ended
        await behind.terminate("Another ingest of the corpus goes on with what this one left in the outbox.")


async def _progress(handle: WorkflowHandle[object, IngestReport]) -> IngestReport | None:
    try:
        report: IngestReport = await handle.query(GET_PROGRESS, result_type=IngestReport, rpc_timeout=_QUERY_TIMEOUT)
        return report
    except (RPCError, WorkflowQueryFailedError):  # no worker, or one that has just come, or no server: the result tells
        return None


def _nothing_in(folder: Path, failed: int, failures: Sequence[FailedFile]) -> InvalidRequest:
    reasons = "".join(f"\n  {failure.path}: {failure.reason}" for failure in failures[:_SHOWN_FAILURES])
    found = f"Of {failed} files none can be ingested, such as:{reasons}" if failed else "It has no files to ingest."
    return InvalidRequest(
        f"{folder}: {found}\nHidden files, generated code and folders such as node_modules are left out. Name a folder "
        "with text files in UTF-8, or one such file."
    )


def _check_folder(folder: Path) -> None:
    if folder.is_file():
        raise InvalidRequest(
            f"{folder} is a single file: to prune would remove every other document of the corpus. Give the folder "
            "that holds them all, or leave `prune` out."
        )


def _batch(entries: Iterator[tuple[str, str] | FailedFile]) -> list[tuple[str, str] | FailedFile]:
    batch, size = [], 0
    for entry in entries:
        batch.append(entry)
        size += len(entry[1]) if not isinstance(entry, FailedFile) else 0
        if size >= _STAGED_BYTES or len(batch) >= 500:
            break
    return batch
