"""What the ledger needs of a database, each verb atomic, each contract written out. Implemented in `adapters`.

Two promises carry everything: a write is durable once its context closes without an exception, and the checkpoint moves
only by compare-and-swap, serialisable even across processes. Where a verb raises LedgerUnavailable the write may have
happened or not; the sequencer reads the head again and finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ledger.entry import Entry
from ledger.tiles import Tile, TileId

Clock = Callable[[], int]
"""Seconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed checkpoint as kept: its size, its note, and the SM3 of the idempotency keys its pool brought."""

    size: int
    note: bytes
    keys_digest: bytes


@dataclass(frozen=True, slots=True)
class StoredAnchor:
    """Evidence as kept: the size anchored, where, and the witness-signed statement (compact JWS)."""

    size: int
    chain: str
    statement: str


@dataclass(frozen=True, slots=True)
class AnchorNumber:
    """The place of an anchor among those of its chain, in the order they were kept: 1, 2, 3 …"""

    chain: str
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class AnchorJob:
    """A checkpoint waiting for its anchor on one chain; `attempts` counts the tries so far."""

    chain: str
    size: int
    attempts: int


class LedgerWrite(Protocol):
    """One open write transaction of one log. Everything in it lands together, or nothing does."""

    def head(self) -> StoredCheckpoint | None:
        """Return the newest checkpoint and keep other writers of the log out until the transaction ends."""
        ...

    def positions(self, keys: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return the index of each idempotency key that was ever used, as this transaction sees it."""
        ...

    def insert_entries(self, start: int, entries: Sequence[Entry]) -> None:
        """Add entries at start, start + 1, …; CheckpointConflict if an index or a key is already taken."""
        ...

    def put_tiles(self, tiles: Sequence[Tile]) -> None:
        """Add tiles, or widen the partial ones. A tile is never narrowed, and a full one never replaced."""
        ...

    def entries(self, start: int, stop: int) -> Sequence[Entry]:
        """Read entries back from the store itself, in order, those just written included."""
        ...

    def entries_at(self, indices: Sequence[int]) -> Mapping[int, Entry]:
        """Read single entries; those that do not exist are left out."""
        ...

    def tiles(self, ids: Sequence[TileId]) -> Mapping[TileId, bytes]:
        """Read tiles back from the store itself; the ones that do not exist are left out."""
        ...

    def swap_checkpoint(self, expected: StoredCheckpoint, new: StoredCheckpoint) -> None:
        """Replace the head by `new` only if it still is `expected`, and keep `new` in the history of checkpoints.

        Exactly one of two writers that expect the same head succeeds; the other gets CheckpointConflict.
        """
        ...

    def refresh_head(self, expected: StoredCheckpoint, new: StoredCheckpoint) -> None:
        """Replace the head by `new`, a later note of the same trees; the history of checkpoints keeps the first one.

        CheckpointConflict unless the head still is `expected`.
        """
        ...

    def queue_anchors(self, size: int, chains: Sequence[str], now: int) -> None:
        """Put the checkpoint of `size` in each chain's outbox, due `now`; once, where it is there already."""
        ...

    def chains_anchored(self, size: int) -> Collection[str]:
        """Return the chains on which a checkpoint of this size or a larger one is anchored."""
        ...


