"""One request that costs the server too much, or many that leave something behind.

Authlib CVE-2025-61920 (oversized JOSE segments), the class of CVE-2023-50967 (`p2c`), `zip` bombs, CVE-2026-4634 (a long scope),
CVE-2026-79651 (caches keyed by what callers send), patterns that backtrack, deep JSON, the hash of a huge password.
Costs are CPU time of this process; the bounds are many times what a request needs, and no slow machine reaches them.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import pkgutil
import re
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import adapters
import credentials
import crypto
import idp
import ledger
from crypto.encoding import b64u_encode
from crypto.suites import Alg
from tests.idp.clients.assertions import asserting, assertion, keyed
from tests.protocol.full_service import Service, authorization, full_service, hold
from tests.protocol.malformed import Sent, deliver
from tests.protocol.world import SECRET, OpenWorld, basic

ADVISORY_CLASSES: tuple[int, ...] = (35,)
SEEN_RED: dict[str, str] = {
    "test_no_pattern_backtracks": "idp/clients/redirect_uris.py: a host pattern with nested repetition",
    "test_nothing_that_callers_invent_is_kept_in_memory": "adapters/http/preferences.py: each Accept-Language kept with the language it led to",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

REQUEST_CPU_S = 1.0
"""What any single request may cost (G12)."""

PATTERN_CPU_S = 0.5
PATTERN_CHARS = 20_000
MANY = 300
PADDING = "x" * 1_000
KEPT_BYTES_MAX = 150_000
"""Half of what three hundred values of a kilobyte would be, and twice what the noise of a database is."""


@pytest.fixture
def costs() -> Callable[[float], float]:
    """Return how much CPU time has passed since a moment."""
    return lambda began: time.process_time() - began


def huge_tokens() -> Iterator[tuple[str, str]]:
    """Yield tokens whose making costs nothing and whose reading might."""
    big = "A" * 1_000_000
    head = {"alg": "ES256", "kid": "x", "typ": "JWT"}

    def compact(header: object, payload: str = "e30", signature: str = "AA") -> str:
        return f"{b64u_encode(json.dumps(header).encode())}.{payload}.{signature}"

    yield "a header of a megabyte", compact({**head, "x": big})
    yield "a payload of a megabyte", compact(head, b64u_encode(b'{"a":"' + big.encode() + b'"}'))
    yield "a signature of a megabyte", compact(head, signature=big)
    yield "a kid of a megabyte", compact({**head, "kid": big})
    yield "a deep header", b64u_encode(b'{"a":' * 50_000) + ".e30.AA"
    yield "a wide header", compact({str(number): number for number in range(50_000)})
    yield "a hundred thousand dots", "." * 100_000
    yield (
        "p2c",
        compact({"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2**31 - 1, "p2s": "AAAA"}, signature="A.A.A"),
    )
    yield "zip", compact({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}, signature="A.A.A")
    yield "zip of a signature", compact({**head, "zip": "DEF"})
    yield "an enormous exponent", compact({**head, "jwk": {"kty": "RSA", "n": big, "e": big}})
    yield "a number of ten thousand digits", b64u_encode(b'{"alg":"ES256","iat":' + b"9" * 10_000 + b"}") + ".e30.AA"


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_no_token_costs_more_than_a_moment(opened: OpenWorld, run: Run, costs: Callable[[float], float]) -> None:
    """Past every limit on sizes, straight at the endpoints: on the floor above, a body of 64 KiB is the most there is."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            asking = {"authorization": basic("learning", SECRET)}
            for case, token in huge_tokens():
                for path, form, headers in (
                    ("/end-session", {"id_token_hint": token}, {}),
                    ("/userinfo", {"access_token": token}, {}),
                    ("/userinfo", {}, {"authorization": f"Bearer {token}"}),
                    ("/introspect", {"token": token}, asking),
                    ("/revoke", {"token": token}, asking),
                    ("/token", {"grant_type": "refresh_token", "refresh_token": token}, asking),
                    ("/token", {"grant_type": "authorization_code", "code": token}, asking),
                    ("/token", asserting(token, grant_type="client_credentials"), {}),
                    ("/authorize", {**authorization(), "id_token_hint": token, "request": token}, {}),
                ):
                    began = time.process_time()
                    answer = await browser.post(path, form, **headers)
                    assert costs(began) < REQUEST_CPU_S, (case, path)
                    assert answer.status < 500, (case, path)
                    assert "access_token" not in answer.text

    run(story())


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_limits_hold_before_anything_is_parsed(opened: OpenWorld, run: Run, costs: Callable[[float], float]) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            for case, changes in {
                "a long scope": {"scope": "openid " + " ".join(f"s{number}" for number in range(900))},
                "a scope of one long word": {"scope": "openid " + "s" * 4000},
                "many prompts": {"prompt": "login " * 600},
                "many classes": {"acr_values": "urn:x " * 600},
                "many languages": {"ui_locales": "zh-CN " * 600},
                "deep claims": {"claims": '{"userinfo":' * 300 + "{}" + "}" * 300},
                "wide claims": {"claims": json.dumps({"userinfo": {f"c{number}": None for number in range(300)}})},
                "long claims": {"claims": '{"userinfo":{"name":{"value":"' + "x" * 3900 + '"}}}'},
                "a long state": {"state": "s" * 4090},
                "a long nonce": {"nonce": "n" * 4090},
                "a long age": {"max_age": "9" * 4000},
            }.items():
                for client_id in ("learning", "exempt"):
                    began = time.process_time()
                    answer = await world.authorize(browser, client_id, **changes)
                    assert costs(began) < REQUEST_CPU_S, case
                    assert answer.status < 500, case
                    assert len(answer.headers.get("location", "")) < 5000, case

    run(story())


