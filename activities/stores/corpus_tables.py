"""The tables of corpora, their versions, artifacts, spans and uploads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    func,
    literal,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, TSVECTOR

from activities.stores.tables import metadata, tenants

corpora = Table(
    "corpora",
    metadata,
    Column("tenant", Text, ForeignKey(tenants.c.tenant), primary_key=True),
    Column("corpus", Text, primary_key=True),
    Column("version", BigInteger, nullable=False, comment="what readers see; spans of the next may be there already"),
    Column("embedder", JSON, nullable=False),
    Column("chunking", Text, nullable=False),
    Column("index_name", Text, comment="name in the span index; another for each rebuild"),
    Column("indexed_version", BigInteger, nullable=False, comment="what the index holds"),
    Column(
        "index_unsettled_at",
        DateTime(timezone=True),
        comment="none: the index holds the version and nothing else, and nobody is changing it",
    ),
    Column("index_changer", Text, comment="the ingest that changed the index last"),
    Column(
        "index_changing_until",
        DateTime(timezone=True),
        comment="a change by it may still come until then; none: it is done",
    ),
    Column("upload_id", Text, comment="the upload that the next version is made of"),
    Column("artifact_count", Integer, nullable=False),
    Column("span_count", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


def _of_corpus() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant", "corpus"], [corpora.c.tenant, corpora.c.corpus], ondelete="CASCADE")


corpus_versions = Table(
    "corpus_versions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("corpus", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("published_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("artifacts_removed", Integer, nullable=False, server_default=text("0"), comment="by an ingest that prunes"),
    Column("span_count", Integer, nullable=False, server_default=text("0")),
    Column("index_name", Text, comment="of the version alone, once it is not the newest any more"),
    Column("indexed_at", DateTime(timezone=True)),
    _of_corpus(),
)

unused_indexes = Table(
    "unused_indexes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("corpus", Text, primary_key=True),
    Column("index_name", Text, primary_key=True),
    _of_corpus(),
    comment="not searched any more, or not yet; the next ingest drops them",
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("corpus", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("content_hash", Text, nullable=False, comment="SHA-256 of the content's UTF-8 bytes"),
    Column("size_bytes", Integer, nullable=False),
    Column("span_count", Integer, nullable=False),
    Column("created_in", BigInteger, nullable=False, comment="corpus version"),
    Column("changed_in", BigInteger, nullable=False, comment="corpus version"),
    _of_corpus(),
)

spans = Table(
    "spans",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("corpus", Text, primary_key=True),
    Column("span_id", Uuid, primary_key=True),
    Column("added_in", BigInteger, primary_key=True, autoincrement=False, comment="first version that has it"),
    Column("removed_in", BigInteger, comment="first version that has it no more"),
    Column("artifact_id", Uuid, nullable=False),
    Column("path", Text, nullable=False),
    Column("start_line", Integer, nullable=False),
    Column("end_line", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("token_count", Integer, nullable=False, comment="cl100k_base"),
    Column("vector", LargeBinary, nullable=False, comment="float32, little-endian"),
    Column("indexed", Boolean, nullable=False, server_default=text("false"), comment="the outbox to the span index"),
    Column("terms", Text, nullable=False, comment="what the span index searches, and full text without it"),
    Column("search", TSVECTOR, Computed("to_tsvector('simple', terms)", persisted=True)),
    _of_corpus(),
    Index("ix_spans_path", "tenant", "corpus", "path", postgresql_where=text("removed_in IS NULL")),
    Index("ix_spans_outbox", "tenant", "corpus", "span_id", postgresql_where=text("NOT indexed")),
    Index("ix_spans_removed", "tenant", "corpus", "removed_in", postgresql_where=text("removed_in IS NOT NULL")),
    Index("ix_spans_search", "search", postgresql_using="gin"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("corpus", Text, primary_key=True),
    Column("upload_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


def is_corpus(table: FromClause, tenant: str, corpus: str) -> ColumnElement[bool]:
    """Whether a row of `table` belongs to the corpus."""
    return and_(table.c.tenant == tenant, table.c.corpus == corpus)


def visible_in(version: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a span is one of the version's."""
    return and_(spans.c.added_in <= version, or_(spans.c.removed_in.is_(None), spans.c.removed_in > version))


def among(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether the column is one of `values`, which are one parameter however many they are."""
    return column == any_(literal(list(values), ARRAY(column.type)))
