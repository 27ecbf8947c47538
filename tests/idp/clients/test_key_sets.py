"""A client's keys by address: fetched when needed, kept for a while, fetched again for an unknown `kid` but not for ever."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.errors import TrustError
from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import select_backend
from crypto.suites import Alg
from idp.clients import key_sets
from idp.clients.key_sets import KEPT_S, signature_keys
from idp.clients.registration import parse_client
from tests.idp.clients.assertions import ask, claims_for, key_of, keyed, signed
from tests.protocol.world import Answer, OpenWorld, World

Run = Callable[[Coroutine[Any, Any, None]], None]
ADDRESS = "https://robot.example/keys"


def fresh_key() -> SigningKey:
    return generate_signing_key(Alg.ES256, backend=select_backend(("libcrypto",)))


def publish(world: World, *keys: SigningKey) -> None:
    world.web.publish(ADDRESS, {"keys": [dict(key.public.jwk) for key in keys]})


async def present(world: World, client_id: str, key: SigningKey, **header: Any) -> Answer:
    return await ask(world, signed(key, claims_for(world, client_id), **header), scope="roster.read")


async def robot(world: World) -> None:
    await world.register(keyed("robot", jwks=None, jwks_uri=ADDRESS))


def test_an_assertion_is_verified_by_the_set_at_the_registered_address(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await robot(world)
            key = key_of("robot", Alg.ES256)
            publish(world, key, key_of("other", Alg.SGD_SM3_SM2))
            for _ in range(3):
                assert (await present(world, "robot", key)).status == 200
            assert world.web.called == [ADDRESS]  # once, then remembered
            world.clock.advance(KEPT_S)
            assert (await present(world, "robot", key)).status == 200
            assert world.web.called == [ADDRESS] * 2

    run(story())


def test_a_turned_key_is_known_at_once_and_the_old_one_ends_with_its_set(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await robot(world)
            old, new = key_of("robot", Alg.ES256), fresh_key()
            publish(world, old)
            assert (await present(world, "robot", old)).status == 200
            publish(world, new)
            assert (await present(world, "robot", new)).status == 200
            assert (await present(world, "robot", old)).status == 401

    run(story())


def test_invented_kids_do_not_make_us_call_the_platform_again_and_again(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await robot(world)
            key = key_of("robot", Alg.ES256)
            publish(world, key)
            assert (await present(world, "robot", key)).status == 200
            for _ in range(20):
                assert (await present(world, "robot", fresh_key())).status == 401
            assert len(world.web.called) == 1 + key_sets.FETCHES_AT_ONCE
            assert (await present(world, "robot", key)).status == 200  # and the platform itself goes on
            world.clock.advance(KEPT_S)
            assert (await present(world, "robot", key)).status == 200

    run(story())


@pytest.mark.parametrize("document", [b"", b"[]", b"<html>", b'{"keys":[{"kty":"oct","k":"AAAA"}]}', b"{" * 70_000])
def test_a_set_that_cannot_be_had_refuses_the_assertion(opened: OpenWorld, run: Run, document: bytes) -> None:
    async def story() -> None:
        async with opened() as world:
            await robot(world)
            key = key_of("robot", Alg.ES256)
            publish(world, key)
            assert (await present(world, "robot", key)).status == 200
            world.web.publish(ADDRESS, document)
            world.clock.advance(KEPT_S)
            for _ in range(4):
                assert (await present(world, "robot", key)).status == 401  # the older set does not come back
            assert len(world.web.called) == 2  # and the platform is left alone for a while
            publish(world, key)
            world.clock.advance(key_sets.AGAIN_AFTER_S)
            assert (await present(world, "robot", key)).status == 200

    run(story())


def test_clients_never_share_a_set(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await robot(world)
            await world.register(keyed("thief", jwks=None, jwks_uri="https://thief.example/keys"))
            key, stolen = key_of("robot", Alg.ES256), key_of("thief", Alg.ES256)
            publish(world, key)
            kid = {**stolen.public.jwk, "kid": key.kid}
            world.web.publish("https://thief.example/keys", {"keys": [kid]})
            assert (await present(world, "thief", stolen, kid=key.kid)).status == 200
            assert (await present(world, "robot", stolen, kid=key.kid)).status == 401

    run(story())


def test_sets_remembered_are_bounded(opened: OpenWorld, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with opened() as world:
            monkeypatch.setattr(key_sets, "SETS_MAX", 2)
            held = key_sets.ClientKeySets(world.web.client().get, clock=world.clock)
            publish(world, key_of("robot", Alg.ES256))
            for number in range(6):
                client = parse_client(keyed(f"robot{number}", jwks=None, jwks_uri=ADDRESS))
                assert await held.of(client, None)
            assert len(held) == 2

    run(story())


def test_a_set_is_read_as_rfc7517_5_asks() -> None:
    key = dict(key_of("robot", Alg.ES256).public.jwk)
    unknown = [{"kty": "new", "kid": "a"}, {**key, "kid": "b", "alg": "ES999"}, {**key, "kid": "c", "use": "enc"}]
    [kept] = signature_keys({"keys": [*unknown, {**key, "extra": [1]}]}, rsa=Alg.RS256)
    assert kept == key
    for bad in ({"keys": [key, key]}, {"keys": [{**key, "d": "AAAA"}]}, {"keys": 5}, {}, {"keys": [5]}):
        with pytest.raises(TrustError):
            signature_keys(bad, rsa=Alg.RS256)
