"""What a hostile or careless sender could make: JWEs put together part by part, beside the product's own writer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from crypto.encoding import b64u_encode
from crypto.encryption_keys import (
    SHARED,
    DecryptionKey,
    RecipientKey,
    SharedKey,
    generate_decryption_key,
    shared_key,
)
from crypto.jwe_content import CEK_BYTES, IV_BYTES, seal_content
from crypto.sm2 import Sm2Backend, select_backend
from crypto.suites import Enc, EncryptionPolicy, KeyAlg, Purpose

PLAINTEXT = b"what only the reader may know"
# Everything there is, so that a refusal comes from what is tested and not from the policy.
ANY_PAIR = EncryptionPolicy(
    Purpose.ID_TOKEN,
    frozenset((alg, enc) for alg in KeyAlg for enc in Enc),
    None,
    frozenset({None, "JWT"}),
    1 << 12,
    kid_required=True,
)
PAIR_OF = {KeyAlg.SGD_SM2_3: Enc.SGD_SM4_GCM, KeyAlg.DIR: Enc.SGD_SM4_GCM}
KEY_PAIRS = [alg for alg in KeyAlg if alg not in SHARED]


@cache
def backend() -> Sm2Backend:
    return select_backend(("libcrypto",))


@cache
def decryption_key(alg: KeyAlg) -> DecryptionKey:
    """One key of each algorithm; RSA generation is too slow to repeat."""
    return generate_decryption_key(alg, backend=backend())


def opening_key(alg: KeyAlg, enc: Enc | None = None) -> DecryptionKey | SharedKey:
    """Return a key that opens: the pair of an algorithm, or a fixed secret."""
    if alg not in SHARED:
        return decryption_key(alg)
    enc = (enc or Enc.SGD_SM4_GCM) if alg is KeyAlg.DIR else None
    size = CEK_BYTES[enc] if enc is not None else {KeyAlg.A128KW: 16, KeyAlg.A256KW: 32}[alg]
    return shared_key(bytes(range(size)), kid=f"{alg.value} {enc}", alg=alg, enc=enc)


def sealing_key(key: DecryptionKey | SharedKey) -> RecipientKey | SharedKey:
    return key if isinstance(key, SharedKey) else key.public


def compact(header: Mapping[str, Any] | bytes, *parts: bytes) -> str:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(b64u_encode(part) for part in (raw, *parts))


@dataclass(frozen=True)
class Forgery:
    """The parts of a JWE to an SM2, RSA or shared key. What is None is made as an honest sender makes it."""

    key: DecryptionKey | SharedKey
    enc: Enc
    header: Mapping[str, Any] | bytes
    cek: bytes
    plaintext: bytes = PLAINTEXT
    iv: bytes | None = None
    encrypted_key: bytes | None = None
    tag: bytes | None = None
    aad: bytes | None = None

    def wrapped(self) -> bytes:
        if isinstance(self.key, SharedKey):
            return b"" if self.key.alg is KeyAlg.DIR else aes_key_wrap(self.key.secret, self.cek)
        native = self.key.public.native
        if isinstance(native, RSAPublicKey):
            return native.encrypt(self.cek, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None))
        assert not isinstance(native, (EllipticCurvePublicKey, X25519PublicKey))
        return native.encrypt(self.cek)

    def token(self) -> str:
        raw = self.header if isinstance(self.header, bytes) else json.dumps(self.header).encode()
        aad = b64u_encode(raw).encode() if self.aad is None else self.aad
        iv = os.urandom(IV_BYTES[self.enc]) if self.iv is None else self.iv
        # A forged IV of another length has no ciphertext of its own; that of an honest one stands in.
        honest = iv if len(iv) == IV_BYTES[self.enc] else bytes(IV_BYTES[self.enc])
        ciphertext, tag = seal_content(self.enc, self.cek, honest, self.plaintext, aad=aad)
        encrypted_key = self.wrapped() if self.encrypted_key is None else self.encrypted_key
        return compact(raw, encrypted_key, iv, ciphertext, tag if self.tag is None else self.tag)

    def but(self, **changes: Any) -> Forgery:
        return replace(self, **changes)

    def saying(self, **members: object) -> Forgery:
        """Change members of the header; `...` leaves one out."""
        assert not isinstance(self.header, bytes)
        changed = {**self.header, **members}
        return replace(self, header={name: value for name, value in changed.items() if value is not ...})


def honest(alg: KeyAlg, enc: Enc | None = None) -> Forgery:
    """Return the parts of a JWE that opens."""
    enc = enc or PAIR_OF.get(alg, Enc.A128GCM)
    key = opening_key(alg, enc)
    header = {"alg": alg.value, "enc": enc.value, "kid": key.kid}
    cek = key.secret if isinstance(key, SharedKey) and alg is KeyAlg.DIR else os.urandom(CEK_BYTES[enc])
    return Forgery(key, enc, header, cek)
