"""What a hostile page can do to a browser that is signed in here: state changed by GET, sign-in forged, framing, script.

(Canaille's GET impersonation; CVE-2024-1249 postMessage; script by client name, logo, language and error text.)
Every route of the whole service is asked, so that a new page is covered the day it is added.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from idp.clients.registration import parse_clients
from tests.protocol.full_service import CALLBACK, OPERATOR, Browser, Page, Service, authorization, full_service
from tests.protocol.world import PASSWORD, registration

ADVISORY_CLASSES: tuple[int, ...] = (22,)

SEEN_RED: dict[str, str] = {
    "test_no_get_changes_anything": "idp/account/sign_ins.py: ending every sign-in answered GET",
    "test_a_form_from_elsewhere_is_refused_wherever_it_is_sent": "adapters/http/csrf.py: the form token was not compared",
    "test_a_sign_in_cannot_be_forged": "idp/login/flow.py: the browser was not compared with the one the sign-in began in",
    "test_every_answer_forbids_framing_and_every_script_that_is_not_ours": (
        "adapters/http/headers.py: `frame-ancestors` was left out; adapters/web/templates/base.html: an inline handler"
    ),
    "test_no_text_of_a_platform_or_a_request_becomes_a_tag": (
        "idp/pages/templates/idp/consent.html: the platform's name was not escaped"
    ),
    "test_no_address_of_a_platform_can_be_a_script": "idp/clients/redirect_uris.py: the scheme was not checked",
    "test_no_page_of_ours_speaks_to_other_windows": "adapters/web/src/copy.js: a listener for messages",
}

Run = Callable[[Coroutine[Any, Any, None]], None]
ROOT = Path(__file__).parents[2]

MARK = "zz9canary"
PAYLOADS = (
    f'"><{MARK} onload=alert(1)>',
    f"'><{MARK} onload=alert(1)>",
    f"</title><script>{MARK}</script>",
    f"{{{{ 7*7 }}}}<{MARK}>",
    f"javascript:alert('{MARK}')",
)
SCRIPT_ATTRIBUTES = re.compile(r"on[a-z]+|style|srcdoc")
ADDRESSES = frozenset({"href", "src", "action", "formaction", "data", "poster"})


class Tags(HTMLParser):
    """Every tag of a page with its attributes, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self._script = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)


def harmless(text: str, told: str) -> None:
    """Fail if the page holds a script, a style or a tag that is not the template's own."""
    tags = Tags(text)
    assert not tags.inline, told
    for tag, given in tags.found:
        assert MARK not in tag, told
        for name, value in given.items():
            assert not SCRIPT_ATTRIBUTES.fullmatch(name), (told, tag, name)
            assert MARK not in name, told
            if name in ADDRESSES or given.get("http-equiv"):
                assert not re.match(r"\s*(?:\d+;\s*url=)?\s*(?:javascript|data|vbscript):", value, re.IGNORECASE), told


def addresses_of(service: Service) -> dict[str, set[str]]:
    """Return every address with its methods: what is in braces is filled in with something that does not exist."""
    found: dict[str, set[str]] = {}
    for route in service.routes():
        found.setdefault(re.sub(r"\{[^}]*\}", "x1", route.path), set()).update(route.methods or ())
    return found


async def signed_in(service: Service, username: str, *, stronger: bool = False) -> Browser:
    browser = service.browser()
    await browser.sign_in(await browser.get("/signin", **({"acr": "2"} if stronger else {})), username)
    return browser


