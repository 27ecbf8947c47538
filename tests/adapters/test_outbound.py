"""The only way out: what may be called, by which address, and what of the answer is taken.

A resolver and a transport that record stand where the network would be: "refused" means that no connection was asked
for. The last tests use real sockets on loopback.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.http.outbound import (
    BODY_MAX_BYTES,
    Answer,
    OutboundClient,
    OutboundFailed,
    OutboundRefused,
    is_public,
    parse_target,
)
from crypto.errors import TrustError

PUBLIC = "93.184.215.14"


class Network:
    """Answers names from a table and records who was asked for and called."""

    def __init__(
        self,
        names: Mapping[str, Sequence[str]],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"ok",
    ) -> None:
        self.names = names
        self.status, self.headers, self.body = status, headers or {}, body
        self.resolved: list[str] = []
        self.called: list[httpx.Request] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved.append(host)
        return self.names.get(host, [])

    def transport(self) -> httpx.AsyncBaseTransport:
        async def handle(request: httpx.Request) -> httpx.Response:
            self.called.append(request)
            return httpx.Response(self.status, headers=self.headers, stream=httpx.ByteStream(self.body))

        return httpx.MockTransport(handle)

    def client(self, *allow: str) -> OutboundClient:
        return OutboundClient(allow=allow, resolve=self.resolve, transport=self.transport)

    def get(self, url: str, *allow: str) -> Answer:
        return asyncio.run(self.client(*allow).get(url, accept="application/json"))


HOSTILE = [
    # loopback, private, link-local, special-purpose, as numbers
    "https://127.0.0.1/",
    "https://127.1.2.3/",
    "https://0.0.0.0/",
    "https://0.1.2.3/",
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.0.0.8/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://192.168.1.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    # IPv6, and IPv4 hidden in IPv6
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[::ffff:0:127.0.0.1]/",
    # numbers that some parsers read as an address
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.1./",
    "https://127.000.000.001/",
    "https://0/",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://name.0x7f/",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    # names that lead inside
    "https://localhost/",
    "https://inside.example/",
    "https://both.example/",
    "https://mapped.example/",
    "https://nothing.example/",
    "https://zone.example/",
    # two readings of one address
    "https://public.example@127.0.0.1/",
    "https://127.0.0.1@public.example/",
    "https://user:password@public.example/",
    "https://public.example\\@127.0.0.1/",
    "https://public.example#@127.0.0.1/",
    "https://public.example/#fragment",
    "https://127.0.0.1\\.public.example/",
    "https://public.example:443:80/",
    "https://public.example:0/",
    "https://public.example:65536/",
    "https://public.example:0443/",
    "https://public.example:４４３/",
    "https://public.example:/",
    "https:public.example/",
    "https:/public.example/",
    "https:///public.example/",
    "//public.example/",
    "https://",
    "https://.public.example/",
    "https://public..example/",
    "https://-public.example/",
    "https://public_.example/",
    "https://public.example./",
    "https://pub\nlic.example/",
    "https://public.example/\r\nX-Injected: 1",
    "https://public.example/a b",
    "https://public.example/\x00",
    " https://public.example/",
    "https://public.example/ ",
    "https://público.example/",
    "https://[::1/",
    "https://::1]/",
    "https://[public.example]/",
    "https://[v1.a]/",
    # other ways to talk
    "http://public.example/",
    "ftp://public.example/",
    "file:///etc/passwd",
    "gopher://public.example/",
    "data:text/plain,x",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "HTTP://public.example/",
    "",
    "https://public.example/" + "a" * 3000,
]
NAMES = {
    "public.example": [PUBLIC],
    "localhost": ["127.0.0.1", "::1"],
    "inside.example": ["10.0.0.5"],
    "both.example": [PUBLIC, "127.0.0.1"],
    "mapped.example": ["::ffff:10.0.0.5"],
    "nothing.example": [],
    "zone.example": ["fe80::1%eth0"],
}


@pytest.mark.parametrize("url", HOSTILE)
@pytest.mark.parametrize("method", ["get", "post_form"])
def test_a_hostile_address_is_refused_before_any_connection(url: str, method: str) -> None:
    network = Network(NAMES)
    client = network.client("10.0.0.9:8443")
    call = client.get(url, accept="*/*") if method == "get" else client.post_form(url, b"a=b")
    with pytest.raises((OutboundRefused, OutboundFailed)):
        asyncio.run(call)
    assert network.called == []
    if "inside" not in url and ".example/" not in url and "localhost" not in url:
        assert network.resolved == []


def test_there_are_enough_of_them() -> None:
    assert len(set(HOSTILE)) >= 60


def test_the_connection_goes_to_the_very_address_that_was_checked() -> None:
    """No second look-up: a name that changes its mind (DNS rebinding) changes nothing."""
    network = Network(NAMES)
    assert network.get("https://public.example/jwks?x=1").body == b"ok"
    (request,) = network.called
    assert str(request.url) == f"https://{PUBLIC}/jwks?x=1"
    assert request.headers["host"] == "public.example"
    assert request.extensions["sni_hostname"] == "public.example"
    assert network.resolved == ["public.example"]


def test_an_allow_listed_pair_may_be_private_and_plain_and_only_that_pair() -> None:
    network = Network(NAMES)
    assert network.get("http://inside.example:8081/a", "inside.example:8081").status == 200
    assert network.get("http://127.0.0.1:9000/a", "127.0.0.1:9000").status == 200
    assert network.get("http://[::1]:9000/a", "[::1]:9000").status == 200
    for url in ("http://inside.example:8082/", "http://inside.example/", "https://127.0.0.1:9001/"):
        with pytest.raises(OutboundRefused):
            network.get(url, "inside.example:8081", "127.0.0.1:9000")


@pytest.mark.parametrize(
    ("status", "headers", "body", "rule"),
    [
        (302, {"location": "http://127.0.0.1/"}, b"", "redirect"),
        (307, {"location": "https://public.example/2"}, b"", "redirect"),
        (304, {}, b"", "redirect"),
        (200, {}, b"x" * (BODY_MAX_BYTES + 1), "length"),
        (200, {"content-encoding": "gzip"}, b"\x1f\x8b", "encoding"),
    ],
)
def test_an_answer_that_would_lead_on_or_fill_memory_is_refused(
    status: int, headers: Mapping[str, str], body: bytes, rule: str
) -> None:
    network = Network(NAMES, status, headers, body)
    with pytest.raises(OutboundFailed) as caught:
        network.get("https://public.example/")
    assert caught.value.rule == rule
    assert len(network.called) == 1


def test_an_answer_of_exactly_the_limit_is_taken() -> None:
    network = Network(NAMES, body=b"x" * BODY_MAX_BYTES)
    assert len(network.get("https://public.example/").body) == BODY_MAX_BYTES


def test_a_request_carries_no_cookie_and_asks_for_no_compression() -> None:
    network = Network(NAMES, headers={"set-cookie": "a=b"})
    client = network.client()

    async def twice() -> None:
        await client.get("https://public.example/", accept="application/json")
        await client.post_form("https://public.example/", b"logout_token=x")

    asyncio.run(twice())
    assert all("cookie" not in request.headers for request in network.called)
    assert network.called[0].headers["accept-encoding"] == "identity"
    assert network.called[1].content == b"logout_token=x"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60).map(lambda tail: "https://" + tail) | st.text(max_size=40))
def test_any_text_at_all_is_parsed_or_refused(url: str) -> None:
    try:
        target = parse_target(url)
    except TrustError:
        return
    assert httpx.URL(url).host == target.host


@settings(max_examples=300)
@given(
    st.ip_addresses(network="10.0.0.0/8")
    | st.ip_addresses(network="fc00::/7")
    | st.ip_addresses(network="::ffff:0:0/96")
)
def test_private_addresses_are_never_public(address: object) -> None:
    assert not is_public(str(address))


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "114.114.114.114", "2400:3200::1", "2606:4700:4700::1111"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


@contextmanager
def server(answer: bytes, *, silent: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Listen on loopback, read one request, answer or say nothing."""
    heard: list[bytes] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(65536))
                if not silent:
                    connection.sendall(answer)
                else:
                    done.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], heard
        done.set()
        thread.join(5)


