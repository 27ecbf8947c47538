"""The audit trail for auditors: who did what in their unit and below, newest first. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.ledger_service import AuditService
from credentials.pages.forms import whole_number
from credentials.pages.render import Render, Translator
from credentials.pages.visitors import for_signed_in
from idp.authority.decide import require
from idp.authority.errors import NotAuthorised
from idp.authority.model import Actor, Duty, Level, Office
from idp.authority.store import AuthorityStore
from idp.registry.store import MAX_PAGE
from ledger.audit import AuditEvent

AUDIT_PATH = "/audit"
ROWS_A_PAGE = 50
READ_AT_ONCE = 200
# Events looked through for one page of a filter that fits few; past it the page says how far it looked.
LOOKED_THROUGH_MOST = 5_000
# A deployment serves a province: its auditors and the nation's see the whole trail.
_WHOLE = frozenset({Level.NATION, Level.PROVINCE})
# Details whose values are names of the product's own, and where their words stand.
_WORDS = {
    "act": "credentials.act.",
    "before": "credentials.status.",
    "after": "credentials.status.",
    "kind": "credentials.kind.",
    "reason": "credentials.reason.",
}


@dataclass(frozen=True, slots=True)
class AuditDeps:
    """What the audit trail's page needs."""

    render: Render
    audit: AuditService
    authority: AuthorityStore


@dataclass(frozen=True, slots=True)
class Scope:
    """What of the trail an auditor may read: all of it, or what concerns these schools and units, or these officers."""

    whole: bool
    units: frozenset[str]
    people: frozenset[str]

    def covers(self, event: AuditEvent) -> bool:
        """Whether the event is within the scope."""
        return self.whole or event.actor in self.people or event.details.get("school") in self.units


@dataclass(frozen=True, slots=True)
class EventView:
    """One event; `action` and `result` in words where the catalogues have them, else the codes themselves."""

    number: str
    at: int
    action: str
    actor: str
    object: str
    result: str
    details: list[str]


class _AuditPages:
    def __init__(self, deps: AuditDeps) -> None:
        self._deps = deps

    async def trail(self, request: Request, actor: Actor) -> Response:
        """Show a page of the trail: the newest events in scope that fit what was asked for."""
        deps, t = self._deps, self._deps.render.translator(request)
        scope = await self._scope(actor)
        action, person = (request.query_params.get(name, "").strip() for name in ("action", "actor"))
        below = whole_number(request.query_params.get("below", ""))
        found, reached, more = await self._read(scope, action, "".join(person.split()), below)
        head = await deps.audit.head()
        next_query = {"action": action, "actor": person, "below": str(reached)}
        context = {
            "rows": [_view(number, event, t) for number, event in found],
            "total": t.number(head.count),
            "link": head.link.hex(),
            "whole": scope.whole,
            "typed": {"action": action, "actor": person},
            "next_address": f"{AUDIT_PATH}?{urlencode(next_query)}" if more else None,
        }
        response = deps.render(request, "pages/audit.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _scope(self, actor: Actor) -> Scope:
        """Return what the actor may read as an auditor. Raises `NotAuthorised`, `SecondFactorRequired`."""
        offices = [one for one in actor.offices if one.is_active and Duty.AUDITOR in one.duties]
        if not offices:
            raise NotAuthorised(field="duty", rule=Duty.AUDITOR.value)
        for office in offices:
            require(actor, Duty.AUDITOR, school=office.unit)
        below: list[Office] = []
        for office in offices:
            after: str | None = None
            while page := await self._deps.authority.offices_within(office.unit, after=after, limit=MAX_PAGE):
                below += page
                after = page[-1].id
        return Scope(
            whole=any(office.level in _WHOLE for office in offices),
            units=frozenset(office.unit.code for office in (*offices, *below)),
            people=frozenset(office.person.value for office in below),
        )

    async def _read(
        self, scope: Scope, action: str, person: str, below: int | None
    ) -> tuple[list[tuple[int, AuditEvent]], int, bool]:
        """Return a page of events, the number it reached, and whether there may be more before it."""
        found: list[tuple[int, AuditEvent]] = []
        reached = below
        for _ in range(LOOKED_THROUGH_MOST // READ_AT_ONCE):
            read = await self._deps.audit.latest(READ_AT_ONCE, reached)
            for number, event in read:
                fits = event.action.startswith(action) and (not person or event.actor == person)
                reached = number
                if fits and scope.covers(event):
                    found.append((number, event))
                    if len(found) == ROWS_A_PAGE:
                        return found, reached, reached > 0
            if len(read) < READ_AT_ONCE:
                return found, reached or 0, False
        return found, reached or 0, True


def _view(number: int, event: AuditEvent, t: Translator) -> EventView:
    action = f"audit.action.{event.action}"
    result = t("audit.result_ok") if event.result == "ok" else t(event.result)
    details = [_detail(name, value, t) for name, value in sorted(event.details.items())]
    words = t(action) if action in t else event.action
    return EventView(t.number(number + 1), event.time, words, event.actor, event.object, result, details)


def _detail(name: str, value: str, t: Translator) -> str:
    """Return one detail in words where the catalogues have them."""
    label, word = f"audit.detail_{name}", f"{_WORDS.get(name, '')}{value}"
    said = t(word) if name in _WORDS and word in t else value
    if name == "acr":
        said = value.rpartition(":")[2]
    elif name == "amr":
        words = [f"idp.amr.{method}" for method in value.split()]
        said = t("idp.list_comma").join(t(word) if word in t else word for word in words)
    return f"{t(label) if label in t else name}: {said}"


def routes(deps: AuditDeps) -> list[Route]:
    """Return the audit trail's page."""
    return [Route(AUDIT_PATH, for_signed_in(_AuditPages(deps).trail), methods=["GET"])]
