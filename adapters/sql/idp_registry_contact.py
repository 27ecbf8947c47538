"""How people are reached, in SQL: one row of `person`, read and compared and written inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.sql.database import Database, Row, Transaction
from adapters.sql.idp_registry_sealing import PersonSealer
from idp.registry.contact import Contact, ContactStatement, NameParts, Provable, load_address
from idp.registry.errors import PersonUnknown, StatusRefused
from idp.registry.names import PersonName
from idp.registry.person_number import PersonNumber

# Sealed columns of a statement, and the column that says when the fact was proven.
_SEALED = ("email", "phone", "address")
_PLAIN = ("locale", "zoneinfo")
_PROVEN = {Provable.EMAIL: "email_verified_at", Provable.PHONE: "phone_verified_at"}


class SqlContacts:
    """The part of `RegistryStore` about how people are reached."""

    def __init__(self, db: Database, sealer: PersonSealer) -> None:
        self._db = db
        self._sealer = sealer

    async def contact(self, number: PersonNumber) -> Contact:
        """See `RegistryStore.contact`."""
        row = await self._db.fetch_one(
            "SELECT number, email, email_verified_at, phone, phone_verified_at, address, locale, zoneinfo"
            " FROM person WHERE number = $1",
            number.value,
        )
        if row is None:
            raise PersonUnknown(field="person_number", rule="unknown")
        return Contact(self._stated(row), row["email_verified_at"] is not None, row["phone_verified_at"] is not None)

    async def state_contact(
        self, number: PersonNumber, stated: ContactStatement, *, proven: Mapping[Provable, bool], now: int
    ) -> tuple[str, ...]:
        """See `RegistryStore.state_contact`."""
        async with self._db.transaction() as tx:
            row = await _held(tx, number)
            before = _texts(self._stated(row))
            after = _texts(stated)
            changed = [name for name, value in after.items() if value != before[name]]
            columns: dict[str, object] = {
                name: self._sealer.seal_optional(number.value, name, after[name]) if name in _SEALED else after[name]
                for name in changed
            }
            for fact, column in _PROVEN.items():
                kept = None if fact in changed else row[column]
                verified = after[fact] is not None and proven.get(fact, kept is not None)
                verified_at = (now if kept is None else kept) if verified else None
                if verified_at != row[column]:
                    columns[column] = verified_at
                    changed.append(f"{fact}_verified")
            await _write(tx, number, columns, now)
        return tuple(changed)

    async def set_name_parts(self, number: PersonNumber, parts: NameParts, *, now: int) -> bool:
        """See `RegistryStore.set_name_parts`."""
        async with self._db.transaction() as tx:
            row = await _held(tx, number)
            stated: dict[str, PersonName | None] = {"given_name": parts.given, "family_name": parts.family}
            columns: dict[str, object] = {
                name: self._sealer.seal_optional(number.value, name, value)
                for name, value in stated.items()
                if value != self._sealer.open_optional(row, name)
            }
            await _write(tx, number, columns, now)
        return bool(columns)

    def _stated(self, row: Row) -> ContactStatement:
        address = self._sealer.open_optional(row, "address")
        return ContactStatement(
            email=self._sealer.open_optional(row, "email"),
            phone=self._sealer.open_optional(row, "phone"),
            address=None if address is None else load_address(address),
            locale=row["locale"],
            zoneinfo=row["zoneinfo"],
        )


def _texts(stated: ContactStatement) -> dict[str, str | None]:
    return {
        "email": stated.email,
        "phone": stated.phone,
        "address": None if stated.address is None else stated.address.dump(),
        **{name: getattr(stated, name) for name in _PLAIN},
    }


async def _held(tx: Transaction, number: PersonNumber) -> Row:
    """Return a person's row, held to the end of the transaction."""
    if await tx.fetch_one("SELECT number FROM person WHERE number = $1", number.value) is None:
        raise PersonUnknown(field="person_number", rule="unknown")
    # Writes nothing new; it makes every other writer of this row wait.
    row = await tx.fetch_one(
        "UPDATE person SET status = status WHERE number = $1 AND status <> 'deleted' RETURNING *", number.value
    )
    if row is None:
        raise StatusRefused(field="status", rule="deleted")
    return row


async def _write(tx: Transaction, number: PersonNumber, columns: dict[str, object], now: int) -> None:
    if not columns:
        return
    # Names of columns are this module's constants; values travel as parameters.
    assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, start=3))
    await tx.execute(
        f"UPDATE person SET updated_at = $2, {assignments} WHERE number = $1",  # noqa: S608  # constants, see above
        number.value,
        now,
        *columns.values(),
    )
