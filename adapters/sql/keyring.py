"""Data keys by purpose, sealed under the key-encryption key (KEK → data key → column).

The column key turns while the service runs. A new one is written with a time from which it seals, far enough ahead that
every process has read it by then; `ColumnKeyRing` reads the table again every few seconds and seals with the newest key
whose time has come. A process that could not read the table for `STALE_S` seals nothing more until it can: it might use
a key that is about to be destroyed. What it still knows it opens.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import ClassVar, Final

from adapters.kek import KeyEncryptionKeys, kek_check
from adapters.sql.database import Database, Row, StoreUnavailable
from crypto.errors import TrustError
from crypto.sealed import ColumnSealer

DATA_KEY_BYTES = {
    "column": 16,  # SM4-GCM of sealed columns and private keys
    "blind-index": 32,  # HMAC-SM3 of searchable sealed fields
    "pairwise-subject": 32,  # HMAC-SM3 of pairwise subject identifiers
    "csrf": 32,  # HMAC-SM3 of anti-forgery tokens
    "login-step": 32,  # HMAC-SM3 of the transitions of a sign-in
    "share-code": 32,  # HMAC-SM3 of verification codes
}
COLUMN: Final = "column"
# One query of a few rows; short enough that an operator who turns a key sees it used within the minute.
REFRESH_S: Final = 5.0
# Four tries in a row may fail before the process stops sealing.
STALE_S: Final = 20.0
# A value that names a key this process has not read yet hastens the next reading, but not more often than this.
HASTENED_REFRESH_S: Final = 1.0

_LOG: Final = logging.getLogger(__name__)


class KeyringRefused(TrustError):
    """A data key does not open: the key-encryption key is not the one this database was made with."""

    code: ClassVar[str] = "keyring.refused"


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The keys of one purpose: all that still open, and the one that seals."""

    active: str
    by_kid: Mapping[str, bytes] = field(repr=False)

    @property
    def current(self) -> bytes:
        """The active key itself, for purposes that seal nothing and are never rotated in silence."""
        return self.by_kid[self.active]


async def open_keyring(
    database: Database, sealer: ColumnSealer, *, now: int, random_bytes: Callable[[int], bytes]
) -> dict[str, DataKeys]:
    """Return the data keys of every purpose, making the missing ones; atomic against another service's first start.

    Raises `KeyringRefused` where a key does not open, `StoreUnavailable` where the database does not answer.
    """
    for purpose, size in DATA_KEY_BYTES.items():
        kid = new_kid(purpose, random_bytes)
        await database.execute(
            "INSERT INTO data_key (purpose, kid, sealed, active, created_at, seals_from)"
            " SELECT $1, $2, $3, 1, $4, $4 WHERE NOT EXISTS (SELECT 1 FROM data_key WHERE purpose = $1)"
            " ON CONFLICT DO NOTHING",
            purpose,
            kid,
            wrap(sealer, purpose, kid, random_bytes(size)),
            now,
        )
    found: dict[str, DataKeys] = {}
    for purpose in DATA_KEY_BYTES:
        rows = await database.fetch(
            "SELECT kid, sealed, active FROM data_key WHERE purpose = $1 AND destroyed_at IS NULL", purpose
        )
        keys = {row["kid"]: unwrap(sealer, purpose, row["kid"], bytes(row["sealed"])) for row in rows}
        active = next(row["kid"] for row in rows if row["active"])
        found[purpose] = DataKeys(active, keys)
    return found


async def check_key_encryption_keys(database: Database, kek: KeyEncryptionKeys, *, now: int) -> None:
    """Hold the file's keys to their check values, and note those of keys not seen before.

    Call it after `open_keyring`, which proves the file. Raises `KeyringRefused` for a name that stands for another key.
    """
    for name, key in kek.by_kid.items():
        check = kek_check(name, key)
        await database.execute(
            "INSERT INTO key_encryption_key (kid, check_value, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            name,
            check,
            now,
        )
        row = await database.fetch_one("SELECT check_value FROM key_encryption_key WHERE kid = $1", name)
        if row is None or not hmac.compare_digest(bytes(row["check_value"]), check):
            raise KeyringRefused(field="kek_file", rule="another_key")


def new_kid(purpose: str, random_bytes: Callable[[int], bytes]) -> str:
    """Return a name for a new data key."""
    return f"{purpose}-{random_bytes(4).hex()}"


