"""The one path by which a record of any kind comes into being, and the only place that moves it along.

Draft by a registrar → submitted → approved by a different person, who signs the digest of every record with SM2 → the
intent is stored (holder, status index, salt) → the school's key signs → the log takes the commitment → one anchor for the
batch → done. Each step is stored before the next begins and is taken at most once, so a crash anywhere, a retry or a
second worker finds the work where it stands and makes no record twice. Pages call the first half, the worker the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from credentials import diploma
from credentials.copyright.registration import WorkForm, draft_registration
from credentials.creditbank.record import NUMBER_RANDOM_SIGNS, CreditForm, draft_credit_record
from credentials.drafting import approval_claims, batch_digest, conflict_note, new_item
from credentials.errors import AlreadyRegistered, BatchAltered, BatchStateRefused, RecordRefused
from credentials.issuing import Issuing
from credentials.model import Batch, BatchState, Draft, Preview, PreviewItem, Progress, RowNote
from credentials.ports import AuditPort, Clock, IssuerKeys, People, RandomBytes
from credentials.store import MAX_PAGE, CredentialStore
from crypto.canonical import jcs
from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.jws import sign_jws
from crypto.suites import Purpose, policy
from idp.authority.decide import require, require_other_person, signed_in
from idp.authority.errors import NotAuthorised
from idp.authority.model import Actor, Duty
from idp.registry.errors import SchoolCodeRefused, SchoolRefused, SchoolUnknown
from idp.registry.model import School
from idp.registry.school_code import SchoolCode, parse_listed
from idp.registry.text_file import decode_upload, read_table
from ledger.audit import AuditEvent

ID_BYTES: Final = 16
SALT_BYTES: Final = 16
MAX_FOREIGN_CODES: Final = 100  # school codes of one file looked up; a registrar's file holds one, a wrong file a few
BATCHES_SHOWN: Final = 50


def day_of(now: int) -> date:
    """Return the day at Beijing, where the term dates are meant: UTC+8 the year round."""
    return datetime.fromtimestamp(now + 8 * 3600, UTC).date()


class Issuance:
    """Drafting, submitting, approving, and driving what was approved to its end."""

    def __init__(
        self,
        *,
        store: CredentialStore,
        keys: IssuerKeys,
        people: People,
        audit: AuditPort,
        issuing: Issuing,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._people = people
        self._audit = audit
        self._issuing = issuing
        self._clock = clock
        self._random = random_bytes

    # Drafting

    async def draft_diplomas(self, actor: Actor | None, school: SchoolCode, data: bytes) -> Preview:
        """Draft a batch from an uploaded file of graduates. Raises `FileRefused`, `authority` refusals."""
        require(actor, Duty.REGISTRAR, school=school)
        own = await self._open_school(school)
        text = decode_upload(data).text
        columns = {"required": diploma.REQUIRED_COLUMNS, "optional": diploma.OPTIONAL_COLUMNS}
        registered = await self._registered(diploma.school_codes(read_table(text, **columns).rows))
        parsed = diploma.parse_rows(
            read_table(text, **columns).rows,
            school=own,
            registered=registered.__contains__,
            today=day_of(self._clock()),
        )
        return await self._draft(actor, school, diploma.KIND.name, parsed.drafts, parsed.refusals, parsed.warnings)

    async def draft_credit_record(self, actor: Actor | None, school: SchoolCode, form: CreditForm) -> Preview:
        """Draft a batch of one credit record. Raises `RecordRefused` where it breaks a rule or was recognised before."""
        require(actor, Duty.REGISTRAR, school=school)
        own = await self._open_school(school)
        await self._people.person(form.person)
        draft = draft_credit_record(
            form, school=own, today=day_of(self._clock()), random=self._random(NUMBER_RANDOM_SIGNS)
        )
        return await self._draft_one(actor, school, "credit_record", draft)

    async def draft_copyright(self, actor: Actor | None, school: SchoolCode, form: WorkForm, file: bytes) -> Preview:
        """Draft a batch of one registration. Raises `RecordRefused`, `AlreadyRegistered` naming the earlier number."""
        require(actor, Duty.REGISTRAR, school=school)
        own = await self._open_school(school)
        await self._people.person(form.person)
        draft = draft_registration(
            form, file, school=own, today=day_of(self._clock()), random=self._random(NUMBER_RANDOM_SIGNS)
        )
        return await self._draft_one(actor, school, "copyright_registration", draft)

    async def _draft_one(self, actor: Actor | None, school: SchoolCode, kind: str, draft: Draft) -> Preview:
        for place, key in enumerate(draft.unique):
            earlier = await self._store.number_of_key(key)
            if earlier is not None:
                raise _refusal(conflict_note(draft, place, earlier))
        preview = await self._draft(actor, school, kind, [draft], [], [])
        if preview.refusals:  # claimed by another between the look and the write: the empty draft is of no use
            await self._store.reject_batch(preview.batch.id, approver=preview.batch.drafter, now=self._clock())
            raise _refusal(preview.refusals[0])
        return preview

    async def _draft(
        self,
        actor: Actor | None,
        school: SchoolCode,
        kind: str,
        drafts: Sequence[Draft],
        refusals: Sequence[RowNote],
        warnings: Sequence[RowNote],
    ) -> Preview:
        drafter = signed_in(actor)
        batch = Batch(
            self._new_id(), school, kind, BatchState.DRAFT, drafter.person, None, None, b"",
            len(drafts), len(refusals), self._clock(), None, None, None, None,
        )  # fmt: skip
        items = [new_item(self._new_id(), draft, self._random(SALT_BYTES)) for draft in drafts]
        stored = await self._store.create_batch(
            batch, items, refusals=refusals, warnings=warnings, conflict_note=conflict_note
        )
        await self._note(drafter, "credentials.batch.drafted", stored)
        return await self.preview(actor, stored.id)

    async def _open_school(self, code: SchoolCode) -> School:
        school = await self._people.school(code)
        if not school.is_open:
            raise SchoolRefused(field="school", rule="closed")
        return school

    async def _registered(self, codes: frozenset[str]) -> frozenset[SchoolCode]:
        known: set[SchoolCode] = set()
        for text in sorted(codes)[:MAX_FOREIGN_CODES]:
            try:
                known.add((await self._people.school(parse_listed(text))).code)
            except (SchoolUnknown, SchoolCodeRefused):
                continue
        return frozenset(known)

    # Reviewing

    async def batches(self, actor: Actor | None, school: SchoolCode) -> tuple[Batch, ...]:
        """Return the newest batches of a school to one of its officers."""
        _require_any(actor, school)
        return await self._store.batches_of(school, limit=BATCHES_SHOWN)

    async def preview(self, actor: Actor | None, batch_id: str) -> Preview:
        """Return a batch with its rows to one of the school's officers. Raises `BatchUnknown`."""
        batch = await self._store.batch(batch_id)
        _require_any(actor, batch.school)
        items: list[PreviewItem] = []
        after = -1
        while page := await self._store.items(batch_id, after=after, limit=MAX_PAGE, state=None):
            items += [
                PreviewItem(one.item.id, one.item.position, one.item.draft.number, one.item.draft.claims)
                for one in page
            ]
            after = page[-1].item.position
        refusals, warnings = await self._store.notes(batch_id)
        return Preview(batch, tuple(items), refusals, warnings)

    async def submit(self, actor: Actor | None, batch_id: str) -> Batch:
        """Hand a draft over for approval. Raises `RecordRefused` for a batch without a good row, `BatchStateRefused`."""
        batch = await self._store.batch(batch_id)
        require(actor, Duty.REGISTRAR, school=batch.school)
        if batch.total == 0:
            raise RecordRefused(field="file", rule="no_good_row")
        digest = batch_digest(batch, await self._store.item_digests(batch_id))
        submitted = await self._store.submit_batch(batch_id, digest=digest, now=self._clock())
        await self._note(signed_in(actor), "credentials.batch.submitted", submitted)
        return submitted

    async def approve(self, actor: Actor | None, batch_id: str) -> Batch:
        """Approve a submitted batch: sign its digest. Raises `TwoPersonRule`, `BatchAltered`, `BatchStateRefused`."""
        batch = await self._store.batch(batch_id)
        require(actor, Duty.APPROVER, school=batch.school)
        officer = require_other_person(batch.drafter, signed_in(actor))
        if batch.state is not BatchState.SUBMITTED:
            raise BatchStateRefused(field="state", rule=batch.state.value)
        if batch.digest != batch_digest(batch, await self._store.item_digests(batch_id)):
            raise BatchAltered(field="digest", rule="digest")
        now = self._clock()
        claims = approval_claims(batch, officer=officer.person.value, at=now)
        key = await self._keys.approval_key(officer.person)
        approval = sign_jws(jcs(claims), key=key, policy=policy(Purpose.APPROVAL))
        # The trail has the approval before anything can come of it.
        await self._note(officer, "credentials.batch.approved", batch)
        return await self._store.approve_batch(batch_id, approver=officer.person, approval=approval, now=now)

    async def reject(self, actor: Actor | None, batch_id: str) -> Batch:
        """Send a batch back for good: its numbers are free again. Raises `BatchStateRefused`."""
        batch = await self._store.batch(batch_id)
        require(actor, Duty.APPROVER, school=batch.school)
        officer = signed_in(actor)
        rejected = await self._store.reject_batch(batch_id, approver=officer.person, now=self._clock())
        await self._note(officer, "credentials.batch.rejected", rejected)
        return rejected

    async def progress(self, actor: Actor | None, batch_id: str) -> Progress:
        """Return how far a batch has come, to one of the school's officers."""
        batch = await self._store.batch(batch_id)
        _require_any(actor, batch.school)
        return await self._issuing.progress(batch)

    # Issuing

    async def advance(self, batch_id: str) -> Progress:
        """Take one bounded step of an approved batch; what is done already is not done again. For the worker."""
        return await self._issuing.advance(batch_id)

    async def work(self) -> int:
        """Take one step of every unfinished batch; return how many are still unfinished. For the worker.

        A batch that refuses does not keep the others waiting: the first refusal is raised when all have had their step.
        """
        unfinished = 0
        refusal: TrustError | None = None
        for batch_id in await self._store.unfinished_batches():
            try:
                unfinished += (await self._issuing.advance(batch_id)).batch.state is not BatchState.DONE
            except TrustError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        return unfinished

    def _new_id(self) -> str:
        return b64u_encode(self._random(ID_BYTES))

    async def _note(self, actor: Actor, action: str, batch: Batch) -> None:
        details = {"kind": batch.kind, "school": batch.school.value, "total": str(batch.total)}
        await self._audit.record(
            AuditEvent(self._clock(), action, actor.person.value, batch.id, "ok", None, actor.session_ref, details)
        )


def _require_any(actor: Actor | None, school: SchoolCode) -> None:
    """Admit any officer who has to do with the school's records."""
    for duty in (Duty.REGISTRAR, Duty.APPROVER):
        try:
            require(actor, duty, school=school)
        except NotAuthorised:
            continue
        return
    require(actor, Duty.AUDITOR, school=school)


def _refusal(note: RowNote) -> AlreadyRegistered | RecordRefused:
    kind = AlreadyRegistered if note.code == AlreadyRegistered.code else RecordRefused
    return kind(field=note.field, rule=note.rule, **note.params)
