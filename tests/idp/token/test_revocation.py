"""RFC 7009: a client gives back its own tokens, and can tell nothing of, and do nothing to, another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.idp.token.test_client_credentials import ROBOT
from tests.idp.token.test_introspection import active
from tests.protocol.world import SECRET, Answer, OpenWorld, World, basic

Run = Callable[[Coroutine[Any, Any, None]], None]


async def revoke(world: World, token: str, client_id: str = "learning", **form: str) -> Answer:
    sent = {"token": token, **form}
    if client_id == "native":
        return await world.browser().post("/revoke", {**sent, "client_id": client_id})
    return await world.browser().post("/revoke", sent, authorization=basic(client_id, SECRET))


def test_a_revoked_refresh_token_takes_its_whole_family_along(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            first, other = await world.tokens(browser), await world.tokens(browser)
            second = (await world.refresh(first["refresh_token"])).json()
            answer = await revoke(world, second["refresh_token"])
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            assert answer.content == b""
            for tokens in (first, second):
                assert (await world.userinfo(tokens["access_token"])).status == 401  # §2.1
                assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
            assert (await world.userinfo(other["access_token"])).status == 200, "another family lives on"
            assert world.trail.actions().count("idp.token.revoked") == 1

    run(story())


def test_a_spent_refresh_token_ends_its_family_too(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            first = await world.tokens(world.browser())
            second = (await world.refresh(first["refresh_token"])).json()
            assert (await revoke(world, first["refresh_token"])).status == 200
            assert (await world.userinfo(second["access_token"])).status == 401

    run(story())


@pytest.mark.parametrize("client_id", ["learning", "national", "native"], ids=["opaque", "jwt", "public"])
def test_a_revoked_access_token_is_dead_and_its_refresh_token_is_not(
    opened: OpenWorld, run: Run, client_id: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            tokens = await world.tokens(world.browser(), client_id)
            assert (await revoke(world, tokens["access_token"], client_id)).status == 200
            assert (await world.userinfo(tokens["access_token"])).status == 401
            assert (await world.refresh(tokens["refresh_token"], client_id)).status == 200

    run(story())


def test_a_clients_token_of_its_own_is_revoked(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(ROBOT)
            token = (await world.token({"grant_type": "client_credentials"}, "robot")).json()["access_token"]
            assert (await revoke(world, token)).status == 200
            assert await active(world, token, "robot"), "another client's request does nothing"
            assert (await revoke(world, token, "robot")).status == 200
            assert not await active(world, token, "robot")

    run(story())


def test_another_clients_token_stays_and_the_answer_is_the_same(opened: OpenWorld, run: Run) -> None:
    """Security class 14: revocation by another client."""

    async def story() -> None:
        async with opened() as world:
            tokens = await world.tokens(world.browser())
            unknown = await revoke(world, "at_" + "A" * 43, "library")
            for name in ("access_token", "refresh_token"):
                answer = await revoke(world, tokens[name], "library")
                assert (answer.status, answer.content) == (200, unknown.content)
            assert (await world.userinfo(tokens["access_token"])).status == 200
            assert (await world.refresh(tokens["refresh_token"])).status == 200
            assert "idp.token.revoked" not in world.trail.actions()

    run(story())


def test_an_unknown_token_is_answered_as_revoked(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            tokens = await world.tokens(world.browser())
            await revoke(world, tokens["refresh_token"])
            for token in ("x", "rt_" + "A" * 43, "a.b.c", "é", tokens["id_token"], tokens["refresh_token"]):
                assert (await revoke(world, token)).status == 200  # §2.2

    run(story())


def test_the_hint_is_a_hint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for hint in ("access_token", "refresh_token", "saml2_token"):
                tokens = await world.tokens(browser)
                assert (await revoke(world, tokens["access_token"], token_type_hint=hint)).status == 200
                assert (await world.userinfo(tokens["access_token"])).status == 401
                assert (await revoke(world, tokens["refresh_token"], token_type_hint=hint)).status == 200
                assert (await world.refresh(tokens["refresh_token"])).status == 400

    run(story())


def test_who_is_no_client_revokes_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser)
            form = {"token": tokens["access_token"]}
            for sent, headers in (
                (form, {}),
                ({**form, "client_id": "learning"}, {}),
                (form, {"authorization": basic("learning", "t" * 43)}),
                (form, {"authorization": f"Bearer {tokens['access_token']}"}),
            ):
                answer = await browser.post("/revoke", sent, **headers)
                assert answer.status == 401
                assert answer.json()["error"] == "invalid_client"
            missing = await browser.post("/revoke", {"x": "y"}, authorization=basic("learning", SECRET))
            assert missing.json()["error"] == "invalid_request"
            in_address = await browser.http.post(
                "/revoke?token=x", headers={"authorization": basic("learning", SECRET)}
            )
            assert in_address.status_code == 400
            assert (await browser.get("/revoke")).status == 405
            assert (await world.userinfo(tokens["access_token"])).status == 200

    run(story())


def test_a_refresh_that_meets_a_revocation_leaves_nothing_alive(opened: OpenWorld, run: Run) -> None:
    """Keycloak #51312: whichever comes first, afterwards the family is dead."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for _ in range(10):
                tokens = await world.tokens(browser)
                refreshed, revoked = await asyncio.gather(
                    world.refresh(tokens["refresh_token"]), revoke(world, tokens["refresh_token"])
                )
                assert revoked.status == 200
                if refreshed.status == 200:
                    body = refreshed.json()
                    assert (await world.userinfo(body["access_token"])).status == 401
                    assert (await world.refresh(body["refresh_token"])).status == 400

    run(story())
