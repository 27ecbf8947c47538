"""RFC 7662: a client learns of its own tokens what they are good for now, and of all others nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.clients.model import ClientState
from idp.model import AccountState
from idp.registry.model import AccountStatus
from idp.registry.person_number import PersonNumber
from tests.idp.token.test_client_credentials import ROBOT, SIGNER
from tests.protocol.world import ISSUER, SECRET, Answer, OpenWorld, World, basic, claims_of

Run = Callable[[Coroutine[Any, Any, None]], None]


async def introspect(world: World, token: str, client_id: str = "learning", **form: str) -> Answer:
    sent = {"token": token, **form}
    return await world.browser().post("/introspect", sent, authorization=basic(client_id, SECRET))


async def active(world: World, token: str, client_id: str = "learning") -> bool:
    answer = await introspect(world, token, client_id)
    assert answer.status == 200
    body = answer.json()
    assert body["active"] or body == {"active": False}, "nothing says why"
    return bool(body["active"])


@pytest.mark.parametrize("client_id", ["learning", "national"], ids=["opaque", "jwt"])
def test_a_client_learns_of_its_access_token(opened: OpenWorld, run: Run, client_id: str) -> None:
    async def story() -> None:
        async with opened() as world:
            tokens = await world.tokens(world.browser(), client_id)
            answer = await introspect(world, tokens["access_token"], client_id)
            assert answer.headers["cache-control"] == "no-store"
            identity = claims_of(tokens["id_token"])
            assert answer.json() == {
                "active": True,
                "token_type": "Bearer",
                "iss": ISSUER,
                "aud": ISSUER,
                "client_id": client_id,
                "sub": identity["sub"],  # the pairwise one of this client
                "scope": tokens["scope"],
                "exp": world.clock() + 600,
                "acr": identity["acr"],
                "auth_time": identity["auth_time"],
            }

    run(story())


@pytest.mark.parametrize("document", [ROBOT, SIGNER], ids=["opaque", "jwt"])
def test_a_client_learns_of_the_token_of_its_own(opened: OpenWorld, run: Run, document: dict[str, object]) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(document)
            client_id = str(document["client_id"])
            body = (await world.token({"grant_type": "client_credentials"}, client_id)).json()
            assert (await introspect(world, body["access_token"], client_id)).json() == {
                "active": True,
                "token_type": "Bearer",
                "iss": ISSUER,
                "aud": ISSUER,
                "client_id": client_id,
                "sub": client_id,
                "scope": "roster.read roster.write",
                "exp": world.clock() + 600,
            }
            assert not await active(world, body["access_token"]), "another client's"
            world.clock.advance(600)
            assert not await active(world, body["access_token"], client_id)

    run(story())


def test_a_refresh_token_is_active_until_it_is_used(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser()))["refresh_token"]
            answer = await introspect(world, token)
            assert answer.json()["active"] is True
            assert "token_type" not in answer.json(), "no resource takes it"
            assert not await active(world, token, "library")
            await world.refresh(token)
            assert not await active(world, token)

    run(story())


def test_the_hint_is_a_hint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            tokens = await world.tokens(world.browser())
            for token in (tokens["access_token"], tokens["refresh_token"]):
                for hint in ("access_token", "refresh_token", "saml2_token"):
                    assert (await introspect(world, token, token_type_hint=hint)).json()["active"] is True

    run(story())


def test_another_clients_token_is_not_active_and_neither_is_nonsense(opened: OpenWorld, run: Run) -> None:
    """RFC 7662 §4; security class 14."""

    async def story() -> None:
        async with opened() as world:
            opaque = await world.tokens(world.browser())
            signed = await world.tokens(world.browser(), "national")
            assert not await active(world, opaque["access_token"], "library")
            assert not await active(world, signed["access_token"], "library")
            for token in ("x", "at_" + "A" * 43, "rt_" + "A" * 43, "a.b.c", "é", opaque["id_token"]):
                assert not await active(world, token)

    run(story())


def test_only_a_confidential_client_that_authenticates_may_ask(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser, "native")
            form = {"token": tokens["access_token"]}
            for sent, headers in (
                (form, {}),
                ({**form, "client_id": "native"}, {}),
                (form, {"authorization": f"Bearer {tokens['access_token']}"}),
                (form, {"authorization": basic("learning", "t" * 43)}),
            ):
                answer = await browser.post("/introspect", sent, **headers)
                assert answer.status == 401
                assert answer.json()["error"] == "invalid_client"
            missing = await browser.post("/introspect", {"x": "y"}, authorization=basic("learning", SECRET))
            assert missing.json()["error"] == "invalid_request"
            assert (await browser.get("/introspect")).status == 405

    run(story())


@pytest.mark.parametrize("state", ["account", "row", "registry", "client", "session", "consent", "revoked", "expired"])
def test_what_is_not_in_force_is_not_active(opened: OpenWorld, run: Run, state: str) -> None:
    """GHSA-wv3h-x6c4-r867, CVE-2026-1609: introspection of a disabled account's token."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser)
            lin = world.people["lin"]
            if state == "account":
                await world.store.set_account_state(lin, AccountState.DISABLED, world.clock())
            elif state == "row":
                await world.db.execute("UPDATE account SET state = 'locked'")
            elif state == "registry":
                await world.registry.set_status(PersonNumber(lin), AccountStatus.LOCKED, now=world.clock())
            elif state == "client":
                await world.store.set_client_state("learning", ClientState.DISABLED, world.clock())
                await world.store.set_client_state("learning", ClientState.ACTIVE, world.clock())
            elif state == "session":
                await world.store.end_sessions_of(lin, world.clock())
            elif state == "consent":
                await world.store.withdraw_consent(lin, "learning", world.clock())
            elif state == "revoked":
                form = {"token": tokens["refresh_token"]}
                await browser.post("/revoke", form, authorization=basic("learning", SECRET))
            else:
                world.clock.advance(12 * 60 * 60)
            assert not await active(world, tokens["access_token"])
            assert not await active(world, tokens["refresh_token"])

    run(story())
