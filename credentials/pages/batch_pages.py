"""Preparing, approving and watching batches: the work list, the preview, the decision, the progress, the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from credentials.errors import BatchStateRefused, RecordRefused
from credentials.issuance import Issuance
from credentials.model import Batch, BatchState, Preview, Progress
from credentials.pages.batch_files import csv_response, problem_rows, report_rows
from credentials.pages.batch_view import (
    ROWS_A_PAGE,
    SAMPLE_ROWS,
    SAMPLES_MOST,
    TONES,
    columns_of,
    grid_of_preview,
    grid_of_progress,
    note_tables,
    rows_of,
    sampled_listing,
    split_columns,
    state_code,
)
from credentials.pages.forms import read_form, whole_number
from credentials.pages.listing import listing
from credentials.pages.refusals import refusal_sentence
from credentials.pages.render import Render
from credentials.pages.visitors import for_signed_in, holds, schools_of
from credentials.ports import Clock, Issuers
from idp.authority.errors import NotAuthorised, TwoPersonRule
from idp.authority.model import Actor, Duty
from idp.registry.errors import PersonUnknown
from idp.registry.model import Person, School
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

BATCHES_PATH = "/batches"
BATCHES_A_PAGE = 20
OFFICERS = frozenset({Duty.REGISTRAR, Duty.APPROVER, Duty.AUDITOR})
_BEING_ISSUED = frozenset({BatchState.APPROVED, BatchState.LOGGED, BatchState.DONE})
_STEP = {BatchState.DRAFT: 1, BatchState.SUBMITTED: 2}


class Register(Protocol):
    """The part of the register these pages name schools and officers by; `RegistryStore` is one."""

    async def school(self, code: SchoolCode) -> School:
        """Return the school. Raises `SchoolUnknown`."""
        ...

    async def person(self, number: PersonNumber) -> Person:
        """Return the person. Raises `PersonUnknown`."""
        ...


@dataclass(frozen=True, slots=True)
class BatchDeps:
    """What the pages of preparing and approving need."""

    render: Render
    issuance: Issuance
    register: Register
    issuers: Issuers
    clock: Clock


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One batch in the work list; `kind` and `state` are message codes."""

    id: str
    kind: str
    school: str
    rows: int
    state: str
    tone: str
    at: int


