"""Revoking, suspending, reinstating, superseding: each change signed by an officer, logged, and told by the status list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from credentials.errors import CredentialUnknown, StatusChangeRefused
from credentials.held import held
from credentials.model import Act, HeldCredential, Issued, Reason, StatusChange
from credentials.ports import AuditPort, Clock, IssuerKeys, Issuers, LedgerPort, RandomBytes
from credentials.status import Status, pack, sign_status_token
from credentials.store import MAX_PAGE, CredentialStore
from crypto.canonical import jcs
from crypto.encoding import b64u_encode
from crypto.jws import sign_jws
from crypto.sm3 import sm3
from crypto.suites import Purpose, policy
from idp.authority.decide import require, signed_in
from idp.authority.errors import NotAuthorised
from idp.authority.model import Actor, Duty
from idp.registry.school_code import SchoolCode
from ledger.audit import AuditEvent

ENTRY_KIND_STATUS: Final = "credential.status"
# A verifier online asks for the list each time; one with a cache may keep it this long.
STATUS_TTL_S: Final = 900
STATUS_LIFETIME_S: Final = 86400

_ALLOWED: Final[Mapping[Act, tuple[frozenset[Status], Status]]] = {
    Act.REVOKE: (frozenset({Status.VALID, Status.SUSPENDED}), Status.REVOKED),
    Act.SUSPEND: (frozenset({Status.VALID}), Status.SUSPENDED),
    Act.REINSTATE: (frozenset({Status.SUSPENDED}), Status.VALID),
    Act.SUPERSEDE: (frozenset({Status.VALID, Status.SUSPENDED}), Status.SUPERSEDED),
}
_REASONS: Final[Mapping[Act, frozenset[Reason]]] = {
    Act.REVOKE: frozenset(
        {
            Reason.ISSUED_IN_ERROR,
            Reason.FRAUD_FOUND,
            Reason.DEGREE_WITHDRAWN,
            Reason.RESOURCE_WITHDRAWN,
            Reason.HOLDER_REQUEST,
        }
    ),
    Act.SUSPEND: frozenset({Reason.UNDER_INVESTIGATION, Reason.HOLDER_REQUEST}),
    Act.REINSTATE: frozenset({Reason.INVESTIGATION_CLOSED, Reason.HOLDER_REQUEST}),
    Act.SUPERSEDE: frozenset({Reason.DATA_CORRECTED, Reason.REISSUED}),
}


class StatusChanges:
    """Changes of status and the signed lists that tell them."""

    def __init__(
        self,
        *,
        store: CredentialStore,
        keys: IssuerKeys,
        ledger: LedgerPort,
        audit: AuditPort,
        issuers: Issuers,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._ledger = ledger
        self._audit = audit
        self._issuers = issuers
        self._clock = clock
        self._random = random_bytes

    async def change(
        self, actor: Actor | None, credential_id: str, act: Act, reason: Reason, successor: str | None
    ) -> HeldCredential:
        """Change a credential's status, by an approver of its school.

        The list tells it from the next token on. Raises `StatusChangeRefused`: reason, status, successor; and
        `CredentialUnknown`, `authority` refusals.
        """
        issued = await self._store.credential(credential_id)
        require(actor, Duty.APPROVER, school=issued.school)
        officer = signed_in(actor)
        starts, after = _ALLOWED[act]
        if reason not in _REASONS[act]:
            raise StatusChangeRefused(field="reason", rule="reason")
        if issued.status not in starts:
            raise StatusChangeRefused(field="status", rule=issued.status.name.lower())
        await self._check_successor(issued, act, successor)
        change = await self._signed(officer, issued, act, after, reason, successor)
        await self._audit.record(_event(officer, change))
        if not await self._store.change_status(change):  # another officer was faster
            raise StatusChangeRefused(field="status", rule="changed")
        await self._log(change, issued)
        await self.token(issued.status_list)
        return held(await self._store.credential(credential_id), self._issuers)

    async def _check_successor(self, issued: Issued, act: Act, successor: str | None) -> None:
        if (act is Act.SUPERSEDE) != (successor is not None):
            raise StatusChangeRefused(field="successor", rule="successor")
        if successor is None:
            return
        try:
            new = await self._store.credential(successor)
        except CredentialUnknown:
            raise StatusChangeRefused(field="successor", rule="successor") from None
        same = (new.school, new.kind, new.person) == (issued.school, issued.kind, issued.person)
        if not same or new.id == issued.id or new.status is not Status.VALID:
            raise StatusChangeRefused(field="successor", rule="successor")

    async def _signed(
        self, officer: Actor, issued: Issued, act: Act, after: Status, reason: Reason, successor: str | None
    ) -> StatusChange:
        now = self._clock()
        claims = {
            "act": act.value,
            "credential": issued.id,
            "before": issued.status.name.lower(),
            "after": after.name.lower(),
            "reason": reason.value,
            "successor": successor,
            "officer": officer.person.value,
            "iat": now,
        }
        key = await self._keys.approval_key(officer.person)
        approval = sign_jws(jcs(claims), key=key, policy=policy(Purpose.APPROVAL))
        return StatusChange(
            b64u_encode(self._random(16)), issued.id, act, issued.status, after, reason, successor,
            officer.person, now, approval, self._random(16), None,
        )  # fmt: skip

    async def _log(self, change: StatusChange, issued: Issued) -> None:
        commitment = b64u_encode(sm3(change.opening + change.approval.encode("ascii")))
        body = {
            "v": 1,
            "kind": ENTRY_KIND_STATUS,
            "commitment": commitment,
            "issuer": self._issuers.issuer_id(issued.school),
            "batch": change.id,
        }
        key = sm3(b"credential.status\n" + change.id.encode("ascii"))
        (index,) = await self._ledger.append([(jcs(body), key)])
        await self._store.log_change(change.id, leaf_index=index)

    async def work(self) -> int:
        """Log the changes a crash or a silent log left unlogged; return how many there were. For the worker."""
        changes = await self._store.unlogged_changes()
        for change in changes:
            await self._log(change, await self._store.credential(change.credential))
        return len(changes)

    async def token(self, list_id: str) -> str:
        """Return the list's token, signed anew where the list has changed or the token is older than its ttl.

        Raises `CredentialUnknown`. Public: a list says nothing of whom its places belong to.
        """
        state = await self._store.status_list(list_id)
        now = self._clock()
        fresh = state.token_revision == state.revision and now - (state.token_issued_at or 0) < STATUS_TTL_S
        if state.token is not None and fresh:
            return state.token
        # The key first: one made just now must not be younger than what it signs.
        key = await self._keys.status_key(self._issuers.issuer_id(state.school))
        now = self._clock()
        token = sign_status_token(
            pack(state.size, state.values),
            uri=self._issuers.status_uri(list_id),
            issued_at=now,
            expires_at=now + STATUS_LIFETIME_S,
            ttl=STATUS_TTL_S,
            key=key,
            policy=policy(Purpose.STATUS_LIST),
        )
        if await self._store.keep_status_token(list_id, token=token, revision=state.revision, issued_at=now):
            return token
        kept = (await self._store.status_list(list_id)).token
        return kept if kept is not None else token

    async def credentials_of(
        self, actor: Actor | None, school: SchoolCode, *, after: str | None
    ) -> tuple[HeldCredential, ...]:
        """Return a page of a school's credentials to one of its officers."""
        try:
            require(actor, Duty.REGISTRAR, school=school)
        except NotAuthorised:
            require(actor, Duty.APPROVER, school=school)
        found = await self._store.credentials_of_school(school, after=after, limit=MAX_PAGE)
        return tuple(held(issued, self._issuers) for issued in found)


def _event(officer: Actor, change: StatusChange) -> AuditEvent:
    details = {"act": change.act.value, "reason": change.reason.value, "before": change.before.name.lower()}
    return AuditEvent(
        change.at,
        f"credentials.status.{change.act.value}",
        officer.person.value,
        change.credential,
        "ok",
        None,
        officer.session_ref,
        details,
    )
