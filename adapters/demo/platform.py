"""A small learning or library platform, written as a stranger would: discovery, a client id and a secret, nothing else.

It imports nothing of this project. Its sessions live in its own memory, keyed by its own cookie, so that a back-channel
logout (OpenID Connect Back-Channel Logout 1.0 §2.6) can end them from outside the browser.
"""

from __future__ import annotations

import argparse
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
from jinja2 import Environment, FileSystemLoader, select_autoescape
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

_SITE = Path(__file__).parent / "platform_site"
_BACKCHANNEL_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_SESSION_COUNT_MAX = 10_000  # a demo platform's memory is not a place to fill
_LOGOUT_TOKEN_AGE_S_MAX = 300

_KINDS = {
    "learning": {
        "title": "青禾学习平台",
        "subtitle": "演示用学习平台",
        "greeting": "今天想学点什么？",
        "items": ["高等数学（下）", "数据结构", "大学英语四级精讲"],
        "scope": "openid profile edu",
    },
    "library": {
        "title": "云山图书馆",
        "subtitle": "演示用图书馆平台",
        "greeting": "今天想读哪本书？",
        "items": ["《乡土中国》", "《红楼梦》", "《时间简史》"],
        "scope": "openid",
    },
}


@dataclass
class Sessions:
    """The platform's own sessions, by cookie value; every session is a plain dictionary."""

    by_cookie: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open(self, cookie: str | None) -> tuple[str, dict[str, Any]]:
        """Return the cookie value and the session it names, a new pair where it names none."""
        if cookie is not None and cookie in self.by_cookie:
            return cookie, self.by_cookie[cookie]
        if len(self.by_cookie) >= _SESSION_COUNT_MAX:
            self.by_cookie.pop(next(iter(self.by_cookie)))
        fresh = secrets.token_urlsafe(32)
        self.by_cookie[fresh] = {}
        return fresh, self.by_cookie[fresh]

    def end(self, *, sid: str | None, sub: str | None) -> int:
        """End the sessions that carry this `sid`, or, where no `sid` is given, all of this `sub`; return how many."""
        ended = 0
        for session in self.by_cookie.values():
            user = session.get("user")
            if user is None:
                continue
            if (sid is not None and user.get("sid") == sid) or (sid is None and user.get("sub") == sub):
                session.clear()
                ended += 1
        return ended