class _BatchPages:
    def __init__(self, deps: BatchDeps) -> None:
        self._deps = deps

    async def work_list(self, request: Request, actor: Actor) -> Response:
        """Show what waits for the actor's approval, then every batch of their schools."""
        schools = schools_of(actor, OFFICERS)
        if not schools:
            raise NotAuthorised(field="duty", rule=Duty.REGISTRAR.value)
        asks: list[BatchLine] = []
        lines: list[BatchLine] = []
        for code in schools:
            school = await self._deps.register.school(code)
            for batch in await self._deps.issuance.batches(actor, code):
                line = _line(batch, school)
                lines.append(line)
                waiting = batch.state is BatchState.SUBMITTED and batch.drafter != actor.person
                if waiting and holds(actor, Duty.APPROVER, code):
                    asks.append(line)
        lines.sort(key=lambda line: line.at, reverse=True)
        context = {
            "asks": asks,
            "listing": listing(request, lines, size=BATCHES_A_PAGE),
            "many_schools": len(schools) > 1,
            "may_draft": any(holds(actor, Duty.REGISTRAR, code) for code in schools),
        }
        return self._deps.render(request, "credentials/batches.html", context)

    async def one(self, request: Request, actor: Actor) -> Response:
        return await self._page(request, actor, {})

    async def submit(self, request: Request, actor: Actor) -> Response:
        batch_id = request.path_params["id"]
        try:
            await self._deps.issuance.submit(actor, batch_id)
        except (RecordRefused, BatchStateRefused) as refused:
            return await self._page(request, actor, {"rows": self._words(request, refused)}, 409)
        return RedirectResponse(f"{BATCHES_PATH}/{batch_id}", status_code=303)

    async def approve(self, request: Request, actor: Actor) -> Response:
        """Approve what the page showed. The box says that it was looked at; without it nothing happens."""
        batch_id = request.path_params["id"]
        typed = await read_form(request, max_file_bytes=0)
        t = self._deps.render.translator(request)
        if typed.text("looked") != "yes":
            return await self._page(request, actor, {"looked": t("batch.looked_missing")}, 422)
        try:
            await self._deps.issuance.approve(actor, batch_id)
        except (TwoPersonRule, BatchStateRefused) as refused:
            return await self._page(request, actor, {"decide": self._words(request, refused)}, 409)
        return RedirectResponse(f"{BATCHES_PATH}/{batch_id}", status_code=303)

    async def reject(self, request: Request, actor: Actor) -> Response:
        batch_id = request.path_params["id"]
        try:
            await self._deps.issuance.reject(actor, batch_id)
        except BatchStateRefused as refused:
            return await self._page(request, actor, {"decide": self._words(request, refused)}, 409)
        return RedirectResponse(f"{BATCHES_PATH}/{batch_id}", status_code=303)

    async def progress(self, request: Request, actor: Actor) -> Response:
        """Answer the progress bar's question, as JSON (see progress.js)."""
        progress = await self._deps.issuance.progress(actor, request.path_params["id"])
        done, total = _bar(progress)
        finished = progress.batch.state not in {BatchState.APPROVED, BatchState.LOGGED}
        value = {
            "done": done,
            "total": total,
            "state": "done" if finished else "running",
            "bad": progress.batch.refused,
            "seconds_left": None if finished else _seconds_left(progress, self._deps.clock()),
            "next": f"{BATCHES_PATH}/{progress.batch.id}",
        }
        return JSONResponse(value, headers={"Cache-Control": "no-store"})

    async def errors(self, request: Request, actor: Actor) -> Response:
        preview = await self._deps.issuance.preview(actor, request.path_params["id"])
        return csv_response(problem_rows(preview, self._deps.render.translator(request)), "problems.csv")

    async def report(self, request: Request, actor: Actor) -> Response:
        preview = await self._deps.issuance.preview(actor, request.path_params["id"])
        t = self._deps.render.translator(request)
        return csv_response(report_rows(preview, t, base=self._deps.issuers.base), "report.csv")

    def _words(self, request: Request, refused: RecordRefused | BatchStateRefused | TwoPersonRule) -> str:
        return refusal_sentence(refused, self._deps.render.translator(request))

    async def _page(
        self, request: Request, actor: Actor, errors: Mapping[str, str], status_code: int = 200
    ) -> Response:
        preview = await self._deps.issuance.preview(actor, request.path_params["id"])
        view = await self._common(request, preview)
        if preview.batch.state in _BEING_ISSUED:
            view |= await self._issuing(request, actor, preview)
            return self._deps.render(request, "credentials/batch_progress.html", {"view": view}, status_code)
        view |= self._reviewing(request, actor, preview)
        return self._deps.render(request, "credentials/batch.html", {"view": view, "errors": errors}, status_code)

    async def _common(self, request: Request, preview: Preview) -> dict[str, Any]:
        batch, t = preview.batch, self._deps.render.translator(request)
        school = await self._deps.register.school(batch.school)
        alike, names = split_columns(preview, t)
        rows = rows_of(preview.items, names, t) if len(preview.items) > 1 else []
        return {
            "id": batch.id,
            "kind": f"credentials.kind.{batch.kind}",
            "kind_name": batch.kind,
            "school": school.name,
            "state_code": state_code(batch),
            "tone": TONES[batch.state],
            "sentence": f"batch.sentence_{batch.state.value}",
            "drafter": await self._name(batch.drafter),
            "approver": None if batch.approver is None else await self._name(batch.approver),
            "created_at": batch.created_at,
            "approved_at": batch.approved_at,
            "done_at": batch.done_at,
            "good": batch.total,
            "bad": batch.refused,
            "only": preview.items[0].id if len(preview.items) == 1 else None,
            "alike": alike,
            "columns": columns_of(names, t),
            "listing": listing(request, rows, size=ROWS_A_PAGE),
        }

    def _reviewing(self, request: Request, actor: Actor, preview: Preview) -> dict[str, Any]:
        batch, t = preview.batch, self._deps.render.translator(request)
        drafting, waiting = batch.state is BatchState.DRAFT, batch.state is BatchState.SUBMITTED
        may_approve = waiting and batch.drafter != actor.person and holds(actor, Duty.APPROVER, batch.school)
        may_draft = holds(actor, Duty.REGISTRAR, batch.school)
        sample = whole_number(request.query_params.get("sample", ""))
        view: dict[str, Any] = {
            "step": _STEP.get(batch.state),
            "grid": grid_of_preview(preview, t),
            "note_tables": note_tables(preview, t),
            "may_submit": drafting and batch.total > 0 and may_draft,
            "may_redo": may_draft and (batch.state is BatchState.REJECTED or (drafting and batch.total == 0)),
            "may_approve": may_approve,
            "waiting": ("batch.waits_for_other" if batch.drafter == actor.person else "batch.waits")
            if waiting
            else None,
            "sampled": sample is not None,
            "sample_rows": SAMPLE_ROWS,
            "next_sample": (sample or 0) % SAMPLES_MOST + 1,
            "digest": batch.digest.hex() if waiting else "",
        }
        if sample is not None:
            view["listing"] = sampled_listing(preview, sample % (SAMPLES_MOST + 1), split_columns(preview, t)[1], t)
        return view

    async def _issuing(self, request: Request, actor: Actor, preview: Preview) -> dict[str, Any]:
        progress = await self._deps.issuance.progress(actor, preview.batch.id)
        done, total = _bar(progress)
        return {
            "finished": progress.batch.state is BatchState.DONE,
            "percent": progress.percent,
            "done": done,
            "total": total,
            "grid": grid_of_progress(progress, self._deps.render.translator(request)),
        }

    async def _name(self, number: PersonNumber) -> str:
        """Return an officer's name. Officers act in their own name, so colleagues see it."""
        try:
            person = await self._deps.register.person(number)
        except PersonUnknown:
            return number.value
        return person.real_name or number.value


