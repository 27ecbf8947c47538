"""Watches the requests of sandbox clients: wraps the protocol's routes and writes one note a request.

A request of any other client is recognised by its name alone and passes untouched. What is written is picked from lists of
what is known to be harmless; everything else is noted by name, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto.errors import TrustError
from idp.clients.model import ClientOrigin
from idp.clients.sandbox_store import RequestNote, SandboxStore
from idp.clients.store import ClientLookup
from idp.model import Clock
from idp.observed import Observed, observed

SANDBOX_PREFIX = "sandbox-"
"""What the id of every sandbox client begins with."""

NOTES_KEPT = 50
"""More than a developer reads; the page shows them all."""

NOTE_LIFETIME_S = 24 * 60 * 60
"""A day's work; personal data it is not, but what is not there cannot leak."""

TEXT_CHARS_MAX = 200
"""Of any text in a note."""

SAID = (
    "response_type",
    "response_mode",
    "scope",
    "prompt",
    "max_age",
    "acr_values",
    "ui_locales",
    "code_challenge_method",
    "grant_type",
    "client_assertion_type",
    "resource",
)
"""Parameters whose values are noted: words of the standards, never a secret."""

ADDRESSES = ("redirect_uri",)
"""Noted without query and fragment, where a platform may have put something of its own."""

NAMED = (
    "state",
    "nonce",
    "code_challenge",
    "code_verifier",
    "code",
    "refresh_token",
    "client_secret",
    "client_assertion",
    "request_uri",
    "request",
    "id_token_hint",
    "login_hint",
    "claims",
    "token",
)
"""Parameters of which only the presence is noted."""

AUTHORIZE = "/authorize"
SIGN_IN_PAGES = "/signin/"

Handler = Callable[[Request], Awaitable[Response]]


class Watch:
    """Writes notes."""

    def __init__(self, notes: SandboxStore, *, clients: ClientLookup, clock: Clock) -> None:
        self._notes = notes
        self._clients = clients
        self._clock = clock

    def over(self, routes: Iterable[Route]) -> list[Route]:
        """Return the routes, watched."""
        watched = []
        for route in routes:
            made = Route(route.path, self._watched(route.endpoint), name=route.name)
            made.methods = route.methods
            watched.append(made)
        return watched

    def _watched(self, handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except TrustError as error:
                await self._note(request, None, error)
                raise
            await self._note(request, response, None)
            return response

        return handle

    async def _note(self, request: Request, response: Response | None, error: TrustError | None) -> None:
        seen = observed(request)
        if seen is None or not seen.client_id.startswith(SANDBOX_PREFIX):
            return
        client = await self._clients.client(seen.client_id)
        if client is None or client.origin is not ClientOrigin.DEVELOPER:
            return
        error = error or seen.error
        told = {} if response is None or error is not None else _json_error(response)
        await self._notes.write_note(
            RequestNote(
                client_id=client.client_id,
                time=self._clock(),
                # The answer after the sign-in pages is the answer of the endpoint that was asked.
                endpoint=AUTHORIZE if request.url.path.startswith(SIGN_IN_PAGES) else request.url.path,
                outcome=_outcome(seen, response, error, told),
                code="" if error is None else error.code,
                field=_text((error.field or "") if error else told.get("field", "")),
                rule=_text((error.rule or "") if error else told.get("rule", "")),
                reference=getattr(request.state, "correlation_id", ""),
                asked=facts(seen),
            ),
            keep=NOTES_KEPT,
        )


def facts(seen: Observed) -> dict[str, str]:
    """Return what may be written down of a request's parameters: chosen values, and of others that they were there."""
    found = {name: _text(seen.parameters[name]) for name in SAID if name in seen.parameters}
    for name in ADDRESSES:
        if name in seen.parameters:
            found[name] = _text(seen.parameters[name].partition("?")[0].partition("#")[0])
    found |= dict.fromkeys((name for name in NAMED if name in seen.parameters), "…")
    if seen.repeated:
        found["repeated"] = _text(seen.repeated)
    return found


def _outcome(seen: Observed, response: Response | None, error: TrustError | None, told: Mapping[str, str]) -> str:
    if error is not None:
        return str(getattr(error, "error", "")) or error.code
    if "error" in told:
        return told["error"]
    if seen.outcome:
        return seen.outcome
    # A page of ours, or the way to it: the request was in order and the person is being asked.
    if response is None or 300 <= response.status_code < 400:
        return "asked"
    return "asked" if response.headers.get("content-type", "").startswith("text/html") else "ok"


def _json_error(response: Response) -> dict[str, str]:
    """Return error, field and rule of a JSON refusal (RFC 6749 §5.2); our descriptions read `field: rule`."""
    if response.status_code < 400 or not response.headers.get("content-type", "").startswith("application/json"):
        return {}
    body = json.loads(bytes(response.body))
    description = str(body.get("error_description", ""))
    field, separator, rule = description.partition(": ")
    split = {"field": field, "rule": rule} if separator and " " not in field else {"rule": description}
    return {"error": str(body.get("error", "")), **split}


def _text(value: str) -> str:
    return "".join(character if character.isprintable() else "·" for character in value[:TEXT_CHARS_MAX])
