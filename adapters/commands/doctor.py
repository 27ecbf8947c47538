"""`edutrust doctor`: which SM2 backend serves, whether every known answer comes out, and how Redis is."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import time

from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.redis.condition import Condition, condition_of
from adapters.redis.server import RedisServer
from adapters.sm2_backend import backend_sentence
from crypto.errors import TrustError
from crypto.selftest import run_selftests
from crypto.sm2 import BACKENDS, select_backend


def main(arguments: argparse.Namespace) -> int:
    """Print the backend, its version and each self-test; 0 when all passed. With --redis, print how Redis is instead."""
    if arguments.redis:
        return _redis(arguments)
    try:
        backend = select_backend(BACKENDS)
    except TrustError as refused:
        raise CommandFailed(f"No SM2 backend can be used on this machine: {refused}") from refused
    if arguments.backend:
        print(backend_sentence(backend))
        return 0
    results = run_selftests(backend)
    passed = all(result.ok for result in results)
    if arguments.json:
        report = {
            "ok": passed,
            "sm2": {"backend": backend.name, "version": backend.version, "certified_module": False},
            "sentence": backend_sentence(backend),
            "python": platform.python_version(),
            "self_tests": [{"name": result.name, "ok": result.ok, "detail": result.detail} for result in results],
        }
        print(json.dumps(report, ensure_ascii=False))
        return 0 if passed else 1
    print(backend_sentence(backend))
    print("A software module, not a certified one.")
    for result in results:
        print(f"{'pass' if result.ok else 'FAIL'}  {result.name}{': ' + result.detail if result.detail else ''}")
    return 0 if passed else 1


def _redis(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if settings.redis_url is None:
        raise CommandFailed("No redis_url is set: short-lived state is kept in SQL.")
    condition = asyncio.run(_look(settings.redis_url))
    if arguments.json:
        report = {"ok": condition.keeps, "answers": condition.answers, "sentence": condition.sentence}
        print(json.dumps(report, ensure_ascii=False))
    else:
        print(condition.sentence)
    return 0 if condition.keeps else 1


async def _look(url: str) -> Condition:
    server = RedisServer(url, monotonic=time.monotonic)
    try:
        return await condition_of(server)
    finally:
        await server.close()
