"""Ciphertexts: sizes, edges of the nonce and the key, and what must not open."""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from tests.crypto import sm2_arithmetic as plain
from tests.crypto.sm2_cases import Table
from tests.crypto.sm2_cases_points import on_the_twist, small_order
from tests.crypto.sm2_cases_signatures import EDGE_KEYS, N, P, key_of, nonce_of, text_of

FAILED: Final = "crypto.decryption_failed"
NO_FORM: Final = "crypto.encoding_refused ciphertext"
MAX_PLAINTEXT: Final = 1 << 16

# The key stream comes in blocks of 32 bytes; C3 hashes 32 + size + 32 bytes in blocks of 64.
BOUNDARY_SIZES: Final = (
    *(1, 2, 3, 15, 16, 17, *range(30, 35), *range(54, 58), *range(62, 67), *range(95, 98), *range(118, 122)),
    *(*range(126, 131), 255, 256, 257, 4095, 4096, 4097),
)


class Fails(Protocol):
    """Add a ciphertext that must be refused."""

    def __call__(self, name: str, how: str, raw: bytes, result: str = FAILED, key: bytes = ...) -> None: ...


def c1_of(raw: bytes) -> tuple[int, int]:
    return int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:65], "big")


def shared_of(d: int, c1: tuple[int, int]) -> tuple[int, int]:
    return plain.finite(plain.multiply(d, c1))


def first_nonce(d: int, wanted: str) -> int:
    """Return the smallest k for which the shared point with the key d has a certain property."""
    public = plain.affine(d)
    k, shared = 1, public
    while True:
        x2, y2 = plain.b32(shared[0]), plain.b32(shared[1])
        stream = plain.kdf(x2 + y2, 2)
        found = {"x2_00": x2[0] == 0, "y2_00": y2[0] == 0, "stream_00": stream[0] == 0 != stream[1]}
        if found[wanted]:
            return k
        k, shared = k + 1, plain.finite(plain.add(shared, public))


# The first k whose key stream of two bytes is all zero under the key of "zero stream"; `openings_refused` asserts it.
ZERO_STREAM_2_K: Final = 18912


def openings(table: Table) -> None:
    d = key_of("encryption")
    private, public = plain.b32(d), plain.affine(d)

    def opens(name: str, how: str, plaintext: bytes, k: int) -> None:
        table.add("decrypt", name, how, plaintext, private=private, ciphertext=plain.encrypt(public, plaintext, k))

    for size in BOUNDARY_SIZES:
        opens(f"plaintext_{size}", f"a plaintext of {size} bytes", text_of(size), nonce_of(f"plaintext {size}"))
    opens("plaintext_zeros", "32 zero bytes, so C2 is the key stream", bytes(32), nonce_of("zeros"))
    opens("plaintext_ones", "32 bytes ff", b"\xff" * 32, nonce_of("ones"))
    for name, how, k in (
        ("k_1", "k = 1, so C1 = G and the shared point is P", 1),
        ("k_2", "k = 2", 2),
        ("k_n_minus_1", "k = n − 1, so C1 = −G", N - 1),
        ("k_is_d", "k = d, so C1 = P", d),
        ("k_2_255", "k = 2^255", 1 << 255),
        ("k_inverse", "k = 1/d, so the shared point is G", pow(d, -1, N)),
        ("x2_00", "x of the shared point begins with 00", first_nonce(d, "x2_00")),
        ("y2_00", "y of the shared point begins with 00", first_nonce(d, "y2_00")),
        ("stream_00", "the key stream begins with 00", first_nonce(d, "stream_00")),
    ):
        opens(name, how, b"edge of k", k)
    opens(
        "stream_00_long",
        "the key stream begins with 00 and the plaintext has one more byte",
        b"ab",
        first_nonce(d, "stream_00"),
    )
    for name in ("d_1", "d_2", "d_n_minus_2", "d_half", "d_half_up", "d_2_128", "d_2_255", "d_2_224_minus_1", "d_ten"):
        how, edge = EDGE_KEYS[name]
        raw = plain.encrypt(plain.affine(edge), b"edge of d", nonce_of(f"edge {name}"))
        table.add("decrypt", name, how, b"edge of d", private=plain.b32(edge), ciphertext=raw)
    small = plain.next_point(0)
    x = small[0]
    raw = plain.seal(small, shared_of(d, small), b"small x")
    table.add(
        "decrypt", "x1_least", f"x of C1 is {x}, the least of the curve", b"small x", private=private, ciphertext=raw
    )
    alias = b"\x04" + plain.b32(x + P) + raw[33:]
    table.add("decrypt", "x1_least_plus_p", "the same with x + p for x", FAILED, private=private, ciphertext=alias)


