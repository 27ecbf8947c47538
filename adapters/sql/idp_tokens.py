"""`idp.store.TokenStore` in SQL."""

from __future__ import annotations

from adapters.sql.database import Database, Row, Transaction
from adapters.sql.idp_registry_sealing import SEALED_PERSON, sealed_person
from adapters.sql.idp_sessions import authentication_of
from idp.model import AccountState
from idp.registry.model import SealedPerson, shard_of
from idp.store import (
    AccessGrant,
    Beginning,
    ClientToken,
    Family,
    NewAccessToken,
    NewRefreshToken,
    RefreshGrant,
    Rotation,
)

# One word for both: the account's state and, where that is active, the person's in the register.
_STATE = "CASE WHEN a.state <> 'active' THEN a.state ELSE COALESCE(p.status, 'deleted') END AS state"
_FAMILY = (
    "f.family_id, f.client_id, f.person, f.session_reference, f.scope AS family_scope, f.resources, f.id_token_claims,"
    f" f.offline, f.auth_time, f.acr, f.amr, f.created_at, f.absolute_until, f.revoked_at, {_STATE}"
)
_JOIN = (
    "t JOIN token_family f ON f.family_id = t.family_id JOIN account a ON a.person = f.person"
    # What a disabled client holds is not found: its registration may be remembered elsewhere for a moment, here never.
    " JOIN client r ON r.client_id = f.client_id AND r.state = 'active'"
    " LEFT JOIN person p ON p.number = f.person WHERE t.token_hash = $1"
)
_REFRESH = f"SELECT {_FAMILY}, t.used_at, t.expires_at FROM refresh_token {_JOIN}"  # noqa: S608  # constants
_ACCESS = f"SELECT {_FAMILY}, t.scope, t.audience, t.expires_at FROM access_token {_JOIN}"  # noqa: S608  # constants
_ACCESS_OF_PERSON = f"SELECT {_FAMILY}, t.scope, t.audience, t.expires_at, {SEALED_PERSON} FROM access_token {_JOIN}"  # noqa: S608  # constants

_IN_FORCE = (
    "SELECT c.granted, EXISTS (SELECT 1 FROM replayed_code WHERE code_hash = $4) AS replayed"
    " FROM account a JOIN person p ON p.number = a.person AND p.status = 'active'"
    " JOIN login_session s ON s.reference = $1 AND s.person = a.person AND s.ended_at IS NULL"
    " AND s.idle_until > $5 AND s.absolute_until > $5"
    " JOIN consent c ON c.person = a.person AND c.client_id = $3"
    " JOIN client r ON r.client_id = c.client_id AND r.state = 'active'"
    " WHERE a.person = $2 AND a.state = 'active'"
)

_ADD_FAMILY = (
    "INSERT INTO token_family (family_id, code_hash, client_id, person, session_reference, scope, offline, auth_time, acr,"
    " amr, created_at, used_at, absolute_until, region, shard, resources, id_token_claims, revoked_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $16, $17)"
)
# One round trip; what it does is the migration's (access_0008), the same as the statements for SQLite.
_BEGIN = f"SELECT begin_token_family({', '.join(f'${number}' for number in range(1, 23))}) AS beginning"  # numbers
# One statement. The row of the family is waited for; whatever changed meanwhile is looked at again (READ COMMITTED).
_ROTATE = (
    "WITH family AS (UPDATE token_family SET used_at = $2 WHERE revoked_at IS NULL AND absolute_until > $2"
    " AND family_id = (SELECT family_id FROM refresh_token WHERE token_hash = $1)"
    " AND person IN (SELECT person FROM account WHERE state = 'active')"
    " AND client_id IN (SELECT client_id FROM client WHERE state = 'active') RETURNING family_id),"
    " used AS (UPDATE refresh_token SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2"
    " AND family_id IN (SELECT family_id FROM family) RETURNING family_id),"
    " access AS (INSERT INTO access_token (token_hash, family_id, expires_at, scope, audience)"
    " SELECT $3, family_id, $4, $5, $6 FROM used),"
    " next AS (INSERT INTO refresh_token (token_hash, family_id, expires_at, used_at)"
    " SELECT $7, family_id, $8, NULL FROM used)"
    " SELECT EXISTS (SELECT 1 FROM used) AS rotated"
)


def _family(row: Row) -> Family:
    return Family(
        family_id=row["family_id"],
        client_id=row["client_id"],
        person=row["person"],
        session_reference=row["session_reference"],
        scope=tuple(row["family_scope"].split()),
        resources=tuple(row["resources"].split()),
        id_token_claims=tuple(row["id_token_claims"].split()),
        offline=bool(row["offline"]),
        authentication=authentication_of(row),
        created_at=row["created_at"],
        absolute_until=row["absolute_until"],
    )


def _access_grant(row: Row) -> AccessGrant:
    return AccessGrant(
        family=_family(row),
        scope=tuple(row["scope"].split()),
        audience=tuple(row["audience"].split()),
        expires_at=row["expires_at"],
        family_revoked=row["revoked_at"] is not None,
        account_state=AccountState(row["state"]),
    )


