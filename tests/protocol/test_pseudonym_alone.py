"""A platform that is given a pseudonym alone is not asked about at first, and like any other once withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.protocol.world import OpenWorld, registration

Run = Callable[[Coroutine[Any, Any, None]], None]
ALONE = {"scopes_required": ["openid"], "scopes_optional": []}


def test_a_pseudonym_alone_needs_no_page_and_stands_among_the_allowed_platforms(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("shelf", **ALONE))
            browser = world.browser()
            await world.sign_in(browser)
            answer = await browser.follow(await world.authorize(browser, "shelf", scope="openid"))
            assert "code" in answer.query
            body = (await world.redeem(answer.query["code"], "shelf")).json()
            assert set((await world.userinfo(body["access_token"])).json()) == {"sub"}
            (consent,) = await world.store.consents_of(world.people["lin"])
            assert (consent.client_id, consent.granted) == ("shelf", ("openid",))

    run(story())


def test_once_withdrawn_it_is_asked_about_like_any_other(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("shelf", **ALONE))
            browser = world.browser()
            await world.sign_in(browser)
            code = (await browser.follow(await world.authorize(browser, "shelf", scope="openid"))).query["code"]
            body = (await world.redeem(code, "shelf")).json()
            assert await world.store.withdraw_consent(world.people["lin"], "shelf", world.clock())
            assert (await world.userinfo(body["access_token"])).status == 401
            page = await browser.follow(await world.authorize(browser, "shelf", scope="openid"))
            assert "/signin/consent" in page.text
            silent = await world.authorize(browser, "shelf", scope="openid", prompt="none")
            assert silent.query["error"] == "consent_required"
            assert not await world.store.consents_of(world.people["lin"])

    run(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes_required": ["openid"], "scopes_optional": ["profile"]},
        {"scopes_required": ["openid", "profile"], "scopes_optional": []},
        {**ALONE, "subject_type": "public"},
    ],
)
def test_one_more_scope_or_a_public_subject_is_asked_about_from_the_start(
    opened: OpenWorld, run: Run, changes: dict[str, Any]
) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("shelf", **changes))
            browser = world.browser()
            await world.sign_in(browser)
            page = await browser.follow(await world.authorize(browser, "shelf", scope="openid"))
            assert "/signin/consent" in page.text

    run(story())
