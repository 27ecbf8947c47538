"""`edutrust demo`: the whole story, from an empty folder to verified artefacts, on a real service and a real chain."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from adapters.commands.migrate import migrate
from adapters.commands.outcome import CommandFailed
from adapters.demo.around import CHINA
from adapters.demo.local_chain import local_chain
from adapters.demo.platforms import platforms, wait_for_platforms
from adapters.demo.seed import DemoPorts, seed
from adapters.demo.story import TIMEOUT_S, Story
from adapters.demo.visitor import Visitor
from adapters.kek import KekRefused, create_kek
from adapters.server import StartFailed, listening_socket, service, serving
from adapters.settings import Settings, SettingsRefused, check_settings
from adapters.web.assets import AssetsMissingError
from crypto.errors import TrustError

ARTEFACTS: Final = {
    "credential": "credential.json",
    "pdf": "certificate.pdf",
    "receipt": "receipt.json",
    "trust": "trust.json",
}


def main(arguments: argparse.Namespace) -> int:
    """Play the story; 0 when every step went as it must."""
    folder: Path = arguments.dir
    # eth-tester and py-evm tell of every block; the story's own lines are what the reader asked for.
    logging.disable(logging.WARNING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandFailed(f"The folder {folder} is not empty.")
        story, ok = asyncio.run(_play(folder))
    except OSError as error:
        raise CommandFailed(f"The folder {folder} cannot be used: {error.strerror}.") from error
    except (StartFailed, AssetsMissingError, KekRefused, SettingsRefused, TrustError) as refused:
        raise CommandFailed(f"The demonstration cannot start: {refused}") from refused
    return _report(story, ok, folder, as_json=arguments.json)


async def _play(folder: Path) -> tuple[Story, bool]:
    service_port, ports = _free_port(), DemoPorts(_free_port(), _free_port())
    issuer = f"http://127.0.0.1:{service_port}"
    settings = check_settings(
        {
            "issuer": issuer,
            "port": service_port,
            "data_dir": str(folder / "service"),
            "outbound_allowed": [f"127.0.0.1:{ports.learning}", f"127.0.0.1:{ports.library}"],
        }
    )
    settings.data_dir.mkdir()
    create_kek(settings.kek_file, random_bytes=secrets.token_bytes)
    migrate(settings)
    return await _with_service(settings, ports, folder)


async def _with_service(settings: Settings, ports: DemoPorts, folder: Path) -> tuple[Story, bool]:
    async with AsyncExitStack() as stack:
        log = stack.enter_context((folder / "service.log").open("w", encoding="utf-8"))
        listener = stack.enter_context(listening_socket(settings.host, settings.port))
        chain = await asyncio.to_thread(local_chain, settings.log_origin)
        parts, application = await stack.enter_async_context(service(settings, write_log=log.write, more_anchors=chain))
        await stack.enter_async_context(serving(application.asgi, listener, settings))
        province, drawn = await seed(parts, ports, today=datetime.now(UTC).astimezone(CHINA).date())
        stack.enter_context(platforms(settings.issuer, ports, drawn, log=log))
        await wait_for_platforms(ports)
        people = [await stack.enter_async_context(Visitor(language="zh-CN", timeout_s=TIMEOUT_S)) for _ in range(5)]
        student, registrar, approver, auditor, employer = people
        story = Story(settings.issuer, ports, province, drawn, folder, student, registrar, approver, auditor, employer)
        return story, await story.play()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _report(story: Story, ok: bool, folder: Path, *, as_json: bool) -> int:
    artefacts = {name: str(folder / file) for name, file in ARTEFACTS.items() if (folder / file).exists()}
    if as_json:
        steps = [
            {"name": step.name, "ok": step.ok, "ms": step.ms} | ({"problem": step.problem} if step.problem else {})
            for step in story.results
        ]
        print(json.dumps({"ok": ok, "steps": steps, "artifacts": artefacts}, ensure_ascii=False))
        return 0 if ok else 1
    for step in story.results:
        print(f"{'ok  ' if step.ok else 'FAIL'} {step.ms:6} ms  {step.name.replace('_', ' ')}")
        if step.problem:
            print(f"     {step.problem}")
    for name, path in artefacts.items():
        print(f"{name:10} {path}")
    return 0 if ok else 1
