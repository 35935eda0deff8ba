"""A worker of sessions in this process, over a store or a compiler of the test's own: to lose answers, to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from temporalio.worker import Worker, WorkflowRunner

from activities.commit import Answered, Commit, Committed, Open, Opened, ReadAnswer
from activities.ports import Compiler, SessionStore
from activities.session import SessionActivities, empty
from activities.stores.engine import Engine
from activities.stores.session_store import PostgresSessionStore
from activities.tokens import count
from perdure.events import Event
from perdure.working_set import CompilerConfig, WorkingSet
from tests.support.site import Site
from workers.runner import SessionRunner
from workers.settings import connect_temporal
from workflows.session import SessionWorkflow


class ToldCompiler:
    """Gives empty working sets whose `degraded_reason` tells the corpus and the budget that were asked for."""

    async def compile(self, *, corpus: str, query: str, config: CompilerConfig, **_: Any) -> WorkingSet:
        return empty(query, f"{corpus}, {config.token_budget} tokens")


class OwnStore:
    """Passes all on to the store inside, which its worker gives it."""

    inner: SessionStore

    async def open(self, request: Open) -> Opened:
        return await self.inner.open(request)

    async def commit(
        self, request: Commit, completed: Sequence[Event], working_sets: Mapping[str, WorkingSet]
    ) -> Committed:
        return await self.inner.commit(request, completed, working_sets)

    async def read_answer(self, request: ReadAnswer) -> Answered:
        return await self.inner.read_answer(request)


@asynccontextmanager
async def worker_on(
    site: Site,
    store: OwnStore | None = None,
    *,
    compiler: Compiler | None = None,
    runner: WorkflowRunner | None = None,
) -> AsyncIterator[None]:
    """A worker whose sessions are stored by `store`, with the real one inside."""
    client = await connect_temporal(site.stack.settings)
    async with Engine(site.settings.require_database_url()) as engine:
        stored = store or OwnStore()
        stored.inner = PostgresSessionStore(engine)
        activities = SessionActivities(stored, site.reader, compiler or ToldCompiler(), count)
        async with Worker(
            client,
            task_queue=site.settings.task_queue,
            workflows=[SessionWorkflow],
            activities=activities.all(),
            workflow_runner=runner or SessionRunner(),
        ):
            yield
