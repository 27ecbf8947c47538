"""joserfc's algorithms plus SGD_SM3_SM2 (GM/T 0125-2022) on registries of our own; joserfc's global one stays as it is.

SGD_SM3_SM2: the 64 bytes r‖s of SM2 over ASCII(header.payload), with Z of the default user ID.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from joserfc.errors import InvalidKeyTypeError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry

from crypto.errors import SignatureInvalid
from crypto.sm2 import SM2_DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey
from crypto.suites import Alg

if TYPE_CHECKING:
    from collections.abc import Mapping

# Secondary sources disagree on the name of the curve: the first is written, all are read.
SM2_CURVE = "sm2p256v1"
SM2_CURVE_NAMES = frozenset({SM2_CURVE, "SM2-P-256", "SM2"})

# alg, kid and typ take some 120 bytes; a kid may have 256 characters, and a thumbprint or two may come along.
MAX_HEADER_SEGMENT_BYTES = 2048
# RSA of 8192 bits gives 1366 characters.
MAX_SIGNATURE_SEGMENT_BYTES = 1400


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


_NAMES: list[str] = [alg.value for alg in Alg]
_ALGORITHMS: dict[str, JWSAlgModel] = {
    **{name: JWSRegistry.algorithms[name] for name in _NAMES if name != Alg.SGD_SM3_SM2.value},
    Alg.SGD_SM3_SM2.value: Sm2Algorithm(),
}


class PinnedRegistry(JWSRegistry):
    """A registry that knows exactly the algorithm of the key at hand: `none` and HMAC are not merely off, but absent."""

    algorithms = _ALGORITHMS
    recommended = _NAMES
    max_header_length = MAX_HEADER_SEGMENT_BYTES
    max_signature_length = MAX_SIGNATURE_SEGMENT_BYTES

    def __init__(self, alg: Alg) -> None:
        super().__init__(algorithms=[alg.value], strict_check_header=False)
        self.pinned = alg.value

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return the pinned algorithm and no other."""
        if name != self.pinned:
            raise UnsupportedAlgorithmError(name)
        return _ALGORITHMS[name]

    def validate_payload_size(self, payload: bytes) -> None:
        """Leave the bound to the facade, which has applied its policy before joserfc sees the payload."""

    def validate_compact_value_size(self, value: bytes) -> None:
        """Leave the bound to the facade, which has applied its policy before joserfc sees the token."""


REGISTRIES: Mapping[Alg, PinnedRegistry] = MappingProxyType({alg: PinnedRegistry(alg) for alg in Alg})


def raw_sign(alg: Alg, key: Key, data: bytes) -> bytes:
    """Return the JWS-form signature of bytes that are not a JWS."""
    return _ALGORITHMS[alg.value].sign(data, key)


def raw_verify(alg: Alg, key: Key, data: bytes, signature: bytes) -> None:
    """Raise `SignatureInvalid` unless the JWS-form signature verifies."""
    if not _ALGORITHMS[alg.value].verify(data, signature, key):
        raise SignatureInvalid
