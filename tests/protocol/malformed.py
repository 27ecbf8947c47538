"""Requests no client of ours would send: each is made from a good one by a few seeded faults."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote

from starlette.routing import Route
from starlette.types import ASGIApp, Message

from tests.protocol.full_service import CALLBACK, ISSUER, SECRET, Held, authorization
from tests.protocol.world import PASSWORD, basic, registration

ENDING = ("/signout", "/end-session", "/account/", "/signin")
CALLERS = 4000
"""So many networks call: the limits of each still hold, and most requests get past them."""

HOSTILE: tuple[str, ...] = (
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\r\nSet-Cookie: a=b",
        "\n",
        "%",
        "%s%n",
        "' OR 1=1 --",
        "${jndi:ldap://x}",
        "{{7*7}}",
    ),
    *(
        "<script>alert(1)</script>",
        '"><img src=x>',
        "../../../../etc/passwd",
        "..\\..\\",
        "𠮷",
        "\u202e",
        "\u200b",
        "İ",
        "ﷺ" * 300,
    ),
    *(
        "-1",
        "0",
        "9" * 400,
        "1e999",
        "NaN",
        "null",
        "true",
        "[]",
        "{}",
        "[" * 5000,
        '{"a":' * 2000,
        "e30.e30.e30",
        "..",
        ".",
    ),
    *(
        "https://[",
        "http://[::1",
        "https://a:b:c/",
        "//evil.example",
        "javascript:alert(1)",
        "\\\\evil",
        "urn:x:" + "y" * 500,
    ),
    *(
        "A" * 4097,
        "A" * 20_000,
        "é" * 3000,
        "eyJhbGciOiJub25lIn0.e30.",
        "Bearer x",
        "sac_" + "x" * 43,
        "rac_" + "x" * 43,
    ),
    *(
        "openid " * 2000,
        "openid\u3000profile",
        "none login",
        "zh-CN " * 500,
        "0x7f000001",
        "\u0000\ud7ff",
        "１２３４５６",
    ),
)
BROKEN: tuple[bytes, ...] = (
    *(b"%", b"%f", b"%zz", b"%00", b"%ff", b"%c0%80", b"%ed%a0%80", b"%f4%90%80%80", b"%E2%80%AE", b"\xff", b"\x00"),
    *(b"+", b"%2b", b"%u0041", b"a=b", b"&&&&", b"=", b";", b"%0d%0aSet-Cookie:%20a=b", b"a" * 3000),
)
MEDIA_TYPES: tuple[bytes, ...] = (
    *(
        b"application/json",
        b"text/plain",
        b"multipart/form-data",
        b"multipart/form-data; boundary=x",
        b"",
        b"/",
        b"\xff",
    ),
    *(b"application/x-www-form-urlencoded; charset=utf-16", b"multipart/form-data; boundary=" + b"y" * 500),
    *(b"application/x-www-form-urlencoded;;;", b"APPLICATION/X-WWW-FORM-URLENCODED", b"application/xml", b"a" * 5000),
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    *((b"authorization", value) for value in (b"", b"Basic", b"Basic !!!", b"Basic Og==", b"Basic " + b"A" * 9000)),
    *(
        (b"authorization", value)
        for value in (b"Bearer", b"Bearer \xff", b"bearer a b", b"Digest x", b"DPoP x", b"\x00")
    ),
    *((b"cookie", value) for value in (b"", b"=", b";;;", b"a" * 9000, b"__Host-edutrust-session=\xff", b"\x00=\x00")),
    *((b"cookie", value) for value in (b"__Host-edutrust-session=" + b"a" * 43, b"__Host-edutrust-form=x; " * 50)),
    *(
        (b"accept-language", value)
        for value in (b"zh" * 3000, b";q=", b"\xff", b"en;q=nan,zh;q=-1", b"*;q=0", b"en;q=1e999")
    ),
    *((b"accept", value) for value in (b"text/html", b"", b"application/jwt;q=x", b"\xff", b"text/html;q=0,*/*")),
    *((b"host", value) for value in (b"", b"evil.example", b"id.example.edu.cn:99999", b"\xff", b"[::1", b"a b")),
    *((b"content-length", value) for value in (b"-1", b"x", b"99999999999999", b"1e3", b"\xff")),
    *((b"x-forwarded-for", value) for value in (b"", b"::1, ,", b"1" * 3000)),
    *((b"origin", value) for value in (b"null", b"https://evil.example", b"\xff")),
    *((b"sec-fetch-site", value) for value in (b"cross-site", b"\xff")),
    *((b"range", b"bytes=0-0,-1,1-"), (b"if-none-match", b'W/"\xff'), (b"if-modified-since", b"Thu, 99 Foo 9999")),
    *((b"user-agent", value) for value in (b"", b"\xff" * 3000, b"<script>" * 90)),
    *((b"x-csrf", b"\xff"), (b"x-correlation-id", b"\r\n"), (b"te", b"trailers"), (b"expect", b"nonsense")),
)
METHODS: tuple[str, ...] = tuple("HEAD OPTIONS PUT DELETE PATCH TRACE CONNECT PROPFIND PURGE SEARCH POST GET".split())  # noqa: SIM905  # a list is read more easily as a sentence
NAMES: tuple[str, ...] = tuple(
    (  # noqa: SIM905  # as above
        "response_type response_mode client_id redirect_uri scope state nonce prompt max_age display "
        "acr_values claims claims_locales ui_locales id_token_hint login_hint request request_uri "
        "resource code_challenge code_challenge_method code_verifier grant_type code refresh_token token "
        "token_type_hint client_secret client_assertion client_assertion_type device_code user_code "
        "post_logout_redirect_uri logout_hint t csrf username password answer return acr dpop_jkt "
        "authorization_details scope_edu iss sid sub id file name email phone_number locale"
    ).split()
)


@dataclass
class Sent:
    """One request as it reaches the application."""

    method: str
    path: bytes
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=lambda: [b""])
    hangs_up: bool = False
    client: str = "203.0.113.7"

    def described(self) -> str:
        """Return enough to send it again."""
        body = b"".join(self.chunks)
        return repr(
            (self.method, self.path[:300], self.query[:600], self.headers, body[:600], len(body), self.hangs_up)
        )


@dataclass(frozen=True)
class Got:
    """What came back; `escaped` is an exception that went through every floor."""

    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes
    escaped: BaseException | None


async def deliver(app: ASGIApp, sent: Sent) -> Got:
    """Hand the request over as a server does, and read the whole answer."""
    waiting: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": position < len(sent.chunks) - 1 or sent.hangs_up}
        for position, chunk in enumerate(sent.chunks)
    ]
    started: list[Message] = []
    body = bytearray()

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            body.extend(message.get("body", b""))

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "https",
        "path": unquote(sent.path.decode("latin-1")),
        "raw_path": sent.path,
        "query_string": sent.query,
        "root_path": "",
        "headers": sent.headers,
        "client": (sent.client, 40_000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    escaped: BaseException | None = None
    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001  # whatever goes through every floor is what is looked for
        escaped = error
    assert len(started) <= 1, sent.described()
    if not started:
        return Got(None, [], bytes(body), escaped)
    return Got(started[0]["status"], list(started[0].get("headers", [])), bytes(body), escaped)


def good(rng: random.Random, route: Route, held: Held) -> tuple[str, str, dict[str, str], list[tuple[bytes, bytes]]]:
    """Return method, path, parameters and headers of a request this route would take, as far as that is known here."""
    path, values = route.path, held.values
    method = rng.choice(sorted(route.methods or {"GET"}))
    headers: list[tuple[bytes, bytes]] = []
    client = rng.choice(("learning", "library", "national", "native", "pushing", "nobody"))
    fields: dict[str, str]
    if path in {"/authorize", "/par", "/device_authorization"}:
        fields = authorization(
            **rng.choice(({}, {"prompt": "login"}, {"prompt": "none"}, {"response_mode": "form_post"}))
        )
        if path == "/authorize" and rng.random() < 0.2:
            fields = {"client_id": "learning", "request_uri": values["request_uri"]}
    elif path == "/token":
        fields = rng.choice(
            (
                {
                    "grant_type": "authorization_code",
                    "code": values["code"],
                    "redirect_uri": CALLBACK,
                    "code_verifier": values["code_verifier"],
                },
                {"grant_type": "refresh_token", "refresh_token": values["refresh_token"]},
                {"grant_type": "client_credentials", "scope": "roster.read"},
                {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "x"},
            )
        )
    elif path in {"/introspect", "/revoke"}:
        fields = {"token": rng.choice(list(values.values())), "token_type_hint": "refresh_token"}
    elif path == "/userinfo":
        fields = {}
        headers.append((b"authorization", b"Bearer " + values["access_token"].encode()))
    elif path == "/end-session":
        fields = {"id_token_hint": values["id_token_hint"], "post_logout_redirect_uri": "https://learning.example/bye"}
    elif path.startswith("/signin/"):
        fields = {
            "t": values["t"],
            "username": "zhao",
            "password": rng.choice((PASSWORD, "wrong", "")),
            "code": "123456",
        }
    else:
        fields = {name: rng.choice((*HOSTILE, "1")) for name in rng.sample(NAMES, rng.randrange(4))}
    if path in {"/token", "/introspect", "/revoke", "/par", "/device_authorization"}:
        headers.append((b"authorization", basic(rng.choice(("learning", "learning", client)), SECRET).encode()))
    if "csrf" not in fields and rng.random() < 0.8:
        fields = {"csrf": held.csrf, **fields}
    return method, _filled(rng, path), fields, headers


def _filled(rng: random.Random, path: str) -> str:
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        kinds = (
            ("diploma", "credit_record", "copyright_registration")
            if name.startswith("kind")
            else ("1", "0", "ABCD-EFGH")
        )
        value = rng.choice((*kinds, *HOSTILE[:40], "-" * 300, "x" * 43))
        path = before + quote_plus(value.encode("utf-8", "replace")) + after
    return path


Fault = Callable[[random.Random, "Draft"], None]


@dataclass
class Draft:
    """A request that is being spoilt."""

    method: str
    path: bytes
    pairs: list[tuple[bytes, bytes]]
    headers: list[tuple[bytes, bytes]]
    in_query: bool
    media_type: bytes = b"application/x-www-form-urlencoded"
    body: bytes | None = None
    pieces: int = 1
    hangs_up: bool = False


def _encode(text: str) -> bytes:
    return quote_plus(text.encode("utf-8", "replace")).encode()


def _value(rng: random.Random, draft: Draft) -> None:
    if draft.pairs:
        at = rng.randrange(len(draft.pairs))
        draft.pairs[at] = (draft.pairs[at][0], _encode(rng.choice(HOSTILE)))


def _raw_value(rng: random.Random, draft: Draft) -> None:
    if draft.pairs:
        at = rng.randrange(len(draft.pairs))
        name, value = draft.pairs[at]
        cut = rng.randrange(len(value) + 1)
        draft.pairs[at] = (name, value[:cut] + rng.choice(BROKEN) + value[cut:])


def _one_byte(rng: random.Random, draft: Draft) -> None:
    if draft.pairs:
        at = rng.randrange(len(draft.pairs))
        name, value = draft.pairs[at]
        if value:
            cut = rng.randrange(len(value))
            draft.pairs[at] = (name, value[:cut] + bytes([rng.randrange(33, 127)]) + value[cut + 1 :])


def _twice(rng: random.Random, draft: Draft) -> None:
    if draft.pairs:
        name, value = rng.choice(draft.pairs)
        draft.pairs.insert(rng.randrange(len(draft.pairs) + 1), (name, rng.choice((value, b"other"))))


def _left_out(rng: random.Random, draft: Draft) -> None:
    if draft.pairs:
        draft.pairs.pop(rng.randrange(len(draft.pairs)))


def _more(rng: random.Random, draft: Draft) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 60))):
        draft.pairs.append((_encode(rng.choice((*NAMES, rng.choice(HOSTILE)))), _encode(rng.choice(HOSTILE))))


def _method(rng: random.Random, draft: Draft) -> None:
    draft.method = rng.choice(METHODS)


def _path(rng: random.Random, draft: Draft) -> None:
    path = draft.path
    draft.path = rng.choice(
        (
            *(path + b"/", path + b"//", b"/" + path, path.upper(), path + b"%00", path + b"/../..", path + b";x=1"),
            *(
                b"/%2e%2e" + path,
                path.replace(b"/", b"%2f"),
                path + b"%ff",
                b"/",
                b"",
                b"*",
                path[:-1],
                b"/static/../kek",
            ),
            *(b"/static/" + b"a" * 4000, b"/.well-known/" + b"x" * 300, path + b"\xff", b"//evil.example" + path),
        )
    )


def _header(rng: random.Random, draft: Draft) -> None:
    name, value = rng.choice(HEADERS)
    if rng.random() < 0.7:
        draft.headers = [pair for pair in draft.headers if pair[0] != name]
    draft.headers.append((name, value))


def _media_type(rng: random.Random, draft: Draft) -> None:
    draft.media_type = rng.choice(MEDIA_TYPES)


def _raw_body(rng: random.Random, draft: Draft) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    document: dict[str, Any] = {**registration("x"), rng.choice(NAMES): rng.choice(HOSTILE)}
    draft.body = rng.choice(
        (
            *(
                b"",
                b"\x00" * 100,
                b"&" * 5000,
                b"a=b&" * 3000,
                b"[" * 60_000,
                b'{"a":' * 10_000,
                b"{}",
                b"null",
                b"\xff\xfe{}",
            ),
            *(json.dumps(document).encode(), json.dumps({"code": rng.choice(HOSTILE)}).encode(), b'{"code":1e400}'),
            *(b"%PDF-1.7\n" + rng.randbytes(200), rng.randbytes(rng.randrange(1, 3000)), b"a" * 70_000, b"x" * 200_000),
            *(b"".join(part % (name.encode(), b"v") for name in NAMES[:5]) + b"--x--\r\n", b"--x\r\n\r\n", b"--x--"),
            *(
                part % (b"csrf", b"v" * 40_000),
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\nx',
            ),
            *(b"--x\r\n" + b"A: b\r\n" * 3000, part % (b"\x00", b"\x00")),
        )
    )
    if draft.method in {"GET", "HEAD"} and rng.random() < 0.7:
        draft.method = "POST"


def _pieces(rng: random.Random, draft: Draft) -> None:
    draft.pieces = rng.choice((2, 7, 200))


def _hangs_up(rng: random.Random, draft: Draft) -> None:
    draft.hangs_up = True


def _elsewhere(rng: random.Random, draft: Draft) -> None:
    draft.in_query = not draft.in_query


FAULTS: Sequence[Fault] = (
    *(
        _value,
        _value,
        _value,
        _raw_value,
        _raw_value,
        _one_byte,
        _twice,
        _left_out,
        _more,
        _method,
        _path,
        _header,
        _header,
    ),
    *(_media_type, _raw_body, _pieces, _hangs_up, _elsewhere),
)


def _as_parsed(target: bytes) -> bytes:
    """Write a byte that the server's own parser refuses in a request line in the form in which it can come."""
    return b"".join(bytes([byte]) if 0x20 < byte < 0x7F else b"%%%02X" % byte for byte in target)


