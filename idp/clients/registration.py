"""Static registration: a JSON document, read once, becomes frozen clients or a refusal that names the field.

Member names are those of RFC 7591 and OpenID Connect Registration where they exist:

    {"client_id", "client_name" | "name_zh"+"name_en", "redirect_uris", "post_logout_redirect_uris",
     "backchannel_logout_uri", "sector_identifier", "subject_type", "id_token_signed_response_alg",
     "token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "client_secret", "jwks", "grant_types",
     "require_pkce", "require_pushed_authorization_requests", "access_token_format",
     "scope" | "scopes_required"+"scopes_optional", "scopes_client", "acr_minimum", "client_uri",
     "filing": {"operator", "icp_number", "protection_record", "protection_level", "app_filing_number"}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from crypto.encoding import json_strict
from crypto.errors import TrustError
from crypto.keys import natural_alg, public_from_jwk
from crypto.suites import Alg, Purpose, policy
from idp.clients.model import AccessTokenFormat, Client, ClientState, Filing, GrantType, SubjectType, TokenEndpointAuth
from idp.clients.redirect_uris import check_redirect_uri, check_web_uri, host_of
from idp.clients.secrets import hash_client_secret
from idp.model import Acr
from idp.scopes import KNOWN_SCOPES, OPENID

CLIENTS_MAX = 1000
"""A static file is for a deployment's own platforms and conformance runs."""

NAME_CHARS_MAX = 60
"""What the consent page shows on one line of a phone."""

URIS_MAX = 20
"""Per client and kind; more is a wildcard by other means."""

# RFC 9700 §4.15: letters first, shorter than any `sub` of ours, so a client can never look like a person.
_CLIENT_ID = re.compile(r"[a-z][a-z0-9-]{2,39}")
# RFC 6749 §3.3 allows more; these read well in a log and cannot be taken for a word of another language.
_CLIENT_SCOPE = re.compile(r"[a-z][a-z0-9._:-]{1,63}")
_SECRET_METHODS = frozenset({TokenEndpointAuth.BASIC, TokenEndpointAuth.POST})
_KNOWN = frozenset(
    [
        "client_id",
        "client_name",
        "name_zh",
        "name_en",
        "redirect_uris",
        "post_logout_redirect_uris",
        "backchannel_logout_uri",
        "sector_identifier",
        "subject_type",
        "id_token_signed_response_alg",
        "token_endpoint_auth_method",
        "token_endpoint_auth_signing_alg",
        "client_secret",
        "jwks",
        "grant_types",
        "require_pkce",
        "require_pushed_authorization_requests",
        "access_token_format",
        "scope",
        "scopes_required",
        "scopes_optional",
        "scopes_client",
        "acr_minimum",
        "client_uri",
        "filing",
    ]
)

_E = TypeVar("_E", bound=StrEnum)


class RegistrationRefused(TrustError):
    """A registration that is not accepted; `field` and `rule` say which member and why."""

    code = "idp.client.registration_refused"


def parse_clients(document: bytes) -> tuple[Client, ...]:
    """Parse a JSON array of registrations. Raises `RegistrationRefused`, `UriRefused`, `ClientSecretRefused`."""
    listed = json_strict(document)
    if not isinstance(listed, list) or len(listed) > CLIENTS_MAX:
        raise RegistrationRefused(field="clients", rule="array")
    clients = tuple(parse_client(item) for item in listed)
    if len({client.client_id for client in clients}) != len(clients):
        raise RegistrationRefused(field="client_id", rule="duplicate")
    return clients


