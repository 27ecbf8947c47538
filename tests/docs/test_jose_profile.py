"""docs/profiles/jose-sm2.md: every vector by the product, and again by code that is not the product's (gmssl, hashlib)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from gmssl.sm2 import CryptSM2
from gmssl.sm3 import sm3_hash
from gmssl.sm4 import SM4_ENCRYPT, CryptSM4

from crypto.encoding import b64u_decode
from crypto.encryption_keys import decryption_key_from_jwk, recipient_from_jwk, shared_key_from_jwk
from crypto.errors import SignatureInvalid, TrustError
from crypto.jwe import REFUSED_HEADERS as JWE_REFUSED
from crypto.jwe import decrypt_jwe, decrypt_jwt
from crypto.jwk import SM2_CURVE_NAMES, ThumbprintHash, thumbprint, thumbprint_uri
from crypto.jws import REFUSED_HEADERS as JWS_REFUSED
from crypto.jws import verify_jwt
from crypto.keys import public_from_jwk, signing_key_from_jwk
from crypto.mac import mac_key_from_jwk, verify_mac_jwt
from crypto.sm2 import select_backend
from crypto.suites import Alg, Enc, KeyAlg, MacAlg, Purpose, encryption_policy, policy
from tests.docs.jose_vectors import CLAIMS, DIRECT_RULES, MAC_RULES, PROFILES, VECTORS, private_bytes, read_from

DOCUMENT = PROFILES / "jose-sm2.md"
LIBCRYPTO = select_backend(("libcrypto",))
CURVE = (
    "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
    "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
)


def vector(name: str) -> dict[str, Any]:
    return read_from(DOCUMENT, name)


def gmssl_sm3(data: bytes) -> bytes:
    return bytes.fromhex(sm3_hash(list(data)))


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# 1. Signature


def test_the_products_verifier_accepts_the_token_of_the_document() -> None:
    stated = vector("signature")
    key = public_from_jwk(stated["public_jwk"], alg=Alg.SGD_SM3_SM2)
    verified = verify_jwt(stated["token"], keys={key.kid: key}, policy=policy(Purpose.ID_TOKEN))
    assert verified.claims == CLAIMS
    assert stated["token"] == f"{stated['signing_input']}.{stated['signature']}"
    assert thumbprint(stated["public_jwk"]) == key.kid == stated["public_jwk"]["kid"]


@pytest.mark.parametrize("backend", ["libcrypto", "gmssl"])
def test_each_backend_accepts_the_signature_and_no_neighbour_of_it(backend: str) -> None:
    stated, verifier = vector("signature"), select_backend((backend,))
    point = raw(stated["public_jwk"]["x"]) + raw(stated["public_jwk"]["y"])
    signature, message, user = raw(stated["signature"]), stated["signing_input"].encode(), stated["user_id"].encode()
    verifier.verify(point, message, signature, user)
    with pytest.raises(SignatureInvalid):
        verifier.verify(point, message, bytes([signature[0] ^ 1]) + signature[1:], user)
    with pytest.raises(SignatureInvalid):
        verifier.verify(point, message, signature, b"another identity")


def test_gmssl_alone_derives_every_value_of_the_signature() -> None:
    stated = vector("signature")
    point = raw(stated["public_jwk"]["x"]) + raw(stated["public_jwk"]["y"])
    z = gmssl_sm3(bytes.fromhex("0080") + b"1234567812345678" + bytes.fromhex(CURVE) + point)
    e = gmssl_sm3(z + stated["signing_input"].encode())
    assert (z.hex(), e.hex()) == (stated["z"], stated["e"])
    engine = CryptSM2(private_key="", public_key="00")
    engine.public_key = point.hex()
    assert engine.verify(raw(stated["signature"]).hex(), e) is True
    assert (len(raw(stated["signature"])), len(stated["signature"])) == (64, 86)


# 2. MAC


def test_the_products_verifier_accepts_the_mac_of_the_document() -> None:
    stated = vector("mac")
    key = mac_key_from_jwk(stated["jwk"], alg=MacAlg.SGD_SM3_HMAC)
    assert verify_mac_jwt(stated["token"], keys={key.kid: key}, policy=MAC_RULES).claims == CLAIMS
    changed = stated["token"][:-1] + ("A" if stated["token"][-1] != "A" else "E")
    with pytest.raises(TrustError):
        verify_mac_jwt(changed, keys={key.kid: key}, policy=MAC_RULES)


def test_gmssl_alone_computes_the_tag_of_the_document() -> None:
    stated = vector("mac")
    secret = bytes.fromhex(stated["secret"])
    assert secret == raw(stated["jwk"]["k"]) == gmssl_sm3(b"edutrust profile vector: mac")
    padded = secret.ljust(64, b"\0")
    inner = gmssl_sm3(bytes(byte ^ 0x36 for byte in padded) + stated["signing_input"].encode())
    tag = gmssl_sm3(bytes(byte ^ 0x5C for byte in padded) + inner)
    assert tag.hex() == stated["tag"]
    header, payload = (base64.urlsafe_b64encode(stated[name].encode()).rstrip(b"=") for name in ("header", "payload"))
    assert f"{header.decode()}.{payload.decode()}" == stated["signing_input"]
    assert raw(stated["token"].rpartition(".")[2]) == tag


# 3. Encryption


def sm4_block(key: bytes, block: bytes) -> bytes:
    engine = CryptSM4()
    engine.set_key(key, SM4_ENCRYPT)
    return bytes(engine.one_round(engine.sk, list(block)))


def ghash(subkey: int, *parts: bytes) -> int:
    """SP 800-38D §6.4 with bits as the standard numbers them: the first is the highest."""
    state = 0
    lengths = b"".join((len(part) * 8).to_bytes(8, "big") for part in parts)
    for part in (*parts, lengths):
        for at in range(0, len(part), 16):
            state ^= int.from_bytes(part[at : at + 16].ljust(16, b"\0"), "big")
            product, factor = 0, subkey
            for bit in range(127, -1, -1):
                if state >> bit & 1:
                    product ^= factor
                factor = factor >> 1 ^ (0xE1 << 120 if factor & 1 else 0)
            state = product
    return state


def gcm(key: bytes, iv: bytes, ciphertext: bytes, aad: bytes) -> tuple[bytes, bytes]:
    """Return plaintext and tag, from nothing but SM4 blocks of gmssl's."""
    stream = b"".join(
        sm4_block(key, iv + counter.to_bytes(4, "big")) for counter in range(2, 2 + -(-len(ciphertext) // 16))
    )
    plaintext = bytes(one ^ other for one, other in zip(ciphertext, stream, strict=False))
    state = ghash(int.from_bytes(sm4_block(key, bytes(16)), "big"), aad, ciphertext)
    mask = sm4_block(key, iv + (1).to_bytes(4, "big"))
    return plaintext, bytes(one ^ other for one, other in zip(state.to_bytes(16, "big"), mask, strict=True))


def test_the_product_opens_the_nested_token_of_the_document_and_verifies_what_is_inside() -> None:
    stated, signed = vector("encryption"), vector("signature")
    signer = public_from_jwk(signed["public_jwk"], alg=Alg.SGD_SM3_SM2)
    jwk = vector("keys")["encryption_private_jwk"]
    key = decryption_key_from_jwk(jwk, alg=KeyAlg.SGD_SM2_3, backend=LIBCRYPTO)
    verified = decrypt_jwt(
        stated["token"],
        keys={key.kid: key},
        policy=encryption_policy(Purpose.ID_TOKEN),
        signing_keys={signer.kid: signer},
        signing_policy=policy(Purpose.ID_TOKEN),
    )
    assert verified.claims == CLAIMS
    assert recipient_from_jwk(stated["public_jwk"], alg=KeyAlg.SGD_SM2_3, backend=LIBCRYPTO) == key.public
    assert raw(jwk["d"]).hex() == stated["private_key"] == private_bytes("reader").hex()


def test_gmssl_alone_recovers_the_content_key_and_the_content() -> None:
    stated = vector("encryption")
    raw_key = bytes.fromhex(stated["encrypted_key"])
    assert raw_key.hex() == stated["c1"] + stated["c3"] + stated["c2"]
    assert (len(raw_key), raw_key[0]) == (113, 4)
    engine = CryptSM2(private_key=stated["private_key"], public_key="00", mode=1)
    # gmssl takes C1 without its 04.
    cek = engine.decrypt(raw_key[1:])
    assert cek.hex() == stated["cek"] == private_bytes("cek")[:16].hex()
    # The reader's share [d]C1 = (x2, y2): C3 is SM3 of it around the CEK, C2 the CEK under its key derivation.
    share = bytes.fromhex(engine._kg(int(stated["private_key"], 16), raw_key[1:65].hex()))
    assert gmssl_sm3(share[:32] + cek + share[32:]).hex() == stated["c3"]
    mask = gmssl_sm3(share + (1).to_bytes(4, "big"))[:16]
    assert bytes(one ^ other for one, other in zip(cek, mask, strict=True)).hex() == stated["c2"]
    iv, ciphertext, tag = (bytes.fromhex(stated[name]) for name in ("iv", "ciphertext", "tag"))
    assert iv == private_bytes("iv")[:12]
    plaintext, expected = gcm(cek, iv, ciphertext, stated["aad"].encode())
    assert expected == tag
    assert plaintext.count(b".") == 2
    parts = (stated["header"].encode(), raw_key, iv, ciphertext, tag)
    assert stated["token"] == ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_the_direct_token_of_the_document_is_what_anyone_gets() -> None:
    stated = vector("direct")
    key = shared_key_from_jwk(stated["jwk"], alg=KeyAlg.DIR, enc=Enc.SGD_SM4_GCM)
    opened = decrypt_jwe(stated["token"], keys={key.kid: key}, policy=DIRECT_RULES)
    plaintext, tag = gcm(
        raw(stated["jwk"]["k"]),
        bytes.fromhex(stated["iv"]),
        bytes.fromhex(stated["ciphertext"]),
        stated["aad"].encode(),
    )
    assert opened.plaintext == plaintext == bytes.fromhex(stated["plaintext"])
    assert tag.hex() == stated["tag"]
    assert stated["encrypted_key"] == ""
    assert VECTORS["direct"]() == stated
    assert VECTORS["mac"]() == vector("mac")


# 4. Keys


def test_the_private_keys_of_the_document_are_those_it_names() -> None:
    stated = vector("keys")
    for name, role in (("signing_private_jwk", "jose"), ("encryption_private_jwk", "reader")):
        jwk = stated[name]
        assert raw(jwk["d"]) == gmssl_sm3(f"edutrust profile vector: {role}".encode()) == private_bytes(role)
        engine = CryptSM2(private_key="", public_key="00")
        point = bytes.fromhex(engine._kg(int.from_bytes(raw(jwk["d"]), "big"), CURVE[-128:]))
        assert point == raw(jwk["x"]) + raw(jwk["y"])
    signer = signing_key_from_jwk(stated["signing_private_jwk"], alg=Alg.SGD_SM3_SM2, backend=LIBCRYPTO)
    assert dict(signer.public.jwk) == vector("signature")["public_jwk"]


def test_hashlib_alone_computes_every_thumbprint_of_the_document() -> None:
    for curve, stated in vector("keys")["thumbprints"].items():
        data = stated["input"].encode()
        assert json.loads(data) == {name: stated["public_jwk"][name] for name in ("crv", "kty", "x", "y")}
        assert stated["public_jwk"]["crv"] == curve
        for hash_name, digest in (("sha-256", hashlib.sha256(data).digest()), ("sm3", gmssl_sm3(data))):
            text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            uri = f"urn:ietf:params:oauth:jwk-thumbprint:{hash_name}:{text}"
            assert stated[hash_name] == {"thumbprint": text, "uri": uri}
            ours = ThumbprintHash(hash_name)
            assert thumbprint(stated["public_jwk"], hash_name=ours, sm2_curve=curve) == text
            assert thumbprint_uri(stated["public_jwk"], hash_name=ours, sm2_curve=curve) == uri


# The text


def test_what_the_document_says_is_refused_is_what_is_refused() -> None:
    text = DOCUMENT.read_text("utf-8")
    reader = text[text.index("The reader\n") : text.index("2. takes the key")]
    assert set(re.findall(r"`(\w+)`", reader)) == JWE_REFUSED | {"epk", "apu", "apv"}
    token = text[text.index("## 5. Token") :]
    [line] = [line for line in token.splitlines() if line.startswith("* the headers")]
    assert set(re.findall(r"`(\w+)`", line)) == JWS_REFUSED


def test_every_algorithm_there_is_stands_in_the_document_and_so_does_every_curve_name() -> None:
    text = DOCUMENT.read_text("utf-8")
    national = {Alg.SGD_SM3_SM2, MacAlg.SGD_SM3_HMAC, KeyAlg.SGD_SM2_3, Enc.SGD_SM4_GCM}
    for name in {*national, *MacAlg, *KeyAlg, *Enc} - {MacAlg.HS256}:
        assert f"`{name.value}`" in text
    assert all(f"`{name}`" in text for name in SM2_CURVE_NAMES)


@pytest.mark.parametrize("name", list(VECTORS))
def test_base64url_of_the_vectors_is_canonical(name: str) -> None:
    stated = vector(name)
    for part in stated.get("token", "").split("."):
        assert b64u_decode(part) is not None
