"""Static registration: a JSON document, read once, becomes frozen clients or a refusal that names the field.

Member names are those of RFC 7591 and OpenID Connect Registration where they exist:

    {"client_id", "client_name" | "name_zh"+"name_en", "redirect_uris", "post_logout_redirect_uris",
     "backchannel_logout_uri", "backchannel_logout_session_required", "frontchannel_logout_uri",
     "frontchannel_logout_session_required", "sector_identifier" | "sector_identifier_uri", "subject_type",
     "id_token_signed_response_alg", "userinfo_signed_response_alg", "token_endpoint_auth_method",
     "token_endpoint_auth_signing_alg", "client_secret", "jwks" | "jwks_uri", "grant_types", "require_pkce",
     "require_nonce", "require_pushed_authorization_requests", "access_token_format",
     "scope" | "scopes_required"+"scopes_optional", "scopes_client", "resources", "acr_minimum", "default_acr_values",
     "default_max_age", "require_auth_time", "client_uri", "logo_uri", "policy_uri", "tos_uri", "contacts",
     "filing": {"operator", "icp_number", "protection_record", "protection_level", "app_filing_number"}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crypto.encoding import json_strict
from crypto.keys import natural_alg, public_from_jwk
from crypto.suites import Alg
from idp.clients.members import (
    LISTED_MAX,
    NAME_CHARS_MAX,
    RegistrationRefused,
    choice,
    choices,
    contacts,
    flag,
    name,
    number,
    resources,
    text,
    texts,
    web_uri,
)
from idp.clients.model import (
    USER_GRANTS,
    AccessTokenFormat,
    Client,
    ClientOrigin,
    ClientState,
    Filing,
    GrantType,
    SubjectType,
    TokenEndpointAuth,
)
from idp.clients.redirect_uris import check_redirect_uri, host_of, web_origin
from idp.clients.secrets import hash_client_secret
from idp.keys import INTEROP_ALGORITHMS, NATIONAL_ALGORITHMS
from idp.model import Acr
from idp.scopes import KNOWN_SCOPES, OPENID

CLIENTS_MAX = 1000
"""A static file is for a deployment's own platforms and conformance runs."""

MAX_AGE_MAX_S = 10 * 365 * 24 * 60 * 60
"""`default_max_age`: longer than any session of ours, and a number every database and language holds."""

# RFC 9700 §4.15: letters first, shorter than any `sub` of ours, so a client can never look like a person.
_CLIENT_ID = re.compile(r"[a-z][a-z0-9-]{2,39}")
# RFC 6749 §3.3 allows more; these read well in a log and cannot be taken for a word of another language.
_CLIENT_SCOPE = re.compile(r"[a-z][a-z0-9._:-]{1,63}")
_SECRET_METHODS = frozenset({TokenEndpointAuth.BASIC, TokenEndpointAuth.POST})
MEMBERS = frozenset(
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
        "backchannel_logout_session_required",
        "frontchannel_logout_uri",
        "frontchannel_logout_session_required",
        "sector_identifier_uri",
        "userinfo_signed_response_alg",
        "jwks_uri",
        "require_nonce",
        "resources",
        "default_acr_values",
        "default_max_age",
        "require_auth_time",
        "logo_uri",
        "policy_uri",
        "tos_uri",
        "contacts",
    ]
)
"""Every member a registration file may have."""

_OFFERED = frozenset(INTEROP_ALGORITHMS + NATIONAL_ALGORITHMS)


def parse_clients(document: bytes) -> tuple[Client, ...]:
    """Parse a JSON array of registrations. Raises `RegistrationRefused`, `UriRefused`, `ClientSecretRefused`."""
    listed = json_strict(document)
    if not isinstance(listed, list) or len(listed) > CLIENTS_MAX:
        raise RegistrationRefused(field="clients", rule="array")
    clients = tuple(parse_client(item) for item in listed)
    if len({client.client_id for client in clients}) != len(clients):
        raise RegistrationRefused(field="client_id", rule="duplicate")
    return clients


