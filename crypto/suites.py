"""The one table of which algorithm may serve which purpose, and which `typ` a token of that purpose carries.

A policy is a required argument wherever something is signed or verified: there is no "any algorithm". The `typ`
values are what keeps a token of one purpose from being taken for another (RFC 8725 §3.11).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from crypto.errors import AlgorithmRefused

if TYPE_CHECKING:
    from collections.abc import Mapping


class Alg(StrEnum):
    """Signature algorithms by their JOSE names. `SGD_SM3_SM2` is GM/T 0125-2022's; the others are RFC 7518 and 8037."""

    SGD_SM3_SM2 = "SGD_SM3_SM2"
    ES256 = "ES256"
    RS256 = "RS256"
    PS256 = "PS256"
    EDDSA = "EdDSA"


class Purpose(StrEnum):
    """What a signature is for. A key or token of one purpose never serves another."""

    ID_TOKEN = "id_token"  # noqa: S105  # a name, not a secret
    ACCESS_TOKEN = "access_token"  # noqa: S105  # a name, not a secret
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  # a name, not a secret
    LOGOUT_TOKEN = "logout_token"  # noqa: S105  # a name, not a secret
    USERINFO = "userinfo"
    INTROSPECTION = "introspection"
    CLIENT_ASSERTION = "client_assertion"
    REQUEST_OBJECT = "request_object"
    CREDENTIAL = "credential"
    STATUS_LIST = "status_list"
    KEY_BINDING = "key_binding"
    ACCREDITATION = "accreditation"
    APPROVAL = "approval"
    ANCHOR = "anchor"
    CHECKPOINT = "checkpoint"
    DOCUMENT = "document"
    COLUMN = "column"


# Tokens of ours stay below 16 KiB; a client's request object or assertion has no reason to be larger than a form post.
MAX_TOKEN_BYTES = 64 * 1024
# 2^20 entries of two bits are 256 KiB before compression; base64url of incompressible data stays below this.
MAX_STATUS_LIST_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Policy:
    """What one purpose allows.

    `typ` is what we write into the header; None for tokens others make and for signatures that are not JOSE.
    `accepted_typ` is what a verifier accepts; it contains None where the header may leave `typ` out. It is empty for
    purposes that are not JOSE at all. `max_payload_bytes` bounds the decoded payload. Where `kid_required` is False the
    caller may know the key without it (a holder's `cnf` key, a client's only key); a mapping of keys still needs it.
    """

    purpose: Purpose
    algorithms: frozenset[Alg]
    typ: str | None
    accepted_typ: frozenset[str | None]
    max_payload_bytes: int
    kid_required: bool

    def require(self, alg: Alg) -> None:
        """Raise `AlgorithmRefused` unless this purpose allows the algorithm."""
        if alg not in self.algorithms:
            raise AlgorithmRefused(field="alg", rule="not_allowed_for_purpose", purpose=self.purpose.value)


_INTEROP = frozenset(Alg)
_NO_RSA_PKCS1 = _INTEROP - {Alg.RS256}
_NATIONAL = frozenset({Alg.SGD_SM3_SM2})


def _jose(
    purpose: Purpose,
    algorithms: frozenset[Alg],
    typ: str,
    *,
    max_payload_bytes: int = MAX_TOKEN_BYTES,
    kid_required: bool = True,
) -> Policy:
    return Policy(purpose, algorithms, typ, frozenset({typ}), max_payload_bytes, kid_required)


def _made_by_clients(purpose: Purpose, *typed: str) -> Policy:
    """Tokens clients make: an untyped or plainly typed one is common, another purpose's explicit type never passes."""
    return Policy(purpose, _INTEROP, None, frozenset({None, "JWT", *typed}), MAX_TOKEN_BYTES, kid_required=False)


def _raw(purpose: Purpose, algorithms: frozenset[Alg]) -> Policy:
    return Policy(purpose, algorithms, None, frozenset(), 0, kid_required=True)


_POLICIES: Mapping[Purpose, Policy] = MappingProxyType(
    {
        entry.purpose: entry
        for entry in (
            _jose(Purpose.ID_TOKEN, _INTEROP, "JWT"),  # OIDC Core §15.1: RS256 must be offered.
            _jose(Purpose.ACCESS_TOKEN, _INTEROP, "at+jwt"),  # RFC 9068 §2.1
            _jose(Purpose.REFRESH_TOKEN, _INTEROP, "rt+jwt"),
            _jose(Purpose.LOGOUT_TOKEN, _INTEROP, "logout+jwt"),  # OIDC Back-Channel Logout §2.4
            _jose(Purpose.USERINFO, _INTEROP, "userinfo+jwt"),
            _jose(Purpose.INTROSPECTION, _INTEROP, "token-introspection+jwt"),  # RFC 9701 §5
            _made_by_clients(Purpose.CLIENT_ASSERTION, "client-authentication+jwt"),  # RFC 7523 and its revision
            _made_by_clients(Purpose.REQUEST_OBJECT, "oauth-authz-req+jwt"),  # RFC 9101 §10.8
            _jose(Purpose.CREDENTIAL, _NO_RSA_PKCS1, "dc+sd-jwt"),  # SD-JWT VC §3.2.1
            _jose(
                Purpose.STATUS_LIST,
                _NO_RSA_PKCS1,
                "statuslist+jwt",  # Token Status List §5.1
                max_payload_bytes=MAX_STATUS_LIST_BYTES,
            ),
            _jose(Purpose.KEY_BINDING, _NO_RSA_PKCS1, "kb+jwt", kid_required=False),  # RFC 9901 §4.3
            _jose(Purpose.ACCREDITATION, _NO_RSA_PKCS1, "accreditation+jwt"),
            _jose(Purpose.APPROVAL, _NATIONAL, "approval+jwt"),
            _jose(Purpose.ANCHOR, _NATIONAL, "anchor+jwt"),
            _raw(Purpose.CHECKPOINT, frozenset({Alg.SGD_SM3_SM2, Alg.EDDSA})),  # a signed note, not JOSE
            _raw(Purpose.DOCUMENT, frozenset({Alg.ES256})),  # PAdES over the whole file
            _raw(Purpose.COLUMN, frozenset()),  # SM4-GCM and HMAC-SM3: no signature at all
        )
    }
)


def policy(purpose: Purpose) -> Policy:
    """Return the policy of a purpose."""
    return _POLICIES[purpose]
