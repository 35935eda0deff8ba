"""A session that is started right after a command found none of its id."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.commit import Purge
from perdure import Client, SessionHandle, SessionNotFound
from perdure.contract import PURGE_WORKFLOW
from tests.client.conftest import Service
from tests.support.eventually import eventually
from tests.support.runs import troubles

SHORT_RUNS = {"run_budget": {"events": 20}}


async def _asked_for(client: Client, session_id: str) -> None:
    with pytest.raises(SessionNotFound):
        await client.session(session_id).add_user_message("Hello")


async def _purges(service: Service) -> list[WorkflowExecutionStatus | None]:
    """How the purges of the tenant are."""
    mine = f"purge:{service.settings.tenant}:"
    listed = service.temporal.list_workflows(f"WorkflowType = '{PURGE_WORKFLOW}'")
    return [run.status async for run in listed if run.id.startswith(mine)]


async def _runs(service: Service, session: SessionHandle) -> dict[str, WorkflowExecutionStatus | None]:
    listed = service.temporal.list_workflows(f"WorkflowId = '{session.workflow_id}'")
    return {run.run_id: run.status async for run in listed}


async def _talks(session: SessionHandle) -> None:
    for number in range(15):
        await session.add_assistant_message(f"message {number}")


async def test_a_session_that_was_asked_for_too_early_can_be_started_at_once(client: Client, unique: str) -> None:
    for number in range(5):
        await _asked_for(client, f"{unique}-{number}")
        session = await client.start_session(f"{unique}-{number}", title="Made")
        assert (await session.get()).title == "Made"


async def test_a_title_is_shown_without_an_event_of_its_own(client: Client, service: Service, unique: str) -> None:
    session = await client.start_session(unique, title="Made")
    handle = service.temporal.get_workflow_handle(session.workflow_id)
    assert await (await handle.describe()).memo_value("title") == "Made"
    assert not (await troubles(service.temporal, session.workflow_id))["EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED"]


async def test_only_the_run_that_found_no_session_is_purged(client: Client, service: Service, unique: str) -> None:
    await _asked_for(client, unique)
    refused = await service.temporal.get_workflow_handle(client.session(unique).workflow_id).describe()
    session = await client.start_session(unique, config=SHORT_RUNS)
    await _talks(session)

    async def purged() -> bool:
        return set(await _purges(service)) == {WorkflowExecutionStatus.COMPLETED}

    await eventually(purged, within=180)
    runs = await _runs(service, session)
    assert refused.run_id not in runs
    closed = {run_id for run_id, status in runs.items() if status is WorkflowExecutionStatus.CONTINUED_AS_NEW}
    assert len(closed) >= 2
    newest = service.temporal.get_workflow_handle(session.workflow_id)
    history = await newest.fetch_history()
    while before := history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id:
        assert before in closed
        closed.remove(before)
        history = await service.temporal.get_workflow_handle(session.workflow_id, run_id=before).fetch_history()
    assert closed == set()
    assert (await session.get()).message_count == 15


async def test_a_purge_that_an_older_session_began_leaves_later_runs_alone(
    client: Client, service: Service, unique: str
) -> None:
    purge = await service.temporal.start_workflow(
        PURGE_WORKFLOW,
        Purge(workflow_id=client.session(unique).workflow_id),
        id=f"purge:{client.tenant}:{unique}",
        task_queue=service.settings.task_queue,
    )
    session = await client.start_session(unique, config=SHORT_RUNS)
    await _talks(session)
    before = await _runs(service, session)
    async with asyncio.timeout(180):
        await purge.result()
    assert before.keys() <= (await _runs(service, session)).keys()
