"""Introspection and revocation by somebody else's client, and tokens of people who may no longer have any.

Keycloak GHSA-wv3h-x6c4-r867 and CVE-2026-1609 (tokens of a disabled account stay active); RFC 7662 §2.1, §4; RFC 7009 §2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.model import AccountState
from tests.protocol.world import SECRET, Answer, OpenWorld, World, basic

ADVISORY_CLASSES: tuple[int, ...] = (14,)
SEEN_RED: dict[str, str] = {
    "test_another_client_learns_exactly_what_it_learns_of_nonsense": "idp/token/introspection.py: the asking client not compared with the token's",
    "test_another_client_revokes_nothing_and_is_not_told_so": "idp/token/revocation.py: the asking client not compared with the refresh token's",
    "test_a_token_of_an_account_that_is_not_active_is_not_active": "idp/token/introspection.py: the account's state not looked at",
}

Run = Callable[[Coroutine[Any, Any, None]], None]


async def asked(world: World, path: str, token: str, client_id: str, **more: str) -> Answer:
    headers = {} if client_id == "native" else {"authorization": basic(client_id, SECRET)}
    form = {"token": token, **({"client_id": "native"} if client_id == "native" else {}), **more}
    return await world.browser().post(path, form, **headers)


@pytest.mark.parametrize("owner", ["learning", "national", "native"])
def test_another_client_learns_exactly_what_it_learns_of_nonsense(opened: OpenWorld, run: Run, owner: str) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), owner)
            for asker in {"library", "learning", "exempt"} - {owner}:
                nonsense = await asked(world, "/introspect", "x" * 43, asker)
                assert nonsense.json() == {"active": False}
                for token in (body["access_token"], body["refresh_token"], body["id_token"]):
                    for hint in ("access_token", "refresh_token", "id_token"):
                        answer = await asked(world, "/introspect", token, asker, token_type_hint=hint)
                        assert (answer.status, answer.content) == (nonsense.status, nonsense.content)
                        assert answer.headers == nonsense.headers

    run(story())


@pytest.mark.parametrize("owner", ["learning", "national", "native"])
def test_another_client_revokes_nothing_and_is_not_told_so(opened: OpenWorld, run: Run, owner: str) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), owner)
            for asker in {"library", "learning", "exempt", "native"} - {owner}:
                nonsense = await asked(world, "/revoke", "x" * 43, asker)
                for token in (body["access_token"], body["refresh_token"]):
                    answer = await asked(world, "/revoke", token, asker)
                    assert (answer.status, answer.content) == (nonsense.status, nonsense.content)
            assert (await world.userinfo(body["access_token"])).status == 200
            assert (await world.refresh(body["refresh_token"], owner)).status == 200

    run(story())


def test_who_is_no_confidential_client_asks_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser(), "native"))["access_token"]
            public = await asked(world, "/introspect", token, "native")
            assert public.status in {400, 401}
            assert "active" not in public.text
            for headers in ({}, {"authorization": f"Bearer {token}"}, {"authorization": basic("learning", "t" * 43)}):
                answer = await world.browser().post("/introspect", {"token": token, "client_id": "learning"}, **headers)
                assert answer.status == 401
                assert answer.json()["error"] == "invalid_client"

    run(story())


@pytest.mark.parametrize("state", [AccountState.LOCKED, AccountState.DISABLED, AccountState.DELETED])
@pytest.mark.parametrize("owner", ["learning", "national"], ids=["opaque", "jwt"])
def test_a_token_of_an_account_that_is_not_active_is_not_active(
    opened: OpenWorld, run: Run, owner: str, state: AccountState
) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), owner)
            for token in (body["access_token"], body["refresh_token"]):
                assert (await asked(world, "/introspect", token, owner)).json()["active"] is True
            # The row alone, without what the verb does besides: the look-up itself must ask.
            await world.db.execute("UPDATE account SET state = $1 WHERE person = $2", state, world.people["lin"])
            for token in (body["access_token"], body["refresh_token"]):
                assert (await asked(world, "/introspect", token, owner)).json() == {"active": False}

    run(story())
