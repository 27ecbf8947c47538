"""C2SP tlog-proof files: one encoding, everything in them checked, and the same for the SM3 tree."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import TrustError
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import CheckpointRefused, ProofRefused
from ledger.merkle import HASH_BYTES, MAX_TREE_SIZE, HashAlg
from ledger.note import MAX_NOTE_BYTES
from ledger.proof_file import HEADERS, MAX_PROOF_FILE_BYTES, MAX_PROOF_LINES, ProofFile, verify_proof_file
from tests.ledger.parts import ORIGIN, Keys, naive_path, naive_root
from tests.scale import trials

BODIES = [f"entry {number}".encode() for number in range(13)]


@pytest.fixture(scope="module")
def note(keys: Keys) -> bytes:
    roots = {alg: naive_root(alg, BODIES) for alg in HashAlg}
    checkpoint = Checkpoint(ORIGIN, len(BODIES), roots[HashAlg.SHA256], roots[HashAlg.SM3], 1_782_864_000)
    return sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=keys.ed25519)


def proof(alg: HashAlg, index: int, note: bytes) -> ProofFile:
    return ProofFile(alg, index, tuple(naive_path(alg, index, BODIES)), note)


hashes = st.lists(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), max_size=MAX_PROOF_LINES).map(tuple)
files = st.builds(
    ProofFile,
    st.sampled_from(HashAlg),
    st.integers(0, MAX_TREE_SIZE - 1),
    hashes,
    st.binary(max_size=MAX_NOTE_BYTES),
)


@given(files)
@settings(deadline=None)
def test_what_is_written_is_read_back(file: ProofFile) -> None:
    data = file.to_bytes()
    assert len(data) <= MAX_PROOF_FILE_BYTES
    assert ProofFile.parse(data) == file


@given(st.binary(max_size=300) | files.map(ProofFile.to_bytes), st.data())
@settings(deadline=None)
def test_what_parses_is_the_one_encoding_of_what_it_says(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    mangled = data[:at] + draw.draw(st.binary(max_size=3)) + data[at + draw.draw(st.integers(0, 3)) :]
    try:
        parsed = ProofFile.parse(mangled)
    except ProofRefused:
        return
    assert parsed.to_bytes() == mangled


@pytest.mark.parametrize("alg", HashAlg)
def test_a_proof_of_every_entry_verifies_with_the_signed_checkpoint(alg: HashAlg, note: bytes, keys: Keys) -> None:
    for index, body in enumerate(BODIES):
        proved = verify_proof_file(proof(alg, index, note).to_bytes(), body=body, log=keys.identity)
        assert (proved.alg, proved.index, proved.body) == (alg, index, body)
        assert proved.checkpoint.size == len(BODIES)


def test_the_text_is_that_of_the_specification(note: bytes) -> None:
    path = naive_path(HashAlg.SHA256, 12, BODIES)
    lines = ["c2sp.org/tlog-proof@v1", "index 12", *(b64encode(one).decode() for one in path), "", note.decode()]
    assert proof(HashAlg.SHA256, 12, note).to_bytes().decode() == "\n".join(lines)
    assert proof(HashAlg.SM3, 12, note).to_bytes().decode().split("\n")[0] == "edutrust/tlog-proof/sm3@v1"


def test_an_entry_of_a_log_of_one_needs_no_hash(keys: Keys) -> None:
    roots = {alg: naive_root(alg, BODIES[:1]) for alg in HashAlg}
    checkpoint = Checkpoint(ORIGIN, 1, roots[HashAlg.SHA256], roots[HashAlg.SM3], 1)
    note = sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=None)
    log = replace(keys.identity, ed25519=None)
    data = ProofFile(HashAlg.SHA256, 0, (), note).to_bytes()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + ORIGIN.encode())
    assert verify_proof_file(data, body=BODIES[0], log=log).index == 0


@pytest.mark.soak
@pytest.mark.parametrize("alg", HashAlg)
def test_every_change_of_one_bit_is_refused(alg: HashAlg, note: bytes, keys: Keys) -> None:
    data = proof(alg, 6, note).to_bytes()
    step = max(1, len(data) * 8 // trials(700, full=len(data) * 8))
    for bit in range(0, len(data) * 8, step):
        _require_refused(data, bit, keys)


@given(st.integers(min_value=0), st.sampled_from(HashAlg), st.integers(0, len(BODIES) - 1))
@settings(max_examples=150, deadline=None)
def test_any_changed_bit_of_any_proof_is_refused(note: bytes, keys: Keys, bit: int, alg: HashAlg, index: int) -> None:
    data = proof(alg, index, note).to_bytes()
    _require_refused(data, bit % (len(data) * 8), keys, index)


def _require_refused(data: bytes, bit: int, keys: Keys, index: int = 6) -> None:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ProofRefused, CheckpointRefused)):
        verify_proof_file(bytes(changed), body=BODIES[index], log=keys.identity)


def test_another_entry_another_log_and_the_other_tree_are_refused(note: bytes, keys: Keys) -> None:
    sha256, sm3 = proof(HashAlg.SHA256, 6, note), proof(HashAlg.SM3, 6, note)
    with pytest.raises(ProofRefused):
        verify_proof_file(sha256.to_bytes(), body=BODIES[7], log=keys.identity)
    with pytest.raises(CheckpointRefused):
        verify_proof_file(sha256.to_bytes(), body=BODIES[6], log=replace(keys.identity, origin="ledger.example/other"))
    for wrong in (replace(sha256, path=sm3.path), replace(sm3, path=sha256.path), replace(sm3, alg=HashAlg.SHA256)):
        with pytest.raises(ProofRefused):
            verify_proof_file(wrong.to_bytes(), body=BODIES[6], log=keys.identity)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v2\n"),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1 \n"),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\r\n"),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\nextra AAAA\n"),
        ("c2sp.org/tlog-proof@v1\n", "\nc2sp.org/tlog-proof@v1\n"),
        ("c2sp.org/tlog-proof@v1\n", ""),
        ("index 6\n", ""),
        ("index 6\n", "index 06\n"),
        ("index 6\n", "index +6\n"),
        ("index 6\n", "index 6 \n"),
        ("index 6\n", "index  6\n"),
        ("index 6\n", "index ٦\n"),
        ("index 6\n", "Index 6\n"),
        ("index 6\n", "index 9223372036854775808\n"),
        ("index 6\n", f"index {1 << 64}\n"),
        ("index 6\n", "index 6\nAAAA\n"),
        ("index 6\n", "index 6\n" + ("A" * 43 + "=\n") * 64),
        ("=\n\n", "\n\n"),
        ("=\n\n", "=\n"),
        ("=\n\n", "=\n\n\n"),
        ("=\n\n", "=\r\n\r\n"),
    ],
)
def test_any_other_form_is_refused(old: str, new: str, note: bytes, keys: Keys) -> None:
    text = proof(HashAlg.SHA256, 6, note).to_bytes().decode()
    assert text.count(old) >= 1
    with pytest.raises(TrustError) as refused:
        verify_proof_file(text.replace(old, new, 1).encode(), body=BODIES[6], log=keys.identity)
    assert isinstance(refused.value, ProofRefused | CheckpointRefused)


def test_the_bounds_hold(note: bytes) -> None:
    with pytest.raises(ProofRefused):
        ProofFile.parse(proof(HashAlg.SM3, 0, note).to_bytes() + b" " * MAX_PROOF_FILE_BYTES)
    with pytest.raises(ProofRefused):
        ProofFile(HashAlg.SM3, -1, (), note)
    with pytest.raises(ProofRefused):
        ProofFile(HashAlg.SM3, 0, (b"short",), note)
    with pytest.raises(ProofRefused):
        ProofFile(HashAlg.SM3, 0, (), b" " * (MAX_NOTE_BYTES + 1))
    with pytest.raises(ProofRefused):
        ProofFile.parse((HEADERS[HashAlg.SM3] + "\nindex 0").encode())
