"""A platform in one file with Authlib's Starlette client. Its state is in memory: for reading, not for production.

pip install authlib httpx joserfc starlette uvicorn
ISSUER=... CLIENT_ID=... CLIENT_SECRET=... python app.py, then open http://127.0.0.1:19090/login
"""

import os
import secrets
from urllib.parse import urlsplit

import uvicorn
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

ISSUER = os.environ["ISSUER"]
PLATFORM = os.environ.get("PLATFORM", "http://127.0.0.1:19090")
oauth = OAuth()
edutrust = oauth.register(
    "edutrust",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile edu offline_access", "code_challenge_method": "S256"},
)
sessions = {}  # cookie -> what the platform knows of this browser


class Sessions:
    """What Starlette's SessionMiddleware does, with the content kept here and only its name in the cookie."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        sent = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
        pairs = dict(part.strip().split("=", 1) for part in sent.split(";") if "=" in part)
        cookie = pairs.get("platform")
        if cookie not in sessions:
            cookie = secrets.token_urlsafe(32)
            sessions[cookie] = {}
        scope["session"] = sessions[cookie]

        async def send_with_cookie(message):
            if message["type"] == "http.response.start":
                value = f"platform={cookie}; Path=/; HttpOnly; SameSite=Lax"  # add Secure behind https
                message["headers"] = [*message["headers"], (b"set-cookie", value.encode())]
            await send(message)

        await self.app(scope, receive, send_with_cookie)


async def login(request):
    """Send the browser away with state, nonce and PKCE; Authlib keeps them in the session."""
    return await edutrust.authorize_redirect(request, f"{PLATFORM}/callback")


async def callback(request):
    """Redeem the code; Authlib compares state and nonce and verifies the ID token with the published keys."""
    if request.query_params.get("iss") != ISSUER:  # RFC 9207: the answer comes from the server that was asked
        return JSONResponse({"error": "another issuer"}, 400)
    try:
        token = await edutrust.authorize_access_token(request)
    except OAuthError as refused:  # `error` of the address, or of the token endpoint
        return JSONResponse({"error": refused.error, "rule": refused.description}, 400)
    user = await edutrust.userinfo(token=token)
    assert user["sub"] == token["userinfo"]["sub"]  # OpenID Connect Core §5.3.2
    request.session["user"] = {"iss": ISSUER, "sub": user["sub"]}  # the account's key: never a name or a school
    request.session["token"] = token
    return JSONResponse({"id_token": token["userinfo"], "userinfo": user, "scope": token["scope"]})


async def refresh(request):
    """Renew the tokens. Each refresh token is good once: store the new one before anything else."""
    old = request.session["token"]
    new = await edutrust.fetch_access_token(grant_type="refresh_token", refresh_token=old["refresh_token"])
    request.session["token"] = {**old, **new}
    return JSONResponse({"renewed": new["refresh_token"] != old["refresh_token"]})


async def logout(request):
    """End the session here, then at the provider, which sends the browser back."""
    hint = request.session["token"]["id_token"]
    request.session.clear()
    return await edutrust.logout_redirect(request, f"{PLATFORM}/signed-out", id_token_hint=hint)


async def signed_out(_request):
    return JSONResponse({"signed_out": True})


async def home(_request):
    return RedirectResponse("/login")


app = Sessions(
    Starlette(
        routes=[
            Route("/", home),
            Route("/login", login),
            Route("/callback", callback),
            Route("/refresh", refresh),
            Route("/logout", logout),
            Route("/signed-out", signed_out),
        ]
    )
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=urlsplit(PLATFORM).port, log_level="warning")
