"""The one place where an error becomes an answer: a page for a browser, JSON for a program, a line for the log.

Outermost but for the security headers, so that nothing escapes it. An error of ours (anything that is no `TrustError`)
is told as `http.internal` and a reference, whatever it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.refusals import HttpRefusal, InternalFault, MethodNotAllowed, NotFound, RateLimited
from adapters.http.scopes import HeaderList, header, shape, state
from adapters.observe.log import Log, route_of, shortened_address
from adapters.web.catalogue import DEFAULT_LANGUAGE, Translator
from adapters.web.render import Pages
from crypto.errors import TrustError

UNAVAILABLE_RETRY_S = 5  # about what a database's failover takes; browsers and clients wait this long
SIGN_IN_PATH = "/signin"
CORRELATION_BYTES = 8

# Refusals that name their own status carry it as `status`. These do not know HTTP; any other code is a plain 400.
STATUS_OF_CODE: Mapping[str, int] = MappingProxyType(
    {
        "authority.sign_in_required": 401,
        "authority.not_authorised": 403,
        "authority.second_factor_required": 403,
        "authority.two_person_rule": 403,
        "authority.separation_of_duties": 409,
        "authority.system_office_taken": 409,
        "credentials.already_registered": 409,
        "credentials.batch_altered": 409,
        "credentials.batch_state_refused": 409,
        "credentials.status_change_refused": 409,
        "credentials.share_ended": 410,
        "credentials.key_unavailable": 503,
        "crypto.key_state_refused": 409,
        "ledger.checkpoint_conflict": 503,
        "ledger.clock_went_back": 503,
        "ledger.idempotency_conflict": 409,
        "ledger.unavailable": 503,
        "store.unavailable": 503,
        "store.unique_violation": 409,
        "upload.too_large": 413,
    }
)
# Refusals that reach the edge only if we made a mistake: the caller cannot have caused them, so they are no 400.
OWN_FAULTS = frozenset(
    {
        "crypto.decryption_failed",
        "crypto.libcrypto_unavailable",
        "crypto.no_sm2_backend",
        "crypto.sm2_signing_refused",
        "credentials.fonts_unusable",
        "kek.refused",
        "keyring.refused",
        "ledger.audit_broken",
        "ledger.integrity_broken",
        "store.constraint_violation",
    }
)
_HEADING_STATUSES = frozenset({400, 401, 403, 404, 405, 408, 409, 410, 413, 429, 500, 503})
# RFC 6749 §5.2: error_description is printable ASCII without the quote and the backslash.
_NOT_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


def status_of(error: TrustError) -> int:
    """Return the HTTP status of a refusal."""
    named = getattr(error, "status", None)
    if isinstance(named, int) and 400 <= named <= 599:
        return named
    if error.code in OWN_FAULTS:
        return 500
    if error.code.endswith("_unknown"):
        return 404
    return STATUS_OF_CODE.get(error.code, 400)


class ErrorAnswers:
    """Gives every request its reference, maps what is raised inside, and logs the request when it is over."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Pages,
        translators: Mapping[str, Translator],
        log: Log,
        random_bytes: Callable[[int], bytes],
        monotonic: Callable[[], float],
        programs: Collection[str],
    ) -> None:
        """`programs`: starts of paths that always answer JSON, whatever the caller says it accepts."""
        self._app = app
        self._pages = pages
        self._translators = translators
        self._log = log
        self._random_bytes = random_bytes
        self._monotonic = monotonic
        self._programs = tuple(programs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reference = self._random_bytes(CORRELATION_BYTES).hex()
        state(scope)["correlation_id"] = reference
        begun = self._monotonic()
        outcome: dict[str, int] = {}

        def refer(status: int, headers: HeaderList) -> None:
            outcome["status"] = status
            headers.append((b"x-correlation-id", reference.encode()))

        shape(scope, refer)
        code: str | None = None
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            outcome.setdefault("status", 499)  # nobody is there to read an answer; the number is only for the log
        except Exception as error:  # noqa: BLE001  # the edge of the service: every error ends here
            code = await self._answer(scope, receive, send, error, started="status" in outcome)
        client = scope.get("client")
        self._log.event(
            "request",
            {
                "method": scope["method"] if scope["method"] in _METHODS else "-",
                "route": route_of(scope),
                "status": outcome.get("status", 0),
                "ms": round((self._monotonic() - begun) * 1000, 1),
                "from": shortened_address(client[0] if client else None),
                "reference": reference,
                **({"code": code} if code else {}),
            },
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send, error: Exception, *, started: bool) -> str:
        refusal = _refusal(error)
        status = status_of(refusal)
        if status >= 500:
            fields = {"reference": state(scope)["correlation_id"], "code": refusal.code, "rule": refusal.rule}
            self._log.exception("fault", error, fields)
        if not started:
            response = self._response(Request(scope, receive), refusal, status)
            for name, value in _headers(error, refusal, status).items():
                response.headers[name] = value
            await response(scope, receive, send)
        return refusal.code

    def _response(self, request: Request, refusal: TrustError, status: int) -> Response:
        reference: str = request.state.correlation_id
        told = InternalFault() if status == 500 else refusal
        wire_code = getattr(refusal, "error", None)
        # RFC 6749 §4.1.2.1: what may not be redirected is told to the person, who reads a page, and not to a program.
        if wire_code is not None and not self._for_a_browser(request):
            return self._oauth(refusal, status, reference)
        if not self._for_a_browser(request):
            # Of a fault on our side the rule is for operators; it stands in the log.
            described = {"field": told.field, "rule": told.rule} if status < 500 else {}
            return JSONResponse(
                {
                    "error": told.code,
                    "error_description": self._translator(request)(told.code, **told.params),
                    **{name: value for name, value in described.items() if value is not None},
                    "correlation_id": reference,
                },
                status_code=status,
            )
        if refusal.code in {"authority.sign_in_required", "authority.second_factor_required"}:
            return _to_sign_in(request, stronger=refusal.code == "authority.second_factor_required")
        heading = status if status in _HEADING_STATUSES else 500 if status > 500 else 400
        context = {
            "heading": self._translator(request)(f"error.heading_{heading}"),
            "message": self._translator(request)(told.code, **told.params),
            "what_to_do": _advice(self._translator(request), told, heading),
            "code": None if status == 500 else _code_of(told, for_a_developer=_of_a_platform(told, wire_code)),
            "correlation_id": reference,
        }
        return self._pages(request, "error.html", context, status)

    def _oauth(self, refusal: TrustError, status: int, reference: str) -> Response:
        description = self._translators["en"](refusal.code, **refusal.params)
        return JSONResponse(
            {
                "error": getattr(refusal, "error", "server_error"),
                "error_description": _NOT_DESCRIPTION.sub("'", description),
                "code": refusal.code,
                **({"field": refusal.field} if refusal.field else {}),
                **({"rule": refusal.rule} if refusal.rule else {}),
                "correlation_id": reference,
            },
            status_code=status,
            headers={"Cache-Control": "no-store", "Pragma": "no-cache"},
        )

    def _translator(self, request: Request) -> Translator:
        return self._translators[getattr(request.state, "locale", DEFAULT_LANGUAGE)]

    def _for_a_browser(self, request: Request) -> bool:
        path: str = request.scope["path"]
        return not path.startswith(self._programs) and "text/html" in (header(request.scope, b"accept") or "")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def _advice(t: Translator, told: TrustError, heading: int) -> str:
    """Return what the reader can do about it: what this refusal's own message says, or what its status does."""
    own = f"{told.code}.do"
    return t(own if own in t else f"error.do_{heading}")


def _of_a_platform(told: TrustError, wire_code: str | None) -> bool:
    """Whether a platform's developer made the mistake: an OAuth error, a sign-out request, a query that reads two ways."""
    return wire_code is not None or told.code in {"idp.logout.refused", "idp.parameters_refused"}


def _code_of(told: TrustError, *, for_a_developer: bool) -> str:
    """Return the code of a refusal; of a platform's own mistake, also the parameter and the rule, to be passed on."""
    if not for_a_developer or told.rule is None:
        return told.code
    return f"{told.code} · {told.field}: {told.rule}" if told.field else f"{told.code} · {told.rule}"


def _refusal(error: Exception) -> TrustError:
    if isinstance(error, TrustError):
        return error
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return NotFound()
        if error.status_code == 405:
            return MethodNotAllowed()
        if 400 <= error.status_code < 500:
            return HttpRefusal()
    return InternalFault()


def _headers(error: Exception, refusal: TrustError, status: int) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.status_code == 405 and error.headers:
        headers.update({name: value for name, value in error.headers.items() if name.lower() == "allow"})
    if isinstance(refusal, RateLimited):
        headers["Retry-After"] = str(refusal.retry_after_s)
    elif status == 503:
        headers["Retry-After"] = str(UNAVAILABLE_RETRY_S)
    oauth = getattr(refusal, "error", None)
    if oauth == "invalid_client":
        headers["WWW-Authenticate"] = 'Basic realm="token endpoint"'  # RFC 6749 §5.2
    elif oauth in {"invalid_token", "insufficient_scope"}:
        headers["WWW-Authenticate"] = f'Bearer error="{oauth}"'  # RFC 6750 §3
    return headers


def _to_sign_in(request: Request, *, stronger: bool) -> Response:
    """Send a browser to sign in and then back to the page it asked for; from a submitted form, to the home page."""
    parameters = {"acr": "2"} if stronger else {}
    if request.method in {"GET", "HEAD"}:
        query = f"?{request.url.query}" if request.url.query else ""
        parameters = {"return": "/" + request.url.path.lstrip("/\\") + query, **parameters}
    return RedirectResponse(f"{SIGN_IN_PATH}?{urlencode(parameters)}" if parameters else SIGN_IN_PATH, status_code=303)
