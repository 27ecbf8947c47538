"""Compiles check programs from the kernel's own sources, the list and the flags of which stand in pyproject.toml alone."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3]
KERNEL: Final = ROOT / "crypto/kernel"
CHECKS: Final = Path(__file__).parent

# What the sources must pass in silence, beside what they are built with.
STRICT: Final = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
SANITIZERS: Final = (
    "-g1",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


class ProgramFailed(Exception):
    """A compiler or a check program said no; the message is what it wrote."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """One compiler, and how the machine it compiles for runs here."""

    command: str
    runner: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        return all(map(shutil.which, (self.command, *self.runner[:1])))

    @property
    def target(self) -> str:
        return self.command.partition("-")[0] if "-linux-" in self.command else "x86_64"


GCC: Final = Compiler("gcc")
CLANG: Final = Compiler("clang")
AARCH64: Final = Compiler("aarch64-linux-gnu-gcc", ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"))


def _extension() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (extension,) = settings["tool"]["setuptools"]["ext-modules"]
    found: dict[str, Any] = extension
    return found


def kernel_sources(*, module: bool = False) -> list[Path]:
    """Return the C files of the extension; module.c, which needs Python, only if asked for."""
    return [ROOT / source for source in _extension()["sources"] if module or not source.endswith("/module.c")]


def kernel_flags() -> list[str]:
    """Return the flags pyproject.toml gives the kernel."""
    flags: list[str] = _extension()["extra-compile-args"]
    return flags


def shipped_flags() -> list[str]:
    """Return the flags an extension of this Python is compiled with, in setuptools' order, then those of the kernel."""
    of_python = (sysconfig.get_config_var(name) or "" for name in ("CFLAGS", "CCSHARED"))
    return [*" ".join(of_python).split(), *kernel_flags()]


def compile_program(
    compiler: Compiler,
    out: Path,
    sources: Sequence[Path],
    *,
    flags: Sequence[str],
    libraries: Sequence[str] = (),
    kernel: Path = KERNEL,
) -> Path:
    """Compile and link; raise `ProgramFailed` with the compiler's words. `kernel` is where the headers are."""
    command = [compiler.command, *flags, f"-I{kernel}", "-o", str(out), *map(str, sources), *libraries]
    run(command)
    return out


def compile_objects(
    compiler: Compiler, folder: Path, sources: Sequence[Path], *, flags: Sequence[str], kernel: Path = KERNEL
) -> list[Path]:
    """Compile each source by itself, for several programs to be linked with."""
    objects = []
    for source in sources:
        objects.append(folder / f"{source.stem}-{compiler.command}.o")
        run([compiler.command, *flags, f"-I{kernel}", "-c", "-o", str(objects[-1]), str(source)])
    return objects


def run(command: Sequence[str], *, given: str = "", environment: dict[str, str] | None = None) -> str:
    """Run to its end and return the standard output; raise `ProgramFailed` unless the exit code is 0."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    if done.returncode != 0:
        raise ProgramFailed(
            f"{' '.join(command[:3])} … exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-8000:]}"
        )
    return done.stdout
