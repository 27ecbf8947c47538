"""Where a request came from, as much as a session list or the audit trail may keep."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection

# Ordered: the first word found wins ("Edg" and "Chrome" both contain Chrome's own token).
_BROWSERS = (
    ("MicroMessenger", "WeChat"),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_UNKNOWN = "?"


def device_of(connection: HTTPConnection) -> str:
    """Name browser and system in words of our own list, so that nothing of the header reaches a page or a log."""
    agent = connection.headers.get("user-agent", "")[:512]
    browser = next((name for token, name in _BROWSERS if token in agent), _UNKNOWN)
    system = next((name for token, name in _SYSTEMS if token in agent), _UNKNOWN)
    return f"{browser} · {system}"


def place_of(connection: HTTPConnection) -> str:
    """Return the network a request came from: IPv4 /24, IPv6 /48; enough to recognise, too little to track."""
    if connection.client is None:
        return _UNKNOWN
    try:
        address = ip_address(connection.client.host)
    except ValueError:
        return _UNKNOWN
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address))  # a scope id is dropped
    prefix = 24 if isinstance(address, IPv4Address) else 48
    return str(ip_network(f"{address}/{prefix}", strict=False))
