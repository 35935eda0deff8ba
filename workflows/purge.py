"""The workflow that removes every run of a deleted session, itself without any of the content."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.commit import Purge
    from perdure.contract import PURGE_WORKFLOW


@workflow.defn(name=PURGE_WORKFLOW)
class PurgeSession:
    """Deletes runs until the server lists none any more."""

    @workflow.run
    async def run(self, purge: Purge) -> None:
        pause = timedelta(seconds=1)
        while await self._listed(purge):
            await workflow.sleep(pause)
            pause = min(2 * pause, timedelta(minutes=5))

    async def _listed(self, purge: Purge) -> int:
        listed: int = await workflow.execute_activity(
            "purge_runs", purge, result_type=int, start_to_close_timeout=timedelta(minutes=1)
        )
        return listed
