"""When each version of a corpus was published, and which have an index of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "corpus_versions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "artifacts_removed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="by an ingest that prunes",
        ),
        sa.Column(
            "index_name", sa.Text(), nullable=True, comment="of the version alone, once it is not the newest any more"
        ),
        sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "corpus"],
            ["corpora.tenant", "corpora.corpus"],
            name=op.f("fk_corpus_versions_corpora"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "corpus", "version", name=op.f("pk_corpus_versions")),
    )
    # Of what was published before, only the newest version is whole for certain.
    op.execute(
        "INSERT INTO corpus_versions (tenant, corpus, version, published_at) "
        "SELECT tenant, corpus, version, updated_at FROM corpora WHERE version > 0"
    )


def downgrade() -> None:
    op.drop_table("corpus_versions")
