"""A tenant's limit of active sessions: checked before anything is written, in create and in resume alike."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from activities.stores.engine import Engine
from activities.stores.tables import sessions, tenants
from perdure import CapacityExceeded, Client, IdempotencyConflict, SessionHandle
from perdure.contract import MAX_BATCH
from perdure.reader import SessionFilter
from tests.sessions.caller import Caller
from tests.support.site import Site
from workflows.core.state import RECEIPTS


async def _limit(engine: Engine, tenant: str, limit: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(tenants).values(tenant=tenant).on_conflict_do_nothing())
        await connection.execute(update(tenants).where(tenants.c.tenant == tenant).values(max_active_sessions=limit))


async def test_a_session_over_the_limit_is_refused_and_leaves_no_trace(site: Site) -> None:
    await _limit(site.engine, site.settings.tenant, 1)
    await site.client.start_session("a")
    with pytest.raises(CapacityExceeded) as refused:
        await site.client.start_session("b")
    assert refused.value.message == "Maximum session capacity reached (1/1). Cannot create new session."
    assert refused.value.details == {"current": 1, "max": 1}
    listed = await site.reader.list_sessions(site.settings.tenant, SessionFilter())
    assert [session.session_id for session in listed.sessions] == ["a"]


async def test_of_twenty_sessions_created_at_once_as_many_are_made_as_may_be(site: Site) -> None:
    await _limit(site.engine, site.settings.tenant, 5)
    told = await asyncio.gather(
        *(site.client.start_session(f"s{number}") for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(item, SessionHandle) for item in told) == 5
    assert sum(isinstance(item, CapacityExceeded) for item in told) == 15
    async with site.engine.connect() as connection:
        rows = await connection.execute(select(sessions.c.session_id).where(sessions.c.tenant == site.settings.tenant))
        assert len(rows.all()) == 5


async def test_a_suspended_session_does_not_come_back_over_the_limit_and_stays_suspended(site: Site) -> None:
    await _limit(site.engine, site.settings.tenant, 1)
    b = await site.client.start_session("b")
    await b.suspend()
    a = await site.client.start_session("a")
    for comes_back in (b.resume(), b.add_user_message("Hello")):
        with pytest.raises(CapacityExceeded, match="Cannot resume the session"):
            await comes_back
    session = await site.reader.get_session(site.settings.tenant, "b")
    assert (session.status, session.message_count) == ("suspended", 0)
    await a.suspend()
    await b.add_user_message("Hello")
    assert (await b.get()).status == "active"
    with pytest.raises(CapacityExceeded):
        await a.resume()


async def test_of_resumptions_that_wait_together_none_succeeds_over_the_limit(alone: Site) -> None:
    async with alone.worker_here():
        b = await Caller.start(alone, "b")
        await b.update("suspend")
    await alone.client.start_session("a")
    await _limit(alone.engine, alone.settings.tenant, 1)
    sent = [asyncio.create_task(b.refused("resume")) for _ in range(4)]
    await asyncio.sleep(0.5)  # nobody polls: the server keeps them, and hands all over at once
    async with alone.worker_here():
        told = await asyncio.gather(*sent)
        assert [refusal.name for refusal in told] == ["CapacityExceeded"] * 4
        assert (await b.session()).status == "suspended"
    assert await b.event_types() == ["session_created", "session_suspended"]


async def test_a_late_repeat_needs_no_place(site: Site) -> None:
    session = await site.client.start_session("a")
    first = await session.add_message("user", "x", message_id="first")
    for number in range(0, RECEIPTS + 1, MAX_BATCH):  # the run forgets the key
        keyed = (session.add_message("tool", "y", message_id=f"m{number + n}") for n in range(MAX_BATCH))
        await asyncio.gather(*keyed)
    await session.suspend()
    await _limit(site.engine, site.settings.tenant, 1)
    await site.client.start_session("b")
    before = await site.reader.get_session(site.settings.tenant, "a")
    assert await session.add_message("user", "x", message_id="first") == first
    with pytest.raises(IdempotencyConflict):
        await session.add_message("user", "another", message_id="first")
    with pytest.raises(CapacityExceeded):
        await session.add_message("user", "x", message_id="new")
    assert await site.reader.get_session(site.settings.tenant, "a") == before
    assert before.status == "suspended"


async def test_other_tenants_are_not_counted(site: Site) -> None:
    other = f"{site.settings.tenant}-other"
    client = Client(site.client.temporal, tenant=other, task_queue=site.settings.task_queue)
    await client.start_session("a")
    await _limit(site.engine, other, 1)
    await _limit(site.engine, site.settings.tenant, 1)
    await site.client.start_session("a")
    with pytest.raises(CapacityExceeded):
        await client.start_session("b")
