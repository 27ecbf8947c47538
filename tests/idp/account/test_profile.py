"""`/account/profile`: the person's own statement, masked until a fresh sign-in, kept sealed, never called proven."""

from __future__ import annotations

import html
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from idp.account.profile import SHOWN_AFTER_SIGN_IN_S, TAKEN_AFTER_SIGN_IN_S
from idp.model import Account, AccountState
from idp.registry.contact import Contact, ContactStatement, PostalAddress, Provable
from idp.registry.person_number import PersonNumber
from tests.idp.registry.people import id_number, request
from tests.protocol.world import Answer, Browser, OpenWorld, World, claims_of, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

PATH = "/account/profile"
FORM = {
    "csrf": "form-token",
    "email": "lin@Mail.example.edu.cn",
    "phone": "+86 154 0000 0001",
    "address": "大学城中路1号",
    "address_2": "3栋",
    "region": "重庆市",
    "locality": "沙坪坝区",
    "postal_code": "401331",
    "locale": "zh-CN",
    "zoneinfo": "Asia/Shanghai",
}
STATED = ContactStatement(
    "lin@mail.example.edu.cn",
    "15400000001",
    PostalAddress("大学城中路1号\n3栋", "重庆市", "沙坪坝区", "401331"),
    "zh-CN",
    "Asia/Shanghai",
)


def number_of(world: World) -> PersonNumber:
    return PersonNumber(world.people["lin"])


async def signed_in(world: World) -> Browser:
    browser = world.browser()
    await world.sign_in(browser)
    return browser


