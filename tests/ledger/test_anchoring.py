"""What anchoring keeps: transactions and leases of their keys, on both databases; the record that binds a key to a log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.sql.ledger_anchors import SqlAnchorTransactions
from crypto.canonical import jcs
from crypto.encoding import b64u_encode
from crypto.jws import sign_jws
from crypto.suites import Purpose, policy
from ledger.anchor import sign_evidence
from ledger.anchoring_binding import SubmitterBinding, sign_binding, verify_binding
from ledger.anchoring_transactions import AnchorTransaction, Fees, KeyLease, TransactionState
from ledger.checkpoint import Checkpoint
from ledger.errors import AnchorPending, AnchorRefused
from tests.ledger.conftest import OpenLedger
from tests.ledger.parts import ORIGIN, Keys

CHAIN, KEY = "evm:1337", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.fixture
def transactions(open_ledger: OpenLedger) -> SqlAnchorTransactions:
    return SqlAnchorTransactions(open_ledger())


def _transaction(nonce: int, fee: int = 10**30, *, size: int = 5) -> AnchorTransaction:
    return AnchorTransaction(
        nonce=nonce,
        hash=f"0x{nonce:032x}{fee:032x}",
        raw=bytes([nonce, 255, 0]),
        origin=ORIGIN,
        size=size,
        root_sha256=bytes(32),
        root_sm3=bytes([1]) * 32,
        fees=Fees(fee, fee // 2),
        state=TransactionState.PREPARED,
        sent_at=100,
        block=None,
        block_hash=None,
    )


def _lease(transactions: SqlAnchorTransactions, now: int = 1000) -> KeyLease:
    lease = transactions.lease_key(CHAIN, KEY, now, 60)
    assert lease is not None
    return lease


def test_a_key_is_one_workers_until_it_gives_it_back_or_its_time_is_over(transactions: SqlAnchorTransactions) -> None:
    first = _lease(transactions)
    assert transactions.lease_key(CHAIN, KEY, 1059, 60) is None
    assert transactions.lease_key("evm:1", KEY, 1059, 60) is not None, "another chain's key is another key"
    second = _lease(transactions, 1060)
    assert second.fence > first.fence
    transactions.release_key(first)
    assert transactions.lease_key(CHAIN, KEY, 1061, 60) is None, "who lost a lease cannot give another's back"
    transactions.release_key(second)
    assert _lease(transactions, 1061).fence > second.fence


def test_a_worker_that_lost_its_lease_writes_nothing(transactions: SqlAnchorTransactions) -> None:
    lost = _lease(transactions)
    transactions.prepare(lost, _transaction(0))
    held = _lease(transactions, 2000)
    for write in (
        lambda: transactions.prepare(lost, _transaction(1)),
        lambda: transactions.mark_sent(lost, _transaction(0), 5),
        lambda: transactions.mark_mined(lost, _transaction(0), 7, "0xab"),
        lambda: transactions.close_nonce(lost, 0, None, TransactionState.REPLACED),
        lambda: transactions.reopen_nonce(lost, 0, 5),
    ):
        with pytest.raises(AnchorPending) as pending:
            write()
        assert pending.value.rule == "lease"
    assert transactions.open_transactions(held) == [_transaction(0)]


def test_a_transaction_comes_back_as_it_was_kept_and_its_nonce_is_used_up(transactions: SqlAnchorTransactions) -> None:
    lease = _lease(transactions)
    assert lease.next_nonce == 0
    kept = _transaction(4, 2**70)
    transactions.prepare(lease, kept)
    assert transactions.open_transactions(lease) == [kept]
    transactions.mark_sent(lease, kept, 150)
    transactions.mark_mined(lease, kept, 9, "0xab")
    mined = replace(kept, state=TransactionState.MINED, sent_at=150, block=9, block_hash="0xab")
    assert transactions.open_transactions(lease) == [mined]
    transactions.mark_sent(lease, kept, 200)
    assert transactions.open_transactions(lease) == [replace(kept, state=TransactionState.SENT, sent_at=200)]
    transactions.release_key(lease)
    assert _lease(transactions).next_nonce == 5


def test_the_lowest_open_nonce_comes_first_with_its_replacements_by_rising_fee(
    transactions: SqlAnchorTransactions,
) -> None:
    lease = _lease(transactions)
    cheap, dear, later = _transaction(0, 80), _transaction(0, 90), _transaction(1, 70)
    for one in (dear, later, cheap):
        transactions.prepare(lease, one)
    assert transactions.open_transactions(lease) == [cheap, dear]
    transactions.close_nonce(lease, 0, cheap.hash, TransactionState.FINAL)
    assert transactions.open_transactions(lease) == [later]
    states = {one.hash: one.state for one in transactions.latest(CHAIN, KEY, 10)}
    assert (states[cheap.hash], states[dear.hash]) == (TransactionState.FINAL, TransactionState.REPLACED)
    assert transactions.reopen_nonce(lease, 0, 300)
    assert [one.state for one in transactions.open_transactions(lease)] == [TransactionState.SENT] * 2
    assert not transactions.reopen_nonce(lease, 2, 300)


def test_what_one_key_did_is_not_anothers(transactions: SqlAnchorTransactions) -> None:
    transactions.prepare(_lease(transactions), _transaction(0))
    other = transactions.lease_key(CHAIN, CONTRACT, 1000, 60)
    assert other is not None
    assert (other.next_nonce, transactions.open_transactions(other)) == (0, [])


@pytest.mark.parametrize(("cap", "bumped"), [(1, 2), (8, 9), (80, 90), (81, 92), (10**18, 10**18 * 9 // 8)])
def test_a_replacement_pays_at_least_an_eighth_more_rounded_up(cap: int, bumped: int) -> None:
    assert Fees(cap, cap).bumped() == Fees(bumped, bumped)


BINDING = SubmitterBinding(ORIGIN, CHAIN, CONTRACT, KEY, 1_782_864_000)


def _verify(statement: str, keys: Keys, **other: str) -> SubmitterBinding:
    expected = {"origin": ORIGIN, "chain": CHAIN, "contract": CONTRACT, "submitter": KEY} | other
    return verify_binding(statement, log_key=keys.sm2.public, **expected)


def test_a_key_is_the_logs_by_the_logs_own_signature_for_one_chain_and_contract(
    keys: Keys, transactions: SqlAnchorTransactions
) -> None:
    statement = sign_binding(BINDING, log_key=keys.sm2)
    assert _verify(statement, keys) == BINDING
    for name, value in {"origin": "other.example", "chain": "evm:1", "contract": KEY, "submitter": CONTRACT}.items():
        with pytest.raises(AnchorRefused):
            _verify(statement, keys, **{name: value})
    assert transactions.binding(ORIGIN, CHAIN, CONTRACT, KEY) is None
    for kept in ("an earlier one", statement):
        transactions.keep_binding(ORIGIN, CHAIN, CONTRACT, KEY, kept)
    assert transactions.binding(ORIGIN, CHAIN, CONTRACT, KEY) == statement


def test_a_binding_by_another_key_or_bent_anywhere_is_none(keys: Keys) -> None:
    with pytest.raises(AnchorRefused):
        _verify(sign_binding(BINDING, log_key=keys.witness), keys)
    statement = sign_binding(BINDING, log_key=keys.sm2)
    for at in range(0, len(statement), 7):
        bent = statement[:at] + ("A" if statement[at] != "A" else "B") + statement[at + 1 :]
        with pytest.raises(AnchorRefused):
            _verify(bent, keys)
    with pytest.raises(AnchorRefused):
        _verify(statement + "A" * 4096, keys)


def test_a_binding_is_no_evidence_and_evidence_no_binding(keys: Keys) -> None:
    checkpoint = Checkpoint(ORIGIN, 5, bytes(32), bytes(32), 0)
    evidence = sign_evidence(checkpoint, chain=CHAIN, time=1, reference={"contract": CONTRACT}, witness=keys.sm2)
    with pytest.raises(AnchorRefused):
        _verify(evidence.statement, keys)
    for claims in ({}, {"from": True}, {"from": -1}, {"from": 1, "kind": "anchor-submitter"}):
        with pytest.raises(AnchorRefused):
            _verify(sign_jws(jcs(claims), key=keys.sm2, policy=policy(Purpose.ANCHOR)), keys)
    padded = sign_jws(jcs({"from": 1}) + b" ", key=keys.sm2, policy=policy(Purpose.ANCHOR))
    assert padded.split(".")[1] == b64u_encode(jcs({"from": 1}) + b" ")
    with pytest.raises(AnchorRefused):
        _verify(padded, keys)