class SessionMiddleware:
    """Put `request.session` in place, as Authlib's Starlette client expects it."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, cookie_name: str) -> None:
        self.app = app
        self.sessions = sessions
        self.cookie_name = cookie_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with its session."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
        pairs = dict(part.strip().split("=", 1) for part in sent.split(";") if "=" in part)
        before = pairs.get(self.cookie_name)
        cookie, scope["session"] = self.sessions.open(before)

        async def send_with_cookie(message: Any) -> None:
            if message["type"] == "http.response.start" and cookie != before:
                value = f"{self.cookie_name}={cookie}; Path=/; HttpOnly; SameSite=Lax"
                message["headers"] = [*message["headers"], (b"set-cookie", value.encode("latin-1"))]
            await send(message)

        await self.app(scope, receive, send_with_cookie)


class Platform:
    """The platform's pages and its three addresses the identity provider knows: callback, signed-out, back-channel."""

    def __init__(self, *, kind: str, base_url: str, issuer: str, client_id: str, client_secret: str) -> None:
        self.kind = _KINDS[kind]
        self.base_url = base_url
        self.client_id = client_id
        self.issuer = issuer
        self.sessions = Sessions()
        self.seen_logout_ids: dict[str, int] = {}
        self.templates = Environment(loader=FileSystemLoader(_SITE), autoescape=select_autoescape())
        self.oauth = OAuth()
        self.provider: Any = self.oauth.register(
            name="edutrust",
            client_id=client_id,
            client_secret=client_secret,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={"scope": self.kind["scope"], "code_challenge_method": "S256"},
        )

    def page(self, request: Request, *, error: str | None = None, status_code: int = 200) -> Response:
        """Render the one page this platform has."""
        html = self.templates.get_template("platform.html").render(
            kind=self.kind,
            user=request.session.get("user"),
            userinfo=request.session.get("userinfo"),
            alg=request.session.get("alg"),
            error=error,
        )
        return HTMLResponse(html, status_code=status_code, headers={"Cache-Control": "no-store"})

    async def home(self, request: Request) -> Response:
        """Show who is signed in, or a way to sign in."""
        return self.page(request)

    async def login(self, request: Request) -> Response:
        """Send the browser to the identity provider with state, nonce and PKCE."""
        redirect: Response = await self.provider.authorize_redirect(request, f"{self.base_url}/callback")
        return redirect

    async def callback(self, request: Request) -> Response:
        """Redeem the code, check the ID token, ask userinfo once."""
        try:
            token = await self.provider.authorize_access_token(request)
            userinfo = await self.provider.userinfo(token=token)
        except OAuthError as refused:
            return self.page(request, error=refused.error, status_code=400)
        request.session["user"] = dict(token["userinfo"])
        request.session["id_token"] = token["id_token"]
        request.session["alg"] = jwt_header_alg(token["id_token"])
        request.session["userinfo"] = {key: value for key, value in userinfo.items() if key != "sub"}
        return RedirectResponse("/", status_code=303)

    async def logout(self, request: Request) -> Response:
        """End the session here and ask the identity provider to end it everywhere."""
        id_token = request.session.get("id_token")
        request.session.clear()
        redirect: Response = await self.provider.logout_redirect(
            request, f"{self.base_url}/signed-out", id_token_hint=id_token
        )
        return redirect

    async def signed_out(self, request: Request) -> Response:
        """Where the identity provider sends the browser after a sign-out it confirmed."""
        return self.page(request)

    async def backchannel_logout(self, request: Request) -> Response:
        """End the sessions a signed logout token names (Back-Channel Logout 1.0 §2.6)."""
        form = await request.form()
        try:
            claims = await self.check_logout_token(str(form.get("logout_token", "")))
        except (JoseError, ValueError):
            return Response(status_code=400, headers={"Cache-Control": "no-store"})
        self.sessions.end(sid=claims.get("sid"), sub=claims.get("sub"))
        return Response(status_code=200, headers={"Cache-Control": "no-store"})

    async def check_logout_token(self, token: str) -> dict[str, Any]:
        """Verify a logout token's signature, issuer, audience, age, event and single use; raise ValueError."""
        keys = KeySet.import_key_set(await self.provider.fetch_jwk_set())
        claims = dict(jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims)
        now = int(time.time())
        audience = claims.get("aud")
        fresh = abs(now - int(claims.get("iat", 0))) <= _LOGOUT_TOKEN_AGE_S_MAX
        named = claims.get("iss") == self.issuer and self.client_id in (
            audience if isinstance(audience, list) else [audience]
        )
        if not (fresh and named and _BACKCHANNEL_EVENT in claims.get("events", {})) or "nonce" in claims:
            raise ValueError("not a logout token for this platform")
        if claims["jti"] in self.seen_logout_ids:
            raise ValueError("a logout token is used once")
        self.seen_logout_ids = {
            jti: at for jti, at in self.seen_logout_ids.items() if now - at <= _LOGOUT_TOKEN_AGE_S_MAX
        }
        self.seen_logout_ids[claims["jti"]] = now
        return claims

    async def stylesheet(self, _request: Request) -> Response:
        """Serve the platform's one style sheet."""
        return FileResponse(_SITE / "platform.css", media_type="text/css")

    def app(self) -> ASGIApp:
        """Return the platform as an ASGI application."""
        routes = [
            Route("/", self.home),
            Route("/login", self.login),
            Route("/callback", self.callback),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/signed-out", self.signed_out),
            Route("/backchannel-logout", self.backchannel_logout, methods=["POST"]),
            Route("/platform.css", self.stylesheet),
        ]
        cookie_name = f"platform_{self.client_id}"  # cookies ignore ports: two demo platforms share a host
        return SessionMiddleware(Starlette(routes=routes), sessions=self.sessions, cookie_name=cookie_name)


def jwt_header_alg(token: str) -> str:
    """Name the algorithm an ID token was signed with, for the page to show."""
    return str(jws.extract_compact(token.encode()).headers()["alg"])


def main() -> None:
    """Run one platform: `python -m adapters.demo.platform --kind learning …`; the secret comes from the environment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=sorted(_KINDS), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True)
    given = parser.parse_args()
    platform = Platform(
        kind=given.kind,
        base_url=f"http://127.0.0.1:{given.port}",
        issuer=given.issuer,
        client_id=given.client_id,
        client_secret=os.environ["PLATFORM_CLIENT_SECRET"],
    )
    uvicorn.run(platform.app(), host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
