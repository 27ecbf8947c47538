"""Pushed authorization requests (RFC 9126): pushed by the client, checked at once, good for one browser once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

from idp.authorize.pushed import PUSHED_LIFETIME_S, REQUEST_URI_PREFIX
from idp.clients.model import ClientState
from tests.idp.authorize.form_page import handed_over
from tests.protocol.world import (
    CHALLENGE,
    ISSUER,
    SECRET,
    Answer,
    Interleaved,
    OpenWorld,
    World,
    authorization,
    basic,
    registration,
)

Run = Callable[[Coroutine[Any, Any, None]], None]
FORM = "application/x-www-form-urlencoded"


async def push(world: World, client_id: str = "learning", **changes: Any) -> Answer:
    """Push an ordinary request as the client does; `changes` replace parameters, None removes one."""
    form = authorization(client_id, **changes)
    headers = {} if client_id == "native" else {"authorization": basic(client_id, SECRET)}
    return await world.browser().post("/par", form, **headers)


async def pushed(world: World, client_id: str = "learning", **changes: Any) -> str:
    answer = await push(world, client_id, **changes)
    assert answer.status == 201, answer.text
    return str(answer.json()["request_uri"])


def test_a_pushed_request_is_answered_with_a_request_uri_and_leads_to_a_code(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await push(world)
            assert answer.status == 201
            assert answer.headers["cache-control"] == "no-store"
            body = answer.json()
            assert set(body) == {"request_uri", "expires_in"}
            assert body["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
            assert body["expires_in"] == PUSHED_LIFETIME_S
            assert 5 <= PUSHED_LIFETIME_S <= 600
            browser = world.browser()
            page = await browser.follow(
                await browser.get("/authorize", client_id="learning", request_uri=body["request_uri"])
            )
            done = await browser.allow(await browser.password(page, "lin"))
            assert done.location.startswith("https://learning.example/callback?")
            assert (done.query["state"], done.query["iss"]) == ("the-state", ISSUER)
            assert (await world.redeem(done.query["code"])).status == 200

    run(story())


def test_a_reload_during_the_sign_in_does_not_break_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            begun = await browser.get("/authorize", client_id="learning", request_uri=await pushed(world))
            await browser.follow(begun)
            page = await browser.follow(begun)
            consent = await browser.password(page, "lin")
            consent = await browser.get("/signin/step", t=consent.hidden("t"))
            assert "code" in (await browser.allow(consent)).query

    run(story())


def test_a_request_uri_is_used_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            request_uri = await pushed(world)
            first = await browser.get("/authorize", client_id="learning", request_uri=request_uri)
            assert "code" in first.query
            for again in (browser, world.browser()):
                refused = await again.get("/authorize", client_id="learning", request_uri=request_uri)
                assert refused.status == 400
                assert refused.json() == {
                    "shown": "idp.oauth.invalid_request_uri",
                    "field": "request_uri",
                    "rule": "not_in_force",
                }

    run(story())


def test_of_sixteen_uses_at_once_one_gets_a_code(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            assert isinstance(world.db, Interleaved)
            browser = world.browser()
            await world.code(browser)
            request_uri = await pushed(world)
            answers = await asyncio.gather(
                *(browser.get("/authorize", client_id="learning", request_uri=request_uri) for _ in range(16))
            )
            assert [answer.status for answer in answers].count(303) == 1
            assert [answer.status for answer in answers].count(400) == 15
            [winner] = [answer for answer in answers if answer.status == 303]
            assert "code" in winner.query

    run(story())


def test_a_request_uri_is_bound_to_its_client_and_another_one_takes_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            request_uri = await pushed(world)
            for other in ("library", "nobody", "Learning", ""):
                refused = await browser.get("/authorize", client_id=other, request_uri=request_uri)
                assert refused.status == 400
                assert "location" not in refused.headers
            refused = await browser.get("/authorize", request_uri=request_uri)
            assert refused.json() == {"shown": "idp.oauth.request_shown", "field": "client_id", "rule": "missing"}
            assert "code" in (await browser.get("/authorize", client_id="learning", request_uri=request_uri)).query

    run(story())


def test_unknown_expired_and_foreign_handles_are_shown_and_not_redirected(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            code = await world.code(browser)
            old = await pushed(world)
            world.clock.advance(PUSHED_LIFETIME_S)
            step = await world.authorize(world.browser())
            handle = step.location.partition("t=")[2]
            for wrong in (old, *(REQUEST_URI_PREFIX + name for name in ("", "x", code, handle, "spa_" + "A" * 43))):
                refused = await browser.get(
                    "/authorize",
                    client_id="learning",
                    request_uri=wrong,
                    redirect_uri="https://learning.example/callback",
                )
                assert refused.status == 400, wrong
                assert refused.json()["shown"] == "idp.oauth.invalid_request_uri"
            assert (await world.redeem(code)).status == 400  # it is one minute old; nothing else took it

    run(story())


def test_parameters_beside_the_request_uri_are_not_looked_at(opened: OpenWorld, run: Run) -> None:
    """RFC 9101 §6.3: only the parameters of the request object are used, even if the same come in the query."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            answer = await browser.get(
                "/authorize",
                **{
                    **authorization(
                        scope="openid edu", state="planted", redirect_uri="https://evil.example/", prompt="none"
                    ),
                    "response_mode": "form_post",
                    "request_uri": await pushed(world),
                },
            )
            assert answer.location.startswith("https://learning.example/callback?code=")
            assert answer.query["state"] == "the-state"
            body = (await world.redeem(answer.query["code"])).json()
            assert body["scope"] == "openid profile"

    run(story())


