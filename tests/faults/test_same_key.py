"""The same key, sent again: at once, and after all that a session and its servers can go through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus

from perdure import HeadMoved, IdempotencyConflict, PayloadTooLarge, SessionHandle
from perdure.message import Message
from perdure.session import RunBudget, SessionConfig
from tests.support.eventually import eventually
from tests.support.load import TEXTS, post, times, write
from tests.support.site import Site
from workflows.core.state import RECEIPTS

SESSION = "s0"
KEY = "the-same"
AGAIN = "the same key was sent again"
STATES = SessionConfig(
    run_budget=RunBudget(events=20), idle_timeout=timedelta(minutes=5), archive_after=timedelta(milliseconds=500)
)


async def _three_times(site: Site) -> set[int]:
    """Send the same message three times at once; the sequence numbers that were answered."""
    handle = site.patient(timeout=60).session(SESSION)
    site.ledger.fault(AGAIN)
    outcomes = await asyncio.gather(
        *(post(site.ledger, handle, f"again{index}", KEY, "assistant", TEXTS[2]) for index in range(3))
    )
    assert outcomes == ["accepted"] * 3
    return {
        number
        for call in site.ledger.calls
        if call.key == KEY and (number := site.ledger.answers[call.number].sequence_number) is not None
    }


async def _roll(site: Site) -> None:
    handle = site.client.temporal.get_workflow_handle(site.workflow_id(SESSION))
    before = (await handle.describe()).run_id
    await write(site.ledger, site.client, [SESSION], writers=2, pace=times(8), name="roll")

    async def rolled() -> bool:
        return (await handle.describe()).run_id != before

    await eventually(rolled)


async def _suspend(site: Site) -> None:
    assert (await site.client.session(SESSION).suspend()).status == "suspended"


async def _archive(site: Site) -> None:
    await _suspend(site)

    async def archived() -> bool:
        described = await site.client.temporal.get_workflow_handle(site.workflow_id(SESSION)).describe()
        return described.status == WorkflowExecutionStatus.COMPLETED

    await eventually(archived)


async def _restart_worker(site: Site) -> None:
    await site.workers[0].restart()


async def _restart_temporal(site: Site) -> None:
    await site.stack.temporal.restart()


async def _restart_postgres(site: Site) -> None:
    await site.stack.postgres.crash()
    await site.stack.postgres.start()


EVENTS: list[Callable[[Site], Awaitable[None]]] = [
    _roll,
    _suspend,
    _archive,
    _restart_worker,
    _restart_temporal,
    _restart_postgres,
]


async def test_the_same_key_sent_three_times_at_once_and_after_each_change_is_one_message(fragile_site: Site) -> None:
    site = fragile_site
    await site.start_worker()
    await site.sessions(1, STATES)
    assert await _three_times(site) == {0}
    for happens in EVENTS:
        await happens(site)
        assert await _three_times(site) == {0}, happens.__name__
        with pytest.raises(IdempotencyConflict) as refused:
            await site.client.session(SESSION).add_assistant_message("another body", message_id=KEY)
        assert refused.value.details == {"key": KEY}
    seen = await site.check(met={AGAIN: len(EVENTS) + 1})
    assert [m.message_id for m in seen[SESSION].messages].count(KEY) == 1


async def test_a_key_that_the_run_has_forgotten_is_still_known_to_postgres(site: Site) -> None:
    async with site.worker_here():
        await site.sessions(1)
        first: Message = (await site.client.session(SESSION).add_user_message("Hello", message_id=KEY)).message
        await write(site.ledger, site.client, [SESSION], writers=8, pace=times(33))
        again = (await site.client.session(SESSION).add_user_message("Hello", message_id=KEY)).message
        assert again == first
        with pytest.raises(IdempotencyConflict):
            await site.client.session(SESSION).add_user_message("Goodbye", message_id=KEY)
        assert (await site.client.session(SESSION).add_assistant_message("Hi")).sequence_number == 8 * 33 + 1


async def _forget(session: SessionHandle) -> None:
    """So many updates that the session forgets the keys before them, and none of its messages."""
    for number in range(0, RECEIPTS + 1, 8):
        await asyncio.gather(*(session.update(metadata={"n": number + n}) for n in range(8)))


async def test_a_forgotten_key_is_looked_up_though_its_message_is_still_at_hand(site: Site) -> None:
    async with site.worker_here():
        await site.sessions(1)
        session = site.client.session(SESSION)
        batch = [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine."}]
        first = (await session.add_user_message("Hello", message_id=KEY)).message
        told = await session.add_messages(batch, request_id="batch")
        await _forget(session)
        assert (await session.add_user_message("Hello", message_id=KEY)).message == first
        assert await session.add_messages(batch, request_id="batch") == told
        with pytest.raises(IdempotencyConflict):
            await session.add_user_message("Goodbye", message_id=KEY)
        with pytest.raises(IdempotencyConflict):
            await session.add_messages([{"role": "user", "content": "Me?", "message_id": KEY}], request_id="other")
        assert (await session.get()).message_count == 3


async def test_a_forgotten_key_is_looked_up_though_there_is_nothing_to_do(site: Site) -> None:
    async with site.worker_here():
        await site.sessions(1)
        session = site.client.session(SESSION)
        await session.suspend(request_id="suspend")
        resumed = await session.resume(request_id="resume")
        await _forget(session)
        assert await session.resume(request_id="resume") == resumed
        for other in (session.resume(request_id="suspend"), session.update(request_id="resume")):
            with pytest.raises(IdempotencyConflict):
                await other
        assert (await session.resume(request_id="new")).metadata is not None


async def test_what_was_taken_long_ago_is_answered_whatever_has_changed_since(site: Site) -> None:
    async with site.worker_here():
        await site.sessions(1)
        session = site.client.session(SESSION)
        question = (await session.add_user_message("Hello", message_id="first")).message
        answer = await session.add_assistant_message("Hi", message_id=KEY, expected_head="first")
        await write(site.ledger, site.client, [SESSION], writers=8, pace=times(33))
        await session.update(config={"max_content_bytes": 1})
        assert await session.add_assistant_message("Hi", message_id=KEY, expected_head="first") == answer
        assert (await session.add_user_message("Hello", message_id="first")).message == question
        with pytest.raises(IdempotencyConflict):
            await session.add_assistant_message("Ho", message_id=KEY, expected_head="first")
        with pytest.raises(HeadMoved):
            await session.add_message("tool", "a", message_id="new", expected_head="first")
        with pytest.raises(PayloadTooLarge):
            await session.add_message("tool", "ab", message_id="new")
        assert (await session.add_message("tool", "c", message_id="new")).sequence_number == 8 * 33 + 2
