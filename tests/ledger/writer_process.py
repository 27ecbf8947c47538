"""A process that appends without end and says what was acknowledged, until it is killed."""

from __future__ import annotations

import sys
import time

from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.keys import signing_key_from_bytes
from crypto.sm2 import BACKENDS, select_backend
from ledger.checkpoint import LogIdentity
from ledger.sequencer import Sequencer
from tests.ledger.parts import ORIGIN, entries


def main(url: str, key: str, writer: int) -> None:
    sm2_key = signing_key_from_bytes(bytes.fromhex(key), backend=select_backend(BACKENDS))
    sequencer = Sequencer(
        SqlLedgerStore(open_ledger_database(url), ORIGIN),
        identity=LogIdentity(ORIGIN, sm2_key.public, None),
        sm2_key=sm2_key,
        ed25519_key=None,
        clock=lambda: int(time.time()),
        anchor_chains=["file"],
    )
    sequencer.open()
    number = writer * 1_000_000
    while True:
        for place, one in zip(sequencer.append(entries(number, number + 3)), range(number, number + 3), strict=True):
            sys.stdout.write(f"{one} {place.index}\n")
        sys.stdout.flush()
        number += 3


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
