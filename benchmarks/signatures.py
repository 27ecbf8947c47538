"""SM2-signed JWTs through the product's own facade, beside ES256 done by hand with `cryptography`."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.measure import Figure, beside
from crypto.jws import sign_jwt, verify_jwt
from crypto.keys import generate_signing_key
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg, Purpose, policy

# The claims of an ID token as the provider makes it, by size and number.
CLAIMS: Final[dict[str, Any]] = {
    "iss": "https://id.example.edu.cn",
    "sub": "9uZ1Q0c2xkJb1m3G7n5o2p4q6r8s0tAvBwCxDyEzF0g",
    "aud": "learning",
    "exp": 1_782_864_300,
    "iat": 1_782_864_000,
    "auth_time": 1_782_863_990,
    "nonce": "n-0S6_WzA2Mj",
    "acr": "urn:edutrust:acr:2",
    "amr": ["pwd", "otp"],
    "sid": "9uZ1Q0c2xkJb1m3G7n5o2p4q6r8s0tAvBwCxDyEzF0g",
    "at_hash": "9uZ1Q0c2xkJb1m3G7n5o2g",
    "name": "𠮷田禾",
}


class Es256ByHand:
    """The least work an ES256 JWT can be: the standard library and one call of `cryptography`; no policy, no checks."""

    def __init__(self) -> None:
        self._private = generate_private_key(SECP256R1())
        self._public = self._private.public_key()
        self._how = ECDSA(SHA256())

    def sign(self) -> str:
        """Return the compact JWT of the claims."""
        header = _b64u(json.dumps({"alg": "ES256", "kid": "k", "typ": "JWT"}, separators=(",", ":")).encode())
        payload = _b64u(json.dumps(CLAIMS, ensure_ascii=False, separators=(",", ":")).encode())
        r, s = decode_dss_signature(self._private.sign(f"{header}.{payload}".encode(), self._how))
        return f"{header}.{payload}.{_b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def verify(self, token: str) -> object:
        """Return the claims; raise where the signature is wrong."""
        signed, _, encoded = token.rpartition(".")
        signature = _unb64u(encoded)
        der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        self._public.verify(der, signed.encode(), self._how)
        claims: object = json.loads(_unb64u(signed.partition(".")[2]))
        return claims


def signature_figures(backend: Sm2Backend, *, seconds: float) -> list[Figure]:
    """Measure signing and verifying, `seconds` each side."""
    key, rules, peer = generate_signing_key(Alg.SGD_SM3_SM2, backend=backend), policy(Purpose.ID_TOKEN), Es256ByHand()
    keys = {key.kid: key.public}
    token, peer_token = sign_jwt(CLAIMS, key=key, policy=rules), peer.sign()
    return [
        beside(
            f"SM2 JWT signed ({backend.name})",
            lambda: sign_jwt(CLAIMS, key=key, policy=rules),
            reference="ES256 JWT signed by cryptography",
            peer=peer.sign,
            seconds=seconds,
        ),
        beside(
            f"SM2 JWT verified ({backend.name})",
            lambda: verify_jwt(token, keys=keys, policy=rules),
            reference="ES256 JWT verified by cryptography",
            peer=lambda: peer.verify(peer_token),
            seconds=seconds,
        ),
    ]


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