class LedgerReads(Protocol):
    """Reads of committed state. Each call sees one consistent state; two calls may see two."""

    @property
    def origin(self) -> str:
        """The one log this store is open for."""
        ...

    def head(self) -> StoredCheckpoint | None:
        """Return the newest checkpoint, None before the log is created."""
        ...

    def positions(self, keys: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return the index of each idempotency key that was ever used."""
        ...

    def entries(self, start: int, stop: int) -> Sequence[Entry]:
        """Return the entries start … stop - 1 in order; fewer where the log ends before."""
        ...

    def entry_rows(self, start: int, stop: int) -> Sequence[tuple[object, object]]:
        """Return body and key of the same entries as the rows hold them, whatever that is: for who checks the store."""
        ...

    def entries_at(self, indices: Sequence[int]) -> Mapping[int, Entry]:
        """Return the entries at the indices; those that do not exist are left out."""
        ...

    def tiles(self, ids: Sequence[TileId]) -> Mapping[TileId, bytes]:
        """Return tiles, which may be wider than any one checkpoint needs; missing ones are left out."""
        ...

    def checkpoint(self, size: int) -> StoredCheckpoint | None:
        """Return the checkpoint signed at exactly this size."""
        ...

    def checkpoints(self, limit: int, below: int | None) -> Sequence[StoredCheckpoint]:
        """Return up to `limit` checkpoints, newest first, of sizes smaller than `below` where it is given."""
        ...

    def anchors(self, limit: int, below: int | None) -> Sequence[StoredAnchor]:
        """Return up to `limit` anchors, largest size first, of sizes smaller than `below` where it is given."""
        ...

    def anchors_at(self, size: int) -> Sequence[StoredAnchor]:
        """Return the anchors of the checkpoint of exactly this size, by chain."""
        ...

    def anchored_size(self, index: int) -> int | None:
        """Return the size of the best-anchored checkpoint that contains the entry: most chains, then earliest."""
        ...


class LedgerStore(LedgerReads, Protocol):
    """A log's whole storage."""

    def create(self, first: StoredCheckpoint) -> None:
        """Make the log with the checkpoint of the empty tree, unless it exists: the first caller wins."""
        ...

    def writing(self) -> AbstractContextManager[LedgerWrite]:
        """Open a write transaction; durable once the context closes, rolled back if it closes with an exception.

        LedgerUnavailable from the closing itself leaves it unknown whether the write landed.
        """
        ...

    def take_anchor_job(self, chain: str, now: int, lease_s: int) -> AnchorJob | None:
        """Lease the newest due checkpoint of a chain's outbox for `lease_s` seconds; no one else gets it meanwhile."""
        ...

    def settle_anchor(self, anchor: StoredAnchor) -> None:
        """Keep the evidence under the chain's next number and clear the chain's outbox up to its size, together.

        The same evidence twice is once.
        """
        ...

    def postpone_anchor(self, job: AnchorJob, code: str, next_at: int) -> None:
        """Give the lease back after a failure named by its code; the job is due again at `next_at`."""
        ...

    def return_anchor(self, job: AnchorJob, next_at: int) -> None:
        """Give the lease back without a failure, because more is to come; the job is due again at `next_at`."""
        ...

    def pending_anchors(self) -> Sequence[AnchorJob]:
        """Return every waiting job, for the operator's eyes."""
        ...

    def scan_tiles(self) -> Iterator[Tile]:
        """Walk every stored tile of the trees, in the order of tree, level, index."""
        ...

    def scan_stray_tiles(self) -> Iterator[tuple[str, int, int]]:
        """Walk the tile rows that are of no known tree: what they say of tree, level, index."""
        ...

    def scan_checkpoints(self) -> Iterator[StoredCheckpoint]:
        """Walk every stored checkpoint by growing size."""
        ...

    def scan_anchors(self) -> Iterator[StoredAnchor]:
        """Walk every stored anchor by growing size."""
        ...

    def scan_anchor_numbers(self) -> Iterator[AnchorNumber]:
        """Walk the numbers of the anchors, chain by chain, each chain's by growing number."""
        ...

    def anchor_counts(self) -> Mapping[str, int]:
        """Return how many anchors were ever kept of each chain."""
        ...

    def entry_count(self) -> int:
        """Count the stored entry rows."""
        ...


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of an audit chain: how many events it holds and the SM3 link of the last one."""

    count: int
    link: bytes


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An audit event as kept: its 0-based place, its canonical bytes, the SM3 link after it."""

    index: int
    body: bytes
    link: bytes


class AuditStore(Protocol):
    """The storage of one audit trail. There is no verb that changes or removes an event."""

    @property
    def origin(self) -> str:
        """The trail's own name, from which its chain starts."""
        ...

    def append(self, bodies: Sequence[bytes]) -> AuditHead:
        """Add events at the end, linked by `ledger.audit.link`; durable on return, all or none.

        Atomic: concurrent appends are serialised, and no link is ever used twice. LedgerUnavailable leaves it unknown
        whether the events were written.
        """
        ...

    def head(self) -> AuditHead:
        """Return the end of the chain as the store has it; of an empty trail: 0 and the starting link."""
        ...

    def events(self, start: int, limit: int) -> Sequence[StoredEvent]:
        """Return up to `limit` events from place `start` on, in order."""
        ...

    def latest(self, limit: int, below: int | None) -> Sequence[StoredEvent]:
        """Return up to `limit` events, newest first, of places smaller than `below` where it is given."""
        ...
