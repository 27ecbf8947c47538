"""`idp.store.TokenStore` in SQL."""

from __future__ import annotations

from adapters.sql.database import Database, Row, Transaction
from adapters.sql.idp_sessions import authentication_of
from idp.model import AccountState
from idp.registry.model import shard_of
from idp.store import (
    AccessGrant,
    ClientToken,
    Family,
    NewAccessToken,
    NewRefreshToken,
    RefreshGrant,
    Rotation,
    Standing,
)

_FAMILY = (
    "f.family_id, f.client_id, f.person, f.session_reference, f.scope AS family_scope, f.offline, f.auth_time, f.acr,"
    " f.amr, f.created_at, f.absolute_until, f.revoked_at, a.state"
)
_JOIN = (
    "t JOIN token_family f ON f.family_id = t.family_id JOIN account a ON a.person = f.person WHERE t.token_hash = $1"
)
_REFRESH = f"SELECT {_FAMILY}, t.used_at, t.expires_at FROM refresh_token {_JOIN}"  # noqa: S608  # constants
_ACCESS = f"SELECT {_FAMILY}, t.scope, t.audience, t.expires_at FROM access_token {_JOIN}"  # noqa: S608  # constants


def _family(row: Row) -> Family:
    return Family(
        family_id=row["family_id"],
        client_id=row["client_id"],
        person=row["person"],
        session_reference=row["session_reference"],
        scope=tuple(row["family_scope"].split()),
        offline=bool(row["offline"]),
        authentication=authentication_of(row),
        created_at=row["created_at"],
        absolute_until=row["absolute_until"],
    )


