"""`idp.transient.TransientStore` on Redis: the store whose handles begin with `r`.

A key is a hash of the server's epoch and of the handle's hash, so neither a copy of the server's memory nor what an
earlier life of the server left behind opens anything. A value repeats its kind and the handle's hash: one that came
under another key is nobody's. It also carries the end of its lifetime by our clock; the server's own expiry (PX) is the
upper bound, which holds even where our clock jumps back.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from adapters.redis.server import Argument, Epoch, RedisServer, RedisUnavailable, Script
from crypto.sm3 import sm3
from idp.model import Clock, RandomBytes
from idp.transient import PAYLOAD_BYTES_MAX, TransientKind, handle_hash, handle_under, new_handle

LETTER: Final = "r"
KEY_PREFIX: Final = b"edutrust:t:"
EXPIRY_DIGITS: Final = 12
"""Decimal seconds since the epoch of time, in fixed width, for the script to compare: enough until the year 33658."""

_REPLACE_TEXT: Final = """\
local held = redis.call('GET', KEYS[1])
local head = #ARGV[1]
if not held or string.sub(held, 1, head) ~= ARGV[1] then return 0 end
if tonumber(string.sub(held, head + 1, head + 12)) <= tonumber(ARGV[2]) then return 0 end
if string.sub(held, head + 13) ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], string.sub(held, 1, head + 12) .. ARGV[4], 'XX', 'KEEPTTL')
return 1
"""
_PUT_UNDER_TEXT: Final = """\
local held = redis.call('GET', KEYS[1])
local head = #ARGV[1]
if held and string.sub(held, 1, head) == ARGV[1]
  and tonumber(string.sub(held, head + 1, head + 12)) > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[3], 'PX', ARGV[4])
return 1
"""
_PUT_UNDER: Final = Script(_PUT_UNDER_TEXT, hashlib.sha1(_PUT_UNDER_TEXT.encode(), usedforsecurity=False).hexdigest())
_REPLACE: Final = Script(_REPLACE_TEXT, hashlib.sha1(_REPLACE_TEXT.encode(), usedforsecurity=False).hexdigest())


class RedisTransientStore:
    """Entries under a hash of their handle. Beside the contract every method raises `RedisUnavailable`.

    Where the server went away between a command and its answer, the entry may be gone or orphaned until it expires; it
    is never handed out twice.
    """

    def __init__(self, server: RedisServer, *, clock: Clock, random_bytes: RandomBytes) -> None:
        self._server = server
        self._clock = clock
        self._random_bytes = random_bytes

    async def put(self, kind: TransientKind, payload: bytes, *, lifetime_s: int) -> str:
        """See `TransientStore.put`."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError("the payload is bounded by what an endpoint reads")
        handle = new_handle(LETTER, kind, self._random_bytes)
        head = _head(kind, handle)
        if head is None:
            raise ValueError("256 random bits make a handle")
        value = head + f"{self._clock() + lifetime_s:0{EXPIRY_DIGITS}d}".encode() + payload

        def command(epoch: Epoch) -> tuple[Argument, ...]:
            return ("SET", _key(epoch, head), value, "NX", "PX", lifetime_s * 1000)

        if await self._server.call(command) is None:
            raise RedisUnavailable(rule="taken")  # of 256 random bits: another process draws the same ones
        return handle

    async def put_under(self, kind: TransientKind, secret: bytes, payload: bytes, *, lifetime_s: int) -> str | None:
        """See `TransientStore.put_under`: a script is one command, and takes the place of what is past its lifetime."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError("the payload is bounded by what an endpoint reads")
        handle, now = handle_under(LETTER, kind, secret), self._clock()
        head = _head(kind, handle) or b""
        value = f"{now + lifetime_s:0{EXPIRY_DIGITS}d}".encode() + payload

        def command(epoch: Epoch) -> tuple[Argument, ...]:
            return (1, _key(epoch, head), head, now, value, lifetime_s * 1000)

        written: Any = await self._server.call_script(_PUT_UNDER, command)
        return handle if written == 1 else None

    async def find_under(self, kind: TransientKind, secret: bytes) -> tuple[str, bytes] | None:
        """See `TransientStore.find_under`."""
        handle = handle_under(LETTER, kind, secret)
        payload = await self.read(kind, handle)
        return None if payload is None else (handle, payload)

    async def read(self, kind: TransientKind, handle: str) -> bytes | None:
        """See `TransientStore.read`."""
        return await self._payload("GET", kind, handle)

    async def take(self, kind: TransientKind, handle: str) -> bytes | None:
        """See `TransientStore.take`: GETDEL is one command, and the server runs one command at a time."""
        return await self._payload("GETDEL", kind, handle)

    async def replace(self, kind: TransientKind, handle: str, *, expected: bytes, payload: bytes) -> bool:
        """See `TransientStore.replace`: a script is one command, too."""
        head = _head(kind, handle)
        if head is None or len(payload) > PAYLOAD_BYTES_MAX:
            return False

        def command(epoch: Epoch) -> tuple[Argument, ...]:
            return (1, _key(epoch, head), head, self._clock(), expected, payload)

        changed: Any = await self._server.call_script(_REPLACE, command)
        return bool(changed == 1)

    async def discard_expired(self) -> int:
        """See `TransientStore.discard_expired`: the server forgets by itself."""
        return 0

    async def _payload(self, verb: str, kind: TransientKind, handle: str) -> bytes | None:
        head = _head(kind, handle)
        if head is None:
            return None
        value: Any = await self._server.call(lambda epoch: (verb, _key(epoch, head)))
        if not isinstance(value, bytes) or not value.startswith(head):
            return None
        body = value[len(head) :]
        return body[EXPIRY_DIGITS:] if int(body[:EXPIRY_DIGITS]) > self._clock() else None


def _head(kind: TransientKind, handle: str) -> bytes | None:
    """Return what a value of this handle begins with, or None when it is not a handle of this store and kind."""
    hashed = handle_hash(LETTER, kind, handle)
    return None if hashed is None else kind.encode() + hashed


def _key(epoch: Epoch, head: bytes) -> bytes:
    return KEY_PREFIX + sm3(b"transient-redis\x00" + epoch.seed + head).hex().encode()
