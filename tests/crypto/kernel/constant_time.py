"""`make check-constant-time`: no branch and no address of the kernel depends on a secret, seen by valgrind's memcheck.

The machine code that is checked is compiled with the flags an installed kernel is compiled with, by gcc and clang, and for
good measure with other optimisations too. The last line printed gives the number of places memcheck reported; exit 1 unless
it is 0, and exit 1 if memcheck does not report the two leaks planted in the check program itself.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.crypto.kernel.programs import (
    CHECKS,
    CLANG,
    GCC,
    KERNEL,
    Compiler,
    compile_program,
    kernel_sources,
    shipped_flags,
)

MODES: Final = ("portable", "avx2")
MODE_MISSING: Final = 77
REPORTED: Final = 9
PLANTED_LEAKS: Final = 2
# As shipped, and with what another build might choose.
OPTIMISATIONS: Final = ((), ("-O3",), ("-Os",))


@dataclass(frozen=True, slots=True)
class Build:
    """One compilation of the check programs."""

    compiler: Compiler
    extra: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.compiler.command} {' '.join(self.extra) or 'as shipped'}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place memcheck reported: what and where."""

    what: str
    where: str


def say(line: str, *, error: bool = False) -> None:
    """Write one line at once: builds are checked side by side."""
    (sys.stderr if error else sys.stdout).write(line + "\n")
    sys.stdout.flush()


class CheckFailed(Exception):
    """The check could not be made, or gave a wrong answer: no statement about constant time."""


def reports(xml: str) -> list[Finding]:
    """Return the errors of a memcheck report in XML, of whatever kind."""
    found = []
    for error in ET.fromstring(xml).iter("error"):  # noqa: S314 - valgrind wrote it just now
        frame = error.find("stack/frame")
        parts = [] if frame is None else [frame.findtext(tag) or "?" for tag in ("fn", "file", "line")]
        found.append(Finding(error.findtext("kind") or "?", " ".join(parts)))
    return found


def under_memcheck(program: Path, *arguments: str) -> list[Finding] | None:
    """Run a check program under memcheck and return what it reports; None where this processor lacks the mode."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as log:
        done = subprocess.run(
            [
                "valgrind", "--quiet", f"--error-exitcode={REPORTED}", "--error-limit=no", "--num-callers=4",
                "--xml=yes", f"--xml-file={log.name}", str(program), *arguments,
            ],
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        found = reports(Path(log.name).read_text()) if done.returncode in {0, REPORTED} else []
    if done.returncode == MODE_MISSING:
        return None
    # A program that runs to its end with reports exits with REPORTED, one without with 0; anything else is a wrong answer.
    if done.returncode != (REPORTED if found else 0):
        raise CheckFailed(f"{program.name} {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
    return found


def build(chosen: Build, folder: Path, *, kernel: Path = KERNEL) -> tuple[Path, Path, Path]:
    """Compile the programs for SM2, for SM3 and HMAC-SM3, and for SHA-256."""
    # Debug information does not change the code; valgrind reads none newer than DWARF 4.
    flags = [*shipped_flags(), *chosen.extra, "-gdwarf-4", "-w", "-DKERNEL_CT_CHECK"]
    sources = [kernel / source.name for source in kernel_sources()]
    stem = "-".join((chosen.compiler.command, *chosen.extra))
    sm2 = compile_program(
        chosen.compiler, folder / f"sm2{stem}", [CHECKS / "constant_time.c", *sources], flags=flags, kernel=kernel
    )
    of_hashes = [source for source in sources if not source.name.startswith("sm2") and source.name != "random.c"]
    sm3, sha256 = (
        compile_program(
            chosen.compiler,
            folder / f"{name}{stem}",
            [CHECKS / f"{name}_check.c", *of_hashes],
            flags=flags,
            kernel=kernel,
        )
        for name in ("sm3", "sha256")
    )
    return sm2, sm3, sha256


def check(chosen: Build, folder: Path, *, kernel: Path = KERNEL) -> list[Finding]:
    """Build, check that memcheck sees the planted leaks, and return what it reports of the kernel."""
    sm2, sm3, sha256 = build(chosen, folder, kernel=kernel)
    seen = under_memcheck(sm2, "portable", "leaky")
    if seen is None or len(seen) != PLANTED_LEAKS or any("leak" not in leak.where for leak in seen):
        raise CheckFailed(f"{chosen.name}: of {PLANTED_LEAKS} planted leaks memcheck reports {seen}")
    found = []
    for mode in MODES:
        # Many messages at once are checked as shipped; HMAC-SM3 is part of the program for SM2 as well.
        for what, program in (("SM2", sm2), ("SM3", sm3), ("SHA-256", sha256))[: 1 if chosen.extra else None]:
            reported = under_memcheck(program, mode)
            if reported is None:
                say(f"{chosen.name}, {mode}, {what}: not on this processor")
                continue
            say(f"{chosen.name}, {mode}, {what}: {len(reported)} reports")
            found += reported
    return found


def main() -> int:
    """Check every build; print the places found and, last, their number."""
    compilers = [compiler for compiler in (GCC, CLANG) if compiler.found]
    builds = [Build(compiler, extra) for compiler in compilers for extra in OPTIMISATIONS]
    if GCC not in compilers:
        say("check-constant-time: gcc is needed", error=True)
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
            found = [one for each in pool.map(lambda chosen: check(chosen, Path(folder)), builds) for one in each]
    except (CheckFailed, FileNotFoundError) as failed:
        say(f"check-constant-time: {failed}", error=True)
        return 1
    for finding in found:
        say(f"{finding.what} in {finding.where}")
    say(f"secret-dependent branches or accesses found: {len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
