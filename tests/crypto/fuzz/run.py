"""`python -m tests.crypto.fuzz.run TARGET -runs=N -seed=S …`: fuzz one target with atheris; further flags are libFuzzer's.

The instrumented parsers start from the target's seeds, or from the folders named behind the flags. A finding prints the
bytes and ends with an exit code that is not 0.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

# What is fuzzed is instrumented while it is imported, so the targets are imported here and not above.
TARGETS_MODULE = "tests.crypto.fuzz.targets"


def main(arguments: list[str]) -> None:
    """Fuzz, and end the process."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["crypto"]):
        targets = importlib.import_module(TARGETS_MODULE).TARGETS
    if not arguments or arguments[0] not in targets:
        sys.exit(f"targets: {' '.join(targets)}")
    target = targets[arguments[0]]

    def one(data: bytes) -> None:
        try:
            target.check(data)
        except BaseException:
            sys.stderr.write(f"FOUND {target.name} {data.hex()}\n")
            raise

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds()):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        flags = [f"-artifact_prefix={folder}/", *arguments[1:]]
        corpus = [] if any(not flag.startswith("-") for flag in arguments[1:]) else [folder]
        atheris.Setup([sys.argv[0], *flags, *corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