def test_a_password_of_a_megabyte_is_not_hashed(opened: OpenWorld, run: Run, costs: Callable[[float], float]) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            for size in (4_000, 10_000, 1_000_000):
                form = {"t": page.hidden("t"), "csrf": "form-token", "username": "lin", "password": "x" * size}
                began = time.process_time()
                answer = await browser.post("/signin/password", form)
                assert costs(began) < REQUEST_CPU_S
                assert 400 <= answer.status < 500

    run(story())


def test_an_assertion_is_refused_for_its_length_before_its_key_is_looked_for(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            long = assertion(world, "robot", jti="x" * 200, padding="y" * 8_000)
            assert (await world.browser().post("/token", asserting(long, grant_type="client_credentials"))).status in {
                400,
                401,
            }

    run(story())


UNITS = (
    *(
        "a",
        "0",
        "a.",
        "-",
        "a-",
        " ",
        ".",
        "/",
        "%2e",
        "a=b&",
        "\u5f20",
        "\u00b7",
        "A",
        "_",
        ":",
        "..",
        "a@",
        ",",
        ";",
        "zh-",
    ),
)


def patterns() -> list[re.Pattern[str]]:
    """Return every compiled pattern of the product's modules."""
    found: dict[str, re.Pattern[str]] = {}
    for package in (crypto, ledger, idp, credentials, adapters):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations." in module.name or ".demo." in module.name or module.name.endswith("__main__"):
                continue
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                    found[value.pattern] = value
    return list(found.values())


def test_no_pattern_backtracks(costs: Callable[[float], float]) -> None:
    """Each pattern of the product against long texts that nearly match it."""
    tried = patterns()
    assert len(tried) > 20
    for pattern in tried:
        for unit in UNITS:
            # The short one first: a pattern of exponential cost shows itself there and not in a lifetime.
            for chars in (24, 500, PATTERN_CHARS):
                text = unit * (chars // len(unit))
                began = time.process_time()
                for nearly in (text, text + "\x00", "\x00" + text, text + "!"):
                    pattern.fullmatch(nearly)
                    pattern.match(nearly)
                pattern.search(text[:2_000] + "\x00")
                assert costs(began) < PATTERN_CPU_S, (pattern.pattern, unit, chars)


INVENTED: dict[str, Callable[[int], Sent]] = {
    "languages": lambda n: _get(b"/signin", headers=[(b"accept-language", b"x-%d-%s" % (n, PADDING.encode()))]),
    "asked languages": lambda n: _get(
        b"/authorize", _query({**authorization(prompt="login"), "ui_locales": f"x{n} {PADDING}"})
    ),
    "clients": lambda n: _get(b"/authorize", _query({**authorization(), "client_id": f"invented-{n}{PADDING}"})),
    "authenticated clients": lambda n: _post(
        b"/token", b"grant_type=x", basic(f"invented-{n}{PADDING}", SECRET).encode()
    ),
    "paths": lambda n: _get(b"/invented/%d" % n + PADDING.encode()),
    "static files": lambda n: _get(b"/static/%d%s.css" % (n, PADDING.encode())),
    "tokens": lambda n: _get(b"/userinfo", headers=[(b"authorization", b"Bearer %01043d" % n)]),
    "kids": lambda n: _get(b"/end-session", _query({"id_token_hint": _with_kid(n)})),
    "user agents": lambda n: _get(b"/signin", headers=[(b"user-agent", b"agent %d" % n + PADDING.encode())]),
    "scopes": lambda n: _get(
        b"/authorize", _query({**authorization(prompt="none"), "scope": f"openid invented{n}{PADDING}"})
    ),
    "cookies": lambda n: _get(b"/home", headers=[(b"cookie", b"__Host-edutrust-session=%01043d" % n)]),
    "share codes": lambda n: _get(b"/verify/%d" % n + PADDING.encode()),
    "status lists": lambda n: _get(b"/status/%d" % n + PADDING.encode()),
}


def _query(parameters: dict[str, str]) -> bytes:
    return urlencode(parameters).encode()


def _with_kid(number: int) -> str:
    return ".".join(
        (b64u_encode(json.dumps({"alg": "ES256", "kid": f"k{number}{PADDING}", "typ": "JWT"}).encode()), "e30", "AA")
    )


def _get(path: bytes, query: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> Sent:
    return Sent("GET", path, query, [(b"host", b"id.example.edu.cn"), *(headers or [])])


def _post(path: bytes, body: bytes, authorized: bytes) -> Sent:
    headers = [(b"host", b"id.example.edu.cn"), (b"authorization", authorized)]
    return Sent("POST", path, b"", [*headers, (b"content-type", b"application/x-www-form-urlencoded")], [body])


def test_nothing_that_callers_invent_is_kept_in_memory(tmp_path: Path, run: Run) -> None:
    """Three hundred invented values of a kilobyte, of each sort: what this process holds afterwards is what it held before."""

    async def story() -> None:
        async with full_service(tmp_path) as service:
            await hold(service, service.browser(), "lin")
            for sort, make in INVENTED.items():
                await _send(service, make, 0, 50)
                tracemalloc.start()
                try:
                    before = _kept()
                    await _send(service, make, 50, 50 + MANY)
                    grown = _kept() - before
                finally:
                    tracemalloc.stop()
                assert grown < KEPT_BYTES_MAX, (sort, grown)

    run(story())


def _bounded_caches() -> list[functools._lru_cache_wrapper[object]]:
    found = [one for one in gc.get_objects() if isinstance(one, functools._lru_cache_wrapper)]
    return [cache for cache in found if cache.cache_parameters()["maxsize"] is not None]


async def _send(service: Service, make: Callable[[int], Sent], first: int, end: int) -> None:
    for number in range(first, end):
        got = await deliver(service.app, make(number))
        assert got.status is not None
        assert got.status < 500
        service.log.clear()


def _kept() -> int:
    """Return what is allocated, without caches that have a bound: those push out the oldest and are full at some point."""
    for cache in _bounded_caches():
        cache.cache_clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