def malformed(rng: random.Random, routes: Sequence[Route], holders: Sequence[Held]) -> Sent:
    """Make one request from a good one of a random route, with none to four faults."""
    route = rng.choice(routes)
    # Whoever is signed out by a request that was good after all is signed in again; with one factor that costs nothing.
    held = holders[0] if route.path.startswith(ENDING) else rng.choice(holders)
    method, path, fields, headers = good(rng, route, held)
    draft = Draft(
        method,
        path.encode(),
        [(_encode(name), _encode(value)) for name, value in fields.items()],
        [(b"host", ISSUER.removeprefix("https://").encode()), *headers],
        in_query=method in {"GET", "HEAD"},
    )
    if rng.random() < 0.7:
        draft.headers.append((b"cookie", held.cookies))
    if rng.random() < 0.5:
        draft.headers.append((b"accept", b"text/html"))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        rng.choice(FAULTS)(rng, draft)
    joined = b"&".join(name + b"=" + value for name, value in draft.pairs)
    body = draft.body if draft.body is not None else (b"" if draft.in_query else joined)
    if body or draft.method == "POST":
        draft.headers.append((b"content-type", draft.media_type))
    size = max(1, -(-len(body) // draft.pieces))
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    return Sent(
        draft.method,
        _as_parsed(draft.path),
        _as_parsed(joined) if draft.in_query else b"",
        draft.headers,
        chunks,
        draft.hangs_up,
        f"198.{rng.randrange(CALLERS) >> 8}.{rng.randrange(256)}.1",
    )
