"""An ingest that is cancelled does nothing more, wherever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.worker import Worker

from activities.corpora.ingest import (
    BEGIN,
    FILES,
    INDEX,
    PUBLISH,
    REBUILD,
    TIDY,
    Begun,
    Published,
    Rebuilt,
    Stepped,
)
from perdure.contract import INGEST_WORKFLOW
from perdure.corpus import Ingest
from workflows.ingest import IngestCorpus

ANSWERS = {
    BEGIN: Begun(version=1, files=1, chunking="structure-v2"),
    FILES: Stepped(after=0, done=True, created=1),
    INDEX: True,
    PUBLISH: Published(version=1),
    TIDY: None,
    REBUILD: Rebuilt(version=1, spans=1),
}


@pytest.mark.parametrize("phase", ANSWERS)
async def test_nothing_follows_what_was_cancelled(temporal_client: Client, unique: str, phase: str) -> None:
    reached, called = asyncio.Event(), list[str]()

    def fake(name: str) -> Callable[..., object]:
        @activity.defn(name=name)
        async def answer(_: Any) -> Any:
            called.append(name)
            if name == phase and not reached.is_set():
                reached.set()
                await asyncio.Event().wait()
            return ANSWERS[name]

        return answer

    activities = [fake(name) for name in ANSWERS]
    async with Worker(temporal_client, task_queue=unique, workflows=[IngestCorpus], activities=activities):
        request = Ingest(corpus="docs", upload_id=None if phase == REBUILD else "u")
        handle = await temporal_client.start_workflow(INGEST_WORKFLOW, request, id=unique, task_queue=unique)
        await reached.wait()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, CancelledError)
        assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert called[-1] == phase
