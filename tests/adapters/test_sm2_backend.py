"""Who computes SM2 is chosen once, tested, and told in one line: by doctor, by the set-up and by the start's log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.kek import create_kek
from adapters.server import service
from adapters.settings import check_settings
from adapters.sm2_backend import backend_sentence, checked_backend
from crypto.sm2 import NoSm2Backend, select_backend
from crypto.sm2_libcrypto import LibcryptoBackend
from tests.services.tables import make_tables

EDUTRUST = Path(sys.executable).parent / "edutrust"
Run = Callable[[Coroutine[Any, Any, None]], None]


def doctor(*arguments: str, cpu: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {} if cpu is None else {"EDUTRUST_CPU": cpu}
    return subprocess.run(
        [str(EDUTRUST), "doctor", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("preference", ["auto", "libcrypto"])
def test_the_backend_that_holds_private_keys_passes_every_known_answer(preference: str) -> None:
    assert checked_backend(preference).signs


def test_pure_python_is_never_chosen_for_a_running_service() -> None:
    with pytest.raises(KeyError):
        checked_backend("gmssl")
    assert not select_backend(["gmssl"]).signs
    with pytest.raises(NoSm2Backend):
        select_backend(["none"])


def test_doctor_says_in_one_line_who_serves() -> None:
    done = doctor("--backend")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == backend_sentence(checked_backend()) + "\n"


def test_without_the_kernel_the_line_says_that_libcrypto_serves_instead_and_why() -> None:
    done = doctor("--backend", cpu="no-such-mode")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("SM2 by libcrypto (OpenSSL ")
    assert "which serves instead: EDUTRUST_CPU asks for" in line


def test_libcrypto_chosen_on_purpose_is_said_to_be_configured_where_the_kernel_could_serve() -> None:
    kernel_serves = checked_backend().name == "kernel"
    assert backend_sentence(LibcryptoBackend()).endswith("as configured.") is kernel_serves


def test_doctor_reports_every_known_answer_for_programs_too() -> None:
    done = doctor("--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"] is True
    assert report["sm2"]["certified_module"] is False
    assert report["sentence"] == backend_sentence(checked_backend())
    assert all(test["ok"] for test in report["self_tests"])


def test_the_start_of_the_service_logs_it(tmp_path: Path, run: Run) -> None:
    settings = check_settings({"data_dir": str(tmp_path), "sm2_backend": "libcrypto"})
    create_kek(settings.kek_file, random_bytes=os.urandom)
    make_tables(settings.database_url)
    lines: list[str] = []

    async def story() -> None:
        async with service(settings, write_log=lines.append) as (parts, _):
            assert parts.backend.name == "libcrypto"

    run(story())
    first = json.loads(lines[0])
    assert (first["event"], first["sm2_backend"]) == ("crypto", "libcrypto")
    assert first["sentence"].startswith("SM2 by libcrypto (OpenSSL ")
