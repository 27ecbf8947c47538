"""How a person is reached (e-mail, telephone, post), the parts of their name, and the language and time zone they chose.

What is stated and what is proven are two things: `*_verified` is true only where somebody showed that the address or the
number is the person's. No roster does that, and no page of ours does it yet.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from crypto.canonical import jcs
from crypto.encoding import json_object
from idp.registry.errors import ContactRefused, PhoneRefused
from idp.registry.names import PersonName, parse_phone

EMAIL_CHARS_MAX = 254
"""RFC 5321 §4.5.3.1.3: a path has at most 256 octets, two of them its brackets."""

EMAIL_LOCAL_CHARS_MAX = 64
"""RFC 5321 §4.5.3.1.1."""

ADDRESS_CHARS_MAX = 200
"""The longest delivery addresses of the post's own forms have about half of that."""

ADDRESS_LINES_MAX = 6
PLACE_CHARS_MAX = 50
"""A province's or a city's name; the longest autonomous prefecture's has 18 signs."""

POSTAL_CODE_CHARS_MAX = 10

LANGUAGES = ("zh-CN", "en")
"""The languages of the product. Others are not kept: of a minority language it says what somebody is (PIPL Art 28)."""

# RFC 5322 §3.4.1: dot-atom; quoted local parts and address literals are refused, no mail provider hands them out.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?")
# E.164 §6.1: at most fifteen digits, a country code never begins with 0. Shorter than seven is nobody's number.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# The area/place form of the IANA database; whether such a place exists is a question to its newest edition.
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z]{2,15}(?:/[A-Z][A-Za-z0-9_+-]{1,29}){1,2}")
_POSTAL_CODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 -]*[A-Za-z0-9])?")


class Provable(StrEnum):
    """Facts somebody can prove to be theirs."""

    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """A postal address: `formatted` is the whole of it, lines divided by U+000A; the parts are empty where not stated."""

    formatted: str = field(repr=False)
    region: str = field(repr=False)
    locality: str = field(repr=False)
    postal_code: str = field(repr=False)

    def dump(self) -> str:
        """Return the text that is sealed."""
        members = {name: getattr(self, name) for name in ("formatted", "region", "locality", "postal_code")}
        return jcs(members).decode()


@dataclass(frozen=True, slots=True)
class ContactStatement:
    """All that is stated of how to reach one person; None where nothing is. `phone` is eleven digits or E.164."""

    email: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    address: PostalAddress | None = field(repr=False)
    locale: str | None
    zoneinfo: str | None


@dataclass(frozen=True, slots=True)
class Contact:
    """What is recorded, and of e-mail and telephone whether they are proven."""

    stated: ContactStatement
    email_verified: bool
    phone_verified: bool


@dataclass(frozen=True, slots=True)
class NameParts:
    """Given and family name, where a source states them apart. They are never cut out of a whole name.

    司马相如 and 司马迁 share no rule that tells one sign of family name from two, and many names have no family name.
    """

    given: PersonName | None = field(repr=False)
    family: PersonName | None = field(repr=False)


def parse_email(text: str) -> str:
    """Read an e-mail address (RFC 5322 addr-spec, ASCII); the domain in small letters. Raises `ContactRefused`."""
    address = text.strip()
    local, _, domain = address.rpartition("@")
    if len(address) > EMAIL_CHARS_MAX or len(local) > EMAIL_LOCAL_CHARS_MAX or not _LOCAL.fullmatch(local):
        raise ContactRefused(field="email", rule="email_form")
    if not _DOMAIN.fullmatch(domain):
        raise ContactRefused(field="email", rule="email_domain")
    return f"{local}@{domain.lower()}"


def parse_phone_number(text: str) -> str:
    """Read a telephone number: eleven digits for a mainland mobile number, else E.164 with its `+`.

    Raises `ContactRefused(rule="phone_form")`.
    """
    bare = re.sub(r"[ ()-]", "", text.strip())
    try:
        return parse_phone(bare, field="phone")
    except PhoneRefused:
        if not _E164.fullmatch(bare) or bare.startswith("+86"):
            raise ContactRefused(field="phone", rule="phone_form") from None
    return bare


def phone_e164(phone: str) -> str:
    """Return a recorded number as E.164 writes it (OpenID Connect Core §5.1, `phone_number`)."""
    return phone if phone.startswith("+") else f"+86{phone}"


def parse_address(formatted: str, *, region: str, locality: str, postal_code: str) -> PostalAddress:
    """Read a postal address; empty parts are not stated.

    Raises `ContactRefused`: address_missing (parts without the whole), address_too_long, address_sign, postal_code.
    """
    lines = [line.strip() for line in formatted.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    whole = "\n".join(line for line in (_visible(line) for line in lines) if line)
    if not whole:
        raise ContactRefused(field="address", rule="address_missing")
    if len(whole) > ADDRESS_CHARS_MAX or whole.count("\n") >= ADDRESS_LINES_MAX:
        raise ContactRefused(field="address", rule="address_too_long", limit=ADDRESS_CHARS_MAX)
    places = (_visible(region.strip()), _visible(locality.strip()))
    if any(len(place) > PLACE_CHARS_MAX for place in places):
        raise ContactRefused(field="address", rule="address_too_long", limit=PLACE_CHARS_MAX)
    code = postal_code.strip()
    if code and (len(code) > POSTAL_CODE_CHARS_MAX or not _POSTAL_CODE.fullmatch(code)):
        raise ContactRefused(field="address", rule="postal_code")
    return PostalAddress(whole, places[0], places[1], code)


def load_address(text: str) -> PostalAddress:
    """Read back what `PostalAddress.dump` wrote."""
    members = json_object(text.encode(), field="address")
    return PostalAddress(**{name: str(value) for name, value in members.items()})


def parse_locale(text: str) -> str:
    """Read one of `LANGUAGES`. Raises `ContactRefused(rule="locale")`."""
    if text not in LANGUAGES:
        raise ContactRefused(field="locale", rule="locale")
    return text


def parse_zoneinfo(text: str) -> str:
    """Read a time zone's name, such as Asia/Shanghai. Raises `ContactRefused(rule="zoneinfo")`."""
    if not _ZONE.fullmatch(text):
        raise ContactRefused(field="zoneinfo", rule="zoneinfo")
    return text


def _visible(line: str) -> str:
    normal = unicodedata.normalize("NFC", line[: ADDRESS_CHARS_MAX + 1])
    # The rule of names: nothing that cannot be seen or that turns its neighbours round; unassigned is left to newer tables.
    if any(unicodedata.category(sign) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} for sign in normal):
        raise ContactRefused(field="address", rule="address_sign")
    return normal
