"""A client as registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from crypto.suites import Alg
from idp.model import Acr


class ClientState(StrEnum):
    """A disabled client is refused at every endpoint, whatever it holds."""

    ACTIVE = "active"
    DISABLED = "disabled"


class TokenEndpointAuth(StrEnum):
    """Client authentication methods (OpenID Connect Core §9)."""

    BASIC = "client_secret_basic"
    POST = "client_secret_post"
    PRIVATE_KEY_JWT = "private_key_jwt"
    NONE = "none"


class GrantType(StrEnum):
    """Grants a client may be registered for."""

    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a grant
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


USER_GRANTS = frozenset({GrantType.AUTHORIZATION_CODE, GrantType.DEVICE_CODE})
"""Grants that begin with a person."""


class ClientOrigin(StrEnum):
    """How a client came to be registered: by the operator's file, by `/register`, or by a developer's own page."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    DEVELOPER = "developer"


class AccessTokenFormat(StrEnum):
    """Opaque by default; `jwt` is RFC 9068."""

    OPAQUE = "opaque"
    JWT = "jwt"


class SubjectType(StrEnum):
    """OpenID Connect Core §8."""

    PAIRWISE = "pairwise"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Filing:
    """What the platform's operator filed, shown to the person on the consent page. Empty text = not filed."""

    operator: str
    icp_number: str
    protection_record: str
    protection_level: str
    app_filing_number: str


@dataclass(frozen=True, slots=True)
class Client:
    """A registered platform. URIs are compared as whole strings; scopes keep the order of registration.

    `jwks` holds checked public keys, each with `kid` and `alg`; a client has those or a `jwks_uri`, never both.
    `token_endpoint_auth_signing_alg` None: any of theirs. `userinfo_signed_response_alg` None: plain JSON.
    `scopes_client` are what it may have for itself, without a person (RFC 6749 §4.4); no scope of a person is one.
    `resources` are the resource servers it may ask tokens for (RFC 8707). `default_max_age` is in seconds.
    `owner` is the person number of the developer it belongs to, None for one of the operator's.
    """

    client_id: str
    name_zh: str
    name_en: str
    state: ClientState
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    backchannel_logout_session_required: bool
    frontchannel_logout_uri: str | None
    frontchannel_logout_session_required: bool
    sector_identifier: str
    sector_identifier_uri: str | None
    subject_type: SubjectType
    id_token_signed_response_alg: Alg
    userinfo_signed_response_alg: Alg | None
    token_endpoint_auth_method: TokenEndpointAuth
    token_endpoint_auth_signing_alg: Alg | None
    secret_hash: bytes | None
    jwks: tuple[Mapping[str, str], ...]
    jwks_uri: str | None
    grant_types: frozenset[GrantType]
    require_pkce: bool
    require_nonce: bool
    require_pushed_authorization_requests: bool
    access_token_format: AccessTokenFormat
    scopes_required: tuple[str, ...]
    scopes_optional: tuple[str, ...]
    scopes_client: tuple[str, ...]
    resources: tuple[str, ...]
    acr_minimum: Acr
    default_acr_values: tuple[Acr, ...]
    default_max_age: int | None
    home_uri: str | None
    logo_uri: str | None
    policy_uri: str | None
    tos_uri: str | None
    contacts: tuple[str, ...]
    filing: Filing
    origin: ClientOrigin
    owner: str | None

    @property
    def public(self) -> bool:
        """Whether the client cannot keep a secret."""
        return self.token_endpoint_auth_method is TokenEndpointAuth.NONE

    @property
    def require_auth_time(self) -> bool:
        """Always: `auth_time` stands in every ID token (OpenID Connect Registration §2 lets a server do so)."""
        return True

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope the client may ask a person for."""
        return frozenset(self.scopes_required + self.scopes_optional)

    def name(self, locale: str) -> str:
        """Return the name in the reader's language."""
        return self.name_zh if locale.startswith("zh") else self.name_en
