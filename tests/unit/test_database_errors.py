"""What a command tells of an error of PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, ProgrammingError

from activities.stores.engine import Engine
from activities.stores.session_reader import PostgresReader
from perdure.errors import PerdureError, Unavailable
from perdure.reader import SessionFilter
from workers.database_errors import explained

STATEMENT = "SELECT secret FROM sessions"


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (
            OperationalError(STATEMENT, {}, psycopg.OperationalError("connection refused\nIs it up?")),
            Unavailable,
            "dev",
        ),
        (ProgrammingError(STATEMENT, {}, psycopg.ProgrammingError("no such relation")), PerdureError, "migrate"),
        (DataError(STATEMENT, {}, psycopg.DataError("")), PerdureError, "--debug"),
    ],
)
def test_an_error_is_one_line_without_sql_that_says_what_to_do(
    error: DBAPIError, kind: type[PerdureError], advice: str
) -> None:
    told = explained(error)
    assert type(told) is kind
    assert f"perdure {advice}" in told.message
    assert "\n" not in told.message
    assert "SELECT" not in told.message


async def test_a_reader_of_the_commands_says_by_name_that_postgres_is_away() -> None:
    async with Engine("postgresql+psycopg://perdure@127.0.0.1:9/perdure", explain=explained) as engine:
        with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
            await PostgresReader(engine).list_sessions("default", SessionFilter())
