"""Keys, batches, records, status lists, shares, statements of accreditation and credit entries.

Every table of records carries the province that keeps it (`region`) and a shard fixed at birth. Columns named `sealed` are
bytes only the column key opens; `key_index` and `code_index` are blind indexes (HMAC-SM3).
"""

import sqlalchemy as sa
from alembic import op

revision = "credentials_0001"
down_revision = None
branch_labels = None
depends_on = None


def _place() -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("region", sa.Text, nullable=False), sa.Column("shard", sa.SmallInteger, nullable=False)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Create the tables."""
    _keys()
    _batches()
    _status()
    _shares()
    _accounts()


def _keys() -> None:
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("alg", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger),
        sa.Column("compromised_at", sa.BigInteger),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("state IN ('pending', 'active', 'retiring', 'retired')", name="signing_key_state"),
    )
    # One active key an owner and purpose: two first uses at once agree on one.
    _partial_index("signing_key_active", "signing_key", ["owner", "purpose"], "state = 'active'", unique=True)
    op.create_index("signing_key_owner", "signing_key", ["owner"])
    op.create_table(
        "accreditation",
        sa.Column("accreditor", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("accreditor", "subject"),
    )


def _batches() -> None:
    op.create_table(
        "batch",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("school", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("drafter", sa.Text, nullable=False),
        sa.Column("approver", sa.Text),
        sa.Column("approval", sa.Text),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("submitted_at", sa.BigInteger),
        sa.Column("approved_at", sa.BigInteger),
        sa.Column("anchor_requested_at", sa.BigInteger),
        sa.Column("done_at", sa.BigInteger),
        *_place(),
        sa.CheckConstraint(
            "state IN ('draft', 'submitted', 'approved', 'logged', 'done', 'rejected')", name="batch_state"
        ),
        # The two-person rule once more, where nothing above can forget it.
        sa.CheckConstraint("approver IS NULL OR approver <> drafter OR state = 'rejected'", name="batch_two_persons"),
    )
    op.create_index("batch_school", "batch", ["school", "created_at"])
    _partial_index("batch_unfinished", "batch", ["approved_at"], "state IN ('approved', 'logged')", unique=False)
    op.create_table(
        "batch_note",
        sa.Column("batch", sa.Text, sa.ForeignKey("batch.id"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("batch", "number"),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("batch", sa.Text, sa.ForeignKey("batch.id"), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("school", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("person", sa.Text),
        sa.Column("opening_sealed", sa.LargeBinary),
        sa.Column("presentation_sealed", sa.LargeBinary),
        sa.Column("issued_at", sa.BigInteger),
        sa.Column("leaf_index", sa.BigInteger),
        *_place(),
        sa.UniqueConstraint("batch", "position", name="item_position"),
        sa.CheckConstraint("state IN ('drafted', 'planned', 'signed', 'logged')", name="item_state"),
    )
    op.create_index("item_step", "item", ["batch", "state", "position"])
    op.create_index("item_person", "item", ["person"])
    op.create_index("item_school", "item", ["school", "id"])
    op.create_table(
        "claimed_key",
        sa.Column("key_index", sa.LargeBinary, primary_key=True),
        sa.Column("item", sa.Text, sa.ForeignKey("item.id"), nullable=False),
    )
    op.create_index("claimed_key_item", "claimed_key", ["item"])


def _status() -> None:
    op.create_table(
        "status_list",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("school", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("token_revision", sa.BigInteger),
        sa.Column("token_issued_at", sa.BigInteger),
        *_place(),
    )
    op.create_index("status_list_school", "status_list", ["school"])
    op.create_table(
        "status_entry",
        sa.Column("list", sa.Text, sa.ForeignKey("status_list.id"), nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("credential", sa.Text, sa.ForeignKey("item.id"), nullable=False, unique=True),
        sa.Column("value", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("list", "place"),
        sa.CheckConstraint("value BETWEEN 0 AND 3", name="status_entry_value"),
    )
    _partial_index("status_entry_set", "status_entry", ["list"], "value <> 0", unique=False)
    op.create_table(
        "status_change",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("credential", sa.Text, sa.ForeignKey("item.id"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("before", sa.SmallInteger, nullable=False),
        sa.Column("after", sa.SmallInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("successor", sa.Text),
        sa.Column("officer", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("approval", sa.Text, nullable=False),
        sa.Column("opening_sealed", sa.LargeBinary, nullable=False),
        sa.Column("leaf_index", sa.BigInteger),
        sa.UniqueConstraint("credential", "number", name="status_change_number"),
    )
    _partial_index("status_change_unlogged", "status_change", ["at"], "leaf_index IS NULL", unique=False)


def _shares() -> None:
    op.create_table(
        "share",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("credential", sa.Text, sa.ForeignKey("item.id"), nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("code_index", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("valid_until", sa.BigInteger, nullable=False),
        sa.Column("view_limit", sa.BigInteger),
        sa.Column("views", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        *_place(),
    )
    op.create_index("share_person", "share", ["person"])
    op.create_table(
        "look_up",
        sa.Column("share", sa.Text, sa.ForeignKey("share.id"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("viewer", sa.Text, nullable=False),
        sa.Column("network", sa.Text),
        sa.PrimaryKeyConstraint("share", "number"),
    )


def _accounts() -> None:
    op.create_table(
        "credit_entry",
        sa.Column("credential", sa.Text, sa.ForeignKey("item.id"), primary_key=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("hundredths", sa.BigInteger, nullable=False),
        sa.Column("posted_at", sa.BigInteger, nullable=False),
        sa.Column("reversed_at", sa.BigInteger),
        *_place(),
        sa.CheckConstraint("hundredths > 0", name="credit_entry_positive"),
    )
    op.create_index("credit_entry_person", "credit_entry", ["person", "posted_at"])


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "credit_entry", "look_up", "share", "status_change", "status_entry", "status_list", "claimed_key", "item",
        "batch_note", "batch", "accreditation", "signing_key",
    ):  # fmt: skip
        op.drop_table(table)
