"""The kernel beyond this machine: two compilers without a word of complaint, aarch64, and the wheel that carries it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.crypto.kernel.programs import (
    AARCH64,
    CHECKS,
    CLANG,
    GCC,
    ROOT,
    STRICT,
    Compiler,
    compile_objects,
    compile_program,
    kernel_flags,
    kernel_sources,
    run,
)
from tests.crypto.kernel.sm2_lines import all_cases

WHEEL: Final = "edutrust-*-cp311-abi3-linux_x86_64.whl"
EXTENSION: Final = "crypto/_kernel.abi3.so"

# Run in an environment of its own, outside the source tree: what is imported comes from the wheel.
SIGNS: Final = """
from crypto.sm2 import BACKENDS, SM2_DEFAULT_ID, select_backend
backend = select_backend(BACKENDS)
private, public = backend.generate_pair()
signature = backend.private_key(private).sign(b"message", SM2_DEFAULT_ID)
backend.verify(public, b"message", signature, SM2_DEFAULT_ID)
print(backend.name)
"""
HASHES: Final = """
from crypto.hash_batch import select_hash_batch
print(select_hash_batch("sm3").name, select_hash_batch("sha256").name)
"""
SAYS_WHY: Final = """
from crypto.sm2_kernel import KernelBackend, KernelUnavailable
try:
    KernelBackend()
except KernelUnavailable as refused:
    print(refused.code, refused.rule)
"""


def needed(compiler: Compiler) -> Compiler:
    if not compiler.found:
        pytest.skip(f"{compiler.command} {' '.join(compiler.runner[:1])} not installed here")
    return compiler


@pytest.mark.parametrize("compiler", [GCC, CLANG, AARCH64], ids=lambda compiler: compiler.command)
def test_every_source_compiles_without_a_warning(compiler: Compiler, tmp_path: Path) -> None:
    # Python's own headers are not ours to warn about; those of this machine serve the cross compiler too.
    flags = [*kernel_flags(), *STRICT, "-fPIC", f"-isystem{sysconfig.get_path('include')}"]
    compile_objects(needed(compiler), tmp_path, kernel_sources(module=True), flags=flags)


# "neon" is four lanes of Advanced SIMD; "auto" the SHA2 instructions for SHA-256 as well, which the emulated processor has.
# SM2 there is the portable curve in any mode.
@pytest.mark.parametrize(
    ("name", "modes"),
    [("sm2_check", ["auto"]), ("sm3_check", ["portable", "auto"]), ("sha256_check", ["portable", "neon", "auto"])],
)
def test_aarch64_gives_the_same_answers(name: str, modes: list[str], tmp_path: Path) -> None:
    compiler = needed(AARCH64)
    wrapped = ["-Wl,--wrap=getrandom"] if name == "sm2_check" else []
    program = compile_program(
        compiler, tmp_path / name, [CHECKS / f"{name}.c", *kernel_sources()], flags=kernel_flags(), libraries=wrapped
    )
    for mode in modes:
        assert "no difference" in run([*compiler.runner, str(program), mode], given=all_cases() if wrapped else "")


def build_wheel(folder: Path, **environment: str) -> Path:
    """Build the wheel in a copy of the sources, so that nothing is left in the tree."""
    tree, out = folder / "tree", folder / "wheels"
    tree.mkdir()
    for part in ("pyproject.toml", "README.md", "LICENSE", "requirements", "crypto", "ledger"):
        run(["cp", "-r", str(ROOT / part), str(tree)])
    for built in tree.glob("crypto/*.so"):
        built.unlink()
    run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-build-isolation", "--wheel-dir", str(out), str(tree)],
        environment={**os.environ, **environment},
    )  # fmt: skip
    (wheel,) = out.iterdir()
    return wheel


def installed(wheel: Path, folder: Path) -> str:
    """Unpack the wheel into an environment that has this one's packages; return its Python."""
    venv.create(folder / "venv", system_site_packages=True, with_pip=False, symlinks=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    # The locked packages are those of the environment the tests run in; the sources are not on the path.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return str(folder / "venv/bin/python")


def answer(python: str, program: str, folder: Path) -> str:
    done = subprocess.run(
        [python, "-P", "-c", program], capture_output=True, text=True, check=True, cwd=folder, timeout=120,
        env={name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "EDUTRUST_CPU"}},
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel's tag names Linux")
def test_the_wheel_serves_every_python_from_3_11_and_brings_the_kernel(tmp_path: Path) -> None:
    needed(GCC)
    wheel = build_wheel(tmp_path, CC="gcc")
    assert wheel.match(WHEEL)
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if name.endswith(".so")] == [EXTENSION]
        (tmp_path / "kernel.so").write_bytes(archive.read(EXTENSION))
    assert private_names_used(tmp_path / "kernel.so") == []
    python = installed(wheel, tmp_path)
    assert answer(python, SIGNS, tmp_path) == "kernel"
    assert answer(python, HASHES, tmp_path) == "kernel kernel"


def private_names_used(extension: Path) -> list[str]:
    """Return what the extension takes from Python beyond its stable ABI (C API reference, "Contents of Limited API")."""
    table = run(["nm", "--dynamic", "--undefined-only", str(extension)])
    names = [line.split()[-1] for line in table.splitlines()]
    # What the public names Py_None, Py_DECREF and, with PY_SSIZE_T_CLEAN, PyArg_… and Py_BuildValue stand for.
    stable = {
        "_Py_NoneStruct",
        "_Py_TrueStruct",
        "_Py_FalseStruct",
        "_Py_Dealloc",
        "_PyArg_ParseTupleAndKeywords_SizeT",
        "_Py_BuildValue_SizeT",
    }
    return [name for name in names if name.startswith("_Py") and name not in stable]


def test_without_a_compiler_the_package_is_built_without_the_kernel_and_libcrypto_serves(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, CC="/bin/false")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
    python = installed(wheel, tmp_path)
    assert answer(python, SIGNS, tmp_path) == "libcrypto"
    assert answer(python, HASHES, tmp_path) == "hashlib hashlib"
    assert answer(python, SAYS_WHY, tmp_path) == "crypto.kernel_unavailable not_compiled"
