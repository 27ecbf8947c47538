"""The one table of which algorithm may serve which purpose, and which `typ` a token of that purpose carries.

A policy is a required argument wherever something is signed, verified, encrypted or opened: there is no "any
algorithm". The `typ` values are what keeps a token of one purpose from being taken for another (RFC 8725 §3.11).

Signatures, MACs and encryption have an enumeration each, so that a policy of one kind cannot name an algorithm of
another: a public key never comes where a MAC key is meant. Absent from all of them, and therefore refused wherever a
token names them: `none`, `RSA1_5` and `RSA-OAEP` (SHA-1), `PBES2-*` (a stranger would choose our work), `A*GCMKW`,
the 192-bit variants, and SGD_SM4_CCM, which no library at hand has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from crypto.errors import AlgorithmRefused


class Alg(StrEnum):
    """Signature algorithms by their JOSE names. `SGD_SM3_SM2` is GM/T 0125-2022's; the others are RFC 7518 and 8037."""

    SGD_SM3_SM2 = "SGD_SM3_SM2"
    ES256 = "ES256"
    RS256 = "RS256"
    PS256 = "PS256"
    EDDSA = "EdDSA"


class MacAlg(StrEnum):
    """MAC algorithms by their JOSE names: HMAC-SM3 of GM/T 0125-2022, and HMAC-SHA-256 of RFC 7518 §3.2."""

    SGD_SM3_HMAC = "SGD_SM3_HMAC"
    HS256 = "HS256"


class KeyAlg(StrEnum):
    """How a JWE's content key reaches its reader: GM/T 0125-2022's SM2 encryption, and RFC 7518 §4."""

    SGD_SM2_3 = "SGD_SM2_3"
    DIR = "dir"
    RSA_OAEP_256 = "RSA-OAEP-256"
    ECDH_ES = "ECDH-ES"
    ECDH_ES_A128KW = "ECDH-ES+A128KW"
    ECDH_ES_A256KW = "ECDH-ES+A256KW"
    A128KW = "A128KW"
    A256KW = "A256KW"


class Enc(StrEnum):
    """How a JWE's content is sealed: SM4-GCM of GM/T 0125-2022, and RFC 7518 §5."""

    SGD_SM4_GCM = "SGD_SM4_GCM"
    A128GCM = "A128GCM"
    A256GCM = "A256GCM"
    A128CBC_HS256 = "A128CBC-HS256"
    A256CBC_HS512 = "A256CBC-HS512"


ALGORITHMS: Mapping[str, Alg] = MappingProxyType({alg.value: alg for alg in Alg})
MAC_ALGORITHMS: Mapping[str, MacAlg] = MappingProxyType({alg.value: alg for alg in MacAlg})
KEY_ALGORITHMS: Mapping[str, KeyAlg] = MappingProxyType({alg.value: alg for alg in KeyAlg})
CONTENT_ALGORITHMS: Mapping[str, Enc] = MappingProxyType({enc.value: enc for enc in Enc})


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


@dataclass(frozen=True, slots=True)
class MacPolicy:
    """What a purpose allows that knows a shared secret; the fields are those of `Policy`.

    No purpose of ours has one in the table below: whoever can verify a MAC can make it, so it proves nothing to a third
    party. Who needs one (a client secret, OIDC Core §9) names its algorithms here, explicitly.
    """

    purpose: Purpose
    algorithms: frozenset[MacAlg]
    typ: str | None
    accepted_typ: frozenset[str | None]
    max_payload_bytes: int
    kid_required: bool

    def require(self, alg: MacAlg) -> None:
        """Raise `AlgorithmRefused` unless this purpose allows the algorithm."""
        if alg not in self.algorithms:
            raise AlgorithmRefused(field="alg", rule="not_allowed_for_purpose", purpose=self.purpose.value)


@dataclass(frozen=True, slots=True)
class EncryptionPolicy:
    """What may be encrypted for one purpose, and how.

    `pairs` are the allowed (`alg`, `enc`) together, because a national key algorithm with an interop content algorithm
    is neither profile. `cty` is written, and `accepted_cty` read, as in `Policy`; it is "JWT" where the content is a
    signed token (RFC 7519 §5.2). `max_plaintext_bytes` bounds the content; nothing is ever decompressed.
    """

    purpose: Purpose
    pairs: frozenset[tuple[KeyAlg, Enc]]
    cty: str | None
    accepted_cty: frozenset[str | None]
    max_plaintext_bytes: int
    kid_required: bool

    def require(self, alg: KeyAlg, enc: Enc) -> None:
        """Raise `AlgorithmRefused` unless this purpose allows the two together."""
        if (alg, enc) not in self.pairs:
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


# SM2 with SM4-GCM, or a public key of RFC 7518 with AES; never a symmetric key, and never one of each profile.
_TO_A_PUBLIC_KEY: frozenset[tuple[KeyAlg, Enc]] = frozenset(
    {
        (KeyAlg.SGD_SM2_3, Enc.SGD_SM4_GCM),
        *(
            (alg, enc)
            for alg in (KeyAlg.RSA_OAEP_256, KeyAlg.ECDH_ES, KeyAlg.ECDH_ES_A128KW, KeyAlg.ECDH_ES_A256KW)
            for enc in (Enc.A128GCM, Enc.A256GCM, Enc.A128CBC_HS256, Enc.A256CBC_HS512)
        ),
    }
)


def _nested(purpose: Purpose, *, kid_required: bool) -> EncryptionPolicy:
    """Content that is a signed token: a reader who opens it still verifies who wrote it."""
    return EncryptionPolicy(purpose, _TO_A_PUBLIC_KEY, "JWT", frozenset({"JWT"}), MAX_TOKEN_BYTES, kid_required)


_ENCRYPTION_POLICIES: Mapping[Purpose, EncryptionPolicy] = MappingProxyType(
    {
        entry.purpose: entry
        for entry in (
            _nested(Purpose.ID_TOKEN, kid_required=True),  # OIDC Core §10.2
            _nested(Purpose.USERINFO, kid_required=True),  # OIDC Core §5.3.2
            _nested(Purpose.REQUEST_OBJECT, kid_required=False),  # RFC 9101 §6.1: made by clients
        )
    }
)


def encryption_policy(purpose: Purpose) -> EncryptionPolicy:
    """Return how a token of this purpose is encrypted; raise `AlgorithmRefused` where none is."""
    found = _ENCRYPTION_POLICIES.get(purpose)
    if found is None:
        raise AlgorithmRefused(field="purpose", rule="never_encrypted", purpose=purpose.value)
    return found
