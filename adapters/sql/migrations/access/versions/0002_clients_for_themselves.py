"""Access tokens of clients themselves, without a person; and values of others that are good once.

Tokens of clients have a table of their own: what looks up a person's token cannot find one of them. Both tables hold
digests only.
"""

import sqlalchemy as sa
from alembic import op

revision = "access_0002"
down_revision = "access_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two tables."""
    op.create_table(
        "client_access_token",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        sa.Column("client_id", sa.Text, sa.ForeignKey("client.client_id"), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("client_access_token_owner", "client_access_token", ["client_id"])
    op.create_index("client_access_token_end", "client_access_token", ["expires_at"])
    op.create_table(
        "used_value",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("used_value_end", "used_value", ["expires_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("used_value")
    op.drop_table("client_access_token")
