"""Sign-in: the same answer to every wrong guess, a count nobody slips past, a fresh cookie each time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from markupsafe import escape

from adapters.passwords import PasswordPool
from idp.authority.model import Duty, Level, NewOffice, OfficeKind, Unit
from idp.login.local_path import local_path
from idp.login.lockout import FAILURES_MAX, delay_after
from idp.login.proof import StepProofs
from idp.login.transaction import LoginTransaction, Purpose, Requirement
from idp.login.username import normalise
from idp.model import AccountState, Acr, AuthenticatorKind
from idp.registry.person_number import PersonNumber
from idp.store import Attempt
from tests.idp.registry.people import FIRST
from tests.protocol.world import PASSWORD, Answer, Browser, OpenWorld, World, claims_of

Run = Callable[[Coroutine[Any, Any, None]], None]


async def _post_password(browser: Browser, page: Answer, username: str, password: str) -> Answer:
    return await browser.post(
        "/signin/password", {"t": page.hidden("t"), "csrf": "f", "username": username, "password": password}
    )


def _without_name(answer: Answer, username: str) -> str:
    field = f'name="username" type="text" value="{escape(username)}"'
    assert answer.text.count(field) == 1
    return answer.text.replace(field, "")


async def _seed_on_page(page: Answer) -> bytes:
    import base64

    found = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.text)
    assert found is not None
    return base64.b32decode(found[1].replace(" ", ""))


async def _enrol(world: World, browser: Browser, page: Answer) -> tuple[bytes, Answer]:
    seed = await _seed_on_page(page)
    answer = await browser.post("/signin/enrol", {"t": page.hidden("t"), "csrf": "f", "code": world.code_of(seed)})
    return seed, await browser.follow(answer)


def test_every_wrong_guess_gets_the_same_page_byte_for_byte(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for username, sequence in (("locked", 11), ("disabled", 12), ("deleted", 13), ("many", 14)):
                await world.add_person(username, sequence)
                if username != "many":
                    await world.store.set_account_state(world.people[username], AccountState(username), world.clock())
            for _ in range(FAILURES_MAX + 2):
                await world.store.reserve_attempt(world.people["many"], AuthenticatorKind.PASSWORD, world.clock())
                world.clock.advance(3600 * 12)
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            answers = [
                (username, await _post_password(browser, page, username, password))
                for username, password in (
                    ("lin", "wrong"),
                    ("nobody", "wrong"),
                    ("lin", ""),
                    ("nobody", ""),
                    ("", ""),
                    ("locked", PASSWORD),
                    ("disabled", PASSWORD),
                    ("deleted", PASSWORD),
                    ("many", PASSWORD),
                    ("lin", "x" * 2000),
                    ("nobody", "x" * 2000),
                    ("'; DROP TABLE account; --", "x"),
                )
            ]
            assert {answer.status for _, answer in answers} == {422}
            # What was typed comes back in its field, whoever it names; apart from that the pages are one.
            assert len({_without_name(answer, username) for username, answer in answers}) == 1
            headers = [{**answer.headers, "content-length": ""} for _, answer in answers]
            assert all(other == headers[0] for other in headers)
            assert browser.session_cookie is None

    run(story())


def test_an_unknown_name_costs_a_hash_too(opened: OpenWorld, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: every kind of refusal verifies exactly one password hash."""
    calls: list[str] = []
    real = PasswordPool._verify

    def counted(pool: PasswordPool, stored: str | None, password: str) -> bool:
        calls.append("nobody" if stored is None else "somebody")
        return real(pool, stored, password)

    monkeypatch.setattr(PasswordPool, "_verify", counted)

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            for username, password in (("nobody", "x"), ("nobody", ""), ("lin", "x"), ("lin", "")):
                await _post_password(browser, page, username, password)
            assert calls == ["nobody", "nobody", "somebody", "somebody"]

    run(story())


def test_the_delay_grows_and_the_tenth_failure_disables() -> None:
    assert [delay_after(n) for n in range(1, 11)] == [0, 0, 0, 2, 8, 32, 128, 512, 900, 900]


