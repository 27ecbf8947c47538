"""Codes and refresh tokens: once each, by their client, while everything behind them is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from adapters.sql import idp_clients
from adapters.sql.idp_tokens import SqlTokens
from idp.clients.model import ClientState
from idp.model import AccountState
from idp.registry.model import AccountStatus
from idp.registry.person_number import PersonNumber
from idp.store import Beginning
from tests.protocol.world import OpenWorld, World, basic, claims_of
from tests.scale import trials

TRIALS_A_KIND = trials(100, full=5_000)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.soak
def test_sixteen_redemptions_at_once_give_exactly_one_success(opened: OpenWorld, run: Run) -> None:
    """A seeded sample of the big count: 200 trials, 16 takers each, half of the trials with refresh tokens."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for _ in range(TRIALS_A_KIND):
                code = await world.code(browser)
                answers = await asyncio.gather(*(world.redeem(code) for _ in range(16)))
                assert sorted(answer.status for answer in answers) == [200] + [400] * 15
                assert [answer.json()["error"] for answer in answers if answer.status == 400] == ["invalid_grant"] * 15
            for _ in range(TRIALS_A_KIND):
                token = (await world.tokens(browser))["refresh_token"]
                answers = await asyncio.gather(*(world.refresh(token) for _ in range(16)))
                assert sorted(answer.status for answer in answers) == [200] + [400] * 15
                assert [answer.json()["error"] for answer in answers if answer.status == 400] == ["invalid_grant"] * 15

    run(story())


def test_second_use_of_code_revokes_the_family(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            code = await world.code(browser)
            body = (await world.redeem(code)).json()
            assert (await world.userinfo(body["access_token"])).status == 200
            second = await world.redeem(code)
            assert second.status == 400
            assert second.json()["error"] == "invalid_grant"
            assert (await world.userinfo(body["access_token"])).status == 401
            assert (await world.refresh(body["refresh_token"])).status == 400

    run(story())


def test_a_code_seen_twice_while_its_taker_is_at_work_gives_a_family_born_dead(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for _ in range(5):
                code = await world.code(browser)
                first, second = await asyncio.gather(world.redeem(code), world.redeem(code))
                winner = first if first.status == 200 else second
                assert {first.status, second.status} == {200, 400}
                assert (await world.redeem(code)).status == 400
                assert (await world.userinfo(winner.json()["access_token"])).status == 401

    run(story())


@pytest.mark.parametrize(("presenter", "dead"), [("learning", True), ("library", False)])
def test_a_code_presented_between_its_taking_and_its_writing_gives_a_family_born_dead(
    opened: OpenWorld, run: Run, monkeypatch: pytest.MonkeyPatch, presenter: str, *, dead: bool
) -> None:
    """The second finds neither code nor family and is refused; what the first then writes is dead.

    Not so when the second is another client: its attempt changes nothing.
    """

    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser())
            taken, refused = asyncio.Event(), asyncio.Event()
            write = SqlTokens.start_family

            async def write_late(self: SqlTokens, *what: Any) -> Beginning:
                taken.set()
                await refused.wait()
                return await write(self, *what)

            monkeypatch.setattr(SqlTokens, "start_family", write_late)
            first = asyncio.create_task(world.redeem(code))
            await taken.wait()
            assert (await world.redeem(code, presenter)).status == 400
            refused.set()
            body = (await first).json()
            assert (await world.userinfo(body["access_token"])).status == (401 if dead else 200)
            assert (await world.refresh(body["refresh_token"])).status == (400 if dead else 200)

    run(story())


def test_a_code_of_another_client_is_refused_and_neither_taken_nor_revoked(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser())
            stolen = await world.redeem(code, "library", redirect_uri="https://learning.example/callback")
            assert stolen.json()["error"] == "invalid_grant"
            assert (await world.redeem(code)).status == 200

    run(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://learning.example/callback/"},
        {"redirect_uri": None},
        {"code_verifier": "w" * 64},
        {"code_verifier": "v" * 42},
        {"code_verifier": None},
        {"code_verifier": ""},
    ],
)
def test_a_code_needs_its_redirect_uri_and_verifier(opened: OpenWorld, run: Run, changes: dict[str, Any]) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser())
            answer = await world.redeem(code, **changes)
            assert answer.status == 400
            assert answer.json()["error"] in {"invalid_grant", "invalid_request"}

    run(story())


def test_a_verifier_without_a_challenge_is_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            no_challenge = {"code_challenge": None, "code_challenge_method": None}
            code = await world.code(browser, "exempt", **no_challenge)
            assert (await world.redeem(code, "exempt")).status == 400
            code = await world.code(browser, "exempt", **no_challenge)
            assert (await world.redeem(code, "exempt", code_verifier=None)).status == 200

    run(story())