def test_a_real_exchange_with_an_allow_listed_platform() -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}") as (
        port,
        heard,
    ):
        client = OutboundClient(allow=[f"localhost:{port}"])
        answer = asyncio.run(client.get(f"http://localhost:{port}/jwks", accept="application/json"))
    assert answer == Answer(200, "application/json", b"{}")
    assert heard[0].startswith(b"GET /jwks HTTP/1.1\r\n")
    assert f"host: localhost:{port}\r\n".encode() in heard[0].lower()


def test_a_platform_that_keeps_silent_costs_two_seconds_at_most() -> None:
    with server(b"", silent=True) as (port, _):
        client = OutboundClient(allow=[f"127.0.0.1:{port}"])
        with pytest.raises(OutboundFailed) as caught:
            asyncio.run(client.get(f"http://127.0.0.1:{port}/", accept="*/*"))
    assert caught.value.rule == "time"


def test_a_closed_port_and_a_plain_text_answer_are_failures_of_ours_to_tell() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OutboundFailed):
        asyncio.run(OutboundClient(allow=[f"127.0.0.1:{port}"]).get(f"http://127.0.0.1:{port}/", accept="*/*"))
    with server(b"hello, this is no HTTP\r\n\r\n") as (port, _), pytest.raises(OutboundFailed):
        asyncio.run(OutboundClient(allow=[f"127.0.0.1:{port}"]).get(f"http://127.0.0.1:{port}/", accept="*/*"))
