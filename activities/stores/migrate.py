"""Migrations: bring a database's schema to this program's, once, however many start at the same time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

_LOCK = 0x7065_7264_7572_65
"""Advisory lock that serialises migrations."""


def upgrade(database_url: str) -> None:
    """Bring the schema to its newest version; safe to run by several processes at once."""
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def current_and_head(database_url: str) -> tuple[str | None, str | None]:
    """The database's version, none when it was never migrated, and this program's."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        return current, ScriptDirectory.from_config(_config(None)).get_current_head()
    finally:
        engine.dispose()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
