"""The sandbox, entered for workflow code only, and with one input at most for each handler."""

from __future__ import annotations

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext, WorkflowSerializationContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

from workflows.input import keep_one

RESTRICTIONS = SandboxRestrictions.default.with_passthrough_modules("workflows")
"""Our workflow modules hold no state, so that all sessions may share one copy: else each cached one has its own."""
_NO_STORE = StorageDriverStoreContext(target=None)


class SessionRunner(SandboxedWorkflowRunner):
    """The SDK's sandbox, without its detour for payloads, and safe from callers who send several inputs.

    SDK 1.35 enters the sandbox up to seven times for each payload, to ask for the context that a codec may bind to:
    70 % of the CPU of a replay. Here the answer is always the workflow's own context, also for its activities and
    children. So a codec may bind to the workflow id if no child has payloads, and there is no external storage.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Implements `WorkflowRunner.create_instance`."""
        return _Instance(super().create_instance(det), det.info)


class _Instance(WorkflowInstance):
    def __init__(self, sandboxed: WorkflowInstance, info: Info) -> None:
        self._sandboxed = sandboxed
        self._context = WorkflowSerializationContext(namespace=info.namespace, workflow_id=info.workflow_id)

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        for job in act.jobs:
            keep_one(job.initialize_workflow.arguments)
            keep_one(job.do_update.input)
            keep_one(job.signal_workflow.input)
            keep_one(job.query_workflow.arguments)
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: object) -> SerializationContext | None:
        del command_info
        return self._context

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        del command_info
        return _NO_STORE

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()
