"""OAuth 2.0 Device Authorization Grant (RFC 8628), by section."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.protocol.devices import Device, connect, say, screen, to_consent, type_code
from tests.protocol.world import Browser, OpenWorld, World, claims_of

Run = Callable[[Coroutine[Any, Any, None]], None]

FREE, WAITING = "tokens", "authorization_pending"


@asynccontextmanager
async def _opened(opened: OpenWorld, *more: dict[str, object]) -> AsyncIterator[tuple[World, Browser, Device]]:
    """Open a world with a client that is a device, a person signed in, and a device that has asked."""
    async with opened() as world:
        await world.register(screen(), *more)
        browser = world.browser()
        await world.sign_in(browser)
        device = Device(world)
        assert (await device.ask()).status == 200
        yield world, browser, device


def test_3_1_the_client_authenticates_as_at_the_token_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened, screen("open", token_endpoint_auth_method="none", client_secret=None)) as (
            world,
            _,
            _,
        ):
            nobody = await world.browser().post("/device_authorization", {"client_id": "screen", "scope": "openid"})
            assert (nobody.status, nobody.json()["error"]) == (401, "invalid_client")
            assert "www-authenticate" in nobody.headers
            assert (await Device(world, "open").ask()).status == 200

    run(story())


def test_3_1_a_client_not_registered_for_the_grant_is_refused_at_both_endpoints(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, _, device):
            other = Device(world, "learning", device.device_code)
            asked = await other.ask()
            assert (asked.status, asked.json()["error"]) == (400, "unauthorized_client")
            assert await other.told() == "unauthorized_client"

    run(story())


@pytest.mark.parametrize("scope", [None, "", "profile", "openid edu phone_of_the_head"])
def test_3_1_the_scope_is_checked_as_at_the_authorization_endpoint(
    opened: OpenWorld, run: Run, scope: str | None
) -> None:
    async def story() -> None:
        async with _opened(opened, screen("small", scopes_optional=[])) as (world, _, _):
            answer = await Device(world, "small").ask(scope=scope, client_name="ignored")
            assert (answer.status, answer.json()["error"]) == (400, "invalid_scope")

    run(story())


def test_3_1_a_resource_is_checked_as_at_the_authorization_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        library = "https://library.example/api"
        async with _opened(opened, screen("reader", resources=[library])) as (world, browser, device):
            assert (await device.ask(resource=library)).json()["error"] == "invalid_target"
            reader = Device(world, "reader")
            assert (await reader.ask(resource=library)).status == 200
            await connect(browser, reader.user_code)
            assert await reader.told(resource="https://elsewhere.example/") == "invalid_target"
            tokens = (await reader.poll()).json()
            described = await reader.post("/introspect", {"token": tokens["access_token"]})
            assert described.json()["aud"] == library

    run(story())


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_3_1_the_endpoint_takes_a_form_by_post_only(opened: OpenWorld, run: Run, method: str) -> None:
    async def story() -> None:
        async with opened() as world:
            assert (await world.browser().http.request(method, "/device_authorization")).status_code == 405
            answer = await world.browser().http.post("/device_authorization", json={"scope": "openid"})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    run(story())


def test_3_2_the_answer_has_every_required_member_and_is_not_cached(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, _, device):
            answer = await device.ask()
            body = answer.json()
            assert body["verification_uri"] == "https://id.example.edu.cn/device"
            assert body["verification_uri_complete"] == f"{body['verification_uri']}?user_code={body['user_code']}"
            assert (body["expires_in"], body["interval"]) == (600, 5)
            assert answer.headers["cache-control"] == "no-store"
            assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", body["user_code"])
            assert len(body["device_code"]) >= 43

    run(story())


def test_3_2_no_two_devices_are_given_the_same_codes(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, _, _):
            devices = [Device(world) for _ in range(40)]
            await asyncio.gather(*(device.ask() for device in devices))
            assert len({device.user_code for device in devices}) == 40
            assert len({device.device_code for device in devices}) == 40

    run(story())


def test_3_3_the_person_signs_in_first_and_comes_back_with_the_code_filled_in(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, _, device):
            browser = world.browser()
            page = await browser.follow(await browser.get("/device", user_code=device.user_code.lower()))
            assert "/signin/password" in page.text
            page = await browser.password(page, "lin")
            assert page.hidden("csrf")
            assert f'value="{device.user_code}"' in page.text
            assert 'action="/device"' in page.text
            assert await device.told() == WAITING

    run(story())


def test_3_3_code_page_confirmation_consent_and_the_device_has_its_tokens(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            page = await type_code(browser, device.user_code)
            for shown in ("教室大屏", device.user_code, "Chrome · Android", "127.0.0.0/24"):
                assert shown in page.text
            assert "idp.device" not in page.text
            page = await say(browser, page, "yes")
            assert "/signin/consent" in page.text
            assert await device.told() == WAITING
            done = await browser.allow(page)
            assert done.status == 200
            answer = await device.poll()
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            tokens = answer.json()
            assert tokens["scope"] == "openid profile"
            claims = claims_of(tokens["id_token"])
            assert claims["aud"] == "screen"
            assert claims["amr"] == ["pwd"]
            assert "nonce" not in claims
            assert (await world.userinfo(tokens["access_token"])).json()["sub"] == claims["sub"]
            again = await device.post(
                "/token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            )
            assert again.status == 200
            assert {"idp.device.requested", "idp.device.approved", "idp.token.issued"} <= set(world.trail.actions())

    run(story())


def test_3_3_case_width_and_separators_of_the_code_do_not_count(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            bare = device.user_code.replace("-", "")
            wide = "".join(chr(ord(letter) + 0xFEE0) for letter in bare)
            for typed in (bare.lower(), " ".join(bare), f" {bare[:4]}—{bare[4:]}".replace("—", "·"), wide):
                page = await type_code(browser, typed)
                assert (page.status, device.user_code in page.text) == (200, True)

    run(story())


def test_3_3_an_optional_scope_left_unticked_is_not_granted(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            await device.ask(scope="openid profile edu offline_access")
            await connect(browser, device.user_code, "offline_access")
            tokens = (await device.poll()).json()
            assert tokens["scope"] == "openid profile offline_access"

    run(story())


def test_3_3_1_opening_the_complete_address_changes_nothing(opened: OpenWorld, run: Run) -> None:
    """The code is filled in; the person still sends it, sees whose device it is, and says so."""

    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            for _ in range(3):
                page = await browser.get("/device", user_code=device.user_code)
                assert f'value="{device.user_code}"' in page.text
                assert "教室大屏" not in page.text
            assert await device.told() == WAITING

    run(story())


def test_3_3_a_platform_that_wants_two_factors_gets_them(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened, screen("strict", acr_minimum="urn:edutrust:acr:2")) as (world, browser, _):
            strict = Device(world, "strict")
            await strict.ask()
            page = await to_consent(browser, strict.user_code)
            assert "/signin/password" in page.text, "a new factor is only added after the password"
            page = await world.enrol(browser, await browser.password(page, "lin"))
            assert "/signin/consent" in page.text
            world.clock.advance(5)
            assert await strict.told() == WAITING
            await browser.allow(page)
            claims = claims_of((await strict.poll()).json()["id_token"])
            assert (claims["acr"], claims["amr"]) == ("urn:edutrust:acr:2", ["pwd", "otp"])

    run(story())


def test_3_4_a_device_code_is_another_clients_to_no_one(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened, screen("other")) as (world, browser, device):
            await connect(browser, device.user_code)
            thief = Device(world, "other", device.device_code)
            assert await thief.told() == "invalid_grant"
            assert await device.told() == FREE

    run(story())


@pytest.mark.parametrize("code", ["", "sdc_" + "A" * 43, "x", "é" * 47, "rdc_" + "A" * 43])
def test_3_4_what_is_no_device_code_is_refused(opened: OpenWorld, run: Run, code: str) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, _, device):
            assert await device.told(device_code=code) == ("invalid_grant" if code else "invalid_request")

    run(story())


def test_3_5_a_device_that_asks_too_soon_is_slowed_by_five_seconds_each_time(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, _, device):
            # (seconds since the last request, what it is told): the interval is 5, then 10, then 15.
            for waited, told in (
                (0, WAITING),
                (5, WAITING),
                (4, "slow_down"),
                (9, "slow_down"),
                (15, WAITING),
                (15, WAITING),
            ):
                world.clock.advance(waited)
                assert await device.told() == told, waited
            world.clock.advance(14)
            assert await device.told() == "slow_down"

    run(story())


def test_3_5_of_requests_at_once_one_is_in_time_and_each_other_slows_the_device(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, _, device):
            told = await asyncio.gather(*(device.told() for _ in range(4)))
            assert sorted(told) == [WAITING, "slow_down", "slow_down", "slow_down"]
            world.clock.advance(19)
            assert await device.told() == "slow_down", "5 and three times 5"

    run(story())


def test_3_5_no_is_told_to_the_device_and_stands(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            page = await say(browser, await type_code(browser, device.user_code), "no")
            assert page.status == 200
            refused = await device.poll()
            assert (refused.status, refused.json()["error"]) == (400, "access_denied")
            assert (await type_code(browser, device.user_code)).status == 422
            assert "idp.device.denied" in world.trail.actions()

    run(story())


def test_3_5_no_on_the_consent_page_is_a_no_as_well(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            page = await to_consent(browser, device.user_code)
            await browser.follow(await browser.post("/signin/cancel", {"t": page.hidden("t"), "csrf": "form-token"}))
            assert await device.told() == "access_denied"

    run(story())


def test_3_5_a_code_that_has_run_out_is_expired_for_device_and_person(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            page = await type_code(browser, device.user_code)
            world.clock.advance(600)
            assert await device.told() == "expired_token"
            assert (await say(browser, page, "yes")).status == 400
            assert (await type_code(browser, device.user_code)).status == 422
            world.clock.advance(600)
            assert await device.told() == "invalid_grant", "nothing is kept for ever"

    run(story())


def test_3_5_an_approval_that_comes_after_the_end_counts_for_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            page = await to_consent(browser, device.user_code)
            world.clock.advance(600)
            assert (await browser.allow(page)).status == 400
            assert await device.told() == "expired_token"

    run(story())


def test_a_device_code_is_good_once_and_its_second_use_ends_what_the_first_got(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await connect(browser, device.user_code)
            tokens = (await device.poll()).json()
            assert (await world.userinfo(tokens["access_token"])).status == 200
            assert await device.told() == "invalid_grant"
            assert (await world.userinfo(tokens["access_token"])).status == 401

    run(story())


def test_of_sixteen_that_redeem_at_once_one_gets_tokens(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            await connect(browser, device.user_code)
            told = await asyncio.gather(*(device.told() for _ in range(16)))
            assert sorted(told) == ["invalid_grant"] * 15 + [FREE]

    run(story())


def test_of_two_people_who_answer_one_code_one_counts(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await world.add_person("wang", 2)
            other = world.browser()
            await world.sign_in(other, "wang")
            pages = [await to_consent(person, device.user_code) for person in (browser, other)]
            done = [await person.allow(page) for person, page in zip((browser, other), pages, strict=True)]
            assert [answer.status for answer in done] == [200, 400]
            events = [event for event in world.trail.events if event.action == "idp.device.approved"]
            assert [event.actor for event in events] == [world.people["lin"]]

    run(story())


def test_the_answer_belongs_to_the_sign_in_the_page_was_shown_to(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await world.add_person("wang", 2)
            page = await type_code(browser, device.user_code)
            other = world.browser()
            await world.sign_in(other, "wang")
            assert (await say(other, page, "yes")).status == 400
            assert await device.told() == WAITING
            assert (await say(browser, page, "yes")).status == 400, "taken is taken"

    run(story())


def test_a_sign_out_ends_what_the_device_got_unless_it_may_work_while_the_person_is_away(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await connect(browser, device.user_code)
            bound = (await device.poll()).json()
            offline = Device(world)
            await offline.ask(scope="openid profile offline_access")
            await connect(browser, offline.user_code, "offline_access")
            lasting = (await offline.poll()).json()
            await browser.post("/signout", {"csrf": "form-token"})
            assert (await world.userinfo(bound["access_token"])).status == 401
            refreshed = await offline.post(
                "/token", {"grant_type": "refresh_token", "refresh_token": lasting["refresh_token"]}
            )
            assert refreshed.status == 200

    run(story())


def test_the_platform_hears_of_the_sign_out(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await connect(browser, device.user_code)
            claims = claims_of((await device.poll()).json()["id_token"])
            told: list[str] = []

            async def deliver(_url: str, token: str) -> None:
                told.append(token)

            await browser.post("/signout", {"csrf": "form-token"})
            await world.provider.logout.drain(deliver)
            assert [claims_of(token)["sid"] for token in told] == [claims["sid"]]

    run(story())


def test_4_discovery_names_the_endpoint_and_the_grant(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            document = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert document["device_authorization_endpoint"] == "https://id.example.edu.cn/device_authorization"
            assert "urn:ietf:params:oauth:grant-type:device_code" in document["grant_types_supported"]

    run(story())


def test_a_client_with_the_device_grant_alone_cannot_use_the_authorization_endpoint(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, _):
            answer = await world.authorize(browser, "screen", redirect_uri="https://screen.example/callback")
            assert answer.status == 400
            assert "location" not in answer.headers

    run(story())
