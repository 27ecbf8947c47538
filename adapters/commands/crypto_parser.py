"""The arguments of `edutrust crypto …`. No password and no key is ever an argument: other users can list those."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from crypto.sm2_curve import SM2_DEFAULT_ID

STANDARD_STREAM = Path("-")


def add_crypto(commands: Any) -> None:
    """Add the command and its actions to the parser of the whole command line."""
    actions = commands.add_parser("crypto", help="SM2, SM3 and SM4 at the shell").add_subparsers(
        dest="action", required=True
    )
    keygen = _action(actions, "sm2-keygen", "make an SM2 key pair, in PEM that openssl reads")
    keygen.add_argument("--out", type=Path, required=True, help="the private key file to create, mode 0600")
    keygen.add_argument("--public-out", type=Path, help="the public key file to create")
    protection = keygen.add_mutually_exclusive_group()
    protection.add_argument("--password-file", type=Path, help="encrypt it under the first line of this file")
    protection.add_argument("--ask-password", action="store_true", help="encrypt it under a password typed in")

    public = _action(actions, "sm2-public", "print the public key of a private key")
    _add_private(public)
    public.add_argument("--out", type=Path, help="a file to create instead of printing")

    sign = _action(actions, "sm2-sign", "sign a file with SM2 and SM3; prints the DER signature in base64")
    _add_private(sign)
    _add_id(sign)
    sign.add_argument("--raw", action="store_true", help="64 bytes r‖s instead of DER")
    sign.add_argument("--out", type=Path, help="a file to create with the signature's bytes instead of printing")
    _add_file(sign)

    verify = _action(actions, "sm2-verify", "verify a signature, or a batch of them")
    verify.add_argument("--public", type=Path, help="PEM public key")
    verify.add_argument("--signature", type=Path, help="the signature: its bytes, or base64 as sm2-sign prints it")
    _add_id(verify)
    verify.add_argument("--raw", action="store_true", help="the signature is 64 bytes r‖s")
    verify.add_argument(
        "--batch",
        type=Path,
        help='NDJSON rows {"id", "public_pem", "message", "signature_der"}, a verdict printed a row',
    )
    verify.add_argument(
        "--ids",
        choices=("signer", "row", "auto"),
        default="auto",
        help="what the id of a row is: the signer's user ID, or a label of the row (then --id is the user ID); by "
        "default a label only where no row has the standard's user ID and no two rows share one",
    )
    verify.add_argument("--reasons", action="store_true", help="say in each false row which rule it breaks")
    _add_file(verify, optional=True)

    encrypt = _action(actions, "sm2-encrypt", "encrypt a short file to a public key; prints DER in base64")
    encrypt.add_argument("--public", type=Path, required=True, help="PEM public key")
    decrypt = _action(actions, "sm2-decrypt", "decrypt what sm2-encrypt or openssl wrote")
    _add_private(decrypt)
    for action in (encrypt, decrypt):
        action.add_argument("--raw", action="store_true", help="C1‖C3‖C2 instead of DER")
        action.add_argument("--out", type=Path, help="a file to create with the bytes instead of printing")
        _add_file(action)

    digest = _action(actions, "sm3", "print the SM3 digest or HMAC of files")
    digest.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files; - is standard input")
    digest.add_argument("--hmac-key-file", type=Path, help="a file with the HMAC key in hex")

    gcm = _action(actions, "sm4-gcm", "encrypt or decrypt a file under a key of 16 bytes")
    gcm.add_argument("direction", choices=("encrypt", "decrypt"))
    gcm.add_argument("--key-file", type=Path, required=True, help="a file with the key in hex, 32 digits")
    gcm.add_argument("--aad", default="", help="text that is authenticated and not part of the output")
    gcm.add_argument("--out", type=Path, help="a file to create instead of writing to standard output")
    _add_file(gcm)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Add an action whose options are written out: `--password secret` must not pass for `--password-file`."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, allow_abbrev=False)
    return parser


def _add_private(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", type=Path, required=True, help="private key: PKCS#8 (plain or encrypted) or SEC1")
    parser.add_argument("--password-file", type=Path, help="its first line opens the key; else it is asked for")


def _add_id(parser: argparse.ArgumentParser) -> None:
    default = SM2_DEFAULT_ID.decode("ascii")
    parser.add_argument("--id", default=default, help=f"the signer's user ID; {default} where none is agreed")


def _add_file(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    nargs = "?" if optional else None
    parser.add_argument("file", nargs=nargs, type=Path, metavar="FILE", help="a file; - is standard input")