def _line(batch: Batch, school: School) -> BatchLine:
    at = batch.submitted_at if batch.submitted_at is not None else batch.created_at
    kind = f"credentials.kind.{batch.kind}"
    return BatchLine(batch.id, kind, school.name, batch.total, state_code(batch), TONES[batch.state], at)


def _bar(progress: Progress) -> tuple[int, int]:
    """Return how far the bar is, in records; full only when the anchor is there too."""
    return progress.percent * progress.total // 100, progress.total


def _seconds_left(progress: Progress, now: int) -> int | None:
    """Estimate from the pace so far; None before there is one."""
    started = progress.batch.approved_at
    if started is None or progress.percent == 0:
        return None
    return max(now - started, 0) * (100 - progress.percent) // progress.percent


def routes(deps: BatchDeps) -> list[Route]:
    """Return the pages of existing batches. List `batch_forms.routes` before these: they hold `/batches/new`."""
    pages = _BatchPages(deps)
    one = BATCHES_PATH + "/{id}"
    return [
        Route(BATCHES_PATH, for_signed_in(pages.work_list), methods=["GET"]),
        Route(one, for_signed_in(pages.one), methods=["GET"]),
        Route(one + "/submit", for_signed_in(pages.submit, back=one), methods=["POST"]),
        Route(one + "/approve", for_signed_in(pages.approve, back=one), methods=["POST"]),
        Route(one + "/reject", for_signed_in(pages.reject, back=one), methods=["POST"]),
        Route(one + "/progress", for_signed_in(pages.progress, for_scripts=True), methods=["GET"]),
        Route(one + "/errors.csv", for_signed_in(pages.errors, back=one), methods=["GET"]),
        Route(one + "/report.csv", for_signed_in(pages.report, back=one), methods=["GET"]),
    ]
