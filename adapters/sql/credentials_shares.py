"""Shares and who looked at them, in SQL. The contract is in `credentials/store.py`."""

from __future__ import annotations

from adapters.sql.credentials_sealing import CredentialSealer
from adapters.sql.database import Database, Row
from credentials.errors import ShareEnded, ShareUnknown
from credentials.model import LookUp, Share, Viewer
from credentials.store import MAX_PAGE, OpenedShare
from idp.registry.model import shard_of
from idp.registry.person_number import PersonNumber


class ShareTables:
    """`share` and `look_up`."""

    def __init__(self, database: Database, sealer: CredentialSealer) -> None:
        self._db = database
        self._sealer = sealer

    async def create_share(self, share: Share, *, presentation: str) -> None:
        """See `CredentialStore.create_share`."""
        await self._db.execute(
            "INSERT INTO share (id, credential, person, code_index, sealed, created_at, valid_until, view_limit, views,"
            " region, shard) SELECT $1, i.id, $3, $4, $5, $6, $7, $8, 0, i.region, $9 FROM item i WHERE i.id = $2",
            share.id, share.credential, share.person.value, self._sealer.code_index(share.code),
            self._sealer.seal_share(share, presentation), share.created_at, share.valid_until, share.view_limit,
            shard_of(share.person.value),
        )  # fmt: skip

    async def shares_of(self, person: PersonNumber) -> tuple[Share, ...]:
        """See `CredentialStore.shares_of`."""
        rows = await self._db.fetch(
            "SELECT * FROM share WHERE person = $1 ORDER BY created_at DESC, id LIMIT $2", person.value, MAX_PAGE
        )
        return tuple(self._sealer.share(row)[0] for row in rows)

    async def share(self, share_id: str) -> Share:
        """See `CredentialStore.share`."""
        return self._found(await self._db.fetch_one("SELECT * FROM share WHERE id = $1", share_id))

    def _found(self, row: Row | None) -> Share:
        if row is None:
            raise ShareUnknown(field="share")
        return self._sealer.share(row)[0]

    async def revoke_share(self, share_id: str, *, now: int) -> Share:
        """See `CredentialStore.revoke_share`."""
        row = await self._db.fetch_one(
            "UPDATE share SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1 RETURNING *", share_id, now
        )
        return self._found(row)

    async def open_share(self, code: str, *, now: int, viewer: Viewer) -> OpenedShare:
        """See `CredentialStore.open_share`."""
        index = self._sealer.code_index(code)
        async with self._db.transaction() as tx:
            # One statement decides and counts, so that no look slips past the limit, however many come at once.
            row = await tx.fetch_one(
                "UPDATE share SET views = views + 1 WHERE code_index = $1 AND revoked_at IS NULL AND valid_until > $2"
                " AND (view_limit IS NULL OR views < view_limit) RETURNING *",
                index, now,
            )  # fmt: skip
            if row is None:
                raise _refusal(await tx.fetch_one("SELECT * FROM share WHERE code_index = $1", index), now)
            await tx.execute(
                "INSERT INTO look_up (share, number, at, viewer, network) VALUES ($1, $2, $3, $4, $5)",
                row["id"], row["views"], now, viewer.kind, viewer.network,
            )  # fmt: skip
        return OpenedShare(*self._sealer.share(row))

    async def look_ups(self, share_id: str) -> tuple[LookUp, ...]:
        """See `CredentialStore.look_ups`."""
        rows = await self._db.fetch(
            "SELECT * FROM look_up WHERE share = $1 ORDER BY number DESC LIMIT $2", share_id, MAX_PAGE
        )
        return tuple(LookUp(row["at"], row["viewer"], row["network"]) for row in rows)


def _refusal(row: Row | None, now: int) -> ShareUnknown | ShareEnded:
    if row is None:
        return ShareUnknown(field="code")
    if row["revoked_at"] is not None:
        return ShareEnded(field="code", rule="revoked")
    return ShareEnded(field="code", rule="expired" if row["valid_until"] <= now else "view_limit")
