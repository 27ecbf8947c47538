"""`/userinfo` and the claims of scopes: OpenID Connect Core §5.1, §5.3, §5.4, §5.5, and the challenges of RFC 6750 §3."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from jwt.types import Options

from crypto.errors import TrustError
from crypto.jws import verify_jwt
from crypto.suites import Purpose, policy
from idp.registry.contact import ContactStatement, NameParts, PostalAddress, Provable
from idp.registry.model import AccountStatus
from idp.registry.names import parse_person_name
from idp.registry.person_number import PersonNumber
from tests.protocol.world import ISSUER, SECRET, Browser, OpenWorld, World, basic, claims_of, header_of, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

EVERY_SCOPE = "openid profile email phone address"
ADDRESS = PostalAddress("重庆市沙坪坝区大学城中路1号\n3栋", "重庆市", "", "401331")
STATED = ContactStatement("lin@mail.example.edu.cn", "15400000001", ADDRESS, "zh-CN", "Asia/Shanghai")
UNTIMED: Options = {"verify_exp": False, "verify_iat": False}


async def known(world: World) -> PersonNumber:
    """Record of `lin` all there is a claim for."""
    number = PersonNumber(world.people["lin"])
    proven = {Provable.EMAIL: True, Provable.PHONE: False}
    await world.registry.state_contact(number, STATED, proven=proven, now=world.clock())
    parts = NameParts(parse_person_name("𠮷禾"), parse_person_name("张"))
    await world.registry.set_name_parts(number, parts, now=world.clock())
    return number


async def reader(world: World, **changes: Any) -> None:
    """Register a client that may ask for everything."""
    scopes = [*EVERY_SCOPE.split(), "edu"]
    await world.register(registration("reader", scopes_required=scopes, scopes_optional=["offline_access"], **changes))


async def told(world: World, scope: str) -> dict[str, Any]:
    body = await world.tokens(world.browser(), "reader", scope=scope, prompt="consent")
    answer = await world.userinfo(body["access_token"])
    assert answer.status == 200
    claims: dict[str, Any] = answer.json()
    return claims


# What each scope releases


@pytest.mark.parametrize(
    ("scope", "released"),
    [
        ("openid", {}),
        ("openid email", {"email": "lin@mail.example.edu.cn", "email_verified": True}),
        ("openid phone", {"phone_number": "+8615400000001", "phone_number_verified": False}),
        (
            "openid address",
            {
                "address": {
                    "formatted": "重庆市沙坪坝区大学城中路1号\n3栋",
                    "region": "重庆市",
                    "postal_code": "401331",
                }
            },
        ),
        (
            "openid profile",
            {
                "name": "张·𠮷禾",
                "nickname": "张同学",
                "given_name": "𠮷禾",
                "family_name": "张",
                "locale": "zh-CN",
                "zoneinfo": "Asia/Shanghai",
                "updated_at": int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()),
            },
        ),
    ],
)
def test_each_scope_releases_its_claims_and_no_others(
    opened: OpenWorld, run: Run, scope: str, released: dict[str, Any]
) -> None:
    async def story() -> None:
        async with opened() as world:
            number = await known(world)
            await world.registry.set_display_name(number, "张同学", now=world.clock())
            await reader(world)
            claims = await told(world, scope)
            assert claims.pop("sub")
            assert claims == released

    run(story())


def test_a_claim_nothing_is_known_of_is_left_out(opened: OpenWorld, run: Run) -> None:
    """§5.3.2: a claim that is not returned is omitted, never null and never empty."""

    async def story() -> None:
        async with opened() as world:
            await reader(world)
            claims = await told(world, EVERY_SCOPE)
            assert set(claims) == {"sub", "name", "nickname", "updated_at"}

    run(story())


def test_no_scope_releases_the_sign_in_name_the_person_number_the_birth_date_or_the_id_number(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            number = await known(world)
            await reader(world)
            text = json.dumps(await told(world, f"{EVERY_SCOPE} edu"))
            held = await world.registry.id_number(number)
            person = await world.registry.person(number)
            assert held is not None
            assert person.birth is not None
            for secret in (number.value, held.value, person.birth.isoformat(), '"lin"', "preferred_username", "gender"):
                assert secret not in text

    run(story())


def test_the_update_is_told_by_its_day_alone(opened: OpenWorld, run: Run) -> None:
    """Two platforms that compare notes must not know one person by the second of a change."""

    async def story() -> None:
        async with opened() as world:
            number = PersonNumber(world.people["lin"])
            world.clock.now += 54_321
            await world.registry.set_display_name(number, "阿禾", now=world.clock())
            await reader(world)
            assert (await told(world, "openid profile"))["updated_at"] % 86_400 == 0

    run(story())


def test_a_contact_scope_left_unticked_releases_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await known(world)
            await world.register(
                registration("careful", scopes_required=["openid"], scopes_optional=["email", "phone", "address"])
            )
            browser = world.browser()
            begun = await world.authorize(browser, "careful", scope="openid email phone address")
            consent = await browser.password(await browser.follow(begun), "lin")
            for label in ("邮箱地址", "电话号码", "通信地址"):
                assert label in consent.text
            assert "checked" not in consent.text
            answer = await browser.allow(consent, "email")
            body = (await world.redeem(answer.query["code"], "careful")).json()
            assert body["scope"] == "openid email"
            assert set((await world.userinfo(body["access_token"])).json()) == {"sub", "email", "email_verified"}

    run(story())


def test_a_client_not_registered_for_a_contact_scope_is_refused_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for scope in ("email", "phone", "address"):
                answer = await world.authorize(world.browser(), scope=f"openid {scope}")
                assert answer.query["error"] == "invalid_scope"

    run(story())


# Where claims are told


def test_the_id_token_says_nothing_of_the_person_unless_asked_by_name(opened: OpenWorld, run: Run) -> None:
    """§5.4: claims of scopes are returned from userinfo when an access token is issued."""

    async def story() -> None:
        async with opened() as world:
            await known(world)
            await reader(world)
            body = await world.tokens(world.browser(), "reader", scope=f"{EVERY_SCOPE} edu")
            protocol = {"iss", "sub", "aud", "iat", "exp", "auth_time", "acr", "amr", "sid", "at_hash", "nonce"}
            assert set(claims_of(body["id_token"])) == protocol
            for text in ("15400000001", "lin@", "401331"):
                assert text not in json.dumps(claims_of(body["id_token"]))

    run(story())


def test_a_claim_asked_for_in_the_id_token_is_there_and_stays_after_a_refresh(opened: OpenWorld, run: Run) -> None:
    """§5.5: `id_token` lists claims for the ID token; §12.2: a refreshed one tells the same."""

    async def story() -> None:
        async with opened() as world:
            number = await known(world)
            await reader(world)
            asked = json.dumps({"id_token": {"email": {"essential": True}, "name": None, "nickname": None, "x": None}})
            body = await world.tokens(world.browser(), "reader", scope="openid", claims=asked)
            assert body["scope"] == "openid profile email"
            first = claims_of(body["id_token"])
            assert (first["email"], first["name"]) == ("lin@mail.example.edu.cn", "张·𠮷禾")
            assert {"email_verified", "family_name", "x"}.isdisjoint(first)
            moved = ContactStatement("new@example.cn", None, None, None, None)
            await world.registry.state_contact(number, moved, proven={}, now=world.clock())
            again = claims_of((await world.refresh(body["refresh_token"], "reader")).json()["id_token"])
            assert (again["email"], again["name"]) == ("new@example.cn", "张·𠮷禾")

    run(story())


def test_a_refresh_that_asks_for_less_tells_less_in_the_id_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await known(world)
            await reader(world)
            asked = json.dumps({"id_token": {"email": None, "phone_number": None}})
            body = await world.tokens(world.browser(), "reader", scope="openid", claims=asked)
            answer = await world.refresh(body["refresh_token"], "reader", scope="openid phone")
            claims = claims_of(answer.json()["id_token"])
            assert claims["phone_number"] == "+8615400000001"
            assert "email" not in claims

    run(story())


def test_a_claim_asked_for_in_the_id_token_never_gets_past_consent(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await known(world)
            await world.register(registration("careful", scopes_required=["openid"], scopes_optional=["email"]))
            asked = json.dumps({"id_token": {"email": {"essential": True}, "phone_number": {"essential": True}}})
            browser = world.browser()
            begun = await world.authorize(browser, "careful", scope="openid", claims=asked)
            answer = await browser.allow(await browser.password(await browser.follow(begun), "lin"))
            body = (await world.redeem(answer.query["code"], "careful")).json()
            assert {"email", "phone_number"}.isdisjoint(claims_of(body["id_token"]))

    run(story())


# Signed answers


@pytest.mark.parametrize("alg", ["RS256", "ES256", "SGD_SM3_SM2"])
def test_a_client_registered_for_it_gets_the_claims_signed_for_it(opened: OpenWorld, run: Run, alg: str) -> None:
    """§5.3.2: content type application/jwt; signed answers contain iss and aud."""

    async def story() -> None:
        async with opened() as world:
            await known(world)
            await reader(world, userinfo_signed_response_alg=alg, id_token_signed_response_alg="ES256")
            body = await world.tokens(world.browser(), "reader", scope="openid email")
            answer = await world.userinfo(body["access_token"])
            assert answer.headers["content-type"] == "application/jwt"
            assert answer.headers["cache-control"] == "no-store"
            assert header_of(answer.text)["alg"] == alg
            claims = claims_of(answer.text)
            assert (claims["iss"], claims["aud"]) == (ISSUER, "reader")
            assert claims["sub"] == claims_of(body["id_token"])["sub"]
            assert claims["email"] == "lin@mail.example.edu.cn"
            if alg == "SGD_SM3_SM2":
                verify_jwt(answer.text, keys=world.keys.verifiers(), policy=policy(Purpose.USERINFO))
            else:
                keys = (await world.browser().get("/jwks")).json()["keys"]
                key = next(key for key in keys if key["kid"] == header_of(answer.text)["kid"])
                jwt.decode(answer.text, jwt.PyJWK(key), [alg], audience="reader", issuer=ISSUER, options=UNTIMED)

    run(story())


def test_a_signed_answer_is_no_id_token_no_hint_and_no_access_token(opened: OpenWorld, run: Run) -> None:
    """RFC 8725 §3.11: a type of its own, and none of what an ID token must have (`exp`, Core §2)."""

    async def story() -> None:
        async with opened() as world:
            await reader(world, userinfo_signed_response_alg="ES256")
            browser = world.browser()
            body = await world.tokens(browser, "reader")
            signed = (await world.userinfo(body["access_token"])).text
            assert header_of(signed)["typ"] == "userinfo+jwt"
            assert {"exp", "sid", "nonce", "at_hash", "auth_time"}.isdisjoint(claims_of(signed))
            for purpose in set(Purpose) - {Purpose.USERINFO, Purpose.CHECKPOINT, Purpose.DOCUMENT, Purpose.COLUMN}:
                with pytest.raises(TrustError):
                    verify_jwt(signed, keys=world.keys.verifiers(), policy=policy(purpose))
            assert (await world.userinfo(signed)).status == 401
            asked = await world.authorize(browser, "reader", prompt="none", id_token_hint=signed)
            assert asked.query["error"] == "login_required"
            options: Options = {"require": ["exp"], "verify_signature": False}
            with pytest.raises(jwt.MissingRequiredClaimError):
                jwt.decode(signed, options=options)

    run(story())


def test_the_accept_header_never_unsigns_an_answer(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await reader(world, userinfo_signed_response_alg="RS256")
            token = (await world.tokens(world.browser(), "reader"))["access_token"]
            headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
            answer = await world.browser().http.get("/userinfo", headers=headers)
            assert answer.headers["content-type"] == "application/jwt"

    run(story())


def test_each_listed_algorithm_signs_userinfo(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            listed = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert listed["userinfo_signing_alg_values_supported"] == ["RS256", "ES256", "SGD_SM3_SM2"]
            claims = {"email", "email_verified", "phone_number", "phone_number_verified", "address", "updated_at"}
            assert claims <= set(listed["claims_supported"])
            assert {"email", "phone", "address"} <= set(listed["scopes_supported"])
            assert {"preferred_username", "gender", "birthdate", "picture"}.isdisjoint(listed["claims_supported"])

    run(story())


# Refusals


Said = tuple[int, str, dict[str, Any]]


async def ask(browser: Browser, method: str = "GET", **sent: Any) -> Said:
    answer = await browser.http.request(method, "/userinfo", **sent)
    return answer.status_code, answer.headers.get("www-authenticate", ""), answer.json()


def test_each_refusal_is_the_challenge_of_rfc_6750(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser()))["access_token"]
            bearer = {"authorization": f"Bearer {token}"}
            browser = world.browser()
            nothing: Said = (401, 'Bearer realm="userinfo"', {})
            bad = (401, 'Bearer realm="userinfo", error="invalid_token"', {"error": "invalid_token"})
            twice = (400, 'Bearer realm="userinfo", error="invalid_request"', {"error": "invalid_request"})
            # §3.1: no error code where the request held no token, or one by a way this server does not take.
            assert await ask(browser) == nothing
            assert await ask(browser, "POST") == nothing
            assert await ask(browser, headers={"authorization": basic("learning", SECRET)}) == nothing
            assert await ask(browser, params={"access_token": token}) == nothing
            assert await ask(browser, headers={"authorization": "Bearer at_unknown"}) == bad
            assert await ask(browser, headers={"authorization": f"Bearer {'x' * 5000}"}) == bad
            # §2: never more than one way.
            assert await ask(browser, "POST", headers=bearer, data={"access_token": token}) == twice
            assert await ask(browser, headers=bearer, params={"access_token": token}) == twice
            assert await ask(browser, "POST", data={"access_token": token}, params={"access_token": token}) == twice
            several = [("authorization", bearer["authorization"])] * 2
            assert await ask(browser, headers=several) == twice
            doubled = f"access_token={token}&access_token={token}"
            form = {"content-type": "application/x-www-form-urlencoded"}
            assert await ask(browser, "POST", headers=form, content=doubled) == twice
            # §2.2: only such a form, and only of a method with a body.
            assert await ask(browser, "POST", json={"access_token": token}) == nothing
            assert await ask(browser, "GET", headers=form, content=f"access_token={token}") == nothing

    run(story())


def test_a_token_without_openid_lacks_the_scope(opened: OpenWorld, run: Run) -> None:
    """RFC 6750 §3.1: 403, and the challenge may name the scope that is needed."""

    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), scope="openid profile offline_access")
            narrow = (await world.refresh(body["refresh_token"], scope="profile")).json()
            headers = {"authorization": f"Bearer {narrow['access_token']}"}
            status, challenge, said = await ask(world.browser(), headers=headers)
            assert (status, said) == (403, {"error": "insufficient_scope"})
            assert challenge == 'Bearer realm="userinfo", error="insufficient_scope", scope="openid"'

    run(story())


def test_a_person_no_longer_active_is_told_of_no_more(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            number = await known(world)
            await reader(world)
            token = (await world.tokens(world.browser(), "reader", scope="openid email"))["access_token"]
            for status in (AccountStatus.LOCKED, AccountStatus.DISABLED, AccountStatus.DELETED):
                await world.registry.set_status(number, status, now=world.clock())
                assert (await world.userinfo(token)).status == 401

    run(story())


def test_a_person_the_register_does_not_have_is_refused_as_a_dead_token_is(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await reader(world)
            body = await world.tokens(world.browser(), "reader", scope="openid profile", prompt="consent")
            assert (await world.userinfo(body["access_token"])).status == 200
            # What a register restored from before the sign-in looks like.
            for table, column in (("affiliation", "person"), ("person", "number")):
                await world.db.execute(f"DELETE FROM {table} WHERE {column} = $1", world.people["lin"])  # noqa: S608  # ours
            answer = await world.userinfo(body["access_token"])
            assert (answer.status, answer.json()) == (401, {"error": "invalid_token"})

    run(story())


# Pages in a browser


def test_a_page_of_any_origin_may_ask_with_a_token_it_holds_and_never_with_a_cookie(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            token = (await world.tokens(browser))["access_token"]
            page = {"origin": "https://app.example"}
            wish = {**page, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
            before = await browser.http.options("/userinfo", headers=wish)
            assert before.status_code == 204
            assert before.headers["access-control-allow-origin"] == "*"
            assert "authorization" in before.headers["access-control-allow-headers"].lower()
            assert not before.content
            after = await browser.http.get("/userinfo", headers={**page, "authorization": f"Bearer {token}"})
            refused = await browser.http.get("/userinfo", headers=page)  # the session's cookie alone says nothing
            assert (after.status_code, refused.status_code) == (200, 401)
            assert refused.headers["access-control-expose-headers"] == "WWW-Authenticate"
            for answer in (before, after, refused):
                assert answer.headers["access-control-allow-origin"] == "*"
                assert "access-control-allow-credentials" not in answer.headers

    run(story())
