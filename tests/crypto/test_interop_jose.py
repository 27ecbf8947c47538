"""Independent libraries read what we write, and we read what they write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt as pyjwt
import pytest
from jose import jws as python_jose_jws
from jose import jwt as python_jose
from jwcrypto import jwk as jwcrypto_jwk  # type: ignore[import-untyped]  # it publishes no types
from jwcrypto import jwt as jwcrypto_jwt

from crypto.jws import sign_jwt, verify_jwt
from crypto.keys import SigningKey, jwks_document, parse_jwks, thumbprint
from crypto.suites import Alg, Purpose, policy

Keys = Mapping[Alg, SigningKey]
CLAIMS: dict[str, Any] = {"iss": "https://idp.example", "sub": "一人一号", "aud": "app", "exp": 4102444800}
ID_TOKEN = policy(Purpose.ID_TOKEN)
INTEROP = [Alg.ES256, Alg.RS256, Alg.PS256, Alg.EDDSA]


@pytest.mark.parametrize("alg", [Alg.ES256, Alg.RS256])
def test_python_jose_verifies_our_tokens(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    token = sign_jwt(CLAIMS, key=key, policy=ID_TOKEN)
    assert python_jose.decode(token, dict(key.public.jwk), algorithms=[alg.value], audience="app") == CLAIMS
    assert json.loads(python_jose_jws.verify(token, jwks_document([key.public]), algorithms=[alg.value])) == CLAIMS


@pytest.mark.parametrize("alg", INTEROP)
def test_pyjwt_verifies_our_tokens(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    token = sign_jwt(CLAIMS, key=key, policy=ID_TOKEN)
    assert pyjwt.decode(token, pyjwt.PyJWK(dict(key.public.jwk)), algorithms=[alg.value], audience="app") == CLAIMS


@pytest.mark.parametrize("alg", INTEROP)
def test_jwcrypto_verifies_our_tokens_and_agrees_on_the_thumbprint(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    theirs = jwcrypto_jwk.JWK(**dict(key.public.jwk))
    token = jwcrypto_jwt.JWT(jwt=sign_jwt(CLAIMS, key=key, policy=ID_TOKEN), key=theirs, algs=[alg.value])
    assert json.loads(token.claims) == CLAIMS
    assert theirs.thumbprint() == thumbprint(key.public.jwk) == key.kid


@pytest.mark.parametrize("alg", INTEROP)
def test_we_verify_pyjwts_tokens(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    private = pyjwt.PyJWK(dict(key.private_jwk)).key
    token = pyjwt.encode(CLAIMS, private, algorithm=alg.value, headers={"kid": key.kid})
    keys = {public.kid: public for public in parse_jwks(json.dumps(jwks_document([key.public])), alg=alg)}
    assert verify_jwt(token, keys=keys, policy=ID_TOKEN).claims == CLAIMS
