"""`edutrust ledger check-proofs`: RFC 6962 proof vectors of other people through this product's own verifiers.

A vector is one JSON file: an inclusion or a consistency proof over SHA-256, hashes in base64, and whether it must be
refused. The report says where the verdict here is another one; a file that is not a vector is told, never passed over.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.commands.outcome import CommandFailed
from crypto.encoding import b64_decode, json_object
from crypto.errors import TrustError
from ledger.errors import ProofRefused
from ledger.merkle import HashAlg, verify_consistency, verify_inclusion

# The longest published vector has a path of a few hashes: below two kilobytes.
MAX_VECTOR_BYTES: Final = 256 * 1024

# What makes a file one or the other; more members, such as a description, change nothing.
_INCLUSION: Final = frozenset({"leafIdx", "treeSize", "root", "leafHash"})
_CONSISTENCY: Final = frozenset({"size1", "size2", "root1", "root2"})


class _NotAVectorError(Exception):
    """What a file lacks to be a vector."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A file, relative to the folder, and how it and this product differ."""

    file: str
    reason: str


def main(arguments: argparse.Namespace) -> int:
    """Print the report; 1 where anything disagrees, or nothing was there to check."""
    folder: Path = arguments.dir
    if not folder.is_dir():
        raise CommandFailed(f"{folder} is not a folder of vectors.")
    files = sorted(path for path in folder.rglob("*.json") if path.is_file())
    if not files:
        raise CommandFailed(f"{folder} holds no .json file: nothing was checked.")
    disagree = [one for path in files if (one := check_file(folder, path)) is not None]
    report = {
        "files": len(files),
        "agree": len(files) - len(disagree),
        "disagree": [{"file": one.file, "reason": one.reason} for one in disagree],
    }
    print(json.dumps(report, ensure_ascii=False))
    return 1 if disagree else 0


def check_file(folder: Path, path: Path) -> Disagreement | None:
    """Return how the verdict on one vector differs, None where it agrees."""
    name = path.relative_to(folder).as_posix()
    try:
        with path.open("rb") as file:
            refused, must_refuse = _judge(file.read(MAX_VECTOR_BYTES + 1))
    except (_NotAVectorError, OSError) as error:
        return Disagreement(name, f"not a proof vector: {error}")
    if must_refuse and refused is None:
        return Disagreement(name, "accepted here, must be refused")
    if refused is not None and not must_refuse:
        return Disagreement(name, f"refused here ({refused}), must be accepted")
    return None


def _judge(data: bytes) -> tuple[TrustError | None, bool]:
    """Return this product's refusal (None: it accepts) and whether the vector must be refused."""
    if len(data) > MAX_VECTOR_BYTES:
        raise _NotAVectorError(f"larger than {MAX_VECTOR_BYTES} bytes")
    try:
        vector = json_object(data)
    except TrustError as error:
        raise _NotAVectorError("not a JSON object") from error
    if type(vector.get("wantErr")) is not bool:
        raise _NotAVectorError("wantErr is not true or false")
    must_refuse = vector["wantErr"] is True
    proof = _hashes(vector)
    kinds = [members for members in (_INCLUSION, _CONSISTENCY) if members <= vector.keys()]
    if len(kinds) != 1:
        raise _NotAVectorError("the members are not those of one inclusion or one consistency proof")
    try:
        if kinds[0] is _INCLUSION:
            verify_inclusion(
                HashAlg.SHA256,
                index=_integer(vector, "leafIdx"),
                size=_integer(vector, "treeSize"),
                leaf=_octets(vector["leafHash"], "leafHash"),
                path=proof,
                root=_octets(vector["root"], "root"),
            )
        else:
            verify_consistency(
                HashAlg.SHA256,
                old_size=_integer(vector, "size1"),
                new_size=_integer(vector, "size2"),
                old_root=_octets(vector["root1"], "root1"),
                new_root=_octets(vector["root2"], "root2"),
                proof=proof,
            )
    except ProofRefused as refused:
        return refused, must_refuse
    return None, must_refuse


def _integer(vector: Mapping[str, object], name: str) -> int:
    value = vector[name]
    if type(value) is not int:
        raise _NotAVectorError(f"{name} is not an integer")
    return value


def _octets(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        raise _NotAVectorError(f"{name} is not text")
    try:
        return b64_decode(value)
    except TrustError as error:
        raise _NotAVectorError(f"{name} is not base64") from error


def _hashes(vector: Mapping[str, object]) -> list[bytes]:
    proof = vector.get("proof")
    if proof is None and "proof" in vector:
        return []  # how an encoder of Go writes an empty list
    if not isinstance(proof, list):
        raise _NotAVectorError("proof is not a list")
    return [_octets(one, "proof") for one in proof]
