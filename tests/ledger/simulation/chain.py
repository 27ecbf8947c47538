"""An anchoring chain that comes and goes, and never takes a checkpoint that does not continue the last one."""

from __future__ import annotations

import random

from crypto.keys import SigningKey
from ledger.anchor import AnchoredHead, AnchorEvidence, AnchorRequest, sign_evidence
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.errors import AnchorPending, AnchorRefused
from ledger.merkle import HashAlg, verify_consistency
from ledger.store import Clock


class SimulatedChain:
    """An `AnchorDriver` outside the log: what it took survives every crash of the writers."""

    def __init__(
        self, chain: str, identity: LogIdentity, *, witness: SigningKey, clock: Clock, rng: random.Random
    ) -> None:
        self._chain = chain
        self._identity = identity
        self._witness = witness
        self._clock = clock
        self._rng = rng
        self.away = False
        self.trouble = 0.0
        """How often a call fails that is answered at all."""
        self.taken: Checkpoint | None = None

    @property
    def chain(self) -> str:
        return self._chain

    def head(self, origin: str) -> AnchoredHead | None:
        self._answer()
        return None if self.taken is None else AnchoredHead(self.taken.size, self.taken.root_sha256)

    def anchor(self, request: AnchorRequest) -> AnchorEvidence:
        self._answer()
        checkpoint = verify_checkpoint(request.note, log=self._identity)
        if self.taken is not None:
            for alg, proof in ((HashAlg.SHA256, request.proof_sha256), (HashAlg.SM3, request.proof_sm3)):
                verify_consistency(
                    alg,
                    old_size=self.taken.size,
                    new_size=checkpoint.size,
                    old_root=self.taken.root(alg),
                    new_root=checkpoint.root(alg),
                    proof=proof,
                )
        self.taken = checkpoint
        if self._rng.random() < self.trouble:
            raise AnchorPending(rule="simulated")  # it is there, and the answer is lost on the way
        reference = {"height": checkpoint.size}
        return sign_evidence(
            checkpoint, chain=self._chain, time=self._clock(), reference=reference, witness=self._witness
        )

    def _answer(self) -> None:
        if self.away or self._rng.random() < self.trouble:
            raise AnchorRefused(rule="simulated")
