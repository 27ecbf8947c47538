"""Every kind of token at every place that takes one: only the diagonal passes (RFC 8725 §3.11, RFC 9068 §4).

An ID token as access token, a client assertion as request object, an access token as assertion, a code as device code, a
registration token as access token: security class 11.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

import pytest

from crypto.suites import Alg
from tests.advisories.token_kinds import CLIENT, RESOURCE, kinds, passes_as_user_code, passes_spent, passes_unspent
from tests.idp.clients.assertions import keyed
from tests.protocol.devices import GRANT as DEVICE_GRANT
from tests.protocol.world import OpenWorld, World

ADVISORY_CLASSES: tuple[int, ...] = (11,)

SEEN_RED: dict[str, str] = {
    "test_only_the_diagonal_passes": (
        "idp/token/access_token.py: the audience was not looked at for userinfo;"
        " idp/transient.py: the kind was no part of a handle;"
        " idp/id_token.py: a hint was checked under the policy of logout tokens"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]

DIAGONAL = {
    ("access", "userinfo"),
    ("access", "introspect"),
    ("access", "revoke"),
    ("access for a resource", "introspect"),
    ("access for a resource", "revoke"),
    ("client's own", "introspect"),
    ("client's own", "revoke"),
    ("refresh", "introspect"),
    ("refresh", "revoke"),
    ("refresh", "refresh grant"),
    ("code", "code grant"),
    ("device code", "device grant"),
    ("user code", "device page"),
    ("pushed", "pushed request"),
    ("id", "hint at sign-out"),
    ("id", "hint at sign-in"),
    ("session", "cookie"),
    ("sign-in under way", "step"),
    ("confirmation", "confirm"),
    ("assertion", "authentication"),
    ("registration", "configuration"),
    ("initial", "registration"),
}
"""The logout token and the signed answer of userinfo are for the platform: nothing of ours takes them."""

TRIES = 8  # of a person at `/device`, which allows ten


async def _registered(world: World, alg: Alg, token_format: str) -> None:
    await world.register(
        keyed(
            CLIENT,
            Alg.ES256,
            access_token_format=token_format,
            id_token_signed_response_alg=alg.value,
            userinfo_signed_response_alg=alg.value,
            grant_types=["authorization_code", "refresh_token", "client_credentials", DEVICE_GRANT],
            resources=[RESOURCE],
        )
    )


@pytest.mark.parametrize(
    ("token_format", "alg"),
    [("opaque", Alg.ES256), ("jwt", Alg.ES256), ("jwt", Alg.SGD_SM3_SM2), ("jwt", Alg.RS256)],
)
def test_only_the_diagonal_passes(opened: OpenWorld, run: Run, token_format: str, alg: Alg) -> None:
    async def story() -> None:
        async with opened() as world:
            await _registered(world, alg, token_format)
            made = await kinds(world)
            passed = set()
            for kind, token in made.tokens.items():
                places = await passes_unspent(world, token, made)
                passed |= {(kind, place) for place in places}
            rest, people = iter(made.tokens.items()), iter(range(2, 9))
            while some := dict(islice(rest, TRIES)):
                number = next(people)
                await world.add_person(f"person-{number}", number)
                passed |= {(kind, "device page") for kind in await passes_as_user_code(world, f"person-{number}", some)}
            for kind, token in (await kinds(world)).tokens.items():
                passed |= {(kind, place) for place in await passes_spent(world, token)}
            assert passed == DIAGONAL

    run(story())
