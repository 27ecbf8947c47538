"""How a person is reached, and what of it is proven; the parts of a name; the language and time zone they chose.

All of it sealed but language and time zone, which are the same for nearly everybody. Nothing is searched by, so there is
no blind index. `*_verified_at` is empty where the fact is only stated.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("given_name", sa.LargeBinary),
    ("family_name", sa.LargeBinary),
    ("email", sa.LargeBinary),
    ("email_verified_at", sa.BigInteger),
    ("phone_verified_at", sa.BigInteger),
    ("address", sa.LargeBinary),
    ("locale", sa.Text),
    ("zoneinfo", sa.Text),
)


def upgrade() -> None:
    """Add the columns; of people already registered nothing is known."""
    for name, kind in _COLUMNS:
        op.add_column("person", sa.Column(name, kind))


def downgrade() -> None:
    """Drop the columns, and all they held."""
    for name, _ in reversed(_COLUMNS):
        op.drop_column("person", name)
