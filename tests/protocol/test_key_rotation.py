"""Signing keys are turned while tokens are made and checked: no check fails, no retired key signs (promise G21).

Two services hold the keys, a third process turns them as `edutrust keys rotate signing` does, and a relying party keeps the
published set for as long as it was told it may, and never asks sooner: the worst one there is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jwt
import pytest

from adapters.commands.keys_turn import PUBLISHED_S
from adapters.sql.idp_keys import SqlKeyStore
from crypto.errors import TrustError
from crypto.jws import verify_jwt
from crypto.keys import KeyState, parse_jwks
from crypto.sealed import ColumnSealer
from crypto.sm2 import select_backend
from crypto.suites import Alg, Purpose, policy
from idp.id_token import ID_TOKEN_LIFETIME_S, HintRefused, IdTokens
from idp.keys import OWNER, StoredIdpKeys, open_idp_keys
from idp.metadata import CACHE_SECONDS
from idp.model import Acr, Authentication
from idp.subject import SubjectIdentifiers
from tests.protocol.world import ISSUER, OpenWorld, World, header_of, registration
from tests.scale import report, trials

Run = Callable[[Coroutine[Any, Any, None]], None]

T = TypeVar("T")

ROTATIONS = trials(3, full=50)
FLOWS = 6


@dataclass
class RelyingParty:
    """Checks ID tokens with a set of keys it fetched, until the set's lifetime is over."""

    world: World
    alg: Alg
    fetched_at: int = -(10**9)
    body: bytes = b""
    checked: int = 0
    failed: list[str] = field(default_factory=list)

    async def check(self, token: str) -> None:
        if self.world.clock() - self.fetched_at >= CACHE_SECONDS:
            path = "/jwks/national" if self.alg is Alg.SGD_SM3_SM2 else "/jwks"
            answer = await self.world.browser().get(path)
            assert answer.headers["cache-control"] == f"public, max-age={CACHE_SECONDS}"
            self.body, self.fetched_at = answer.content, self.world.clock()
        self.checked += 1
        try:
            if self.alg is Alg.SGD_SM3_SM2:
                keys = {key.kid: key for key in parse_jwks(self.body, alg=self.alg)}
                verify_jwt(token, keys=keys, policy=policy(Purpose.ID_TOKEN))
            else:
                key = jwt.PyJWKSet.from_json(self.body.decode())[header_of(token)["kid"]]
                jwt.decode(token, key, [self.alg.value], audience="learning", options={"verify_exp": False})
        except (TrustError, jwt.PyJWTError, KeyError) as error:
            self.failed.append(repr(error))


class Services:
    """The service under test, a second one over the same database, and the process that turns the keys."""

    def __init__(self, world: World, second: StoredIdpKeys, turning: StoredIdpKeys) -> None:
        self.world = world
        self.second = second
        self.turning = turning
        self.person = world.browser()
        subjects = SubjectIdentifiers(b"subject key of the tests, 32 b..")
        self.ours, self.theirs = (IdTokens(ISSUER, keys, subjects, clock=world.clock) for keys in (world.keys, second))

    async def sign_in(self) -> None:
        """Have a person at the first service, so that the load needs no password."""
        self.person = self.world.browser()
        await self.world.code(self.person)

    async def notice(self) -> None:
        """Let both services look at the key store, as their workers do every few seconds."""
        for keys in (self.world.keys, self.second):
            await asyncio.sleep(0)
            await keys.load()

    async def under_load(self, party: RelyingParty, turn: Awaitable[T]) -> tuple[T, list[str]]:
        """Turn a key while people sign in; return its answer and the ID tokens made meanwhile."""
        load = asyncio.gather(*(self.flow(party) for _ in range(FLOWS)))
        turned, _, tokens = await asyncio.gather(turn, self.notice(), load)
        return turned, tokens

    async def flow(self, party: RelyingParty) -> str:
        """Sign in at the first service, let the second make a token too; check each where the other was made."""
        one: str = (await self.world.tokens(self.person))["id_token"]
        client = await self.world.client("learning")
        two = self.theirs.sign(
            client,
            person=self.world.people["lin"],
            session_reference="r" * 22,
            authentication=Authentication(self.world.clock(), Acr.ONE, ("pwd",)),
            nonce=None,
            access_token="at_x",
            claims={},
        )
        for token in (one, two):
            await party.check(token)
            for service in (self.ours, self.theirs):
                try:
                    service.read_hint(token)
                except HintRefused as error:
                    party.failed.append(repr(error))
        return one


@pytest.mark.soak
@pytest.mark.parametrize("alg", [Alg.ES256, Alg.SGD_SM3_SM2, Alg.RS256])
def test_no_check_fails_while_keys_are_turned_under_load(opened: OpenWorld, run: Run, alg: Alg) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", id_token_signed_response_alg=alg.value))

            async def process() -> StoredIdpKeys:
                sealer = ColumnSealer({"k1": bytes(range(16))}, "k1", secrets.token_bytes)  # as the world's
                backend = select_backend(("libcrypto",))
                return await open_idp_keys(SqlKeyStore(world.db), sealer=sealer, backend=backend, clock=world.clock)

            services = Services(world, await process(), await process())
            party = RelyingParty(world, alg)
            signers: set[str] = set()
            for _ in range(ROTATIONS):
                await services.sign_in()
                old = world.keys.active(alg).kid
                successor, tokens = await services.under_load(party, services.turning.prepare_successor(alg))
                signers |= {header_of(token)["kid"] for token in tokens}
                await services.notice()
                world.clock.advance(PUBLISHED_S)
                _, tokens = await services.under_load(party, services.turning.rotate(successor))
                await services.notice()
                tokens.append(await services.flow(party))
                assert header_of(tokens[-1])["kid"] == successor
                signers |= {header_of(token)["kid"] for token in tokens}
                # What the old key signed has been read by now (an ID token lives five minutes): it is retired.
                world.clock.advance(ID_TOKEN_LIFETIME_S + PUBLISHED_S)
                _, tokens = await services.under_load(party, services.turning.retire(old))
                assert {header_of(token)["kid"] for token in tokens} == {successor}, "a retired key signs nothing"
                record = await SqlKeyStore(world.db).by_kid(OWNER, old)
                assert (record.state, record.sealed_private) == (KeyState.RETIRED, None)
                await services.notice()
            assert len(signers) == ROTATIONS + 1
            report("G21", target=f"0 of {party.checked} {alg.value}", actual=f"{len(party.failed)} failed", seed="none")
            assert party.checked >= ROTATIONS * FLOWS * 6
            assert party.failed == []

    run(story())
