"""What a worker keeps of a run while it is cached."""

from __future__ import annotations

import psutil
import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails

from tests.replay.saved import FOLDER
from workers.runner import SessionRunner
from workflows.session import SessionWorkflow

RUNS = 40
INPUT_BYTES = 1_000_000


class _Cache(SessionRunner):
    """Keeps each run that it makes, as a worker does whose sessions are in use."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[WorkflowInstance] = []

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        self.runs.append(super().create_instance(det))
        return self.runs[-1]


@pytest.mark.parametrize("name", ["every_role-0", "rolled-1"])
async def test_a_run_keeps_nothing_of_its_input(name: str) -> None:
    saved = WorkflowHistory.from_json("", FOLDER.joinpath(f"{name}.json").read_text("utf-8"))
    started = saved.events[0].workflow_execution_started_event_attributes
    started.input.payloads[0].metadata["padding"] = bytes(INPUT_BYTES)
    history = WorkflowHistory(started.workflow_id, saved.events)
    cache = _Cache()
    replayer = Replayer(workflows=[SessionWorkflow], data_converter=pydantic_data_converter, workflow_runner=cache)
    await replayer.replay_workflow(history)
    before = psutil.Process().memory_info().rss

    for _ in range(RUNS):
        await replayer.replay_workflow(history)

    assert len(cache.runs) == RUNS + 1
    assert psutil.Process().memory_info().rss - before < RUNS * INPUT_BYTES / 2
