"""No nonce is ever used twice: not in one thread, not in many, not by a child that began as a copy of its parent."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from crypto.sm2 import BACKENDS, SM2_DEFAULT_ID, Sm2Backend
from tests.crypto.conftest import backend_named
from tests.crypto.test_sm2 import MESSAGE, PRIVATE, PUBLIC

ROOT: Final = Path(__file__).parents[2]
CHILDREN: Final = 8
EACH: Final = 4

# One digest and one key: equal nonces would give equal r. Written for a process of its own, because a process that
# runs tests has threads, and a fork of such a process may deadlock.
FORKING: Final = """
import os, sys
from tests.crypto.conftest import backend_named
name, children, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
private, public = map(bytes.fromhex, sys.argv[4:6])
backend = backend_named(name)
signer, sealer = backend.private_key(private), backend.public_key(public)

def numbers():
    for _ in range(each):
        yield "r " + signer.sign(b"message digest", b"1234567812345678")[:32].hex()
        yield "c1 " + sealer.encrypt(b"message digest")[:65].hex()
        yield "d " + backend.generate().hex()

# The parent uses its generators before it forks, and again afterwards.
lines = list(numbers())
pipes = []
for _ in range(children):
    end, start = os.pipe()
    if os.fork() == 0:
        with os.fdopen(start, "w") as out:
            out.write("\\n".join(numbers()))
        os._exit(0)
    os.close(start)
    pipes.append(end)
lines += numbers()
for end in pipes:
    with os.fdopen(end) as read:
        lines += read.read().split("\\n")
print("\\n".join(lines))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this platform has no fork")
@pytest.mark.parametrize("name", BACKENDS)
def test_a_child_never_repeats_a_nonce_of_its_parent_or_of_another_child(name: str) -> None:
    backend_named(name)
    arguments = (name, str(CHILDREN), str(EACH), PRIVATE.hex(), PUBLIC.hex())
    done = subprocess.run(
        [sys.executable, "-c", FORKING, *arguments], capture_output=True, check=True, text=True, cwd=ROOT, timeout=120
    )
    lines = done.stdout.split()
    assert len(lines) == 2 * 3 * EACH * (CHILDREN + 2)
    assert len(set(lines[1::2])) == len(lines) // 2


def test_threads_never_share_a_nonce(backend: Sm2Backend) -> None:
    each = 10 if backend.name == "gmssl" else 500
    key = backend.private_key(PRIVATE)

    def sign(_: int) -> list[bytes]:
        return [key.sign(MESSAGE, SM2_DEFAULT_ID) for _ in range(each)]

    with ThreadPoolExecutor(8) as pool:
        signatures = [signature for made in pool.map(sign, range(8)) for signature in made]
    assert len({signature[:32] for signature in signatures}) == 8 * each
    assert backend.public_key(PUBLIC).verify_many(
        [(MESSAGE, signature) for signature in signatures[:100]], SM2_DEFAULT_ID
    ) == (True,) * min(100, 8 * each)


def test_threads_never_share_the_nonce_of_an_encryption_or_a_generated_key(backend: Sm2Backend) -> None:
    each = 5 if backend.name == "gmssl" else 100
    key = backend.public_key(PUBLIC)

    def make(_: int) -> list[bytes]:
        return [part for _ in range(each) for part in (key.encrypt(b"m")[:65], backend.generate())]

    with ThreadPoolExecutor(8) as pool:
        made = [part for parts in pool.map(make, range(8)) for part in parts]
    assert len(set(made)) == len(made) == 16 * each


def test_every_signature_of_one_message_has_its_own_nonce(backend: Sm2Backend) -> None:
    key = backend.private_key(PRIVATE)
    count = 20 if backend.name == "gmssl" else 200
    assert len({key.sign(MESSAGE, SM2_DEFAULT_ID)[:32] for _ in range(count)}) == count
