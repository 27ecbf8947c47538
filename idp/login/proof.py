"""Signed steps: only an authenticator makes a proof, only the dispatcher believes one, and only in its transaction."""

from __future__ import annotations

import hmac

from crypto.encoding import b64u_encode
from crypto.sm3 import hmac_sm3
from idp.login.transaction import LoginTransaction, StepProof
from idp.model import AuthenticatorKind

KEY_BYTES_MIN = 32
"""HMAC-SM3 keys shorter than the hash are refused."""


class StepProofs:
    """Makes and checks step proofs under one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError("the step key needs at least 32 bytes")
        self._key = key

    def sign(
        self, transaction: LoginTransaction, kind: AuthenticatorKind, person: str, time: int, *, credential: str
    ) -> StepProof:
        """Say that `person` has just shown `kind`. `credential`: see `StepProof`."""
        return StepProof(kind, person, time, credential, self._mac(transaction, kind, person, time, credential))

    def believed(self, transaction: LoginTransaction) -> tuple[StepProof, ...]:
        """Return the proofs that hold, all of one person: the first one's."""
        good = [
            proof for proof in transaction.proofs if hmac.compare_digest(proof.mac, self._mac_of(transaction, proof))
        ]
        return tuple(proof for proof in good if proof.person == good[0].person)

    def _mac_of(self, transaction: LoginTransaction, proof: StepProof) -> str:
        return self._mac(transaction, proof.kind, proof.person, proof.time, proof.credential)

    def _mac(
        self, transaction: LoginTransaction, kind: AuthenticatorKind, person: str, time: int, credential: str
    ) -> str:
        said = "\x00".join(("step", transaction.nonce, transaction.browser_hash, kind, person, str(time), credential))
        return b64u_encode(hmac_sm3(self._key, said.encode()))
