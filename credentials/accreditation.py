"""The scoped chain of accreditation: who may issue what, under which keys, from when to when.

A statement is a JWT (`accreditation+jwt`) by an accreditor (`iss`) about a subject (`sub`): its names, its keys by purpose,
the types and degree levels it may issue. A chain leads from a trust anchor to the issuer; each statement is signed by the
anchor's key or by an `accreditation` key the statement above names, and grants no more than the statement above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from credentials.errors import AccreditationRefused, AccreditorUnknown, KeyUnavailable
from credentials.public_keys import key_of_jwk
from credentials.trust import TrustAnchors
from crypto.canonical import jcs
from crypto.encoding import b64u_decode, json_strict
from crypto.errors import EncodingRefused, TrustError
from crypto.jws import sign_jws, verify_jws
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Policy, Purpose, policy

MAX_CHAIN: Final = 5  # nation, province, city, county, school: the five levels
MAX_STATEMENT_CHARS: Final = 65536
MAX_KEYS: Final = 64
_MEMBERS: Final = frozenset({"iss", "sub", "name", "keys", "types", "levels", "iat", "nbf", "exp"})


class KeyPurpose(StrEnum):
    """What an accredited key may sign."""

    CREDENTIAL = "credential"
    STATUS = "status"
    DOCUMENT = "document"
    ACCREDITATION = "accreditation"


@dataclass(frozen=True, slots=True)
class AccreditedKey:
    """A key of a subject, in force from `not_before` until `not_after` (None: as long as the statement)."""

    public: PublicKey
    purpose: KeyPurpose
    not_before: int
    not_after: int | None
    compromised_at: int | None

    def in_force(self, at: int) -> bool:
        """Whether a signature proved to have existed at `at` counts."""
        return (
            self.not_before <= at
            and (self.not_after is None or at < self.not_after)
            and (self.compromised_at is None or at < self.compromised_at)
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """What one accreditor says of one subject. Times in seconds since the epoch; `not_after` is exclusive."""

    accreditor: str
    subject: str
    names: Mapping[str, str]
    keys: tuple[AccreditedKey, ...]
    types: frozenset[str]
    levels: frozenset[str]
    issued_at: int
    not_before: int
    not_after: int

    def to_claims(self) -> dict[str, Any]:
        """Return the claims of the statement's JWT."""
        return {
            "iss": self.accreditor,
            "sub": self.subject,
            "name": dict(self.names),
            "keys": [
                {
                    "kid": key.public.kid,
                    "purpose": key.purpose.value,
                    "jwk": dict(key.public.jwk),
                    "nbf": key.not_before,
                }
                | ({} if key.not_after is None else {"exp": key.not_after})
                | ({} if key.compromised_at is None else {"compromised_at": key.compromised_at})
                for key in self.keys
            ],
            "types": sorted(self.types),
            "levels": sorted(self.levels),
            "iat": self.issued_at,
            "nbf": self.not_before,
            "exp": self.not_after,
        }


@dataclass(frozen=True, slots=True)
class Accreditation:
    """A verified chain: the issuer's own statement, and the ids of those who stand above it, root first."""

    statement: Statement
    path: tuple[str, ...]

    @property
    def issuer(self) -> str:
        """The issuer's identifier, the `iss` of its credentials."""
        return self.statement.subject

    def keys(self, purpose: KeyPurpose) -> dict[str, AccreditedKey]:
        """Return the issuer's keys for a purpose, by kid."""
        return {key.public.kid: key for key in self.statement.keys if key.purpose is purpose}

    def key_in_force(self, kid: str, purpose: KeyPurpose, at: int) -> PublicKey:
        """Return the key. Raises `KeyUnavailable`: unknown, or out of its time at `at`."""
        key = self.keys(purpose).get(kid)
        if key is None:
            raise KeyUnavailable(field="kid", rule="not_accredited")
        if not key.in_force(at):
            raise KeyUnavailable(field="kid", rule="compromised" if key.compromised_at else "out_of_force")
        return key.public


def sign_statement(statement: Statement, *, key: SigningKey) -> str:
    """Return the statement's JWT, signed by the accreditor."""
    return sign_jws(jcs(statement.to_claims()), key=key, policy=policy(Purpose.ACCREDITATION))


def _whole(value: object, field: str) -> int:
    if type(value) is not int or value < 0:
        raise AccreditationRefused(field=field, rule="time")
    return value


def _optional(value: object, field: str) -> int | None:
    return None if value is None else _whole(value, field)


