"""The one writer of a log: gives entries their places, grows both trees, signs the checkpoint, in one transaction.

Every pool takes the same road, and so recovery after a crash has no road of its own: read the head, check its signature
and that the stored right edge of both trees gives exactly the signed roots, write the entries and tiles, read them back
and recompute everything from what was read, and only then sign and swap the checkpoint. A log whose store does not
agree with its last signature stops, loudly, before it signs again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from crypto.keys import SigningKey
from crypto.sm3 import sm3
from ledger.checkpoint import Checkpoint, LogIdentity, sign_checkpoint, verify_checkpoint
from ledger.entry import Entry, Sequenced
from ledger.errors import (
    CheckpointConflict,
    ClockWentBack,
    IdempotencyConflict,
    IntegrityBroken,
    LedgerError,
    LedgerUnavailable,
)
from ledger.merkle import HashAlg, empty_root, leaf_hashes
from ledger.store import Clock, LedgerStore, LedgerWrite, StoredCheckpoint
from ledger.tiles import Tile, TileId, extend, right_edge, root_of_edge

# Big enough that the disk's flush is shared by thousands, small enough that a pool is written within 0.1 s.
MAX_POOL_ENTRIES: Final = 4096

# After a lost swap or an unanswered commit the same pool is tried again: its keys tell what had landed.
ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class _Head:
    """The checkpoint the store holds, verified, and the right edges of both trees that give its roots."""

    stored: StoredCheckpoint
    checkpoint: Checkpoint
    edges: dict[HashAlg, dict[TileId, bytes]]


class Sequencer:
    """Appends to one log. Safe to call from several threads and to run in several processes: all but one wait."""

    def __init__(
        self,
        store: LedgerStore,
        *,
        identity: LogIdentity,
        sm2_key: SigningKey,
        ed25519_key: SigningKey | None,
        clock: Clock,
        anchor_chains: Sequence[str],
    ) -> None:
        """`identity` holds the public halves of the keys; `anchor_chains` the chains whose outbox each pool joins."""
        self._store = store
        self._identity = identity
        self._sm2_key = sm2_key
        self._ed25519_key = ed25519_key
        self._clock = clock
        self._chains = tuple(anchor_chains)
        self._lock = threading.Lock()
        self._verified: tuple[StoredCheckpoint, Checkpoint] | None = None

    def open(self) -> Checkpoint:
        """Create the log if it is new, check that the store agrees with the last signature, return that checkpoint.

        Raises IntegrityBroken or CheckpointRefused where it does not agree; nothing may be appended then.
        """
        with self._lock:
            if self._store.head() is None:
                empty = Checkpoint(
                    self._identity.origin, 0, empty_root(HashAlg.SHA256), empty_root(HashAlg.SM3), self._clock()
                )
                self._store.create(self._sign(empty, b""))
            with self._store.writing() as write:
                checkpoint = self._head(write).checkpoint
                # A log that came from files, or a chain that is new: its newest checkpoint waits like any other.
                if checkpoint.size and self._chains:
                    anchored = write.chains_anchored(checkpoint.size)
                    missing = [chain for chain in self._chains if chain not in anchored]
                    write.queue_anchors(checkpoint.size, missing, self._clock())
            return checkpoint

    def refresh(self, after_s: int) -> bool:
        """Sign the newest checkpoint again, with the time of now, once it is `after_s` seconds old; tell whether.

        The trees stay as they are: whoever holds the earlier note is told that the log still stands by it. Of several
        processes one signs, and the others find it done. Raises CheckpointRefused, IntegrityBroken, LedgerUnavailable.
        """
        with self._lock, self._store.writing() as write:
            head = self._head(write)
            now = self._clock()
            if now - head.checkpoint.time < after_s:
                return False
            note = self._sign(replace(head.checkpoint, time=now), b"").note
            write.refresh_head(head.stored, replace(head.stored, note=note))
        return True

    def append(self, entries: Sequence[Entry]) -> list[Sequenced]:
        """Append the entries, all or none, and return their places once they are durable and under a signature.

        An entry whose key was used before for the same bytes is not written again. Raises IdempotencyConflict for other
        bytes, ClockWentBack, IntegrityBroken, LedgerUnavailable.
        """
        outcome = self.commit([entries])[0]
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome

    def commit(self, requests: Sequence[Sequence[Entry]]) -> list[list[Sequenced] | LedgerError]:
        """Append several callers' entries as one pool under one checkpoint.

        Returns, in order, each request's places or its own refusal; what concerns the pool as a whole is raised.
        """
        with self._lock:
            # Entries are asked for again only after a failure, so the first try bets that no key was used before: the
            # store refuses a key that was, the transaction is undone, and the next try looks them up.
            for attempt in range(ATTEMPTS - 1):
                try:
                    return self._try_commit(requests, bet=attempt == 0)
                except ClockWentBack:
                    if attempt:  # nothing new is signed then; what was written before is still answered
                        raise
                except (CheckpointConflict, LedgerUnavailable):
                    self._verified = None
            return self._try_commit(requests, bet=False)

    def _try_commit(self, requests: Sequence[Sequence[Entry]], *, bet: bool) -> list[list[Sequenced] | LedgerError]:
        with self._store.writing() as write:
            head = self._head(write)
            placed = _place_new(head.checkpoint.size, requests) if bet else None
            outcomes, fresh = placed or _place(write, head.checkpoint.size, requests)
            if fresh:
                self._grow(write, head, fresh)
        return outcomes

    def _head(self, write: LedgerWrite) -> _Head:
        """Read the head under the write lock and hold the store to it."""
        stored = write.head()
        if stored is None:
            raise IntegrityBroken(field="head", rule="present")
        if self._verified is None or self._verified[0] != stored:
            self._verified = (stored, verify_checkpoint(stored.note, log=self._identity))
        checkpoint = self._verified[1]
        if checkpoint.size != stored.size:
            raise IntegrityBroken(field="head", rule="signed_size")
        edges: dict[HashAlg, dict[TileId, bytes]] = {}
        for alg in HashAlg:
            edges[alg] = dict(write.tiles([tile_id for tile_id, _ in right_edge(alg, checkpoint.size)]))
            if root_of_edge(alg, checkpoint.size, edges[alg]) != checkpoint.root(alg):
                raise IntegrityBroken(field="tile", rule="signed_root")
        return _Head(stored, checkpoint, edges)

    def _grow(self, write: LedgerWrite, head: _Head, fresh: list[Entry]) -> None:
        """Write the pool, read it back, recompute, sign, swap."""
        old = head.checkpoint
        now = self._clock()
        if now < old.time:
            raise ClockWentBack(field="time", rule="not_before_last", last=old.time, now=now)
        size = old.size + len(fresh)
        write.insert_entries(old.size, fresh)
        for alg in HashAlg:
            write.put_tiles(_tiles(alg, head, fresh))
        stored = write.entries(old.size, size)
        if list(stored) != fresh:
            raise IntegrityBroken(field="entry", rule="read_back")
        roots = {alg: _verified_root(alg, write, head, stored) for alg in HashAlg}
        checkpoint = replace(old, size=size, root_sha256=roots[HashAlg.SHA256], root_sm3=roots[HashAlg.SM3], time=now)
        new = self._sign(checkpoint, b"".join(entry.idempotency_key for entry in stored))
        write.swap_checkpoint(head.stored, new)
        write.queue_anchors(size, self._chains, now)

    def _sign(self, checkpoint: Checkpoint, keys: bytes) -> StoredCheckpoint:
        note = sign_checkpoint(checkpoint, sm2_key=self._sm2_key, ed25519_key=self._ed25519_key)
        # A signature that went wrong on the way must not become the log's word.
        verify_checkpoint(note, log=self._identity)
        return StoredCheckpoint(checkpoint.size, note, sm3(keys))


def _place_new(
    size: int, requests: Sequence[Sequence[Entry]]
) -> tuple[list[list[Sequenced] | LedgerError], list[Entry]] | None:
    """Place requests whose keys are all new, without asking; None where a key comes twice among them."""
    fresh = [entry for request in requests for entry in request]
    if len({entry.idempotency_key for entry in fresh}) < len(fresh):
        return None
    outcomes: list[list[Sequenced] | LedgerError] = []
    for request in requests:
        outcomes.append([Sequenced(index, duplicate=False) for index in range(size, size + len(request))])
        size += len(request)
    return outcomes, fresh


def _place(
    write: LedgerWrite, size: int, requests: Sequence[Sequence[Entry]]
) -> tuple[list[list[Sequenced] | LedgerError], list[Entry]]:
    """Give each request its places, or its refusal; return with them the entries that are new."""
    keys = list({entry.idempotency_key: None for request in requests for entry in request})
    known = dict(write.positions(keys))
    held = {index: entry.body for index, entry in write.entries_at(sorted(known.values())).items()}
    if len(held) != len(known):
        raise IntegrityBroken(field="entry", rule="present")
    outcomes: list[list[Sequenced] | LedgerError] = []
    fresh: list[Entry] = []
    for request in requests:
        places: list[Sequenced] = []
        added: dict[bytes, int] = {}
        bodies: dict[int, bytes] = {}
        for entry in request:
            index = known.get(entry.idempotency_key, added.get(entry.idempotency_key))
            if index is None:
                index = size + len(fresh) + len(added)
                added[entry.idempotency_key] = index
                bodies[index] = entry.body
                places.append(Sequenced(index, duplicate=False))
            elif entry.body != held.get(index, bodies.get(index)):
                outcomes.append(IdempotencyConflict(field="idempotency_key", rule="same_body", index=index))
                break
            else:
                places.append(Sequenced(index, duplicate=True))
        else:
            outcomes.append(places)
            fresh += [Entry(bodies[index], key) for key, index in added.items()]
            known |= added
            held |= bodies
    return outcomes, fresh


def _tiles(alg: HashAlg, head: _Head, entries: Sequence[Entry]) -> list[Tile]:
    leaves = leaf_hashes(alg, [entry.body for entry in entries])
    return extend(alg, head.checkpoint.size, head.edges[alg], leaves)


def _verified_root(alg: HashAlg, write: LedgerWrite, head: _Head, stored: Sequence[Entry]) -> bytes:
    """Recompute the pool's tiles from the entries read back, hold the tiles read back to them, return the root.

    Not the same computation kept: done again, because a bit that flipped in memory or in the store the first time must
    never be signed.
    """
    expected = {tile.id: tile.data for tile in _tiles(alg, head, stored)}
    if dict(write.tiles(list(expected))) != expected:
        raise IntegrityBroken(field="tile", rule="read_back")
    return root_of_edge(alg, head.checkpoint.size + len(stored), head.edges[alg] | expected)