def test_a_code_dies_after_sixty_seconds(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            code = await world.code(browser)
            world.clock.advance(59)
            assert (await world.redeem(code)).status == 200
            code = await world.code(browser)
            world.clock.advance(60)
            assert (await world.redeem(code)).status == 400

    run(story())


def test_refresh_rotates_and_a_replay_kills_the_whole_family(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            other = await world.tokens(browser, "library")
            chain = [await world.tokens(browser)]
            for _ in range(3):
                world.clock.advance(1)
                answer = await world.refresh(chain[-1]["refresh_token"])
                assert answer.status == 200
                chain.append(answer.json())
            assert len({body["refresh_token"] for body in chain}) == 4
            assert claims_of(chain[-1]["id_token"])["sub"] == claims_of(chain[0]["id_token"])["sub"]
            replay = await world.refresh(chain[1]["refresh_token"])
            assert replay.json()["error"] == "invalid_grant"
            for body in chain:
                assert (await world.refresh(body["refresh_token"])).status == 400
                assert (await world.userinfo(body["access_token"])).status == 401
            assert (await world.userinfo(other["access_token"])).status == 200, "other families are untouched"
            assert "idp.token.refresh_replayed" in world.trail.actions()

    run(story())


def test_a_refresh_token_is_bound_to_its_client_and_its_scope(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            body = await world.tokens(browser)
            assert (await world.refresh(body["refresh_token"], "library")).status == 400
            wider = await world.refresh(body["refresh_token"], scope="openid profile edu")
            assert wider.json()["error"] == "invalid_scope"
            narrower = (await world.refresh(body["refresh_token"], scope="openid")).json()
            assert narrower["scope"] == "openid"
            assert "name" not in (await world.userinfo(narrower["access_token"])).json()
            back = (await world.refresh(narrower["refresh_token"])).json()
            assert back["scope"] == "openid profile"

    run(story())


def test_a_refresh_token_ends_by_idleness_and_absolutely(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            body = await world.tokens(browser)
            world.clock.advance(30 * 60)
            assert (await world.refresh(body["refresh_token"])).status == 400
            await world.sign_in(browser)
            body = await world.tokens(browser, scope="openid offline_access", prompt="consent")
            for _ in range(12):
                world.clock.advance(14 * 24 * 3600 - 1)
                body = (await world.refresh(body["refresh_token"])).json()
            world.clock.advance(13 * 24 * 3600)
            assert (await world.refresh(body["refresh_token"])).status == 400

    run(story())


def test_an_access_token_ends(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser())
            world.clock.advance(body["expires_in"] - 1)
            assert (await world.userinfo(body["access_token"])).status == 200
            world.clock.advance(1)
            answer = await world.userinfo(body["access_token"])
            assert answer.status == 401
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    run(story())


Change = Callable[[World], Awaitable[object]]


def _account(state: AccountState) -> Change:
    return lambda world: world.store.set_account_state(world.people["lin"], state, world.clock())


def _registry(status: AccountStatus) -> Change:
    return lambda world: world.registry.set_status(PersonNumber(world.people["lin"]), status, now=world.clock())


async def _raw_account(world: World, state: str) -> None:
    """Set the state alone, without what the verb does besides: each look-up must ask by itself."""
    await world.db.execute("UPDATE account SET state = $1 WHERE person = $2", state, world.people["lin"])


STATES: dict[str, Change] = {
    "account locked": _account(AccountState.LOCKED),
    "account disabled": _account(AccountState.DISABLED),
    "account deleted": _account(AccountState.DELETED),
    "account row locked": lambda world: _raw_account(world, "locked"),
    "account row disabled": lambda world: _raw_account(world, "disabled"),
    "registry locked": _registry(AccountStatus.LOCKED),
    "registry disabled": _registry(AccountStatus.DISABLED),
    "registry deleted": _registry(AccountStatus.DELETED),
    "client disabled": lambda world: world.store.set_client_state("learning", ClientState.DISABLED, world.clock()),
    "client row disabled": lambda world: world.db.execute(
        "UPDATE client SET state = 'disabled' WHERE client_id = 'learning'"
    ),
    "consent withdrawn": lambda world: world.store.withdraw_consent(world.people["lin"], "learning", world.clock()),
    "password changed": lambda world: world.store.set_password(world.people["lin"], "$argon2id$x", world.clock()),
    "everything ended": lambda world: world.store.end_sessions_of(world.people["lin"], world.clock()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("scope", ["openid profile", "openid offline_access"])
def test_every_grant_is_refused_in_every_state(
    opened: OpenWorld, run: Run, monkeypatch: pytest.MonkeyPatch, state: str, scope: str
) -> None:
    # A row changed behind the store's back, as another process changes it, is seen when the client kept here is too old.
    monkeypatch.setattr(idp_clients, "CACHE_S", 0.0)

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            body = await world.tokens(browser, scope=scope)
            code = await world.code(browser, scope=scope)
            await STATES[state](world)
            assert (await world.redeem(code)).status in {400, 401}
            assert (await world.refresh(body["refresh_token"])).status in {400, 401}
            assert (await world.userinfo(body["access_token"])).status == 401
            silent = await world.authorize(browser, prompt="none", scope=scope)
            if state.startswith("client"):
                assert silent.status == 400
                assert silent.json()["rule"] == "disabled"
            else:
                assert silent.query["error"] in {"login_required", "consent_required", "access_denied"}
                assert "code" not in silent.query

    run(story())


def test_ending_the_session_ends_its_tokens_but_not_offline_ones(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            online = await world.tokens(browser, "library")
            offline = await world.tokens(browser, scope="openid offline_access")
            assert (await browser.post("/signout", {"csrf": "form-token"})).status == 303
            assert (await world.refresh(online["refresh_token"], "library")).status == 400
            assert (await world.refresh(offline["refresh_token"])).status == 200

    run(story())


@pytest.mark.parametrize(
    ("client_id", "authorization", "form", "error"),
    [
        ("learning", basic("learning", "t" * 43), {}, "invalid_client"),
        ("learning", basic("nobody", "s" * 43), {}, "invalid_client"),
        ("learning", basic("native", "s" * 43), {}, "invalid_client"),
        ("learning", "Basic !!!", {}, "invalid_client"),
        ("learning", "Bearer " + "s" * 43, {}, "invalid_client"),
        ("learning", basic("learning", "s" * 43), {"client_secret": "s" * 43}, "invalid_request"),
        ("learning", basic("learning", "s" * 43), {"client_id": "library"}, "invalid_request"),
    ],
)
def test_clients_are_authenticated_the_one_way_they_registered(  # a table row is many values
    opened: OpenWorld, run: Run, client_id: str, authorization: str, form: dict[str, str], error: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser(), client_id)
            sent = {"grant_type": "authorization_code", "code": code, **form}
            answer = await world.token(sent, authorization=authorization)
            assert answer.json()["error"] == error
            if error == "invalid_client":
                assert answer.status == 401
                assert answer.headers["www-authenticate"].startswith("Basic")
            assert (await world.redeem(code, client_id)).status == 200, "a wrong client takes nothing"

    run(story())


def test_an_unknown_client_and_a_wrong_secret_are_answered_alike(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            form = {"grant_type": "authorization_code", "code": "sac_" + "x" * 43}
            unknown = await world.token(form, authorization=basic("nobody", "s" * 43))
            wrong = await world.token(form, authorization=basic("learning", "t" * 43))
            assert unknown.content == wrong.content
            assert unknown.headers == wrong.headers

    run(story())


@pytest.mark.parametrize("grant", ["password", "implicit", "", "urn:x"])
def test_other_grants_do_not_exist(opened: OpenWorld, run: Run, grant: str) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.token({"grant_type": grant, "username": "lin", "password": "correct horse battery"})
            assert answer.status == 400
            assert answer.json()["error"] == "unsupported_grant_type"

    run(story())


def test_a_public_client_redeems_with_pkce_and_without_a_secret(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            body = await world.tokens(browser, "native")
            assert (await world.refresh(body["refresh_token"], "native")).status == 200
            code = await world.code(browser, "native")
            assert (await world.redeem(code, "native", code_verifier=None)).status == 400

    run(story())


def test_a_repeated_parameter_or_a_query_is_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            headers = {
                "authorization": basic("learning", "s" * 43),
                "content-type": "application/x-www-form-urlencoded",
            }
            twice = await browser.http.post("/token", content="grant_type=a&grant_type=b", headers=headers)
            query = await browser.http.post("/token?code=x", content="grant_type=a", headers=headers)
            as_json = await browser.http.post("/token", json={"grant_type": "authorization_code"}, headers=headers)
            media = await browser.http.post("/token", json={}, headers={"authorization": basic("learning", "s" * 43)})
            for answer in (twice, query, as_json, media):
                assert answer.status_code == 400
                assert answer.json()["error"] in {"invalid_request", "unsupported_grant_type"}

    run(story())
