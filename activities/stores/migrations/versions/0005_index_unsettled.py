"""Since when a corpus's index may hold something else than its version."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "corpora",
        sa.Column(
            "index_unsettled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="none: the index holds the version and nothing else, and nobody is changing it",
        ),
    )


def downgrade() -> None:
    op.drop_column("corpora", "index_unsettled_at")
