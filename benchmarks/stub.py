"""The floor: a workflow whose update does nothing, on a worker with the session worker's settings."""

from __future__ import annotations

import asyncio
import json
import os

import uvloop
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.worker import Worker

from workers.runner import SessionRunner
from workers.settings import Settings, connect_temporal

TASK_QUEUE = "stub"


@workflow.defn(name="Stub")
class Stub:
    """Waits for ever and answers updates with nothing."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def nothing(self, _raw: RawValue) -> None:
        return None


async def _run() -> None:
    settings = Settings.load()
    client = await connect_temporal(settings)
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Stub],
        workflow_runner=SessionRunner(),
        max_cached_workflows=settings.max_cached_workflows,
        sticky_queue_schedule_to_start_timeout=settings.sticky_timeout,
    ):
        print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run())
