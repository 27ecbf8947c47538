"""SM2 certificates, the reading side (GM/T 0015, RFC 5280): parsed by our own strict DER, immutable once read.

Only certificates of SM2 keys signed by SM2 with SM3 are read; any other key or signature is refused by name. A parsed
certificate says nothing about trust: `x509_chain` checks a chain, `x509_crl` revocation. National double certificates
hold one key to sign with and one to encrypt to, told apart by keyUsage, so whoever uses a key says for which of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from crypto import der
from crypto.encoding import rs_from_der
from crypto.errors import AlgorithmRefused, EncodingRefused, SignatureInvalid, TrustError
from crypto.key_files import take_public
from crypto.pem import looks_like_pem, pem_block, pem_blocks
from crypto.sm3 import sm3
from crypto.x509_extensions import Extensions, KeyUsage, take_extensions, understood
from crypto.x509_names import Name, take_name

if TYPE_CHECKING:
    from crypto.der import DerReader
    from crypto.sm2 import Sm2Backend, Sm2PublicKey

# GM/T 0006
OID_SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
LABEL_CERTIFICATE: Final = "CERTIFICATE"
# Certificates take one or two kilobytes; pictures and policy texts inside some take more.
MAX_CERTIFICATE_BYTES: Final = 32 * 1024
# RFC 5280 §4.1.2.2: positive, at most 20 octets.
MAX_SERIAL: Final = 2**159 - 1
_VERSION_3: Final = 2


class CertificateRefused(TrustError):
    """A certificate or revocation list that does not serve: out of its time, not of its issuer, revoked, not for this use.

    `params["depth"]`, where given, counts from the certificate asked about (0) towards the anchor.
    """

    code = "crypto.certificate_refused"


class KeyUse(Enum):
    """What a key out of a certificate is wanted for; one of the bits of keyUsage must allow it (GB/T 20518)."""

    SIGN = KeyUsage.DIGITAL_SIGNATURE | KeyUsage.CONTENT_COMMITMENT
    ENCRYPT = KeyUsage.KEY_ENCIPHERMENT | KeyUsage.DATA_ENCIPHERMENT


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it was read.

    `signed` is TBSCertificate, the bytes the issuer signed; `signature` 64 bytes r‖s; times are seconds since the
    epoch, both ends included; `public` is 64 bytes x‖y, a point of the curve.
    """

    encoded: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    version: int
    serial: int
    issuer: Name
    subject: Name
    not_before: int
    not_after: int
    public: bytes
    extensions: Extensions = field(repr=False)

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are one name."""
        return self.issuer.encoded == self.subject.encoded

    @property
    def fingerprint(self) -> bytes:
        """SM3 of the whole certificate, 32 bytes."""
        return sm3(self.encoded)


def read_certificate(data: bytes) -> Certificate:
    """Return the one certificate of a file, PEM or DER.

    Raises `EncodingRefused` for another form, `AlgorithmRefused` for a signature that is not SM2 with SM3, and
    `KeyRefused` for a key that is not SM2's.
    """
    if looks_like_pem(data):
        return parse_certificate(pem_block(data, LABEL_CERTIFICATE, field="certificate"))
    return parse_certificate(data)


def read_certificates(data: bytes) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file in their order, at least one; raise as `read_certificate` does."""
    blocks = pem_blocks(data, field="certificate")
    if any(block.label != LABEL_CERTIFICATE for block in blocks):
        raise EncodingRefused(field="certificate", rule="pem_label")
    return tuple(parse_certificate(block.data) for block in blocks)


