"""Commits whose answers are lost, and commits that never happened: the activity is repeated, the message is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.worker import Worker

from activities.commit import Answered, Commit, Committed, Open, Opened, ReadAnswer
from activities.ports import SessionStore
from activities.session import SessionActivities
from activities.stores.engine import engine_of
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from perdure.contract import MAX_BATCH
from perdure.events import Event
from perdure.session import SessionConfig
from perdure.working_set import CompilerConfig, WorkingSet
from tests.support.load import times, write
from tests.support.site import DISTURBED, REPEATED, Site
from workers.runner import SessionRunner
from workers.settings import connect_temporal
from workflows.session import SessionWorkflow

LOST = "the answer to a commit was lost"
FAILED = "a commit failed"
SLOW_SECONDS = 3


class Flaky:
    """A store whose connection breaks at every third commit: after it was stored, or before, in turns."""

    def __init__(self, store: SessionStore, site: Site) -> None:
        self._store = store
        self._site = site
        self._commits = 0

    async def open(self, request: Open) -> Opened:
        return await self._store.open(request)

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        self._commits += 1
        if self._commits % 3 == 1:
            self._site.ledger.fault(LOST if self._commits % 2 else FAILED)
            if self._commits % 2:
                await self._store.commit(request, completed, working_sets)
            raise ConnectionError("the connection broke")
        return await self._store.commit(request, completed, working_sets)

    async def read_answer(self, request: ReadAnswer) -> Answered:
        return await self._store.read_answer(request)


class Slow(Flaky):
    """A store that takes a commit for the time of many idle deadlines."""

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        await asyncio.sleep(SLOW_SECONDS)
        return await self._store.commit(request, completed, working_sets)


class NoCompiler:
    """For sessions without a corpus, which compile nothing."""

    async def compile(
        self,
        *,
        tenant: str,
        corpus: str,
        query: str,
        config: CompilerConfig,
        search_query: str | None = None,
        explain: bool = False,
    ) -> WorkingSet:
        raise AssertionError(f"nobody asked for {corpus}")


@asynccontextmanager
async def _worker(site: Site, make: Callable[[SessionStore, Site], SessionStore]) -> AsyncIterator[None]:
    engine = engine_of(site.settings.require_database_url())
    activities = SessionActivities(make(PostgresSessionStore(engine), site), site.reader, NoCompiler(), count)
    client = await connect_temporal(site.stack.settings)
    try:
        async with Worker(
            client,
            task_queue=site.settings.task_queue,
            workflows=[SessionWorkflow],
            activities=activities.all(),
            workflow_runner=SessionRunner(),
        ):
            yield
    finally:
        await engine.dispose()


async def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated(site: Site) -> None:
    async with _worker(site, Flaky):
        sessions = await site.sessions(3)
        await write(site.ledger, site.patient(timeout=10), sessions, writers=3, pace=times(15))
        await site.check(met={LOST: 3, FAILED: 3, DISTURBED: 6, REPEATED: 6})


async def test_a_large_batch_whose_answer_is_lost_is_answered_whole(site: Site) -> None:
    async with _worker(site, Flaky):
        session = await site.patient(timeout=20).start_session("large-batch")
        batch = [{"role": "user", "content": f"{number}" * 4000} for number in range(MAX_BATCH)]
        first = await session.add_messages(batch, request_id="batch")  # the first commit: stored, and its answer lost
        assert [fault.kind for fault in site.ledger.faults] == [LOST]
        assert [message.sequence_number for message in first] == list(range(MAX_BATCH))
        assert await session.add_messages(batch, request_id="batch") == first


async def test_an_idle_deadline_that_passes_during_a_long_commit_costs_no_history(site: Site) -> None:
    async with _worker(site, Slow):
        (session_id,) = await site.sessions(1, SessionConfig(idle_timeout=timedelta(milliseconds=200)))
        await write(site.ledger, site.client, [session_id], writers=1, pace=times(1))
        described = await site.bare.get_workflow_handle(site.workflow_id(session_id)).describe()
        assert described.history_length < 40
