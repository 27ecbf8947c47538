"""What passes between the services, their pages and the store. All values are parsed; times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from credentials.status import Status
from idp.registry.id_number import IdNumber
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode


class BatchState(StrEnum):
    """Where a batch stands. APPROVED is being issued; LOGGED waits for its anchor; DONE and REJECTED are final."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    LOGGED = "logged"
    DONE = "done"
    REJECTED = "rejected"


class ItemState(StrEnum):
    """How far the issuance of one record has come. Each step is stored before the next begins."""

    DRAFTED = "drafted"
    PLANNED = "planned"
    SIGNED = "signed"
    LOGGED = "logged"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of records of one kind, drafted together and approved together. `digest` is what the approver signs."""

    id: str
    school: SchoolCode
    kind: str
    state: BatchState
    drafter: PersonNumber
    approver: PersonNumber | None
    approval: str | None
    digest: bytes
    total: int
    refused: int
    created_at: int
    submitted_at: int | None
    approved_at: int | None
    anchor_requested_at: int | None
    done_at: int | None


@dataclass(frozen=True, slots=True)
class RowNote:
    """A refused or doubtful row: its line, the column, the code and rule of the refusal. No value of the row in it."""

    line: int
    field: str
    code: str
    rule: str
    params: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class HolderFacts:
    """Who is to hold a record: an ID number to enrol the person by, or the number of a person known already.

    The ID number serves to find or make the person and is destroyed when the record is planned; no record carries it.
    """

    id_number: IdNumber | None = field(repr=False)
    name: str = field(repr=False)
    student_number: str | None = field(repr=False)
    since: str | None
    person: PersonNumber | None


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Something only one record may ever claim: a certificate number, the digest of a work."""

    domain: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """One record to be: what its kind made of a row or a form. `unique` begins with the record's own number."""

    line: int
    number: str
    holder: HolderFacts
    claims: Mapping[str, Any] = field(repr=False)
    unique: tuple[UniqueKey, ...]
    unique_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One record in a batch; `id` is its credential's for good. Later fields are None until their step is stored."""

    id: str
    batch: str
    position: int
    state: ItemState
    draft: Draft = field(repr=False)
    person: PersonNumber | None
    status_list: str | None
    status_index: int | None
    opening: bytes | None = field(repr=False)
    issued_at: int | None
    presentation: str | None = field(repr=False)
    leaf_index: int | None


@dataclass(frozen=True, slots=True)
class PreviewItem:
    """One good row as its registrar and approver see it."""

    id: str
    position: int
    number: str
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Preview:
    """A batch with its good rows, the refused ones and the doubtful ones."""

    batch: Batch
    items: tuple[PreviewItem, ...]
    refusals: tuple[RowNote, ...]
    warnings: tuple[RowNote, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many records of a batch have passed each step."""

    batch: Batch
    planned: int
    signed: int
    logged: int
    total: int

    @property
    def percent(self) -> int:
        """Steps done of all steps, the anchor being the last; 100 only when nothing is left to do."""
        if self.batch.state is BatchState.DONE:
            return 100
        return min(99, (self.planned + self.signed + self.logged) * 100 // max(1, 3 * self.total))


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential as the store keeps it: `presentation` is the SD-JWT with every disclosure."""

    id: str
    batch: str
    kind: str
    school: SchoolCode
    person: PersonNumber
    number: str
    presentation: str = field(repr=False)
    opening: bytes = field(repr=False)
    status_list: str
    status_index: int
    status: Status
    issued_at: int
    leaf_index: int


@dataclass(frozen=True, slots=True)
class HeldCredential:
    """A credential as its holder and its school see it. `claims` are all of them, `selectable` those a share may choose."""

    id: str
    kind: str
    vct: str
    number: str
    issuer: SchoolCode
    issuer_id: str
    issuer_name: str
    holder: PersonNumber
    claims: Mapping[str, Any] = field(repr=False)
    always: frozenset[str]
    selectable: tuple[str, ...]
    issued_at: int
    status: Status
    leaf_index: int


class Act(StrEnum):
    """What may be done to a credential's status."""

    REVOKE = "revoke"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"
    SUPERSEDE = "supersede"


class Reason(StrEnum):
    """Why. Codes, because a free text would put personal data into the log of changes."""

    ISSUED_IN_ERROR = "issued_in_error"
    DATA_CORRECTED = "data_corrected"
    FRAUD_FOUND = "fraud_found"
    DEGREE_WITHDRAWN = "degree_withdrawn"
    UNDER_INVESTIGATION = "under_investigation"
    INVESTIGATION_CLOSED = "investigation_closed"
    REISSUED = "reissued"
    RESOURCE_WITHDRAWN = "resource_withdrawn"
    HOLDER_REQUEST = "holder_request"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One change of a credential's status. `approval` is the officer's signature over it, `successor` the new record."""

    id: str
    credential: str
    act: Act
    before: Status
    after: Status
    reason: Reason
    successor: str | None
    officer: PersonNumber
    at: int
    approval: str
    opening: bytes = field(repr=False)
    leaf_index: int | None


@dataclass(frozen=True, slots=True)
class Share:
    """A holder's permission to see chosen fields of one credential until a time. `code` is opened for the holder only."""

    id: str
    credential: str
    person: PersonNumber
    code: str = field(repr=False)
    fields: tuple[str, ...]
    created_at: int
    valid_until: int
    view_limit: int | None
    views: int
    revoked_at: int | None

    def open_at(self, now: int) -> bool:
        """Whether the code opens anything at `now`."""
        used_up = self.view_limit is not None and self.views >= self.view_limit
        return self.revoked_at is None and now < self.valid_until and not used_up


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the kind of program (browser, api, app) and the truncated network, never a full address."""

    kind: str
    network: str | None


@dataclass(frozen=True, slots=True)
class LookUp:
    """One look at a share, as its holder sees it."""

    at: int
    viewer: str
    network: str | None


@dataclass(frozen=True, slots=True)
class CreditEntry:
    """One credit record in a learner's account; credits in whole hundredths. Reversed when its credential is not valid."""

    credential: str
    person: PersonNumber
    hundredths: int
    posted_at: int
    reversed_at: int | None
