"""Rows read in batches, for a reader that stops when it has enough."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from sqlalchemy import Column, RowMapping, Select
from sqlalchemy.ext.asyncio import AsyncConnection

_BATCH = 16


def in_batches(
    connection: AsyncConnection, query: Select[Any], key: Column[Any], *, descending: bool = False
) -> AbstractAsyncContextManager[AsyncGenerator[RowMapping, None]]:
    """The rows of `query` by `key`, a few at a time.

    A cursor of the server would do, but a task that is cancelled while one is opened leaves it open.
    """
    return aclosing(_rows(connection, query, key, descending))


async def _rows(
    connection: AsyncConnection, query: Select[Any], key: Column[Any], descending: bool
) -> AsyncGenerator[RowMapping, None]:
    query = query.order_by(key.desc() if descending else key).limit(_BATCH)
    rest = query
    while True:
        rows = (await connection.execute(rest)).mappings().all()
        for row in rows:
            yield row
        if len(rows) < _BATCH:
            return
        last = rows[-1][key.name]
        rest = query.where(key < last if descending else key > last)
