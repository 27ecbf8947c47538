"""What every request passes and every answer carries, whichever room answers."""

# ruff: noqa: ARG005  # every forgery is given both the cookie and the token, and leaves out what it leaves out

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.types import Message

from adapters.http import edge
from adapters.http.headers import content_security_policy
from tests.adapters.asgi import Answer, Headers, ask, ask_in_loop, scope
from tests.adapters.service import CANARY, Service
from tests.services.loops import run

HTML = [("accept", "text/html")]


@pytest.fixture
def service() -> Service:
    return Service()


ALL_KINDS = ["/", "/static/none.js", "/nowhere", "/broken", "/away", "/api/broken", "/api/oauth", "/who", "/forbidden"]


@pytest.mark.parametrize("target", ALL_KINDS)
@pytest.mark.parametrize("headers", [HTML, []])
def test_every_answer_carries_the_security_headers(service: Service, target: str, headers: Headers) -> None:
    answer = ask(service.app, "GET", target, headers)
    policy = answer.header("content-security-policy")
    assert policy == content_security_policy()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"
    assert (answer.header("strict-transport-security") or "").startswith("max-age=63072000")
    assert re.fullmatch(r"[0-9a-f]{16}", answer.header("x-correlation-id") or "")


def test_static_files_may_be_kept_for_ever_and_come_compressed(service: Service) -> None:
    address = re.search(r"/static/base-[A-Z0-9]+\.css", ask(service.app, "GET", "/", HTML).body.decode())
    assert address
    plain = ask(service.app, "GET", address[0])
    packed = ask(service.app, "GET", address[0], [("accept-encoding", "gzip")])
    assert plain.header("cache-control") == packed.header("cache-control") == "public, max-age=31536000, immutable"
    assert packed.header("content-encoding") == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert ask(service.app, "HEAD", address[0]).body == b""
    assert ask(service.app, "GET", "/static/../build.mjs").status == 404


def test_a_page_may_name_where_its_form_leads_and_no_other_page_does(service: Service) -> None:
    policy = ask(service.app, "GET", "/platform", HTML).header("content-security-policy") or ""
    assert "form-action 'self' https://platform.example;" in policy
    assert "platform.example" not in (ask(service.app, "GET", "/", HTML).header("content-security-policy") or "")


def test_a_page_without_forms_of_its_own_leads_to_the_platform_only_or_nowhere() -> None:
    assert "; form-action https://a.example; " in content_security_policy(("https://a.example",), own_forms=False)
    assert "; form-action 'none'; " in content_security_policy((), own_forms=False)


@pytest.mark.parametrize(
    "origin",
    ["https://a.example; script-src *", "https://a.example/path", "*", "'unsafe-inline'", "https://a b", "data:"],
)
def test_a_form_action_that_is_no_origin_cannot_widen_the_policy(origin: str) -> None:
    with pytest.raises(ValueError, match="origins"):
        content_security_policy((origin,))


# Errors


def test_an_error_of_ours_tells_nothing_but_a_reference(service: Service) -> None:
    page = ask(service.app, "GET", "/broken", HTML)
    program = ask(service.app, "GET", "/api/broken")
    assert page.status == program.status == 500
    reference = page.header("x-correlation-id") or "-"
    assert reference.encode() in page.body
    for told in (page.body.decode(), program.body.decode(), service.lines.text, repr(page.headers)):
        assert CANARY not in told
        assert "Traceback" not in told
    assert json.loads(program.body)["error"] == "http.internal"
    fault = next(event for event in service.lines.events if event["event"] == "fault")
    assert fault["errors"] == ["builtins.RuntimeError"]
    assert any(place.startswith("tests/adapters/service.py:") for place in fault["places"])
    assert fault["reference"] == reference


def test_a_refusal_only_we_can_have_caused_is_told_as_an_error_of_ours(service: Service) -> None:
    page = ask(service.app, "GET", "/fault", HTML)
    program = ask(service.app, "GET", "/api/fault")
    assert page.status == program.status == 500
    assert b"store." not in page.body + program.body
    assert CANARY.encode() not in page.body + program.body


