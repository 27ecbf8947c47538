"""The contract of short-lived state, on every back end: taken once, by its kind, within its time."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest

from idp.transient import PAYLOAD_BYTES_MAX, TransientKind
from tests.idp.token.transient_stores import BACK_ENDS, OpenStore, both, redis_store, redis_takers, sql_store
from tests.scale import report, trials
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]
ROOT = Path(__file__).parents[3]
SEED = 20260701


@pytest.fixture(params=BACK_ENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: StillClock) -> OpenStore:
    """Return `opened()`: an async context manager giving the empty store of this back end."""
    match request.param:
        case "sqlite":
            return lambda: sql_store(f"sqlite:///{tmp_path}", clock)
        case "postgresql":
            url: str = request.getfixturevalue("postgres_url")
            return lambda: sql_store(url, clock)
        case "redis":
            redis: str = request.getfixturevalue("redis_url")
            return lambda: redis_store(redis, clock)
        case _:
            server: str = request.getfixturevalue("redis_url")
            return lambda: both(server, tmp_path, clock)


def test_of_sixteen_takers_one_gets_it(opened: OpenStore, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            for _ in range(50):
                handle = await here.store.put(TransientKind.LOGIN, b"once", lifetime_s=60)
                taken = await asyncio.gather(*(here.store.take(TransientKind.LOGIN, handle) for _ in range(16)))
                assert sorted(taken, key=lambda value: value is None) == [b"once"] + [None] * 15

    run(story())


def test_a_handle_of_one_kind_is_nothing_as_another(opened: OpenStore, run: Run) -> None:
    """CVE-2026-4282, CVE-2026-4325: untyped key space."""

    async def story() -> None:
        async with opened() as here:
            store = here.store
            for made in TransientKind:
                handle = await store.put(made, b"x", lifetime_s=60)
                for asked in set(TransientKind) - {made}:
                    for presented in (handle, f"s{asked}_{handle[4:]}", f"r{asked}_{handle[4:]}"):
                        assert await store.read(asked, presented) is None
                        assert await store.take(asked, presented) is None
                        assert not await store.replace(asked, presented, expected=b"x", payload=b"y")
                other_store = ("s" if handle[0] == "r" else "r") + handle[1:]
                for bad in (
                    "",
                    handle[:-1],
                    handle + "x",
                    handle.upper(),
                    "\x00",
                    "é" * 47,
                    handle + "\n",
                    other_store,
                ):
                    assert await store.take(made, bad) is None
                    assert not await store.replace(made, bad, expected=b"x", payload=b"y")
                assert await store.take(made, handle) == b"x"

    run(story())


def test_an_entry_past_its_lifetime_is_as_if_it_had_never_been(opened: OpenStore, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            store = here.store
            handle = await store.put(TransientKind.LOGOUT, b"x", lifetime_s=60)
            lasting = await store.put(TransientKind.LOGOUT, b"y", lifetime_s=61)
            clock.advance(60)
            assert await store.read(TransientKind.LOGOUT, handle) is None
            assert not await store.replace(TransientKind.LOGOUT, handle, expected=b"x", payload=b"z")
            assert await store.take(TransientKind.LOGOUT, handle) is None
            assert await store.discard_expired() == (1 if here.sweeps else 0)
            assert await store.read(TransientKind.LOGOUT, lasting) == b"y"
            assert len(await here.held()) == 2  # its key and its value

    run(story())


def test_replace_changes_only_what_was_expected(opened: OpenStore, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            store = here.store
            handle = await store.put(TransientKind.LOGIN, b"0", lifetime_s=60)
            changed = await asyncio.gather(
                *(store.replace(TransientKind.LOGIN, handle, expected=b"0", payload=bytes([n])) for n in range(1, 17))
            )
            assert changed.count(True) == 1
            won = bytes([1 + changed.index(True)])
            assert await store.read(TransientKind.LOGIN, handle) == won
            assert not await store.replace(TransientKind.LOGIN, handle, expected=b"", payload=b"2")
            too_much = b"x" * (PAYLOAD_BYTES_MAX + 1)
            assert not await store.replace(TransientKind.LOGIN, handle, expected=won, payload=too_much)
            with pytest.raises(ValueError, match="bounded"):
                await store.put(TransientKind.LOGIN, too_much, lifetime_s=60)
            clock.advance(60)  # the lifetime is the one it was put with
            assert await store.read(TransientKind.LOGIN, handle) is None

    run(story())


def test_every_byte_comes_back_as_it_was(opened: OpenStore, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            largest = random.Random(SEED).randbytes(PAYLOAD_BYTES_MAX)
            for payload in (b"", b"\x00", bytes(range(256)), b"%s\r\n$-1\r\n", "张·𠮷禾".encode(), largest):
                handle = await here.store.put(TransientKind.LOGIN, payload, lifetime_s=60)
                assert await here.store.read(TransientKind.LOGIN, handle) == payload
                assert await here.store.replace(TransientKind.LOGIN, handle, expected=payload, payload=payload[::-1])
                assert await here.store.take(TransientKind.LOGIN, handle) == payload[::-1]
                assert not await here.store.replace(TransientKind.LOGIN, handle, expected=payload[::-1], payload=b"")

    run(story())


def test_no_handle_is_stored(opened: OpenStore, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            handle = await here.store.put(TransientKind.AUTHORIZATION_CODE, b"x", lifetime_s=60)
            [key, value] = await here.held()
            assert len(key) >= 32
            assert value.endswith(b"x")
            assert handle.encode()[4:] not in key + value

    run(story())


@pytest.mark.soak
@pytest.mark.parametrize("back_end", ["postgresql", "redis"])
def test_of_sixteen_takers_in_two_processes_exactly_one_wins(
    back_end: str, request: pytest.FixtureRequest, clock: StillClock, run: Run
) -> None:
    """G8. Each trial is handed to both processes at once, and each takes eight times at once."""
    url: str = request.getfixturevalue(f"{'postgres' if back_end == 'postgresql' else 'redis'}_url")
    kinds = random.Random(SEED)
    count = trials(200, full=10_000)

    async def story() -> None:
        async with redis_takers(url, clock) if back_end == "redis" else sql_store(url, clock) as here:
            with _takers(url, clock.now) as halves:
                for _ in range(count):
                    kind = kinds.choice(list(TransientKind))
                    handle = await here.store.put(kind, b"once", lifetime_s=60)
                    for write, _ in halves:
                        write.write(handle + "\n")
                        write.flush()
                    assert sum(int(read.readline()) for _, read in halves) == 1

    run(story())
    report("G8", target="1 winner a trial", actual=f"{count} trials of 16 takers, {back_end}: 1 each", seed=SEED)


@contextmanager
def _takers(url: str, now: int) -> Iterator[list[tuple[IO[str], IO[str]]]]:
    arguments = [sys.executable, "-m", "tests.idp.token.taker_process", url, str(now)]
    with ExitStack() as stack:
        halves = [
            stack.enter_context(
                subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        pipes = [(cast("IO[str]", half.stdin), cast("IO[str]", half.stdout)) for half in halves]
        for _, read in pipes:
            assert read.readline() == "ready\n"
        yield pipes
        for write, _ in pipes:
            write.close()


def test_of_sixteen_that_put_under_one_secret_one_does(opened: OpenStore, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            store, kind = here.store, TransientKind.USER_CODE
            for number in range(20):
                secret = bytes([number]) * 32
                puts = (store.put_under(kind, secret, bytes([n]), lifetime_s=60) for n in range(16))
                handles = await asyncio.gather(*puts)
                [won] = [n for n, handle in enumerate(handles) if handle is not None]
                assert await store.find_under(kind, secret) == (handles[won], bytes([won]))
                handle = handles[won] or ""
                assert await store.replace(kind, handle, expected=bytes([won]), payload=b"changed")
                assert await store.put_under(kind, secret, b"again", lifetime_s=60) is None
                assert await store.find_under(TransientKind.USER_CODE_TRIES, secret) is None
                assert await store.take(kind, handle) == b"changed"
                assert await store.find_under(kind, secret) is None
                assert await store.put_under(kind, secret, b"again", lifetime_s=60) is not None

    run(story())


def test_a_secret_past_its_lifetime_is_free_again(opened: OpenStore, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            store, kind = here.store, TransientKind.USER_CODE
            handle = await store.put_under(kind, b"k" * 32, b"old", lifetime_s=60)
            clock.advance(59)
            assert await store.put_under(kind, b"k" * 32, b"new", lifetime_s=60) is None
            clock.advance(1)
            assert await store.find_under(kind, b"k" * 32) is None
            assert await store.put_under(kind, b"k" * 32, b"new", lifetime_s=60) == handle
            clock.advance(59)
            assert await store.find_under(kind, b"k" * 32) == (handle, b"new")

    run(story())


def test_a_secret_is_32_bytes_and_is_not_stored(opened: OpenStore, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            for bad in (b"", b"k" * 31, b"k" * 33):
                with pytest.raises(ValueError, match="32 bytes"):
                    await here.store.put_under(TransientKind.USER_CODE, bad, b"x", lifetime_s=60)
            with pytest.raises(ValueError, match="bounded"):
                await here.store.put_under(
                    TransientKind.USER_CODE, b"k" * 32, b"x" * (PAYLOAD_BYTES_MAX + 1), lifetime_s=60
                )
            handle = await here.store.put_under(TransientKind.USER_CODE, b"k" * 32, b"x", lifetime_s=60)
            held = b"".join(await here.held())
            assert b"k" * 32 not in held
            assert (handle or "?")[4:].encode() not in held

    run(story())
