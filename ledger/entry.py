"""One entry of the log: opaque bytes and the key under which its writer may ask again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import EntryRefused

# C2SP tlog-tiles writes an entry's length in 16 bits; what is larger could not be served as an entry bundle.
MAX_BODY_BYTES: Final = (1 << 16) - 1
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf to be: `body` of 1 to 65,535 bytes, `idempotency_key` of 32 bytes, unique to the intent for ever."""

    body: bytes
    idempotency_key: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.body) <= MAX_BODY_BYTES:
            raise EntryRefused(field="body", rule="length", most=MAX_BODY_BYTES)
        if len(self.idempotency_key) != KEY_BYTES:
            raise EntryRefused(field="idempotency_key", rule="length", most=KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Sequenced:
    """Where an entry stands: its 0-based `index`; `duplicate` where the key had already been given that place."""

    index: int
    duplicate: bool
