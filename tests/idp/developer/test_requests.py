"""The page that tests an integration: the last requests of one's own client, what was wrong with each, and nothing secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.clients.sandbox_store import RequestNote
from idp.developer.hints import hint_of
from idp.developer.watch import NOTE_LIFETIME_S, NOTES_KEPT
from tests.idp.developer.test_sandbox import CALLBACK, code_of, developer, form, made, redeem
from tests.protocol.world import NOW, SECRET, OpenWorld, World, authorization, basic

Run = Callable[[Coroutine[Any, Any, None]], None]


async def notes(world: World, client_id: str) -> tuple[RequestNote, ...]:
    return await world.store.notes_of(client_id, since=0)


@pytest.mark.parametrize(
    ("changes", "outcome", "field", "rule"),
    [
        ({"redirect_uri": "https://mine.example/other"}, "invalid_request", "redirect_uri", "not_registered"),
        ({"redirect_uri": None}, "invalid_request", "redirect_uri", "missing"),
        ({"response_type": "token"}, "unsupported_response_type", "response_type", "unsupported"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request", "code_challenge", "missing"),
        ({"code_challenge_method": "plain"}, "invalid_request", "code_challenge_method", "s256_required"),
        ({"scope": "profile"}, "invalid_scope", "scope", "openid_missing"),
        ({"scope": "openid phone"}, "invalid_scope", "scope", "not_registered"),
        ({"prompt": "none"}, "consent_required", "", "prompt_none"),
        (
            {"request_uri": "urn:ietf:params:oauth:request_uri:spa_x"},
            "invalid_request_uri",
            "request_uri",
            "not_in_force",
        ),
    ],
)
def test_a_refused_authorization_request_says_field_rule_and_what_to_do(
    opened: OpenWorld, run: Run, changes: dict[str, Any], outcome: str, field: str, rule: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, _ = await made(browser)
            await browser.get("/authorize", **authorization(client_id, **{"redirect_uri": CALLBACK, **changes}))
            [note] = await notes(world, client_id)
            assert (note.endpoint, note.outcome, note.field, note.rule) == ("/authorize", outcome, field, rule)
            page = await browser.get(f"/developer/clients/{client_id}")
            assert f"<code>{field}: {rule}</code>" in page.text or not field
            assert hint_of(note) not in {None, "developer.hint.other"}

    run(story())


def test_a_whole_sign_in_is_seen_from_the_request_to_the_refresh(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser)
            code = await code_of(browser, client_id)
            tokens = (await redeem(world, client_id, secret, code)).json()
            refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            authorized = {"authorization": basic(client_id, secret)}
            await world.browser().post("/token", refresh, **authorized)
            await world.browser().post("/token", refresh, **authorized)
            await world.browser().post("/token", {**refresh, "grant_type": "password"}, **authorized)
            seen = [(note.endpoint, note.outcome) for note in reversed(await notes(world, client_id))]
            assert seen == [
                ("/authorize", "asked"),
                ("/authorize", "code"),
                ("/token", "ok"),
                ("/token", "ok"),
                ("/token", "invalid_grant"),
                ("/token", "unsupported_grant_type"),
            ]
            last = (await notes(world, client_id))[1]
            assert hint_of(last) == "developer.hint.refresh_token"

    run(story())


def test_wrong_credentials_and_a_wrong_verifier_are_told_apart(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser)
            code = await code_of(browser, client_id)
            await redeem(world, client_id, "x" * 43, code)
            await redeem(world, client_id, secret, code, code_verifier="w" * 43)
            second, first = (await notes(world, client_id))[:2]
            assert (first.outcome, hint_of(first)) == ("invalid_client", "developer.hint.credentials")
            assert (second.outcome, hint_of(second)) == ("invalid_grant", "developer.hint.code")

    run(story())


def test_no_secret_of_a_request_is_ever_written(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, secret = await made(browser)
            code = await code_of(browser, client_id, state="STATE-VALUE", nonce="NONCE-VALUE", login_hint="LOGIN-VALUE")
            tokens = (await redeem(world, client_id, secret, code)).json()
            await redeem(world, client_id, "y" * 43, code)
            posted = {"client_id": client_id, "client_secret": "z" * 43, "grant_type": "refresh_token"}
            await world.browser().post("/token", {**posted, "refresh_token": tokens["refresh_token"]})
            await world.browser().post(
                "/introspect", {"token": tokens["access_token"]}, authorization=basic(client_id, secret)
            )
            elsewhere = f"{CALLBACK}?token=IN-THE-ADDRESS#frag"
            await browser.get("/authorize", **authorization(client_id, redirect_uri=elsewhere, state="STATE-VALUE"))
            rows = await world.db.fetch("SELECT * FROM request_note")
            assert len(rows) == 7
            kept = repr([dict(row) for row in rows])
            for value in (
                *("STATE-VALUE", "NONCE-VALUE", "LOGIN-VALUE", "IN-THE-ADDRESS", "frag", code, secret),
                *("y" * 43, "z" * 43, "v" * 64, world.people["lin"]),
                *(tokens[name] for name in ("access_token", "refresh_token", "id_token")),
            ):
                assert value not in kept
            assert "'…'" in kept or '"…"' in kept  # that there were such parameters is said

    run(story())


def test_a_value_used_before_is_pointed_out(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            client_id, _ = await made(await developer(world))
            for state in ("one", "two"):
                asked = authorization(client_id, redirect_uri=CALLBACK, state=state)
                await world.browser().get("/authorize", **asked)
            newest, oldest = await notes(world, client_id)
            assert "repeated" not in oldest.asked
            assert newest.asked["repeated"] in {"nonce", "code_challenge"}
            assert hint_of(newest) == "developer.hint.repeated"

    run(story())


def test_platforms_of_the_operator_are_not_watched(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.tokens(world.browser())
            await world.authorize(world.browser(), redirect_uri="https://elsewhere.example/")
            await world.token({"grant_type": "password"}, authorization=basic("learning", SECRET[::-1] + "x"))
            # Nor anybody who names a client that is not there.
            await world.authorize(world.browser(), "sandbox-0000000000000000")
            assert await world.db.fetch("SELECT * FROM request_note") == []

    run(story())


def test_fifty_notes_are_kept_and_none_longer_than_a_day(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            client_id, _ = await made(await developer(world))
            for number in range(NOTES_KEPT + 5):
                note = RequestNote(client_id, NOW + number, "/token", "ok", "", "", "", f"{number}", {})
                await world.store.write_note(note, keep=NOTES_KEPT)
            kept = await notes(world, client_id)
            assert [int(note.reference) for note in kept] == list(range(NOTES_KEPT + 4, 4, -1))
            assert len(await world.store.notes_of(client_id, since=NOW + 50)) == 5
            world.clock.advance(NOTE_LIFETIME_S + 30)
            await world.provider.housekeeping()
            assert {note.time for note in await notes(world, client_id)} == set(range(NOW + 30, NOW + 55))

    run(story())


async def signed_in_for_trial(world: World, **changes: str) -> tuple[str, str]:
    """Run the test sign-in; return the client id and what its page says."""
    browser = await developer(world)
    client_id, _ = await made(browser, **changes)
    answer = await browser.follow(await browser.post(f"/developer/clients/{client_id}/test", form()))
    answer = await browser.allow(answer, "edu")
    back = await browser.get(answer.location.removeprefix("https://id.example.edu.cn"))
    return client_id, back.text


@pytest.mark.parametrize("alg", ["ES256", "SGD_SM3_SM2"])
def test_a_test_sign_in_lays_every_step_open(opened: OpenWorld, run: Run, alg: str) -> None:
    async def story() -> None:
        async with opened() as world:
            client_id, page = await signed_in_for_trial(world, alg=alg)
            assert len(re.findall(r'<li class="card">', page)) == 5
            assert f"&#34;alg&#34;: &#34;{alg}&#34;" in page
            assert f"&#34;aud&#34;: &#34;{client_id}&#34;" in page
            assert "张·𠮷禾" in page
            # Nothing was issued: no family, no token.
            assert await world.db.fetch("SELECT * FROM token_family WHERE client_id = $1", client_id) == []

    run(story())


def test_a_test_sign_in_is_answered_once_and_in_its_own_session_only(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, _ = await made(browser)
            answer = await browser.follow(await browser.post(f"/developer/clients/{client_id}/test", form()))
            answer = await browser.allow(answer)
            path = answer.location.removeprefix("https://id.example.edu.cn")
            await world.add_person("wang", 2)
            other = await developer(world, "wang")
            assert (await other.get(path)).json()["rule"] == "not_in_force"
            # Whoever came first has used the answer up, as any state.
            assert (await browser.get(path)).json()["rule"] == "not_in_force"

    run(story())


def test_a_refusal_of_the_test_sign_in_is_shown_as_a_platform_would_see_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = await developer(world)
            client_id, _ = await made(browser)
            page = await browser.follow(await browser.post(f"/developer/clients/{client_id}/test", form()))
            denied = await browser.post("/signin/cancel", {"t": page.hidden("t"), "csrf": "form-token"})
            back = await browser.get(denied.location.removeprefix("https://id.example.edu.cn"))
            assert "error=access_denied" in back.text
            assert len(re.findall(r'<li class="card">', back.text)) == 2

    run(story())
