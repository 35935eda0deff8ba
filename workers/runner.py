"""Runs workflow code as it is: one input at most for each handler, queries last, nothing kept of what started a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import RawValue
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import (
    ExecuteWorkflowInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
)
from temporalio.workflow import Info

from workflows.input import NOTHING, keep_one

if TYPE_CHECKING:
    from temporalio.worker._command_aware_visitor import CommandInfo

M = TypeVar("M", Payload, Payloads)

_BY_ITSELF = "legacy_query"
"""The id that the SDK's core gives to a query that comes without a workflow task."""
_ASK_AGAIN = "A worker that has just come was asked before it was given what has happened. Ask again."


class SessionRunner(UnsandboxedWorkflowRunner):
    """The SDK's runner without a sandbox, safe from callers who send several inputs.

    A protobuf message in Python keeps all of the message that it is a part of. The SDK keeps parts of a run's first
    activation, and with them the run's whole input, while the run is cached: here it keeps copies instead.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Implements `WorkflowRunner.create_instance`."""
        info = replace(det.info, headers=_copies(det.info.headers), raw_memo=_copies(det.info.raw_memo))
        alone = replace(
            det,
            info=info,
            last_completion_result=_copy(det.last_completion_result),
            interceptor_classes=[*det.interceptor_classes, _LetGo],
        )
        return _Run(super().create_instance(alone))


def _copies(messages: Mapping[str, M]) -> dict[str, M]:
    return {name: _copy(message) for name, message in messages.items()}


def _copy(message: M) -> M:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


class _LetGo(WorkflowInboundInterceptor):
    async def execute_workflow(self, start: ExecuteWorkflowInput) -> Any:
        # The SDK keeps `start`. A workflow that takes its input raw has read it as it was made.
        start.args = [NOTHING if isinstance(arg, RawValue) else arg for arg in start.args]
        start.headers = {}
        return await super().execute_workflow(start)


class _Run(WorkflowInstance):
    """Keeps one input of each handler, and two kinds of queries from leading a run where no replay can follow it.

    Queries of a workflow task are answered with its last activation. The SDK's core (1.35.0) hands them out while the
    task's local activities run. Once it has their answers it completes the task as soon as the activities have ended,
    and what their end brings about, such as an update's answer, goes with the next task. A replay then brings it about
    one task too early: commands are in another order than in the history, or name messages that core has thrown away,
    and the run never gets on.

    A query that comes by itself may bring a history with events for which no worker has been given a task: it waited
    for a worker while they came. Core has them carried out at once, at the time of the last task and with another
    length of history than in a replay. Such a query fails, and with it goes what core has made of the run: the task
    that follows brings the events again.
    """

    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance
        self._running: set[int] = set()
        self._asked: list[WorkflowActivationJob] = []
        self._size = 0
        self._ahead = False

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if any(job.HasField("remove_from_cache") for job in act.jobs):
            return self._instance.activate(act)
        if self._ahead:
            return _failed(act.run_id, _ASK_AGAIN)
        if self._is_ahead(act):
            self._ahead = True
            return _nothing_yet(act.run_id)
        for job in act.jobs:
            keep_one(job.initialize_workflow.arguments)
            keep_one(job.do_update.input)
            keep_one(job.signal_workflow.input)
            keep_one(job.query_workflow.arguments)
            if job.HasField("resolve_activity"):
                self._running.discard(job.resolve_activity.seq)
        if self._running and all(_belongs_to_task(job) for job in act.jobs):
            self._asked = list(act.jobs)  # all of the task's; what it leaves unanswered comes with the next one
            return _nothing_yet(act.run_id)
        completion = self._instance.activate(act)
        for command in completion.successful.commands:
            if command.HasField("schedule_local_activity"):
                self._running.add(command.schedule_local_activity.seq)
        if self._asked and not self._running:
            self._answer(act, completion)
        return completion

    def _is_ahead(self, act: WorkflowActivation) -> bool:
        """Whether it brings events for which there is no task yet: each task tells the history's size anew."""
        known, self._size = self._size, act.history_size_bytes
        return 0 < known == self._size and any(map(_is_of_history, act.jobs))

    def _answer(self, act: WorkflowActivation, completion: WorkflowActivationCompletion) -> None:
        asked, self._asked = self._asked, []
        if completion.HasField("failed"):  # the server asks again
            return
        queries = WorkflowActivation()
        queries.CopyFrom(act)
        del queries.jobs[:]
        queries.jobs.extend(asked)
        queries.is_replaying = True  # as with all queries
        completion.successful.commands.extend(self._instance.activate(queries).successful.commands)

    def get_serialization_context(self, command_info: CommandInfo | None) -> SerializationContext | None:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: CommandInfo | None) -> StorageDriverStoreContext:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Info:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


def _belongs_to_task(job: WorkflowActivationJob) -> bool:
    """Whether it is a query that came with a workflow task, and not by itself."""
    return job.HasField("query_workflow") and job.query_workflow.query_id != _BY_ITSELF


def _is_of_history(job: WorkflowActivationJob) -> bool:
    """Whether an event brings it, and nothing that comes with a task: an update, an activity of the task, a query."""
    if job.HasField("resolve_activity"):
        return not job.resolve_activity.is_local
    return job.WhichOneof("variant") not in ("query_workflow", "do_update", "notify_has_patch")


def _failed(run_id: str, message: str) -> WorkflowActivationCompletion:
    completion = WorkflowActivationCompletion(run_id=run_id)
    completion.failed.failure.message = message
    return completion


def _nothing_yet(run_id: str) -> WorkflowActivationCompletion:
    completion = WorkflowActivationCompletion(run_id=run_id)
    completion.successful.SetInParent()
    return completion
