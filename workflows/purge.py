"""The workflow that removes runs of a session, itself without any of the content."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from temporalio import workflow

from activities.commit import Purge
from perdure.contract import PURGE_WORKFLOW

_SOON, _SETTLED, _LATER = timedelta(seconds=1), timedelta(seconds=5), timedelta(minutes=1)
_SOON_TRIES = 60
"""Temporal takes up to some twenty seconds to forget a run that it was told to delete."""


@workflow.defn(name=PURGE_WORKFLOW)
class PurgeSession:
    """Deletes runs until the server lists none of them any more. It ends: all of them started before it did."""

    @workflow.run
    async def run(self, purge: Purge) -> None:
        if purge.run_id is None and purge.started_by is None:  # all that it was given by older sessions
            purge = purge.model_copy(update={"started_by": workflow.info().workflow_start_time})
        empty = 0
        for attempt in count():
            empty = 0 if await self._listed(purge) else empty + 1
            if empty == 2:  # a run may be listed a moment after it began
                return
            await workflow.sleep(_LATER if attempt >= _SOON_TRIES else _SOON if not empty else _SETTLED)

    async def _listed(self, purge: Purge) -> int:
        listed: int = await workflow.execute_activity(
            "purge_runs", purge, result_type=int, start_to_close_timeout=timedelta(minutes=1)
        )
        return listed
