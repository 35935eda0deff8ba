"""The engine: how every store reaches Postgres."""

from __future__ import annotations

from pydantic_core import from_json, to_json
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def engine_of(database_url: str, *, pool_size: int = 16) -> AsyncEngine:
    """An engine for `postgresql+psycopg://…`. Models and times may be given as JSON values."""
    return create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=False,  # a dead connection fails one attempt, which is retried: cheaper than a ping a turn
        json_serializer=lambda value: to_json(value).decode(),
        json_deserializer=from_json,
        connect_args={"connect_timeout": 5, "prepare_threshold": 2},
    )
