"""The authorization code flow from door to door (OpenID Connect Core §3.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

import jwt
import pytest
from jwt.types import Options

from crypto.encoding import b64u_encode
from crypto.jws import verify_jwt
from crypto.sm3 import sm3
from crypto.suites import Purpose, policy
from tests.protocol.world import ISSUER, OpenWorld, claims_of, header_of

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_a_person_signs_in_allows_and_the_platform_gets_tokens(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser))
            assert page.status == 200
            assert page.headers["cache-control"] == "no-store"
            consent = await browser.password(page, "lin")
            assert "学习平台" in consent.text
            assert "checked" not in consent.text
            answer = await browser.allow(consent)
            assert answer.location.startswith("https://learning.example/callback?")
            assert answer.query["state"] == "the-state"
            assert answer.query["iss"] == ISSUER
            response = await world.redeem(answer.query["code"])
            assert response.status == 200
            assert response.headers["cache-control"] == "no-store"
            body = response.json()
            assert body["token_type"] == "Bearer"
            claims = claims_of(body["id_token"])
            assert claims["nonce"] == "the-nonce"
            assert claims["aud"] == "learning"
            assert claims["amr"] == ["pwd"]
            assert claims["acr"] == "urn:edutrust:acr:1"
            info = await world.userinfo(body["access_token"])
            assert info.json()["sub"] == claims["sub"]
            assert info.json()["name"] == "张·𠮷禾"
            assert "affiliations" not in info.json()
            assert world.people["lin"] not in body["id_token"] + info.text

    run(story())


def test_the_second_platform_lets_the_person_in_without_a_password_and_knows_another_sub(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            first = await world.tokens(browser)
            page = await browser.follow(await world.authorize(browser, "library"))
            assert "/signin/consent" in page.text
            answer = await browser.allow(page)
            second = (await world.redeem(answer.query["code"], "library")).json()
            one, two = claims_of(first["id_token"]), claims_of(second["id_token"])
            assert one["sub"] != two["sub"]
            assert one["sid"] != two["sid"]
            again = await world.authorize(browser, "library")
            assert "code" in again.query, "consent is remembered"

    run(story())


@pytest.mark.parametrize(
    ("client_id", "alg"), [("learning", "ES256"), ("library", "RS256"), ("national", "SGD_SM3_SM2")]
)
def test_each_client_gets_the_algorithm_it_registered(opened: OpenWorld, run: Run, client_id: str, alg: str) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), client_id)
            token, access = body["id_token"], body["access_token"].encode()
            header, claims = header_of(token), claims_of(token)
            assert header["alg"] == alg
            national = (await world.browser().get("/jwks/national")).json()["keys"]
            interoperable = (await world.browser().get("/jwks")).json()["keys"]
            if alg == "SGD_SM3_SM2":
                assert header["kid"] in {key["kid"] for key in national}
                verified = verify_jwt(token, keys=world.keys.verifiers(), policy=policy(Purpose.ID_TOKEN))
                assert verified.claims == claims
                assert claims["at_hash"] == b64u_encode(sm3(access)[:16])
                assert header_of(body["access_token"])["typ"] == "at+jwt"
                assert (await world.userinfo(body["access_token"])).status == 200
            else:
                assert {key["alg"] for key in interoperable} == {"RS256", "ES256"}
                key = next(key for key in interoperable if key["kid"] == header["kid"])
                untimed: Options = {"verify_exp": False, "verify_iat": False}
                decoded = jwt.decode(token, jwt.PyJWK(key), [alg], audience=client_id, issuer=ISSUER, options=untimed)
                assert decoded == claims
                assert claims["at_hash"] == b64u_encode(hashlib.sha256(access).digest()[:16])

    run(story())


def test_openid_alone_releases_no_name(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), scope="openid")
            assert not {"name", "nickname", "affiliations", "school_code"} & claims_of(body["id_token"]).keys()
            assert set((await world.userinfo(body["access_token"])).json()) == {"sub"}

    run(story())


def test_a_ticked_optional_scope_releases_its_claims_and_an_unticked_one_does_not(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser, scope="openid profile edu"))
            consent = await browser.password(page, "lin")
            answer = await browser.allow(consent)
            body = (await world.redeem(answer.query["code"])).json()
            assert body["scope"] == "openid profile"
            again = await browser.follow(await world.authorize(browser, scope="openid profile edu", prompt="consent"))
            answer = await browser.allow(again, "edu")
            body = (await world.redeem(answer.query["code"])).json()
            info = (await world.userinfo(body["access_token"])).json()
            assert info["school_code"] == "4150099901"
            assert info["affiliations"] == [{"school_code": "4150099901", "kind": "student", "since": "2022-09-01"}]

    run(story())


def test_discovery_says_what_is_true_whatever_host_is_asked(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            plain = await browser.get("/.well-known/openid-configuration")
            spoofed = await browser.http.get(
                "/.well-known/openid-configuration",
                headers={"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"},
            )
            assert plain.content == spoofed.content
            document = plain.json()
            assert document["issuer"] == ISSUER
            assert document["response_types_supported"] == ["code"]
            assert "RS256" in document["id_token_signing_alg_values_supported"]
            assert document["code_challenge_methods_supported"] == ["S256"]
            for name, address in document.items():
                if name.endswith(("_endpoint", "_uri")):
                    answer = await browser.get(address.removeprefix(ISSUER))
                    assert answer.status not in {404, 500}, name

    run(story())
