"""Revocation lists (RFC 5280 §5) signed by SM2 with SM3, and the three answers they give: good, revoked, unknown.

Only complete lists of the certificates' own issuer are read. A delta list, a list of part of the certificates and an
indirect list say less than they seem to, and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from crypto import der
from crypto.errors import EncodingRefused, SignatureInvalid
from crypto.pem import MAX_PEM_BYTES, looks_like_pem, pem_blocks
from crypto.sm2_certificates import Certificate, CertificateRefused, take_signature_algorithm, take_signed
from crypto.x509_extensions import KeyUsage, take_authority_key_id, take_extensions
from crypto.x509_names import Name, take_name

if TYPE_CHECKING:
    from crypto.der import DerReader
    from crypto.sm2 import Sm2Backend

LABEL_CRL: Final = "X509 CRL"
# Some forty octets an entry: room for two hundred thousand revocations of one CA.
MAX_CRL_BYTES: Final = 8 * 1024 * 1024
# Four base64 characters for three octets, and the line ends.
_MAX_CRL_PEM_BYTES: Final = max(MAX_PEM_BYTES, MAX_CRL_BYTES * 3 // 2)

_VERSION_2: Final = 1
_OID_AUTHORITY_KEY_ID: Final = "2.5.29.35"
_OID_CRL_NUMBER: Final = "2.5.29.20"
_OID_REASON: Final = "2.5.29.21"
# RFC 5280 §5.2.4, §5.2.5 and §5.3.3: the list is not complete, or not about its issuer's certificates alone. They are
# critical where the rules are kept; where they are not, they mean the same.
_PARTIAL: Final = frozenset({"2.5.29.27", "2.5.29.28", "2.5.29.29"})
_REASONS: Final = {
    0: "unspecified",
    1: "key_compromise",
    2: "ca_compromise",
    3: "affiliation_changed",
    4: "superseded",
    5: "cessation_of_operation",
    6: "certificate_hold",
    8: "remove_from_crl",
    9: "privilege_withdrawn",
    10: "aa_compromise",
}


class Status(Enum):
    """What is known of a certificate's revocation. UNKNOWN is no weaker GOOD: whoever asked is refused."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Revoked:
    """When a certificate was revoked (seconds since the epoch) and the reason given, if any."""

    at: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list as it was read; `signed` and `signature` as in `Certificate`, `revoked` by serial number."""

    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    issuer: Name
    this_update: int
    next_update: int | None
    authority_key_id: bytes | None
    revoked: Mapping[int, Revoked] = field(repr=False)


def read_crl(data: bytes) -> RevocationList:
    """Return the list of a file, PEM or DER; raise as `parse_crl` does."""
    if not looks_like_pem(data):
        return parse_crl(data)
    blocks = pem_blocks(data, field="crl", max_bytes=_MAX_CRL_PEM_BYTES)
    if len(blocks) != 1 or blocks[0].label != LABEL_CRL:
        raise EncodingRefused(field="crl", rule="pem_label")
    return parse_crl(blocks[0].data)


def parse_crl(data: bytes) -> RevocationList:
    """Return the list of strict DER.

    Raises `EncodingRefused` for another form, `AlgorithmRefused` for another signature, and `CertificateRefused` (field
    "crl") for a list that is not complete or has a critical extension not known here.
    """
    signed, signature = take_signed(data, field="crl", max_bytes=MAX_CRL_BYTES)
    walk = der.read_der(signed, field="crl", max_bytes=MAX_CRL_BYTES)
    version = walk.integer() if walk.next_is(der.INTEGER) else None
    if version not in {None, _VERSION_2}:
        raise walk.refuse("version")
    take_signature_algorithm(walk)
    issuer = take_name(walk)
    if not issuer.attributes:
        raise walk.refuse("issuer_empty")
    this_update = walk.time()
    next_update = walk.time() if walk.next_is(der.UTC_TIME) or walk.next_is(der.GENERALIZED_TIME) else None
    if next_update is not None and next_update < this_update:
        raise walk.refuse("validity_order")
    revoked = _revoked(walk.sequence(), version) if walk.next_is(der.SEQUENCE) else {}
    key_id = None
    if version == _VERSION_2 and not walk.at_end:
        key_id = _list_extensions(walk)
    walk.finish()
    return RevocationList(signed, signature, issuer, this_update, next_update, key_id, MappingProxyType(revoked))


def _list_extensions(walk: DerReader) -> bytes | None:
    """Take crlExtensions and return the authority's key identifier; refuse what makes the list a part of one."""
    holder = walk.explicit(0)
    extensions = take_extensions(holder)
    holder.finish()
    for extension in extensions:
        if extension.oid in _PARTIAL:
            raise CertificateRefused(field="crl", rule="crl_partial")
        if extension.critical and extension.oid not in {_OID_AUTHORITY_KEY_ID, _OID_CRL_NUMBER}:
            raise CertificateRefused(field="crl", rule="critical_extension")
    values = {extension.oid: extension.value for extension in extensions}
    if _OID_AUTHORITY_KEY_ID not in values:
        return None
    inner = walk.inside(values[_OID_AUTHORITY_KEY_ID])
    key_id = take_authority_key_id(inner)
    inner.finish()
    return key_id


