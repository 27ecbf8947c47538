"""A developer's trial platforms: who may have them, how many, with what, and who may sign in there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.sql.idp_sandboxes import REGISTERING_S
from idp.clients.model import ClientOrigin
from idp.developer.hints import WORDS
from tests.adapters.service import built
from tests.protocol.world import NOW, VERIFIER, Answer, Browser, OpenWorld, World, authorization, basic

Run = Callable[[Coroutine[Any, Any, None]], None]
CALLBACK = "https://mine.example/callback"


def form(**changes: str) -> dict[str, str]:
    base = {"name": "我的平台", "redirect_uris": CALLBACK, "method": "client_secret_basic", "alg": "ES256"}
    return {"csrf": "form-token", **base, **changes}


async def developer(world: World, username: str = "lin") -> Browser:
    """Return the browser of a signed-in developer."""
    await world.store.allow_developer(world.people[username], NOW)
    browser = world.browser()
    await world.sign_in(browser, username)
    return browser


async def made(browser: Browser, **changes: str) -> tuple[str, str]:
    """Make a client; return its id and its secret, "" where it has none."""
    page = await browser.post("/developer/clients", form(**changes))
    assert page.status == 200, page.text
    return shown_id(page), shown_secret(page)


def shown_id(page: Answer) -> str:
    found = re.search(r"<code>(sandbox-[0-9a-f]{16})</code>", page.text)
    assert found is not None, page.text
    return found[1]


def shown_secret(page: Answer) -> str:
    found = re.search(r'data-copy="([A-Za-z0-9_-]{43})"', page.text)
    return "" if found is None else found[1]


async def code_of(browser: Browser, client_id: str, **changes: Any) -> str:
    asked = authorization(client_id, redirect_uri=CALLBACK, **changes)
    answer = await browser.follow(await browser.get("/authorize", **asked))
    if answer.status == 200:
        answer = await browser.allow(answer)
    return answer.query["code"]


async def redeem(world: World, client_id: str, secret: str, code: str, **changes: str) -> Answer:
    sent = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **changes,
    }
    return await world.browser().post("/token", sent, authorization=basic(client_id, secret))


def test_only_whom_the_operator_allowed_gets_in(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            stranger = world.browser()
            assert (await stranger.get("/developer")).location == "/signin?return=/developer"
            await world.sign_in(stranger)
            page = await stranger.get("/developer")
            assert page.status == 403
            assert "/developer/clients" not in page.text
            refused = await stranger.post("/developer/clients", form())
            assert (refused.status, refused.json()["shown"]) == (403, "idp.developer.not_allowed")
            await world.store.allow_developer(world.people["lin"], NOW)
            assert (await stranger.get("/developer")).status == 200

    run(story())


def test_a_developer_makes_a_client_and_signs_in_with_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser)
            client = await world.client(client_id)
            assert (client.origin, client.owner) == (ClientOrigin.DEVELOPER, world.people["lin"])
            tokens = await redeem(world, client_id, secret, await code_of(browser, client_id))
            assert tokens.status == 200, tokens.text
            # The secret is nowhere to be read again.
            assert secret not in (await browser.get(f"/developer/clients/{client_id}")).text
            row = await world.db.fetch_one("SELECT registration FROM client WHERE client_id = $1", client_id)
            assert row is not None
            assert secret not in row["registration"]

    run(story())


def test_nobody_but_its_developer_signs_in_at_a_sandbox(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            client_id, _ = await made(await developer(world))
            await world.add_person("wang", 2)
            other = world.browser()
            await world.sign_in(other, "wang")
            answer = await other.get("/authorize", **authorization(client_id, redirect_uri=CALLBACK))
            assert answer.query["error"] == "access_denied"
            # Nor by signing in on the way.
            late = world.browser()
            page = await late.follow(await late.get("/authorize", **authorization(client_id, redirect_uri=CALLBACK)))
            refused = await late.password(page, "wang")
            assert (refused.status, refused.json()["rule"]) == (403, "sandbox")

    run(story())


def test_the_consent_page_says_that_it_is_a_trial(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, _ = await made(browser)
            asked = authorization(client_id, redirect_uri=CALLBACK)
            page = await browser.follow(await browser.get("/authorize", **asked))
            translators, _, _ = built()
            assert translators["zh-CN"]("developer.consent_trial") in page.text
            ordinary = await browser.follow(await world.authorize(browser))
            assert translators["zh-CN"]("developer.consent_trial") not in ordinary.text

    run(story())


def test_a_developer_has_three_places_however_many_ask_at_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            pages = await asyncio.gather(*(browser.post("/developer/clients", form()) for _ in range(8)))
            assert sorted(page.status for page in pages) == [200] * 3 + [409] * 5
            first = next(shown_id(page) for page in pages if page.status == 200)
            ended = await browser.post(f"/developer/clients/{first}/end", {"csrf": "form-token"})
            assert ended.location == "/developer"
            assert await world.store.client(first) is None
            assert (await browser.post("/developer/clients", form())).status == 200
            # A client that the operator removed leaves its place, too.
            second = next(shown_id(page) for page in pages if page.status == 200 and shown_id(page) != first)
            await world.store.delete_client(second)
            assert (await browser.post("/developer/clients", form())).status == 409
            world.clock.advance(REGISTERING_S + 1)
            assert (await browser.post("/developer/clients", form())).status == 200

    run(story())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"redirect_uris": "http://plain.example/callback"}, "redirect_uris"),
        ({"redirect_uris": "com.example.app:/callback", "method": "none"}, "redirect_uris"),
        ({"redirect_uris": "javascript:alert(1)"}, "redirect_uris"),
        ({"redirect_uris": "https://["}, "redirect_uris"),
        ({"redirect_uris": "https://a.example/#x"}, "redirect_uris"),
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"method": "client_secret_jwt"}, "method"),
        ({"alg": "none"}, "alg"),
        ({"alg": "HS256"}, "alg"),
        ({"method": "private_key_jwt"}, "jwks"),
        ({"method": "private_key_jwt", "jwks": "{"}, "jwks"),
        ({"method": "private_key_jwt", "jwks": "null"}, "jwks"),
        ({"method": "private_key_jwt", "jwks": '{"keys":[1]}'}, "jwks"),
        ({"method": "private_key_jwt", "jwks": '{"keys":[{"kty":"EC"}]}'}, "jwks"),
        ({"method": "private_key_jwt", "jwks": '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}'}, "jwks"),
        ({"method": "private_key_jwt", "jwks": "[" * 3000}, "jwks"),
        ({"redirect_uris": "https://a.example/\x00"}, "redirect_uris"),
        ({"redirect_uris": "\n".join(f"https://a.example/{n}" for n in range(30))}, "redirect_uris"),
        ({"post_logout_redirect_uris": "mailto:a@b"}, "post_logout_redirect_uris"),
        ({"backchannel_logout_uri": "ftp://mine.example/"}, "backchannel_logout_uri"),
    ],
)
def test_what_may_not_be_registered_is_shown_at_its_field(
    opened: OpenWorld, run: Run, changes: dict[str, str], field: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            page = await browser.post("/developer/clients", form(**changes))
            assert page.status == 422, page.text
            assert f'href="#{field}"' in page.text
            assert await world.store.sandboxes_of(world.people["lin"]) == ()

    run(story())


def test_no_form_makes_a_sandbox_more_than_a_sandbox(opened: OpenWorld, run: Run) -> None:
    """Advisory class 34: what the owner, the origin, the scopes or the acr are is not the form's to say."""

    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, _ = await made(
                browser,
                owner="",
                origin="static",
                scope="phone",
                scopes_client="x",
                acr_minimum="",
                client_id="learning",
            )
            client = await world.client(client_id)
            assert client.owner == world.people["lin"]
            assert client.scopes == {"openid", "profile", "edu", "offline_access"}
            assert client.scopes_client == ()
            assert (await world.client("learning")).owner is None

    run(story())


