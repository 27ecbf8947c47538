"""The vectors of docs/profiles/jose-sm2.md: made with the product and with private keys anyone can make."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode
from crypto.encryption_keys import DecryptionKey, decryption_key_from_jwk, shared_key
from crypto.jwe import encrypt_jwe, encrypt_jwt
from crypto.jwk import SM2_CURVES_WRITTEN, ThumbprintHash, thumbprint, thumbprint_uri, with_sm2_curve
from crypto.jws import sign_jwt
from crypto.keys import SigningKey, signing_key_from_jwk
from crypto.mac import mac_jwt, mac_key, mac_key_jwk
from crypto.sm2 import SM2_DEFAULT_ID, select_backend
from crypto.sm2_curve import digest_of, z_of
from crypto.sm3 import sm3
from crypto.suites import (
    Alg,
    Enc,
    EncryptionPolicy,
    KeyAlg,
    MacAlg,
    MacPolicy,
    Purpose,
    encryption_policy,
    policy,
)

PROFILES: Final = Path(__file__).parents[2] / "docs" / "profiles"
BACKEND: Final = select_backend(("libcrypto",))
BASE: Final = "https://id.example.edu.cn"
ISSUED_AT: Final = 1_782_864_000  # 2026-07-01T00:00:00Z
CLAIMS: Final = {"iss": BASE, "sub": "subject", "aud": "client", "iat": ISSUED_AT, "exp": ISSUED_AT + 300}

# The rules the MAC and direct-key vectors are made under: no purpose of the product takes a shared secret.
MAC_RULES: Final = MacPolicy(
    Purpose.CLIENT_ASSERTION, frozenset({MacAlg.SGD_SM3_HMAC}), "JWT", frozenset({"JWT"}), 1 << 16, kid_required=True
)
DIRECT_RULES: Final = EncryptionPolicy(
    Purpose.ID_TOKEN, frozenset({(KeyAlg.DIR, Enc.SGD_SM4_GCM)}), None, frozenset({None}), 1 << 16, kid_required=True
)


def marker(name: str | None = None) -> str:
    """Return what stands before a vector in a document."""
    return f"<!-- vector{f': {name}' if name else ''} -->\n```json\n"


def write_into(document: Path, vector: Mapping[str, Any], name: str | None = None) -> None:
    """Replace the block after the marker."""
    head, found, rest = document.read_text("utf-8").partition(marker(name))
    tail = rest[rest.index("```\n") :]
    document.write_text(f"{head}{found}{json.dumps(vector, ensure_ascii=False, indent=1)}\n{tail}", "utf-8")


def read_from(document: Path, name: str | None = None) -> dict[str, Any]:
    """Return the vector that stands in a document."""
    _, found, rest = document.read_text("utf-8").partition(marker(name))
    assert found, (document.name, name)
    read: dict[str, Any] = json.loads(rest.partition("```\n")[0])
    return read


def private_bytes(role: str) -> bytes:
    """Return the private key of a role: anyone can make it, so it signs nothing but these vectors."""
    return sm3(f"edutrust profile vector: {role}".encode())


def sm2_jwk(role: str) -> dict[str, str]:
    """Return the private JWK of a role, without `kid`, `alg` and `use`."""
    private = private_bytes(role)
    public = BACKEND.public_of(private)
    members = {"x": public[:32], "y": public[32:], "d": private}
    return {"kty": "EC", "crv": "sm2p256v1", **{name: b64u_encode(value) for name, value in members.items()}}


def sm2_key(role: str) -> SigningKey:
    """Return the SM2 key of a role for signatures."""
    return signing_key_from_jwk(sm2_jwk(role), alg=Alg.SGD_SM3_SM2, backend=BACKEND)


def reader_key(role: str) -> DecryptionKey:
    """Return the SM2 key of a role for encryption."""
    return decryption_key_from_jwk(sm2_jwk(role), alg=KeyAlg.SGD_SM2_3, backend=BACKEND)


def drawing(*values: bytes) -> Callable[[int], bytes]:
    """Return a source that gives these values, one after the other, each of the length asked for."""
    waiting = list(values)

    def draw(count: int) -> bytes:
        value = waiting.pop(0)
        assert len(value) == count
        return value

    return draw


def signature() -> dict[str, Any]:
    """Return a JWT signed with SGD_SM3_SM2, and every value on the way."""
    key = sm2_key("jose")
    token = sign_jwt(CLAIMS, key=key, policy=policy(Purpose.ID_TOKEN))
    signing_input, _, signed = token.rpartition(".")
    public = BACKEND.public_of(private_bytes("jose"))
    z = z_of(public, SM2_DEFAULT_ID)
    return {
        "private_key": private_bytes("jose").hex(),
        "public_jwk": dict(key.public.jwk),
        "user_id": SM2_DEFAULT_ID.decode(),
        "z": z.hex(),
        "signing_input": signing_input,
        "e": digest_of(z, signing_input.encode()).hex(),
        "signature": signed,
        "token": token,
    }


def mac() -> dict[str, Any]:
    """Return a JWT under SGD_SM3_HMAC: the same claims have the same tag wherever they are computed."""
    key = mac_key(private_bytes("mac"), kid="mac-1", alg=MacAlg.SGD_SM3_HMAC)
    token = mac_jwt(CLAIMS, key=key, policy=MAC_RULES)
    signing_input, _, tag = token.rpartition(".")
    return {
        "secret": key.secret.hex(),
        "jwk": mac_key_jwk(key),
        "header": b64u_decode(token.split(".")[0]).decode(),
        "payload": jcs(CLAIMS).decode(),
        "signing_input": signing_input,
        "tag": b64u_decode(tag).hex(),
        "token": token,
    }


def parts_of_jwe(token: str) -> dict[str, Any]:
    """Return the five parts, decoded."""
    header, encrypted_key, iv, ciphertext, tag = token.split(".")
    return {
        "header": b64u_decode(header).decode(),
        "aad": header,
        "encrypted_key": b64u_decode(encrypted_key).hex(),
        "iv": b64u_decode(iv).hex(),
        "ciphertext": b64u_decode(ciphertext).hex(),
        "tag": b64u_decode(tag).hex(),
    }


def encryption() -> dict[str, Any]:
    """Return a nested JWT: the token of the signature vector's signer, encrypted with a fixed content key and IV."""
    reader, signer = reader_key("reader"), sm2_key("jose")
    cek, iv = private_bytes("cek")[:16], private_bytes("iv")[:12]
    token = encrypt_jwt(
        CLAIMS, signing_key=signer, signing_policy=policy(Purpose.ID_TOKEN), key=reader.public, enc=Enc.SGD_SM4_GCM,
        policy=encryption_policy(Purpose.ID_TOKEN), random_bytes=drawing(cek, iv),
    )  # fmt: skip
    parts = parts_of_jwe(token)
    raw = parts["encrypted_key"]
    return {
        "private_key": private_bytes("reader").hex(),
        "public_jwk": dict(reader.public.jwk),
        "cek": cek.hex(),
        **parts,
        "c1": raw[: 2 * 65],
        "c3": raw[2 * 65 : 2 * 97],
        "c2": raw[2 * 97 :],
        "token": token,
    }


