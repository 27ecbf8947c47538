"""The kernel in a process of its own: a failing random number generator, a fork in the middle, and EDUTRUST_CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from crypto.sm2 import SM2_DEFAULT_ID
from tests.crypto.conftest import backend_named
from tests.crypto.kernel.programs import CHECKS, GCC, ROOT, run
from tests.crypto.sm2_arithmetic import N, affine, digest

PRIVATE: Final = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD, fork and /proc are Linux's")


def in_process(program: str, *arguments: str, **environment: str) -> Any:
    """Run a program in a new Python and return the JSON it prints."""
    backend_named("kernel")
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=120,
        env={name: value for name, value in os.environ.items() if name != "EDUTRUST_CPU"} | environment,
    )  # fmt: skip
    return json.loads(done.stdout)


# ---- the system's random numbers ----

UNDER_FAULTS: Final = """
import ctypes, json, sys
from crypto.sm2 import SM2_DEFAULT_ID, select_backend
from crypto.errors import TrustError

shim = ctypes.CDLL(None)
fault, calls = ctypes.c_int.in_dll(shim, "getrandom_fault"), ctypes.c_ulong.in_dll(shim, "getrandom_calls")
backend = select_backend(["kernel"])
private = bytes.fromhex(sys.argv[2])
key, public = backend.private_key(private), backend.public_key(backend.public_of(private))

def attempt(action):
    fault.value = int(sys.argv[1])
    try:
        return action().hex()
    except TrustError as refused:
        return refused.code
    finally:
        fault.value = 0

signed = [attempt(lambda: key.sign(message, SM2_DEFAULT_ID)) for message in (b"one", b"two", b"one")]
answers = {
    "signed": signed, "generated": attempt(backend.generate), "sealed": attempt(lambda: public.encrypt(b"plain")),
    "calls": calls.value,
}
# Once the generator works again, so does everything else.
public.verify(b"one", key.sign(b"one", SM2_DEFAULT_ID), SM2_DEFAULT_ID)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not GCC.found:
        pytest.skip("gcc is not installed here")
    out = tmp_path_factory.mktemp("shim") / "failing_random.so"
    run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", str(CHECKS / "failing_random.c"), "-o", str(out)])
    return str(out)


def under_fault(shim: str, fault: int) -> Any:
    answers = in_process(UNDER_FAULTS, str(fault), f"{PRIVATE:064x}", LD_PRELOAD=shim)
    assert answers["calls"] >= 5, "the kernel asks the system each time"
    return answers


@pytest.mark.parametrize("fault", [1, 2], ids=["no such call", "an error"])
def test_without_random_bytes_nothing_is_signed_generated_or_sealed(shim: str, fault: int) -> None:
    answers = under_fault(shim, fault)
    assert {*answers["signed"], answers["generated"], answers["sealed"]} == {"crypto.randomness_unavailable"}


def test_interruptions_and_short_reads_are_no_failure(shim: str) -> None:
    answers = under_fault(shim, 3)
    assert len({signature[:64] for signature in answers["signed"]}) == 3
    assert answers["calls"] > 3 * 32
    assert len(answers["generated"]) == 64


def test_a_generator_that_repeats_itself_gives_no_nonce_to_two_messages(shim: str) -> None:
    """The nonce is recovered with the private key: k = s(1 + d) + rd (GB/T 32918.2 §6.1 A6)."""
    first, second, again = (bytes.fromhex(signature) for signature in under_fault(shim, 4)["signed"])
    nonces, points = [], []
    for message, signature in ((b"one", first), (b"two", second)):
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        nonces.append((s * (1 + PRIVATE) + r * PRIVATE) % N)
        points.append((r - digest(affine(PRIVATE), SM2_DEFAULT_ID, message)) % N)
    assert nonces[0] != nonces[1]
    assert points == [affine(k)[0] % N for k in nonces]
    # What freshness alone gave: one message signed twice in the same state of the generator is one signature.
    assert again == first


# ---- a fork in the middle ----

