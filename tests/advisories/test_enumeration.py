"""Finding out who has an account: class 19, by text and status (CVE-2026-4633), by the time an answer takes, with an empty
password (Keycloak #51887), by what a second request costs less than the first (#48888).

Time is not measured: what takes time is counted. Every refusal verifies one password hash with the same parameters and
commits one write. There is no reset mail (Keycloak #26625) and no page that tells whether a name is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import argon2
import pytest

from adapters.sql.database import Transaction
from idp.login.lockout import FAILURES_MAX
from idp.model import AccountState, AuthenticatorKind
from idp.registry.model import AccountStatus
from idp.registry.person_number import parse_person_number
from tests.protocol.devices import Device, connect, screen, type_code
from tests.protocol.world import PASSWORD, Answer, Browser, Interleaved, OpenWorld, World

ADVISORY_CLASSES: tuple[int, ...] = (19,)
SEEN_RED: dict[str, str] = {
    "test_cve_2026_4633_every_refusal_is_the_same_answer_byte_for_byte": (
        "idp/login/password.py: the right password of a locked account went on to the next step"
    ),
    "test_every_refusal_verifies_one_hash_and_commits_one_write": (
        "idp/login/password.py: an unknown name committed no write (found by this test), an empty password was refused"
        " before the hash"
    ),
    "test_the_pages_of_devices_tell_no_used_code_from_one_that_never_was": (
        "idp/device/requests.py: a code that was answered or had run out was still shown"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]

CASES: dict[str, tuple[str, str]] = {
    "nobody": ("nobody", PASSWORD),
    "nobody, asked for before": ("nobody", PASSWORD),
    "nobody, empty password": ("nobody", ""),
    "nobody, overlong password": ("nobody", "x" * 2000),
    "no name": ("", PASSWORD),
    "no name, no password": ("", ""),
    "wrong": ("lin", "wrong"),
    "wrong, asked for before": ("lin", "wrong"),
    "empty": ("lin", ""),
    "overlong": ("lin", "x" * 2000),
    "too soon": ("soon", PASSWORD),
    "no more tries": ("worn", PASSWORD),
    "locked": ("locked", PASSWORD),
    "disabled": ("disabled", PASSWORD),
    "deleted": ("deleted", PASSWORD),
    "locked, wrong": ("locked", "wrong"),
    "a name of other letters": ("лин", PASSWORD),
}


async def _populate(world: World) -> None:
    for sequence, username in enumerate(("locked", "disabled", "deleted", "soon", "worn"), start=11):
        await world.add_person(username, sequence)
    for state in (AccountState.LOCKED, AccountState.DISABLED, AccountState.DELETED):
        await world.store.set_account_state(world.people[state.value], state, world.clock())
    for username, tries in (("worn", FAILURES_MAX), ("soon", 4)):
        for _ in range(tries):
            world.clock.advance(3600)
            await world.store.reserve_attempt(world.people[username], AuthenticatorKind.PASSWORD, world.clock())


async def _guess(browser: Browser, page: Answer, case: str) -> Answer:
    username, password = CASES[case]
    form = {"t": page.hidden("t"), "csrf": "f", "username": username, "password": password}
    return await browser.post("/signin/password", form)


def test_cve_2026_4633_every_refusal_is_the_same_answer_byte_for_byte(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await _populate(world)
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            answers = {case: await _guess(browser, page, case) for case in CASES}
            # The one thing that differs is what the person typed, in its field.
            texts = {
                answer.text.replace(f'type="text" value="{CASES[case][0]}"', 'type="text" value=""')
                for case, answer in answers.items()
            }
            assert len(texts) == 1
            assert {answer.status for answer in answers.values()} == {422}
            lengths = {"content-length"}  # with the name's own
            headers = {
                tuple(sorted((name, value) for name, value in answer.headers.items() if name not in lengths))
                for answer in answers.values()
            }
            assert len(headers) == 1
            recorded = {
                (event.action, event.actor, event.object, event.result, tuple(event.details.items()))
                for event in world.trail.events
                if event.action == "idp.login.password_refused"
            }
            assert len(recorded) == 1, "who reads the trail is not told either"

    run(story())


def test_every_refusal_verifies_one_hash_and_commits_one_write(
    opened: OpenWorld, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Counter[str] = Counter()
    verify = argon2.PasswordHasher.verify
    begin, execute = Interleaved.transaction, Interleaved.execute

    def verifying(hasher: argon2.PasswordHasher, stored: str, password: bytes) -> bool:
        done[stored.rpartition("$")[0].rpartition("$")[0]] += 1  # algorithm, version, parameters
        return verify(hasher, stored, password)

    @asynccontextmanager
    async def beginning(db: Interleaved) -> AsyncIterator[Transaction]:
        done["transaction"] += 1
        async with begin(db) as tx:
            yield cast("Transaction", _Counting(tx, done))

    async def executing(db: Interleaved, sql: str, *args: Any) -> int:
        done["statement"] += 1
        return await execute(db, sql, *args)

    async def story() -> None:
        async with opened() as world:
            await _populate(world)
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            monkeypatch.setattr(argon2.PasswordHasher, "verify", verifying)
            monkeypatch.setattr(Interleaved, "transaction", beginning)
            monkeypatch.setattr(Interleaved, "execute", executing)
            work = {}
            for case in CASES:
                done.clear()
                await _guess(browser, page, case)
                work[case] = dict(done)
            parameters = "$argon2id$v=19$m=19456,t=2,p=1"
            alike = {parameters: 1, "transaction": 1, "statement": 2, "rows written": 2}
            for case, counted in work.items():
                # A try that is refused unseen finds no row to count in, and writes one all the same.
                unseen = case in {"too soon", "no more tries"}
                assert counted == ({**alike, "rows written": 1} if unseen else alike), case

    run(story())


class _Counting:
    """A transaction that counts its statements and the rows they wrote."""

    def __init__(self, tx: Transaction, done: Counter[str]) -> None:
        self._tx = tx
        self._done = done

    async def execute(self, sql: str, *args: Any) -> int:
        written = await self._tx.execute(sql, *args)
        self._done["statement"] += 1
        self._done["rows written"] += written
        return written

    async def fetch_one(self, sql: str, *args: Any) -> Any:
        row = await self._tx.fetch_one(sql, *args)
        self._done["statement"] += 1
        self._done["rows written"] += row is not None and sql.startswith("UPDATE")
        return row

    async def fetch(self, sql: str, *args: Any) -> Any:
        self._done["statement"] += 1
        return await self._tx.fetch(sql, *args)

    async def lock(self, name: str) -> None:
        await self._tx.lock(name)


def test_a_person_who_may_not_enter_hears_it_only_after_the_right_password(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            number = parse_person_number(world.people["lin"])
            await world.registry.set_status(number, AccountStatus.LOCKED, now=world.clock())
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            nobody, wrong = await _guess(browser, page, "nobody"), await _guess(browser, page, "wrong")
            assert nobody.text.replace('value="nobody"', 'value=""') == wrong.text.replace('value="lin"', 'value=""')
            right = await browser.password(page, "lin")
            assert (right.status, right.json()["shown"]) == (403, "idp.login.account_refused")

    run(story())


@pytest.mark.parametrize("client_id", ["learning", "native"])
def test_a_hint_at_a_name_tells_nothing_of_it(opened: OpenWorld, run: Run, client_id: str) -> None:
    async def story() -> None:
        async with opened() as world:
            await _populate(world)
            pages = set()
            for hint in ("lin", "nobody", "locked", "worn"):
                browser = world.browser()
                answer = await world.authorize(browser, client_id, login_hint=hint)
                page = await browser.follow(answer)
                handle = page.hidden("t")
                pages.add(page.text.replace(handle, "").replace(f'value="{hint}"', 'value=""'))
                silent = await world.authorize(browser, client_id, login_hint=hint, prompt="none")
                assert silent.query["error"] == "login_required"
            assert len(pages) == 1

    run(story())


def test_the_pages_of_devices_tell_no_used_code_from_one_that_never_was(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(screen())
            browser, used, expired = world.browser(), Device(world), Device(world)
            await world.sign_in(browser)
            await expired.ask()
            world.clock.advance(600)
            await used.ask()
            await connect(browser, used.user_code)
            codes = (used.user_code, expired.user_code, "BBBB-BBBB")
            pages = {(await type_code(browser, code)).text.replace(code, "") for code in codes}
            assert len(pages) == 1

    run(story())
