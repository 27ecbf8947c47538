"""The index of idempotency keys held to the entries: asked by its key, each entry is where it stands.

The walk of `fsck` reads the keys from the rows. Writers ask the other way, through the database's index, and an index that
lost a key would let its entry be written twice. Every key is looked up once, so this takes a multiple of the walk.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.fsck import STEP
from ledger.store import LedgerReads


def check_keys(store: LedgerReads, size: int, found: Callable[[str, str, str], None]) -> None:
    """Look up the key of each of the first `size` entries."""
    for start in range(0, size, STEP):
        keys = [key for _, key in store.entry_rows(start, min(start + STEP, size))]
        positions = store.positions([key for key in keys if isinstance(key, bytes)])
        for index, key in enumerate(keys, start):
            # What is no key at all, the walk has told of.
            if isinstance(key, bytes) and positions.get(key) != index:
                found("idempotency_key", str(index), "index")
