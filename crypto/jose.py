"""joserfc's algorithms plus SGD_SM3_SM2 (GM/T 0125-2022) in one table of our own; joserfc's global one stays as it is.

SGD_SM3_SM2: the 64 bytes r‖s of SM2 over ASCII(header.payload), with Z of the default user ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry

from crypto.errors import SignatureInvalid
from crypto.jwk import SM2_CURVE
from crypto.sm2 import SM2_DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey
from crypto.suites import Alg


class Sm2JoseKey(ECKey):
    """An SM2 key as joserfc sees it: an EC key of another curve, whose native values are our prepared keys."""

    def __init__(self, jwk: Mapping[str, str], public: Sm2PublicKey, private: Sm2PrivateKey | None) -> None:
        # The native types of ECKey are those of `cryptography`, which has no SM2; nothing reads them but this class.
        native: Any = public if private is None else private
        super().__init__(native, dict(jwk))
        self.sm2_public = public
        self.sm2_private = private

    @property
    def is_private(self) -> bool:
        """Whether it can sign."""
        return self.sm2_private is not None

    @property
    def curve_name(self) -> str:
        """The curve, which keeps the key out of ES256."""
        return SM2_CURVE


class Sm2Algorithm(JWSAlgModel):
    """SGD_SM3_SM2 as a joserfc algorithm."""

    name = Alg.SGD_SM3_SM2.value
    description = "SM2 with SM3, 64-byte r||s, default user ID"
    recommended = True
    key_type = "EC"

    def check_key(self, key: Any) -> None:
        """Refuse a key of any other curve."""
        super().check_key(key)
        if not isinstance(key, Sm2JoseKey):
            raise InvalidKeyTypeError("SGD_SM3_SM2 requires an SM2 key")

    def sign(self, msg: bytes, key: Any) -> bytes:
        """Return 64 bytes r‖s."""
        if not isinstance(key, Sm2JoseKey) or key.sm2_private is None:
            raise InvalidKeyTypeError("SGD_SM3_SM2 requires an SM2 private key")
        return key.sm2_private.sign(msg, SM2_DEFAULT_ID)

    def verify(self, msg: bytes, sig: bytes, key: Any) -> bool:
        """Answer in joserfc's way; the facade in `jws` raises."""
        if not isinstance(key, Sm2JoseKey):
            raise InvalidKeyTypeError("SGD_SM3_SM2 requires an SM2 key")
        try:
            key.sm2_public.verify(msg, sig, SM2_DEFAULT_ID)
        except SignatureInvalid:
            return False
        return True


# The signature algorithms there are: `none` and the MACs are not merely off, but absent.
SIGNATURES: Mapping[Alg, JWSAlgModel] = MappingProxyType(
    {alg: Sm2Algorithm() if alg is Alg.SGD_SM3_SM2 else JWSRegistry.algorithms[alg.value] for alg in Alg}
)


_ECDSA_SHA256 = ECDSA(SHA256())
_P256_BYTES = 32


def raw_sign(alg: Alg, key: Key, data: bytes) -> bytes:
    """Return the JWS-form signature of these bytes."""
    native = key.raw_value
    if alg is Alg.ES256 and isinstance(native, EllipticCurvePrivateKey):
        # RFC 7518 §3.4; what joserfc does as well, without looking the key up and the curve's size on the way.
        r, s = decode_dss_signature(native.sign(data, _ECDSA_SHA256))
        return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")
    return SIGNATURES[alg].sign(data, key)


def raw_verify(alg: Alg, key: Key, data: bytes, signature: bytes) -> None:
    """Raise `SignatureInvalid` unless the JWS-form signature verifies."""
    try:
        verified = SIGNATURES[alg].verify(data, signature, key)
    except (JoseError, ValueError):
        raise SignatureInvalid from None
    if not verified:
        raise SignatureInvalid
