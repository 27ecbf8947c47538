"""`edutrust verify`: the verdict of the page, from the file and the trust anchors alone.

Exit codes: 0 valid · 1 invalid, revoked, suspended or superseded · 2 unreadable · 3 unknown (status or trust not to be
had). No input ends in a traceback, and nothing but 0 means valid.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapters.current_status import CurrentStatusClient
from adapters.web.translate import load_translator
from credentials.trust import parse_trust
from credentials.verification import verify_file
from crypto.errors import TrustError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from credentials.verdict import Verdict

EXIT_VALID, EXIT_INVALID, EXIT_UNREADABLE, EXIT_UNKNOWN = 0, 1, 2, 3
_EXIT_CODES = {"valid": EXIT_VALID, "unknown": EXIT_UNKNOWN}
_FILE_SIZE_MAX = 32 * 1024 * 1024  # the largest upload the page takes: the command and the page judge the same files


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_FILE_SIZE_MAX + 1)
    if len(data) > _FILE_SIZE_MAX:
        raise OSError(f"{path.name} is larger than {_FILE_SIZE_MAX} bytes")
    return data


def main(arguments: argparse.Namespace) -> int:
    """Print the verdict and return its exit code."""
    try:
        data, trust_data = _read(arguments.file), _read(arguments.trust)
    except OSError as error:
        return _report_unreadable(arguments, f"cannot be read: {error}")
    try:
        trust = parse_trust(trust_data)
    except TrustError as refused:
        return _report_unreadable(arguments, f"the trust file is refused: {refused}", exit_code=EXIT_UNKNOWN)
    try:
        now = int(time.time())
        verdict = verify_file(data, trust=trust, now=now, status=None)
        if not arguments.offline:
            status = CurrentStatusClient.for_command().fetch_for(data, trust=trust, now=now)
            verdict = verify_file(data, trust=trust, now=now, status=status)
    except TrustError as refused:
        return _report_unreadable(arguments, str(refused))
    _report(arguments, verdict)
    return _EXIT_CODES.get(verdict.verdict, EXIT_INVALID)


def _report(arguments: argparse.Namespace, verdict: Verdict) -> None:
    as_of = None if verdict.as_of is None else datetime.fromtimestamp(verdict.as_of, UTC).isoformat()
    if arguments.json:
        checks = [{"name": c.name, "result": c.result, "evidence": dict(c.evidence)} for c in verdict.checks]
        print(json.dumps({"verdict": verdict.verdict, "as_of": as_of, "checks": checks}, ensure_ascii=False))
        return
    t = load_translator("zh-CN")
    print(t("verdict." + verdict.verdict) + (f"（{as_of}）" if as_of else ""))
    for check in verdict.checks:
        print(f"  {check.result:8} {t('check.' + check.name)}")


def _report_unreadable(arguments: argparse.Namespace, reason: str, *, exit_code: int = EXIT_UNREADABLE) -> int:
    verdict = "unreadable" if exit_code == EXIT_UNREADABLE else "unknown"
    if arguments.json:
        print(json.dumps({"verdict": verdict, "as_of": None, "checks": [], "reason": reason}, ensure_ascii=False))
    else:
        print(reason, file=sys.stderr)
    return exit_code
