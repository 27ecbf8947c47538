"""Every sealed column of the product, and the walk that brings their values under the active key.

The walk goes table by table in the order of the primary key, a bounded number of rows a step. A value is replaced only
where it still is what was read (compare-and-swap), so a writer in between is never overwritten; what is under the active
key already is passed over, so a walk that died begins again and finds its own work done. Any number of processes may walk
at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.sql.database import Database, Row
from adapters.sql.keyring import STALE_S, ColumnKeyRing
from crypto.errors import DecryptionFailed
from crypto.sealed import ColumnSealer, sealed_prefix

# Rows one step looks at and, at most, seals again: some ten milliseconds between the requests of a running service.
BATCH_ROWS: Final = 100
# Rows one step of a count looks at; it opens nothing.
COUNT_ROWS: Final = 2000
# A value that does not open will not open a second later either; a person has to look (`edutrust keys reseal` names it).
UNOPENED_AGAIN_S: Final = 3600

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SealedTable:
    """The sealed columns of one table. `aad` says, for a row (with its key) and a column, where the value stands."""

    schema: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    aad: Callable[[Row, str], bytes]


def _person(row: Row, column: str) -> bytes:
    return f"person\x00{column}\x00{row['number']}".encode()


def _conflict(row: Row, column: str) -> bytes:
    return f"registry_conflict\x00{column}\x00{row['id']}".encode()


def _authenticator(row: Row, column: str) -> bytes:
    return f"authenticator\x00{column}\x00{row['person']}".encode()


def _provider_key(row: Row, column: str) -> bytes:
    # The provider's keys and the operator's share the table, each bound under a name of its own.
    table = "signing_key" if row["owner"] == "idp" else "operator_key"
    return f"{table}\x00{column}\x00{row['kid']}".encode()


def officer_aad(row: Row, column: str) -> bytes:
    """Return what an officer's sealed entry is bound to."""
    return f"key_officer\x00{column}\x00{row['name']}".encode()


def request_aad(row: Row, column: str) -> bytes:
    """Return what a sealed request is bound to."""
    return f"key_request\x00{column}\x00{row['id']}".encode()


def _issuer_key(row: Row, column: str) -> bytes:
    return f"credentials/signing_key/{column}/{row['kid']}".encode()


def _item(row: Row, column: str) -> bytes:
    return f"credentials/item/{column}/{row['id']}".encode()


def _status_change(row: Row, column: str) -> bytes:
    return f"credentials/status_change/{column}/{row['id']}".encode()


def _share(row: Row, column: str) -> bytes:
    return f"credentials/share/{column}/{row['id']}".encode()


# Not here: `data_key.sealed`, which is under the key-encryption key (see `keyring_changes.rewrap`), and sign-ins under
# way in `transient_entry`, which end before a data key may be destroyed (see `keyring_changes.SETTLE_S`).
SEALED_TABLES: Final[tuple[SealedTable, ...]] = (
    SealedTable("idp", "key_officer", ("name",), ("sealed",), officer_aad),
    SealedTable("idp", "key_request", ("id",), ("sealed",), request_aad),
    SealedTable("idp", "signing_key", ("owner", "kid"), ("sealed_private",), _provider_key),
    SealedTable("idp", "authenticator", ("person", "kind"), ("sealed_seed",), _authenticator),
    SealedTable(
        "idp",
        "person",
        ("number",),
        (
            "real_name", "foreign_name", "given_name", "family_name", "birth", "id_number", "phone", "email", "address",
        ),
        _person,
    ),
    SealedTable("idp", "registry_conflict", ("id",), ("stated",), _conflict),
    SealedTable("credentials", "signing_key", ("kid",), ("sealed",), _issuer_key),
    SealedTable("credentials", "item", ("id",), ("sealed", "opening_sealed", "presentation_sealed"), _item),
    SealedTable("credentials", "status_change", ("id",), ("opening_sealed",), _status_change),
    SealedTable("credentials", "share", ("id",), ("sealed",), _share),
)  # fmt: skip


