"""The cases whose digest was chosen last, below the interface of each backend: doublings, edges, x of R not below n."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from crypto.errors import KeyRefused, SignatureInvalid
from crypto.sm2 import signature_to_der
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.sm2_cases import VALID, Case, case_id, of_kind
from tests.crypto.test_cross_checks import SEED, patterned
from tests.scale import trials

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = Path(__file__).with_name("sm2_cases_digests.c")
PATTERNS: Final = trials(150, full=10_000)
INPUTS: Final = ("public", "digest", "signature")

each = pytest.mark.parametrize("case", of_kind("digest"), ids=case_id)


@each
def test_the_plain_arithmetic_agrees(case: Case) -> None:
    public, signature = case.inputs["public"], case.inputs["signature"]
    point = int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    e = int.from_bytes(case.inputs["digest"], "big")
    assert plain.verify_digest(point, e, r, s) == (case.result == VALID)


@each
def test_gmssl(gmssl: Any, case: Case) -> None:
    public, digest, signature = (case.inputs[name] for name in INPUTS)
    assert gmssl.public_key(public)._verifies(digest, signature) == (case.result == VALID)


@each
def test_libcrypto(libcrypto: Any, case: Case) -> None:
    public, digest, signature = (case.inputs[name] for name in INPUTS)
    library = libcrypto._library
    try:
        library.verify(library.load_public(public), digest, signature_to_der(signature))
        verdict = True
    except SignatureInvalid:
        verdict = False
    assert verdict == (case.result == VALID)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that verifies digests, compiled from the kernel's own sources as the package compiles them."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here, so no kernel either")
    (extension,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
    sources = [source for source in extension["sources"] if not source.endswith("module.c")]
    built = tmp_path_factory.mktemp("digests") / "sm2_cases_digests"
    arguments = [*extension["extra-compile-args"], "-Icrypto/kernel", str(PROGRAM), *sources, "-o", str(built)]
    done = subprocess.run([compiler, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["auto", "portable"])
def test_the_kernel_with_patterned_scalars(program: Path, mode: str) -> None:
    """Verify with long runs of ones and zeros in s and t, and with both ends of their range; and not the next digest."""
    source = random.Random(SEED)
    d = source.randrange(1, plain.N)
    public = plain.affine(d)
    pairs = [(patterned(source) % (plain.N - 1) + 1, patterned(source) % (plain.N - 1) + 1) for _ in range(PATTERNS)]
    ends = [end for k in range(1, 33) for end in (k, plain.N - k)]
    pairs += [pair for end in ends for pair in ((end, pairs[0][1]), (pairs[0][0], end))]
    lines = []
    for s, t in pairs:
        r = (t - s) % plain.N
        e = (r - plain.affine((s + t * d) % plain.N)[0]) % plain.N
        parts = [(plain.encode(public), plain.b32(digest), plain.b32(r), plain.b32(s)) for digest in (e, e + 1)]
        lines += [b"".join(part).hex() for part in parts]
    done = subprocess.run([program, mode], input="\n".join(lines), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1111", "0000"] * (len(lines) // 2)


@pytest.mark.parametrize("mode", ["auto", "portable"])
def test_the_kernel_with_an_unknown_key_a_known_one_and_in_batches(program: Path, mode: str) -> None:
    cases = of_kind("digest")
    lines = "\n".join("".join(case.inputs[name].hex() for name in INPUTS) for case in cases)
    done = subprocess.run([program, mode], input=lines, capture_output=True, text=True, check=True)
    verdicts = dict(zip((case_id(case) for case in cases), done.stdout.split(), strict=True))
    assert verdicts == {case_id(case): "1111" if case.result == VALID else "0000" for case in cases}


@each
def test_the_kernels_sum_of_two_products(kernel: Any, case: Case) -> None:
    """Two-party signing stands on [a]G + [b]P: the same edges, by the constant-time path."""
    public, signature = case.inputs["public"], case.inputs["signature"]
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % plain.N
    point = int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")
    expected = plain.add(plain.multiply(s, plain.G), plain.multiply(t, point))
    check = sum_of_two(kernel, s, t, public)
    assert check == (None if expected is None or not 0 < s < plain.N else plain.encode(expected))


def sum_of_two(kernel: Any, a: int, b: int, point: bytes) -> bytes | None:
    """Return [a]G + [b]P, None where it is refused."""
    try:
        found: bytes = kernel.multiply_two(plain.b32(a), plain.b32(b), point)
    except KeyRefused:
        return None
    return found