def _texts(value: object, field: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise AccreditationRefused(field=field, rule="texts")
    return frozenset(str(one) for one in value)


def _key(value: object) -> AccreditedKey:
    if not isinstance(value, dict) or value.get("purpose") not in list(KeyPurpose):
        raise AccreditationRefused(field="keys", rule="key")
    try:
        public = key_of_jwk(value.get("jwk"))
    except TrustError as error:
        raise AccreditationRefused(field="keys", rule="key") from error
    if value.get("kid") != public.kid:
        raise AccreditationRefused(field="kid", rule="key")
    return AccreditedKey(
        public,
        KeyPurpose(value["purpose"]),
        _whole(value.get("nbf"), "nbf"),
        _optional(value.get("exp"), "exp"),
        _optional(value.get("compromised_at"), "compromised_at"),
    )


def _statement(payload: bytes) -> Statement:
    try:
        claims = json_strict(payload)
    except EncodingRefused as error:
        raise AccreditationRefused(rule="encoding") from error
    if not isinstance(claims, dict) or claims.keys() != _MEMBERS:
        raise AccreditationRefused(rule="members")
    names, keys = claims["name"], claims["keys"]
    if not isinstance(claims["iss"], str) or not isinstance(claims["sub"], str):
        raise AccreditationRefused(field="iss", rule="text")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise AccreditationRefused(field="name", rule="texts")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise AccreditationRefused(field="keys", rule="key")
    return Statement(
        claims["iss"],
        claims["sub"],
        {language: str(name) for language, name in names.items()},
        tuple(_key(one) for one in keys),
        _texts(claims["types"], "types"),
        _texts(claims["levels"], "levels"),
        _whole(claims["iat"], "iat"),
        _whole(claims["nbf"], "nbf"),
        _whole(claims["exp"], "exp"),
    )


def unverified_statement(token: str) -> Statement:
    """Read a statement without any check of its signature. Raises `AccreditationRefused`."""
    parts = token.split(".")
    if len(token) > MAX_STATEMENT_CHARS or len(parts) != 3:
        raise AccreditationRefused(rule="form")
    try:
        return _statement(b64u_decode(parts[1]))
    except EncodingRefused as error:
        raise AccreditationRefused(rule="encoding") from error


def _verified(token: str, keys: Mapping[str, PublicKey], rules: Policy) -> Statement:
    try:
        return _statement(verify_jws(token, keys=keys, policy=rules).payload)
    except AccreditationRefused:
        raise
    except TrustError as error:
        raise AccreditationRefused(rule="signature") from error


def _signers(above: Statement | PublicKey, token: str) -> dict[str, PublicKey]:
    """Return the keys that may have signed a statement: the anchor's, or those in force when it says it was signed.

    A compromised accreditation key is not believed for any statement: those that stand are signed anew.
    """
    if isinstance(above, PublicKey):
        return {above.kid: above}
    issued_at = unverified_statement(token).issued_at
    return {
        key.public.kid: key.public
        for key in above.keys
        if key.purpose is KeyPurpose.ACCREDITATION and key.compromised_at is None and key.in_force(issued_at)
    }


def _newest(token: str, above: Statement | PublicKey, trust: TrustAnchors, rules: Policy) -> Statement:
    """Verify a statement; return it, or the newest one of its accreditor about its subject that the verifier knows."""
    # The one brought along must verify even where a newer one takes its place: no byte of it is idle.
    best = _verified(token, _signers(above, token), rules)
    for newer in trust.statements:
        known = unverified_statement(newer)
        about_the_same = (known.accreditor, known.subject) == (best.accreditor, best.subject)
        if about_the_same and known.issued_at > best.issued_at:
            best = _verified(newer, _signers(above, newer), rules)
    return best


def verify_chain(statements: Sequence[str], *, trust: TrustAnchors, at: int) -> Accreditation:
    """Verify a chain as it stood at `at`, the time the issuer's signature is proved to have existed.

    Raises `AccreditorUnknown` where the root is no trust anchor (nothing can be said), and `AccreditationRefused`: length,
    signature, link, in_force, types, levels, and those of a malformed statement.
    """
    if not 1 <= len(statements) <= MAX_CHAIN:
        raise AccreditationRefused(rule="length")
    rules = policy(Purpose.ACCREDITATION)
    root = unverified_statement(statements[0]).accreditor
    if root not in trust.accreditors:
        raise AccreditorUnknown(field="iss", rule="trust_anchor")
    above: Statement | PublicKey = trust.accreditors[root]
    path: list[str] = [root]
    for token in statements:
        statement = _newest(token, above, trust, rules)
        if statement.accreditor != path[-1]:
            raise AccreditationRefused(field="iss", rule="link")
        if not statement.not_before <= at < statement.not_after:
            raise AccreditationRefused(field="exp", rule="in_force")
        wider = isinstance(above, Statement) and not (
            statement.types <= above.types and statement.levels <= above.levels
        )
        if wider:
            raise AccreditationRefused(field="types", rule="scope")
        path.append(statement.subject)
        above = statement
    if not isinstance(above, Statement):
        raise AccreditationRefused(rule="length")
    return Accreditation(above, tuple(path[:-1]))
