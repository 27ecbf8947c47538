"""The path from a certificate over intermediates to a trust anchor, found and checked (RFC 5280 §6.1, a subset).

Checked of every certificate: the issuer's signature under the user ID of the policy, validity at the time asked for,
the chaining of names, critical extensions, revocation where it is asked for; of every CA: basicConstraints, pathLen and
keyCertSign; of the last: its use. Policies and name constraints are not processed: a certificate that needs them is
refused, never passed with the constraint unread. An anchor is checked like any CA: one that has expired anchors nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from crypto.errors import KeyRefused, SignatureInvalid, TrustError
from crypto.sm2_certificates import Certificate, CertificateRefused, KeyUse, require_use, verify_issued
from crypto.x509_crl import RevocationList, Status, revocation_status
from crypto.x509_extensions import KNOWN_EXTENSIONS, OID_EXTENDED_KEY_USAGE, OID_NAME_CONSTRAINTS, KeyUsage

if TYPE_CHECKING:
    from crypto.sm2 import Sm2Backend

# A national root, a province, a city, a school and the person make five.
MAX_CHAIN_CERTIFICATES: Final = 8
# What somebody hands over beside a certificate is theirs to choose, so the search is bounded in what it takes and does.
MAX_INTERMEDIATES: Final = 32
MAX_SIGNATURE_CHECKS: Final = 64


class Revocation(Enum):
    """Whether the caller asks for revocation. Where it does, an unknown status is a refusal."""

    REQUIRED = "required"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """What a chain is checked for. No field has a default: each is a decision of the caller's.

    `at`: seconds since the epoch. `user_id`: the SM2 user ID the CAs sign under. `extended_use`: the OID that
    extKeyUsage must name, or None where the caller has none; a critical extKeyUsage is then refused.
    """

    at: int
    use: KeyUse
    extended_use: str | None
    user_id: bytes
    revocation: Revocation


@dataclass(frozen=True, slots=True)
class Chain:
    """A checked path, from the certificate asked about to the anchor."""

    certificates: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        """The certificate asked about."""
        return self.certificates[0]

    @property
    def anchor(self) -> Certificate:
        """The anchor it hangs on."""
        return self.certificates[-1]


def check_chain(
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    anchors: Sequence[Certificate],
    *,
    policy: ChainPolicy,
    crls: Sequence[RevocationList],
    backend: Sm2Backend,
) -> Chain:
    """Return the first path that passes every check.

    Raises the refusal that came closest: `CertificateRefused` with the rule a whole path broke, else `SignatureInvalid`
    where an issuer of the right name did not sign, else `CertificateRefused` with rule "unknown_issuer".
    """
    if len(intermediates) > MAX_INTERMEDIATES:
        raise CertificateRefused(field="intermediates", rule="too_many")
    search = _Search(tuple(intermediates), tuple(anchors), policy.user_id, backend)
    refused: TrustError | None = None
    for path in search.paths((leaf,)):
        try:
            _check_path(path, policy, tuple(crls), backend)
        except CertificateRefused as broken:
            refused = refused or broken
        else:
            return Chain(path)
    raise refused or search.refused or CertificateRefused(field="certificate", rule="unknown_issuer")


class _Search:
    """The search for paths by names and signatures, depth first, with a bound on the signatures it checks."""

    def __init__(
        self,
        intermediates: tuple[Certificate, ...],
        anchors: tuple[Certificate, ...],
        user_id: bytes,
        backend: Sm2Backend,
    ) -> None:
        self._intermediates = intermediates
        self._anchors = anchors
        self._user_id = user_id
        self._backend = backend
        self._left = MAX_SIGNATURE_CHECKS
        self.refused: TrustError | None = None

    def paths(self, path: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        """Yield every path from what stands in `path` to an anchor."""
        if len(path) == MAX_CHAIN_CERTIFICATES:
            self.refused = self.refused or CertificateRefused(field="certificate", rule="chain_too_long")
            return
        for anchor in self._anchors:
            if self._issued(path[-1], anchor):
                yield (*path, anchor)
        for candidate in self._intermediates:
            if all(candidate.encoded != certificate.encoded for certificate in path) and self._issued(
                path[-1], candidate
            ):
                yield from self.paths((*path, candidate))

    def _issued(self, certificate: Certificate, issuer: Certificate) -> bool:
        wanted, offered = certificate.extensions.authority_key_id, issuer.extensions.subject_key_id
        if certificate.issuer.encoded != issuer.subject.encoded:
            return False
        if wanted is not None and offered is not None and wanted != offered:
            return False
        if self._left == 0:
            raise CertificateRefused(field="intermediates", rule="too_many_signatures")
        self._left -= 1
        try:
            verify_issued(certificate, issuer, self._user_id, self._backend)
        except (SignatureInvalid, KeyRefused) as refused:
            self.refused = self.refused or refused
            return False
        return True


def _check_path(
    path: tuple[Certificate, ...], policy: ChainPolicy, crls: tuple[RevocationList, ...], backend: Sm2Backend
) -> None:
    """Check a path whose names and signatures fit, from the anchor down to the leaf."""
    for depth in range(len(path) - 1, -1, -1):
        certificate = path[depth]
        _check_certificate(certificate, depth, policy.at)
        if depth:
            # RFC 5280 §4.2.1.9: the CAs between this one and the last certificate, self-issued ones apart.
            below = sum(not each.self_issued for each in path[1:depth])
            _check_ca(certificate, depth, below)
        if depth < len(path) - 1 and policy.revocation is Revocation.REQUIRED:
            status = revocation_status(
                certificate, path[depth + 1], crls, at=policy.at, user_id=policy.user_id, backend=backend
            )
            if status is not Status.GOOD:
                rule = "revoked" if status is Status.REVOKED else "status_unknown"
                raise CertificateRefused(field="certificate", rule=rule, depth=depth)
    require_use(path[0], policy.use)
    _check_extended_use(path[0], policy.extended_use)


def _check_certificate(certificate: Certificate, depth: int, at: int) -> None:
    extensions = certificate.extensions
    if at < certificate.not_before:
        raise CertificateRefused(field="certificate", rule="not_yet_valid", depth=depth)
    if at > certificate.not_after:
        raise CertificateRefused(field="certificate", rule="expired", depth=depth)
    if extensions.has(OID_NAME_CONSTRAINTS):
        # Critical where RFC 5280 §4.2.1.10 is kept; where it is not, the issuer meant no less.
        raise CertificateRefused(field="certificate", rule="name_constraints", depth=depth)
    if any(one.critical and one.oid not in KNOWN_EXTENSIONS for one in extensions.every):
        raise CertificateRefused(field="certificate", rule="critical_extension", depth=depth)


def _check_ca(certificate: Certificate, depth: int, below: int) -> None:
    """RFC 5280 §6.1.4 (k) to (n)."""
    basic, usage = certificate.extensions.basic_constraints, certificate.extensions.key_usage
    if basic is None or not basic.ca:
        raise CertificateRefused(field="certificate", rule="not_a_ca", depth=depth)
    if basic.path_length is not None and below > basic.path_length:
        raise CertificateRefused(field="certificate", rule="path_length", depth=depth)
    if usage is not None and not usage & KeyUsage.KEY_CERT_SIGN:
        raise CertificateRefused(field="certificate", rule="key_cert_sign", depth=depth)


def _check_extended_use(certificate: Certificate, extended_use: str | None) -> None:
    purposes = certificate.extensions.extended_key_usage
    fits = (
        not certificate.extensions.is_critical(OID_EXTENDED_KEY_USAGE)
        if extended_use is None
        else purposes is not None and extended_use in purposes
    )
    if not fits:
        raise CertificateRefused(field="certificate", rule="extended_key_usage", depth=0)
