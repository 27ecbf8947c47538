"""No mutation of a token is taken for a token, and each is refused by an error of ours (RFC 8725 §2, RFC 9700 §4).

A sample in `make test`; a million of each kind in `make soak`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import TrustError
from crypto.suites import Alg
from idp.clients.authentication import ClientAuthentication, Endpoint
from idp.clients.key_sets import ClientKeySets
from idp.id_token import IdTokens
from idp.oauth_errors import OAuthError
from idp.subject import SubjectIdentifiers
from idp.token.access_token import AccessTokens
from idp.token.refresh_token import refresh_token_hash
from idp.transient import TransientKind
from tests.idp.clients.assertions import ask, asserting, assertion, keyed
from tests.protocol.mutations import mutations
from tests.protocol.world import ISSUER, OpenWorld, World, registration
from tests.scale import report, trials

Run = Callable[[Coroutine[Any, Any, None]], None]
Accepts = Callable[[str], Awaitable[bool]]
"""Whether what the product does with such a token takes it; raises our error where the product does."""

COUNT = trials(200, full=1_000_000)
SEED = 20_261_122
ALGORITHMS = ("ES256", "RS256", "SGD_SM3_SM2")


def _subjects() -> SubjectIdentifiers:
    return SubjectIdentifiers(b"subject key of the tests, 32 b..")


def _access_tokens(world: World) -> AccessTokens:
    return AccessTokens(
        ISSUER,
        keys=world.keys,
        subjects=_subjects(),
        tokens=world.store,
        clients=world.store,
        clock=world.clock,
        random_bytes=secrets.token_bytes,
    )


async def _none_passes(accepts: Accepts, token: str, kind: str, *, untouched: bool = True) -> None:
    if untouched:
        assert await accepts(token), "the check itself works"
    accepted = []
    for mutated in mutations(token, seed=SEED, count=COUNT):
        try:
            if await accepts(mutated):
                accepted.append(mutated)
        except TrustError:
            continue
    report("G4", target=f"0 of 1000000 {kind}", actual=f"{len(accepted)} of {COUNT}", seed=SEED)
    assert accepted == []


@pytest.mark.soak
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_no_mutated_id_token_is_a_hint(opened: OpenWorld, run: Run, alg: str) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", id_token_signed_response_alg=alg))
            id_tokens = IdTokens(ISSUER, world.keys, _subjects(), clock=world.clock)

            async def accepts(token: str) -> bool:
                return id_tokens.read_hint(token).client_id == "learning"

            await _none_passes(accepts, (await world.tokens(world.browser()))["id_token"], f"id tokens {alg}")

    run(story())


@pytest.mark.soak
@pytest.mark.parametrize("token_format", ["jwt", "opaque"])
def test_no_mutated_access_token_opens_anything(opened: OpenWorld, run: Run, token_format: str) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", access_token_format=token_format))
            access_tokens = _access_tokens(world)

            async def accepts(token: str) -> bool:
                return bool(await access_tokens.resolve_any(token))

            token = (await world.tokens(world.browser()))["access_token"]
            await _none_passes(accepts, token, f"access tokens ({token_format})")

    run(story())


@pytest.mark.soak
@pytest.mark.parametrize("alg", [Alg.ES256, Alg.EDDSA, Alg.SGD_SM3_SM2])
def test_no_mutated_assertion_authenticates(opened: OpenWorld, run: Run, alg: Alg) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", alg))
            authentication = ClientAuthentication(
                ISSUER,
                clients=world.store,
                key_sets=ClientKeySets(world.web.client().get, clock=world.clock),
                replays=world.store,
                clock=world.clock,
            )

            async def accepts(token: str) -> bool:
                return bool(await authentication.authenticate(asserting(token), None, endpoint=Endpoint.TOKEN))

            assert await accepts(assertion(world, "robot", alg))
            # Not used before: a mutation must not pass for the reason that the original would be a replay.
            await _none_passes(accepts, assertion(world, "robot", alg), f"assertions {alg.value}", untouched=False)

    run(story())


@pytest.mark.soak
def test_no_mutated_refresh_token_is_found(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:

            async def accepts(token: str) -> bool:
                token_hash = refresh_token_hash(token)
                return token_hash is not None and await world.store.refresh_grant(token_hash) is not None

            token = (await world.tokens(world.browser()))["refresh_token"]
            await _none_passes(accepts, token, "refresh tokens")

    run(story())


@pytest.mark.soak
@pytest.mark.parametrize("kind", list(TransientKind))
def test_no_mutated_handle_opens_an_entry(opened: OpenWorld, run: Run, kind: TransientKind) -> None:
    """Codes, device codes, pushed requests, sign-ins under way: whatever one of them opens, no mutation opens."""

    async def story() -> None:
        async with opened() as world:
            handle = await world.transient.put(kind, b"what it opens", lifetime_s=600)

            async def accepts(token: str) -> bool:
                return await world.transient.read(kind, token) is not None

            await _none_passes(accepts, handle, f"handles ({kind.value})")

    run(story())


def test_an_assertion_whose_signature_is_written_another_way_is_still_a_replay(opened: OpenWorld, run: Run) -> None:
    """ECDSA holds for (r, n − s) as for (r, s): what counts is the id, not the token's characters."""

    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            token = assertion(world, "robot")
            assert (await ask(world, token)).status == 200
            assert (await ask(world, _turned(token))).json()["error_description"] == "jti: used"

    run(story())


def test_an_access_token_whose_signature_is_written_another_way_is_another_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", access_token_format="jwt"))
            token = (await world.tokens(world.browser()))["access_token"]
            turned = _turned(token)
            with pytest.raises(OAuthError):
                await _access_tokens(world).resolve_any(turned)
            assert (await world.userinfo(turned)).status == 401
            assert (await world.userinfo(token)).status == 200

    run(story())


def _turned(token: str) -> str:
    """Return the token with (r, n − s) for (r, s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, FIPS 186-4 §D.1.2.3
    text, _, signature = token.rpartition(".")
    raw = b64u_decode(signature)
    s = int.from_bytes(raw[32:], "big")
    return f"{text}.{b64u_encode(raw[:32] + (order - s).to_bytes(32, 'big'))}"
