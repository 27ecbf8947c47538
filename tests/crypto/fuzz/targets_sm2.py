"""SM2 itself: whatever bytes come in, every fast backend of this machine gives libcrypto's answer or refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Final

from crypto.errors import TrustError
from crypto.sm2 import BACKENDS, SM2_DEFAULT_ID, NoSm2Backend, Sm2Backend, select_backend
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.fuzz.target import Target
from tests.crypto.sm2_cases import VALID, of_kind

D: Final = 0x1234567890ABCDEF
PRIVATE: Final = plain.b32(D)


@cache
def backends() -> tuple[Sm2Backend, ...]:
    """Return libcrypto and what else is fast here. gmssl would be the bottleneck; the cases and cross-checks have it."""
    found = []
    for name in BACKENDS:
        try:
            found.append(select_backend([name]))
        except NoSm2Backend:
            continue
    return tuple(backend for backend in found if backend.signs)


Answer = object


def answer(run: Callable[[], Answer]) -> Answer:
    """Return the answer, or the code, field and rule of the refusal."""
    try:
        return run()
    except TrustError as refused:
        return refused.code, refused.field, refused.rule


def agreed(run: Callable[[Sm2Backend], Answer]) -> Answer:
    first, *others = [answer(partial(run, backend)) for backend in backends()]
    assert all(other == first for other in others), (first, others)
    return first


def verification(data: bytes) -> bool:
    """Check that all agree about 64 bytes of key, 64 of signature, a byte for the length of the ID, ID and message."""
    public, signature, rest = data[:64], data[64:128], data[128:]
    size = rest[0] if rest else 0
    user_id, message = rest[1 : 1 + size], rest[1 + size :]

    def run(backend: Sm2Backend) -> bool:
        backend.verify(public, message, signature, user_id)
        key = backend.public_key(public)
        assert key.verify_many([(message + b"!", signature), (message, signature)], user_id) == (False, True)
        return True

    return agreed(run) is True


def opening(data: bytes) -> bool:
    """Check that all agree about a ciphertext, and that what opens is what the plain arithmetic finds."""
    found = agreed(lambda backend: backend.decrypt(PRIVATE, data))
    if not isinstance(found, bytes):
        return False
    assert plain.decrypt(D, data) == found
    return True


def product(data: bytes) -> bool:
    """Check that all agree about 32 bytes of scalar and what follows as the point, and about the key of that scalar."""
    scalar, point = data[:32], data[32:]
    agreed(lambda backend: backend.multiply_base(scalar))
    agreed(lambda backend: backend.public_of(scalar))
    return isinstance(agreed(lambda backend: backend.multiply(scalar, point)), bytes)


def verification_seeds() -> list[bytes]:
    seeds = []
    for case in of_kind("verify"):
        user_id, message = case.inputs["user_id"], case.inputs["message"]
        if case.result == VALID and len(user_id) < 256 and len(message) < 200:
            seeds.append(case.inputs["public"] + case.inputs["signature"] + bytes((len(user_id),)) + user_id + message)
    assert any(SM2_DEFAULT_ID in seed for seed in seeds)
    return seeds[::4]


def opening_seeds() -> list[bytes]:
    public = plain.affine(D)
    return [plain.encrypt(public, b"p" * size, 10**9 + size) for size in (1, 16, 32, 100)]


def product_seeds() -> list[bytes]:
    return [case.inputs["scalar"] + case.inputs["point"] for case in of_kind("multiply") if case.result == VALID][::3]


TARGETS: Final = (
    Target("sm2_verification", verification, verification_seeds),
    Target("sm2_opening", opening, opening_seeds),
    Target("sm2_product", product, product_seeds),
)
