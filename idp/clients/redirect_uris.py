"""Which URIs may be registered, and the one way to compare them: as whole strings (RFC 9700 §2.1, §4.1)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from crypto.errors import TrustError

URI_CHARS_MAX = 2048
"""What browsers and proxies carry without loss."""

# RFC 3986 characters only: no backslash, no space, no control, nothing above ASCII (no look-alike hosts or dots).
_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# RFC 8252 §7.1: a private-use scheme contains a dot, so `javascript:` and `data:` can never be one.
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:[/;]|$)", re.IGNORECASE)


class UriRefused(TrustError):
    """A URI that may not be registered. `rule` says why."""

    code = "idp.client.uri_refused"


def is_loopback(host: str) -> bool:
    """Whether a host part names this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_web_uri(uri: str, *, field: str) -> str:
    """Return an absolute https URI (http for a loopback host only) fit to be registered, or raise `UriRefused`."""
    if not 0 < len(uri) <= URI_CHARS_MAX:
        raise UriRefused(field=field, rule="length")
    if not _URI.fullmatch(uri):
        raise UriRefused(field=field, rule="characters")
    if "#" in uri:
        raise UriRefused(field=field, rule="fragment")
    if "*" in uri:
        raise UriRefused(field=field, rule="wildcard")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise UriRefused(field=field, rule="malformed") from None
    if parts.scheme not in {"https", "http"} or not uri.startswith(f"{parts.scheme}://"):
        raise UriRefused(field=field, rule="scheme")
    host = parts.hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    expected = bracketed if port is None else f"{bracketed}:{port}"
    # The authority must be exactly host[:port]: no user info, upper case, empty port, or trailing dot.
    if parts.netloc != expected or not (":" in host or _HOST.fullmatch(host)):
        raise UriRefused(field=field, rule="host")
    if parts.scheme == "http" and not is_loopback(host):
        raise UriRefused(field=field, rule="plain_http")
    if _DOT_SEGMENT.search(parts.path):
        raise UriRefused(field=field, rule="path")
    return uri


def check_redirect_uri(uri: str, *, public: bool, field: str) -> str:
    """As `check_web_uri`; a public (native) client may also register a private-use scheme (RFC 8252 §7.1)."""
    scheme, separator, rest = uri.partition(":")
    if public and separator and _PRIVATE_SCHEME.fullmatch(scheme):
        if not _URI.fullmatch(uri) or len(uri) > URI_CHARS_MAX or "#" in uri or not rest.startswith("/"):
            raise UriRefused(field=field, rule="malformed")
        return uri
    return check_web_uri(uri, field=field)


def web_origin(uri: str) -> str:
    """Return the origin of an already checked URI, or nothing for a private-use one."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def host_of(uri: str) -> str:
    """Return the host of an already checked URI (the scheme of a private-use one)."""
    parts = urlsplit(uri)
    return parts.hostname or parts.scheme
