"""Authorization responses: back to the proven redirect URI, with `state` and `iss`, in the query."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from idp.authorize.request import AuthorizationRequest
from idp.oauth_errors import OAuthError


class AuthorizationResponses:
    """Builds responses that name the issuer (RFC 9207), taken from settings and never from the request."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def code(self, request: AuthorizationRequest, code: str) -> Response:
        """Hand the code over."""
        return self._redirect(request, {"code": code})

    def error(self, request: AuthorizationRequest, error: OAuthError) -> Response:
        """Hand a refusal over. Only for a request whose redirect URI is proven."""
        parameters = {"error": error.error}
        if error.rule is not None:
            # For the developer: the parameter and the rule, both words of ours (RFC 6749 §4.1.2.1 limits the characters).
            parameters["error_description"] = f"{error.field}: {error.rule}" if error.field else error.rule
        return self._redirect(request, parameters)

    def _redirect(self, request: AuthorizationRequest, parameters: dict[str, str]) -> Response:
        if request.state is not None:
            parameters["state"] = request.state
        parameters["iss"] = self._issuer
        separator = "&" if "?" in request.redirect_uri else "?"
        location = f"{request.redirect_uri}{separator}{urlencode(parameters)}"
        # Not Starlette's redirect: it would re-quote the registered URI, which is compared and returned as it is.
        return Response(status_code=303, headers={"Location": location, "Cache-Control": "no-store"})
