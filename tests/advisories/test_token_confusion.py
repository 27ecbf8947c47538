"""Every kind of token at every endpoint that takes one: only the diagonal passes (RFC 8725 §3.11, RFC 9068 §4).

An ID token as access token, a client assertion as request object, an access token as assertion: security class 11.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.suites import Alg
from tests.idp.clients.assertions import asserting, assertion, keyed
from tests.protocol.world import OpenWorld, World

Run = Callable[[Coroutine[Any, Any, None]], None]

CLIENT = "robot"

DIAGONAL = {
    ("access", "userinfo"),
    ("access", "introspect"),
    ("access", "revoke"),
    ("client's own", "introspect"),
    ("client's own", "revoke"),
    ("refresh", "introspect"),
    ("refresh", "revoke"),
    ("refresh", "refresh grant"),
    ("code", "code grant"),
    ("assertion", "authentication"),
    ("id", "hint"),
    ("session", "cookie"),
}


def _fresh(world: World, **form: Any) -> dict[str, Any]:
    return asserting(assertion(world, CLIENT), **form)


async def _post(world: World, path: str, form: dict[str, Any]) -> Any:
    answer = await world.browser().post(path, form)
    return answer.json() if answer.status == 200 and answer.content else None


async def _kinds(world: World) -> dict[str, str]:
    browser = world.browser()
    form = {"grant_type": "authorization_code", "redirect_uri": f"https://{CLIENT}.example/callback"}
    form["code_verifier"] = "v" * 64
    body = await _post(world, "/token", _fresh(world, **form, code=await world.code(browser, CLIENT)))
    own = await _post(world, "/token", _fresh(world, grant_type="client_credentials"))
    code = await world.code(browser, CLIENT)
    got: list[str] = []

    async def deliver(_url: str, token: str) -> None:
        got.append(token)

    other = world.browser()
    await _post(world, "/token", _fresh(world, **form, code=await world.code(other, CLIENT)))
    await other.post("/signout", {"csrf": "f"})
    await world.provider.logout.drain(deliver)
    return {
        "id": body["id_token"],
        "access": body["access_token"],
        "client's own": own["access_token"],
        "refresh": body["refresh_token"],
        "code": code,
        "logout": got[0],
        "session": browser.session_cookie or "",
        "assertion": assertion(world, CLIENT),
    }


async def _passes_unspent(world: World, token: str) -> set[str]:
    """Return where a token passes without being used up."""
    passed = set()
    if (await world.userinfo(token)).status == 200:
        passed.add("userinfo")
    if (await _post(world, "/introspect", _fresh(world, token=token)))["active"]:
        passed.add("introspect")
    fresh = world.browser()
    if (await fresh.get("/end-session", id_token_hint=token)).status == 303:
        passed.add("hint")
    fresh.http.cookies.set("__Host-edutrust-session", token)
    if (await fresh.get("/account/sessions")).status == 200:
        passed.add("cookie")
    if (await fresh.get("/signin/step", t=token)).status == 200:
        passed.add("step")
    if (await fresh.post("/end-session/confirm", {"t": token, "csrf": "f"})).status != 400:
        passed.add("confirm")
    return passed


async def _passes_spent(world: World, token: str) -> set[str]:
    """Return where a token passes and is used up."""
    passed = set()
    for path, form in (
        ("/token", {"grant_type": "client_credentials"}),
        ("/introspect", {"token": "x"}),
    ):
        if await _post(world, path, asserting(token, **form)) is not None:
            passed.add("authentication")
    if await _post(world, "/token", _fresh(world, grant_type="refresh_token", refresh_token=token)) is not None:
        passed.add("refresh grant")
    redeemed = _fresh(world, grant_type="authorization_code", code=token, code_verifier="v" * 64)
    redeemed["redirect_uri"] = f"https://{CLIENT}.example/callback"
    if await _post(world, "/token", redeemed) is not None:
        passed.add("code grant")
    return passed


@pytest.mark.parametrize("token_format", ["opaque", "jwt"])
@pytest.mark.parametrize("alg", [Alg.ES256, Alg.SGD_SM3_SM2])
def test_only_the_diagonal_passes(opened: OpenWorld, run: Run, token_format: str, alg: Alg) -> None:
    async def story() -> None:
        async with opened() as world:
            document = keyed(
                CLIENT, Alg.ES256, access_token_format=token_format, id_token_signed_response_alg=alg.value
            )
            await world.register(document)
            kinds = await _kinds(world)
            passed = {(kind, at) for kind, token in kinds.items() for at in await _passes_unspent(world, token)}
            passed |= {(kind, at) for kind, token in kinds.items() for at in await _passes_spent(world, token)}
            for kind, token in (await _kinds(world)).items():
                before = world.trail.actions().count("idp.token.revoked")
                assert (await world.browser().post("/revoke", _fresh(world, token=token))).status == 200
                if world.trail.actions().count("idp.token.revoked") > before:
                    passed.add((kind, "revoke"))
            assert passed == DIAGONAL

    run(story())
