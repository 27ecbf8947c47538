"""`edutrust verify`: the verdict of the page, from the file and the trust anchors alone.

Exit codes: 0 valid · 1 invalid, revoked, suspended or superseded · 2 unreadable · 3 unknown (status or trust not to be
had). No input ends in a traceback, and nothing but 0 means valid. Without `--offline` the newest status list is fetched
from the address the credential names; where it cannot be had, the verdict is unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from adapters.http.outbound import OutboundClient, OutboundFailed, OutboundRefused
from adapters.web.catalogue import DEFAULT_LANGUAGE, load
from credentials.errors import DocumentAltered
from credentials.status import CurrentStatus
from credentials.trust import TrustAnchors, parse_trust
from credentials.verdict import Outcome, Verdict
from credentials.verification import bundle_in, status_uri_in, verify_file
from crypto.errors import TrustError

EXIT_VALID: Final = 0
EXIT_INVALID: Final = 1
EXIT_UNREADABLE: Final = 2
EXIT_UNKNOWN: Final = 3
_FILE_SIZE_MAX: Final = 32 * 1024 * 1024  # the largest upload the page takes: both judge the same files
_STATUS_TYPE: Final = "application/statuslist+jwt"


def main(arguments: argparse.Namespace) -> int:
    """Print the verdict and return its exit code."""
    try:
        data, trust_data = _read(arguments.file), _read(arguments.trust)
    except OSError as error:
        return _report_none(arguments, "unreadable", f"cannot be read: {error.strerror or error}", EXIT_UNREADABLE)
    try:
        trust = parse_trust(trust_data)
    except TrustError as refused:
        return _report_none(arguments, "unknown", f"the trust file is refused: {refused}", EXIT_UNKNOWN)
    try:
        verdict = _judge(data, trust, offline=arguments.offline, allow=arguments.allow)
    except DocumentAltered as refused:
        return _report_none(arguments, "invalid", f"document altered ({refused})", EXIT_INVALID)
    except TrustError as refused:
        return _report_none(arguments, "unreadable", str(refused), EXIT_UNREADABLE)
    except Exception as error:  # noqa: BLE001  # whatever a file does to a parser, it is not valid, and no traceback
        return _report_none(arguments, "unreadable", f"cannot be judged ({type(error).__name__})", EXIT_UNREADABLE)
    _report(arguments, verdict)
    if verdict.outcome is Outcome.VALID:
        return EXIT_VALID
    return EXIT_UNKNOWN if verdict.outcome is Outcome.UNKNOWN else EXIT_INVALID


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_FILE_SIZE_MAX + 1)
    if len(data) > _FILE_SIZE_MAX:
        raise OSError(f"larger than {_FILE_SIZE_MAX} bytes")
    return data


def _judge(data: bytes, trust: TrustAnchors, *, offline: bool, allow: Sequence[str]) -> Verdict:
    now = int(time.time())
    if offline:
        return verify_file(data, trust=trust, now=now, status=None)
    bundle = bundle_in(data)
    uri = None if bundle is None else status_uri_in(bundle)
    if uri is None:
        return verify_file(data, trust=trust, now=now, status=None)
    token = asyncio.run(_status_token(uri, allow))
    return verify_file(data, trust=trust, now=int(time.time()), status=CurrentStatus(uri, token))


async def _status_token(uri: str, allow: Sequence[str]) -> str | None:
    """Fetch the list. Anything but an answer of its kind is None: unknown, never good."""
    try:
        answer = await OutboundClient(allow=allow).get(uri, accept=_STATUS_TYPE)
    except (OutboundRefused, OutboundFailed):
        return None
    if answer.status != 200:
        return None
    return answer.body.decode("ascii", "replace")


def _report(arguments: argparse.Namespace, verdict: Verdict) -> None:
    as_of = None if verdict.as_of is None else datetime.fromtimestamp(verdict.as_of, UTC).isoformat()
    altered = any(check.evidence.get("code") == DocumentAltered.code for check in verdict.checks)
    if arguments.json:
        reason = {"reason": "document altered"} if altered else {}
        print(json.dumps(verdict.to_value() | {"as_of": as_of} | reason, ensure_ascii=False))
        return
    t = load()[DEFAULT_LANGUAGE]
    print(t(verdict.code) + (f" ({as_of})" if as_of else ""))
    for check in verdict.checks:
        print(f"  {t(f'credentials.result.{check.result.value}')}  {t(check.code)}")
    if altered:
        print(f"  {t(DocumentAltered.code)}")


def _report_none(arguments: argparse.Namespace, verdict: str, reason: str, exit_code: int) -> int:
    if arguments.json:
        print(json.dumps({"verdict": verdict, "as_of": None, "checks": [], "reason": reason}, ensure_ascii=False))
    else:
        print(f"{verdict}: {reason}", file=sys.stderr)
    return exit_code
