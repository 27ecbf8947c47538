"""Public keys, private keys and products: edges of the scalar, and points that are none of the curve's."""

from __future__ import annotations

from typing import Final

from tests.crypto import sm2_arithmetic as plain
from tests.crypto.sm2_cases import VALID, Table
from tests.crypto.sm2_cases_signatures import ALL_ONES, EDGE_KEYS, N, P, key_of, nonce_of

A, B = plain.A, plain.B
NO_PUBLIC: Final = "crypto.key_refused public"
NO_PRIVATE: Final = "crypto.key_refused private"
NO_SCALAR: Final = "crypto.key_refused scalar"
NO_POINT: Final = "crypto.key_refused point"

# SEC 2 §2.4.1 and FIPS 186-4 D.1.2.3: generators of other curves of the same size.
SECP256K1: Final = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
P256: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def small_order(order: int) -> tuple[int, int]:
    """Return a point of order 2, 3 or 4 on y² = x³ + ax + b' for some b' that is not b: addition never looks at b."""
    for x in range(2, 1000):
        b = _constant(order, x)
        if b is None or b == B:
            continue
        y = plain.root(x**3 + A * x + b)
        if y is None:
            continue
        point = x, y
        assert plain.multiply(order, point) is None
        assert all(plain.multiply(factor, point) is not None for factor in range(1, order))
        return point
    raise AssertionError(order)


def _constant(order: int, x: int) -> int | None:
    """Return b' such that x is the x of a point of this order: a zero of the division polynomial, solved for b'."""
    if order == 2:
        return -(x**3 + A * x) % P
    if order == 3:
        # ψ3 = 3x⁴ + 6ax² + 12bx − a²
        return (A * A - 6 * A * x * x - 3 * x**4) * pow(12 * x, -1, P) % P
    # ψ4/ψ2 = x⁶ + 5ax⁴ + 20bx³ − 5a²x² − 4abx − 8b² − a³, a quadratic in b
    linear, constant = 20 * x**3 - 4 * A * x, x**6 + 5 * A * x**4 - 5 * A * A * x * x - A**3
    discriminant = plain.root((linear * linear + 32 * constant) % P)
    return None if discriminant is None else (linear + discriminant) * pow(16, -1, P) % P


def on_the_twist() -> tuple[int, int]:
    """Return x of no point of the curve, with a y that puts it on another."""
    x = 2
    while plain.lift(x) is not None:
        x += 1
    return x, 12345


def no_points() -> dict[str, tuple[str, bytes]]:
    """Return 64 bytes or not that are no point: name → (how, bytes)."""
    point = plain.affine(key_of("points"))
    x, y = point
    encoded = plain.encode(point)
    small = plain.next_point(0)
    return {
        "zeros": ("x = y = 0", bytes(64)),
        "ones": ("64 bytes ff", b"\xff" * 64),
        "y_plus_1": ("y := y + 1", plain.encode((x, (y + 1) % P))),
        "x_plus_1": ("x := x + 1", plain.encode(((x + 1) % P, y))),
        "x_zero": ("x := 0", plain.encode((0, y))),
        "y_zero": ("y := 0", plain.encode((x, 0))),
        "exchanged": ("y‖x", plain.encode((y, x))),
        "x_p": ("x := p", plain.encode((P, y))),
        "y_p": ("y := p", plain.encode((x, P))),
        "x_plus_p": (f"the point with x = {small[0]}, written x + p", plain.encode((small[0] + P, small[1]))),
        "y_is_n": ("y := n", plain.encode((x, N))),
        "twist": ("x whose y² has no root: a point of the twist", plain.encode(on_the_twist())),
        "order_2": ("order 2 on a curve with another b", plain.encode(small_order(2))),
        "order_3": ("order 3 on a curve with another b", plain.encode(small_order(3))),
        "order_4": ("order 4 on a curve with another b", plain.encode(small_order(4))),
        "p256": ("the generator of P-256", plain.encode(P256)),
        "secp256k1": ("the generator of secp256k1", plain.encode(SECP256K1)),
        "empty": ("no bytes", b""),
        "infinity": ("the single byte 00", b"\0"),
        "short": ("63 bytes", encoded[:-1]),
        "long": ("65 bytes, a zero behind", encoded + b"\0"),
        "format_byte": ("65 bytes, 04 in front", b"\x04" + encoded),
        "hybrid": ("65 bytes, the hybrid form", bytes((6 + y % 2,)) + encoded),
        "compressed": ("33 bytes, the compressed form", bytes((2 + y % 2,)) + encoded[:32]),
        "x_alone": ("32 bytes", encoded[:32]),
        "reversed": ("x and y with their bytes reversed", encoded[31::-1] + encoded[:31:-1]),
        "hexadecimal": ("128 hexadecimal digits as text", encoded.hex().encode()),
    }