def parse_client(item: object, *, origin: ClientOrigin = ClientOrigin.STATIC, owner: str | None = None) -> Client:
    """Parse one registration object. How it came here and whom it belongs to are said by the caller, never by it."""
    if not isinstance(item, dict):
        raise RegistrationRefused(field="clients", rule="object")
    unknown = set(item) - MEMBERS
    if unknown:
        # A misspelt member must not silently mean its default.
        raise RegistrationRefused(field=min(unknown)[:40], rule="unknown_member")
    client_id = text(item, "client_id")
    if not _CLIENT_ID.fullmatch(client_id):
        raise RegistrationRefused(field="client_id", rule="form")
    auth = choice(item, "token_endpoint_auth_method", TokenEndpointAuth, TokenEndpointAuth.BASIC)
    public = auth is TokenEndpointAuth.NONE
    jwks = _jwks(item)
    jwks_uri = _fetched(item, "jwks_uri")
    if jwks_uri is not None and "jwks" in item:
        raise RegistrationRefused(field="jwks_uri", rule="two_ways")  # RFC 7591 §2
    signing_alg = _credential(item, auth, jwks, jwks_uri)
    grant_types = _grant_types(item, public=public)
    uris = _uris(item, grant_types, public=public)
    require_pkce = flag(item, "require_pkce", default=True)
    if public and not require_pkce:
        raise RegistrationRefused(field="require_pkce", rule="required_for_public")  # RFC 9700 §2.1.1
    flag(item, "require_auth_time", default=True)  # `auth_time` is always there
    required, optional = _scopes(item, for_people=not USER_GRANTS.isdisjoint(grant_types))
    return Client(
        client_id=client_id,
        name_zh=name(item, "name_zh"),
        name_en=name(item, "name_en"),
        state=ClientState.ACTIVE,
        redirect_uris=uris.redirect,
        post_logout_redirect_uris=uris.after_logout,
        backchannel_logout_uri=web_uri(item, "backchannel_logout_uri"),
        backchannel_logout_session_required=flag(item, "backchannel_logout_session_required", default=False),
        frontchannel_logout_uri=uris.frontchannel,
        frontchannel_logout_session_required=flag(item, "frontchannel_logout_session_required", default=False),
        sector_identifier=_sector(item, client_id, uris.redirect),
        sector_identifier_uri=_fetched(item, "sector_identifier_uri"),
        subject_type=choice(item, "subject_type", SubjectType, SubjectType.PAIRWISE),
        # OIDC Registration §2: RS256 is the default
        id_token_signed_response_alg=_signed(item, "id_token_signed_response_alg") or Alg.RS256,
        userinfo_signed_response_alg=_signed(item, "userinfo_signed_response_alg"),
        token_endpoint_auth_method=auth,
        token_endpoint_auth_signing_alg=signing_alg,
        secret_hash=hash_client_secret(text(item, "client_secret")) if auth in _SECRET_METHODS else None,
        jwks=jwks,
        jwks_uri=jwks_uri,
        grant_types=grant_types,
        require_pkce=require_pkce,
        # RFC 9700 §2.1.1: without PKCE the nonce is what binds the code; who does without both says so.
        require_nonce=flag(item, "require_nonce", default=not require_pkce),
        require_pushed_authorization_requests=flag(item, "require_pushed_authorization_requests", default=False),
        access_token_format=choice(item, "access_token_format", AccessTokenFormat, AccessTokenFormat.OPAQUE),
        scopes_required=required,
        scopes_optional=optional,
        scopes_client=_client_scopes(item, grant_types),
        resources=resources(item),
        acr_minimum=choice(item, "acr_minimum", Acr, Acr.ONE),
        default_acr_values=choices(item, "default_acr_values", Acr),
        default_max_age=number(item, "default_max_age", most=MAX_AGE_MAX_S),
        home_uri=web_uri(item, "client_uri"),
        logo_uri=web_uri(item, "logo_uri"),
        policy_uri=web_uri(item, "policy_uri"),
        tos_uri=web_uri(item, "tos_uri"),
        contacts=contacts(item),
        filing=_filing(item.get("filing", {})),
        origin=origin,
        owner=owner,
    )


@dataclass(frozen=True, slots=True)
class _Uris:
    """Where a browser is sent: with a code, after a sign-out, and while one goes on."""

    redirect: tuple[str, ...]
    after_logout: tuple[str, ...]
    frontchannel: str | None


def _uris(item: Mapping[str, object], grant_types: frozenset[GrantType], *, public: bool) -> _Uris:
    redirect, after_logout = (
        tuple(check_redirect_uri(uri, public=public, field=field) for uri in texts(item, field))
        for field in ("redirect_uris", "post_logout_redirect_uris")
    )
    by_redirect = GrantType.AUTHORIZATION_CODE in grant_types
    if by_redirect != bool(redirect):
        raise RegistrationRefused(field="redirect_uris", rule="missing" if by_redirect else "not_for_grant")
    frontchannel = web_uri(item, "frontchannel_logout_uri")
    if frontchannel is not None and web_origin(frontchannel) not in {web_origin(uri) for uri in redirect}:
        # OpenID Connect Front-Channel Logout §2: domain, port and scheme of a registered redirect URI.
        raise RegistrationRefused(field="frontchannel_logout_uri", rule="origin")
    return _Uris(redirect, after_logout, frontchannel)


def _fetched(item: Mapping[str, object], field: str) -> str | None:
    """Return an address the service itself fetches: always https (OIDC Registration §2, §5)."""
    uri = web_uri(item, field)
    if uri is not None and not uri.startswith("https://"):
        raise RegistrationRefused(field=field, rule="https")
    return uri


