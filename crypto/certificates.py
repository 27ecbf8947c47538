"""The X.509 certificate a document seal carries: self-issued, P-256, for signing documents and nothing else.

PDF readers know no SM2, so the file as a whole is sealed with ECDSA (PAdES). The certificate proves nothing by being
self-issued: its key is named in the school's accreditation, and the verifier of the bundle goes by that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from crypto.errors import KeyRefused
from crypto.keys import native_private
from crypto.suites import Purpose, policy

if TYPE_CHECKING:
    from crypto.keys import SigningKey

# RFC 9336: id-kp-documentSigning.
DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
# RFC 5280 §4.1.2.2: positive, at most 20 octets, so below 2^159.
MAX_SERIAL = 2**159 - 1
# X.520 ub-common-name.
MAX_COMMON_NAME_CHARACTERS = 64


def make_document_certificate(
    subject_name: str, issuer_url: str, key: SigningKey, not_before: int, not_after: int, *, serial: int
) -> bytes:
    """Return the DER certificate of an ES256 key.

    `issuer_url` is the school's issuer identifier and stands in the subject alternative name; times are seconds since
    the epoch, UTC; `serial` comes from the caller, so that the same input names the same certificate. Raises
    `AlgorithmRefused` for another algorithm and `KeyRefused` for a name, serial or dates X.509 cannot hold.
    """
    policy(Purpose.DOCUMENT).require(key.alg)
    private = native_private(key)
    if not isinstance(private, EllipticCurvePrivateKey):
        raise KeyRefused(field="key", rule="other_key_type")
    if not 1 <= len(subject_name) <= MAX_COMMON_NAME_CHARACTERS:
        raise KeyRefused(field="subject_name", rule="length")
    if not 1 <= serial <= MAX_SERIAL:
        raise KeyRefused(field="serial", rule="range")
    if not not_before < not_after:
        raise KeyRefused(field="not_after", rule="order")
    if not (issuer_url.isascii() and issuer_url.isprintable()):
        raise KeyRefused(field="issuer_url", rule="characters")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject_name)])
    public = private.public_key()
    subject_key = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(issuer_url)]), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key), critical=False)
    )
    # RFC 6979 nonces: the same input gives the same certificate, byte for byte.
    certificate = builder.sign(private, hashes.SHA256(), ecdsa_deterministic=True)
    return certificate.public_bytes(Encoding.DER)


def _key_usage() -> x509.KeyUsage:
    """Signing and commitment to content (non-repudiation), nothing else (RFC 5280 §4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
