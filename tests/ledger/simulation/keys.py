"""Keys that remember what they have verified: a run looks at the same signed bytes over and over."""

from __future__ import annotations

from dataclasses import dataclass, field

from crypto.keys import PublicKey


@dataclass(frozen=True, slots=True)
class RememberingKey(PublicKey):
    """Verifies each pair of data and signature once. What was refused is refused again each time."""

    verified: set[tuple[bytes, bytes]] = field(default_factory=set, repr=False, compare=False)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raise `SignatureInvalid` unless the signature is over these bytes."""
        if (data, signature) not in self.verified:
            PublicKey.verify(self, data, signature)
            self.verified.add((data, signature))


def remembering(key: PublicKey) -> RememberingKey:
    """Return the key with a memory of its own."""
    return RememberingKey(key.kid, key.alg, key.jwk, key.jose)
