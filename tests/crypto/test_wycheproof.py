"""Every Wycheproof file that concerns a function of ours, through our own entry points; and the table of what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from crypto.encoding import b64u_encode, rs_from_der
from crypto.encryption_keys import (
    DecryptionKey,
    SharedKey,
    decryption_key_from_jwk,
    shared_key,
    shared_key_from_jwk,
)
from crypto.errors import KeyRefused, TrustError
from crypto.jwe import decrypt_jwe
from crypto.jwe_content import CEK_BYTES, IV_BYTES, open_content, seal_content
from crypto.jwe_keys import concat_kdf, recover
from crypto.jws import verify_jws
from crypto.keys import PublicKey, parse_jwks, public_from_jwk
from crypto.mac import MacKey, mac_key, mac_key_from_jwk, parse_mac_jwks, verify_mac_jws
from crypto.sealed import sm4_gcm_open, sm4_gcm_seal
from crypto.sm3 import hmac_sm3
from crypto.suites import Alg, Enc, KeyAlg, MacAlg, MacPolicy, Policy, Purpose
from tests.crypto.jwe_forging import ANY_PAIR, PLAINTEXT, backend, compact
from tests.crypto.wycheproof import Case, Outcome, Tally, cases, groups, tally
from tests.vectors_dir import shared

UNTYPED = frozenset({None, "JWT"})
ANY_MAC = MacPolicy(Purpose.ID_TOKEN, frozenset(MacAlg), None, UNTYPED, 1 << 16, kid_required=False)
ANY_ENCRYPTION = type(ANY_PAIR)(Purpose.ID_TOKEN, ANY_PAIR.pairs, None, UNTYPED, 1 << 16, kid_required=False)

# Why something the file calls valid is refused here.
OTHER_IV = "an IV of another length than the algorithm's"
OTHER_KEY_SIZE = "a key size no algorithm of ours has"
CUT_TAG = "a MAC cut short"
SHORT_KEY = "a MAC key shorter than the hash"
OTHER_ALG = "an algorithm no purpose of ours allows"
OTHER_ENC = "a content algorithm with 192-bit keys"
COMPRESSED = "compressed content"
SMALL_EXPONENT = "an RSA exponent below 65537"
OTHER_CEK = "a wrapped key no content algorithm has"


def policy_of(alg: Alg) -> Policy:
    """Pin the key's algorithm and allow the types the files use: their tokens are of no purpose of ours."""
    return Policy(Purpose.ID_TOKEN, frozenset({alg}), None, UNTYPED, 1 << 16, kid_required=False)


def passes(check: Callable[[], object]) -> bool:
    try:
        check()
    except TrustError:
        return False
    return True