class SqlTokens:
    """Token families and the hashes of their tokens."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._region = region

    async def start_family(
        self, family: Family, code_hash: bytes, access: NewAccessToken, refresh: NewRefreshToken | None
    ) -> Beginning:
        """See `TokenStore.start_family`."""
        scope = " ".join(family.scope)
        columns = (
            family.family_id,
            code_hash,
            family.client_id,
            family.person,
            family.session_reference,
            scope,
            int(family.offline),
            family.authentication.time,
            family.authentication.acr.value,
            " ".join(family.authentication.amr),
            family.created_at,
            family.absolute_until,
            self._region,
            shard_of(family.person),
            " ".join(family.resources),
            " ".join(family.id_token_claims),
        )
        if self._db.dialect == "postgresql":
            tokens = (
                access.token_hash,
                access.expires_at,
                " ".join(access.scope),
                " ".join(access.audience),
                None if refresh is None else refresh.token_hash,
                None if refresh is None else refresh.expires_at,
            )
            row = await self._db.fetch_one(_BEGIN, *columns, *tokens)
            return Beginning.REFUSED if row is None else Beginning(row["beginning"])
        async with self._db.transaction() as tx:
            # One transaction at a time writes to the file: a sign-out or a withdrawal at this very moment comes either
            # before (and is seen here) or after (and revokes what is written here).
            found = await tx.fetch_one(
                _IN_FORCE, family.session_reference, family.person, family.client_id, code_hash, family.created_at
            )
            if found is None or not set(found["granted"].split()).issuperset(family.scope):
                return Beginning.REFUSED
            await tx.execute(_ADD_FAMILY, *columns, family.created_at if found["replayed"] else None)
            await self._add_tokens(tx, family.family_id, access, refresh)
            return Beginning.REPLAYED if found["replayed"] else Beginning.LIVE

    async def revoke_replayed_code(self, code_hash: bytes, client_id: str, now: int) -> bool:
        """See `TokenStore.revoke_replayed_code`."""
        async with self._db.transaction() as tx:
            await tx.lock(f"code/{code_hash.hex()}")
            await tx.execute(
                "INSERT INTO replayed_code (code_hash, client_id, seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                code_hash,
                client_id,
                now,
            )
            revoked = await tx.execute(
                "UPDATE token_family SET revoked_at = $3"
                " WHERE code_hash = $1 AND client_id = $2 AND revoked_at IS NULL",
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
        if self._db.dialect == "postgresql":
            row = await self._db.fetch_one(
                _ROTATE,
                token_hash,
                now,
                access.token_hash,
                access.expires_at,
                " ".join(access.scope),
                " ".join(access.audience),
                refresh.token_hash,
                refresh.expires_at,
            )
            if row is not None and row["rotated"]:
                return Rotation.ROTATED
        async with self._db.transaction() as tx:
            # Locks the family: a second rotation, a sign-out, a withdrawal wait here and then see what happened.
            family = await tx.fetch_one(
                "UPDATE token_family SET used_at = $2 WHERE revoked_at IS NULL AND absolute_until > $2"
                " AND family_id = (SELECT family_id FROM refresh_token WHERE token_hash = $1)"
                " AND person IN (SELECT person FROM account WHERE state = 'active')"
                " AND client_id IN (SELECT client_id FROM client WHERE state = 'active') RETURNING family_id",
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
        row = await self._db.fetch_one(_ACCESS, token_hash)
        return None if row is None else _access_grant(row)

    async def access_grant_of_person(self, token_hash: bytes) -> tuple[AccessGrant, SealedPerson] | None:
        """See `TokenStore.access_grant_of_person`."""
        row = await self._db.fetch_one(_ACCESS_OF_PERSON, token_hash)
        if row is None or row["person_number"] is None:
            return None
        return _access_grant(row), sealed_person(row)

    async def write_client_token(self, token: ClientToken) -> bool:
        """See `TokenStore.write_client_token`."""
        # The client's row is held for others to read: one disabled at this very moment is seen here, or finds here what it
        # removes. On SQLite the whole file is held.
        held = " FOR SHARE" if self._db.dialect == "postgresql" else ""
        written = await self._db.execute(
            "INSERT INTO client_access_token (token_hash, client_id, scope, audience, expires_at)"  # noqa: S608  # constants
            f" SELECT $1, client_id, $3, $4, $5 FROM client WHERE client_id = $2 AND state = 'active'{held}",
            token.token_hash,
            token.client_id,
            " ".join(token.scope),
            " ".join(token.audience),
            token.expires_at,
        )
        return written == 1

    async def client_token(self, token_hash: bytes) -> ClientToken | None:
        """See `TokenStore.client_token`."""
        row = await self._db.fetch_one(
            "SELECT client_id, scope, audience, expires_at FROM client_access_token WHERE token_hash = $1", token_hash
        )
        if row is None:
            return None
        scope = tuple(row["scope"].split())
        audience = tuple(row["audience"].split())
        return ClientToken(token_hash, row["client_id"], scope, audience, row["expires_at"])

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
            " ".join(access.audience),
        )
        if refresh is not None:
            await tx.execute(
                "INSERT INTO refresh_token (token_hash, family_id, expires_at, used_at) VALUES ($1, $2, $3, NULL)",
                refresh.token_hash,
                family_id,
                refresh.expires_at,
            )
