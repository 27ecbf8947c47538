from __future__ import annotations

import hashlib
import os

import pytest
from argon2 import PasswordHasher, extract_parameters

from crypto.encoding import b64u_encode
from crypto.errors import EncodingRefused
from crypto.password import (
    MAX_PASSWORD_CHARACTERS,
    PasswordMismatch,
    PasswordRefused,
    hash_password,
    hash_password_sm3,
    refuse_unknown_person,
    verify_password,
)


@pytest.mark.parametrize("password", ["correct horse", "密码𠮷", "x" * MAX_PASSWORD_CHARACTERS, " spaces kept "])
def test_a_password_verifies_against_its_hash(password: str) -> None:
    stored = hash_password(password)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not verify_password(stored, password).needs_rehash
    for wrong in (password + "x", password.swapcase() + "!", "", "x" * (MAX_PASSWORD_CHARACTERS + 1)):
        with pytest.raises(PasswordMismatch):
            verify_password(stored, wrong)


def test_the_same_password_never_hashes_the_same() -> None:
    assert hash_password("p") != hash_password("p")


def test_the_same_characters_typed_otherwise_are_the_same_password() -> None:
    assert not verify_password(hash_password("ｅ\u0301é"), "e\u0301e\u0301").needs_rehash


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD_CHARACTERS + 1), "x" * 1_000_000, "\ud800"])
def test_what_cannot_be_hashed_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        hash_password(password)
    with pytest.raises(PasswordRefused):
        hash_password_sm3(password, random_bytes=os.urandom)


def test_a_hash_with_older_parameters_asks_for_a_new_one() -> None:
    stored = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("p")
    assert verify_password(stored, "p").needs_rehash


def test_pbkdf2_with_sm3_verifies_and_follows_rfc_8018() -> None:
    stored = hash_password_sm3("国密", random_bytes=lambda count: bytes(range(count)))
    derived = hashlib.pbkdf2_hmac("sm3", "国密".encode(), bytes(range(16)), 600_000)
    assert stored == f"$pbkdf2-sm3$600000${b64u_encode(bytes(range(16)))}${b64u_encode(derived)}"
    assert not verify_password(stored, "国密").needs_rehash
    with pytest.raises(PasswordMismatch):
        verify_password(stored, "国密 ")


def test_a_pbkdf2_hash_with_fewer_rounds_asks_for_a_new_one() -> None:
    derived = hashlib.pbkdf2_hmac("sm3", b"p", b"salt", 1000)
    assert verify_password(f"$pbkdf2-sm3$1000${b64u_encode(b'salt')}${b64u_encode(derived)}", "p").needs_rehash


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2id$v=19$m=19456",
        "$pbkdf2-sm3$",
        "$pbkdf2-sm3$1$AA",
        "$pbkdf2-sm3$0$AA$AA",
        "$pbkdf2-sm3$-1$AA$AA",
        "$pbkdf2-sm3$9999999999$AA$AA",
        "$pbkdf2-sm3$1$AB$AA",
    ],
)
def test_an_unreadable_hash_is_refused_as_such(stored: str) -> None:
    with pytest.raises(EncodingRefused):
        verify_password(stored, "p")


def test_an_unknown_person_costs_one_verification_with_todays_parameters() -> None:
    from crypto import password

    with pytest.raises(PasswordMismatch):
        refuse_unknown_person()
    assert extract_parameters(password._NOBODYS_HASH) == extract_parameters(hash_password("p"))