def hexadecimal(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def sm4_gcm(name: str) -> Iterator[Outcome]:
    for _, case in cases(name):
        key, iv, aad, plain, ciphertext, tag = hexadecimal(case, "key", "iv", "aad", "msg", "ct", "tag")
        accepted = passes(lambda: sm4_gcm_open(key, iv, ciphertext + tag, aad=aad))  # noqa: B023  # called at once
        if accepted:
            assert sm4_gcm_open(key, iv, ciphertext + tag, aad=aad) == plain
            assert sm4_gcm_seal(key, iv, plain, aad=aad) == ciphertext + tag
        yield Outcome(case, accepted, OTHER_IV if len(iv) != 12 else None)


def aes_content(name: str, *encs: Enc) -> Iterator[Outcome]:
    by_key_size = {CEK_BYTES[enc]: enc for enc in encs}
    for _, case in cases(name):
        key, iv, aad, plain, ciphertext, tag = hexadecimal(case, "key", "iv", "aad", "msg", "ct", "tag")
        enc = by_key_size.get(len(key))
        if enc is None:
            yield Outcome(case, accepted=False, excuse=OTHER_KEY_SIZE)
            continue
        accepted = passes(partial(open_content, enc, key, iv, ciphertext, tag, aad=aad))
        if accepted:
            assert open_content(enc, key, iv, ciphertext, tag, aad=aad) == plain
            assert seal_content(enc, key, iv, plain, aad=aad) == (ciphertext, tag)
        yield Outcome(case, accepted, OTHER_IV if len(iv) != IV_BYTES[enc] else None)


def sm4_gcm_as_jwe(name: str) -> Iterator[Outcome]:
    return aes_content(name, Enc.SGD_SM4_GCM)


def key_wrap(name: str) -> Iterator[Outcome]:
    """Unwrap where a content algorithm of ours takes a key of that length; compare the wrap itself everywhere."""
    takes = {16: Enc.A128GCM, 32: Enc.A256GCM, 64: Enc.A256CBC_HS512}
    for _, case in cases(name):
        key, plain, wrapped = hexadecimal(case, "key", "msg", "ct")
        alg, enc = {16: KeyAlg.A128KW, 32: KeyAlg.A256KW}.get(len(key)), takes.get(len(plain))
        if alg is None or enc is None:
            if alg is not None:
                ours = shared_key(key, kid="k", alg=alg, enc=None)
                assert not any(passes(partial(recover, ours, enc, {}, wrapped)) for enc in Enc), case["tcId"]
            yield Outcome(case, accepted=False, excuse=OTHER_KEY_SIZE if alg is None else OTHER_CEK)
            continue
        ours = shared_key(key, kid="k", alg=alg, enc=None)
        accepted = passes(partial(recover, ours, enc, {}, wrapped))
        if accepted:
            assert recover(ours, enc, {}, wrapped) == plain
            assert aes_key_wrap(key, plain) == wrapped
        yield Outcome(case, accepted)


def hmac_cases(name: str, alg: MacAlg) -> Iterator[Outcome]:
    for group, case in cases(name):
        key, message, tag = hexadecimal(case, "key", "msg", "tag")
        if alg is MacAlg.SGD_SM3_HMAC:
            # The function itself takes any key, and a caller of it may cut the tag.
            cut = hmac_sm3(key, message)[: group["tagSize"] // 8]
            assert (cut == tag) == (case["result"] == "valid"), case["tcId"]
        try:
            ours = mac_key(key, kid="k", alg=alg)
        except KeyRefused:
            yield Outcome(case, accepted=False, excuse=SHORT_KEY)
            continue
        accepted = passes(partial(ours.verify, message, tag))
        yield Outcome(case, accepted, CUT_TAG if len(tag) != 32 else None)


def ecdsa_p1363(name: str) -> Iterator[Outcome]:
    for group, case in cases(name):
        message, signature = hexadecimal(case, "msg", "sig")
        yield Outcome(case, passes(partial(p256(group["publicKey"]["uncompressed"]).verify, message, signature)))


def ecdsa_der(name: str) -> Iterator[Outcome]:
    for group, case in cases(name):
        message, der = hexadecimal(case, "msg", "sig")
        key = p256(group["publicKey"]["uncompressed"])
        yield Outcome(case, passes(lambda: key.verify(message, rs_from_der(der))))  # noqa: B023  # called at once


def p256(uncompressed: str) -> PublicKey:
    point = bytes.fromhex(uncompressed)
    x, y = b64u_encode(point[1:33]), b64u_encode(point[33:])
    return public_from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y}, alg=Alg.ES256)


def signatures(name: str, alg: Alg, member: str) -> Iterator[Outcome]:
    for group, case in cases(name):
        try:
            key = public_from_jwk({**group[member], "alg": alg.value}, alg=alg)
        except KeyRefused as refused:
            yield Outcome(case, accepted=False, excuse=SMALL_EXPONENT if refused.rule == "rsa_exponent" else None)
            continue
        message, signature = hexadecimal(case, "msg", "sig")
        yield Outcome(case, passes(partial(key.verify, message, signature)))


def agreed(private: Mapping[str, Any], epk: Mapping[str, Any], shared_secret: bytes) -> bool:
    """Let the vector's public key be the `epk` of a JWE sealed under what the file says comes of it."""
    key = decryption_key_from_jwk(private, alg=KeyAlg.ECDH_ES, backend=backend())
    header = {"alg": "ECDH-ES", "enc": "A128GCM", "epk": dict(epk)}
    cek = concat_kdf(shared_secret, "A128GCM", 16, apu=b"", apv=b"")
    ciphertext, tag = seal_content(Enc.A128GCM, cek, bytes(12), PLAINTEXT, aad=compact(header).encode())
    token = compact(header, b"", bytes(12), ciphertext, tag)
    opened = decrypt_jwe(token, keys=lambda _kid, _alg: key, policy=ANY_ENCRYPTION)
    return opened.plaintext == PLAINTEXT


def ecdh_webcrypto(name: str) -> Iterator[Outcome]:
    for _, case in cases(name):
        shared_secret = bytes.fromhex(case["shared"])
        yield Outcome(case, passes(partial(agreed, case["private"], case["public"], shared_secret)))


def ecdh_ecpoint(name: str) -> Iterator[Outcome]:
    for _, case in cases(name):
        point = bytes.fromhex(case["public"])
        if len(point) != 65 or point[0] != 4:
            # A JWK has no compressed form, and no point at infinity.
            yield Outcome(case, accepted=False)
            continue
        d = int(case["private"], 16).to_bytes(32, "big")
        numbers = derived(d)
        epk = {"kty": "EC", "crv": "P-256", "x": b64u_encode(point[1:33]), "y": b64u_encode(point[33:])}
        yield Outcome(case, passes(partial(agreed, numbers, epk, bytes.fromhex(case["shared"]))))


