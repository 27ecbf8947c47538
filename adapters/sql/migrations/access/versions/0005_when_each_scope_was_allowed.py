"""When a person allowed each scope of a platform: `scope=seconds`, separated by spaces.

A scope that is not named there was allowed when the consent was last given, as all were before.
"""

import sqlalchemy as sa
from alembic import op

revision = "access_0005"
down_revision = "access_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("consent", sa.Column("granted_since", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("consent", "granted_since")
