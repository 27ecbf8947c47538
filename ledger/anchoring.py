"""The anchor worker's step: from the outbox to the chain to evidence that lasts.

The outbox row was written in the transaction that signed the checkpoint, so no checkpoint is forgotten; the newest one
speaks for all before it, so a chain that was away for a day is caught up with one anchor.
"""

from __future__ import annotations

from typing import Final

from crypto.errors import TrustError
from ledger.anchor import AnchorDriver, AnchoredHead, AnchorEvidence, AnchorRequest, require_binds
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.errors import AnchorForked, AnchorPending
from ledger.merkle import HashAlg
from ledger.reader import LedgerReader
from ledger.store import Clock, LedgerStore, StoredAnchor

# Longer than one wait for finality; a worker that died gives its job up after this.
LEASE_S: Final = 300
# After a failure the job is due again in 2 s, 4 s, 8 s … at most this, so that a chain that returns is caught up soon.
MAX_BACKOFF_S: Final = 120
# A transaction under way is looked at again this soon.
PENDING_S: Final = 2


class AnchorWorker:
    """Anchors the newest waiting checkpoint of each chain."""

    def __init__(self, store: LedgerStore, reader: LedgerReader, identity: LogIdentity, clock: Clock) -> None:
        self._store = store
        self._reader = reader
        self._identity = identity
        self._clock = clock

    def step(self, driver: AnchorDriver) -> AnchorEvidence | None:
        """Take the chain's newest due job and anchor it; None where there is none.

        A refusal is raised after the job has been put back. AnchorForked means that the chain and this database hold
        two histories: the job stays, and someone has to look.
        """
        job = self._store.take_anchor_job(driver.chain, self._clock(), LEASE_S)
        if job is None:
            return None
        try:
            evidence = self._anchor(driver, job.size)
        except AnchorPending:
            self._store.return_anchor(job, self._clock() + PENDING_S)
            raise
        except TrustError as error:
            backoff = min(2 ** min(job.attempts + 1, 16), MAX_BACKOFF_S)
            self._store.postpone_anchor(job, error.code, self._clock() + backoff)
            raise
        self._store.settle_anchor(StoredAnchor(evidence.size, evidence.chain, evidence.statement))
        if evidence.size < job.size:
            # An earlier checkpoint was under way; this one's turn comes now.
            self._store.return_anchor(job, self._clock())
        return evidence

    def _anchor(self, driver: AnchorDriver, size: int) -> AnchorEvidence:
        head = driver.head(self._identity.origin)
        if head is not None:
            self._require_own(head)
            # The chain already holds a later checkpoint whose evidence was lost on the way back: fetch that instead.
            size = max(size, head.size)
        checkpoint, note = self._signed(size)
        old = 0 if head is None else head.size
        request = AnchorRequest(
            note,
            checkpoint,
            head,
            self._reader.consistency(HashAlg.SHA256, old, size),
            self._reader.consistency(HashAlg.SM3, old, size),
        )
        evidence = driver.anchor(request)
        require_binds(evidence, checkpoint if evidence.size == size else self._signed(evidence.size)[0])
        return evidence

    def _signed(self, size: int) -> tuple[Checkpoint, bytes]:
        """Return a checkpoint of this log with its note; AnchorForked where none of this size was ever signed."""
        stored = self._store.checkpoint(size)
        if stored is None:
            raise AnchorForked(field="size", rule="known")
        return verify_checkpoint(stored.note, log=self._identity), stored.note

    def _require_own(self, head: AnchoredHead) -> None:
        """Refuse to build on an anchored state that is not a beginning of this log."""
        if head.size > self._reader.head().size:
            raise AnchorForked(field="size", rule="not_ahead")
        if self._reader.root(HashAlg.SHA256, head.size) != head.root_sha256:
            raise AnchorForked(field="root", rule="equal")
