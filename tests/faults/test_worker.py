"""Worker processes that die, hang, or are not there at all."""

from __future__ import annotations

import asyncio
import random
import signal
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
from temporalio.api.enums.v1 import PendingWorkflowTaskState
from temporalio.client import WorkflowQueryFailedError

from perdure.contract import Handlers
from perdure.session import RunBudget, SessionConfig
from tests.support.eventually import eventually
from tests.support.load import accepted_more, times, under_load, write
from tests.support.runs import TIMED_OUT, troubles, unreplayable
from tests.support.site import DISTURBED, OUTLIVED, STALLED, Site
from workers.worker import LAST_STEPS

KILLS = 20
GIVEN = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
KILLED = "a worker was killed"
FROZEN = "a worker was frozen"
THAWED = "a worker was thawed"
ALONE = "no worker was left"
PATIENCE = timedelta(seconds=30)


async def test_nothing_is_lost_doubled_or_reordered_when_workers_are_killed_twenty_times(site: Site) -> None:
    workers = [await site.start_worker()]
    sessions = await site.sessions(8, SessionConfig(run_budget=RunBudget(events=100)))
    rounds = 0

    async def in_step(number: int) -> bool:
        """A message a kill: so each kill falls among posts that are in flight."""
        while number < KILLS and number >= rounds:  # noqa: ASYNC110 - bounded by the kills
            await asyncio.sleep(0.002)
        return number < KILLS

    async def has_a_task() -> bool:
        """Whether a task was given to a worker and is not answered."""
        described = [await site.bare.get_workflow_handle(site.workflow_id(s)).describe() for s in sessions]
        return any(d.raw_description.pending_workflow_task.state == GIVEN for d in described)

    load = asyncio.create_task(write(site.ledger, site.client, sessions, writers=2, pace=in_step))
    workers[0].freeze()  # the only one: a task that it is given now is lost with it
    rounds = 1
    await eventually(has_a_task)
    for kill in range(KILLS):
        rounds = kill + 1
        await asyncio.sleep(random.uniform(0.01, 0.08))
        site.ledger.fault(KILLED)
        await workers[kill % 2].kill()
        await workers[kill % 2].start()
        if kill == 0:
            workers.append(await site.start_worker())
    await load
    await site.check(met={KILLED: KILLS, DISTURBED: KILLS // 2, OUTLIVED: KILLS // 2, STALLED: 1})


async def test_a_worker_that_was_frozen_and_thaws_late_changes_nothing(site: Site) -> None:
    workers = [await site.start_worker()]
    sessions = await site.sessions(6)  # all with the first worker, and from the first thaw on all with the other one
    workers.append(await site.start_worker())

    async def in_vain() -> int:
        """How many tasks were waited for in vain so far."""
        counts = [await troubles(site.bare, site.workflow_id(session_id)) for session_id in sessions]
        return sum(count[TIMED_OUT] for count in counts)

    async def taken_over(before: int) -> bool:
        """Whether tasks were taken from the frozen worker, and each session has accepted a post made since then."""
        made = [call for call in site.ledger.calls if call.at > site.ledger.last_fault_at]
        going_on = {call.session_id for call in made if site.ledger.outcome(call) == "accepted"}
        return len(going_on) == len(sessions) and await in_vain() > before

    async with under_load(site.ledger, site.client, sessions):
        for worker in workers:
            await accepted_more(site.ledger, 40)
            before = await in_vain()
            site.ledger.fault(FROZEN)
            worker.freeze()
            await eventually(partial(taken_over, before))
            await accepted_more(site.ledger, 60)
            site.ledger.fault(THAWED)
            worker.thaw()
        await accepted_more(site.ledger, 40)
    await site.check(met={FROZEN: 2, THAWED: 2, DISTURBED: 1, OUTLIVED: 1, STALLED: len(sessions)})


async def test_posts_made_while_no_worker_is_there_are_carried_out_once_when_one_comes(site: Site) -> None:
    worker = await site.start_worker()
    sessions = await site.sessions(4)
    site.ledger.fault(ALONE)
    await worker.kill()
    # Each patient writer waits for a worker; an impatient one is told that the outcome is unknown, and may be wrong.
    impatient = site.patient(timeout=2, rpc_timeout=1)
    patient = asyncio.create_task(write(site.ledger, site.patient(timeout=90), sessions, writers=5, pace=times(4)))
    await write(site.ledger, impatient, sessions, writers=1, pace=times(2), name="impatient")
    told = [answer.outcome for answer in site.ledger.answers.values()]
    assert told == ["unknown"] * len(sessions) * 2
    site.ledger.fault("a worker came")
    await worker.start()
    await patient
    await site.check(met={ALONE: 1, DISTURBED: 20, OUTLIVED: 20})


async def test_a_worker_whose_commit_is_held_up_in_postgres_ends_all_the_same_and_another_one_goes_on(
    site: Site,
) -> None:
    worker = await site.start_worker(graceful_shutdown_timeout="1")
    (session,) = await site.sessions(1)
    url = site.settings.require_database_url().replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as holder:
        await holder.execute("SELECT 1 FROM sessions FOR UPDATE")
        posted = asyncio.create_task(site.patient(timeout=60).session(session).add_user_message("held up"))

        async def waits() -> bool:
            found = await holder.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
            return await found.fetchone() is not None

        await eventually(waits)
        worker.send(signal.SIGTERM)

        async def ended() -> bool:
            return not worker.running

        await eventually(ended, within=LAST_STEPS.total_seconds() + 5)
    await site.start_worker()
    assert (await posted).message.content == "held up"


async def test_what_no_task_has_brought_yet_is_not_carried_out_for_a_query(site: Site) -> None:
    worker = await site.start_worker()
    names = await site.sessions(8)
    handles = [site.bare.get_workflow_handle(site.workflow_id(name)) for name in names]
    await worker.kill()
    asked = [
        asyncio.create_task(handle.query(Handlers.GET_SESSION, rpc_timeout=PATIENCE))
        for handle in handles
        for _ in range(3)
    ]
    for name in names:  # and as the client asks, which goes on asking
        asked.append(asyncio.create_task(site.patient(timeout=30, rpc_timeout=30).session(name).get()))
    await asyncio.sleep(1)  # they have not been given to any worker
    sent_at = datetime.now(UTC)
    for handle in handles:
        await handle.signal(Handlers.SIGNAL_USER_MESSAGE, {"content": "Is anybody there?"})
    await asyncio.sleep(2)  # the signals' tasks have left the queue of the worker that is gone
    await site.start_worker()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert any(isinstance(answer, WorkflowQueryFailedError) and "Ask again" in str(answer) for answer in answers)
    assert not any(isinstance(answer, BaseException) for answer in answers[-len(names) :])
    for name, handle in zip(names, handles, strict=True):

        async def stored(name: str = name) -> datetime:
            [message] = (await site.client.session(name).messages()).messages
            return message.created_at

        assert await eventually(stored) >= sent_at
        assert (await handle.query(Handlers.GET_SESSION))["message_count"] == 1
        assert await unreplayable(site.bare, handle.id) == []
