"""The life of a device's request: begun, found by its user code, answered once, asked about, redeemed once.

Two entries in the transient store. The one under the user code holds the request and the answer; the one under the device
code names it and paces the device. The device code stands in neither, so that nobody who reads the store can redeem it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from crypto.sm3 import sm3
from idp.authorize.code import AuthorizationGrant
from idp.clients.model import Client
from idp.device.codes import UserCodeKeys, new_user_code
from idp.device.model import (
    EXPIRED_KEPT_S,
    INTERVAL_S,
    LIFETIME_S,
    SLOW_DOWN_S,
    Answer,
    Approval,
    DeviceRequest,
    Waiting,
    load_device_request,
    load_waiting,
)
from idp.model import Clock, RandomBytes
from idp.oauth_errors import (
    AuthorizationPending,
    DeviceDenied,
    ExpiredToken,
    InvalidGrant,
    SlowDown,
    TemporarilyUnavailable,
)
from idp.transient import TransientKind, TransientStore, is_handle

_DRAWS_MAX = 8
"""Draws of a user code that is not out already: with a million out, eight in a row are taken once in 10³⁵."""

_SWAPS_MAX = 16
"""Attempts at one compare-and-swap of a device's pace; a device that is asked for from more places at once is slowed."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a device is told: the code it keeps, and the code it shows."""

    device_code: str
    user_code: str


@dataclass(frozen=True, slots=True)
class Found:
    """A request that a person can still answer, and the handle of its entry."""

    handle: str
    request: DeviceRequest


class DeviceRequests:
    """Keeps the requests of waiting devices."""

    def __init__(self, store: TransientStore, keys: UserCodeKeys, *, clock: Clock, random_bytes: RandomBytes) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._random_bytes = random_bytes

    async def begin(
        self, client: Client, *, scope: tuple[str, ...], resources: tuple[str, ...], device: str, place: str
    ) -> Begun:
        """Keep a checked request. Raises `TemporarilyUnavailable` when no user code is free."""
        now = self._clock()
        ends, kept_s = now + LIFETIME_S, LIFETIME_S + EXPIRED_KEPT_S
        request = DeviceRequest(client.client_id, scope, resources, device, place, now, ends, Answer.NONE, None)
        for _ in range(_DRAWS_MAX):
            user_code = new_user_code(self._random_bytes)
            secret = self._keys.of_code(user_code)
            handle = await self._store.put_under(TransientKind.USER_CODE, secret, request.dump(), lifetime_s=kept_s)
            if handle is not None:
                waiting = Waiting(client.client_id, handle, ends, INTERVAL_S, 0)
                device_code = await self._store.put(TransientKind.DEVICE_CODE, waiting.dump(), lifetime_s=kept_s)
                return Begun(device_code, user_code)
        raise TemporarilyUnavailable(rule="user_codes")

    async def by_user_code(self, user_code: str) -> Found | None:
        """Return the request of a code (in the form of `codes.typed`), if it is in force and not answered."""
        found = await self._store.find_under(TransientKind.USER_CODE, self._keys.of_code(user_code))
        return None if found is None else self._answerable(*found)

    async def by_handle(self, handle: str) -> Found | None:
        """As `by_user_code`, for the handle of what it returned."""
        payload = await self._store.read(TransientKind.USER_CODE, handle)
        return None if payload is None else self._answerable(handle, payload)

    def _answerable(self, handle: str, payload: bytes) -> Found | None:
        request = load_device_request(payload)
        if request.answer is not Answer.NONE or self._clock() >= request.expires_at:
            return None
        return Found(handle, request)

    async def approve(self, found: Found, approval: Approval) -> bool:
        """Keep the yes; False when it was answered before, or has ended. Atomic: of two answers one counts."""
        return await self._answer(found, replace(found.request, answer=Answer.YES, approval=approval))

    async def deny(self, found: Found) -> bool:
        """Keep the no; as `approve`."""
        return await self._answer(found, replace(found.request, answer=Answer.NO))

    async def _answer(self, found: Found, answered: DeviceRequest) -> bool:
        if self._clock() >= found.request.expires_at:
            return False
        return await self._store.replace(
            TransientKind.USER_CODE, found.handle, expected=found.request.dump(), payload=answered.dump()
        )

    async def approved(self, device_code: str, client: Client) -> AuthorizationGrant:
        """Return what a device code stands for, to be checked and then redeemed by `take`; what a code stands for.

        Raises, as RFC 8628 §3.5 has it, `AuthorizationPending`, `SlowDown`, `DeviceDenied`, `ExpiredToken`; and
        `InvalidGrant` for a code that is unknown, used or another client's, which learns and changes nothing.
        """
        payload = await self._store.read(TransientKind.DEVICE_CODE, device_code)
        if payload is None:
            raise InvalidGrant(field="device_code", rule="unknown")
        waiting = load_waiting(payload)
        if waiting.client_id != client.client_id:
            raise InvalidGrant(field="device_code", rule="unknown")
        kept = await self._store.read(TransientKind.USER_CODE, waiting.request)
        request = None if kept is None else load_device_request(kept)
        if request is None or self._clock() >= waiting.expires_at:
            raise ExpiredToken(rule="expired")
        if request.answer is Answer.NO:
            raise DeviceDenied(rule="person")
        if request.approval is None:
            await self._pace(device_code, payload)
            raise AuthorizationPending
        if not request.approval.authentication.acr.reaches(client.acr_minimum):
            raise InvalidGrant(field="device_code", rule="acr")  # the client's minimum rose in the meantime
        return _grant(request, request.approval)

    async def _pace(self, device_code: str, payload: bytes) -> None:
        """Note that a waiting device asked. Raises `SlowDown` when it was too soon: its interval has then grown.

        Of requests that come at once one is in time at most, and each of the others makes the interval grow.
        """
        now = self._clock()
        for _ in range(_SWAPS_MAX):
            waiting = load_waiting(payload)
            too_soon = now < waiting.not_before
            interval_s = waiting.interval_s + (SLOW_DOWN_S if too_soon else 0)
            after = replace(waiting, interval_s=interval_s, not_before=now + interval_s).dump()
            if await self._store.replace(TransientKind.DEVICE_CODE, device_code, expected=payload, payload=after):
                if too_soon:
                    raise SlowDown
                return
            again = await self._store.read(TransientKind.DEVICE_CODE, device_code)
            if again is None:
                break
            payload = again
        raise SlowDown

    async def is_gone(self, device_code: str) -> bool:
        """Whether this could be a device code and no store has it: redeemed, ended or never made."""
        if not is_handle(TransientKind.DEVICE_CODE, device_code):
            return False
        return await self._store.read(TransientKind.DEVICE_CODE, device_code) is None

    async def take(self, device_code: str) -> bool:
        """Redeem: of any number of concurrent callers exactly one is told True."""
        return await self._store.take(TransientKind.DEVICE_CODE, device_code) is not None


def device_code_hash(device_code: str, client_id: str) -> bytes:
    """Return the hash a token family remembers its device code by: no authorization code's, and this client's alone."""
    return sm3(b"device code\x00" + f"{client_id}\x00{device_code}".encode("utf-8", "surrogatepass"))


def _grant(request: DeviceRequest, approval: Approval) -> AuthorizationGrant:
    """Return the grant that an authorization code would stand for, with nothing of a redirect in it."""
    return AuthorizationGrant(
        client_id=request.client_id,
        redirect_uri="",
        scope=approval.scope,
        resources=request.resources,
        code_challenge=None,
        nonce=None,
        person=approval.person,
        session_reference=approval.session_reference,
        authentication=approval.authentication,
    )
