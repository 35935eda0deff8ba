"""Full-text search over the terms of spans.

Older spans get rough terms of path and text, and are in the span index again once their corpus is indexed anew.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_spans_search", table_name="spans")
    op.drop_column("spans", "search")
    op.add_column(
        "spans",
        sa.Column("terms", sa.Text(), nullable=True, comment="what the span index searches, and full text without it"),
    )
    op.execute(
        "UPDATE spans SET indexed = false, "
        "terms = regexp_replace(lower(left(path || ' ' || text, 65536)), '[^[:alnum:]]+', ' ', 'g')"
    )
    op.execute("UPDATE corpora SET indexed_version = 0")
    op.alter_column("spans", "terms", nullable=False)
    op.add_column(
        "spans",
        sa.Column(
            "search", postgresql.TSVECTOR(), sa.Computed("to_tsvector('simple', terms)", persisted=True), nullable=True
        ),
    )
    op.create_index("ix_spans_search", "spans", ["search"], unique=False, postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_spans_search", table_name="spans")
    op.drop_column("spans", "search")
    op.drop_column("spans", "terms")
    op.add_column(
        "spans",
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('english', path || ' ' || left(text, 65536))", persisted=True),
            nullable=True,
        ),
    )
    op.create_index("ix_spans_search", "spans", ["search"], unique=False, postgresql_using="gin")
