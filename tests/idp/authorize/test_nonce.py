"""Neither challenge nor nonce only where the registration says so; and a constant one is noticed (RFC 9700 §2.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.authorize.repeats import CLIENTS_KEPT, TOLD_AGAIN_S, Repeat, RepeatedValues
from idp.authorize.request import AuthorizationRequest, parse_authorization_request
from tests.protocol.world import CHALLENGE, NOW, OpenWorld, authorization, claims_of, registration
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]

WITHOUT_PKCE: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None}


@pytest.mark.parametrize(
    ("members", "sent", "missing"),
    [
        ({}, {"nonce": None}, None),
        ({}, WITHOUT_PKCE, "code_challenge"),
        ({"require_nonce": True}, {"nonce": None}, "nonce"),
        ({"require_nonce": True}, {}, None),
        ({"require_pkce": False}, {**WITHOUT_PKCE, "nonce": None}, "nonce"),
        ({"require_pkce": False}, WITHOUT_PKCE, None),
        ({"require_pkce": False}, {"nonce": None}, None),
        ({"require_pkce": False, "require_nonce": False}, {**WITHOUT_PKCE, "nonce": None}, None),
    ],
)
def test_a_request_carries_what_its_registration_demands(
    opened: OpenWorld, run: Run, members: dict[str, object], sent: dict[str, Any], missing: str | None
) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", **members))
            answer = await world.authorize(world.browser(), **sent)
            if missing is None:
                assert answer.location.startswith("/signin/step")
            else:
                assert answer.query["error_description"] == f"{missing}: missing"

    run(story())


def test_without_a_nonce_in_the_request_there_is_none_in_the_id_token(opened: OpenWorld, run: Run) -> None:
    """OpenID Connect Core §3.1.2.1: optional in the code flow."""

    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", require_pkce=False, require_nonce=False))
            code = await world.code(world.browser(), **WITHOUT_PKCE, nonce=None)
            body = (await world.redeem(code, code_verifier=None)).json()
            assert "nonce" not in claims_of(body["id_token"])
            refused = await world.redeem(await world.code(world.browser(), **WITHOUT_PKCE, nonce=None))
            assert refused.json()["error"] in {"invalid_grant", "invalid_request"}, "a verifier without a challenge"

    run(story())


def request(state: str, **changes: Any) -> AuthorizationRequest:
    return parse_authorization_request(authorization(state=state, **changes), None)


def test_a_value_that_comes_under_another_state_is_noticed_and_recorded_once_an_hour(clock: StillClock) -> None:
    watch = RepeatedValues(clock=clock)
    assert watch.noticed(request("1"), "browser") is None
    assert watch.noticed(request("1"), "browser") is None, "a page loaded again"
    assert watch.noticed(request("2"), "browser") == Repeat("code_challenge", to_record=True)
    assert watch.noticed(request("3"), "browser") == Repeat("code_challenge", to_record=False)
    clock.advance(TOLD_AGAIN_S)
    assert watch.noticed(request("4", code_challenge="a" * 43), "browser") == Repeat("nonce", to_record=True)
    assert watch.noticed(request("5", code_challenge="b" * 43, nonce="fresh"), "browser") is None


def test_the_same_request_from_one_browser_after_another_is_noticed(clock: StillClock) -> None:
    watch = RepeatedValues(clock=clock)
    assert watch.noticed(request("1"), "one") is None
    for again in ("two", "two", "three"):
        assert watch.noticed(request("1"), again) is None, "somebody signs in and goes back"
    assert watch.noticed(request("1"), "four") == Repeat("code_challenge", to_record=True)


def test_without_a_state_another_browser_is_another_request(clock: StillClock) -> None:
    watch = RepeatedValues(clock=clock)
    stateless = parse_authorization_request(authorization(state=None), None)
    assert watch.noticed(stateless, "one") is None
    assert watch.noticed(stateless, "one") is None
    assert watch.noticed(stateless, "two") == Repeat("code_challenge", to_record=True)


def test_values_that_change_are_never_noticed(clock: StillClock) -> None:
    watch = RepeatedValues(clock=clock)
    for number in range(50):
        asked = request("constant", code_challenge=f"{number:043d}", nonce=None)
        assert watch.noticed(asked, f"browser {number}") is None


def test_clients_are_told_apart_and_their_number_is_bounded(clock: StillClock) -> None:
    watch = RepeatedValues(clock=clock)
    assert watch.noticed(request("1"), "b") is None
    assert watch.noticed(request("2", client_id="library"), "b") is None
    for number in range(CLIENTS_KEPT):
        watch.noticed(request("1", client_id=f"c{number}"), "b")
    assert watch.noticed(request("3"), "b") is None, "the longest unseen has left"


def test_a_constant_challenge_is_recorded_and_the_person_is_not_stopped(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            assert "code" in (await world.authorize(browser, state="another", nonce="another")).query
            (event,) = [event for event in world.trail.events if event.action == "idp.authorize.value_repeated"]
            assert event.object == "learning"
            assert event.time >= NOW
            assert CHALLENGE not in repr(event)
            for number in range(5):
                await world.authorize(browser, state=f"s{number}", nonce=f"n{number}")
            assert world.trail.actions().count("idp.authorize.value_repeated") == 1

    run(story())
