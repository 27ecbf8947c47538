"""The parsers of key files: PEM, SubjectPublicKeyInfo, PKCS#8, SEC1, encrypted PKCS#8, and recovery shares."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from asn1crypto import pem as asn1_pem

from crypto.der import read_der
from crypto.errors import TrustError
from crypto.key_files import (
    private_to_encrypted_pkcs8,
    private_to_pkcs8,
    private_to_sec1,
    public_to_spki,
    read_private,
    read_public,
)
from crypto.pbes import Prf
from crypto.pem import looks_like_pem, pem_blocks, pem_encode
from crypto.shamir import read_share, split, write_share
from crypto.sm2 import Sm2Backend, select_backend
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.fuzz.target import Target, accepted, as_text

D: Final = 0x1234567890ABCDEF
PRIVATE: Final = plain.b32(D)


@cache
def libcrypto() -> Sm2Backend:
    return select_backend(["libcrypto"])


def der_of(data: bytes) -> bytes:
    """Return the DER of a file ours accepted, by asn1crypto where it is PEM: the last block, behind any parameters."""
    if not looks_like_pem(data):
        return data
    return bytes(list(asn1_pem.unarmor(data, multiple=True))[-1][2])


def read_by_libcrypto(function: str, encoded: bytes) -> Any:
    """Return libcrypto's handle of a key, and nothing left over."""
    library: Any = libcrypto()._library  # type: ignore[attr-defined]  # below the interface
    buffer = library.ffi.new("unsigned char[]", encoded)
    cursor = library.ffi.new("const unsigned char **", buffer)
    handle = library.own(getattr(library.lib, function)(library.ffi.NULL, cursor, len(encoded)))
    assert cursor[0] - buffer == len(encoded)
    return handle


def public_by_libcrypto(function: str, encoded: bytes) -> bytes:
    library: Any = libcrypto()._library  # type: ignore[attr-defined]  # below the interface
    spki: bytes = library.der(library.lib.i2d_PUBKEY, read_by_libcrypto(function, encoded))
    if len(spki) == 91:
        return spki[-64:]
    # A point read in its compressed form is written in it too: 02 or 03, then x.
    x, y = plain.lift(int.from_bytes(spki[-32:], "big")) or (0, 0)
    return plain.encode((x, y if y & 1 == spki[-33] & 1 else plain.P - y))


def pem(data: bytes) -> bool:
    """Check that what ours accepts, asn1crypto takes apart the same, and ours writes again in the same bytes."""
    blocks = accepted(lambda: pem_blocks(data, field="fuzz"))
    if blocks is None:
        return False
    theirs = [(label, content) for label, headers, content in asn1_pem.unarmor(data, multiple=True) if not headers]
    assert theirs == [(block.label, block.data) for block in blocks]
    again = b"".join(pem_encode(block.label, block.data) for block in blocks)
    unified = data.replace(b"\r\n", b"\n")
    assert again == (unified if unified.endswith(b"\n") else unified + b"\n")
    return True


def public_key(data: bytes) -> bool:
    """Check that what ours accepts, libcrypto reads as the same point."""
    public = accepted(lambda: read_public(data))
    if public is None:
        return False
    assert plain.on_curve((int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")))
    assert public_by_libcrypto("d2i_PUBKEY", der_of(data)) == public
    return True


def private_key(data: bytes) -> bool:
    """Check that what ours accepts, libcrypto reads as the key of the same point."""
    private = accepted(lambda: read_private(data, password=None, backend=libcrypto()))
    if private is None:
        return False
    expected = libcrypto().public_of(private)
    assert public_by_libcrypto("d2i_AutoPrivateKey", der_of(data)) == expected
    assert (
        accepted(lambda: read_private(private_to_pkcs8(private, pem=True), password=None, backend=libcrypto()))
        == private
    )
    return True


def share(data: bytes) -> bool:
    """Check that what ours accepts says the same as what ours writes of it."""
    read = accepted(lambda: read_share(as_text(data)))
    if read is None:
        return False
    assert read_share(write_share(read)) == read
    return True


def fixed(size: int) -> bytes:
    return b"\x5a" * size


def pem_seeds() -> list[bytes]:
    key = public_to_spki(plain.encode(plain.affine(D)), pem=True)
    return [
        key,
        key * 2,
        key.replace(b"\n", b"\r\n"),
        pem_encode("X", b"\0" * 48),
        pem_encode("X509 CRL", b"\1" * 49),
        key[:-1],
    ]


def public_seeds() -> list[bytes]:
    public = plain.encode(plain.affine(D))
    spki = public_to_spki(public, pem=False)
    compressed = (
        bytes.fromhex("3039301306072a8648ce3d020106082a811ccf5501822d032200")
        + bytes((2 + public[63] % 2,))
        + public[:32]
    )
    return [spki, public_to_spki(public, pem=True), compressed]


def private_seeds() -> list[bytes]:
    public = plain.encode(plain.affine(D))
    made = [private_to_pkcs8(PRIVATE, pem=flag, public=half) for flag in (True, False) for half in (None, public)]
    return made + [private_to_sec1(PRIVATE, half, pem=flag) for flag in (True, False) for half in (None, public)]


def share_seeds() -> list[bytes]:
    shares = split(bytes(32), shares=3, threshold=2, label="kek 2026", random_bytes=fixed)
    return [write_share(one).encode() for one in shares]


# Enough to take what `encrypted_seeds` makes; a file may ask for five hundred times as much, and a fuzzer would.
CHEAP_ITERATIONS: Final = 12_000
PASSWORD: Final = b"pass phrase"


def iterations_of(data: bytes) -> int:
    """Return the PBKDF2 iterations an encrypted file asks for, 0 where it is none."""
    try:
        outer = read_der(pem_blocks(data, field="fuzz")[0].data if looks_like_pem(data) else data, field="fuzz")
        algorithm = outer.sequence()
        algorithm.oid()
        derivation = algorithm.sequence().sequence()
        derivation.oid()
        parameters = derivation.sequence()
        parameters.octet_string()
        return parameters.integer()
    except TrustError:
        return 0


def encrypted_key(data: bytes) -> bool:
    """Check that an encrypted file with its public half opens to the key that was put in, or not at all."""
    if iterations_of(data) > CHEAP_ITERATIONS:
        return False
    private = accepted(lambda: read_private(data, password=PASSWORD, backend=libcrypto()))
    if private is None or private_key(data):
        return False
    assert private == PRIVATE
    return True


def encrypted_seeds() -> list[bytes]:
    public = plain.encode(plain.affine(D))
    return [
        private_to_encrypted_pkcs8(
            PRIVATE, PASSWORD, random_bytes=fixed, iterations=10_000, prf=prf, pem=flag, public=public
        )
        for flag in (True, False)
        for prf in Prf
    ]


TARGETS: Final = (
    Target("pem", pem, pem_seeds),
    Target("public_key", public_key, public_seeds),
    Target("private_key", private_key, private_seeds),
    Target("encrypted_key", encrypted_key, encrypted_seeds),
    Target("share", share, share_seeds),
)
