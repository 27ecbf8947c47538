"""The code flow of a person who is signed in already: what every further platform of a morning costs."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable

from benchmarks.caller import Answer, Caller
from benchmarks.house import CLIENT_ID, ISSUER, REDIRECT_URI, STUDENT, House
from benchmarks.measure import Figure, Tally


async def sign_in_figure(house: House, *, seconds: float) -> Figure:
    """Measure `/authorize` → code → `/token` → SM2 ID token, access and refresh token, one at a time."""
    browser, platform = Caller(house.application.asgi, ISSUER), Caller(house.application.asgi, ISSUER)
    await _sign_in(browser, house)
    flow = _flow(browser, platform, house)
    await flow()
    tally = Tally()
    await tally.run_async(flow, seconds)
    return Figure("sign-in code flow, session present, SM2 ID token", tally.per_s)


def _flow(browser: Caller, platform: Caller, house: House) -> Callable[[], Awaitable[object]]:
    async def flow() -> None:
        verifier = secrets.token_urlsafe(32)
        asked = await browser.get("/authorize", **_authorization(verifier))
        form = {
            "grant_type": "authorization_code",
            "code": asked.parameter("code"),
            "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier,
        }
        answer = await platform.post("/token", form, client=(CLIENT_ID, house.client_secret))
        _require(answer, 200)

    return flow


async def _sign_in(browser: Caller, house: House) -> None:
    """Type the password and allow the platform once; from then on `/authorize` answers with a code at once."""
    page = await _follow(browser, await browser.get("/authorize", **_authorization(secrets.token_urlsafe(32))))
    form = {**_hidden(page), "username": STUDENT, "password": house.password}
    page = await _follow(browser, await browser.post("/signin/password", form))
    answer = await _follow(browser, await browser.post("/signin/consent", _hidden(page)))
    answer.parameter("code")


async def _follow(browser: Caller, answer: Answer) -> Answer:
    while answer.status == 303 and answer.headers["location"].startswith("/"):
        answer = await browser.get(answer.headers["location"])
    return answer


def _authorization(verifier: str) -> dict[str, str]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile",
        "state": secrets.token_urlsafe(16),
        "nonce": str(time.monotonic_ns()),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


def _hidden(page: Answer) -> dict[str, str]:
    _require(page, 200)
    text = page.body.decode()
    return {name: re.findall(rf'name="{name}" value="([^"]*)"', text)[0] for name in ("csrf", "t")}


def _require(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise RuntimeError(f"answered {answer.status} where {status} was due: {answer.body[:200]!r}")
