"""Sharing: the holder chooses fields and days; a code, not an account, opens exactly those until it ends.

The presentation is made and signed by the holder's key when the holder shares, for this service's verification address and
this share alone; a look only adds today's receipt and status to it.
"""

from __future__ import annotations

from typing import Final

from credentials.errors import CredentialUnknown, ShareRefused, ShareUnknown
from credentials.formats import sd_jwt
from credentials.formats.key_binding import KeyBinding, bind
from credentials.held import held
from credentials.model import LookUp, Share
from credentials.ports import AuditPort, Clock, IssuerKeys, Issuers, RandomBytes
from credentials.store import CredentialStore
from crypto.encoding import b64u_encode
from crypto.suites import Purpose, policy
from idp.authority.decide import signed_in
from idp.authority.model import Actor
from ledger.audit import AuditEvent

# 32 signs without 0/O and 1/I: read aloud and typed from paper without doubt. Sixteen of them are 80 bits.
CODE_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_SIGNS: Final = 16
MIN_DAYS: Final = 1
MAX_DAYS: Final = 180  # the longest CHSI allows for its own verification reports
MAX_VIEWS: Final = 1000
DAY_S: Final = 86400


def new_code(random_bytes: RandomBytes) -> str:
    """Draw a verification code; 32 divides 256, so every sign is equally likely."""
    return "".join(CODE_ALPHABET[byte & 31] for byte in random_bytes(CODE_SIGNS))


def parse_code(text: str) -> str:
    """Read a code as typed: case, blanks and hyphens do not matter. Raises `ShareUnknown` for what cannot be one."""
    code = "".join(sign for sign in text.upper() if sign not in " -\u3000\u2010\u2011\u2013\uff0d")
    if len(code) != CODE_SIGNS or any(sign not in CODE_ALPHABET for sign in code):
        raise ShareUnknown(field="code")
    return code


def show_code(code: str) -> str:
    """Return a code in groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, CODE_SIGNS, 4))


class Sharing:
    """A holder's shares."""

    def __init__(
        self,
        *,
        store: CredentialStore,
        keys: IssuerKeys,
        audit: AuditPort,
        issuers: Issuers,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._audit = audit
        self._issuers = issuers
        self._clock = clock
        self._random = random_bytes

    async def share(
        self,
        actor: Actor | None,
        credential_id: str,
        *,
        fields: frozenset[str],
        days: int,
        view_limit: int | None,
    ) -> Share:
        """Share chosen fields of an own credential. Raises `CredentialUnknown`; `ShareRefused`: days, views, fields."""
        holder = signed_in(actor)
        issued = await self._store.credential(credential_id)
        if issued.person != holder.person:
            raise CredentialUnknown(field="credential")
        if not MIN_DAYS <= days <= MAX_DAYS:
            raise ShareRefused(field="days", rule="days", least=MIN_DAYS, most=MAX_DAYS)
        if view_limit is not None and not 1 <= view_limit <= MAX_VIEWS:
            raise ShareRefused(field="view_limit", rule="views", most=MAX_VIEWS)
        if not fields <= set(held(issued, self._issuers).selectable):
            raise ShareRefused(field="fields", rule="fields")
        now = self._clock()
        code = new_code(self._random)
        share = Share(
            b64u_encode(self._random(16)), issued.id, holder.person, show_code(code), tuple(sorted(fields)),
            now, now + days * DAY_S, view_limit, 0, None,
        )  # fmt: skip
        chosen = sd_jwt.parse(issued.presentation).subset(lambda path: path[0] in fields)
        presentation = bind(
            chosen,
            key=await self._keys.holder_key(holder.person),
            policy=policy(Purpose.KEY_BINDING),
            binding=KeyBinding(self._issuers.verification_address, share.id, now),
        )
        await self._note(holder, "credentials.share.made", share)
        await self._store.create_share(share, presentation=str(presentation))
        return share

    async def shares(self, actor: Actor | None) -> tuple[Share, ...]:
        """Return the person's shares, ended ones included, newest first."""
        return await self._store.shares_of(signed_in(actor).person)

    async def revoke(self, actor: Actor | None, share_id: str) -> Share:
        """End an own share now. Raises `ShareUnknown`."""
        holder = signed_in(actor)
        share = await self._own(holder, share_id)
        await self._note(holder, "credentials.share.revoked", share)
        return await self._store.revoke_share(share.id, now=self._clock())

    async def look_ups(self, actor: Actor | None, share_id: str) -> tuple[LookUp, ...]:
        """Return who looked at an own share, newest first. Raises `ShareUnknown`."""
        return await self._store.look_ups((await self._own(signed_in(actor), share_id)).id)

    async def _own(self, holder: Actor, share_id: str) -> Share:
        share = await self._store.share(share_id)
        if share.person != holder.person:
            raise ShareUnknown(field="share")
        return share

    async def _note(self, holder: Actor, action: str, share: Share) -> None:
        details = {"credential": share.credential, "days": str((share.valid_until - share.created_at) // DAY_S)}
        await self._audit.record(
            AuditEvent(self._clock(), action, holder.person.value, share.id, "ok", None, holder.session_ref, details)
        )
