"""The refusals of the ledger. Each has one stable code; none says anything about the content of an entry."""

from __future__ import annotations

from crypto.errors import TrustError


class LedgerError(TrustError):
    """The root of everything the ledger refuses."""

    code = "ledger.error"


class EntryRefused(LedgerError):
    """An entry outside the bounds of `ledger.entry`."""

    code = "ledger.entry_refused"


class IdempotencyConflict(LedgerError):
    """The idempotency key is already bound, for ever, to other bytes."""

    code = "ledger.idempotency_conflict"


class EntryUnknown(LedgerError):
    """No entry, checkpoint or tree of that index or size exists in the log."""

    code = "ledger.entry_unknown"


class ProofRefused(LedgerError):
    """An inclusion or consistency proof that does not prove what it claims (RFC 9162 sections 2.1.3.2 and 2.1.4.2)."""

    code = "ledger.proof_refused"


class CheckpointRefused(LedgerError):
    """A checkpoint note that is malformed, of another log, or not signed by the log's keys."""

    code = "ledger.checkpoint_refused"


class ReceiptRefused(LedgerError):
    """A receipt that is not the canonical encoding of one, or whose parts contradict each other."""

    code = "ledger.receipt_refused"


class AnchorRefused(LedgerError):
    """Anchor evidence that does not bind the checkpoint, or a chain that answered no."""

    code = "ledger.anchor_refused"


class AnchorForked(LedgerError):
    """An anchor already holds another history of this log: an alarm, never retried away."""

    code = "ledger.anchor_forked"


class AnchorPending(LedgerError):
    """The anchor took the checkpoint but has not confirmed it to the depth asked for; ask again later."""

    code = "ledger.anchor_pending"


class CheckpointConflict(LedgerError):
    """Another writer moved the checkpoint first; nothing of this pool was written."""

    code = "ledger.checkpoint_conflict"


class ClockWentBack(LedgerError):
    """The clock reads earlier than the last signed checkpoint: nothing is signed until it has caught up."""

    code = "ledger.clock_went_back"


class IntegrityBroken(LedgerError):
    """What the store holds is not what was signed or written. Nothing more is signed until someone has looked."""

    code = "ledger.integrity_broken"


class LedgerUnavailable(LedgerError):
    """The store did not answer. Whether the pool was written is unknown: ask again with the same idempotency keys."""

    code = "ledger.unavailable"


class AuditBroken(LedgerError):
    """The audit trail's hash chain does not lead to the head it is checked against."""

    code = "ledger.audit_broken"


class AuditEventRefused(LedgerError):
    """An audit event outside its bounds."""

    code = "ledger.audit_event_refused"
