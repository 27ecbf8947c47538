"""What a file of trial people may state of one beside name and password: how to reach them, and their preferences.

A member the file does not state stays what it is; one it states replaces what is recorded, and what it calls verified is
recorded so: the operator of a trial vouches for people of their own making.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.parts import Parts
from crypto.errors import TrustError
from idp.registry.contact import (
    NameParts,
    PostalAddress,
    Provable,
    parse_address,
    parse_email,
    parse_locale,
    parse_phone_number,
    parse_zoneinfo,
)
from idp.registry.model import Person
from idp.registry.names import PersonName, parse_person_name

ADDRESS_MEMBERS: Final = frozenset({"formatted", "region", "locality", "postal_code"})
FACT_MEMBERS: Final = frozenset(
    {
        "given_name",
        "family_name",
        "locale",
        "zoneinfo",
        "email",
        "email_verified",
        "phone_number",
        "phone_number_verified",
        "address",
    }
)
FACT_SENTENCES: Final[Mapping[str, str]] = {
    "email_form": "is not an e-mail address",
    "email_domain": "has no domain name after the @",
    "phone_form": "must be a mainland mobile number of 11 digits, or + and a country code and at most 15 digits in all",
    "address_form": "must be an object of texts: formatted, and where known region, locality, postal_code",
    "address_missing": "formatted must be there",
    "address_too_long": "at most 200 characters in 6 lines; region and locality at most 50",
    "address_sign": "holds characters that cannot be seen",
    "postal_code": "at most 10 digits, letters, spaces or hyphens",
    "locale": "must be zh-CN or en",
    "zoneinfo": "must be the name of a time zone, such as Asia/Shanghai",
    "without_its_fact": "nothing is stated that it could be about",
}

Refuse = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class StaticFacts:
    """What a file states of one person; None where it states nothing. `proven` holds what it says to be verified, or not."""

    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    address: PostalAddress | None = field(default=None, repr=False)
    locale: str | None = None
    zoneinfo: str | None = None
    given_name: PersonName | None = field(default=None, repr=False)
    family_name: PersonName | None = field(default=None, repr=False)
    proven: tuple[tuple[Provable, bool], ...] = ()

    @property
    def names(self) -> NameParts | None:
        """The parts of the name, None where the file states neither."""
        if self.given_name is None and self.family_name is None:
            return None
        return NameParts(self.given_name, self.family_name)


def read_facts(item: Mapping[str, object], refuse: Refuse) -> StaticFacts:
    """Read the members of one entry. Each mistake goes to `refuse` as member and rule; the value then counts as none."""

    def text(member: str, parse: Callable[[str], str]) -> str | None:
        value = item.get(member)
        if member not in item:
            return None
        if not isinstance(value, str) or not value:
            refuse(member, "text")
            return None
        try:
            return parse(value)
        except TrustError as refused:
            refuse(member, refused.rule or refused.code)
            return None

    given, family = text("given_name", parse_person_name), text("family_name", parse_person_name)
    return StaticFacts(
        email=text("email", parse_email),
        phone=text("phone_number", parse_phone_number),
        address=_address(item, refuse),
        locale=text("locale", parse_locale),
        zoneinfo=text("zoneinfo", parse_zoneinfo),
        given_name=None if given is None else PersonName(given),
        family_name=None if family is None else PersonName(family),
        proven=tuple(_proven(item, refuse)),
    )


async def record_facts(parts: Parts, person: Person, facts: StaticFacts) -> bool:
    """Bring what is recorded to what the file states; return whether something changed."""
    now = parts.clock()
    held = (await parts.registry.contact(person.number)).stated
    names = ("email", "phone", "address", "locale", "zoneinfo")
    stated = {name: value for name in names if (value := getattr(facts, name)) is not None}
    changed: object = ()
    if stated:
        after = replace(held, **stated)
        changed = await parts.registry.state_contact(person.number, after, proven=dict(facts.proven), now=now)
    if facts.names is not None and await parts.registry.set_name_parts(person.number, facts.names, now=now):
        return True
    return bool(changed)


def _address(item: Mapping[str, object], refuse: Refuse) -> PostalAddress | None:
    if "address" not in item:
        return None
    value = item["address"]
    if not isinstance(value, dict) or not ADDRESS_MEMBERS.issuperset(value):
        refuse("address", "address_form")
        return None
    if not all(isinstance(part, str) for part in value.values()):
        refuse("address", "address_form")
        return None
    whole, region, locality, code = (
        str(value.get(name, "")) for name in ("formatted", "region", "locality", "postal_code")
    )
    try:
        return parse_address(whole, region=region, locality=locality, postal_code=code)
    except TrustError as refused:
        refuse("address", refused.rule or refused.code)
        return None


def _proven(item: Mapping[str, object], refuse: Refuse) -> Iterator[tuple[Provable, bool]]:
    for fact, member in ((Provable.EMAIL, "email"), (Provable.PHONE, "phone_number")):
        stated = item.get(f"{member}_verified", False)
        if not isinstance(stated, bool):
            refuse(f"{member}_verified", "boolean")
        elif member in item:
            yield fact, stated
        elif f"{member}_verified" in item:
            refuse(f"{member}_verified", "without_its_fact")
