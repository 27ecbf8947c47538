"""The officers' roll and their requests: what puts the deployment's secrets at risk is asked for by one and approved by another.

An officer is a name and an SM2 public key. A request says what is asked, by whom, when and until when, and is signed by
whoever files it; the approval signs the request with its signature. Roll and requests are sealed (SM4-GCM), so nobody
joins or asks by writing into the database. A request serves once, within a day, and never the officer who filed it.

The split guards against one officer's mistake or bad faith and leaves evidence. It does not bind whoever can read the
key-encryption key file and the database by other means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from adapters.sql.database import Database, Row
from adapters.sql.resealing import officer_aad, request_aad
from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_object
from crypto.errors import SignatureInvalid, TrustError
from crypto.sealed import ColumnSealer
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend

OFFICERS_NEEDED: Final = 2
REQUEST_LIFETIME_S: Final = 24 * 3600
REQUEST_ID_BYTES: Final = 5
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_REQUEST_DOMAIN: Final = b"edutrust key request 1\x00"
_APPROVAL_DOMAIN: Final = b"edutrust key approval 1\x00"


class OfficerRefused(TrustError):
    """An officer who cannot be enrolled, or a key that is not an officer's. `rule` says which."""

    code: ClassVar[str] = "keys.officer_refused"


class KeyRequestRefused(TrustError):
    """A request that cannot be filed or approved. `rule` says why."""

    code: ClassVar[str] = "keys.request_refused"


@dataclass(frozen=True, slots=True)
class Officer:
    """An officer: a name that is never given again, 64 bytes x‖y, and when the officer came and went."""

    name: str
    public: bytes
    enrolled_at: int
    removed_at: int | None


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What is asked: an action and its arguments, by whom, when, and until when it may be approved."""

    id: str
    action: str
    arguments: Mapping[str, str]
    filed_by: str
    filed_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Approved:
    """A request that two officers have signed and that is used up."""

    request: KeyRequest
    approved_by: str
    approved_at: int


class OfficersRoll:
    """Officers, in table `key_officer`."""

    def __init__(self, database: Database, sealer: ColumnSealer, backend: Sm2Backend) -> None:
        self._db = database
        self._sealer = sealer
        self._backend = backend

    async def every(self) -> tuple[Officer, ...]:
        """Return all officers there ever were, by name. Raises `DecryptionFailed` for an entry nobody enrolled."""
        rows = await self._db.fetch("SELECT name, sealed FROM key_officer ORDER BY name")
        return tuple(_officer(row, self._sealer) for row in rows)

    async def serving(self) -> tuple[Officer, ...]:
        """Return the officers of today."""
        return tuple(officer for officer in await self.every() if officer.removed_at is None)

    async def of_private(self, private: bytes) -> Officer:
        """Return the officer whose key this is. Raises `OfficerRefused` with rule unknown_key."""
        public = self._backend.public_of(private)
        for officer in await self.serving():
            if officer.public == public:
                return officer
        raise OfficerRefused(field="officer_key", rule="unknown_key")

    async def enrol(self, name: str, public: bytes, *, now: int) -> Officer:
        """Add an officer. Raises `OfficerRefused`: name (form), name_taken, or key_taken; `KeyRefused` off the curve."""
        if _NAME.fullmatch(name) is None:
            raise OfficerRefused(field="name", rule="name")
        self._backend.public_key(public)
        if any(officer.public == public for officer in await self.every()):
            raise OfficerRefused(field="public", rule="key_taken")
        officer = Officer(name, public, now, None)
        added = await self._db.execute(
            "INSERT INTO key_officer (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, self._seal(officer)
        )
        if not added:
            raise OfficerRefused(field="name", rule="name_taken")
        return officer

    async def remove(self, name: str, *, now: int) -> None:
        """End an officer's duty; name and key stay taken. Raises `OfficerRefused`: unknown, or last_two."""
        serving = {officer.name: officer for officer in await self.serving()}
        if name not in serving:
            raise OfficerRefused(field="name", rule="unknown")
        if len(serving) <= OFFICERS_NEEDED:
            raise OfficerRefused(field="name", rule="last_two")
        officer = serving[name]
        gone = Officer(officer.name, officer.public, officer.enrolled_at, now)
        await self._db.execute("UPDATE key_officer SET sealed = $2 WHERE name = $1", name, self._seal(gone))

    def _seal(self, officer: Officer) -> bytes:
        content = {
            "enrolled_at": officer.enrolled_at,
            "public": b64u_encode(officer.public),
            "removed_at": officer.removed_at,
        }
        return self._sealer.seal(jcs(content), aad=officer_aad({"name": officer.name}, "sealed"))


def officers_of_rows(rows: Iterable[Row], sealer: ColumnSealer) -> tuple[Officer, ...]:
    """Return the officers of today in rows of `key_officer`. Raises `DecryptionFailed`."""
    return tuple(officer for row in rows if (officer := _officer(row, sealer)).removed_at is None)


def _officer(row: Row, sealer: ColumnSealer) -> Officer:
    opened = sealer.open(bytes(row["sealed"]), aad=officer_aad(row, "sealed"))
    content: dict[str, Any] = json_object(opened, field="key_officer")
    public = b64u_decode(content["public"], field="public")
    return Officer(row["name"], public, content["enrolled_at"], content["removed_at"])


