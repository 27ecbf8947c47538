"""The HTTP floor around a few small rooms of the test's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from jinja2 import Environment
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from adapters.http.rate_limit import Limit, LocalRateLimiter, RateRule
from adapters.http.stack import HttpRules, build_stack
from adapters.observe.log import Log
from adapters.sql.database import ConstraintViolation, StoreUnavailable
from adapters.web.assets import Assets
from adapters.web.catalogue import Translator, load
from adapters.web.render import TEMPLATE_FOLDERS, Frame, NavigationItem, Pages, environment
from idp.authority.errors import NotAuthorised, SecondFactorRequired, SignInRequired
from idp.authority.model import Actor
from idp.oauth_errors import InvalidClient, InvalidRequest

CANARY = "canary-11010519491231002X"


class Lines:
    """The log's lines, parsed."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, line: str) -> None:
        self.text += line

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return every event so far."""
        return [json.loads(line) for line in self.text.splitlines()]


class Ticking:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def deterministic_bytes(count: int) -> bytes:
    return bytes(range(count))


@cache
def built() -> tuple[Mapping[str, Translator], Assets, Environment]:
    """Read catalogues, assets and templates once: they do not change while tests run."""
    assets = Assets()
    folders = (*TEMPLATE_FOLDERS, Path(__file__).parent / "templates")
    return load(), assets, environment(assets, folders)


def navigation(request: Request) -> list[NavigationItem]:
    return [NavigationItem("/verify", "navigation.verify"), NavigationItem("/log", "navigation.log")]


class Service:
    """The stack with its rooms; `lines` is its log, `monotonic` its clock, `pages` its renderer."""

    def __init__(self, *, https: bool = True, proxies: Sequence[str] = (), routes: Sequence[Route] = ()) -> None:
        self.lines = Lines()
        self.monotonic = Ticking()
        self.resolve_calls = 0
        translators, assets, templates = built()
        frame = Frame(
            filing_number="京ICP备00000000号",
            police_filing_number=None,
            navigation=navigation,
            sign_out_path="/signout",
            home_path="/home",
        )
        self.pages = Pages(templates, translators, frame)
        self.origin = "https://service.test" if https else "http://service.test"
        self.app: ASGIApp = build_stack(
            [*self._routes(), *routes],
            rules=HttpRules(
                origin=self.origin,
                proxies=[ip_network(network) for network in proxies],
                programs=("/api/", "/token"),
                own_sessions=(),
                token_authenticated=("/token", "/api/echo"),
                uploads={"/upload": 200_000},
                rates=[RateRule("POST", "/limited", Limit("limited", burst=3, period_s=10))],
                same_for_all=(),
                revision=lambda: 0,
            ),
            pages=self.pages,
            translators=translators,
            assets=assets,
            log=Log(clock=lambda: 1_782_864_000, write=self.lines.write),
            limiter=LocalRateLimiter(self.monotonic),
            resolve_actor=self._resolve,
            form_key=b"k" * 32,
            random_bytes=deterministic_bytes,
            monotonic=self.monotonic,
        )

    async def _resolve(self, connection: HTTPConnection) -> Actor | None:
        self.resolve_calls += 1
        return None

    def _routes(self) -> list[Route]:
        async def page(request: Request) -> Response:
            return self.pages(request, "form.html", {})

        async def gallery(request: Request) -> Response:
            return self.pages(request, "gallery.html", {})

        async def act(request: Request) -> Response:
            async with request.form() as form:
                shown: Mapping[str, Any] = {
                    name: value if isinstance(value, str) else len(await value.read()) for name, value in form.items()
                }
            return JSONResponse(dict(shown))

        async def echo(request: Request) -> Response:
            return PlainTextResponse(await request.body())

        async def who(request: Request) -> Response:
            client = request.client.host if request.client else "-"
            names = sorted(name for name in request.headers if name.startswith(("x-", "forwarded", "true-")))
            return JSONResponse(
                {"client": client, "scheme": request.url.scheme, "headers": names, "locale": request.state.locale}
            )

        async def leads_away(request: Request) -> Response:
            request.state.form_action = ("https://platform.example",)
            return self.pages(request, "form.html", {})

        def raising(error: Exception) -> Any:
            async def handler(request: Request) -> Response:
                raise error

            return handler

        async def progress(request: Request) -> Response:
            return JSONResponse({"done": 120, "total": 200, "state": "running", "bad": 3, "seconds_left": 200})

        return [
            Route("/", page),
            Route("/gallery", gallery),
            Route("/progress.json", progress),
            Route("/act", act, methods=["POST"]),
            Route("/upload", act, methods=["POST"]),
            Route("/limited", act, methods=["POST"]),
            Route("/api/echo", echo, methods=["POST"]),
            Route("/who", who),
            Route("/platform", leads_away),
            Route("/shared/{code}", page),
            Route("/api/broken", raising(RuntimeError(CANARY))),
            Route("/broken", raising(RuntimeError(CANARY))),
            Route("/fault", raising(ConstraintViolation(rule=CANARY))),
            Route("/api/fault", raising(ConstraintViolation(rule=CANARY))),
            Route("/away", raising(StoreUnavailable(rule="57P01"))),
            Route("/sign-in-first", raising(SignInRequired())),
            Route("/stronger", raising(SecondFactorRequired())),
            Route("/forbidden", raising(NotAuthorised())),
            Route("/token", raising(InvalidClient()), methods=["POST"]),
            Route("/api/oauth", raising(InvalidRequest(field="scope", rule="form"))),
        ]
