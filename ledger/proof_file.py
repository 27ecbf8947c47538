"""An inclusion proof as a small text file: C2SP tlog-proof, and the same for the tree of the national profile.

    c2sp.org/tlog-proof@v1          or    edutrust/tlog-proof/sm3@v1
    index 73894
    <base64 of one 32-byte hash a line, the leaf's sibling first>

    <the checkpoint's note, byte for byte>

Of the specification's one version (`@v1`). Its `extra` line is not authenticated by anything, so files with one are
refused: here, as in a receipt, every byte either is checked or makes the file unreadable. The SM3 form has a first line
of its own, so that a stock client refuses it instead of hashing with the wrong function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from crypto.encoding import b64_decode
from crypto.errors import TrustError
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.errors import ProofRefused
from ledger.merkle import HASH_BYTES, MAX_TREE_SIZE, HashAlg, leaf_hash, verify_inclusion
from ledger.note import MAX_NOTE_BYTES, b64_encode

HEADERS: Final[dict[HashAlg, str]] = {
    HashAlg.SHA256: "c2sp.org/tlog-proof@v1",
    HashAlg.SM3: "edutrust/tlog-proof/sm3@v1",
}

# A tree of 2^63 leaves has paths of 63 hashes; a hash line is 44 characters and a line feed.
MAX_PROOF_LINES: Final = 63
MAX_PROOF_FILE_BYTES: Final = 128 + MAX_PROOF_LINES * 45 + MAX_NOTE_BYTES

_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True)
class ProofFile:
    """A proof as parsed, nothing of it believed yet. `path` is lowest sibling first; `note` the signed checkpoint."""

    alg: HashAlg
    index: int
    path: tuple[bytes, ...]
    note: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_TREE_SIZE:
            raise ProofRefused(field="index", rule="range")
        if len(self.path) > MAX_PROOF_LINES or any(len(digest) != HASH_BYTES for digest in self.path):
            raise ProofRefused(field="path", rule="length")
        if len(self.note) > MAX_NOTE_BYTES:
            raise ProofRefused(field="note", rule="length", most=MAX_NOTE_BYTES)

    def to_bytes(self) -> bytes:
        """Return the file's one encoding."""
        lines = [HEADERS[self.alg], f"index {self.index}", *(b64_encode(digest) for digest in self.path), "", ""]
        return "\n".join(lines).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> ProofFile:
        """Parse a proof file; anything but what `to_bytes` writes raises ProofRefused. The note is not looked into."""
        if len(data) > MAX_PROOF_FILE_BYTES:
            raise ProofRefused(field="file", rule="length", most=MAX_PROOF_FILE_BYTES)
        head, separator, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise ProofRefused(field="file", rule="ascii") from error
        alg = next((alg for alg, header in HEADERS.items() if header == lines[0]), None)
        if alg is None:
            raise ProofRefused(field="file", rule="known_header")
        if not separator or len(lines) < 2:
            raise ProofRefused(field="file", rule="form")
        if lines[1].startswith("extra "):
            raise ProofRefused(field="extra", rule="absent")
        if not lines[1].startswith("index ") or _DECIMAL.match(lines[1].removeprefix("index ")) is None:
            raise ProofRefused(field="index", rule="decimal")
        try:
            path = tuple(b64_decode(line) for line in lines[2:])
        except TrustError as error:
            raise ProofRefused(field="path", rule="base64") from error
        return cls(alg, int(lines[1].removeprefix("index ")), path, note)


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry proved to stand at `index` of one tree under a checkpoint that the log signed."""

    alg: HashAlg
    index: int
    body: bytes
    checkpoint: Checkpoint


def verify_proof_file(data: bytes, *, body: bytes, log: LogIdentity) -> ProvedEntry:
    """Prove that the entry `body` stands in the log, from the file alone.

    Raises ProofRefused where the file or its path is wrong, CheckpointRefused where its checkpoint is.
    """
    proof = ProofFile.parse(data)
    checkpoint = verify_checkpoint(proof.note, log=log)
    verify_inclusion(
        proof.alg,
        index=proof.index,
        size=checkpoint.size,
        leaf=leaf_hash(proof.alg, body),
        path=proof.path,
        root=checkpoint.root(proof.alg),
    )
    return ProvedEntry(proof.alg, proof.index, body, checkpoint)
