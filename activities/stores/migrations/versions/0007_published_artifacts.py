"""Artifacts are those of the published version, and one upload at a time may make the next one."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OF_CORPUS = "corpora c WHERE c.tenant = a.tenant AND c.corpus = a.corpus"


def upgrade() -> None:
    op.add_column(
        "corpora",
        sa.Column("upload_id", sa.Text(), nullable=True, comment="the upload that the next version is made of"),
    )
    op.drop_column("artifacts", "artifact_id")  # a function of tenant, corpus and path
    # What ingests that were given up had overwritten is read again when it is next ingested.
    op.execute(f"DELETE FROM artifacts a USING {_OF_CORPUS} AND a.created_in > c.version")
    op.execute(f"UPDATE artifacts a SET content_hash = '' FROM {_OF_CORPUS} AND a.changed_in > c.version")


def downgrade() -> None:
    op.add_column(
        "artifacts",
        sa.Column("artifact_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
    )
    op.drop_column("corpora", "upload_id")
