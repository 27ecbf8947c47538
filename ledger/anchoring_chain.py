"""Anchoring by transactions: a state machine whose every step begins from the database and the chain, not from memory.

One nonce at a time. It is settled (final, reverted, or used by another transaction) before the next one begins, so that
a gap or a double can never come about. Nothing waits: a step looks, does at most one thing, and says AnchorPending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from crypto.keys import SigningKey
from ledger.anchor import AnchoredHead, AnchorEvidence, AnchorRequest, sign_evidence
from ledger.anchoring_transactions import (
    AnchorChain,
    AnchorTransaction,
    AnchorTransactions,
    Answer,
    Fees,
    KeyLease,
    Mined,
    TransactionState,
)
from ledger.checkpoint import Checkpoint
from ledger.errors import AnchorForked, AnchorPending, AnchorRefused
from ledger.store import Clock

# One step asks a few nodes a dozen questions of at most 5 s each.
KEY_LEASE_S: Final = 300
# A replacement never pays more than this many times what the chain asks now: no run of replacements empties the purse.
FEE_LIMIT_FACTOR: Final = 8


@dataclass(frozen=True, slots=True)
class Finality:
    """When a transaction counts, and when it counts as stuck.

    `confirmations` blocks must stand on its block (0 where a block is final at once, as on QBFT and PBFT); one that is
    in no block `stuck_after_s` seconds after it was sent is replaced by one that pays more.
    """

    confirmations: int
    stuck_after_s: int


def log_id(origin: str) -> bytes:
    """Return the 32 bytes by which a contract knows a log."""
    return hashlib.sha256(origin.encode()).digest()


class TransactionAnchor:
    """An AnchorDriver over a chain and the database's record of transactions."""

    def __init__(
        self,
        chain: AnchorChain,
        transactions: AnchorTransactions,
        finality: Finality,
        *,
        witness: SigningKey,
        clock: Clock,
    ) -> None:
        self._chain = chain
        self._transactions = transactions
        self._finality = finality
        self._witness = witness
        self._clock = clock

    @property
    def chain(self) -> str:
        """Return the chain's name."""
        return self._chain.chain

    @property
    def port(self) -> AnchorChain:
        """Return the chain itself, for whoever reports on it."""
        return self._chain

    def head(self, origin: str) -> AnchoredHead | None:
        """Return what the contract holds of the log."""
        return self._chain.head(origin)

    def anchor(self, request: AnchorRequest) -> AnchorEvidence:
        """Do one step towards the checkpoint's evidence (see AnchorDriver)."""
        lease = self._transactions.lease_key(self.chain, self._chain.submitter, self._clock(), KEY_LEASE_S)
        if lease is None:
            raise AnchorPending(field="key", rule="leased")
        try:
            return self._step(lease, request)
        finally:
            self._transactions.release_key(lease)

    def _step(self, lease: KeyLease, request: AnchorRequest) -> AnchorEvidence:
        under_way = self._transactions.open_transactions(lease)
        if under_way:
            return self._follow(lease, under_way, request)
        if _held(request):
            return self._found(request.checkpoint)
        transaction = self._prepare(lease, request, self._next_nonce(lease), self._chain.fees())
        self._send(lease, transaction)
        # A chain that makes a block for each transaction has it already.
        return self._follow(lease, [replace(transaction, state=TransactionState.SENT)], request)

    def _next_nonce(self, lease: KeyLease) -> int:
        """Return the database's next nonce, or the chain's where another hand used the key or took blocks away."""
        used = self._chain.used_nonces()
        if used < lease.next_nonce and self._transactions.reopen_nonce(lease, used, self._clock()):
            # What was final is gone: the same bytes go out again before anything is built on top.
            raise AnchorPending(field="transaction", rule="reorganised")
        return used

    def _prepare(self, lease: KeyLease, request: AnchorRequest, nonce: int, fees: Fees) -> AnchorTransaction:
        checkpoint = request.checkpoint
        hash_, raw = self._chain.sign(request, nonce, fees)
        transaction = AnchorTransaction(
            nonce=nonce,
            hash=hash_,
            raw=raw,
            origin=checkpoint.origin,
            size=checkpoint.size,
            root_sha256=checkpoint.root_sha256,
            root_sm3=checkpoint.root_sm3,
            fees=fees,
            state=TransactionState.PREPARED,
            sent_at=self._clock(),
            block=None,
            block_hash=None,
        )
        self._transactions.prepare(lease, transaction)
        return transaction

    def _send(self, lease: KeyLease, transaction: AnchorTransaction) -> Answer:
        answer = self._chain.send(transaction.raw)
        if answer is Answer.TAKEN and transaction.state is TransactionState.PREPARED:
            self._transactions.mark_sent(lease, transaction, self._clock())
        return answer

    def _follow(
        self, lease: KeyLease, candidates: Sequence[AnchorTransaction], request: AnchorRequest
    ) -> AnchorEvidence:
        """Settle the nonce of these transactions, or bring it one step on and raise AnchorPending."""
        nonce = candidates[0].nonce
        used = self._chain.used_nonces()  # before the receipts: what is in a block by now has one below
        for transaction in candidates:
            mined = self._chain.look_up(transaction.hash)
            if mined is not None:
                return self._in_block(lease, transaction, mined, request)
        if used > nonce:
            # A transaction nobody here knows has used the nonce. What it did, the contract's head tells next time.
            self._transactions.close_nonce(lease, nonce, None, TransactionState.REPLACED)
            raise AnchorPending(field="transaction", rule="nonce_used")
        reorganised = [one for one in candidates if one.state is TransactionState.MINED]
        for transaction in reorganised:
            self._transactions.mark_sent(lease, transaction, self._clock())
            self._chain.send(transaction.raw)
        if reorganised:
            raise AnchorPending(field="transaction", rule="reorganised")
        self._press(lease, candidates[-1], request)
        raise AnchorPending(field="transaction", rule="sent")

    def _press(self, lease: KeyLease, newest: AnchorTransaction, request: AnchorRequest) -> None:
        """Send again what the nodes have lost, and replace what is stuck."""
        stuck = self._clock() - newest.sent_at >= self._finality.stuck_after_s
        if newest.state is TransactionState.PREPARED or not self._chain.knows(newest.hash):
            answer = self._send(lease, newest)
            stuck = answer is Answer.UNDERPRICED or (stuck and newest.state is not TransactionState.PREPARED)
        if not stuck or _held(request):
            return
        asked = self._chain.fees()
        fees = newest.fees.bumped().at_least(asked)
        if fees.cap > asked.cap * FEE_LIMIT_FACTOR or fees.tip > max(asked.tip, 1) * FEE_LIMIT_FACTOR:
            raise AnchorPending(field="transaction", rule="fee_limit")
        if fees == newest.fees:
            raise AnchorPending(field="transaction", rule="free")  # nothing to raise on a chain that asks nothing
        # The replacement carries the newest checkpoint; whichever of the two gets into a block is followed.
        self._send(lease, self._prepare(lease, request, newest.nonce, fees))

    def _in_block(
        self, lease: KeyLease, transaction: AnchorTransaction, mined: Mined, request: AnchorRequest
    ) -> AnchorEvidence:
        if transaction.block_hash != mined.block_hash:
            self._transactions.mark_mined(lease, transaction, mined.block, mined.block_hash)
        self._require_final(mined)
        if not mined.succeeded:
            self._transactions.close_nonce(lease, transaction.nonce, transaction.hash, TransactionState.REVERTED)
            raise AnchorRefused(field="transaction", rule="reverted")
        evidence = self._evidence(
            Checkpoint(transaction.origin, transaction.size, transaction.root_sha256, transaction.root_sm3, mined.time),
            mined,
        )
        self._transactions.close_nonce(lease, transaction.nonce, transaction.hash, TransactionState.FINAL)
        if evidence.origin != request.checkpoint.origin:
            # Another log of the same key: its own worker finds this on the chain. Ours comes next.
            raise AnchorPending(field="key", rule="other_log")
        return evidence

    def _found(self, checkpoint: Checkpoint) -> AnchorEvidence:
        """Make the evidence of a checkpoint the contract holds by a transaction that is not open here."""
        mined = self._chain.find(checkpoint)
        if mined is None:
            raise AnchorRefused(field="event", rule="found")
        self._require_final(mined)
        return self._evidence(checkpoint, mined)

    def _require_final(self, mined: Mined) -> None:
        """Raise AnchorPending until enough blocks stand on it, and it still is where the receipt said."""
        if self._chain.height() < mined.block + self._finality.confirmations:
            raise AnchorPending(field="transaction", rule="depth", most=self._finality.confirmations)
        if self._chain.block_hash(mined.block) != mined.block_hash:
            raise AnchorPending(field="transaction", rule="reorganised")

    def _evidence(self, checkpoint: Checkpoint, mined: Mined) -> AnchorEvidence:
        name = log_id(checkpoint.origin)
        took = [one for one in mined.checkpoints if one[0] == name]
        if took != [(name, checkpoint.size, checkpoint.root_sha256, checkpoint.root_sm3)]:
            raise AnchorForked(field="event", rule="equal")
        reference: Mapping[str, str | int] = {
            "block": mined.block,
            "block_hash": mined.block_hash,
            "confirmations": self._finality.confirmations,
            "contract": self._chain.contract,
            "submitter": mined.submitter,
            "transaction": mined.hash,
        }
        return sign_evidence(checkpoint, chain=self.chain, time=mined.time, reference=reference, witness=self._witness)


def _held(request: AnchorRequest) -> bool:
    """Tell whether the contract holds the checkpoint already."""
    return request.previous is not None and request.previous.size >= request.checkpoint.size
