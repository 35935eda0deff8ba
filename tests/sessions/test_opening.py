"""Queries that come before a session is open: Temporal hands them to its first task, which waits for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.client import WorkflowQueryFailedError

from activities.commit import Open, Opened
from perdure import Client
from tests.sessions.caller import Caller
from tests.support.own_store import OwnStore, worker_on
from tests.support.site import Site

TASK_TIMEOUT = timedelta(seconds=1)
"""Of a workflow task; one that waits for an activity asks for another within that time, which brings the queries."""


class Shut(OwnStore):
    """Opens no session before it is told to."""

    def __init__(self) -> None:
        self.free = asyncio.Event()

    async def open(self, request: Open) -> Opened:
        await self.free.wait()
        return await super().open(request)


@asynccontextmanager
async def shut_worker(site: Site) -> AsyncIterator[asyncio.Event]:
    """A worker that opens no session before the event is set, as it is in the end."""
    store = Shut()
    async with worker_on(site, store):
        try:
            yield store.free
        finally:
            store.free.set()


async def test_a_query_that_comes_with_the_start_is_answered_by_what_the_start_says(alone: Site) -> None:
    async with shut_worker(alone) as opens:
        caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT, title="New", metadata={"a": 1})
        session = await caller.session()
        assert (session.status, session.message_count, session.event_sequence) == ("active", 0, 0)
        assert (session.title, session.metadata) == ("New", {"a": 1})
        history = await caller.handle.query("get_history")
        replay = await caller.handle.query("replay")
        assert (history["messages"], history["complete"]) == ([], False)
        assert (replay["turns"], replay["complete"]) == ([], False)
        opens.set()
        assert (await caller.says("Hello")).sequence_number == 0
        opened = await caller.session()
        assert (opened.created_at, opened.event_sequence) == (session.created_at, 2)


async def test_who_starts_a_stored_session_and_asks_at_once_is_not_told_that_it_is_complete(alone: Site) -> None:
    async with worker_on(alone):
        caller = await Caller.start(alone, "talk")
        await caller.says("Hello")
        await caller.handle.terminate()
    async with shut_worker(alone) as opens:
        again = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT)
        assert (await again.handle.query("get_history"))["complete"] is False
        client = Client(alone.bare, tenant=alone.settings.tenant, task_queue=alone.settings.task_queue)
        asked = asyncio.gather(client.session("talk").get(), client.session("talk").history())
        await asyncio.sleep(TASK_TIMEOUT.total_seconds())
        assert not asked.done()
        opens.set()
        session, history = await asked
        assert (session.message_count, history.text) == (1, "User: Hello")


async def test_a_start_that_makes_no_session_tells_nothing_of_one(alone: Site) -> None:
    async with shut_worker(alone):
        caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT, restore_only=True)
        with pytest.raises(WorkflowQueryFailedError, match="is being opened"):
            await caller.session()
