"""Where a request came from, as much as a session list or the audit trail may keep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection

# Ordered: the first word found wins (Edge's header also has Chrome's word, WeCom's also WeChat's). On iPhones Chrome and
# Firefox call themselves CriOS and FxiOS.
_BROWSERS = (
    ("wxwork", "WeCom"),
    ("MicroMessenger", "WeChat"),
    ("DingTalk", "DingTalk"),
    ("QQBrowser", "QQ Browser"),
    ("UCBrowser", "UC Browser"),
    ("Quark", "Quark"),
    ("HuaweiBrowser", "Huawei Browser"),
    ("MiuiBrowser", "Mi Browser"),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("HarmonyOS", "HarmonyOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_UNKNOWN = "?"
_BETWEEN = " · "


@dataclass(frozen=True, slots=True)
class Device:
    """Browser and system, each a name of our own list or None."""

    browser: str | None
    system: str | None


def device_of(connection: HTTPConnection) -> str:
    """Name browser and system in words of our own list, so that nothing of the header reaches a page or a log."""
    agent = connection.headers.get("user-agent", "")[:512]
    browser = next((name for token, name in _BROWSERS if token in agent), _UNKNOWN)
    system = next((name for token, name in _SYSTEMS if token in agent), _UNKNOWN)
    return f"{browser}{_BETWEEN}{system}"


def device_named(device: str) -> Device:
    """Return the parts of what `device_of` kept, for a page to put in the reader's words."""
    browser, _, system = device.partition(_BETWEEN)
    known = {name for _, name in (*_BROWSERS, *_SYSTEMS)}
    return Device(browser if browser in known else None, system if system in known else None)


def place_of(connection: HTTPConnection) -> str:
    """Return the network a request came from: IPv4 /24, IPv6 /48; enough to recognise, too little to track."""
    if connection.client is None:
        return _UNKNOWN
    return _network_of(connection.client.host)


@lru_cache(maxsize=4096)  # the callers of a second; whatever else comes pushes out the oldest
def _network_of(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return _UNKNOWN
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Address(int(address))  # a scope id is dropped
    prefix = 24 if isinstance(address, IPv4Address) else 48
    return str(ip_network(f"{address}/{prefix}", strict=False))
