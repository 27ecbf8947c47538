"""SD-JWT (RFC 9901) and SD-JWT VC: issue, parse, verify. Hash and algorithm are the caller's policy, never inferred."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from credentials.errors import SdJwtRefused
from credentials.formats.disclosures import (
    Disclosure,
    Path,
    RandomBytes,
    Revealed,
    conceal,
    join,
    parse_disclosure,
    reveal,
    select,
)
from crypto.encoding import b64u_decode, json_strict
from crypto.errors import EncodingRefused
from crypto.jws import KeyLookup, sign_jws, verify_jws
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Policy

MAX_SD_JWT_CHARS: Final = 262144  # a diploma takes 4 kB; a transcript of eight years with every disclosure 120 kB
# SD-JWT VC section 2.2.2.2 (draft 13): these are never selectively disclosable, or a holder could hide an expiry.
NEVER_DISCLOSABLE: Final = frozenset({"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"})
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:~[A-Za-z0-9_-]+)*~")
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

Keys = KeyLookup | Mapping[str, PublicKey]


@dataclass(frozen=True, slots=True)
class SdJwt:
    """A parsed, unverified SD-JWT: its issuer-signed JWT, its disclosures, and its key binding JWT if it has one."""

    issuer_jwt: str
    disclosures: tuple[Disclosure, ...]
    key_binding: str | None

    @property
    def presented(self) -> str:
        """The text the key binding's `sd_hash` covers: everything up to and including the last tilde."""
        return join(self.issuer_jwt, self.disclosures)

    def __str__(self) -> str:
        return self.presented + (self.key_binding or "")

    def unverified_payload(self) -> dict[str, Any]:
        """Return the issuer's payload without any check of its signature. Raises `SdJwtRefused`."""
        try:
            payload = json_strict(b64u_decode(self.issuer_jwt.split(".")[1]))
        except EncodingRefused as error:
            raise SdJwtRefused(field="payload", rule="encoding") from error
        if not isinstance(payload, dict):
            raise SdJwtRefused(field="payload", rule="object")
        return payload

    def subset(self, chosen: Callable[[Path], bool]) -> SdJwt:
        """Return the same credential with only the disclosures whose path is chosen, and no key binding."""
        return SdJwt(self.issuer_jwt, select(self.unverified_payload(), self.disclosures, chosen=chosen), None)


@dataclass(frozen=True, slots=True)
class VerifiedSdJwt:
    """What the issuer signed and the holder disclosed. `claims` is the processed payload."""

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    revealed: Revealed
    key: PublicKey

    @property
    def claims(self) -> dict[str, Any]:
        """The processed payload (RFC 9901 section 7.1)."""
        return self.revealed.claims


def parse(text: str) -> SdJwt:
    """Read the compact form. Raises `SdJwtRefused`: too_long, form, encoding, elements, salt, name."""
    if len(text) > MAX_SD_JWT_CHARS:
        raise SdJwtRefused(rule="too_long")
    presented, tilde, last = text.rpartition("~")
    if not tilde or not _COMPACT.fullmatch(presented + tilde):
        raise SdJwtRefused(rule="form")
    if last and not _JWT.fullmatch(last):
        raise SdJwtRefused(rule="form")
    issuer_jwt, *encoded = presented.split("~")
    return SdJwt(issuer_jwt, tuple(parse_disclosure(part) for part in encoded), last or None)


def issue(
    claims: Mapping[str, Any],
    *,
    key: SigningKey,
    policy: Policy,
    hash_name: str,
    random_bytes: RandomBytes,
    decoys: int,
    header: Mapping[str, Any],
) -> SdJwt:
    """Sign claims, with every `Disclosable` in them concealed. Raises `SdJwtRefused`, `crypto` refusals.

    Names of `NEVER_DISCLOSABLE` must not be marked.
    """
    payload, disclosures = conceal(claims, hash_name=hash_name, random_bytes=random_bytes, decoys=decoys)
    hidden = [name for name in NEVER_DISCLOSABLE if name in claims and name not in payload]
    if hidden:
        raise SdJwtRefused(field=hidden[0], rule="never_disclosable")
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return SdJwt(sign_jws(body, key=key, policy=policy, header=header), disclosures, None)


def verify(
    sd_jwt: SdJwt,
    *,
    keys: Keys,
    policy: Policy,
    required_claims: frozenset[str],
) -> VerifiedSdJwt:
    """Verify the issuer's signature and process the disclosures (RFC 9901 section 7.1, steps 1 to 5).

    `required_claims` must be in the issuer's own payload, not in a disclosure: a verifier that needs an expiry must not
    let the holder leave it out. Times, issuer and key binding are the caller's to judge.
    Raises `SdJwtRefused` (see `parse`, `reveal`; never_disclosable, missing) and the refusals of `crypto.jws`.
    """
    verified = verify_jws(sd_jwt.issuer_jwt, keys=keys, policy=policy)
    try:
        payload = json_strict(verified.payload)
    except EncodingRefused as error:
        raise SdJwtRefused(field="payload", rule="encoding") from error
    if not isinstance(payload, dict):
        raise SdJwtRefused(field="payload", rule="object")
    revealed = reveal(payload, sd_jwt.disclosures)
    for name in NEVER_DISCLOSABLE & revealed.disclosed_names:
        raise SdJwtRefused(field=name, rule="never_disclosable")
    for name in sorted(required_claims - payload.keys()):
        raise SdJwtRefused(field=name, rule="missing")
    return VerifiedSdJwt(verified.header, payload, revealed, verified.key)