FORKS: Final = """
import json, os, signal, sys, threading
from crypto.sm2 import SM2_DEFAULT_ID, select_backend
backend = select_backend(["kernel"])
private, public = backend.generate_pair()
signer = backend.private_key(private)
rows = [(b"message", signer.sign(b"message", SM2_DEFAULT_ID))] * 30
codes = []
for _ in range(int(sys.argv[1])):
    key = backend.public_key(public)
    begun = threading.Event()
    def build():
        begun.set()
        key.verify_many(rows, SM2_DEFAULT_ID)
    thread = threading.Thread(target=build)
    thread.start()
    begun.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that waits for a thread it does not have would wait for ever
        good = all(key.verify_many(rows, SM2_DEFAULT_ID))
        key.verify(b"child", signer.sign(b"child", SM2_DEFAULT_ID), SM2_DEFAULT_ID)
        key._key.prepare()
        os._exit(0 if good and key._key.prepared else 1)
    thread.join()
    codes.append(os.waitpid(child, 0)[1])
print(json.dumps(codes))
"""


def test_a_child_forked_while_a_table_is_built_has_all_it_needs() -> None:
    assert in_process(FORKS, "60") == [0] * 60


# ---- EDUTRUST_CPU ----

ANSWERS: Final = """
import hashlib, json, sys
from crypto.sm2 import SM2_DEFAULT_ID, signature_to_der
from crypto.sm2_kernel import KernelBackend, KernelUnavailable
from crypto.hash_batch import KernelHashBatch
try:
    backend = KernelBackend()
except KernelUnavailable as refused:
    print(json.dumps([refused.code, refused.field, refused.rule]))
    sys.exit()
private = bytes.fromhex(sys.argv[1])
key = backend.private_key(private)
public = backend.public_key(key.public)
seen = [public.public, backend.multiply(private, key.public), backend.multiply_two(private, private, key.public)]
public.verify(b"m", bytes.fromhex(sys.argv[2]), SM2_DEFAULT_ID)
seen += [bytes(public.verify_many([(bytes([at]), bytes.fromhex(sys.argv[2])) for at in range(130)], SM2_DEFAULT_ID))]
public.verify(b"fresh", key.sign(b"fresh", SM2_DEFAULT_ID), SM2_DEFAULT_ID)
seen += [key.decrypt(public.encrypt(b"plain" * 50))]
data = hashlib.shake_128(b"data").digest(64 * 77)
for batch in (KernelHashBatch("sm3"), KernelHashBatch("sha256")):
    seen += [batch.merkle_nodes(data), batch.merkle_leaves([data[:at] for at in range(300)])]
    seen += batch.merkle_levels(data)
print(json.dumps([backend.version, hashlib.sha256(b"".join(seen)).hexdigest()]))
"""


def answers_of(mode: str) -> Any:
    signature = backend_named("libcrypto").sign(PRIVATE.to_bytes(32, "big"), b"m", SM2_DEFAULT_ID)
    return in_process(ANSWERS, f"{PRIVATE:064x}", signature.hex(), EDUTRUST_CPU=mode)


def test_every_mode_of_the_processor_gives_the_same_answers() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    modes = ["portable", "", "auto"]
    modes += ["avx2"] if {"avx2", "bmi2", "adx"} <= set(flags.split()) else []
    modes += ["avx512"] if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "adx"} <= set(flags.split()) else []
    answers = {mode: answers_of(mode) for mode in modes}
    assert len({digest_of_all for _, digest_of_all in answers.values()}) == 1
    assert answers["portable"][0] == "EduTrust kernel (portable)"
    assert "avx2" not in answers or answers["avx2"][0] == "EduTrust kernel (x86-64 bmi2+adx avx2)"
    assert answers["auto"][0].endswith(" sha2)") == ("sha_ni" in flags.split())
    assert answers["auto"] == answers[""]


@pytest.mark.parametrize("mode", ["nonsense", "AVX2", "avx2 ", "x" * 10_000, "%s%n"])
def test_a_mode_that_is_none_leaves_the_kernel_out_and_says_which_rule(mode: str) -> None:
    assert answers_of(mode) == ["crypto.kernel_unavailable", "kernel", "cpu_mode"]
