"""`edutrust crypto sm2-…`: keys, signatures and encryption of one file."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import Final

from adapters.commands.crypto_files import (
    asked_password,
    deliver,
    password_of,
    read_file,
    without_base64,
    write_new,
)
from adapters.commands.outcome import CommandFailed
from crypto.errors import DecryptionFailed, EncodingRefused, KeyRefused, SignatureInvalid, TrustError
from crypto.key_files import (
    MAX_KEY_FILE_BYTES,
    private_to_encrypted_pkcs8,
    private_to_pkcs8,
    public_to_spki,
    read_private,
    read_public,
)
from crypto.pbes import RECOMMENDED_ITERATIONS
from crypto.sm2 import BACKENDS, Sm2Backend, select_backend, signature_from_der, signature_to_der
from crypto.sm2_ciphertext import MAX_SM2_PLAINTEXT_BYTES, ciphertext_from_der, ciphertext_to_der
from crypto.sm2_curve import SIGNATURE_BYTES

_DER_FIRST: Final = b"\x30"
_POINT_FIRST: Final = b"\x04"
# A raw ciphertext of the longest plaintext in base64, with room for its form.
_MAX_CIPHERTEXT_FILE_BYTES: Final = 2 * MAX_SM2_PLAINTEXT_BYTES
_MAX_SIGNATURE_FILE_BYTES: Final = 4096
# What the rules of a key file mean to the person who brought it.
_WHY: Final = {
    "algorithm": "it is not an elliptic-curve key",
    "curve": "its curve is not that of SM2",
    "curve_missing": "it does not name its curve",
    "explicit_curve": "it spells its curve out instead of naming it",
    "public_mismatch": "its public key does not belong to its private key",
    "off_curve": "its point is not on the curve",
    "range": "its private number is out of range",
    "password_or_damage": "the password is wrong or the file is damaged",
    "pem_headers": "it has the old encryption of OpenSSL; convert it with `openssl pkcs8 -topk8 -v2 sm4-cbc`",
    "pem_label": "it holds something of another kind",
    "pem_text_outside": "there is text around its PEM block",
    "too_large": f"it is larger than {MAX_KEY_FILE_BYTES} bytes",
}


def backend() -> Sm2Backend:
    """Return the best SM2 backend of this machine."""
    try:
        return select_backend(BACKENDS)
    except TrustError as refused:
        raise CommandFailed(f"No SM2 backend can be used on this machine: {refused}.") from refused


def signing_backend() -> Sm2Backend:
    """Return a backend that may hold private keys: never the one in pure Python."""
    chosen = backend()
    if not chosen.signs:
        raise CommandFailed(
            "This machine has no SM2 implementation fit for private keys; install OpenSSL 3.0 or newer."
        )
    return chosen


def public_in(path: Path) -> bytes:
    """Return the 64 bytes of a public key file."""
    try:
        return read_public(read_file(path, max_bytes=MAX_KEY_FILE_BYTES))
    except TrustError as refused:
        raise _unusable("public", path, refused) from refused


def private_in(arguments: argparse.Namespace, chosen: Sm2Backend) -> bytes:
    """Return the 32 bytes of the private key file of a command, asking for a password where one is needed."""
    path: Path = arguments.key
    data = read_file(path, max_bytes=MAX_KEY_FILE_BYTES)
    password = None if arguments.password_file is None else password_of(arguments.password_file)
    try:
        try:
            return read_private(data, password=password, backend=chosen)
        except KeyRefused as refused:
            if (refused.field, refused.rule) != ("password", "missing"):
                raise
        return read_private(data, password=asked_password(f"Password of {path}", twice=False), backend=chosen)
    except TrustError as refused:
        raise _unusable("private", path, refused) from refused


def _unusable(kind: str, path: Path, refused: TrustError) -> CommandFailed:
    why = _WHY.get(refused.rule or "", f"it is no key file of a kind read here, or damaged ({refused.rule})")
    return CommandFailed(f"The {kind} key in {path} cannot be used: {why}.")


def keygen(arguments: argparse.Namespace) -> int:
    """Create a private key file and, where asked for, the public one."""
    for path in (arguments.out, arguments.public_out):
        if path is not None and path.exists():
            raise CommandFailed(f"{path} exists already and is never overwritten.")
    password = None
    if arguments.password_file is not None:
        password = password_of(arguments.password_file)
    elif arguments.ask_password:
        password = asked_password(f"Password of {arguments.out}", twice=True)
    private, public = signing_backend().generate_pair()
    if password is None:
        pem = private_to_pkcs8(private, pem=True, public=public)
    else:
        try:
            pem = private_to_encrypted_pkcs8(
                private, password, random_bytes=secrets.token_bytes, iterations=RECOMMENDED_ITERATIONS, public=public
            )
        except KeyRefused as refused:
            raise CommandFailed("The password is longer than 1024 bytes.") from refused
    write_new(arguments.out, pem, secret=True)
    if arguments.public_out is not None:
        write_new(arguments.public_out, public_to_spki(public, pem=True), secret=False)
    print(f"Created {arguments.out}" + (f" and {arguments.public_out}." if arguments.public_out else "."))
    return 0


def public(arguments: argparse.Namespace) -> int:
    """Print the public key of a private key."""
    chosen = signing_backend()
    pem = public_to_spki(chosen.public_of(private_in(arguments, chosen)), pem=True)
    deliver(pem, arguments.out, secret=False, armoured=False)
    return 0


def sign(arguments: argparse.Namespace) -> int:
    """Sign one file."""
    chosen = signing_backend()
    private = private_in(arguments, chosen)
    signature = chosen.sign(private, read_file(arguments.file), user_id(arguments))
    deliver(signature if arguments.raw else signature_to_der(signature), arguments.out, secret=False, armoured=True)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Verify the signature of one file; 1 and a sentence where it is not valid."""
    key = public_in(arguments.public)
    held = read_file(arguments.signature, max_bytes=_MAX_SIGNATURE_FILE_BYTES)
    message = read_file(arguments.file)
    try:
        if arguments.raw:
            signature = without_base64(held, len(held) == SIGNATURE_BYTES)
        else:
            # DER begins with 30; base64 of that begins with "M".
            signature = signature_from_der(without_base64(held, held[:1] == _DER_FIRST))
    except EncodingRefused as refused:
        raise CommandFailed(f"{arguments.signature} holds no signature in DER ({refused.rule}).") from refused
    except SignatureInvalid as refused:
        raise CommandFailed("The signature is not valid.") from refused
    try:
        backend().verify(key, message, signature, user_id(arguments))
    except SignatureInvalid as refused:
        raise CommandFailed("The signature is not valid.") from refused
    print("The signature is valid.")
    return 0