def test_what_is_stated_is_kept_as_stated_and_not_called_proven(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await signed_in(world)
            saved = await browser.post(PATH, FORM)
            assert (saved.status, saved.location) == (303, f"{PATH}?done=yes")
            kept = await world.registry.contact(number_of(world))
            assert kept == Contact(STATED, email_verified=False, phone_verified=False)
            page = await browser.get(saved.location)
            assert page.headers["cache-control"] == "no-store"
            for line in ("lin@mail.example.edu.cn", "15400000001", "大学城中路1号", "3栋", "401331"):
                assert f'value="{line}"' in page.text
            emptied = await browser.post(PATH, {"csrf": "form-token"})
            assert emptied.status == 303
            gone = (await world.registry.contact(number_of(world))).stated
            assert gone == ContactStatement(None, None, None, None, None)

    run(story())


def test_a_proven_address_stays_proven_until_it_is_changed(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            proven = {Provable.EMAIL: True, Provable.PHONE: True}
            await world.registry.state_contact(number_of(world), STATED, proven=proven, now=world.clock())
            browser = await signed_in(world)
            await browser.post(PATH, {**FORM, "phone": "+442079460018"})
            after = await world.registry.contact(number_of(world))
            assert (after.email_verified, after.phone_verified) == (True, False)

    run(story())


def test_an_open_browser_sees_the_lines_masked_and_changes_nothing(opened: OpenWorld, run: Run) -> None:
    """ASVS 5.0 §7.5.1: signing in again comes before a change."""

    async def story() -> None:
        async with opened() as world:
            await world.registry.state_contact(number_of(world), STATED, proven={}, now=world.clock())
            browser = await signed_in(world)
            world.clock.advance(SHOWN_AFTER_SIGN_IN_S + 1)
            page = await browser.get(PATH)
            assert page.status == 200
            for secret in ("lin@mail", "15400000001", "大学城中路", "401331"):
                assert secret not in page.text
            assert "l••••@mail.example.edu.cn" in page.text
            assert '<input id="email"' not in page.text
            world.clock.advance(TAKEN_AFTER_SIGN_IN_S - SHOWN_AFTER_SIGN_IN_S)
            refused = await browser.post(PATH, {**FORM, "email": "thief@example.cn"})
            assert (refused.status, refused.location) == (303, f"/signin?return={PATH}&fresh=yes")
            assert (await world.registry.contact(number_of(world))).stated == STATED
            again = await browser.follow(await browser.get(PATH, edit="yes"))
            assert "/signin/password" in again.text, "the session that is there is not enough"
            shown = await browser.password(again, "lin")
            assert 'value="lin@mail.example.edu.cn"' in shown.text

    run(story())


async def with_phone_app(world: World) -> None:
    await world.store.enrol_totp(world.people["lin"], b"sealed", 0, world.clock())


def test_who_has_a_second_factor_shows_it_first(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await signed_in(world)
            await with_phone_app(world)
            page = await browser.get(PATH)
            assert '<input id="email"' not in page.text
            refused = await browser.post(PATH, FORM)
            assert refused.location == f"/signin?return={PATH}&acr=2&fresh=yes"
            assert (await world.registry.contact(number_of(world))).stated.email is None

    run(story())


def test_nobody_signed_in_sees_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for answer in (await world.browser().get(PATH), await world.browser().post(PATH, FORM)):
                assert (answer.status, answer.location) == (303, f"/signin?return={PATH}")

    run(story())


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("email", "lin", "邮箱地址的格式不对"),
        ("phone", "110", "电话号码应为"),
        ("address", "x" * 201, "地址太长，最多 200 个字"),
        ("postal_code", "??", "邮政编码最多"),
        ("locale", "fr", "请选择列出的语言"),
        ("zoneinfo", "Peking", "这不是有效的时区名称"),
    ],
)
def test_a_line_that_is_none_is_refused_in_words_and_nothing_typed_is_lost(
    opened: OpenWorld, run: Run, field: str, value: str, told: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await signed_in(world)
            page: Answer = await browser.post(PATH, {**FORM, field: value})
            assert page.status == 422
            assert told in page.text
            assert f'value="{FORM["zoneinfo"]}"' in page.text or field == "zoneinfo"
            assert f'value="{html.escape(value)}"' in page.text or field == "locale"
            assert (await world.registry.contact(number_of(world))).stated.email is None

    run(story())


def test_the_trail_names_the_lines_and_never_what_they_say(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await signed_in(world)
            await browser.post(PATH, FORM)
            await browser.post(PATH, FORM)  # the same once more is no change
            events = [event for event in world.trail.events if event.action == "idp.profile.changed"]
            assert [dict(event.details) for event in events] == [{"facts": "email phone address locale zoneinfo"}]

    run(story())


def test_a_child_below_14_is_not_asked_and_no_platform_is_told(opened: OpenWorld, run: Run) -> None:
    """PIPL Art 28, 31: a child's data are sensitive, and a guardian would have to consent."""

    async def story() -> None:
        async with opened() as world:
            born = datetime.fromtimestamp(world.clock(), UTC).year - 13
            child = request("刘禾", number=id_number(9, born=f"{born}0601"))
            number = (await world.registry.enrol_person(child, now=world.clock())).person.number
            hashed = (await world.store.account(world.people["lin"])).password_hash  # type: ignore[union-attr]  # lin is there
            account = Account(number.value, "liu", AccountState.ACTIVE, hashed)
            await world.store.create_account(account, world.clock())
            await world.registry.state_contact(number, STATED, proven={}, now=world.clock())
            browser = world.browser()
            await world.sign_in(browser, "liu")
            page = await browser.get(PATH)
            assert "未满 14 岁" in page.text
            assert "lin@mail" not in page.text
            assert '<form method="post" action="/account/profile"' not in page.text
            assert (await browser.post(PATH, {**FORM, "email": "new@example.cn"})).status == 403
            assert (await world.registry.contact(number)).stated == STATED
            await world.register(registration("reader", scopes_required=["openid", "profile", "email", "phone"]))
            asked = {"scope": "openid profile email phone", "claims": '{"id_token":{"email":null}}'}
            begun = await browser.follow(await world.authorize(browser, "reader", **asked))
            code = (await browser.allow(begun)).query["code"]
            body = (await world.redeem(code, "reader")).json()
            told = (await world.userinfo(body["access_token"])).json()
            assert told["name"] == "刘禾"
            assert {"email", "phone_number"}.isdisjoint(told)
            assert "email" not in claims_of(body["id_token"])
            world.clock.advance(366 * 86_400)
            fresh = world.browser()
            await world.sign_in(fresh, "liu")
            assert 'value="lin@mail.example.edu.cn"' in (await fresh.get(PATH)).text, "at 14 they decide"

    run(story())


def test_two_forms_at_once_leave_one_of_them_whole(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            one, other = await signed_in(world), await signed_in(world)
            await one.get(PATH)
            await one.post(PATH, FORM)
            await other.post(PATH, {"csrf": "form-token", "email": "other@example.cn"})
            stated = (await world.registry.contact(number_of(world))).stated
            assert stated == ContactStatement("other@example.cn", None, None, None, None)

    run(story())