def test_a_lost_database_is_503_and_says_when_to_come_back(service: Service) -> None:
    for headers in (HTML, []):
        answer = ask(service.app, "GET", "/away", headers)
        assert answer.status == 503
        assert answer.header("retry-after") == "5"
        assert b"57P01" not in answer.body


def test_an_oauth_error_is_the_wire_error_of_its_standard(service: Service) -> None:
    answer = ask(service.app, "POST", "/token", [("content-type", "application/x-www-form-urlencoded")], b"a=1")
    told = json.loads(answer.body)
    assert answer.status == 401
    assert told["error"] == "invalid_client"
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", told["error_description"])
    assert (answer.header("www-authenticate") or "").startswith("Basic ")
    assert answer.header("cache-control") == "no-store"
    scope = json.loads(ask(service.app, "GET", "/api/oauth").body)
    assert (scope["error"], scope["field"], scope["rule"]) == ("invalid_request", "scope", "form")


def test_who_must_sign_in_is_sent_there_and_back(service: Service) -> None:
    answer = ask(service.app, "GET", "/sign-in-first?page=2&q=a%26b", HTML)
    assert answer.status == 303
    assert parse_qs(urlsplit(answer.header("location") or "").query) == {"return": ["/sign-in-first?page=2&q=a%26b"]}
    stronger = ask(service.app, "GET", "/stronger", HTML).header("location") or ""
    assert parse_qs(urlsplit(stronger).query) == {"return": ["/stronger"], "acr": ["2"]}
    assert ask(service.app, "GET", "/sign-in-first").status == 401
    assert ask(service.app, "GET", "/forbidden", HTML).status == 403


def test_unknown_addresses_and_methods_have_pages_of_their_own(service: Service) -> None:
    missing = ask(service.app, "GET", "/nowhere", HTML)
    assert missing.status == 404
    assert b"<h1>" in missing.body
    wrong = ask(service.app, "GET", "/act", HTML)
    assert wrong.status == 405
    assert wrong.header("allow") == "POST"
    assert json.loads(ask(service.app, "GET", "/nowhere").body)["error"] == "http.not_found"


def test_what_a_caller_wrote_is_never_markup(service: Service) -> None:
    answer = ask(service.app, "GET", "/?<script>alert(1)</script>=\"'>", HTML)
    assert b"<script>alert" not in answer.body
    slashes = ask(service.app, "GET", "//evil.example/x", HTML)
    assert b'href="//evil' not in slashes.body


# The log


def test_the_log_names_routes_never_paths_queries_bodies_or_whole_addresses(service: Service) -> None:
    ask(service.app, "GET", f"/shared/{CANARY}?token={CANARY}", [*HTML, ("cookie", f"a={CANARY}"), ("x-a", CANARY)])
    ask(service.app, "GET", f"/{CANARY}", [("user-agent", CANARY), ("referer", CANARY)])
    ask(service.app, "POST", "/api/echo", [], CANARY.encode(), client="2001:db8:1:2:3:4:5:6")
    assert CANARY not in service.lines.text
    routes = [event["route"] for event in service.lines.events]
    assert routes == ["/shared/{code}", "-", "/api/echo"]
    assert [event["from"] for event in service.lines.events] == ["203.0.113.0/24"] * 2 + ["2001:db8:1::/48"]
    assert set(service.lines.events[0]) == {
        "time", "event", "method", "route", "status", "ms", "from", "reference",
    }  # fmt: skip


def test_a_line_break_in_a_method_starts_no_line_of_its_own(service: Service) -> None:
    ask(service.app, "GET\n{}", "/", HTML)
    assert len(service.lines.events) == 1
    assert service.lines.events[0]["method"] == "-"


# The edge


def test_forwarding_headers_of_strangers_are_stripped_unread(service: Service) -> None:
    forged = [(name.decode(), "10.9.8.7") for name in sorted(edge.FORWARDING_HEADERS)]
    told = json.loads(ask(service.app, "GET", "/who", forged).body)
    assert told["client"] == "203.0.113.7"
    assert told["headers"] == []


