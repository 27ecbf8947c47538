"""Administration: acting as somebody else, secrets shown to whoever may look, code that callers may send.

CVE-2026-17526 (impersonation), CVE-2026-16104 (secrets returned to viewers), authentik CVE-2026-25227 (an endpoint to try out
expressions). There is no page that acts as another person and none that runs what is sent; that it stays so is tested.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto.encoding import b64u_encode
from tests.protocol.full_service import ISSUER, OPERATOR, Browser, full_service, hold
from tests.protocol.malformed import Sent, deliver
from tests.protocol.world import SECRET

ADVISORY_CLASSES: tuple[int, ...] = (36,)
SEEN_RED: dict[str, str] = {
    "test_who_holds_no_office_is_no_officer_whatever_the_request_says": "adapters/http/actor.py: a header believed to name the person who acts",
    "test_nothing_in_the_product_runs_text_as_code": "idp/scopes.py: a call of `eval`",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

ROOT = Path(__file__).parents[2]
ROOMS = ("crypto", "ledger", "idp", "credentials", "adapters")
POWERS = re.compile(
    r"impersonat|sudo|switch-?user|assume|debug|console|shell|eval|expression|metrics|admin|env\b", re.IGNORECASE
)
OFFICES = ("/batches", "/batches/new", "/records", "/audit")


def test_no_page_acts_as_another_person_or_runs_what_is_sent(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            assert not [route.path for route in service.routes() if POWERS.search(route.path)]

    run(story())


def test_who_holds_no_office_is_no_officer_whatever_the_request_says(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            student, officer = service.browser(), service.browser()
            held = await hold(service, student, "lin")
            await hold(service, officer, OPERATOR)
            assert (await officer.get("/batches")).response.status_code == 200, "the office opens the page"
            number = (await service.parts.access.account_by_username(OPERATOR)).person  # type: ignore[union-attr]  # is there
            claims = {
                "sub": number,
                "person": number,
                "actor": number,
                "user": OPERATOR,
                "username": OPERATOR,
                "office": "system",
            }
            for path in OFFICES:
                attempts = [
                    _request(path, held.cookies),
                    _request(path, held.cookies, query="&".join(f"{name}={value}" for name, value in claims.items())),
                    _request(path, held.cookies + "; ".join(["", *(f"{n}={v}" for n, v in claims.items())]).encode()),
                    *(
                        _request(path, held.cookies, header=(name, number.encode()))
                        for name in (
                            b"x-user",
                            b"x-remote-user",
                            b"remote-user",
                            b"x-actor",
                            b"x-forwarded-user",
                            b"from",
                        )
                    ),
                    _request(
                        path, held.cookies, header=(b"authorization", b"Bearer " + held.values["access_token"].encode())
                    ),
                    _request(path, held.cookies + b"; " + held.cookies.replace(b"session=", b"session=x")),
                ]
                for attempt in attempts:
                    got = await deliver(service.app, attempt)
                    assert got.status in {303, 403, 404}, (path, got.status, attempt.described())

    run(story())


def _request(path: str, cookies: bytes, *, query: str = "", header: tuple[bytes, bytes] | None = None) -> Sent:
    headers = [(b"host", ISSUER.removeprefix("https://").encode()), (b"cookie", cookies), (b"accept", b"text/html")]
    return Sent("GET", path.encode(), query.encode(), [*headers, *([header] if header else [])])


def test_no_page_shows_a_secret_of_a_client_a_person_or_the_service(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            browsers: list[Browser] = [service.browser(), service.browser(), service.browser()]
            await hold(service, browsers[0], "lin")
            await hold(service, browsers[1], OPERATOR)
            secrets = await _secrets(service.parts.idp_database)
            secrets |= {SECRET, b64u_encode(service.parts.keyring["csrf"].current)}
            assert len(secrets) > 5
            for route in service.routes():
                if "GET" not in (route.methods or ()) or route.path == "/end-session":
                    continue
                for browser in browsers:
                    answer = await browser.http.get(re.sub(r"\{[^}]*\}", "1", route.path))
                    for secret in secrets:
                        assert secret not in answer.text, route.path

    run(story())


async def _secrets(db: Any) -> set[str]:
    found: set[str] = set()
    for table, column in (("account", "password_hash"), ("signing_key", "sealed_private"), ("client", "registration")):
        for row in await db.fetch(f"SELECT {column} AS value FROM {table}"):  # noqa: S608  # names of this file
            value = row["value"]
            if table == "client":
                found.update(re.findall(r'"client_secret[a-z_]*": ?"([^"]{20,})"', str(value)))
            elif isinstance(value, bytes):
                found.update({value.hex(), b64u_encode(value)})
            elif value:
                found.add(str(value))
    return found


RUNNERS = {"eval", "exec", "compile", "__import__"}
LOADERS = {
    ("pickle", "loads"),
    ("pickle", "load"),
    ("marshal", "loads"),
    ("yaml", "load"),
    ("os", "system"),
    ("os", "popen"),
}


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield node


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_in_the_product_runs_text_as_code(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        for call in _calls(path):
            name = call.func
            if isinstance(name, ast.Name):
                assert name.id not in RUNNERS, (path, call.lineno)
            if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name):
                assert (name.value.id, name.attr) not in LOADERS, (path, call.lineno)
                assert name.attr != "from_string", (path, call.lineno)  # a template out of data
            assert not any(
                keyword.arg == "shell"
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
                for keyword in call.keywords
            ), (path, call.lineno)
