"""The Go toolchain, for clients in Go that we did not write: the machine's own where it is new enough, else one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Final

LEAST: Final = (1, 26)
"""What the modules of `tests/ledger/c2sp_client` ask for."""
LOCK: Final = Path(__file__).parents[1] / "ledger" / "c2sp_client" / "requirements.txt"
INSTALLED: Final = Path(__file__).parents[2] / "var" / "tools" / "go"


def program() -> str:
    """Return the path of `go`. Raises `CalledProcessError` where there is none and none can be installed."""
    own = shutil.which("go")
    if own is not None and _version(own) >= LEAST:
        return own
    stamp, wanted = INSTALLED / ".installed", LOCK.read_bytes()
    if not stamp.is_file() or stamp.read_bytes() != wanted:
        venv.create(INSTALLED, clear=True, with_pip=True)
        pip = [str(INSTALLED / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True, capture_output=True, timeout=600)
        stamp.write_bytes(wanted)
    return str(INSTALLED / "bin" / "go")


def _version(path: str) -> tuple[int, int]:
    said = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
