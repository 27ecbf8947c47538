"""The order in which a request meets this floor. Read from the top: the first line is what it meets first."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.actor import ActorOfRequest, ResolveActor
from adapters.http.csrf import FormTokens
from adapters.http.edge import BodyLimits, Network, OwnHost, TrustedProxies
from adapters.http.errors import ErrorAnswers
from adapters.http.headers import SecurityHeaders
from adapters.http.known_answers import KnownAnswers
from adapters.http.preferences import Preferences
from adapters.http.rate_limit import RateLimiter, RateLimits, RateRule
from adapters.observe.log import Log
from adapters.web.assets import STATIC_PATH, Assets
from adapters.web.catalogue import Translator
from adapters.web.render import Pages

# Probes of a load balancer: any host name, no sign-in.
PROBE_PATHS = ("/healthz", "/readyz")


@dataclass(frozen=True, slots=True)
class HttpRules:
    """What the stack must be told about the service; every list is explicit."""

    origin: str
    """The issuer's scheme, host and port."""
    proxies: Sequence[Network]
    programs: Collection[str]
    """Starts of paths that programs call: JSON errors, no actor."""
    own_sessions: Collection[str]
    """Starts of paths whose handlers look the session up themselves: no actor, so that it is not looked up twice."""
    token_authenticated: Collection[str]
    """Exact paths (with a final slash: those below) exempt from form tokens, because a token or a client secret authenticates
    them, never a cookie."""
    uploads: Mapping[str, int]
    """Starts of paths that take more than a form, and how many bytes."""
    rates: Sequence[RateRule]
    same_for_all: Collection[str]
    """Exact paths whose answer depends on nothing about the request; see `KnownAnswers`."""
    revision: Callable[[], int]
    """Changes whenever one of those answers may."""


def build_stack(
    routes: Sequence[BaseRoute],
    *,
    rules: HttpRules,
    pages: Pages,
    translators: Mapping[str, Translator],
    assets: Assets,
    log: Log,
    limiter: RateLimiter,
    resolve_actor: ResolveActor,
    form_key: bytes,
    random_bytes: Callable[[int], bytes],
    monotonic: Callable[[], float],
) -> ASGIApp:
    """Return the whole application."""
    https = rules.origin.startswith("https://")
    app: ASGIApp = _Rooms(routes, assets)
    app = ActorOfRequest(
        app, resolve=resolve_actor, without=(STATIC_PATH, *PROBE_PATHS, *rules.programs, *rules.own_sessions)
    )
    app = FormTokens(
        app,
        key=form_key,
        random_bytes=random_bytes,
        origin=rules.origin,
        secure=https,
        exempt=rules.token_authenticated,
    )
    app = RateLimits(app, limiter=limiter, rules=rules.rates)
    app = BodyLimits(app, uploads=rules.uploads)
    app = OwnHost(app, origin=rules.origin, open_paths=PROBE_PATHS)
    app = ErrorAnswers(
        app,
        pages=pages,
        translators=translators,
        log=log,
        random_bytes=random_bytes,
        monotonic=monotonic,
        programs=rules.programs,
    )
    # Outside the error answers: they need the language and carry the headers. Who calls is settled before anything.
    app = Preferences(app, secure=https)
    app = SecurityHeaders(app, https=https)
    app = KnownAnswers(
        app,
        paths=rules.same_for_all,
        revision=rules.revision,
        origin=rules.origin,
        log=log,
        random_bytes=random_bytes,
        monotonic=monotonic,
    )
    return TrustedProxies(app, proxies=rules.proxies)


Handler = Callable[[Request], Awaitable[Response]]


class _Rooms:
    """The rooms' own routes and the static files.

    A route without parameters is found by its path at once; the router walks its whole list with patterns, which for a
    token request cost more than reading the client.
    """

    def __init__(self, routes: Sequence[BaseRoute], assets: Assets) -> None:
        self._router = Router(routes, redirect_slashes=False)
        self._exact = _exact(routes)
        self._assets = assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(STATIC_PATH):
                await self._assets(scope, receive, send)
                return
            handler = self._exact.get(path, _NONE).get(scope["method"])
            if handler is not None:
                scope["endpoint"], scope["path_params"] = handler, {}
                response = await handler(Request(scope, receive, send))
                await response(scope, receive, send)
                return
        # With an `app` in the scope the router raises its 404 and 405 instead of writing a plain text.
        scope["app"] = self
        await self._router(scope, receive, send)


_NONE: Mapping[str, Handler] = MappingProxyType({})


def _exact(routes: Sequence[BaseRoute]) -> Mapping[str, Mapping[str, Handler]]:
    """Return the handlers of routes without parameters that no earlier pattern takes, by path and method."""
    found: dict[str, dict[str, Handler]] = {}
    patterns: list[Any] = []
    for route in routes:
        if not isinstance(route, Route):
            return {}  # a mount takes whole branches: then the order of the list decides everything
        plain = "{" not in route.path and inspect.iscoroutinefunction(route.endpoint)
        if plain and not any(pattern.match(route.path) for pattern in patterns):
            for method in route.methods or ():
                found.setdefault(route.path, {}).setdefault(method, route.endpoint)
        else:
            patterns.append(route.path_regex)
    return found