def parse_certificate(data: bytes) -> Certificate:
    """Return the certificate of strict DER (RFC 5280 §4.1); raise as `read_certificate` does."""
    signed, signature = take_signed(data, field="certificate", max_bytes=MAX_CERTIFICATE_BYTES)
    walk = der.read_der(signed, field="certificate")
    version = _version(walk)
    serial = walk.integer()
    if not 1 <= serial <= MAX_SERIAL:
        raise walk.refuse("serial")
    take_signature_algorithm(walk)
    issuer = take_name(walk)
    if not issuer.attributes:
        raise walk.refuse("issuer_empty")
    validity = walk.sequence()
    not_before, not_after = validity.time(), validity.time()
    validity.finish()
    if not_before > not_after:
        raise walk.refuse("validity_order")
    subject = take_name(walk)
    public = take_public(walk)
    extensions = Extensions()
    if version == _VERSION_3 and not walk.at_end:
        holder = walk.explicit(3)
        extensions = understood(take_extensions(holder), holder)
        holder.finish()
    # What may be left are the unique identifiers of version 2, which RFC 5280 §4.1.2.8 forbids.
    walk.finish()
    return Certificate(
        data, signed, signature, version, serial, issuer, subject, not_before, not_after, public, extensions
    )


def _version(walk: DerReader) -> int:
    """Take version: 1 is the default and left out, 3 written as 2; version 2 is of no use and refused."""
    if not walk.next_is(0xA0):
        return 0
    holder = walk.explicit(0)
    version = holder.integer()
    holder.finish()
    if version != _VERSION_3:
        raise walk.refuse("version")
    return version


def take_signed(data: bytes, *, field: str, max_bytes: int) -> tuple[bytes, bytes]:
    """Take SIGNED { ToBeSigned }, signed by SM2 with SM3: return the signed bytes and r‖s.

    The algorithm stands twice, inside and outside of what is signed; both must be the same bytes (RFC 5280 §4.1.1.2).
    """
    outer = der.DerReader(data, field=field, max_bytes=max_bytes)
    whole = outer.sequence()
    outer.finish()
    signed = whole.element()
    algorithm = whole.element()
    signature = whole.whole_bytes()
    whole.finish()
    if signed.tag != der.SEQUENCE:
        raise whole.refuse("der_type")
    take_signature_algorithm(whole.inside(algorithm.encoded))
    inner = whole.inside(signed.content)
    while not inner.at_end and not inner.next_is(der.SEQUENCE):
        inner.element()
    if inner.at_end or inner.element().encoded != algorithm.encoded:
        raise whole.refuse("signature_algorithms_differ")
    return signed.encoded, rs_from_der(signature)


def take_signature_algorithm(walk: DerReader) -> None:
    """Take AlgorithmIdentifier { SM2 with SM3 }; its parameters are absent, or NULL as some CAs write."""
    algorithm = walk.sequence()
    if algorithm.oid() != OID_SM2_WITH_SM3:
        raise AlgorithmRefused(field=walk.field, rule="signature_algorithm")
    if algorithm.next_is(der.NULL):
        algorithm.null()
    algorithm.finish()


def verify_issued(certificate: Certificate, issuer: Certificate, user_id: bytes, backend: Sm2Backend) -> None:
    """Raise `SignatureInvalid` unless the issuer's key signed the certificate under the issuer's user ID.

    The names are not compared here and nothing else is checked: that is the chain's work.
    """
    try:
        backend.verify(issuer.public, certificate.signed, certificate.signature, user_id)
    except SignatureInvalid:
        raise SignatureInvalid(field="certificate", rule="issuer_signature") from None


def require_use(certificate: Certificate, use: KeyUse) -> None:
    """Raise `CertificateRefused` unless keyUsage is there and allows the use."""
    usage = certificate.extensions.key_usage
    if usage is None:
        raise CertificateRefused(field="certificate", rule="key_usage_missing", depth=0)
    if not usage & use.value:
        raise CertificateRefused(field="certificate", rule="key_usage", depth=0)


def signing_public_key(certificate: Certificate, backend: Sm2Backend) -> Sm2PublicKey:
    """Return the key that verifies the subject's signatures; raise `CertificateRefused` for a certificate of another use.

    The caller has checked the certificate's chain.
    """
    require_use(certificate, KeyUse.SIGN)
    return backend.public_key(certificate.public)


def encryption_public_key(certificate: Certificate, backend: Sm2Backend) -> Sm2PublicKey:
    """Return the key that encrypts to the subject; otherwise as `signing_public_key`."""
    require_use(certificate, KeyUse.ENCRYPT)
    return backend.public_key(certificate.public)