async def _state(service: Service) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything sign-in keeps, but for what only says that somebody was here."""
    kept: dict[str, list[tuple[Any, ...]]] = {}
    for table, columns in (
        ("account", "person, state, password_hash"),
        ("authenticator", "person, kind, failures, last_step"),
        ("client", "client_id, state, registration"),
        ("consent", "person, client_id, granted, offered"),
        ("login_session", "reference, cookie_hash, ended_at"),
        ("token_family", "family_id, revoked_at"),
        ("refresh_token", "token_hash, used_at"),
        ("logout_outbox", "job_id"),
    ):
        order = "1, 2" if "," in columns else "1"
        rows = await service.parts.idp_database.fetch(
            f"SELECT {columns} FROM {table} ORDER BY {order}"  # noqa: S608  # names written above
        )
        kept[table] = [tuple(row.values()) for row in rows]
    return kept


def test_no_get_changes_anything(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            browser = await signed_in(service, OPERATOR, stronger=True)
            before = await _state(service)
            asked = 0
            for address, methods in addresses_of(service).items():
                for query in ("", "?answer=yes&reference=x&client_id=learning&confirm=yes&step=create"):
                    for method in ("GET", "HEAD"):
                        answer = await browser.http.request(method, address + query)
                        assert answer.status_code < 500, (address, answer.status_code)
                        if method == "GET" and "GET" not in methods:
                            assert answer.status_code in {303, 404, 405}, address
                        asked += 1
            assert asked > 100
            assert await _state(service) == before
            assert (await browser.get("/account/sessions")).response.status_code == 200, "and nobody is signed out"

    run(story())


def test_a_form_from_elsewhere_is_refused_wherever_it_is_sent(tmp_path: Path, run: Run) -> None:
    """Every address that changes something takes the form token of this browser, or no cookie at all."""

    async def story() -> None:
        async with full_service(tmp_path) as service:
            browser = await signed_in(service, "lin")
            before = await _state(service)
            cookieless = {"/token", "/revoke", "/introspect", "/par", "/userinfo", "/device_authorization", "/register"}
            refused = 0
            for address, methods in addresses_of(service).items():
                if "POST" not in methods or address in {"/authorize", "/end-session", *cookieless}:
                    continue
                if address.startswith(("/api/", "/register/")):
                    continue
                for headers in ({}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
                    answer = await browser.http.post(address, data={"csrf": "x", "answer": "yes"}, headers=headers)
                    assert answer.status_code == 403, (address, answer.status_code)
                    refused += 1
            assert refused > 40
            assert await _state(service) == before

    run(story())


def test_a_sign_in_cannot_be_forged(tmp_path: Path, run: Run) -> None:
    """Login CSRF: a foreign page cannot sign the victim in as somebody else, with or without a handle of its own."""

    async def story() -> None:
        async with full_service(tmp_path) as service:
            attacker, victim = service.browser(), service.browser()
            page = await attacker.get("/signin")
            await victim.get("/signin")
            form = {**page.forms["/signin/password"], "username": "zhao", "password": PASSWORD}
            for sent in (form, {**form, "csrf": ""}, {name: value for name, value in form.items() if name != "csrf"}):
                answer = await victim.http.post("/signin/password", data=sent)
                assert answer.status_code == 403
            own = (await victim.get("/signin")).forms["/signin/password"]["csrf"]
            answer = await victim.http.post("/signin/password", data={**form, "csrf": own})
            assert answer.status_code == 400, "the handle is of the attacker's browser"
            assert "edutrust-session" not in str(answer.headers)

    run(story())


def test_every_answer_forbids_framing_and_every_script_that_is_not_ours(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            for browser in (service.browser(), await signed_in(service, OPERATOR, stronger=True)):
                for address in addresses_of(service):
                    for method in ("GET", "POST", "OPTIONS"):
                        answer = await browser.http.request(method, address)
                        policy = answer.headers["content-security-policy"]
                        assert "frame-ancestors 'none'" in policy, address
                        assert answer.headers["x-frame-options"] == "DENY", address
                        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy, address
                        assert "unsafe" not in policy, address
                        assert "*" not in policy, address
                        assert answer.headers["x-content-type-options"] == "nosniff", address
                        if answer.headers.get("content-type", "").startswith("text/html"):
                            harmless(answer.text, address)
            plain = service.browser()
            for address in ("/nowhere", "/static/nothing.js", "/%2e%2e/", "/account/sessions/"):
                assert "frame-ancestors 'none'" in (await plain.http.get(address)).headers["content-security-policy"]

    run(story())


async def _pages_of(service: Service, client_id: str, payload: str) -> list[Page]:
    """Walk a whole sign-in and sign-out of a platform whose every text is hostile; return each page on the way."""
    origin = f"https://{client_id}.example"
    hostile = authorization(client_id=client_id, redirect_uri=f"{origin}/callback", state=payload, nonce="n")
    browser = service.browser()
    pages = [
        await browser.get("/authorize", **{**hostile, "login_hint": payload, "ui_locales": payload, "display": payload})
    ]
    pages.append(await browser.send(pages[0], "/signin/password", username=payload, password="x"))
    pages.append(await browser.send(pages[1], "/signin/password", username="lin", password=PASSWORD))
    if "/signin/consent" in pages[-1].forms:
        await browser.send(pages[-1], "/signin/consent", scope_edu="yes")
    shown = ("/account/sessions", "/account/platforms", f"/account/platforms?x={payload}", "/signed-out")
    pages += [await browser.get(address) for address in shown]
    posted = {**hostile, "response_mode": "form_post"}
    pages.append(await browser.get("/authorize", **posted))
    refused: tuple[dict[str, str], ...] = (
        {"redirect_uri": payload},
        {"client_id": payload},
        {"response_mode": "form_post", "scope": payload},
        {"response_mode": "form_post", "prompt": "none", "error": payload, "error_description": payload},
        {payload: "x"},
        {"request_uri": payload},
    )
    pages += [await browser.get("/authorize", **{**hostile, **changes}) for changes in refused]
    pages.append(await browser.get("/end-session", id_token_hint=payload))
    pages.append(await browser.get("/end-session", post_logout_redirect_uri=payload, state=payload))
    pages.append(await browser.get(f"/nowhere/{payload}", error_description=payload))
    pages.append(await browser.get("/verify/" + re.sub(r"[/?#]", "", payload)))
    asking = await browser.get(
        "/end-session", client_id=client_id, post_logout_redirect_uri=f"{origin}/bye", state=payload
    )
    pages += [asking, await browser.send(asking, "/end-session/confirm", answer="yes")]
    return pages


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_platform_or_a_request_becomes_a_tag(tmp_path: Path, run: Run, payload: str) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            client = registration(
                "hostile",
                name_zh=payload[:60],
                name_en=payload[:60],
                client_uri="https://hostile.example/?%22%3E%3Cscript%3E",
                frontchannel_logout_uri="https://hostile.example/front?a='onload=alert(1)",
                filing={"operator": payload[:60], "icp_number": payload[:60]},
            )
            await service.parts.access.register_clients(
                parse_clients(json.dumps([client]).encode()), service.parts.clock()
            )
            shown = 0
            for page in await _pages_of(service, "hostile", payload):
                answer = page.response
                assert answer.status_code < 500, (answer.url, answer.status_code)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    harmless(answer.text, f"{answer.status_code} {answer.url}")
                    shown += MARK in answer.text
                else:
                    assert answer.status_code == 303, answer.url
                    assert urlsplit(answer.headers["location"]).netloc in {"hostile.example", "id.example.edu.cn", ""}
            assert shown > 5, "the texts are shown, and as text"

    run(story())


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        " https://a.example",
        "//a.example",
    ],
)
@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "policy_uri", "tos_uri", "frontchannel_logout_uri"])
def test_no_address_of_a_platform_can_be_a_script(member: str, uri: str) -> None:
    with pytest.raises(Exception, match=member):
        parse_clients(json.dumps([registration(**{member: uri})]).encode())


def test_no_page_of_ours_speaks_to_other_windows() -> None:
    """CVE-2024-1249: there is no `postMessage` and no listener for one, so no origin to check wrongly."""
    sources = [
        path
        for folder in (ROOT / "adapters" / "web" / "src", *ROOT.glob("*/pages/static"))
        for path in folder.rglob("*.js")
    ]
    assert len(sources) >= 3
    for path in sources:
        source = path.read_text("utf-8")
        for word in (
            "postMessage",
            '"message"',
            "'message'",
            "onmessage",
            "innerHTML",
            "document.write",
            "eval(",
            "window.name",
        ):
            assert word not in source, (path.name, word)


def test_the_answer_of_a_platform_goes_to_its_registered_address_only(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            browser = service.browser()
            asked = authorization(state="</script>", error="x", error_description="<b>")
            answer = await browser.sign_in(await browser.get("/authorize", **asked), "lin")
            location = urlsplit(answer.response.headers["location"])
            assert f"{location.scheme}://{location.netloc}{location.path}" == CALLBACK
            assert "<" not in location.query
            assert "error" not in location.query

    run(story())
