"""What `credentials` asks of the world: the log, the issuers' keys, the register of people, the audit trail, time, chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from credentials.accreditation import AccreditedKey, KeyPurpose
from crypto.keys import SigningKey
from idp.registry.id_number import IdNumber
from idp.registry.model import Enrolment, EnrolmentRequest, Person, School
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode
from ledger.audit import AuditEvent
from ledger.receipt import Receipt

Clock = Callable[[], int]
"""Seconds since the epoch, UTC."""
RandomBytes = Callable[[int], bytes]
"""Unpredictable bytes."""


class LedgerPort(Protocol):
    """The log. Everything returned is durable, integrated and under a signed checkpoint."""

    async def append(self, bodies: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """Append (body, 32-byte idempotency key) pairs; return their indices in order.

        A key seen before gives the index it was given then. Raises `ledger` refusals; after one, nothing is known of the
        pairs and the same call may be made again.
        """
        ...

    async def receipt(self, index: int) -> Receipt:
        """Return a receipt under the newest anchored checkpoint that covers the entry, else the newest checkpoint."""
        ...

    async def receipts(self, indices: Sequence[int]) -> list[Receipt]:
        """Return a receipt for each index."""
        ...

    async def request_anchor(self) -> None:
        """Ask for the newest checkpoint to be anchored. Idempotent: a checkpoint is anchored once."""
        ...


class IssuerKeys(Protocol):
    """Signing keys by owner and purpose, made at their first use; two first uses at once make one key.

    `issuer` is an issuer identifier. Every method raises `KeyUnavailable` where the owner's key may not sign now.
    """

    async def credential_key(self, issuer: str) -> SigningKey:
        """Return the issuer's SM2 key for credentials."""
        ...

    async def status_key(self, issuer: str) -> SigningKey:
        """Return the issuer's SM2 key for its status lists."""
        ...

    async def document_key(self, issuer: str) -> SigningKey:
        """Return the issuer's ES256 key for sealing PDF files."""
        ...

    async def accreditation_key(self, accreditor: str) -> SigningKey:
        """Return the accreditor's SM2 key."""
        ...

    async def holder_key(self, person: PersonNumber) -> SigningKey:
        """Return the SM2 key that stands for the person until a wallet of their own holds one."""
        ...

    async def approval_key(self, person: PersonNumber) -> SigningKey:
        """Return the SM2 key an officer approves with."""
        ...

    async def accredited(self, owner: str) -> tuple[AccreditedKey, ...]:
        """Return every key of the owner that others verify with, with its times, oldest first.

        Credential, status, document and accreditation keys, retired and compromised ones included; none is made here.
        """
        ...

    async def rotate(self, owner: str, purpose: KeyPurpose) -> SigningKey:
        """Retire the owner's active key from now on and return its successor."""
        ...

    async def report_compromise(self, kid: str, *, at: int) -> None:
        """Note that a key is compromised since `at`; it signs nothing any more. The earlier of two reports stands."""
        ...


class People(Protocol):
    """The part of the register this package uses; `idp.registry.store.RegistryStore` is one."""

    async def school(self, code: SchoolCode) -> School:
        """Return the school. Raises `SchoolUnknown`."""
        ...

    async def enrol_person(self, request: EnrolmentRequest, *, now: int) -> Enrolment:
        """Register a person or recognise one."""
        ...

    async def find_by_id_number(self, id_number: IdNumber) -> Person | None:
        """Return the person with this ID number, or None."""
        ...

    async def person(self, number: PersonNumber) -> Person:
        """Return the person. Raises `PersonUnknown`."""
        ...


class AuditPort(Protocol):
    """The audit trail."""

    async def record(self, event: AuditEvent) -> None:
        """Chain the event; durable on return."""
        ...


@dataclass(frozen=True, slots=True)
class Issuers:
    """How this deployment names things. `base` is its public address without a final slash."""

    base: str

    @property
    def issuer_id_prefix(self) -> str:
        """What every issuer identifier of this deployment begins with."""
        return f"{self.base}/schools/"

    def issuer_id(self, school: SchoolCode) -> str:
        """Return the issuer identifier of a school."""
        return f"{self.issuer_id_prefix}{school}"

    def accreditor_id(self, division: str) -> str:
        """Return the identifier of a division's bureau; 000000 is the ministry."""
        return f"{self.base}/accreditors/{division}"

    def status_uri(self, list_id: str) -> str:
        """Return the address of a status list."""
        return f"{self.base}/status/{list_id}"

    @property
    def verification_address(self) -> str:
        """The address key bindings of shares are made for."""
        return f"{self.base}/verify"


@dataclass(frozen=True, slots=True)
class Accreditor:
    """An accreditor this deployment signs for, with its names by language."""

    id: str
    names: Mapping[str, str]