def user_id(arguments: argparse.Namespace) -> bytes:
    """Return the user ID of a command as bytes."""
    encoded: bytes = arguments.id.encode("utf-8", "surrogateescape")
    return encoded


def encrypt(arguments: argparse.Namespace) -> int:
    """Encrypt one short file to a public key."""
    key = public_in(arguments.public)
    plain = read_file(arguments.file, max_bytes=MAX_SM2_PLAINTEXT_BYTES)
    if not plain:
        raise CommandFailed(f"{arguments.file} is empty; SM2 encrypts at least one byte.")
    raw = signing_backend().encrypt(key, plain)
    deliver(raw if arguments.raw else ciphertext_to_der(raw), arguments.out, secret=False, armoured=True)
    return 0


def decrypt(arguments: argparse.Namespace) -> int:
    """Decrypt one file."""
    chosen = signing_backend()
    private = private_in(arguments, chosen)
    held = read_file(arguments.file, max_bytes=_MAX_CIPHERTEXT_FILE_BYTES)
    data = without_base64(held, held[:1] == (_POINT_FIRST if arguments.raw else _DER_FIRST))
    try:
        plain = chosen.decrypt(private, data if arguments.raw else ciphertext_from_der(data))
    except EncodingRefused as refused:
        form = "C1‖C3‖C2" if arguments.raw else "DER"
        raise CommandFailed(f"{arguments.file} holds no SM2 ciphertext in {form} ({refused.rule}).") from refused
    except DecryptionFailed as refused:
        raise CommandFailed(f"{arguments.file} does not open with this key, or it was changed.") from refused
    deliver(plain, arguments.out, secret=True, armoured=False)
    return 0
