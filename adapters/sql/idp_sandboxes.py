"""`idp.clients.sandbox_store.SandboxStore` in SQL."""

from __future__ import annotations

import json
from typing import Any

from adapters.sql.database import Database, Row
from crypto.encoding import json_strict
from idp.clients.model import ClientState
from idp.clients.sandbox_store import RequestNote
from idp.registry.model import shard_of

REGISTERING_S = 60
"""How long a place may wait for its client to be registered: the time of one request, with room to spare."""


class SqlSandboxes:
    """Developers, their clients, and notes on their requests."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._region = region

    async def allow_developer(self, person: str, now: int) -> None:
        """See `SandboxStore.allow_developer`."""
        await self._db.execute(
            "INSERT INTO developer (person, allowed_at, region, shard) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            person,
            now,
            self._region,
            shard_of(person),
        )

    async def disallow_developer(self, person: str, now: int) -> bool:
        """See `SandboxStore.disallow_developer`."""
        async with self._db.transaction() as tx:
            await tx.lock(f"sandboxes:{person}")
            owned = await tx.fetch("SELECT client_id FROM sandbox_client WHERE person = $1", person)
            for row in owned:
                client_id = row["client_id"]
                await tx.execute(
                    "UPDATE client SET state = $2, updated_at = $3 WHERE client_id = $1",
                    client_id,
                    ClientState.DISABLED.value,
                    now,
                )
                await tx.execute(
                    "UPDATE token_family SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL",
                    client_id,
                    now,
                )
                await tx.execute("DELETE FROM client_access_token WHERE client_id = $1", client_id)
                await tx.execute("DELETE FROM request_note WHERE client_id = $1", client_id)
            await tx.execute("DELETE FROM sandbox_client WHERE person = $1", person)
            return await tx.execute("DELETE FROM developer WHERE person = $1", person) == 1

    async def is_developer(self, person: str) -> bool:
        """See `SandboxStore.is_developer`."""
        return await self._db.fetch_one("SELECT person FROM developer WHERE person = $1", person) is not None

    async def developers(self) -> tuple[str, ...]:
        """See `SandboxStore.developers`."""
        rows = await self._db.fetch(
            "SELECT account.username AS username FROM developer JOIN account ON account.person = developer.person"
            " ORDER BY account.username"
        )
        return tuple(row["username"] for row in rows)

    async def reserve_sandbox(self, person: str, client_id: str, *, limit: int, now: int) -> bool:
        """See `SandboxStore.reserve_sandbox`: one transaction a developer at a time."""
        async with self._db.transaction() as tx:
            await tx.lock(f"sandboxes:{person}")
            if await tx.fetch_one("SELECT person FROM developer WHERE person = $1", person) is None:
                return False
            # A place whose client is gone (removed by the operator, or never registered after a crash) is free again.
            await tx.execute(
                "DELETE FROM sandbox_client WHERE person = $1 AND created_at < $2"
                " AND client_id NOT IN (SELECT client_id FROM client)",
                person,
                now - REGISTERING_S,
            )
            taken = await tx.fetch_one("SELECT COUNT(*) AS places FROM sandbox_client WHERE person = $1", person)
            if taken is None or taken["places"] >= limit:
                return False
            await tx.execute(
                "INSERT INTO sandbox_client (client_id, person, created_at) VALUES ($1, $2, $3)", client_id, person, now
            )
            return True

    async def sandboxes_of(self, person: str) -> tuple[str, ...]:
        """See `SandboxStore.sandboxes_of`."""
        rows = await self._db.fetch(
            "SELECT client_id FROM sandbox_client WHERE person = $1 ORDER BY created_at, client_id", person
        )
        return tuple(row["client_id"] for row in rows)

    async def release_sandbox(self, person: str, client_id: str) -> bool:
        """See `SandboxStore.release_sandbox`."""
        async with self._db.transaction() as tx:
            removed = await tx.execute(
                "DELETE FROM sandbox_client WHERE client_id = $1 AND person = $2", client_id, person
            )
            if removed:
                await tx.execute("DELETE FROM request_note WHERE client_id = $1", client_id)
            return removed == 1

    async def write_note(self, note: RequestNote, *, keep: int) -> None:
        """See `SandboxStore.write_note`: notes of one client are numbered one after the other."""
        async with self._db.transaction() as tx:
            await tx.lock(f"request notes:{note.client_id}")
            newest = await tx.fetch_one(
                "SELECT COALESCE(MAX(number), 0) AS number FROM request_note WHERE client_id = $1", note.client_id
            )
            number = 1 if newest is None else newest["number"] + 1
            await tx.execute(
                "INSERT INTO request_note (client_id, number, noted_at, endpoint, outcome, code, field, rule, reference,"
                " asked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                note.client_id,
                number,
                note.time,
                note.endpoint,
                note.outcome,
                note.code,
                note.field,
                note.rule,
                note.reference,
                json.dumps(dict(note.asked), ensure_ascii=False, separators=(",", ":")),
            )
            await tx.execute(
                "DELETE FROM request_note WHERE client_id = $1 AND number <= $2", note.client_id, number - keep
            )

    async def notes_of(self, client_id: str, *, since: int) -> tuple[RequestNote, ...]:
        """See `SandboxStore.notes_of`."""
        rows = await self._db.fetch(
            "SELECT client_id, noted_at, endpoint, outcome, code, field, rule, reference, asked FROM request_note"
            " WHERE client_id = $1 AND noted_at >= $2 ORDER BY number DESC",
            client_id,
            since,
        )
        return tuple(_note(row) for row in rows)

    async def discard_notes(self, before: int) -> int:
        """See `SandboxStore.discard_notes`."""
        return await self._db.execute("DELETE FROM request_note WHERE noted_at < $1", before)


def _note(row: Row) -> RequestNote:
    asked: Any = json_strict(row["asked"])
    texts = ("client_id", "endpoint", "outcome", "code", "field", "rule", "reference")
    return RequestNote(time=row["noted_at"], asked=asked, **{name: row[name] for name in texts})
