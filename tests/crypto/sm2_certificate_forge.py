"""Certificates and lists put together part by part and really signed: the forms no well-behaved tool writes."""

from __future__ import annotations

from crypto import der
from crypto.key_files import public_to_spki
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend

# GM/T 0003.5-2012 Annex A: a key pair everybody knows, so nothing but a test can rest on it.
PRIVATE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
PUBLIC = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
START, END = 1_700_000_000, 2_000_000_000

ALGORITHM = der.sequence(der.oid("1.2.156.10197.1.501"))
VERSION = der.explicit(0, der.integer(2))
SPKI = public_to_spki(PUBLIC, pem=False)


def name(*values: bytes) -> bytes:
    """Return a Name of common names, each an encoded string."""
    return der.sequence(*(der.set_of(der.sequence(der.oid("2.5.4.3"), value)) for value in values))


TRUE = der.tlv(der.BOOLEAN, b"\xff")
FALSE = der.tlv(der.BOOLEAN, b"\0")


def utf8(text: str) -> bytes:
    return der.tlv(der.UTF8_STRING, text.encode())


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(der.oid(oid), TRUE if critical else b"", der.octet_string(value))


NAME = name(utf8("root"))
BASIC_CA = extension("2.5.29.19", der.sequence(TRUE), critical=True)
USAGE = extension("2.5.29.15", der.bit_string(b"\x86", 1), critical=True)


def extensions(*encoded: bytes) -> bytes:
    return der.explicit(3, der.sequence(*encoded))


def forged(
    backend: Sm2Backend,
    *,
    version: bytes = VERSION,
    serial: bytes = der.integer(1),
    inner: bytes = ALGORITHM,
    outer: bytes = ALGORITHM,
    issuer: bytes = NAME,
    validity: bytes | None = None,
    subject: bytes = NAME,
    spki: bytes = SPKI,
    behind: bytes = extensions(BASIC_CA, USAGE),
    unused: int = 0,
    trailing: bytes = b"",
) -> bytes:
    """Return a certificate of these parts, signed by the known key over exactly these bytes."""
    time = der.sequence(der.time(START), der.time(END)) if validity is None else validity
    return signed(
        backend,
        der.sequence(version, serial, inner, issuer, time, subject, spki, behind),
        outer=outer,
        unused=unused,
        trailing=trailing,
    )


def signed(
    backend: Sm2Backend, body: bytes, *, outer: bytes = ALGORITHM, unused: int = 0, trailing: bytes = b""
) -> bytes:
    """Return SIGNED { body }."""
    from crypto.sm2 import signature_to_der

    signature = signature_to_der(backend.sign(PRIVATE, body, SM2_DEFAULT_ID))
    return der.sequence(body, outer, der.bit_string(signature, unused), trailing)


def forged_list(
    backend: Sm2Backend,
    *,
    version: bytes = der.integer(1),
    inner: bytes = ALGORITHM,
    issuer: bytes = NAME,
    update: bytes | None = None,
    entries: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """Return a revocation list of these parts, signed as `forged` does."""
    times = der.time(START) + der.time(END) if update is None else update
    return signed(backend, der.sequence(version, inner, issuer, times, entries, behind))
