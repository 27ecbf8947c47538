"""The lives of data keys and key-encryption keys; the officers' roll and their requests.

A data key seals from `seals_from` until the next one of its purpose does, still opens after that, and is gone (its
sealed bytes emptied) at `destroyed_at`. `emptied_at` is when a whole pass found nothing left under it. A
key-encryption key is known by a check value, never by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "keyring_0002"
down_revision = "keyring_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables; the keys of today seal from the day they were made."""
    op.add_column("data_key", sa.Column("seals_from", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("data_key", sa.Column("emptied_at", sa.BigInteger))
    op.add_column("data_key", sa.Column("destroyed_at", sa.BigInteger))
    op.execute("UPDATE data_key SET seals_from = created_at")
    op.create_table(
        "key_encryption_key",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("check_value", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
        # The newest set of recovery shares made of it: the set's public name, how many there are and how many are needed.
        sa.Column("share_set", sa.Text),
        sa.Column("shares", sa.SmallInteger),
        sa.Column("threshold", sa.SmallInteger),
        sa.Column("split_at", sa.BigInteger),
    )
    op.create_table(
        "key_officer",
        sa.Column("name", sa.Text, primary_key=True),
        # Public key and dates, sealed: nobody joins the roll by writing into the database.
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "key_request",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("filed_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )


def downgrade() -> None:
    """Drop what was added."""
    for table in ("key_request", "key_officer", "key_encryption_key"):
        op.drop_table(table)
    for column in ("destroyed_at", "emptied_at", "seals_from"):
        op.drop_column("data_key", column)