class SqlTokens:
    """Token families and the hashes of their tokens."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._region = region

    async def standing(self, person: str, client_id: str, session_reference: str, now: int) -> Standing:
        """See `TokenStore.standing`."""
        row = await self._db.fetch_one(
            "SELECT a.state, s.reference, c.granted FROM account a"
            " LEFT JOIN login_session s ON s.reference = $3 AND s.person = a.person AND s.ended_at IS NULL"
            " AND s.idle_until > $4 AND s.absolute_until > $4"
            " LEFT JOIN consent c ON c.person = a.person AND c.client_id = $2 WHERE a.person = $1",
            person,
            client_id,
            session_reference,
            now,
        )
        if row is None:
            return Standing(AccountState.DELETED, session_live=False, consented=frozenset())
        consented = frozenset((row["granted"] or "").split())
        return Standing(AccountState(row["state"]), session_live=row["reference"] is not None, consented=consented)

    async def start_family(
        self, family: Family, code_hash: bytes, access: NewAccessToken, refresh: NewRefreshToken | None
    ) -> bool:
        """See `TokenStore.start_family`."""
        async with self._db.transaction() as tx:
            await tx.lock(f"code/{code_hash.hex()}")
            live = await self._still_granted(tx, family, code_hash)
            await tx.execute(
                "INSERT INTO token_family (family_id, code_hash, client_id, person, session_reference, scope, offline,"
                " auth_time, acr, amr, created_at, used_at, absolute_until, revoked_at, region, shard)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15)",
                family.family_id,
                code_hash,
                family.client_id,
                family.person,
                family.session_reference,
                " ".join(family.scope),
                int(family.offline),
                family.authentication.time,
                family.authentication.acr.value,
                " ".join(family.authentication.amr),
                family.created_at,
                family.absolute_until,
                None if live else family.created_at,
                self._region,
                shard_of(family.person),
            )
            await self._add_tokens(tx, family.family_id, access, refresh)
            return live

    async def _still_granted(self, tx: Transaction, family: Family, code_hash: bytes) -> bool:
        # Writes of nothing: they hold both rows, so that a sign-out or a withdrawal at this very moment comes either
        # before (and is seen here) or after (and revokes what is written here).
        session = await tx.fetch_one(
            "UPDATE login_session SET ended_at = ended_at WHERE reference = $1 AND ended_at IS NULL RETURNING reference",
            family.session_reference,
        )
        consent = await tx.fetch_one(
            "UPDATE consent SET granted = granted WHERE person = $1 AND client_id = $2 RETURNING granted",
            family.person,
            family.client_id,
        )
        replayed = await tx.fetch_one("SELECT 1 AS seen FROM replayed_code WHERE code_hash = $1", code_hash)
        consented = set() if consent is None else set(consent["granted"].split())
        return session is not None and consented.issuperset(family.scope) and replayed is None

    async def revoke_replayed_code(self, code_hash: bytes, client_id: str, now: int) -> None:
        """See `TokenStore.revoke_replayed_code`."""
        async with self._db.transaction() as tx:
            await tx.lock(f"code/{code_hash.hex()}")
            await tx.execute(
                "INSERT INTO replayed_code (code_hash, client_id, seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                code_hash,
                client_id,
                now,
            )
            await tx.execute(
                "UPDATE token_family SET revoked_at = $3"
                " WHERE code_hash = $1 AND client_id = $2 AND revoked_at IS NULL",
                code_hash,
                client_id,
                now,
            )

    async def revoke_family_of_code(self, code_hash: bytes, client_id: str, now: int) -> bool:
        """See `TokenStore.revoke_family_of_code`."""
        revoked = await self._db.execute(
            "UPDATE token_family SET revoked_at = $3 WHERE code_hash = $1 AND client_id = $2 AND revoked_at IS NULL",
            code_hash,
            client_id,
            now,
        )
        return revoked == 1

    async def refresh_grant(self, token_hash: bytes) -> RefreshGrant | None:
        """See `TokenStore.refresh_grant`."""
        row = await self._db.fetch_one(
            _REFRESH,
            token_hash,
        )
        if row is None:
            return None
        return RefreshGrant(
            family=_family(row),
            used=row["used_at"] is not None,
            expires_at=min(row["expires_at"], row["absolute_until"]),
            family_revoked=row["revoked_at"] is not None,
            account_state=AccountState(row["state"]),
        )

    async def rotate_refresh_token(
        self, token_hash: bytes, access: NewAccessToken, refresh: NewRefreshToken, now: int
    ) -> Rotation:
        """See `TokenStore.rotate_refresh_token`."""
        async with self._db.transaction() as tx:
            # Locks the family: a second rotation, a sign-out, a withdrawal wait here and then see what happened.
            family = await tx.fetch_one(
                "UPDATE token_family SET used_at = $2 WHERE revoked_at IS NULL AND absolute_until > $2"
                " AND family_id = (SELECT family_id FROM refresh_token WHERE token_hash = $1)"
                " AND person IN (SELECT person FROM account WHERE state = 'active') RETURNING family_id",
                token_hash,
                now,
            )
            if family is None:
                return Rotation.REFUSED
            used_up = await tx.execute(
                "UPDATE refresh_token SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2",
                token_hash,
                now,
            )
            if used_up == 1:
                await self._add_tokens(tx, family["family_id"], access, refresh)
                return Rotation.ROTATED
            held = await tx.fetch_one("SELECT used_at FROM refresh_token WHERE token_hash = $1", token_hash)
            if held is None or held["used_at"] is None:
                return Rotation.REFUSED
            await tx.execute("UPDATE token_family SET revoked_at = $2 WHERE family_id = $1", family["family_id"], now)
            return Rotation.REUSED

    async def revoke_family(self, family_id: str, now: int) -> None:
        """See `TokenStore.revoke_family`."""
        await self._db.execute(
            "UPDATE token_family SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL", family_id, now
        )

    async def access_grant(self, token_hash: bytes) -> AccessGrant | None:
        """See `TokenStore.access_grant`."""
        row = await self._db.fetch_one(
            _ACCESS,
            token_hash,
        )
        if row is None:
            return None
        return AccessGrant(
            family=_family(row),
            scope=tuple(row["scope"].split()),
            audience=row["audience"],
            expires_at=row["expires_at"],
            family_revoked=row["revoked_at"] is not None,
            account_state=AccountState(row["state"]),
        )

    async def write_client_token(self, token: ClientToken) -> bool:
        """See `TokenStore.write_client_token`."""
        async with self._db.transaction() as tx:
            # A write of nothing: it holds the row, so that a client disabled at this very moment is seen here, or
            # finds here what it removes.
            active = await tx.execute(
                "UPDATE client SET state = state WHERE client_id = $1 AND state = 'active'", token.client_id
            )
            if active != 1:
                return False
            await tx.execute(
                "INSERT INTO client_access_token (token_hash, client_id, scope, audience, expires_at)"
                " VALUES ($1, $2, $3, $4, $5)",
                token.token_hash,
                token.client_id,
                " ".join(token.scope),
                token.audience,
                token.expires_at,
            )
            return True

    async def client_token(self, token_hash: bytes) -> ClientToken | None:
        """See `TokenStore.client_token`."""
        row = await self._db.fetch_one(
            "SELECT client_id, scope, audience, expires_at FROM client_access_token WHERE token_hash = $1", token_hash
        )
        if row is None:
            return None
        scope = tuple(row["scope"].split())
        return ClientToken(token_hash, row["client_id"], scope, row["audience"], row["expires_at"])

    async def revoke_access_token(self, token_hash: bytes, client_id: str) -> bool:
        """See `TokenStore.revoke_access_token`."""
        async with self._db.transaction() as tx:
            removed = await tx.execute(
                "DELETE FROM access_token WHERE token_hash = $1"
                " AND family_id IN (SELECT family_id FROM token_family WHERE client_id = $2)",
                token_hash,
                client_id,
            )
            removed += await tx.execute(
                "DELETE FROM client_access_token WHERE token_hash = $1 AND client_id = $2", token_hash, client_id
            )
            return removed == 1

    async def discard_dead_tokens(self, before: int) -> int:
        """See `TokenStore.discard_dead_tokens`."""
        access = await self._db.execute("DELETE FROM access_token WHERE expires_at < $1", before)
        access += await self._db.execute("DELETE FROM client_access_token WHERE expires_at < $1", before)
        async with self._db.transaction() as tx:
            # Used refresh tokens stay as long as their family: a replay must be recognised to the end.
            refresh = await tx.execute(
                "DELETE FROM refresh_token WHERE family_id IN"
                " (SELECT family_id FROM token_family WHERE absolute_until < $1)",
                before,
            )
            access += await tx.execute(
                "DELETE FROM access_token WHERE family_id IN"
                " (SELECT family_id FROM token_family WHERE absolute_until < $1)",
                before,
            )
            await tx.execute("DELETE FROM token_family WHERE absolute_until < $1", before)
            await tx.execute("DELETE FROM replayed_code WHERE seen_at < $1", before)
        return access + refresh

    async def _add_tokens(
        self, tx: Transaction, family_id: str, access: NewAccessToken, refresh: NewRefreshToken | None
    ) -> None:
        await tx.execute(
            "INSERT INTO access_token (token_hash, family_id, expires_at, scope, audience) VALUES ($1, $2, $3, $4, $5)",
            access.token_hash,
            family_id,
            access.expires_at,
            " ".join(access.scope),
            access.audience,
        )
        if refresh is not None:
            await tx.execute(
                "INSERT INTO refresh_token (token_hash, family_id, expires_at, used_at) VALUES ($1, $2, $3, NULL)",
                refresh.token_hash,
                family_id,
                refresh.expires_at,
            )
