"""The ledger as the rest of the product calls it: asynchronous, with the blocking work on threads of its own.

One thread writes the log (group commit), one the audit trail, one reads and makes proofs, one talks to the chains, one
publishes files. None of them ever holds up the event loop or each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from adapters.observe.ledger_meter import LedgerMeter
from adapters.publication import LogFolder, Publisher
from adapters.turns import Turns
from crypto.errors import TrustError
from crypto.keys import SigningKey
from ledger.anchor import AnchorDriver, AnchorEvidence
from ledger.anchoring import AnchorWorker
from ledger.audit import AuditEvent, AuditLog
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.entry import Entry, Sequenced
from ledger.errors import AnchorForked, AnchorPending, LedgerError, LedgerUnavailable
from ledger.fsck import FsckReport, fsck
from ledger.merkle import HashAlg
from ledger.pool import GroupCommit
from ledger.publication import published_checkpoint
from ledger.publication_guard import Remembered, require_newest
from ledger.reader import LedgerReader
from ledger.receipt import LogTrust, Receipt
from ledger.sequencer import MAX_POOL_ENTRIES, Sequencer
from ledger.store import AuditHead, AuditStore, Clock, LedgerStore, StoredAnchor, StoredCheckpoint

# Events of one flush of the audit trail.
MAX_AUDIT_POOL: Final = 1024
# Receipts made in one turn of the reading thread, so that a bulk download does not keep a single page waiting.
MAX_RECEIPTS_A_TURN: Final = 512
# A place of anchoring is asked for so long before the start what it holds; a chain that is away must not stop the service.
HEAD_WAIT_S: Final = 5.0

_LOG: Final = logging.getLogger(__name__)

Result = TypeVar("Result")


class LedgerService:
    """One log: appends, receipts, anchors, and what the public page shows."""

    def __init__(
        self,
        store: LedgerStore,
        *,
        identity: LogIdentity,
        sm2_key: SigningKey,
        ed25519_key: SigningKey | None,
        clock: Clock,
        drivers: Sequence[AnchorDriver],
        publisher: Publisher | None = None,
        meter: LedgerMeter | None = None,
    ) -> None:
        """`drivers` are the places of anchoring; every checkpoint enters the outbox of each.

        `publisher` keeps the log's files; without one the log is not published. `meter` measures the writing.
        """
        self._meter = meter or LedgerMeter()
        self._store = store
        self._publisher = publisher
        self._identity = identity
        self._sequencer = Sequencer(
            store,
            identity=identity,
            sm2_key=sm2_key,
            ed25519_key=ed25519_key,
            clock=clock,
            anchor_chains=[driver.chain for driver in drivers],
        )
        self._drivers = tuple(drivers)
        self._reader = LedgerReader(store, identity)
        # The chains' thread reads proofs through a reader of its own: a reader serves one thread.
        self._anchors = AnchorWorker(store, LedgerReader(store, identity), identity, clock)
        self._pool: GroupCommit[Entry, list[Sequenced]] = GroupCommit(
            self._meter.measuring(self._commit), most=MAX_POOL_ENTRIES, name="ledger-write"
        )
        self._turns = Turns(self._pool)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="ledger-read")
        self._anchoring = ThreadPoolExecutor(1, thread_name_prefix="ledger-anchor")

    async def start(self) -> Checkpoint:
        """Check the log against its last signature and against all who remember it; begin to take entries.

        Raises what `Sequencer.open` does, and what `require_newest` does where the published files or a place of
        anchoring hold more than the database, or something else: then nothing has been signed.
        """
        remembered = await self._remembered()
        checkpoint = await self._on(self._reading, _bound(self._open, remembered))
        self._pool.start()
        if self._publisher is not None:
            # The first checkpoint is there before anybody asks; a log that is long already follows on the thread.
            await asyncio.to_thread(self._publisher.begin)
            self._publisher.start()
        return checkpoint

    async def _remembered(self) -> list[Remembered]:
        """Ask who remembers the log. Before the database is read: another process may be appending meanwhile."""
        remembered: list[Remembered] = []
        if self._publisher is not None:
            folder = self._publisher.folder
            note = await self._on(self._reading, folder.largest_note)
            if note is not None:
                published = verify_checkpoint(note, log=self._identity)
                remembered.append(Remembered("published", published.size, published.root_sha256, published.root_sm3))
        for driver in self._drivers:
            try:
                async with asyncio.timeout(HEAD_WAIT_S):
                    head = await self._on(self._anchoring, _bound(driver.head, self._identity.origin))
            except (TrustError, TimeoutError) as error:
                _LOG.warning("anchor on %s was not asked what it holds of the log: %s", driver.chain, error)
                continue
            if head is not None:
                remembered.append(Remembered(driver.chain, head.size, head.root_sha256, None))
        return remembered

    def _open(self, remembered: Sequence[Remembered]) -> Checkpoint:
        stored = self._store.head()
        head = None if stored is None else verify_checkpoint(stored.note, log=self._identity)
        require_newest(head, remembered, self._reader.root)
        return self._sequencer.open()

    async def close(self) -> None:
        """Finish what was taken, then stop. The store's database is closed by whoever opened it."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._pool.close()
        self._anchoring.shutdown(wait=True, cancel_futures=True)
        if self._publisher is not None:
            self._publisher.close()
        self._reading.shutdown(wait=True, cancel_futures=True)

    def _commit(self, requests: Sequence[Sequence[Entry]]) -> list[list[Sequenced] | LedgerError]:
        outcomes = self._sequencer.commit(requests)
        if self._publisher is not None:
            self._publisher.wake()
        return outcomes

    @property
    def waiting(self) -> int:
        """How many entries wait to be appended."""
        return self._pool.waiting

    @property
    def identity(self) -> LogIdentity:
        """The log's name and public keys."""
        return self._identity

    async def append(self, bodies: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """Append (body, 32-byte idempotency key) pairs; return their indices, durable and under a signature.

        More than a pool of them are appended pool by pool: after a failure in between, asking again with the same keys
        completes the rest. Raises EntryRefused, IdempotencyConflict, ClockWentBack, IntegrityBroken, LedgerUnavailable.
        """
        entries = [Entry(body, key) for body, key in bodies]
        indices: list[int] = []
        for at in range(0, len(entries), MAX_POOL_ENTRIES):
            indices += [place.index for place in await self._turns.request(entries[at : at + MAX_POOL_ENTRIES])]
        return indices

    async def receipt(self, index: int) -> Receipt:
        """Return the receipt of one entry. Raises EntryUnknown."""
        return await self._on(self._reading, lambda: self._reader.receipt(index))

    async def receipts(self, indices: Sequence[int]) -> list[Receipt]:
        """Return receipts in the order asked for. Raises EntryUnknown."""
        made: list[Receipt] = []
        for at in range(0, len(indices), MAX_RECEIPTS_A_TURN):
            made += await self._on(self._reading, _bound(self._reader.receipts, indices[at : at + MAX_RECEIPTS_A_TURN]))
        return made

    async def checkpoint(self) -> bytes:
        """Return the newest checkpoint's note."""
        return (await self._on(self._reading, self._reader.head)).note

    async def checkpoint_at(self, size: int) -> bytes:
        """Return the note of the checkpoint of exactly this size. Raises EntryUnknown."""
        return (await self._on(self._reading, lambda: self._reader.checkpoint(size))).note

    async def checkpoints(self, limit: int, below: int | None = None) -> Sequence[StoredCheckpoint]:
        """Return the newest checkpoints, of sizes smaller than `below` where it is given."""
        return await self._on(self._reading, lambda: self._reader.checkpoints(limit, below))

    async def anchors(self, limit: int, below: int | None = None) -> Sequence[StoredAnchor]:
        """Return the newest anchors, of sizes smaller than `below` where it is given."""
        return await self._on(self._reading, lambda: self._reader.anchors(limit, below))

    async def entry(self, index: int) -> bytes:
        """Return the bytes of one entry. Raises EntryUnknown."""
        return (await self._on(self._reading, lambda: self._reader.entry(index))).body

    async def inclusion(self, alg: HashAlg, index: int, size: int) -> tuple[bytes, ...]:
        """Return an inclusion proof. Raises ProofRefused, IntegrityBroken."""
        return await self._on(self._reading, lambda: self._reader.inclusion(alg, index, size))

    async def consistency(self, alg: HashAlg, old: int, new: int) -> tuple[bytes, ...]:
        """Return a consistency proof. Raises ProofRefused, IntegrityBroken."""
        return await self._on(self._reading, lambda: self._reader.consistency(alg, old, new))

    async def request_anchor(self) -> None:
        """Ask for the newest checkpoint to be anchored now rather than at the worker's next round; does not wait."""
        for driver in self._drivers:
            _submitted(self._anchoring, _bound(self._step_quietly, driver))

    async def anchor_now(self) -> list[AnchorEvidence]:
        """Anchor the newest waiting checkpoint on every chain and wait for it; the worker's round.

        A chain that refuses does not keep the others waiting: what it said is logged and its job stays in the outbox.
        """
        steps = [self._on(self._anchoring, _bound(self._step_quietly, driver)) for driver in self._drivers]
        return [evidence for evidence in await asyncio.gather(*steps) if evidence is not None]

    async def refresh(self, after_s: int) -> bool:
        """Sign the newest checkpoint again once it is `after_s` seconds old, and publish it; tell whether.

        Raises IntegrityBroken, CheckpointRefused, LedgerUnavailable.
        """
        try:
            signed = await asyncio.to_thread(self._sequencer.refresh, after_s)
        except TrustError as error:
            self._meter.refused(error)
            raise
        if signed and self._publisher is not None:
            self._publisher.wake()
        return signed

    async def publish_now(self) -> None:
        """Wait until everything the database holds now is published. Raises IntegrityBroken, LedgerUnavailable."""
        if self._publisher is not None:
            await asyncio.to_thread(self._publisher.catch_up)

    async def export(self, folder: LogFolder) -> Checkpoint:
        """Bring an empty folder, or an older copy of this log, up to the database; return the checkpoint it then shows.

        Raises IntegrityBroken, CheckpointRefused, LedgerUnavailable; a folder with another history is left as it is.
        """
        if self._publisher is None:
            raise LedgerUnavailable(field="published", rule="configured")
        document = self._publisher.document
        publisher = Publisher(self._store, folder, document)
        await asyncio.to_thread(publisher.catch_up)
        found = published_checkpoint(folder, document)
        if found is None:
            raise LedgerUnavailable(field="published", rule="present")
        return found[1]

    async def fsck(self, trust: LogTrust) -> FsckReport:
        """Re-derive the whole log."""
        return await self._on(self._reading, lambda: fsck(self._store, trust))

    def _step_quietly(self, driver: AnchorDriver) -> AnchorEvidence | None:
        try:
            evidence = self._anchors.step(driver)
        except AnchorPending:
            return None  # under way; the next round looks again
        except TrustError as error:
            # Two histories, or nodes that contradict each other: no retry mends that, somebody has to look.
            alarm = isinstance(error, AnchorForked) or error.rule == "disagree"
            if alarm:
                self._meter.alarmed(driver.chain)
            _LOG.log(logging.ERROR if alarm else logging.WARNING, "anchor on %s refused: %s", driver.chain, error)
            return None
        if evidence is not None:
            self._meter.anchored(driver.chain)
            if self._publisher is not None:
                self._publisher.anchored(evidence.size)
        return evidence

    async def _on(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(_submitted(pool, work))


class AuditService:
    """The audit trail for asynchronous callers: one call, durable when it returns."""

    def __init__(self, store: AuditStore) -> None:
        self._log = AuditLog(store)
        self._pool: GroupCommit[AuditEvent, AuditHead] = GroupCommit(
            self._commit, most=MAX_AUDIT_POOL, name="audit-write"
        )
        self._turns = Turns(self._pool)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="audit-read")

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return self._pool.waiting

    def start(self) -> None:
        """Begin to take events."""
        self._pool.start()

    async def close(self) -> None:
        """Finish what was taken, then stop."""
        await asyncio.to_thread(self._pool.close)
        self._reading.shutdown(wait=True, cancel_futures=True)

    async def record(self, event: AuditEvent) -> None:
        """Chain the event. Raises LedgerUnavailable; then the act must not go on unrecorded."""
        await self._turns.request([event])

    async def latest(self, limit: int, below: int | None = None) -> list[tuple[int, AuditEvent]]:
        """Return events with their places, newest first."""
        return await asyncio.wrap_future(_submitted(self._reading, lambda: self._log.latest(limit, below)))

    async def head(self) -> AuditHead:
        """Return the end of the chain."""
        return await asyncio.wrap_future(_submitted(self._reading, self._log.head))

    def _commit(self, requests: Sequence[Sequence[AuditEvent]]) -> list[AuditHead | LedgerError]:
        head = self._log.record_many(event for request in requests for event in request)
        return [head for _ in requests]


Argument = TypeVar("Argument")


def _bound(function: Callable[[Argument], Result], argument: Argument) -> Callable[[], Result]:
    return lambda: function(argument)


def _submitted(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Future[Result]:
    try:
        return pool.submit(work)
    except RuntimeError as error:  # what an executor says once it is shut down
        raise LedgerUnavailable(rule="closed") from error
