"""A form_post answer sent where the request says instead of where the client is registered (GHSA-9vm7-v8wj-3fqw)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.idp.authorize.form_page import handed_over
from tests.protocol.world import OpenWorld

ADVISORY_CLASSES: tuple[int, ...] = (2,)
SEEN_RED: dict[str, str] = {
    "test_no_form_is_shown_for_an_address_that_is_not_registered": "idp/authorize/checks.py: of a redirect address only the scheme compared",
}

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/callback",
        "https://learning.example.evil.example/callback",
        "https://learning.example@evil.example/callback",
        "https://learning.example/callback/../open?to=//evil.example",
        "//evil.example/callback",
        "javascript:alert(document.domain)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "",
    ],
)
def test_no_form_is_shown_for_an_address_that_is_not_registered(opened: OpenWorld, run: Run, elsewhere: str) -> None:
    async def story() -> None:
        async with opened() as world:
            for broken in ({}, {"response_type": "token"}, {"prompt": "none"}, {"scope": None}):
                answer = await world.authorize(
                    world.browser(), response_mode="form_post", redirect_uri=elsewhere, **broken
                )
                assert answer.status == 400
                assert answer.json()["shown"] == "idp.oauth.request_shown"
                assert "<form" not in answer.text
                assert "location" not in answer.headers

    run(story())


def test_nothing_but_the_registration_names_the_address_of_the_form(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            page = await world.authorize(
                world.browser(),
                response_mode="form_post",
                prompt="none",
                action="https://evil.example/",
                formaction="https://evil.example/",
                state="https://evil.example/",
                target_link_uri="https://evil.example/",
            )
            action, fields = handed_over(page)
            assert action == "https://learning.example/callback"
            assert page.text.count("https://evil.example/") == 1
            assert fields["state"] == "https://evil.example/"

    run(story())


def test_an_unknown_or_suspended_client_gets_no_form(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.authorize(
                world.browser(), "nobody", response_mode="form_post", redirect_uri="https://nobody.example/callback"
            )
            assert answer.status == 400
            assert "<form" not in answer.text

    run(story())
