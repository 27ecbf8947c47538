"""Cases for sm2_check.c and sm2_arithmetic_check.c: the edges of the arithmetic, with answers in plain integers.

Every answer comes from `sm2_arithmetic`, which shares no line with the kernel.
"""

from __future__ import annotations

import hmac
import random
from collections.abc import Iterator, Sequence
from typing import Final

from tests.crypto.sm2_arithmetic import (
    G,
    N,
    P,
    Point,
    add,
    affine,
    b32,
    digest,
    encode,
    encrypt,
    finite,
    multiply,
    negate,
    next_point,
    sign_digest,
    verify_digest,
)

# The Montgomery factor of both moduli.
R: Final = 1 << 256
SEED: Final = 20260701


def _near(value: int) -> list[int]:
    return [value + off for off in range(-7, 8)]


def edge_scalars(window: int) -> list[int]:
    """Return scalars in [1, n − 1] that reach the ends of every window of so many bits and the exceptional sums."""
    found = {*range(1, 70), *_near(N)}
    # n − 6 makes the last addition of [k]P a doubling; see variable_mul.
    found |= {N - off for off in range(1, 70)}
    half = 1 << (window - 1)
    repeated = range(0, 256, window)
    for at in repeated:
        found |= {digit << at for digit in (1, half - 1, half, half + 1, 2 * half - 1)}
        found |= {(1 << at) - 1, N - (half << at)}
    # Digits ±half everywhere, carries that ripple from one end to the other, and signs that alternate.
    found |= {sum(digit << at for at in repeated) for digit in (1, half - 1, half, half + 1, 2 * half - 1)}
    found |= {sum(half << at for at in range(start, 256, 2 * window)) for start in (0, window)}
    for byte in (0x01, 0x7F, 0x80, 0x81, 0xAA, 0xFE, 0xFF):
        found |= {byte << 8 * at for at in range(32)} | {int.from_bytes(bytes([byte]) * 32, "big")}
    for power in (63, 64, 127, 128, 191, 192, 224, 251, 252, 253, 254, 255):
        found |= set(_near(1 << power)) | {(1 << power) * digit for digit in range(1, 17)}
    found |= {(N - 1) // 2, (N + 1) // 2, R - N, 2 * (R - N), (1 << 255) - 1, N - (1 << 252), N - (1 << 255)}
    return sorted(k for k in found if 0 < k < N)


def _point(point: Point) -> str:
    return "infinity" if point is None else encode(point).hex()


def _hex(value: int) -> str:
    return b32(value).hex()


def multiplication() -> Iterator[str]:
    """Yield [k]G, [k]P and [a]G + [b]P at the edges, and what is refused."""
    dice = random.Random(SEED)
    other = affine(dice.randrange(1, N))
    for k in edge_scalars(6):
        yield f"multiply_base {_hex(k)} {_point(multiply(k, G))}"
    for k in edge_scalars(5):
        yield f"multiply {_hex(k)} {encode(other).hex()} {_point(multiply(k, other))}"
    for k in [*range(1, 40), *(N - off for off in range(1, 40)), *(dice.randrange(1, N) for _ in range(20))]:
        for point in (G, negate(G)):
            yield f"multiply {_hex(k)} {encode(point).hex()} {_point(multiply(k, point))}"
    for k in (0, N, N + 1, N + 2, P, R - 1):
        yield f"multiply_base {_hex(k)} range"
        yield f"multiply {_hex(k)} {encode(other).hex()} range"
        yield f"multiply_two {_hex(k)} {_hex(1)} {encode(other).hex()} range"
        yield f"multiply_two {_hex(1)} {_hex(k)} {encode(other).hex()} range"
    for bad in bad_points():
        yield f"multiply {_hex(2)} {bad.hex()} off_curve"
        yield f"multiply_two {_hex(2)} {_hex(2)} {bad.hex()} off_curve"
        yield f"public {bad.hex()} off_curve"
    yield from _sums_of_two(dice)


def _sums_of_two(dice: random.Random) -> Iterator[str]:
    for q in (1, 2, 3, 1 << 6, 1 << 8, N - 1, N - 2, dice.randrange(1, N)):
        point = affine(q)
        for b in (1, 2, 5, 16, N - 1, N - 6, dice.randrange(1, N)):
            # Equal, opposite, twice the one the other, and none of these.
            for a in (b * q % N, -b * q % N, 2 * b * q % N, dice.randrange(1, N)):
                total = add(multiply(a, G), multiply(b, point))
                yield f"multiply_two {_hex(a)} {_hex(b)} {encode(point).hex()} {_point(total)}"


def bad_points() -> list[bytes]:
    """Return 64 bytes that are no points: infinity's usual forms, off the curve, coordinates not below p."""
    x, y = G
    at_zero = next_point(0)
    return [
        bytes(64),
        b32(x) + b32(y ^ 1),
        b32(y) + b32(x),
        b32(x) + bytes(32),
        bytes(32) + b32(y),
        b32(P) + b32(P),
        b"\xff" * 64,
        b32(at_zero[0] + P) + b32(at_zero[1]),
        b32(x) + b32(P + 1),
    ]


def private_keys() -> Iterator[str]:
    """Yield private keys at the ends of [1, n − 2]."""
    for d in (1, 2, 3, N - 2, N - 3, N - 4, 1 << 255):
        yield f"private {_hex(d)} {_point(multiply(d, G))}"
    for d in (0, N - 1, N, N + 1, R - 1):
        yield f"private {_hex(d)} range"


def claims_of(point: tuple[int, int], s: int, t: int, offsets: Sequence[int] = (0, 1)) -> list[tuple[int, bytes, bool]]:
    """Return e, r‖s and the verdict such that the verifier computes [s]G + [t]P, for each e moved by an offset.

    A finite sum makes it valid where the offset is 0; for the point at infinity, e is what a verifier would want that takes
    infinity's x for 0. None at all where r would be 0.
    """
    r = (t - s) % N
    total = add(multiply(s, G), multiply(t, point))
    x = 0 if total is None else total[0]
    signature = b32(r) + b32(s)
    return [((r - x + off) % N, signature, total is not None and off % N == 0) for off in offsets if r != 0]


def _claims(dice: random.Random) -> Iterator[tuple[tuple[int, int], list[tuple[int, bytes, bool]]]]:
    """Yield public keys with claims whose partial sums meet equal and opposite points."""
    edges = [1, 2, 5, 127, 128, 129, 255, 256, 1 << 15, 1 << 248, 1 << 255, (1 << 255) - 1, N - 1, N - 2, N - 128]
    for q in (1, N - 1, 2, 1 << 8, N - (1 << 8), dice.randrange(1, N)):
        point = affine(q)
        pairs = [(t * q * sign * times % N, t) for t in edges for sign in (1, -1) for times in (1, 2)]
        pairs += [(s, t) for s in edges[:6] for t in edges[:6]]
        pairs += [(dice.randrange(1, N), dice.randrange(1, N)) for _ in range(6)]
        yield point, [claim for s, t in pairs if s for claim in claims_of(point, s, t)]


def verification() -> Iterator[str]:
    """Yield signatures one by one, the same side by side, and the forms the verifier refuses."""
    dice = random.Random(SEED + 1)
    for point, claims in _claims(dice):
        for e, signature, valid in claims:
            yield f"verify {encode(point).hex()} {_hex(e)} {signature.hex()} {'yes' if valid else 'no'}"
            if e + N < R:
                yield f"verify {encode(point).hex()} {_hex(e + N)} {signature.hex()} {'yes' if valid else 'no'}"
        # 128 and 129 lanes are a whole block and one more; the claims that meet are among random ones.
        for count in (1, 2, 127, 128, 129, 300):
            chosen = [dice.choice(claims) for _ in range(count)]
            yield f"many {encode(point).hex()} {count}"
            for e, signature, valid in chosen:
                yield f"lane {_hex(e)} {signature.hex()} {'yes' if valid else 'no'}"
    yield from _sums_with_large_x(dice)
    public = encode(affine(7)).hex()
    for r, s in ((0, 1), (1, 0), (0, 0), (N, 1), (1, N), (R - 1, 1), (1, R - 1), (1, N - 1), (N - 1, 1), (N - 5, 5)):
        yield f"verify {public} {_hex(5)} {_hex(r)}{_hex(s)} refused"


def _sums_with_large_x(dice: random.Random) -> Iterator[str]:
    """X of the sum in [n, p − 1], which r knows only modulo n, and x below p − n, which two sums could have."""
    for start, step in ((N, 1), (P - 1, -1), (0, 1), (P - N - 1, -1)):
        wanted = next_point(start, step=step)
        s, t = dice.randrange(1, N), dice.randrange(1, N)
        point = finite(multiply(pow(t, -1, N), add(wanted, negate(affine(s)))))
        for e, signature, valid in claims_of(point, s, t, (0, 1, P - N, N - P)):
            r, claimed = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            assert verify_digest(point, e, r, claimed) == valid
            yield f"verify {encode(point).hex()} {_hex(e)} {signature.hex()} {'yes' if valid else 'no'}"


def nonce(d: int, e: int, random_bytes: bytes, attempt: int) -> int:
    """Return k as the kernel makes it: HMAC-SM3 under d of the random bytes, e and the attempt."""
    return int.from_bytes(hmac.digest(b32(d), random_bytes + b32(e) + bytes([attempt]), "sm3"), "big")


def signing() -> Iterator[str]:
    """Yield signatures with given random bytes, among them those of a generator that repeats itself; Z and digests."""
    dice = random.Random(SEED + 2)
    stuck = bytes([0x42]) * 32
    for d in (1, 2, N - 2, N - 3, *(dice.randrange(1, N - 1) for _ in range(8))):
        for e in (0, 1, N - 1, N, N + 1, R - 1, dice.randrange(R)):
            for random_bytes in (bytes(32), b"\xff" * 32, stuck, dice.randbytes(32)):
                for attempt in (0, 255):
                    k = nonce(d, e, random_bytes, attempt)
                    signature = b"".join(map(b32, sign_digest(d, e % N, k)))
                    yield f"sign {_hex(d)} {_hex(e)} {random_bytes.hex()} {attempt:02x} {signature.hex()}"
                    if attempt == 0:
                        yield f"sign_system {_hex(d)} {_hex(e)} {random_bytes.hex()} {signature.hex()}"
    public = affine(5)
    for user_id in (b"", b"a", b"1234567812345678", b"ALICE123@YAHOO.COM", bytes(8191)):
        for size in (0, 1, 31, 32, 33, 63, 64, 200):
            message = dice.randbytes(size)
            answer = _hex(digest(public, user_id, message))
            yield f"digest {encode(public).hex()} {user_id.hex() or '-'} {message.hex() or '-'} {answer}"
    answer = _hex(digest(public, b"1234567812345678", b"abc"))
    yield f"digest {encode(public).hex()} default {b'abc'.hex()} {answer}"
    # Candidates out of range are refused, and the next is taken; 16 in a row are too many; n − 1 is no key.
    refused = b32(0) + b32(N) + b32(R - 1)
    yield f"generate {(refused + b32(N - 2)).hex()} {_hex(N - 2)}{_point(multiply(N - 2, G))}"
    yield f"generate {b32(1).hex()} {_hex(1)}{encode(G).hex()}"
    yield f"generate {(b32(N) * 16).hex()} random"
    yield f"generate {b32(N - 1).hex()} random"
    yield f"generate {refused.hex()} random"


def encryption() -> Iterator[str]:
    """Yield ciphertexts with a given k, and what must not open."""
    dice = random.Random(SEED + 3)
    d = dice.randrange(1, N - 1)
    public = affine(d)
    for size in (1, 2, 31, 32, 33, 63, 64, 65, 200, 65536):
        k, plain = dice.randrange(1, N), dice.randbytes(size)
        cipher = encrypt(public, plain, k)
        yield f"encrypt {encode(public).hex()} {plain.hex()} {b32(k).hex()} {cipher.hex()}"
        yield f"decrypt {_hex(d)} {cipher.hex()} {plain.hex()}"
        for at in (33, 64) if size > 200 else (1, 33, 64, 65, 96, 97, len(cipher) - 1):
            changed = bytearray(cipher)
            changed[at] ^= 1
            yield f"decrypt {_hex(d)} {changed.hex()} {'off_curve' if at < 65 else 'invalid'}"
        for form in (cipher[:97], cipher[:64], b"\x02" + cipher[1:], b"\x00" + cipher[1:], b"\x04", b""):
            yield f"decrypt {_hex(d)} {form.hex() or '-'} form"
        yield f"decrypt {_hex(d)} {(cipher + b'x').hex()} invalid"
    for bad in bad_points():
        yield f"decrypt {_hex(d)} 04{bad.hex()}{bytes(40).hex()} off_curve"
    yield from _zero_streams(d, public)


def _zero_streams(d: int, public: tuple[int, int]) -> Iterator[str]:
    """One byte of key stream is zero once in 256: encryption takes another k, decryption refuses."""
    streams = {k: encrypt(public, b"\x55", k) for k in range(1, 1200)}
    zero = [k for k, cipher in streams.items() if cipher[97] == 0x55]
    good = next(k for k in streams if k not in zero)
    assert zero
    yield f"encrypt {encode(public).hex()} 55 {(b32(zero[0]) + b32(zero[-1]) + b32(good)).hex()} {streams[good].hex()}"
    yield f"encrypt {encode(public).hex()} 55 {(b32(zero[0]) * 64).hex()} random"
    yield f"encrypt {encode(public).hex()} 55 {b32(zero[0]).hex()} random"
    yield f"decrypt {_hex(d)} {streams[zero[0]].hex()} invalid"


def all_cases() -> str:
    """Return every case for sm2_check.c."""
    makers = (multiplication, private_keys, verification, signing, encryption)
    return "".join(f"{line}\n" for maker in makers for line in maker())


def arithmetic() -> str:
    """Return every case for sm2_arithmetic_check.c: limbs of all ones, of none and of the moduli's, in all places."""
    dice = random.Random(SEED + 4)
    lines: list[str] = []
    for name, modulus in (("field", P), ("scalar", N)):
        inverse = pow(R, -1, modulus)
        values = sorted(_edge_values(modulus, dice))
        for a in values:
            unary = {
                "field_square": a * a * inverse % P,
                "field_half": a * pow(2, -1, P) % P,
                "field_triple": 3 * a % P,
                "field_negate": -a % P,
                "field_invert": R * R * pow(a, -1, P) % P if a else 0,
                "field_to_montgomery": a * R % P,
                "field_from_montgomery": a * inverse % P,
            }
            if name == "scalar":
                unary = {"scalar_invert": R * pow(a, -1, N) % N} if a else {}
            lines += [f"{operation} {_hex(a)} {_hex(0)} {_hex(answer)}" for operation, answer in unary.items()]
            for b in values:
                lines += [
                    f"{name}_multiply {_hex(a)} {_hex(b)} {_hex(a * b * inverse % modulus)}",
                    f"{name}_add {_hex(a)} {_hex(b)} {_hex((a + b) % modulus)}",
                    f"{name}_subtract {_hex(a)} {_hex(b)} {_hex((a - b) % modulus)}",
                ]
    lines += [f"scalar_reduce {_hex(a)} {_hex(0)} {_hex(a % N)}" for a in (0, 1, N - 1, N, N + 1, R - N, R - 1)]
    return "".join(f"{line}\n" for line in lines)


def _edge_values(modulus: int, dice: random.Random) -> set[int]:
    limbs = (0, 1, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1)
    found = {sum(dice.choice(limbs) << 64 * at for at in range(4)) for _ in range(60)}
    found |= {limb << 64 * at for limb in limbs for at in range(4)}
    found |= {modulus - 1 - (limb << 64 * at) for limb in limbs for at in range(4)}
    found |= {modulus - off for off in range(1, 4)} | {R % modulus, R * R % modulus, (modulus + 1) // 2, modulus // 2}
    found |= {dice.randrange(modulus) for _ in range(20)}
    return {value for value in found if 0 <= value < modulus}
