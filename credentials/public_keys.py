"""Public keys as credentials, statements and trust files carry them: a JWK whose curve says its algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crypto.errors import KeyRefused
from crypto.keys import PublicKey, public_from_jwk
from crypto.suites import Alg

# One algorithm a curve (RFC 7518 section 3.4, RFC 8037 section 3.1, GM/T 0125): nothing is left to the token.
_ALG_OF_CURVE: Final[Mapping[str, Alg]] = {
    "P-256": Alg.ES256,
    "Ed25519": Alg.EDDSA,
    "sm2p256v1": Alg.SGD_SM3_SM2,
    "SM2-P-256": Alg.SGD_SM3_SM2,
    "SM2": Alg.SGD_SM3_SM2,
}


def key_of_jwk(jwk: object) -> PublicKey:
    """Return the key of a parsed JWK. Raises `KeyRefused` and what `public_from_jwk` raises."""
    alg = _ALG_OF_CURVE.get(str(jwk.get("crv"))) if isinstance(jwk, dict) else None
    if alg is None or not isinstance(jwk, dict):
        raise KeyRefused(field="crv", rule="known_curve")
    return public_from_jwk(jwk, alg=alg)
