"""Secret sharing (Shamir, CACM 22, 1979) over GF(2^8), and the form in which a person keeps, reads out and types a share.

Every byte of the secret is the constant term of a polynomial of degree threshold − 1 whose other coefficients are random;
share number x holds its values at x. Any `threshold` shares give the secret; fewer are, together, distributed the same
for every secret, so they say nothing of it. Arithmetic uses no table and no branch that depends on a secret.

A share says which set it belongs to, how many of the set are needed and which it is, and ends with a check (SM3): a
mistyped share is refused, and so is one of another set. Nobody who holds one share learns from it whether another is
forged; whoever recovers therefore compares the result with a check value kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from crypto.errors import TrustError
from crypto.sm3 import sm3

RandomBytes = Callable[[int], bytes]

SHARE_VERSION: Final = 1
SET_ID_BYTES: Final = 6
MAX_SECRET_BYTES: Final = 64
MAX_LABEL_BYTES: Final = 32
# The field has 255 points beside zero, and each share needs its own.
MAX_SHARES: Final = 255
MIN_THRESHOLD: Final = 2
# A mistyped share passes with a chance of 2^-64.
CHECK_BYTES: Final = 8
_CHECK_DOMAIN: Final = b"edutrust recovery share 1\x00"
# Crockford's base32: no I, L, O, U, so that nothing written by hand is read for another character.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans("OIL", "011")
_GROUP: Final = 5
_GROUPS_A_LINE: Final = 5
# The longest share in its characters, with as many separators again; more is not read at all.
_MAX_TEXT: Final = 1024
# x^8 + x^4 + x^3 + x + 1 (FIPS 197 §4.2); every irreducible polynomial serves as well.
_REDUCTION: Final = 0x1B


class ShareRefused(TrustError):
    """A share, or a set of shares, that gives no secret. `rule` says why; nothing says what a share holds."""

    code = "crypto.share_refused"


@dataclass(frozen=True, slots=True)
class Share:
    """One share: its set (6 bytes), how many are needed, its number (1 to 255), a public label, and its secret value."""

    set_id: bytes
    threshold: int
    index: int
    label: str
    value: bytes = field(repr=False)


def split(secret: bytes, *, shares: int, threshold: int, label: str, random_bytes: RandomBytes) -> tuple[Share, ...]:
    """Return `shares` shares of 1 to 64 bytes, any `threshold` of which give them back; raise `ShareRefused`."""
    if not MIN_THRESHOLD <= threshold <= shares <= MAX_SHARES:
        raise ShareRefused(field="threshold", rule="range", least=MIN_THRESHOLD, most=MAX_SHARES)
    if not 1 <= len(secret) <= MAX_SECRET_BYTES:
        raise ShareRefused(field="secret", rule="length", most=MAX_SECRET_BYTES)
    if not label.isascii() or not label.isprintable() or not 1 <= len(label) <= MAX_LABEL_BYTES:
        raise ShareRefused(field="label", rule="form")
    set_id = random_bytes(SET_ID_BYTES)
    # Coefficients from the highest down to the secret itself, a byte of each for every byte of the secret.
    coefficients = [random_bytes(len(secret)) for _ in range(threshold - 1)] + [secret]
    return tuple(
        Share(
            set_id, threshold, index, label, bytes(_evaluate(terms, index) for terms in zip(*coefficients, strict=True))
        )
        for index in range(1, shares + 1)
    )


def combine(shares: Sequence[Share]) -> bytes:
    """Return the secret; raise `ShareRefused` for shares of several sets, one share twice, or too few.

    Where more shares come than are needed, all of them must lie on one polynomial.
    """
    if not shares:
        raise ShareRefused(field="shares", rule="too_few", wanted=MIN_THRESHOLD)
    first = shares[0]
    for share in shares:
        same = (share.set_id, share.threshold, share.label, len(share.value))
        if same != (first.set_id, first.threshold, first.label, len(first.value)):
            raise ShareRefused(field="shares", rule="other_set")
    if len({share.index for share in shares}) != len(shares):
        raise ShareRefused(field="shares", rule="twice")
    if len(shares) < first.threshold:
        raise ShareRefused(field="shares", rule="too_few", wanted=first.threshold)
    needed = shares[: first.threshold]
    for more in shares[first.threshold :]:
        if _interpolate(needed, more.index) != more.value:
            raise ShareRefused(field="shares", rule="inconsistent")
    return _interpolate(needed, 0)


def write_share(share: Share) -> str:
    """Return the share as upper-case letters and digits, in lines of five groups of five."""
    body = bytes((SHARE_VERSION, share.threshold, share.index)) + share.set_id
    body += bytes((len(share.label),)) + share.label.encode("ascii") + share.value
    data = body + _check(body)
    bits = len(data) * 8
    characters = -(-bits // 5)
    number = int.from_bytes(data, "big") << (characters * 5 - bits)
    text = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(characters - 1, -1, -1))
    groups = [text[at : at + _GROUP] for at in range(0, len(text), _GROUP)]
    lines = [" ".join(groups[at : at + _GROUPS_A_LINE]) for at in range(0, len(groups), _GROUPS_A_LINE)]
    return "\n".join(lines)


def read_share(text: str) -> Share:
    """Return the share; case, spaces, line ends and dashes do not matter, O is read as 0, I and L as 1.

    Raises `ShareRefused`: rule characters, check (mistyped or damaged), version, or form.
    """
    if len(text) > _MAX_TEXT:
        raise ShareRefused(field="share", rule="length", most=_MAX_TEXT)
    typed = "".join(text.upper().replace("-", " ").split()).translate(_READ_AS)
    if not typed or not typed.isascii() or any(character not in _ALPHABET for character in typed):
        raise ShareRefused(field="share", rule="characters")
    spare = len(typed) * 5 % 8
    number = reduce(lambda found, character: found << 5 | _ALPHABET.index(character), typed, 0)
    # The bits that fill up the last character are zero, so that a share is written in one way only.
    if spare >= 5 or number & (1 << spare) - 1:
        raise ShareRefused(field="share", rule="check")
    data = (number >> spare).to_bytes(len(typed) * 5 // 8, "big")
    body, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
    if _check(body) != check:
        raise ShareRefused(field="share", rule="check")
    return _parse(body)


def _parse(body: bytes) -> Share:
    head = 3 + SET_ID_BYTES
    if body[:1] != bytes((SHARE_VERSION,)):
        raise ShareRefused(field="share", rule="version")
    if len(body) <= head:
        raise ShareRefused(field="share", rule="form")
    threshold, index, label_ends = body[1], body[2], head + 1 + body[head]
    label, value = body[head + 1 : label_ends], body[label_ends:]
    if threshold < MIN_THRESHOLD or index == 0 or not label.isascii() or not 1 <= len(value) <= MAX_SECRET_BYTES:
        raise ShareRefused(field="share", rule="form")
    text = label.decode("ascii")
    if not text.isprintable() or not 1 <= len(text) <= MAX_LABEL_BYTES:
        raise ShareRefused(field="share", rule="form")
    return Share(body[3:head], threshold, index, text, value)


def _check(body: bytes) -> bytes:
    return sm3(_CHECK_DOMAIN + body)[:CHECK_BYTES]


def _evaluate(terms: Sequence[int], at: int) -> int:
    """Horner's rule, the highest coefficient first."""
    value = 0
    for term in terms:
        value = _multiply(value, at) ^ term
    return value


def _interpolate(shares: Sequence[Share], at: int) -> bytes:
    """Return the polynomials' values at a point (Lagrange); the points are public, the values are not."""
    result = bytes(len(shares[0].value))
    for share in shares:
        weight = 1
        for other in shares:
            if other.index != share.index:
                weight = _multiply(weight, _multiply(at ^ other.index, _invert(share.index ^ other.index)))
        result = bytes(old ^ _multiply(value, weight) for old, value in zip(result, share.value, strict=True))
    return result


def _multiply(left: int, right: int) -> int:
    """Multiply in GF(2^8): eight rounds of shift and mask, whatever the operands."""
    product = 0
    for _ in range(8):
        product ^= left & -(right & 1)
        left = (left << 1 & 0xFF) ^ (_REDUCTION & -(left >> 7))
        right >>= 1
    return product


def _invert(value: int) -> int:
    """Return value^254, the inverse of every element but zero (Fermat)."""
    result = 1
    for bit in (1, 1, 1, 1, 1, 1, 1, 0):
        result = _multiply(result, result)
        if bit:
            result = _multiply(result, value)
    return result
