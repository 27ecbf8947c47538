"""Batches and their records on the way to being issued, in SQL. The contract is in `credentials/store.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from adapters.sql.credentials_sealing import CredentialSealer, batch_of
from adapters.sql.database import Database, Transaction
from credentials.errors import BatchStateRefused, BatchUnknown
from credentials.model import Batch, BatchState, ItemState, RowNote, UniqueKey
from credentials.store import ConflictNote, DraftedItem, Logged, NewItem, Plan, Signed
from idp.registry.model import shard_of
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

_ITEM = (
    "SELECT i.*, s.list, s.place FROM item i LEFT JOIN status_entry s ON s.credential = i.id "
    "WHERE i.batch = $1 AND i.position > $2"
)
_PLANNED = ("planned", "signed", "logged")


async def batch_in(tx: Transaction, batch_id: str) -> Batch:
    """Return a batch inside a transaction. Raises `BatchUnknown`."""
    row = await tx.fetch_one("SELECT * FROM batch WHERE id = $1", batch_id)
    if row is None:
        raise BatchUnknown(field="batch")
    return batch_of(row)


class BatchTables:
    """`batch`, `batch_note`, `item`, `claimed_key`, and the places in status lists."""

    def __init__(self, database: Database, sealer: CredentialSealer) -> None:
        self._db = database
        self._sealer = sealer

    async def create_batch(
        self,
        batch: Batch,
        items: Sequence[NewItem],
        *,
        refusals: Sequence[RowNote],
        warnings: Sequence[RowNote],
        conflict_note: ConflictNote,
    ) -> Batch:
        """See `CredentialStore.create_batch`."""
        region, shard = batch.school.region, shard_of(batch.school.value)
        async with self._db.transaction() as tx:
            # One claimer at a time: two batches that claim each other's keys would otherwise wait for each other.
            await tx.lock("credentials/claims")
            await tx.execute(
                "INSERT INTO batch (id, school, kind, state, drafter, digest, total, refused, created_at, region, shard)"
                " VALUES ($1, $2, $3, 'draft', $4, $5, 0, 0, $6, $7, $8)",
                batch.id, batch.school.value, batch.kind, batch.drafter.value, batch.digest, batch.created_at,
                region, shard,
            )  # fmt: skip
            refused = list(refusals)
            position = 0
            for item in items:
                conflict = await self._conflict(tx, item)
                if conflict is not None:
                    refused.append(conflict_note(item.draft, *conflict))
                    continue
                await tx.execute(
                    "INSERT INTO item (id, batch, position, state, school, sealed, digest, region, shard)"
                    " VALUES ($1, $2, $3, 'drafted', $4, $5, $6, $7, $8)",
                    item.id, batch.id, position, batch.school.value, self._sealer.seal_new(item), item.digest,
                    region, shard,
                )  # fmt: skip
                await tx.execute_many(
                    "INSERT INTO claimed_key (key_index, item) VALUES ($1, $2)",
                    [(self._sealer.key_index(key), item.id) for key in item.draft.unique],
                )
                position += 1
            refused.sort(key=lambda note: note.line)
            noted = [("refusal", note) for note in refused] + [("warning", note) for note in warnings]
            await tx.execute_many(
                "INSERT INTO batch_note (batch, number, severity, line, field, code, rule, params)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                [
                    (batch.id, number, severity, n.line, n.field, n.code, n.rule, json.dumps(dict(n.params)))
                    for number, (severity, n) in enumerate(noted)
                ],
            )
            await tx.execute(
                "UPDATE batch SET total = $2, refused = $3 WHERE id = $1", batch.id, position, len(refused)
            )
            return await batch_in(tx, batch.id)

    async def _conflict(self, tx: Transaction, item: NewItem) -> tuple[int, str] | None:
        for place, key in enumerate(item.draft.unique):
            earlier = await self._number_in(tx, key)
            if earlier is not None:
                return place, earlier
        return None

    async def _number_in(self, tx: Transaction, key: UniqueKey) -> str | None:
        row = await tx.fetch_one(
            "SELECT i.id, i.sealed FROM claimed_key k JOIN item i ON i.id = k.item WHERE k.key_index = $1",
            self._sealer.key_index(key),
        )
        return None if row is None else self._sealer.number(row["id"], row["sealed"])

    async def number_of_key(self, key: UniqueKey) -> str | None:
        """See `CredentialStore.number_of_key`."""
        async with self._db.transaction() as tx:
            return await self._number_in(tx, key)

    async def batch(self, batch_id: str) -> Batch:
        """See `CredentialStore.batch`."""
        async with self._db.transaction() as tx:
            return await batch_in(tx, batch_id)

    async def batches_of(self, school: SchoolCode, *, limit: int) -> tuple[Batch, ...]:
        """See `CredentialStore.batches_of`."""
        rows = await self._db.fetch(
            "SELECT * FROM batch WHERE school = $1 ORDER BY created_at DESC, id LIMIT $2", school.value, limit
        )
        return tuple(batch_of(row) for row in rows)

    async def unfinished_batches(self) -> tuple[str, ...]:
        """See `CredentialStore.unfinished_batches`."""
        rows = await self._db.fetch(
            "SELECT id FROM batch WHERE state IN ('approved', 'logged') ORDER BY approved_at, id"
        )
        return tuple(row["id"] for row in rows)

    async def notes(self, batch_id: str) -> tuple[tuple[RowNote, ...], tuple[RowNote, ...]]:
        """See `CredentialStore.notes`."""
        rows = await self._db.fetch("SELECT * FROM batch_note WHERE batch = $1 ORDER BY number", batch_id)
        notes = [
            (row["severity"], RowNote(row["line"], row["field"], row["code"], row["rule"], json.loads(row["params"])))
            for row in rows
        ]
        refusals = tuple(note for severity, note in notes if severity == "refusal")
        return refusals, tuple(note for severity, note in notes if severity == "warning")

    async def items(self, batch_id: str, *, after: int, limit: int, state: ItemState | None) -> tuple[DraftedItem, ...]:
        """See `CredentialStore.items`."""
        if state is None:
            rows = await self._db.fetch(
                f"{_ITEM} AND i.sealed IS NOT NULL ORDER BY i.position LIMIT $3", batch_id, after, limit
            )
        else:
            rows = await self._db.fetch(
                f"{_ITEM} AND i.state = $4 AND i.sealed IS NOT NULL ORDER BY i.position LIMIT $3",
                batch_id, after, limit, state.value,
            )  # fmt: skip
        return tuple(self._sealer.drafted(row) for row in rows)

    async def item_digests(self, batch_id: str) -> tuple[bytes, ...]:
        """See `CredentialStore.item_digests`."""
        rows = await self._db.fetch("SELECT digest FROM item WHERE batch = $1 ORDER BY position", batch_id)
        return tuple(bytes(row["digest"]) for row in rows)

    async def submit_batch(self, batch_id: str, *, digest: bytes, now: int) -> Batch:
        """See `CredentialStore.submit_batch`."""
        async with self._db.transaction() as tx:
            moved = await tx.execute(
                "UPDATE batch SET state = 'submitted', digest = $2, submitted_at = $3 WHERE id = $1 AND state = 'draft'",
                batch_id, digest, now,
            )  # fmt: skip
            return _moved(moved, await batch_in(tx, batch_id))

    async def approve_batch(self, batch_id: str, *, approver: PersonNumber, approval: str, now: int) -> Batch:
        """See `CredentialStore.approve_batch`."""
        async with self._db.transaction() as tx:
            moved = await tx.execute(
                "UPDATE batch SET state = 'approved', approver = $2, approval = $3, approved_at = $4"
                " WHERE id = $1 AND state = 'submitted'",
                batch_id, approver.value, approval, now,
            )  # fmt: skip
            return _moved(moved, await batch_in(tx, batch_id))

    async def reject_batch(self, batch_id: str, *, approver: PersonNumber, now: int) -> Batch:
        """See `CredentialStore.reject_batch`."""
        async with self._db.transaction() as tx:
            moved = await tx.execute(
                "UPDATE batch SET state = 'rejected', approver = $2, done_at = $3"
                " WHERE id = $1 AND state IN ('draft', 'submitted')",
                batch_id, approver.value, now,
            )  # fmt: skip
            batch = _moved(moved, await batch_in(tx, batch_id))
            await tx.execute("DELETE FROM claimed_key WHERE item IN (SELECT id FROM item WHERE batch = $1)", batch_id)
            await tx.execute("UPDATE item SET sealed = NULL WHERE batch = $1", batch_id)
            return batch

    async def counts(self, batch_id: str) -> tuple[int, int, int]:
        """See `CredentialStore.counts`."""
        rows = await self._db.fetch("SELECT state, COUNT(*) AS n FROM item WHERE batch = $1 GROUP BY state", batch_id)
        count = {row["state"]: int(row["n"]) for row in rows}
        planned, signed, logged = (sum(count.get(state, 0) for state in _PLANNED[step:]) for step in range(3))
        return planned, signed, logged

    async def plan_items(
        self,
        batch_id: str,
        plans: Sequence[Plan],
        *,
        list_size: int,
        new_list_id: Callable[[], str],
        draw: Callable[[int], int],
    ) -> int:
        """See `CredentialStore.plan_items`."""
        planned = 0
        async with self._db.transaction() as tx:
            batch = await batch_in(tx, batch_id)
            await tx.lock(f"credentials/status/{batch.school}")
            for plan in plans:
                row = await tx.fetch_one(
                    "SELECT i.*, NULL AS list, NULL AS place FROM item i WHERE id = $1 AND batch = $2 AND state = 'drafted'",
                    plan.item, batch_id,
                )  # fmt: skip
                if row is None:
                    continue
                drafted = self._sealer.drafted(row)
                status_list, size = await self._open_list(tx, batch.school, list_size, new_list_id)
                while not await tx.execute(
                    "INSERT INTO status_entry (list, place, credential, value) VALUES ($1, $2, $3, 0)"
                    " ON CONFLICT DO NOTHING",
                    status_list, draw(size), plan.item,
                ):  # fmt: skip
                    pass  # taken: a list is at most half full, so two draws do on average
                await tx.execute("UPDATE status_list SET used = used + 1 WHERE id = $1", status_list)
                await tx.execute(
                    "UPDATE item SET state = 'planned', person = $2, opening_sealed = $3, sealed = $4 WHERE id = $1",
                    plan.item, plan.person.value,
                    self._sealer.seal("item", "opening_sealed", plan.item, plan.opening),
                    self._sealer.seal_draft(plan.item, drafted.item.draft, None),
                )  # fmt: skip
                planned += 1
        return planned

    async def _open_list(
        self, tx: Transaction, school: SchoolCode, size: int, new_list_id: Callable[[], str]
    ) -> tuple[str, int]:
        row = await tx.fetch_one(
            "SELECT id, size FROM status_list WHERE school = $1 AND used * 2 < size ORDER BY id LIMIT 1", school.value
        )
        if row is not None:
            return row["id"], int(row["size"])
        list_id = new_list_id()
        await tx.execute(
            "INSERT INTO status_list (id, school, size, used, revision, region, shard) VALUES ($1, $2, $3, 0, 0, $4, $5)",
            list_id, school.value, size, school.region, shard_of(school.value),
        )  # fmt: skip
        return list_id, size

    async def sign_items(self, batch_id: str, signed: Sequence[Signed]) -> int:
        """See `CredentialStore.sign_items`."""
        stored = 0
        async with self._db.transaction() as tx:
            for one in signed:
                stored += await tx.execute(
                    "UPDATE item SET state = 'signed', presentation_sealed = $3, issued_at = $4"
                    " WHERE id = $1 AND batch = $2 AND state = 'planned'",
                    one.item, batch_id,
                    self._sealer.seal("item", "presentation_sealed", one.item, one.presentation.encode()),
                    one.issued_at,
                )  # fmt: skip
        return stored

    async def log_items(self, batch_id: str, logged: Sequence[Logged]) -> Batch:
        """See `CredentialStore.log_items`."""
        async with self._db.transaction() as tx:
            for one in logged:
                row = await tx.fetch_one(
                    "UPDATE item SET state = 'logged', leaf_index = $3"
                    " WHERE id = $1 AND batch = $2 AND state = 'signed' RETURNING person, issued_at, region, shard",
                    one.item, batch_id, one.leaf_index,
                )  # fmt: skip
                if row is not None and one.credit_hundredths is not None:
                    await tx.execute(
                        "INSERT INTO credit_entry (credential, person, hundredths, posted_at, region, shard)"
                        " VALUES ($1, $2, $3, $4, $5, $6)",
                        one.item, row["person"], one.credit_hundredths, row["issued_at"], row["region"], row["shard"],
                    )  # fmt: skip
            await tx.execute(
                "UPDATE batch SET state = 'logged' WHERE id = $1 AND state = 'approved'"
                " AND NOT EXISTS (SELECT 1 FROM item WHERE batch = $1 AND state <> 'logged')",
                batch_id,
            )
            return await batch_in(tx, batch_id)

    async def note_anchor_requested(self, batch_id: str, *, now: int) -> None:
        """See `CredentialStore.note_anchor_requested`."""
        await self._db.execute(
            "UPDATE batch SET anchor_requested_at = $2 WHERE id = $1 AND anchor_requested_at IS NULL", batch_id, now
        )

    async def finish_batch(self, batch_id: str, *, now: int) -> Batch:
        """See `CredentialStore.finish_batch`."""
        async with self._db.transaction() as tx:
            moved = await tx.execute(
                "UPDATE batch SET state = 'done', done_at = $2 WHERE id = $1 AND state = 'logged'", batch_id, now
            )
            batch = await batch_in(tx, batch_id)
            return batch if batch.state is BatchState.DONE else _moved(moved, batch)


def _moved(count: int, batch: Batch) -> Batch:
    if not count:
        raise BatchStateRefused(field="state", rule=batch.state.value)
    return batch