def direct() -> dict[str, Any]:
    """Return a JWE under a shared key: nothing in it is random but the IV, which is given."""
    cek, iv = private_bytes("direct")[:16], private_bytes("direct iv")[:12]
    key = shared_key(cek, kid="direct-1", alg=KeyAlg.DIR, enc=Enc.SGD_SM4_GCM)
    plaintext = "共享密钥 direct".encode()
    token = encrypt_jwe(plaintext, key=key, enc=Enc.SGD_SM4_GCM, policy=DIRECT_RULES, random_bytes=drawing(iv))
    return {
        "jwk": {"kty": "oct", "k": b64u_encode(cek), "kid": key.kid, "alg": "dir", "use": "enc"},
        "plaintext": plaintext.hex(),
        **parts_of_jwe(token),
        "token": token,
    }


def keys() -> dict[str, Any]:
    """Return both private keys as JWKs and their thumbprints under either name of the curve."""
    signer, reader = sm2_key("jose"), reader_key("reader")
    public = signer.public.jwk
    return {
        "signing_private_jwk": dict(signer.private_jwk),
        "encryption_private_jwk": dict(reader.private_jwk),
        "thumbprints": {
            curve: {
                "public_jwk": with_sm2_curve(public, curve),
                "input": jcs(with_sm2_curve({name: public[name] for name in ("crv", "kty", "x", "y")}, curve)).decode(),
                **{
                    name.value: {
                        "thumbprint": thumbprint(public, hash_name=name, sm2_curve=curve),
                        "uri": thumbprint_uri(public, hash_name=name, sm2_curve=curve),
                    }
                    for name in ThumbprintHash
                },
            }
            for curve in sorted(SM2_CURVES_WRITTEN, reverse=True)
        },
    }


VECTORS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "signature": signature,
    "mac": mac,
    "encryption": encryption,
    "direct": direct,
    "keys": keys,
}


def write_jose(*names: str) -> None:
    """Write these blocks of the profile anew, or all of them."""
    for name in names or tuple(VECTORS):
        write_into(PROFILES / "jose-sm2.md", VECTORS[name](), name)
