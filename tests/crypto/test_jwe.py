from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.encoding import b64u_decode, b64u_encode
from crypto.encryption_keys import SHARED, SharedKey, decryption_key_from_jwk, generate_decryption_key
from crypto.errors import AlgorithmRefused, DecryptionFailed, KeyRefused, SignatureInvalid, TokenRefused, TrustError
from crypto.jwe import REFUSED_HEADERS, decrypt_jwe, decrypt_jwt, encrypt_jwe, encrypt_jwt
from crypto.jwe_content import CEK_BYTES, IV_BYTES, TAG_BYTES
from crypto.jwe_keys import concat_kdf, recover
from crypto.jws import sign_jwt
from crypto.keys import generate_signing_key
from crypto.sealed import sm4_gcm_open
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg, Enc, EncryptionPolicy, KeyAlg, Purpose, encryption_policy, policy
from tests.crypto.jwe_forging import ANY_PAIR, PLAINTEXT, decryption_key, honest, opening_key, sealing_key
from tests.crypto.jwe_forging import backend as maker

ID_TOKEN = encryption_policy(Purpose.ID_TOKEN)
EVERY_PAIR = [(alg, enc) for alg in KeyAlg for enc in Enc]


def sealed(alg: KeyAlg, enc: Enc, plaintext: bytes = PLAINTEXT) -> str:
    key = sealing_key(opening_key(alg, enc))
    return encrypt_jwe(plaintext, key=key, enc=enc, policy=ANY_PAIR, random_bytes=os.urandom)


@pytest.mark.parametrize(("alg", "enc"), EVERY_PAIR)
def test_what_was_encrypted_opens_to_what_it_was(alg: KeyAlg, enc: Enc) -> None:
    key = opening_key(alg, enc)
    opened = decrypt_jwe(sealed(alg, enc), keys={key.kid: key}, policy=ANY_PAIR)
    assert opened.plaintext == PLAINTEXT
    assert opened.key is key
    assert {name: opened.header[name] for name in ("alg", "enc", "kid")} == {
        "alg": alg.value,
        "enc": enc.value,
        "kid": key.kid,
    }


@pytest.mark.parametrize(("alg", "enc"), EVERY_PAIR)
def test_the_parts_have_the_lengths_of_the_standard(alg: KeyAlg, enc: Enc) -> None:
    header, encrypted_key, iv, ciphertext, tag = (b64u_decode(part) for part in sealed(alg, enc).split("."))
    wrapped = {
        KeyAlg.SGD_SM2_3: 65 + 32 + CEK_BYTES[enc],
        KeyAlg.DIR: 0,
        KeyAlg.ECDH_ES: 0,
        KeyAlg.RSA_OAEP_256: 256,
    }
    assert len(encrypted_key) == wrapped.get(alg, CEK_BYTES[enc] + 8)
    assert (len(iv), len(tag)) == (IV_BYTES[enc], TAG_BYTES[enc])
    padded = len(PLAINTEXT) // 16 * 16 + 16
    assert len(ciphertext) == (padded if "CBC" in enc else len(PLAINTEXT))
    assert ("epk" in json.loads(header)) == alg.value.startswith("ECDH")


def test_the_sm2_encrypted_key_is_raw_c1_c3_c2_and_the_header_is_the_aad() -> None:
    key = decryption_key(KeyAlg.SGD_SM2_3)
    header, encrypted_key, iv, ciphertext, tag = sealed(KeyAlg.SGD_SM2_3, Enc.SGD_SM4_GCM).split(".")
    raw = b64u_decode(encrypted_key)
    assert raw[0] == 0x04
    cek = maker().decrypt(b64u_decode(key.private_jwk["d"]), raw)
    sealed_content = b64u_decode(ciphertext) + b64u_decode(tag)
    assert sm4_gcm_open(cek, b64u_decode(iv), sealed_content, aad=header.encode("ascii")) == PLAINTEXT


@given(st.binary(max_size=600), st.sampled_from([KeyAlg.DIR, KeyAlg.A256KW, KeyAlg.SGD_SM2_3]), st.sampled_from(Enc))
def test_any_content_survives(plaintext: bytes, alg: KeyAlg, enc: Enc) -> None:
    key = opening_key(alg, enc)
    token = sealed(alg, enc, plaintext)
    assert decrypt_jwe(token, keys=lambda _kid, _alg: key, policy=ANY_PAIR).plaintext == plaintext


