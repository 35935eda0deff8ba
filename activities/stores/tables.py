"""The tables of sessions, events, messages and working sets."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""One for all tables, so that one migration history serves them."""


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("max_active_sessions", Integer, comment="none: no limit"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant", Text, ForeignKey(tenants.c.tenant), primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("user_id", Text),
    Column("title", Text),
    Column("metadata", JSONB(none_as_null=True)),
    Column("config", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("message_count", BigInteger, nullable=False),
    Column("active_message_id", Text),
    Column("event_sequence", BigInteger, nullable=False, comment="of the last event; each commit moves it on"),
    _time("created_at"),
    _time("updated_at"),
    _time("last_message_at", nullable=True),
    Column("owner", Text, nullable=False, comment="first run id of the workflow chain that may write"),
    _time("owner_started_at"),
    Index("ix_sessions_updated", "tenant", text("updated_at DESC"), "session_id"),
    Index("ix_sessions_user", "tenant", "user_id", text("updated_at DESC")),
    Index("ix_sessions_status", "tenant", "status", text("updated_at DESC")),
    Index("ix_sessions_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}),
)


def _of_session() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant", "session_id"], [sessions.c.tenant, sessions.c.session_id], ondelete="CASCADE"
    )


events = Table(
    "events",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("key", Text, comment="idempotency key of the command that caused it"),
    Column("ordinal", Integer, nullable=False, comment="from 0 inside that command"),
    Column("body_hash", Text),
    Column("data", JSON, nullable=False, comment="json, not jsonb: kept byte for byte"),
    _time("created_at"),
    _of_session(),
    Index(
        "uq_events_key",
        "tenant",
        "session_id",
        "key",
        "ordinal",
        unique=True,
        postgresql_where=text("key IS NOT NULL"),
    ),
)

messages = Table(
    "messages",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("sequence_number", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("content", JSON, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
    Column("parent_message_id", Text),
    Column("token_count", Integer, nullable=False),
    _time("created_at"),
    _of_session(),
    UniqueConstraint("tenant", "session_id", "message_id", name="uq_messages_id"),
)

working_sets = Table(
    "working_sets",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("context_hash", Text, nullable=False),
    Column("tokens_used", Integer, nullable=False),
    Column("body", JSON, nullable=False, comment="the whole working set, kept byte for byte"),
    _of_session(),
)
