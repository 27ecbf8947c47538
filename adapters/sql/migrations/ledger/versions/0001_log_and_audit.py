"""The log, its tiles, checkpoints, anchors and outbox; the audit trail.

One database may hold several logs (a province, a year): every table is keyed by the log's number, and the row of the
log itself is its head, which moves only by compare-and-swap.

Revision ID: ledger_0001
"""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0001"
down_revision = None
branch_labels = None
depends_on = None

# Random bytes do not compress; keep PostgreSQL from trying, and SQLite from a second tree under the first.
_WITHOUT_ROWID = {"sqlite_with_rowid": False}


def upgrade() -> None:
    """Create the room's tables."""
    op.create_table(
        "log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False, unique=True),
        sa.Column("region", sa.Text, nullable=False, server_default=""),
        sa.Column("shard", sa.Text, nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("keys_digest", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "entry",
        sa.Column("log", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("idempotency_key", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "position"),
        sa.UniqueConstraint("log", "idempotency_key"),
        **_WITHOUT_ROWID,
    )
    op.create_table(
        "tile",
        sa.Column("log", sa.Integer, nullable=False),
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "tree", "level", "position"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("log", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("keys_digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "size"),
        **_WITHOUT_ROWID,
    )
    op.create_table(
        "anchor",
        sa.Column("log", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("log", "size", "chain"),
    )
    op.create_table(
        "anchor_outbox",
        sa.Column("log", sa.Integer, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("leased_until", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("log", "chain", "size"),
    )
    op.create_table(
        "audit_trail",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False, unique=True),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_event",
        sa.Column("trail", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("trail", "position"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE tile ALTER COLUMN data SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Remove the room's tables."""
    tables = ("audit_event", "audit_trail", "anchor_outbox", "anchor", "checkpoint", "tile", "entry", "log")
    for table in tables:
        op.drop_table(table)
