"""Receipts and checkpoints: verified offline, canonical, and false as soon as one bit is another."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.chain.file import FileAnchor
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from ledger.anchoring import AnchorWorker
from ledger.checkpoint import Checkpoint, LogIdentity, sign_checkpoint, verify_checkpoint
from ledger.errors import (
    AnchorRefused,
    CheckpointRefused,
    EntryUnknown,
    LedgerError,
    ProofRefused,
    ReceiptRefused,
)
from ledger.merkle import HashAlg, empty_root
from ledger.note import encode_note, parse_note
from ledger.reader import LedgerReader
from ledger.receipt import LogTrust, Receipt, verify_receipt
from tests.ledger.conftest import NewSequencer
from tests.ledger.parts import ORIGIN, Keys, entries, entry, make_keys
from tests.scale import trials
from tests.services.clock import StillClock

FLIPS = trials(600, full=100_000)


@pytest.fixture
def reader(store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys) -> LedgerReader:
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 300))
    sequencer.append(entries(300, 305))
    return LedgerReader(store, keys.identity)


@pytest.fixture
def anchored(reader: LedgerReader, store: SqlLedgerStore, keys: Keys, clock: StillClock, tmp_path: Path) -> Receipt:
    clock.advance(60)
    driver = FileAnchor(tmp_path / "anchors", witness=keys.witness, clock=clock)
    assert AnchorWorker(store, LedgerReader(store, keys.identity), keys.identity, clock).step(driver) is not None
    return reader.receipt(77)


def test_a_receipt_proves_its_entry_with_nothing_but_public_keys(reader: LedgerReader, keys: Keys) -> None:
    for index in (0, 1, 255, 256, 299, 300, 304):
        data = reader.receipt(index).to_json()
        verified = verify_receipt(Receipt.parse(data), trust=keys.trust)
        assert (verified.body, verified.index) == (entry(index).body, index)
        assert verified.checkpoint.size == 305
        assert verified.anchored_at is None


def test_a_receipt_carries_the_anchor_of_its_checkpoint_and_the_time_of_it(
    anchored: Receipt, keys: Keys, clock: StillClock
) -> None:
    verified = verify_receipt(Receipt.parse(anchored.to_json()), trust=keys.trust)
    assert verified.anchored_at == clock.now
    [evidence] = verified.anchors
    assert (evidence.chain, evidence.size, evidence.origin) == ("file", 305, ORIGIN)


def test_an_entry_newer_than_the_last_anchor_has_a_receipt_under_the_newest_checkpoint(
    anchored: Receipt, reader: LedgerReader, store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys
) -> None:
    new_sequencer(store).append(entries(305, 310))
    old, new = reader.receipts([304, 305])
    assert len(verify_receipt(old, trust=keys.trust).anchors) == 1
    assert verify_receipt(new, trust=keys.trust).checkpoint.size == 310


def test_receipts_come_in_the_order_asked_for(reader: LedgerReader) -> None:
    assert [one.leaf_index for one in reader.receipts([9, 3, 300, 3])] == [9, 3, 300, 3]
    with pytest.raises(EntryUnknown):
        reader.receipts([1, 305])


@pytest.mark.soak
def test_any_one_bit_changed_in_a_receipt_is_found(anchored: Receipt, keys: Keys) -> None:
    data = anchored.to_json()
    chosen = random.Random(20260701)
    for _ in range(FLIPS):
        at, bit = chosen.randrange(len(data)), chosen.randrange(8)
        bent = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
        with pytest.raises(LedgerError):
            verify_receipt(Receipt.parse(bent), trust=keys.trust)


def test_a_receipt_in_any_other_encoding_is_refused(anchored: Receipt) -> None:
    data = anchored.to_json()
    for bent in (
        data + b"\n",
        b" " + data,
        data.replace(b'"index":77', b'"index": 77'),
        data.replace(b'"index":77', b'"index":77.0'),
        data.replace(b'"index":77', b'"index":7.7e1'),
        data.replace(b'"index":77', b'"index":true'),
        data.replace(b'"index":77', b'"index":77,"index":77'),
        data.replace(b'"index":77', b'"index":77,"more":1'),
        data.replace(b"edutrust-receipt/1", b"edutrust-receipt/2"),
        data.replace(b"edutrust", b"\\u0065dutrust"),
        b"[]",
        b"",
        b"\xff",
    ):
        with pytest.raises(ReceiptRefused):
            Receipt.parse(bent)


@given(st.binary(max_size=300))
@example(b"{}")
def test_any_bytes_at_all_are_parsed_or_refused_in_our_own_words(data: bytes) -> None:
    with pytest.raises(ReceiptRefused):
        Receipt.parse(data)
    with pytest.raises(CheckpointRefused):
        parse_note(data)


def test_a_receipt_of_an_unknown_log_or_signed_by_another_key_is_refused(anchored: Receipt, keys: Keys) -> None:
    other = make_keys()
    with pytest.raises(ReceiptRefused):
        verify_receipt(replace(anchored, origin="ledger.example/other"), trust=keys.trust)
    with pytest.raises(CheckpointRefused):
        verify_receipt(anchored, trust=LogTrust(other.trust.logs, keys.trust.anchor_witnesses))
    with pytest.raises(AnchorRefused):
        verify_receipt(anchored, trust=LogTrust(keys.trust.logs, other.trust.anchor_witnesses))


def test_an_anchor_of_another_checkpoint_does_not_count(anchored: Receipt, keys: Keys, reader: LedgerReader) -> None:
    older = reader.checkpoint(300).note
    moved = replace(
        anchored,
        checkpoint_note=older,
        path_sm3=reader.inclusion(HashAlg.SM3, 77, 300),
        path_sha256=reader.inclusion(HashAlg.SHA256, 77, 300),
    )
    assert verify_receipt(replace(moved, anchors=()), trust=keys.trust).checkpoint.size == 300
    with pytest.raises(AnchorRefused):
        verify_receipt(moved, trust=keys.trust)


def test_each_of_the_two_trees_must_hold_the_entry(anchored: Receipt, keys: Keys) -> None:
    wrong = tuple(bytes(32) for _ in anchored.path_sm3)
    for bent in (replace(anchored, path_sm3=wrong), replace(anchored, path_sha256=wrong)):
        with pytest.raises(ProofRefused):
            verify_receipt(bent, trust=keys.trust)


def _checkpoint(size: int = 7) -> Checkpoint:
    return Checkpoint(ORIGIN, size, empty_root(HashAlg.SHA256), empty_root(HashAlg.SM3), 1_782_864_000)


def test_a_checkpoint_is_a_signed_note_of_five_lines(keys: Keys) -> None:
    note = sign_checkpoint(_checkpoint(), sm2_key=keys.sm2, ed25519_key=keys.ed25519)
    lines = note.decode().split("\n")
    assert lines[:2] == [ORIGIN, "7"]
    assert lines[2] == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert lines[3].startswith("sm3 ")
    assert lines[4:6] == ["time 1782864000", ""]
    assert [line.startswith(f"— {ORIGIN} ") for line in lines[6:]] == [True, True, False]
    assert verify_checkpoint(note, log=keys.identity) == _checkpoint()


def test_a_checkpoint_missing_one_of_the_logs_signatures_or_carrying_a_strangers_is_refused(keys: Keys) -> None:
    both = sign_checkpoint(_checkpoint(), sm2_key=keys.sm2, ed25519_key=keys.ed25519)
    only_sm2 = sign_checkpoint(_checkpoint(), sm2_key=keys.sm2, ed25519_key=None)
    sm2_alone = LogIdentity(ORIGIN, keys.sm2.public, None)
    assert verify_checkpoint(only_sm2, log=sm2_alone) == _checkpoint()
    parsed = parse_note(both)
    twice = encode_note(parsed.text, [*parsed.signatures, parsed.signatures[0]])
    swapped_name = encode_note(parsed.text, [replace(one, name="other") for one in parsed.signatures])
    for note, log in (
        (only_sm2, keys.identity),
        (both, sm2_alone),
        (twice, keys.identity),
        (swapped_name, keys.identity),
    ):
        with pytest.raises(CheckpointRefused):
            verify_checkpoint(note, log=log)


@pytest.mark.soak
def test_any_one_bit_changed_in_a_note_is_found(keys: Keys) -> None:
    note = sign_checkpoint(_checkpoint(), sm2_key=keys.sm2, ed25519_key=keys.ed25519)
    chosen = random.Random(7)
    for _ in range(FLIPS):
        at, bit = chosen.randrange(len(note)), chosen.randrange(8)
        with pytest.raises(CheckpointRefused):
            verify_checkpoint(note[:at] + bytes([note[at] ^ (1 << bit)]) + note[at + 1 :], log=keys.identity)


_PIECES = ["text", "— ", "name ", "AAAAAAA=", "AAAAAAB=", "AAAAAAAA", "\n", "\n\n", " ", "\r", "\u2028", "x", "="]


@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
@example("text\n\n— name AAAAAAA=\n")
@example("text\n\n— name AAAAAAB=\n")
@example("text\n\nmore\n\n— name AAAAAAAA\n— name AAAAAAAA\n")
def test_a_note_that_parses_is_byte_for_byte_what_would_be_written(text: str) -> None:
    data = text.encode()
    try:
        note = parse_note(data)
    except CheckpointRefused:
        return
    assert encode_note(note.text, note.signatures) == data


@pytest.mark.parametrize("origin", ["", "two words", "plus+sign", "line\nfeed", "x" * 201, "ledger。example"])
def test_a_name_that_cannot_be_a_notes_key_name_is_refused(origin: str) -> None:
    with pytest.raises(CheckpointRefused):
        Checkpoint(origin, 0, bytes(32), bytes(32), 0)


@pytest.mark.parametrize("text", ["07", "+7", "7 ", "-1", "７", "7\r", "9" * 20])
def test_a_size_in_any_other_form_than_its_decimal_digits_is_refused(text: str, keys: Keys) -> None:
    bent = _checkpoint().text().replace("\n7\n", f"\n{text}\n")
    signature = replace(
        parse_note(sign_checkpoint(_checkpoint(), sm2_key=keys.sm2, ed25519_key=None)).signatures[0],
        signature=keys.sm2.sign(bent.encode()),
    )
    with pytest.raises(TrustError):
        verify_checkpoint(encode_note(bent, [signature]), log=LogIdentity(ORIGIN, keys.sm2.public, None))
