"""What the log has promised so far, kept outside it, and the questions that hold it to that."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace

from adapters.sql.ledger_store import SqlLedgerStore
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.entry import Entry, Sequenced
from ledger.fsck import fsck
from ledger.merkle import HashAlg, verify_consistency
from ledger.reader import LedgerReader
from ledger.receipt import LogTrust, Receipt, verify_receipt

# Checkpoints compared pairwise at the end, beside each with its successor as they are seen.
PAIRS = 40
RECEIPTS = 12
"""At the end; on the way fewer at a time, which comes to hundreds in a run."""
RECEIPTS_ON_THE_WAY = 3


class PromiseBroken(Exception):
    """An invariant does not hold."""


def require(holds: bool, what: str) -> None:
    """Raise PromiseBroken unless it holds."""
    if not holds:
        raise PromiseBroken(what)


def entry(number: int) -> Entry:
    """Return the entry of a number: its bytes and key are its own for ever. A few are large."""
    digest = hashlib.sha256(b"%d" % number).digest()
    length = 2000 if digest[0] == 0 else 24 + digest[1] % 64
    return Entry((b"%d " % number).ljust(length, digest[2:3]), digest)


class Model:
    """The acknowledged entries, and every signed checkpoint anybody was shown."""

    def __init__(self, identity: LogIdentity, trust: LogTrust) -> None:
        self._identity = identity
        self._trust = trust
        self.acknowledged: dict[int, int] = {}
        self.at: dict[int, int] = {}
        self.seen: list[Checkpoint] = []
        self.anchored: set[tuple[int, str]] = set()
        """Of which checkpoints, on which chains, a worker was told that the evidence is kept."""

    def answered(self, numbers: Sequence[int], places: Sequence[Sequenced]) -> None:
        """Take the places given to a request: the first ones for ever, and each for one entry only."""
        require(len(places) == len(numbers), "each entry of a request gets one place")
        for number, place in zip(numbers, places, strict=True):
            known = self.acknowledged.get(number)
            if known is not None:
                require(place.index == known, f"entry {number} was at {known} and is told to be at {place.index}")
                require(place.duplicate, f"entry {number} was acknowledged, and is said to be new")
            else:
                other = self.at.setdefault(place.index, number)
                require(other == number, f"place {place.index} was given to {other} and {number}")
                require(
                    place.duplicate or not self.seen or place.index >= self.seen[-1].size,
                    f"new entry {number} was put at {place.index}, below a checkpoint already shown",
                )
                self.acknowledged[number] = place.index

    def look(self, store: SqlLedgerStore) -> None:
        """Look at the newest checkpoint as a monitor does: signed, later than the last one, consistent in both trees."""
        stored = store.head()
        if stored is None:
            require(not self.seen, "the log is gone")
            return
        checkpoint = verify_checkpoint(stored.note, log=self._identity)
        if self.seen:
            self._require_consistent(LedgerReader(store, self._identity), self.seen[-1], checkpoint)
        if not self.seen or self.seen[-1] != checkpoint:
            self.seen.append(checkpoint)

    def _require_consistent(self, reader: LedgerReader, old: Checkpoint, new: Checkpoint) -> None:
        require(old.size <= new.size, f"the log shrank from {old.size} to {new.size}")
        require(old.time <= new.time, f"time went back at {new.size}")
        if old.size == new.size:
            require(replace(old, time=new.time) == new, f"two checkpoints of size {old.size}")
        elif old.size:
            for alg in HashAlg:
                verify_consistency(
                    alg,
                    old_size=old.size,
                    new_size=new.size,
                    old_root=old.root(alg),
                    new_root=new.root(alg),
                    proof=reader.consistency(alg, old.size, new.size),
                )

    def whole(self, store: SqlLedgerStore) -> None:
        """Hold the store to everything: fsck finds nothing, and every acknowledged entry stands where it was said to."""
        self.look(store)
        report = fsck(store, self._trust)
        require(report.clean, f"fsck: {report.findings[:3]}")
        require(report.size == (self.seen[-1].size if self.seen else 0), "fsck saw another size than was signed")
        kept = {(anchor.size, anchor.chain) for anchor in store.scan_anchors()}
        require(self.anchored <= kept, "the evidence of an anchor is lost")
        held = store.entries(0, report.size)
        for number, index in self.acknowledged.items():
            require(index < len(held), f"acknowledged entry {number} at {index} is lost")
            require(held[index] == entry(number), f"another entry stands at {index}, where {number} was")
        require(len({one.body for one in held}) == len(held), "an entry stands in the log twice")

    def provable(self, reader: LedgerReader, rng: random.Random, count: int) -> None:
        """Fetch some receipts, and verify them from their bytes alone."""
        chosen = rng.sample(list(self.at), min(count, len(self.at)))
        for index, receipt in zip(chosen, reader.receipts(chosen), strict=True):
            verified = verify_receipt(Receipt.parse(receipt.to_json()), trust=self._trust)
            require(verified.index == index, f"the receipt of {index} proves {verified.index}")
            require(verified.body == entry(self.at[index]).body, f"the receipt of {index} proves other bytes")

    def one_history(self, store: SqlLedgerStore, rng: random.Random) -> None:
        """Compare checkpoints far apart, each pair in both trees, with the proofs of the log as it is now."""
        reader = LedgerReader(store, self._identity)
        for _ in range(min(PAIRS, len(self.seen) - 1)):
            first, second = sorted(rng.sample(range(len(self.seen)), 2))
            self._require_consistent(reader, self.seen[first], self.seen[second])
