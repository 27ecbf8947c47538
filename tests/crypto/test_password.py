from __future__ import annotations

import hashlib
import os

import pytest
from argon2 import PasswordHasher, extract_parameters
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from crypto.encoding import b64u_encode
from crypto.errors import EncodingRefused
from crypto.password import (
    ARGON2_MAX_LANES,
    ARGON2_MAX_MEMORY_KIB,
    ARGON2_MAX_PASSES,
    MAX_PASSWORD_CHARACTERS,
    PasswordMismatch,
    PasswordRefused,
    PasswordScheme,
    hash_password,
    hash_password_as,
    hash_password_sm3,
    refuse_unknown_person,
    verify_password,
)
from crypto.sm3 import hmac_sm3


@pytest.mark.parametrize("password", ["correct horse", "密码𠮷", "x" * MAX_PASSWORD_CHARACTERS, " spaces kept "])
def test_a_password_verifies_against_its_hash(password: str) -> None:
    stored = hash_password(password)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not verify_password(stored, password, scheme=PasswordScheme.ARGON2ID).needs_rehash
    for wrong in (password + "x", password.swapcase() + "!", "", "x" * (MAX_PASSWORD_CHARACTERS + 1)):
        with pytest.raises(PasswordMismatch):
            verify_password(stored, wrong, scheme=PasswordScheme.ARGON2ID)


def test_the_same_password_never_hashes_the_same() -> None:
    assert hash_password("p") != hash_password("p")


def test_the_same_characters_typed_otherwise_are_the_same_password() -> None:
    assert not verify_password(
        hash_password("ｅ\u0301é"), "e\u0301e\u0301", scheme=PasswordScheme.ARGON2ID
    ).needs_rehash


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD_CHARACTERS + 1), "x" * 1_000_000, "\ud800"])
def test_what_cannot_be_hashed_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        hash_password(password)
    with pytest.raises(PasswordRefused):
        hash_password_sm3(password, random_bytes=os.urandom)


def test_a_hash_with_older_parameters_asks_for_a_new_one() -> None:
    stored = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("p")
    assert verify_password(stored, "p", scheme=PasswordScheme.ARGON2ID).needs_rehash


def test_pbkdf2_with_sm3_verifies_and_follows_rfc_8018() -> None:
    stored = hash_password_sm3("国密", random_bytes=lambda count: bytes(range(count)))
    derived = hashlib.pbkdf2_hmac("sm3", "国密".encode(), bytes(range(16)), 600_000)
    assert stored == f"$pbkdf2-sm3$600000${b64u_encode(bytes(range(16)))}${b64u_encode(derived)}"
    assert not verify_password(stored, "国密", scheme=PasswordScheme.PBKDF2_SM3).needs_rehash
    with pytest.raises(PasswordMismatch):
        verify_password(stored, "国密 ", scheme=PasswordScheme.PBKDF2_SM3)


def test_a_pbkdf2_hash_with_fewer_rounds_asks_for_a_new_one() -> None:
    derived = hashlib.pbkdf2_hmac("sm3", b"p", b"salt", 1000)
    assert verify_password(
        f"$pbkdf2-sm3$1000${b64u_encode(b'salt')}${b64u_encode(derived)}", "p", scheme=PasswordScheme.PBKDF2_SM3
    ).needs_rehash


