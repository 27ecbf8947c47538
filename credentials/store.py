"""The contract of this package's store.

Every method is one transaction: it happens whole or not at all, and what it returns is committed and durable. Two calls
at once end as if one had come after the other. A step already taken is never taken twice: verbs that move a record on
say what state they start from, and change nothing where it is in another. Sealed at rest: drafts, presentations,
openings, verification codes; looked up by blind index: certificate numbers and codes. Adapters are held to this text by one
conformance suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from credentials.model import (
    Batch,
    BatchState,
    CreditEntry,
    Draft,
    Issued,
    Item,
    ItemState,
    LookUp,
    RowNote,
    Share,
    StatusChange,
    UniqueKey,
    Viewer,
)
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

MAX_PAGE = 500
"""Records one listing returns at most; the callers page on with `after`."""

ConflictNote = Callable[[Draft, int, str], RowNote]
"""Given a draft, the place of the claimed key in its `unique`, and the earlier record's number: the note of the refusal."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """A draft with its lasting id and the digest its approver signs over; `salt` keeps the digest from being guessed."""

    id: str
    draft: Draft = field(repr=False)
    salt: bytes = field(repr=False)
    digest: bytes


@dataclass(frozen=True, slots=True)
class DraftedItem:
    """A stored draft with what its digest is made of; `salt` is None once the record is planned."""

    item: Item
    salt: bytes | None = field(repr=False)
    digest: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """The intent to issue one record: its holder and the salt of its commitment."""

    item: str
    person: PersonNumber
    opening: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signed:
    """A record as signed."""

    item: str
    presentation: str = field(repr=False)
    issued_at: int


@dataclass(frozen=True, slots=True)
class Logged:
    """A record's place in the log; `credit_hundredths` is posted to its holder's account with it, None for no credits."""

    item: str
    leaf_index: int
    credit_hundredths: int | None


@dataclass(frozen=True, slots=True)
class StatusListState:
    """A status list with its values other than 0. `revision` grows with each change; `token` is of `token_revision`."""

    id: str
    school: SchoolCode
    size: int
    values: Mapping[int, int]
    revision: int
    token: str | None
    token_revision: int | None
    token_issued_at: int | None


@dataclass(frozen=True, slots=True)
class OpenedShare:
    """A share that opened, counted and noted, with the presentation made when the holder shared."""

    share: Share
    presentation: str = field(repr=False)


