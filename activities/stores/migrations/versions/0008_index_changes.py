"""Who may change a corpus's index just now, and the indexes that nobody searches any more."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("corpora", sa.Column("index_changer", sa.Text(), comment="the ingest that changed the index last"))
    op.add_column(
        "corpora",
        sa.Column(
            "index_changing_until",
            sa.DateTime(timezone=True),
            comment="a change by it may still come until then; none: it is done",
        ),
    )
    op.create_table(
        "unused_indexes",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("corpus", sa.Text(), primary_key=True),
        sa.Column("index_name", sa.Text(), primary_key=True),
        sa.ForeignKeyConstraint(["tenant", "corpus"], ["corpora.tenant", "corpora.corpus"], ondelete="CASCADE"),
        comment="not searched any more, or not yet; the next ingest drops them",
    )


def downgrade() -> None:
    op.drop_table("unused_indexes")
    op.drop_column("corpora", "index_changing_until")
    op.drop_column("corpora", "index_changer")