class KeyRequests:
    """Requests, in table `key_request`. `deployment` names this one, so that a signature serves no other."""

    def __init__(
        self, database: Database, sealer: ColumnSealer, backend: Sm2Backend, roll: OfficersRoll, *, deployment: str
    ) -> None:
        self._db = database
        self._sealer = sealer
        self._backend = backend
        self._roll = roll
        self._deployment = deployment

    async def file(
        self,
        action: str,
        arguments: Mapping[str, str],
        private: bytes,
        *,
        now: int,
        random_bytes: Callable[[int], bytes],
    ) -> KeyRequest:
        """File a request signed with an officer's key. Raises `OfficerRefused`, `KeyRequestRefused` (too_few_officers)."""
        officer = await self._roll.of_private(private)
        await self._require_two()
        request = KeyRequest(
            random_bytes(REQUEST_ID_BYTES).hex(), action, dict(arguments), officer.name, now, now + REQUEST_LIFETIME_S
        )
        signature = self._backend.sign(private, _REQUEST_DOMAIN + self._statement(request), SM2_DEFAULT_ID)
        await self._db.execute(
            "INSERT INTO key_request (id, sealed, filed_at, expires_at) VALUES ($1, $2, $3, $4)",
            request.id,
            self._seal(request, {"signature": b64u_encode(signature)}),
            now,
            request.expires_at,
        )
        return request

    async def approve(
        self, request_id: str, action: str, arguments: Mapping[str, str], private: bytes, *, now: int
    ) -> Approved:
        """Approve with another officer's key and use the request up; of two approvals at once one counts.

        The caller repeats action and arguments, so that what is approved is what is done. Raises `OfficerRefused`, and
        `KeyRequestRefused`: unknown, used, expired, other_action, same_officer, officer_gone, too_few_officers.
        """
        officer = await self._roll.of_private(private)
        await self._require_two()
        row = await self._db.fetch_one("SELECT * FROM key_request WHERE id = $1", request_id)
        if row is None:
            raise KeyRequestRefused(field="request", rule="unknown")
        request, signature = self._open(row)
        if row["used_at"] is not None:
            raise KeyRequestRefused(field="request", rule="used")
        if not request.filed_at <= now < request.expires_at:
            raise KeyRequestRefused(field="request", rule="expired")
        if (request.action, dict(request.arguments)) != (action, dict(arguments)):
            raise KeyRequestRefused(field="request", rule="other_action")
        await self._check_filer(request, signature, officer)
        statement = self._statement(request)
        approval = {"approved_at": now, "approved_by": officer.name}
        signed = self._backend.sign(private, _APPROVAL_DOMAIN + statement + signature + jcs(approval), SM2_DEFAULT_ID)
        sealed = self._seal(request, {"signature": b64u_encode(signature), **approval, "approval": b64u_encode(signed)})
        taken = await self._db.execute(
            "UPDATE key_request SET used_at = $2, sealed = $3 WHERE id = $1 AND used_at IS NULL",
            request_id,
            now,
            sealed,
        )
        if not taken:
            raise KeyRequestRefused(field="request", rule="used")
        return Approved(request, officer.name, now)

    async def waiting(self, *, now: int) -> tuple[KeyRequest, ...]:
        """Return the requests that may still be approved, oldest first."""
        rows = await self._db.fetch(
            "SELECT * FROM key_request WHERE used_at IS NULL AND expires_at > $1 ORDER BY filed_at, id", now
        )
        return tuple(self._open(row)[0] for row in rows)

    async def _require_two(self) -> None:
        if len(await self._roll.serving()) < OFFICERS_NEEDED:
            raise KeyRequestRefused(field="officers", rule="too_few_officers")

    async def _check_filer(self, request: KeyRequest, signature: bytes, approver: Officer) -> None:
        filer = next((officer for officer in await self._roll.serving() if officer.name == request.filed_by), None)
        if filer is None:
            raise KeyRequestRefused(field="request", rule="officer_gone")
        try:
            self._backend.verify(filer.public, _REQUEST_DOMAIN + self._statement(request), signature, SM2_DEFAULT_ID)
        except SignatureInvalid:
            raise KeyRequestRefused(field="request", rule="signature") from None
        if approver.name == filer.name or approver.public == filer.public:
            raise KeyRequestRefused(field="officer_key", rule="same_officer")

    def _statement(self, request: KeyRequest) -> bytes:
        return jcs({**_content(request), "deployment": self._deployment})

    def _seal(self, request: KeyRequest, more: Mapping[str, Any]) -> bytes:
        return self._sealer.seal(jcs({**_content(request), **more}), aad=request_aad({"id": request.id}, "sealed"))

    def _open(self, row: Row) -> tuple[KeyRequest, bytes]:
        content: dict[str, Any] = json_object(
            self._sealer.open(bytes(row["sealed"]), aad=request_aad(row, "sealed")), field="key_request"
        )
        request = KeyRequest(
            content["id"],
            content["action"],
            content["arguments"],
            content["filed_by"],
            content["filed_at"],
            content["expires_at"],
        )
        return request, b64u_decode(content["signature"], field="signature")


def _content(request: KeyRequest) -> dict[str, Any]:
    return {
        "action": request.action,
        "arguments": dict(request.arguments),
        "expires_at": request.expires_at,
        "filed_at": request.filed_at,
        "filed_by": request.filed_by,
        "id": request.id,
    }
