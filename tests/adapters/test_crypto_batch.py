"""`edutrust crypto sm2-verify --batch`: one verdict a row, in order, whatever the rows hold."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.cli import main
from adapters.commands import crypto_batch
from adapters.commands.crypto_batch import MAX_ROW_BYTES, WINDOW_BYTES, WINDOW_ROWS, BatchRun, Ids, windows
from crypto.encoding import rs_to_der
from crypto.key_files import public_to_spki
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend, Sm2PublicKey, select_backend, signature_to_der
from crypto.sm2_curve import N
from tests.crypto.openssl_tool import new_key, openssl

DEFAULT = SM2_DEFAULT_ID.decode()
MESSAGE = "学历证书".encode()


@cache
def loaded() -> Sm2Backend:
    return select_backend(["libcrypto"])


@cache
def key(number: int) -> tuple[bytes, str]:
    """Return a private key and the PEM of its public one."""
    private = loaded().generate()
    return private, public_to_spki(loaded().public_of(private), pem=True).decode()


def row(
    number: int = 0, *, signer: str = DEFAULT, named: object = DEFAULT, message: bytes = MESSAGE, **changes: object
) -> dict[str, object]:
    private, pem = key(number)
    signature = signature_to_der(loaded().sign(private, message, signer.encode()))
    good = {"id": named, "public_pem": pem, "message": message.hex(), "signature_der": signature.hex()}
    return {name: value for name, value in (good | changes).items() if value is not None}


def verdicts(rows: Sequence[Mapping[str, object] | str], tmp_path: Path, *more: str, capsys: Any) -> list[bool]:
    path = tmp_path / "rows.ndjson"
    lines = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8", "surrogateescape")
    assert main(["crypto", "sm2-verify", "--batch", str(path), *more]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    if "--reasons" not in more:
        assert all(set(verdict) == {"valid"} for verdict in told)
    return [verdict["valid"] for verdict in told]


def test_rows_openssl_signed_are_judged_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a stranger would run it: keys, signatures and rows of the `openssl` command, through the installed command."""
    message = tmp_path / "message"
    rows, expected = [], []
    for number in range(12):
        if number % 4 == 0:
            private = new_key(tmp_path / f"key-{number}.pem")
            pem = openssl("pkey", "-in", private, "-pubout").decode()
        user_id = (DEFAULT, "ALICE123@YAHOO.COM")[number % 2]
        message.write_bytes(f"message {number}".encode())
        options = ("-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{user_id}", "-in", message)
        signature = openssl("pkeyutl", "-sign", "-inkey", private, *options)
        shown = message.read_bytes() + b"." * (number % 3 == 2)
        rows.append({"id": user_id, "public_pem": pem, "message": shown.hex(), "signature_der": signature.hex()})
        expected.append(number % 3 != 2)
    path = tmp_path / "rows.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    done = subprocess.run(
        [sys.executable, "-m", "adapters.cli", "crypto", "sm2-verify", "--batch", str(path)],
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "".join(json.dumps({"valid": valid}) + "\n" for valid in expected)
    assert done.stderr == b""
    with path.open("rb") as file:
        piped = subprocess.run(
            [sys.executable, "-m", "adapters.cli", "crypto", "sm2-verify", "--batch", "-"],
            stdin=file,
            capture_output=True,
            check=True,
        )
    assert piped.stdout == done.stdout


