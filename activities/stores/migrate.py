"""Migrations: bring a database's schema to this program's, once, however many start at the same time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, text

from perdure.errors import PerdureError

_LOCK = 0x7065_7264_7572_65
"""Advisory lock that serialises migrations."""


def upgrade(database_url: str) -> None:
    """Bring the schema to its newest version; safe to run by several processes at once.

    Raises:
        PerdureError: a newer program has brought it further.
    """
    engine = _engine(database_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            current = MigrationContext.configure(connection).get_current_revision()
            if is_newer(current):
                raise PerdureError(f"The schema is at {current}, made by a newer Perdure. Update this program.")
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def current_and_head(database_url: str) -> tuple[str | None, str | None]:
    """The database's version, none when it was never migrated, and this program's."""
    engine = _engine(database_url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '5s'"))
            current = MigrationContext.configure(connection).get_current_revision()
        return current, _scripts().get_current_head()
    finally:
        engine.dispose()


def is_newer(version: str | None) -> bool:
    """Whether a version of a schema is none that this program knows."""
    try:
        return version is not None and _scripts().get_revision(version) is None
    except CommandError:
        return True


def _engine(database_url: str) -> Engine:
    return create_engine(database_url, connect_args={"connect_timeout": 5})


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
