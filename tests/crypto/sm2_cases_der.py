"""The DER forms of signatures and ciphertexts: the one form of each value, and the liberties of BER that are refused."""

from __future__ import annotations

from typing import Final

from tests.crypto import sm2_arithmetic as plain
from tests.crypto.sm2_cases import Table
from tests.crypto.sm2_cases_signatures import ALL_ONES, INVALID, N, nonce_of, rs, text_of

NO_SIGNATURE: Final = "crypto.encoding_refused signature"
NO_CIPHERTEXT: Final = "crypto.encoding_refused ciphertext"


def length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def tlv(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + length(len(content)) + content


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, b"".join(parts))


def integer_liberties(value: int) -> dict[str, tuple[str, bytes]]:
    """Return what BER or carelessness makes of an INTEGER of 32 octets whose first bit is set."""
    octets = plain.b32(value)
    return {
        "padded": ("one needless zero octet", tlv(0x02, b"\0\0" + octets)),
        "padded_4": ("four needless zero octets", tlv(0x02, bytes(5) + octets)),
        "negative": ("without its sign octet", tlv(0x02, octets)),
        "sign_ff": ("the sign octet ff", tlv(0x02, b"\xff" + octets)),
        "wide": ("33 significant octets", tlv(0x02, b"\x01" + octets)),
        "very_wide": ("100 significant octets", tlv(0x02, b"\x01" * 100)),
        "empty": ("no octets", b"\x02\0"),
        "long_form": ("81 before its length", b"\x02\x81\x21\0" + octets),
        "long_form_2": ("82 00 before its length", b"\x02\x82\0\x21\0" + octets),
        "indefinite": ("length 80", b"\x02\x80\0" + octets + b"\0\0"),
        "constructed": ("tag 22, constructed", b"\x22" + tlv(0x02, b"\0" + octets)[1:]),
        "bit_string": ("BIT STRING in its place", tlv(0x03, b"\0" + octets)),
        "octet_string": ("OCTET STRING in its place", tlv(0x04, octets)),
        "enumerated": ("ENUMERATED in its place", tlv(0x0A, b"\0" + octets)),
        "context": ("the context tag [2] in its place", tlv(0x82, b"\0" + octets)),
        "null": ("NULL in its place", b"\x05\0"),
    }


def outer_liberties(good: bytes) -> dict[str, tuple[str, bytes]]:
    """Return what BER or carelessness makes of the SEQUENCE around."""
    start = 2 if good[1] < 0x80 else 2 + (good[1] & 0x7F)
    body = good[start:]
    size = len(body)
    return {
        "indefinite": ("indefinite length", b"\x30\x80" + body + b"\0\0"),
        "long_form": ("the length in more octets than it needs", b"\x30\x84" + size.to_bytes(4, "big") + body),
        "very_long_form": ("126 octets of length", b"\x30\xfe" + size.to_bytes(126, "big") + body),
        "length_ff": ("ff for the length", b"\x30\xff" + body),
        "length_plus_1": ("a length one too great", tlv(0x30, body + b"\0")[:-1]),
        "length_minus_1": ("a length one too small", tlv(0x30, body[:-1]) + body[-1:]),
        "length_max": ("a length of 2^32 − 1", b"\x30\x84\xff\xff\xff\xff" + body),
        "set": ("SET for SEQUENCE", b"\x31" + good[1:]),
        "primitive": ("tag 10, not constructed", b"\x10" + good[1:]),
        "application": ("an application tag", b"\x70" + good[1:]),
        "trailing_nul": ("a zero byte behind", good + b"\0"),
        "trailing_eoc": ("two zero bytes behind", good + b"\0\0"),
        "twice": ("the whole twice", good + good),
        "nested": ("a SEQUENCE around", tlv(0x30, good)),
        "leading_nul": ("a zero byte in front", b"\0" + good),
        "third": ("one element more", tlv(0x30, body + b"\x05\0")),
        "empty_sequence": ("an empty SEQUENCE", b"\x30\0"),
        "empty": ("no bytes", b""),
        "one_byte": ("the tag alone", b"\x30"),
        "hexadecimal": ("its digits as text", good.hex().encode()),
        **{f"cut_{at}": (f"the first {at} bytes", good[:at]) for at in (2, 3, 4, 5, 20, 36, 37, 38, len(good) - 1)},
    }


