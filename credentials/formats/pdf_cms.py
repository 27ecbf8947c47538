"""The signature inside a sealed PDF: CMS signed data in the PAdES B-B shape (ETSI EN 319 142-1, RFC 5652), one encoding only.

A signature is written from three values alone (certificate, digest of the document, ECDSA signature), and read by
finding the certificate and the signature, writing the whole anew, and comparing: what the writer would not have
written is refused, whatever it means. Nothing in here parses an encoding that has alternatives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import SignatureAlgorithmOID

from credentials.errors import DocumentAltered
from crypto.encoding import b64u_encode, rs_from_der, rs_to_der
from crypto.errors import AlgorithmRefused, EncodingRefused
from crypto.keys import SigningKey
from crypto.suites import Alg

SEQUENCE: Final = 0x30
SET: Final = 0x31
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
CONTEXT_0: Final = 0xA0
CONTEXT_1: Final = 0xA1
VERSION_1: Final = bytes.fromhex("020101")
# Object identifiers, encoded.
DATA: Final = bytes.fromhex("06092a864886f70d010701")
SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
CONTENT_TYPE: Final = bytes.fromhex("06092a864886f70d010903")
MESSAGE_DIGEST: Final = bytes.fromhex("06092a864886f70d010904")
ALGORITHM_PROTECTION: Final = bytes.fromhex("06092a864886f70d010934")  # RFC 6211
SIGNING_CERTIFICATE_V2: Final = bytes.fromhex("060b2a864886f70d010910022f")  # RFC 5035
SHA256_OID: Final = bytes.fromhex("0609608648016503040201")
ECDSA_SHA256_OID: Final = bytes.fromhex("06082a8648ce3d040302")
# FIPS 186-5: the order of P-256. Of the two signatures (r, s) and (r, n - s) only the one with the lower s is ours.
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MAX_SIGNATURE_DER: Final = 72
# A self-issued P-256 certificate takes 500 to 900 bytes.
MAX_CERTIFICATE: Final = 4096


@dataclass(frozen=True, slots=True)
class SealingCertificate:
    """A certificate whose own signature was checked: its bytes, issuer and serial as encoded, key, and validity."""

    der: bytes
    issuer: bytes
    serial: bytes
    public_key: EllipticCurvePublicKey
    public_jwk: Mapping[str, str]
    not_before: int
    not_after: int


def der_signer(key: SigningKey) -> Callable[[bytes], bytes]:
    """Return what `seal_pdf` signs with, from an ES256 key. Raises AlgorithmRefused for a key of another algorithm."""
    if key.alg is not Alg.ES256:
        raise AlgorithmRefused(field="key", rule="document_key_is_es256")
    return lambda data: rs_to_der(key.sign(data))


def tlv(tag: int, *contents: bytes) -> bytes:
    """Encode one DER value: tag, minimal definite length, contents."""
    body = b"".join(contents)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def take(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the contents of the DER value at `at` begin and end. Raises DocumentAltered unless it is that tag."""
    if at + 2 > len(data) or data[at] != tag:
        raise DocumentAltered(field="signature", rule="der_tag")
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 2 or start + count > len(data):
            raise DocumentAltered(field="signature", rule="der_length")
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + length > len(data) or tlv(tag, data[start : start + length]) != data[at : start + length]:
        raise DocumentAltered(field="signature", rule="der_length")
    return start, start + length


def read_certificate(der: bytes) -> SealingCertificate:
    """Read a self-signed P-256 certificate and check its signature (RFC 5280 §4.1). Raises DocumentAltered."""
    if len(der) > MAX_CERTIFICATE:
        raise DocumentAltered(field="certificate", rule="too_large")
    start, end = take(der, 0, SEQUENCE)
    if end != len(der):
        raise DocumentAltered(field="certificate", rule="der_trailing")
    start, _ = take(der, start, SEQUENCE)
    _, serial_at = take(der, start, CONTEXT_0)
    serial_start, algorithm_at = take(der, serial_at, INTEGER)
    if algorithm_at == serial_start or der[serial_start] & 0x80:
        raise DocumentAltered(field="certificate", rule="serial")
    _, issuer_at = take(der, algorithm_at, SEQUENCE)
    _, issuer_end = take(der, issuer_at, SEQUENCE)
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(certificate)
        public_key = certificate.public_key()
        algorithm = certificate.signature_algorithm_oid
        not_before = int(certificate.not_valid_before_utc.timestamp())
        not_after = int(certificate.not_valid_after_utc.timestamp())
    except Exception as error:  # the parser's own exceptions and warnings are many; all mean the same here
        raise DocumentAltered(field="certificate", rule="certificate") from error
    if not isinstance(public_key, EllipticCurvePublicKey) or not isinstance(public_key.curve, SECP256R1):
        raise DocumentAltered(field="certificate", rule="key_kind")
    if algorithm != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise DocumentAltered(field="certificate", rule="algorithm")
    numbers = public_key.public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": b64u_encode(numbers.x.to_bytes(32, "big")),
        "y": b64u_encode(numbers.y.to_bytes(32, "big")),
    }
    issuer, serial = der[issuer_at:issuer_end], der[serial_at:algorithm_at]
    return SealingCertificate(der, issuer, serial, public_key, jwk, not_before, not_after)


