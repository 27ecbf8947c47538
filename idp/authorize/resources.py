"""Resource indicators (RFC 8707): for which protected resources an access token is wanted.

A client asks only for resources of its registration, compared as whole strings. The issuer itself is a resource of every
grant of a person: it is where `/userinfo` is. What the authorization request named is what the person's grant covers; a
token request may narrow that and never widen it.

    resources = parse_resources(parameters)
    check_registered(resources, client, issuer=issuer)                         # /authorize, /par, /device_authorization
    audience = audience_of(form, granted=family.resources, issuer=issuer)      # /token, code and refresh and device
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from idp.clients.model import Client
from idp.oauth_errors import InvalidTarget
from idp.parameters import BETWEEN_VALUES

RESOURCES_MAX = 8
"""One token good at more places than this is a token for everywhere (RFC 9700 §2.3)."""

# RFC 3986 §4.3: absolute-URI = scheme ":" hier-part [ "?" query ]; no fragment, and no character outside its alphabet.
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")


def parse_resources(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return the `resource` values in their order, each once; none when there is none. Refuses nothing: the checks do."""
    value = parameters.get("resource")
    return () if value is None else tuple(dict.fromkeys(value.split(BETWEEN_VALUES)))


def is_absolute_uri(value: str) -> bool:
    """Whether RFC 8707 §2 allows the value: an absolute URI without a fragment."""
    return _ABSOLUTE.fullmatch(value) is not None


def check_registered(resources: tuple[str, ...], client: Client, *, issuer: str) -> None:
    """Raise `InvalidTarget` unless every resource is well formed and registered for the client."""
    _check_form(resources)
    if not {*client.resources, issuer}.issuperset(resources):
        raise InvalidTarget(field="resource", rule="not_registered")


def audience_of(form: Mapping[str, str], *, granted: tuple[str, ...], issuer: str) -> tuple[str, ...]:
    """Return the audience of the access token that a token request asks for out of a grant.

    What the request names, of the granted resources and the issuer; else all that was granted; else the issuer alone
    (RFC 9068 §3: the default resource). Raises `InvalidTarget` for anything beyond the grant (RFC 8707 §2.2).
    """
    asked = parse_resources(form)
    _check_form(asked)
    if not {*granted, issuer}.issuperset(asked):
        raise InvalidTarget(field="resource", rule="not_granted")
    return asked or granted or (issuer,)


def _check_form(resources: tuple[str, ...]) -> None:
    if len(resources) > RESOURCES_MAX:
        raise InvalidTarget(field="resource", rule="too_many")
    if not all(map(is_absolute_uri, resources)):
        raise InvalidTarget(field="resource", rule="form")