def _signed(item: Mapping[str, object], field: str) -> Alg | None:
    if field not in item:
        return None
    alg = choice(item, field, Alg, Alg.RS256)
    if alg not in _OFFERED:
        raise RegistrationRefused(field=field, rule="not_offered")
    return alg


def _credential(
    item: Mapping[str, object], auth: TokenEndpointAuth, jwks: tuple[Mapping[str, str], ...], jwks_uri: str | None
) -> Alg | None:
    """Check that there is the one credential the method needs and no other; return the algorithm of its assertions."""
    if (auth in _SECRET_METHODS) != ("client_secret" in item):
        rule = {TokenEndpointAuth.NONE: "not_for_public", TokenEndpointAuth.PRIVATE_KEY_JWT: "not_for_method"}
        raise RegistrationRefused(field="client_secret", rule=rule.get(auth, "missing"))
    field = "token_endpoint_auth_signing_alg"
    if auth is not TokenEndpointAuth.PRIVATE_KEY_JWT:
        if field in item:
            raise RegistrationRefused(field=field, rule="not_for_method")
        return None
    wanted = choice(item, field, Alg, Alg.ES256) if field in item else None
    if jwks_uri is None and not any(wanted is None or key["alg"] == wanted.value for key in jwks):
        raise RegistrationRefused(field="jwks", rule="missing")
    return wanted


def _sector(item: Mapping[str, object], client_id: str, redirect_uris: tuple[str, ...]) -> str:
    by_address = _fetched(item, "sector_identifier_uri")
    if by_address is not None:
        if "sector_identifier" in item:
            raise RegistrationRefused(field="sector_identifier", rule="two_ways")
        return host_of(by_address)  # OIDC Core §8.1
    if "sector_identifier" in item:
        sector = text(item, "sector_identifier")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,252}", sector):
            raise RegistrationRefused(field="sector_identifier", rule="form")
        return sector
    hosts = {host_of(uri) for uri in redirect_uris}
    if len(hosts) > 1:
        raise RegistrationRefused(field="sector_identifier", rule="several_hosts")  # OIDC Core §8.1
    # Without a redirect URI nobody signs in there; a name no host can have (RFC 2606 §2) keeps it apart all the same.
    return hosts.pop() if hosts else f"{client_id}.invalid"


def _scopes(item: Mapping[str, object], *, for_people: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not for_people:
        if not item.keys().isdisjoint({"scope", "scopes_required", "scopes_optional"}):
            raise RegistrationRefused(field="scope", rule="not_for_grant")
        return (), ()
    if "scope" in item:
        required, optional = [scope for scope in text(item, "scope").split(" ") if scope], list[str]()
    else:
        required, optional = list(texts(item, "scopes_required")), list(texts(item, "scopes_optional"))
    if OPENID not in required:
        required.insert(0, OPENID)
    if len({*required, *optional}) != len(required) + len(optional):
        raise RegistrationRefused(field="scope", rule="duplicate")
    if not KNOWN_SCOPES.issuperset({*required, *optional}):
        raise RegistrationRefused(field="scope", rule="unknown_value")
    return tuple(required), tuple(optional)


def _client_scopes(item: Mapping[str, object], grant_types: frozenset[GrantType]) -> tuple[str, ...]:
    field = "scopes_client"
    scopes = tuple(texts(item, field))
    if scopes and GrantType.CLIENT_CREDENTIALS not in grant_types:
        raise RegistrationRefused(field=field, rule="not_for_grant")
    # What a person releases cannot be had without the person.
    if not all(_CLIENT_SCOPE.fullmatch(scope) and scope not in KNOWN_SCOPES for scope in scopes):
        raise RegistrationRefused(field=field, rule="form")
    return scopes


def _grant_types(item: Mapping[str, object], *, public: bool) -> frozenset[GrantType]:
    listed = texts(item, "grant_types") or [GrantType.AUTHORIZATION_CODE.value]
    try:
        grants = frozenset(GrantType(entry) for entry in listed)
    except ValueError:
        raise RegistrationRefused(field="grant_types", rule="unknown_value") from None
    if USER_GRANTS.isdisjoint(grants) and grants != {GrantType.CLIENT_CREDENTIALS}:
        raise RegistrationRefused(field="grant_types", rule="authorization_code")
    if public and GrantType.CLIENT_CREDENTIALS in grants:
        raise RegistrationRefused(field="grant_types", rule="not_for_public")  # RFC 6749 §4.4
    return grants


def _jwks(item: Mapping[str, object]) -> tuple[Mapping[str, str], ...]:
    value = item.get("jwks", {"keys": []})
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > LISTED_MAX:
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
    given = {field: value.get(field, "") for field in fields}
    for field, filed in given.items():
        if not isinstance(filed, str) or len(filed) > NAME_CHARS_MAX or (filed and not filed.isprintable()):
            raise RegistrationRefused(field=field, rule="text")
    return Filing(**given)
