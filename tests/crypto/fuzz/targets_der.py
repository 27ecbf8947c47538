"""The DER parsers: signatures, ciphertexts, any element, certificates and revocation lists."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from asn1crypto import core as asn1
from asn1crypto import parser as asn1_parser
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from pyasn1.codec.der.decoder import decode as pyasn1_decode
from pyasn1.codec.der.encoder import encode as pyasn1_encode
from pyasn1.error import PyAsn1Error
from pyasn1.type import namedtype, univ

from crypto import der
from crypto.der import BitString, DerReader
from crypto.encoding import rs_from_der, rs_to_der
from crypto.errors import DecryptionFailed
from crypto.sm2 import Sm2Backend, select_backend
from crypto.sm2_certificates import parse_certificate
from crypto.sm2_ciphertext import MAX_CIPHERTEXT_DER_BYTES, ciphertext_from_der, ciphertext_to_der
from crypto.x509_crl import parse_crl
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.fuzz.target import Target, accepted
from tests.crypto.sm2_cases import VALID, of_kind

PRIVATE: Final = plain.b32(0x1234567890ABCDEF)


@cache
def libcrypto() -> Sm2Backend:
    return select_backend(["libcrypto"])


def signature_der(data: bytes) -> bool:
    """Check that ours accepts exactly what `cryptography` reads and writes again in the same bytes, with r and s of 256 bits."""
    ours = accepted(lambda: rs_from_der(data))
    try:
        r, s = decode_dss_signature(data)
        theirs = encode_dss_signature(r, s) == data and max(r, s) >> 256 == 0 <= min(r, s)
    except ValueError:
        theirs = False
    assert (ours is not None) == theirs
    if ours is None:
        return False
    assert ours == plain.b32(r) + plain.b32(s)
    assert rs_to_der(ours) == data
    return True


class Ciphertext(univ.Sequence):
    componentType = namedtype.NamedTypes(  # noqa: N815  # pyasn1's way of declaring
        namedtype.NamedType("x", univ.Integer()),
        namedtype.NamedType("y", univ.Integer()),
        namedtype.NamedType("hash", univ.OctetString()),
        namedtype.NamedType("cipher", univ.OctetString()),
    )


def read_by_pyasn1(data: bytes) -> tuple[int, int, bytes, bytes] | None:
    """Return the four values where pyasn1 reads the bytes and writes them again the same, with the bounds of SM2."""
    try:
        value, rest = pyasn1_decode(data, asn1Spec=Ciphertext())
        if rest or pyasn1_encode(value) != data:
            return None
    except (PyAsn1Error, ValueError, TypeError, IndexError, OverflowError):
        # It lets some of these through on inputs that are no DER.
        return None
    x, y, c3, c2 = int(value["x"]), int(value["y"]), bytes(value["hash"]), bytes(value["cipher"])
    fits = (
        max(x, y) >> 256 == 0 <= min(x, y) and len(c3) == 32 and len(c2) >= 1 and len(data) <= MAX_CIPHERTEXT_DER_BYTES
    )
    return (x, y, c3, c2) if fits else None


def ciphertext_der(data: bytes) -> bool:
    """Check that ours accepts exactly what pyasn1 reads and writes again in the same bytes; what opens, libcrypto opens alike."""
    raw = accepted(lambda: ciphertext_from_der(data))
    theirs = read_by_pyasn1(data)
    assert (raw is not None) == (theirs is not None)
    if raw is None or theirs is None:
        return False
    x, y, c3, c2 = theirs
    assert raw == b"\x04" + plain.b32(x) + plain.b32(y) + c3 + c2
    assert ciphertext_to_der(raw) == data
    backend: Any = libcrypto()
    try:
        opened: bytes | None = backend.decrypt(PRIVATE, raw)
    except DecryptionFailed:
        opened = None
    if opened is not None:
        library = backend._library
        assert library.decrypt(library.load_private(PRIVATE), data, len(c2)) == opened
        assert plain.decrypt(int.from_bytes(PRIVATE, "big"), raw) == opened
    return True


# tag → (how ours reads it, how ours writes it, the class of asn1crypto, how its value compares)
PRIMITIVES: Final[dict[int, tuple[Any, Any, Any]]] = {
    der.INTEGER: (DerReader.integer, der.integer, asn1.Integer),
    der.BOOLEAN: (DerReader.boolean, der.boolean, asn1.Boolean),
    der.OBJECT_IDENTIFIER: (DerReader.oid, der.oid, asn1.ObjectIdentifier),
    der.OCTET_STRING: (DerReader.octet_string, der.octet_string, asn1.OctetString),
    der.BIT_STRING: (DerReader.bit_string, None, None),
    der.NULL: (DerReader.null, None, None),
    der.GENERALIZED_TIME: (DerReader.generalized_time, None, asn1.GeneralizedTime),
    der.UTC_TIME: (DerReader.time, der.time, asn1.UTCTime),
}


def walk(reader: DerReader) -> None:
    """Walk over everything, comparing each boundary with asn1crypto's and each value with its."""
    while not reader.at_end:
        element = reader.element()
        info = asn1_parser.parse(element.encoded, strict=True)
        class_, method, tag, _, content, trailer = info
        assert (class_ << 6 | method << 5 | tag, content, trailer) == (element.tag, element.content, b"")
        assert der.tlv(element.tag, element.content) == element.encoded
        if element.tag & 0x20:
            walk(reader.inside(element.content))
        elif element.tag in PRIMITIVES:
            primitive(element.tag, element.encoded)