@given(st.data(), st.sampled_from([KeyAlg.DIR, KeyAlg.SGD_SM2_3, KeyAlg.ECDH_ES, KeyAlg.A128KW]))
def test_any_changed_byte_of_any_part_is_refused(data: st.DataObject, alg: KeyAlg) -> None:
    enc = Enc.SGD_SM4_GCM
    key = opening_key(alg, enc)
    parts = [b64u_decode(part) for part in sealed(alg, enc).split(".")]
    which = data.draw(st.sampled_from([index for index, part in enumerate(parts) if part]))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    flipped = parts[which][at] ^ data.draw(st.integers(1, 255))
    parts[which] = parts[which][:at] + bytes((flipped,)) + parts[which][at + 1 :]
    with pytest.raises(TrustError):
        decrypt_jwe(".".join(map(b64u_encode, parts)), keys=lambda _kid, _alg: key, policy=ANY_PAIR)


@given(st.text("ABCDEFGHabcdefgh0123456789-_.", max_size=200) | st.text(max_size=60))
def test_arbitrary_text_is_refused_and_never_crashes(text: str) -> None:
    key = opening_key(KeyAlg.SGD_SM2_3)
    with pytest.raises(TrustError):
        decrypt_jwe(text, keys=lambda _kid, _alg: key, policy=ANY_PAIR)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["epk", "apu", "apv", "kid", "cty", "alg", "enc", "x"]), JSON, min_size=1))
def test_no_header_crashes_the_reader(members: dict[str, object]) -> None:
    key = decryption_key(KeyAlg.ECDH_ES)
    header = {"alg": "ECDH-ES", "enc": "A128GCM", "kid": key.kid, **members}
    parts = (json.dumps(header).encode(), b"", bytes(12), b"ciphertext", bytes(16))
    with pytest.raises(TrustError):
        decrypt_jwe(".".join(map(b64u_encode, parts)), keys={key.kid: key}, policy=ANY_PAIR)


@pytest.mark.parametrize("alg", list(KeyAlg))
def test_two_encryptions_of_the_same_content_share_nothing(alg: KeyAlg) -> None:
    first, second = (sealed(alg, honest(alg).enc).split(".") for _ in range(2))
    for one, other in list(zip(first, second, strict=True))[2:]:
        assert one != other


def test_content_key_and_iv_are_what_the_source_gives() -> None:
    drawn: list[int] = []

    def source(count: int) -> bytes:
        drawn.append(count)
        return bytes((len(drawn),)) * count

    key = decryption_key(KeyAlg.SGD_SM2_3)
    token = encrypt_jwe(b"x", key=key.public, enc=Enc.SGD_SM4_GCM, policy=ID_TOKEN, random_bytes=source)
    assert drawn == [16, 12]
    header, encrypted_key, iv, ciphertext, tag = token.split(".")
    assert b64u_decode(iv) == b"\x02" * 12
    assert maker().decrypt(b64u_decode(key.private_jwk["d"]), b64u_decode(encrypted_key)) == b"\x01" * 16
    content = b64u_decode(ciphertext) + b64u_decode(tag)
    assert sm4_gcm_open(b"\x01" * 16, b"\x02" * 12, content, aad=header.encode()) == b"x"


@pytest.mark.parametrize("source", [lambda _count: b"", lambda count: bytes(count - 1), lambda count: bytes(count + 1)])
@pytest.mark.parametrize("alg", [KeyAlg.SGD_SM2_3, KeyAlg.DIR, KeyAlg.ECDH_ES])
def test_a_source_that_gives_too_little_or_too_much_is_refused(source: Callable[[int], bytes], alg: KeyAlg) -> None:
    enc = Enc.SGD_SM4_GCM
    with pytest.raises(KeyRefused) as refused:
        encrypt_jwe(b"x", key=sealing_key(opening_key(alg, enc)), enc=enc, policy=ANY_PAIR, random_bytes=source)
    assert refused.value.field == "random_bytes"


