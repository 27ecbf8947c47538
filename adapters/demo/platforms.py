"""The two demo platforms as processes of their own, as strangers' services would be."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

import httpx

from adapters.demo.seed import DemoPorts, DemoSecrets

PLATFORM_START_S: Final = 20.0


@contextmanager
def platforms(issuer: str, ports: DemoPorts, drawn: DemoSecrets, *, log: IO[str]) -> Iterator[None]:
    """Run the two platforms beside the service while the block lasts; what they say goes to `log`."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for kind, port in (("learning", ports.learning), ("library", ports.library)):
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "adapters.demo.platform",
                "--kind",
                kind,
                "--port",
                str(port),
            ]
            command += ["--issuer", issuer, "--client-id", f"demo-{kind}"]
            environment = {**os.environ, "PLATFORM_CLIENT_SECRET": drawn.client_secrets[f"demo-{kind}"]}
            # A session of its own: Ctrl-C reaches the service alone, which then stops the platforms in order.
            started.append(subprocess.Popen(command, env=environment, start_new_session=True, stdout=log, stderr=log))
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def wait_for_platforms(ports: DemoPorts) -> None:
    """Return once both answer. Raises `TimeoutError`."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(PLATFORM_START_S):
        for port in (ports.learning, ports.library):
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/platform.css")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