class CredentialStore(Protocol):
    """Batches, credentials, status lists, shares, statements and credit entries."""

    # Batches

    async def create_batch(
        self,
        batch: Batch,
        items: Sequence[NewItem],
        *,
        refusals: Sequence[RowNote],
        warnings: Sequence[RowNote],
        conflict_note: ConflictNote,
    ) -> Batch:
        """Store a draft batch with the items whose unique keys are all free, and claim those keys.

        An item with a claimed key is left out and its `conflict_note` joins the refusals. `total` and `refused` of what is
        returned are counted here.
        """
        ...

    async def batch(self, batch_id: str) -> Batch:
        """Return the batch. Raises `BatchUnknown`."""
        ...

    async def batches_of(self, school: SchoolCode, *, limit: int) -> tuple[Batch, ...]:
        """Return the newest batches of a school, newest first."""
        ...

    async def unfinished_batches(self) -> tuple[str, ...]:
        """Return the ids of batches approved or logged and not done, oldest first."""
        ...

    async def notes(self, batch_id: str) -> tuple[tuple[RowNote, ...], tuple[RowNote, ...]]:
        """Return the refusals and the warnings of a batch, each in the order of lines."""
        ...

    async def items(self, batch_id: str, *, after: int, limit: int, state: ItemState | None) -> tuple[DraftedItem, ...]:
        """Return items by position past `after` (−1 for the first), of one state or of any."""
        ...

    async def item_digests(self, batch_id: str) -> tuple[bytes, ...]:
        """Return the digests of all items by position."""
        ...

    async def submit_batch(self, batch_id: str, *, digest: bytes, now: int) -> Batch:
        """Move DRAFT → SUBMITTED with the digest. Raises `BatchUnknown`, `BatchStateRefused`."""
        ...

    async def approve_batch(self, batch_id: str, *, approver: PersonNumber, approval: str, now: int) -> Batch:
        """Move SUBMITTED → APPROVED. Raises `BatchUnknown`, `BatchStateRefused`."""
        ...

    async def reject_batch(self, batch_id: str, *, approver: PersonNumber, now: int) -> Batch:
        """Move DRAFT or SUBMITTED → REJECTED; the keys its items claimed are free again, their drafts destroyed."""
        ...

    async def counts(self, batch_id: str) -> tuple[int, int, int]:
        """Return how many items have been planned, signed and logged; a later step counts for the earlier ones."""
        ...

    async def plan_items(
        self,
        batch_id: str,
        plans: Sequence[Plan],
        *,
        list_size: int,
        new_list_id: Callable[[], str],
        draw: Callable[[int], int],
    ) -> int:
        """Move DRAFTED → PLANNED for those still drafted; each gets an unused, drawn place in a list of the batch's school.

        `draw(n)` gives a uniform number below n. A list more than half full is left for a new one of `list_size`. The ID
        number and the salt in the draft are destroyed. Returns how many were planned.
        """
        ...

    async def sign_items(self, batch_id: str, signed: Sequence[Signed]) -> int:
        """Move PLANNED → SIGNED for those still planned; the first signature stored stays. Returns how many."""
        ...

    async def log_items(self, batch_id: str, logged: Sequence[Logged]) -> Batch:
        """Move SIGNED → LOGGED for those still signed, with their credit entries; with the last one the batch is LOGGED too."""
        ...

    async def note_anchor_requested(self, batch_id: str, *, now: int) -> None:
        """Note the first request for an anchor."""
        ...

    async def finish_batch(self, batch_id: str, *, now: int) -> Batch:
        """Move LOGGED → DONE; a batch that is done stays as it is. Raises `BatchUnknown`, `BatchStateRefused`."""
        ...

    # Credentials

    async def credential(self, credential_id: str) -> Issued:
        """Return a logged credential. Raises `CredentialUnknown`."""
        ...

    async def credentials_of_person(self, person: PersonNumber) -> tuple[Issued, ...]:
        """Return the person's logged credentials, newest first, at most `MAX_PAGE`."""
        ...

    async def credentials_of_school(self, school: SchoolCode, *, after: str | None, limit: int) -> tuple[Issued, ...]:
        """Return a school's logged credentials by id past `after`."""
        ...

    async def number_of_key(self, key: UniqueKey) -> str | None:
        """Return the number of the record that claims a key, or None."""
        ...

    # Status

    async def change_status(self, change: StatusChange) -> bool:
        """Set the status where it is still `change.before`, and keep the change; its credit entry follows.

        Returns False, changing nothing, where the status is another by now. Raises `CredentialUnknown`.
        """
        ...

    async def unlogged_changes(self) -> tuple[StatusChange, ...]:
        """Return changes that have no place in the log yet, oldest first, at most `MAX_PAGE`."""
        ...

    async def log_change(self, change_id: str, *, leaf_index: int) -> None:
        """Note a change's place in the log; the first one stays."""
        ...

    async def changes_of(self, credential_id: str) -> tuple[StatusChange, ...]:
        """Return a credential's changes of status, oldest first."""
        ...

    async def status_list(self, list_id: str) -> StatusListState:
        """Return a status list. Raises `CredentialUnknown`."""
        ...

    async def keep_status_token(self, list_id: str, *, token: str, revision: int, issued_at: int) -> bool:
        """Keep a token unless one of a later revision, or of the same and a later time, is kept. Returns whether."""
        ...

    # Shares

    async def create_share(self, share: Share, *, presentation: str) -> None:
        """Keep a share; its code is kept sealed and as a blind index only."""
        ...

    async def shares_of(self, person: PersonNumber) -> tuple[Share, ...]:
        """Return the person's shares, newest first, at most `MAX_PAGE`."""
        ...

    async def share(self, share_id: str) -> Share:
        """Return a share. Raises `ShareUnknown`."""
        ...

    async def revoke_share(self, share_id: str, *, now: int) -> Share:
        """End a share; one ended before keeps its time. Raises `ShareUnknown`."""
        ...

    async def open_share(self, code: str, *, now: int, viewer: Viewer) -> OpenedShare:
        """Count and note one look and return the share, or refuse: `ShareUnknown`, `ShareEnded`. Never one look too many."""
        ...

    async def look_ups(self, share_id: str) -> tuple[LookUp, ...]:
        """Return who looked, newest first, at most `MAX_PAGE`."""
        ...

    # Accreditation and credits

    async def keep_statement(self, accreditor: str, subject: str, token: str, *, issued_at: int) -> None:
        """Keep a statement as the newest of its accreditor about its subject, unless a newer one is kept."""
        ...

    async def statement(self, accreditor: str, subject: str) -> str | None:
        """Return the newest statement, or None."""
        ...

    async def credit_entries(self, person: PersonNumber) -> tuple[CreditEntry, ...]:
        """Return a learner's entries, oldest first."""
        ...


UNFINISHED = frozenset({BatchState.APPROVED, BatchState.LOGGED})
