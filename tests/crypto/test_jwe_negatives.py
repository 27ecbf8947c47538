"""JWEs that must not open. Each line says how the token was made; what opens is made the same way without the fault."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from crypto.encoding import b64u_decode, b64u_encode
from crypto.encryption_keys import DecryptionKey, SharedKey, generate_decryption_key
from crypto.errors import AlgorithmRefused, DecryptionFailed, EncodingRefused, TokenRefused, TrustError
from crypto.jwe import decrypt_jwe, encrypt_jwe
from crypto.jwe_content import seal_content
from crypto.jwe_keys import concat_kdf
from crypto.sm2_ciphertext import ciphertext_to_der
from crypto.sm2_curve import N, P
from crypto.suites import Enc, KeyAlg
from tests.crypto.jwe_forging import ANY_PAIR, PLAINTEXT, Forgery, backend, compact, honest, opening_key, sealing_key

Made = Callable[[], str]
SM2, DIR, RSA, ECDH, KW = KeyAlg.SGD_SM2_3, KeyAlg.DIR, KeyAlg.RSA_OAEP_256, KeyAlg.ECDH_ES, KeyAlg.A128KW


def written(alg: KeyAlg) -> list[bytes]:
    """Return the five parts of a token the product wrote."""
    key = opening_key(alg)
    enc = honest(alg).enc
    token = encrypt_jwe(PLAINTEXT, key=sealing_key(key), enc=enc, policy=ANY_PAIR, random_bytes=os.urandom)
    return [b64u_decode(part) for part in token.split(".")]


def changed(alg: KeyAlg, part: int, change: Callable[[bytes], bytes]) -> Made:
    def make() -> str:
        parts = written(alg)
        parts[part] = change(parts[part])
        return compact(*parts)

    return make


def text_changed(alg: KeyAlg, change: Callable[[str], str]) -> Made:
    return lambda: change(compact(*written(alg)))


def saying(made_for: KeyAlg, /, **members: object) -> Made:
    return lambda: honest(made_for).saying(**members).token()


def forged(alg: KeyAlg, **parts: object) -> Made:
    return lambda: honest(alg).but(**parts).token()


def sm2_key_changed(change: Callable[[bytes], bytes]) -> Made:
    """Encrypt the CEK honestly and change the raw C1‖C3‖C2."""

    def make() -> str:
        made = honest(SM2)
        return made.but(encrypted_key=change(made.wrapped())).token()

    return make


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :] if at >= 0 else flip(len(data) + at)(data)


def other_sm2_reader() -> str:
    other = generate_decryption_key(SM2, backend=backend())
    made = honest(SM2)
    return made.but(encrypted_key=made.but(key=other).wrapped()).token()


def sm2_other_cek() -> str:
    made = honest(SM2)
    return made.but(encrypted_key=made.but(cek=os.urandom(16)).wrapped()).token()


def sm2_long_cek() -> str:
    made = honest(SM2)
    return made.but(encrypted_key=made.but(cek=os.urandom(17)).wrapped()).token()


def agreed_with(epk: Mapping[str, object] | object, *, alg: KeyAlg = ECDH, encrypted_key: bytes = b"") -> Made:
    """Say this `epk` and seal under a guess: the reader must refuse the point before anything depends on it."""

    def make() -> str:
        key = opening_key(alg)
        header = {"alg": alg.value, "enc": "A128GCM", "kid": key.kid, "epk": epk}
        return compact(header, encrypted_key, bytes(12), b"x" * 30, bytes(16))

    return make


def point(number: int, curve: ec.EllipticCurve | None = None, crv: str = "P-256", size: int = 32) -> dict[str, object]:
    numbers = ec.derive_private_key(number, curve or ec.SECP256R1()).public_key().public_numbers()
    x, y = (b64u_encode(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": crv, "x": x, "y": y}


def agreed_under(
    name: str, *, encrypted_key: bytes = b"", party: Mapping[str, object] | None = None, **epk: object
) -> Made:
    """Agree honestly and derive the key for an algorithm's name; then say `epk` and `party` of it, beside some key."""

    def make() -> str:
        key = opening_key(ECDH)
        assert isinstance(key, DecryptionKey)
        assert isinstance(key.public.native, ec.EllipticCurvePublicKey)
        shared = ec.derive_private_key(7, ec.SECP256R1()).exchange(ec.ECDH(), key.public.native)
        cek = concat_kdf(shared, name, 16, apu=b"", apv=b"")
        header = {"alg": "ECDH-ES", "enc": "A128GCM", "kid": key.kid, "epk": {**point(7), **epk}, **(party or {})}
        return Forgery(key, Enc.A128GCM, header, cek, encrypted_key=encrypted_key).token()

    return make


