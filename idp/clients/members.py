"""The members of a registration document, each read by its kind: text, list, flag, one of a few values, address.

    uris = texts(item, "redirect_uris")

Every reader takes the document and the member's name, and raises `RegistrationRefused` with that name and the rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from crypto.errors import TrustError
from idp.clients.redirect_uris import URI_CHARS_MAX, UriRefused, check_web_uri

NAME_CHARS_MAX = 60
"""What the consent page shows on one line of a phone."""

LISTED_MAX = 20
"""Per client and kind; more redirect URIs are a wildcard by other means, more keys are a log of old ones."""

CONTACT_CHARS_MAX = 254
"""RFC 5321 §4.5.3.1: a longer address takes no mail."""

# RFC 8141 §2, in the characters that need no encoding: a resource may be named without being an address.
_URN = re.compile(r"urn:[a-z0-9][a-z0-9-]{1,30}:[A-Za-z0-9._:/-]{1,200}")

_E = TypeVar("_E", bound=StrEnum)


class RegistrationRefused(TrustError):
    """A registration that is not accepted; `field` and `rule` say which member and why."""

    code = "idp.client.registration_refused"


def text(item: Mapping[str, object], field: str) -> str:
    """Return a text that is there and not empty."""
    value = item.get(field)
    if not isinstance(value, str) or not value:
        raise RegistrationRefused(field=field, rule="text")
    return value


def texts(item: Mapping[str, object], field: str) -> Sequence[str]:
    """Return a list of different texts, empty when the member is absent."""
    value = item.get(field, [])
    if not isinstance(value, list) or len(value) > LISTED_MAX or len(set(map(str, value))) != len(value):
        raise RegistrationRefused(field=field, rule="array")
    if not all(isinstance(entry, str) for entry in value):
        raise RegistrationRefused(field=field, rule="text")
    return value


def flag(item: Mapping[str, object], field: str, *, default: bool) -> bool:
    """Return a boolean."""
    value = item.get(field, default)
    if not isinstance(value, bool):
        raise RegistrationRefused(field=field, rule="boolean")
    return value


def number(item: Mapping[str, object], field: str, *, most: int) -> int | None:
    """Return a whole number from nought to `most`, or None when the member is absent."""
    value = item.get(field)
    if field not in item:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise RegistrationRefused(field=field, rule="number")
    return value


def choice(item: Mapping[str, object], field: str, kind: type[_E], default: _E) -> _E:
    """Return one value of an enumeration."""
    value = item.get(field, default.value)
    try:
        return kind(str(value))
    except ValueError:
        raise RegistrationRefused(field=field, rule="unknown_value") from None


def choices(item: Mapping[str, object], field: str, kind: type[_E]) -> tuple[_E, ...]:
    """Return a list of different values of an enumeration, in the order given."""
    try:
        return tuple(kind(value) for value in texts(item, field))
    except ValueError:
        raise RegistrationRefused(field=field, rule="unknown_value") from None


def name(item: Mapping[str, object], field: str) -> str:
    """Return the name of this member, or that of `client_name` when it is absent."""
    given = text(item, field) if field in item else text(item, "client_name")
    # Shown as text in templates; control and direction characters would let one name pose as another.
    if len(given) > NAME_CHARS_MAX or not given.isprintable() or given.strip() != given:
        raise RegistrationRefused(field=field, rule="name")
    return given


def web_uri(item: Mapping[str, object], field: str) -> str | None:
    """Return an https address (http on a loopback host), or None. Raises `UriRefused` too."""
    return check_web_uri(text(item, field), field=field) if field in item else None


def resources(item: Mapping[str, object]) -> tuple[str, ...]:
    """Return the resource servers: absolute URIs without a fragment (RFC 8707 §2), addresses or names (`urn:`)."""
    field = "resources"
    found = tuple(texts(item, field))
    for uri in found:
        if uri.startswith("urn:"):
            if len(uri) > URI_CHARS_MAX or not _URN.fullmatch(uri):
                raise UriRefused(field=field, rule="malformed")
        else:
            check_web_uri(uri, field=field)
    return found


def contacts(item: Mapping[str, object]) -> tuple[str, ...]:
    """Return mail addresses of those responsible (RFC 7591 §2). They are shown to operators, never written to."""
    found = tuple(texts(item, "contacts"))
    for contact in found:
        before, at, after = contact.rpartition("@")
        if not (before and at and after and contact.isprintable() and " " not in contact) or (
            len(contact) > CONTACT_CHARS_MAX
        ):
            raise RegistrationRefused(field="contacts", rule="form")
    return found
