"""The `openssl` command as the other side of an exchange: it makes what we read and reads what we make."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

DEFAULT_ID = "1234567812345678"


def openssl(*arguments: str | Path, stdin: bytes = b"", ok: bool = True) -> bytes:
    """Run the command and return what it printed; fail the test where its success is not as expected."""
    program = shutil.which("openssl")
    assert program is not None, "the openssl command is part of the test environment"
    done = subprocess.run(
        [program, *(str(argument) for argument in arguments)], input=stdin, capture_output=True, check=False
    )
    assert (done.returncode == 0) is ok, (arguments, done.stdout[-500:], done.stderr[-2000:])
    return done.stdout


def new_key(path: Path, *, curve: str = "SM2") -> Path:
    """Make a private key file of a curve."""
    path.write_bytes(openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"))
    return path