PEM = key(0)[1]
GOOD_DER = bytes.fromhex(str(row()["signature_der"]))
PRIVATE_PEM = "-----BEGIN PRIVATE KEY-----\nMEECAQ==\n-----END PRIVATE KEY-----\n"
BAD_ROWS: dict[str, Mapping[str, object] | str] = {
    "another message": row(message=b"a") | {"message": b"b".hex()},
    "another key": row() | {"public_pem": key(1)[1]},
    "another user ID": row(signer="ALICE123@YAHOO.COM"),
    "an empty user ID": row(named=""),
    "r is zero": row(signature_der=rs_to_der(bytes(32) + b"\1" * 32).hex()),
    "s is zero": row(signature_der=rs_to_der(b"\1" * 32 + bytes(32)).hex()),
    "r is n": row(signature_der=rs_to_der(N.to_bytes(32, "big") + b"\1" * 32).hex()),
    "r + s is n": row(signature_der=rs_to_der((1).to_bytes(32, "big") + (N - 1).to_bytes(32, "big")).hex()),
    "a longer length": row(signature_der="3081" + GOOD_DER[1:].hex()),
    "a byte behind the signature": row(signature_der=GOOD_DER.hex() + "00"),
    "r‖s raw": row(signature_der="11" * 64),
    "an empty signature": row(signature_der=""),
    "no signature": row(signature_der=None),
    "no key": row(public_pem=None),
    "no message": row(message=b"") | {"message": None},
    "half an octet": row() | {"message": "abc"},
    "spaces in hex": row() | {"message": "ab cd"},
    "no hex": row() | {"message": "zz"},
    "a number for a message": row() | {"message": 12},
    "a private key": row(public_pem=PRIVATE_PEM),
    "no PEM": row(public_pem="x"),
    "a key in a list": row(public_pem=[PEM]),
    "text around the key": row(public_pem="Bag Attributes\n" + PEM),
    "an id in a list": row(named=["x"]),
    "true for an id": row(named=True),
    "an id of 8192 bytes": row(named="x" * 8192),
    "no JSON": "{",
    "a list": "[]",
    "a number": "1",
    "a member twice": json.dumps(row())[:-1] + ', "message": "00"}',
    "broken UTF-8": "\udcff",  # written as the octet FF
    "deep nesting": "[" * 10_000,
    "a lone surrogate": json.dumps(row())[:-1] + ', "x": "\\ud800"}',
}


@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_bad_row_is_false_and_stops_nothing(
    bad: Mapping[str, object] | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdicts([row(), bad, row(1)], tmp_path, capsys=capsys) == [True, False, True]


def test_a_reason_is_said_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.ndjson"
    lines = [json.dumps(one) for one in (row(), row(message=b"a") | {"message": "bb"})]
    path.write_text("\n".join([*lines, "{}", "{"]))
    assert main(["crypto", "sm2-verify", "--batch", str(path), "--reasons"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"valid": True},
        {"valid": False, "reason": "crypto.signature_invalid"},
        {"valid": False, "reason": "crypto.encoding_refused"},
        {"valid": False, "reason": "crypto.encoding_refused"},
    ]


def test_a_file_without_rows_has_no_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdicts([], tmp_path, capsys=capsys) == []
    assert verdicts(["", "  ", ""], tmp_path, capsys=capsys) == []


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        assert main(["crypto", "sm2-verify", "--batch", str(path)]) == 1
        assert "cannot be read" in capsys.readouterr().err


# What an id is


def test_an_id_is_the_signers_user_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alice, bob = "ALICE123@YAHOO.COM", "bob"
    rows = [
        row(),
        row(signer=alice, named=alice),
        row(signer=bob, named=bob),
        row(named=bob),
        row(signer=alice, named=bob),
    ]
    assert verdicts(rows, tmp_path, capsys=capsys) == [True, True, True, False, False]
    assert verdicts(rows, tmp_path, "--ids", "signer", capsys=capsys) == [True, True, True, False, False]
    twice = [row(signer=alice, named=alice), row(1, signer=alice, named=alice), row(named=bob)]
    assert verdicts(twice, tmp_path, capsys=capsys) == [True, True, False]


def test_ids_that_number_the_rows_bind_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbered = [row(named=f"row-{number}") for number in range(3)] + [row(named="row-3", signer="ALICE123@YAHOO.COM")]
    path = tmp_path / "rows.ndjson"
    path.write_text("\n".join(json.dumps(one) for one in numbered))
    assert main(["crypto", "sm2-verify", "--batch", str(path)]) == 0
    said = capsys.readouterr()
    assert [json.loads(line)["valid"] for line in said.out.splitlines()] == [True, True, True, False]
    assert "3 rows verify under the user ID 1234567812345678" in said.err
    assert verdicts(numbered, tmp_path, "--ids", "row", capsys=capsys) == [True, True, True, False]
    assert verdicts(numbered, tmp_path, "--ids", "signer", capsys=capsys) == [False] * 4
    other = verdicts(numbered, tmp_path, "--ids", "row", "--id", "ALICE123@YAHOO.COM", capsys=capsys)
    assert other == [False, False, False, True]
    assert verdicts([row(named=1), row(named=2), row(named=None)], tmp_path, capsys=capsys) == [True, True, True]


# Bounds


class Preparing:
    """Counts the keys prepared and the signatures judged one by one."""

    def __init__(self) -> None:
        self.prepared: list[bytes] = []
        self.single = 0

    def public_key(self, public: bytes) -> Sm2PublicKey:
        self.prepared.append(public)
        return loaded().public_key(public)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        self.single += 1
        loaded().verify(public, message, signature, user_id)


def test_a_key_that_comes_often_is_prepared_once_for_all_windows() -> None:
    lines = [json.dumps(row(number % 2)).encode() for number in range(20)] + [json.dumps(row(7)).encode()]
    backend = Preparing()
    run = BatchRun(backend, Ids.SIGNER, SM2_DEFAULT_ID)  # type: ignore[arg-type]  # what a batch uses of a backend
    for _ in range(3):
        assert run.reasons(lines) == [None] * 21
    assert len(backend.prepared) == 2
    assert backend.single == 3


def test_prepared_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_batch, "PREPARED_KEYS", 2)
    backend = Preparing()
    run = BatchRun(backend, Ids.SIGNER, SM2_DEFAULT_ID)  # type: ignore[arg-type]  # what a batch uses of a backend
    for number in (0, 1, 2, 0, 2):
        assert run.reasons([json.dumps(row(number)).encode()] * 4) == [None] * 4
        assert len(run._prepared) <= 2
    assert len(backend.prepared) == 4


