"""The checks of an authorization request, in order. One function a check; the first refusal ends it.

`prove_redirect` comes first and alone decides whether anything may be redirected: its refusals are shown to the person.
The refusals of `CHECKS` go to the proven redirect URI.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from idp.authorize.claims_request import parse_claims
from idp.authorize.request import AuthorizationRequest
from idp.authorize.resources import check_registered
from idp.authorize.response import FORM_POST, RESPONSE_MODES
from idp.clients.model import Client, ClientState
from idp.clients.redirect_uris import web_origin
from idp.oauth_errors import (
    InvalidRequest,
    InvalidScope,
    OAuthError,
    RegistrationNotSupported,
    RequestNotSupported,
    RequestShown,
    RequestUriNotSupported,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
)
from idp.scopes import KNOWN_SCOPES, OFFLINE_ACCESS, OPENID

STATE_CHARS_MAX = 1024
NONCE_CHARS_MAX = 512
HINT_CHARS_MAX = 128
MAX_AGE_DIGITS = 9
"""Limits that no client meets and that bound what travels through a sign-in (RFC 9700: state and nonce are limited)."""

# BASE64URL(SHA256(verifier)) is always exactly 43 characters (RFC 7636 §4.2).
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
PROMPTS = frozenset({"none", "login", "consent", "select_account"})


def prove_redirect(request: AuthorizationRequest, client: Client | None) -> Client:
    """Return the client when it may be answered at this redirect URI. Raises `RequestShown`."""
    if request.duplicate in {"client_id", "redirect_uri"}:
        raise RequestShown(field=request.duplicate, rule="duplicate")
    if not request.client_id:
        raise RequestShown(field="client_id", rule="missing")
    if client is None or client.client_id != request.client_id:
        raise RequestShown(field="client_id", rule="unknown")
    if client.state is not ClientState.ACTIVE:
        raise RequestShown(field="client_id", rule="disabled")
    if not request.redirect_uri:
        # OpenID Connect Core §3.1.2.1: REQUIRED, also where only one is registered.
        raise RequestShown(field="redirect_uri", rule="missing")
    if request.redirect_uri not in client.redirect_uris:
        # RFC 9700 §4.1.3: exact string comparison, nothing parsed, nothing normalised.
        raise RequestShown(field="redirect_uri", rule="not_registered")
    return client


def _no_duplicates(request: AuthorizationRequest, _client: Client) -> None:
    if request.duplicate is not None:
        raise InvalidRequest(field=request.duplicate, rule="duplicate")


def _supported_features(request: AuthorizationRequest, _client: Client) -> None:
    refusals: dict[str, type[OAuthError]] = {
        "request": RequestNotSupported,
        "request_uri": RequestUriNotSupported,
        "registration": RegistrationNotSupported,
    }
    for name in request.refused_features:
        raise refusals[name](field=name, rule="unsupported")


def _response(request: AuthorizationRequest, _client: Client) -> None:
    if not request.response_type:
        raise InvalidRequest(field="response_type", rule="missing")
    if request.response_type != "code":
        raise UnsupportedResponseType(field="response_type", rule="unsupported")
    if request.response_mode not in {"", *RESPONSE_MODES}:
        raise InvalidRequest(field="response_mode", rule="unsupported")
    if request.response_mode == FORM_POST and not web_origin(request.redirect_uri):
        raise InvalidRequest(field="response_mode", rule="no_form")  # a private-use scheme takes no POST


def _limits(request: AuthorizationRequest, _client: Client) -> None:
    bounded = (
        ("state", request.state or "", STATE_CHARS_MAX),
        ("nonce", request.nonce or "", NONCE_CHARS_MAX),
        ("login_hint", request.login_hint, HINT_CHARS_MAX),
    )
    for field, value, limit in bounded:
        if len(value) > limit:
            raise InvalidRequest(field=field, rule="too_long", limit=limit)


def _pkce(request: AuthorizationRequest, client: Client) -> None:
    challenge, method = request.code_challenge, request.code_challenge_method
    if challenge is None and method is not None:
        raise InvalidRequest(field="code_challenge", rule="missing")
    if challenge is not None:
        if method != "S256":
            # An omitted method would mean `plain` (RFC 7636 §4.3), which is refused (RFC 9700 §2.1.1).
            raise InvalidRequest(field="code_challenge_method", rule="s256_required")
        if not _S256_CHALLENGE.fullmatch(challenge):
            raise InvalidRequest(field="code_challenge", rule="form")
    elif client.require_pkce or client.public:
        raise InvalidRequest(field="code_challenge", rule="missing")
    if request.nonce is None and client.require_nonce and (challenge is None or client.require_pkce):
        # RFC 9700 §2.1.1: a confidential client without PKCE relies on the nonce, unless its registration says that it
        # sends neither (docs/decisions/0009-neither-challenge-nor-nonce.md).
        raise InvalidRequest(field="nonce", rule="missing")


def _scope(request: AuthorizationRequest, client: Client) -> None:
    check_scopes(request.scope, client)


def check_scopes(scopes: tuple[str, ...], client: Client) -> None:
    """Raise `InvalidScope` unless a client may ask a person for these; the same by every way of asking."""
    if OPENID not in scopes:
        raise InvalidScope(field="scope", rule="openid_missing")
    for scope in scopes:
        # Unknown scopes are ignored (OpenID Connect Core §3.1.2.1); known but unregistered ones are refused.
        if scope in KNOWN_SCOPES and scope != OFFLINE_ACCESS and scope not in client.scopes:
            raise InvalidScope(field="scope", rule="not_registered")


def _prompt(request: AuthorizationRequest, _client: Client) -> None:
    if not request.prompt <= PROMPTS:
        raise InvalidRequest(field="prompt", rule="unknown_value")
    if "none" in request.prompt and len(request.prompt) > 1:
        raise InvalidRequest(field="prompt", rule="none_with_others")  # OpenID Connect Core §3.1.2.1


def _max_age(request: AuthorizationRequest, _client: Client) -> None:
    age = request.max_age
    if age is not None and not (age.isascii() and age.isdigit() and len(age) <= MAX_AGE_DIGITS):
        raise InvalidRequest(field="max_age", rule="form")


def _claims(request: AuthorizationRequest, _client: Client) -> None:
    claims = parse_claims(request.claims)
    if claims.acr_bound and not claims.acr:
        # OpenID Connect Core §5.5.1.1: an essential class that cannot be met is a failed authentication.
        raise UnmetAuthenticationRequirements(field="claims", rule="acr")


CHECKS: tuple[Callable[[AuthorizationRequest, Client], None], ...] = (
    _no_duplicates,
    _supported_features,
    _response,
    _limits,
    _scope,
    _pkce,
    _prompt,
    _max_age,
    _claims,
)


def check_request(request: AuthorizationRequest, client: Client, *, issuer: str) -> None:
    """Run every check in order. Raises the redirectable `OAuthError` of the first that refuses."""
    for check in CHECKS:
        check(request, client)
    check_registered(request.resources, client, issuer=issuer)
