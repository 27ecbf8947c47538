"""Our own SM2 negatives: no public set exists. Each line says how it was made; two implementations must refuse each."""

from __future__ import annotations

from functools import cache

import pytest

from crypto.encoding import rs_to_der
from crypto.errors import EncodingRefused, KeyRefused, SignatureInvalid, TrustError
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend, signature_from_der, validate_private, validate_public
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.test_sm2 import MESSAGE, NONCE, PRIVATE, PUBLIC, SIGNATURE, E

N, P = plain.N, plain.P
D = int.from_bytes(PRIVATE, "big")
R = int.from_bytes(SIGNATURE[:32], "big")
S = int.from_bytes(SIGNATURE[32:], "big")
DIGEST = int.from_bytes(E, "big")
ALL_ONES = 2**256 - 1


def rs(r: int, s: int) -> bytes:
    return plain.b32(r) + plain.b32(s)


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


@cache
def by_equation(name: str) -> bytes:
    """Signatures from a signer that gets one step of GB/T 32918.2 §6.1 wrong, with the nonce of Annex A."""
    x = plain.affine(NONCE)[0]
    inverse = pow(1 + D, -1, N)
    match name:
        case "no_z":
            return rs(*plain.sign_digest(D, int.from_bytes(plain.sm3(MESSAGE), "big"), NONCE))
        case "z_of_another_key":
            return rs(*plain.sign_digest(D, plain.digest(plain.affine(2), SM2_DEFAULT_ID, MESSAGE), NONCE))
        case "hashed_twice":
            return rs(*plain.sign_digest(D, int.from_bytes(plain.sm3(E), "big"), NONCE))
        case "id_length_in_bytes":
            entl = len(SM2_DEFAULT_ID).to_bytes(2, "big")
            domain = b"".join(map(plain.b32, (plain.A, plain.B, *plain.G)))
            z = plain.sm3(entl + SM2_DEFAULT_ID + domain + PUBLIC)
            return rs(*plain.sign_digest(D, int.from_bytes(plain.sm3(z + MESSAGE), "big"), NONCE))
        case "digest_bytes_reversed":
            return rs(*plain.sign_digest(D, int.from_bytes(E, "little"), NONCE))
        case "ecdsa_equation":
            return rs(x % N, pow(NONCE, -1, N) * (DIGEST + x * D) % N)
        case "r_without_e":
            return rs(x % N, inverse * (NONCE - x * D) % N)
        case "r_is_e":
            return rs(DIGEST % N, inverse * (NONCE - DIGEST * D) % N)
        case "d_instead_of_1_plus_d":
            return rs(R, pow(D, -1, N) * (NONCE - R * D) % N)
        case "no_inverse":
            return rs(R, (NONCE - R * D) % N)
        case "plus_instead_of_minus":
            return rs(R, inverse * (NONCE + R * D) % N)
        case "y_instead_of_x":
            r = (DIGEST + plain.affine(NONCE)[1]) % N
            return rs(r, inverse * (NONCE - r * D) % N)
        case "r_equals_infinity":
            # s(1+d) = −rd makes sG + (r+s)P infinity: a verifier that takes its x for 0 accepts r = e.
            r = DIGEST % N
            return rs(r, -r * D * inverse % N)
        case "another_key":
            return rs(*plain.sign_digest(D + 1, DIGEST, NONCE))
        case "negated_key":
            return rs(*plain.sign_digest(N - D, DIGEST, NONCE))
        case _:
            raise AssertionError(name)


EQUATIONS = [
    "no_z",
    "z_of_another_key",
    "hashed_twice",
    "id_length_in_bytes",
    "digest_bytes_reversed",
    "ecdsa_equation",
    "r_without_e",
    "r_is_e",
    "d_instead_of_1_plus_d",
    "no_inverse",
    "plus_instead_of_minus",
    "y_instead_of_x",
    "r_equals_infinity",
    "another_key",
    "negated_key",
]

