"""How many spans each version of a corpus has, by which it is decided how it is searched."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for workers of the program before this one: what they publish is then searched exactly.
    op.add_column("corpus_versions", sa.Column("span_count", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.execute(
        "UPDATE corpus_versions v SET span_count = (SELECT count(*) FROM spans s "
        "WHERE s.tenant = v.tenant AND s.corpus = v.corpus AND s.added_in <= v.version "
        "AND (s.removed_in IS NULL OR s.removed_in > v.version))"
    )


def downgrade() -> None:
    op.drop_column("corpus_versions", "span_count")
