"""`edutrust crypto …`: SM2, SM3 and SM4 for a person at the shell, in the forms `openssl` reads and writes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

from adapters.commands import crypto_batch, crypto_sm2, crypto_symmetric
from adapters.commands.outcome import CommandFailed
from crypto.errors import TrustError

# As every command line does for arguments that do not fit together.
_USAGE: Final = 2


def _verify(arguments: argparse.Namespace) -> int:
    single = (arguments.public, arguments.signature, arguments.file)
    if arguments.batch is not None:
        if any(part is not None for part in single):
            raise CommandFailed("--batch names keys and signatures itself; leave the others away.", exit_code=_USAGE)
        return crypto_batch.verify_batch(arguments)
    if any(part is None for part in single):
        raise CommandFailed("Give --public, --signature and FILE, or --batch.", exit_code=_USAGE)
    return crypto_sm2.verify(arguments)


_ACTIONS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "sm2-keygen": crypto_sm2.keygen,
    "sm2-public": crypto_sm2.public,
    "sm2-sign": crypto_sm2.sign,
    "sm2-verify": _verify,
    "sm2-encrypt": crypto_sm2.encrypt,
    "sm2-decrypt": crypto_sm2.decrypt,
    "sm3": crypto_symmetric.sm3,
    "sm4-gcm": crypto_symmetric.sm4_gcm,
}


def main(arguments: argparse.Namespace) -> int:
    """Run the action; 0 when it did what was asked, `sm2-verify` 1 where a signature is not valid."""
    try:
        return _ACTIONS[arguments.action](arguments)
    except TrustError as refused:
        raise CommandFailed(f"{arguments.action} cannot be done: {refused}.") from refused
    except MemoryError as error:
        raise CommandFailed(f"{arguments.action} cannot be done: the memory is too small.") from error
