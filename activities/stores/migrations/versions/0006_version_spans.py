"""How many spans each version of a corpus has, by which it is decided how it is searched."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("corpus_versions", sa.Column("span_count", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE corpus_versions v SET span_count = (SELECT count(*) FROM spans s "
        "WHERE s.tenant = v.tenant AND s.corpus = v.corpus AND s.added_in <= v.version "
        "AND (s.removed_in IS NULL OR s.removed_in > v.version))"
    )
    op.alter_column("corpus_versions", "span_count", nullable=False)


def downgrade() -> None:
    op.drop_column("corpus_versions", "span_count")
