"""One issued record in the hands of its school: the list, the record with its life, and changing its status.

Each change is named, then shown with what it will do and confirmed with its reason; only then does it bind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from credentials.errors import StatusChangeRefused
from credentials.held import held
from credentials.model import Act, HeldCredential, Issued, Reason, StatusChange
from credentials.pages.batch_pages import OFFICERS, Register
from credentials.pages.claims import facts, title_of
from credentials.pages.forms import read_form
from credentials.pages.life import life_of, word_of
from credentials.pages.refusals import refusal_sentence
from credentials.pages.render import Render
from credentials.pages.visitors import for_signed_in, holds, schools_of
from credentials.pages.wallet_pages import card_of
from credentials.ports import Clock, Issuers
from credentials.status import Status
from credentials.status_changes import StatusChanges
from idp.authority.decide import require
from idp.authority.errors import NotAuthorised
from idp.authority.model import Actor, Duty
from idp.registry.school_code import SchoolCode

RECORDS_PATH = "/records"
RECORDS_A_PAGE = 50
# What the page offers by status, and the reasons it offers for each act. The service decides both again.
ACTS: Mapping[Status, tuple[Act, ...]] = {
    Status.VALID: (Act.SUSPEND, Act.REVOKE),
    Status.SUSPENDED: (Act.REINSTATE, Act.REVOKE),
}
REASONS: Mapping[Act, tuple[Reason, ...]] = {
    Act.SUSPEND: (Reason.UNDER_INVESTIGATION, Reason.HOLDER_REQUEST),
    Act.REINSTATE: (Reason.INVESTIGATION_CLOSED, Reason.HOLDER_REQUEST),
    Act.REVOKE: (
        Reason.ISSUED_IN_ERROR,
        Reason.FRAUD_FOUND,
        Reason.DEGREE_WITHDRAWN,
        Reason.RESOURCE_WITHDRAWN,
        Reason.HOLDER_REQUEST,
    ),
}


class RecordReads(Protocol):
    """The part of the store these pages read; `CredentialStore` is one."""

    async def credential(self, credential_id: str) -> Issued:
        """Return a logged credential. Raises `CredentialUnknown`."""
        ...

    async def changes_of(self, credential_id: str) -> tuple[StatusChange, ...]:
        """Return a credential's changes of status, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class RecordDeps:
    """What the pages of issued records need."""

    render: Render
    store: RecordReads
    statuses: StatusChanges
    register: Register
    issuers: Issuers
    clock: Clock


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One record in its school's list."""

    id: str
    number: str
    kind: str
    title: str
    issued_at: int
    status: str


