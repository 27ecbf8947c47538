"""The composed service under odd requests and lost stores: what a scrape says, and what it never does."""

from __future__ import annotations

import asyncio
import os
import random
import string
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from adapters.app import Application
from adapters.commands.migrate import migrate
from adapters.kek import create_kek
from adapters.parts import Parts
from adapters.scrape.probes import WAIT_S
from adapters.server import service
from adapters.settings import check_settings
from idp.model import Account, AccountState, AuthenticatorKind
from idp.registry.model import EnrolmentRequest, ProofingLevel, Source
from idp.registry.names import parse_person_name
from idp.store import Attempt
from tests.adapters.observe.scraping import Scraper, scraping
from tests.protocol.own_postgres import own_postgres
from tests.services.redis import own
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]
ISSUER: Final = "http://127.0.0.1:8080"
ODD: Final = 500
CANARY: Final = "canary7411"
STORES: Final = ("idp", "credentials", "ledger", "audit")


@asynccontextmanager
async def opened(folder: Path, **more: str) -> AsyncIterator[tuple[Parts, Application, Scraper]]:
    settings = check_settings({"issuer": ISSUER, "data_dir": str(folder), **more})
    create_kek(settings.kek_file, random_bytes=os.urandom)
    if settings.embedded:
        make_tables(settings.database_url)
    else:
        await asyncio.to_thread(migrate, settings)
    async with (
        service(settings, write_log=lambda _line: None, background=False) as (parts, application),
        scraping(parts) as scrape,
    ):
        yield parts, application, scrape


