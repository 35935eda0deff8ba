"""`perdure migrate`: bring the schema and the search attributes to what this program needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.cli.output import Format, Output, show
from workers.commands.run import run

if TYPE_CHECKING:
    from workers.settings import Settings


def migrate(output: Output = Format.TEXT) -> None:
    """Bring PostgreSQL's schema to its newest version, and register the search attributes with Temporal.

    Safe to repeat, and to run by several processes at once.
    """
    from workers.settings import Settings

    version = upgrade(Settings.load().require_database_url())
    added = run(_register)
    show(
        {"schema": version, "search_attributes_added": added},
        output,
        lambda: f"Schema at {version}. Search attributes added: {', '.join(added) or 'none'}.",
    )


def upgrade(database_url: str) -> str | None:
    """Bring the schema to its newest version, and answer that version.

    Raises:
        Unavailable: the database does not answer.
    """
    from sqlalchemy.exc import OperationalError

    from activities.stores import migrate as migrations
    from workers.database_errors import explained

    try:
        migrations.upgrade(database_url)
        return migrations.current_and_head(database_url)[0]
    except OperationalError as error:
        raise explained(error) from error


async def _register(settings: Settings) -> list[str]:
    from workers import search_attributes
    from workers.settings import connect_temporal

    return await search_attributes.register(await connect_temporal(settings))