def cbc_under_a_right_tag(padded: bytes) -> Made:
    """Encrypt these bytes as the last blocks, without padding them, and tag the result rightly."""

    def make() -> str:
        key, iv = opening_key(DIR, Enc.A128CBC_HS256), bytes(16)
        assert isinstance(key, SharedKey)
        mac_half, aes_half = key.secret[:16], key.secret[16:]
        whole = padded[: len(padded) // 16 * 16]
        encryptor = Cipher(algorithms.AES(aes_half), modes.CBC(iv)).encryptor()
        ciphertext = encryptor.update(whole) + encryptor.finalize() + padded[len(whole) :]
        header = {"alg": "dir", "enc": "A128CBC-HS256", "kid": key.kid}
        aad = compact(header).encode()
        tag = hmac.digest(mac_half, aad + iv + ciphertext + (len(aad) * 8).to_bytes(8, "big"), "sha256")[:16]
        return compact(header, b"", iv, ciphertext, tag)

    return make


def rsa_wrapped(padding: OAEP | PKCS1v15) -> Made:
    def make() -> str:
        made = honest(RSA)
        assert isinstance(made.key, DecryptionKey)
        assert isinstance(made.key.public.native, RSAPublicKey)
        return made.but(encrypted_key=made.key.public.native.encrypt(made.cek, padding)).token()

    return make


def ecb_content() -> str:
    """Take the right key and IV, but plain counter mode: the tag is made up."""
    made = honest(DIR)
    encryptor = Cipher(algorithms.SM4(made.cek), modes.CTR(bytes(16))).encryptor()
    return compact(made.header, b"", bytes(12), encryptor.update(PLAINTEXT), bytes(16))


def kw_under_another_key() -> str:
    made = honest(KW)
    return made.but(encrypted_key=aes_key_wrap(bytes(16), made.cek)).token()


def cut_tag_of_the_right_key() -> str:
    made = honest(DIR)
    header = compact(made.header)
    ciphertext, tag = seal_content(made.enc, made.cek, bytes(12), PLAINTEXT, aad=header.encode())
    return f"{header}..{b64u_encode(bytes(12))}.{b64u_encode(ciphertext)}.{b64u_encode(tag[:12])}"


def swapped(raw: bytes) -> bytes:
    return raw[:65] + raw[97:] + raw[65:97]


FAILED, TOKEN, ALGORITHM, ENCODING = DecryptionFailed, TokenRefused, AlgorithmRefused, EncodingRefused
CASES: list[tuple[str, type[TrustError], Made]] = [
    # the SM2-encrypted key
    ("first byte of C1.x flipped: the point leaves the curve", FAILED, sm2_key_changed(flip(1))),
    ("last byte of C1.y flipped", FAILED, sm2_key_changed(flip(64))),
    ("first byte of C3 flipped", FAILED, sm2_key_changed(flip(65))),
    ("last byte of C3 flipped", FAILED, sm2_key_changed(flip(96))),
    ("first byte of C2 flipped", FAILED, sm2_key_changed(flip(97))),
    ("last byte of C2 flipped", FAILED, sm2_key_changed(flip(-1))),
    ("C1‖C2‖C3, the order of older systems", FAILED, sm2_key_changed(swapped)),
    ("the DER form of GM/T 0009 in place of the raw one", FAILED, sm2_key_changed(ciphertext_to_der)),
    ("04 of C1 left out", FAILED, sm2_key_changed(lambda raw: raw[1:])),
    ("C1 announced as compressed (02) at full length", FAILED, sm2_key_changed(lambda raw: b"\x02" + raw[1:])),
    ("C1 announced as hybrid (06)", FAILED, sm2_key_changed(lambda raw: b"\x06" + raw[1:])),
    ("C1 is the point at infinity (00) padded", FAILED, sm2_key_changed(lambda raw: bytes(65) + raw[65:])),
    ("C1 = (0, 0)", FAILED, sm2_key_changed(lambda raw: b"\x04" + bytes(64) + raw[65:])),
    ("C1.x + p: a coordinate not reduced", FAILED,
     sm2_key_changed(lambda raw: b"\x04" + ((int.from_bytes(raw[1:33], "big") + P) % 2**256).to_bytes(32, "big") + raw[33:])),
    ("C1.y negated: the other point with that x", FAILED,
     sm2_key_changed(lambda raw: raw[:33] + (P - int.from_bytes(raw[33:65], "big")).to_bytes(32, "big") + raw[65:])),
    ("C1 replaced by G", FAILED,
     sm2_key_changed(lambda raw: b"\x04" + backend().multiply_base((1).to_bytes(32, "big")) + raw[65:])),
    ("C1 replaced by −G", FAILED,
     sm2_key_changed(lambda raw: b"\x04" + backend().multiply_base((N - 1).to_bytes(32, "big")) + raw[65:])),
    ("C1 is a point of P-256, not of SM2's curve", FAILED,
     sm2_key_changed(lambda raw: b"\x04" + b64u_decode(str(point(7)["x"])) + b64u_decode(str(point(7)["y"])) + raw[65:])),
    ("C2 cut by one byte", FAILED, sm2_key_changed(lambda raw: raw[:-1])),
    ("C2 of one byte more", FAILED, sm2_key_changed(lambda raw: raw + b"x")),
    ("no C2 at all", FAILED, sm2_key_changed(lambda raw: raw[:97])),
    ("an encrypted key of zeros", FAILED, sm2_key_changed(lambda raw: bytes(len(raw)))),
    ("an empty encrypted key", FAILED, sm2_key_changed(lambda _raw: b"")),
    ("1,000 bytes of 0xff for an encrypted key", FAILED, sm2_key_changed(lambda _raw: b"\xff" * 1000)),
    ("the CEK itself in place of its encryption", FAILED, lambda: (made := honest(SM2)).but(encrypted_key=made.cek).token()),
    ("encrypted to another SM2 key under this kid", FAILED, other_sm2_reader),
    ("another CEK honestly encrypted", FAILED, sm2_other_cek),
    ("a CEK of 17 bytes honestly encrypted", FAILED, sm2_long_cek),
    # content
    ("the opening brace of the header made a bracket", ENCODING, changed(SM2, 0, lambda raw: b"[" + raw[1:])),
    ("a blank put into the header JSON: same members, other AAD", FAILED, changed(SM2, 0, lambda raw: raw.replace(b":", b": ", 1))),
    ("members of the header in another order", FAILED,
     lambda: honest(SM2).but(aad=compact({"kid": honest(SM2).key.kid, "enc": "SGD_SM4_GCM", "alg": "SGD_SM2_3"}).encode()).token()),
    ("the AAD is the decoded header, not its base64url", FAILED, lambda: (made := honest(SM2)).but(aad=b64u_decode(compact(made.header))).token()),
    ("no AAD at all", FAILED, forged(SM2, aad=b"")),
    ("first byte of the IV flipped", FAILED, changed(SM2, 2, flip(0))),
    ("an IV of 11 bytes", FAILED, changed(SM2, 2, lambda iv: iv[:-1])),
    ("an IV of 13 bytes", FAILED, changed(SM2, 2, lambda iv: iv + b"x")),
    ("an IV of 16 bytes, as CBC has", FAILED, forged(SM2, iv=bytes(16))),
    ("no IV", TOKEN, changed(SM2, 2, lambda _iv: b"")),
    ("first byte of the ciphertext flipped", FAILED, changed(SM2, 3, flip(0))),
    ("last byte of the ciphertext left out", FAILED, changed(SM2, 3, lambda data: data[:-1])),
    ("no ciphertext, the tag of a full one", FAILED, changed(SM2, 3, lambda _data: b"")),
    ("last byte of the tag flipped", FAILED, changed(SM2, 4, flip(-1))),
    ("a tag of 15 bytes", FAILED, changed(SM2, 4, lambda tag: tag[:15])),
    ("a tag of 12 bytes under the right direct key", FAILED, cut_tag_of_the_right_key),
    ("a tag of 4 bytes", FAILED, changed(SM2, 4, lambda tag: tag[:4])),
    ("a tag of 17 bytes", FAILED, changed(SM2, 4, lambda tag: tag + b"x")),
    ("a tag of zeros", FAILED, forged(SM2, tag=bytes(16))),
    ("no tag", TOKEN, changed(SM2, 4, lambda _tag: b"")),
    ("counter mode without authentication under the right key", FAILED, ecb_content),
    ("content of another token of the same key", FAILED,
     lambda: ".".join((*compact(*written(SM2)).split(".")[:2], *compact(*written(SM2)).split(".")[2:]))),
    # dir
    ("dir with an encrypted key", FAILED, forged(DIR, encrypted_key=b"x")),
    ("dir with the key itself as encrypted key", FAILED, lambda: (made := honest(DIR)).but(encrypted_key=made.cek).token()),
    # CBC, where the tag is right: what is left to refuse must not show which it was
    ("CBC: padding of 00 under a right tag", FAILED, cbc_under_a_right_tag(bytes(16))),
    ("CBC: padding of 17 under a right tag", FAILED, cbc_under_a_right_tag(b"\x11" * 16)),
    ("CBC: uneven padding under a right tag", FAILED, cbc_under_a_right_tag(b"x" * 13 + b"\x02\x01\x03")),
    ("CBC: half a block under a right tag", FAILED, cbc_under_a_right_tag(b"x" * 15 + b"\x01" + b"12345678")),
    ("CBC: no block at all under a right tag", FAILED, cbc_under_a_right_tag(b"")),
    # RSA
    ("RSA: the CEK under PKCS#1 v1.5", FAILED, rsa_wrapped(PKCS1v15())),
    ("RSA: the CEK under OAEP with SHA-1", FAILED, rsa_wrapped(OAEP(MGF1(hashes.SHA1()), hashes.SHA1(), None))),  # noqa: S303  # the algorithm that must be refused
    ("RSA: OAEP with SHA-256 but MGF1 with SHA-1", FAILED, rsa_wrapped(OAEP(MGF1(hashes.SHA1()), hashes.SHA256(), None))),  # noqa: S303  # see above
    ("RSA: OAEP with a label", FAILED, rsa_wrapped(OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), b"label"))),
    ("RSA: an encrypted key of one byte less", FAILED, changed(RSA, 1, lambda key: key[:-1])),
    ("RSA: an encrypted key of zeros", FAILED, changed(RSA, 1, lambda key: bytes(len(key)))),
    ("RSA: an encrypted key above the modulus", FAILED, changed(RSA, 1, lambda key: b"\xff" * len(key))),
    ("RSA: a CEK of 32 bytes for A128GCM", FAILED, lambda: (made := honest(RSA)).but(encrypted_key=made.but(cek=bytes(32)).wrapped()).token()),
    # key wrap
    ("AES key wrap under another key", FAILED, kw_under_another_key),
    ("AES key wrap: first byte flipped", FAILED, changed(KW, 1, flip(0))),
    ("AES key wrap: a CEK of 32 bytes for A128GCM", FAILED, lambda: (made := honest(KW)).but(encrypted_key=made.but(cek=bytes(32)).wrapped()).token()),
    ("AES key wrap: 23 bytes", FAILED, changed(KW, 1, lambda key: key[:-1])),
    ("AES key wrap: nothing", FAILED, changed(KW, 1, lambda _key: b"")),
    # agreement
    ("ECDH-ES without epk", FAILED, lambda: compact({"alg": "ECDH-ES", "enc": "A128GCM", "kid": opening_key(ECDH).kid}, b"", bytes(12), b"x", bytes(16))),
    ("epk is a text", FAILED, agreed_with("P-256")),
    ("epk is a list", FAILED, agreed_with([point(7)])),
    ("epk off the curve (x and y swapped)", FAILED, agreed_with({**point(7), "x": point(7)["y"], "y": point(7)["x"]})),
    ("epk = (0, 0)", FAILED, agreed_with({**point(7), "x": b64u_encode(bytes(32)), "y": b64u_encode(bytes(32))})),
    ("epk on P-384, honestly", FAILED, agreed_with(point(7, ec.SECP384R1(), "P-384", 48))),
    ("epk of P-384 that says P-256", FAILED, agreed_with(point(7, ec.SECP384R1(), "P-256", 48))),
    ("epk on X25519 for a key on P-256", FAILED, agreed_with({"kty": "OKP", "crv": "X25519", "x": b64u_encode(bytes(32))})),
    ("epk says OKP with a P-256 name", FAILED, agreed_with({**point(7), "kty": "OKP"})),
    ("epk without y", FAILED, agreed_with({"kty": "EC", "crv": "P-256", "x": point(7)["x"]})),
    ("epk with its private member, else honest", FAILED, agreed_under("A128GCM", d=b64u_encode((7).to_bytes(32, "big")))),
    ("epk with a leading zero too many, else honest", FAILED, agreed_under("A128GCM", x=b64u_encode(b"\0" + b64u_decode(str(point(7)["x"]))))),
    ("epk with padding in x, else honest", FAILED, agreed_under("A128GCM", x=f"{point(7)['x']}=")),
    ("apu of the agreement left out of the derivation", FAILED, agreed_under("A128GCM", party={"apu": "QWxpY2U"})),
    ("apv of the agreement left out of the derivation", FAILED, agreed_under("A128GCM", party={"apv": "Qm9i"})),
    ("apu is a number", FAILED, agreed_under("A128GCM", party={"apu": 1})),
    ("apu of 600 characters", FAILED, agreed_under("A128GCM", party={"apu": "A" * 600})),
    ("apu with padding", FAILED, agreed_under("A128GCM", party={"apu": "QQ=="})),
    ("epk on SM2's curve for P-256", FAILED, agreed_with({**point(7), "crv": "sm2p256v1"})),
    ("ECDH-ES with an encrypted key beside an honest agreement", FAILED, agreed_under("A128GCM", encrypted_key=b"x")),
    ("ECDH-ES: derived for A256GCM, said A128GCM", FAILED, agreed_under("A256GCM")),
    ("ECDH-ES: derived for the key algorithm's name", FAILED, agreed_under("ECDH-ES")),
    ("ECDH-ES+A128KW without an encrypted key", FAILED, agreed_with(point(7), alg=KeyAlg.ECDH_ES_A128KW)),
    ("ECDH-ES+A256KW with a wrap of zeros", FAILED, agreed_with(point(7), alg=KeyAlg.ECDH_ES_A256KW, encrypted_key=bytes(24))),
    # header
    ("zip: DEF", TOKEN, saying(SM2, zip="DEF")),
    ("zip: null", TOKEN, saying(SM2, zip=None)),
    ("crit names a header", TOKEN, saying(SM2, crit=["exp"])),
    ("crit is empty", TOKEN, saying(SM2, crit=[])),
    ("a key in the header (jwk)", TOKEN, saying(SM2, jwk=point(7))),
    ("a key's address in the header (jku)", TOKEN, saying(SM2, jku="https://attacker.example/jwks")),
    ("a certificate in the header (x5c)", TOKEN, saying(SM2, x5c=["AA"])),
    ("a certificate's address in the header (x5u)", TOKEN, saying(SM2, x5u="https://attacker.example/cert")),
    ("PBES2 with three thousand million rounds", TOKEN, saying(SM2, alg="PBES2-HS256+A128KW", p2s="AAAAAAAA", p2c=3_000_000_000)),
    ("PBES2 without its parameters", ALGORITHM, saying(SM2, alg="PBES2-HS256+A128KW")),
    ("AES-GCM key wrap", TOKEN, saying(SM2, alg="A128GCMKW", iv="AAAA", tag="AAAA")),
    ("epk where nothing is agreed upon", TOKEN, saying(SM2, epk=point(7))),
    ("alg: RSA1_5", ALGORITHM, saying(RSA, alg="RSA1_5")),
    ("alg: RSA-OAEP (SHA-1)", ALGORITHM, saying(RSA, alg="RSA-OAEP")),
    ("alg: none", ALGORITHM, saying(SM2, alg="none")),
    ("alg in lower case", ALGORITHM, saying(SM2, alg="sgd_sm2_3")),
    ("alg: SGD_SM3_SM2, a signature's", ALGORITHM, saying(SM2, alg="SGD_SM3_SM2")),
    ("alg is a list", ALGORITHM, saying(SM2, alg=["SGD_SM2_3"])),
    ("no alg", ALGORITHM, saying(SM2, alg=...)),
    ("no enc", ALGORITHM, saying(SM2, enc=...)),
    ("enc: SGD_SM4_CCM", ALGORITHM, saying(SM2, enc="SGD_SM4_CCM")),
    ("enc: SGD_SM4_ECB", ALGORITHM, saying(SM2, enc="SGD_SM4_ECB")),
    ("enc: A192GCM", ALGORITHM, saying(SM2, enc="A192GCM")),
    ("alg: dir under the SM2 key's kid", ALGORITHM, saying(SM2, alg="dir")),
    ("alg: A128KW under the SM2 key's kid", ALGORITHM, saying(SM2, alg="A128KW")),
    ("enc: A128GCM said of SM4-GCM content", FAILED, saying(SM2, enc="A128GCM")),
    ("no kid", TOKEN, saying(SM2, kid=...)),
    ("kid of nobody", TOKEN, saying(SM2, kid="nobody")),
    ("kid with a line break", TOKEN, saying(SM2, kid="a\nb")),
    ("kid is a number", TOKEN, saying(SM2, kid=1)),
    ("cty of something else", TOKEN, saying(SM2, cty="secevent+jwt")),
    ("cty is null", TOKEN, saying(SM2, cty=None)),
    ("alg twice in the header", ENCODING, lambda: honest(SM2).but(header=b'{"alg":"dir","alg":"SGD_SM2_3"}').token()),
    ("a header that is a list", ENCODING, lambda: honest(SM2).but(header=b"[]").token()),
    ("a header of other bytes than UTF-8", ENCODING, lambda: honest(SM2).but(header=b"\xff").token()),
    ("a header of 3,000 characters", TOKEN, saying(SM2, pad="x" * 3000)),
    # form
    ("four parts", TOKEN, text_changed(SM2, lambda token: token.rpartition(".")[0])),
    ("six parts", TOKEN, text_changed(SM2, lambda token: token + ".AA")),
    ("a JWS in place of a JWE", TOKEN, text_changed(SM2, lambda token: ".".join(token.split(".")[:3]))),
    ("no header", TOKEN, text_changed(SM2, lambda token: token[token.index(".") :])),
    ("padding at the end", ENCODING, text_changed(SM2, lambda token: token + "=")),
    ("a blank in front", ENCODING, text_changed(SM2, lambda token: " " + token)),
    ("a line break at the end", ENCODING, text_changed(SM2, lambda token: token + "\n")),
    ("standard base64 in the IV", ENCODING, text_changed(SM2, lambda token: ".".join((*token.split(".")[:2], "++++++++++++++++", *token.split(".")[3:])))),
    ("an unused bit set in the tag", ENCODING, text_changed(SM2, lambda token: token[:-1] + "B")),
    ("the JSON serialization", TOKEN, lambda: '{"protected":"e30","encrypted_key":"AA","iv":"AA","ciphertext":"AA","tag":"AA"}'),
    ("ten million characters", TOKEN, lambda: "A" * 10_000_000),
    ("nothing", TOKEN, lambda: ""),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "make"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_does_not_open(refusal: type[TrustError], make: Made) -> None:
    known = {key.kid: key for key in (*map(opening_key, KeyAlg), opening_key(DIR, Enc.A128CBC_HS256))}
    with pytest.raises(TrustError) as refused:
        decrypt_jwe(make(), keys=known, policy=ANY_PAIR)
    assert type(refused.value) is refusal, str(refused.value)
    if refusal is DecryptionFailed:
        # One error for everything that does not open: no field, no rule, no cause to read anything from.
        assert (refused.value.field, refused.value.rule, dict(refused.value.params)) == (None, None, {})
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_there_are_enough_of_them_and_each_says_how_it_was_made() -> None:
    assert len({how for how, _, _ in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("alg", [SM2, DIR, RSA, KW])
def test_the_same_parts_without_a_fault_open(alg: KeyAlg) -> None:
    made = honest(alg)
    assert decrypt_jwe(made.token(), keys={made.key.kid: made.key}, policy=ANY_PAIR).plaintext == PLAINTEXT
    parts = written(alg)
    assert decrypt_jwe(compact(*parts), keys={made.key.kid: made.key}, policy=ANY_PAIR).plaintext == PLAINTEXT


def test_the_agreement_by_hand_without_a_fault_opens() -> None:
    token = agreed_under("A128GCM")()
    key = opening_key(ECDH)
    assert decrypt_jwe(token, keys={key.kid: key}, policy=ANY_PAIR).plaintext == PLAINTEXT
    padded = cbc_under_a_right_tag(b"x" * 15 + b"\x01")()
    shared = opening_key(DIR, Enc.A128CBC_HS256)
    assert decrypt_jwe(padded, keys={shared.kid: shared}, policy=ANY_PAIR).plaintext == b"x" * 15
