"""Dynamic registration, read and judged (RFC 7591 §2, OpenID Connect Dynamic Client Registration §2): pure functions.

    metadata, client = read_registration(document, policy, operator=…, client_id=…, secret=…)

Metadata this server does not know are ignored (RFC 7591 §2 says they must be). Those it knows and a platform may not give
itself are refused, and so are those that ask for a protection it would not get (encryption, sender-constrained tokens).
Everything is judged by the policy, at every change anew and in full: what a registration was before does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from crypto.suites import ALGORITHMS
from idp.clients.key_sets import rsa_alg, signature_keys
from idp.clients.members import NAME_CHARS_MAX, RegistrationRefused, choice, choices, flag, text, texts
from idp.clients.model import Client, ClientOrigin, GrantType, SubjectType, TokenEndpointAuth
from idp.clients.names import check_not_reserved
from idp.clients.redirect_uris import check_redirect_uri, host_of
from idp.clients.registration import MEMBERS, parse_client
from idp.clients.registration_policy import RegistrationPolicy
from idp.scopes import KNOWN_SCOPES, OPENID, in_order

_NAMES = {"name_zh": ("client_name#zh-CN", "client_name#zh-Hans", "client_name#zh"), "name_en": ("client_name#en",)}
_NAME_MEMBERS = frozenset({"client_name", *(tag for tags in _NAMES.values() for tag in tags)})
_AS_GIVEN = (
    "post_logout_redirect_uris",
    "backchannel_logout_uri",
    "backchannel_logout_session_required",
    "frontchannel_logout_uri",
    "frontchannel_logout_session_required",
    "sector_identifier_uri",
    "userinfo_signed_response_alg",
    "jwks_uri",
    "require_pushed_authorization_requests",
    "default_acr_values",
    "default_max_age",
    "client_uri",
    "logo_uri",
    "policy_uri",
    "tos_uri",
    "contacts",
)
"""Registered as they come, once `parse_client` has judged them."""

_READ = frozenset(
    (
        *_AS_GIVEN,
        "redirect_uris",
        "response_types",
        "grant_types",
        "application_type",
        "client_name",
        "subject_type",
        "id_token_signed_response_alg",
        "token_endpoint_auth_method",
        "token_endpoint_auth_signing_alg",
        "jwks",
        "require_auth_time",
        "scope",
    )
)
PRIVILEGED = MEMBERS - _READ | {"state", "owner", "origin", "policy", "first_party"}
"""What an operator says of a client. A platform that says it of itself is refused, not heard in part."""

_PROTECTIONS = frozenset(
    (
        "id_token_encrypted_response_alg",
        "id_token_encrypted_response_enc",
        "userinfo_encrypted_response_alg",
        "userinfo_encrypted_response_enc",
        "dpop_bound_access_tokens",
        "tls_client_certificate_bound_access_tokens",
    )
)
_SHOWN_ADDRESSES = ("client_uri", "logo_uri", "policy_uri", "tos_uri")


def read_registration(
    document: Mapping[str, object], policy: RegistrationPolicy, *, operator: str, client_id: str, secret: str
) -> tuple[Mapping[str, object], Client]:
    """Return the metadata as they will be registered and answered, defaults filled in, and the client they make.

    `operator` is the name people know this service by; no platform may bear it. `secret` becomes the client's where its
    method needs one. Raises `RegistrationRefused`, `UriRefused`, `NameRefused`, `KeyRefused`, `EncodingRefused`.
    """
    metadata = _read_metadata(document, policy)
    for name in _NAME_MEMBERS & document.keys():
        check_not_reserved(text(document, name), field="client_name", operator=operator)
    client = _client_of(metadata, policy, client_id=client_id, secret=secret)
    _check_addresses(metadata, client, policy)
    return metadata, client


def _read_metadata(document: Mapping[str, object], policy: RegistrationPolicy) -> Mapping[str, object]:
    _refuse_what_is_not_theirs(document)
    application = document.get("application_type", "web")
    if application not in ("web", "native"):
        raise RegistrationRefused(field="application_type", rule="unknown_value")
    grants = choices(document, "grant_types", GrantType) or (GrantType.AUTHORIZATION_CODE,)
    _allowed("grant_types", grants, policy.grant_types)
    by_redirect = GrantType.AUTHORIZATION_CODE in grants
    responses = list(texts(document, "response_types")) or (["code"] if by_redirect else [])
    if responses != (["code"] if by_redirect else []):
        raise RegistrationRefused(field="response_types", rule="unknown_value")
    method = choice(document, "token_endpoint_auth_method", TokenEndpointAuth, TokenEndpointAuth.BASIC)
    _allowed("token_endpoint_auth_method", [method], policy.auth_methods)
    subject = choice(document, "subject_type", SubjectType, SubjectType.PAIRWISE)
    _allowed("subject_type", [subject], policy.subject_types)
    flag(document, "require_auth_time", default=True)
    registered: dict[str, object] = {
        "application_type": application,
        "response_types": responses,
        "grant_types": [grant.value for grant in grants],
        "redirect_uris": list(texts(document, "redirect_uris")),
        "token_endpoint_auth_method": method.value,
        "subject_type": subject.value,
        "id_token_signed_response_alg": document.get("id_token_signed_response_alg", "RS256"),
        "require_auth_time": True,
        "scope": " ".join(_scopes(document, policy)),
        **{member: document[member] for member in _AS_GIVEN if member in document},
        **_keys(document, method),
    }
    for uri in texts(document, "redirect_uris"):
        check_redirect_uri(uri, public=method is TokenEndpointAuth.NONE, field="redirect_uris")
    return MappingProxyType(registered | _names(document))


def _client_of(registered: Mapping[str, object], policy: RegistrationPolicy, *, client_id: str, secret: str) -> Client:
    method = TokenEndpointAuth(text(registered, "token_endpoint_auth_method"))
    item: dict[str, object] = {
        name: value
        for name, value in registered.items()
        if name in MEMBERS and not (name == "redirect_uris" and not value) and name != "scope"
    }
    asked = text(registered, "scope").split(" ")
    item |= {
        "client_id": client_id,
        "name_zh": _first(registered, (*_NAMES["name_zh"], "client_name", *_NAMES["name_en"])),
        "name_en": _first(registered, (*_NAMES["name_en"], "client_name", *_NAMES["name_zh"])),
        "scopes_required": [OPENID],
        # The person decides about everything else, one by one.
        "scopes_optional": [scope for scope in asked if scope != OPENID],
        "require_pkce": policy.pkce or method is TokenEndpointAuth.NONE,
        "acr_minimum": policy.acr_minimum.value,
    }
    if method in (TokenEndpointAuth.BASIC, TokenEndpointAuth.POST):
        item["client_secret"] = secret
    uris = texts(registered, "redirect_uris")
    if registered["subject_type"] == SubjectType.PUBLIC.value and uris and "sector_identifier_uri" not in registered:
        item["sector_identifier"] = host_of(uris[0])  # a public subject has no sector that could be of several hosts
    client = parse_client(item, origin=ClientOrigin.DYNAMIC)
    _allowed("id_token_signed_response_alg", [client.id_token_signed_response_alg], policy.algorithms)
    if client.userinfo_signed_response_alg is not None:
        _allowed("userinfo_signed_response_alg", [client.userinfo_signed_response_alg], policy.algorithms)
    return client


def with_secret_of(client: Client, earlier: Client) -> Client:
    """Return the client with the secret it had, where it still needs one."""
    if client.secret_hash is None or earlier.secret_hash is None:
        return client
    return replace(client, secret_hash=earlier.secret_hash)


def _refuse_what_is_not_theirs(document: Mapping[str, object]) -> None:
    for member in sorted(PRIVILEGED & document.keys()):
        raise RegistrationRefused(field=member, rule="privileged")
    for member in sorted(_PROTECTIONS & document.keys()):
        if document[member]:
            raise RegistrationRefused(field=member, rule="not_offered")


def _allowed(field: str, asked: Iterable[object], allowed: frozenset[object] | frozenset[str]) -> None:
    if not all(value in allowed for value in asked):
        raise RegistrationRefused(field=field, rule="policy")


def _scopes(document: Mapping[str, object], policy: RegistrationPolicy) -> tuple[str, ...]:
    if "scope" not in document:
        return in_order(policy.scopes)  # RFC 7591 §2: a default set
    asked = text(document, "scope").split(" ")
    _allowed("scope", KNOWN_SCOPES.intersection(asked), policy.scopes)
    # Scopes nobody here knows are left out, and the answer says which were registered (§3.2.1).
    return in_order({OPENID, *asked})


def _keys(document: Mapping[str, object], method: TokenEndpointAuth) -> dict[str, object]:
    found: dict[str, object] = {}
    field = "token_endpoint_auth_signing_alg"
    if method is TokenEndpointAuth.PRIVATE_KEY_JWT and field in document:
        found[field] = document[field]
    if "jwks" in document:
        jwks = document["jwks"]
        if not isinstance(jwks, dict):
            raise RegistrationRefused(field="jwks", rule="object")
        named = document.get(field)
        rsa = rsa_alg(ALGORITHMS.get(named) if isinstance(named, str) else None)
        found["jwks"] = {"keys": [dict(key) for key in signature_keys(jwks, rsa=rsa)]}
    return found


def _names(document: Mapping[str, object]) -> dict[str, str]:
    given = {tag: text(document, tag) for tag in sorted(_NAME_MEMBERS) if tag in document}
    if given:
        return given
    # Without a name it is called by where it leads, which is true whatever it is.
    uris = texts(document, "redirect_uris")
    return {"client_name": host_of(uris[0])[:NAME_CHARS_MAX] if uris else "device"}


def _first(registered: Mapping[str, object], members: Iterable[str]) -> str:
    return next(text(registered, member) for member in members if member in registered)


def _check_addresses(registered: Mapping[str, object], client: Client, policy: RegistrationPolicy) -> None:
    if registered["application_type"] == "web":
        listed = {
            "redirect_uris": client.redirect_uris,
            "post_logout_redirect_uris": client.post_logout_redirect_uris,
            "backchannel_logout_uri": (client.backchannel_logout_uri or "https://",),
        }
        for field, uris in listed.items():
            for uri in uris:
                if not uri.startswith("https://") and not (policy.loopback_web and uri.startswith("http://")):
                    raise RegistrationRefused(field=field, rule="web_https")  # OIDC Registration §2, application_type
    if policy.same_host:
        hosts = {host_of(uri) for uri in client.redirect_uris}
        for field in _SHOWN_ADDRESSES:
            if field in registered and host_of(text(registered, field)) not in hosts:
                raise RegistrationRefused(field=field, rule="other_host")  # OIDC Registration §9.1: impersonation
