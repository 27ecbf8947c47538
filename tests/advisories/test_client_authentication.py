"""Client assertions: replay (Hydra GHSA-3p3g-vpw6-4w66), audience, time, and every way to make a key mean something else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crypto.encoding import b64u_encode
from crypto.keys import native_private
from crypto.suites import Alg
from idp.clients.model import ClientState
from tests.idp.clients.assertions import ask, asserting, assertion, claims_for, key_of, keyed, signed
from tests.protocol.world import ISSUER, SECRET, Answer, OpenWorld, World, basic
from tests.scale import trials

ADVISORY_CLASSES: tuple[int, ...] = (10, 12)
SEEN_RED: dict[str, str] = {
    "test_an_assertion_is_used_once": "idp/clients/authentication.py: a used `jti` not refused",
    "test_an_assertion_says_who_for_whom_until_when_and_which": "idp/clients/authentication.py: an audience that merely contains the issuer accepted",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

TRIALS = trials(25, full=10_000)


def refused(answer: Answer, error: str = "invalid_client") -> bool:
    return answer.status in {400, 401} and answer.json()["error"] == error


@pytest.mark.parametrize("alg", list(Alg))
def test_a_client_authenticates_with_its_key_in_each_algorithm(opened: OpenWorld, run: Run, alg: Alg) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", alg))
            assert (await ask(world, assertion(world, "robot", alg))).status == 200
            # RFC 7521 §4.2: client_id beside the assertion is allowed, and must name the same client.
            token = assertion(world, "robot", alg)
            assert (await ask(world, token, client_id="robot")).status == 200
            assert refused(await ask(world, assertion(world, "robot", alg), client_id="learning"))

    run(story())


def test_an_assertion_is_used_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256), keyed("other", Alg.ES256))
            token = assertion(world, "robot", jti="once")
            assert (await ask(world, token)).status == 200
            replay = await ask(world, token)
            assert refused(replay)
            assert replay.json()["error_description"] == "jti: used"
            # The id, not the token: another assertion of the same id is a replay, at whichever endpoint.
            assert refused(await ask(world, assertion(world, "robot", jti="once", exp=world.clock() + 30)))
            for path in ("/introspect", "/revoke"):
                assert refused(await world.browser().post(path, asserting(token, token="x")))
            assert (await ask(world, assertion(world, "other", jti="once"))).status == 200, "ids are each client's own"
            await world.provider.housekeeping()
            assert refused(await ask(world, token)), "not forgotten while it would be accepted"

    run(story())


@pytest.mark.soak
def test_of_sixteen_uses_at_once_exactly_one_passes(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            for _ in range(TRIALS):
                token = assertion(world, "robot")
                answers = await asyncio.gather(*(ask(world, token) for _ in range(16)))
                assert sorted(answer.status for answer in answers) == [200] + [401] * 15

    run(story())


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "no issuer": {"iss": None},
    "another issuer": {"iss": "learning"},
    "no subject": {"sub": None},
    "no audience": {"aud": None},
    "the token endpoint as audience": {"aud": f"{ISSUER}/token"},
    "an array of the issuer": {"aud": [ISSUER]},
    "an array of two": {"aud": [ISSUER, "https://evil.example"]},
    "the issuer with a slash": {"aud": f"{ISSUER}/"},
    "another server": {"aud": "https://evil.example"},
    "itself as audience": {"aud": "robot"},
    "no expiry": {"exp": None},
    "an hour ahead": {"exp": 1_782_864_000 + 3600},
    "expiry no number": {"exp": "9999999999"},
    "expiry beyond any date": {"exp": 2**60},
    "expired five minutes ago": {"exp": 1_782_864_000 - 300},
    "expired a minute ago": {"exp": 1_782_864_000 - 60},
    "issued a minute ahead": {"iat": 1_782_864_000 + 61},
    "valid in a minute": {"nbf": 1_782_864_000 + 61},
    "no id": {"jti": None},
    "an empty id": {"jti": ""},
    "an endless id": {"jti": "x" * 257},
    "an id of a number": {"jti": 5},
}


@pytest.mark.parametrize("case", BAD_CLAIMS)
def test_an_assertion_says_who_for_whom_until_when_and_which(opened: OpenWorld, run: Run, case: str) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            assert refused(await ask(world, assertion(world, "robot", **BAD_CLAIMS[case])))

    run(story())


def test_clocks_ten_seconds_apart_are_accepted(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            now = world.clock()
            near: tuple[dict[str, Any], ...] = (
                {"iat": now + 10},
                {"nbf": now + 10},
                {"exp": now - 9},
                {"exp": now + 310},
            )
            for changes in near:
                assert (await ask(world, assertion(world, "robot", **changes))).status == 200, changes
            assert refused(await ask(world, assertion(world, "robot", exp=now - 10)))
            assert refused(await ask(world, assertion(world, "robot", exp=now + 311)))

    run(story())


def _unsigned(claims: dict[str, Any], header: dict[str, Any], secret: bytes = b"") -> str:
    text = ".".join(b64u_encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{b64u_encode(hmac.digest(secret, text.encode(), hashlib.sha256)) if secret else ''}"


def test_none_is_no_algorithm_and_a_public_key_no_secret(opened: OpenWorld, run: Run) -> None:
    """CVE-2024-37568: the public key, in every form, as HMAC secret."""

    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.RS256, Alg.ES256, Alg.SGD_SM3_SM2))
            for alg in (Alg.RS256, Alg.ES256, Alg.SGD_SM3_SM2):
                key = key_of("robot", alg)
                for name in ("none", "None", "NONE", ""):
                    token = _unsigned(claims_for(world, "robot"), {"alg": name, "kid": key.kid})
                    assert refused(await ask(world, token))
                jwk = dict(key.public.jwk)
                secrets = [json.dumps(jwk).encode(), jwk.get("n", jwk.get("x", "")).encode()]
                if alg is not Alg.SGD_SM3_SM2:
                    public = native_private(key).public_key()
                    secrets += [
                        public.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
                        for form in (Encoding.PEM, Encoding.DER)
                    ]
                for secret in secrets:
                    for mac in ("HS256", "SGD_SM3_HMAC", alg.value):
                        token = _unsigned(claims_for(world, "robot"), {"alg": mac, "kid": key.kid}, secret)
                        assert refused(await ask(world, token))

    run(story())


def test_only_the_clients_own_registered_keys_count(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(
                keyed("robot", Alg.ES256, Alg.PS256),
                keyed("other", Alg.ES256, Alg.PS256),
                keyed("pinned", Alg.ES256, Alg.PS256, token_endpoint_auth_signing_alg="ES256"),
            )
            mine, others = key_of("robot", Alg.ES256), key_of("other", Alg.ES256)
            claims = claims_for(world, "robot")
            forged: dict[str, str] = {
                "another client's key": signed(others, claims),
                "another client's key under my kid": signed(others, claims, kid=mine.kid),
                "another client's key, no kid": signed(others, claims, kid=None),
                "the key brought along": signed(others, claims, kid=None, jwk=dict(others.public.jwk)),
                "the key's address brought along": signed(others, claims, jku="https://evil.example/jwks"),
                "a kid of a file": signed(mine, claims, kid="../../../dev/null"),
                "a kid of a query": signed(mine, claims, kid="' OR 1=1 --"),
                "the kid of my other key": signed(mine, claims, kid=key_of("robot", Alg.PS256).kid),
                "an algorithm that is not the key's": signed(mine, claims, alg="PS256"),
                "a critical extension": signed(mine, claims, crit=["exp"]),
                "a request object": signed(mine, claims, typ="oauth-authz-req+jwt"),
                "an access token": signed(mine, claims, typ="at+jwt"),
                "the server's key": signed(world.keys.active(Alg.ES256), claims),
            }
            for case, token in forged.items():
                assert refused(await ask(world, token)), case
            assert (await ask(world, signed(mine, claims, kid=None))).status == 200, "its only key of the algorithm"
            assert refused(await ask(world, assertion(world, "pinned", Alg.PS256)))
            assert (await ask(world, assertion(world, "pinned", Alg.ES256))).status == 200

    run(story())


def test_of_two_keys_of_one_algorithm_the_kid_says_which(opened: OpenWorld, run: Run) -> None:
    """A client rotates: old and new key are registered together."""

    async def story() -> None:
        async with opened() as world:
            old, new, revoked = (key_of(owner, Alg.ES256) for owner in ("robot", "robot's next", "robot's last"))
            keys = {"keys": [dict(key.public.jwk) for key in (old, new)]}
            await world.register(keyed("robot", jwks=keys))
            for key in (old, new):
                assert (await ask(world, signed(key, claims_for(world, "robot")))).status == 200
            assert refused(await ask(world, signed(old, claims_for(world, "robot"), kid=new.kid)))
            assert refused(await ask(world, signed(old, claims_for(world, "robot"), kid=None))), "either could be meant"
            assert refused(await ask(world, signed(revoked, claims_for(world, "robot"))))

    run(story())


def test_one_request_one_method(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            form = asserting(assertion(world, "robot"), grant_type="client_credentials")
            browser = world.browser()
            with_secret = await browser.post("/token", {**form, "client_secret": SECRET})
            with_basic = await browser.post("/token", form, authorization=basic("learning", SECRET))
            half = await browser.post("/token", {"client_id": "robot", "client_assertion": form["client_assertion"]})
            for answer in (with_secret, with_basic):
                assert refused(answer, "invalid_request")
            assert refused(half)
            bearer = {**form, "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}
            assert refused(await browser.post("/token", bearer))
            assert (await browser.post("/token", form)).status == 200, "what was refused has used nothing up"

    run(story())


def test_a_client_has_the_registered_method_and_no_other(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            browser, grant = world.browser(), {"grant_type": "client_credentials"}
            assert refused(await browser.post("/token", grant, authorization=basic("robot", SECRET)))
            assert refused(await browser.post("/token", {**grant, "client_id": "robot", "client_secret": SECRET}))
            assert refused(await browser.post("/token", {**grant, "client_id": "robot"}))
            # Registered for a secret; keys in its registration make no second way in.
            keys = {"keys": [dict(key_of("learning", Alg.ES256).public.jwk)]}
            await world.register(keyed("learning", client_secret=SECRET, token_endpoint_auth_method=None, jwks=keys))
            assert refused(await ask(world, assertion(world, "learning")))
            post = {**grant, "client_id": "learning", "client_secret": SECRET}
            assert refused(await browser.post("/token", post)), "basic is not post"
            assert (await browser.post("/token", grant, authorization=basic("learning", SECRET))).status == 200

    run(story())


async def _refusals(world: World) -> set[bytes]:
    browser, grant = world.browser(), {"grant_type": "client_credentials"}
    answers = [
        await browser.post("/token", grant, authorization=basic("nobody", SECRET)),
        await browser.post("/token", grant, authorization=basic("robot", SECRET)),
        await browser.post("/token", grant, authorization=basic("learning", "t" * 43)),
        await ask(world, signed(key_of("other", Alg.ES256), claims_for(world, "robot"))),
        await ask(world, signed(key_of("other", Alg.ES256), claims_for(world, "nobody"))),
        await ask(world, signed(key_of("other", Alg.ES256), claims_for(world, "robot", aud="x"))),
    ]
    assert {answer.status for answer in answers} == {401}
    return {answer.content for answer in answers}


def test_who_does_not_hold_the_key_learns_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            assert len(await _refusals(world)) == 1
            await world.store.set_client_state("robot", ClientState.DISABLED, world.clock())
            assert len(await _refusals(world)) == 1
            assert refused(await ask(world, assertion(world, "robot")))
            assert world.trail.actions().count("idp.client.refused") == 13

    run(story())


@pytest.mark.parametrize("garbage", ["x", "a.b.c", "..", "e30.e30.", "e30.bnVsbA.AA", "e30.WzFd.AA", "." * 50, "é.é.é"])
def test_what_is_no_assertion_is_a_refusal_like_any_other(opened: OpenWorld, run: Run, garbage: str) -> None:
    async def story() -> None:
        async with opened() as world:
            assert refused(await ask(world, garbage))

    run(story())
