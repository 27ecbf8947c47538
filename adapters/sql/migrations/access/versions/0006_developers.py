"""Developers of platforms: who is one, the places of their sandbox clients, and notes on what their requests met.

Notes hold no state, nonce, code, token or secret, at most fifty a client, and none is older than a day.
"""

import sqlalchemy as sa
from alembic import op

revision = "access_0006"
down_revision = "access_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the three tables."""
    op.create_table(
        "developer",
        sa.Column("person", sa.Text, sa.ForeignKey("account.person"), primary_key=True),
        sa.Column("allowed_at", sa.BigInteger, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("shard", sa.SmallInteger, nullable=False),
    )
    # No foreign key to `client`: the place is taken before the client is registered.
    op.create_table(
        "sandbox_client",
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("person", sa.Text, sa.ForeignKey("developer.person"), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("sandbox_client_person", "sandbox_client", ["person"])
    op.create_table(
        "request_note",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("noted_at", sa.BigInteger, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "number"),
    )
    op.create_index("request_note_time", "request_note", ["noted_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("request_note")
    op.drop_table("sandbox_client")
    op.drop_table("developer")
