"""Lock-out by one path and not by another: class 15 (CVE-2026-9798, its incomplete fix CVE-2026-16103, its sibling
CVE-2026-88770 in a device flow), and with it the disabled account that still works, class 16 (authentik GHSA-9g4j-v8w5-7x42,
CVE-2025-64521).

One table: every path of `tests.advisories.lockout_paths` by every way to lose the right to it. A path is taken up to its last
request while all is well; then the right is lost; then the request is made. Each cell is a test, on the embedded deployment
and on PostgreSQL with Redis, and says the exact answer. A cell in which something is given all the same has its reason in
`GIVEN_ALL_THE_SAME`, and no other cell may.

Not states of this product: a password that must be changed at the next sign-in (an officer's reset sets a new one, column
"password"), an upstream provider that is disabled (there is none).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from adapters.redis.preferred import PreferredTransientStore
from adapters.redis.server import RedisServer
from adapters.redis.transient import RedisTransientStore
from adapters.sql.engine import Database, open_database
from adapters.sql.targets import SCHEMA_OF_ROOM
from idp.transient import TransientStore
from tests.advisories.lockout_paths import LOSSES, PATHS, outcome
from tests.protocol.world import open_world
from tests.services import loops
from tests.services.clock import StillClock
from tests.services.tables import make_tables

ADVISORY_CLASSES: tuple[int, ...] = (15, 16)
SEEN_RED: dict[str, str] = {
    "test_a_right_that_is_lost_is_lost_on_every_path": (
        "idp/token/endpoint.py: a device's grant was redeemed without looking at account, session and consent (9 cells);"
        " idp/login/dispatch.py: a password shown before it was changed went on counting at the one-time code (1 cell;"
        " found by this table), and a suspended client was asked for nothing at release (4 cells);"
        " idp/token/introspection.py: a refresh token was described without its person (3 cells);"
        " idp/session/sign_in.py: a session was taken without its person (21 cells)"
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a path answers: untouched, and after each loss. Locked, disabled and deleted are answered alike."""

    untouched: str
    account: str
    person: str
    consent: str
    client: str
    session: str
    password: str


GRANT_GONE, CLIENT_GONE, TOKEN_GONE = "400 invalid_grant", "401 invalid_client", "401 invalid_token"
SIGN_IN, CONSENT = "the password is asked for", "consent is asked for"
SHOWN, SUSPENDED = "400 idp.oauth.request_shown", "403 idp.login.client_refused"
NO_ACCOUNT, NO_SESSION = "403 idp.login.account_refused", "400 idp.login.transaction_refused"
SILENT = "redirect: login_required"
OUT = "redirect, 0 sessions left"


def _all_but_the_client(untouched: str, lost: str, client: str) -> Row:
    return Row(untouched, lost, lost, lost, client, lost, lost)


TABLE: dict[str, Row] = {
    "code redemption": _all_but_the_client("tokens", GRANT_GONE, CLIENT_GONE),
    "refresh": _all_but_the_client("tokens", GRANT_GONE, CLIENT_GONE),
    "refresh while away": Row("tokens", GRANT_GONE, GRANT_GONE, GRANT_GONE, CLIENT_GONE, "tokens", GRANT_GONE),
    "device poll": _all_but_the_client("tokens", GRANT_GONE, CLIENT_GONE),
    "client credentials": _all_but_the_client("tokens", "tokens", CLIENT_GONE),
    "userinfo": _all_but_the_client("claims", TOKEN_GONE, TOKEN_GONE),
    "introspection of an access token": _all_but_the_client("active", "inactive", CLIENT_GONE),
    "introspection of a refresh token": _all_but_the_client("active", "inactive", CLIENT_GONE),
    "authorize": Row("a code", SIGN_IN, SIGN_IN, CONSENT, SHOWN, SIGN_IN, SIGN_IN),
    "authorize in silence": Row("a code", SILENT, SILENT, "redirect: consent_required", SHOWN, SILENT, SILENT),
    "push": _all_but_the_client("a request_uri", "a request_uri", CLIENT_GONE),
    "authorize what was pushed": Row("a code", SIGN_IN, SIGN_IN, CONSENT, SHOWN, SIGN_IN, SIGN_IN),
    "password": Row("a code", f"422 {SIGN_IN}", NO_ACCOUNT, CONSENT, SUSPENDED, "a code", f"422 {SIGN_IN}"),
    "one-time code": Row("a code", NO_ACCOUNT, NO_ACCOUNT, CONSENT, SUSPENDED, "a code", SIGN_IN),
    "consent page": Row("a code", NO_SESSION, NO_SESSION, "a code", SUSPENDED, NO_SESSION, NO_SESSION),
    "device page": Row("the device is shown", SIGN_IN, SIGN_IN, "the device is shown", "422", SIGN_IN, SIGN_IN),
    "consent page of a device": Row("tokens", NO_SESSION, NO_SESSION, "tokens", SUSPENDED, NO_SESSION, NO_SESSION),
    "chosen account": Row("a code", SIGN_IN, SIGN_IN, CONSENT, SUSPENDED, SIGN_IN, SIGN_IN),
    "own pages": Row("the page is shown", SIGN_IN, SIGN_IN, "the page is shown", "the page is shown", SIGN_IN, SIGN_IN),
    "change of password": Row("changed", SIGN_IN, SIGN_IN, "changed", "changed", SIGN_IN, SIGN_IN),
    "registration by its token": _all_but_the_client("200", "200", "401"),
    # A suspended platform sends nobody anywhere; the person signs out on our own pages.
    "sign-out": _all_but_the_client(OUT, OUT, "400 idp.logout.refused, 1 sessions left"),
}

