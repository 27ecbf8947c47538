"""Resource indicators (RFC 8707): asked for, registered, narrowed, never widened; the token's audience and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import TrustError
from crypto.jws import verify_jwt
from crypto.suites import Purpose, policy
from idp.authorize.code import AuthorizationGrant, load_grant
from idp.authorize.request import load_authorization_request, parse_authorization_request
from idp.authorize.resources import RESOURCES_MAX, audience_of, is_absolute_uri, parse_resources
from idp.model import Acr, Authentication
from idp.oauth_errors import InvalidTarget
from idp.parameters import parse_parameters, parse_reporting_duplicate
from tests.protocol.world import ISSUER, VERIFIER, Answer, Browser, OpenWorld, World, authorization, basic, registration
from tests.protocol.world import SECRET as CLIENT_SECRET

Run = Callable[[Coroutine[Any, Any, None]], None]

GRADES = "https://grades.example/api"
LOANS = "urn:example:loans"
OTHER = "https://other.example/"
REGISTERED_URI = "https://learning.example/callback"

REGISTERED = registration("learning", resources=[GRADES, LOANS], access_token_format="jwt")
OPAQUE = registration("library", resources=[GRADES, LOANS])
ROBOT = registration(
    "robot",
    redirect_uris=None,
    post_logout_redirect_uris=None,
    backchannel_logout_uri=None,
    scopes_required=None,
    scopes_optional=None,
    grant_types=["client_credentials"],
    scopes_client=["roster.read"],
    resources=[GRADES, LOANS],
)


def several(parameters: dict[str, str], *resources: str) -> str:
    return urlencode([*parameters.items(), *(("resource", value) for value in resources)])


async def ask(world: World, browser: Browser, *resources: str, client_id: str = "learning", **changes: Any) -> Answer:
    return await browser.get(f"/authorize?{several(authorization(client_id, **changes), *resources)}")


async def grant(world: World, browser: Browser, *resources: str, client_id: str = "learning") -> str:
    """Go through sign-in and consent; return the code."""
    answer = await browser.follow(await ask(world, browser, *resources, client_id=client_id))
    if "/signin/password" in answer.text:
        answer = await browser.password(answer, "lin")
    if "/signin/consent" in answer.text:
        answer = await browser.allow(answer)
    return answer.query["code"]


async def token(world: World, form: dict[str, str], *resources: str, client_id: str = "learning") -> Answer:
    headers = {"authorization": basic(client_id, CLIENT_SECRET), "content-type": "application/x-www-form-urlencoded"}
    response = await world.browser().http.post("/token", content=several(form, *resources), headers=headers)
    return Answer(response.status_code, response.headers, response.text, response.content)


def redemption(code: str, client_id: str = "learning") -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"https://{client_id}.example/callback",
        "code_verifier": VERIFIER,
    }


def audience(world: World, jwt: str) -> object:
    return verify_jwt(jwt, keys=world.keys.verifiers(), policy=policy(Purpose.ACCESS_TOKEN)).claims["aud"]


async def introspected(world: World, access_token: str, client_id: str = "learning") -> dict[str, Any]:
    headers = {"authorization": basic(client_id, CLIENT_SECRET)}
    answer = (await world.browser().post("/introspect", {"token": access_token}, **headers)).json()
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(
    "value",
    [
        "grades",
        "/api",
        "//grades.example",
        "https://grades.example/#part",
        "https://a b",
        "https:",
        "1a:b",
        "https://é",
        "",
    ],
)
def test_a_resource_is_an_absolute_uri_without_a_fragment(value: str) -> None:
    assert not is_absolute_uri(value)
    with pytest.raises(InvalidTarget):
        audience_of({"resource": value}, granted=(value,), issuer=ISSUER)


@pytest.mark.parametrize(
    "value", [GRADES, LOANS, "https://grades.example/?tenant=1", "https://[2001:db8::1]/x", ISSUER]
)
def test_addresses_and_names_are_resources(value: str) -> None:
    assert is_absolute_uri(value)


def test_resource_may_repeat_and_no_other_parameter_may() -> None:
    raw = urlencode(
        [("resource", GRADES), ("scope", "openid"), ("resource", LOANS), ("resource", GRADES), ("resource", "")]
    )
    values, duplicate = parse_reporting_duplicate(raw)
    assert duplicate is None
    assert parse_resources(values) == (GRADES, LOANS)
    assert parse_resources({}) == ()
    _, duplicate = parse_reporting_duplicate("scope=a&resource=b&scope=c")
    assert duplicate == "scope"


@given(st.lists(st.text(min_size=1, max_size=20), max_size=6))
def test_what_is_repeated_is_read_back_whole_or_refused(values: list[str]) -> None:
    raw = urlencode([("resource", value.encode("utf-8", "replace")) for value in values])
    try:
        parsed = parse_resources(parse_parameters(raw))
    except TrustError:
        assert any(ord(character) < 0x20 or ord(character) == 0x7F for value in values for character in value)
        return
    kept = [value.encode("utf-8", "replace").decode() for value in values]
    assert parsed == tuple(dict.fromkeys(kept))


@given(
    st.lists(st.sampled_from([GRADES, LOANS, OTHER, ISSUER]), max_size=4, unique=True),
    st.lists(st.sampled_from([GRADES, LOANS, ISSUER]), max_size=3, unique=True),
)
def test_a_token_request_narrows_and_never_widens(asked: list[str], granted: list[str]) -> None:
    form = {"resource": "\n".join(asked)} if asked else {}
    try:
        found = audience_of(form, granted=tuple(granted), issuer=ISSUER)
    except InvalidTarget:
        assert not {*asked} <= {*granted, ISSUER}
        return
    assert found
    assert {*found} <= {*granted, ISSUER}
    assert not asked or found == tuple(asked)


def test_more_resources_than_one_token_may_have_are_refused() -> None:
    many = tuple(f"https://a.example/{number}" for number in range(RESOURCES_MAX + 1))
    with pytest.raises(InvalidTarget):
        audience_of({"resource": "\n".join(many)}, granted=many, issuer=ISSUER)


@pytest.mark.parametrize(
    ("resource", "rule"),
    [(OTHER, "not_registered"), (GRADES + "/", "not_registered"), (GRADES + "#x", "form"), ("grades", "form")],
)
def test_the_authorization_endpoint_refuses_a_target_that_is_not_registered(
    opened: OpenWorld, run: Run, resource: str, rule: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            refused = await ask(world, world.browser(), GRADES, resource)
            assert refused.query["error"] == "invalid_target"  # RFC 8707 §2
            assert refused.query["error_description"] == f"resource: {rule}"
            pushed = await world.browser().http.post(
                "/par",
                content=several(authorization(), resource),
                headers={
                    "authorization": basic("learning", CLIENT_SECRET),
                    "content-type": "application/x-www-form-urlencoded",
                },
            )
            assert (pushed.status_code, pushed.json()["error"]) == (400, "invalid_target")

    run(story())


def test_the_access_token_is_for_the_resources_asked_for_and_userinfo_does_not_take_it(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            browser = world.browser()
            body = (await token(world, redemption(await grant(world, browser, GRADES, LOANS)))).json()
            assert audience(world, body["access_token"]) == [GRADES, LOANS]
            assert (await introspected(world, body["access_token"]))["aud"] == [GRADES, LOANS]
            assert (await world.userinfo(body["access_token"])).status == 401  # RFC 9700 §2.3
            # The issuer is a resource of every grant: there is a token for userinfo too.
            refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
            again = (await token(world, refresh, ISSUER)).json()
            assert audience(world, again["access_token"]) == ISSUER
            assert (await world.userinfo(again["access_token"])).status == 200

    run(story())


def test_a_token_for_the_issuer_and_a_resource_is_taken_by_userinfo(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(OPAQUE)
            code = await grant(world, world.browser(), ISSUER, GRADES, client_id="library")
            body = (await token(world, redemption(code, "library"), client_id="library")).json()
            assert (await introspected(world, body["access_token"], "library"))["aud"] == [ISSUER, GRADES]
            assert (await world.userinfo(body["access_token"])).status == 200

    run(story())


def test_a_code_narrows_at_redemption_and_a_refusal_does_not_use_it_up(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            code = await grant(world, world.browser(), GRADES)
            for beyond in (LOANS, OTHER, "grades", GRADES + "#x"):
                refused = await token(world, redemption(code), beyond)
                assert (refused.status, refused.json()["error"]) == (400, "invalid_target"), beyond
            assert "idp.token.refused" in world.trail.actions()
            granted = await token(world, redemption(code), GRADES)
            assert audience(world, granted.json()["access_token"]) == GRADES

    run(story())


def test_a_refresh_remembers_what_was_granted(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            body = (await token(world, redemption(await grant(world, world.browser(), GRADES, LOANS)), GRADES)).json()
            assert audience(world, body["access_token"]) == GRADES
            refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
            refused = await token(world, refresh, OTHER)
            assert refused.json()["error"] == "invalid_target"
            # Narrowed once is not narrowed for good: the grant is of both (RFC 8707 §2.2).
            wide = (await token(world, refresh)).json()
            assert audience(world, wide["access_token"]) == [GRADES, LOANS]
            refresh["refresh_token"] = wide["refresh_token"]
            assert audience(world, (await token(world, refresh, LOANS)).json()["access_token"]) == LOANS

    run(story())


def test_a_request_without_a_resource_gets_a_token_for_the_issuer(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            code = await grant(world, world.browser())
            refused = await token(world, redemption(code), GRADES)
            assert refused.json()["error"] == "invalid_target", "registered, but not granted by the person's request"
            body = (await token(world, redemption(code))).json()
            assert audience(world, body["access_token"]) == ISSUER  # RFC 9068 §3

    run(story())


def test_a_client_asks_for_itself_within_its_registration(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(ROBOT)
            form = {"grant_type": "client_credentials"}
            for resources, aud in (((), ISSUER), ((GRADES,), GRADES), ((GRADES, LOANS), [GRADES, LOANS])):
                body = (await token(world, form, *resources, client_id="robot")).json()
                assert (await introspected(world, body["access_token"], "robot"))["aud"] == aud
            refused = await token(world, form, OTHER, client_id="robot")
            assert (refused.status, refused.json()["error"]) == (400, "invalid_target")

    run(story())


def test_no_other_repeated_parameter_passes_at_the_token_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            form = redemption(await grant(world, world.browser(), GRADES))
            headers = {
                "authorization": basic("learning", CLIENT_SECRET),
                "content-type": "application/x-www-form-urlencoded",
            }
            response = await world.browser().http.post(
                "/token", content=f"{several(form, GRADES)}&code={form['code']}", headers=headers
            )
            assert response.json()["error_description"] == "code: duplicate"

    run(story())


def test_what_the_version_before_wrote_a_moment_ago_is_still_read() -> None:
    asked = parse_authorization_request(authorization(), None)
    before = {name: value for name, value in json.loads(asked.dump()).items() if name != "resources"}
    assert load_authorization_request(json.dumps(before)) == asked
    code = AuthorizationGrant(
        "learning", REGISTERED_URI, ("openid",), (), None, None, "1", "r", Authentication(0, Acr.ONE, ("pwd",)), ()
    )
    written = json.loads(code.dump())
    del written["resources"], written["id_token_claims"]
    assert load_grant(json.dumps(written).encode()) == code


def test_pushed_resources_travel_with_the_request(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(REGISTERED)
            headers = {
                "authorization": basic("learning", CLIENT_SECRET),
                "content-type": "application/x-www-form-urlencoded",
            }
            pushed = await world.browser().http.post(
                "/par", content=several(authorization(), GRADES, LOANS), headers=headers
            )
            browser = world.browser()
            # Beside a pushed request nothing is looked at, a resource neither (RFC 9101 §6.3).
            asked = {"client_id": "learning", "request_uri": pushed.json()["request_uri"], "resource": OTHER}
            page = await browser.password(await browser.follow(await browser.get("/authorize", **asked)), "lin")
            body = (await token(world, redemption((await browser.allow(page)).query["code"]))).json()
            assert audience(world, body["access_token"]) == [GRADES, LOANS]

    run(story())
