"""The `edutrust` command: one parser, one module a command, exit codes that a script can read.

Exit codes of `verify` are those of its verdict (0 valid, 1 invalid, 2 unreadable, 3 unknown). Every other command ends
with 0 when it did what was asked and with 1, and one clear sentence on standard error, when it did not.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.commands.clients_parser import add_clients
from adapters.commands.crypto_parser import add_crypto
from adapters.commands.developers_parser import add_developers
from adapters.commands.keys_parser import add_keys
from adapters.commands.ledger_anchor_parser import add_anchor
from adapters.commands.ledger_files_parser import add_files
from adapters.commands.ledger_follow_parser import add_outside
from adapters.commands.outcome import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

# A command's module is imported only when it is asked for: `verify` on an employer's machine loads no web server.
_COMMANDS = {
    "run": "adapters.commands.run",
    "demo": "adapters.commands.demo",
    "verify": "adapters.commands.verify",
    "doctor": "adapters.commands.doctor",
    "migrate": "adapters.commands.migrate",
    "ledger": "adapters.commands.ledger",
    "keys": "adapters.commands.keys",
    "crypto": "adapters.commands.crypto",
    "clients": "adapters.commands.clients",
    "developers": "adapters.commands.developers",
}


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="a TOML file of settings; EDUTRUST_… variables override it")
    parser.add_argument("--data-dir", type=Path, help="where the embedded databases and the ledger live")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="edutrust", description="Federated identity and trust service for education.")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="start the service")
    _add_settings(run)
    run.add_argument("--demo", action="store_true", help="with a demo province, demo accounts and two demo platforms")
    run.add_argument("--host", help="address to listen on")
    run.add_argument("--port", type=int, help="port to listen on")
    run.add_argument("--workers", type=int, metavar="N", help="so many server processes on the one port (Linux)")
    run.add_argument("--metrics", metavar="HOST:PORT", help="answer scrapes of Prometheus there (worker i on PORT+i)")
    run.add_argument("--issuer", help="the public address, exactly as platforms know it")
    run.add_argument("--tls-cert", type=Path, help="PEM certificate chain, to serve HTTPS directly")
    run.add_argument("--tls-key", type=Path, help="PEM private key of --tls-cert")
    run.add_argument("--clients", type=Path, help="JSON file of platforms, registered at every start")
    run.add_argument("--users", type=Path, help="JSON file of accounts for trials, brought in at every start")

    demo = commands.add_parser(
        "demo", help="play the whole story without a browser and leave its artefacts in a folder"
    )
    demo.add_argument("--dir", type=Path, required=True, help="an empty or new folder for everything the story makes")
    demo.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    verify = commands.add_parser("verify", help="verify a credential bundle, a PDF certificate or a ledger receipt")
    verify.add_argument("file", type=Path)
    verify.add_argument("--trust", type=Path, required=True, help="trust.json: the anchors the verdict stands on")
    verify.add_argument("--offline", action="store_true", help="judge from the file alone, as of its status snapshot")
    verify.add_argument(
        "--allow", action="append", default=[], metavar="HOST:PORT", help="a status host that may be on this network"
    )
    verify.add_argument("--json", action="store_true", help="print the verdict as JSON")

    doctor = commands.add_parser("doctor", help="name the cryptographic backend and run the known-answer self-tests")
    doctor.add_argument("--json", action="store_true")
    doctor.add_argument("--backend", action="store_true", help="print only which SM2 backend serves, in one line")
    doctor.add_argument("--redis", action="store_true", help="look at the Redis of the settings instead")
    _add_settings(doctor)

    migrate = commands.add_parser("migrate", help="bring the databases to this version's schema")
    _add_settings(migrate)

    ledger = commands.add_parser("ledger", help="look after the ledger").add_subparsers(dest="action", required=True)
    for name, text in (
        ("fsck", "re-derive everything from the leaves and compare"),
        ("checkpoint", "print the newest signed checkpoint"),
    ):
        action = ledger.add_parser(name, help=text)
        _add_settings(action)
        action.add_argument("--json", action="store_true")
    add_files(ledger.add_parser, ledger.choices["fsck"], _add_settings)
    add_outside(ledger.add_parser, _add_settings)
    add_anchor(ledger.add_parser("anchor", help="look after the anchors on chains"), _add_settings)

    add_keys(commands.add_parser("keys", help="look after the deployment's keys"), _add_settings)
    add_crypto(commands)
    add_clients(commands.add_parser("clients", help="look after registered platforms"), _add_settings)
    add_developers(commands.add_parser("developers", help="say who may try a platform of their own"), _add_settings)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    command = importlib.import_module(_COMMANDS[arguments.command])
    try:
        code: int = command.main(arguments)
    except CommandFailed as failed:
        print(failed, file=sys.stderr)
        return failed.exit_code
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
