"""Answers that a page in a browser may read: to a public client, at the origins of its own redirect URIs, and nowhere else.

A single-page application redeems its code by itself. Its request is a simple one (a form, no header of its own), so there
is no preflight to answer; without the header below its page would not be let see the answer (Fetch standard, CORS check).
Confidential clients get none: a client secret in a page is a secret no more. No cookie counts at these endpoints, and
credentials are never allowed along.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from idp.clients.redirect_uris import web_origin
from idp.clients.store import ClientLookup
from idp.observed import observed

Handler = Callable[[Request], Awaitable[Response]]


def readable_in_browsers(routes: Iterable[Route], *, clients: ClientLookup) -> list[Route]:
    """Return the routes, their answers readable by the pages of public clients."""
    made = []
    for route in routes:
        readable = Route(route.path, _readable(route.endpoint, clients), name=route.name)
        readable.methods = route.methods
        made.append(readable)
    return made


def _readable(handler: Handler, clients: ClientLookup) -> Handler:
    async def handle(request: Request) -> Response:
        response = await handler(request)
        origin = request.headers.get("origin")
        if origin is not None:
            response.headers.add_vary_header("Origin")
            if await _is_own_page(request, origin, clients):
                response.headers["Access-Control-Allow-Origin"] = origin
        return response

    return handle


async def _is_own_page(request: Request, origin: str, clients: ClientLookup) -> bool:
    seen = observed(request)
    client = None if seen is None else await clients.client(seen.client_id)
    return client is not None and client.public and origin in {web_origin(uri) for uri in client.redirect_uris} - {""}
