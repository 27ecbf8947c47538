"""Tokens made to be taken for others: by algorithm, by key, by purpose, by spelling (RFC 8725 §3, RFC 9068 §4).

That no good token passes where another kind is meant is `tests/advisories/test_token_confusion.py`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.jws import sign_jwt, verify_jwt
from crypto.suites import Alg, Policy, Purpose, policy
from tests.protocol.world import ISSUER, OpenWorld, claims_of

Run = Callable[[Coroutine[Any, Any, None]], None]


def _jwt(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    head, payload = (b64u_encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{head}.{payload}.{b64u_encode(sign(f'{head}.{payload}'.encode()))}"


def test_a_public_key_is_never_a_shared_secret_and_none_is_no_algorithm(opened: OpenWorld, run: Run) -> None:
    """CVE-2024-37568, CVE-2026-27962: algorithm confusion and keys brought along."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            body = await world.tokens(browser, "national")
            claims = {**claims_of(body["access_token"]), "jti": "forged"}
            hint = claims_of(body["id_token"])
            for alg in (Alg.RS256, Alg.ES256, Alg.SGD_SM3_SM2):
                key = world.keys.active(alg)
                jwk = dict(key.public.jwk)
                for secret in (
                    json.dumps(jwk).encode(),
                    base64.urlsafe_b64decode(jwk.get("n", jwk.get("x", "")) + "=="),
                    base64.urlsafe_b64decode(jwk.get("n", jwk.get("x", "")) + "==")
                    + base64.urlsafe_b64decode(jwk.get("y", "") + "=="),
                ):
                    headers: list[dict[str, Any]] = [
                        {"alg": "HS256", "kid": key.kid},
                        {"alg": "none", "kid": key.kid},
                        {"alg": "NoNe", "kid": key.kid},
                        {"alg": "HS256", "kid": key.kid, "jwk": {"kty": "oct", "k": b64u_encode(secret)}},
                        {"alg": "ES256", "jwk": jwk},
                        {"alg": "HS256", "kid": "../../../dev/null"},
                        {"alg": "HS256", "kid": "' UNION SELECT 'x"},
                        {"alg": key.alg.value, "kid": key.kid, "crit": ["exp"]},
                        {"alg": key.alg.value, "kid": key.kid, "jku": "https://evil.example/jwks"},
                        {"alg": key.alg.value, "kid": key.kid, "x5u": "https://evil.example/x"},
                    ]

                    def mac(data: bytes, secret: bytes = secret) -> bytes:
                        return hmac.digest(secret, data, hashlib.sha256)

                    for header in headers:
                        access = _jwt({**header, "typ": "at+jwt"}, claims, mac)
                        assert (await world.userinfo(access)).status == 401
                        forged = _jwt({**header, "typ": "JWT"}, hint, mac)
                        assert (await world.browser().get("/end-session", id_token_hint=forged)).status == 400

    run(story())


def test_a_rightly_signed_access_token_nobody_issued_is_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), "national")
            claims = {**claims_of(body["access_token"]), "jti": "another"}
            key = world.keys.active(Alg.SGD_SM3_SM2)
            forged = sign_jwt(claims, key=key, policy=policy(Purpose.ACCESS_TOKEN))
            assert (await world.userinfo(forged)).status == 401

    run(story())


@pytest.mark.parametrize("asked", [Purpose.ID_TOKEN, Purpose.ACCESS_TOKEN, Purpose.LOGOUT_TOKEN])
@pytest.mark.parametrize("made", [Purpose.ID_TOKEN, Purpose.ACCESS_TOKEN, Purpose.LOGOUT_TOKEN])
def test_purposes_do_not_mix_under_one_key(opened: OpenWorld, run: Run, made: Purpose, asked: Purpose) -> None:
    async def story() -> None:
        async with opened() as world:
            token = sign_jwt({"iss": ISSUER}, key=world.keys.active(Alg.ES256), policy=policy(made))
            wanted: Policy = policy(asked)
            if made is asked:
                verify_jwt(token, keys=world.keys.verifiers(), policy=wanted)
            else:
                with pytest.raises(TrustError):
                    verify_jwt(token, keys=world.keys.verifiers(), policy=wanted)

    run(story())


def test_the_last_characters_unused_bits_are_part_of_the_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser(), "national"))["access_token"]
            alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            at = alphabet.index(token[-1])
            for twin in {alphabet[at & ~15 | bits] for bits in range(16)} - {token[-1]}:
                assert (await world.userinfo(token[:-1] + twin)).status == 401

    run(story())


def test_userinfo_takes_the_token_from_header_or_form_never_from_the_address(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser()))["access_token"]
            browser = world.browser()
            assert (await browser.post("/userinfo", {"access_token": token})).status == 200
            assert (await browser.get("/userinfo", access_token=token)).status == 401
            both = await browser.post("/userinfo", {"access_token": token}, authorization=f"Bearer {token}")
            assert both.status == 400
            bare = await browser.get("/userinfo")
            assert bare.headers["www-authenticate"] == 'Bearer realm="userinfo"'
            for bad in (f"Basic {token}", "Bearer", f"Bearer {token} x", f"Bearer {'x' * 5000}", "Bearer \xff"):
                answer = await browser.http.get("/userinfo", headers=[(b"authorization", bad.encode("latin-1"))])
                assert answer.status_code == 401

    run(story())
