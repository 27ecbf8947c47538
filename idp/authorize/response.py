"""Authorization responses: back to the proven redirect URI, with `state` and `iss`, by query or by form.

`form_post` (OAuth 2.0 Form Post Response Mode) hands the same parameters over in a form that the page sends off itself,
or the person by a button. Its address is the proven redirect URI and nothing of the request (GHSA-9vm7-v8wj-3fqw).
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from idp.authorize.request import AuthorizationRequest
from idp.clients.redirect_uris import web_origin
from idp.oauth_errors import OAuthError
from idp.observed import observe
from idp.pages.render import Render

QUERY = "query"
FORM_POST = "form_post"
RESPONSE_MODES = (QUERY, FORM_POST)
"""`fragment` would put a code where scripts of the page read it; nothing else is defined for `code`."""


class AuthorizationResponses:
    """Builds responses that name the issuer (RFC 9207), taken from settings and never from the request."""

    def __init__(self, issuer: str, render: Render) -> None:
        self._issuer = issuer
        self._render = render

    def code(self, request: Request, asked: AuthorizationRequest, code: str) -> Response:
        """Hand the code over."""
        observe(request, asked.client_id, _told(asked), outcome="code")
        return self._answer(request, asked, {"code": code})

    def error(self, request: Request, asked: AuthorizationRequest, error: OAuthError) -> Response:
        """Hand a refusal over. Only for a request whose redirect URI is proven."""
        observe(request, asked.client_id, _told(asked), error=error)
        parameters = {"error": error.error}
        if error.rule is not None:
            # For the developer: the parameter and the rule, both words of ours (RFC 6749 §4.1.2.1 limits the characters).
            parameters["error_description"] = f"{error.field}: {error.rule}" if error.field else error.rule
        return self._answer(request, asked, parameters)

    def _answer(self, request: Request, asked: AuthorizationRequest, parameters: dict[str, str]) -> Response:
        if asked.state is not None:
            parameters["state"] = asked.state
        parameters["iss"] = self._issuer
        origin = web_origin(asked.redirect_uri)
        # A mode that is doubtful (sent twice) or cannot be (no form posts to a private-use scheme) falls back to the query.
        if asked.response_mode == FORM_POST and asked.duplicate != "response_mode" and origin:
            return self._form(request, asked, parameters, origin)
        separator = "&" if "?" in asked.redirect_uri else "?"
        location = f"{asked.redirect_uri}{separator}{urlencode(parameters)}"
        # Not Starlette's redirect: it would re-quote the registered URI, which is compared and returned as it is.
        return Response(status_code=303, headers={"Location": location, "Cache-Control": "no-store"})

    def _form(self, request: Request, asked: AuthorizationRequest, parameters: dict[str, str], origin: str) -> Response:
        request.state.form_action = (origin,)
        request.state.own_forms = False
        context = {"action": asked.redirect_uri, "fields": tuple(parameters.items())}
        response = self._render(request, "idp/form_post.html", context, 200)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"  # Form Post Response Mode §2: no cache keeps the code
        return response


def _told(asked: AuthorizationRequest) -> dict[str, str]:
    """Return what an answer may be recognised by: nothing that is anybody's secret."""
    return {
        "redirect_uri": asked.redirect_uri,
        "scope": " ".join(asked.scope),
        "prompt": " ".join(sorted(asked.prompt)),
    }
