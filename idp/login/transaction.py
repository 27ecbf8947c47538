"""The sign-in transaction: everything a sign-in under way knows, frozen, on the server."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from crypto.encoding import json_strict
from idp.model import Acr, AuthenticatorKind
from idp.transient import TransientKind, TransientStore

TRANSACTION_LIFETIME_S = 15 * 60
"""Time to type a password, fetch a phone and read what a platform asks; short enough for a shared computer."""


class Purpose(StrEnum):
    """What the sign-in is for; names the finisher."""

    AUTHORIZATION = "authorization"
    FIRST_PARTY = "first_party"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What the sign-in must reach.

    The class, an authentication not older than `not_before` (seconds; 0 = any), and with `fresh` one made in this very
    transaction (`prompt=login`), whatever session the browser brings. With `choose` the person says first whether they go
    on with the session of this browser (`prompt=select_account`).
    """

    acr: Acr
    not_before: int
    fresh: bool
    consent_again: bool
    login_hint: str
    choose: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """What a client asks to be told, for the consent step; `origin` is where the answer will lead, proven before."""

    client_id: str
    scopes: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class StepProof:
    """An authenticator's signed word that `person` showed it `kind` at `time` in one transaction.

    `credential` names which one was shown (`idp.login.password.password_mark`), so that a password that is changed in the
    middle of a sign-in counts no longer; empty for a one-time code, which ends the sign-in's steps at once.
    """

    kind: AuthenticatorKind
    person: str
    time: int
    credential: str
    mac: str


@dataclass(frozen=True, slots=True)
class LoginTransaction:
    """One sign-in under way. `continuation` is what the finisher of `purpose` needs; nobody else reads it.

    `nonce` names the transaction inside proofs; `pending_seed` is a sealed TOTP seed shown for enrolment;
    `session_reference` is set once the sign-in has its session, and ties what follows to it. `chosen` is the reference of
    the session the person said to go on with; it does not say that the session is enough.
    """

    purpose: Purpose
    continuation: str
    requirement: Requirement
    release: Release | None
    browser_hash: str
    nonce: str
    proofs: tuple[StepProof, ...]
    pending_seed: str
    session_reference: str
    chosen: str = ""

    def with_proof(self, proof: StepProof) -> LoginTransaction:
        """Return the transaction with one more proof and no pending seed. A password begins anew: it may be another's."""
        earlier = () if proof.kind is AuthenticatorKind.PASSWORD else self.proofs
        return replace(self, proofs=(*earlier, proof), pending_seed="")


class LoginTransactions:
    """Keeps transactions in the transient store. Changes are compare-and-swap: two tabs cannot mix their steps."""

    def __init__(self, store: TransientStore) -> None:
        self._store = store

    async def begin(self, transaction: LoginTransaction) -> str:
        """Keep a new transaction; return its handle."""
        return await self._store.put(TransientKind.LOGIN, _dump(transaction), lifetime_s=TRANSACTION_LIFETIME_S)

    async def read(self, handle: str) -> LoginTransaction | None:
        """Return the transaction, or None when the handle opens none."""
        payload = await self._store.read(TransientKind.LOGIN, handle)
        return None if payload is None else _load(payload)

    async def advance(self, handle: str, before: LoginTransaction, after: LoginTransaction) -> bool:
        """Replace `before` by `after`; False when another request was quicker."""
        return await self._store.replace(TransientKind.LOGIN, handle, expected=_dump(before), payload=_dump(after))

    async def take(self, handle: str) -> LoginTransaction | None:
        """Finish: exactly one caller gets the transaction."""
        payload = await self._store.take(TransientKind.LOGIN, handle)
        return None if payload is None else _load(payload)


def _dump(transaction: LoginTransaction) -> bytes:
    return json.dumps(asdict(transaction), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _load(payload: bytes) -> LoginTransaction:
    # Written by this module only, under a 256-bit handle: the shape is known.
    raw: Any = json_strict(payload)
    requirement, release = raw["requirement"], raw["release"]
    return LoginTransaction(
        purpose=Purpose(raw["purpose"]),
        continuation=raw["continuation"],
        requirement=Requirement(**{**requirement, "acr": Acr(requirement["acr"])}),
        release=None if release is None else Release(**{**release, "scopes": tuple(release["scopes"])}),
        browser_hash=raw["browser_hash"],
        nonce=raw["nonce"],
        proofs=tuple(
            StepProof(
                AuthenticatorKind(proof["kind"]), proof["person"], proof["time"], proof["credential"], proof["mac"]
            )
            for proof in raw["proofs"]
        ),
        pending_seed=raw["pending_seed"],
        session_reference=raw["session_reference"],
        chosen=raw.get("chosen", ""),  # absent from what the version before wrote, minutes ago
    )
