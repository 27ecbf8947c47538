"""Independent libraries read what we write, and we read what they write."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import jwt as pyjwt
import pytest
from jose import jwe as python_jose_jwe
from jose import jws as python_jose_jws
from jose import jwt as python_jose
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import import_key
from jwcrypto import jwe as jwcrypto_jwe  # type: ignore[import-untyped]  # it publishes no types
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jwt as jwcrypto_jwt

from crypto.encoding import b64u_encode
from crypto.encryption_keys import DecryptionKey, SharedKey
from crypto.jwe import decrypt_jwe, encrypt_jwe
from crypto.jws import sign_jwt, verify_jwt
from crypto.keys import SigningKey, jwks_document, parse_jwks, thumbprint
from crypto.suites import Alg, Enc, KeyAlg, Purpose, policy
from tests.crypto.jwe_forging import ANY_PAIR, PLAINTEXT, opening_key, sealing_key

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


# JWE: every pair that is not national, both ways, against three libraries

INTEROP_PAIRS = [
    (alg, enc) for alg in KeyAlg for enc in Enc if alg is not KeyAlg.SGD_SM2_3 and enc is not Enc.SGD_SM4_GCM
]


def private_jwk(key: DecryptionKey | SharedKey) -> dict[str, Any]:
    if isinstance(key, SharedKey):
        return {"kty": "oct", "k": b64u_encode(key.secret)}
    return {name: value for name, value in key.private_jwk.items() if name not in {"alg", "use"}}


def ours(alg: KeyAlg, enc: Enc) -> tuple[DecryptionKey | SharedKey, str]:
    key = opening_key(alg, enc)
    made = encrypt_jwe(PLAINTEXT, key=sealing_key(key), enc=enc, policy=ANY_PAIR, random_bytes=os.urandom)
    return key, made


@pytest.mark.parametrize(("alg", "enc"), INTEROP_PAIRS)
def test_jwcrypto_opens_what_we_encrypt_and_we_what_it_does(alg: KeyAlg, enc: Enc) -> None:
    key, token = ours(alg, enc)
    theirs = jwcrypto_jwk.JWK(**private_jwk(key))
    opened = jwcrypto_jwe.JWE()
    opened.allowed_algs = [alg.value, enc.value]
    opened.deserialize(token, key=theirs)
    assert opened.payload == PLAINTEXT
    header = json.dumps({"alg": alg.value, "enc": enc.value, "kid": key.kid})
    made = jwcrypto_jwe.JWE(PLAINTEXT, header, algs=[alg.value, enc.value])
    made.add_recipient(theirs)
    assert decrypt_jwe(made.serialize(compact=True), keys={key.kid: key}, policy=ANY_PAIR).plaintext == PLAINTEXT


@pytest.mark.parametrize(("alg", "enc"), INTEROP_PAIRS)
def test_joserfc_opens_what_we_encrypt_and_we_what_it_does(alg: KeyAlg, enc: Enc) -> None:
    key, token = ours(alg, enc)
    theirs, names = import_key(private_jwk(key)), [alg.value, enc.value]
    assert joserfc_jwe.decrypt_compact(token, theirs, algorithms=names).plaintext == PLAINTEXT
    header = {"alg": alg.value, "enc": enc.value, "kid": key.kid}
    made = joserfc_jwe.encrypt_compact(header, PLAINTEXT, theirs, algorithms=names)
    assert decrypt_jwe(made, keys={key.kid: key}, policy=ANY_PAIR).plaintext == PLAINTEXT


@pytest.mark.parametrize("enc", [enc for enc in Enc if enc is not Enc.SGD_SM4_GCM])
@pytest.mark.parametrize("alg", [KeyAlg.RSA_OAEP_256, KeyAlg.A128KW, KeyAlg.A256KW, KeyAlg.DIR])
def test_python_jose_opens_what_we_encrypt(alg: KeyAlg, enc: Enc) -> None:
    key, token = ours(alg, enc)
    secret = key.secret if isinstance(key, SharedKey) else private_jwk(key)
    assert python_jose_jwe.decrypt(token, secret) == PLAINTEXT
