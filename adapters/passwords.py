"""Password hashing off the event loop, in a pool that cannot grow.

argon2id releases the interpreter lock, so two threads use two cores; more would only trade memory (19 MiB each) for
queueing. Someone who floods the sign-in page fills this queue and nothing else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from crypto.password import hash_password, refuse_unknown_person, verify_password

POOL_THREADS: Final = 2


class PasswordPool:
    """The `PasswordVerifier` of the sign-in, over a bounded pool of threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="password")

    async def verify(self, stored: str | None, password: str) -> bool:
        """See `idp.login.password.PasswordVerifier.verify`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _verify, stored, password)

    async def hash(self, password: str) -> str:
        """See `idp.login.password.PasswordVerifier.hash`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, hash_password, password)

    def close(self) -> None:
        """Finish what is running and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _verify(stored: str | None, password: str) -> bool:
    if stored is None:
        refuse_unknown_person()
    return verify_password(stored, password).needs_rehash