def test_a_change_keeps_the_secret_and_a_renewed_one_replaces_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser)
            changed = await browser.post(
                f"/developer/clients/{client_id}",
                form(redirect_uris=f"{CALLBACK}\r\nhttp://127.0.0.1:9/x", alg="RS256"),
            )
            assert changed.location == f"/developer/clients/{client_id}"
            assert "http://127.0.0.1:9/x" in (await world.client(client_id)).redirect_uris
            code = await code_of(browser, client_id)
            assert (await redeem(world, client_id, secret, code)).status == 200
            renewed = shown_secret(await browser.post(f"/developer/clients/{client_id}/secret", {"csrf": "form-token"}))
            code = await code_of(browser, client_id)
            assert (await redeem(world, client_id, secret, code)).status == 401
            assert (await redeem(world, client_id, renewed, code)).status == 200

    run(story())


def test_the_national_profile_is_a_switch(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser, alg="SGD_SM3_SM2")
            answer = await redeem(world, client_id, secret, await code_of(browser, client_id))
            assert answer.json()["id_token"].startswith("eyJhbGciOiJTR0RfU00zX1NNMiI")

    run(story())


def test_another_developers_client_is_as_if_unknown(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            client_id, _ = await made(await developer(world))
            await world.add_person("wang", 2)
            other = await developer(world, "wang")
            for path in ("", "/secret", "/test", "/end"):
                answer = await other.post(f"/developer/clients/{client_id}{path}", form())
                assert (answer.status, answer.json()["shown"]) == (404, "idp.developer.client_unknown"), path
            assert (await other.get(f"/developer/clients/{client_id}")).status == 404
            assert (await other.get("/developer/clients/learning")).status == 404
            assert client_id not in (await other.get("/developer")).text

    run(story())


def test_taking_the_permission_back_ends_the_clients(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser)
            tokens = (await redeem(world, client_id, secret, await code_of(browser, client_id))).json()
            assert await world.store.disallow_developer(world.people["lin"], NOW)
            assert not await world.store.disallow_developer(world.people["lin"], NOW)
            assert (await browser.get("/developer")).status == 403
            assert (await world.userinfo(tokens["access_token"])).status == 401
            row = await world.db.fetch_one("SELECT state FROM client WHERE client_id = $1", client_id)
            assert row is not None
            assert row["state"] == "disabled"
            assert await world.store.developers() == ()

    run(story())


def test_every_hint_has_its_message_in_both_languages() -> None:
    translators, _, _ = built()
    for word in WORDS:
        for language in ("zh-CN", "en"):
            assert f"developer.hint.{word}" in translators[language], word
