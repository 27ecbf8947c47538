"""Signatures of given digests: what no message can be found for, because e is chosen last.

The public key is made from the point R the verifier must reach: P = t⁻¹(R − sG), then r = t − s and e = r − x(R). So
doublings, sums at the edges, and an R whose x is not below n can all be had, with valid signatures.
"""

from __future__ import annotations

from tests.crypto import sm2_arithmetic as plain
from tests.crypto.sm2_cases import VALID, Table
from tests.crypto.sm2_cases_signatures import ALL_ONES, INVALID, key_of, nonce_of, rs

N, P = plain.N, plain.P


def add_reached(
    table: Table, name: str, how: str, s: int, t: int, reached: plain.Point, *, public: plain.Point = None
) -> None:
    """Add the valid signature (t − s, s) whose verification reaches this point."""
    point = plain.finite(reached)
    if public is None:
        public = plain.multiply(pow(t, -1, N), plain.add(point, plain.negate(plain.affine(s))))
    r = (t - s) % N
    e = (r - point[0]) % N
    key = plain.finite(public)
    assert plain.verify_digest(key, e, r, s), name
    table.add("digest", name, how, VALID, public=plain.encode(key), digest=plain.b32(e), signature=rs(r, s))


def digests(table: Table) -> None:
    d = key_of("digests")
    public = plain.affine(d)
    edges = {
        "1": 1, "2": 2, "3": 3, "15": 15, "16": 16, "17": 17, "31": 31, "32": 32, "2^64": 1 << 64, "2^128−1": (1 << 128) - 1,
        "2^128": 1 << 128, "2^255": 1 << 255, "2^255−1": (1 << 255) - 1, "(n−1)/2": (N - 1) // 2, "(n+1)/2": (N + 1) // 2,
        "n−6": N - 6, "n−3": N - 3, "n−2": N - 2, "n−1": N - 1,
    }  # fmt: skip
    other = nonce_of("scalar")
    for name, scalar in edges.items():
        for label, s, t in ((f"s={name}", scalar, other), (f"t={name}", other, scalar)):
            reached = plain.affine((s + t * d) % N)
            add_reached(table, label, f"{label}, an edge of every recoding of the scalar", s, t, reached, public=public)
    for s, t in ((1, 2), (1, N - 1), (N - 1, 1), (N - 1, N - 2), (2, 1)):
        add_reached(
            table, f"s_{s:x}_t_{t:x}", f"s = {s:x}, t = {t:x}", s, t, plain.affine((s + t * d) % N), public=public
        )
    for index, s in enumerate((1, 2, N - 1, nonce_of("double"), nonce_of("double 2"))):
        t = nonce_of(f"double t {index}")
        how = f"sG = tP for s = {s:x}: the sum is a doubling"
        add_reached(table, f"doubling_{index}", how, s, t, plain.affine(2 * s % N))
    # Few digits: the one addition that completes the sum is itself the doubling, or meets the opposite point.
    few = {"1": 1, "2": 2, "16": 16, "127": 127, "128": 128, "129": 129, "n−1": N - 1, "n−3": N - 3, "n−128": N - 128}
    for label, t in few.items():
        s = nonce_of(f"few {label}")
        add_reached(table, f"doubling_t={label}", f"sG = tP for t = {label}", s, t, plain.affine(2 * s % N))
        opposite = plain.multiply(-s * pow(t, -1, N) % N, plain.G)
        table.add(
            "digest", f"infinity_t={label}", f"sG = −tP for t = {label}: the sum is infinity", INVALID,
            public=plain.encode(plain.finite(opposite)), digest=plain.b32((t - s) % N), signature=rs((t - s) % N, s),
        )  # fmt: skip
    for index, s in enumerate((5, nonce_of("near"))):
        t = nonce_of(f"near t {index}")
        # 2sG ± G on the way: the addition next to a doubling.
        add_reached(table, f"near_doubling_{index}", "tP = sG + G", s, t, plain.affine((2 * s + 1) % N))
        add_reached(table, f"near_infinity_{index}", "tP = G − sG, so the sum is G", s, t, plain.G)
    x = N
    for index in range(4):
        reached = plain.next_point(x)
        x = reached[0]
        how = f"x(R) = n + {x - N}: r = e + x(R) − n, so x must be reduced mod n"
        add_reached(
            table, f"x_beyond_n_{index}", how, nonce_of(f"beyond s {index}"), nonce_of(f"beyond t {index}"), reached
        )
        x += 1
    reached = plain.next_point(P - 1, step=-1)
    x = reached[0]
    add_reached(
        table, "x_greatest", f"x(R) = p − {P - x}, the greatest x of the curve", 7, nonce_of("greatest"), reached
    )
    reached = plain.next_point(0)
    x = reached[0]
    add_reached(table, "x_least", f"x(R) = {x}, the least x of the curve", 7, nonce_of("least"), reached)
    _digest_values(table, d)


def _digest_values(table: Table, d: int) -> None:
    """Digests are integers of 256 bits: those not below n count modulo n."""
    public = plain.affine(d)
    key = plain.encode(public)
    for name, e in {"0": 0, "1": 1, "n−1": N - 1, "n": N, "n+1": N + 1, "p": P, "2^256−1": ALL_ONES}.items():
        signature = rs(*plain.sign_digest(d, e, nonce_of(f"e {name}")))
        table.add(
            "digest", f"e={name}", f"the digest is {name}", VALID, public=key, digest=plain.b32(e), signature=signature
        )
        table.add(
            "digest", f"e={name}_plus_1", f"the signature of the digest {name} over the digest after it", INVALID,
            public=key, digest=plain.b32((e + 1) % (1 << 256)), signature=signature,
        )  # fmt: skip
    for r in (1, 5, (1 << 224) - 1):
        s = nonce_of(f"small r {r}")
        e = (r - plain.affine((s + (r + s) * d) % N)[0]) % N
        inputs = {"public": key, "digest": plain.b32(e)}
        table.add("digest", f"small_r_{r:x}", f"r = {r:x}", VALID, **inputs, signature=rs(r, s))
        table.add(
            "digest", f"small_r_{r:x}_plus_n", f"r = {r:x} written as r + n", INVALID, **inputs, signature=rs(r + N, s)
        )
    for s in (1, 6, (1 << 224) - 1):
        e = nonce_of(f"small s {s}")
        # s = (1 + d)⁻¹(k − rd) is wished for: R = sG + tP needs r = t − s, so t is free and e follows.
        t = e
        r = (t - s) % N
        inputs = {"public": key, "digest": plain.b32((r - plain.affine((s + t * d) % N)[0]) % N)}
        table.add("digest", f"small_s_{s:x}", f"s = {s:x}", VALID, **inputs, signature=rs(r, s))
        table.add(
            "digest", f"small_s_{s:x}_plus_n", f"s = {s:x} written as s + n", INVALID, **inputs, signature=rs(r, s + N)
        )
    # A verifier that reduces x(R) by p where n is meant, or takes infinity for x = 0, accepts these.
    for name, e in {"e_zero": 0, "e_random": nonce_of("infinity e")}.items():
        t = e or 9
        r, s = (t + t * d) % N, -t * d % N
        table.add(
            "digest",
            f"infinity_{name}",
            "sG + tP is infinity",
            INVALID,
            public=key,
            digest=plain.b32(e),
            signature=rs(r, s),
        )
        table.add(
            "digest", f"infinity_{name}_r_is_e", "sG + tP is infinity and r = e", INVALID,
            public=key, digest=plain.b32(r), signature=rs(r, s),
        )  # fmt: skip