def primitive(tag: int, encoded: bytes) -> None:
    read, write, their_class = PRIMITIVES[tag]
    value = accepted(lambda: read(DerReader(encoded, field="fuzz")))
    if value is None:
        return
    if write is not None:
        assert write(value) == encoded
    if isinstance(value, BitString):
        assert der.bit_string(value.data, value.unused) == encoded
    if their_class is not None:
        theirs = their_class.load(encoded, strict=True)
        native = theirs.dotted if tag == der.OBJECT_IDENTIFIER else theirs.native
        assert (int(native.timestamp()) if isinstance(native, datetime) else native) == value


def der_elements(data: bytes) -> bool:
    def read() -> bool:
        walk(DerReader(data, field="fuzz"))
        return True

    return accepted(read) or False


def certificate(data: bytes) -> bool:
    """Check that what ours accepts, `cryptography` reads as the same certificate."""
    ours = accepted(lambda: parse_certificate(data))
    if ours is None:
        return False
    with warnings.catch_warnings():
        # It frowns on country names that are not two letters long, and reads them all the same.
        warnings.simplefilter("ignore", UserWarning)
        theirs = x509.load_der_x509_certificate(data)
        names = theirs.issuer.public_bytes(), theirs.subject.public_bytes()
    assert ours.serial == theirs.serial_number
    assert (ours.issuer.encoded, ours.subject.encoded) == names
    assert ours.signed == theirs.tbs_certificate_bytes
    assert rs_to_der(ours.signature) == theirs.signature
    assert datetime.fromtimestamp(ours.not_before, UTC) == theirs.not_valid_before_utc
    assert datetime.fromtimestamp(ours.not_after, UTC) == theirs.not_valid_after_utc
    assert ours.version == theirs.version.value
    return True


def revocation_list(data: bytes) -> bool:
    """Check that what ours accepts, `cryptography` reads as the same list."""
    ours = accepted(lambda: parse_crl(data))
    if ours is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        theirs = x509.load_der_x509_crl(data)
        assert ours.issuer.encoded == theirs.issuer.public_bytes()
    assert ours.signed == theirs.tbs_certlist_bytes
    assert datetime.fromtimestamp(ours.this_update, UTC) == theirs.last_update_utc
    if ours.next_update is None:
        assert theirs.next_update_utc is None
    else:
        assert datetime.fromtimestamp(ours.next_update, UTC) == theirs.next_update_utc
    assert set(ours.revoked) == {entry.serial_number for entry in theirs}
    return True