def keys(table: Table) -> None:
    for name, (how, data) in no_points().items():
        table.add("public_key", name, how, NO_PUBLIC, public=data)
    for name, point in {"g": plain.G, "minus_g": plain.negate(plain.G), "least": plain.next_point(0)}.items():
        table.add("public_key", name, f"a good point: {name}", VALID, public=plain.encode(point))
    for name in ("d_1", "d_2", "d_n_minus_2", "d_half", "d_2_128", "d_2_255_minus_1", "d_low_half_zero"):
        how, d = EDGE_KEYS[name]
        table.add("public_of", name, how, plain.encode(plain.affine(d)), private=plain.b32(d))
    for name, value in {"0": 0, "n − 1": N - 1, "n": N, "n + 1": N + 1, "p": P, "2^256 − 1": ALL_ONES}.items():
        table.add("public_of", name, f"d := {name}", NO_PRIVATE, private=plain.b32(value))
    good = plain.b32(key_of("private"))
    for name, data in {"31 bytes": good[1:], "33 bytes": b"\0" + good, "no bytes": b"", "64 bytes": good * 2}.items():
        table.add("public_of", name, name, NO_PRIVATE, private=data)


def products(table: Table) -> None:
    edges = {
        **{name: k for name, (_, k) in EDGE_KEYS.items()},
        "d_n_minus_1": N - 1,
        "d_4": 4,
        "d_5": 5,
        "d_7": 7,
        "d_random": nonce_of("product"),
    }
    point = plain.affine(key_of("product"))
    for name, k in edges.items():
        label = name.removeprefix("d_")
        product = plain.encode(plain.finite(plain.multiply(k, point)))
        table.add("multiply", label, f"[k]P for k = {k:x}", product, scalar=plain.b32(k), point=plain.encode(point))
        table.add("multiply_base", label, f"[k]G for k = {k:x}", plain.encode(plain.affine(k)), scalar=plain.b32(k))
    for label, base in {"g": plain.G, "minus_g": plain.negate(plain.G), "least": plain.next_point(0)}.items():
        product = plain.encode(plain.finite(plain.multiply(nonce_of("base"), base)))
        table.add(
            "multiply",
            f"point_{label}",
            f"[k]P for P = {label}",
            product,
            scalar=plain.b32(nonce_of("base")),
            point=plain.encode(base),
        )
    wrong = {
        "0": bytes(32),
        "n": plain.b32(N),
        "n+1": plain.b32(N + 1),
        "max": b"\xff" * 32,
        "31_bytes": bytes(30) + b"\1",
        "33_bytes": bytes(32) + b"\1",
        "empty": b"",
    }
    for label, scalar in wrong.items():
        table.add("multiply", f"k_{label}", f"k: {label}", NO_SCALAR, scalar=scalar, point=plain.encode(point))
        table.add("multiply_base", f"k_{label}", f"k: {label}", NO_SCALAR, scalar=scalar)
    for label, (how, data) in no_points().items():
        table.add("multiply", f"point_{label}", how, NO_POINT, scalar=plain.b32(nonce_of("base")), point=data)
