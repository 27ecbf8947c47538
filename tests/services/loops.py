"""Running a coroutine from a test, even while a browser is driven in the same thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run in a fresh event loop.

    Playwright's synchronous interface keeps a loop of its own in the thread of the tests for as long as a browser is
    open; `asyncio.run` refuses there, so then the coroutine gets a thread.
    """
    if not _in_a_loop():
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