def of_cases(kind: str) -> list[bytes]:
    return [case.inputs["der"] for case in of_kind(kind) if case.result == VALID and len(case.inputs["der"]) < 2000]


def ciphertext_seeds() -> list[bytes]:
    public = plain.affine(int.from_bytes(PRIVATE, "big"))
    real = [ciphertext_to_der(plain.encrypt(public, b"p" * size, 10**9 + size)) for size in (1, 16, 20, 200)]
    return real + of_cases("ciphertext_der")


def name(text: str) -> bytes:
    return der.sequence(der.set_of(der.sequence(der.oid("2.5.4.3"), der.tlv(der.UTF8_STRING, text.encode()))))


ALGORITHM: Final = der.sequence(der.oid("1.2.156.10197.1.501"))
SIGNATURE: Final = der.bit_string(rs_to_der(plain.b32(plain.N - 2) + plain.b32(3)))


def certificate_seeds() -> list[bytes]:
    key = der.sequence(
        der.sequence(der.oid("1.2.840.10045.2.1"), der.oid("1.2.156.10197.1.301")),
        der.bit_string(b"\x04" + plain.encode(plain.G)),
    )
    basic = der.sequence(
        der.oid("2.5.29.19"),
        der.boolean(value=True),
        der.octet_string(der.sequence(der.boolean(value=True), der.integer(1))),
    )
    usage = der.sequence(der.oid("2.5.29.15"), der.boolean(value=True), der.octet_string(der.bit_string(b"\x06", 1)))
    subject_id = der.sequence(der.oid("2.5.29.14"), der.octet_string(der.octet_string(b"k" * 20)))
    names = der.sequence(der.oid("2.5.29.17"), der.octet_string(der.sequence(der.tlv(0x82, b"id.example.edu.cn"))))
    made = []
    for extensions in ([], [basic, usage, subject_id], [names]):
        parts = [
            *((der.explicit(0, der.integer(2)),) if extensions else ()),
            der.integer(0x1234567890),
            ALGORITHM,
            name("教育部 CA"),
            der.sequence(der.time(1_700_000_000), der.time(2_600_000_000)),
            name("school"),
            key,
            *((der.explicit(3, der.sequence(*extensions)),) if extensions else ()),
        ]
        made.append(der.sequence(der.sequence(*parts), ALGORITHM, SIGNATURE))
    return made


def revocation_seeds() -> list[bytes]:
    revoked = der.sequence(der.sequence(der.integer(5), der.time(1_700_000_000)))
    number = der.explicit(0, der.sequence(der.sequence(der.oid("2.5.29.20"), der.octet_string(der.integer(7)))))
    times = (der.time(1_700_000_000), der.time(1_800_000_000))
    bodies = [
        (der.integer(1), ALGORITHM, name("CA"), *times, revoked, number),
        (der.integer(1), ALGORITHM, name("CA"), *times, number),
    ]
    return [der.sequence(der.sequence(*body), ALGORITHM, SIGNATURE) for body in bodies]


def element_seeds() -> list[bytes]:
    values = [
        der.integer(-(1 << 70)),
        der.boolean(value=False),
        der.null(),
        der.oid("2.25.1234567890"),
        der.bit_string(b"\xf0", 4),
    ]
    times = [der.time(0), der.time(2_600_000_000), der.tlv(der.GENERALIZED_TIME, b"20260101000000Z")]
    return [der.sequence(*values, *times), *certificate_seeds(), der.set_of(*values)]


TARGETS: Final = (
    Target("signature_der", signature_der, lambda: of_cases("signature_der")),
    Target("ciphertext_der", ciphertext_der, ciphertext_seeds),
    Target("der_elements", der_elements, element_seeds),
    Target("certificate", certificate, certificate_seeds),
    Target("revocation_list", revocation_list, revocation_seeds),
)
