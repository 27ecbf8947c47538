"""`idp.clients.store.ReplayStore` in SQL: one row a value that was used, until nobody would accept it any more."""

from __future__ import annotations

from adapters.sql.database import Database


class SqlReplays:
    """Digests of values that are good once."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._region = region

    async def use_once(self, digest: bytes, *, until: int) -> bool:
        """See `ReplayStore.use_once`: one statement, so the database serialises the users."""
        written = await self._db.execute(
            "INSERT INTO used_value (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", digest, until
        )
        return written == 1

    async def discard_used(self, now: int) -> int:
        """See `ReplayStore.discard_used`."""
        return await self._db.execute("DELETE FROM used_value WHERE expires_at <= $1", now)
