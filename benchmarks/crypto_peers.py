"""The peers: `openssl speed`, the other backends, and ES256 by `cryptography`."""

from __future__ import annotations

import os
import re
import subprocess

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from crypto.sm2 import Sm2Backend, select_backend
from crypto.sm2_gmssl import GmsslBackend

_LINE = re.compile(rb"^\+F\d+:\d+:256:CurveSM2:([0-9.]+):([0-9.]+)", re.MULTILINE)


def backends_here() -> tuple[Sm2Backend, Sm2Backend, Sm2Backend]:
    """Return kernel, libcrypto and gmssl; raise `NoSm2Backend` where one is missing."""
    return select_backend(["kernel"]), select_backend(["libcrypto"]), GmsslBackend(random_bytes=os.urandom)


class OpensslSpeed:
    """`openssl speed sm2`: a run measures signing and verifying for a second each; each run serves both figures once."""

    def __init__(self) -> None:
        self._unused: dict[str, list[float]] = {"sign": [], "verify": []}

    def sign(self) -> float:
        """Return signatures a second of a run."""
        return self._take("sign")

    def verify(self) -> float:
        """Return verifications a second of a run."""
        return self._take("verify")

    def _take(self, which: str) -> float:
        if not self._unused[which]:
            done = subprocess.run(
                ["openssl", "speed", "-mr", "-seconds", "1", "sm2"], capture_output=True, check=True, timeout=60
            )
            found = _LINE.search(done.stdout)
            if found is None:
                raise RuntimeError("openssl speed sm2 printed no figures")
            self._unused["sign"].append(float(found[1]))
            self._unused["verify"].append(float(found[2]))
        return self._unused[which].pop()


class Es256:
    """ECDSA on P-256 with SHA-256 by `cryptography`: what SM2 is compared with."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._private = generate_private_key(SECP256R1())
        self._public = self._private.public_key()
        self._how = ECDSA(SHA256())
        self._signature = self._private.sign(message, self._how)

    def sign(self) -> bytes:
        """Sign the message."""
        return self._private.sign(self._message, self._how)

    def verify(self) -> None:
        """Verify the signature."""
        self._public.verify(self._signature, self._message, self._how)
