"""The transactions by which checkpoints are anchored: the keys that send them, and every one of them before it is sent.

A key belongs to a chain, not to a log: the nonce it is to use next stands here, and so does who may use it now. `fence`
grows with each lease, so that a worker that lost its lease writes nothing any more. A transaction's bytes are kept for
ever: after a reorganisation the same bytes are sent again.

Revision ID: ledger_0002
"""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "anchor_key",
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("submitter", sa.Text, nullable=False),
        sa.Column("next_nonce", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("leased_until", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("chain", "submitter"),
    )
    op.create_table(
        "anchor_transaction",
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("submitter", sa.Text, nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root_sha256", sa.LargeBinary, nullable=False),
        sa.Column("root_sm3", sa.LargeBinary, nullable=False),
        # Wei as decimal text: a fee has no bound of 64 bits.
        sa.Column("fee_cap", sa.Text, nullable=False),
        sa.Column("fee_tip", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False, server_default="-1"),
        sa.Column("block_hash", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("chain", "submitter", "nonce", "hash"),
    )
    op.create_table(
        "anchor_binding",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("submitter", sa.Text, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("origin", "chain", "contract", "submitter"),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("anchor_binding", "anchor_transaction", "anchor_key"):
        op.drop_table(table)
