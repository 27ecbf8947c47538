"""One class per registered OAuth and OpenID Connect error code. How they become HTTP is decided in one place outside.

`redirectable` says whether the error may be sent to a *proven* redirect URI (RFC 6749 §4.1.2.1); the others are shown
to the person or answered as JSON. `status` is the HTTP status of the JSON form (RFC 6749 §5.2, RFC 6750 §3.1).
"""

from __future__ import annotations

from typing import ClassVar

from crypto.errors import TrustError


class OAuthError(TrustError):
    """Base: `error` is the wire code; `code` the product's own stable code; descriptions stay in catalogues."""

    error: ClassVar[str] = "server_error"
    redirectable: ClassVar[bool] = True
    status: ClassVar[int] = 400


class InvalidRequest(OAuthError):
    """A parameter missing, repeated, malformed, or not allowed together with another."""

    code = "idp.oauth.invalid_request"
    error = "invalid_request"


class RequestShown(OAuthError):
    """A request whose client or redirect URI is not proven: shown to the person, never redirected."""

    code = "idp.oauth.request_shown"
    error = "invalid_request"
    redirectable = False


class InvalidClient(OAuthError):
    """Client authentication failed, whatever the reason."""

    code = "idp.oauth.invalid_client"
    error = "invalid_client"
    redirectable = False
    status = 401


class InvalidGrant(OAuthError):
    """A code or refresh token that is not (or no longer) good for this client."""

    code = "idp.oauth.invalid_grant"
    error = "invalid_grant"
    redirectable = False


class UnauthorizedClient(OAuthError):
    """The client may not use this grant or response type."""

    code = "idp.oauth.unauthorized_client"
    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """A grant type this server does not know."""

    code = "idp.oauth.unsupported_grant_type"
    error = "unsupported_grant_type"
    redirectable = False


class UnsupportedResponseType(OAuthError):
    """Anything but `code`: no token ever travels through the browser (RFC 9700 §2.1.2)."""

    code = "idp.oauth.unsupported_response_type"
    error = "unsupported_response_type"


class InvalidScope(OAuthError):
    """A scope that is unknown, malformed, or not registered for the client."""

    code = "idp.oauth.invalid_scope"
    error = "invalid_scope"


class InvalidTarget(OAuthError):
    """A resource that is no absolute URI, not registered for the client, or beyond what was granted (RFC 8707 §2)."""

    code = "idp.oauth.invalid_target"
    error = "invalid_target"


class AccessDenied(OAuthError):
    """The person said no, or policy says no."""

    code = "idp.oauth.access_denied"
    error = "access_denied"
    status = 403


class LoginRequired(OAuthError):
    """`prompt=none` and there is no session that will do."""

    code = "idp.oauth.login_required"
    error = "login_required"


class ConsentRequired(OAuthError):
    """`prompt=none` and the person has not yet allowed what is asked."""

    code = "idp.oauth.consent_required"
    error = "consent_required"


class InteractionRequired(OAuthError):
    """`prompt=none` and another step (a second factor) is missing."""

    code = "idp.oauth.interaction_required"
    error = "interaction_required"


class UnmetAuthenticationRequirements(OAuthError):
    """An essential `acr` that the sign-in does not reach (OpenID Connect Unmet Authentication Requirements 1.0)."""

    code = "idp.oauth.unmet_authentication_requirements"
    error = "unmet_authentication_requirements"


class RequestNotSupported(OAuthError):
    """The `request` parameter is not supported (OpenID Connect Core §6.1)."""

    code = "idp.oauth.request_not_supported"
    error = "request_not_supported"


class RequestUriNotSupported(OAuthError):
    """The `request_uri` parameter is not supported (OpenID Connect Core §6.2)."""

    code = "idp.oauth.request_uri_not_supported"
    error = "request_uri_not_supported"


class InvalidRequestUri(OAuthError):
    """A pushed request that is unknown, used, expired or another client's (RFC 9126 §4): nowhere to redirect to."""

    code = "idp.oauth.invalid_request_uri"
    error = "invalid_request_uri"
    redirectable = False


class RegistrationNotSupported(OAuthError):
    """The `registration` parameter is not supported (OpenID Connect Core §7.2.1)."""

    code = "idp.oauth.registration_not_supported"
    error = "registration_not_supported"


class AuthorizationPending(OAuthError):
    """A device code whose person has not answered yet: ask again after the interval (RFC 8628 §3.5)."""

    code = "idp.oauth.authorization_pending"
    error = "authorization_pending"
    redirectable = False


class SlowDown(OAuthError):
    """As `AuthorizationPending`, but asked too soon: the interval has grown by five seconds (RFC 8628 §3.5)."""

    code = "idp.oauth.slow_down"
    error = "slow_down"
    redirectable = False


class ExpiredToken(OAuthError):
    """A device code past its lifetime (RFC 8628 §3.5)."""

    code = "idp.oauth.expired_token"
    error = "expired_token"
    redirectable = False


class DeviceDenied(OAuthError):
    """The person said no to the device (RFC 8628 §3.5); as JSON, not redirected."""

    code = "idp.oauth.device_denied"
    error = "access_denied"
    redirectable = False


class TemporarilyUnavailable(OAuthError):
    """Nothing wrong with the request, and nothing to be done with it now: ask again later."""

    code = "idp.oauth.temporarily_unavailable"
    error = "temporarily_unavailable"
    redirectable = False
    status = 503


class InvalidRedirectUri(OAuthError):
    """A redirect URI that may not be registered (RFC 7591 §3.2.2)."""

    code = "idp.oauth.invalid_redirect_uri"
    error = "invalid_redirect_uri"
    redirectable = False


class InvalidClientMetadata(OAuthError):
    """Metadata that may not be registered, or not by this platform itself (RFC 7591 §3.2.2)."""

    code = "idp.oauth.invalid_client_metadata"
    error = "invalid_client_metadata"
    redirectable = False


class InvalidSoftwareStatement(OAuthError):
    """A software statement: nobody's are trusted here (RFC 7591 §3.2.2)."""

    code = "idp.oauth.invalid_software_statement"
    error = "invalid_software_statement"
    redirectable = False


class InvalidToken(OAuthError):
    """An access token that is unknown, expired, revoked, or not meant for this endpoint (RFC 6750 §3.1)."""

    code = "idp.oauth.invalid_token"
    error = "invalid_token"
    redirectable = False
    status = 401


class InsufficientScope(OAuthError):
    """The access token does not carry the scope this endpoint needs."""

    code = "idp.oauth.insufficient_scope"
    error = "insufficient_scope"
    redirectable = False
    status = 403
