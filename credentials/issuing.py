"""The second half of the path: what was approved is planned, signed, logged and anchored, a bounded step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from credentials.bundle import OPENING_BYTES
from credentials.drafting import batch_digest, item_digest
from credentials.errors import BatchAltered, BatchStateRefused
from credentials.formats import sd_jwt
from credentials.issuers import Accreditation
from credentials.judgement import ENTRY_KIND_ISSUED, entry_commitment
from credentials.kinds import KINDS
from credentials.model import Batch, BatchState, Item, ItemState, Progress
from credentials.ports import AuditPort, Clock, IssuerKeys, Issuers, LedgerPort, People, RandomBytes
from credentials.store import CredentialStore, DraftedItem, Logged, Plan, Signed
from crypto.canonical import jcs
from crypto.encoding import b64u_encode, json_object
from crypto.jws import verify_jws
from crypto.keys import SigningKey
from crypto.sm3 import sm3
from crypto.suites import Purpose, policy
from idp.registry.model import AffiliationKind, EnrolmentRequest, NewAffiliation, ProofingLevel, Source
from idp.registry.names import parse_person_name
from idp.registry.person_number import PersonNumber
from ledger.audit import AuditEvent

STEP_ITEMS: Final = 200  # records of one step: some hundred milliseconds of SM2, so that a page is not kept waiting
STATUS_LIST_SIZE: Final = 1 << 16  # entries; 16 KiB packed, and a batch hides among 65,536 places
DECOYS: Final = 2  # digests of nothing, so that the number of claims a record has stays unknown


class Issuing:
    """Moves approved batches on. Called by the worker, one step at a time, from any number of workers."""

    def __init__(
        self,
        *,
        store: CredentialStore,
        keys: IssuerKeys,
        ledger: LedgerPort,
        people: People,
        audit: AuditPort,
        accreditation: Accreditation,
        issuers: Issuers,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._ledger = ledger
        self._people = people
        self._audit = audit
        self._accreditation = accreditation
        self._issuers = issuers
        self._clock = clock
        self._random = random_bytes

    async def progress(self, batch: Batch) -> Progress:
        """Return how far a batch has come."""
        planned, signed, logged = await self._store.counts(batch.id)
        return Progress(batch, planned, signed, logged, batch.total)

    async def advance(self, batch_id: str) -> Progress:
        """Take the next step of a batch. Raises `BatchAltered` where it is not what was approved, `BatchStateRefused`."""
        batch = await self._store.batch(batch_id)
        if batch.state is BatchState.LOGGED:
            batch = await self._anchor(batch)
        elif batch.state is BatchState.APPROVED:
            # Backwards: what was begun is finished before more is begun, so a step holds few records half-made.
            for state, step in (
                (ItemState.SIGNED, self._log),
                (ItemState.PLANNED, self._sign),
                (ItemState.DRAFTED, self._plan),
            ):
                items = await self._store.items(batch_id, after=-1, limit=STEP_ITEMS, state=state)
                if items:
                    await step(batch, items)
                    break
            batch = await self._store.batch(batch_id)
        elif batch.state is not BatchState.DONE:
            raise BatchStateRefused(field="state", rule=batch.state.value)
        return await self.progress(batch)

    # 1. The intent

    async def _plan(self, batch: Batch, items: Sequence[DraftedItem]) -> None:
        await self._require_approved(batch)
        plans: list[Plan] = []
        for drafted in items:
            item = drafted.item
            if drafted.salt is None or item_digest(item.id, item.draft, drafted.salt) != drafted.digest:
                raise BatchAltered(field="digest", rule="item")
            plans.append(Plan(item.id, await self._holder(batch, item), self._random(OPENING_BYTES)))
        await self._store.plan_items(
            batch.id, plans, list_size=STATUS_LIST_SIZE, new_list_id=self._new_list_id, draw=self._draw
        )

    async def _require_approved(self, batch: Batch) -> None:
        """Hold what is stored to what the approver signed. Raises `BatchAltered`."""
        if batch.approval is None or batch.approver is None or batch.approver == batch.drafter:
            raise BatchAltered(field="approval", rule="missing")
        key = (await self._keys.approval_key(batch.approver)).public
        claims = json_object(verify_jws(batch.approval, keys={key.kid: key}, policy=policy(Purpose.APPROVAL)).payload)
        digest = batch_digest(batch, await self._store.item_digests(batch.id))
        if claims.get("digest") != b64u_encode(digest) or claims.get("batch") != batch.id:
            raise BatchAltered(field="approval", rule="digest")

    async def _holder(self, batch: Batch, item: Item) -> PersonNumber:
        """Return the person the record belongs to, enrolling who is not known yet: the same ID number, the same person."""
        facts = item.draft.holder
        if facts.person is not None:
            return facts.person
        if facts.id_number is None or facts.since is None:
            raise BatchAltered(field="holder", rule="missing")
        known = await self._people.find_by_id_number(facts.id_number)
        if known is not None:
            return known.number
        request = EnrolmentRequest(
            real_name=parse_person_name(facts.name),
            foreign_name=None,
            display_name=None,
            id_number=facts.id_number,
            birth=facts.id_number.birth,
            phone=None,
            affiliation=NewAffiliation(
                batch.school, AffiliationKind.STUDENT, facts.student_number, date.fromisoformat(facts.since)
            ),
            proofing=ProofingLevel.ROSTER,
            source=Source.SCHOOL_ROSTER,
        )
        return (await self._people.enrol_person(request, now=self._clock())).person.number

    def _new_list_id(self) -> str:
        return b64u_encode(self._random(16))

    def _draw(self, below: int) -> int:
        # 64 bits over at most 2^20: the bias is below 2^-44.
        return int.from_bytes(self._random(8), "big") % below

    # 2. The signature

    async def _sign(self, batch: Batch, items: Sequence[DraftedItem]) -> None:
        # Accredited before anything is signed: a statement made later would not cover what was anchored before it.
        await self._accreditation.chain(await self._people.school(batch.school))
        key = await self._keys.credential_key(self._issuers.issuer_id(batch.school))
        now = self._clock()
        signed: list[Signed] = []
        for drafted in items:
            item = drafted.item
            if item.person is None:
                raise BatchAltered(field="holder", rule="missing")
            holder = await self._keys.holder_key(item.person)
            signed.append(Signed(item.id, self._presentation(batch, item, key, holder, now), now))
        await self._store.sign_items(batch.id, signed)

    def _presentation(self, batch: Batch, item: Item, key: SigningKey, holder: SigningKey, now: int) -> str:
        kind = KINDS[batch.kind]
        if item.status_list is None or item.status_index is None:
            raise BatchAltered(field="status", rule="missing")
        jwk = {name: holder.public.jwk[name] for name in ("kty", "crv", "x", "y")}
        claims = {
            "iss": self._issuers.issuer_id(batch.school),
            "iat": now,
            "nbf": now,
            "vct": kind.vct,
            "cnf": {"jwk": jwk},
            "status": {"status_list": {"idx": item.status_index, "uri": self._issuers.status_uri(item.status_list)}},
            **kind.conceal(item.draft.claims),
        }
        credential = sd_jwt.issue(
            claims,
            key=key,
            policy=policy(Purpose.CREDENTIAL),
            hash_name="sm3",
            random_bytes=self._random,
            decoys=DECOYS,
            header={},
        )
        return str(credential)

    # 3. The log

    async def _log(self, batch: Batch, items: Sequence[DraftedItem]) -> None:
        entries = [self._entry(batch, drafted.item) for drafted in items]
        indices = await self._ledger.append(entries)
        logged = [
            Logged(drafted.item.id, index, _credits(drafted.item))
            for drafted, index in zip(items, indices, strict=True)
        ]
        await self._store.log_items(batch.id, logged)

    def _entry(self, batch: Batch, item: Item) -> tuple[bytes, bytes]:
        if item.opening is None or item.presentation is None:
            raise BatchAltered(field="presentation", rule="missing")
        body = {
            "v": 1,
            "kind": ENTRY_KIND_ISSUED,
            "commitment": entry_commitment(item.opening, item.presentation.partition("~")[0]),
            "issuer": self._issuers.issuer_id(batch.school),
            "batch": batch.id,
        }
        return jcs(body), sm3(b"credential.issued\n" + item.id.encode("ascii"))

    # 4. The anchor

    async def _anchor(self, batch: Batch) -> Batch:
        now = self._clock()
        if batch.anchor_requested_at is None:
            # Asked first, noted after: a crash in between asks twice for the same checkpoint, which is anchored once.
            await self._ledger.request_anchor()
            await self._store.note_anchor_requested(batch.id, now=now)
        if not await self._anchored(batch):
            return await self._store.batch(batch.id)
        done = await self._store.finish_batch(batch.id, now=now)
        details = {"kind": batch.kind, "school": batch.school.value, "total": str(batch.total)}
        await self._audit.record(
            AuditEvent(now, "credentials.batch.issued", "system", batch.id, "ok", None, None, details)
        )
        return done

    async def _anchored(self, batch: Batch) -> bool:
        # Not in the order of the log: pools of two workers interleave, so the highest index is looked for.
        highest = -1
        after = -1
        while page := await self._store.items(batch.id, after=after, limit=STEP_ITEMS, state=ItemState.LOGGED):
            highest = max(highest, *(one.item.leaf_index or 0 for one in page))
            after = page[-1].item.position
        return highest < 0 or bool((await self._ledger.receipt(highest)).anchors)


def _credits(item: Item) -> int | None:
    value = item.draft.claims.get("credits_hundredths")
    return value if isinstance(value, int) else None
