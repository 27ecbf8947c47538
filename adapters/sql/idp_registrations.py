"""`idp.clients.store.RegistrationStore` in SQL."""

from __future__ import annotations

from adapters.sql.database import ConstraintViolation, Database, Row, Transaction
from adapters.sql.idp_clients import SqlClients, loaded_client, write_client
from idp.clients.fetching import Logo
from idp.clients.registration_tokens import InitialToken
from idp.clients.store import Registered

_INITIAL = "token_id, policy, uses_left, expires_at, note"
# Children before parents: everything that names a client, then the client.
_OF_FAMILIES = ("access_token", "refresh_token")
_OF_CLIENTS = (
    "token_family",
    "client_access_token",
    "consent",
    "session_client",
    "client_registration",
    "client_name",
    "client_logo",
    "client",
)


class SqlRegistrations(SqlClients):
    """Clients that register themselves, beside those an operator registers."""

    _db: Database

    async def add_initial_token(self, token: InitialToken, digest: bytes, now: int) -> None:
        """See `RegistrationStore.add_initial_token`."""
        await self._db.execute(
            "INSERT INTO initial_access_token (token_hash, token_id, policy, uses_left, expires_at, note, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            digest,
            token.token_id,
            token.policy,
            token.uses_left,
            token.expires_at,
            token.note,
            now,
        )

    async def initial_tokens(self) -> tuple[InitialToken, ...]:
        """See `RegistrationStore.initial_tokens`."""
        rows = await self._db.fetch(
            f"SELECT {_INITIAL} FROM initial_access_token ORDER BY created_at DESC, token_id"  # noqa: S608  # a constant
        )
        return tuple(_initial(row) for row in rows)

    async def initial_token(self, digest: bytes, now: int) -> InitialToken | None:
        """See `RegistrationStore.initial_token`."""
        row = await self._db.fetch_one(
            f"SELECT {_INITIAL} FROM initial_access_token"  # noqa: S608  # a constant of this module
            " WHERE token_hash = $1 AND uses_left > 0 AND expires_at > $2",
            digest,
            now,
        )
        return None if row is None else _initial(row)

    async def end_initial_token(self, token_id: str) -> bool:
        """See `RegistrationStore.end_initial_token`."""
        return (
            await self._db.execute("UPDATE initial_access_token SET uses_left = 0 WHERE token_id = $1", token_id) == 1
        )

    async def is_name_taken(self, skeletons: frozenset[str], *, client_id: str, token_id: str) -> bool:
        """See `RegistrationStore.is_name_taken`."""
        for shape in sorted(skeletons):
            row = await self._db.fetch_one(
                "SELECT 1 AS one FROM client_name AS n LEFT JOIN client_registration AS r ON r.client_id = n.client_id"
                " WHERE n.skeleton = $1 AND n.client_id <> $2 AND (r.token_id IS NULL OR r.token_id <> $3) LIMIT 1",
                shape,
                client_id,
                token_id,
            )
            if row is not None:
                return True
        return False

    async def register_by_token(self, registered: Registered, *, initial: bytes, logo: Logo | None, now: int) -> bool:
        """See `RegistrationStore.register_by_token`."""
        async with self._db.transaction() as tx:
            used = await tx.execute(
                "UPDATE initial_access_token SET uses_left = uses_left - 1"
                " WHERE token_hash = $1 AND uses_left > 0 AND expires_at > $2",
                initial,
                now,
            )
            if used != 1:
                return False
            client = registered.client
            await write_client(tx, client, now, self._region)
            await tx.execute(
                "INSERT INTO client_registration (client_id, token_hash, token_id, policy, document)"
                " VALUES ($1, $2, $3, $4, $5)",
                client.client_id,
                registered.digest,
                registered.token_id,
                registered.policy,
                registered.document,
            )
            await _write_logo(tx, client.client_id, logo)
        self._cache.forget(client.client_id)
        return True

    async def registered(self, client_id: str) -> Registered | None:
        """See `RegistrationStore.registered`."""
        if "\x00" in client_id or not client_id.isascii():
            return None
        row = await self._db.fetch_one(
            "SELECT c.state, c.registration, c.secret_hash, r.token_hash, r.token_id, r.policy, r.document"
            " FROM client_registration AS r JOIN client AS c ON c.client_id = r.client_id WHERE r.client_id = $1",
            client_id,
        )
        if row is None:
            return None
        return Registered(loaded_client(row), bytes(row["token_hash"]), row["token_id"], row["policy"], row["document"])

    async def change_registration(
        self, registered: Registered, *, expected: bytes, logo: Logo | None, now: int
    ) -> bool:
        """See `RegistrationStore.change_registration`."""
        client = registered.client
        async with self._db.transaction() as tx:
            if not await _held(tx, client.client_id, "AND state = 'active'"):
                return False
            changed = await tx.execute(
                "UPDATE client_registration SET token_hash = $2, document = $3 WHERE client_id = $1 AND token_hash = $4",
                client.client_id,
                registered.digest,
                registered.document,
                expected,
            )
            if changed != 1:
                return False
            await write_client(tx, client, now, self._region)
            await _write_logo(tx, client.client_id, logo)
        self._cache.forget(client.client_id)
        return True

    async def delete_client(self, client_id: str) -> bool:
        """See `RegistrationStore.delete_client`."""
        for last in (False, False, True):
            try:
                removed = await self._delete(client_id)
            except ConstraintViolation:
                # A token was written between the deletion of the tokens and that of the client; it is deleted next time.
                if last:
                    raise
            else:
                break
        self._cache.forget(client_id)
        return removed

    async def _delete(self, client_id: str) -> bool:
        removed = 0
        async with self._db.transaction() as tx:
            await _held(tx, client_id, "")
            for table in _OF_FAMILIES:
                await tx.execute(
                    f"DELETE FROM {table} WHERE family_id IN"  # noqa: S608  # names of this module
                    " (SELECT family_id FROM token_family WHERE client_id = $1)",
                    client_id,
                )
            for table in _OF_CLIENTS:
                removed = await tx.execute(f"DELETE FROM {table} WHERE client_id = $1", client_id)  # noqa: S608  # names of this module
        return removed == 1

    async def logo(self, client_id: str) -> Logo | None:
        """See `RegistrationStore.logo`."""
        row = await self._db.fetch_one("SELECT media_type, body FROM client_logo WHERE client_id = $1", client_id)
        return None if row is None else Logo(row["media_type"], bytes(row["body"]))

    async def keep_logo(self, client_id: str, logo: Logo | None) -> None:
        """See `RegistrationStore.keep_logo`."""
        async with self._db.transaction() as tx:
            await _write_logo(tx, client_id, logo)


async def _held(tx: Transaction, client_id: str, condition: str) -> bool:
    """Take the client's row first, as every verb that changes a client does: two of them wait and never block each other."""
    sql = f"UPDATE client SET updated_at = updated_at WHERE client_id = $1 {condition}"  # noqa: S608  # conditions of this module
    return await tx.execute(sql, client_id) == 1


async def _write_logo(tx: Transaction, client_id: str, logo: Logo | None) -> None:
    await tx.execute("DELETE FROM client_logo WHERE client_id = $1", client_id)
    if logo is not None:
        await tx.execute(
            "INSERT INTO client_logo (client_id, media_type, body) VALUES ($1, $2, $3)",
            client_id,
            logo.media_type,
            logo.body,
        )


def _initial(row: Row) -> InitialToken:
    return InitialToken(row["token_id"], row["policy"], row["uses_left"], row["expires_at"], row["note"])
