"""The order in which a request meets this floor. Read from the top: the first line is what it meets first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.actor import ActorOfRequest, ResolveActor
from adapters.http.csrf import FormTokens
from adapters.http.edge import BodyLimits, Network, OwnHost, TrustedProxies
from adapters.http.errors import ErrorAnswers
from adapters.http.headers import SecurityHeaders
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
    token_authenticated: Collection[str]
    """Exact paths exempt from form tokens, because a token or a client secret authenticates them, never a cookie."""
    uploads: Mapping[str, int]
    """Starts of paths that take more than a form, and how many bytes."""
    rates: Sequence[RateRule]


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
    app = ActorOfRequest(app, resolve=resolve_actor, without=(STATIC_PATH, *PROBE_PATHS, *rules.programs))
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
    # Outside the error answers: they need the language, the true caller, and carry the headers.
    app = Preferences(app, secure=https)
    app = TrustedProxies(app, proxies=rules.proxies)
    return SecurityHeaders(app, https=https)


class _Rooms:
    """The rooms' own routes and the static files."""

    def __init__(self, routes: Sequence[BaseRoute], assets: Assets) -> None:
        self._router = Router(routes, redirect_slashes=False)
        self._assets = assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(STATIC_PATH):
            await self._assets(scope, receive, send)
            return
        # With an `app` in the scope the router raises its 404 and 405 instead of writing a plain text.
        scope["app"] = self
        await self._router(scope, receive, send)
