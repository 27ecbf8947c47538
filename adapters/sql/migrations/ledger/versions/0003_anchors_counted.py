"""Anchors are counted: each has its number on its chain, and beside them stands how many there are.

A statement proves itself, and nothing in it says which others there are. With a number, a row that is gone leaves a gap.

Revision ID: ledger_0003
"""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give the anchors there are their numbers by growing size, and count them."""
    op.add_column("anchor", sa.Column("number", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "anchor_count",
        sa.Column("log", sa.Integer, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("anchors", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("log", "chain"),
    )
    op.execute(
        "UPDATE anchor SET number = ranked.number FROM"
        " (SELECT log, size, chain, row_number() OVER (PARTITION BY log, chain ORDER BY size) AS number FROM anchor)"
        " AS ranked WHERE anchor.log = ranked.log AND anchor.size = ranked.size AND anchor.chain = ranked.chain"
    )
    op.execute(
        "INSERT INTO anchor_count (log, chain, anchors) SELECT log, chain, count(*) FROM anchor GROUP BY log, chain"
    )


def downgrade() -> None:
    """Forget the numbers."""
    op.drop_table("anchor_count")
    op.drop_column("anchor", "number")
