"""Removes runs of a session from Temporal, where its messages stand in the history."""

from __future__ import annotations

import time

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.commit import Purge

_AGAIN_SECONDS = 60
"""Temporal forgets a run some time after it was told to, and the later the more often it is told."""


class PurgeActivities:
    """Needs a client of the namespace that the sessions are in."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: dict[str, float] = {}

    @activity.defn
    async def purge_runs(self, purge: Purge) -> int:
        """Delete those of the runs that are closed, each by its run id: by workflow id it would be the newest only.

        Returns how many were listed. Visibility lags behind, so it takes another call to learn that none is left.
        """
        query, until = f"WorkflowId = '{purge.workflow_id}'", purge.started_by
        if purge.run_id is not None:
            query += f" AND RunId = '{purge.run_id}'"
        listed = [run async for run in self._client.list_workflows(query) if until is None or run.start_time <= until]
        self._told = {run_id: at for run_id, at in self._told.items() if time.monotonic() < at + _AGAIN_SECONDS}
        for run in listed:
            if run.status != WorkflowExecutionStatus.RUNNING and run.run_id not in self._told:
                await self._delete(purge.workflow_id, run.run_id)
                self._told[run.run_id] = time.monotonic()
        return len(listed)

    async def _delete(self, workflow_id: str, run_id: str) -> None:
        try:
            await self._client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=self._client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
                )
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
