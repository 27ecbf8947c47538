"""The embedded anchor: a folder of write-once notes, kept by a local witness with its own key.

The witness is a small real one: before it takes a checkpoint it verifies both consistency proofs from the last one it
took. Put the folder on other storage than the database (or on write-once media) and a rewritten log is found out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from crypto.errors import TrustError
from crypto.keys import SigningKey
from ledger.anchor import AnchoredHead, AnchorEvidence, AnchorRequest, require_binds, sign_evidence, verify_evidence
from ledger.checkpoint import Checkpoint, parse_checkpoint_text
from ledger.errors import AnchorForked, AnchorRefused, ProofRefused
from ledger.merkle import HashAlg, verify_consistency
from ledger.note import parse_note

# Sizes are written with leading zeros, so that the names sort as the numbers do (2^63 has 19 digits).
_SIZE_DIGITS: Final = 20


class FileAnchor:
    """Anchors into a folder. Evidence says chain "file"."""

    def __init__(self, folder: Path, *, witness: SigningKey, clock: Callable[[], int]) -> None:
        """`folder` is made where it is missing; `clock` gives the time the statement names, in seconds."""
        self._folder = folder
        self._witness = witness
        self._clock = clock

    @property
    def chain(self) -> str:
        """Return "file"."""
        return "file"

    def head(self, origin: str) -> AnchoredHead | None:
        """Return the newest checkpoint of the log in the folder."""
        checkpoint = self._newest(origin)
        return None if checkpoint is None else AnchoredHead(checkpoint.size, checkpoint.root_sha256)

    def anchor(self, request: AnchorRequest) -> AnchorEvidence:
        """Write the note once, then the statement once (see AnchorDriver)."""
        checkpoint = request.checkpoint
        newest = self._newest(checkpoint.origin)
        if newest is not None and newest.size < checkpoint.size:
            _require_consistent(newest, request)
        elif newest is not None and newest.size > checkpoint.size:
            raise AnchorForked(field="size", rule="not_behind")
        stem = self._stem(checkpoint.origin, checkpoint.size)
        if _write_once(stem.with_suffix(".note"), request.note) != request.note:
            raise AnchorForked(field="note", rule="equal")
        reference = {"file": f"{stem.parent.name}/{stem.name}.note", "sha256": hashlib.sha256(request.note).hexdigest()}
        made = sign_evidence(
            checkpoint, chain=self.chain, time=self._clock(), reference=reference, witness=self._witness
        )
        kept = _write_once(stem.with_suffix(".statement"), made.statement.encode())
        public = self._witness.public
        evidence = verify_evidence(kept.decode("ascii", errors="replace"), witnesses={public.kid: public})
        require_binds(evidence, checkpoint)
        return evidence

    def _stem(self, origin: str, size: int) -> Path:
        return self._folder / hashlib.sha256(origin.encode()).hexdigest()[:16] / f"{size:0{_SIZE_DIGITS}}"

    def _newest(self, origin: str) -> Checkpoint | None:
        notes = self._stem(origin, 0).parent.glob("*.note")
        newest = max(notes, default=None, key=lambda path: path.name)
        if newest is None:
            return None
        try:
            checkpoint = parse_checkpoint_text(parse_note(newest.read_bytes()).text)
        except (OSError, TrustError) as error:
            raise AnchorRefused(field="note", rule="readable") from error
        if checkpoint.origin != origin or f"{checkpoint.size:0{_SIZE_DIGITS}}" != newest.stem:
            raise AnchorRefused(field="note", rule="named")
        return checkpoint


def _require_consistent(newest: Checkpoint, request: AnchorRequest) -> None:
    """Witness the growth from the last checkpoint taken, in both trees."""
    for alg, proof in ((HashAlg.SHA256, request.proof_sha256), (HashAlg.SM3, request.proof_sm3)):
        try:
            verify_consistency(
                alg,
                old_size=newest.size,
                new_size=request.checkpoint.size,
                old_root=newest.root(alg),
                new_root=request.checkpoint.root(alg),
                proof=proof,
            )
        except ProofRefused as error:
            raise AnchorForked(field="proof", rule=alg.value) from error


def _write_once(path: Path, data: bytes) -> bytes:
    """Put the data under its name unless there is something already; return what is there. Durable on return."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it fails where the name is taken, and never replaces.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return path.read_bytes()
    except OSError as error:
        raise AnchorRefused(field="file", rule="written") from error
