"""Reading the log: receipts, proofs, and what a public page may show. Not for more than one thread at a time."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.entry import Entry
from ledger.errors import EntryUnknown, IntegrityBroken
from ledger.merkle import HashAlg
from ledger.receipt import Receipt
from ledger.store import LedgerReads, StoredAnchor, StoredCheckpoint
from ledger.tiles import TileTree


class LedgerReader:
    """Makes proofs from the stored tiles of one log."""

    def __init__(self, store: LedgerReads, identity: LogIdentity) -> None:
        self._store = store
        self._identity = identity
        self._trees = {alg: TileTree(alg, store.tiles) for alg in HashAlg}
        self._last_verified: tuple[StoredCheckpoint, Checkpoint] | None = None

    def head(self) -> StoredCheckpoint:
        """Return the newest checkpoint. EntryUnknown before the log was created."""
        head = self._store.head()
        if head is None:
            raise EntryUnknown(field="checkpoint")
        return head

    def checkpoint(self, size: int) -> StoredCheckpoint:
        """Return the checkpoint signed at exactly this size. Raises EntryUnknown."""
        stored = self._store.checkpoint(size)
        if stored is None:
            raise EntryUnknown(field="size")
        return stored

    def checkpoints(self, limit: int, below: int | None) -> Sequence[StoredCheckpoint]:
        """Return the newest checkpoints, of sizes smaller than `below` where it is given."""
        return self._store.checkpoints(limit, below)

    def anchors(self, limit: int, below: int | None) -> Sequence[StoredAnchor]:
        """Return the newest anchors, of sizes smaller than `below` where it is given."""
        return self._store.anchors(limit, below)

    def entry(self, index: int) -> Entry:
        """Return the entry at `index`. Raises EntryUnknown."""
        entry = self._store.entries_at([index]).get(index)
        if entry is None:
            raise EntryUnknown(field="index")
        return entry

    def root(self, alg: HashAlg, size: int) -> bytes:
        """Return the root over the first `size` entries; IntegrityBroken where the log is shorter."""
        return self._trees[alg].root(size)

    def inclusion(self, alg: HashAlg, index: int, size: int) -> tuple[bytes, ...]:
        """Return the inclusion proof of an entry in the tree of `size`, lowest sibling first."""
        return self._trees[alg].inclusion(index, size)

    def consistency(self, alg: HashAlg, old: int, new: int) -> tuple[bytes, ...]:
        """Return the consistency proof between two sizes; empty from the empty tree, about which nothing is proved."""
        return self._trees[alg].consistency(old, new) if old else ()

    def receipt(self, index: int) -> Receipt:
        """Return the receipt of one entry. Raises EntryUnknown."""
        return self.receipts([index])[0]

    def receipts(self, indices: Sequence[int]) -> list[Receipt]:
        """Return receipts in the order asked for, each under the best-anchored checkpoint that contains its entry.

        Where no anchor contains it yet, under the newest checkpoint. Raises EntryUnknown if any entry is unknown.
        """
        entries = self._store.entries_at(sorted(set(indices)))
        unknown = next((index for index in indices if index not in entries), None)
        if unknown is not None:
            raise EntryUnknown(field="index", index=unknown)
        made: dict[int, Receipt] = {}
        for size, group in self._grouped(sorted(entries)):
            stored = self.head() if size is None else self.checkpoint(size)
            note, size_of_tree = stored.note, self._verified(stored).size
            anchors = tuple(anchor.statement for anchor in self._store.anchors_at(size_of_tree))
            paths_sm3 = self._trees[HashAlg.SM3].inclusions(group, size_of_tree)
            paths_sha256 = self._trees[HashAlg.SHA256].inclusions(group, size_of_tree)
            for index, sm3_path, sha256_path in zip(group, paths_sm3, paths_sha256, strict=True):
                body = entries[index].body
                made[index] = Receipt(self._identity.origin, index, body, sm3_path, sha256_path, note, anchors)
        return [made[index] for index in indices]

    def _grouped(self, indices: Sequence[int]) -> list[tuple[int | None, list[int]]]:
        """Split growing indices by the anchored size that serves them; None stands for the newest checkpoint."""
        groups: list[tuple[int | None, list[int]]] = []
        for index in indices:
            if groups and (groups[-1][0] is None or index < groups[-1][0]):
                groups[-1][1].append(index)
            else:
                groups.append((self._store.anchored_size(index), [index]))
        return groups

    def _verified(self, stored: StoredCheckpoint) -> Checkpoint:
        """Hold a checkpoint about to be handed out to the log's own keys; once, where it is asked for again."""
        if self._last_verified is not None and self._last_verified[0] == stored:
            return self._last_verified[1]
        checkpoint = verify_checkpoint(stored.note, log=self._identity)
        if checkpoint.size != stored.size:
            raise IntegrityBroken(field="checkpoint", rule="signed_size")
        self._last_verified = (stored, checkpoint)
        return checkpoint