def test_rows_are_taken_in_windows_bounded_in_number_and_bytes() -> None:
    small = list(windows(io.BytesIO(b"{}\n" * (WINDOW_ROWS + 5))))
    assert [len(window) for window in small] == [WINDOW_ROWS, 5]
    large = list(windows(io.BytesIO((b"x" * 1_000_000 + b"\n") * 20)))
    assert sum(len(window) for window in large) == 20
    assert all(sum(map(len, window)) <= WINDOW_BYTES + MAX_ROW_BYTES for window in large)


@pytest.mark.parametrize("ending", [b"\n", b""])
@pytest.mark.parametrize("excess", [0, 1, MAX_ROW_BYTES, 3 * MAX_ROW_BYTES])
def test_a_line_too_long_is_one_false_row(excess: int, ending: bytes) -> None:
    """Even where it begins with a row that would be valid, and fills the rest with spaces."""
    good = json.dumps(row()).encode()
    long = good + b" " * (MAX_ROW_BYTES + excess - len(good)) + ending
    data = good + b"\n" + long + (b"" if ending else b"\n") + good
    lines = [line for window in windows(io.BytesIO(data)) for line in window]
    run = BatchRun(loaded(), Ids.SIGNER, SM2_DEFAULT_ID)
    assert run.reasons(lines) == [None, "crypto.encoding_refused", None]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(
                lambda value: json.dumps(value).encode(),
                st.dictionaries(
                    st.sampled_from(["id", "public_pem", "message", "signature_der"]),
                    st.one_of(
                        st.text(max_size=20),
                        st.integers(),
                        st.none(),
                        st.just(PEM),
                        st.just("00"),
                        st.just(GOOD_DER.hex()),
                    ),
                ),
            ),
        )
    )
)
def test_whatever_rows_come_each_has_its_verdict(lines: list[bytes]) -> None:
    for ids in Ids:
        reasons = BatchRun(loaded(), ids, SM2_DEFAULT_ID).reasons(lines)
        assert len(reasons) == len(lines)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_mutated_row_is_never_valid_for_another_message(data: st.DataObject) -> None:
    line = json.dumps(
        dict(
            zip(
                ("id", "public_pem", "message", "signature_der"),
                (DEFAULT, PEM, MESSAGE.hex(), GOOD_DER.hex()),
                strict=True,
            )
        )
    ).encode()
    changed = bytearray(line)
    changed[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    reason = BatchRun(loaded(), Ids.SIGNER, SM2_DEFAULT_ID).reasons([bytes(changed)])[0]
    if reason is None:
        assert bytes.fromhex(json.loads(bytes(changed))["message"]) == MESSAGE