def wrap(sealer: ColumnSealer, purpose: str, kid: str, key: bytes) -> bytes:
    """Seal a data key under the key-encryption key, bound to its purpose and name."""
    return sealer.seal(key, aad=wrapping_aad(purpose, kid))


def unwrap(sealer: ColumnSealer, purpose: str, kid: str, sealed: bytes) -> bytes:
    """Open a data key. Raises `KeyringRefused`."""
    try:
        return sealer.open(sealed, aad=wrapping_aad(purpose, kid))
    except TrustError as refused:
        raise KeyringRefused(field="kek_file", rule="another_key") from refused


def wrapping_aad(purpose: str, kid: str) -> bytes:
    """Return what a sealed data key is bound to."""
    return f"data_key/{purpose}/{kid}".encode()


@dataclass(frozen=True, slots=True)
class ColumnKey:
    """A living column key. `emptied` says that a whole pass has found nothing left under it."""

    kid: str
    seals_from: int
    emptied: bool
    key: bytes = field(repr=False)


class ColumnKeyRing:
    """`crypto.sealed.SealingKeys` over table `data_key`, read again and again while the service runs."""

    def __init__(
        self,
        database: Database,
        *,
        kek: Callable[[], ColumnSealer],
        clock: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        """`kek` reads the key file anew; it is asked only for a data key not opened before."""
        self._db = database
        self._kek = kek
        self._clock = clock
        self._monotonic = monotonic
        self._keys: dict[str, ColumnKey] = {}
        self._newest_first: tuple[ColumnKey, ...] = ()
        self._read_at = float("-inf")
        self._wanted = asyncio.Event()

    async def refresh(self) -> None:
        """Read the table. Raises `StoreUnavailable`, `KekRefused`, `KeyringRefused`; then what was known stays."""
        begun = self._monotonic()
        rows = await self._db.fetch(
            "SELECT kid, sealed, seals_from, emptied_at FROM data_key WHERE purpose = $1 AND destroyed_at IS NULL",
            COLUMN,
        )
        sealer: ColumnSealer | None = None
        found: dict[str, ColumnKey] = {}
        for row in rows:
            known = self._keys.get(row["kid"])
            if known is None:
                # A key-encryption key turned since the start stands in the file, not in our memory.
                sealer = sealer or self._kek()
                found[row["kid"]] = _column_key(row, unwrap(sealer, COLUMN, row["kid"], bytes(row["sealed"])))
            else:
                found[row["kid"]] = _column_key(row, known.key)
        self._keys = found
        self._newest_first = tuple(sorted(found.values(), key=lambda key: (key.seals_from, key.kid), reverse=True))
        self._read_at = begun

    def sealing(self) -> tuple[str, bytes]:
        """Return the newest key whose time has come. Raises `StoreUnavailable` where the table was not read for long."""
        if self._monotonic() - self._read_at > STALE_S:
            raise StoreUnavailable(rule="keyring_stale")
        now = self._clock()
        for key in self._newest_first:
            if key.seals_from <= now:
                return key.kid, key.key
        # Before every key's time stands only a clock that was set back: then the oldest of them seals.
        oldest = self._newest_first[-1]
        return oldest.kid, oldest.key

    def opening(self, name: str) -> bytes | None:
        """Return the key of that name; an unknown one hastens the next reading."""
        found = self._keys.get(name)
        if found is None:
            self._wanted.set()
            return None
        return found.key

    def left_behind(self) -> tuple[ColumnKey, ...]:
        """Return the keys that seal no more and may still have values under them."""
        active, _ = self.sealing()
        seals_from = self._keys[active].seals_from
        return tuple(
            key for key in self._keys.values() if key.kid != active and key.seals_from <= seals_from and not key.emptied
        )

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Read the table every `REFRESH_S` while the block lasts."""
        task = asyncio.create_task(self._forever(), name="keyring")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(HASTENED_REFRESH_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REFRESH_S - HASTENED_REFRESH_S)
            self._wanted.clear()
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  # whatever one reading meets, the next one is tried
                _LOG.warning("the keyring could not be read: %s", type(error).__name__)


def _column_key(row: Row, key: bytes) -> ColumnKey:
    return ColumnKey(row["kid"], row["seals_from"], row["emptied_at"] is not None, key)
