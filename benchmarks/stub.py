"""The floor: a workflow whose updates do nothing of ours, on a worker with the session worker's settings."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import typing
from datetime import timedelta

import uvloop
from pydantic_core import to_json
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.worker import Worker

from activities.deflate import deflated, inflated
from workers.runner import SessionRunner
from workers.settings import Settings, connect_temporal

TASK_QUEUE = "stub"
_ANSWER = to_json({"text": inspect.getsource(typing)[:50_000]})
"""As long as the default working set, and as easily deflated: source code."""
_SHORTLY = timedelta(seconds=20)


@activity.defn
async def nothing_at_all(_body: RawValue) -> None:
    """Takes a message's body."""


@activity.defn
async def working_set(_body: RawValue) -> str:
    """Takes a message's body; gives what a real commit would give back."""
    return deflated(_ANSWER)


@workflow.defn(name="Stub")
class Stub:
    """Waits for ever, and answers updates."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def nothing(self, _raw: RawValue) -> None:
        return None

    @workflow.update
    async def by_activity(self, raw: RawValue) -> None:
        await workflow.execute_local_activity(nothing_at_all, raw, start_to_close_timeout=_SHORTLY)

    @workflow.update
    async def passed_on(self, raw: RawValue) -> RawValue:
        found = await workflow.execute_local_activity(working_set, raw, start_to_close_timeout=_SHORTLY)
        return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=inflated(found)))


async def _run() -> None:
    settings = Settings.load()
    client = await connect_temporal(settings)
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Stub],
        activities=[nothing_at_all, working_set],
        workflow_runner=SessionRunner(),
        max_cached_workflows=settings.max_cached_workflows,
        sticky_queue_schedule_to_start_timeout=settings.sticky_timeout,
    ):
        print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run())
