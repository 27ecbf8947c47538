"""The check of a published log by its files: any byte changed in any file is found where it is; nothing is missing or more."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.publication import LogFolder
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.canonical import jcs
from crypto.encoding import json_strict
from ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from ledger.errors import CheckpointRefused, IntegrityBroken
from ledger.fsck import Finding
from ledger.merkle import HashAlg, leaf_hash
from ledger.publication import pool_digest
from ledger.publication_bundles import (
    encode_bundle,
    encode_digest,
    encode_keys,
    parse_bundle,
    parse_digest,
    parse_keys,
)
from ledger.publication_counts import encode_counts, parse_counts
from ledger.publication_document import LogDocument
from ledger.publication_fsck import FilesReport, fsck_files
from ledger.sequencer import Sequencer
from tests.ledger.parts import ORIGIN, Keys, entries, make_keys
from tests.ledger.published import SIZES, Memory, document_of, fill, publisher_of
from tests.scale import report, trials
from tests.services.clock import StillClock
from tests.services.tables import make_tables

SEED = 20_261
BYTES_A_FILE = trials(10, full=1 << 20)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Memory:
    root = tmp_path_factory.mktemp("published")
    url = f"sqlite:///{root}"
    make_tables(url, "ledger")
    database = open_ledger_database(url)
    store = SqlLedgerStore(database, ORIGIN)
    clock = StillClock(1_790_000_000)
    sequencer = Sequencer(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        anchor_chains=["file"],
    )
    publisher = publisher_of(store, root / "log", keys)
    # With the partial forms that publishing step by step leaves: they are files too.
    fill(store, sequencer, keys, clock, (1, 250))
    publisher.catch_up()
    fill(store, sequencer, keys, clock)
    publisher.catch_up()
    database.close()
    return Memory.of(LogFolder(root / "log"))


def test_a_whole_published_log_is_clean(published: Memory, keys: Keys) -> None:
    for pinned in (None, document_of(keys)):
        result = fsck_files(published, pinned)
        assert (result.findings, result.size, result.files) == ((), 601, len(published.files))


def test_one_bit_changed_in_any_file_is_found_where_it_is(published: Memory) -> None:
    draw = random.Random(SEED)
    tried = 0
    for name, data in sorted(published.files.items()):
        for at in draw.sample(range(len(data)), min(BYTES_A_FILE, len(data))):
            bent = bytearray(data)
            bent[at] ^= 1 << draw.randrange(8)
            result = fsck_files(Memory(published.files | {name: bytes(bent)}), None)
            assert name in {finding.where for finding in result.findings}, (SEED, name, at)
            tried += 1
    report("log files: one bit in any file", target="100%", actual=f"{tried}/{tried}", seed=SEED)


def test_a_changed_bundle_or_tile_is_the_only_thing_named(published: Memory) -> None:
    for name, kind in (
        ("tile/entries/000", "bundle"),
        ("tile/0/001", "tile"),
        ("sm3/tile/0/001", "tile"),
        ("tile/1/000.p/2", "tile"),
        ("keys/001", "keys"),
        ("note/300", "note"),
        ("note/601", "note"),
        ("checkpoint", "checkpoint"),
        ("anchor/evm-31337/300", "anchor"),
    ):
        data = published.files[name]
        at = len(data) // 2
        bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        findings = fsck_files(Memory(published.files | {name: bent}), None).findings
        # A note that is broken takes the evidence for it along.
        own = [finding for finding in findings if finding.what != "anchor" or kind == "anchor"]
        assert kind != "note" or len(findings) > len(own)
        assert [(one.what, one.where) for one in own] == [(kind, name)]


def test_every_file_that_is_missing_is_missed(published: Memory) -> None:
    for name in published.files:
        findings = fsck_files(
            Memory({one: data for one, data in published.files.items() if one != name}), None
        ).findings
        assert findings, name
        # That a checkpoint was anchored stands in no other file: the counts say that some statement is gone, not which.
        if name.startswith("anchor/"):
            assert findings == (Finding(name.rpartition("/")[0], "counts", "present"),)


def test_a_note_taken_away_with_all_that_belongs_to_it_is_missed(published: Memory) -> None:
    for gone in ({"note/256"}, {"note/601", "anchor/file/601"}, {"note/600", "note/601", "anchor/file/601"}):
        left = {name: data for name, data in published.files.items() if name not in gone}
        assert Finding("note", "counts", "present") in fsck_files(Memory(left), None).findings
    assert not fsck_files(Memory({name: one for name, one in published.files.items() if name != "counts"}), None).clean


def test_the_newest_note_may_stand_in_checkpoint_alone(published: Memory) -> None:
    left = {name: data for name, data in published.files.items() if name not in {"note/601", "anchor/file/601"}}
    counts = parse_counts(left["counts"])
    left["counts"] = encode_counts({**counts, "note": counts["note"] - 1, "anchor/file": 2})
    assert fsck_files(Memory(left), None).clean
    left["checkpoint"] = published.files["note/600"]
    assert {one.rule for one in fsck_files(Memory(left), None).findings} >= {"present"}


def test_a_digest_of_keys_from_an_older_version_is_held_to_the_keys_since_the_one_before(published: Memory) -> None:
    """Older versions wrote one beside every note."""
    before, older = 0, dict(published.files)
    for size in (0, *SIZES):
        older[f"note/{size}.keys"] = encode_digest(pool_digest(one.idempotency_key for one in entries(before, size)))
        before = size
    counts = parse_counts(older["counts"])
    older["counts"] = encode_counts({**counts, "note": counts["note"] + 1 + len(SIZES)})
    assert fsck_files(Memory(older), None).clean
    del older["note/256.keys"]
    rules = {(one.where, one.rule) for one in fsck_files(Memory(older), None).findings}
    assert rules == {("counts", "present"), ("note/300.keys", "digest")}
    older["note/300.keys"] = b"0" * 64 + b"\n"
    assert ("note/300.keys", "digest") in {(one.where, one.rule) for one in fsck_files(Memory(older), None).findings}


def test_counts_have_one_encoding() -> None:
    data = encode_counts({"note": 12, "anchor/file": 3, "anchor/evm-31337": 0})
    assert data == b"anchor/evm-31337 0\nanchor/file 3\nnote 12\n"
    assert parse_counts(data) == {"note": 12, "anchor/file": 3, "anchor/evm-31337": 0}
    bad: list[bytes] = [b"", b"note 12", b"note 012\n", b"note -1\n", b"note 1\nanchor/file 3\n", b"note 1\nnote 1\n"]
    bad += [b"anchor/evm:7 1\n", b"anchor/tape 1\n", b"note 1\r\n", b"note \xff\n", b"note 1\n\n", b"other 1\n"]
    bad.append(b"".join(b"anchor/evm-%d 1\n" % number for number in range(1000, 1065)))
    for one in bad:
        with pytest.raises(IntegrityBroken):
            parse_counts(one)


@pytest.mark.parametrize(
    "name",
    ["tile/0/003", "tile/0/002.p/90", "tile/2/000.p/1", "note/602", "README", "tile/0/x000/001", ".hidden", "keys/009"],
)
def test_a_file_that_nobody_needs_is_found(published: Memory, name: str) -> None:
    finding, *counted = fsck_files(Memory(published.files | {name: b"x"}), None).findings[::-1]
    assert finding.where == name
    assert finding.rule in {"surplus", "known"}
    assert counted == ([Finding("note", "counts", "surplus")] if name.startswith("note/") else [])


def test_an_older_partial_file_may_stay_and_must_be_right(published: Memory) -> None:
    tile = published.files["tile/0/002.p/89"]
    whole = Memory(
        published.files
        | {"tile/0/002.p/44": tile[: 44 * 32], "tile/0/000.p/250": published.files["tile/0/000"][: 250 * 32]}
    )
    assert fsck_files(whole, None).clean
    whole.files["tile/0/002.p/44"] = tile[32 : 45 * 32]
    assert fsck_files(whole, None).findings == (Finding("tile", "tile/0/002.p/44", "equal"),)


def test_a_whole_forged_log_is_found_by_keys_kept_elsewhere(published: Memory, keys: Keys) -> None:
    forged = make_keys()
    result = fsck_files(published, document_of(forged))
    assert ("log.json", "pinned") in {(one.where, one.rule) for one in result.findings}
    assert {"checkpoint", "note/601"} <= {one.where for one in result.findings}
    swapped = Memory(published.files | {"log.json": document_of(forged).to_json()})
    assert not fsck_files(swapped, None).clean
    assert fsck_files(swapped, document_of(keys)).findings == (Finding("document", "log.json", "pinned"),)


def test_a_second_signature_over_the_same_size_is_found(published: Memory, keys: Keys) -> None:
    checkpoint = verify_checkpoint(published.files["checkpoint"], log=keys.identity)
    again = sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=keys.ed25519)
    assert fsck_files(Memory(published.files | {"checkpoint": again}), None).findings == (
        Finding("checkpoint", "checkpoint", "equal"),
    )


def test_the_same_trees_signed_again_later_are_one_history(published: Memory, keys: Keys) -> None:
    first = verify_checkpoint(published.files["checkpoint"], log=keys.identity)

    def signed(checkpoint: Checkpoint) -> FilesReport:
        note = sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=keys.ed25519)
        return fsck_files(Memory(published.files | {"checkpoint": note}), None)

    assert signed(replace(first, time=first.time + 3600)).clean
    for other in (
        replace(first, time=first.time - 3600),
        replace(first, time=first.time + 3600, root_sm3=bytes(32)),
        replace(first, time=first.time + 3600, root_sha256=bytes(32)),
    ):
        assert Finding("checkpoint", "checkpoint", "equal") in signed(other).findings


def test_an_empty_folder_and_a_log_without_its_bundles_say_so() -> None:
    assert [one.where for one in fsck_files(Memory(), None).findings] == ["log.json"]


def test_bundles_are_parsed_to_the_byte() -> None:
    bodies = [b"a", b"bc" * 300, b"d" * 65_535]
    data = encode_bundle(bodies)
    assert data[:3] == b"\x00\x01a"
    assert parse_bundle(data, 3) == bodies
    for bad, width in ((data, 2), (data, 4), (data[:-1], 3), (data + b"\x00", 3), (b"\x00\x00", 1), (b"\x00", 0)):
        with pytest.raises(IntegrityBroken):
            parse_bundle(bad, width)
    held = [bytes([number]) * 32 for number in range(3)]
    assert parse_keys(encode_keys(held), 3) == held
    for bad, width in ((encode_keys(held), 2), (encode_keys(held)[:-1], 3), (b"", 0), (encode_keys(held)[32:], 2)):
        with pytest.raises(IntegrityBroken):
            parse_keys(bad, width)
    assert parse_digest(encode_digest(held[1])) == held[1]
    for line in (b"", b"00" * 32, b"00" * 31 + b"\n", b"0A" * 32 + b"\n", b" " + b"00" * 32 + b"\n", b"\xff\n"):
        with pytest.raises(IntegrityBroken):
            parse_digest(line)


def test_log_json_has_one_encoding(keys: Keys) -> None:
    document = document_of(keys)
    data = document.to_json()
    parsed = LogDocument.parse(data)
    assert (parsed.identity, parsed.witnesses.keys()) == (document.identity, document.witnesses.keys())
    assert parsed.trust.logs.keys() == {ORIGIN}
    value: Any = json_strict(data)
    [sm2, ed25519] = [key["vkey"] for key in value["keys"]]
    assert sm2.startswith(f"{ORIGIN}+")
    assert ed25519.startswith(f"{ORIGIN}+")
    for bent in (
        b"",
        b"[]",
        data + b"\n",
        data.replace(b'"type"', b' "type"'),
        data.replace(b"edutrust-log/1", b"edutrust-log/2"),
        jcs(value | {"more": 1}),
        jcs(value | {"origin": "another/log"}),
        jcs(value | {"keys": value["keys"][::-1]}),
        jcs(value | {"keys": []}),
        jcs(value | {"keys": [value["keys"][0] | {"vkey": ed25519}, value["keys"][1]]}),
        jcs(value | {"witnesses": [{"jwk": value["keys"][1]["jwk"]}]}),
        jcs(value | {"witnesses": [{"jwk": value["witnesses"][0]["jwk"] | {"kid": "another"}}]}),
        b"[" * 100,
        b" " * 70_000,
    ):
        with pytest.raises(CheckpointRefused):
            LogDocument.parse(bent)


def test_tiles_and_bundle_broken_together_are_told_by_the_signed_root(published: Memory) -> None:
    """Whoever changes an entry and every hash above it still cannot sign."""
    bodies = parse_bundle(published.files["tile/entries/002.p/89"], 89)
    bodies[5] = b"forged"
    files = dict(published.files) | {"tile/entries/002.p/89": encode_bundle(bodies)}
    for alg, name in ((HashAlg.SHA256, "tile/0/002.p/89"), (HashAlg.SM3, "sm3/tile/0/002.p/89")):
        data = files[name]
        files[name] = data[: 5 * 32] + leaf_hash(alg, b"forged") + data[6 * 32 :]
    rules = {(one.where, one.rule) for one in fsck_files(Memory(files), None).findings}
    assert {(f"note/{size}", f"root_{alg}") for size, alg in itertools.product((600, 601), HashAlg)} <= rules


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, published: Memory) -> None:
    for name, data in published.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert fsck_files(LogFolder(tmp_path), None).clean
    for name, data in published.files.items():
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        findings = fsck_files(LogFolder(tmp_path), None).findings
        # Of a statement the counts say that it is gone; a folder has no name among the files.
        assert {name, "counts"} & {one.where for one in findings}, name
        (tmp_path / name).rmdir()
        (tmp_path / name).write_bytes(data)
    assert fsck_files(LogFolder(tmp_path), None).clean


def test_a_file_that_is_empty_too_short_or_too_long_is_named(published: Memory) -> None:
    for name, data in published.files.items():
        for other in (b"", data[:-1], data[:-32], data + b"\n", data + data[-32:], data + data):
            if other != data:
                result = fsck_files(Memory(published.files | {name: other}), None)
                assert name in {one.where for one in result.findings}, (name, len(data), len(other))
