"""`edutrust doctor`: which SM2 backend serves, and whether every known answer comes out."""

from __future__ import annotations

import argparse
import json
import platform

from adapters.commands.outcome import CommandFailed
from adapters.sm2_backend import backend_sentence
from crypto.errors import TrustError
from crypto.selftest import run_selftests
from crypto.sm2 import BACKENDS, select_backend


def main(arguments: argparse.Namespace) -> int:
    """Print the backend, its version and each self-test; 0 when all passed."""
    try:
        backend = select_backend(BACKENDS)
    except TrustError as refused:
        raise CommandFailed(f"No SM2 backend can be used on this machine: {refused}") from refused
    if arguments.backend:
        print(backend_sentence(backend))
        return 0
    results = run_selftests(backend)
    passed = all(result.ok for result in results)
    if arguments.json:
        report = {
            "ok": passed,
            "sm2": {"backend": backend.name, "version": backend.version, "certified_module": False},
            "sentence": backend_sentence(backend),
            "python": platform.python_version(),
            "self_tests": [{"name": result.name, "ok": result.ok, "detail": result.detail} for result in results],
        }
        print(json.dumps(report, ensure_ascii=False))
        return 0 if passed else 1
    print(backend_sentence(backend))
    print("A software module, not a certified one.")
    for result in results:
        print(f"{'pass' if result.ok else 'FAIL'}  {result.name}{': ' + result.detail if result.detail else ''}")
    return 0 if passed else 1
