"""The workflow that removes every run of a deleted session, itself without any of the content."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.commit import Purge
    from perdure.contract import PURGE_WORKFLOW

_SOON, _LATER = timedelta(seconds=1), timedelta(minutes=1)
_SOON_TRIES = 60
"""Temporal takes up to some twenty seconds to forget a run that it was told to delete."""


@workflow.defn(name=PURGE_WORKFLOW)
class PurgeSession:
    """Deletes runs until the server lists none any more."""

    @workflow.run
    async def run(self, purge: Purge) -> None:
        for attempt in count():
            if not await self._listed(purge):
                return
            await workflow.sleep(_SOON if attempt < _SOON_TRIES else _LATER)

    async def _listed(self, purge: Purge) -> int:
        listed: int = await workflow.execute_activity(
            "purge_runs", purge, result_type=int, start_to_close_timeout=timedelta(minutes=1)
        )
        return listed
