"""The engine: how every store reaches Postgres."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Self

from pydantic_core import from_json, to_json
from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from activities.ports import StoreUnavailable


class Engine:
    """A pool of connections to `postgresql+psycopg://…`. Models and times may be given as JSON values.

    `begin` is a transaction. Under `connect` each statement is one by itself, and takes one round trip. `explain` makes
    the error to raise of one of the driver; without it, that is `StoreUnavailable` where there is no connection, or no
    more, and else SQLAlchemy's own.
    """

    def __init__(
        self, database_url: str, *, pool_size: int = 16, explain: Callable[[DBAPIError], Exception] | None = None
    ) -> None:
        self._statements = create_async_engine(
            database_url,
            isolation_level="AUTOCOMMIT",  # of the pool, since to switch it costs as much as half a statement
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=False,  # a dead connection fails one attempt, which is retried: cheaper than a ping a turn
            json_serializer=lambda value: to_json(value).decode(),
            json_deserializer=from_json,
            connect_args={"connect_timeout": 5, "prepare_threshold": 2},
        )
        event.listen(self._statements.sync_engine, "handle_error", partial(_explained, explain))
        self._transactions: AsyncEngine = self._statements.execution_options(isolation_level="READ COMMITTED")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dispose()

    def connect(self) -> AsyncConnection:
        """A connection, to be entered."""
        return self._statements.connect()

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction, to be entered; committed at its end, rolled back by an exception."""
        return self._transactions.begin()

    async def dispose(self) -> None:
        """Close all connections."""
        await self._statements.dispose()


def _explained(explain: Callable[[DBAPIError], Exception] | None, context: ExceptionContext) -> None:
    if not isinstance(error := context.sqlalchemy_exception, DBAPIError):
        return
    if explain is not None:
        raise explain(error) from error
    if context.connection is None or context.is_disconnect:
        raise StoreUnavailable(str(error.orig).partition("\n")[0]) from error
