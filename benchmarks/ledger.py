"""`python -m benchmarks.ledger --json`: the log's writes, proofs and audit, with pymerkle beside it in the same run.

Every write is durable, stands in both trees (SM3 and SHA-256), has an idempotency key that is unique for ever, and is under a
checkpoint signed with SM2 and Ed25519 before its caller is answered. pymerkle keeps one tree of SHA-256, signs nothing and
knows no keys; it is installed into a virtual environment of its own (its licence is the GPL; nothing of ours imports it).
Rates are of the whole machine as it was: on a busy one, read `cpu_us` and the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.ledger_service import LedgerService
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from benchmarks.ledger_document import document
from benchmarks.ledger_peer import Peer, measure_peer
from benchmarks.processes import Measured, first_in_line
from benchmarks.story import cpu
from ledger.entry import Entry
from ledger.fsck import fsck
from ledger.merkle import HashAlg, split_hashes
from ledger.reader import LedgerReader
from ledger.sequencer import MAX_POOL_ENTRIES, Sequencer
from ledger.tiles import TileId, TileTree, extend, right_edge
from tests.ledger.parts import ORIGIN, Keys, make_keys
from tests.services import postgres
from tests.services.databases import statements
from tests.services.tables import make_tables

RECORD_BYTES: Final = 200
"""About what the entry of one credential takes."""
CALLERS: Final = 1024
PROOFS: Final = 20_000
BATCH: Final = 512
DATABASES: Final = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Line:
    """One figure; `target` None where it is only told."""

    name: str
    value: float
    unit: str
    target: float | None = None
    most: bool = False
    """Whether the target is the most allowed, not the least."""
    reference: str | None = None
    reference_value: float | None = None
    cpu_us: float | None = None

    def to_value(self) -> dict[str, Any]:
        """Return the figure as the report has it."""
        value: dict[str, Any] = {"name": self.name, "value": round(self.value, 3), "unit": self.unit}
        if self.cpu_us is not None:
            value["cpu_us"] = round(self.cpu_us, 1)
        if self.reference is not None and self.reference_value is not None:
            value |= {"reference": self.reference, "reference_value": round(self.reference_value, 3)}
            value["ratio"] = round(self.value / self.reference_value, 3)
        if self.target is not None:
            value |= {
                "target": self.target,
                "met": self.value <= self.target if self.most else self.value >= self.target,
            }
        return value


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty ledger database with its tables."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}"
        make_tables(url, "ledger")
        yield url
        return
    with postgres.running() as server:
        statements(server, "CREATE DATABASE ledger")
        url = f"{server.rpartition('/')[0]}/ledger"
        make_tables(url, "ledger")
        yield url


def _now() -> int:
    return int(time.time())


async def _crowd(store: SqlLedgerStore, keys: Keys, seconds: float) -> tuple[int, float, list[float]]:
    """Let many callers append one entry each, again and again; return how many, in how long, and each one's wait."""
    service = LedgerService(
        store, identity=keys.identity, sm2_key=keys.sm2, ed25519_key=keys.ed25519, clock=_now, drivers=[]
    )
    await service.start()
    waits: list[float] = []
    begun = time.perf_counter()
    end = begun + seconds

    async def caller() -> None:
        while True:  # at least once, however long the machine took to get here
            at = time.perf_counter()
            await service.append([(os.urandom(RECORD_BYTES), os.urandom(32))])
            waits.append(time.perf_counter() - at)
            if at + waits[-1] >= end:
                return

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    spent = time.perf_counter() - begun
    await service.close()
    return len(waits), spent, waits


