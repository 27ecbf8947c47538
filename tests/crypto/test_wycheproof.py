"""Wycheproof through our own entry points: SM4-GCM, HMAC-SM3, JWS and JWK sets, ECDSA in JWS form."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest

from crypto.encoding import b64u_encode
from crypto.errors import DecryptionFailed, KeyRefused, SignatureInvalid, TrustError
from crypto.jws import KeyLookup, verify_jws
from crypto.keys import PublicKey, SigningKey, parse_jwks, public_from_jwk
from crypto.sealed import IV_BYTES, sm4_gcm_open, sm4_gcm_seal
from crypto.sm3 import hmac_sm3
from crypto.suites import Alg, Policy, Purpose
from tests.vectors_dir import shared


def groups(name: str) -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads(shared(f"vectors/wycheproof/{name}").read_text())
    loaded: list[dict[str, Any]] = document["testGroups"]
    return loaded


def any_type(alg: Alg) -> Policy:
    """Pin the key's algorithm and allow the types the file uses: its tokens are of no purpose of ours."""
    return Policy(Purpose.ID_TOKEN, frozenset({alg}), None, frozenset({None, "JWT"}), 1 << 16, kid_required=False)


def test_sm4_gcm_with_a_twelve_byte_iv_agrees_and_other_lengths_are_refused() -> None:
    agreed = other_lengths = 0
    for group in groups("sm4_gcm_test.json"):
        for case in group["tests"]:
            key, iv, aad, plain = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg"))
            sealed = bytes.fromhex(case["ct"]) + bytes.fromhex(case["tag"])
            if len(iv) != IV_BYTES:
                with pytest.raises(KeyRefused):
                    sm4_gcm_open(key, iv, sealed, aad=aad)
                with pytest.raises(KeyRefused):
                    sm4_gcm_seal(key, iv, plain, aad=aad)
                other_lengths += case["result"] == "valid"
            elif case["result"] == "valid":
                assert sm4_gcm_seal(key, iv, plain, aad=aad) == sealed
                assert sm4_gcm_open(key, iv, sealed, aad=aad) == plain
                agreed += 1
            else:
                with pytest.raises(DecryptionFailed):
                    sm4_gcm_open(key, iv, sealed, aad=aad)
                agreed += 1
    assert (agreed, other_lengths) == (65, 37)


def test_hmac_sm3_agrees_on_every_case() -> None:
    count = 0
    for group in groups("hmac_sm3_test.json"):
        for case in group["tests"]:
            mac = hmac_sm3(bytes.fromhex(case["key"]), bytes.fromhex(case["msg"]))[: group["tagSize"] // 8]
            assert hmac.compare_digest(mac, bytes.fromhex(case["tag"])) == (case["result"] == "valid"), case["tcId"]
            count += 1
    assert count == 174


# A flaw of the file: 346 and 350 are PS384 tokens under a key declared PS256. Refusing them is right. (Its other flaws
# concern HMAC keys and "ES521", neither of which any purpose here allows, so all of those tokens are refused anyway.)
JWS_CALLED_VALID_AND_REFUSED = {346, 350}
# Tokens under HS256, RS384, RS512, PS384, PS512 and ES521 keys, and two under keys that are not for signatures.
JWS_UNDER_OTHER_ALGORITHMS = 75
JWS_UNDER_UNFIT_KEYS = 4


def jws_key(group: dict[str, Any]) -> PublicKey | None:
    """Return the group's public key under its own algorithm, or None where that is none of ours."""
    jwk = group.get("public")
    if jwk is None:
        return None
    name = jwk.get("alg") or {"RSA": "RS256", "EC": "ES256"}[jwk["kty"]]
    return public_from_jwk(jwk, alg=Alg(name)) if name in list(Alg) else None


def test_jws_agrees_but_for_the_files_own_flaw(signing_keys: Mapping[Alg, SigningKey]) -> None:
    disagreements: set[int] = set()
    other_algorithms = unfit_keys = 0
    for group in groups("json_web_signature_test.json"):
        try:
            key = jws_key(group)
        except KeyRefused:
            unfit_keys += len(group["tests"])
            assert all(case["result"] == "invalid" for case in group["tests"])
            continue
        other_algorithms += 0 if key else len(group["tests"])
        for case in group["tests"]:
            for ours in [key] if key else [signing_keys[alg].public for alg in Alg]:
                try:
                    verify_jws(case["jws"], keys=always(ours), policy=any_type(ours.alg))
                    verified = True
                except TrustError:
                    verified = False
                if verified != (key is not None and case["result"] == "valid"):
                    disagreements.add(case["tcId"])
    assert disagreements == JWS_CALLED_VALID_AND_REFUSED
    assert (other_algorithms, unfit_keys) == (JWS_UNDER_OTHER_ALGORITHMS, JWS_UNDER_UNFIT_KEYS)


def always(key: PublicKey) -> KeyLookup:
    return lambda _kid, _alg: key


def test_jwk_sets_that_are_called_invalid_are_refused() -> None:
    accepted: set[int] = set()
    for group in groups("json_web_key_test.json"):
        document = group.get("public") or group["private"]
        for case in group["tests"]:
            try:
                keys = parse_jwks(document, alg=Alg.RS256) + parse_jwks(document, alg=Alg.ES256)
                by_kid = {key.kid: key for key in keys}
                header_alg = next((key.alg for key in keys), Alg.RS256)
                verify_jws(case["jws"], keys=by_kid, policy=any_type(header_alg))
            except TrustError:
                continue
            accepted.add(case["tcId"])
            assert case["result"] == "valid"
    # The other valid sets hold HMAC keys, which no purpose here allows.
    assert accepted == {5}


def test_ecdsa_in_its_jws_form_agrees_on_every_case() -> None:
    accepted = refused = 0
    for group in groups("ecdsa_secp256r1_sha256_p1363_test.json"):
        public = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = public_from_jwk(
            {"kty": "EC", "crv": "P-256", "x": b64u_encode(public[1:33]), "y": b64u_encode(public[33:])}, alg=Alg.ES256
        )
        for case in group["tests"]:
            try:
                key.verify(bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            except SignatureInvalid:
                assert case["result"] != "valid", case["tcId"]
                refused += 1
            else:
                assert case["result"] != "invalid", case["tcId"]
                accepted += 1
    assert accepted + refused == 262
