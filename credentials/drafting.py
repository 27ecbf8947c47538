"""From an uploaded file or a form to a draft, and what an approver signs: the digest of every record in the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from credentials.copyright.registration import DIGEST_DOMAIN
from credentials.errors import AlreadyRegistered, RecordRefused
from credentials.model import Batch, Draft, RowNote
from credentials.store import NewItem
from crypto.canonical import jcs
from crypto.encoding import b64u_encode
from crypto.sm3 import sm3


def draft_value(draft: Draft) -> dict[str, Any]:
    """Return a draft as the JSON value its digest is made of."""
    holder = draft.holder
    return {
        "line": draft.line,
        "number": draft.number,
        "claims": dict(draft.claims),
        "holder": {
            "id_number": None if holder.id_number is None else holder.id_number.value,
            "name": holder.name,
            "student_number": holder.student_number,
            "since": holder.since,
            "person": None if holder.person is None else holder.person.value,
        },
    }


def item_digest(item_id: str, draft: Draft, salt: bytes) -> bytes:
    """Return the salted SM3 digest of one record as drafted."""
    return sm3(jcs({"id": item_id, "salt": b64u_encode(salt), "draft": draft_value(draft)}))


def new_item(item_id: str, draft: Draft, salt: bytes) -> NewItem:
    """Return a draft ready to be stored."""
    return NewItem(item_id, draft, salt, item_digest(item_id, draft, salt))


def batch_digest(batch: Batch, digests: Sequence[bytes]) -> bytes:
    """Return what stands for the whole batch: its identity and the digest of every record, in order."""
    head = {"batch": batch.id, "school": batch.school.value, "kind": batch.kind, "count": len(digests)}
    return sm3(jcs(head) + b"".join(digests))


def approval_claims(batch: Batch, *, officer: str, at: int) -> Mapping[str, Any]:
    """Return what an approver signs of a batch."""
    return {
        "act": "approve",
        "batch": batch.id,
        "kind": batch.kind,
        "school": batch.school.value,
        "count": batch.total,
        "digest": b64u_encode(batch.digest),
        "officer": officer,
        "iat": at,
    }


def conflict_note(draft: Draft, place: int, earlier: str) -> RowNote:
    """Return the note of a record whose number, or whose work, is taken. Only a registration's number is public."""
    field = draft.unique_fields[place]
    if draft.unique[place].domain == DIGEST_DOMAIN:
        return RowNote(draft.line, field, AlreadyRegistered.code, "prior_registration", {"number": earlier})
    return RowNote(draft.line, field, RecordRefused.code, "duplicate_in_store", {})
