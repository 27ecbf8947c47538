"""What still works, what is refused and what never happens while Redis or PostgreSQL is away, or the clock is wrong.

The live service in two processes on PostgreSQL and Redis, with sign-ins under way when it strikes (G18, G19, and the
table of docs/promises.md). How long something took is printed by `make soak`; what is asserted of time are limits no
working machine reaches.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from idp.login.lockout import FAILURES_MAX
from tests.protocol.fleet import Answer, Browser, Fleet, fleet_over, until
from tests.protocol.own_postgres import OwnPostgres, own_postgres
from tests.protocol.single_use import Stage, clients, robot_key, settle
from tests.protocol.world import authorization
from tests.scale import report, trials
from tests.services.redis import RedisProcess, own

Run = Callable[[Coroutine[Any, Any, None]], None]

SEED = 20_261_122
WALKERS = 6
RECOVERED_S = 60.0
FAULTS_TOLD = 3
LINES_BEFORE = 5
"""Of a process's log, shown before what it says of a fault."""
WITHOUT_DATABASE = ("/jwks", "/jwks/national", "/.well-known/openid-configuration", "/healthz")


@dataclass
class Deployed:
    """The processes and what they lean on."""

    fleet: Fleet
    postgres: OwnPostgres
    redis: RedisProcess
    key: Any


@contextmanager
def deployed(folder: Path) -> Iterator[Deployed]:
    """Start everything for one test."""
    key = robot_key()
    with own_postgres() as postgres, own(folder) as redis:
        usernames = ["lin", "zhao"]
        with fleet_over(folder, clients(key), usernames, database_url=postgres.url, redis_url=redis.url) as fleet:
            yield Deployed(fleet, postgres, redis, key)


@dataclass
class Traffic:
    """Sign-ins that go on all the time: what was answered, and every token that anybody was given."""

    fleet: Fleet
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: list[str] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    stopped: bool = False

    async def walk(self, stage: Stage) -> None:
        """Go through whole sign-ins, one after the other, whatever is answered."""
        while not self.stopped:
            at = stage.member()
            asked = authorization("learning", scope="openid", prompt="none")
            answer = await stage.fleet.ask(at, stage.person.get_bytes("/authorize", asked))
            self.note("authorize", answer)
            code = answer.query.get("code") if answer.status == 303 else None
            if code is not None:
                self.begun[code[0]] += 1
                answer = await stage.fleet.ask(1 - at, stage.redeeming(code))
                self.note("token", answer)
                if answer.status == 200:
                    self.tokens.append(answer.json()["access_token"])
            await asyncio.sleep(0.02)

    def note(self, what: str, answer: Answer) -> None:
        """Count an answer, and look at a refusal."""
        self.statuses[what, answer.status] += 1
        if answer.status == 500:
            self.faults.append(answer.headers["x-correlation-id"])
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) > 0
            assert "traceback" not in answer.body.decode().lower()

    def seen(self, what: str) -> set[int]:
        """Return the statuses answered so far."""
        return {status for (asked, status) in self.statuses if asked == what}

    def told(self) -> str:
        """Return what the processes logged of the first faults, for a failure that explains itself."""
        lines = [f"{self.statuses}, {len(self.faults)} faults"]
        for member in self.fleet.members:
            logged = member.log.read_text("utf-8").splitlines()
            for number, line in enumerate(logged):
                if any(f'"{fault}"' in line for fault in self.faults[:FAULTS_TOLD]):
                    lines += [f"{member.log.name}:", *logged[max(0, number - LINES_BEFORE) : number + 1]]
        return "\n".join(lines)


@asynccontextmanager
async def traffic(stage: Stage) -> AsyncIterator[Traffic]:
    """Sign in once, then walk while the block lasts."""
    await stage.authorize()
    going = Traffic(stage.fleet)
    walkers = [asyncio.create_task(going.walk(stage)) for _ in range(WALKERS)]
    try:
        yield going
        going.stopped = True
        await asyncio.gather(*walkers)
    finally:
        for walker in walkers:
            walker.cancel()


async def some_more(going: Traffic, what: str, status: int, number: int = 20) -> None:
    """Wait until so many more of these answers have come."""
    wanted = going.statuses[what, status] + number

    async def come() -> bool:
        return going.statuses[what, status] >= wanted

    await until(come, within_s=RECOVERED_S)


def stage_of(deployed: Deployed) -> Stage:
    return Stage(deployed.fleet, deployed.key, random.Random(SEED), Browser(deployed.fleet))


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_sign_ins_under_way_go_on_without_redis_and_nothing_fails(how: str, tmp_path: Path, run: Run) -> None:
    async def story(here: Deployed) -> None:
        stage = stage_of(here)
        async with traffic(stage) as going:
            await some_more(going, "token", 200)
            assert set(going.begun) == {"r"}
            await asyncio.to_thread(here.redis.end if how == "killed" else here.redis.freeze)
            going.begun.clear()
            await some_more(going, "token", 200)
            assert going.begun["s"] > 0, "codes are kept in SQL"
            await asyncio.to_thread(here.redis.start if how == "killed" else here.redis.thaw)

            async def back() -> bool:
                return going.begun["r"] > 0

            going.begun.clear()
            await until(back, within_s=RECOVERED_S)
            await some_more(going, "token", 200)
        # A code whose store is away opens nothing: its sign-in begins again. Nothing else is felt.
        assert going.seen("authorize") == {303}, going.told()
        assert going.seen("token") <= {200, 400}, going.told()
        await here.fleet.hang_up()
        await settle()

    with deployed(tmp_path) as here:
        run(story(here))


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_guesses_are_limited_without_redis_as_with_it(how: str, tmp_path: Path, run: Run) -> None:
    """G18. Attempts on an account are counted in SQL before the secret is looked at, by whichever process is asked."""

    async def story(here: Deployed) -> None:
        fleet = here.fleet
        await asyncio.to_thread(here.redis.end if how == "killed" else here.redis.freeze)
        owner = Browser(fleet)
        await owner.password(1, await owner.get(1, "/signin"), "zhao")
        assert "edutrust-session" in owner.cookies, "without Redis the right password is taken"
        browser = Browser(fleet)
        form = {"username": "zhao"}
        for hour in range(FAILURES_MAX):
            fleet.ahead(hour * 20 * 60)  # the longest delay between two guesses is over
            page = await browser.get(0, "/signin")
            form["t"], form["csrf"] = page.hidden("t"), page.hidden("csrf")
            guess = browser.post_bytes("/signin/password", {**form, "password": f"wrong guess {hour}"})
            answers = await fleet.at_once([(number % 2, guess) for number in range(4)])
            assert {answer.status for answer in answers} <= {401, 422, 429, 400}, [a.status for a in answers]
        fleet.ahead(FAILURES_MAX * 20 * 60)
        page = await browser.get(1, "/signin")
        refused = await browser.password(1, page, "zhao")
        assert b"/signin/password" in refused.body, (
            "the tenth failure disabled the password; the right one comes too late"
        )
        assert "edutrust-session" not in browser.cookies
        await fleet.hang_up()
        await settle()

    with deployed(tmp_path) as here:
        run(story(here))