def test_a_parameter_that_comes_twice_is_refused_at_both_ends(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            request_uri = await pushed(world)
            for name, value in (("client_id", "learning"), ("request_uri", request_uri), ("state", "x")):
                both = [("client_id", "learning"), ("request_uri", request_uri), (name, value), (name, value)]
                refused = await browser.get("/authorize?" + urlencode(both))
                assert refused.status == 400
                assert refused.json()["rule"] == "duplicate"
            for name, value in authorization().items():
                body = urlencode([*authorization().items(), (name, value)])
                answer = await browser.http.post(
                    "/par", content=body, headers={"content-type": FORM, "authorization": basic("learning", SECRET)}
                )
                assert answer.status_code == 400
                assert answer.json() == {"error": "invalid_request", "error_description": f"{name}: duplicate"}

    run(story())


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"request_uri": REQUEST_URI_PREFIX + "x"}, "invalid_request", "request_uri: not_here"),
        ({"request": "e30.e30."}, "request_not_supported", "request: unsupported"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request", "redirect_uri: not_registered"),
        ({"redirect_uri": None}, "invalid_request", "redirect_uri: missing"),
        ({"code_challenge_method": "plain"}, "invalid_request", "code_challenge_method: s256_required"),
        ({"code_challenge_method": None}, "invalid_request", "code_challenge_method: s256_required"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request", "code_challenge: missing"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request", "code_challenge: form"),
        ({"response_type": "token"}, "unsupported_response_type", "response_type: unsupported"),
        ({"response_mode": "fragment"}, "invalid_request", "response_mode: unsupported"),
        ({"scope": "profile"}, "invalid_scope", "scope: openid_missing"),
        ({"prompt": "none login"}, "invalid_request", "prompt: none_with_others"),
    ],
)
def test_every_check_of_the_authorization_endpoint_is_made_when_it_is_pushed(
    opened: OpenWorld, run: Run, changes: dict[str, Any], error: str, told: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await push(world, **changes)
            assert answer.status == 400
            assert answer.json() == {"error": error, "error_description": told}
            assert answer.headers["cache-control"] == "no-store"

    run(story())


def test_the_client_authenticates_as_at_the_token_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            form = authorization()
            anonymous = {name: value for name, value in form.items() if name != "client_id"}
            for headers in (
                {},
                {"authorization": basic("learning", "w" * 43)},
                {"authorization": basic("no-one", SECRET)},
            ):
                refused = await browser.post("/par", anonymous, **headers)
                assert refused.status == 401
                assert refused.json()["error"] == "invalid_client"
            conflict = await browser.post("/par", authorization("library"), authorization=basic("learning", SECRET))
            assert conflict.json() == {"error": "invalid_request", "error_description": "client_id: conflict"}
            in_address = await browser.post("/par?client_id=learning", form, authorization=basic("learning", SECRET))
            assert in_address.status == 400
            assert (await browser.get("/par", **form)).status == 405
            await world.store.set_client_state("learning", ClientState.DISABLED, world.clock())
            assert (await push(world)).status == 401

    run(story())


def test_a_public_client_pushes_with_its_client_id_alone(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            request_uri = await pushed(world, "native")
            browser = world.browser()
            page = await browser.follow(await browser.get("/authorize", client_id="native", request_uri=request_uri))
            done = await browser.allow(await browser.password(page, "lin"))
            assert (await world.redeem(done.query["code"], "native")).status == 200
            impostor = await world.browser().post("/par", authorization("learning"))
            assert impostor.status == 401

    run(story())


def test_a_client_registered_to_push_is_refused_without(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("careful", require_pushed_authorization_requests=True))
            browser = world.browser()
            refused = await world.authorize(browser, "careful")
            assert refused.query["error"] == "invalid_request"
            assert refused.query["error_description"] == "request_uri: pushed_required"
            request_uri = await pushed(world, "careful", response_mode="form_post", prompt="none")
            page = await browser.get("/authorize", client_id="careful", request_uri=request_uri)
            assert handed_over(page)[1]["error"] == "login_required"

    run(story())


def test_a_client_suspended_after_pushing_is_shown_so(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            request_uri = await pushed(world)
            await world.store.set_client_state("learning", ClientState.DISABLED, world.clock())
            refused = await world.browser().get("/authorize", client_id="learning", request_uri=request_uri)
            assert refused.json() == {"shown": "idp.oauth.request_shown", "field": "client_id", "rule": "disabled"}

    run(story())


def test_a_request_uri_of_the_clients_own_stays_unsupported_and_discovery_says_so(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.authorize(world.browser(), request_uri="https://learning.example/request.jwt")
            assert answer.query["error"] == "request_uri_not_supported"
            said = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert said["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
            assert said["require_pushed_authorization_requests"] is False
            assert said["request_uri_parameter_supported"] is False

    run(story())


def test_whoever_only_looks_uses_nothing_up(opened: OpenWorld, run: Run) -> None:
    """HEAD of a mail scanner or a preview, on the way of the link through other hands."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            request_uri = await pushed(world)
            looked = await browser.http.head("/authorize", params={"client_id": "learning", "request_uri": request_uri})
            assert looked.status_code == 405
            assert {method.strip() for method in looked.headers["allow"].split(",")} == {"GET", "POST"}
            answer = await browser.get("/authorize", client_id="learning", request_uri=request_uri)
            step = await browser.http.head(answer.location)
            assert step.status_code == 405
            page = await browser.follow(answer)
            consent = await browser.password(page, "lin")
            await browser.http.head("/signin/step", params={"t": consent.hidden("t")})
            assert "code" in (await browser.allow(consent)).query

    run(story())
