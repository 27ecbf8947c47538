"""The parsers of JOSE: base64url, base64, JSON, JWK, JWK sets, compact JWS and JWE."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, Final

from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # it publishes no types

from crypto.encoding import MAX_JSON_DEPTH, b64_decode, b64u_decode, b64u_encode, json_object, json_strict
from crypto.encryption_keys import (
    DecryptionKey,
    SharedKey,
    decryption_key_from_jwk,
    parse_encryption_jwks,
    shared_key,
)
from crypto.errors import EncodingRefused
from crypto.jwe import decrypt_jwe, encrypt_jwe
from crypto.jwk import thumbprint
from crypto.jws import sign_jws
from crypto.jws_form import read_compact
from crypto.keys import PublicKey, parse_jwks, public_from_jwk, signing_key_from_jwk
from crypto.mac import parse_mac_jwks
from crypto.sm2 import Sm2Backend, select_backend
from crypto.suites import Alg, Enc, EncryptionPolicy, KeyAlg, MacAlg, Policy, Purpose
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.fuzz.target import Target, accepted, as_text

TOKENS: Final = Policy(Purpose.ID_TOKEN, frozenset(Alg), None, frozenset({None, "JWT"}), 1 << 12, kid_required=False)
PAIRS: Final = frozenset((alg, enc) for alg in KeyAlg for enc in Enc)
SEALED: Final = EncryptionPolicy(Purpose.ID_TOKEN, PAIRS, None, frozenset({None, "JWT"}), 1 << 12, kid_required=False)
SECRET: Final = bytes(range(16))
P256_D: Final = 0x1234567890ABCDEF

URL_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@cache
def libcrypto() -> Sm2Backend:
    return select_backend(["libcrypto"])


def base64url(data: bytes) -> bool:
    """Check that ours accepts exactly the texts that the standard library writes."""
    text = as_text(data)
    ours = accepted(lambda: b64u_decode(text))
    theirs = None
    if URL_SAFE.issuperset(text) and len(text) % 4 != 1:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        theirs = decoded if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() == text else None
    assert ours == theirs
    assert ours is None or b64u_encode(ours) == text
    return ours is not None


def base64_padded(data: bytes) -> bool:
    """Check that ours accepts exactly the texts that the standard library writes."""
    text = as_text(data)
    ours = accepted(lambda: b64_decode(text))
    try:
        theirs: bytes | None = base64.b64decode(data)
    except (binascii.Error, ValueError):
        theirs = None
    if theirs is not None and base64.b64encode(theirs) != data:
        theirs = None
    assert ours == theirs
    return ours is not None


# What ours refuses and the standard library lets through.
STRICTER: Final = frozenset({"json_duplicate_member", "json_number", "json_surrogate", "json_depth"})


def json_text(data: bytes) -> bool:
    """Check that ours accepts what the standard library accepts, with the same value, less what has two meanings."""
    try:
        value, rule = json_strict(data), None
    except EncodingRefused as refused:
        value, rule = None, refused.rule
    try:
        theirs, read = json.loads(data.decode("utf-8")), True
    except (ValueError, RecursionError):
        theirs, read = None, False
    if rule is None:
        assert read
        assert value == theirs
        assert json.loads(json.dumps(value)) == value
        assert json_strict(json.dumps(value, ensure_ascii=False)) == value
        return True
    assert not read or rule in STRICTER, rule
    if rule == "json_depth":
        assert data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH
    return False


def members_of(data: bytes) -> dict[str, Any] | None:
    return accepted(lambda: json_object(data))


def jwk(data: bytes) -> bool:
    """Check that what ours accepts, jwcrypto reads as the same key, with the same thumbprint."""
    members = members_of(data)
    if members is None:
        return False
    any_accepted = False
    for alg in Alg:
        key = accepted(partial(public_from_jwk, members, alg=alg, backend=libcrypto()))
        if key is not None:
            compare(key, members)
            any_accepted = True
        private = accepted(partial(signing_key_from_jwk, members, alg=alg, backend=libcrypto()))
        if private is not None:
            compare(private.public, members)
            # Both halves belong together: what it signs, verifies.
            private.public.verify(b"m", private.sign(b"m"))
            any_accepted = True
    for key_alg in KeyAlg:
        opener = accepted(partial(decryption_key_from_jwk, members, alg=key_alg, backend=libcrypto()))
        any_accepted = any_accepted or opener is not None
    return any_accepted


def compare(key: PublicKey, members: dict[str, Any]) -> None:
    names = {"EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x"), "RSA": ("kty", "n", "e")}
    public = {name: members[name] for name in names[members["kty"]]}
    if key.alg is Alg.SGD_SM3_SM2:
        x, y = (base64.urlsafe_b64decode(members[name] + "=") for name in ("x", "y"))
        assert len(x) == len(y) == 32
        assert plain.on_curve((int.from_bytes(x, "big"), int.from_bytes(y, "big")))
        return
    theirs = JWK(**public)
    assert theirs.thumbprint() == thumbprint(public)
    exported = json.loads(theirs.export_public())
    assert {name: exported[name] for name in public if name in exported} == public


def jwk_set(data: bytes) -> bool:
    """Check that a set is parsed or refused as a whole, whatever it is read for."""
    any_accepted = False
    for alg in (Alg.SGD_SM3_SM2, Alg.ES256, Alg.RS256, Alg.EDDSA):
        keys = accepted(partial(parse_jwks, data, alg=alg, backend=libcrypto()))
        for key in keys or ():
            any_accepted = True
            assert key.alg is alg
        if keys:
            document = json.loads(data)
            kids = [member.get("kid") for member in document["keys"] if isinstance(member.get("kid"), str)]
            assert len(kids) == len(set(kids))
            assert not any({"d", "k", "p"} & member.keys() for member in document["keys"])
    for key_alg in (KeyAlg.SGD_SM2_3, KeyAlg.ECDH_ES):
        any_accepted |= bool(accepted(partial(parse_encryption_jwks, data, alg=key_alg, backend=libcrypto())))
    return any_accepted | bool(accepted(lambda: parse_mac_jwks(data, alg=MacAlg.HS256)))


def compact_jws(data: bytes) -> bool:
    """Check that what ours takes apart is what the three segments say, and they are the whole token."""
    token = as_text(data)
    read = accepted(lambda: read_compact(token, TOKENS))
    if read is None:
        return False
    segments = [base64.urlsafe_b64decode(segment + "==") for segment in token.split(".")]
    assert read.header == json.loads(segments[0])
    assert (read.payload, read.signature) == tuple(segments[1:])
    assert ".".join(map(b64u_encode, segments)) == token
    assert read.signing_input + b"." + b64u_encode(read.signature).encode() == data
    return True


@cache
def opening_key() -> SharedKey:
    return shared_key(SECRET, kid="k", alg=KeyAlg.DIR, enc=Enc.A128GCM)


@cache
def sm2_opener() -> DecryptionKey:
    return decryption_key_from_jwk(sm2_jwk(), alg=KeyAlg.SGD_SM2_3, backend=libcrypto())


@cache
def sealed_tokens() -> tuple[str, ...]:
    def fixed(size: int) -> bytes:
        return b"\x5a" * size

    direct = encrypt_jwe(b"{}", key=opening_key(), enc=Enc.A128GCM, policy=SEALED, random_bytes=fixed)
    sm2 = encrypt_jwe(b"{}", key=sm2_opener().public, enc=Enc.SGD_SM4_GCM, policy=SEALED, random_bytes=fixed)
    return direct, sm2


def compact_jwe(data: bytes) -> bool:
    """Check that nothing opens but what was sealed: two tokens in this process, each with one form."""
    token = as_text(data)
    opened = accepted(lambda: decrypt_jwe(token, keys=lambda _kid, alg: key_for(alg), policy=SEALED))
    assert (opened is not None) == (token in sealed_tokens())
    return opened is not None


def key_for(alg: KeyAlg) -> DecryptionKey | SharedKey:
    return sm2_opener() if alg is KeyAlg.SGD_SM2_3 else opening_key()


def sm2_jwk(crv: str = "sm2p256v1") -> dict[str, str]:
    x, y = plain.affine(P256_D)
    members = {"x": x, "y": y, "d": P256_D}
    return {"kty": "EC", "crv": crv} | {name: b64u_encode(plain.b32(value)) for name, value in members.items()}


# RFC 7515 Appendix A.3, RFC 8037 Appendix A.1
ES256_JWK: Final = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}
EDDSA_JWK: Final = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
}


def public(members: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in members.items() if name != "d"}


def written(*documents: Mapping[str, Any]) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


def jwk_seeds() -> list[bytes]:
    keys = [sm2_jwk(), ES256_JWK, EDDSA_JWK]
    named = sm2_jwk("SM2-P-256") | {"kid": "k1", "use": "sig", "alg": "SGD_SM3_SM2"}
    return written(*map(public, keys), *keys, named, public(named), {**ES256_JWK, "key_ops": ["sign"]})


def jwk_set_seeds() -> list[bytes]:
    keys = [public(sm2_jwk()) | {"kid": "a"}, public(ES256_JWK) | {"kid": "b", "use": "sig"}, public(EDDSA_JWK)]
    return written({"keys": keys}, {"keys": keys[:1]}, {"keys": keys[1:], "more": 1})


def jws_seeds() -> list[bytes]:
    keys = [signing_key_from_jwk(ES256_JWK, alg=Alg.ES256, backend=libcrypto())]
    tokens = [sign_jws(b'{"sub":"x"}', key=key, policy=TOKENS).encode() for key in keys]
    bare = (
        b64u_encode(b'{"alg":"SGD_SM3_SM2","typ":"JWT"}') + "." + b64u_encode(b"payload") + "." + b64u_encode(bytes(64))
    )
    return [*tokens, bare.encode()]


JSON_SEEDS: Final = (
    b'{"a":[1,-2.5e3,true,null,"\\u6559\\ud842\\udfb7"],"b":{"":{}}}',
    b'[[[["deep"]]]]',
    '{"学校":"标识码","n":9007199254740993}'.encode(),
    b'"\\"[{"',
)

TARGETS: Final = (
    Target("base64url", base64url, lambda: [b"", b"AQ", b"AQI", b"AQID", b"-_8", b64u_encode(bytes(100)).encode()]),
    Target("base64", base64_padded, lambda: [b"", b"AQ==", b"AQI=", b"AQID", b"+/8=", base64.b64encode(bytes(100))]),
    Target("json", json_text, lambda: list(JSON_SEEDS)),
    Target("jwk", jwk, jwk_seeds),
    Target("jwk_set", jwk_set, jwk_set_seeds),
    Target("compact_jws", compact_jws, jws_seeds),
    Target("compact_jwe", compact_jwe, lambda: [token.encode() for token in sealed_tokens()]),
)