def test_lockout_by_time_and_by_count(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            person, kind = world.people["lin"], AuthenticatorKind.PASSWORD
            allowed = 0
            for _ in range(30):
                if await world.store.reserve_attempt(person, kind, world.clock()) is Attempt.ALLOWED:
                    allowed += 1
            assert allowed == 4, "three free failures and the one that starts the delay"
            assert await world.store.reserve_attempt(person, kind, world.clock()) is Attempt.TOO_SOON
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            assert (await _post_password(browser, page, "lin", PASSWORD)).status == 422
            world.clock.advance(2)
            assert (await _post_password(browser, page, "lin", PASSWORD)).status == 303
            for _ in range(FAILURES_MAX):
                world.clock.advance(900)
                assert await world.store.reserve_attempt(person, kind, world.clock()) is Attempt.ALLOWED
            world.clock.advance(10**6)
            assert await world.store.reserve_attempt(person, kind, world.clock()) is Attempt.DISABLED
            page = await browser.follow(await browser.get("/signin"))
            await world.store.set_password(person, (await world.store.account(person)).password_hash, world.clock())  # type: ignore[union-attr]  # lin exists
            assert await world.store.reserve_attempt(person, kind, world.clock()) is Attempt.ALLOWED

    run(story())


def test_parallel_guesses_in_any_spelling_cannot_pass_the_count(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            spellings = ["lin", "LIN", " lin ", "ｌｉｎ", "Lin", "lin\u3000"] * 10
            answers = await asyncio.gather(*(_post_password(browser, page, name, "wrong") for name in spellings))
            assert {answer.status for answer in answers} == {422}
            row = await world.db.fetch_one(
                "SELECT failures FROM authenticator WHERE person = $1 AND kind = 'password'", world.people["lin"]
            )
            assert row is not None
            assert row["failures"] == 4

    run(story())


def test_spellings_of_one_name_are_one_name() -> None:
    assert {normalise(name) for name in ("Lin", "LIN", " lin", "ｌｉｎ", "lin\u3000", "ＬＩＮ ")} == {"lin"}
    assert normalise("x" * 500) == "x" * 64


def test_a_planted_cookie_never_becomes_a_session(opened: OpenWorld, run: Run) -> None:
    """CVE-2026-7507, CVE-2025-12390: session fixation."""

    async def story() -> None:
        async with opened() as world:
            victim, planted = world.browser(), "p" * 43
            victim.http.cookies.set("__Host-edutrust-session", planted, domain="id.example.edu.cn")
            page = await victim.follow(await victim.get("/signin"))
            await victim.password(page, "lin")
            values = {cookie.value for cookie in victim.http.cookies.jar if cookie.name == "__Host-edutrust-session"}
            attacker = world.browser()
            attacker.http.cookies.set("__Host-edutrust-session", planted)
            assert (await attacker.get("/account/sessions")).status == 303
            assert values != {planted}

    run(story())


def test_the_cookie_is_new_at_every_authentication_and_the_old_one_dead(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, thief = world.browser(), world.browser()
            await world.code(browser)
            first = browser.session_cookie
            assert first is not None
            thief.http.cookies.set("__Host-edutrust-session", first)
            assert (await thief.get("/account/sessions")).status == 200
            page = await browser.follow(await world.authorize(browser, prompt="login"))
            await browser.password(page, "lin")
            assert browser.session_cookie not in {None, first}
            assert (await thief.get("/account/sessions")).status == 303
            assert (await browser.get("/account/sessions")).status == 200
            row = await world.db.fetch_one("SELECT count(*) AS n FROM login_session WHERE ended_at IS NULL")
            assert row is not None
            assert row["n"] == 1, "the session goes on; only its cookie is new"

    run(story())


def test_a_sign_in_belongs_to_one_browser(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            mine, other = world.browser(), world.browser()
            page = await mine.follow(await world.authorize(mine))
            stolen = await other.get("/signin/step", t=page.hidden("t"))
            assert stolen.status == 400
            assert stolen.json() == {"shown": "idp.login.transaction_refused", "field": None, "rule": "browser"}
            assert (await _post_password(other, page, "lin", PASSWORD)).status == 400
            assert (await mine.get("/signin/step", t="slt_" + "x" * 43)).status == 400
            assert (await mine.get("/signin/step", t=page.hidden("t").replace("slt_", "sac_"))).status == 400

    run(story())


def test_consent_is_asked_of_the_session_that_signed_in_and_no_other(opened: OpenWorld, run: Run) -> None:
    """Hydra #770: the session is swapped while the consent page is open."""

    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser))
            consent = await browser.password(page, "lin")
            second = await browser.follow(await browser.get("/signin", acr="1"))
            assert second.status in {303, 404}
            await browser.post("/signout", {"csrf": "f"})
            page = await browser.follow(await browser.get("/signin"))
            await browser.password(page, "wang")
            answer = await browser.post("/signin/consent", {"t": consent.hidden("t"), "csrf": "f"})
            assert answer.status == 400
            assert answer.json()["rule"] == "session"

    run(story())


def test_a_step_proof_counts_only_where_and_for_whom_it_was_made() -> None:
    requirement = Requirement(Acr.ONE, 0, fresh=False, consent_again=False, login_hint="")
    transaction = LoginTransaction(Purpose.FIRST_PARTY, "/", requirement, None, "browser", "nonce", (), "", "")
    proofs = StepProofs(b"k" * 32)
    proof = proofs.sign(transaction, AuthenticatorKind.PASSWORD, "1", 5, credential="mark")
    assert proofs.believed(transaction.with_proof(proof)) == (proof,)
    for forged in (
        replace(proof, person="2"),
        replace(proof, kind=AuthenticatorKind.TOTP),
        replace(proof, time=6),
        replace(proof, credential="other"),
        replace(proof, mac="x"),
    ):
        assert proofs.believed(transaction.with_proof(forged)) == ()
    elsewhere = replace(transaction, nonce="other")
    assert proofs.believed(elsewhere.with_proof(proof)) == ()
    assert StepProofs(b"l" * 32).believed(transaction.with_proof(proof)) == ()


def test_the_first_sign_in_with_two_factors_enrols_a_phone_and_the_next_asks_for_its_code(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened(second_factor_for_all=True) as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser))
            enrol = await browser.password(page, "lin")
            assert "<svg" in enrol.text
            assert "style=" not in enrol.text
            assert browser.session_cookie is None, "no session on a password alone"
            again = await browser.get("/signin/step", t=enrol.hidden("t"))
            assert await _seed_on_page(again) == await _seed_on_page(enrol), "the picture stays while it is shown"
            wrong = await browser.post("/signin/enrol", {"t": enrol.hidden("t"), "csrf": "f", "code": "000000"})
            assert wrong.status == 422
            seed, consent = await _enrol(world, browser, enrol)
            answer = await browser.allow(consent)
            claims = claims_of((await world.redeem(answer.query["code"])).json()["id_token"])
            assert claims["acr"] == "urn:edutrust:acr:2"
            assert claims["amr"] == ["pwd", "otp"]
            stored = await world.store.totp(world.people["lin"])
            assert stored is not None
            assert seed not in stored.sealed_seed

            second = world.browser()
            page = await second.follow(await world.authorize(second))
            asked = await second.password(page, "lin")
            assert "/signin/totp" in asked.text
            form = {"t": asked.hidden("t"), "csrf": "f", "code": world.code_of(seed)}
            assert (await second.post("/signin/totp", form)).status == 422, "the enrolment's code is used already"
            world.clock.advance(30)
            form["code"] = world.code_of(seed)
            done = await second.follow(await second.post("/signin/totp", form))
            assert "code" in done.query

    run(story())


def test_a_code_is_accepted_once_also_when_sixteen_come_at_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened(second_factor_for_all=True) as world:
            browser = world.browser()
            enrol = await browser.password(await browser.follow(await browser.get("/signin")), "lin")
            await _enrol(world, browser, enrol)
            person = world.people["lin"]
            step = world.clock() // 30 + 5
            moved = await asyncio.gather(*(world.store.consume_totp_step(person, step) for _ in range(16)))
            assert sorted(moved) == [False] * 15 + [True]
            assert not await world.store.consume_totp_step(person, step - 1), "nor one step older"

    run(story())


def test_totp_has_its_own_count_and_its_failures_do_not_lock_the_password(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened(second_factor_for_all=True) as world:
            browser = world.browser()
            enrol = await browser.password(await browser.follow(await browser.get("/signin")), "lin")
            seed, _ = await _enrol(world, browser, enrol)
            world.clock.advance(60)
            other = world.browser()
            asked = await other.password(await other.follow(await other.get("/signin")), "lin")
            for _ in range(4):
                form = {"t": asked.hidden("t"), "csrf": "f", "code": "000000"}
                assert (await other.post("/signin/totp", form)).status == 422
            form = {"t": asked.hidden("t"), "csrf": "f", "code": world.code_of(seed)}
            assert (await other.post("/signin/totp", form)).status == 422, "too soon, though right"
            again = await other.password(await other.follow(await other.get("/signin")), "lin")
            assert "/signin/totp" in again.text, "the password still works"

    run(story())


def test_whoever_holds_an_office_needs_two_factors(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            unit = Unit(Level.SCHOOL, FIRST.value, ("000000", "500000"))
            new = NewOffice(
                PersonNumber(world.people["lin"]), unit, OfficeKind.INFORMATION, frozenset({Duty.REGISTRAR})
            )
            browser = world.browser()
            await world.sign_in(browser)
            assert (await browser.get("/account/sessions")).status == 200
            await world.authority.grant_office(new, by=None, now=world.clock())
            step = await browser.follow(await browser.get("/signin"))
            assert "/signin/password" in step.text, "a new factor is only added right after the password"
            enrol = await browser.password(step, "lin")
            _, done = await _enrol(world, browser, enrol)
            assert done.status in {303, 404}
            request = browser.http.build_request("GET", "/")
            from starlette.requests import HTTPConnection

            scope = {
                "type": "http",
                "headers": [(b"cookie", f"__Host-edutrust-session={browser.session_cookie}".encode())],
            }
            actor = await world.provider.actors.resolve_actor(HTTPConnection(scope))
            assert request is not None
            assert actor is not None
            assert actor.acr == "urn:edutrust:acr:2"
            assert [office.unit.code for office in actor.offices] == [FIRST.value]

    run(story())


def test_a_client_asking_for_two_factors_gets_a_step_up_and_only_the_missing_factor(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            first = world.browser()
            page = await first.follow(await world.authorize(first, acr_values="urn:edutrust:acr:2"))
            seed, consent = await _enrol(world, first, await first.password(page, "lin"))
            await first.allow(consent)
            world.clock.advance(60)
            browser = world.browser()
            await world.tokens(browser)
            cookie = browser.session_cookie
            asked = await browser.follow(await world.authorize(browser, acr_values="urn:edutrust:acr:2"))
            assert "/signin/totp" in asked.text
            form = {"t": asked.hidden("t"), "csrf": "f", "code": world.code_of(seed)}
            answer = await browser.follow(await browser.post("/signin/totp", form))
            claims = claims_of((await world.redeem(answer.query["code"])).json()["id_token"])
            assert claims["acr"] == "urn:edutrust:acr:2"
            assert browser.session_cookie != cookie

    run(story())


@pytest.mark.parametrize(
    "evil",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/x\r\nLocation: //evil.example",
        "/\t/evil.example",
        "evil",
        "",
        "/" + "x" * 600,
        "/学",
    ],
)
def test_a_first_party_sign_in_returns_to_this_site_only(evil: str) -> None:
    assert local_path(evil) == "/"


def test_a_first_party_sign_in_returns_to_its_page(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            begun = await browser.get("/signin", **{"return": "/account/platforms?x=1"})
            page = await browser.follow(begun)
            form = {"t": page.hidden("t"), "csrf": "f", "username": "lin", "password": PASSWORD}
            step = await browser.get((await browser.post("/signin/password", form)).location)
            assert step.location == "/account/platforms?x=1"
            assert (await browser.get("/signin", **{"return": "/log"})).location == "/log"

    run(story())


def test_cookies_are_host_bound_http_only_and_lax(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            answer = await _post_password(browser, page, "lin", PASSWORD)
            cookie = answer.headers["set-cookie"].lower()
            for attribute in ("__host-edutrust-session=", "httponly", "secure", "samesite=lax", "path=/"):
                assert attribute in cookie
            assert "domain" not in cookie
            assert browser.session_cookie is not None
            for table, column in (("login_session", "cookie_hash"), ("transient_entry", "payload")):
                for row in await world.db.fetch(f"SELECT {column} AS value FROM {table}"):  # noqa: S608  # our own names
                    assert browser.session_cookie.encode() not in bytes(row["value"])

    run(story())
