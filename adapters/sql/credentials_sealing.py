"""How rows of the credentials schema are sealed and opened; each sealed value is bound to its table, column and row."""

from __future__ import annotations

import json
from typing import Any

from adapters.sql.database import Row
from credentials.drafting import draft_value
from credentials.model import (
    Batch,
    BatchState,
    Draft,
    HolderFacts,
    Issued,
    Item,
    ItemState,
    Share,
    UniqueKey,
)
from credentials.status import Status
from credentials.store import DraftedItem, NewItem
from crypto.encoding import b64u_decode, b64u_encode
from crypto.sealed import BlindIndex, ColumnSealer
from idp.registry.id_number import parse_id_number
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode


class CredentialSealer:
    """Seals and opens the columns of `item`, `share` and `status_change`, and makes the blind indexes."""

    def __init__(self, sealer: ColumnSealer, index: BlindIndex) -> None:
        self._sealer = sealer
        self._index = index

    def seal(self, table: str, column: str, row_id: str, plain: bytes) -> bytes:
        """Seal one value for one row and column."""
        return self._sealer.seal(plain, aad=_aad(table, column, row_id))

    def open(self, table: str, column: str, row_id: str, sealed: bytes) -> bytes:
        """Open one value. Raises `DecryptionFailed`."""
        return self._sealer.open(bytes(sealed), aad=_aad(table, column, row_id))

    def open_optional(self, column: str, row: Row) -> bytes | None:
        """Open a column of a row of `item`, or return None where it is absent."""
        return None if row[column] is None else self.open("item", column, row["id"], row[column])

    def key_index(self, key: UniqueKey) -> bytes:
        """Return the blind index of something only one record may claim."""
        return self._index.index(f"credentials.key.{key.domain}", key.value)

    def code_index(self, code: str) -> bytes:
        """Return the blind index of a verification code, in whatever grouping it is written."""
        return self._index.index("credentials.share.code", code.replace("-", ""))

    # Drafts

    def seal_draft(self, item_id: str, draft: Draft, salt: bytes | None) -> bytes:
        """Seal a draft. Without a salt it is a planned one: its ID number is left out too."""
        value = draft_value(draft)
        if salt is None:
            value["holder"]["id_number"] = None
        text = json.dumps({"draft": value, "salt": None if salt is None else b64u_encode(salt)}, ensure_ascii=False)
        return self.seal("item", "sealed", item_id, text.encode())

    def seal_new(self, item: NewItem) -> bytes:
        """Seal a new item's draft with its salt."""
        return self.seal_draft(item.id, item.draft, item.salt)

    def drafted(self, row: Row) -> DraftedItem:
        """Read a row of `item` joined with its place in a status list."""
        content = json.loads(self.open("item", "sealed", row["id"], row["sealed"]))
        opening = self.open_optional("opening_sealed", row)
        presentation = self.open_optional("presentation_sealed", row)
        item = Item(
            id=row["id"],
            batch=row["batch"],
            position=row["position"],
            state=ItemState(row["state"]),
            draft=_draft(content["draft"]),
            person=None if row["person"] is None else PersonNumber(row["person"]),
            status_list=row["list"],
            status_index=row["place"],
            opening=opening,
            issued_at=row["issued_at"],
            presentation=None if presentation is None else presentation.decode(),
            leaf_index=row["leaf_index"],
        )
        return DraftedItem(
            item, None if content["salt"] is None else b64u_decode(content["salt"]), bytes(row["digest"])
        )

    def number(self, item_id: str, sealed: bytes) -> str:
        """Return the number of a record from its sealed draft."""
        return str(json.loads(self.open("item", "sealed", item_id, sealed))["draft"]["number"])

    def issued(self, row: Row) -> Issued:
        """Read a row of `item` joined with its batch's kind and its status."""
        item_id = row["id"]
        return Issued(
            id=item_id,
            batch=row["batch"],
            kind=row["kind"],
            school=SchoolCode(row["school"]),
            person=PersonNumber(row["person"]),
            number=self.number(item_id, row["sealed"]),
            presentation=self.open("item", "presentation_sealed", item_id, row["presentation_sealed"]).decode(),
            opening=self.open("item", "opening_sealed", item_id, row["opening_sealed"]),
            status_list=row["list"],
            status_index=row["place"],
            status=Status(row["value"]),
            issued_at=row["issued_at"],
            leaf_index=row["leaf_index"],
        )

    # Shares

    def seal_share(self, share: Share, presentation: str) -> bytes:
        """Seal a share's code, its fields and the presentation made for it."""
        text = json.dumps({"code": share.code, "fields": list(share.fields), "presentation": presentation})
        return self.seal("share", "sealed", share.id, text.encode())

    def share(self, row: Row) -> tuple[Share, str]:
        """Read a row of `share`; return it with its presentation."""
        content = json.loads(self.open("share", "sealed", row["id"], row["sealed"]))
        share = Share(
            id=row["id"],
            credential=row["credential"],
            person=PersonNumber(row["person"]),
            code=content["code"],
            fields=tuple(content["fields"]),
            created_at=row["created_at"],
            valid_until=row["valid_until"],
            view_limit=row["view_limit"],
            views=row["views"],
            revoked_at=row["revoked_at"],
        )
        return share, content["presentation"]


def batch_of(row: Row) -> Batch:
    """Read a row of `batch`."""
    return Batch(
        id=row["id"],
        school=SchoolCode(row["school"]),
        kind=row["kind"],
        state=BatchState(row["state"]),
        drafter=PersonNumber(row["drafter"]),
        approver=None if row["approver"] is None else PersonNumber(row["approver"]),
        approval=row["approval"],
        digest=bytes(row["digest"]),
        total=row["total"],
        refused=row["refused"],
        created_at=row["created_at"],
        submitted_at=row["submitted_at"],
        approved_at=row["approved_at"],
        anchor_requested_at=row["anchor_requested_at"],
        done_at=row["done_at"],
    )


def _draft(value: dict[str, Any]) -> Draft:
    holder = value["holder"]
    facts = HolderFacts(
        None if holder["id_number"] is None else parse_id_number(holder["id_number"]),
        holder["name"],
        holder["student_number"],
        holder["since"],
        None if holder["person"] is None else PersonNumber(holder["person"]),
    )
    return Draft(value["line"], value["number"], facts, value["claims"], (), ())


def _aad(table: str, column: str, row_id: str) -> bytes:
    return f"credentials/{table}/{column}/{row_id}".encode()