# A statement and its arguments.
Change = tuple[str, tuple[bytes | str, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk stands: which table of the list, and the last key it saw there."""

    table: int = 0
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What a walk did: rows seen, values sealed again, values that changed in between, values that do not open."""

    rows: int = 0
    resealed: int = 0
    overtaken: int = 0
    unopened: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.resealed + other.resealed,
            self.overtaken + other.overtaken,
            self.unopened + other.unopened,
        )


class Resealer:
    """Walks `SEALED_TABLES` over the databases by schema."""

    def __init__(self, databases: Mapping[str, Database], sealer: ColumnSealer) -> None:
        self._databases = databases
        self._sealer = sealer

    async def step(self, place: Place) -> tuple[Place | None, Tally]:
        """Seal one batch again; return where to go on, None at the end. Raises `StoreUnavailable`."""
        table = SEALED_TABLES[place.table]
        prefix = sealed_prefix(self._sealer.active)
        rows = await self._rows(
            table,
            place,
            # Only what is not under the active key is brought over; `length` leaves destroyed private halves out.
            "CASE WHEN length({c}) > 0 AND substr({c}, 1, $1) <> $2 THEN {c} END AS {c}",
            prefix,
            BATCH_ROWS,
        )
        changes: list[list[Change]] = []
        unopened = 0
        for row in rows:
            of_row: list[Change] = []
            for column in table.columns:
                if row[column] is None:
                    continue
                before = bytes(row[column])
                try:
                    after = self._sealer.reseal(before, aad=table.aad(row, column))
                except DecryptionFailed:
                    unopened += 1
                    continue
                of_row.append((_swap(table, column), (after, before, *(row[name] for name in table.key))))
            if of_row:
                changes.append(of_row)
        swapped = await self._swap_all(self._databases[table.schema], changes)
        return _next(place, table, rows, BATCH_ROWS), Tally(
            len(rows), swapped, sum(map(len, changes)) - swapped, unopened
        )

    async def walk(self, told: Callable[[Place, Tally], None] | None = None) -> Tally:
        """Walk from the beginning to the end once; `told` hears of each step."""
        place: Place | None = Place()
        total = Tally()
        while place is not None:
            at = place
            place, done = await self.step(at)
            total += done
            if told is not None:
                told(at, total)
        return total

    async def count(self, kid: str | None) -> dict[str, int]:
        """Count values by "schema.table.column": those under the key of that name, or (None) not under the active one."""
        prefix = sealed_prefix(self._sealer.active if kid is None else kid)
        sign = "<>" if kid is None else "="
        test = f"CASE WHEN length({{c}}) > 0 AND substr({{c}}, 1, $1) {sign} $2 THEN 1 ELSE 0 END AS {{c}}"
        left: dict[str, int] = {}
        place: Place | None = Place()
        while place is not None:
            table = SEALED_TABLES[place.table]
            rows = await self._rows(table, place, test, prefix, COUNT_ROWS)
            for column in table.columns:
                found = sum(row[column] for row in rows)
                if found:
                    name = f"{table.schema}.{table.table}.{column}"
                    left[name] = left.get(name, 0) + found
            place = _next(place, table, rows, COUNT_ROWS)
        return left

    async def _rows(self, table: SealedTable, place: Place, test: str, prefix: bytes, limit: int) -> list[Row]:
        columns = ", ".join((*table.key, *(test.format(c=column) for column in table.columns)))
        keys = ", ".join(table.key)
        after = ", ".join(f"${position + 4}" for position in range(len(table.key)))
        where = f"WHERE ({keys}) > ({after}) " if place.after else ""
        return await self._databases[table.schema].fetch(
            f"SELECT {columns} FROM {table.table} {where}ORDER BY {keys} LIMIT $3",  # noqa: S608  # names from the list above
            len(prefix),
            prefix,
            limit,
            *place.after,
        )

    async def _swap_all(self, database: Database, changes: list[list[Change]]) -> int:
        if database.dialect == "sqlite":
            # One commit a batch; nobody else writes meanwhile, so nobody can wait for us in a circle.
            changes = [[change for of_row in changes for change in of_row]]
        swapped = 0
        # Elsewhere one a row: a batch's row locks could meet a request's in the opposite order, and one would be killed.
        for together in changes:
            if together:
                async with database.transaction() as tx:
                    for sql, args in together:
                        swapped += await tx.execute(sql, *args)
        return swapped


def _swap(table: SealedTable, column: str) -> str:
    keys = " AND ".join(f"{name} = ${position + 3}" for position, name in enumerate(table.key))
    return f"UPDATE {table.table} SET {column} = $1 WHERE {column} = $2 AND {keys}"  # noqa: S608  # names from the list above


def _next(place: Place, table: SealedTable, rows: list[Row], limit: int) -> Place | None:
    if len(rows) == limit:
        return Place(place.table, tuple(rows[-1][name] for name in table.key))
    return Place(place.table + 1) if place.table + 1 < len(SEALED_TABLES) else None


class ResealJob:
    """The walk as the worker runs it: only while an older key may have values, and until a whole pass finds none."""

    def __init__(self, ring: ColumnKeyRing, resealer: Resealer, keys: Database, *, clock: Callable[[], int]) -> None:
        """`keys` is the database of the keyring."""
        self._ring = ring
        self._resealer = resealer
        self._keys = keys
        self._clock = clock
        self._place: Place | None = None
        self._tally = Tally()
        self._begun = 0
        self._not_before = 0

    async def step(self) -> bool:
        """Do one batch; True when more is waiting. Raises `StoreUnavailable`; the walk then goes on where it stood."""
        behind = self._ring.left_behind()
        if not behind:
            self._place = None
            return False
        if self._place is None:
            if self._clock() < self._not_before:
                return False
            self._place, self._tally, self._begun = Place(), Tally(), self._clock()
        following, done = await self._resealer.step(self._place)
        self._place = following
        self._tally += done
        if following is not None:
            return True
        changed = self._tally.resealed + self._tally.overtaken
        if not changed and not self._tally.unopened:
            await self.mark_emptied(self._begun)
        elif not changed:
            _LOG.warning("sealed values that do not open: %s", self._tally.unopened)
            self._not_before = self._clock() + UNOPENED_AGAIN_S
        # A pass that changed something is followed by one that proves there is nothing left.
        return changed > 0

    async def mark_emptied(self, begun: int) -> None:
        """Note the keys under which a whole pass, begun then, has found nothing and nobody can seal any more."""
        active = self._ring.sealing()[0]
        # Until its successor had been sealing for this long, another process might have sealed once more.
        await self._keys.execute(
            "UPDATE data_key SET emptied_at = $1 WHERE purpose = 'column' AND kid <> $2 AND emptied_at IS NULL"
            " AND destroyed_at IS NULL AND seals_from <="
            " (SELECT seals_from FROM data_key WHERE purpose = 'column' AND kid = $2 AND seals_from + $3 <= $1)",
            begun,
            active,
            int(STALE_S),
        )
        await self._ring.refresh()
