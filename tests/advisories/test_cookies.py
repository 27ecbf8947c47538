"""A malformed cookie denies and never passes through (authentik CVE-2026-25748); nor does it break the server.

Cookies of every broken form go to the whole service: no page of a person opens, and no answer is a fault of ours.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.protocol.full_service import Browser, Service, authorization, full_service
from tests.scale import trials

ADVISORY_CLASSES: tuple[int, ...] = (23,)

SEEN_RED: dict[str, str] = {
    "test_no_malformed_cookie_opens_a_page_or_breaks_the_server": (
        "idp/session/cookies.py: the first of two cookies was believed; then: a malformed one was raised as an error"
    ),
    "test_no_malformed_cookie_stands_in_for_a_form_token_or_a_browser": (
        "idp/login/flow.py: the browser was not compared with the one the sign-in began in"
    ),
    "test_our_cookies_are_bound_to_this_host_kept_from_scripts_and_from_other_sites": (
        "idp/session/cookies.py: the cookie was left open to scripts"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]

SEED = 20_261_122
FUZZED = trials(500, full=20_000)
SESSION, BROWSER, FORM = "__Host-edutrust-session", "__Host-edutrust-browser", "__Host-edutrust-form"
OWN_PAGES = ("/account/sessions", "/account/platforms", "/account/password", "/credentials", "/home")
_BYTES = b"".join(bytes([byte]) for byte in range(256) if byte not in b"\r\n\x00")


def malformed(chance: random.Random, good: dict[str, str]) -> bytes:
    """Return a Cookie header that is near to a good one and is not one."""
    name = chance.choice([SESSION, BROWSER, FORM])
    value = good[name].encode()
    how = chance.randrange(12)
    at = chance.randrange(len(value))
    if how == 0:  # one character of the secret is another
        other = chance.choice([byte for byte in b"ABCabc019-_" if byte != value[at]])
        return f"{name}=".encode() + value[:at] + bytes([other]) + value[at + 1 :]
    if how == 1:  # cut
        return f"{name}=".encode() + value[: chance.randrange(len(value))]
    if how == 2:  # longer
        return f"{name}=".encode() + value + bytes(chance.choices(_BYTES, k=chance.randrange(1, 200)))
    if how == 3:  # two of one name, in any order: neither is believed
        pair = [value, bytes(chance.choices(b"abcXYZ012", k=43))]
        chance.shuffle(pair)
        return b"; ".join(f"{SESSION}=".encode() + one for one in (*pair, good[SESSION].encode()))
    if how == 4:  # another name
        return chance.choice([b"edutrust-session", SESSION.lower().encode(), SESSION.encode() + b" x"]) + b"=" + value
    if how == 5:  # quoted
        return f'{name}="'.encode() + value + b'"'
    if how == 6:  # encoded
        return f"{name}=".encode() + b"".join(b"%%%02X" % byte for byte in value)
    if how == 7:  # no value, no name, only signs
        return chance.choice(
            [name.encode(), name.encode() + b"=", b"=", b";;;;", b"=;=;=", b",", b'"', b"\\", b"$Version=1"]
        )
    if how == 8:  # very long
        return f"{name}=".encode() + b"A" * chance.choice([1_000, 8_000, 60_000])
    if how == 9:  # very many
        return b"; ".join(f"{name}{number}=x".encode() for number in range(chance.randrange(50, 600)))
    if how == 10:  # a foreign object in the place of ours
        return f"{name}=".encode() + chance.choice(
            [b"null", b"{}", b"[]", b"true", b"0", b"../../x", b"' OR 1=1 --", b"eyJhbGciOiJub25lIn0.e30."]
        )
    return bytes(chance.choices(_BYTES, k=chance.randrange(1, 300)))  # anything


async def _ask(service: Service, path: str, cookie: bytes) -> tuple[int, str]:
    """Ask for a page with these bytes as the Cookie header; return status and redirect."""
    sent: list[dict[str, Any]] = []
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"id.example.edu.cn"), (b"accept", b"text/html"), (b"cookie", cookie)],
        "client": ("203.0.113.9", 1),
        "server": ("127.0.0.1", 8443),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await service.app(scope, receive, send)
    start = sent[0]
    return start["status"], dict(start["headers"]).get(b"location", b"").decode()


async def _signed_in(service: Service) -> tuple[Browser, dict[str, str]]:
    browser = service.browser()
    await browser.sign_in(await browser.get("/signin"), "lin")
    return browser, {cookie.name: cookie.value or "" for cookie in browser.http.cookies.jar}


def test_no_malformed_cookie_opens_a_page_or_breaks_the_server(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            _, good = await _signed_in(service)
            whole = f"{SESSION}={good[SESSION]}".encode()
            assert (await _ask(service, OWN_PAGES[0], whole))[0] == 200
            chance = random.Random(SEED)
            for turn in range(FUZZED):
                cookie = malformed(chance, good)
                if turn % 3 == 0 and not cookie.startswith(SESSION.encode()):
                    cookie += b"; " + whole  # a broken neighbour neither opens nor closes what the good one opens
                path = chance.choice(OWN_PAGES)
                status, location = await _ask(service, path, cookie)
                assert status < 500, (cookie, status)
                if whole in cookie.split(b"; ") and cookie.count(SESSION.encode() + b"=") == 1:
                    continue
                assert status == 303, (cookie, status)
                assert location.startswith("/signin"), (cookie, location)
            assert service.faults() == []

    run(story())


def test_no_malformed_cookie_stands_in_for_a_form_token_or_a_browser(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            browser = service.browser()
            page = await browser.get("/authorize", **authorization())
            good = {cookie.name: cookie.value or "" for cookie in browser.http.cookies.jar}
            assert set(good) == {BROWSER, FORM}
            form = {**page.forms["/signin/password"], "username": "lin", "password": "correct horse battery"}
            plain = service.browser()
            for name, told in ((FORM, 403), (BROWSER, 400)):
                for value in (
                    "",
                    "x",
                    good[name][:-1],
                    good[name] + "A",
                    good[name].swapcase(),
                    f"{good[name]}; {name}=x",
                ):
                    other = next(each for each in good if each != name)
                    header = {"cookie": f"{other}={good[other]}; {name}={value}"}
                    answer = await plain.http.post("/signin/password", data=form, headers=header)
                    assert answer.status_code == told, (name, value)
                    assert SESSION not in answer.headers.get("set-cookie", "")

    run(story())


def test_our_cookies_are_bound_to_this_host_kept_from_scripts_and_from_other_sites(tmp_path: Path, run: Run) -> None:
    """RFC 6265bis §4.1.3.2: `__Host-` means Secure, Path=/ and no Domain, or the browser drops it."""

    async def story() -> None:
        async with full_service(tmp_path) as service:
            browser = service.browser()
            seen: dict[str, str] = {}

            async def keep(response: Any) -> None:
                for header in response.headers.get_list("set-cookie"):
                    seen[header.partition("=")[0]] = header.lower()

            browser.http.event_hooks["response"].append(keep)
            await browser.sign_in(await browser.get("/authorize", **authorization()), "lin")
            await browser.get("/account/sessions", ui_locales="en")
            assert {SESSION, BROWSER, FORM} <= set(seen)
            for name in (SESSION, BROWSER, FORM):
                parts = [part.strip() for part in seen[name].split(";")[1:]]
                assert {"secure", "httponly", "path=/", "samesite=lax"} <= set(parts), seen[name]
                assert not any(part.startswith(("domain", "expires", "max-age")) for part in parts), seen[name]

    run(story())