def parse_client(item: object) -> Client:
    """Parse one registration object."""
    if not isinstance(item, dict):
        raise RegistrationRefused(field="clients", rule="object")
    unknown = set(item) - _KNOWN
    if unknown:
        # A misspelt member must not silently mean its default.
        raise RegistrationRefused(field=min(unknown)[:40], rule="unknown_member")
    client_id = _text(item, "client_id")
    if not _CLIENT_ID.fullmatch(client_id):
        raise RegistrationRefused(field="client_id", rule="form")
    auth = _choice(item, "token_endpoint_auth_method", TokenEndpointAuth, TokenEndpointAuth.BASIC)
    public = auth is TokenEndpointAuth.NONE
    jwks = _jwks(item)
    signing_alg = _credential(item, auth, jwks)
    grant_types = _grant_types(item, public=public)
    signs_in = GrantType.AUTHORIZATION_CODE in grant_types
    require_pkce = _flag(item, "require_pkce", default=True)
    if public and not require_pkce:
        raise RegistrationRefused(field="require_pkce", rule="required_for_public")  # RFC 9700 §2.1.1
    redirect_uris = tuple(
        check_redirect_uri(uri, public=public, field="redirect_uris") for uri in _texts(item, "redirect_uris")
    )
    if signs_in != bool(redirect_uris):
        raise RegistrationRefused(field="redirect_uris", rule="missing" if signs_in else "not_for_grant")
    logout_uris = tuple(
        check_redirect_uri(uri, public=public, field="post_logout_redirect_uris")
        for uri in _texts(item, "post_logout_redirect_uris")
    )
    required, optional = _scopes(item, signs_in=signs_in)
    alg = _choice(item, "id_token_signed_response_alg", Alg, Alg.RS256)  # OIDC Registration §2: RS256 is the default
    if alg not in policy(Purpose.ID_TOKEN).algorithms:
        raise RegistrationRefused(field="id_token_signed_response_alg", rule="not_offered")
    return Client(
        client_id=client_id,
        name_zh=_name(item, "name_zh"),
        name_en=_name(item, "name_en"),
        state=ClientState.ACTIVE,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=logout_uris,
        backchannel_logout_uri=_web_uri(item, "backchannel_logout_uri"),
        sector_identifier=_sector(item, client_id, redirect_uris),
        subject_type=_choice(item, "subject_type", SubjectType, SubjectType.PAIRWISE),
        id_token_signed_response_alg=alg,
        token_endpoint_auth_method=auth,
        token_endpoint_auth_signing_alg=signing_alg,
        secret_hash=hash_client_secret(_text(item, "client_secret")) if auth in _SECRET_METHODS else None,
        jwks=jwks,
        grant_types=grant_types,
        require_pkce=require_pkce,
        require_pushed_authorization_requests=_flag(item, "require_pushed_authorization_requests", default=False),
        access_token_format=_choice(item, "access_token_format", AccessTokenFormat, AccessTokenFormat.OPAQUE),
        scopes_required=required,
        scopes_optional=optional,
        scopes_client=_client_scopes(item, grant_types),
        acr_minimum=_choice(item, "acr_minimum", Acr, Acr.ONE),
        home_uri=_web_uri(item, "client_uri"),
        filing=_filing(item.get("filing", {})),
    )


def _text(item: Mapping[str, object], field: str) -> str:
    value = item.get(field)
    if not isinstance(value, str) or not value:
        raise RegistrationRefused(field=field, rule="text")
    return value


def _texts(item: Mapping[str, object], field: str) -> Sequence[str]:
    value = item.get(field, [])
    if not isinstance(value, list) or len(value) > URIS_MAX or len(set(map(str, value))) != len(value):
        raise RegistrationRefused(field=field, rule="array")
    if not all(isinstance(entry, str) for entry in value):
        raise RegistrationRefused(field=field, rule="text")
    return value


def _flag(item: Mapping[str, object], field: str, *, default: bool) -> bool:
    value = item.get(field, default)
    if not isinstance(value, bool):
        raise RegistrationRefused(field=field, rule="boolean")
    return value


def _choice(item: Mapping[str, object], field: str, kind: type[_E], default: _E) -> _E:
    value = item.get(field, default.value)
    try:
        return kind(str(value))
    except ValueError:
        raise RegistrationRefused(field=field, rule="unknown_value") from None


def _name(item: Mapping[str, object], field: str) -> str:
    name = _text(item, field) if field in item else _text(item, "client_name")
    # Shown as text in templates; control and direction characters would let one name pose as another.
    if len(name) > NAME_CHARS_MAX or not name.isprintable() or name.strip() != name:
        raise RegistrationRefused(field=field, rule="name")
    return name


def _web_uri(item: Mapping[str, object], field: str) -> str | None:
    return check_web_uri(_text(item, field), field=field) if field in item else None


def _credential(item: Mapping[str, object], auth: TokenEndpointAuth, jwks: tuple[Mapping[str, str], ...]) -> Alg | None:
    """Check that there is the one credential the method needs and no other; return the algorithm of its assertions."""
    if (auth in _SECRET_METHODS) != ("client_secret" in item):
        rule = {TokenEndpointAuth.NONE: "not_for_public", TokenEndpointAuth.PRIVATE_KEY_JWT: "not_for_method"}
        raise RegistrationRefused(field="client_secret", rule=rule.get(auth, "missing"))
    field = "token_endpoint_auth_signing_alg"
    if auth is not TokenEndpointAuth.PRIVATE_KEY_JWT:
        if field in item:
            raise RegistrationRefused(field=field, rule="not_for_method")
        return None
    wanted = _choice(item, field, Alg, Alg.ES256) if field in item else None
    if not any(wanted is None or key["alg"] == wanted.value for key in jwks):
        raise RegistrationRefused(field="jwks", rule="missing")
    return wanted