# name → (how the Annex A signature was changed, the 64 bytes)
VALUES: dict[str, tuple[str, bytes]] = {
    "r_zero": ("r := 0", rs(0, S)),
    "s_zero": ("s := 0", rs(R, 0)),
    "both_zero": ("64 zero bytes", bytes(64)),
    "r_one": ("r := 1", rs(1, S)),
    "s_one": ("s := 1", rs(R, 1)),
    "both_one": ("r := s := 1", rs(1, 1)),
    "r_n": ("r := n", rs(N, S)),
    "s_n": ("s := n", rs(R, N)),
    "r_n_minus_1": ("r := n − 1", rs(N - 1, S)),
    "s_n_minus_1": ("s := n − 1", rs(R, N - 1)),
    "r_n_plus_1": ("r := n + 1, which is 1 mod n", rs(N + 1, S)),
    "s_n_plus_1": ("s := n + 1, which is 1 mod n", rs(R, N + 1)),
    "r_p": ("r := p", rs(P, S)),
    "r_max": ("r := 2^256 − 1", rs(ALL_ONES, S)),
    "s_max": ("s := 2^256 − 1", rs(R, ALL_ONES)),
    "both_max": ("64 bytes ff", rs(ALL_ONES, ALL_ONES)),
    "t_zero": ("s := n − r, so t = r + s = 0 mod n", rs(R, N - R)),
    "t_zero_other": ("r := n − s, so t = r + s = 0 mod n", rs(N - S, S)),
    "s_negated": ("s := n − s, which ECDSA would accept", rs(R, N - S)),
    "r_negated": ("r := n − r", rs(N - R, S)),
    "both_negated": ("r := n − r, s := n − s", rs(N - R, N - S)),
    "swapped": ("r and s exchanged", rs(S, R)),
    "r_plus_1": ("r := r + 1", rs(R + 1, S)),
    "r_minus_1": ("r := r − 1", rs(R - 1, S)),
    "s_plus_1": ("s := s + 1", rs(R, S + 1)),
    "s_minus_1": ("s := s − 1", rs(R, S - 1)),
    "r_twice": ("s := r", rs(R, R)),
    "s_twice": ("r := s", rs(S, S)),
    "r_is_digest": ("r := e mod n", rs(DIGEST % N, S)),
    "little_endian": ("r and s with their bytes reversed", SIGNATURE[31::-1] + SIGNATURE[:31:-1]),
    **{
        f"bit_{bit}": (f"bit {bit} of r‖s flipped", flip(SIGNATURE, bit))
        for bit in (0, 1, 127, 255, 256, 257, 383, 511)
    },
}

# name → (how it was made, bytes that are not r‖s at all)
FORMS: dict[str, tuple[str, bytes]] = {
    "empty": ("no bytes", b""),
    "cut_by_one": ("the last byte left out", SIGNATURE[:-1]),
    "half": ("r alone", SIGNATURE[:32]),
    "one_too_many": ("a zero byte appended", SIGNATURE + b"\0"),
    "leading_zero": ("a zero byte in front", b"\0" + SIGNATURE),
    "format_byte": ("04 in front", b"\x04" + SIGNATURE),
    "twice": ("the signature twice", SIGNATURE * 2),
    "hexadecimal": ("its 128 hexadecimal digits as text", SIGNATURE.hex().encode()),
    "der": (
        "DER where 64 bytes are asked for",
        bytes.fromhex("3046022100") + SIGNATURE[:32] + b"\x02\x21\0" + SIGNATURE[32:],
    ),
}

