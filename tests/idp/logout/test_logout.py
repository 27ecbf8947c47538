"""Signing out: RP-initiated, back-channel, and by the person (OpenID Connect RP-Initiated and Back-Channel Logout 1.0)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.errors import TrustError
from crypto.jws import verify_jwt
from crypto.suites import Purpose, policy
from idp.logout.backchannel import ATTEMPTS_MAX
from idp.logout.token import EVENT
from tests.protocol.world import ISSUER, OpenWorld, claims_of, header_of

Run = Callable[[Coroutine[Any, Any, None]], None]
BYE = "https://learning.example/bye"


class Platforms:
    """Where logout tokens arrive; some platforms are away."""

    def __init__(self, *away: str) -> None:
        self.away = set(away)
        self.got: list[tuple[str, str]] = []

    async def __call__(self, url: str, token: str) -> None:
        if any(name in url for name in self.away):
            raise ConnectionRefusedError
        self.got.append((url, token))


def test_a_platform_signs_the_person_out_everywhere(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, platforms = world.browser(), Platforms()
            learning = await world.tokens(browser)
            library = await world.tokens(browser, "library")
            national = await world.tokens(browser, "national")
            answer = await browser.get(
                "/end-session", id_token_hint=learning["id_token"], post_logout_redirect_uri=BYE, state="s&t"
            )
            assert answer.location == f"{BYE}?state=s%26t"
            assert browser.session_cookie is None
            assert (await browser.get("/account/sessions")).status == 303
            assert await world.provider.logout.drain(platforms) == 3
            assert await world.provider.logout.drain(platforms) == 0
            told = dict(platforms.got)
            for name, body, alg in (
                ("learning", learning, "ES256"),
                ("library", library, "RS256"),
                ("national", national, "SGD_SM3_SM2"),
            ):
                token = told[f"https://{name}.example/backchannel"]
                verify_jwt(token, keys=world.keys.verifiers(), policy=policy(Purpose.LOGOUT_TOKEN))
                claims, known = claims_of(token), claims_of(body["id_token"])
                assert header_of(token)["typ"] == "logout+jwt"
                assert header_of(token)["alg"] == alg
                assert claims["sub"] == known["sub"]
                assert claims["sid"] == known["sid"]
                assert claims["aud"] == name
                assert claims["iss"] == ISSUER
                assert claims["events"] == {EVENT: {}}
                assert claims["exp"] - claims["iat"] <= 120
                assert claims["jti"]
                assert "nonce" not in claims
            for body, name in ((learning, "learning"), (library, "library"), (national, "national")):
                assert (await world.userinfo(body["access_token"])).status == 401
                assert (await world.refresh(body["refresh_token"], name)).status == 400

    run(story())


@pytest.mark.parametrize(
    "uri",
    [
        BYE + "/",
        BYE + "?x=1",
        BYE + "#x",
        BYE.upper(),
        "https://evil.example/bye",
        "https://library.example/bye",
        "javascript:alert(1)",
        "//learning.example/bye",
    ],
)
def test_an_unregistered_post_logout_address_is_shown_and_ends_nothing(opened: OpenWorld, run: Run, uri: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            answer = await browser.get("/end-session", id_token_hint=token, post_logout_redirect_uri=uri)
            assert answer.status == 400
            assert "location" not in answer.headers
            assert (await browser.get("/account/sessions")).status == 200

    run(story())


def test_an_altered_or_foreign_hint_is_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, platforms = world.browser(), Platforms()
            body = await world.tokens(browser, "national")
            head, payload, signature = body["id_token"].split(".")
            altered = [
                f"{head}.{payload}.{signature[:-2]}{'AQ' if signature.endswith('AA') else 'AA'}",
                f"{head}.{payload[:-1]}.{signature}",
                f"{head}.{payload}.",
                "eyJhbGciOiJub25lIn0." + payload + ".",
                body["access_token"],
                "x",
            ]
            for hint in altered:
                answer = await browser.get("/end-session", id_token_hint=hint)
                assert answer.status == 400, hint
                assert answer.json()["shown"] == "idp.logout.refused"
            conflict = await browser.get("/end-session", id_token_hint=body["id_token"], client_id="learning")
            assert conflict.json()["rule"] == "conflict"
            twice = await browser.get("/end-session?state=a&state=b")
            assert twice.status == 400
            assert (await browser.get("/account/sessions")).status == 200
            await browser.get("/end-session", id_token_hint=body["id_token"])
            await world.provider.logout.drain(platforms)
            [(_, logout_token)] = platforms.got
            assert (await browser.get("/end-session", id_token_hint=logout_token)).status == 400

    run(story())


def test_without_a_matching_hint_the_person_is_asked(opened: OpenWorld, run: Run) -> None:
    """Logout CSRF: a link on another site ends nothing by itself."""

    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            mine, other = world.browser(), world.browser()
            foreign = (await world.tokens(mine))["id_token"]
            page = await other.follow(await world.authorize(other))
            await other.allow(await other.password(page, "wang"))
            for parameters in ({}, {"id_token_hint": foreign}, {"client_id": "learning"}, {"state": "x"}):
                page = await other.get("/end-session", **parameters)
                assert page.status == 200
                assert "/end-session/confirm" in page.text
                assert (await other.get("/account/sessions")).status == 200
            stay = await other.post("/end-session/confirm", {"t": page.hidden("t"), "csrf": "f", "answer": "no"})
            assert stay.location == "/"
            assert (await other.get("/account/sessions")).status == 200
            page = await other.get("/end-session", client_id="learning", post_logout_redirect_uri=BYE, state="q")
            stolen = await mine.post("/end-session/confirm", {"t": page.hidden("t"), "csrf": "f", "answer": "yes"})
            assert stolen.status == 400
            page = await other.get("/end-session", client_id="learning", post_logout_redirect_uri=BYE, state="q")
            gone = await other.post("/end-session/confirm", {"t": page.hidden("t"), "csrf": "f", "answer": "yes"})
            assert gone.location == f"{BYE}?state=q"
            assert (await other.get("/account/sessions")).status == 303
            assert (await mine.get("/account/sessions")).status == 200

    run(story())


def test_with_nobody_signed_in_only_a_hint_of_ours_is_redirected(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            world.clock.advance(13 * 3600)
            with_hint = await browser.get("/end-session", id_token_hint=token, post_logout_redirect_uri=BYE)
            assert with_hint.location == BYE, "an expired ID token is a good hint"
            without = await browser.get("/end-session", client_id="learning", post_logout_redirect_uri=BYE)
            assert without.location == "/signed-out"
            nobody = await browser.get("/end-session", post_logout_redirect_uri=BYE)
            assert nobody.status == 400

    run(story())


def test_a_platform_that_is_away_hears_of_it_later_and_is_given_up_in_the_end(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, platforms = world.browser(), Platforms("learning", "library")
            await world.tokens(browser)
            await world.tokens(browser, "library")
            await browser.post("/signout", {"csrf": "f"})
            assert await world.provider.logout.drain(platforms) == 0
            assert await world.provider.logout.drain(platforms) == 0, "not before its time"
            platforms.away.discard("library")
            world.clock.advance(5)
            assert await world.provider.logout.drain(platforms) == 1
            for _ in range(ATTEMPTS_MAX):
                world.clock.advance(3600)
                await world.provider.logout.drain(platforms)
            row = await world.db.fetch_one("SELECT attempts, reason FROM logout_outbox WHERE dead_at IS NOT NULL")
            assert row is not None
            assert row["attempts"] == ATTEMPTS_MAX
            assert "idp.logout.undeliverable" in world.trail.actions()

    run(story())


def test_a_leased_job_is_nobody_elses_until_the_lease_ends(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            await browser.post("/signout", {"csrf": "f"})
            now = world.clock()
            [job] = await world.store.lease_jobs(now, lease_s=60, limit=10)
            assert job.attempts == 1
            assert await world.store.lease_jobs(now + 59, lease_s=60, limit=10) == ()
            [again] = await world.store.lease_jobs(now + 60, lease_s=60, limit=10)
            assert again.job_id == job.job_id

    run(story())


def test_a_refusing_platform_is_a_failure_not_a_crash(opened: OpenWorld, run: Run) -> None:
    class Refused(TrustError):
        code = "outbound.refused"

    async def refuse(_url: str, _token: str) -> None:
        raise Refused

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            await browser.post("/signout", {"csrf": "f"})
            assert await world.provider.logout.drain(refuse) == 0
            row = await world.db.fetch_one("SELECT reason FROM logout_outbox")
            assert row is not None
            assert row["reason"] == "outbound.refused"

    run(story())
