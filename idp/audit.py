"""The security-relevant acts of sign-in, written by one call each."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import HTTPConnection

from crypto.encoding import b64u_encode
from crypto.sm3 import sm3
from idp.model import Clock
from idp.origin import place_of
from ledger.audit import AuditEvent

SYSTEM = "system"


class AuditPort(Protocol):
    """Where events go: the hash-chained log. Durable once it returns."""

    async def record(self, event: AuditEvent) -> None:
        """Append one event."""


class Acts:
    """Builds events from a request. Details never hold secrets or names, only codes and opaque references."""

    def __init__(self, port: AuditPort, *, clock: Clock) -> None:
        self._port = port
        self._clock = clock

    async def record(
        self,
        action: str,
        *,
        actor: str,
        subject: str,
        result: str,
        connection: HTTPConnection | None,
        session_reference: str | None = None,
        **details: str,
    ) -> None:
        """Record `action` (dotted code) by `actor` (person number, client id or "system") on `subject`."""
        await self._port.record(
            AuditEvent(
                time=self._clock(),
                action=action,
                actor=actor,
                object=subject,
                result=result,
                origin_ip=None if connection is None else place_of(connection),
                session=None if session_reference is None else session_trace(session_reference),
                details=details,
            )
        )


def session_trace(session_reference: str) -> str:
    """Return a short hash that joins the events of one session without naming it."""
    return b64u_encode(sm3(b"audit session\x00" + session_reference.encode())[:12])