def odd_request(draw: random.Random, patterns: list[str]) -> httpx.Request:
    """Return a request nobody would make: parameters, paths, names and callers of every kind, and a word to be found."""

    def word() -> str:
        letters = string.ascii_letters + string.digits + "/.{}~ %é漢😀\\\"'\n"
        return "".join(draw.choices(letters, k=draw.randrange(1, 20))) + CANARY

    pattern = draw.choice([*patterns, "/{nowhere}", "/static/{x}", "/log/{x}/receipt.json"])
    # Words of the routes themselves, too: a value that stands in the pattern again misleads whoever rebuilds it.
    own = [part for one in patterns for part in one.split("/") if part and not part.startswith("{")]

    def value() -> str:
        return quote(word(), safe="") if draw.random() < 0.6 else draw.choice(own)

    path = "".join(value() if part.startswith("{") else part for part in _parts(pattern))
    if draw.random() < 0.2:
        path += "/" + quote(word(), safe="")
    headers = {
        "x-forwarded-for": f"203.0.113.{draw.randrange(256)}",
        "user-agent": CANARY + str(draw.random()),
        "cookie": f"{CANARY}={draw.random()}",
        "authorization": f"Bearer {CANARY}{draw.random()}",
    }
    if draw.random() < 0.1:
        headers["host"] = f"{CANARY}.example"
    method = draw.choice(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", CANARY.upper()])
    form = {"client_id": CANARY + word(), "grant_type": word()} if method == "POST" else None
    return httpx.Request(method, f"{ISSUER}{path}?{quote(word())}={quote(word())}", headers=headers, data=form)


def _parts(pattern: str) -> list[str]:
    return pattern.replace("{", "\x00{").replace("}", "}\x00").split("\x00")


def test_no_caller_makes_a_label_of_its_own(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        draw = random.Random(5)
        async with opened(tmp_path) as (parts, application, scrape):
            patterns = parts.meters.http.known
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:

                async def ask() -> set[Any]:
                    for _ in range(ODD):
                        await client.send(odd_request(draw, patterns))
                    await client.get("/log/receipt.json/receipt.json")
                    found = await scrape()
                    assert CANARY not in found.text.lower()
                    assert sum(found.nonzero("edutrust_http_requests_total").values()) >= ODD
                    return {labels for labels in found.series if labels[0].startswith("edutrust_http_requests")}

                first, second = await ask(), await ask()
            routes = {dict(labels)["route"] for _, labels in first | second}
            assert routes <= {*patterns, "unrouted", "other"}
            # Five classes of status a route, whoever calls: nothing else can be added, however often.
            assert len(first | second) <= 6 * len(routes)
            assert len(second - first) <= len(patterns) // 2

    run(story())


def test_the_same_odd_requests_from_others_add_no_series(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (_, application, scrape):
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:

                async def ask(client_id: str) -> set[Any]:
                    for number in range(ODD // 2):
                        await client.get(f"/verify/{client_id}{number}")
                        await client.post("/token", data={"client_id": f"{client_id}{number}", "code": "x"})
                    return set((await scrape()).series)

                assert await ask("a") == await ask("b")

    run(story())


def test_a_limit_that_turns_callers_away_is_counted_by_its_name(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (_, application, scrape):
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
                answers = [(await client.get("/register")).status_code for _ in range(70)]
            assert answers.count(429) > 0
            refusals = (await scrape()).nonzero("edutrust_limiter_refusals_total")
            assert refusals == {("register",): answers.count(429)}

    run(story())


def test_tries_at_a_slowed_account_are_counted(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (parts, _, scrape):
            account = await _account(parts)
            answers = [
                await parts.access.reserve_attempt(account, AuthenticatorKind.PASSWORD, parts.clock())
                for _ in range(20)
            ]
            held = {(answer.value,) for answer in answers if answer in {Attempt.TOO_SOON, Attempt.DISABLED}}
            assert held
            counted = (await scrape()).nonzero("edutrust_sign_in_tries_held_back_total")
            assert {(reason,) for _, reason in counted} == held
            assert sum(counted.values()) == len([one for one in answers if one is not Attempt.ALLOWED])

    run(story())


async def _account(parts: Parts) -> str:
    """Return a person with an account of the password's kind."""
    request = EnrolmentRequest(
        real_name=parse_person_name("林溪"),
        foreign_name=None,
        display_name=None,
        id_number=None,
        birth=None,
        phone=None,
        affiliation=None,
        proofing=ProofingLevel.NONE,
        source=Source.DEMONSTRATION,
    )
    enrolled = await parts.registry.enrol_person(request, now=parts.clock())
    person = str(enrolled.person.number)
    await parts.access.create_account(Account(person, "lin", AccountState.ACTIVE, "unused"), parts.clock())
    return person


def test_a_redis_that_stops_or_hangs_is_shown_and_everything_else_too(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        (tmp_path / "redis").mkdir()
        with own(tmp_path / "redis") as redis:
            async with opened(tmp_path / "data", redis_url=redis.url) as (_, _, scrape):
                assert (await scrape()).get("edutrust_store_up", store="redis") == 1
                redis.freeze()
                found = await scrape()
                assert found.get("edutrust_store_up", store="redis") == 0
                assert [found.get("edutrust_store_up", store=store) for store in STORES] == [1, 1, 1, 1]
                redis.end()
                assert (await scrape()).get("edutrust_store_up", store="redis") == 0
                redis.start()
                assert (await scrape()).get("edutrust_store_up", store="redis") == 1

    run(story())


def test_a_database_that_stops_or_hangs_is_shown_and_no_old_figure_is(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        with own_postgres() as postgres:
            async with opened(tmp_path, database_url=postgres.url) as (parts, _, scrape):
                await parts.ledger.append([(b"entry", os.urandom(32))])
                before = await scrape()
                assert before["edutrust_ledger_entries"] == 1
                assert [before.get("edutrust_store_up", store=store) for store in STORES] == [1, 1, 1, 1]

                for strike, mend in ((postgres.freeze, postgres.thaw), (postgres.end, postgres.start)):
                    await asyncio.to_thread(strike)
                    # Whoever else asks meanwhile is answered too, and the stores are not asked by each of them.
                    async with asyncio.timeout(20 * WAIT_S):
                        all_found = await asyncio.gather(*(scrape() for _ in range(3)))
                    for found in all_found:
                        assert [found.get("edutrust_store_up", store=store) for store in STORES] == [0, 0, 0, 0]
                        for gone in (
                            "edutrust_ledger_entries",
                            "edutrust_ledger_checkpoint_timestamp_seconds",
                            "edutrust_ledger_publication_lag_entries",
                            "edutrust_audit_trail_events",
                        ):
                            assert found.get(gone) is None, gone
                        assert found.get("edutrust_anchor_entries", chain="file") is None
                        assert found["process_open_fds"] > 0
                    await asyncio.to_thread(mend)
                    async with asyncio.timeout(60):
                        while (await scrape()).get("edutrust_ledger_entries") != 1:  # noqa: ASYNC110  # of another process
                            await asyncio.sleep(0.1)

    run(story())


def test_only_the_one_path_answers_and_the_public_address_does_not_have_it(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path) as (_, application, _):
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
                assert (await client.get("/metrics")).status_code == 404

    run(story())
