"""Which facts of a person a set of scopes releases (see `idp.scopes`)."""

from __future__ import annotations

from collections.abc import Iterable

from idp.model import PersonProfile
from idp.scopes import EDU, PROFILE


def released_claims(profile: PersonProfile, scopes: Iterable[str]) -> dict[str, object]:
    """Return the claims beside `sub`. `openid` alone releases none.

    `school_code` is the school of the earliest affiliation in force; `affiliations` lists them all.
    """
    granted = set(scopes)
    claims: dict[str, object] = {}
    if PROFILE in granted:
        claims["name"] = profile.real_name or profile.display_name
        claims["nickname"] = profile.display_name
    if EDU in granted:
        claims["affiliations"] = [
            {"school_code": entry.school_code, "kind": entry.kind, "since": entry.since}
            for entry in profile.affiliations
        ]
        if profile.affiliations:
            claims["school_code"] = profile.affiliations[0].school_code
    return claims