@pytest.mark.parametrize(("alg", "enc"), EVERY_PAIR)
def test_a_purpose_encrypts_and_opens_with_its_own_pairs_only(alg: KeyAlg, enc: Enc) -> None:
    key = opening_key(alg, enc)
    if (alg, enc) in ID_TOKEN.pairs:
        token = encrypt_jwe(b"x", key=sealing_key(key), enc=enc, policy=ID_TOKEN, random_bytes=os.urandom)
        assert decrypt_jwe(token, keys={key.kid: key}, policy=ID_TOKEN).plaintext == b"x"
        return
    assert alg in SHARED or (alg is KeyAlg.SGD_SM2_3) != (enc is Enc.SGD_SM4_GCM)
    with pytest.raises(AlgorithmRefused):
        encrypt_jwe(b"x", key=sealing_key(key), enc=enc, policy=ID_TOKEN, random_bytes=os.urandom)
    with pytest.raises(TokenRefused):
        decrypt_jwe(sealed(alg, enc), keys={key.kid: key}, policy=ID_TOKEN)
    typed = EncryptionPolicy(Purpose.ID_TOKEN, ANY_PAIR.pairs, "JWT", frozenset({"JWT"}), 1 << 12, kid_required=True)
    token = encrypt_jwe(b"x", key=sealing_key(key), enc=enc, policy=typed, random_bytes=os.urandom)
    with pytest.raises(AlgorithmRefused):
        decrypt_jwe(token, keys={key.kid: key}, policy=ID_TOKEN)


@pytest.mark.parametrize(
    "purpose",
    [purpose for purpose in Purpose if purpose not in {Purpose.ID_TOKEN, Purpose.USERINFO, Purpose.REQUEST_OBJECT}],
)
def test_what_is_never_encrypted_has_no_policy(purpose: Purpose) -> None:
    with pytest.raises(AlgorithmRefused):
        encryption_policy(purpose)


def test_no_purpose_takes_a_symmetric_key_or_half_a_profile() -> None:
    for purpose in (Purpose.ID_TOKEN, Purpose.USERINFO, Purpose.REQUEST_OBJECT):
        for alg, enc in encryption_policy(purpose).pairs:
            assert alg not in SHARED
            assert (alg is KeyAlg.SGD_SM2_3) == (enc is Enc.SGD_SM4_GCM)


def test_a_nested_token_is_signed_then_encrypted() -> None:
    signer, reader = generate_signing_key(Alg.SGD_SM3_SM2, backend=maker()), decryption_key(KeyAlg.SGD_SM2_3)
    rules = policy(Purpose.ID_TOKEN)
    token = encrypt_jwt(
        {"sub": "𠮷"}, signing_key=signer, signing_policy=rules, key=reader.public, enc=Enc.SGD_SM4_GCM,
        policy=ID_TOKEN, random_bytes=os.urandom,
    )  # fmt: skip
    opened = decrypt_jwe(token, keys={reader.kid: reader}, policy=ID_TOKEN)
    assert opened.header["cty"] == "JWT"
    assert opened.plaintext.count(b".") == 2
    verified = decrypt_jwt(
        token,
        keys={reader.kid: reader},
        policy=ID_TOKEN,
        signing_keys={signer.kid: signer.public},
        signing_policy=rules,
    )
    assert verified.claims == {"sub": "𠮷"}
    stranger = generate_signing_key(Alg.SGD_SM3_SM2, backend=maker())
    forged = sign_jwt({"sub": "1"}, key=stranger, policy=rules)
    for content in (
        forged.encode(),
        forged.rpartition(".")[0].encode() + b".",
        b'{"sub":"1"}',
        b"\xff",
        b"",
        token.encode(),
    ):
        unsigned = encrypt_jwe(
            content, key=reader.public, enc=Enc.SGD_SM4_GCM, policy=ID_TOKEN, random_bytes=os.urandom
        )
        with pytest.raises(TrustError):
            decrypt_jwt(
                unsigned, keys={reader.kid: reader}, policy=ID_TOKEN,
                signing_keys=lambda _kid, _alg: signer.public, signing_policy=rules,
            )  # fmt: skip


def test_a_signature_of_another_key_inside_is_caught() -> None:
    signer, reader = generate_signing_key(Alg.ES256, backend=maker()), decryption_key(KeyAlg.ECDH_ES)
    other = generate_signing_key(Alg.ES256, backend=maker())
    rules = policy(Purpose.ID_TOKEN)
    header, payload, _ = sign_jwt({"sub": "1"}, key=signer, policy=rules).split(".")
    forged = f"{header}.{payload}.{b64u_encode(other.sign(f'{header}.{payload}'.encode()))}"
    token = encrypt_jwe(forged.encode(), key=reader.public, enc=Enc.A256GCM, policy=ID_TOKEN, random_bytes=os.urandom)
    with pytest.raises(SignatureInvalid):
        decrypt_jwt(
            token, keys={reader.kid: reader}, policy=ID_TOKEN,
            signing_keys={signer.kid: signer.public}, signing_policy=rules,
        )  # fmt: skip


