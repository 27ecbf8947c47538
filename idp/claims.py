"""Which facts of a person a set of scopes releases (see `idp.scopes`), and where.

Every sign-in here ends in an access token, so the claims of scopes come from userinfo (OpenID Connect Core §5.4). The ID
token, which platforms log, cache and pass on, carries such a claim only where it was asked for there by name (§5.5).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from idp.model import PersonProfile
from idp.registry.contact import Contact, phone_e164
from idp.scopes import ADDRESS, CONTACT_SCOPES, EDU, EMAIL, PHONE, PROFILE, SCOPE_OF_CLAIM

DAY_S = 24 * 60 * 60
"""`updated_at` names the day, not the second: one second is a mark by which two platforms would know one person."""


def released_claims(profile: PersonProfile, contact: Contact | None, scopes: Iterable[str]) -> dict[str, object]:
    """Return the claims beside `sub`; what is not known is left out. `openid` alone releases none.

    `contact` is only needed for `CONTACT_SCOPES`. `school_code` is the school of the earliest affiliation in force;
    `affiliations` lists them all.
    """
    granted = set(scopes)
    claims: dict[str, object] = {}
    if PROFILE in granted:
        claims |= _of_profile(profile)
    if contact is not None and not granted.isdisjoint(CONTACT_SCOPES):
        claims |= _of_contact(contact, granted)
    if EDU in granted:
        claims["affiliations"] = [
            {"school_code": entry.school_code, "kind": entry.kind, "since": entry.since}
            for entry in profile.affiliations
        ]
        if profile.affiliations:
            claims["school_code"] = profile.affiliations[0].school_code
    return claims


def scopes_of_claims(names: Iterable[str], granted: Collection[str]) -> frozenset[str]:
    """Return the granted scopes that carry some of these claims."""
    return frozenset(SCOPE_OF_CLAIM[name] for name in names if name in SCOPE_OF_CLAIM) & frozenset(granted)


def named_claims(
    profile: PersonProfile | None, contact: Contact | None, scopes: Collection[str], names: Collection[str]
) -> dict[str, object]:
    """Return those of the released claims that were asked for by name: what an ID token may carry.

    `profile` None: nothing was asked for, so nothing was read.
    """
    if profile is None:
        return {}
    released = released_claims(profile, contact, scopes_of_claims(names, scopes))
    return {name: value for name, value in released.items() if name in names}


def _of_profile(profile: PersonProfile) -> dict[str, object]:
    known: dict[str, object | None] = {
        "name": profile.real_name or profile.display_name,
        "nickname": profile.display_name,
        "given_name": profile.given_name,
        "family_name": profile.family_name,
        "locale": profile.locale,
        "zoneinfo": profile.zoneinfo,
        "updated_at": profile.updated_at - profile.updated_at % DAY_S,
    }
    return {name: value for name, value in known.items() if value is not None}


def _of_contact(contact: Contact, granted: Collection[str]) -> dict[str, object]:
    stated = contact.stated
    claims: dict[str, object] = {}
    if EMAIL in granted and stated.email is not None:
        claims |= {"email": stated.email, "email_verified": contact.email_verified}
    if PHONE in granted and stated.phone is not None:
        claims |= {"phone_number": phone_e164(stated.phone), "phone_number_verified": contact.phone_verified}
    if ADDRESS in granted and stated.address is not None:
        parts = ("formatted", "region", "locality", "postal_code")
        claims["address"] = {name: value for name in parts if (value := getattr(stated.address, name))}
    return claims
