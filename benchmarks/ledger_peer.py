"""pymerkle, measured by its own Python: installed once into a virtual environment of its own, from its lock file."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import NotStarted

FOLDER: Final = Path(__file__).parent / "peers" / "pymerkle"
INSTALLED: Final = Path(__file__).parents[1] / "var" / "peers" / "pymerkle"


@dataclass(frozen=True, slots=True)
class Peer:
    """What was measured of it: durable appends one by one and in bulk, proofs, the first proof after reopening."""

    version: str
    leaves: int
    append_per_s: float
    bulk_per_s: float
    proofs_per_s: float
    first_ms: float


def measure_peer(folder: Path, *, seconds: float, leaves: int) -> Peer:
    """Install it where it is not, and measure. Raises `NotStarted` with what was said."""
    python = _python()
    done = subprocess.run(
        [str(python), str(FOLDER / "peer.py"), str(folder), str(seconds), str(leaves)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotStarted(f"pymerkle could not be measured:\n{done.stderr[-2000:]}")
    figures = json.loads(done.stdout)
    (version,) = (line.split("==")[1] for line in (FOLDER / "requirements.in").read_text("utf-8").split())
    return Peer(
        version, leaves, figures["append_per_s"], figures["bulk_per_s"], figures["proofs_per_s"], figures["first_ms"]
    )


def _python() -> Path:
    wanted = (FOLDER / "requirements.txt").read_bytes()
    stamp, python = INSTALLED / ".installed", INSTALLED / "bin" / "python"
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return python
    venv.create(INSTALLED, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run(
        [*pip, "-r", str(FOLDER / "requirements.txt")], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise NotStarted(f"pymerkle could not be installed by {sys.executable}'s pip:\n{done.stderr[-2000:]}")
    stamp.write_bytes(wanted)
    return python
