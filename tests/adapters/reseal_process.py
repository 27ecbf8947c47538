"""A process that re-seals and says after each step how much, until somebody kills it.

Arguments: database URL, key file, and the time at which its clock stands.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from adapters.kek import read_kek
from adapters.sql.engine import open_database
from adapters.sql.keyring import ColumnKeyRing
from adapters.sql.resealing import Resealer
from crypto.sealed import RingSealer
from tests.adapters.keys_world import sealer_of


async def _reseal(url: str, kek_file: Path, now: int) -> None:
    idp, credentials = await open_database(url, "idp"), await open_database(url, "credentials")
    ring = ColumnKeyRing(idp, kek=lambda: sealer_of(read_kek(kek_file)), clock=lambda: now, monotonic=lambda: 0.0)
    await ring.refresh()
    resealer = Resealer({"idp": idp, "credentials": credentials}, RingSealer(ring, os.urandom))

    def told(_place: object, tally: object) -> None:
        resealed = getattr(tally, "resealed", 0)
        if resealed:
            sys.stdout.write(f"resealed {resealed}\n")
            sys.stdout.flush()
            time.sleep(0.3)  # whoever kills has time to

    await resealer.walk(told)


asyncio.run(_reseal(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
