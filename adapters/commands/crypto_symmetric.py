"""`edutrust crypto sm3` and `edutrust crypto sm4-gcm`."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import secrets
import sys
from pathlib import Path
from typing import Final

from adapters.commands.crypto_files import deliver, hex_key, read_file
from adapters.commands.crypto_parser import STANDARD_STREAM
from adapters.commands.outcome import CommandFailed
from crypto.errors import DecryptionFailed
from crypto.sealed import IV_BYTES, SM4_KEY_BYTES, TAG_BYTES, sm4_gcm_open, sm4_gcm_seal

# SP 800-107 rev. 1 §5.3.4 asks for 112 bits; 128 is the security of everything around it. RFC 2104 §3: more than a
# block is hashed first, so nobody needs it.
_MIN_HMAC_KEY_BYTES: Final = 16
_MAX_HMAC_KEY_BYTES: Final = 1024
_CHUNK_BYTES: Final = 1024 * 1024


def sm3(arguments: argparse.Namespace) -> int:
    """Print `hex  name` of each file, as sha256sum does; files are streamed. 1 where a file cannot be read."""
    key = None
    if arguments.hmac_key_file is not None:
        key = hex_key(arguments.hmac_key_file, least=_MIN_HMAC_KEY_BYTES, most=_MAX_HMAC_KEY_BYTES)
    for path in arguments.files:
        print(f"{_digest(path, key)}  {path}")
    return 0


def _digest(path: Path, key: bytes | None) -> str:
    state = hashlib.new("sm3") if key is None else hmac.new(key, digestmod="sm3")
    try:
        if path == STANDARD_STREAM:
            while chunk := sys.stdin.buffer.read(_CHUNK_BYTES):
                state.update(chunk)
        else:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    state.update(chunk)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error
    return state.hexdigest()


def sm4_gcm(arguments: argparse.Namespace) -> int:
    """Encrypt to IV‖ciphertext‖tag under a fresh random IV of 12 bytes, or open that."""
    key = hex_key(arguments.key_file, least=SM4_KEY_BYTES, most=SM4_KEY_BYTES)
    aad = arguments.aad.encode("utf-8", "surrogateescape")
    data = read_file(arguments.file)
    if arguments.direction == "encrypt":
        iv = secrets.token_bytes(IV_BYTES)
        deliver(iv + sm4_gcm_seal(key, iv, data, aad=aad), arguments.out, secret=False, armoured=False)
        return 0
    if len(data) < IV_BYTES + TAG_BYTES:
        raise CommandFailed(f"{arguments.file} is too short: it holds no IV of 12 bytes and tag of 16.")
    try:
        plain = sm4_gcm_open(key, data[:IV_BYTES], data[IV_BYTES:], aad=aad)
    except DecryptionFailed as refused:
        raise CommandFailed(
            f"{arguments.file} does not open: the key or the --aad is another one, or it was changed."
        ) from refused
    deliver(plain, arguments.out, secret=True, armoured=False)
    return 0
