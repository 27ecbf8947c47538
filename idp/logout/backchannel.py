"""Delivering logout tokens: from the outbox, each until it is taken or given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crypto.errors import TrustError
from idp.audit import SYSTEM, Acts
from idp.clients.model import Client, ClientState
from idp.logout.token import LogoutTokens
from idp.model import Clock
from idp.store import ClientStore, LogoutJob, LogoutOutbox

Deliver = Callable[[str, str], Awaitable[None]]
"""POSTs a logout token to an address; returns on 200 or 204, raises `TrustError` or `OSError` otherwise."""

LEASE_S = 60
"""Longer than one delivery with its time limit; a crashed worker's jobs come back after it."""

ATTEMPTS_MAX = 8
"""With the delays below: a platform that is away for three hours still hears of it."""

_FIRST_DELAY_S = 5
_DELAY_FACTOR = 4
_DELAY_S_MAX = 60 * 60


class BackchannelLogout:
    """Drains the outbox."""

    def __init__(
        self, *, outbox: LogoutOutbox, clients: ClientStore, tokens: LogoutTokens, acts: Acts, clock: Clock
    ) -> None:
        self._outbox = outbox
        self._clients = clients
        self._tokens = tokens
        self._acts = acts
        self._clock = clock

    async def drain(self, deliver: Deliver, *, limit: int = 50) -> int:
        """Try every due job once, at most `limit`; return how many were delivered. Safe in several processes."""
        delivered = 0
        for job in await self._outbox.lease_jobs(self._clock(), lease_s=LEASE_S, limit=limit):
            client = await self._clients.client(job.client_id)
            if client is None or client.backchannel_logout_uri is None or client.state is not ClientState.ACTIVE:
                await self._outbox.bury_job(job.job_id, self._clock(), reason="no_address")
                continue
            delivered += await self._deliver_one(deliver, job, client, client.backchannel_logout_uri)
        return delivered

    async def _deliver_one(self, deliver: Deliver, job: LogoutJob, client: Client, uri: str) -> bool:
        try:
            await deliver(uri, self._tokens.sign(client, job.person, job.session_reference))
        except (TrustError, OSError) as failure:
            await self._failed(job, failure.code if isinstance(failure, TrustError) else type(failure).__name__)
            return False
        await self._outbox.finish_job(job.job_id, self._clock())
        await self._recorded("idp.logout.delivered", job, "ok")
        return True

    async def _failed(self, job: LogoutJob, reason: str) -> None:
        if job.attempts >= ATTEMPTS_MAX:
            await self._outbox.bury_job(job.job_id, self._clock(), reason=reason)
            await self._recorded("idp.logout.undeliverable", job, "given_up")
            return
        delay = min(_FIRST_DELAY_S * _DELAY_FACTOR ** (job.attempts - 1), _DELAY_S_MAX)
        await self._outbox.retry_job(job.job_id, next_time=self._clock() + delay, reason=reason)

    async def _recorded(self, action: str, job: LogoutJob, result: str) -> None:
        await self._acts.record(
            action,
            actor=SYSTEM,
            subject=job.client_id,
            result=result,
            connection=None,
            session_reference=job.session_reference,
        )
