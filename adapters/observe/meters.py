"""What is counted while requests are answered and jobs run: by route, sign-in, token, limit and job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from adapters.observe import metrics
from adapters.observe.counting import Counter, Histogram, Reading
from adapters.observe.ledger_meter import LedgerMeter
from idp.audit import AuditPort
from idp.model import AMR_OF, AuthenticatorKind
from idp.store import Attempt
from ledger.audit import AuditEvent

UNROUTED: Final = "unrouted"
OTHER: Final = "other"
STATUSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
# From a key set out of memory (well under a millisecond) to a batch upload; argon2 takes about 50 ms.
REQUEST_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

SIGN_IN_METHODS: Final = ("pwd", "otp", "pwd otp", OTHER)
REFUSED_STEPS: Final = {f"idp.login.{kind.value}_refused": amr for kind, amr in AMR_OF.items()}
GRANTS: Final = {
    "idp.token.issued": "authorization",
    "idp.token.refreshed": "refresh_token",
    "idp.token.issued_to_client": "client_credentials",
}
# RFC 6749 §5.2, RFC 8707 §2, RFC 8628 §3.5, and the two that say a token was stolen.
TOKEN_REFUSALS: Final = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "expired_token",
    "access_denied",
    "code_replayed",
    "refresh_replayed",
    OTHER,
)


class HttpMeter:
    """Counts requests from their lines in the log: figures and log never disagree, and know the same."""

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {"-": _Route(), OTHER: _Route()}

    def know(self, patterns: Sequence[str]) -> None:
        """Take the table of routes; a request's route that is not in it counts as `other`."""
        for pattern in patterns:
            self._routes.setdefault(pattern, _Route())

    @property
    def known(self) -> list[str]:
        """The patterns that count by name."""
        return [pattern for pattern in self._routes if pattern not in {"-", OTHER}]

    def heard(self, event: str, fields: Mapping[str, object]) -> None:
        """Take one event of the log."""
        if event != "request":
            return
        status, ms = fields["status"], fields["ms"]
        if type(status) is not int or type(ms) is not float:
            return
        route = self._routes.get(str(fields["route"])) or self._routes[OTHER]
        route.statuses[status // 100 if 100 <= status < 600 else 0] += 1
        route.seconds.add(ms / 1000)

    def read(self) -> Iterator[Reading]:
        """Return the routes that have had a request."""
        for pattern, route in self._routes.items():
            if not any(route.statuses):
                continue
            name = UNROUTED if pattern == "-" else pattern
            for status, count in zip(STATUSES, route.statuses, strict=True):
                if count:
                    yield Reading(metrics.REQUESTS, (name, status), count)
            yield Reading(metrics.REQUEST_SECONDS, (name,), route.seconds.read())


class _Route:
    __slots__ = ("seconds", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * len(STATUSES)
        self.seconds = Histogram(REQUEST_BOUNDS_S)


class ActMeter:
    """Counts sign-ins and tokens from the audit trail's events, and tries that were held back."""

    def __init__(self) -> None:
        done = [(method, "ok") for method in SIGN_IN_METHODS]
        refused = [(method, "refused") for method in REFUSED_STEPS.values()]
        self._sign_ins = Counter(metrics.SIGN_INS, [*refused, *done])
        self._tokens = Counter(metrics.TOKENS, [(grant,) for grant in GRANTS.values()])
        self._refusals = Counter(metrics.TOKEN_REFUSALS, [(reason,) for reason in TOKEN_REFUSALS])
        held_back = (Attempt.TOO_SOON, Attempt.DISABLED)
        self._held_back = Counter(
            metrics.HELD_BACK, [(kind.value, reason.value) for kind in AuthenticatorKind for reason in held_back]
        )

    def event(self, event: AuditEvent) -> None:
        """Count one event that is in the trail."""
        action = event.action
        if action in GRANTS:
            self._tokens.add(GRANTS[action])
        elif action == "idp.token.refused":
            self._refusals.add(event.result)
        elif action == "idp.token.refresh_replayed":
            self._refusals.add("refresh_replayed")
        elif action == "idp.login.signed_in":
            self._sign_ins.add(event.details.get("amr", OTHER), "ok")
        elif action in REFUSED_STEPS:
            self._sign_ins.add(REFUSED_STEPS[action], "refused")

    def tried(self, kind: AuthenticatorKind, answer: Attempt) -> None:
        """Count a try that was refused before its secret was looked at."""
        if answer in {Attempt.TOO_SOON, Attempt.DISABLED}:
            self._held_back.add(kind.value, answer.value)

    def read(self) -> Iterator[Reading]:
        """Return all counts."""
        for counter in (self._sign_ins, self._tokens, self._refusals, self._held_back):
            yield from counter.read()


class CountedAudit:
    """An audit trail whose events are counted once they are durable."""

    def __init__(self, port: AuditPort, meter: ActMeter) -> None:
        self._port = port
        self._meter = meter

    async def record(self, event: AuditEvent) -> None:
        """See `AuditPort.record`."""
        await self._port.record(event)
        self._meter.event(event)


class LimitMeter:
    """Counts whom limits on attempts refuse."""

    def __init__(self) -> None:
        self._refusals = Counter(metrics.LIMITED, [(OTHER,)])

    def know(self, names: Iterable[str]) -> None:
        """Take the names of the limits, before the first of them is asked."""
        self._refusals = Counter(metrics.LIMITED, [(name,) for name in dict.fromkeys((*names, OTHER))])

    def refused(self, limit: str) -> None:
        """Count a refusal."""
        self._refusals.add(limit)

    def read(self) -> Iterator[Reading]:
        """Return the counts."""
        return self._refusals.read()


class JobMeter:
    """Remembers when each background job last went through, and counts its failures."""

    def __init__(self) -> None:
        self._ran: dict[str, int] = {}
        self._failures = Counter(metrics.JOB_FAILURES, [(OTHER,)])

    def know(self, jobs: Iterable[str]) -> None:
        """Take the names of the jobs this process runs, before the first of them does."""
        self._failures = Counter(metrics.JOB_FAILURES, [(job,) for job in (*jobs, OTHER)])

    def ran(self, job: str, now: int) -> None:
        """Say that a step went through at `now`."""
        self._ran[job] = now

    def failed(self, job: str) -> None:
        """Say that a step did not."""
        self._failures.add(job)

    def read(self) -> Iterator[Reading]:
        """Return the jobs of this process."""
        for job, at in self._ran.items():
            yield Reading(metrics.JOB_RAN, (job,), at)
        yield from self._failures.read()


class Meters:
    """All meters of one process."""

    def __init__(self) -> None:
        self.http = HttpMeter()
        self.acts = ActMeter()
        self.ledger = LedgerMeter()
        self.jobs = JobMeter()
        self.limits = LimitMeter()

    def read(self) -> Iterator[Reading]:
        """Return everything counted so far."""
        for meter in (self.http, self.acts, self.limits, self.ledger, self.jobs):
            yield from meter.read()
