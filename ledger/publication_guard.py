"""Before anything is signed: is this database still the newest state of its log?

A database restored from an older backup would sign a second history over entries whose receipts are out. Whoever has seen
the log before remembers: the published files, the anchors' places. None of them may know more than the database, or
anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.errors import IntegrityBroken
from ledger.merkle import HashAlg


@dataclass(frozen=True, slots=True)
class Remembered:
    """A state of the log that somebody holds: who, its size, its roots as far as they keep them."""

    where: str
    size: int
    root_sha256: bytes
    root_sm3: bytes | None


def require_newest(
    head: Checkpoint | None, remembered: Iterable[Remembered], root: Callable[[HashAlg, int], bytes]
) -> None:
    """Refuse a head that is behind what is remembered, or of another history.

    `root` computes the root of a smaller size from what the store holds; None as head is a store without the log.
    Raises IntegrityBroken (field `head`) naming `where`, both sizes, and the rule: `not_behind` where more is
    remembered than there is, `same_history` where it is something else.
    """
    for one in remembered:
        size = -1 if head is None else head.size
        if head is None or one.size > head.size:
            raise _refused("not_behind", one, size)
        for alg, expected in ((HashAlg.SHA256, one.root_sha256), (HashAlg.SM3, one.root_sm3)):
            if expected is None:
                continue
            found = head.root(alg) if one.size == head.size else _root(root, alg, one, size)
            if found != expected:
                raise _refused("same_history", one, size)


def _root(root: Callable[[HashAlg, int], bytes], alg: HashAlg, one: Remembered, head: int) -> bytes:
    try:
        return root(alg, one.size)
    except IntegrityBroken as error:
        raise _refused("same_history", one, head) from error


def _refused(rule: str, one: Remembered, head: int) -> IntegrityBroken:
    return IntegrityBroken(field="head", rule=rule, where=one.where, size=one.size, head=head)
