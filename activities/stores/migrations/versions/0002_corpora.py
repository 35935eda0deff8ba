"""Corpora, artifacts, spans and uploads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "corpus", "upload_id", "sequence", name=op.f("pk_uploads")),
    )
    op.create_table(
        "corpora",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column(
            "version",
            sa.BigInteger(),
            nullable=False,
            comment="what readers see; spans of the next may be there already",
        ),
        sa.Column("embedder", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("chunking", sa.Text(), nullable=False),
        sa.Column("index_name", sa.Text(), nullable=True, comment="name in the span index; another for each rebuild"),
        sa.Column("indexed_version", sa.BigInteger(), nullable=False, comment="what the index holds"),
        sa.Column("artifact_count", sa.Integer(), nullable=False),
        sa.Column("span_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=op.f("fk_corpora_tenants")),
        sa.PrimaryKeyConstraint("tenant", "corpus", name=op.f("pk_corpora")),
    )
    op.create_table(
        "artifacts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="SHA-256 of the content's UTF-8 bytes"),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("span_count", sa.Integer(), nullable=False),
        sa.Column("created_in", sa.BigInteger(), nullable=False, comment="corpus version"),
        sa.Column("changed_in", sa.BigInteger(), nullable=False, comment="corpus version"),
        sa.ForeignKeyConstraint(
            ["tenant", "corpus"],
            ["corpora.tenant", "corpora.corpus"],
            name=op.f("fk_artifacts_corpora"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "corpus", "path", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "spans",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column("span_id", sa.Uuid(), nullable=False),
        sa.Column(
            "added_in", sa.BigInteger(), autoincrement=False, nullable=False, comment="first version that has it"
        ),
        sa.Column("removed_in", sa.BigInteger(), nullable=True, comment="first version that has it no more"),
        sa.Column("artifact_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("start_line", sa.Integer(), nullable=False),
        sa.Column("end_line", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("token_count", sa.Integer(), nullable=False, comment="cl100k_base"),
        sa.Column("vector", sa.LargeBinary(), nullable=False, comment="float32, little-endian"),
        sa.Column(
            "indexed",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="the outbox to the span index",
        ),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('english', path || ' ' || left(text, 65536))", persisted=True),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "corpus"],
            ["corpora.tenant", "corpora.corpus"],
            name=op.f("fk_spans_corpora"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "corpus", "span_id", "added_in", name=op.f("pk_spans")),
    )
    op.create_index(
        "ix_spans_outbox",
        "spans",
        ["tenant", "corpus", "span_id"],
        unique=False,
        postgresql_where=sa.text("NOT indexed"),
    )
    op.create_index(
        "ix_spans_path",
        "spans",
        ["tenant", "corpus", "path"],
        unique=False,
        postgresql_where=sa.text("removed_in IS NULL"),
    )
    op.create_index(
        "ix_spans_removed",
        "spans",
        ["tenant", "corpus", "removed_in"],
        unique=False,
        postgresql_where=sa.text("removed_in IS NOT NULL"),
    )
    op.create_index("ix_spans_search", "spans", ["search"], unique=False, postgresql_using="gin")


def downgrade() -> None:
    for table in ("uploads", "spans", "artifacts", "corpora"):
        op.drop_table(table)
