"""A session that changes runs every ten messages or so, while it is written to from all sides."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from perdure.contract import Handlers
from perdure.session import RunBudget, SessionConfig
from tests.support.load import Pace, accepted_more, times, under_load, write
from tests.support.runs import histories
from tests.support.site import AMONG, OUTLIVED, Site

ROLLED = "a session changed runs"
KILLED = "a worker was killed"
KILLS = 4
OFTEN = SessionConfig(run_budget=RunBudget(events=20))
MESSAGES = 40
PATIENCE = timedelta(seconds=20)


async def _once(site: Site, session_id: str, pace: Pace) -> None:
    """A writer that sends each update once: what is accepted must be answered, for nobody sends it again."""
    handle = site.bare.get_workflow_handle(site.workflow_id(session_id))
    for number in count():
        if not await pace(number):
            return
        key, content = f"once-{number}", f"once says {number}"
        call = site.ledger.invoked(session_id, "once", key, "assistant", content)
        body = {"content": content, "message_id": key}
        try:
            answer = await handle.execute_update(Handlers.ADD_ASSISTANT_MESSAGE, body, id=key, rpc_timeout=PATIENCE)
        except WorkflowUpdateFailedError as error:
            if not isinstance(error.cause, ApplicationError) or error.cause.type != "SessionRolling":
                raise AssertionError("an update that had been accepted was given up") from error
            site.ledger.told(call, "unknown", error=error.cause.type)  # as the error says
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            site.ledger.told(call, "unknown", error=str(error))
        else:
            site.ledger.told(call, "accepted", sequence_number=answer["message"]["sequence_number"])


async def _signals(site: Site, session_id: str, pace: Pace) -> None:
    """A writer of signals: one that Temporal took must be stored, though nobody says so."""
    handle = site.bare.get_workflow_handle(site.workflow_id(session_id))
    for number in count():
        if not await pace(number):
            return
        key, content = f"signal-{number}", f"signal says {number}"
        call = site.ledger.invoked(session_id, "signal", key, "user", content)
        await handle.signal(Handlers.SIGNAL_USER_MESSAGE, {"content": content, "message_id": key})
        site.ledger.told(call, "accepted")


async def test_nothing_is_lost_doubled_or_reordered_when_a_session_changes_runs_every_ten_messages(site: Site) -> None:
    await site.start_worker()  # not in this process, where the SDK's warning about an unfinished handler is an error
    sessions = await site.sessions(3, OFTEN)
    async with asyncio.TaskGroup() as group:
        group.create_task(write(site.ledger, site.client, sessions, writers=3, pace=times(MESSAGES)))
        for session_id in sessions:
            group.create_task(_once(site, session_id, times(MESSAGES)))
            group.create_task(_signals(site, session_id, times(MESSAGES)))
    for session_id in sessions:
        runs = await histories(site.bare, site.workflow_id(session_id))
        site.ledger.met[ROLLED] += len(runs) - 1
    await site.check(met={ROLLED: 3 * 20})


async def test_nothing_is_lost_when_a_worker_dies_while_sessions_change_runs(site: Site) -> None:
    workers = [await site.start_worker(), await site.start_worker()]
    sessions = await site.sessions(4, OFTEN)
    async with under_load(site.ledger, site.client, sessions, writers=3, pause=0):
        for kill in range(KILLS):
            await accepted_more(site.ledger, 60)
            site.ledger.fault(KILLED)
            await workers[kill % 2].restart()
        await accepted_more(site.ledger, 60)
    for session_id in sessions:
        runs = await histories(site.bare, site.workflow_id(session_id))
        site.ledger.met[ROLLED] += len(runs) - 1
    await site.check(met={ROLLED: 4 * 8, KILLED: KILLS, AMONG: KILLS, OUTLIVED: KILLS})