@pytest.mark.parametrize(
    ("password", "salt", "iterations"),
    [
        # Each answer by the `cryptography` library and by hashlib; no test values of GM/T 0091 are public.
        (b"password", b"salt", 1),
        (b"password", b"salt", 4096),
        ("密码".encode(), bytes(range(16)), 1000),
        (b"x" * 65, b"salt longer than a block of SM3, which has sixty-four bytes and no more", 10),
        (b"passwordPASSWORDpassword", b"saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096),
    ],
)
def test_pbkdf2_with_sm3_agrees_with_another_library(password: bytes, salt: bytes, iterations: int) -> None:
    derived = PBKDF2HMAC(hashes.SM3(), 32, salt, iterations).derive(password)
    assert derived == hashlib.pbkdf2_hmac("sm3", password, salt, iterations)
    stored = f"$pbkdf2-sm3${iterations}${b64u_encode(salt)}${b64u_encode(derived)}"
    assert verify_password(stored, password.decode(), scheme=PasswordScheme.PBKDF2_SM3).needs_rehash
    with pytest.raises(PasswordMismatch):
        verify_password(stored, password.decode() + ".", scheme=PasswordScheme.PBKDF2_SM3)


def test_pbkdf2_with_sm3_by_hand() -> None:
    """RFC 8018 §5.2 for one block, with nothing but HMAC."""
    salt, rounds = b"salt", 3
    last = hmac_sm3(b"password", salt + (1).to_bytes(4, "big"))
    mixed = int.from_bytes(last, "big")
    for _ in range(rounds - 1):
        last = hmac_sm3(b"password", last)
        mixed ^= int.from_bytes(last, "big")
    stored = f"$pbkdf2-sm3${rounds}${b64u_encode(salt)}${b64u_encode(mixed.to_bytes(32, 'big'))}"
    assert verify_password(stored, "password", scheme=PasswordScheme.PBKDF2_SM3).needs_rehash


@pytest.mark.parametrize("demanded", list(PasswordScheme))
@pytest.mark.parametrize("found", list(PasswordScheme))
def test_a_hash_of_another_scheme_verifies_and_asks_for_a_new_one(
    demanded: PasswordScheme, found: PasswordScheme
) -> None:
    stored = hash_password_as(found, "p", random_bytes=os.urandom)
    assert stored.startswith({"argon2id": "$argon2id$", "pbkdf2-sm3": "$pbkdf2-sm3$"}[found.value])
    assert verify_password(stored, "p", scheme=demanded).needs_rehash == (demanded is not found)
    with pytest.raises(PasswordMismatch):
        verify_password(stored, "q", scheme=demanded)


def test_a_short_salt_asks_for_a_new_hash() -> None:
    derived = hashlib.pbkdf2_hmac("sm3", b"p", b"salt", 600_000)
    assert verify_password(
        f"$pbkdf2-sm3$600000${b64u_encode(b'salt')}${b64u_encode(derived)}", "p", scheme=PasswordScheme.PBKDF2_SM3
    ).needs_rehash


@pytest.mark.parametrize(
    ("memory", "passes", "lanes"),
    [
        (ARGON2_MAX_MEMORY_KIB + 1, 1, 1),
        (2**31, 1, 1),
        (8192, ARGON2_MAX_PASSES + 1, 1),
        (8192, 2**31, 1),
        (8192, 1, ARGON2_MAX_LANES + 1),
    ],
)
def test_a_stored_hash_never_asks_for_more_than_a_bound(memory: int, passes: int, lanes: int) -> None:
    stored = hash_password("p").replace("m=19456,t=2,p=1", f"m={memory},t={passes},p={lanes}")
    with pytest.raises(EncodingRefused) as refused:
        verify_password(stored, "p", scheme=PasswordScheme.ARGON2ID)
    assert refused.value.rule == "work"


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "$argon2id$v=19$m=x,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=-8,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2x$v=19$m=8192,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=8192,t=2,p=1$c2FsdHNhbHQ$",
        "$argon2id$v=19$m=8192,t=2,p=1$=$AAAA",
        "$argon2id$\x00$$$",
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
        verify_password(stored, "p", scheme=PasswordScheme.ARGON2ID)


def test_an_unknown_person_costs_one_verification_with_todays_parameters() -> None:
    from crypto import password

    with pytest.raises(PasswordMismatch):
        refuse_unknown_person(PasswordScheme.ARGON2ID)
    assert extract_parameters(password._NOBODYS_HASH) == extract_parameters(hash_password("p"))


def test_where_sm3_is_demanded_an_unknown_person_costs_as_many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = hashlib.pbkdf2_hmac

    def counted(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        asked.append(iterations)
        return real(name, password, salt, iterations)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    with pytest.raises(PasswordMismatch):
        refuse_unknown_person(PasswordScheme.PBKDF2_SM3)
    with pytest.raises(PasswordMismatch):
        verify_password("$pbkdf2-sm3$600000$AA$AA", "", scheme=PasswordScheme.PBKDF2_SM3)
    assert asked == [600_000, 600_000]
