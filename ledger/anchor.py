"""Anchors: a checkpoint put where the log's operator cannot take it back, and the evidence of it.

Evidence is a statement signed by an anchor witness: a key that watches the chain (or the write-once file), separate
from the log's keys. It verifies offline; whoever wants to ask the chain itself finds the reference in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_strict
from crypto.errors import TrustError
from crypto.jws import sign_jws, verify_jws
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Purpose, policy
from ledger.checkpoint import Checkpoint, require_origin
from ledger.errors import AnchorRefused
from ledger.merkle import HASH_BYTES, MAX_TREE_SIZE

# A reference names a place on a chain (contract, transaction, block): a handful of short members.
MAX_REFERENCE_MEMBERS: Final = 16
MAX_REFERENCE_TEXT: Final = 256
# A statement is a few hundred bytes of claims, their base64url and a signature.
MAX_STATEMENT_CHARS: Final = 16_384

_CHAIN: Final = re.compile(r"(?:file|evm:[1-9][0-9]{0,18})\Z")
_MEMBER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_MEMBERS: Final = frozenset({"chain", "origin", "reference", "sha256", "size", "sm3", "time"})


@dataclass(frozen=True, slots=True)
class AnchorEvidence:
    """What a witness says it saw anchored.

    `chain` is "file" or "evm:<chain id>"; `reference` finds it there; `time` is the chain's or file's own time in
    seconds since the epoch; `statement` is the compact JWS that carries all the others.
    """

    chain: str
    origin: str
    size: int
    root_sha256: bytes
    root_sm3: bytes
    time: int
    reference: Mapping[str, str | int]
    statement: str


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """The newest state of a log that an anchor holds: its size and SHA-256 root."""

    size: int
    root_sha256: bytes


@dataclass(frozen=True, slots=True)
class AnchorRequest:
    """A checkpoint to anchor: its note, and the consistency proofs of both trees from the anchor's head (if any)."""

    note: bytes
    checkpoint: Checkpoint
    previous: AnchoredHead | None
    proof_sha256: tuple[bytes, ...]
    proof_sm3: tuple[bytes, ...]


class AnchorDriver(Protocol):
    """One place of anchoring. Blocking; called by one worker at a time for each chain and key."""

    @property
    def chain(self) -> str:
        """The chain's name in evidence and outbox."""
        ...

    def head(self, origin: str) -> AnchoredHead | None:
        """Return what the anchor holds of the log, None if nothing. Raises AnchorRefused where it does not answer."""
        ...

    def anchor(self, request: AnchorRequest) -> AnchorEvidence:
        """Put the checkpoint there and return the evidence once it is final.

        Asked again for a checkpoint it holds already, it returns evidence for that and writes nothing. Where an earlier
        checkpoint of the log was under way, it is that one's evidence that is returned first. Raises AnchorPending
        while finality is still to come (ask again), AnchorRefused where the anchor said no, AnchorForked where it holds
        another history of the log.
        """
        ...


def sign_evidence(
    checkpoint: Checkpoint, *, chain: str, time: int, reference: Mapping[str, str | int], witness: SigningKey
) -> AnchorEvidence:
    """Return the evidence that the checkpoint was seen anchored, signed by the witness."""
    claims = {
        "chain": chain,
        "origin": checkpoint.origin,
        "reference": dict(reference),
        "sha256": b64u_encode(checkpoint.root_sha256),
        "size": checkpoint.size,
        "sm3": b64u_encode(checkpoint.root_sm3),
        "time": time,
    }
    statement = sign_jws(jcs(claims), key=witness, policy=policy(Purpose.ANCHOR))
    return _parse_claims(claims, statement)


def verify_evidence(statement: str, *, witnesses: Mapping[str, PublicKey]) -> AnchorEvidence:
    """Return the evidence of a statement signed by one of the witnesses (by kid). Raises AnchorRefused."""
    if len(statement) > MAX_STATEMENT_CHARS:
        raise AnchorRefused(field="statement", rule="length", most=MAX_STATEMENT_CHARS)
    try:
        payload = verify_jws(statement, keys=witnesses, policy=policy(Purpose.ANCHOR)).payload
        claims = json_strict(payload)
        canonical = jcs(claims)
    except TrustError as error:
        raise AnchorRefused(field="statement", rule="signature") from error
    if canonical != payload:
        raise AnchorRefused(field="statement", rule="canonical")
    return _parse_claims(claims, statement)


def require_binds(evidence: AnchorEvidence, checkpoint: Checkpoint) -> None:
    """Refuse evidence of any other checkpoint than this one."""
    theirs = (evidence.origin, evidence.size, evidence.root_sha256, evidence.root_sm3)
    if theirs != (checkpoint.origin, checkpoint.size, checkpoint.root_sha256, checkpoint.root_sm3):
        raise AnchorRefused(field="checkpoint", rule="equal")


def _parse_claims(claims: object, statement: str) -> AnchorEvidence:
    if not isinstance(claims, dict) or claims.keys() != _MEMBERS:
        raise AnchorRefused(field="statement", rule="members")
    chain, origin, time, size = claims["chain"], claims["origin"], claims["time"], claims["size"]
    if not isinstance(chain, str) or _CHAIN.match(chain) is None or not isinstance(origin, str):
        raise AnchorRefused(field="chain", rule="form")
    if type(time) is not int or time < 0 or type(size) is not int or not 0 < size <= MAX_TREE_SIZE:
        raise AnchorRefused(field="size", rule="range")
    require_origin(origin)
    reference = _parse_reference(claims["reference"])
    return AnchorEvidence(
        chain, origin, size, _parse_root(claims["sha256"]), _parse_root(claims["sm3"]), time, reference, statement
    )


def _parse_root(value: object) -> bytes:
    if not isinstance(value, str):
        raise AnchorRefused(field="root", rule="form")
    try:
        root = b64u_decode(value)
    except TrustError as error:
        raise AnchorRefused(field="root", rule="form") from error
    if len(root) != HASH_BYTES:
        raise AnchorRefused(field="root", rule="length")
    return root


def _parse_reference(value: object) -> dict[str, str | int]:
    if not isinstance(value, dict) or len(value) > MAX_REFERENCE_MEMBERS:
        raise AnchorRefused(field="reference", rule="members")
    reference: dict[str, str | int] = {}
    for name, member in value.items():
        if not isinstance(name, str) or _MEMBER.match(name) is None:
            raise AnchorRefused(field="reference", rule="name")
        if type(member) is not int and (not isinstance(member, str) or len(member) > MAX_REFERENCE_TEXT):
            raise AnchorRefused(field="reference", rule="value")
        reference[name] = member
    return reference
