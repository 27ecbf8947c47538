"""Key sets of platforms: read leniently as RFC 7517 §5 asks, and fetched from `jwks_uri` when there is need.

    keys = await key_sets.of(client, kid)

A fetched set is good for `KEPT_S`. A `kid` that is not in it is a reason to fetch again, but never more often than the
client's allowance: whoever knows a client id can send assertions with invented `kid`s, and must not turn us into a hammer
for the platform's server. A set past its time that cannot be had anew is no set: the assertion is refused, and neither the
older keys nor another method takes their place.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from crypto.errors import KeyRefused, TrustError
from crypto.jwk import public_set_members
from crypto.keys import natural_alg, public_from_jwk
from crypto.suites import ALGORITHMS, Alg
from idp.clients.fetching import Fetch
from idp.clients.model import Client
from idp.model import Clock

KEPT_S = 300
"""As long as our own set may be cached by others."""

FETCHES_AT_ONCE = 3
"""A platform that turns its key right after a sign-in is known by the new one at once."""

FETCH_EVERY_S = 30
"""After that, one fetch in so many seconds."""

AGAIN_AFTER_S = 5
"""How long a server that failed is left alone."""

SETS_MAX = 256
"""Sets remembered; a set has at most 64 KiB of text, so at most 16 MB. The least recently used goes first."""

Jwk = Mapping[str, str]
_MEMBERS = frozenset({"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"})


def signature_keys(document: bytes | Mapping[str, object], *, rsa: Alg) -> tuple[Jwk, ...]:
    """Return the keys of a set that can verify, each with `kid` and `alg`; `rsa` is for RSA keys that name none.

    Keys of other kinds and uses are left out. Raises `KeyRefused` or `EncodingRefused` for a set with a private or
    symmetric key, two keys of one `kid`, a weak key, or no set at all.
    """
    found: list[Jwk] = []
    for member in public_set_members(document):
        alg = _alg_of(member, rsa)
        if alg is None or member.get("use", "sig") != "sig":
            continue
        plain = {name: value for name, value in member.items() if name in _MEMBERS}
        found.append(public_from_jwk(plain, alg=alg).jwk)
    if len({key["kid"] for key in found}) != len(found):
        raise KeyRefused(field="kid", rule="duplicate")
    return tuple(found)


def _alg_of(member: Mapping[str, object], rsa: Alg) -> Alg | None:
    named = member.get("alg")
    if named is not None:
        return ALGORITHMS.get(named) if isinstance(named, str) else None
    if member.get("kty") == "RSA":
        return rsa
    try:
        return natural_alg(member)
    except KeyRefused:
        return None


def rsa_alg(registered: Alg | None) -> Alg:
    """Return what an RSA key without `alg` is for: the client's registered algorithm, else RS256 (OIDC Registration §2)."""
    return Alg.PS256 if registered is Alg.PS256 else Alg.RS256


@dataclass(slots=True)
class _Held:
    """One client's set, good `until`; after a failure fetched again from `again_at` on.

    `full_at` is when the allowance of fetches for an unknown `kid` is whole again.
    """

    keys: tuple[Jwk, ...] = ()
    until: int = 0
    again_at: int = 0
    full_at: int = 0
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClientKeySets:
    """The registered keys of clients, wherever they are."""

    def __init__(self, fetch: Fetch, *, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()

    def __len__(self) -> int:
        """Return how many sets are remembered."""
        return len(self._held)

    async def of(self, client: Client, kid: str | None) -> tuple[Jwk, ...]:
        """Return the client's keys, with `kid` among them where its set has it; nothing when the set cannot be had."""
        if client.jwks_uri is None:
            return client.jwks
        held = self._place(client.client_id, client.jwks_uri)
        async with held.fetching:
            now = self._clock()
            if now >= held.until:
                if now >= held.again_at:
                    await self._renew(held, client, client.jwks_uri, now)
                return held.keys if now < held.until else ()
            if kid is not None and all(key["kid"] != kid for key in held.keys) and _allowed(held, now):
                await self._renew(held, client, client.jwks_uri, now)
            return held.keys

    def _place(self, client_id: str, uri: str) -> _Held:
        place = (client_id, uri)
        held = self._held.setdefault(place, _Held())
        self._held.move_to_end(place)
        while len(self._held) > SETS_MAX:
            self._held.popitem(last=False)
        return held

    async def _renew(self, held: _Held, client: Client, uri: str, now: int) -> None:
        try:
            answer = await self._fetch(uri, accept="application/jwk-set+json, application/json")
            if answer.status == 200:
                held.keys = signature_keys(answer.body, rsa=rsa_alg(client.token_endpoint_auth_signing_alg))
                held.until = now + KEPT_S
                return
        except TrustError:
            pass
        held.again_at = now + AGAIN_AFTER_S


def _allowed(held: _Held, now: int) -> bool:
    full_at = max(held.full_at, now)
    if full_at - now > FETCH_EVERY_S * (FETCHES_AT_ONCE - 1):
        return False
    held.full_at = full_at + FETCH_EVERY_S
    return True
