"""Discovery says of clients' endpoints what is true of them (RFC 8414 §2)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crypto.suites import Alg
from idp.metadata import configuration
from tests.idp.clients.assertions import asserting, assertion, keyed
from tests.protocol.world import ISSUER, SECRET, OpenWorld, basic, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

ENDPOINTS = ("token", "introspection", "revocation")


def test_each_listed_method_is_taken_at_each_endpoint_and_no_other(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            listed = (await world.browser().get("/.well-known/openid-configuration")).json()
            await world.register(keyed("robot", Alg.ES256))
            await world.register(registration("poster", token_endpoint_auth_method="client_secret_post"))
            for endpoint in ENDPOINTS:
                path = listed[f"{endpoint}_endpoint"].removeprefix(ISSUER)
                form = {"token": "x", "grant_type": "urn:x"}
                taken = []
                for method, sent, headers in (
                    ("client_secret_basic", form, {"authorization": basic("learning", SECRET)}),
                    ("client_secret_post", {**form, "client_id": "poster", "client_secret": SECRET}, {}),
                    ("private_key_jwt", asserting(assertion(world, "robot"), **form), {}),
                    ("none", {**form, "client_id": "native"}, {}),
                ):
                    answer = await world.browser().post(path, sent, **headers)
                    if answer.status != 401:
                        taken.append(method)
                assert taken == listed[f"{endpoint}_endpoint_auth_methods_supported"]

    run(story())


def test_each_listed_algorithm_is_taken_for_assertions(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            listed = configuration(ISSUER)
            await world.register(keyed("robot", *Alg))
            for endpoint in ENDPOINTS:
                algorithms = listed[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
                assert isinstance(algorithms, list)
                path = str(listed[f"{endpoint}_endpoint"]).removeprefix(ISSUER)
                for alg in algorithms:
                    form = asserting(assertion(world, "robot", Alg(alg)), token="x", grant_type="client_credentials")
                    assert (await world.browser().post(path, form)).status == 200, (endpoint, alg)

    run(story())


def test_each_listed_grant_is_known_to_the_token_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            grants = configuration(ISSUER)["grant_types_supported"]
            assert isinstance(grants, list)
            for grant in grants:
                answer = await world.token({"grant_type": grant})
                assert answer.json().get("error") != "unsupported_grant_type", grant

    run(story())
