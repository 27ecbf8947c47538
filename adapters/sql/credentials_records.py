"""Logged credentials, their status and the statements about their issuers, in SQL. Contract: `credentials/store.py`."""

from __future__ import annotations

from adapters.sql.credentials_sealing import CredentialSealer
from adapters.sql.database import Database, Row
from credentials.errors import CredentialUnknown
from credentials.model import Act, CreditEntry, Issued, Reason, StatusChange
from credentials.status import Status
from credentials.store import MAX_PAGE, StatusListState
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

_ISSUED = (
    "SELECT i.*, b.kind, s.list, s.place, s.value FROM item i JOIN batch b ON b.id = i.batch"
    " JOIN status_entry s ON s.credential = i.id WHERE i.state = 'logged'"
)


class RecordTables:
    """`item` once logged, `status_list`, `status_entry`, `status_change`, `accreditation`, `credit_entry`."""

    def __init__(self, database: Database, sealer: CredentialSealer) -> None:
        self._db = database
        self._sealer = sealer

    async def credential(self, credential_id: str) -> Issued:
        """See `CredentialStore.credential`."""
        row = await self._db.fetch_one(f"{_ISSUED} AND i.id = $1", credential_id)
        if row is None:
            raise CredentialUnknown(field="credential")
        return self._sealer.issued(row)

    async def credentials_of_person(self, person: PersonNumber) -> tuple[Issued, ...]:
        """See `CredentialStore.credentials_of_person`."""
        rows = await self._db.fetch(
            f"{_ISSUED} AND i.person = $1 ORDER BY i.issued_at DESC, i.id LIMIT $2", person.value, MAX_PAGE
        )
        return tuple(self._sealer.issued(row) for row in rows)

    async def credentials_of_school(self, school: SchoolCode, *, after: str | None, limit: int) -> tuple[Issued, ...]:
        """See `CredentialStore.credentials_of_school`."""
        rows = await self._db.fetch(
            f"{_ISSUED} AND i.school = $1 AND i.id > $2 ORDER BY i.id LIMIT $3", school.value, after or "", limit
        )
        return tuple(self._sealer.issued(row) for row in rows)

    # Status

    async def change_status(self, change: StatusChange) -> bool:
        """See `CredentialStore.change_status`."""
        async with self._db.transaction() as tx:
            row = await tx.fetch_one(
                "UPDATE status_entry SET value = $3 WHERE credential = $1 AND value = $2 RETURNING list",
                change.credential, int(change.before), int(change.after),
            )  # fmt: skip
            if row is None:
                known = await tx.fetch_one("SELECT 1 AS n FROM status_entry WHERE credential = $1", change.credential)
                if known is None:
                    raise CredentialUnknown(field="credential")
                return False
            await tx.execute("UPDATE status_list SET revision = revision + 1 WHERE id = $1", row["list"])
            # The row of the status entry is held, so nobody else numbers this credential's changes now.
            await tx.execute(
                "INSERT INTO status_change (id, credential, number, act, before, after, reason, successor, officer, at,"
                " approval, opening_sealed) VALUES ($1, $2, (SELECT COUNT(*) FROM status_change WHERE credential = $2),"
                " $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                change.id, change.credential, change.act.value, int(change.before), int(change.after),
                change.reason.value, change.successor, change.officer.value, change.at, change.approval,
                self._sealer.seal("status_change", "opening_sealed", change.id, change.opening),
            )  # fmt: skip
            if change.after is Status.VALID:
                await tx.execute("UPDATE credit_entry SET reversed_at = NULL WHERE credential = $1", change.credential)
            else:
                await tx.execute(
                    "UPDATE credit_entry SET reversed_at = $2 WHERE credential = $1 AND reversed_at IS NULL",
                    change.credential, change.at,
                )  # fmt: skip
            return True

    async def unlogged_changes(self) -> tuple[StatusChange, ...]:
        """See `CredentialStore.unlogged_changes`."""
        rows = await self._db.fetch(
            "SELECT * FROM status_change WHERE leaf_index IS NULL ORDER BY at, id LIMIT $1", MAX_PAGE
        )
        return tuple(self._change(row) for row in rows)

    async def log_change(self, change_id: str, *, leaf_index: int) -> None:
        """See `CredentialStore.log_change`."""
        await self._db.execute(
            "UPDATE status_change SET leaf_index = $2 WHERE id = $1 AND leaf_index IS NULL", change_id, leaf_index
        )

    async def changes_of(self, credential_id: str) -> tuple[StatusChange, ...]:
        """See `CredentialStore.changes_of`."""
        rows = await self._db.fetch("SELECT * FROM status_change WHERE credential = $1 ORDER BY number", credential_id)
        return tuple(self._change(row) for row in rows)

    def _change(self, row: Row) -> StatusChange:
        return StatusChange(
            id=row["id"],
            credential=row["credential"],
            act=Act(row["act"]),
            before=Status(row["before"]),
            after=Status(row["after"]),
            reason=Reason(row["reason"]),
            successor=row["successor"],
            officer=PersonNumber(row["officer"]),
            at=row["at"],
            approval=row["approval"],
            opening=self._sealer.open("status_change", "opening_sealed", row["id"], row["opening_sealed"]),
            leaf_index=row["leaf_index"],
        )

    async def status_list(self, list_id: str) -> StatusListState:
        """See `CredentialStore.status_list`."""
        async with self._db.transaction() as tx:
            # The revision first: a change in between makes the token one of an older revision, and so not kept for new.
            row = await tx.fetch_one("SELECT * FROM status_list WHERE id = $1", list_id)
            if row is None:
                raise CredentialUnknown(field="status_list")
            entries = await tx.fetch("SELECT place, value FROM status_entry WHERE list = $1 AND value <> 0", list_id)
        return StatusListState(
            id=row["id"],
            school=SchoolCode(row["school"]),
            size=row["size"],
            values={entry["place"]: entry["value"] for entry in entries},
            revision=row["revision"],
            token=row["token"],
            token_revision=row["token_revision"],
            token_issued_at=row["token_issued_at"],
        )

    async def keep_status_token(self, list_id: str, *, token: str, revision: int, issued_at: int) -> bool:
        """See `CredentialStore.keep_status_token`."""
        kept = await self._db.execute(
            "UPDATE status_list SET token = $2, token_revision = $3, token_issued_at = $4 WHERE id = $1"
            " AND (token_revision IS NULL OR token_revision < $3 OR (token_revision = $3 AND token_issued_at < $4))",
            list_id, token, revision, issued_at,
        )  # fmt: skip
        return kept == 1

    # Accreditation and credits

    async def keep_statement(self, accreditor: str, subject: str, token: str, *, issued_at: int) -> None:
        """See `CredentialStore.keep_statement`."""
        await self._db.execute(
            "INSERT INTO accreditation (accreditor, subject, token, issued_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (accreditor, subject) DO UPDATE SET token = excluded.token, issued_at = excluded.issued_at"
            " WHERE accreditation.issued_at <= excluded.issued_at",
            accreditor, subject, token, issued_at,
        )  # fmt: skip

    async def statement(self, accreditor: str, subject: str) -> str | None:
        """See `CredentialStore.statement`."""
        row = await self._db.fetch_one(
            "SELECT token FROM accreditation WHERE accreditor = $1 AND subject = $2", accreditor, subject
        )
        return None if row is None else row["token"]

    async def credit_entries(self, person: PersonNumber) -> tuple[CreditEntry, ...]:
        """See `CredentialStore.credit_entries`."""
        rows = await self._db.fetch(
            "SELECT * FROM credit_entry WHERE person = $1 ORDER BY posted_at, credential", person.value
        )
        return tuple(
            CreditEntry(
                row["credential"], PersonNumber(row["person"]), row["hundredths"], row["posted_at"], row["reversed_at"]
            )
            for row in rows
        )
