"""Accounts, authenticators, sessions, clients, consents, token families, short-lived state, logout outbox, signing keys.

Bearer values (cookies, codes, tokens, handles) appear only as 32-byte hashes; TOTP seeds and private keys only sealed.
Person-bound tables carry the province (`region`) and the person's shard from the first day.
"""

import sqlalchemy as sa
from alembic import op

revision = "access_0001"
down_revision = None
branch_labels = None
depends_on = None


def _place() -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("region", sa.Text, nullable=False), sa.Column("shard", sa.SmallInteger, nullable=False)


def _authentication() -> tuple[sa.Column[int], sa.Column[str], sa.Column[str]]:
    return (
        sa.Column("auth_time", sa.BigInteger, nullable=False),
        sa.Column("acr", sa.Text, nullable=False),
        sa.Column("amr", sa.Text, nullable=False),
    )


def _when(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def upgrade() -> None:
    """Create the tables of sign-in."""
    _accounts()
    _sessions()
    _clients()
    _tokens()
    _work()
    _keys()


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("person", sa.Text, primary_key=True),
        sa.Column("username", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        _when("created_at"),
        _when("updated_at"),
        *_place(),
        sa.CheckConstraint("state IN ('active', 'locked', 'disabled', 'deleted')", name="account_state"),
    )
    op.create_table(
        "authenticator",
        sa.Column("person", sa.Text, sa.ForeignKey("account.person"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sealed_seed", sa.LargeBinary),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        _when("not_before"),
        _when("enrolled_at"),
        sa.PrimaryKeyConstraint("person", "kind"),
        sa.CheckConstraint("kind IN ('password', 'totp')", name="authenticator_kind"),
        sa.CheckConstraint("(kind = 'totp') = (sealed_seed IS NOT NULL)", name="authenticator_seed"),
    )


def _sessions() -> None:
    op.create_table(
        "login_session",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("cookie_hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("person", sa.Text, sa.ForeignKey("account.person"), nullable=False),
        *_authentication(),
        _when("created_at"),
        _when("last_seen"),
        _when("idle_until"),
        _when("absolute_until"),
        _when("ended_at", nullable=True),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        *_place(),
    )
    op.create_index("login_session_person", "login_session", ["person"])
    op.create_table(
        "session_client",
        sa.Column("reference", sa.Text, sa.ForeignKey("login_session.reference"), nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        _when("first_at"),
        sa.PrimaryKeyConstraint("reference", "client_id"),
    )


def _clients() -> None:
    op.create_table(
        "client",
        sa.Column("client_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("registration", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary),
        sa.Column("backchannel", sa.SmallInteger, nullable=False),
        _when("registered_at"),
        _when("updated_at"),
        sa.Column("region", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('active', 'disabled')", name="client_state"),
    )
    op.create_table(
        "consent",
        sa.Column("person", sa.Text, sa.ForeignKey("account.person"), nullable=False),
        sa.Column("client_id", sa.Text, sa.ForeignKey("client.client_id"), nullable=False),
        sa.Column("granted", sa.Text, nullable=False),
        sa.Column("offered", sa.Text, nullable=False),
        _when("granted_at"),
        *_place(),
        sa.PrimaryKeyConstraint("person", "client_id"),
    )


def _tokens() -> None:
    op.create_table(
        "token_family",
        sa.Column("family_id", sa.Text, primary_key=True),
        sa.Column("code_hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("client_id", sa.Text, sa.ForeignKey("client.client_id"), nullable=False),
        sa.Column("person", sa.Text, sa.ForeignKey("account.person"), nullable=False),
        sa.Column("session_reference", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("offline", sa.SmallInteger, nullable=False),
        *_authentication(),
        _when("created_at"),
        _when("used_at"),
        _when("absolute_until"),
        _when("revoked_at", nullable=True),
        *_place(),
    )
    op.create_index("token_family_grant", "token_family", ["person", "client_id"])
    op.create_index("token_family_session", "token_family", ["session_reference"])
    op.create_index("token_family_end", "token_family", ["absolute_until"])
    op.create_table(
        "replayed_code",
        sa.Column("code_hash", sa.LargeBinary, primary_key=True),
        sa.Column("client_id", sa.Text, nullable=False),
        _when("seen_at"),
    )
    for table, more in (
        (
            "access_token",
            [sa.Column("scope", sa.Text, nullable=False), sa.Column("audience", sa.Text, nullable=False)],
        ),
        ("refresh_token", [_when("used_at", nullable=True)]),
    ):
        op.create_table(
            table,
            sa.Column("token_hash", sa.LargeBinary, primary_key=True),
            sa.Column("family_id", sa.Text, sa.ForeignKey("token_family.family_id"), nullable=False),
            _when("expires_at"),
            *more,
        )
        op.create_index(f"{table}_family", table, ["family_id"])
        op.create_index(f"{table}_end", table, ["expires_at"])


def _work() -> None:
    op.create_table(
        "transient_entry",
        sa.Column("handle_hash", sa.LargeBinary, primary_key=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        _when("expires_at"),
    )
    op.create_index("transient_entry_end", "transient_entry", ["expires_at"])
    op.create_table(
        "logout_outbox",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("session_reference", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        _when("next_time"),
        _when("lease_until"),
        _when("done_at", nullable=True),
        _when("dead_at", nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
    )
    condition = sa.text("done_at IS NULL AND dead_at IS NULL")
    op.create_index(
        "logout_outbox_due", "logout_outbox", ["next_time"], sqlite_where=condition, postgresql_where=condition
    )


def _keys() -> None:
    op.create_table(
        "signing_key",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("alg", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        _when("not_before"),
        _when("not_after"),
        _when("compromised_at", nullable=True),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("sealed_private", sa.LargeBinary),
        sa.PrimaryKeyConstraint("owner", "kid"),
        sa.CheckConstraint("state IN ('pending', 'active', 'retiring', 'retired')", name="signing_key_state"),
    )
    active = sa.text("state = 'active'")
    op.create_index(
        "signing_key_one_active",
        "signing_key",
        ["owner", "purpose", "alg"],
        unique=True,
        sqlite_where=active,
        postgresql_where=active,
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "signing_key",
        "logout_outbox",
        "transient_entry",
        "refresh_token",
        "access_token",
        "replayed_code",
        "token_family",
        "consent",
        "client",
        "session_client",
        "login_session",
        "authenticator",
        "account",
    ):
        op.drop_table(table)
