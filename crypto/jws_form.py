"""The compact form of a JWS, read strictly and written cheaply, whatever signs it: a key pair (`jws`) or a MAC (`mac`).

Everything a token says about how to verify it is checked here against rules the caller brings: the type must be the
purpose's, and every header that would bring in another key (`jwk`, `jku`, `x5u`, `x5c`) or another meaning (`crit`,
`b64`, `zip`) is refused (RFC 8725 §3). Nothing here verifies anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from crypto.encoding import Json, b64u_decode, b64u_encode, json_object
from crypto.errors import AlgorithmRefused, TokenRefused
from crypto.suites import Purpose

# alg, kid and typ take some 120 bytes; a kid may have 256 characters, and a thumbprint or two may come along.
MAX_HEADER_SEGMENT_BYTES: Final = 2048
# RSA of 8192 bits gives 1366 characters.
MAX_SIGNATURE_SEGMENT_BYTES: Final = 1400
# Longer than a URL-shaped kid, shorter than a header that could be a denial of service.
MAX_KID_LENGTH: Final = 256
# One entry a signing key and type in use; a service holds a few dozen.
HEADER_CACHE_ENTRIES: Final = 256

# Written by the facade alone.
OWN_HEADERS: Final = frozenset({"alg", "kid", "typ"})
# RFC 8725 §3.10: keys named by the token itself. RFC 7515 §4.1.11 and RFC 7797: extensions we have none of.
REFUSED_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
NO_HEADERS: Final[Mapping[str, Any]] = MappingProxyType({})


class FormRules(Protocol):
    """What the form of a token depends on; `suites.Policy` and `mac.MacPolicy` both say it."""

    @property
    def purpose(self) -> Purpose:
        """What the token is for."""

    @property
    def typ(self) -> str | None:
        """The type written into the header."""

    @property
    def accepted_typ(self) -> frozenset[str | None]:
        """The types a verifier accepts; None among them where `typ` may be left out; empty where nothing is JOSE."""

    @property
    def max_payload_bytes(self) -> int:
        """The bound of the decoded payload."""

    @property
    def kid_required(self) -> bool:
        """Whether the header must name the key."""


class Unverified(NamedTuple):
    """A compact JWS taken apart, its form checked and nothing verified. `alg` is the name the header gives."""

    header: dict[str, Json]
    alg: str
    kid: str | None
    payload: bytes
    signing_input: bytes
    signature: bytes


def require_jose(rules: FormRules) -> None:
    """Raise `AlgorithmRefused` for a purpose whose signatures are not JOSE."""
    if not rules.accepted_typ:
        raise AlgorithmRefused(field="purpose", rule="not_a_jose_purpose", purpose=rules.purpose.value)


def signing_input(alg: str, kid: str, payload: bytes, *, rules: FormRules, header: Mapping[str, Any]) -> str:
    """Return `BASE64URL(header).BASE64URL(payload)` with `alg`, `kid` and the type of the rules in front.

    `header` adds members; it may not set those three nor any a verifier refuses (`TokenRefused`).
    """
    if len(payload) > rules.max_payload_bytes:
        raise TokenRefused(field="payload", rule="too_large")
    segment = _header_segment(alg, kid, rules.typ, header) if header else _plain_header_segment(alg, kid, rules.typ)
    return f"{segment}.{b64u_encode(payload)}"


def read_compact(token: str, rules: FormRules) -> Unverified:
    """Take a compact JWS apart.

    Raises `TokenRefused` (form, size, type, refused header, key ID), `EncodingRefused` (base64url, JSON) or
    `AlgorithmRefused` (no algorithm named).
    """
    require_jose(rules)
    header_segment, payload_segment, signature_segment = _segments(token, rules)
    header = json_object(b64u_decode(header_segment, field="header"), field="header")
    payload = b64u_decode(payload_segment, field="payload")
    signature = b64u_decode(signature_segment, field="signature")
    if len(payload) > rules.max_payload_bytes:
        raise TokenRefused(field="payload", rule="too_large")
    _check_headers(header, rules)
    alg = header.get("alg")
    if not isinstance(alg, str):
        raise AlgorithmRefused(field="alg", rule="unknown")
    # The three segments are base64url, hence ASCII.
    signed = token[: len(header_segment) + 1 + len(payload_segment)].encode("ascii")
    return Unverified(header, alg, _checked_kid(header, rules), payload, signed, signature)


def unverified_kid(token: str, rules: FormRules) -> str | None:
    """Return the `kid` a token names, with nothing verified: for finding out whose keys to fetch, and nothing else."""
    header_segment, _, _ = _segments(token, rules)
    return _checked_kid(json_object(b64u_decode(header_segment, field="header"), field="header"), rules)


def check_kid(kid: object) -> str:
    """Return a key ID of 1 to 256 printable characters; raise `TokenRefused` for anything else."""
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise TokenRefused(field="kid", rule="kid_form")
    return kid


@lru_cache(maxsize=HEADER_CACHE_ENTRIES)
def _plain_header_segment(alg: str, kid: str, typ: str | None) -> str:
    return _header_segment(alg, kid, typ, NO_HEADERS)


def _header_segment(alg: str, kid: str, typ: str | None, header: Mapping[str, Any]) -> str:
    if header.keys() & (OWN_HEADERS | REFUSED_HEADERS):
        raise TokenRefused(field="header", rule="reserved_header")
    protected: dict[str, Any] = {"alg": alg, "kid": kid}
    if typ is not None:
        protected["typ"] = typ
    protected.update(header)
    try:
        text = json.dumps(protected, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise TokenRefused(field="header", rule="not_json") from None
    segment = b64u_encode(text.encode("ascii"))
    if len(segment) > MAX_HEADER_SEGMENT_BYTES:
        raise TokenRefused(field="header", rule="too_large")
    return segment


def _segments(token: str, rules: FormRules) -> tuple[str, str, str]:
    # Four characters of base64url for three bytes, on top of the two bounded segments and two dots.
    bound = MAX_HEADER_SEGMENT_BYTES + MAX_SIGNATURE_SEGMENT_BYTES + rules.max_payload_bytes // 3 * 4 + 6
    if len(token) > bound:
        raise TokenRefused(field="token", rule="too_large")
    segments = token.split(".", 3)
    if len(segments) != 3 or not segments[0] or not segments[2]:
        raise TokenRefused(field="token", rule="compact_form")
    if len(segments[0]) > MAX_HEADER_SEGMENT_BYTES or len(segments[2]) > MAX_SIGNATURE_SEGMENT_BYTES:
        raise TokenRefused(field="token", rule="too_large")
    return segments[0], segments[1], segments[2]


def _check_headers(header: Mapping[str, Json], rules: FormRules) -> None:
    refused = REFUSED_HEADERS & header.keys()
    if refused:
        raise TokenRefused(field=min(refused), rule="refused_header")
    typ = header.get("typ")
    if typ is None:
        typed = "typ" not in header and None in rules.accepted_typ
    else:
        typed = isinstance(typ, str) and (typ in rules.accepted_typ or _same_type(typ, rules.accepted_typ))
    if not typed:
        raise TokenRefused(field="typ", rule="other_type")


def _same_type(typ: str, accepted: frozenset[str | None]) -> bool:
    """RFC 7515 §4.1.9: media types compare without regard to case."""
    return typ.isascii() and typ.lower() in {name.lower() for name in accepted if name is not None}


def _checked_kid(header: Mapping[str, Json], rules: FormRules) -> str | None:
    kid = header.get("kid")
    if kid is None and "kid" not in header and not rules.kid_required:
        return None
    return check_kid(kid)
