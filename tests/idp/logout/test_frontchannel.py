"""Signing out through the browser (OpenID Connect Front-Channel Logout 1.0)."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.requests import Request

from crypto.errors import TrustError
from idp.clients.model import ClientState
from tests.protocol.world import ISSUER, Answer, OpenWorld, World, claims_of, registration

Run = Callable[[Coroutine[Any, Any, None]], None]
BYE = "https://learning.example/bye"


def frames(answer: Answer) -> list[str]:
    """Return the addresses the page opens in frames."""
    return [html.unescape(found) for found in re.findall(r'<iframe src="([^"]*)"', answer.text)]


def refresh_of(answer: Answer) -> str | None:
    """Return where the page leads by itself."""
    found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', answer.text)
    return None if found is None else html.unescape(found[1])


async def _register(world: World, *client_ids: str) -> None:
    await world.register(
        *(
            registration(name, frontchannel_logout_uri=f"https://{name}.example/front", backchannel_logout_uri=None)
            for name in client_ids
        )
    )


def test_each_platform_of_the_session_is_told_with_its_own_issuer_and_sid(opened: OpenWorld, run: Run) -> None:
    """§3: the page loads every `frontchannel_logout_uri`; §2: with `iss` and `sid`, and `sid` is the ID token's."""

    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning", "library")
            browser = world.browser()
            learning, library = await world.tokens(browser), await world.tokens(browser, "library")
            await world.tokens(browser, "national")
            answer = await browser.get(
                "/end-session", id_token_hint=learning["id_token"], post_logout_redirect_uri=BYE, state="s&t"
            )
            assert answer.status == 200
            told = {urlsplit(address).netloc: parse_qs(urlsplit(address).query) for address in frames(answer)}
            assert told == {
                f"{name}.example": {"iss": [ISSUER], "sid": [claims_of(body["id_token"])["sid"]]}
                for name, body in (("learning", learning), ("library", library))
            }
            assert refresh_of(answer) == f"{BYE}?state=s%26t"
            assert answer.headers["cache-control"] == "no-store"
            assert browser.session_cookie is None
            assert (await browser.get("/account/sessions")).status == 303
            assert (await world.userinfo(learning["access_token"])).status == 401
            # Read again, the page has nothing to tell any more and moves on.
            again = await browser.get("/end-session", id_token_hint=learning["id_token"], post_logout_redirect_uri=BYE)
            assert (again.status, again.location) == (303, BYE)

    run(story())


def test_the_query_of_the_registered_address_is_kept(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration(frontchannel_logout_uri="https://learning.example/front?a=1&b=%26"))
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            [address] = frames(await browser.get("/end-session", id_token_hint=token))
            assert address.startswith("https://learning.example/front?a=1&b=%26&iss=https")
            assert set(parse_qs(urlsplit(address).query)) == {"a", "b", "iss", "sid"}

    run(story())


def test_without_a_platform_that_wants_to_hear_the_browser_moves_on_at_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _register(world, "library")
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            answer = await browser.get("/end-session", id_token_hint=token, post_logout_redirect_uri=BYE)
            assert (answer.status, answer.location) == (303, BYE)

    run(story())


def test_a_disabled_platform_is_not_told(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning", "library")
            browser = world.browser()
            await world.tokens(browser)
            await world.tokens(browser, "library")
            await world.store.set_client_state("library", ClientState.DISABLED, world.clock())
            answer = await browser.post("/signout", {"csrf": "f"})
            assert [urlsplit(address).netloc for address in frames(answer)] == ["learning.example"]

    run(story())


def test_a_person_who_signs_out_by_hand_stays_on_our_page(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning")
            for path in ("/signout", "/account/sessions/end-all"):
                browser = world.browser()
                await world.tokens(browser)
                answer = await browser.post(path, {"csrf": "f"})
                assert len(frames(answer)) == 1
                assert refresh_of(answer) is None
                assert 'href="/signin"' in answer.text
                assert browser.session_cookie is None

    run(story())


def test_ending_a_sign_in_elsewhere_opens_no_frame_here(opened: OpenWorld, run: Run) -> None:
    """Frames reach this browser's cookies only; the other browser's platforms are told over the back channel."""

    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning")
            here, there = world.browser(), world.browser()
            await world.tokens(there)
            await world.sign_in(here)
            page = (await here.get("/account/sessions")).text
            [mine, theirs] = re.findall(r'name="reference" value="([^"]+)"', page)
            answer = await here.post("/account/sessions/end", {"csrf": "f", "reference": theirs})
            assert (answer.status, answer.location) == (303, "/account/sessions")
            answer = await here.post("/account/sessions/end", {"csrf": "f", "reference": mine})
            assert (answer.status, answer.location) == (303, "/signed-out")
            assert (await there.get("/account/sessions")).status == 303

    run(story())


def test_after_the_persons_yes_the_platforms_are_told_too(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning")
            browser = world.browser()
            await world.tokens(browser)
            page = await browser.get("/end-session", client_id="learning", post_logout_redirect_uri=BYE)
            assert frames(page) == []
            answer = await browser.post("/end-session/confirm", {"csrf": "f", "t": page.hidden("t"), "answer": "yes"})
            assert len(frames(answer)) == 1
            assert refresh_of(answer) == BYE
            # The same form sent again (a reload) has nothing to end and says so, in peace.
            again = await browser.post("/end-session/confirm", {"csrf": "f", "t": page.hidden("t"), "answer": "yes"})
            assert (again.status, again.location) == (303, "/signed-out")

    run(story())


def test_the_frames_may_not_lead_the_person_elsewhere(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning")
            browser = world.browser()
            await world.tokens(browser)
            answer = await browser.post("/signout", {"csrf": "f"})
            [frame] = re.findall(r"<iframe [^>]*>", answer.text)
            assert 'sandbox="allow-scripts allow-same-origin"' in frame
            assert 'referrerpolicy="no-referrer"' in frame
            assert " hidden" in frame

    run(story())


def test_only_the_origins_of_the_frames_are_let_into_the_policy(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _register(world, "learning", "library")
            browser = world.browser()
            await world.tokens(browser)
            await world.tokens(browser, "library")
            seen: list[object] = []
            inner = world.app

            async def looking(scope: Any, receive: Any, send: Any) -> None:
                await inner(scope, receive, send)
                seen.append(getattr(Request(scope).state, "frame_src", None))

            browser.http._transport.app = looking  # type: ignore[attr-defined]  # the test's own transport
            await browser.get("/signed-out")
            await browser.post("/signout", {"csrf": "f"})
            assert seen == [None, ("https://learning.example", "https://library.example")]

    run(story())


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/front",
        "http://learning.example/front",
        "https://learning.example:8443/front",
        "https://learning.example.evil.example/front",
        "https://learning.example@evil.example/front",
        "javascript:alert(1)",
        "https://learning.example/front#x",
        "/front",
    ],
)
def test_the_address_must_be_on_the_origin_of_a_redirect_uri(opened: OpenWorld, run: Run, uri: str) -> None:
    """§2: absolute, without a fragment; domain, port and scheme are those of a registered redirection URI."""

    async def story() -> None:
        async with opened() as world:
            with pytest.raises(TrustError, match="frontchannel_logout_uri"):
                await world.register(registration(frontchannel_logout_uri=uri))

    run(story())


def test_a_request_that_only_looks_ends_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            answer = await browser.http.head("/end-session", params={"id_token_hint": token})
            assert answer.status_code == 405
            assert (await browser.get("/account/sessions")).status == 200

    run(story())
