"""SM2 in plain integers, straight from GB/T 32918.2: builds the negatives, and is a third opinion on the positives."""

from __future__ import annotations

import hashlib

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


def multiply(k: int, point: Point) -> Point:
    result: Point = None
    while k:
        if k & 1:
            result = add(result, point)
        point = add(point, point)
        k >>= 1
    return result


def affine(k: int) -> tuple[int, int]:
    point = multiply(k, G)
    assert point is not None
    return point


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