def signed_attributes(certificate: SealingCertificate, document_digest: bytes) -> bytes:
    """Return the contents of the attributes' SET: what is signed once it is wrapped in SET (RFC 5652 §5.4).

    Content type, digest of the document, which certificate signs (its SHA-256, the default of RFC 5035), and the two
    algorithms (RFC 6211). The time of signing stands in the PDF's own dictionary, as EN 319 142-1 §6.3 wants it.
    """
    digest_algorithm = tlv(SEQUENCE, SHA256_OID)
    certificate_id = tlv(SEQUENCE, tlv(OCTET_STRING, hashlib.sha256(certificate.der).digest()))
    attributes = (
        tlv(SEQUENCE, CONTENT_TYPE, tlv(SET, DATA)),
        tlv(SEQUENCE, MESSAGE_DIGEST, tlv(SET, tlv(OCTET_STRING, document_digest))),
        tlv(SEQUENCE, SIGNING_CERTIFICATE_V2, tlv(SET, tlv(SEQUENCE, tlv(SEQUENCE, certificate_id)))),
        tlv(
            SEQUENCE,
            ALGORITHM_PROTECTION,
            tlv(SET, tlv(SEQUENCE, digest_algorithm, tlv(CONTEXT_1, ECDSA_SHA256_OID))),
        ),
    )
    # X.690 §11.6: the members of a SET OF stand in ascending order of their encodings.
    return b"".join(sorted(attributes))


def write_cms(certificate: SealingCertificate, document_digest: bytes, signature: bytes) -> bytes:
    """Write the one signed-data object of a certificate, digest and DER signature."""
    digest_algorithm = tlv(SEQUENCE, SHA256_OID)
    signer = tlv(
        SEQUENCE,
        VERSION_1,
        tlv(SEQUENCE, certificate.issuer, certificate.serial),
        digest_algorithm,
        tlv(CONTEXT_0, signed_attributes(certificate, document_digest)),
        tlv(SEQUENCE, ECDSA_SHA256_OID),
        tlv(OCTET_STRING, signature),
    )
    signed_data = tlv(
        SEQUENCE,
        VERSION_1,
        tlv(SET, digest_algorithm),
        tlv(SEQUENCE, DATA),
        tlv(CONTEXT_0, certificate.der),
        tlv(SET, signer),
    )
    return tlv(SEQUENCE, SIGNED_DATA, tlv(CONTEXT_0, signed_data))


def sign_cms(certificate: SealingCertificate, document_digest: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Sign the attributes with `sign` (bytes to a DER ECDSA-SHA256 signature) and write the object.

    Raises EncodingRefused when `sign` returns anything else.
    """
    raw = rs_from_der(sign(tlv(SET, signed_attributes(certificate, document_digest))))
    r, s = raw[:32], int.from_bytes(raw[32:], "big")
    if not 0 < s < ORDER:
        raise EncodingRefused(field="signature", rule="range")
    return write_cms(certificate, document_digest, rs_to_der(r + min(s, ORDER - s).to_bytes(32, "big")))


def verify_cms(cms: bytes, document_digest: bytes) -> SealingCertificate:
    """Verify a signed-data object over a document with this digest, and return the certificate it names.

    Raises DocumentAltered unless the object is, byte for byte, what `write_cms` writes from its certificate, the
    digest and its signature, and the signature verifies and has the lower of its two possible `s`.
    """
    at, _ = take(cms, 0, SEQUENCE)
    _, at = take(cms, at, 0x06)
    at, _ = take(cms, at, CONTEXT_0)
    at, _ = take(cms, at, SEQUENCE)
    for tag in (INTEGER, SET, SEQUENCE):
        _, at = take(cms, at, tag)
    start, at = take(cms, at, CONTEXT_0)
    certificate = read_certificate(cms[start:at])
    at, _ = take(cms, at, SET)
    at, _ = take(cms, at, SEQUENCE)
    for tag in (INTEGER, SEQUENCE, SEQUENCE, CONTEXT_0, SEQUENCE):
        _, at = take(cms, at, tag)
    start, end = take(cms, at, OCTET_STRING)
    signature = cms[start:end]
    if write_cms(certificate, document_digest, signature) != cms:
        raise DocumentAltered(field="signature", rule="canonical")
    try:
        s = int.from_bytes(rs_from_der(signature)[32:], "big")
        signed = tlv(SET, signed_attributes(certificate, document_digest))
        certificate.public_key.verify(signature, signed, ECDSA(SHA256()))
    except (EncodingRefused, InvalidSignature) as error:
        raise DocumentAltered(field="signature", rule="signature") from error
    if s > ORDER // 2:
        raise DocumentAltered(field="signature", rule="lower_s")
    return certificate
