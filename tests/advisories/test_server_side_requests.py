"""Server-side request forgery through a registered address: key sets (CVE-2026-1180), sector documents and redirects
(CVE-2026-4366), the back-channel logout address (CVE-2026-4874), the logo (CVE-2021-26715); DNS rebinding.

Connections are watched where the interpreter makes them, by its own audit events, below every library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from adapters.http.outbound import OutboundClient
from crypto.errors import TrustError
from crypto.suites import Alg
from idp.clients.fetching import check_sector, fetch_logo
from idp.clients.key_sets import ClientKeySets
from idp.clients.registration import parse_client
from tests.advisories.hostile_urls import HOSTILE, NAMES, is_private
from tests.conftest import OpenDatabase
from tests.idp.clients.assertions import asserting, assertion, key_of, keyed
from tests.protocol.registering import METADATA, initial_token, post, registered
from tests.protocol.web import PUBLIC_ADDRESS, Web
from tests.protocol.world import OpenWorld, open_world

ADVISORY_CLASSES: tuple[int, ...] = (33,)

SEEN_RED: dict[str, str] = {
    "test_no_hostile_address_is_called_when_a_platform_registers_it": (
        "adapters/http/outbound.py: addresses a name resolves to were not checked; also: one public address was enough"
    ),
    "test_no_hostile_address_is_called_when_it_is_used_later": (
        "adapters/http/outbound.py: addresses a name resolves to were not checked; also: one public address was enough"
    ),
    "test_no_hostile_address_is_called_even_if_it_had_been_registered": (
        "adapters/http/outbound.py: one public address among those of a name was enough"
    ),
    "test_a_name_that_answers_otherwise_the_second_time_is_called_where_it_was_checked": (
        "adapters/http/outbound.py: the name was resolved a second time for the connection"
    ),
    "test_a_redirect_is_not_followed_anywhere": "adapters/http/outbound.py: a redirect was followed",
    "test_what_is_longer_than_64_kib_is_not_taken": "adapters/http/outbound.py: the length of a body was not bounded",
}

Run = Callable[[Coroutine[Any, Any, None]], None]
FETCHED_AT_REGISTRATION = ("sector_identifier_uri", "logo_uri")


class Watch:
    """Records every connection asked for while it looks, and lets none through."""

    def __init__(self) -> None:
        self.looking = False
        self.connected: list[str] = []
        sys.addaudithook(self._hook)  # for good: an audit hook cannot be taken away

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.looking and event == "socket.connect":
            self.connected.append(str(arguments[1][0]))
            raise ConnectionRefusedError

    @contextmanager
    def on(self) -> Iterator[list[str]]:
        self.connected, self.looking = [], True
        try:
            yield self.connected
        finally:
            self.looking = False


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture
def database_url(tmp_path: Any) -> str:
    """On SQLite, which opens no socket, so that every connection seen is one to an address somebody registered."""
    return f"sqlite:///{tmp_path}"


@pytest.fixture
def opened(migrated: OpenDatabase) -> OpenWorld:
    web = Web(sockets=True)
    web.names.update(NAMES)
    return lambda: open_world(migrated, web=web)


def outbound() -> OutboundClient:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        return NAMES.get(host, ["10.0.0.1"])

    return OutboundClient(allow=(), resolve=resolve)


def test_the_list_is_long_enough_and_the_watch_sees_a_connection(watch: Watch, run: Run) -> None:
    assert len(HOSTILE) >= 150

    async def story() -> None:
        with watch.on() as connected:
            with pytest.raises(TrustError):
                await Web(sockets=True).client().get("https://public.example/", accept="*/*")
            assert connected == [PUBLIC_ADDRESS]

    run(story())


@pytest.mark.parametrize("field", FETCHED_AT_REGISTRATION)
def test_no_hostile_address_is_called_when_a_platform_registers_it(
    opened: OpenWorld, run: Run, watch: Watch, field: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world, policy="trial", uses=1000)
            with watch.on() as connected:
                for url in HOSTILE:
                    answer = await post(world, token, {**METADATA, "client_name": "Trial", field: url})
                    # A logo that cannot be had is left out; nothing else of it is registered.
                    assert answer.status == 400 or field not in answer.json(), url
                    assert connected == [], url

    run(story())


@pytest.mark.parametrize("field", ["jwks_uri", "backchannel_logout_uri"])
def test_no_hostile_address_is_called_when_it_is_used_later(
    opened: OpenWorld, run: Run, watch: Watch, field: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world, policy="trial", uses=1000)
            client = world.web.client()

            async def deliver(url: str, _token: str) -> None:
                await client.post_form(url, b"logout_token=x")

            accepted = 0
            with watch.on() as connected:
                for url in HOSTILE:
                    more = {"token_endpoint_auth_method": "private_key_jwt"} if field == "jwks_uri" else {}
                    answer = await post(world, token, {**METADATA, "client_name": "Trial", **more, field: url})
                    assert connected == [], url
                    if answer.status != 201:
                        continue
                    accepted += 1
                    client_id = answer.json()["client_id"]
                    if field == "jwks_uri":
                        form = asserting(
                            assertion(world, client_id), grant_type="refresh_token", refresh_token="x"
                        )  # none
                        assert (await world.browser().post("/token", form)).status == 401
                    else:
                        reference = f"session-{accepted}"
                        await world.db.execute(
                            "INSERT INTO logout_outbox (job_id, client_id, person, session_reference, attempts, next_time,"
                            " lease_until, reason) VALUES ($1, $2, $3, $4, 0, 0, 0, '')",
                            f"job-{accepted}",
                            client_id,
                            world.people["lin"],
                            reference,
                        )
                        assert await world.provider.logout.drain(deliver) == 0
                    assert connected == [], url
            assert accepted > 30  # names look like any other until they are resolved

    run(story())


def test_no_hostile_address_is_called_even_if_it_had_been_registered(run: Run, watch: Watch) -> None:
    async def story() -> None:
        fetch = outbound()
        ordinary = parse_client(keyed("robot", jwks=None, jwks_uri="https://robot.example/keys"))
        with watch.on() as connected:
            for number, url in enumerate(HOSTILE):
                keys = ClientKeySets(fetch.get, clock=lambda: 0)
                assert await keys.of(replace(ordinary, client_id=f"robot{number}", jwks_uri=url), "kid") == ()
                with pytest.raises(TrustError):
                    await check_sector(fetch.get, url, ["https://robot.example/"])
                assert await fetch_logo(fetch.get, url) is None
                with pytest.raises(TrustError):
                    await fetch.post_form(url, b"logout_token=x")
                assert connected == [], url

    run(story())


def test_a_name_that_answers_otherwise_the_second_time_is_called_where_it_was_checked(run: Run, watch: Watch) -> None:
    async def story() -> None:
        asked: list[str] = []

        async def rebinding(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return [PUBLIC_ADDRESS] if len(asked) % 2 else ["127.0.0.1"]

        fetch = OutboundClient(allow=(), resolve=rebinding)
        with watch.on() as connected:
            for _ in range(4):
                assert await fetch_logo(fetch.get, "https://rebind.example/") is None
        assert asked == ["rebind.example"] * 4  # one look-up a call
        assert connected == [PUBLIC_ADDRESS] * 2
        assert not any(is_private(address) for address in connected)

    run(story())


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "https://elsewhere.example/"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_anywhere(migrated: OpenDatabase, run: Run, status: int, location: str) -> None:
    async def story() -> None:
        async with open_world(migrated) as world:
            addresses = {field: f"https://courses.example/{field}" for field in FETCHED_AT_REGISTRATION}
            keys = "https://courses.example/keys"
            for url in (*addresses.values(), keys):
                world.web.publish(url, b"", status=status, location=location)
            token = await initial_token(world)
            refused = await post(world, token, {**METADATA, **addresses})
            assert refused.json()["error_description"] == "sector_identifier_uri: not_fetched"
            assert "logo_uri" not in await registered(world, token, logo_uri=addresses["logo_uri"])
            await world.register(keyed("robot", jwks=None, jwks_uri=keys))
            form = asserting(assertion(world, "robot"), grant_type="client_credentials")
            assert (await world.browser().post("/token", form)).status == 401
            assert set(world.web.called) == {*addresses.values(), keys}

    run(story())


def test_what_is_longer_than_64_kib_is_not_taken(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with open_world(migrated) as world:
            sector, keys = "https://courses.example/sector", "https://courses.example/keys"
            padding = [f"https://courses.example/{'x' * 100}/{number}" for number in range(700)]
            world.web.publish(sector, [*METADATA["redirect_uris"], *padding])
            refused = await post(world, await initial_token(world), {**METADATA, "sector_identifier_uri": sector})
            assert refused.json()["error_description"] == "sector_identifier_uri: not_fetched"
            jwk = dict(key_of("robot", Alg.ES256).public.jwk)
            world.web.publish(keys, {"keys": [jwk], "padding": "x" * 70_000})
            await world.register(keyed("robot", jwks=None, jwks_uri=keys))
            form = asserting(assertion(world, "robot"), grant_type="client_credentials", scope="roster.read")
            assert (await world.browser().post("/token", form)).status == 401
            world.web.publish(keys, {"keys": [jwk]})
            world.clock.advance(60)
            form = asserting(assertion(world, "robot"), grant_type="client_credentials", scope="roster.read")
            assert (await world.browser().post("/token", form)).status == 200
            assert json.dumps(world.web.called)

    run(story())


def test_an_address_of_a_request_is_never_fetched(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with open_world(migrated) as world:
            for parameter in ("request_uri", "jwks_uri", "logo_uri", "sector_identifier_uri", "backchannel_logout_uri"):
                await world.authorize(world.browser(), **{parameter: "https://evil.example/x"})
            assert world.web.called == []

    run(story())
