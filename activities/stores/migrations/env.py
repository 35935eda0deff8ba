"""Alembic's entry: runs the migrations over the connection that `activities.stores.migrate` hands it."""

from __future__ import annotations

from alembic import context

from activities.stores import corpus_tables  # noqa: F401 - its tables belong to the same metadata
from activities.stores.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
