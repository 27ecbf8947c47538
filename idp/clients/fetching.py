"""Documents of platforms, fetched from addresses they registered: their sector's redirect URIs, their logo.

The fetching itself is the outside's, through its one guarded client; what comes back is judged here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from crypto.encoding import json_strict
from crypto.errors import TrustError
from idp.clients.members import RegistrationRefused

LOGO_BYTES_MAX = 64 * 1024
"""What the outbound client takes at the most; a logo is shown at 64 pixels."""

SECTOR_URIS_MAX = 1000
"""A sector is one organisation's platforms."""

_MAGIC = (
    ("image/png", b"\x89PNG\r\n\x1a\n", b""),
    ("image/jpeg", b"\xff\xd8\xff", b""),
    ("image/webp", b"RIFF", b"WEBP"),
)
"""Media type, how the file begins, and what stands at its eighth byte. Not SVG: it is a document that runs scripts."""


class Fetched(Protocol):
    """What came back: a status that is no redirect, the media type in lower case, at most 64 KiB."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def media_type(self) -> str:
        """The media type, without parameters."""

    @property
    def body(self) -> bytes:
        """The body."""


class Fetch(Protocol):
    """GETs an address that somebody else wrote down. Raises `TrustError` for what is refused or fails."""

    async def __call__(self, url: str, *, accept: str) -> Fetched:
        """Fetch; `accept` is the media type asked for."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A platform's picture, checked by how it begins. `media_type` is ours, not what the platform's server said."""

    media_type: str
    body: bytes


async def check_sector(fetch: Fetch, uri: str, redirect_uris: Collection[str]) -> None:
    """Raise `RegistrationRefused` unless the document at `uri` lists every redirect URI (OpenID Connect Core §8.1)."""
    field = "sector_identifier_uri"
    try:
        answer = await fetch(uri, accept="application/json")
        listed = json_strict(answer.body, field=field)
    except TrustError:
        raise RegistrationRefused(field=field, rule="not_fetched") from None
    if answer.status != 200 or not isinstance(listed, list) or len(listed) > SECTOR_URIS_MAX:
        raise RegistrationRefused(field=field, rule="array")
    if not all(uri in listed for uri in redirect_uris):
        raise RegistrationRefused(field=field, rule="redirect_uri_not_listed")


async def fetch_logo(fetch: Fetch, uri: str) -> Logo | None:
    """Return the picture at `uri`, or None where there is none that could be shown."""
    try:
        answer = await fetch(uri, accept="image/png, image/jpeg, image/webp")
    except TrustError:
        return None
    body = answer.body
    if answer.status != 200 or len(body) > LOGO_BYTES_MAX:
        return None
    for media_type, start, eighth in _MAGIC:
        if body.startswith(start) and body.startswith(eighth, 8):
            return Logo(media_type, body)
    return None