GIVEN_ALL_THE_SAME: dict[tuple[str, str], str] = {
    ("refresh while away", "session"): "`offline_access` was allowed so that it works without a sign-in",
    **dict.fromkeys(
        (("client credentials", column) for column in ("account", "person", "consent", "session", "password")),
        "the client acts for itself; no person is in it",
    ),
    **dict.fromkeys(
        (("push", column) for column in ("account", "person", "consent", "session", "password")),
        "nobody has signed in yet; what is pushed is asked about at /authorize, two rows on",
    ),
    ("password", "session"): "a sign-in makes a session of its own",
    ("one-time code", "session"): "a sign-in makes a session of its own",
    ("consent page", "consent"): "the person allows it anew by this very act",
    ("consent page of a device", "consent"): "the person allows it anew by this very act",
    ("device page", "consent"): "nothing is given yet; consent is asked for next, always",
    ("own pages", "consent"): "no platform is in it",
    ("own pages", "client"): "no platform is in it",
    ("change of password", "consent"): "no platform is in it",
    ("change of password", "client"): "no platform is in it",
    **dict.fromkeys(
        (("registration by its token", column) for column in ("account", "person", "consent", "session", "password")),
        "the client acts for itself; no person is in it",
    ),
    **dict.fromkeys(
        (("sign-out", column) for column in ("account", "person", "consent", "session", "password")),
        "signing out is not refused for a person's sake, and leaves no session behind",
    ),
}


def _column(loss: str) -> str:
    return loss.partition(" ")[0]


def expected(path: str, loss: str) -> str:
    """Return the cell."""
    answer: str = getattr(TABLE[path], _column(loss))
    return answer


def test_the_table_has_every_path_and_every_cell_that_gives_something_its_reason() -> None:
    assert list(TABLE) == list(PATHS)
    given = {
        (path, _column(loss)) for path in PATHS for loss in LOSSES if expected(path, loss) == TABLE[path].untouched
    }
    assert given == set(GIVEN_ALL_THE_SAME)


Outcomes = dict[tuple[str, str], str]


async def _all_outcomes(database_url: str, redis_url: str | None) -> Outcomes:
    @asynccontextmanager
    async def migrated(*rooms: str) -> AsyncIterator[Database]:
        make_tables(database_url, *rooms)
        database = await open_database(database_url, SCHEMA_OF_ROOM[rooms[0]])
        try:
            yield database
        finally:
            await database.close()

    server = None if redis_url is None else RedisServer(redis_url, monotonic=time.monotonic)

    def before(sql: TransientStore, clock: StillClock) -> TransientStore:
        assert server is not None
        redis = RedisTransientStore(server, clock=clock, random_bytes=secrets.token_bytes)
        return PreferredTransientStore(redis, sql, monotonic=time.monotonic)

    outcomes: Outcomes = {}
    try:
        async with open_world(migrated, before_sql=None if server is None else before) as world:
            for number, (path, loss) in enumerate((path, loss) for path in PATHS for loss in ("", *LOSSES)):
                try:
                    outcomes[path, loss] = await outcome(world, number, path, loss or None)
                except Exception as error:  # noqa: BLE001  # one cell's fault is that cell's, and is told by its test
                    outcomes[path, loss] = f"fault: {error!r}"
    finally:
        if server is not None:
            await server.close()
    return outcomes


async def _statement(server: str, sql: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(scope="module", params=["embedded", "PostgreSQL and Redis"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """Fill the table once a deployment: one provider, and for each cell a person and a platform of its own."""
    if request.param == "embedded":
        yield loops.run(_all_outcomes(f"sqlite:///{tmp_path_factory.mktemp('lockout')}", None))
        return
    server: str = request.getfixturevalue("postgres_server")
    redis: str = request.getfixturevalue("redis_url")
    name = f"t_{os.urandom(8).hex()}"
    loops.run(_statement(server, f"CREATE DATABASE {name}"))
    try:
        yield loops.run(_all_outcomes(f"{server.rpartition('/')[0]}/{name}", redis))
    finally:
        loops.run(_statement(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.mark.parametrize("path", PATHS)
def test_a_path_works_while_nothing_is_lost(outcomes: Outcomes, path: str) -> None:
    assert outcomes[path, ""] == TABLE[path].untouched


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("path", PATHS)
def test_a_right_that_is_lost_is_lost_on_every_path(outcomes: Outcomes, path: str, loss: str) -> None:
    assert outcomes[path, loss] == expected(path, loss)
