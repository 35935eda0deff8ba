"""The workflow that compiles a session's stored turns again, beside the session and without its knowledge."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from activities.working_sets.recompile import RECOMPILE, RecompiledPage, RecompilePage
from perdure.contract import RECOMPILE_WORKFLOW
from perdure.recompile import Comparison, Recompile, TurnComparison

PAGE_TURNS = 20
_ATTEMPT = timedelta(hours=1)
_SILENCE = timedelta(seconds=30)
_UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(seconds=10))


@workflow.defn(name=RECOMPILE_WORKFLOW)
class RecompileSession:
    """A page of turns at a time, so that a worker that dies costs one page."""

    @workflow.run
    async def run(self, request: Recompile) -> Comparison:
        turns: list[TurnComparison] = []
        after, left, complete = request.after, request.turns, False
        while left and not complete:
            limit = min(left, PAGE_TURNS)
            try:
                page: RecompiledPage = await workflow.execute_activity(
                    RECOMPILE,
                    RecompilePage(request=request, after=after, limit=limit),
                    result_type=RecompiledPage,
                    start_to_close_timeout=_ATTEMPT,
                    heartbeat_timeout=_SILENCE,
                    retry_policy=_UNTIL_DONE,
                    summary=f"turns after #{after}",
                )
            except ActivityError as error:
                if isinstance(error.cause, ApplicationError):
                    raise error.cause from error
                raise
            turns += page.turns
            after, left, complete = page.after, left - limit, page.complete
        return Comparison(request=request, turns=turns, last=after, complete=complete)
