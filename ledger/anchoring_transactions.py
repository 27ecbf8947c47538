"""What anchoring by transactions needs of a database and of a chain, each verb with its contract.

The database knows every transaction before a chain does: its bytes and hash are durable before they are sent. So a crash
at any moment leaves the question "was it sent?" to be answered by looking the hash up, never by sending another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ledger.anchor import AnchoredHead, AnchorRequest
from ledger.checkpoint import Checkpoint


class TransactionState(StrEnum):
    """Where a transaction is. The first three are open: the nonce is not settled yet.

    prepared: kept, perhaps sent; sent: a node took it; mined: in a block that may still be reorganised away, which
    makes it `sent` again; final: at the depth asked for; reverted: the same, but the contract said no;
    replaced: another transaction used its nonce.
    """

    PREPARED = "prepared"
    SENT = "sent"
    MINED = "mined"
    FINAL = "final"
    REVERTED = "reverted"
    REPLACED = "replaced"


OPEN_STATES = (TransactionState.PREPARED, TransactionState.SENT, TransactionState.MINED)


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction pays for each unit of gas, in wei: at most `cap`, of which `tip` goes to the block's maker.

    On a chain without EIP-1559 both are its one gas price.
    """

    cap: int
    tip: int

    def bumped(self) -> Fees:
        """Return the least fees that every known node takes for a replacement: an eighth more of both, rounded up."""
        return Fees(-(-self.cap * 9 // 8), -(-self.tip * 9 // 8))

    def at_least(self, other: Fees) -> Fees:
        """Return the larger of each."""
        return Fees(max(self.cap, other.cap), max(self.tip, other.tip))


@dataclass(frozen=True, slots=True)
class AnchorTransaction:
    """A signed transaction that anchors a checkpoint (`origin`, `size`, both roots).

    `hash` is 0x-prefixed; `raw` is what is sent; `sent_at` is when it first was, or was again after a reorganisation;
    `block` and `block_hash` say where it was last seen, if anywhere.
    """

    nonce: int
    hash: str
    raw: bytes
    origin: str
    size: int
    root_sha256: bytes
    root_sm3: bytes
    fees: Fees
    state: TransactionState
    sent_at: int
    block: int | None
    block_hash: str | None


@dataclass(frozen=True, slots=True)
class KeyLease:
    """The right to use a transaction key for a while. `fence` is larger than that of every earlier lease."""

    chain: str
    submitter: str
    next_nonce: int
    fence: int


class AnchorTransactions(Protocol):
    """The transactions of every key, and the keys' leases. Each verb is atomic and durable on return.

    A verb that is given a lease raises AnchorPending (rule "lease") where a later one was taken meanwhile, and then has
    changed nothing. All raise LedgerUnavailable where the database does not answer.
    """

    def lease_key(self, chain: str, submitter: str, now: int, lease_s: int) -> KeyLease | None:
        """Lease the key for `lease_s` seconds; None while someone else holds it."""
        ...

    def release_key(self, lease: KeyLease) -> None:
        """Give the lease back; nothing happens where it is lost already."""
        ...

    def open_transactions(self, lease: KeyLease) -> Sequence[AnchorTransaction]:
        """Return the transactions of the lowest nonce that has an open one, in the order they were prepared."""
        ...

    def prepare(self, lease: KeyLease, transaction: AnchorTransaction) -> None:
        """Keep a transaction that is about to be sent; the key's next nonce is at least the one after its."""
        ...

    def mark_sent(self, lease: KeyLease, transaction: AnchorTransaction, now: int) -> None:
        """Note that a node took it, or that a reorganisation threw it out of its block: `sent` as of `now`."""
        ...

    def mark_mined(self, lease: KeyLease, transaction: AnchorTransaction, block: int, block_hash: str) -> None:
        """Note that it was seen in a block."""
        ...

    def close_nonce(self, lease: KeyLease, nonce: int, winner: str | None, state: TransactionState) -> None:
        """Settle a nonce: the transaction of hash `winner` is in `state`, all others of the nonce are replaced."""
        ...

    def reopen_nonce(self, lease: KeyLease, nonce: int, now: int) -> bool:
        """Make the transactions of a settled nonce `sent` again, because it turned out unused; False if none is known."""
        ...

    def latest(self, chain: str, submitter: str, limit: int) -> Sequence[AnchorTransaction]:
        """Return the newest transactions of a key, by falling nonce, for the operator's eyes."""
        ...

    def binding(self, origin: str, chain: str, contract: str, submitter: str) -> str | None:
        """Return the kept statement that binds the key to the log, if any."""
        ...

    def keep_binding(self, origin: str, chain: str, contract: str, submitter: str, statement: str) -> None:
        """Keep such a statement in place of an earlier one."""
        ...


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in a block, as every node asked tells it.

    `checkpoints` are those the contract says it took in it, each as (SHA-256 of the origin, size, SHA-256 root, SM3
    root); empty where it reverted. `time` is the block's, in seconds since the epoch.
    """

    hash: str
    block: int
    block_hash: str
    submitter: str
    succeeded: bool
    checkpoints: tuple[tuple[bytes, int, bytes, bytes], ...]
    time: int


class Answer(StrEnum):
    """What nodes said to a transaction that was sent to them."""

    TAKEN = "taken"  # it, or they know it already
    MAYBE = "maybe"  # its nonce is used, perhaps by itself: look it up
    UNDERPRICED = "underpriced"


class AnchorChain(Protocol):
    """A chain with the anchor contract on it, seen through one key. Blocking.

    Everything read is what at least two nodes say where two are configured. Each verb raises AnchorRefused: rule
    "answers" where too few nodes answer, rule "disagree" where they contradict each other.
    """

    @property
    def chain(self) -> str:
        """The chain's name, as in evidence."""
        ...

    @property
    def contract(self) -> str:
        """The contract's address."""
        ...

    @property
    def submitter(self) -> str:
        """The address of the key."""
        ...

    def head(self, origin: str) -> AnchoredHead | None:
        """Return what the contract holds of the log."""
        ...

    def height(self) -> int:
        """Return the number of the newest block that every node has."""
        ...

    def block_hash(self, block: int) -> str | None:
        """Return the hash of the block of this number on the canonical chain."""
        ...

    def used_nonces(self) -> int:
        """Return how many transactions of the key are in blocks: its first unused nonce."""
        ...

    def look_up(self, hash_: str) -> Mined | None:
        """Return where the transaction is, None while it is in no block that every node has."""
        ...

    def knows(self, hash_: str) -> bool:
        """Tell whether any node has the transaction, waiting or in a block."""
        ...

    def find(self, checkpoint: Checkpoint) -> Mined | None:
        """Return the transaction by which the contract took its newest checkpoint, if that is this one."""
        ...

    def fees(self) -> Fees:
        """Return what a transaction should pay now."""
        ...

    def sign(self, request: AnchorRequest, nonce: int, fees: Fees) -> tuple[str, bytes]:
        """Return the hash and bytes of a signed transaction. AnchorRefused "reverted" where the contract would."""
        ...

    def send(self, raw: bytes) -> Answer:
        """Send it to every node, once. AnchorRefused "taken" where all refuse it for another reason."""
        ...