def test_a_proxy_of_ours_is_believed_about_the_last_hop_only() -> None:
    service = Service(proxies=["10.0.0.0/8"])
    forwarded = [("x-forwarded-for", "1.1.1.1, 198.51.100.9, 10.0.0.3"), ("x-forwarded-proto", "http")]
    told = json.loads(ask(service.app, "GET", "/who", forwarded, client="10.0.0.2").body)
    assert (told["client"], told["scheme"], told["headers"]) == ("198.51.100.9", "http", [])
    nonsense = json.loads(ask(service.app, "GET", "/who", [("x-forwarded-for", "1.1.1.1, x")], client="10.0.0.2").body)
    assert nonsense["client"] == "10.0.0.2"


def test_another_host_name_is_sent_to_our_own_or_refused(service: Service) -> None:
    answer = ask(service.app, "GET", "/shared/a?b=c", [*HTML, ("host", "evil.example")])
    assert answer.status == 307
    assert answer.header("location") == "https://service.test/shared/a?b=c"
    assert ask(service.app, "POST", "/api/echo", [("host", "evil.example")]).status == 400
    doubled = ask(service.app, "GET", "//evil.example/%2e", [("host", "127.0.0.1")])
    assert (doubled.header("location") or "").startswith("https://service.test/evil.example")


def form_of(service: Service) -> tuple[str, str]:
    """Return the cookie and the token of a page."""
    answer = ask(service.app, "GET", "/", HTML)
    (cookie,) = [value for value in answer.all("set-cookie") if "edutrust-form" in value]
    token = re.search(r'name="csrf" value="([^"]+)"', answer.body.decode())
    assert token
    return cookie.partition(";")[0], token[1]


FORM = ("content-type", "application/x-www-form-urlencoded")


