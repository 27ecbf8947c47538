"""The kernel's C under the address and undefined-behaviour sanitizers of two compilers, against answers in plain integers.

What runs is the kernel's own text with the check programs of `tests/crypto/kernel`; every report of a sanitizer ends the
program, and so fails the test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.crypto.kernel.programs import (
    CHECKS,
    CLANG,
    GCC,
    KERNEL,
    ROOT,
    SANITIZERS,
    STRICT,
    Compiler,
    ProgramFailed,
    compile_objects,
    compile_program,
    kernel_flags,
    kernel_sources,
    run,
)
from tests.crypto.kernel.sm2_lines import all_cases, arithmetic

MODES: Final = ("portable", "avx2", "avx512")
# The generator is the case's: see sm2_check.c.
GIVEN_RANDOMNESS: Final = ("-Wl,--wrap=getrandom",)
ENVIRONMENT: Final = {
    **os.environ,
    "ASAN_OPTIONS": "detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
MODE_MISSING: Final = "exit 77"
# What a process must have loaded before the extension is.
RUNTIMES: Final = {GCC: ("libasan.so", "libubsan.so"), CLANG: ("libclang_rt.asan-x86_64.so",)}


@pytest.fixture(scope="module", params=[GCC, CLANG], ids=lambda compiler: compiler.command)
def compiler(request: pytest.FixtureRequest) -> Compiler:
    chosen: Compiler = request.param
    if not chosen.found:
        pytest.skip(f"{chosen.command} is not installed here")
    return chosen


@pytest.fixture(scope="module")
def programs(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Compile the kernel once and link each check program with it."""
    folder = tmp_path_factory.mktemp(compiler.command)
    flags = [*kernel_flags(), *STRICT, *SANITIZERS, "-fPIC"]
    objects = compile_objects(compiler, folder, kernel_sources(), flags=flags)
    built = {
        name: compile_program(
            compiler, folder / name, [CHECKS / f"{name}.c", *objects], flags=flags, libraries=libraries
        )
        for name, libraries in (("sm2_check", GIVEN_RANDOMNESS), ("sm3_check", ()), ("sha256_check", ()))
    }
    python = f"-isystem{sysconfig.get_path('include')}"
    built["_kernel"] = compile_program(
        compiler,
        folder / "_kernel.abi3.so",
        [KERNEL / "module.c", *objects],
        flags=[*flags, "-shared", "-shared-libasan" if compiler == CLANG else "-shared", python],
    )
    for name, extra in (("field_portable", ()), ("field_adx", ("-DSM2_FIELD_ADX", "-madx", "-mbmi2"))):
        sources = [CHECKS / "sm2_arithmetic_check.c", KERNEL / "cpu.c"]
        built[name] = compile_program(compiler, folder / name, sources, flags=[*flags, *extra])
    return built


@pytest.fixture(scope="module")
def cases() -> str:
    return all_cases()


def run_in_mode(program: Path, mode: str, given: str = "") -> str:
    try:
        return run([str(program), mode], given=given, environment=ENVIRONMENT)
    except ProgramFailed as failed:
        if MODE_MISSING in str(failed):
            pytest.skip(f"this processor lacks {mode}")
        raise


@pytest.mark.parametrize("mode", MODES[:2])
def test_sm2_gives_the_answers_of_plain_integers_and_no_sanitizer_objects(
    programs: Mapping[str, Path], cases: str, mode: str
) -> None:
    assert f"{cases.count(chr(10))} lines" in run_in_mode(programs["sm2_check"], mode, cases)


# "auto" adds the instructions for SHA-256.
@pytest.mark.parametrize("mode", [*MODES, "auto"])
@pytest.mark.parametrize("name", ["sm3_check", "sha256_check"])
def test_sm3_and_sha256_agree_with_their_standards_and_no_sanitizer_objects(
    programs: Mapping[str, Path], name: str, mode: str
) -> None:
    assert "no difference" in run_in_mode(programs[name], mode)


@pytest.mark.parametrize("field", ["field_portable", "field_adx"])
def test_the_arithmetic_is_right_at_every_carry(programs: Mapping[str, Path], field: str) -> None:
    assert "no difference" in run([str(programs[field])], given=arithmetic(), environment=ENVIRONMENT)


def test_the_module_holds_under_the_sanitizers_whatever_it_is_called_with(
    compiler: Compiler, programs: Mapping[str, Path], tmp_path: Path
) -> None:
    """`test_kernel_module` again in a process whose every allocation is watched, but for what it says of memory in all."""
    for part in ("crypto", "tests/crypto"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("pyproject.toml", "tests/__init__.py", "tests/scale.py", "tests/vectors_dir.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(programs["_kernel"], tmp_path / "crypto")
    runtimes = [run([compiler.command, f"-print-file-name={name}"]).strip() for name in RUNTIMES[compiler]]
    environment = {
        name: value for name, value in ENVIRONMENT.items() if not name.startswith(("PYTEST", "SOAK", "COV"))
    } | {
        "LD_PRELOAD": ":".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": ".",
    }
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:randomly",
         "tests/crypto/test_kernel_module.py", "-k", "not leaks_memory"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment, timeout=280,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
