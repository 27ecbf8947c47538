"""Slow work beside the requests: issuing what was approved, telling platforms of sign-outs, anchoring, tidying, and
bringing sealed values under the key of today.

Each loop asks one outbox or store what is due, does one bounded step, and sleeps. A step that fails is logged and tried
again at its next time; none of them keeps another waiting, and a crash loses nothing, because what is due stands in the
database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlencode

from adapters.app import Application
from adapters.http.outbound import OutboundClient, OutboundFailed
from adapters.observe.log import Log
from adapters.parts import Parts
from adapters.sql.resealing import ResealJob
from crypto.keys import KeyState
from crypto.keystore import KeyStore
from idp.keys import OWNER, StoredIdpKeys

SOON_S: Final = 0.02  # between two steps of one long work, so that requests are served in between
ISSUE_EVERY_S: Final = 0.25  # an approver who looks at the progress bar sees it move
LOGOUT_EVERY_S: Final = 0.5
ANCHOR_EVERY_S: Final = 5.0
CHECKPOINT_EVERY_S: Final = 30.0  # how late a log that did not grow may be signed again
TIDY_EVERY_S: Final = 300.0
RESEAL_EVERY_S: Final = 5.0
SIGNING_KEYS_EVERY_S: Final = 2.0  # how long a key that another process retired or reported may still sign here
LOGOUTS_A_ROUND: Final = 50
LOGOUT_ACCEPTED: Final = frozenset({200, 204})  # Back-Channel Logout 1.0 §2.8

Step = Callable[[], Awaitable[bool]]
"""One bounded step; True when more is waiting, so that the next one follows soon."""


@asynccontextmanager
async def working(
    parts: Parts, application: Application, outbound: OutboundClient, *, background: bool = True
) -> AsyncIterator[None]:
    """Run the loops while the block lasts; without `background` only what every process does for itself."""

    async def issue() -> bool:
        return await application.records.services.work() > 0

    async def deliver(url: str, logout_token: str) -> None:
        answer = await outbound.post_form(url, urlencode({"logout_token": logout_token}).encode())
        if answer.status not in LOGOUT_ACCEPTED:
            raise OutboundFailed(field="status", rule="accepted")

    async def tell_platforms() -> bool:
        delivered = await application.provider.logout.drain(deliver, limit=LOGOUTS_A_ROUND)
        return delivered == LOGOUTS_A_ROUND

    async def anchor() -> bool:
        await parts.ledger.anchor_now()
        return False

    async def checkpoint() -> bool:
        await parts.ledger.refresh(parts.settings.checkpoint_every_s)
        return False

    async def tidy() -> bool:
        await application.provider.housekeeping()
        return False

    reseal = ResealJob(parts.column_ring, parts.resealer, parts.idp_database, clock=parts.clock)
    watch = SigningKeysWatch(parts.keystore, parts.idp_keys)

    loops: dict[str, tuple[Step, float]] = {"signing_keys": (watch.step, SIGNING_KEYS_EVERY_S)}
    if background:
        loops |= {
            "issue": (issue, ISSUE_EVERY_S),
            "tell_platforms": (tell_platforms, LOGOUT_EVERY_S),
            "anchor": (anchor, ANCHOR_EVERY_S),
            "checkpoint": (checkpoint, CHECKPOINT_EVERY_S),
            "tidy": (tidy, TIDY_EVERY_S),
            "reseal": (reseal.step, RESEAL_EVERY_S),
        }
    parts.meters.jobs.know(loops)
    tasks = [
        asyncio.create_task(_forever(name, step, every_s, application.log, parts), name=f"worker-{name}")
        for name, (step, every_s) in loops.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class SigningKeysWatch:
    """Loads the provider's keys anew when another process (`edutrust keys`) has changed them."""

    def __init__(self, keystore: KeyStore, keys: StoredIdpKeys) -> None:
        self._keystore = keystore
        self._keys = keys
        self._seen: list[tuple[str, KeyState]] | None = None

    async def step(self) -> bool:
        """Look once; nothing more is ever waiting."""
        published = [(record.kid, record.state) for record in await self._keystore.published(OWNER)]
        if published != self._seen:
            await self._keys.load()
            # A retired key's place is taken by one that the loading makes: the next look is held to what is there now.
            self._seen = [(record.kid, record.state) for record in await self._keystore.published(OWNER)]
        return False


async def _forever(name: str, step: Step, every_s: float, log: Log, parts: Parts) -> None:
    while True:
        try:
            more = await step()
            parts.meters.jobs.ran(name, parts.clock())
        except Exception as error:  # whatever one step meets, the loop goes on and the log says so
            log.exception("worker.step_failed", error, {"step": name})  # noqa: PLE1205, TRY401  # our own log, not logging's
            parts.meters.jobs.failed(name)
            more = False
        await asyncio.sleep(SOON_S if more else every_s)
