"""JWTs through the product's own facade, everything included: claims to token, token to checked claims."""

from __future__ import annotations

from typing import Final

from benchmarks.crypto_figures import Part
from benchmarks.signatures import CLAIMS
from crypto.jws import sign_jwt, verify_jwt
from crypto.keys import generate_signing_key
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg, Purpose, policy

# Microseconds a token may take, all included.
ENCODE_US: Final = 45
DECODE_US: Final = 70


def jwt_parts(kernel: Sm2Backend) -> list[Part]:
    """Return the parts of JWT, each beside ES256 through the same facade."""
    rules = policy(Purpose.ID_TOKEN)
    sm2 = generate_signing_key(Alg.SGD_SM3_SM2, backend=kernel)
    es256 = generate_signing_key(Alg.ES256, backend=kernel)
    sm2_token = sign_jwt(CLAIMS, key=sm2, policy=rules)
    es256_token = sign_jwt(CLAIMS, key=es256, policy=rules)
    sm2_keys, es256_keys = {sm2.kid: sm2.public}, {es256.kid: es256.public}
    return [
        Part(
            "JWT SGD_SM3_SM2 encode",
            lambda: sign_jwt(CLAIMS, key=sm2, policy=rules),
            "JWT ES256 encode, same facade",
            lambda: sign_jwt(CLAIMS, key=es256, policy=rules),
            target_ops_per_s=round(1_000_000 / ENCODE_US),
        ),
        Part(
            "JWT SGD_SM3_SM2 decode",
            lambda: verify_jwt(sm2_token, keys=sm2_keys, policy=rules),
            "JWT ES256 decode, same facade",
            lambda: verify_jwt(es256_token, keys=es256_keys, policy=rules),
            target_ops_per_s=round(1_000_000 / DECODE_US),
        ),
    ]
