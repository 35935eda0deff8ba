"""The workflow that removes runs of a session, itself without any of the content."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from activities.commit import Purge
from perdure.contract import PURGE_WORKFLOW

_FIRST, _LONGEST, _GROWTH = timedelta(seconds=1), timedelta(hours=1), 1.5
"""A run may stay open, on a worker that is stuck. A look costs nine events, of some fifty thousand that a workflow may
have: at one an hour they last for more than half a year."""
_SETTLED = timedelta(seconds=5)
"""Temporal takes twenty seconds and more to forget a run that it was told to delete."""


@workflow.defn(name=PURGE_WORKFLOW)
class PurgeSession:
    """Deletes runs until the server lists none of them any more. It ends: all of them started before it did."""

    @workflow.run
    async def run(self, purge: Purge) -> None:
        if purge.run_id is None and purge.started_by is None:  # all that it was given by older sessions
            purge = purge.model_copy(update={"started_by": workflow.info().workflow_start_time})
        empty, pause = 0, _FIRST
        while empty < 2:  # a run may be listed a moment after it began
            empty = 0 if await self._listed(purge) else empty + 1
            if empty == 1:
                await workflow.sleep(_SETTLED)
            elif not empty:
                await workflow.sleep(pause)
                pause = min(_GROWTH * pause, _LONGEST)

    async def _listed(self, purge: Purge) -> int:
        listed: int = await workflow.execute_activity(
            "purge_runs", purge, result_type=int, start_to_close_timeout=timedelta(minutes=1)
        )
        return listed
