"""The `claims` parameter (OpenID Connect Core §5.5): what it may ask for, and what it cannot get past.

A claim asked for by name is a request for the scope that carries it: the person is asked about that scope as about any
other, the registration must allow it, and the token response says that it was granted. So no claim is ever released that
the consent page did not name. Claims this server does not know are ignored (§5.5.1), essential or not.

Of values, `sub` (this person and no other, §5.5.1) and `acr` (§5.5.1.1) are honoured; other values are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from crypto.encoding import Json, json_object
from crypto.errors import TrustError
from idp.model import Acr
from idp.oauth_errors import InvalidRequest
from idp.scopes import SCOPE_OF_CLAIM

CLAIMS_CHARS_MAX = 2048
"""All claims of ours, each with its members, in both places, take less than half."""

_PLACES = ("id_token", "userinfo")


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """What the parameter asks for.

    `scopes` carry the claims asked for; `id_token` are those asked for in the ID token; `subs` None: anybody; `acr` are
    classes in the client's order, unknown ones left out; `acr_bound`: the ID token must name one of `acr` or there is none
    (essential, with values).
    """

    scopes: frozenset[str]
    id_token: frozenset[str]
    subs: frozenset[str] | None
    acr: tuple[Acr, ...]
    acr_bound: bool


NOTHING = ClaimsRequest(frozenset(), frozenset(), None, (), acr_bound=False)


def parse_claims(text: str | None) -> ClaimsRequest:
    """Parse the parameter. Raises `InvalidRequest` for what is not the JSON of §5.5."""
    if text is None:
        return NOTHING
    if len(text) > CLAIMS_CHARS_MAX:
        raise InvalidRequest(field="claims", rule="too_long", limit=CLAIMS_CHARS_MAX)
    try:
        asked = json_object(text.encode(), field="claims")
    except TrustError:
        raise InvalidRequest(field="claims", rule="json") from None
    scopes: set[str] = set()
    in_id_token: set[str] = set()
    subs: frozenset[str] | None = None
    acr: tuple[str, ...] = ()
    acr_bound = False
    for place in _PLACES:
        listed = asked.get(place, {})
        if not isinstance(listed, dict):
            raise InvalidRequest(field="claims", rule="form")
        for name, about in listed.items():
            values, essential = _member(about)
            if name in SCOPE_OF_CLAIM:
                scopes.add(SCOPE_OF_CLAIM[name])
                if place == "id_token":
                    in_id_token.add(name)
            elif name == "sub" and values is not None:
                subs = frozenset(values) if subs is None else subs & frozenset(values)
            elif name == "acr" and place == "id_token":
                acr, acr_bound = values or (), essential and values is not None
    known = {member.value for member in Acr}
    classes = tuple(Acr(value) for value in acr if value in known)
    return ClaimsRequest(frozenset(scopes), frozenset(in_id_token), subs, classes, acr_bound)


def _member(about: Json) -> tuple[tuple[str, ...] | None, bool]:
    """Return values (None: any) and essential of one claim: null, or an object; its unknown members are ignored (§5.5.1).

    A value that is no text equals no `sub` and no `acr`, so it is left out.
    """
    if about is None:
        return None, False
    if not isinstance(about, dict):
        raise InvalidRequest(field="claims", rule="form")
    essential, values = about.get("essential", False), about.get("values", [])
    if not isinstance(essential, bool) or not isinstance(values, list):
        raise InvalidRequest(field="claims", rule="form")
    if about.keys().isdisjoint({"value", "values"}):
        return None, essential
    if "value" in about:
        values = [about["value"], *values]
    return tuple(str(value) for value in values if isinstance(value, str)), essential
