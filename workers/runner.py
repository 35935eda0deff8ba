"""Runs workflow code as it is, with one input at most for each handler, and keeps nothing of what started a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
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
        return _OneInput(super().create_instance(alone))


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
