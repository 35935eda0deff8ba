"""Queries that come before a session is open: they come with its first task, which waits for PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowQueryFailedError

from activities.commit import Open, Opened
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


async def _told(opens: asyncio.Event, *asked: Awaitable[Any]) -> list[Any]:
    """The answers, for which `asked` must wait until the session is open."""
    answers = asyncio.gather(*asked)
    await asyncio.sleep(2 * TASK_TIMEOUT.total_seconds())
    assert not answers.done()
    opens.set()
    return await answers


async def test_a_query_that_comes_with_the_start_waits_until_the_session_is_open(alone: Site) -> None:
    async with shut_worker(alone) as opens:
        caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT, title="New")
        queries = (caller.handle.query(name) for name in ("get_session", "get_history", "replay"))
        session, history, replay = await _told(opens, *queries)
        assert (session["title"], session["event_sequence"]) == ("New", 1)
        assert (history["complete"], replay["complete"]) == (True, True)


async def test_who_starts_a_stored_session_and_asks_at_once_is_told_what_is_stored(alone: Site) -> None:
    async with worker_on(alone):
        caller = await Caller.start(alone, "talk")
        await caller.says("Hello")
        await caller.handle.terminate()
    async with shut_worker(alone) as opens:
        again = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT)
        session, history = await _told(opens, again.session(), again.handle.query("get_history"))
        assert (session.message_count, history["text"], history["complete"]) == (1, "User: Hello", True)


async def test_a_start_that_makes_no_session_tells_nothing_of_one(alone: Site) -> None:
    async with shut_worker(alone) as opens:
        caller = await Caller.start(alone, "talk", task_timeout=TASK_TIMEOUT, restore_only=True)
        with pytest.raises(WorkflowQueryFailedError, match="Session not found: talk"):
            await _told(opens, caller.session())
