"""What Temporal's histories tell of a session: its runs, and what its workers went through."""

from __future__ import annotations

import json
from collections import Counter

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workers.runner import SessionRunner
from workflows.session import SessionWorkflow

TIMED_OUT = EventType.Name(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
"""A worker took a task and never answered, or the session's own worker did not take it."""
FAILED = EventType.Name(EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
"""A worker could not carry out a task."""
ANSWERED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
RETRIED = "retried activity"
"""A local activity that needed more than one attempt."""


async def histories(client: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The history of every run that Temporal still has of a session, oldest first."""
    handle = client.get_workflow_handle(workflow_id)
    found = [await handle.fetch_history()]
    while before := found[0].events[0].workflow_execution_started_event_attributes.continued_execution_run_id:
        found.insert(0, await client.get_workflow_handle(workflow_id, run_id=before).fetch_history())
    return found


def updates(run: WorkflowHistory) -> int:
    """How many updates a run took."""
    return sum(event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED for event in run.events)


async def unreplayable(client: Client, workflow_id: str) -> list[str]:
    """What is wrong with those runs of a session that a worker without them in memory could not go on with."""
    replayer = Replayer(
        workflows=[SessionWorkflow], data_converter=pydantic_data_converter, workflow_runner=SessionRunner()
    )
    begun = [
        run for run in await histories(client, workflow_id) if any(event.event_type == ANSWERED for event in run.events)
    ]
    found = [await replayer.replay_workflow(run, raise_on_replay_failure=False) for run in begun]
    return [
        f"run {run.run_id} does not replay: {result.replay_failure}"
        for run, result in zip(begun, found, strict=True)
        if result.replay_failure
    ]


async def troubles(client: Client, workflow_id: str) -> Counter[str]:
    """How many events of each type all runs have, and how many activities were retried."""
    counts: Counter[str] = Counter()
    for history in await histories(client, workflow_id):
        for event in history.events:
            counts[EventType.Name(event.event_type)] += 1
            for payload in event.marker_recorded_event_attributes.details["data"].payloads:
                counts[RETRIED] += json.loads(payload.data).get("attempt", 1) > 1
    return counts


async def local_activities(client: Client, workflow_id: str) -> list[str]:
    """The types of the local activities of all runs, oldest first."""
    return [
        json.loads(payload.data)["activity_type"]
        for history in await histories(client, workflow_id)
        for event in history.events
        for payload in event.marker_recorded_event_attributes.details["data"].payloads
    ]