# name → (how the message differs from the signed one, message)
MESSAGES: dict[str, tuple[str, bytes]] = {
    "empty": ("nothing", b""),
    "appended": ("a byte appended", MESSAGE + b"\0"),
    "cut": ("the last byte left out", MESSAGE[:-1]),
    "first_bit": ("first bit flipped", flip(MESSAGE, 0)),
    "last_bit": ("last bit flipped", flip(MESSAGE, 8 * len(MESSAGE) - 1)),
    "upper_case": ("in capitals", MESSAGE.upper()),
    "digest_as_message": ("e itself where the message is asked for", E),
    "z_in_front": ("Z‖M where M is asked for", plain.z(plain.affine(D), SM2_DEFAULT_ID) + MESSAGE),
}

# name → (how the user ID differs from the one signed under, ID)
USER_IDS: dict[str, tuple[str, bytes]] = {
    "empty": ("no ID", b""),
    "cut": ("one digit fewer", SM2_DEFAULT_ID[:-1]),
    "zero_appended": ("a zero byte appended", SM2_DEFAULT_ID + b"\0"),
    "reversed": ("digits reversed", SM2_DEFAULT_ID[::-1]),
    "binary": ("the digits read as hexadecimal", bytes.fromhex("1234567812345678")),
    "tls": ("the ID of RFC 8998", b"TLSv1.3+GM+Cipher+Suite"),
    "annex": ("the ID of another example of the standard", b"ALICE123@YAHOO.COM"),
}

# name → (how it was made, a point of the curve that did not sign)
OTHER_KEYS: dict[str, tuple[str, bytes]] = {
    "negated": (
        "−P: y := p − y",
        plain.encode((int.from_bytes(PUBLIC[:32], "big"), P - int.from_bytes(PUBLIC[32:], "big"))),
    ),
    "doubled": ("2P", plain.encode(plain.affine(2 * D % N))),
    "generator": ("G", plain.encode(plain.G)),
    "successor": ("P + G", plain.encode(plain.affine(D + 1))),
}