@pytest.mark.soak
def test_without_postgresql_nothing_is_issued_that_has_no_row_and_the_service_comes_back(
    tmp_path: Path, run: Run
) -> None:
    """G19. PostgreSQL ends in the middle of sign-ins, again and again; two kept processes of ours, never restarted."""
    kills = trials(2, full=500)

    async def story(here: Deployed) -> None:
        stage = stage_of(here)
        slowest_refusal = slowest_return = 0.0
        loop = asyncio.get_running_loop()
        async with traffic(stage) as going:
            for _ in range(kills):
                await some_more(going, "token", 200, stage.rng.randrange(3, 12))
                await asyncio.to_thread(here.postgres.end)
                await some_more(going, "authorize", 503, 4)
                for path in WITHOUT_DATABASE:
                    answer = await stage.fleet.ask(stage.member(), stage.fleet.request("GET", path))
                    assert answer.status == 200, path
                began = loop.time()
                answer = await stage.fleet.ask(0, stage.redeeming("sac_" + "x" * 43))
                slowest_refusal = max(slowest_refusal, loop.time() - began)
                assert answer.status == 503
                assert (await stage.fleet.ask(1, stage.fleet.request("GET", "/readyz"))).status == 503
                await asyncio.to_thread(here.postgres.start)
                began = loop.time()
                await some_more(going, "token", 200, 1)
                slowest_return = max(slowest_return, loop.time() - began)
        # RFC 6749 has no answer for this but its error form; whatever was given to anybody must be known to the database.
        assert going.seen("authorize") <= {303, 503}, going.told()
        assert going.seen("token") <= {200, 400, 503}, going.told()
        for token in going.tokens:
            userinfo = stage.fleet.request("GET", "/userinfo", authorization=f"Bearer {token}")
            assert (await stage.fleet.ask(stage.member(), userinfo)).status == 200
        await stage.fleet.hang_up()
        await settle()
        report(
            "G19",
            target="0 tokens without a row in 500 kills; 503 within 1 s; back within 5 s",
            actual=f"{kills} kills, {len(going.tokens)} tokens, 0 without a row; "
            f"503 after {slowest_refusal:.2f} s at most; back after {slowest_return:.2f} s at most",
            seed=SEED,
        )

    with deployed(tmp_path) as here:
        run(story(here))


def test_a_postgresql_that_hangs_is_told_of_and_waited_for(tmp_path: Path, run: Run) -> None:
    async def story(here: Deployed) -> None:
        stage = stage_of(here)
        issued = (await stage.fleet.ask(0, stage.redeeming((await stage.authorize()).query["code"]))).json()
        userinfo = stage.fleet.request("GET", "/userinfo", authorization=f"Bearer {issued['access_token']}")
        await asyncio.to_thread(here.postgres.freeze)
        try:
            for path in WITHOUT_DATABASE:
                assert (await stage.fleet.ask(0, stage.fleet.request("GET", path))).status == 200, path
            assert (await stage.fleet.ask(0, userinfo)).status == 503
        finally:
            await asyncio.to_thread(here.postgres.thaw)

        async def back() -> bool:
            return (await stage.fleet.ask(0, userinfo)).status == 200

        await until(back, within_s=RECOVERED_S)
        await stage.fleet.hang_up()
        await settle()

    with deployed(tmp_path) as here:
        run(story(here))


def test_a_clock_that_jumps_back_revives_nothing(tmp_path: Path, run: Run) -> None:
    async def story(here: Deployed) -> None:
        stage, fleet = stage_of(here), here.fleet
        fleet.ahead(3600)
        stage.ahead = 3600
        things = [await stage.made(kind) for kind in ("code", "refresh token", "assertion", "pushed request")]
        for thing in things:
            assert thing.won(await fleet.ask(0, thing.request))
            stage.spent.append(thing)
        checkpoint = (await fleet.ask(0, fleet.request("GET", "/log/checkpoint"))).body
        for back in (3500, 0, -7200):
            fleet.ahead(back)
            await stage.nothing_spent_comes_back()
            for member in (0, 1):
                assert (await fleet.ask(member, fleet.request("GET", "/log/checkpoint"))).body == checkpoint
                assert (await fleet.ask(member, fleet.request("GET", "/jwks"))).status == 200
        await fleet.hang_up()
        await settle()

    with deployed(tmp_path) as here:
        run(story(here))
