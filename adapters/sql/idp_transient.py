"""`idp.transient.TransientStore` in SQL: the store whose handles begin with `s`."""

from __future__ import annotations

from adapters.sql.database import Database
from idp.model import Clock, RandomBytes
from idp.transient import PAYLOAD_BYTES_MAX, TransientKind, handle_hash, handle_under, new_handle

LETTER = "s"
DISCARD_BATCH = 1000
"""Rows one clean-up statement removes: short enough not to be noticed by a sign-in behind it."""


class SqlTransientStore:
    """Entries as rows under the hash of their handle."""

    def __init__(self, db: Database, *, clock: Clock, random_bytes: RandomBytes) -> None:
        self._db = db
        self._clock = clock
        self._random_bytes = random_bytes

    async def put(self, kind: TransientKind, payload: bytes, *, lifetime_s: int) -> str:
        """See `TransientStore.put`."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError("the payload is bounded by what an endpoint reads")
        handle = new_handle(LETTER, kind, self._random_bytes)
        await self._db.execute(
            "INSERT INTO transient_entry (handle_hash, payload, expires_at) VALUES ($1, $2, $3)",
            handle_hash(LETTER, kind, handle),
            payload,
            self._clock() + lifetime_s,
        )
        return handle

    async def put_under(self, kind: TransientKind, secret: bytes, payload: bytes, *, lifetime_s: int) -> str | None:
        """See `TransientStore.put_under`: one statement, which also takes the place of what is past its lifetime."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError("the payload is bounded by what an endpoint reads")
        handle, now = handle_under(LETTER, kind, secret), self._clock()
        written = await self._db.execute(
            "INSERT INTO transient_entry (handle_hash, payload, expires_at) VALUES ($1, $2, $3)"
            " ON CONFLICT (handle_hash) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at"
            " WHERE transient_entry.expires_at <= $4",
            handle_hash(LETTER, kind, handle),
            payload,
            now + lifetime_s,
            now,
        )
        return handle if written == 1 else None

    async def find_under(self, kind: TransientKind, secret: bytes) -> tuple[str, bytes] | None:
        """See `TransientStore.find_under`."""
        handle = handle_under(LETTER, kind, secret)
        payload = await self.read(kind, handle)
        return None if payload is None else (handle, payload)

    async def read(self, kind: TransientKind, handle: str) -> bytes | None:
        """See `TransientStore.read`."""
        hashed = handle_hash(LETTER, kind, handle)
        if hashed is None:
            return None
        row = await self._db.fetch_one(
            "SELECT payload FROM transient_entry WHERE handle_hash = $1 AND expires_at > $2", hashed, self._clock()
        )
        return None if row is None else bytes(row["payload"])

    async def take(self, kind: TransientKind, handle: str) -> bytes | None:
        """See `TransientStore.take`: one statement, so the database serialises the takers."""
        hashed = handle_hash(LETTER, kind, handle)
        if hashed is None:
            return None
        row = await self._db.fetch_one(
            "DELETE FROM transient_entry WHERE handle_hash = $1 AND expires_at > $2 RETURNING payload",
            hashed,
            self._clock(),
        )
        return None if row is None else bytes(row["payload"])

    async def replace(self, kind: TransientKind, handle: str, *, expected: bytes, payload: bytes) -> bool:
        """See `TransientStore.replace`."""
        hashed = handle_hash(LETTER, kind, handle)
        if hashed is None or len(payload) > PAYLOAD_BYTES_MAX:
            return False
        changed = await self._db.execute(
            "UPDATE transient_entry SET payload = $3 WHERE handle_hash = $1 AND payload = $2 AND expires_at > $4",
            hashed,
            expected,
            payload,
            self._clock(),
        )
        return changed == 1

    async def discard_expired(self) -> int:
        """See `TransientStore.discard_expired`."""
        total = 0
        while True:
            removed = await self._db.execute(
                "DELETE FROM transient_entry WHERE handle_hash IN"
                " (SELECT handle_hash FROM transient_entry WHERE expires_at <= $1 LIMIT $2)",
                self._clock(),
                DISCARD_BATCH,
            )
            total += removed
            if removed < DISCARD_BATCH:
                return total