def test_content_that_does_not_say_jwt_is_no_nested_token() -> None:
    reader = opening_key(KeyAlg.A128KW)
    signer = generate_signing_key(Alg.ES256, backend=maker())
    rules = policy(Purpose.ID_TOKEN)
    signed = sign_jwt({}, key=signer, policy=rules)
    token = encrypt_jwe(
        signed.encode(), key=sealing_key(reader), enc=Enc.A128GCM, policy=ANY_PAIR, random_bytes=os.urandom
    )
    with pytest.raises(TokenRefused) as refused:
        decrypt_jwt(
            token, keys={reader.kid: reader}, policy=ANY_PAIR,
            signing_keys={signer.kid: signer.public}, signing_policy=rules,
        )  # fmt: skip
    assert refused.value.field == "cty"
    with pytest.raises(TokenRefused):
        encrypt_jwt(
            {}, signing_key=signer, signing_policy=rules, key=sealing_key(reader), enc=Enc.A128GCM,
            policy=ANY_PAIR, random_bytes=os.urandom,
        )  # fmt: skip


def test_a_purpose_that_knows_its_key_may_do_without_a_key_id() -> None:
    rules = encryption_policy(Purpose.REQUEST_OBJECT)
    made = honest(KeyAlg.SGD_SM2_3).saying(kid=..., cty="jwt")
    assert decrypt_jwe(made.token(), keys=lambda _kid, _alg: made.key, policy=rules).plaintext == PLAINTEXT
    with pytest.raises(TokenRefused):
        decrypt_jwe(made.token(), keys={made.key.kid: made.key}, policy=rules)
    with pytest.raises(TokenRefused):
        decrypt_jwe(made.token(), keys=lambda _kid, _alg: made.key, policy=ID_TOKEN)


@pytest.mark.parametrize("name", sorted(REFUSED_HEADERS | {"alg", "enc", "kid", "cty", "epk", "apu", "apv"}))
def test_a_caller_cannot_set_the_facades_own_headers_nor_refused_ones(name: str) -> None:
    key = decryption_key(KeyAlg.SGD_SM2_3)
    with pytest.raises(TokenRefused):
        encrypt_jwe(
            b"x", key=key.public, enc=Enc.SGD_SM4_GCM, policy=ID_TOKEN, random_bytes=os.urandom, header={name: "x"}
        )


@pytest.mark.parametrize("value", [object(), float("nan"), b"x", "x" * 3000])
def test_a_header_that_is_no_json_or_too_long_is_never_written(value: object) -> None:
    key = decryption_key(KeyAlg.SGD_SM2_3)
    with pytest.raises(TokenRefused):
        encrypt_jwe(
            b"x", key=key.public, enc=Enc.SGD_SM4_GCM, policy=ID_TOKEN, random_bytes=os.urandom, header={"x": value}
        )


def test_another_header_is_carried_and_authenticated() -> None:
    key = decryption_key(KeyAlg.SGD_SM2_3)
    token = encrypt_jwe(
        b"x", key=key.public, enc=Enc.SGD_SM4_GCM, policy=ID_TOKEN, random_bytes=os.urandom, header={"iss": "𠮷"}
    )
    assert decrypt_jwe(token, keys={key.kid: key}, policy=ID_TOKEN).header["iss"] == "𠮷"


@pytest.mark.parametrize("enc", list(Enc))
def test_content_is_bounded_on_both_sides(enc: Enc) -> None:
    key = opening_key(KeyAlg.A128KW)
    largest = bytes(ANY_PAIR.max_plaintext_bytes)
    token = encrypt_jwe(largest, key=sealing_key(key), enc=enc, policy=ANY_PAIR, random_bytes=os.urandom)
    assert decrypt_jwe(token, keys={key.kid: key}, policy=ANY_PAIR).plaintext == largest
    with pytest.raises(TokenRefused):
        encrypt_jwe(largest + b"x", key=sealing_key(key), enc=enc, policy=ANY_PAIR, random_bytes=os.urandom)
    for more in (1, 15, 16, 40):
        with pytest.raises(TokenRefused) as refused:
            decrypt_jwe(
                honest(KeyAlg.A128KW, enc).but(plaintext=bytes(len(largest) + more)).token(),
                keys={key.kid: key}, policy=ANY_PAIR,
            )  # fmt: skip
        assert refused.value.rule == "too_large"