def writes(kind: str, folder: Path, keys: Keys, *, seconds: float, peer: Peer) -> Iterator[Line]:
    """Measure appends of many callers, and in bulk."""
    with database(kind, folder) as url, closing(open_ledger_database(url)) as opened:
        store = SqlLedgerStore(opened, ORIGIN)
        used = time.process_time()
        done, spent, waits = asyncio.run(_crowd(store, keys, seconds))
        cpu_us = (time.process_time() - used) / done * 1e6
        yield Line(
            f"{kind}: appends of {CALLERS} callers", done / spent, "per s", 10_000,
            reference="pymerkle, SQLite, one caller", reference_value=peer.append_per_s, cpu_us=cpu_us,
        )  # fmt: skip
        waits.sort()
        yield Line(f"{kind}: durable and signed, p99", waits[len(waits) * 99 // 100], "s", 1.0, most=True)
        sequencer = _sequencer(store, keys)
        pools = [_pool() for _ in range(max(4, int(seconds * 10)))]
        begun, used = time.perf_counter(), time.process_time()
        for pool in pools:
            sequencer.append(pool)
        spent, cpu_s = time.perf_counter() - begun, time.process_time() - used
        count = len(pools) * MAX_POOL_ENTRIES
        yield Line(
            f"{kind}: appends in pools of {MAX_POOL_ENTRIES}", count / spent, "per s", 50_000,
            reference="pymerkle, SQLite, chunks of 4096", reference_value=peer.bulk_per_s, cpu_us=cpu_s / count * 1e6,
        )  # fmt: skip


def _sequencer(store: SqlLedgerStore, keys: Keys) -> Sequencer:
    made = Sequencer(
        store, identity=keys.identity, sm2_key=keys.sm2, ed25519_key=keys.ed25519, clock=_now, anchor_chains=[]
    )
    made.open()
    return made


def _pool() -> list[Entry]:
    return [Entry(os.urandom(RECORD_BYTES), os.urandom(32)) for _ in range(MAX_POOL_ENTRIES)]


def proofs(alg: HashAlg, leaves: int, peer: Peer) -> Iterator[Line]:
    """Measure inclusion proofs over the tiles of a tree of so many leaves: neighbours, batches, anywhere."""
    tiles = _tiles(alg, leaves)
    tree = TileTree(alg, lambda ids: {one: tiles[one] for one in ids})
    draw = random.Random(1)  # which proofs, not which secrets
    anywhere = [draw.randrange(leaves) for _ in range(PROOFS // 4)]
    middle = range((leaves - PROOFS) // 2, (leaves + PROOFS) // 2)
    size = f"{leaves:,} leaves, {alg.value}"
    yield _rate(
        f"proofs, neighbours, {size}", PROOFS, lambda: [tree.inclusion(at, leaves) for at in middle], 30_000, peer
    )
    batches = [middle[at : at + BATCH] for at in range(0, PROOFS, BATCH)]
    yield _rate(
        f"proofs, batches of {BATCH}, {size}",
        PROOFS,
        lambda: [tree.inclusions(one, leaves) for one in batches],
        30_000,
        peer,
    )
    yield _rate(
        f"proofs, anywhere, {size}",
        len(anywhere),
        lambda: [tree.inclusion(at, leaves) for at in anywhere],
        30_000,
        peer,
    )


def _rate(name: str, count: int, act: Callable[[], object], target: float, peer: Peer) -> Line:
    used = time.process_time()
    act()
    spent = time.process_time() - used
    return Line(
        name, count / spent, "per s and core", target,
        reference=f"pymerkle, anywhere, {peer.leaves:,} leaves", reference_value=peer.proofs_per_s,
        cpu_us=spent / count * 1e6,
    )  # fmt: skip


def _tiles(alg: HashAlg, leaves: int) -> dict[TileId, bytes]:
    tiles: dict[TileId, bytes] = {}
    edge: dict[TileId, bytes] = {}
    size = 0
    while size < leaves:
        step = min(1 << 16, leaves - size)
        tiles |= {tile.id: tile.data for tile in extend(alg, size, edge, split_hashes(os.urandom(32 * step)))}
        size += step
        edge = {one: tiles[one] for one, _ in right_edge(alg, size)}
    return tiles


def audit(folder: Path, keys: Keys, leaves: int, peer: Peer) -> Iterator[Line]:
    """Measure what a log of so many leaves takes: memory to grow, space, the first proof after a restart, a whole audit."""
    url = f"sqlite:///{folder}"
    make_tables(url, "ledger")
    with closing(open_ledger_database(url)) as opened:
        sequencer = _sequencer(SqlLedgerStore(opened, ORIGIN), keys)
        held: list[float] = []
        for number in range(leaves // MAX_POOL_ENTRIES):
            sequencer.append(_pool())
            if number in {leaves // MAX_POOL_ENTRIES // 10, leaves // MAX_POOL_ENTRIES - 1}:
                held.append(Measured(os.getpid()).memory_mb()[0])
    size = leaves // MAX_POOL_ENTRIES * MAX_POOL_ENTRIES
    yield Line(f"memory grown from a tenth to {size:,} leaves", held[-1] - held[0], "MB", 8, most=True)
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as raw:
        (used,) = raw.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN ('tile', 'sqlite_autoindex_tile_1')"
        ).fetchone()
    yield Line("tiles on the disk, a leaf and tree", used / size / 2, "bytes", 35, most=True)
    begun = time.perf_counter()
    with closing(open_ledger_database(url)) as opened:
        reader = LedgerReader(SqlLedgerStore(opened, ORIGIN), keys.identity)
        reader.inclusion(HashAlg.SM3, size // 3, size)
        yield Line(
            "first proof after reopening", (time.perf_counter() - begun) * 1000, "ms", 5, most=True,
            reference=f"pymerkle, {peer.leaves:,} leaves", reference_value=peer.first_ms,
        )  # fmt: skip
        begun = time.perf_counter()
        report = fsck(SqlLedgerStore(opened, ORIGIN), keys.trust)
        spent = time.perf_counter() - begun
        if not report.clean or report.size != size:
            raise RuntimeError("the log that was measured is not clean")
        yield Line(f"audit of {size:,} leaves, a million's time", spent * 1e6 / size, "s", 2.0, most=True)


def main() -> None:
    """Measure and print."""
    arguments = _parser().parse_args()
    keys = make_keys()
    lines: list[Line] = []

    def told(found: Iterator[Line]) -> None:
        for line in found:
            lines.append(line)
            print(json.dumps(line.to_value(), ensure_ascii=False), file=sys.stderr, flush=True)

    with first_in_line(), tempfile.TemporaryDirectory(prefix="edutrust-ledger-") as made:
        peer = measure_peer(Path(made), seconds=arguments.seconds, leaves=arguments.peer_leaves)
        for kind in arguments.database:
            folder = Path(made) / kind
            folder.mkdir()
            told(writes(kind, folder, keys, seconds=arguments.seconds, peer=peer))
        for alg in HashAlg:
            told(proofs(alg, arguments.leaves, peer))
        folder = Path(made) / "audit"
        folder.mkdir()
        told(audit(folder, keys, arguments.audit_leaves, peer))
    report = {
        "cpu": {"name": cpu(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "peer": {"name": "pymerkle", "version": peer.version, "leaves": peer.leaves},
        "figures": [line.to_value() for line in lines],
    }
    if arguments.document:
        arguments.document.write_text(document(report), "utf-8")
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ledger", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object; lines go to standard error always")
    parser.add_argument("--document", type=Path, help="write the figures there, in Markdown")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measured load")
    parser.add_argument("--leaves", type=int, default=10_000_000, help="of the tree that proofs are made in")
    parser.add_argument("--audit-leaves", type=int, default=1_000_000, help="of the log that is audited")
    parser.add_argument("--peer-leaves", type=int, default=200_000, help="of pymerkle's tree")
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=list[str](DATABASES))
    return parser


if __name__ == "__main__":
    main()