def _revoked(entries: DerReader, version: int | None) -> dict[int, Revoked]:
    revoked: dict[int, Revoked] = {}
    while not entries.at_end:
        entry = entries.sequence()
        serial, moment = entry.integer(), entry.time()
        reason = None
        if version == _VERSION_2 and not entry.at_end:
            reason = _reason(entry)
        entry.finish()
        if serial in revoked:
            raise entries.refuse("crl_serial_twice")
        revoked[serial] = Revoked(moment, reason)
    if not revoked:
        # RFC 5280 §5.1.2.6: without entries the list is left out.
        raise entries.refuse("crl_empty_list")
    return revoked


def _reason(entry: DerReader) -> str | None:
    reason = None
    for extension in take_extensions(entry):
        if extension.oid in _PARTIAL:
            raise CertificateRefused(field="crl", rule="crl_partial")
        if extension.oid == _OID_REASON:
            inner = entry.inside(extension.value)
            reason = _REASONS.get(inner.enumerated(), "")
            inner.finish()
            if not reason:
                raise entry.refuse("crl_reason")
        elif extension.critical:
            raise CertificateRefused(field="crl", rule="critical_extension")
    return reason


def check_crl(crl: RevocationList, issuer: Certificate, *, at: int, user_id: bytes, backend: Sm2Backend) -> None:
    """Raise `CertificateRefused` (field "crl") unless the list is the issuer's, signed by it, and current at a time.

    `at` is seconds since the epoch. A list without nextUpdate is current for ever and so never known to be; it is
    refused (RFC 5280 §5.1.2.5 requires it).
    """
    usage = issuer.extensions.key_usage
    if crl.issuer.encoded != issuer.subject.encoded:
        raise CertificateRefused(field="crl", rule="crl_issuer")
    if usage is not None and not usage & KeyUsage.CRL_SIGN:
        raise CertificateRefused(field="crl", rule="crl_sign")
    if at < crl.this_update:
        raise CertificateRefused(field="crl", rule="not_yet_valid")
    if crl.next_update is None or at > crl.next_update:
        raise CertificateRefused(field="crl", rule="expired")
    try:
        backend.verify(issuer.public, crl.signed, crl.signature, user_id)
    except SignatureInvalid:
        raise SignatureInvalid(field="crl", rule="issuer_signature") from None


def revocation_status(
    certificate: Certificate,
    issuer: Certificate,
    crls: tuple[RevocationList, ...],
    *,
    at: int,
    user_id: bytes,
    backend: Sm2Backend,
) -> Status:
    """Say what the lists know of a certificate whose issuer's certificate has been checked.

    REVOKED where one list of the issuer, well signed and current, names it; GOOD where at least one does not; UNKNOWN
    where there is no such list.
    """
    status = Status.UNKNOWN
    for crl in crls:
        try:
            check_crl(crl, issuer, at=at, user_id=user_id, backend=backend)
        except (CertificateRefused, SignatureInvalid):
            continue
        if certificate.serial in crl.revoked:
            return Status.REVOKED
        status = Status.GOOD
    return status