def _sector(item: Mapping[str, object], client_id: str, redirect_uris: tuple[str, ...]) -> str:
    if "sector_identifier" in item:
        sector = _text(item, "sector_identifier")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,252}", sector):
            raise RegistrationRefused(field="sector_identifier", rule="form")
        return sector
    hosts = {host_of(uri) for uri in redirect_uris}
    if len(hosts) > 1:
        raise RegistrationRefused(field="sector_identifier", rule="several_hosts")  # OIDC Core §8.1
    # Without a redirect URI nobody signs in there; a name no host can have (RFC 2606 §2) keeps it apart all the same.
    return hosts.pop() if hosts else f"{client_id}.invalid"


def _scopes(item: Mapping[str, object], *, signs_in: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not signs_in:
        if not item.keys().isdisjoint({"scope", "scopes_required", "scopes_optional"}):
            raise RegistrationRefused(field="scope", rule="not_for_grant")
        return (), ()
    if "scope" in item:
        required, optional = [scope for scope in _text(item, "scope").split(" ") if scope], list[str]()
    else:
        required, optional = list(_texts(item, "scopes_required")), list(_texts(item, "scopes_optional"))
    if OPENID not in required:
        required.insert(0, OPENID)
    if len({*required, *optional}) != len(required) + len(optional):
        raise RegistrationRefused(field="scope", rule="duplicate")
    if not KNOWN_SCOPES.issuperset({*required, *optional}):
        raise RegistrationRefused(field="scope", rule="unknown_value")
    return tuple(required), tuple(optional)


def _client_scopes(item: Mapping[str, object], grant_types: frozenset[GrantType]) -> tuple[str, ...]:
    field = "scopes_client"
    scopes = tuple(_texts(item, field))
    if scopes and GrantType.CLIENT_CREDENTIALS not in grant_types:
        raise RegistrationRefused(field=field, rule="not_for_grant")
    # What a person releases cannot be had without the person.
    if not all(_CLIENT_SCOPE.fullmatch(scope) and scope not in KNOWN_SCOPES for scope in scopes):
        raise RegistrationRefused(field=field, rule="form")
    return scopes


def _grant_types(item: Mapping[str, object], *, public: bool) -> frozenset[GrantType]:
    listed = _texts(item, "grant_types") or [GrantType.AUTHORIZATION_CODE.value]
    try:
        grants = frozenset(GrantType(entry) for entry in listed)
    except ValueError:
        raise RegistrationRefused(field="grant_types", rule="unknown_value") from None
    if GrantType.AUTHORIZATION_CODE not in grants and grants != {GrantType.CLIENT_CREDENTIALS}:
        raise RegistrationRefused(field="grant_types", rule="authorization_code")
    if public and GrantType.CLIENT_CREDENTIALS in grants:
        raise RegistrationRefused(field="grant_types", rule="not_for_public")  # RFC 6749 §4.4
    return grants


def _jwks(item: Mapping[str, object]) -> tuple[Mapping[str, str], ...]:
    value = item.get("jwks", {"keys": []})
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > URIS_MAX:
        raise RegistrationRefused(field="jwks", rule="array")
    parsed: list[Mapping[str, str]] = []
    for key in keys:
        if not isinstance(key, dict) or not all(isinstance(member, str) for member in key.values()):
            raise RegistrationRefused(field="jwks", rule="object")
        parsed.append(public_from_jwk(key, alg=natural_alg(key)).jwk)
    if len({key["kid"] for key in parsed}) != len(parsed):
        raise RegistrationRefused(field="jwks", rule="duplicate")
    return tuple(parsed)


def _filing(value: object) -> Filing:
    fields = ("operator", "icp_number", "protection_record", "protection_level", "app_filing_number")
    if not isinstance(value, dict) or not set(value) <= set(fields):
        raise RegistrationRefused(field="filing", rule="object")
    texts = {field: value.get(field, "") for field in fields}
    for field, text in texts.items():
        if not isinstance(text, str) or len(text) > NAME_CHARS_MAX or (text and not text.isprintable()):
            raise RegistrationRefused(field=field, rule="text")
    return Filing(**texts)
