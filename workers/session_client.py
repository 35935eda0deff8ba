"""The client that the commands of a checkout or an image use: settings and a running local stack say where to go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import OperationalError

from activities.stores.engine import engine_of
from activities.stores.session_reader import PostgresReader
from perdure import Client
from perdure.errors import Unavailable
from workers.settings import Settings, connect_temporal


@asynccontextmanager
async def open_client(settings: Settings | None = None) -> AsyncIterator[Client]:
    """A client, with a reader if a database is set.

    Raises:
        Unavailable: Temporal or PostgreSQL does not answer.
    """
    settings = settings or Settings.load()
    temporal = await connect_temporal(settings)
    if settings.database_url is None:
        yield Client(temporal, tenant=settings.tenant, task_queue=settings.task_queue)
        return
    engine = engine_of(settings.database_url, pool_size=2)
    try:
        yield Client(temporal, tenant=settings.tenant, task_queue=settings.task_queue, reader=PostgresReader(engine))
    except OperationalError as error:
        raise Unavailable(
            f"PostgreSQL does not answer: {str(error.orig).strip()}. Check PERDURE_DATABASE_URL, or start a local "
            "stack with `perdure dev`."
        ) from error
    finally:
        await engine.dispose()
