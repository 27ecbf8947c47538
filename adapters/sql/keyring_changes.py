"""Turning and destroying data keys and key-encryption keys, and what an operator is shown of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from adapters.sql.database import Database, Row
from adapters.sql.keyring import COLUMN, DATA_KEY_BYTES, STALE_S, new_kid, unwrap, wrap
from adapters.sql.resealing import Resealer
from crypto.errors import TrustError
from crypto.keys import KeyState
from crypto.sealed import ColumnSealer
from idp.login.transaction import TRANSACTION_LIFETIME_S

# Every process that may still seal has read the new key before anyone seals with it; ten seconds for clocks that differ.
SPREAD_S: Final = int(STALE_S) + 10
# After its successor has taken over, a key may still be met in a process that has not read the keyring again, and in a
# sign-in under way (a seed being enrolled is sealed in it); a minute for clocks that differ.
SETTLE_S: Final = int(STALE_S) + TRANSACTION_LIFETIME_S + 60


class KeyringChangeRefused(TrustError):
    """A change of the keyring that would make something unreadable, or that has to wait. `rule` says which."""

    code: ClassVar[str] = "keyring.change_refused"


@dataclass(frozen=True, slots=True)
class DataKeyLine:
    """A data key as an operator sees it. `sealed_under` is None once it is destroyed."""

    kid: str
    purpose: str
    state: KeyState
    created_at: int
    seals_from: int
    emptied_at: int | None
    destroyed_at: int | None
    sealed_under: str | None


@dataclass(frozen=True, slots=True)
class KekLine:
    """A key-encryption key as an operator sees it: how many data keys are under it, and its newest recovery shares."""

    kid: str
    state: KeyState
    created_at: int
    destroyed_at: int | None
    in_file: bool
    data_keys: int
    share_set: str | None
    shares: int | None
    threshold: int | None
    split_at: int | None


async def data_key_lines(database: Database, *, now: int) -> list[DataKeyLine]:
    """Return every data key, purpose by purpose, oldest first."""
    rows = await database.fetch("SELECT * FROM data_key ORDER BY purpose, seals_from, kid")
    return [_line(row, rows, now) for row in rows]


def _line(row: Row, rows: list[Row], now: int) -> DataKeyLine:
    sealing = [
        other
        for other in rows
        if other["purpose"] == row["purpose"] and other["destroyed_at"] is None and other["seals_from"] <= now
    ]
    if row["destroyed_at"] is not None:
        state = KeyState.RETIRED
    elif row["seals_from"] > now:
        state = KeyState.PENDING
    else:
        state = KeyState.ACTIVE if row["kid"] == sealing[-1]["kid"] else KeyState.RETIRING
    return DataKeyLine(
        kid=row["kid"],
        purpose=row["purpose"],
        state=state,
        created_at=row["created_at"],
        seals_from=row["seals_from"],
        emptied_at=row["emptied_at"],
        destroyed_at=row["destroyed_at"],
        sealed_under=None if state is KeyState.RETIRED else ColumnSealer.key_of(bytes(row["sealed"])),
    )


async def kek_lines(database: Database, *, in_file: list[str]) -> list[KekLine]:
    """Return every key-encryption key the database has met; `in_file` are the names of the key file, the active last."""
    under: dict[str, int] = {}
    for row in await database.fetch("SELECT sealed FROM data_key WHERE destroyed_at IS NULL"):
        name = ColumnSealer.key_of(bytes(row["sealed"]))
        under[name] = under.get(name, 0) + 1
    rows = await database.fetch("SELECT * FROM key_encryption_key ORDER BY created_at, kid")
    return [
        KekLine(
            kid=row["kid"],
            state=KeyState.RETIRED
            if row["destroyed_at"] is not None
            else KeyState.ACTIVE
            if row["kid"] == in_file[-1]
            else KeyState.RETIRING,
            created_at=row["created_at"],
            destroyed_at=row["destroyed_at"],
            in_file=row["kid"] in in_file,
            data_keys=under.get(row["kid"], 0),
            share_set=row["share_set"],
            shares=row["shares"],
            threshold=row["threshold"],
            split_at=row["split_at"],
        )
        for row in rows
    ]


async def rotate_column_key(
    database: Database, sealer: ColumnSealer, *, now: int, seals_from: int, random_bytes: Callable[[int], bytes]
) -> str:
    """Add the next column key, which seals from that time on; return its name.

    `sealer` is the key-encryption key's. `seals_from` lies `SPREAD_S` ahead unless nothing else runs on this database.
    Raises `KeyringChangeRefused` with rule pending while the key before it waits for its own time.
    """
    kid = new_kid(COLUMN, random_bytes)
    sealed = wrap(sealer, COLUMN, kid, random_bytes(DATA_KEY_BYTES[COLUMN]))
    async with database.transaction() as tx:
        await tx.lock("keyring")
        newest = await tx.fetch_one("SELECT seals_from FROM data_key WHERE purpose = $1 AND active = 1", COLUMN)
        if newest is None or newest["seals_from"] > now or newest["seals_from"] >= seals_from:
            raise KeyringChangeRefused(field="column", rule="pending")
        await tx.execute("UPDATE data_key SET active = 0 WHERE purpose = $1", COLUMN)
        await tx.execute(
            "INSERT INTO data_key (purpose, kid, sealed, active, created_at, seals_from) VALUES ($1, $2, $3, 1, $4, $5)",
            COLUMN,
            kid,
            sealed,
            now,
            seals_from,
        )
    return kid


async def rewrap(database: Database, sealer: ColumnSealer) -> int:
    """Seal every living data key under the active key-encryption key; return how many were not yet.

    One transaction: the keyring hangs on one key or on the other. The data keys themselves stay, so nothing that runs
    notices. Raises `KeyringRefused` where a data key does not open.
    """
    async with database.transaction() as tx:
        await tx.lock("keyring")
        moved = 0
        for row in await tx.fetch("SELECT purpose, kid, sealed FROM data_key WHERE destroyed_at IS NULL"):
            if ColumnSealer.key_of(bytes(row["sealed"])) == sealer.active:
                continue
            key = unwrap(sealer, row["purpose"], row["kid"], bytes(row["sealed"]))
            moved += await tx.execute(
                "UPDATE data_key SET sealed = $3 WHERE purpose = $1 AND kid = $2",
                row["purpose"],
                row["kid"],
                wrap(sealer, row["purpose"], row["kid"], key),
            )
    return moved


async def destroy_column_key(database: Database, resealer: Resealer, kid: str, *, now: int) -> None:
    """Destroy a column key under which nothing is left: its sealed bytes are emptied, its line stays.

    Raises `KeyringChangeRefused`: rule unknown_key, retired, in_use (it seals, or will), settling (its successor seals
    for less than `SETTLE_S`), or values_left with their number.
    """
    lines = {line.kid: line for line in await data_key_lines(database, now=now) if line.purpose == COLUMN}
    line = lines.get(kid)
    if line is None:
        raise KeyringChangeRefused(field="kid", rule="unknown_key")
    if line.state is KeyState.RETIRED:
        raise KeyringChangeRefused(field="kid", rule="retired")
    if line.state is not KeyState.RETIRING:
        raise KeyringChangeRefused(field="kid", rule="in_use")
    # What follows it in time has taken over from it, whether it still lives or not.
    successor = min(
        (other.seals_from for other in lines.values() if (other.seals_from, other.kid) > (line.seals_from, kid)),
        default=now,
    )
    if now < successor + SETTLE_S:
        raise KeyringChangeRefused(field="kid", rule="settling", seconds=successor + SETTLE_S - now)
    left = sum((await resealer.count(kid)).values())
    if left:
        raise KeyringChangeRefused(field="kid", rule="values_left", values=left)
    await database.execute(
        "UPDATE data_key SET sealed = $1, destroyed_at = $2 WHERE purpose = $3 AND kid = $4 AND active = 0",
        b"",
        now,
        COLUMN,
        kid,
    )


async def require_unused_kek(database: Database, kid: str) -> None:
    """Raise `KeyringChangeRefused` (rule values_left) while a living data key is under this key-encryption key."""
    rows = await database.fetch("SELECT sealed FROM data_key WHERE destroyed_at IS NULL")
    left = sum(ColumnSealer.key_of(bytes(row["sealed"])) == kid for row in rows)
    if left:
        raise KeyringChangeRefused(field="kid", rule="values_left", values=left)


async def mark_kek_destroyed(database: Database, kid: str, *, now: int) -> None:
    """Note that a key-encryption key is gone from the key file."""
    await database.execute("UPDATE key_encryption_key SET destroyed_at = $2 WHERE kid = $1", kid, now)


async def note_shares(database: Database, kid: str, *, share_set: str, shares: int, threshold: int, now: int) -> None:
    """Note the newest set of recovery shares of a key-encryption key. The check value was noted when it was first met."""
    await database.execute(
        "UPDATE key_encryption_key SET share_set = $2, shares = $3, threshold = $4, split_at = $5 WHERE kid = $1",
        kid,
        share_set,
        shares,
        threshold,
        now,
    )
