"""Password hashing off the event loop, in a pool that cannot grow.

Both schemes release the interpreter lock, so two threads use two cores; more would only trade memory (argon2id takes 19 MiB)
for queueing. Someone who floods the sign-in page fills this queue and nothing else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from crypto.password import PasswordScheme, RandomBytes, hash_password_as, refuse_unknown_person, verify_password

POOL_THREADS: Final = 2


class PasswordPool:
    """The `PasswordVerifier` of the sign-in, over a bounded pool of threads."""

    def __init__(self, scheme: PasswordScheme, *, random_bytes: RandomBytes) -> None:
        self._scheme = scheme
        self._random_bytes = random_bytes
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="password")

    async def verify(self, stored: str | None, password: str) -> bool:
        """See `idp.login.password.PasswordVerifier.verify`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._verify, stored, password)

    async def hash(self, password: str) -> str:
        """See `idp.login.password.PasswordVerifier.hash`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hash, password)

    def close(self) -> None:
        """Finish what is running and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        if stored is None:
            refuse_unknown_person(self._scheme)
        return verify_password(stored, password, scheme=self._scheme).needs_rehash

    def _hash(self, password: str) -> str:
        return hash_password_as(self._scheme, password, random_bytes=self._random_bytes)
