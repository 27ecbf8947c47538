"""`edutrust run`: the service, and with `--demo` the demonstration around it."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import ssl
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Final

from adapters.app import Application
from adapters.commands.keys import kek_sentence
from adapters.commands.migrate import migrate
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.demo.graduates import write_graduates
from adapters.demo.platforms import platforms, wait_for_platforms
from adapters.demo.population import DemoProvince
from adapters.demo.seed import DemoPorts, DemoSecrets, seed
from adapters.kek import KekRefused, create_kek, read_kek
from adapters.parts import Parts
from adapters.server import StartFailed, listening_socket, run_service, sole_owner
from adapters.settings import Settings
from adapters.static_files import StaticFiles, StaticFilesRefused, bring_in, read_static_files
from adapters.web.assets import AssetsMissingError
from idp.model import Acr

DEMO_DATA_DIR: Final = Path("var/demo")
LEARNING_OFFSET, LIBRARY_OFFSET = 1, 2  # the demo platforms listen on the next two ports
CHINA: Final = timezone(timedelta(hours=8))


def main(arguments: argparse.Namespace) -> int:
    """Start, serve until told to stop, and end cleanly."""
    try:
        return _run(arguments)
    except (StartFailed, StaticFilesRefused, AssetsMissingError) as failed:
        raise CommandFailed(str(failed)) from failed


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    static = _static_files(arguments)
    _check_certificate(settings)
    with ExitStack() as stack:
        _prepare_folder(settings)
        stack.enter_context(sole_owner(settings.data_dir))
        ports = DemoPorts(settings.port + LEARNING_OFFSET, settings.port + LIBRARY_OFFSET)
        listener = stack.enter_context(listening_socket(settings.host, settings.port))
        if arguments.demo:
            for port in (ports.learning, ports.library):
                listening_socket("127.0.0.1", port).close()
        _require_kek(settings, demo=arguments.demo)
        migrate(settings)

        log: IO[str] = sys.stderr
        if arguments.demo:
            # The console belongs to the reader; what the service and the platforms log stands in a file.
            log = stack.enter_context((settings.data_dir / "service.log").open("a", encoding="utf-8", buffering=1))

        async def prepare(parts: Parts) -> Mapping[str, Acr]:
            return await bring_in(parts, static)

        async def when_ready(parts: Parts, _application: Application) -> None:
            if not arguments.demo:
                print(f"READY {settings.issuer}", flush=True)
                return
            today = datetime.now(UTC).astimezone(CHINA).date()
            province, drawn = await seed(parts, ports, today=today)
            graduates = write_graduates(settings.data_dir, province)
            stack.enter_context(platforms(settings.issuer, ports, drawn, log=log))
            await wait_for_platforms(ports)
            print(_welcome(settings, ports, province, drawn, graduates), flush=True)

        asyncio.run(run_service(settings, when_ready, listener=listener, write_log=log.write, prepare=prepare))
        print("Stopped.", flush=True)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    if not arguments.demo:
        return settings_of(arguments)
    if arguments.data_dir is None:
        arguments.data_dir = DEMO_DATA_DIR
    port = arguments.port or 8080
    allowed = [f"127.0.0.1:{port + offset}" for offset in (LEARNING_OFFSET, LIBRARY_OFFSET)]
    return settings_of(arguments, outbound_allowed=allowed)


def _static_files(arguments: argparse.Namespace) -> StaticFiles:
    if arguments.demo and (arguments.clients or arguments.users):
        raise StartFailed("--demo brings its own platforms and people: leave --clients and --users out.")
    static = read_static_files(arguments.clients, arguments.users)
    for warning in static.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    return static


def _check_certificate(settings: Settings) -> None:
    """Load the certificate and its key once, so that a wrong file is one sentence and not a failed handshake."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        # The empty password keeps an encrypted key from asking at a terminal that nobody may be sitting at.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        raise StartFailed(
            f"{settings.tls_cert} and {settings.tls_key} are no certificate chain with its unencrypted key, both in PEM."
        ) from error


def _prepare_folder(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartFailed(f"The data folder {settings.data_dir} cannot be made: {error.strerror}.") from error


def _require_kek(settings: Settings, *, demo: bool) -> None:
    """Refuse to start without the key file; only a demo that has no database yet makes its own."""
    try:
        if demo and not settings.kek_file.exists() and not (settings.data_dir / "idp.sqlite3").exists():
            create_kek(settings.kek_file, random_bytes=secrets.token_bytes)
        read_kek(settings.kek_file)
    except KekRefused as refused:
        raise StartFailed(kek_sentence(refused, settings.kek_file)) from refused


def _welcome(settings: Settings, ports: DemoPorts, province: DemoProvince, drawn: DemoSecrets, graduates: Path) -> str:
    school = province.schools[0]
    student = province.students(school.code)[0].login
    return f"""READY {settings.issuer}

  服务 Service              {settings.issuer}
  学习平台 Learning platform  http://127.0.0.1:{ports.learning}
  图书馆 Library             http://127.0.0.1:{ports.library}

  演示账号（均为虚构人物；密码都是 {drawn.password}）
  Demo accounts (all people are invented; every password is {drawn.password})
    学生 student       {student}
    登记员 registrar    a.registrar
    审批人 approver     a.approver
    审计员 auditor      a.auditor

  可以试试 What to try
    1. 在学习平台用 {student} 登录，手机扫码绑定动态口令，再打开图书馆。
       Sign in to the learning platform as {student}, scan the code with any authenticator app, then open the library.
    2. 用 a.registrar 登录 {settings.issuer}/batches 上传 {graduates}，用 a.approver 审批。
       As a.registrar upload {graduates} at {settings.issuer}/batches, then approve as a.approver.
    3. 用学生账号分享证书，在 {settings.issuer}/verify 输入验证码。
       Share the diploma as the student and enter the code at {settings.issuer}/verify.

  按 Ctrl-C 停止 Press Ctrl-C to stop"""