def derived(d: bytes) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric import ec

    numbers = ec.derive_private_key(int.from_bytes(d, "big"), ec.SECP256R1()).public_key().public_numbers()
    x, y = (b64u_encode(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": b64u_encode(d)}


# JOSE

OURS: Mapping[str, Alg | MacAlg | KeyAlg] = {alg.value: alg for kind in (Alg, MacAlg, KeyAlg) for alg in kind}


def jws_verdict(group: Mapping[str, Any], token: str) -> tuple[bool, str | None]:
    """Verify under the group's key, or its set of keys, by whichever facade its algorithm belongs to."""
    document = group.get("public") or group["private"]
    if "keys" in document:
        return jws_of_set(document, token), OTHER_ALG if names_another(document) else None
    name = document.get("alg") or {"RSA": "RS256", "EC": "ES256"}[document["kty"]]
    if name in list(Alg):
        alg = Alg(name)
        return passes(
            lambda: verify_jws(token, keys=lambda _kid, _alg: public_from_jwk(document, alg=alg), policy=policy_of(alg))
        ), None
    if name in list(MacAlg):
        mac = MacAlg(name)
        return passes(
            lambda: verify_mac_jws(token, keys=lambda _kid, _alg: mac_key_from_jwk(document, alg=mac), policy=ANY_MAC)
        ), None
    # No key can be made for it; no key of ours verifies it either.
    for alg in Alg:
        assert not passes(partial(verify_jws, token, keys={}, policy=policy_of(alg)))
    return False, OTHER_ALG


def names_another(document: Mapping[str, Any]) -> bool:
    return any(member.get("alg") not in OURS for member in document["keys"])


def jws_of_set(document: Mapping[str, Any], token: str) -> bool:
    """Read the set as public keys and as secrets, and verify with what either gives."""

    def as_public() -> object:
        keys = {key.kid: key for alg in (Alg.RS256, Alg.ES256) for key in parse_jwks(document, alg=alg)}
        alg = next((key.alg for key in keys.values()), Alg.RS256)
        return verify_jws(token, keys=keys, policy=policy_of(alg))

    def as_secrets() -> object:
        keys: dict[str, MacKey] = {key.kid: key for key in parse_mac_jwks(document, alg=MacAlg.HS256)}
        return verify_mac_jws(token, keys=keys, policy=ANY_MAC)

    return passes(as_public) or passes(as_secrets)


def as_text(token: str | Mapping[str, Any]) -> str:
    """Return the token; the JSON serialization of some cases becomes a text that is no compact token either."""
    return token if isinstance(token, str) else json.dumps(token)


def jws(name: str) -> Iterator[Outcome]:
    for group, case in cases(name):
        yield Outcome(case, *jws_verdict(group, as_text(case["jws"])))


def jwe_key(jwk: Mapping[str, Any]) -> DecryptionKey | SharedKey | None:
    """Return the group's key under its own algorithm, or None where that is none of ours."""
    name = jwk["alg"]
    if jwk["kty"] == "oct" and name in list(Enc):
        return shared_key_from_jwk(jwk, alg=KeyAlg.DIR, enc=Enc(name))
    if name not in list(KeyAlg):
        return None
    if jwk["kty"] == "oct":
        return shared_key_from_jwk(jwk, alg=KeyAlg(name), enc=None)
    return decryption_key_from_jwk(jwk, alg=KeyAlg(name), backend=backend())


def jwe_verdict(group: Mapping[str, Any], case: Case, token: str) -> Outcome:
    key = jwe_key(group["private"])
    if key is None:
        return Outcome(case, accepted=False, excuse=OTHER_ALG)
    accepted = passes(partial(decrypt_jwe, token, keys=lambda _kid, _alg: key, policy=ANY_ENCRYPTION))
    if accepted and "pt" in case:
        opened = decrypt_jwe(token, keys=lambda _kid, _alg: key, policy=ANY_ENCRYPTION)
        assert opened.plaintext.hex() == case["pt"]
    excuse = COMPRESSED if "CompressedPlaintext" in case["flags"] else None
    return Outcome(case, accepted, OTHER_ENC if "192" in case.get("enc", "") else excuse)


def jwe(name: str) -> Iterator[Outcome]:
    for group, case in cases(name):
        yield jwe_verdict(group, case, as_text(case["jwe"]))


def jose_mixture(name: str) -> Iterator[Outcome]:
    for group, case in cases(name):
        if group["comment"].startswith("jwe"):
            yield jwe_verdict(group, case, as_text(case["jwe"]))
        else:
            yield Outcome(case, *jws_verdict(group, as_text(case["jws"])))


# The only cases where the file is wrong, or contradicts itself.
JWS_FLAWS: Mapping[int, str] = {
    346: "a PS384 token under a key declared PS256",
    347: "ES521 is no algorithm",
    350: "a PS384 token under a key declared PS256",
    351: "ES521 is no algorithm",
    367: "byte for byte the valid case 357",
    370: "byte for byte the valid case 357",
    372: "a question mark inside base64url",
    373: "a question mark inside base64url",
}

# Per file: how it is run, its own flaws, and how many cases ended how. What is not in the middle column of a Tally was
# accepted where the file says valid and refused where it says invalid.
TABLE: dict[str, tuple[Callable[[str], Iterator[Outcome]], Mapping[int, str], Tally]] = {
    "sm4_gcm_test.json": (sm4_gcm, {}, Tally(38, 29, refused_on_purpose={OTHER_IV: 37})),
    "aes_gcm_test.json": (lambda name: aes_content(name, Enc.A128GCM, Enc.A256GCM), {}, Tally(79, 87, refused_on_purpose={OTHER_IV: 76, OTHER_KEY_SIZE: 74})),
    "a128cbc_hs256_test.json": (lambda name: aes_content(name, Enc.A128CBC_HS256), {}, Tally(67, 27)),
    "aes_wrap_test.json": (key_wrap, {}, Tally(15, 126, acceptable_refused=3, refused_on_purpose={OTHER_CEK: 9, OTHER_KEY_SIZE: 12})),
    "hmac_sm3_test.json": (lambda name: hmac_cases(name, MacAlg.SGD_SM3_HMAC), {}, Tally(30, 108, refused_on_purpose={CUT_TAG: 30, SHORT_KEY: 6})),
    "hmac_sha256_test.json": (lambda name: hmac_cases(name, MacAlg.HS256), {}, Tally(30, 108, refused_on_purpose={CUT_TAG: 30, SHORT_KEY: 6})),
    "ecdsa_secp256r1_sha256_p1363_test.json": (ecdsa_p1363, {}, Tally(173, 89)),
    "ecdsa_secp256r1_sha256_test.json": (ecdsa_der, {}, Tally(174, 310)),
    "ed25519_test.json": (lambda name: signatures(name, Alg.EDDSA, "publicKeyJwk"), {}, Tally(88, 63)),
    "rsa_pss_2048_sha256_mgf1_32_test.json": (lambda name: signatures(name, Alg.PS256, "publicKeyJwk"), {}, Tally(63, 45)),
    "rsa_signature_2048_sha256_test.json": (lambda name: signatures(name, Alg.RS256, "keyJwk"), {}, Tally(7, 249, acceptable_refused=1, refused_on_purpose={SMALL_EXPONENT: 2})),
    "ecdh_secp256r1_webcrypto_test.json": (ecdh_webcrypto, {}, Tally(330, 23)),
    "ecdh_secp256r1_ecpoint_test.json": (ecdh_ecpoint, {}, Tally(330, 24, acceptable_refused=1)),
    "json_web_signature_test.json": (jws, JWS_FLAWS, Tally(24, 353, refused_on_purpose={OTHER_ALG: 16}, flaws_of_the_file=frozenset(JWS_FLAWS))),
    "json_web_encryption_test.json": (jwe, {}, Tally(32, 74, refused_on_purpose={OTHER_ENC: 8, OTHER_ALG: 24, COMPRESSED: 1})),
    "json_web_key_test.json": (jws, {}, Tally(3, 21, refused_on_purpose={OTHER_ALG: 2})),
    "json_web_crypto_test.json": (jose_mixture, {}, Tally(6, 77)),
}  # fmt: skip
NOT_RUN = {
    "sm4_ccm_test.json": "no library at hand has SM4-CCM and it is not offered",
    "ec_prime_order_curves_test.json": "parameters of curves; ours come with the libraries",
    "hkdf_sha256_test.json": "nothing here derives by HKDF",
    "pbkdf2_hmacsha256_test.json": "passwords take PBKDF2-HMAC-SM3; key files take the standard library's function as it is",
}


@pytest.mark.parametrize("name", list(TABLE))
def test_a_file_ends_as_the_table_says(name: str) -> None:
    run, flaws, expected = TABLE[name]
    assert tally(run(name), flaws=flaws) == expected
    assert expected.total == sum(len(group["tests"]) for group in groups(name))


def test_sm4_gcm_inside_a_jwe_agrees_with_the_function_itself() -> None:
    assert tally(sm4_gcm_as_jwe("sm4_gcm_test.json"), flaws={}) == TABLE["sm4_gcm_test.json"][2]


def test_no_file_is_forgotten() -> None:
    assert {path.name for path in shared("vectors/wycheproof").glob("*.json")} == TABLE.keys() | NOT_RUN.keys()
