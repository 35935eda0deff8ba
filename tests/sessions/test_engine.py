"""What the stores stand on: a transaction is whole or nothing, a statement outside of one is kept at once, and a lost
connection has a name."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, suppress

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.ports import StoreUnavailable
from activities.stores.engine import Engine
from activities.stores.tables import tenants
from tests.support.site import Site


class _Interrupted(Exception):
    """Ends the use of a connection in the middle."""


async def _insert(use: AbstractAsyncContextManager[AsyncConnection], tenant: str, *, interrupted: bool = False) -> None:
    with suppress(_Interrupted):
        async with use as connection:
            await connection.execute(insert(tenants).values(tenant=tenant).on_conflict_do_nothing())
            if interrupted:
                raise _Interrupted


async def test_one_connection_is_in_a_transaction_only_for_whom_begins_one(site: Site) -> None:
    engine = Engine(site.settings.require_database_url(), pool_size=1)
    lost, whole, kept = names = [f"{site.settings.tenant}-{name}" for name in ("lost", "whole", "kept")]
    for _ in range(2):  # the pool's only connection, in turns
        await _insert(engine.begin(), lost, interrupted=True)
        await _insert(engine.begin(), whole)
        await _insert(engine.connect(), kept, interrupted=True)
    async with engine.connect() as connection:
        stored = set(await connection.scalars(select(tenants.c.tenant).where(tenants.c.tenant.in_(names))))
    await engine.dispose()
    assert stored == {whole, kept}


async def test_a_lost_connection_has_a_name_and_a_statement_that_fails_is_the_drivers(site: Site) -> None:
    engine = Engine(site.settings.require_database_url(), pool_size=1)
    for use in (engine.connect, engine.begin):
        with pytest.raises(StoreUnavailable):
            async with use() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    for statement in ("SELECT 1 / 0", "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)"):
        with pytest.raises(DBAPIError):
            async with engine.connect() as connection:
                await connection.execute(text(statement))
    await engine.dispose()


async def test_a_connection_that_is_not_to_be_had_has_the_same_name() -> None:
    engine = Engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable, match="refused"):
        async with engine.connect():
            pass
