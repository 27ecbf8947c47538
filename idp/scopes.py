"""The scopes a platform may ask for, and exactly which claims each releases.

| scope | claims released | purpose shown to the person |
|---|---|---|
| `openid` | `sub` (pairwise), nothing else | recognise you again |
| `profile` | `name` (the name on record), `nickname` (the name the person shows) | greet you by name |
| `edu` | `school_code`, `affiliations` | offer what belongs to your school and role |
| `offline_access` | no claim; a refresh token that outlives the sign-in | keep working for you while you are away |

The ID number is in no scope at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

OPENID = "openid"
PROFILE = "profile"
EDU = "edu"
OFFLINE_ACCESS = "offline_access"

CLAIMS_OF_SCOPE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        OPENID: ("sub",),
        PROFILE: ("name", "nickname"),
        EDU: ("school_code", "affiliations"),
        OFFLINE_ACCESS: (),
    }
)

KNOWN_SCOPES = frozenset(CLAIMS_OF_SCOPE)


def in_order(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return known scopes once each, in the one order used in tokens, rows and pages."""
    wanted = set(scopes)
    return tuple(scope for scope in CLAIMS_OF_SCOPE if scope in wanted)


def parse_scope(value: str) -> tuple[str, ...]:
    """Split a scope parameter (RFC 6749 §3.3); unknown values stay, so that the caller can refuse or ignore them."""
    return tuple(dict.fromkeys(part for part in value.split(" ") if part))
