"""Sandbox clients: from a form of the developer's page to a client, under the same checks as every registration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from crypto.encoding import json_strict
from crypto.errors import TrustError
from crypto.suites import Alg
from idp.clients.members import RegistrationRefused
from idp.clients.model import Client, ClientOrigin, TokenEndpointAuth
from idp.clients.registration import parse_client
from idp.scopes import EDU, OFFLINE_ACCESS, OPENID, PROFILE

CLIENTS_MAX = 3
"""One a platform, one a version under work, one to spare."""

SCOPES_REQUIRED = (OPENID, PROFILE)
SCOPES_OPTIONAL = (EDU, OFFLINE_ACCESS)
"""What there is to try: only the owner signs in, so only the owner's own data is released."""

ALGORITHMS = (Alg.ES256, Alg.RS256, Alg.SGD_SM3_SM2)
METHODS = (
    TokenEndpointAuth.BASIC,
    TokenEndpointAuth.POST,
    TokenEndpointAuth.PRIVATE_KEY_JWT,
    TokenEndpointAuth.NONE,
)
WITH_SECRET = frozenset({TokenEndpointAuth.BASIC, TokenEndpointAuth.POST})

TEST_CALLBACK = "/developer/test/callback"
"""The test sign-in's own redirect URI, on this server; every sandbox client has it."""

FORM_CHARS_MAX = 4096
"""A field of the form: twenty addresses, or a key set of a few keys."""


class SandboxRefused(TrustError):
    """A sandbox client that may not be had: the places are taken, or it is another's."""

    code = "idp.developer.sandbox_refused"
    status = 409


class SandboxUnknown(TrustError):
    """No sandbox client of this developer has this id; another's is as if unknown."""

    code = "idp.developer.client_unknown"
    status = 404


class NotADeveloper(TrustError):
    """The operator has not allowed this person sandbox clients."""

    code = "idp.developer.not_allowed"
    status = 403


@dataclass(frozen=True, slots=True)
class Wish:
    """What the developer's form asks for, as typed. Addresses are one a line."""

    name: str
    redirect_uris: str
    post_logout_redirect_uris: str
    backchannel_logout_uri: str
    method: str
    alg: str
    jwks: str


def wish_of(form: Mapping[str, str]) -> Wish:
    """Read the form. Raises `RegistrationRefused` for a field that is too long."""
    fields = {field: form.get(field, "").strip() for field in Wish.__slots__}
    for field, typed in fields.items():
        if len(typed) > FORM_CHARS_MAX:
            raise RegistrationRefused(field=field, rule="too_long")
    return Wish(**fields)


def wish_for(client: Client, issuer: str) -> Wish:
    """Return the wish that makes this client again, for the form to show."""
    own = issuer + TEST_CALLBACK
    return Wish(
        name=client.name_en,
        redirect_uris="\n".join(uri for uri in client.redirect_uris if uri != own),
        post_logout_redirect_uris="\n".join(client.post_logout_redirect_uris),
        backchannel_logout_uri=client.backchannel_logout_uri or "",
        method=client.token_endpoint_auth_method.value,
        alg=client.id_token_signed_response_alg.value,
        jwks="",
    )


def sandbox_client(
    wish: Wish, *, issuer: str, client_id: str, owner: str, secret: str, before: Client | None
) -> Client:
    """Return the client a wish asks for. Raises `RegistrationRefused` or `UriRefused`, with field and rule, and what the
    parsers of keys refuse.

    `secret` is used where the method needs one; a client that had one before (`before`) keeps its own, and its keys where the
    form brings none.
    """
    if wish.method not in METHODS:
        raise RegistrationRefused(field="token_endpoint_auth_method", rule="unknown_value")
    if wish.alg not in ALGORITHMS:
        raise RegistrationRefused(field="id_token_signed_response_alg", rule="unknown_value")
    method = TokenEndpointAuth(wish.method)
    document: dict[str, object] = {
        "client_id": client_id,
        "client_name": wish.name,
        "redirect_uris": [*_addresses(wish.redirect_uris, "redirect_uris"), issuer + TEST_CALLBACK],
        "post_logout_redirect_uris": _addresses(wish.post_logout_redirect_uris, "post_logout_redirect_uris"),
        # The hosts of a sandbox change; its subjects stay, and no platform in use shares them.
        "sector_identifier": f"{client_id}.sandbox",
        "token_endpoint_auth_method": method.value,
        "id_token_signed_response_alg": wish.alg,
        "grant_types": ["authorization_code", "refresh_token"],
        "scopes_required": list(SCOPES_REQUIRED),
        "scopes_optional": list(SCOPES_OPTIONAL),
    }
    if wish.backchannel_logout_uri:
        document["backchannel_logout_uri"] = wish.backchannel_logout_uri
    if method in WITH_SECRET:
        document["client_secret"] = secret
    if method is TokenEndpointAuth.PRIVATE_KEY_JWT:
        document["jwks"] = _jwks(wish, before)
    made = parse_client(document, origin=ClientOrigin.DEVELOPER, owner=owner)
    if method in WITH_SECRET and before is not None and before.secret_hash is not None:
        return replace(made, secret_hash=before.secret_hash)
    return made


def _addresses(typed: str, field: str) -> list[str]:
    found = [line.strip() for line in typed.splitlines() if line.strip()]
    if not all(uri.startswith(("https://", "http://")) for uri in found):
        raise RegistrationRefused(field=field, rule="web")
    return found


def _jwks(wish: Wish, before: Client | None) -> object:
    if not wish.jwks and before is not None and before.jwks:
        return {"keys": [dict(key) for key in before.jwks]}
    try:
        return json_strict(wish.jwks)
    except TrustError:
        raise RegistrationRefused(field="jwks", rule="form") from None