def test_what_opens_under_the_placeholder_key_is_still_refused() -> None:
    """The reader goes on with a key of zeros when it has recovered none; a sender who knows that gains nothing."""
    for alg in (KeyAlg.SGD_SM2_3, KeyAlg.A128KW, KeyAlg.RSA_OAEP_256):
        made = honest(alg)
        token = made.but(cek=bytes(len(made.cek)), encrypted_key=bytes(len(made.wrapped()))).token()
        with pytest.raises(DecryptionFailed):
            decrypt_jwe(token, keys={made.key.kid: made.key}, policy=ANY_PAIR)


def test_a_direct_key_of_another_content_algorithm_is_not_used() -> None:
    key = opening_key(KeyAlg.DIR, Enc.A128GCM)
    assert isinstance(key, SharedKey)
    with pytest.raises(KeyRefused):
        encrypt_jwe(b"x", key=key, enc=Enc.SGD_SM4_GCM, policy=ANY_PAIR, random_bytes=os.urandom)
    made = honest(KeyAlg.DIR, Enc.SGD_SM4_GCM).saying(kid=key.kid)
    with pytest.raises(DecryptionFailed):
        decrypt_jwe(made.token(), keys={key.kid: key}, policy=ANY_PAIR)


def test_the_key_derivation_of_rfc_7518_appendix_c() -> None:
    shared_secret = bytes(
        (158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156,
         251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196)
    )  # fmt: skip
    assert b64u_encode(concat_kdf(shared_secret, "A128GCM", 16, apu=b"Alice", apv=b"Bob")) == "VqqN6vgjbSBcIijNcacQGg"


def test_every_backend_opens_what_every_other_sealed(backend: Sm2Backend, libcrypto: Sm2Backend) -> None:
    ours = decryption_key_from_jwk(
        decryption_key(KeyAlg.SGD_SM2_3).private_jwk, alg=KeyAlg.SGD_SM2_3, backend=libcrypto
    )
    theirs = decryption_key_from_jwk(ours.private_jwk, alg=KeyAlg.SGD_SM2_3, backend=backend)
    assert theirs.public == ours.public
    for writer, reader in ((ours, theirs), (theirs, ours), (theirs, theirs)):
        token = encrypt_jwe(b"x", key=writer.public, enc=Enc.SGD_SM4_GCM, policy=ID_TOKEN, random_bytes=os.urandom)
        assert decrypt_jwe(token, keys={reader.kid: reader}, policy=ID_TOKEN).plaintext == b"x"
        parts = token.split(".")
        for at in (0, 1, 40, 70, 110):
            key = bytearray(b64u_decode(parts[1]))
            key[at] ^= 1
            with pytest.raises(DecryptionFailed):
                decrypt_jwe(
                    ".".join((parts[0], b64u_encode(bytes(key)), *parts[2:])),
                    keys={reader.kid: reader}, policy=ID_TOKEN,
                )  # fmt: skip


class Untouchable:
    """A private key that must not be asked."""

    public = bytes(64)

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        raise AssertionError

    def sign_many(self, messages: Sequence[bytes], user_id: bytes) -> tuple[bytes, ...]:
        raise AssertionError

    def decrypt(self, ciphertext: bytes) -> bytes:
        raise AssertionError


@pytest.mark.parametrize("length", [0, 1, 96, 97, 112, 114, 129, 1000])
def test_an_encrypted_key_of_another_length_never_reaches_the_private_key(length: int) -> None:
    key = replace(decryption_key(KeyAlg.SGD_SM2_3), native=Untouchable())
    with pytest.raises(DecryptionFailed):
        recover(key, Enc.SGD_SM4_GCM, {}, b"\x04".ljust(length, b"\x01")[:length])


def test_a_content_key_of_another_length_is_not_recovered() -> None:
    for alg in (KeyAlg.A128KW, KeyAlg.RSA_OAEP_256):
        made = honest(alg, Enc.A256GCM)
        assert recover(made.key, Enc.A256GCM, {}, made.wrapped()) == made.cek
        with pytest.raises(DecryptionFailed):
            recover(made.key, Enc.A128GCM, {}, made.wrapped())


def test_a_generated_key_is_for_encryption_alone() -> None:
    for alg in KeyAlg:
        if alg in SHARED:
            with pytest.raises(KeyRefused):
                generate_decryption_key(alg, backend=maker())
        else:
            assert decryption_key(alg).public.jwk["use"] == "enc"
