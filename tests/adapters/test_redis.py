"""Redis as a server that restarts, hangs, fills up, asks for a password and is not who it seems."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis

from adapters.redis.condition import condition_of
from adapters.redis.preferred import PAUSE_S, PreferredTransientStore
from adapters.redis.server import CONNECTIONS_MAX, IDLE_MAX_S, RedisServer, RedisUnavailable, epoch_of
from adapters.redis.transient import RedisTransientStore
from adapters.settings import check_settings
from adapters.sql.database import Database
from adapters.sql.idp_transient import SqlTransientStore
from idp.transient import TransientKind
from tests.adapters.service import Ticking
from tests.conftest import OpenDatabase
from tests.services.clock import StillClock
from tests.services.ports import free_port
from tests.services.redis import own

Run = Callable[[Coroutine[Any, Any, None]], None]
CODE = TransientKind.AUTHORIZATION_CODE
PASSWORD = "canary-hunter2"


class Line:
    """A store, its server and the monotonic clock both look at."""

    def __init__(self, url: str, clock: StillClock) -> None:
        self.monotonic = Ticking()
        self.server = RedisServer(url, monotonic=self.monotonic)
        self.store = RedisTransientStore(self.server, clock=clock, random_bytes=secrets.token_bytes)

    def before(self, db: Database, clock: StillClock) -> PreferredTransientStore:
        sql = SqlTransientStore(db, clock=clock, random_bytes=secrets.token_bytes)
        return PreferredTransientStore(self.store, sql, monotonic=self.monotonic)


@asynccontextmanager
async def _line(url: str, clock: StillClock) -> AsyncIterator[Line]:
    line = Line(url, clock)
    try:
        yield line
    finally:
        await line.server.close()


def test_what_was_taken_does_not_come_back_with_a_restored_file(tmp_path: Path, clock: StillClock, run: Run) -> None:
    """A server that starts from a file older than the last deletions gives nothing of it away."""

    async def story() -> None:
        with own(tmp_path, "--save", "", "--appendonly", "no") as server:
            async with _line(server.url, clock) as line:
                handles = [await line.store.put(CODE, b"once", lifetime_s=600) for _ in range(16)]
                async with Redis.from_url(server.url) as operator:
                    await operator.save()
                for handle in handles[:8]:
                    assert await line.store.take(CODE, handle) == b"once"
                server.end(signal.SIGKILL)
                server.start()
                async with Redis.from_url(server.url) as operator:
                    assert await operator.dbsize() == 16, "the file was not loaded: nothing is tested"
                for handle in handles:
                    assert await line.store.read(CODE, handle) is None
                    assert await line.store.take(CODE, handle) is None
                    assert not await line.store.replace(CODE, handle, expected=b"once", payload=b"twice")
                again = await line.store.put(CODE, b"new", lifetime_s=60)
                assert await line.store.take(CODE, again) == b"new"

    run(story())


def test_what_a_promoted_replica_missed_is_not_given_away_again(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        with (
            own(tmp_path / "a", "--save", "", "--repl-diskless-sync-delay", "0") as first,
            own(tmp_path / "b") as second,
        ):
            async with _line(first.url, clock) as line, Redis.from_url(second.url) as replica:
                handle = await line.store.put(CODE, b"once", lifetime_s=600)
                await replica.replicaof("127.0.0.1", str(first.port))
                while not await replica.dbsize():  # noqa: ASYNC110  # another process: there is no event to wait for
                    await asyncio.sleep(0.02)
                async with _line(second.url, clock) as other:
                    with pytest.raises(RedisUnavailable, match="replica"):
                        await other.store.take(CODE, handle)
                    await replica.replicaof("NO", "ONE")  # promoted before it hears of the next line
                    assert await line.store.take(CODE, handle) == b"once"
                    assert await replica.dbsize() == 1
                    assert await other.store.take(CODE, handle) is None

    run(story())


def test_entries_of_both_stores_are_found_while_redis_goes_and_comes(
    tmp_path: Path, migrated: OpenDatabase, clock: StillClock, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        with own(tmp_path) as server:
            async with migrated("access") as db, _line(server.url, clock) as line:
                store = line.before(db, clock)
                in_redis = await store.put(CODE, b"r", lifetime_s=600)
                assert in_redis[0] == "r"
                server.end()
                in_sql = await store.put(CODE, b"s", lifetime_s=600)
                assert in_sql[0] == "s"
                assert await store.read(CODE, in_redis) is None
                assert await store.take(CODE, in_redis) is None
                assert not await store.replace(CODE, in_redis, expected=b"r", payload=b"x")
                assert await store.replace(CODE, in_sql, expected=b"s", payload=b"t")
                server.start()
                assert (await store.put(CODE, b"s", lifetime_s=600))[0] == "s"  # the pause is not over
                line.monotonic.now += PAUSE_S
                back = await store.put(CODE, b"r2", lifetime_s=600)
                assert back[0] == "r"
                assert await store.take(CODE, back) == b"r2"
                assert await store.take(CODE, in_redis) is None
                assert await store.take(CODE, in_sql) == b"t"
                assert await store.take(CODE, in_sql) is None

    with caplog.at_level(logging.WARNING):
        run(story())
    assert [record.getMessage()[:13] for record in caplog.records] == ["Redis is away", "Redis is back"]


def test_a_server_that_hangs_is_asked_once_a_pause_and_keeps_nobody_else_waiting(
    migrated: OpenDatabase, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        asked = 0

        async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            with closing(writer):
                await _reader.read()
                await asyncio.sleep(0)

        async with await asyncio.start_server(hang, "127.0.0.1", 0) as listener, migrated("access") as db:
            port = listener.sockets[0].getsockname()[1]
            async with _line(f"redis://127.0.0.1:{port}/0", clock) as line:
                store = line.before(db, clock)
                for tries in (1, 2, 3):
                    for _ in range(50):
                        handle = await store.put(CODE, b"x", lifetime_s=60)
                        assert await store.take(CODE, handle) == b"x"
                        assert await store.take(CODE, f"rac_{'A' * 43}") is None
                    assert asked == tries
                    line.monotonic.now += PAUSE_S

    run(story())


def test_a_server_frozen_in_mid_flight_gives_no_second_copy_when_it_wakes(
    tmp_path: Path, clock: StillClock, run: Run
) -> None:
    """The takers gave up; what the server does with their commands afterwards reaches nobody."""

    async def story() -> None:
        with own(tmp_path) as server:
            async with _line(server.url, clock) as line:
                handle = await line.store.put(CODE, b"once", lifetime_s=600)
                other = await line.store.put(CODE, b"other", lifetime_s=600)
                server.freeze()
                gathered = await asyncio.gather(
                    *(line.store.take(CODE, handle) for _ in range(16)), return_exceptions=True
                )
                assert all(isinstance(answer, RedisUnavailable) for answer in gathered)
                server.thaw()
                assert await line.store.read(CODE, other) == b"other"
                assert await line.store.take(CODE, handle) in {None, b"once"}
                assert await line.store.take(CODE, handle) is None

    run(story())


def test_an_answer_nobody_waits_for_any_more_is_read_by_nobody(redis_url: str, clock: StillClock, run: Run) -> None:
    """A request cancelled between command and answer leaves an answer in the connection."""

    async def story() -> None:
        async with _line(redis_url, clock) as line:
            one, two = [await line.store.put(CODE, payload, lifetime_s=60) for payload in (b"one", b"two")]
            for steps in range(40):
                task = asyncio.create_task(line.store.read(CODE, one))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert await line.store.read(CODE, two) == b"two"
            everybody = [line.store.read(CODE, two) for _ in range(4 * CONNECTIONS_MAX)]
            assert await asyncio.gather(*everybody) == [b"two"] * 4 * CONNECTIONS_MAX  # no place was lost

    run(story())


def test_an_idle_connection_the_server_has_cut_costs_nobody_an_entry(
    redis_url: str, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with _line(redis_url, clock) as line, Redis.from_url(redis_url) as operator:
            for idle_s in (0.0, IDLE_MAX_S):
                handle = await line.store.put(CODE, b"x", lifetime_s=60)
                await operator.client_kill_filter(_type="normal", skipme=True)
                line.monotonic.now += idle_s
                assert await line.store.take(CODE, handle) == b"x"

    run(story())


def test_never_more_connections_than_the_bound(redis_url: str, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with _line(redis_url, clock) as line, Redis.from_url(redis_url) as operator:
            before = len(await operator.client_list())
            handles = await asyncio.gather(*(line.store.put(CODE, b"x", lifetime_s=60) for _ in range(200)))
            assert len(await operator.client_list()) <= before + CONNECTIONS_MAX
            assert await asyncio.gather(*(line.store.take(CODE, handle) for handle in handles)) == [b"x"] * 200

    run(story())


def test_the_script_is_sent_again_to_a_server_that_has_forgotten_it(
    redis_url: str, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with _line(redis_url, clock) as line, Redis.from_url(redis_url) as operator:
            await operator.flushall()
            handle = await line.store.put(CODE, b"0", lifetime_s=60)
            for number in range(4):
                if number % 2:
                    await operator.script_flush()
                before, after = str(number).encode(), str(number + 1).encode()
                assert await line.store.replace(CODE, handle, expected=before, payload=after)
            [key] = await operator.keys("*")
            assert 0 < await operator.pttl(key) <= 60_000, "the lifetime stays"

    run(story())


def test_a_value_moved_to_another_key_is_nobodys(redis_url: str, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with _line(redis_url, clock) as line, Redis.from_url(redis_url) as operator:
            await operator.flushall()
            await line.store.put(TransientKind.LOGOUT, b"theirs", lifetime_s=60)
            [theirs] = await operator.keys("*")
            mine = await line.store.put(CODE, b"mine", lifetime_s=60)
            [key] = set(await operator.keys("*")) - {theirs}
            await operator.rename(theirs, key)
            assert not await line.store.replace(CODE, mine, expected=b"theirs", payload=b"x")
            assert await line.store.read(CODE, mine) is None
            assert await line.store.take(CODE, mine) is None

    run(story())


def test_a_full_server_sends_new_entries_to_sql_and_drops_none(
    tmp_path: Path, migrated: OpenDatabase, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        with own(tmp_path, "--save", "", "--maxmemory", "4mb", "--maxmemory-policy", "noeviction") as server:
            async with migrated("access") as db, _line(server.url, clock) as line:
                store = line.before(db, clock)
                handles = [await store.put(CODE, b"x" * 16_000, lifetime_s=600) for _ in range(400)]
                assert {handle[0] for handle in handles} == {"r", "s"}
                line.monotonic.now += PAUSE_S
                for handle in handles:
                    assert await store.take(CODE, handle) == b"x" * 16_000

    run(story())


def test_permissions_of_the_guide_suffice_and_no_password_is_ever_told(
    tmp_path: Path, clock: StillClock, run: Run
) -> None:
    """The user of docs/operations.md: its own keys, eight commands."""

    async def story() -> None:
        may = ["~edutrust:t:*", "+set", "+get", "+getdel", "+eval", "+evalsha", "+info", "+select"]
        with own(
            tmp_path, "--save", "", "--user", "default", "off", "--user", "edutrust", "on", f">{PASSWORD}", *may
        ) as it:
            async with _line(f"redis://edutrust:{PASSWORD}@127.0.0.1:{it.port}/1", clock) as line:
                handle = await line.store.put(CODE, b"0", lifetime_s=60)
                assert await line.store.replace(CODE, handle, expected=b"0", payload=b"1")
                assert await line.store.read(CODE, handle) == b"1"
                assert await line.store.take(CODE, handle) == b"1"
                assert (await condition_of(line.server)).keeps
                assert PASSWORD not in repr(line.server)
            async with _line(f"redis://edutrust:{PASSWORD}x@127.0.0.1:{it.port}/1", clock) as line:
                with pytest.raises(RedisUnavailable) as caught:
                    await line.store.put(CODE, b"0", lifetime_s=60)
                assert PASSWORD not in str(caught.value) + repr(caught.value)
                assert caught.value.__cause__ is None
                condition = await condition_of(line.server)
                assert not condition.answers
                assert PASSWORD not in condition.sentence

    run(story())


def test_an_evicting_server_is_said_to_be_one(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        with own(tmp_path, "--save", "", "--maxmemory-policy", "allkeys-lru") as server:
            async with _line(server.url, clock) as line:
                condition = await condition_of(line.server)
        assert (condition.answers, condition.keeps) == (True, False)
        assert "allkeys-lru" in condition.sentence

    run(story())


@pytest.mark.parametrize("info", [b"", b"role:master\r\n", b"run_id:x\r\nmaster_replid:y\r\nrole:master\r\n", b"\xff"])
def test_a_server_that_does_not_say_who_it_is_is_not_used(info: bytes) -> None:
    with pytest.raises(RedisUnavailable):
        epoch_of(info)


def test_doctor_says_how_redis_is(redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from adapters.cli import main

    config = tmp_path / "edutrust.toml"
    config.write_text(f'redis_url = "{redis_url}"\n')
    assert main(["doctor", "--redis", "--config", str(config)]) == 0
    assert "keeps short-lived state" in capsys.readouterr().out
    config.write_text(f'redis_url = "redis://u:{PASSWORD}@127.0.0.1:1/0"\n')
    assert main(["doctor", "--redis", "--json", "--config", str(config)]) == 1
    told = capsys.readouterr()
    assert "kept in SQL" in told.out
    assert PASSWORD not in told.out + told.err


def test_the_certificate_and_its_name_are_checked(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        good, foreign = _certified(tmp_path / "good", "127.0.0.1"), _certified(tmp_path / "foreign", "127.0.0.2")
        for certificate, trusted, served in ((good, good, True), (good, foreign, False), (foreign, foreign, False)):
            tls = ["--tls-port", str(free_port()), "--tls-auth-clients", "no"]
            tls += ["--tls-cert-file", str(certificate / "cert.pem"), "--tls-key-file", str(certificate / "key.pem")]
            with own(tmp_path, "--save", "", *tls):
                url = f"rediss://127.0.0.1:{tls[1]}/0?ssl_ca_certs={trusted / 'cert.pem'}"
                assert check_settings({"redis_url": url}).redis_url == url
                async with _line(url, clock) as line:
                    assert (await condition_of(line.server)).answers is served

    run(story())


def _certified(folder: Path, address: str) -> Path:
    """Write a certificate of its own authority for an address, and its key."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    begin = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    unencrypted = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, unencrypted))
    return folder
