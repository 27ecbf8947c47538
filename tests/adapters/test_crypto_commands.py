"""`edutrust crypto …` as a person at the shell meets it, with the `openssl` command as the other side."""

from __future__ import annotations

import getpass
import io
import os
import stat
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.cli import build_parser, main
from adapters.commands import crypto_files
from crypto.sealed import sm4_gcm_open, sm4_gcm_seal
from crypto.sm2_ciphertext import ciphertext_to_der
from tests.crypto.openssl_tool import DEFAULT_ID, new_key, openssl

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Return the exit code, standard output, and standard error, which is one sentence or empty."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(["crypto", *(str(argument) for argument in arguments)])
        captured = capsysbinary.readouterr()
        told = captured.err.decode()
        assert told == "" or (told.endswith(".\n") and told.count("\n") == 1), told
        assert (code == 0) is (told == "")
        return code, captured.out, told

    return run


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message"
    path.write_bytes("毕业证书 0001\n".encode() * 40)
    return path


@pytest.fixture
def pair(run: Run, tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    assert run("sm2-keygen", "--out", private, "--public-out", public)[0] == 0
    return private, public


# Keys


def test_a_new_key_is_its_owners_alone_and_openssl_reads_it(pair: tuple[Path, Path], run: Run) -> None:
    private, public = pair
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert openssl("pkey", "-in", private, "-pubout") == public.read_bytes()
    assert openssl("pkey", "-in", private) == private.read_bytes()
    assert run("sm2-public", "--key", private) == (0, public.read_bytes(), "")


def test_no_file_is_ever_overwritten(pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path) -> None:
    private, public = pair
    before = private.read_bytes(), public.read_bytes()
    new = tmp_path / "new.pem"
    for arguments in (
        ("sm2-keygen", "--out", private),
        ("sm2-keygen", "--out", new, "--public-out", public),
        ("sm2-public", "--key", private, "--out", public),
        ("sm2-sign", "--key", private, "--out", public, message),
        ("sm2-encrypt", "--public", public, "--out", public, private),
    ):
        code, _, told = run(*arguments)
        assert code == 1
        assert "exists already and is never overwritten" in told
    assert (private.read_bytes(), public.read_bytes()) == before
    assert not new.exists(), "no private key is left behind without its public one"


def test_an_encrypted_key_opens_with_its_password_alone(run: Run, message: Path, tmp_path: Path) -> None:
    password, wrong, key = tmp_path / "password", tmp_path / "wrong", tmp_path / "key.pem"
    password.write_bytes("口令 one\r\nsecond line\n".encode())
    wrong.write_text("another\n")
    assert run("sm2-keygen", "--out", key, "--password-file", password)[0] == 0
    assert b"ENCRYPTED PRIVATE KEY" in key.read_bytes()
    public = openssl("pkey", "-in", key, "-pubout", "-passin", "stdin", stdin="口令 one\n".encode())
    assert run("sm2-public", "--key", key, "--password-file", password)[1] == public
    code, out, told = run("sm2-sign", "--key", key, "--password-file", wrong, message)
    assert (code, out) == (1, b"")
    assert "the password is wrong or the file is damaged" in told
    assert "no terminal to ask at" in run("sm2-sign", "--key", key, message)[2]


def test_a_password_is_asked_for_at_a_terminal(
    run: Run, message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed: list[str] = []

    def typing(prompt: str) -> str:
        typed.append(prompt)
        return "secret" if len(typed) != 2 else "secre"

    monkeypatch.setattr(getpass, "getpass", typing)
    monkeypatch.setattr(crypto_files, "at_a_terminal", lambda: True)
    key = tmp_path / "key.pem"
    assert "differ" in run("sm2-keygen", "--out", key, "--ask-password")[2]
    assert not key.exists()
    assert run("sm2-keygen", "--out", key, "--ask-password")[0] == 0
    assert run("sm2-sign", "--key", key, message)[0] == 0
    assert len(typed) == 5


def test_no_argument_carries_a_secret() -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["crypto", "sm2-sign", "--key", "k", "--password", "secret", "m"])
    with pytest.raises(SystemExit):
        build_parser().parse_args(["crypto", "sm4-gcm", "encrypt", "--key", "00" * 16, "m"])


BAD_KEYS = {
    "P-256": (("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "its curve is not that of SM2"),
    "Ed25519": (("genpkey", "-algorithm", "ED25519"), "it is not an elliptic-curve key"),
    "explicit": (
        ("ecparam", "-name", "SM2", "-param_enc", "explicit", "-genkey", "-noout"),
        "it spells its curve out instead of naming it",
    ),
}


@pytest.mark.parametrize(("made", "why"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_key_that_is_none_of_ours_is_refused_in_a_sentence(
    run: Run, message: Path, tmp_path: Path, made: tuple[str, ...], why: str
) -> None:
    key, public = tmp_path / "other.pem", tmp_path / "other-public.pem"
    key.write_bytes(openssl(*made))
    public.write_bytes(openssl("pkey", "-in", key, "-pubout"))
    assert why in run("sm2-sign", "--key", key, message)[2]
    assert why in run("sm2-encrypt", "--public", public, message)[2]


def test_the_old_encryption_of_openssl_is_named_with_its_remedy(run: Run, message: Path, tmp_path: Path) -> None:
    key = tmp_path / "old.pem"
    key.write_bytes(openssl("ec", "-in", new_key(tmp_path / "k.pem"), "-aes256", "-passout", "pass:abc"))
    assert "openssl pkcs8 -topk8" in run("sm2-sign", "--key", key, message)[2]


def test_what_cannot_be_read_is_said(pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path) -> None:
    private, public = pair
    empty = tmp_path / "empty"
    empty.touch()
    assert "cannot be read" in run("sm2-sign", "--key", tmp_path / "absent", message)[2]
    assert "cannot be read" in run("sm2-sign", "--key", private, tmp_path)[2]
    assert "cannot be used" in run("sm2-sign", "--key", empty, message)[2]
    assert "cannot be used" in run("sm2-sign", "--key", public, message)[2]
    assert "first line" in run("sm2-sign", "--key", private, "--password-file", empty, message)[2]
    assert "cannot be written" in run("sm2-keygen", "--out", tmp_path / "no" / "key.pem")[2]
    assert "cannot be done" in run("sm2-sign", "--key", private, "--id", "x" * 8192, message)[2]


# Signatures


@pytest.mark.parametrize("user_id", [DEFAULT_ID, "ALICE123@YAHOO.COM", "张三"])
def test_openssl_verifies_our_signature_and_we_its(
    pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path, user_id: str
) -> None:
    private, public = pair
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert run("sm2-sign", "--key", private, "--id", user_id, "--out", ours, message)[0] == 0
    options = ("-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{user_id}", "-in", message)
    openssl("pkeyutl", "-verify", "-pubin", "-inkey", public, *options, "-sigfile", ours)
    theirs.write_bytes(openssl("pkeyutl", "-sign", "-inkey", private, *options))
    for signature in (ours, theirs):
        verify = ("sm2-verify", "--public", public, "--signature", signature)
        assert run(*verify, "--id", user_id, message) == (0, b"The signature is valid.\n", "")
        assert run(*verify, "--id", user_id, public) == (1, b"", "The signature is not valid.\n")
        assert run(*verify, "--id", user_id + "x", message) == (1, b"", "The signature is not valid.\n")


def test_what_sign_prints_verify_takes(pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path) -> None:
    private, public = pair
    signature = tmp_path / "signature"
    for raw in ((), ("--raw",)):
        for _ in range(8):
            printed = run("sm2-sign", "--key", private, *raw, message)[1]
            assert (len(b64decode(printed)) == 64) is (raw == ("--raw",))
            for held in (printed, b64decode(printed)):
                signature.write_bytes(held)
                assert run("sm2-verify", "--public", public, "--signature", signature, *raw, message)[0] == 0


def test_standard_input_is_a_message_too(pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path) -> None:
    private, public = pair
    signature = tmp_path / "signature"
    signature.write_bytes(run("sm2-sign", "--key", private, "-", stdin=message.read_bytes())[1])
    assert run("sm2-verify", "--public", public, "--signature", signature, message)[0] == 0


@pytest.mark.parametrize("held", [b"", b"x", b"\x30\x00", b"MEUCIQ==", bytes(64), b64encode(bytes(64)), b"\xff" * 72])
def test_a_file_that_is_no_signature_is_refused(
    pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path, held: bytes
) -> None:
    signature = tmp_path / "signature"
    signature.write_bytes(held)
    for raw in ((), ("--raw",)):
        assert run("sm2-verify", "--public", pair[1], "--signature", signature, *raw, message)[0] == 1


def test_verify_wants_a_whole_set_of_arguments(pair: tuple[Path, Path], run: Run, message: Path) -> None:
    assert run("sm2-verify", message)[0] == 2
    assert run("sm2-verify", "--public", pair[1], message)[0] == 2
    assert run("sm2-verify", "--batch", message, "--public", pair[1])[0] == 2


# Encryption


def test_openssl_decrypts_ours_and_we_its(pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path) -> None:
    private, public = pair
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert run("sm2-encrypt", "--public", public, "--out", ours, message)[0] == 0
    assert openssl("pkeyutl", "-decrypt", "-inkey", private, "-in", ours) == message.read_bytes()
    theirs.write_bytes(openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-in", message))
    for ciphertext in (ours, theirs):
        assert run("sm2-decrypt", "--key", private, ciphertext) == (0, message.read_bytes(), "")


def test_both_forms_come_back_from_what_is_printed(
    pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path
) -> None:
    private, public = pair
    printed = run("sm2-encrypt", "--public", public, message)[1]
    assert run("sm2-decrypt", "--key", private, "-", stdin=printed)[1] == message.read_bytes()
    raw = run("sm2-encrypt", "--public", public, "--raw", message)[1]
    assert len(b64decode(raw)) == 97 + message.stat().st_size
    for held in (raw, b64decode(raw)):
        assert run("sm2-decrypt", "--key", private, "--raw", "-", stdin=held)[1] == message.read_bytes()
    assert run("sm2-decrypt", "--key", private, "-", stdin=ciphertext_to_der(b64decode(raw)))[0] == 0
    plain = tmp_path / "plain"
    assert run("sm2-decrypt", "--key", private, "--out", plain, "-", stdin=printed)[0] == 0
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600


def test_a_changed_or_foreign_ciphertext_opens_to_nothing(
    pair: tuple[Path, Path], run: Run, message: Path, tmp_path: Path
) -> None:
    private, public = pair
    sealed = bytearray(b64decode(run("sm2-encrypt", "--public", public, "--raw", message)[1]))
    other = tmp_path / "other.pem"
    assert run("sm2-keygen", "--out", other)[0] == 0
    assert "does not open" in run("sm2-decrypt", "--key", other, "--raw", "-", stdin=bytes(sealed))[2]
    for place in (1, 40, 70, 96, 97, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        code, out, told = run("sm2-decrypt", "--key", private, "--raw", "-", stdin=bytes(changed))
        assert (code, out) == (1, b"")
        assert "does not open" in told
    for held in (b"", b"\x04", bytes(sealed[:97]), b"\x30\x00", b"text"):
        assert run("sm2-decrypt", "--key", private, "-", stdin=held)[0] == 1
        assert run("sm2-decrypt", "--key", private, "--raw", "-", stdin=held)[0] == 1


def test_what_sm2_cannot_carry_is_said(pair: tuple[Path, Path], run: Run) -> None:
    assert "is empty" in run("sm2-encrypt", "--public", pair[1], "-")[2]
    assert "larger than" in run("sm2-encrypt", "--public", pair[1], "-", stdin=bytes(65_537))[2]


# SM3 and SM4


def test_sm3_prints_what_openssl_computes(run: Run, message: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    code, out, _ = run("sm3", message, empty, "-", stdin=b"abc")
    assert code == 0
    expected = [openssl("dgst", "-sm3", "-r", path).split()[0] for path in (message, empty)]
    assert [line.split(b"  ")[0] for line in out.splitlines()[:2]] == expected
    assert out.splitlines()[2] == b"66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0  -"


def test_hmac_sm3_prints_what_openssl_computes(run: Run, message: Path, tmp_path: Path) -> None:
    for size in (16, 32, 64, 100):
        key = tmp_path / f"key-{size}"
        key.write_text(f"{os.urandom(size).hex()}\n")
        mac = openssl("dgst", "-sm3", "-r", "-mac", "HMAC", "-macopt", f"hexkey:{key.read_text().strip()}", message)
        assert run("sm3", "--hmac-key-file", key, message)[1].split()[0] == mac.split()[0]


@pytest.mark.parametrize("text", ["", "00" * 15, "0" * 31, "xyz", "00" * 1025])
def test_a_weak_or_malformed_hmac_key_is_refused(run: Run, message: Path, tmp_path: Path, text: str) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    assert run("sm3", "--hmac-key-file", key, message)[0] == 1


@pytest.fixture
def sm4_key(tmp_path: Path) -> Path:
    path = tmp_path / "sm4.key"
    path.write_text(os.urandom(16).hex() + "\n")
    return path


def test_sm4_gcm_comes_back_and_each_run_draws_its_iv(run: Run, message: Path, sm4_key: Path, tmp_path: Path) -> None:
    key, plain = bytes.fromhex(sm4_key.read_text()), message.read_bytes()
    sealed = [run("sm4-gcm", "encrypt", "--key-file", sm4_key, "--aad", "表.列", message)[1] for _ in range(4)]
    assert len({each[:12] for each in sealed}) == 4
    for each in sealed:
        assert len(each) == 12 + len(plain) + 16
        assert sm4_gcm_open(key, each[:12], each[12:], aad="表.列".encode()) == plain
        assert run("sm4-gcm", "decrypt", "--key-file", sm4_key, "--aad", "表.列", "-", stdin=each)[1] == plain
    ours = bytes(12) + sm4_gcm_seal(key, bytes(12), plain, aad=b"")
    out = tmp_path / "plain"
    assert run("sm4-gcm", "decrypt", "--key-file", sm4_key, "--out", out, "-", stdin=ours)[0] == 0
    assert out.read_bytes() == plain
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_sm4_gcm_opens_nothing_that_was_changed(run: Run, message: Path, sm4_key: Path, tmp_path: Path) -> None:
    sealed = run("sm4-gcm", "encrypt", "--key-file", sm4_key, "--aad", "a", message)[1]
    other = tmp_path / "other.key"
    other.write_text("00" * 16)
    decrypt = ("sm4-gcm", "decrypt", "--key-file")
    assert "does not open" in run(*decrypt, other, "--aad", "a", "-", stdin=sealed)[2]
    assert "does not open" in run(*decrypt, sm4_key, "--aad", "b", "-", stdin=sealed)[2]
    assert "too short" in run(*decrypt, sm4_key, "--aad", "a", "-", stdin=sealed[:27])[2]
    for place in (0, 11, 12, len(sealed) - 16, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 0x80
        code, out, told = run(*decrypt, sm4_key, "--aad", "a", "-", stdin=bytes(changed))
        assert (code, out) == (1, b"")
        assert "does not open" in told


@pytest.mark.parametrize("text", ["", "00" * 15, "00" * 17, "00" * 32, "zz" * 16])
def test_an_sm4_key_has_sixteen_bytes_in_hex(run: Run, message: Path, tmp_path: Path, text: str) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    code, out, told = run("sm4-gcm", "encrypt", "--key-file", key, message)
    assert (code, out) == (1, b"")
    assert text[:8] not in told or not text


def test_a_file_past_the_bound_is_refused(run: Run, sm4_key: Path) -> None:
    code, _, told = run("sm4-gcm", "encrypt", "--key-file", sm4_key, "-", stdin=bytes(crypto_files.MAX_FILE_BYTES + 1))
    assert code == 1
    assert "larger than" in told