# name → (how it was made, 64 bytes or not, that are no public key)
@cache
def small_point() -> tuple[int, int]:
    """Return a point whose x leaves room for x + p in 32 bytes; p = 3 mod 4 makes the root a power."""
    for x in range(1, 100):
        square = (x**3 + plain.A * x + plain.B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            return x, y
    raise AssertionError


NO_KEYS: dict[str, tuple[str, bytes]] = {
    "zeros": ("x = y = 0, which some take for infinity", bytes(64)),
    "ones": ("64 bytes ff", b"\xff" * 64),
    "y_plus_1": ("y := y + 1, off the curve", PUBLIC[:32] + plain.b32(int.from_bytes(PUBLIC[32:], "big") + 1)),
    "x_plus_1": ("x := x + 1, off the curve", plain.b32(int.from_bytes(PUBLIC[:32], "big") + 1) + PUBLIC[32:]),
    "swapped": ("y‖x", PUBLIC[32:] + PUBLIC[:32]),
    "x_is_p": ("x := p, which is 0 mod p", plain.b32(P) + PUBLIC[32:]),
    "y_is_p": ("y := p", PUBLIC[:32] + plain.b32(P)),
    "x_alias": ("a good point with x + p for x", plain.b32(small_point()[0] + P) + plain.b32(small_point()[1])),
    "y_zero": ("y := 0; the curve has no point of order two", PUBLIC[:32] + bytes(32)),
    "p256_generator": (
        "the generator of NIST P-256",
        bytes.fromhex(
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        ),
    ),
    "uncompressed": ("04 in front", b"\x04" + PUBLIC),
    "hybrid": ("07 in front, the hybrid form", b"\x07" + PUBLIC),
    "compressed": ("02‖x", b"\x02" + PUBLIC[:32]),
    "infinity": ("the single byte 00, infinity in X9.62", b"\0"),
    "empty": ("no bytes", b""),
    "cut": ("the last byte left out", PUBLIC[:-1]),
    "hexadecimal": ("128 hexadecimal digits as text", PUBLIC.hex().encode()),
    "little_endian": ("x and y with their bytes reversed", PUBLIC[31::-1] + PUBLIC[:31:-1]),
}

NO_PRIVATE_KEYS: dict[str, tuple[str, bytes]] = {
    "zero": ("d := 0", bytes(32)),
    "n_minus_1": ("d := n − 1, for which 1 + d has no inverse", plain.b32(N - 1)),
    "n": ("d := n", plain.b32(N)),
    "n_plus_1": ("d := n + 1", plain.b32(N + 1)),
    "max": ("d := 2^256 − 1", plain.b32(ALL_ONES)),
    "short": ("31 bytes", PRIVATE[1:]),
    "long": ("33 bytes", b"\0" + PRIVATE),
    "empty": ("no bytes", b""),
}


def integer(content: bytes, tag: int = 0x02) -> bytes:
    return bytes((tag, len(content))) + content


def sequence(*parts: bytes, tag: int = 0x30) -> bytes:
    body = b"".join(parts)
    return bytes((tag, len(body))) + body


R_DER, S_DER = integer(b"\0" + SIGNATURE[:32]), integer(b"\0" + SIGNATURE[32:])
GOOD_DER = sequence(R_DER, S_DER)

DERS: dict[str, tuple[str, bytes]] = {
    "long_form_length": ("81 before the length", b"\x30\x81" + GOOD_DER[1:]),
    "indefinite": ("BER indefinite length", b"\x30\x80" + GOOD_DER[2:] + b"\0\0"),
    "trailing_byte": ("a zero byte after the sequence", GOOD_DER + b"\0"),
    "trailing_inside": ("NULL as a third element", sequence(R_DER, S_DER, b"\x05\0")),
    "three_integers": ("a third INTEGER", sequence(R_DER, S_DER, integer(b"\1"))),
    "short_trailing": ("NULL after two small integers", sequence(integer(b"\x01"), integer(b"\x01"), b"\x05\0")),
    "one_integer": ("r alone", sequence(R_DER)),
    "empty_sequence": ("SEQUENCE of nothing", b"\x30\0"),
    "empty": ("no bytes", b""),
    "length_too_long": ("length one more", bytes((0x30, GOOD_DER[1] + 1)) + GOOD_DER[2:]),
    "length_too_short": ("length one less", bytes((0x30, GOOD_DER[1] - 1)) + GOOD_DER[2:]),
    "set": ("SET instead of SEQUENCE", b"\x31" + GOOD_DER[1:]),
    "primitive_sequence": ("tag 10, not constructed", b"\x10" + GOOD_DER[1:]),
    "bit_string": ("r as BIT STRING", sequence(integer(b"\0" + SIGNATURE[:32], 0x03), S_DER)),
    "negative_r": ("r without its sign octet", sequence(integer(SIGNATURE[:32]), S_DER)),
    "negative_s": ("s without its sign octet", sequence(R_DER, integer(SIGNATURE[32:]))),
    "padded_r": ("two zero octets before r", sequence(integer(b"\0\0" + SIGNATURE[:32]), S_DER)),
    "padded_s": ("a needless zero octet before a small s", sequence(R_DER, integer(b"\0\x01"))),
    "wide_r": ("r of 33 significant octets", sequence(integer(b"\x01" + SIGNATURE[:32]), S_DER)),
    "empty_integer": ("r of no octets", sequence(b"\x02\0", S_DER)),
    "inner_long_form": ("81 before the length of r", sequence(b"\x02\x81" + R_DER[1:], S_DER)),
    "inner_overrun": ("length of s past the end", sequence(R_DER, b"\x02\x22" + S_DER[2:])),
    "nested": ("a sequence in a sequence", sequence(GOOD_DER)),
    "raw": ("r‖s where DER is asked for", SIGNATURE),
}


def made(table: dict[str, tuple[str, bytes]]) -> list[object]:
    return [pytest.param(value, id=f"{name}: {how}") for name, (how, value) in table.items()]


def test_there_are_enough_of_them() -> None:
    tables = (VALUES, FORMS, MESSAGES, USER_IDS, OTHER_KEYS, NO_KEYS, NO_PRIVATE_KEYS, DERS)
    assert len(EQUATIONS) + sum(map(len, tables)) >= 110


def test_what_they_are_made_from_is_accepted(backend: Sm2Backend) -> None:
    backend.verify(PUBLIC, MESSAGE, SIGNATURE, SM2_DEFAULT_ID)
    assert signature_from_der(GOOD_DER) == SIGNATURE


@pytest.mark.parametrize("signature", made(VALUES))
def test_a_changed_value_is_refused(backend: Sm2Backend, signature: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        backend.verify(PUBLIC, MESSAGE, signature, SM2_DEFAULT_ID)


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_wrong_equation_is_refused(backend: Sm2Backend, name: str) -> None:
    with pytest.raises(SignatureInvalid):
        backend.verify(PUBLIC, MESSAGE, by_equation(name), SM2_DEFAULT_ID)


@pytest.mark.parametrize("signature", made(FORMS))
def test_another_form_is_refused(backend: Sm2Backend, signature: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        backend.verify(PUBLIC, MESSAGE, signature, SM2_DEFAULT_ID)


@pytest.mark.parametrize("message", made(MESSAGES))
def test_another_message_is_refused(backend: Sm2Backend, message: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        backend.verify(PUBLIC, message, SIGNATURE, SM2_DEFAULT_ID)


@pytest.mark.parametrize("user_id", made(USER_IDS))
def test_another_user_id_is_refused(backend: Sm2Backend, user_id: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        backend.verify(PUBLIC, MESSAGE, SIGNATURE, user_id)


@pytest.mark.parametrize("public", made(OTHER_KEYS))
def test_another_key_is_refused(backend: Sm2Backend, public: bytes) -> None:
    validate_public(public)
    with pytest.raises(SignatureInvalid):
        backend.verify(public, MESSAGE, SIGNATURE, SM2_DEFAULT_ID)


@pytest.mark.parametrize("public", made(NO_KEYS))
def test_what_is_no_point_is_refused_before_any_signature(backend: Sm2Backend, public: bytes) -> None:
    with pytest.raises(KeyRefused):
        backend.public_key(public)


@pytest.mark.parametrize("private", made(NO_PRIVATE_KEYS))
def test_what_is_no_private_key_is_refused(backend: Sm2Backend, private: bytes) -> None:
    with pytest.raises(KeyRefused):
        validate_private(private)
    with pytest.raises(KeyRefused):
        backend.private_key(private)
    with pytest.raises(KeyRefused):
        backend.public_of(private)


@pytest.mark.parametrize("der", made(DERS))
def test_der_that_is_not_the_one_form_is_refused(der: bytes) -> None:
    with pytest.raises(EncodingRefused):
        signature_from_der(der)


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(sequence(integer(b"\0"), S_DER), id="r := 0"),
        pytest.param(sequence(R_DER, integer(b"\0")), id="s := 0"),
        pytest.param(sequence(integer(b"\0" + plain.b32(N)), S_DER), id="r := n"),
        pytest.param(rs_to_der(rs(R, N - R)), id="s := n − r"),
    ],
)
def test_good_der_of_an_impossible_signature_is_refused(der: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        signature_from_der(der)


def test_the_one_digest_whose_infinity_forgery_would_pass_shows_the_refusal_is_real() -> None:
    # The forged pair does reach infinity: sG + tP = O, so a verifier that goes on with x = 0 would accept it.
    forged = by_equation("r_equals_infinity")
    r, s = int.from_bytes(forged[:32], "big"), int.from_bytes(forged[32:], "big")
    assert plain.add(plain.multiply(s, plain.G), plain.multiply((r + s) % N, plain.affine(D))) is None


def test_every_refusal_has_a_stable_code() -> None:
    with pytest.raises(TrustError) as refused:
        validate_public(bytes(64))
    assert (refused.value.code, refused.value.rule) == ("crypto.key_refused", "off_curve")