def openings_refused(table: Table) -> None:
    d = key_of("encryption refused")
    private, public = plain.b32(d), plain.affine(d)
    plaintext = text_of(48)
    good = plain.encrypt(public, plaintext, nonce_of("refused ciphertext"))
    c1, c3, c2 = good[:65], good[65:97], good[97:]
    point = c1_of(good)

    def fails(name: str, how: str, raw: bytes, result: str = FAILED, key: bytes = private) -> None:
        table.add("decrypt", name, how, result, private=key, ciphertext=raw)

    for part, first, last in (("c1", 1, 65), ("c3", 65, 97), ("c2", 97, len(good))):
        for position in (first, first + 1, (first + last) // 2, last - 2, last - 1):
            changed = bytearray(good)
            changed[position] ^= 1 << position % 8
            fails(f"{part}_bit_{position}", f"a bit of byte {position}, in {part.upper()}, flipped", bytes(changed))
    _orders(fails, c1, c2, c3)
    _other_points(fails, d, point, plaintext, c3 + c2)
    _other_hashes(fails, d, point, plaintext)
    fails("other_key", "opened with another key", good, key=plain.b32(d + 1))
    fails("negated_key", "opened with n − d", good, key=plain.b32(N - d))
    short = plain.encrypt(public, b"s", nonce_of("short"))
    for name, how, raw in (
        ("empty", "no bytes", b""),
        ("one_byte", "the byte 04", b"\x04"),
        ("c1_alone", "C1 and nothing else", c1),
        ("c1_c3", "C1 and C3 and no C2", c1 + c3),
        ("cut_short", "a ciphertext of one byte without it", short[:-1]),
        ("no_format_byte", "without 04 in front", good[1:]),
        ("format_00", "00 in front, infinity", b"\0" + good[1:]),
        ("format_02", "02 in front, x‖y behind", b"\x02" + good[1:]),
        ("format_05", "05 in front", b"\x05" + good[1:]),
        ("format_06", "06 in front, hybrid with even y", b"\x06" + good[1:]),
        ("format_07", "07 in front, hybrid with odd y", b"\x07" + good[1:]),
        ("compressed", "C1 compressed, 33 bytes", bytes((2 + point[1] % 2,)) + good[1:33] + good[65:]),
        ("infinity", "C1 is the single byte 00", b"\0" + good[65:]),
        ("too_long", "a plaintext of 65537 bytes", c1 + c3 + b"\xaa" * (MAX_PLAINTEXT + 1)),
        ("too_long_by_far", "a plaintext of a million bytes", b"\x04" * 1_000_000),
    ):
        fails(name, how, raw, NO_FORM)
    fails("cut", "the last byte of C2 left out", good[:-1])
    fails("appended", "a zero byte behind C2", good + b"\0")
    fails("cut_in_c3", "a byte of C3 left out", good[:70] + good[71:])
    fails("all_zero", "04 and zero bytes", b"\x04" + bytes(128))
    fails("all_ones", "04 and bytes ff", b"\x04" + b"\xff" * 128)
    _zero_streams(fails, d)


def _orders(fails: Fails, c1: bytes, c2: bytes, c3: bytes) -> None:
    fails("c1c2c3", "C1‖C2‖C3, the order before 2012", c1 + c2 + c3)
    fails("c3c1c2", "C3 in front, behind 04", c1[:1] + c3 + c1[1:] + c2)
    fails("c2c3_reversed", "C3 with its bytes reversed", c1 + c3[::-1] + c2)
    fails("yx", "y‖x in C1", c1[:1] + c1[33:] + c1[1:33] + c3 + c2)


def _other_points(fails: Fails, d: int, point: tuple[int, int], plaintext: bytes, rest: bytes) -> None:
    """C1 exchanged; where the curve is another, the attacker's C3 fits a shared point he can guess."""
    for name, how, other in (
        ("c1_negated", "−C1: the shared x is the same", plain.negate(point)),
        ("c1_generator", "C1 := G", plain.G),
        ("c1_public", "C1 := P", plain.affine(d)),
        ("c1_doubled", "C1 := 2C1", plain.finite(plain.add(point, point))),
        ("c1_zero", "C1 := (0, 0), which some take for infinity", (0, 0)),
        ("c1_x_zero", "x of C1 := 0", (0, point[1])),
        ("c1_y_zero", "y of C1 := 0", (point[0], 0)),
        ("c1_x_p", "x of C1 := p", (P, point[1])),
        ("c1_y_plus_1", "y of C1 plus 1", (point[0], (point[1] + 1) % P)),
    ):
        fails(name, how, b"\x04" + plain.encode(other) + rest)
    for order in (2, 3, 4):
        small = small_order(order)
        for factor in range(1, order):
            shared = plain.finite(plain.multiply(factor, small))
            how = f"C1 of order {order} on another curve, C3 right for d mod {order} = {factor}"
            fails(f"order_{order}_guess_{factor}", how, plain.seal(small, shared, plaintext))
    twisted = on_the_twist()
    fails(
        "off_curve_right",
        "C1 off the curve, C3 right for d times it",
        plain.seal(twisted, shared_of(d, twisted), plaintext),
    )
    y_zero = (small_order(2)[0], 0)
    fails("order_2_right", "C1 with y = 0, C3 right for an odd d", plain.seal(y_zero, y_zero, plaintext))


def _other_hashes(fails: Fails, d: int, point: tuple[int, int], plaintext: bytes) -> None:
    """Ciphertexts of a sender who gets one step of GB/T 32918.4 §6.1 wrong."""
    shared = shared_of(d, point)
    x2, y2 = map(plain.b32, shared)
    good = plain.seal(point, shared, plaintext)
    c1, c3, c2 = good[:65], good[65:97], good[97:]
    for name, how, hashed in (
        ("c3_zero", "C3 := 0", bytes(32)),
        ("c3_of_message", "C3 := SM3(M)", plain.sm3(plaintext)),
        ("c3_without_y2", "C3 := SM3(x2‖M)", plain.sm3(x2 + plaintext)),
        ("c3_without_x2", "C3 := SM3(M‖y2)", plain.sm3(plaintext + y2)),
        ("c3_exchanged", "C3 := SM3(y2‖M‖x2)", plain.sm3(y2 + plaintext + x2)),
        ("c3_of_c2", "C3 := SM3(x2‖C2‖y2)", plain.sm3(x2 + c2 + y2)),
        ("c3_sha256", "C3 with SHA-256", hashlib.sha256(x2 + plaintext + y2).digest()),
        ("c3_of_c1", "C3 := SM3(x1‖M‖y1)", plain.sm3(c1[1:33] + plaintext + c1[33:])),
    ):
        fails(name, how, c1 + hashed + c2)
    size = len(plaintext)
    blocks = {
        "kdf_from_0": (
            "the counter of the key stream begins with 0",
            plain.sm3(x2 + y2 + bytes(4)) + plain.kdf(x2 + y2, size - 32),
        ),
        "kdf_little_endian": (
            "the counter is little-endian",
            plain.sm3(x2 + y2 + b"\1\0\0\0") + plain.sm3(x2 + y2 + b"\2\0\0\0")[: size - 32],
        ),
        "kdf_of_x2": ("the key stream of x2 alone", plain.kdf(x2, size)),
        "kdf_of_hexadecimal": ("the key stream of the digits of x2‖y2", plain.kdf((x2 + y2).hex().encode(), size)),
    }
    for name, (how, stream) in blocks.items():
        fails(name, how, c1 + c3 + plain.xor(plaintext, stream))


def _zero_streams(fails: Fails, d: int) -> None:
    """All-zero key streams: C2 is the plaintext itself, C3 is right, and step B4 forbids it (GB/T 32918.4 §7.1)."""
    public = plain.affine(d)
    k = 1
    for count in range(3):
        k, shared = _next_zero(public, k)
        raw = plain.encrypt(public, b"Z", k)
        assert raw[97:] == b"Z"
        assert not any(plain.kdf(plain.encode(shared), 1))
        fails(f"zero_stream_{count}", f"k = {k}: the key stream of one byte is zero", raw)
        k += 1
    assert not any(plain.kdf(plain.encode(plain.finite(plain.multiply(ZERO_STREAM_2_K, public))), 2))
    raw = plain.encrypt(public, b"ZZ", ZERO_STREAM_2_K)
    fails("zero_stream_two", f"k = {ZERO_STREAM_2_K}: the key stream of two bytes is zero", raw)


def _next_zero(public: tuple[int, int], k: int) -> tuple[int, tuple[int, int]]:
    shared = plain.finite(plain.multiply(k, public))
    while plain.kdf(plain.encode(shared), 1) != b"\0":
        k, shared = k + 1, plain.finite(plain.add(shared, public))
    return k, shared
