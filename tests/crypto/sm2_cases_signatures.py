"""Signatures of whole messages: sizes, IDs, keys at the edges, and what must not verify."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Protocol

from tests.crypto import sm2_arithmetic as plain
from tests.crypto.sm2_cases import VALID, Table

N, P = plain.N, plain.P
ID: Final = b"1234567812345678"
INVALID: Final = "crypto.signature_invalid"
ALL_ONES: Final = 2**256 - 1

# SM3 works on blocks of 64 bytes and pads with at least nine; Z takes the first half of the first block.
BOUNDARY_SIZES: Final = (
    *(0, 1, 2, 3, 15, 16, 17, *range(21, 35), *range(53, 58), *range(62, 67), *range(85, 99)),
    *(*range(117, 131), 4095, 4096, 4097),
)
ID_SIZES: Final = (0, 1, 15, 16, 17, 31, 32, 33, 55, 56, 61, 62, 63, 64, 65, 127, 128, 255, 256, 257, 1024, 8190, 8191)

# Small multiples of G whose coordinates look like something else, found by adding G again and again.
LOOK_ALIKES: Final[dict[str, tuple[str, Callable[[tuple[int, int]], bool]]]] = {
    "x_begins_00": ("the first d whose x begins with 00", lambda q: q[0] >> 248 == 0x00),
    "x_begins_04": ("the first d whose x begins with 04, a format byte", lambda q: q[0] >> 248 == 0x04),
    "x_begins_02": ("the first d whose x begins with 02, a format byte", lambda q: q[0] >> 248 == 0x02),
    "x_begins_40": ("the first d whose x begins with 40: its digits strip like 04", lambda q: q[0] >> 248 == 0x40),
    "x_begins_44": ("the first d whose x begins with 44", lambda q: q[0] >> 248 == 0x44),
    "x_begins_ff": ("the first d whose x begins with ff", lambda q: q[0] >> 248 == 0xFF),
    "y_begins_00": ("the first d whose y begins with 00", lambda q: q[1] >> 248 == 0x00),
    "y_begins_ff": ("the first d whose y begins with ff", lambda q: q[1] >> 248 == 0xFF),
    "x_ends_00": ("the first d whose x ends with 00", lambda q: q[0] & 0xFF == 0x00),
    "y_ends_00": ("the first d whose y ends with 00", lambda q: q[1] & 0xFF == 0x00),
}

# name → (how, d): both ends of the range, halves, powers, runs of ones and of zeros, for every window a ladder may use.
EDGE_KEYS: Final[dict[str, tuple[str, int]]] = {
    "d_1": ("d = 1, so P = G", 1),
    "d_2": ("d = 2, so P = 2G", 2),
    "d_3": ("d = 3", 3),
    "d_n_minus_2": ("d = n − 2, the largest allowed, P = −2G", N - 2),
    "d_n_minus_3": ("d = n − 3, P = −3G", N - 3),
    "d_half": ("d = (n − 1) / 2", (N - 1) // 2),
    "d_half_up": ("d = (n + 1) / 2, the inverse of 2", (N + 1) // 2),
    **{f"d_2_{bit}": (f"d = 2^{bit}", 1 << bit) for bit in (4, 8, 32, 63, 64, 127, 128, 192, 224, 255)},
    **{f"d_2_{bit}_minus_1": (f"d = 2^{bit} − 1, a run of ones", (1 << bit) - 1) for bit in (16, 64, 128, 224, 255)},
    "d_p_minus_n": ("d = p − n", P - N),
    "d_low_half_zero": ("d = n with its low 128 bits zero", N >> 128 << 128),
    "d_high_half_zero": ("d = the low 128 bits of n", N & (1 << 128) - 1),
    "d_ten": ("d = aaaa…, every second bit", int("5" * 64, 16)),
    "d_nibbles": ("d = f0f0…, every second nibble", int("0f" * 32, 16)),
}


class Refused(Protocol):
    """Add a signature that must not verify; what is not named is as in the good one."""

    def __call__(self, name: str, how: str, signature: bytes, **changed: bytes) -> None: ...


def rs(r: int, s: int) -> bytes:
    return plain.b32(r) + plain.b32(s)


def signed(d: int, message: bytes, user_id: bytes, k: int) -> bytes:
    return rs(*plain.sign_digest(d, plain.digest(plain.affine(d), user_id, message), k))


def key_of(name: str) -> int:
    return random.Random(f"sm2 key {name}").randrange(1, N - 1)


def nonce_of(name: str) -> int:
    return random.Random(f"sm2 nonce {name}").randrange(1, N)


def text_of(size: int) -> bytes:
    return random.Random(f"sm2 message {size}").randbytes(size)


def look_alikes() -> dict[str, int]:
    """Return the smallest d of each look-alike."""
    found: dict[str, int] = {}
    d, point = 1, plain.G
    while len(found) < len(LOOK_ALIKES):
        for name, (_, matches) in LOOK_ALIKES.items():
            if name not in found and matches(point):
                found[name] = d
        d, point = d + 1, plain.finite(plain.add(point, plain.G))
    return found


def add_signed(table: Table, name: str, how: str, d: int, message: bytes, user_id: bytes = ID) -> None:
    signature = signed(d, message, user_id, nonce_of(name))
    public = plain.encode(plain.affine(d))
    table.add("verify", name, how, VALID, public=public, user_id=user_id, message=message, signature=signature)


def signatures(table: Table) -> None:
    for size in BOUNDARY_SIZES:
        add_signed(table, f"message_{size}", f"a message of {size} bytes", key_of("sizes"), text_of(size))
    for size in ID_SIZES:
        add_signed(table, f"id_{size}", f"a user ID of {size} bytes", key_of("ids"), b"m", b"i" * size)
    for name, user_id in {"zeros": bytes(16), "ones": b"\xff" * 16, "chinese": "教育部".encode()}.items():
        add_signed(table, f"id_{name}", f"a user ID of {name}", key_of("ids"), b"m", user_id)
    for name, (how, d) in EDGE_KEYS.items():
        add_signed(table, name, how, d, b"edge")
    for name, d in look_alikes().items():
        add_signed(table, name, f"{LOOK_ALIKES[name][0]}: {d}", d, b"look-alike")
    d = key_of("nonces")
    public = plain.affine(d)
    for name, how, k in (
        ("k_1", "k = 1, so R = G", 1),
        ("k_2", "k = 2", 2),
        ("k_n_minus_1", "k = n − 1, so R = −G", N - 1),
        ("k_half", "k = (n + 1) / 2", (N + 1) // 2),
        ("k_is_d", "k = d, so R = P", d),
        ("k_is_minus_d", "k = n − d, so R = −P", N - d),
        ("k_2_255", "k = 2^255", 1 << 255),
    ):
        signature = signed(d, b"nonce", ID, k)
        table.add(
            "verify", name, how, VALID, public=plain.encode(public), user_id=ID, message=b"nonce", signature=signature
        )


def signatures_refused(table: Table) -> None:
    d, message = key_of("refused"), b"a diploma"
    point = plain.affine(d)
    public = plain.encode(point)
    good = signed(d, message, ID, nonce_of("refused"))
    r, s = int.from_bytes(good[:32], "big"), int.from_bytes(good[32:], "big")

    def refused(name: str, how: str, signature: bytes, **changed: bytes) -> None:
        inputs = {"public": public, "user_id": ID, "message": message} | changed
        table.add("verify", name, how, INVALID, **inputs, signature=signature)

    for name, value in {"0": 0, "n": N, "n_plus_1": N + 1, "p": P, "p_minus_1": P - 1, "max": ALL_ONES}.items():
        refused(f"r_{name}", f"r := {name}", rs(value, s))
        refused(f"s_{name}", f"s := {name}", rs(r, value))
    for how, pair in {
        "s := n − r, so t = 0": (r, N - r),
        "r := n − s, so t = 0": (N - s, s),
        "r := 1, s := n − 1, so t = 0": (1, N - 1),
        "r := s := 1, t = 2": (1, 1),
        "r := n − r": (N - r, s),
        "s := n − s": (r, N - s),
        "r and s exchanged": (s, r),
        "s := s + 1": (r, s + 1),
        "r := 1 / r": (pow(r, -1, N), s),
        "s := 1 / s": (r, pow(s, -1, N)),
        "s := 1 / s, r := r / s": (r * pow(s, -1, N) % N, pow(s, -1, N)),
    }.items():
        refused(how.replace(" ", ""), how, rs(*pair))
    for bit in range(3, 512, 16):
        changed = bytearray(good)
        changed[bit // 8] ^= 0x80 >> bit % 8
        refused(f"bit_{bit}", f"bit {bit} of r‖s flipped", bytes(changed))
    _special_sums(refused, d, message)
    refused("p_negated", "the signature of P under −P", good, public=plain.encode(plain.negate(point)))
    refused("p_generator", "the signature of P under G", good, public=plain.encode(plain.G))
    refused("id_nul", "the ID with a zero byte behind it", good, user_id=ID + b"\0")
    refused("id_long", "an ID of 8191 bytes that was not signed under", good, user_id=b"i" * 8191)
    refused("id_swapped", "two bytes of the ID exchanged", good, user_id=b"2134567812345678")
    refused(
        "id_to_message",
        "the last byte of the ID moved to the front of the message",
        good,
        user_id=ID[:-1],
        message=ID[-1:] + message,
    )
    refused("message_nul", "a zero byte behind the message", good, message=message + b"\0")
    refused("message_padded", "the message with SM3's own padding", good, message=message + b"\x80" + bytes(14))
    refused("form_empty", "no signature", b"")
    refused("form_63", "63 bytes", good[1:])
    refused("form_65", "65 bytes", good + b"\0")
    refused("form_zeros", "64 zero bytes", bytes(64))
    refused("form_33_33", "r and s each with a zero octet in front", b"\0" + good[:32] + b"\0" + good[32:])
    for size in (8192, 8193, 65536):
        table.add(
            "verify", f"id_{size}_refused", f"an ID of {size} bytes, whose length in bits does not fit ENTL",
            "crypto.encoding_refused user_id", public=public, user_id=b"i" * size, message=message, signature=good,
        )  # fmt: skip


def _special_sums(refused: Refused, d: int, message: bytes) -> None:
    """Add sums sG + tP that are infinity or a doubling, which whoever holds d can reach."""
    point = plain.affine(d)
    # Any t with s = −td gives sG + tP = O; the digest plays no part.
    for t in (1, 2, nonce_of("infinity")):
        refused(f"infinity_{t % 1000}", f"s = −td for t = {t:x}: sG + tP is infinity", rs((t + t * d) % N, -t * d % N))
    for t in (1, 2, nonce_of("doubling")):
        refused(
            f"doubling_{t % 1000}",
            f"s = td for t = {t:x}: sG = tP, the sum is a doubling",
            rs(t * (1 - d) % N, t * d % N),
        )
    e = plain.digest(point, ID, message)
    refused(
        "infinity_r_e",
        "s = −td and r = e mod n: accepted by who takes x of infinity for 0",
        rs(e % N, -e * d * pow(1 + d, -1, N) % N),
    )
    minus_g = plain.negate(plain.G)
    e = plain.digest(minus_g, ID, message)
    x = plain.affine(N - 5)[0]
    refused(
        "p_minus_g",
        "P = −G, for which sG + tP = −rG whatever s: no signer, r chosen as e + x(−5G)",
        rs((e + x) % N, 7),
        public=plain.encode(minus_g),
    )
