"""What pymerkle's tree in a SQLite file does, in a Python of its own; prints one JSON object.

`python peer.py FOLDER SECONDS LEAVES`. It hashes SHA-256 only, signs nothing and keeps no idempotency keys.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

from pymerkle import SqliteTree  # type: ignore[import-not-found]  # installed in an environment of its own

RECORD_BYTES = 200
CHUNK = 4096


def main() -> None:
    """Measure and print."""
    folder, seconds, leaves = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    one_by_one = SqliteTree(str(folder / "single.db"))
    begun, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        one_by_one.append_entry(os.urandom(RECORD_BYTES))
        done += 1
    single = done / spent
    one_by_one.close()
    path = str(folder / "bulk.db")
    tree = SqliteTree(path)
    begun, done = time.perf_counter(), 0
    while done < leaves:
        tree.append_entries([os.urandom(RECORD_BYTES) for _ in range(CHUNK)])
        done += CHUNK
    bulk = done / (time.perf_counter() - begun)
    tree.close()
    tree = SqliteTree(path)
    begun = time.perf_counter()
    tree.prove_inclusion(done // 3, done)
    first_ms = (time.perf_counter() - begun) * 1000
    draw = random.Random(1)
    begun, proofs = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        tree.prove_inclusion(draw.randrange(1, done + 1), done)
        proofs += 1
    tree.close()
    print(
        json.dumps({"append_per_s": single, "bulk_per_s": bulk, "proofs_per_s": proofs / spent, "first_ms": first_ms})
    )


main()