def signature_forms(table: Table) -> None:
    s = 1 << 255 | nonce_of("der s") >> 2
    r = 1 << 255 | nonce_of("der r") >> 2
    values = {
        "1_1": (1, 1), "1_n_minus_2": (1, N - 2), "n_minus_1_n_minus_1": (N - 1, N - 1), "7f": (0x7F, 0x80), "80": (0x80, 0x7F),
        "ff": (0xFF, 0x100), "2^248": (1 << 248, (1 << 248) - 1), "2^255": (1 << 255, (1 << 255) - 1), "random": (r, s),
    }  # fmt: skip
    for name, pair in values.items():
        how = f"r = {pair[0]:x}, s = {pair[1]:x}"
        table.add("signature_der", name, how, rs(*pair), der=sequence(*map(integer, pair)))
    for name, pair in {
        "r_0": (0, s),
        "s_0": (r, 0),
        "r_n": (N, s),
        "s_n": (r, N),
        "t_0": (r, N - r),
        "max": (ALL_ONES, ALL_ONES),
    }.items():
        table.add("signature_der", name, f"the right form of {name}", INVALID, der=sequence(*map(integer, pair)))
    for name, (how, data) in integer_liberties(r).items():
        table.add("signature_der", f"r_{name}", f"r: {how}", NO_SIGNATURE, der=sequence(data, integer(s)))
        table.add("signature_der", f"s_{name}", f"s: {how}", NO_SIGNATURE, der=sequence(integer(r), data))
    for name, (how, data) in outer_liberties(sequence(integer(r), integer(s))).items():
        table.add("signature_der", f"outer_{name}", how, NO_SIGNATURE, der=data)
    table.add("signature_der", "raw", "r‖s itself", NO_SIGNATURE, der=rs(r, s))


def ciphertext_forms(table: Table) -> None:
    x, y = 1 << 255 | nonce_of("der x") >> 2, 1 << 255 | nonce_of("der y") >> 2
    c3, c2 = plain.sm3(b"c3"), text_of(20)

    def encoded(x: int, y: int, c2: bytes) -> bytes:
        return sequence(integer(x), integer(y), tlv(0x04, c3), tlv(0x04, c2))

    def raw(x: int, y: int, c2: bytes) -> bytes:
        return b"\x04" + plain.b32(x) + plain.b32(y) + c3 + c2

    for name, pair in {
        "0_0": (0, 0),
        "1_2": (1, 2),
        "7f_80": (0x7F, 0x80),
        "2^248": ((1 << 248) - 1, 1 << 248),
        "high": (x, y),
        "max": (ALL_ONES, ALL_ONES),
    }.items():
        how = f"coordinates {name}: the form says nothing about the curve"
        table.add("ciphertext_der", f"xy_{name}", how, raw(*pair, c2), der=encoded(*pair, c2))
    # Where the lengths of C2 and of the whole take another octet.
    for size in (1, 12, 13, 14, 22, 127, 128, 129, 140, 141, 142, 255, 256, 4096, 65535, 65536):
        data = b"\xc2" * size
        table.add("ciphertext_der", f"c2_{size}", f"C2 of {size} bytes", raw(x, y, data), der=encoded(x, y, data))
    for name, (how, data) in integer_liberties(x).items():
        table.add(
            "ciphertext_der",
            f"x_{name}",
            f"x: {how}",
            NO_CIPHERTEXT,
            der=sequence(data, integer(y), tlv(4, c3), tlv(4, c2)),
        )
        table.add(
            "ciphertext_der",
            f"y_{name}",
            f"y: {how}",
            NO_CIPHERTEXT,
            der=sequence(integer(x), data, tlv(4, c3), tlv(4, c2)),
        )
    for name, (how, data) in outer_liberties(encoded(x, y, c2)).items():
        table.add("ciphertext_der", f"outer_{name}", how, NO_CIPHERTEXT, der=data)
    first = integer(x) + integer(y)
    for name, how, data in (
        ("c3_31", "a hash of 31 bytes", tlv(4, c3[1:]) + tlv(4, c2)),
        ("c3_33", "a hash of 33 bytes", tlv(4, c3 + b"\0") + tlv(4, c2)),
        ("c3_empty", "an empty hash", tlv(4, b"") + tlv(4, c2)),
        ("c3_constructed", "the hash in pieces, tag 24", tlv(0x24, tlv(4, c3[:16]) + tlv(4, c3[16:])) + tlv(4, c2)),
        ("c2_constructed", "C2 in pieces, tag 24", tlv(4, c3) + tlv(0x24, tlv(4, c2[:8]) + tlv(4, c2[8:]))),
        ("c2_indefinite", "C2 in pieces, indefinite", tlv(4, c3) + b"\x24\x80" + tlv(4, c2) + b"\0\0"),
        ("c2_long_form", "81 before a length of 20", tlv(4, c3) + b"\x04\x81\x14" + c2),
        ("c2_empty", "an empty C2", tlv(4, c3) + tlv(4, b"")),
        ("c2_missing", "no C2", tlv(4, c3)),
        ("c2_bit_string", "C2 as BIT STRING", tlv(4, c3) + tlv(3, b"\0" + c2)),
        ("c2_before_c3", "C2 before C3, the old order", tlv(4, c2) + tlv(4, c3)),
        ("c2_65537", "C2 of 65537 bytes", tlv(4, c3) + tlv(4, b"\xc2" * 65537)),
    ):
        table.add("ciphertext_der", name, how, NO_CIPHERTEXT, der=sequence(first, data))
    table.add("ciphertext_der", "raw", "the raw form", NO_CIPHERTEXT, der=raw(x, y, c2))
    table.add(
        "ciphertext_der",
        "point",
        "C1 as one OCTET STRING",
        NO_CIPHERTEXT,
        der=sequence(tlv(4, raw(x, y, b"")[:65]), tlv(4, c3), tlv(4, c2)),
    )
