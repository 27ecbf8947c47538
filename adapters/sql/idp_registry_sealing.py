"""How a person's row is sealed and opened.

Each sealed column is bound to its table, column and row by the associated data, so a ciphertext moved to another row or
column does not open. The blind index has a domain of its own, so it matches no other index of the same value.
"""

from __future__ import annotations

from datetime import date

from adapters.sql.database import Row
from crypto.sealed import BlindIndex, ColumnSealer
from idp.registry.id_number import IdNumber, parse_id_number
from idp.registry.model import (
    AccountStatus,
    Affiliation,
    AffiliationKind,
    Conflict,
    Person,
    ProofingLevel,
    Provenance,
    SealedPerson,
    Source,
)
from idp.registry.names import PersonName
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

ID_NUMBER_DOMAIN = "person.id_number"

# The columns of `sealed_person`, of a `person p`. Each has a name of its own beside those of any other table.
SEALED_PERSON = (
    "p.number AS person_number, p.status AS person_status, p.display_name, p.real_name, p.given_name, p.family_name,"
    " p.locale, p.zoneinfo, p.updated_at AS person_updated_at"
)


class PersonSealer:
    """Seals and opens the columns of `person` and `registry_conflict`."""

    def __init__(self, sealer: ColumnSealer, index: BlindIndex) -> None:
        self._sealer = sealer
        self._index = index

    def seal(self, row_id: str, column: str, text: str, *, table: str = "person") -> bytes:
        """Seal one value for one row and column."""
        return self._sealer.seal(text.encode(), aad=_aad(table, column, row_id))

    def seal_optional(self, row_id: str, column: str, text: str | None) -> bytes | None:
        """Seal a value that may be absent; absence itself is not hidden."""
        return None if text is None else self.seal(row_id, column, text)

    def open(self, row_id: str, column: str, sealed: bytes, *, table: str = "person") -> str:
        """Open one value. Raises `DecryptionFailed`."""
        return self._sealer.open(bytes(sealed), aad=_aad(table, column, row_id)).decode()

    def open_optional(self, row: Row, column: str) -> str | None:
        """Open a column of a row of `person`, or return None where it is absent."""
        return None if row[column] is None else self.open(row["number"], column, row[column])

    def id_index(self, id_number: IdNumber) -> bytes:
        """Return the blind index by which an ID number is found."""
        return self._index.index(ID_NUMBER_DOMAIN, id_number.value)

    def id_number(self, row: Row) -> IdNumber | None:
        """Open the ID number of a row of `person`."""
        text = self.open_optional(row, "id_number")
        return None if text is None else parse_id_number(text)

    def person(self, row: Row) -> Person:
        """Read a row of `person`, opening what `Person` carries."""
        birth = self.open_optional(row, "birth")
        foreign_name = self.open_optional(row, "foreign_name")
        given_name = self.open_optional(row, "given_name")
        family_name = self.open_optional(row, "family_name")
        return Person(
            number=PersonNumber(row["number"]),
            display_name=row["display_name"],
            real_name=PersonName(self.open_optional(row, "real_name") or ""),
            foreign_name=None if foreign_name is None else PersonName(foreign_name),
            given_name=None if given_name is None else PersonName(given_name),
            family_name=None if family_name is None else PersonName(family_name),
            birth=None if birth is None else date.fromisoformat(birth),
            locale=row["locale"],
            zoneinfo=row["zoneinfo"],
            has_id_number=row["id_index"] is not None,
            has_phone=row["phone"] is not None,
            proofing=ProofingLevel(row["proofing"]),
            status=AccountStatus(row["status"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            provenance=provenance_of(row),
            region=row["region"],
            shard=row["shard"],
        )

    def conflict(self, row: Row, person: Row) -> Conflict:
        """Read a row of `registry_conflict` beside the row of the person it is about."""
        return Conflict(
            id=row["id"],
            person=PersonNumber(row["person"]),
            fact=row["fact"],
            recorded=self.open_optional(person, row["fact"]) or "",
            stated=self.open(row["id"], "stated", row["stated"], table="registry_conflict"),
            source=Source(row["source"]),
            raised_at=row["raised_at"],
        )


def sealed_person(row: Row) -> SealedPerson:
    """Read the columns of `SEALED_PERSON`."""
    return SealedPerson(
        number=row["person_number"],
        status=AccountStatus(row["person_status"]),
        display_name=row["display_name"],
        real_name=row["real_name"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        locale=row["locale"],
        zoneinfo=row["zoneinfo"],
        updated_at=row["person_updated_at"],
    )


def _aad(table: str, column: str, row_id: str) -> bytes:
    # NUL stands in none of the three, so no two triples give the same bytes.
    return b"\x00".join((table.encode(), column.encode(), row_id.encode()))


def provenance_of(row: Row) -> Provenance:
    """Read the source columns of any row."""
    return Provenance(Source(row["source"]), row["verified_at"])


def affiliation_of(row: Row) -> Affiliation:
    """Read a row of `affiliation`."""
    return Affiliation(
        id=row["id"],
        person=PersonNumber(row["person"]),
        school=SchoolCode(row["school"]),
        kind=AffiliationKind(row["kind"]),
        local_number=row["local_number"],
        since=date.fromisoformat(row["since"]),
        until=None if row["until"] is None else date.fromisoformat(row["until"]),
        end_reason=row["end_reason"],
        provenance=provenance_of(row),
        region=row["region"],
        shard=row["shard"],
    )
