"""The scopes a platform may ask for, and exactly which claims each releases.

| scope | claims released | purpose shown to the person |
|---|---|---|
| `openid` | `sub` (pairwise), nothing else | recognise you again |
| `profile` | `name` (the name on record), `nickname` (the name the person shows), `given_name`, `family_name`, `locale`, `zoneinfo`, `updated_at` | greet you by name |
| `email` | `email`, `email_verified` | write to you |
| `phone` | `phone_number`, `phone_number_verified` | call you |
| `address` | `address` | send you post |
| `edu` | `school_code`, `affiliations` | offer what belongs to your school and role |
| `offline_access` | no claim; a refresh token that outlives the sign-in | keep working for you while you are away |

A claim nothing is known of is left out (OpenID Connect Core §5.3.2). In no scope at all: the ID number and the person
number; the name typed at sign-in (as `preferred_username` it would join what pairwise subjects keep apart); the birth date
and gender, which no platform needs to greet anybody (PIPL Art 6: the least that the purpose needs; a child's data are
sensitive, Art 28).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

OPENID = "openid"
PROFILE = "profile"
EMAIL = "email"
PHONE = "phone"
ADDRESS = "address"
EDU = "edu"
OFFLINE_ACCESS = "offline_access"

CLAIMS_OF_SCOPE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        OPENID: ("sub",),
        PROFILE: ("name", "nickname", "given_name", "family_name", "locale", "zoneinfo", "updated_at"),
        EMAIL: ("email", "email_verified"),
        PHONE: ("phone_number", "phone_number_verified"),
        ADDRESS: ("address",),
        EDU: ("school_code", "affiliations"),
        OFFLINE_ACCESS: (),
    }
)

KNOWN_SCOPES = frozenset(CLAIMS_OF_SCOPE)

CONTACT_SCOPES = frozenset({EMAIL, PHONE, ADDRESS})
"""Scopes of how a person is reached; only they make anybody open those facts."""

SCOPE_OF_CLAIM: Mapping[str, str] = MappingProxyType(
    {claim: scope for scope, listed in CLAIMS_OF_SCOPE.items() if scope != OPENID for claim in listed}
)


def in_order(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return known scopes once each, in the one order used in tokens, rows and pages."""
    wanted = set(scopes)
    return tuple(scope for scope in CLAIMS_OF_SCOPE if scope in wanted)


def parse_scope(value: str) -> tuple[str, ...]:
    """Split a scope parameter (RFC 6749 §3.3); unknown values stay, so that the caller can refuse or ignore them."""
    return tuple(dict.fromkeys(part for part in value.split(" ") if part))
