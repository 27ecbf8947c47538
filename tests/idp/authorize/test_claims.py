"""The `claims` parameter (OpenID Connect Core §5.5): what is asked for by name, within what the person allows."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.authorize.claims_request import CLAIMS_CHARS_MAX, parse_claims
from idp.model import Acr
from idp.oauth_errors import InvalidRequest
from tests.idp.authorize.test_pushed import push
from tests.protocol.world import OpenWorld, claims_of, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

ONE, TWO = Acr.ONE.value, Acr.TWO.value


def asking(**places: dict[str, Any]) -> str:
    return json.dumps(places)


def test_an_essential_claim_is_asked_for_released_and_told(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            claims = asking(userinfo={"name": {"essential": True}})
            begun = await world.authorize(browser, scope="openid", claims=claims)
            consent = await browser.password(await browser.follow(begun), "lin")
            assert "姓名" in consent.text  # the page names what is released
            done = await browser.allow(consent)
            body = (await world.redeem(done.query["code"])).json()
            assert body["scope"] == "openid profile"
            told = (await world.userinfo(body["access_token"])).json()
            assert told["name"] == "张·𠮷禾"
            assert set(told) == {"sub", "name", "nickname", "updated_at"}

    run(story())


def test_a_claim_never_gets_past_what_the_person_allows(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            claims = asking(userinfo={"school_code": {"essential": True}}, id_token={"affiliations": None})
            begun = await world.authorize(browser, scope="openid", claims=claims)
            consent = await browser.password(await browser.follow(begun), "lin")
            assert 'name="scope_edu"' in consent.text
            done = await browser.allow(consent)  # the box stays empty
            body = (await world.redeem(done.query["code"])).json()
            assert body["scope"] == "openid"
            assert set((await world.userinfo(body["access_token"])).json()) == {"sub"}
            assert not {"affiliations", "school_code", "name"} & set(claims_of(body["id_token"]))

    run(story())


def test_a_claim_never_gets_past_what_the_registration_allows(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("narrow", scopes_required=["openid"], scopes_optional=[]))
            claims = asking(userinfo={"name": {"essential": True}}, id_token={"school_code": {"essential": True}})
            body = await world.tokens(world.browser(), "narrow", scope="openid", claims=claims)
            assert body["scope"] == "openid"
            assert set((await world.userinfo(body["access_token"])).json()) == {"sub"}
            assert not {"school_code", "name"} & set(claims_of(body["id_token"]))

    run(story())


def test_unknown_claims_are_ignored_and_what_is_not_returned_is_no_error(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser, scope="openid")
            claims = asking(
                userinfo={"email": {"essential": True}, "urn:example:x": {"purpose": "y"}, "id_number": None},
                id_token={"auth_time": {"essential": True}, "affiliations": {"essential": True}},
                verified={"x": 1},
            )
            answer = await world.authorize(browser, "library", scope="openid", claims=claims, prompt="none")
            assert answer.query["error"] == "consent_required"  # the platform itself was never allowed
            answer = await world.authorize(browser, "exempt", scope="openid", prompt="none")
            assert answer.query["error"] == "consent_required"
            await world.register(registration("plain", scopes_required=["openid"]))
            await browser.allow(await browser.follow(await world.authorize(browser, "plain", scope="openid")))
            answer = await world.authorize(browser, "plain", scope="openid", claims=claims, prompt="none")
            body = (await world.redeem(answer.query["code"], "plain")).json()
            assert body["scope"] == "openid"
            assert "auth_time" in claims_of(body["id_token"])
            assert "affiliations" not in claims_of(body["id_token"])

    run(story())


@pytest.mark.parametrize(
    "claims",
    [
        "x",
        "[]",
        "null",
        '"name"',
        '{"userinfo": []}',
        '{"userinfo": null}',
        '{"id_token": {"name": true}}',
        '{"id_token": {"name": ["a"]}}',
        '{"id_token": {"name": {"essential": "true"}}}',
        '{"id_token": {"acr": {"values": "x"}}}',
        '{"id_token": {}, "id_token": {}}',
        '{"id_token": ' + '{"a":' * 80 + "1" + "}" * 81,
        '{"id_token": {"' + "x" * CLAIMS_CHARS_MAX + '": null}}',
    ],
)
def test_malformed_claims_are_an_invalid_request(opened: OpenWorld, run: Run, claims: str) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.authorize(world.browser(), claims=claims)
            assert answer.query["error"] == "invalid_request"
            assert answer.query["error_description"].startswith("claims: ")
            refused = await push(world, claims=claims)
            assert refused.status == 400
            assert refused.json()["error"] == "invalid_request"

    run(story())


def test_a_requested_sub_is_answered_for_that_person_only(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            browser = world.browser()
            sub = claims_of((await world.tokens(browser))["id_token"])["sub"]
            for place in ("id_token", "userinfo"):
                for about in ({"value": sub}, {"values": ["another", sub]}, {"essential": True}, None):
                    answer = await world.authorize(browser, prompt="none", claims=asking(**{place: {"sub": about}}))
                    assert "code" in answer.query
                for about in ({"value": "another"}, {"value": sub + "x"}, {"value": 5}, {"values": []}):
                    answer = await world.authorize(browser, prompt="none", claims=asking(**{place: {"sub": about}}))
                    assert answer.query["error"] == "login_required"
            other = world.browser()
            meant = asking(id_token={"sub": {"value": sub}})
            page = await other.follow(await world.authorize(other, claims=meant))
            answer = await other.allow(await other.password(page, "wang"))
            assert answer.query["error"] == "login_required"

    run(story())


def test_an_essential_acr_is_reached_or_answered_as_unmet(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)

            async def answer(about: dict[str, Any]) -> dict[str, str]:
                claims = asking(id_token={"acr": about})
                return (await world.authorize(browser, prompt="none", claims=claims)).query

            unmet = "unmet_authentication_requirements"
            assert (await answer({"essential": True, "values": ["urn:example:gold"]}))["error"] == unmet
            assert (await answer({"essential": True, "value": 5}))["error"] == unmet
            assert "code" in await answer({"essential": True, "value": ONE})
            assert "code" in await answer({"essential": True, "values": ["urn:example:gold", ONE, TWO]})
            assert "code" in await answer({"essential": True})
            assert "code" in await answer({"values": ["urn:example:gold"]})
            # a second factor is wanted and this sign-in has none
            assert (await answer({"essential": True, "value": TWO}))["error"] == "login_required"
            assert (await answer({"values": [TWO, ONE]}))["error"] == "login_required"

    run(story())


def test_a_higher_class_than_the_essential_one_is_not_passed_off_as_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("strong", acr_minimum=TWO))
            browser = world.browser()
            claims = asking(id_token={"acr": {"essential": True, "value": ONE}})
            page = await browser.password(
                await browser.follow(await world.authorize(browser, "strong", claims=claims)), "lin"
            )
            seed = page.text.partition('id="totp-seed">')[2].partition("<")[0]
            code = world.code_of(_bytes_of(seed))
            form = {"t": page.hidden("t"), "csrf": "form-token", "code": code}
            done = await browser.allow(await browser.follow(await browser.post("/signin/enrol", form)))
            assert done.query["error"] == "unmet_authentication_requirements"

    run(story())


def test_discovery_says_that_claims_may_be_asked_for(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            said = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert said["claims_parameter_supported"] is True

    run(story())


def _bytes_of(seed: str) -> bytes:
    bare = seed.replace(" ", "").replace("-", "")
    return base64.b32decode(bare + "=" * (-len(bare) % 8))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id_token", "userinfo", "sub", "acr", "name", "essential", "value", "values"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON.map(json.dumps) | st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidRequest):
        parsed = parse_claims(text)
        assert parsed.scopes <= {"profile", "edu"}
        assert set(parsed.acr) <= set(Acr)
