"""What a token family was granted beside its scopes: resource servers (RFC 8707), and claims asked for in the ID token.

Both are words separated by spaces, empty for families from before.
"""

import sqlalchemy as sa
from alembic import op

revision = "access_0004"
down_revision = "access_0003"
branch_labels = None
depends_on = None

ADDED = ("resources", "id_token_claims")


def upgrade() -> None:
    """Add the two columns."""
    for name in ADDED:
        op.add_column("token_family", sa.Column(name, sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop them."""
    for name in ADDED:
        op.drop_column("token_family", name)
