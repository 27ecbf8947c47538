"""`ledger.anchoring_transactions.AnchorTransactions` in SQL, written once for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from adapters.sql.ledger_engine import LedgerDatabase, Row, Statements
from ledger.anchoring_transactions import OPEN_STATES, AnchorTransaction, Fees, KeyLease, TransactionState
from ledger.errors import AnchorPending

_COLUMNS: Final = (
    "nonce, hash, raw, origin, size, root_sha256, root_sm3, fee_cap, fee_tip, state, sent_at, block, block_hash"
)
_OPEN: Final = ", ".join(f"'{state.value}'" for state in OPEN_STATES)
_NO_BLOCK: Final = -1


class SqlAnchorTransactions:
    """The transactions of every key of one ledger database (see AnchorTransactions for every contract)."""

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database

    def lease_key(self, chain: str, submitter: str, now: int, lease_s: int) -> KeyLease | None:
        """Lease the key."""
        make = "INSERT INTO anchor_key (chain, submitter) VALUES ($1, $2) ON CONFLICT (chain, submitter) DO NOTHING"
        take = (
            "UPDATE anchor_key SET leased_until = $4, fence = fence + 1"
            " WHERE chain = $1 AND submitter = $2 AND leased_until <= $3 RETURNING next_nonce, fence"
        )
        with self._database.writing() as statements:
            statements.execute(make, chain, submitter)
            rows = statements.fetch(take, chain, submitter, now, now + lease_s)
        return KeyLease(chain, submitter, *rows[0]) if rows else None

    def release_key(self, lease: KeyLease) -> None:
        """Give the lease back."""
        sql = "UPDATE anchor_key SET leased_until = 0 WHERE chain = $1 AND submitter = $2 AND fence = $3"
        with self._database.writing() as statements:
            statements.execute(sql, lease.chain, lease.submitter, lease.fence)

    def open_transactions(self, lease: KeyLease) -> Sequence[AnchorTransaction]:
        """Return the candidates of the lowest open nonce."""
        lowest = f"SELECT min(nonce) FROM anchor_transaction WHERE chain = $1 AND submitter = $2 AND state IN ({_OPEN})"  # noqa: S608 - names of our own
        sql = (
            f"SELECT {_COLUMNS} FROM anchor_transaction WHERE chain = $1 AND submitter = $2 AND nonce = ({lowest})"  # noqa: S608 - names of our own
            f" AND state IN ({_OPEN})"
        )
        with self._database.reading() as statements:
            rows = statements.fetch(sql, lease.chain, lease.submitter)
        # Each replacement pays more than the one before, so fees tell the order even within one second.
        return sorted(map(_transaction, rows), key=lambda one: (one.fees.cap, one.fees.tip))

    def prepare(self, lease: KeyLease, transaction: AnchorTransaction) -> None:
        """Keep the transaction and move the key's nonce on."""
        marks = ", ".join(f"${number}" for number in range(1, 16))
        insert = f"INSERT INTO anchor_transaction (chain, submitter, {_COLUMNS}) VALUES ({marks})"  # noqa: S608 - names of our own
        nonce = (
            "UPDATE anchor_key SET next_nonce = CASE WHEN next_nonce > $3 THEN next_nonce ELSE $3 END"
            " WHERE chain = $1 AND submitter = $2"
        )
        with self._under(lease) as statements:
            statements.execute(insert, lease.chain, lease.submitter, *_row(transaction))
            statements.execute(nonce, lease.chain, lease.submitter, transaction.nonce + 1)

    def mark_sent(self, lease: KeyLease, transaction: AnchorTransaction, now: int) -> None:
        """Make it `sent`."""
        sql = (
            "UPDATE anchor_transaction SET state = $5, sent_at = $6, block = $7, block_hash = ''"
            " WHERE chain = $1 AND submitter = $2 AND nonce = $3 AND hash = $4"
        )
        state = TransactionState.SENT.value
        with self._under(lease) as statements:
            where = (lease.chain, lease.submitter, transaction.nonce, transaction.hash)
            statements.execute(sql, *where, state, now, _NO_BLOCK)

    def mark_mined(self, lease: KeyLease, transaction: AnchorTransaction, block: int, block_hash: str) -> None:
        """Make it `mined`."""
        sql = (
            "UPDATE anchor_transaction SET state = $5, block = $6, block_hash = $7"
            " WHERE chain = $1 AND submitter = $2 AND nonce = $3 AND hash = $4"
        )
        with self._under(lease) as statements:
            where = (lease.chain, lease.submitter, transaction.nonce, transaction.hash)
            statements.execute(sql, *where, TransactionState.MINED.value, block, block_hash)

    def close_nonce(self, lease: KeyLease, nonce: int, winner: str | None, state: TransactionState) -> None:
        """Settle a nonce."""
        sql = (
            "UPDATE anchor_transaction SET state = CASE WHEN hash = $4 THEN $5 ELSE $6 END"
            " WHERE chain = $1 AND submitter = $2 AND nonce = $3"
        )
        replaced = TransactionState.REPLACED.value
        with self._under(lease) as statements:
            statements.execute(sql, lease.chain, lease.submitter, nonce, winner or "", state.value, replaced)

    def reopen_nonce(self, lease: KeyLease, nonce: int, now: int) -> bool:
        """Make the transactions of a nonce `sent` again."""
        sql = (
            "UPDATE anchor_transaction SET state = $4, sent_at = $5, block = $6, block_hash = ''"
            " WHERE chain = $1 AND submitter = $2 AND nonce = $3"
        )
        state = TransactionState.SENT.value
        with self._under(lease) as statements:
            return statements.execute(sql, lease.chain, lease.submitter, nonce, state, now, _NO_BLOCK) > 0

    def latest(self, chain: str, submitter: str, limit: int) -> Sequence[AnchorTransaction]:
        """Return the newest transactions."""
        sql = (
            f"SELECT {_COLUMNS} FROM anchor_transaction WHERE chain = $1 AND submitter = $2"  # noqa: S608 - names of our own
            " ORDER BY nonce DESC, sent_at DESC LIMIT $3"
        )
        with self._database.reading() as statements:
            return [_transaction(row) for row in statements.fetch(sql, chain, submitter, limit)]

    def binding(self, origin: str, chain: str, contract: str, submitter: str) -> str | None:
        """Return the statement kept."""
        sql = (
            "SELECT statement FROM anchor_binding WHERE origin = $1 AND chain = $2 AND contract = $3 AND submitter = $4"
        )
        with self._database.reading() as statements:
            rows = statements.fetch(sql, origin, chain, contract, submitter)
        return rows[0][0] if rows else None

    def keep_binding(self, origin: str, chain: str, contract: str, submitter: str, statement: str) -> None:
        """Keep the statement."""
        sql = (
            "INSERT INTO anchor_binding (origin, chain, contract, submitter, statement) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (origin, chain, contract, submitter) DO UPDATE SET statement = excluded.statement"
        )
        with self._database.writing() as statements:
            statements.execute(sql, origin, chain, contract, submitter, statement)

    @contextmanager
    def _under(self, lease: KeyLease) -> Iterator[Statements]:
        """Open a write transaction in which the lease is known to be the newest, and nobody can take another."""
        sql = f"SELECT fence FROM anchor_key WHERE chain = $1 AND submitter = $2{self._database.for_update}"  # noqa: S608 - names of our own
        with self._database.writing() as statements:
            if statements.fetch(sql, lease.chain, lease.submitter) != [(lease.fence,)]:
                raise AnchorPending(field="key", rule="lease")
            yield statements


def _row(transaction: AnchorTransaction) -> tuple[object, ...]:
    return (
        transaction.nonce,
        transaction.hash,
        transaction.raw,
        transaction.origin,
        transaction.size,
        transaction.root_sha256,
        transaction.root_sm3,
        str(transaction.fees.cap),
        str(transaction.fees.tip),
        transaction.state.value,
        transaction.sent_at,
        _NO_BLOCK if transaction.block is None else transaction.block,
        transaction.block_hash or "",
    )


def _transaction(row: Row) -> AnchorTransaction:
    nonce, hash_, raw, origin, size, sha256, sm3, cap, tip, state, sent_at, block, block_hash = row
    return AnchorTransaction(
        nonce,
        hash_,
        bytes(raw),
        origin,
        size,
        bytes(sha256),
        bytes(sm3),
        Fees(int(cap), int(tip)),
        TransactionState(state),
        sent_at,
        None if block == _NO_BLOCK else block,
        block_hash or None,
    )