class _RecordPages:
    def __init__(self, deps: RecordDeps) -> None:
        self._deps = deps

    async def all(self, request: Request, actor: Actor) -> Response:
        """Show one school's records, a page at a time."""
        deps, t = self._deps, self._deps.render.translator(request)
        schools = schools_of(actor, OFFICERS)
        if not schools:
            raise NotAuthorised(field="duty", rule=Duty.REGISTRAR.value)
        asked = request.query_params.get("school", "")
        school = next((code for code in schools if code.value == asked), schools[0])
        after = request.query_params.get("after") or None
        found = await deps.statuses.credentials_of(actor, school, after=after)
        lines = []
        for one in found[:RECORDS_A_PAGE]:
            card = card_of(one, t)
            who = str(one.claims.get("name") or one.claims.get("author") or "")
            title = " · ".join(part for part in (who, card.title) if part)
            lines.append(RecordLine(one.id, one.number, card.kind, title, card.issued_at, card.status))
        names = [(code.value, (await deps.register.school(code)).name) for code in schools]
        context = {
            "schools": names,
            "school": dict(names)[school.value],
            "rows": lines,
            "next_address": _next(school, lines) if len(found) > RECORDS_A_PAGE else None,
        }
        return deps.render(request, "credentials/records.html", context)

    async def one(self, request: Request, actor: Actor) -> Response:
        record = await self._record(actor, request.path_params["id"])
        return await self._page(request, actor, record, {}, "")

    async def submitted(self, request: Request, actor: Actor) -> Response:
        """Take the form's steps: which act; then its reason and confirmation; or back."""
        t = self._deps.render.translator(request)
        record = await self._record(actor, request.path_params["id"])
        typed = await read_form(request, max_file_bytes=0)
        step, wanted = typed.text("step"), typed.text("act")
        act = next((act for act in ACTS.get(record.status, ()) if act.value == wanted), None)
        if step == "change":
            return await self._page(request, actor, record, {}, wanted)
        if act is None:
            return await self._page(request, actor, record, {"act": t("record.act_missing")}, "", 422)
        if step != "do":
            return self._check(request, record, act, {}, "")
        reason = next((one for one in REASONS[act] if one.value == typed.text("reason")), None)
        if reason is None:
            return self._check(request, record, act, {"reason": t("record.reason_missing")}, "", 422)
        try:
            await self._deps.statuses.change(actor, record.id, act, reason, None)
        except StatusChangeRefused as refused:
            now = await self._record(actor, record.id)
            return await self._page(request, actor, now, {"act": refusal_sentence(refused, t)}, "", 409)
        return RedirectResponse(f"{RECORDS_PATH}/{record.id}", status_code=303)

    async def _record(self, actor: Actor, credential_id: str) -> HeldCredential:
        issued = await self._deps.store.credential(credential_id)
        duty = Duty.APPROVER if holds(actor, Duty.APPROVER, issued.school) else Duty.REGISTRAR
        require(actor, duty, school=issued.school)
        return held(issued, self._deps.issuers)

    def _check(
        self,
        request: Request,
        record: HeldCredential,
        act: Act,
        errors: Mapping[str, str],
        reason: str,
        status_code: int = 200,
    ) -> Response:
        t = self._deps.render.translator(request)
        view = {
            "id": record.id,
            "title": title_of(record.kind, record.claims, t),
            "act": act.value,
            "facts": facts(record.claims, t),
            "reasons": [(one.value, f"credentials.reason.{one.value}") for one in REASONS[act]],
        }
        context = {"view": view, "errors": errors, "typed": {"reason": reason}}
        return self._deps.render(request, "credentials/record_check.html", context, status_code)

    async def _page(
        self,
        request: Request,
        actor: Actor,
        record: HeldCredential,
        errors: Mapping[str, str],
        act: str,
        status_code: int = 200,
    ) -> Response:
        deps, t = self._deps, self._deps.render.translator(request)
        offered = ACTS.get(record.status, ()) if holds(actor, Duty.APPROVER, record.issuer) else ()
        life = life_of(record, await deps.store.changes_of(record.id), t, now=deps.clock())
        view: dict[str, Any] = {
            "id": record.id,
            "title": title_of(record.kind, record.claims, t),
            "school": (await deps.register.school(record.issuer)).name,
            "school_code": record.issuer.value,
            "kind": f"credentials.kind.{record.kind}",
            "status": word_of(record.status),
            "facts": facts(record.claims, t),
            "life": life,
            "acts": [(one.value, t(f"record.act_{one.value}"), t(f"record.about_{one.value}")) for one in offered],
        }
        context = {"view": view, "errors": errors, "typed": {"act": act}}
        return deps.render(request, "credentials/record.html", context, status_code)


def _next(school: SchoolCode, lines: list[RecordLine]) -> str:
    return f"{RECORDS_PATH}?{urlencode({'school': school.value, 'after': lines[-1].id})}"


def routes(deps: RecordDeps) -> list[Route]:
    """Return the pages of issued records."""
    pages = _RecordPages(deps)
    one = RECORDS_PATH + "/{id}"
    return [
        Route(RECORDS_PATH, for_signed_in(pages.all), methods=["GET"]),
        Route(one, for_signed_in(pages.one), methods=["GET"]),
        Route(one, for_signed_in(pages.submitted, back=one), methods=["POST"]),
    ]
