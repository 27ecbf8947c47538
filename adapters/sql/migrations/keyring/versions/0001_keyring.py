"""The keyring: data-encryption keys, each sealed under the key-encryption key."""

import sqlalchemy as sa
from alembic import op

revision = "keyring_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "data_key",
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("active", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("purpose", "kid"),
    )
    # One active key a purpose: two services that start at once on an empty database agree on one.
    op.create_index(
        "data_key_one_active",
        "data_key",
        ["purpose"],
        unique=True,
        sqlite_where=sa.text("active = 1"),
        postgresql_where=sa.text("active = 1"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("data_key")
