"""Waiting for another ingest of the corpus."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from temporalio.exceptions import WorkflowAlreadyStartedError

from perdure.corpus import IngestReport
from workers.ingest_folder import reindex


class Other:
    """Temporal's client, and an ingest of the corpus that goes on for ever."""

    async def start_workflow(self, *_: object, **__: object) -> None:
        raise WorkflowAlreadyStartedError("ingest", "IngestCorpus")

    def get_workflow_handle(self, _: str, **__: object) -> Other:
        return self

    async def describe(self) -> object:
        return SimpleNamespace(
            raw_description=SimpleNamespace(workflow_execution_info=SimpleNamespace(first_run_id=""))
        )

    async def result(self) -> None:
        await asyncio.Event().wait()

    async def query(self, *_: object, **__: object) -> IngestReport:
        return IngestReport(phase="embedding")


async def test_what_the_caller_cannot_show_is_its_own_failure() -> None:
    def shown(_: IngestReport) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await asyncio.wait_for(reindex(Other(), corpus="docs", on_progress=shown), 10)  # type: ignore[arg-type] # a fake
