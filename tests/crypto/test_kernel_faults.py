"""What the checks of the kernel are worth: faults planted in its text are seen, and secrets left behind are found."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.crypto.kernel.programs import (
    CHECKS,
    CLANG,
    GCC,
    KERNEL,
    Compiler,
    ProgramFailed,
    compile_objects,
    compile_program,
    kernel_flags,
    kernel_sources,
    run,
    shipped_flags,
)
from tests.crypto.kernel.sm2_lines import all_cases

# The generator is the case's: see sm2_check.c.
GIVEN_RANDOMNESS: Final = ("-Wl,--wrap=getrandom",)


@pytest.fixture(scope="module")
def cases() -> str:
    return all_cases()


@pytest.mark.parametrize("compiler", [GCC, CLANG], ids=lambda compiler: compiler.command)
def test_no_secret_is_left_on_the_stack(compiler: Compiler, tmp_path: Path) -> None:
    """The machine code that is shipped, compilers' own copies included."""
    if not compiler.found:
        pytest.skip(f"{compiler.command} is not installed here")
    program = compile_program(
        compiler,
        tmp_path / "wipe_check",
        [CHECKS / "wipe_check.c", *kernel_sources()],
        flags=shipped_flags(),
        libraries=GIVEN_RANDOMNESS,
    )
    assert ": 0 secrets left on the stack" in run([str(program), "portable"])
    assert ": 0 secrets left on the stack" in run([str(program), "auto"])


# Little faults in the kernel's text, each of which the cases above must see.
PLANTED: Final = {
    "a doubling taken for an addition": (
        "sm2_point.h",
        "if (i == 0) {\n            sum = acc;",
        "if (0) {\n            sum = acc;",
    ),
    "infinity taken for a point": ("sm2_point.h", "jacobian_from_affine(p, &entry);\n        return;", ""),
    "x not compared modulo n": ("sm2_point.h", "round < 2", "round < 1"),
    "a carry of the field lost": ("sm2_field.h", "ct_mask(borrow & (carry ^ 1))", "ct_mask(borrow)"),
    "equal points side by side": ("sm2_point.h", "lane->alone = 1;", "lane->alone = 0;"),
    "a short read taken for all": ("random.c", "have += (size_t)got;", "have = size;"),
    "C3 not compared": ("sm2.c", "wrong |= ~ct_is_zero(difference);", ""),
    "a nonce without the message": ("sm2.c", "memcpy(input + 32, e, 32);", "memset(input + 32, 0, 32);"),
    "r + s = n accepted": ("sm2.c", "if (u256_zero_mask(&claim->t))", "if (0)"),
    "a byte too many written": ("sm2.c", "i < 32 && at + i < size", "i < 32 && at + i < size + 1"),
}
FAST: Final = ("-w", "-O1")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Objects of the kernel as it is, and of the check program, for each planted fault to be linked with."""
    if not GCC.found:
        pytest.skip("gcc is not installed here")
    sources = [*kernel_sources(), CHECKS / "sm2_check.c"]
    objects = compile_objects(GCC, tmp_path_factory.mktemp("sound"), sources, flags=[*kernel_flags(), *FAST])
    return {source.name: built for source, built in zip(sources, objects, strict=True)}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_seen(fault: str, sound: Mapping[str, Path], cases: str, tmp_path: Path) -> None:
    name, right, wrong = PLANTED[fault]
    folder = Path(shutil.copytree(KERNEL, tmp_path / "kernel"))
    text = (folder / name).read_text()
    assert text.count(right) == 1
    (folder / name).write_text(text.replace(right, wrong))
    changed = folder / (name if name.endswith(".c") else "sm2_portable.c")
    # Only the changed text is watched by the address sanitizer; the allocator is anyway.
    flags = [*kernel_flags(), *FAST, "-fsanitize=address"]
    objects = compile_objects(GCC, tmp_path, [changed], flags=flags, kernel=folder)
    others = [built for source, built in sound.items() if source != changed.name]
    program = compile_program(GCC, tmp_path / "faulty", [*objects, *others], flags=flags, libraries=GIVEN_RANDOMNESS)
    with pytest.raises(ProgramFailed, match=r"sm2_check: |AddressSanitizer"):
        run([str(program), "portable"], given=cases)
