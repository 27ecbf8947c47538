"""Platforms that register themselves: what an operator gave away, what each may be changed by, names, pictures, owners.

Both tokens are stored as digests. `client_name` holds what a reader sees of a name, so that a look-alike is found by one
look-up; it is filled from the registrations that are there.
"""

import json

import sqlalchemy as sa
from alembic import op

from idp.clients.names import skeletons

revision = "access_0003"
down_revision = "access_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the owner."""
    op.add_column("client", sa.Column("owner", sa.Text))
    op.create_index("client_owner", "client", ["owner"])
    op.create_table(
        "initial_access_token",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        sa.Column("token_id", sa.Text, nullable=False, unique=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("uses_left", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("uses_left >= 0", name="initial_access_token_uses"),
    )
    op.create_table(
        "client_registration",
        sa.Column("client_id", sa.Text, sa.ForeignKey("client.client_id"), primary_key=True),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "client_name",
        sa.Column("skeleton", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, sa.ForeignKey("client.client_id"), nullable=False),
        sa.PrimaryKeyConstraint("skeleton", "client_id"),
    )
    op.create_index("client_name_owner", "client_name", ["client_id"])
    op.create_table(
        "client_logo",
        sa.Column("client_id", sa.Text, sa.ForeignKey("client.client_id"), primary_key=True),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    _name_those_there()


def _name_those_there() -> None:
    connection = op.get_bind()
    for client_id, registration in connection.execute(sa.text("SELECT client_id, registration FROM client")).fetchall():
        stored = json.loads(registration)
        for shape in skeletons((stored["name_zh"], stored["name_en"])):
            connection.execute(
                sa.text("INSERT INTO client_name (skeleton, client_id) VALUES (:shape, :client_id)"),
                {"shape": shape, "client_id": client_id},
            )


def downgrade() -> None:
    """Drop them."""
    for table in ("client_logo", "client_name", "client_registration", "initial_access_token"):
        op.drop_table(table)
    op.drop_index("client_owner", "client")
    op.drop_column("client", "owner")
