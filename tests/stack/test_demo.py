"""What the demo takes for the death of a worker in the middle of a turn, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import PendingWorkflowTaskState

from tests.support.eventually import eventually
from tests.support.site import Site, site_on
from workers.demo_crash import abandoned_tasks
from workers.settings import Settings
from workers.stack.stack import Stack

GIVEN = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED


@pytest.fixture
async def site(stack: Stack, settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(stack, settings, tmp_path) as site:
        yield site


async def test_a_task_counts_as_abandoned_only_if_the_worker_had_taken_it(site: Site) -> None:
    worker = await site.start_worker()
    session = await site.client.start_session("s")

    async def abandoned() -> int:
        return await abandoned_tasks(site.bare, session.workflow_id)

    async def given() -> bool:
        described = await site.bare.get_workflow_handle(session.workflow_id).describe()
        return described.raw_description.pending_workflow_task.state == GIVEN

    await session.add_user_message("to a worker that lives")
    assert await abandoned() == 0

    await worker.kill()
    turn = asyncio.create_task(session.add_user_message("to nobody"))
    await worker.start()
    await turn
    assert await abandoned() == 0

    worker.freeze()
    turn = asyncio.create_task(session.add_user_message("to a worker that takes it and dies"))
    await eventually(given)
    await worker.kill()
    await worker.start()
    await turn
    assert await abandoned() == 1
