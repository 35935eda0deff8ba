"""A workflow's clock that stands still for a moment, as the SDK's was seen to do."""

from __future__ import annotations

from pathlib import Path

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails

from tests.support.own_store import worker_on
from tests.support.runs import histories, local_activities
from tests.support.site import site_on
from workers.runner import SessionRunner, _Run
from workers.settings import Settings
from workers.stack.stack import Stack
from workflows.session import SessionWorkflow


class _Stale(_Run):
    """Told of its first timer, a run is given the time that it had before."""

    def __init__(self, instance: WorkflowInstance) -> None:
        super().__init__(instance)
        self._before: WorkflowActivation | None = None
        self._fired = False

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if not self._fired and any(job.HasField("fire_timer") for job in act.jobs):
            assert self._before is not None
            act.timestamp.CopyFrom(self._before.timestamp)
            self._fired = True
        self._before = act
        return super().activate(act)


class _StaleRunner(SessionRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Stale(super().create_instance(det))


async def test_a_run_whose_clock_stood_still_as_its_timer_fired_replays(
    stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    async with site_on(stack, settings, tmp_path) as site, worker_on(site, runner=_StaleRunner()):
        await site.client.start_session("talk", config={"idle_timeout": 0.5, "archive_after": 0.5})
        workflow = site.workflow_id("talk")
        await site.bare.get_workflow_handle(workflow).result()
        shown = await local_activities(site.bare, workflow)
        assert shown == ["open_session", "suspend_session", "archive_session"]
        (run,) = await histories(site.bare, workflow)
        replayer = Replayer(
            workflows=[SessionWorkflow], data_converter=pydantic_data_converter, workflow_runner=SessionRunner()
        )
        await replayer.replay_workflow(run)
