"""Short-lived state: codes, sign-in transactions, pushed requests, logout confirmations.

An entry lives in exactly one store; the first letter of its handle says which, the next two say of which kind it is.
Only a hash of the handle is kept, bound to its kind, so a handle of one kind can never be read as another
(CVE-2026-4282, CVE-2026-4325: single-use values forged through a shared, untyped key space). Taking an entry deletes
it: a lost store loses it and never replays it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Protocol

from crypto.encoding import b64u_encode
from crypto.sm3 import sm3
from idp.model import SECRET_BYTES, RandomBytes

PAYLOAD_BYTES_MAX = 16 * 1024
"""An authorization request is at most 16 KiB of parameters (`idp.parameters.RAW_BYTES_MAX`)."""

_HANDLE = re.compile(r"[a-z][a-z]{2}_[A-Za-z0-9_-]{43}")


class TransientKind(StrEnum):
    """What a handle opens. Two letters, part of the handle and of the stored hash."""

    AUTHORIZATION_CODE = "ac"
    LOGIN = "lt"
    LOGOUT = "lo"
    PUSHED_REQUEST = "pa"
    DEVICE_CODE = "dc"
    USER_CODE = "uc"
    USER_CODE_TRIES = "ut"
    DEVICE_ANSWER = "da"
    DEVELOPER_TRIAL = "dt"


class TransientStore(Protocol):
    """The contract of every back end; one conformance suite runs on all.

    An entry lasts until its time ends, it is taken or its store is lost; it never comes back. `take` is linearisable: of
    any number of concurrent takers of one handle, across processes, exactly one gets the payload. An entry past its
    lifetime is as if it had never been. A handle of another kind, of another store, or malformed is answered with None
    and touches nothing.
    """

    async def put(self, kind: TransientKind, payload: bytes, *, lifetime_s: int) -> str:
        """Keep `payload` under a fresh 256-bit handle and return the handle."""

    async def put_under(self, kind: TransientKind, secret: bytes, payload: bytes, *, lifetime_s: int) -> str | None:
        """Keep `payload` under the handle made of 32 bytes of the caller's; None when there is an entry in force already.

        Atomic: of any number of concurrent calls for one secret exactly one gets a handle. The secret is a keyed hash of
        what a person types, so what is stored does not say what that was.
        """

    async def find_under(self, kind: TransientKind, secret: bytes) -> tuple[str, bytes] | None:
        """Return handle and payload of the entry in force that `put_under` made for this secret."""

    async def read(self, kind: TransientKind, handle: str) -> bytes | None:
        """Look without taking."""

    async def take(self, kind: TransientKind, handle: str) -> bytes | None:
        """Delete and return, in one atomic step."""

    async def replace(self, kind: TransientKind, handle: str, *, expected: bytes, payload: bytes) -> bool:
        """Compare and swap the payload; the lifetime stays. False when it is gone or no longer `expected`."""

    async def discard_expired(self) -> int:
        """Forget what is past its lifetime; return how many."""


def new_handle(store_letter: str, kind: TransientKind, random_bytes: RandomBytes) -> str:
    """Make a handle: store letter, kind, `_`, 256 random bits."""
    return f"{store_letter}{kind}_{b64u_encode(random_bytes(SECRET_BYTES))}"


def handle_under(store_letter: str, kind: TransientKind, secret: bytes) -> str:
    """Make the handle of 32 bytes that are the caller's. Raises `ValueError` for any other length."""
    if len(secret) != SECRET_BYTES:
        raise ValueError("a handle is made of 32 bytes")
    return f"{store_letter}{kind}_{b64u_encode(secret)}"


def is_handle(kind: TransientKind, text: str) -> bool:
    """Whether the text has the shape of a handle of this kind, of whichever store."""
    return _HANDLE.fullmatch(text) is not None and text[1:3] == kind


def handle_hash(store_letter: str, kind: TransientKind, handle: str) -> bytes | None:
    """Return the 32-byte key of a handle, or None when it is not a handle of this store and kind."""
    if not _HANDLE.fullmatch(handle) or not handle.startswith(f"{store_letter}{kind}_"):
        return None
    return sm3(b"transient\x00" + handle.encode())
