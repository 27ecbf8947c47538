"""Tokens that say themselves how to verify them, at every endpoint that takes a signed token.

CVE-2024-37568 and python-jose #414 (a public key as HMAC secret), CVE-2026-11800, CVE-2026-27962 (an embedded `jwk`); `none` in
any case, `jku`, `x5u`, `x5c`, unknown `crit`, `kid` as a path or a query (RFC 8725 §2, §3).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crypto.encoding import b64u_decode, b64u_encode
from crypto.keys import SigningKey, generate_signing_key, native_private
from crypto.sm2 import select_backend
from crypto.sm3 import hmac_sm3
from crypto.suites import Alg
from tests.idp.clients.assertions import asserting, assertion, key_of, keyed
from tests.protocol.world import SECRET, OpenWorld, World, basic, claims_of, header_of

ADVISORY_CLASSES: tuple[int, ...] = (10,)
SEEN_RED: dict[str, str] = {
    "test_no_token_is_believed_about_its_own_key": "crypto/jws.py and crypto/jws_form.py: a header may bring its own key, and is believed",
}

Run = Callable[[Coroutine[Any, Any, None]], None]
Sign = Callable[[bytes], bytes]

# No database has a part in it.
pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)

MACS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "HS256": lambda secret, data: hmac.digest(secret, data, hashlib.sha256),
    "HS384": lambda secret, data: hmac.digest(secret, data, hashlib.sha384),
    "HS512": lambda secret, data: hmac.digest(secret, data, hashlib.sha512),
    "SGD_SM3_HMAC": hmac_sm3,
}


def always(signature: bytes) -> Sign:
    """Return a signer that signs everything alike."""
    return lambda _data: signature


def made(header: dict[str, Any], claims: dict[str, Any], sign: Sign) -> str:
    """Return a compact JWS of exactly this header."""
    text = ".".join(b64u_encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{b64u_encode(sign(text.encode()))}"


def public_forms(key: SigningKey) -> Iterator[bytes]:
    """Yield every form in which the public key might be taken for a shared secret."""
    jwk = dict(key.public.jwk)
    yield json.dumps(jwk).encode()
    yield json.dumps(jwk, separators=(",", ":")).encode()
    for name in ("n", "x", "y"):
        if name in jwk:
            yield jwk[name].encode()
            yield b64u_decode(jwk[name])
    if "y" in jwk:
        yield b64u_decode(jwk["x"]) + b64u_decode(jwk["y"])
        yield b"\x04" + b64u_decode(jwk["x"]) + b64u_decode(jwk["y"])
    if key.alg is not Alg.SGD_SM3_SM2:
        public = native_private(key).public_key()
        for form in (Encoding.PEM, Encoding.DER):
            spki = public.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
            yield spki
            yield spki.strip()


def forged(key: SigningKey, attacker: SigningKey, token: str) -> Iterator[tuple[str, str]]:
    """Yield forgeries of a token that `key` signed, by somebody who knows its public half alone."""
    typ, claims = header_of(token)["typ"], {**claims_of(token), "forged": True}
    head = {"alg": key.alg.value, "kid": key.kid, "typ": typ}
    for number, secret in enumerate(public_forms(key)):
        for name, mac in MACS.items():
            yield (
                f"{name} with form {number}",
                made({**head, "alg": name}, claims, partial(mac, secret)),
            )
            yield f"{name} as {key.alg}", made(head, claims, partial(mac, secret))
    for none in ("none", "None", "NONE", "nOnE", "", "null"):
        for signature in (b"", b"x"):
            yield f"alg {none!r}", made({**head, "alg": none}, claims, always(signature))
    yield "no alg", made({"kid": key.kid, "typ": typ}, claims, always(b""))
    yield "a list of algs", made({**head, "alg": [key.alg.value]}, claims, attacker.sign)
    theirs = dict(attacker.public.jwk)
    brought: dict[str, dict[str, Any]] = {
        "jwk": {"jwk": theirs},
        "jwk under my kid": {"jwk": {**theirs, "kid": key.kid}},
        "jku": {"jku": "https://evil.example/jwks"},
        "x5u": {"x5u": "https://evil.example/x"},
        "x5c": {"x5c": [b64u_encode(b"certificate")]},
        "crit": {"crit": ["exp"]},
        "crit of something known": {"crit": ["kid"]},
        "b64": {"b64": False, "crit": ["b64"]},
        "zip": {"zip": "DEF"},
        "p2c": {"alg": "PBES2-HS256+A128KW", "p2c": 2**31, "p2s": "AA", "enc": "A128GCM"},
    }
    for name, members in brought.items():
        for kid in (key.kid, attacker.kid, None):
            header = {"alg": attacker.alg.value, "kid": kid, "typ": typ, **members}
            header = {member: value for member, value in header.items() if value is not None}
            yield f"{name}, kid {kid}", made(header, claims, attacker.sign)
    kids = (
        "../../../dev/null",
        "/dev/null",
        "' UNION SELECT 'x' --",
        "x' OR '1'='1",
        "",
        "\x00",
        "%00",
        key.kid + " ",
        key.kid[:-1],
    )
    odd: tuple[Any, ...] = (*kids, 5, None, [key.kid], {"a": 1})
    for name in odd:
        yield f"kid {name!r}", made({**head, "kid": name}, claims, attacker.sign)
    honest = token.split(".")
    yield "the signature left out", f"{honest[0]}.{honest[1]}."
    yield "the signature of another payload", f"{honest[0]}.{b64u_encode(json.dumps(claims).encode())}.{honest[2]}"
    yield "the header of another", f"{b64u_encode(json.dumps({**head, 'extra': 1}).encode())}.{honest[1]}.{honest[2]}"
    yield "four parts", f"{token}.{honest[2]}"
    yield "the token twice", f"{token},{token}"


async def _accepted(world: World, token: str) -> list[str]:
    """Return every endpoint that takes the token for what it says."""
    browser = world.browser()
    taken = []
    if (await world.userinfo(token)).status == 200:
        taken.append("userinfo")
    described = await browser.post("/introspect", {"token": token}, authorization=basic("national", SECRET))
    if described.json() != {"active": False}:
        taken.append("introspect")
    if (await browser.get("/end-session", id_token_hint=token)).status != 400:
        taken.append("hint of a sign-out")
    if (await browser.post("/token", asserting(token, grant_type="client_credentials"))).status == 200:
        taken.append("assertion")
    return taken


@pytest.mark.parametrize("kind", ["access_token", "id_token", "assertion"])
@pytest.mark.parametrize("alg", [Alg.RS256, Alg.ES256, Alg.SGD_SM3_SM2])
def test_no_token_is_believed_about_its_own_key(opened: OpenWorld, run: Run, kind: str, alg: Alg) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(
                keyed("robot", alg, grant_types=["client_credentials"], **_ROBOT),
            )
            body = await world.tokens(world.browser(), "national")
            attacker = generate_signing_key(alg, backend=select_backend(("libcrypto",)))
            if kind == "assertion":
                key, token = key_of("robot", alg), assertion(world, "robot", alg)
                good = assertion(world, "robot", alg)
            else:
                key = world.keys.active(alg)
                token = good = body[kind]
            count = 0
            for case, forgery in forged(key, attacker, token):
                assert not await _accepted(world, forgery), case
                count += 1
            assert count > 60
            assert await _accepted(world, good), "the real one is taken"

    run(story())


_ROBOT: dict[str, Any] = {
    "redirect_uris": None,
    "post_logout_redirect_uris": None,
    "backchannel_logout_uri": None,
    "scopes_required": None,
    "scopes_optional": None,
    "id_token_signed_response_alg": None,
}
