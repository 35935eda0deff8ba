"""The client that the commands of a checkout or an image use: settings and a running local stack say where to go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.service import RetryConfig

from activities.stores.corpus_reader import PostgresCorpusReader
from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from perdure import Client
from perdure.errors import CorpusNotFound
from workers import telemetry
from workers.database_errors import explained
from workers.settings import Settings, connect_temporal


@asynccontextmanager
async def open_client(settings: Settings | None = None) -> AsyncIterator[Client]:
    """A client, with a reader if a database is set; traced if `OTEL_*` asks for it.

    Raises:
        Unavailable: Temporal or PostgreSQL does not answer.
        PerdureError: PostgreSQL refused a statement.
    """
    settings = settings or Settings.load()
    with telemetry.of_a_command("perdure"):
        async with _open(settings) as client:
            yield client


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Client]:
    temporal = await connect_temporal(settings, retry_config=RetryConfig(max_retries=1))  # as `perdure.Client` asks
    if settings.database_url is None:
        yield Client(temporal, tenant=settings.tenant, task_queue=settings.task_queue)
        return
    async with Engine(settings.database_url, pool_size=2, explain=explained) as engine:
        yield Client(temporal, tenant=settings.tenant, task_queue=settings.task_queue, reader=PostgresReader(engine))


async def has_corpus(name: str) -> bool:
    """Whether the tenant has a corpus of that name; true as well when no database is set, which alone could tell."""
    settings = Settings.load()
    if settings.database_url is None:
        return True
    async with Engine(settings.database_url, pool_size=1, explain=explained) as engine:
        try:
            await PostgresCorpusReader(engine).get_corpus(settings.tenant, name)
        except CorpusNotFound:
            return False
    return True
