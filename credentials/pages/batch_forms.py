"""Starting a batch: a list of graduates, one credit record, or one work to register. Nothing is signed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from credentials import diploma
from credentials.copyright.registration import LICENCES, MAX_FILE_BYTES, WorkForm
from credentials.creditbank.record import CreditForm
from credentials.errors import AlreadyRegistered, RecordRefused
from credentials.kinds import KINDS
from credentials.model import Preview
from credentials.pages.batch_files import csv_response
from credentials.pages.batch_pages import BATCHES_PATH, BatchDeps
from credentials.pages.forms import Typed, read_form
from credentials.pages.refusals import refusal_sentence
from credentials.pages.render import Translator
from credentials.pages.visitors import for_signed_in, schools_of
from crypto.errors import TrustError
from idp.authority.errors import NotAuthorised
from idp.authority.model import Actor, Duty
from idp.registry.dates import parse_date
from idp.registry.errors import (
    DateRefused,
    FileRefused,
    NameRefused,
    PersonNumberRefused,
    PersonUnknown,
    SchoolRefused,
)
from idp.registry.names import parse_person_name
from idp.registry.person_number import PersonNumber, parse_person_number
from idp.registry.school_code import SchoolCode
from idp.registry.text_file import MAX_FILE_BYTES as MAX_LIST_BYTES
from idp.registry.text_file import MAX_ROWS

NEW_PATH = BATCHES_PATH + "/new"
_MIB = 1 << 20
_SHOWN_AT_THE_FORM = (
    AlreadyRegistered, RecordRefused, FileRefused, DateRefused, NameRefused, PersonNumberRefused, PersonUnknown, SchoolRefused,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """One line of input; `label` and `hint` are message codes, `most` signs."""

    name: str
    hint: str | None = None
    type: str = "text"
    inputmode: str | None = None
    most: int = 200
    required: bool = True
    size: str | None = None
    said: str | None = None

    @property
    def label(self) -> str:
        """The message code of the label: of `said` where the kind has a word of its own for it."""
        return f"batch.input_{self.said or self.name}"


@dataclass(frozen=True, slots=True)
class Form:
    """What the form of a kind asks for. `file_most` in the unit its hint names: rows of a list, MiB of a work."""

    inputs: tuple[Input, ...]
    file: str | None
    file_most: int
    file_bytes: int
    columns: tuple[str, ...]
    licences: bool


_PERSON = Input("person", hint="batch.input_person_hint", inputmode="numeric", most=24)
_AUTHOR = Input("person", hint="batch.input_person_hint", inputmode="numeric", most=24, said="author")
_AUTHOR_NAME = Input("name", hint="batch.input_name_hint", most=50, said="author_name")
FORMS: Mapping[str, Form] = {
    "diploma": Form(
        inputs=(),
        file=".csv,text/csv",
        file_most=MAX_ROWS,
        file_bytes=MAX_LIST_BYTES,
        columns=(*diploma.REQUIRED_COLUMNS, *diploma.OPTIONAL_COLUMNS),
        licences=False,
    ),
    "credit_record": Form(
        inputs=(
            _PERSON,
            Input("name", hint="batch.input_name_hint", most=50),
            Input("achievement"),
            Input("achievement_code", hint="batch.input_achievement_code_hint", most=32, size="short"),
            Input("credits", hint="batch.input_credits_hint", inputmode="decimal", most=6, size="short"),
            Input("hours_learned", inputmode="numeric", most=4, required=False, size="short"),
            Input("grade", most=20, required=False, size="short"),
            Input("recognised_on", hint="batch.input_recognised_on_hint", type="text", most=10, size="short"),
        ),
        file=None,
        file_most=0,
        file_bytes=0,
        columns=(),
        licences=False,
    ),
    "copyright_registration": Form(
        inputs=(Input("title"), _AUTHOR, _AUTHOR_NAME),
        file="*/*",
        file_most=MAX_FILE_BYTES // _MIB,
        file_bytes=MAX_FILE_BYTES,
        columns=(),
        licences=True,
    ),
}
# The licence a teacher most likely means stands first; the list is in the order of what is given away.
_LICENCE_ORDER = (
    "all-rights-reserved", "CC-BY-NC-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-SA-4.0", "CC-BY-4.0", "CC0-1.0",
)  # fmt: skip
# Where a refusal names a field of the record, this is the field of the form it came from.
_FIELD_OF = {"person_number": "person", "real_name": "name", "author": "name", "school": "school"}


class _BatchForms:
    def __init__(self, deps: BatchDeps) -> None:
        self._deps = deps

    async def kinds(self, request: Request, actor: Actor) -> Response:
        self._schools(actor)
        return self._deps.render(request, "credentials/batch_new.html", {"kinds": list(KINDS)})

    async def form(self, request: Request, actor: Actor) -> Response:
        return await self._form(request, actor, Typed({}, None, file_too_large=False), {})

    async def submitted(self, request: Request, actor: Actor) -> Response:
        """Check what was given and keep it as a draft; every problem goes back to its field."""
        t = self._deps.render.translator(request)
        kind = _kind_of(request)
        typed = await read_form(request, max_file_bytes=FORMS[kind].file_bytes)
        school = next((code for code in self._schools(actor) if code.value == typed.text("school")), None)
        errors = _missing(kind, typed, t)
        if school is None:
            errors["school"] = t("batch.school_refused")
        if errors or school is None:
            return await self._form(request, actor, typed, errors, 422)
        try:
            preview = await self._draft(actor, kind, school, typed)
        except _SHOWN_AT_THE_FORM as refused:
            errors = {_field_of(kind, refused): refusal_sentence(refused, t)}
            return await self._form(request, actor, typed, errors, 422)
        return RedirectResponse(f"{BATCHES_PATH}/{preview.batch.id}", status_code=303)

    async def template(self, request: Request, actor: Actor) -> Response:
        self._schools(actor)
        return csv_response([list(FORMS[_kind_of(request)].columns)], "template.csv")

    def _schools(self, actor: Actor) -> tuple[SchoolCode, ...]:
        """Return the schools the actor prepares for. Raises `NotAuthorised` where there is none."""
        schools = schools_of(actor, frozenset({Duty.REGISTRAR}))
        if not schools:
            raise NotAuthorised(field="duty", rule=Duty.REGISTRAR.value)
        return schools

    async def _draft(self, actor: Actor, kind: str, school: SchoolCode, typed: Typed) -> Preview:
        issuance = self._deps.issuance
        file = typed.file or b""
        if kind == "diploma":
            return await issuance.draft_diplomas(actor, school, file)
        # People copy the number as our pages show it, in groups of four.
        person = parse_person_number("".join(typed.text("person").split()).replace("-", ""))
        name = await self._known_as(person, str(parse_person_name(typed.text("name"), field="name")))
        if kind == "credit_record":
            form = CreditForm(
                person=person,
                name=name,
                achievement=typed.text("achievement"),
                achievement_code=typed.text("achievement_code"),
                credits=typed.text("credits"),
                hours_learned=typed.text("hours_learned"),
                grade=typed.text("grade"),
                recognised_on=parse_date(typed.text("recognised_on"), field="recognised_on"),
            )
            return await issuance.draft_credit_record(actor, school, form)
        work = WorkForm(person=person, author=name, title=typed.text("title"), licence=typed.text("licence"))
        return await issuance.draft_copyright(actor, school, work, file)

    async def _known_as(self, number: PersonNumber, name: str) -> str:
        """Return the name if it is the one the register has for the number.

        Both are asked for and neither is told: a registrar cannot learn names by trying numbers.
        """
        person = await self._deps.register.person(number)
        if str(person.real_name) != name:
            raise PersonUnknown(field="person", rule="name_differs")
        return name

    async def _form(
        self, request: Request, actor: Actor, typed: Typed, errors: Mapping[str, str], status_code: int = 200
    ) -> Response:
        kind, t = _kind_of(request), self._deps.render.translator(request)
        form = FORMS[kind]
        schools = [(c.value, (await self._deps.register.school(c)).name) for c in self._schools(actor)]
        shown: dict[str, Any] = {
            "kind": kind,
            "schools": schools,
            "errors": errors,
            "typed": {name: typed.text(name) for name in ("school", "licence", *(one.name for one in form.inputs))},
            "has_file": form.file is not None,
            "file_most": form.file_most,
            "accept": form.file if form.file != "*/*" else None,
            "columns": form.columns,
            "inputs": form.inputs,
            "choices": [_licences(t)] if form.licences else [],
        }
        return self._deps.render(request, "credentials/batch_upload.html", shown, status_code)


def _kind_of(request: Request) -> str:
    """Return the kind the address names. Raises 404 for anything that is no kind."""
    kind = str(request.path_params["kind"])
    if kind not in FORMS:
        raise HTTPException(status_code=404)
    return kind


def _missing(kind: str, typed: Typed, t: Translator) -> dict[str, str]:
    """Return the fields that must be filled and are not, by field."""
    form = FORMS[kind]
    errors: dict[str, str] = {}
    if form.file is not None and typed.file_too_large:
        errors["file"] = t("batch.file_too_large", most=form.file_bytes // _MIB)
    elif form.file is not None and typed.file is None:
        errors["file"] = t("batch.file_missing")
    for one in form.inputs:
        if one.required and not typed.text(one.name):
            errors[one.name] = t("batch.input_missing", field=t(one.label))
    if form.licences and typed.text("licence") not in LICENCES:
        errors["licence"] = t("batch.licence_missing")
    return errors


def _field_of(kind: str, refused: TrustError) -> str:
    """Return the form's field a refusal is about; the first one where it names none of the form's."""
    form = FORMS[kind]
    names = [one.name for one in form.inputs] + (["file"] if form.file is not None else []) + ["licence", "school"]
    field = _FIELD_OF.get(refused.field or "", refused.field or "")
    return field if field in names else names[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few: message codes of the legend and the hint, and (value, words, hint) triples."""

    name: str
    legend: str
    hint: str | None
    options: list[tuple[str, str, str]]


def _licences(t: Translator) -> Choice:
    options = [(name, t(f"batch.licence_{name}"), t(f"batch.licence_about_{name}")) for name in _LICENCE_ORDER]
    return Choice("licence", "batch.input_licence", "batch.input_licence_hint", options)


def routes(deps: BatchDeps) -> list[Route]:
    """Return the pages that start a batch; they come before those of `batch_pages`."""
    pages = _BatchForms(deps)
    one = NEW_PATH + "/{kind}"
    return [
        Route(NEW_PATH, for_signed_in(pages.kinds), methods=["GET"]),
        Route(one, for_signed_in(pages.form), methods=["GET"]),
        Route(one, for_signed_in(pages.submitted, back=NEW_PATH + "/{kind}"), methods=["POST"]),
        Route(one + "/template.csv", for_signed_in(pages.template), methods=["GET"]),
    ]
