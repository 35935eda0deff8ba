"""Runs workflow code as it is, with one input at most for each handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails
from temporalio.workflow import Info

from workflows.input import keep_one

if TYPE_CHECKING:
    from temporalio.worker._command_aware_visitor import CommandInfo


class SessionRunner(UnsandboxedWorkflowRunner):
    """The SDK's runner without a sandbox, safe from callers who send several inputs."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Implements `WorkflowRunner.create_instance`."""
        return _OneInput(super().create_instance(det))


class _OneInput(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        for job in act.jobs:
            keep_one(job.initialize_workflow.arguments)
            keep_one(job.do_update.input)
            keep_one(job.signal_workflow.input)
            keep_one(job.query_workflow.arguments)
        return self._instance.activate(act)

    def get_serialization_context(self, command_info: CommandInfo | None) -> SerializationContext | None:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: CommandInfo | None) -> StorageDriverStoreContext:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Info:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()
