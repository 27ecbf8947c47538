"""What stands around the service in `edutrust run --demo`: a seeded province, two platforms, and what to try."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Final

from adapters.demo.graduates import write_graduates
from adapters.demo.platforms import platforms, wait_for_platforms
from adapters.demo.population import DemoProvince
from adapters.demo.seed import DemoPorts, DemoSecrets, seed
from adapters.parts import Parts

CHINA: Final = timezone(timedelta(hours=8))


async def set_up_around(parts: Parts, numbers: tuple[int, int], stack: ExitStack, log: IO[str]) -> str:
    """Seed, start the platforms on two ports until `stack` is closed, return the welcome for the console."""
    ports, settings = DemoPorts(*numbers), parts.settings
    today = datetime.now(UTC).astimezone(CHINA).date()
    province, drawn = await seed(parts, ports, today=today)
    graduates = write_graduates(settings.data_dir, province)
    stack.enter_context(platforms(settings.issuer, ports, drawn, log=log))
    await wait_for_platforms(ports)
    return _welcome(settings.issuer, ports, province, drawn, graduates)


def _welcome(issuer: str, ports: DemoPorts, province: DemoProvince, drawn: DemoSecrets, graduates: Path) -> str:
    school = province.schools[0]
    student = province.students(school.code)[0].login
    return f"""READY {issuer}

  服务 Service              {issuer}
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
    2. 用 a.registrar 登录 {issuer}/batches 上传 {graduates}，用 a.approver 审批。
       As a.registrar upload {graduates} at {issuer}/batches, then approve as a.approver.
    3. 用学生账号分享证书，在 {issuer}/verify 输入验证码。
       Share the diploma as the student and enter the code at {issuer}/verify.

  按 Ctrl-C 停止 Press Ctrl-C to stop"""
