"""The copyright registration: a work known by the SM3 digest of its file, its author and its licence, as a kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from credentials.creditbank.record import record_number
from credentials.errors import RecordRefused
from credentials.kind import Kind, plain_text
from credentials.model import Draft, HolderFacts, UniqueKey
from crypto.sm3 import sm3
from idp.registry.model import School
from idp.registry.person_number import PersonNumber

KIND: Final = Kind(
    name="copyright_registration",
    vct="urn:edutrust:vct:copyright-registration:1",
    # A registration is made to be shown: which work and which licence is never kept back.
    always=frozenset({"number", "title", "file_sm3", "licence", "registered_on"}),
    selectable=("author", "school_name", "file_size"),
    required=frozenset({"number", "title", "file_sm3", "file_size", "licence", "registered_on", "author"}),
)

DIGEST_DOMAIN: Final = "copyright_registration.file_sm3"
MAX_FILE_BYTES: Final = 64 << 20  # a recorded lesson goes elsewhere; slides and documents stay well below
# What an author may grant; All rights reserved is a choice like any other.
LICENCES: Final = frozenset(
    {"all-rights-reserved", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC0-1.0"}
)


@dataclass(frozen=True, slots=True)
class WorkForm:
    """What a registrar enters: texts as typed, the author by person number."""

    person: PersonNumber
    author: str
    title: str
    licence: str


def draft_registration(form: WorkForm, file: bytes, *, school: School, today: date, random: bytes) -> Draft:
    """Make a draft; the file itself is not kept. Raises `RecordRefused`: file_empty, file_too_large, licence_unknown."""
    if not file:
        raise RecordRefused(field="file", rule="file_empty")
    if len(file) > MAX_FILE_BYTES:
        raise RecordRefused(field="file", rule="file_too_large", most=MAX_FILE_BYTES >> 20)
    if form.licence not in LICENCES:
        raise RecordRefused(field="licence", rule="licence_unknown")
    digest = sm3(file).hex()
    number = record_number("ZP", school, today.year, random)
    claims: dict[str, str | int] = {
        "number": number,
        "title": plain_text(form.title, field="title"),
        "author": form.author,
        "school_name": school.name,
        "file_sm3": digest,
        "file_size": len(file),
        "licence": form.licence,
        "registered_on": today.isoformat(),
    }
    return Draft(
        1,
        number,
        HolderFacts(None, form.author, None, None, form.person),
        claims,
        (UniqueKey("copyright_registration.number", number), UniqueKey(DIGEST_DOMAIN, digest)),
        ("number", "file"),
    )
