"""Commits whose answers are lost, and commits that never happened: the activity is repeated, the message is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import update

from activities.commit import Commit, Committed
from activities.stores.session_rows import is_session
from activities.stores.tables import sessions, tenants
from perdure.contract import MAX_BATCH
from perdure.events import Event
from perdure.session import SessionConfig
from perdure.working_set import WorkingSet
from tests.support.eventually import eventually
from tests.support.ledger import Ledger
from tests.support.load import times, write
from tests.support.own_store import OwnStore, worker_on
from tests.support.runs import RETRIED, troubles
from tests.support.site import DISTURBED, REPEATED, Site

LOST = "the answer to a commit was lost"
FAILED = "a commit failed"
SLOW_SECONDS = 3


class Flaky(OwnStore):
    """A store whose connection breaks at every third commit: after it was stored, or before, in turns."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._commits = 0

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        self._commits += 1
        if self._commits % 3 == 1:
            self._ledger.fault(LOST if self._commits % 2 else FAILED)
            if self._commits % 2:
                await self.inner.commit(request, completed, working_sets)
            raise ConnectionError("the connection broke")
        return await self.inner.commit(request, completed, working_sets)


class LosesOnce(OwnStore):
    """A store that loses the answer to the first commit of an event of that type; `meanwhile` something happens."""

    def __init__(self, kind: str, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self._kind, self._meanwhile = kind, meanwhile
        self.lost = False

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        answer = await self.inner.commit(request, completed, working_sets)
        if not self.lost and any(event.data.type == self._kind for event in completed):
            self.lost = True
            if self._meanwhile:
                await self._meanwhile()
            raise ConnectionError("the connection broke")
        return answer


class Slow(OwnStore):
    """A store that takes a commit for the time of many idle deadlines."""

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        await asyncio.sleep(SLOW_SECONDS)
        return await self.inner.commit(request, completed, working_sets)


async def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated(site: Site) -> None:
    async with worker_on(site, Flaky(site.ledger)):
        sessions = await site.sessions(3)
        await write(site.ledger, site.patient(timeout=10), sessions, writers=3, pace=times(15))
        await site.check(met={LOST: 3, FAILED: 3, DISTURBED: 6, REPEATED: 6})


async def test_a_large_batch_whose_answer_is_lost_is_answered_whole(site: Site) -> None:
    async with worker_on(site, Flaky(site.ledger)):
        session = await site.patient(timeout=20).start_session("large-batch")
        batch = [{"role": "user", "content": f"{number}" * 4000} for number in range(MAX_BATCH)]
        first = await session.add_messages(batch, request_id="batch")  # the first commit: stored, and its answer lost
        assert [fault.kind for fault in site.ledger.faults] == [LOST]
        assert [message.sequence_number for message in first] == list(range(MAX_BATCH))
        assert await session.add_messages(batch, request_id="batch") == first


async def test_an_idle_deadline_that_passes_during_a_long_commit_costs_no_history(site: Site) -> None:
    async with worker_on(site, Slow()):
        (session_id,) = await site.sessions(1, SessionConfig(idle_timeout=timedelta(milliseconds=200)))
        await write(site.ledger, site.client, [session_id], writers=1, pace=times(1))
        described = await site.bare.get_workflow_handle(site.workflow_id(session_id)).describe()
        assert described.history_length < 40


async def test_a_session_that_came_back_under_a_limit_is_not_in_its_own_way_when_the_answer_is_lost(site: Site) -> None:
    store = LosesOnce("session_resumed")
    async with worker_on(site, store):
        session = await site.patient(timeout=20).start_session("a")
        await session.suspend()
        async with site.engine.begin() as connection:
            mine = update(tenants).where(tenants.c.tenant == site.settings.tenant)
            await connection.execute(mine.values(max_active_sessions=1))
        added = (await session.add_user_message("I am back", message_id="k")).message
        assert store.lost
        assert (await session.add_user_message("I am back", message_id="k")).message == added
        assert (await session.get()).status == "active"
        assert [m.message_id for m in (await session.messages()).messages] == ["k"]


async def test_a_session_whose_place_was_filled_when_the_answer_was_lost_is_as_it_was_stored(site: Site) -> None:
    tenant = site.settings.tenant

    async def fill() -> None:
        async with site.engine.begin() as connection:
            other = update(sessions).where(is_session(sessions, tenant, "other"))
            await connection.execute(other.values(status="active"))
            await connection.execute(update(tenants).where(tenants.c.tenant == tenant).values(max_active_sessions=1))

    async with worker_on(site, LosesOnce("session_resumed", meanwhile=fill)):
        await (await site.client.start_session("other")).suspend()
        session = await site.patient(timeout=20).start_session("a")
        await session.suspend()
        added = (await session.add_user_message("I am back")).message
        seen = await session.get()
        assert (seen.status, seen.active_message_id) == ("active", added.message_id)


async def test_an_idle_session_is_suspended_and_not_archived_at_once_when_the_answer_is_lost(site: Site) -> None:
    async with worker_on(site, LosesOnce("session_suspended")):
        session = await site.client.start_session("idle", config={"idle_timeout": 0.5, "archive_after": 3600})

        async def suspended_by_a_second_attempt() -> bool:
            counts = await troubles(site.bare, session.workflow_id)
            return counts[RETRIED] > 0 and (await session.get()).status != "active"

        await eventually(suspended_by_a_second_attempt)
        await asyncio.sleep(1)
        assert (await session.get()).status == "suspended"


async def test_a_refused_signal_is_recorded_once_when_the_answer_is_lost(site: Site) -> None:
    async with worker_on(site, LosesOnce("error_recorded")):
        session = await site.client.start_session("refused")
        await site.bare.get_workflow_handle(session.workflow_id).signal("user_message", {"text": "another field"})

        async def recorded_by_a_second_attempt() -> bool:
            return (await troubles(site.bare, session.workflow_id))[RETRIED] > 0

        await eventually(recorded_by_a_second_attempt)
        await session.add_user_message("and now?")
        events = (await site.reader.read_events(site.settings.tenant, "refused")).events
        assert [event.data.type for event in events] == ["session_created", "error_recorded", "message_added"]