def test_the_form_cookie_is_bound_to_this_host_and_kept_from_scripts(service: Service) -> None:
    (cookie,) = [v for v in ask(service.app, "GET", "/", HTML).all("set-cookie") if "edutrust-form" in v]
    assert cookie.startswith("__Host-edutrust-form=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))


def test_a_form_with_its_token_is_acted_on(service: Service) -> None:
    cookie, token = form_of(service)
    body = f"csrf={token}&name=%E6%9E%97".encode()
    answer = ask(service.app, "POST", "/act", [FORM, ("cookie", cookie)], [body[:5], body[5:20], body[20:]])
    assert (answer.status, json.loads(answer.body)["name"]) == (200, "林")


Change = Callable[[str, str], tuple[Headers, bytes]]
FORGERIES: dict[str, Change] = {
    "no token": lambda cookie, token: ([FORM, ("cookie", cookie)], b"name=a"),
    "no cookie": lambda cookie, token: ([FORM], f"csrf={token}".encode()),
    "token of another browser": lambda cookie, token: ([FORM, ("cookie", cookie)], b"csrf=" + b"A" * 43),
    "one character changed": lambda cookie, token: (
        [FORM, ("cookie", cookie)],
        f"csrf={'B' if token[0] == 'A' else 'A'}{token[1:]}".encode(),
    ),
    "token twice": lambda cookie, token: ([FORM, ("cookie", cookie)], f"csrf={token}&csrf={token}".encode()),
    "cookie planted beside ours": lambda cookie, token: (
        [FORM, ("cookie", f"{cookie}; __Host-edutrust-form={'A' * 43}")],
        f"csrf={token}".encode(),
    ),
    "malformed cookie": lambda cookie, token: ([FORM, ("cookie", "__Host-edutrust-form=x")], f"csrf={token}".encode()),
    "token in the query": lambda cookie, token: ([FORM, ("cookie", cookie)], b""),
    "from another site, says the browser": lambda cookie, token: (
        [FORM, ("cookie", cookie), ("sec-fetch-site", "cross-site")],
        f"csrf={token}".encode(),
    ),
    "from a sibling host": lambda cookie, token: (
        [FORM, ("cookie", cookie), ("sec-fetch-site", "same-site")],
        f"csrf={token}".encode(),
    ),
    "another origin": lambda cookie, token: (
        [FORM, ("cookie", cookie), ("origin", "https://evil.example")],
        f"csrf={token}".encode(),
    ),
    "text/plain": lambda cookie, token: (
        [("content-type", "text/plain"), ("cookie", cookie)],
        f"csrf={token}".encode(),
    ),
    "no content type": lambda cookie, token: ([("cookie", cookie)], f"csrf={token}".encode()),
    "token not ASCII": lambda cookie, token: ([FORM, ("cookie", cookie)], b"csrf=%F0%9F%98%80"),
    "multipart, token after the file": lambda cookie, token: (
        [("content-type", "multipart/form-data; boundary=b"), ("cookie", cookie)],
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nx\r\n'
        b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' + token.encode() + b"\r\n--b--\r\n",
    ),
    "multipart, token cut off": lambda cookie, token: (
        [("content-type", "multipart/form-data; boundary=b"), ("cookie", cookie)],
        b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' + token.encode(),
    ),
    "multipart, malformed": lambda cookie, token: (
        [("content-type", "multipart/form-data; boundary=b"), ("cookie", cookie)],
        b"--c\r\n" + token.encode(),
    ),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_forged_form_is_refused(service: Service, name: str) -> None:
    cookie, token = form_of(service)
    headers, body = FORGERIES[name](cookie, token)
    target = f"/act?csrf={token}" if "query" in name else "/act"
    assert ask(service.app, "POST", target, [*headers, *HTML], body).status == 403


def test_origin_null_from_our_own_form_is_no_reason_to_refuse(service: Service) -> None:
    """With Referrer-Policy no-referrer a browser sends `Origin: null` with a form of our own."""
    cookie, token = form_of(service)
    headers = [FORM, ("cookie", cookie), ("origin", "null"), ("sec-fetch-site", "same-origin")]
    assert ask(service.app, "POST", "/act", headers, f"csrf={token}".encode()).status == 200


@pytest.mark.parametrize("chunk", [7, 1000, 10**6])
def test_an_upload_with_its_token_first_arrives_whole(service: Service, chunk: int) -> None:
    cookie, token = form_of(service)
    content = bytes(range(256)) * 400
    body = (
        b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' + token.encode() + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.csv"\r\nContent-Type: text/csv\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )
    headers = [("content-type", "multipart/form-data; boundary=b"), ("cookie", cookie)]
    pieces = [body[start : start + chunk] for start in range(0, len(body), chunk)]
    assert json.loads(ask(service.app, "POST", "/upload", headers, pieces).body)["f"] == len(content)


def test_only_the_listed_paths_need_no_form_token(service: Service) -> None:
    assert ask(service.app, "POST", "/api/echo", [], b"x").body == b"x"
    assert ask(service.app, "POST", "/api/echo/", [], b"x").status in {403, 404}
    assert ask(service.app, "POST", "/api/", [], b"x").status == 403


# Limits


def test_a_body_over_the_limit_is_refused_declared_or_not(service: Service) -> None:
    limit = edge.FORM_MAX_BYTES
    declared = ask(service.app, "POST", "/api/echo", [("content-length", str(limit + 1))], b"")
    assert declared.status == 413
    assert ask(service.app, "POST", "/api/echo", [], [b"x" * 40_000, b"x" * 40_000]).status == 413
    assert ask(service.app, "POST", "/api/echo", [], [b"x" * limit]).status == 200
    assert ask(service.app, "POST", "/api/echo", [("content-length", "1e9")], b"").status == 400
    assert ask(service.app, "POST", "/api/echo", [("content-length", "-1")], b"").status == 400


def test_a_body_that_stalls_is_cut_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BODY_IDLE_S", 0.05)
    answer = ask(service.app, "POST", "/api/echo", [], [b"x"], stall=True)
    assert answer.status == 408


def test_a_body_is_read_whole_whether_it_is_at_hand_or_comes_later(service: Service) -> None:
    async def story() -> None:
        pieces = [(0, b"at hand "), (2, b"a little later "), (0, b"at hand again "), (1, b"the last")]
        heard: list[Message] = []

        async def receive() -> Message:
            turns, piece = pieces.pop(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            heard.append(message)

        await service.app(scope("POST", "/api/echo"), receive, send)
        assert heard[0]["status"] == 200
        assert heard[1]["body"] == b"at hand a little later at hand again the last"

    run(story())


def test_a_request_that_is_cancelled_while_its_body_is_awaited_ends_what_awaited_it(service: Service) -> None:
    async def story() -> None:
        ended: list[str] = []

        async def receive() -> Message:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("awaiting")
            raise AssertionError

        async def send(_message: Message) -> None:
            ended.append("answered")

        request = asyncio.create_task(_whole(service.app(scope("POST", "/api/echo"), receive, send)))
        for _ in range(5):
            await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert ended == ["awaiting"]

    run(story())


async def _whole(awaited: Awaitable[None]) -> None:
    await awaited


def test_the_fourth_attempt_is_refused_until_time_passes_and_others_are_not(service: Service) -> None:
    def attempt(client: str) -> Answer:
        return ask(service.app, "POST", "/limited", [FORM], b"", client=client)

    assert [attempt("198.51.100.1").status for _ in range(4)] == [403, 403, 403, 429]
    assert attempt("198.51.100.2").status == 403
    refused = attempt("198.51.100.1")
    assert refused.header("retry-after") == "10"
    service.monotonic.now += 10
    assert [attempt("198.51.100.1").status for _ in range(2)] == [403, 429]


def test_one_ipv6_household_is_one_caller(service: Service) -> None:
    def attempt(client: str) -> int:
        return ask(service.app, "POST", "/limited", [FORM], b"", client=client).status

    assert [attempt(f"2001:db8:0:1::{n}") for n in range(4)] == [403, 403, 403, 429]
    assert attempt("2001:db8:0:2::1") == 403
    assert [attempt("::ffff:198.51.100.3"), attempt("198.51.100.3"), attempt("198.51.100.3")] == [403] * 3
    assert attempt("::ffff:198.51.100.3") == 429


# Preferences


@pytest.mark.parametrize(
    ("target", "headers", "locale"),
    [
        ("/who", [], "zh-CN"),
        ("/who", [("accept-language", "en-GB,en;q=0.9,zh;q=0.8")], "en"),
        ("/who", [("accept-language", "fr, zh-TW;q=0.5, en;q=0.4")], "zh-CN"),
        ("/who", [("accept-language", "en;q=0, zh")], "zh-CN"),
        ("/who", [("accept-language", "*;q=, ;;;,en")], "en"),
        ("/who", [("cookie", "language=en"), ("accept-language", "zh")], "en"),
        ("/who?ui_locales=zh-CN", [("cookie", "language=en")], "zh-CN"),
        ("/who?ui_locales=fr%20en", [], "en"),
        ("/who?ui_locales=../../etc", [("cookie", "language=../x")], "zh-CN"),
        ("/who?" + "a=1&" * 900 + "ui_locales=en", [], "en"),
    ],
)
def test_the_language_is_the_addresss_the_cookies_or_the_browsers(
    service: Service, target: str, headers: Headers, locale: str
) -> None:
    assert json.loads(ask(service.app, "GET", target, headers).body)["locale"] == locale


def test_a_chosen_language_is_remembered_and_switched_in_place(service: Service) -> None:
    answer = ask(service.app, "GET", "/shared/x?ui_locales=en&page=2", HTML)
    assert any(value.startswith("language=en;") for value in answer.all("set-cookie"))
    assert b'<html lang="en"' in answer.body
    assert b'href="/shared/x?page=2&amp;ui_locales=zh-CN"' in answer.body
    large = ask(service.app, "GET", "/?text_size=large", HTML)
    assert b'class="large"' in large.body
    assert any(value.startswith("text=large;") for value in large.all("set-cookie"))


def test_nobody_is_looked_up_for_static_files_and_programs(service: Service) -> None:
    for target in ("/static/x.css", "/api/oauth"):
        ask(service.app, "GET", target)
    assert service.resolve_calls == 0
    ask(service.app, "GET", "/", HTML)
    assert service.resolve_calls == 1


def test_many_at_once_keep_their_own_references() -> None:
    service = Service()
    numbers = iter(range(1000))

    async def story() -> None:
        answers = await asyncio.gather(
            *(ask_in_loop(service.app, "GET", f"/shared/{next(numbers)}", HTML) for _ in range(20))
        )
        assert {answer.status for answer in answers} == {200}

    asyncio.run(story())
