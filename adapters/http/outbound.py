"""The only way out: one HTTP client for addresses that somebody else wrote down (back-channel logout, key sets).

Whoever may register a platform may name an address; without this guard the service would fetch it from inside the
network (server-side request forgery). So: https only; the name is resolved here, every address it resolves to must be
on the public Internet, and the connection goes to exactly the address that was checked (no second look-up, so no DNS
rebinding); no redirects, no cookies, no proxies of the environment, no compressed bodies; 64 KiB and two seconds for
everything together. `host:port` pairs on the allow-list may be private and plain http: a deployment's own platforms.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from typing import ClassVar

import httpx

from crypto.errors import TrustError

TOTAL_S = 2.0
BODY_MAX_BYTES = 64 * 1024
URL_MAX_CHARS = 2048

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
MakeTransport = Callable[[], httpx.AsyncBaseTransport]

# IANA special-purpose address registries (RFC 6890 and later), and the ranges that carry an IPv4 address inside an
# IPv6 one and so could smuggle a private address past a check. `is_global` is asked as well; this list is what must
# never depend on a Python version's tables.
_SPECIAL = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?(/[!-~]*|\?[!-~]*)?", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
# A last label of digits (or 0x…) makes a name an IPv4 address to some parsers and a name to others (WHATWG URL §3.5).
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")


class OutboundRefused(TrustError):
    """An address the service may not contact. No name was resolved, or no connection was made."""

    code: ClassVar[str] = "outbound.refused"


class OutboundFailed(TrustError):
    """The other side did not answer as it must: too late, too long, a redirect, no TLS, no connection."""

    code: ClassVar[str] = "outbound.failed"


@dataclass(frozen=True, slots=True)
class Target:
    """An address that reads in one way only."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without its brackets."""
    port: int
    rest: str
    """Path and query."""

    @property
    def name(self) -> str:
        """`host:port` as the allow-list writes it."""
        return f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """The host as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status (never a redirect), the media type in lower case, at most `BODY_MAX_BYTES`."""

    status: int
    media_type: str
    body: bytes


def parse_target(url: str) -> Target:
    """Read an address strictly. Raises `OutboundRefused` for whatever two parsers could read in two ways."""
    if len(url) > URL_MAX_CHARS:
        raise OutboundRefused(field="url", rule="length")
    match = _URL.fullmatch(url)
    if match is None or "#" in url or "\\" in url or "@" in url:
        raise OutboundRefused(field="url", rule="form")
    scheme, host, port_text, rest = match[1].lower(), match[2].lower(), match[3], match[4] or "/"
    port = int(port_text) if port_text else {"https": 443, "http": 80}[scheme]
    if not 0 < port < 65536 or (port_text is not None and str(port) != port_text):
        raise OutboundRefused(field="url", rule="port")
    if host.startswith("["):
        try:
            literal = IPv6Address(host[1:-1])
        except AddressValueError as error:
            raise OutboundRefused(field="url", rule="host") from error
        host = str(literal)
    elif _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        try:
            host = str(IPv4Address(host))  # four decimal numbers without leading zeros, or nothing
        except AddressValueError as error:
            raise OutboundRefused(field="url", rule="host") from error
    elif len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise OutboundRefused(field="url", rule="host")
    target = Target(scheme, host, port, rest if rest.startswith("/") else "/" + rest)
    # The library that connects must read the same host, or what was checked is not what is called.
    read = httpx.URL(url)
    if read.host != target.host or (read.port or port) != port or read.scheme != scheme or read.userinfo:
        raise OutboundRefused(field="url", rule="form")
    return target


def is_public(address: str) -> bool:
    """Say whether an address is an ordinary one of the public Internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False  # with a zone (`fe80::1%eth0`) or otherwise no plain address
    if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
        return False
    if any(parsed.version == network.version and parsed in network for network in _SPECIAL):
        return False
    return parsed.is_global and not parsed.is_multicast


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Resolve by the system's resolver; every address of both families."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class OutboundClient:
    """The client. Each call is one connection of its own, so that nothing carries over from one platform to another."""

    def __init__(
        self,
        *,
        allow: Collection[str],
        resolve: Resolve = resolve_by_system,
        tls: ssl.SSLContext | None = None,
        transport: MakeTransport | None = None,
    ) -> None:
        """`allow`: `host:port` pairs. `tls` and `transport` replace the system's trust and sockets (in tests)."""
        self._allow = frozenset(name.lower() for name in allow)
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._transport = transport or self._sockets

    def _sockets(self) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, retries=0)

    async def get(self, url: str, *, accept: str) -> Answer:
        """Fetch. Raises `OutboundRefused`, `OutboundFailed`."""
        return await self._call("GET", url, {"Accept": accept}, b"")

    async def post_form(self, url: str, body: bytes) -> Answer:
        """Post an urlencoded form. Raises `OutboundRefused`, `OutboundFailed`."""
        return await self._call("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    async def _call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        target = parse_target(url)
        allowed = target.name in self._allow
        if target.scheme != "https" and not allowed:
            raise OutboundRefused(field="url", rule="https")
        try:
            async with asyncio.timeout(TOTAL_S):
                address = await self._checked_address(target, allowed=allowed)
                return await self._exchange(method, target, address, headers, body)
        except TimeoutError as error:
            raise OutboundFailed(rule="time") from error
        except (httpx.HTTPError, OSError) as error:
            raise OutboundFailed(rule="connection") from error

    async def _checked_address(self, target: Target, *, allowed: bool) -> str:
        try:
            literal = str(ip_address(target.host))
        except ValueError:
            addresses = await self._resolve(target.host, target.port)
        else:
            addresses = [literal]
        if not addresses:
            raise OutboundFailed(rule="name")
        # All of them: a name with one public and one private address is somebody trying.
        if not allowed and not all(is_public(address) for address in addresses):
            raise OutboundRefused(field="url", rule="address")
        return addresses[0]

    async def _exchange(
        self, method: str, target: Target, address: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        host = f"[{address}]" if ":" in address else address
        default_port = {"https": 443, "http": 80}[target.scheme]
        request = httpx.Request(
            method,
            f"{target.scheme}://{host}:{target.port}{target.rest}",
            headers={
                "Host": target.bracketed if target.port == default_port else target.name,
                "User-Agent": "EduTrust",
                "Accept-Encoding": "identity",
                "Connection": "close",
                **headers,
            },
            content=body,
            # The certificate must be the name's, though the connection goes to a number.
            extensions={"sni_hostname": target.host},
        )
        async with self._transport() as transport:
            response = await transport.handle_async_request(request)
            try:
                return await _read(response)
            finally:
                await response.aclose()


async def _read(response: httpx.Response) -> Answer:
    if 300 <= response.status_code < 400:
        raise OutboundFailed(rule="redirect")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise OutboundFailed(rule="encoding")
    body = b""
    async for chunk in response.aiter_raw(8192):
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise OutboundFailed(rule="length")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(response.status_code, media_type, body)
