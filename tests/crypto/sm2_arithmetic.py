"""SM2 in plain integers, straight from GB/T 32918.2 and .4: builds the negatives, and is a third opinion on the positives."""

from __future__ import annotations

import hashlib
from functools import lru_cache

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
Point = tuple[int, int] | None


def add(a: Point, b: Point) -> Point:
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] + A) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


@lru_cache(maxsize=64)
def doubles(point: Point) -> tuple[Point, ...]:
    """Return P, 2P, 4P, … for the 256 bits of a scalar; G and the keys of the tables come again and again."""
    found = [point]
    for _ in range(255):
        found.append(add(found[-1], found[-1]))
    return tuple(found)


def multiply(k: int, point: Point) -> Point:
    result: Point = None
    for bit, power in enumerate(doubles(point)):
        if k >> bit & 1:
            result = add(result, power)
    return result


def affine(k: int) -> tuple[int, int]:
    return finite(multiply(k, G))


def finite(point: Point) -> tuple[int, int]:
    assert point is not None
    return point


def negate(point: tuple[int, int]) -> tuple[int, int]:
    return point[0], -point[1] % P


def on_curve(point: tuple[int, int]) -> bool:
    return (point[1] ** 2 - point[0] ** 3 - A * point[0] - B) % P == 0


def root(square: int) -> int | None:
    """Return a square root modulo p, which is 3 mod 4, so that it is a power; None for a non-residue."""
    found = pow(square, (P + 1) // 4, P)
    return found if found * found % P == square % P else None


def lift(x: int) -> tuple[int, int] | None:
    """Return the point of the curve with this x and an even y, if there is one."""
    y = root(x**3 + A * x + B)
    if y is None:
        return None
    return x, y if y % 2 == 0 else P - y


def b32(value: int) -> bytes:
    return value.to_bytes(32, "big")


def encode(point: tuple[int, int]) -> bytes:
    return b32(point[0]) + b32(point[1])


def sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def z(public: tuple[int, int], user_id: bytes) -> bytes:
    return sm3((8 * len(user_id)).to_bytes(2, "big") + user_id + b"".join(map(b32, (A, B, *G, *public))))


def digest(public: tuple[int, int], user_id: bytes, message: bytes) -> int:
    return int.from_bytes(sm3(z(public, user_id) + message), "big")


def sign_digest(d: int, e: int, k: int) -> tuple[int, int]:
    r = (e + affine(k)[0]) % N
    return r, pow(1 + d, -1, N) * (k - r * d) % N


def verify_digest(public: tuple[int, int], e: int, r: int, s: int) -> bool:
    if not (0 < r < N and 0 < s < N) or (r + s) % N == 0:
        return False
    point = add(multiply(s, G), multiply((r + s) % N, public))
    return point is not None and (e + point[0]) % N == r


def next_point(x: int, *, step: int = 1) -> tuple[int, int]:
    """Return the point of the curve with this x, or the next one in steps, and an even y."""
    while (point := lift(x)) is None:
        x += step
    return point


def kdf(shared: bytes, length: int) -> bytes:
    stream = b"".join(sm3(shared + counter.to_bytes(4, "big")) for counter in range(1, length // 32 + 2))
    return stream[:length]


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(a, b, strict=True))


def seal(c1: tuple[int, int], shared: tuple[int, int], plaintext: bytes) -> bytes:
    """Return C1‖C3‖C2 for a shared point, however it was come by."""
    x2, y2 = b32(shared[0]), b32(shared[1])
    c2 = xor(plaintext, kdf(x2 + y2, len(plaintext)))
    return b"\x04" + encode(c1) + sm3(x2 + plaintext + y2) + c2


def encrypt(public: tuple[int, int], plaintext: bytes, k: int) -> bytes:
    return seal(affine(k), finite(multiply(k, public)), plaintext)


def decrypt(d: int, raw: bytes) -> bytes | None:
    """Return the plaintext, or None for what does not open."""
    if len(raw) < 98 or raw[0] != 4:
        return None
    c1 = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:65], "big")
    if max(c1) >= P or not on_curve(c1):
        return None
    x2, y2 = map(b32, finite(multiply(d, c1)))
    stream = kdf(x2 + y2, len(raw) - 97)
    plaintext = xor(raw[97:], stream)
    return plaintext if any(stream) and sm3(x2 + plaintext + y2) == raw[65:97] else None
