"""Following a published log from outside: no checkpoint may take back what an earlier one promised.

Everything here is pure: the network, the clock and the kept state come as arguments. A round ends in a verdict, and a
verdict that accuses the log carries what a third party needs to see it too: two notes the log signed that cannot both
be true.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from crypto.errors import TrustError
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.errors import CheckpointRefused, IntegrityBroken, LedgerUnavailable, ProofRefused
from ledger.follow_tiles import Fetch, SignedTiles, TileCache
from ledger.layout import CHECKPOINT_NAME
from ledger.merkle import HASH_BYTES, HashAlg, verify_consistency, verify_inclusion
from ledger.note import MAX_NOTE_BYTES
from ledger.proof_file import ProofFile
from ledger.tiles import TILE_WIDTH, TileId, TileTree

# A log whose clock runs this far ahead of ours could never become stale.
MAX_AHEAD_S: Final = 3600


class Verdict(StrEnum):
    """How a round or a comparison ended. The first three are good; every other one is an alarm."""

    FIRST = "first"
    """Nothing was held before: the checkpoint is signed, and the published tiles give its roots."""
    SAME = "same"
    """The same trees as before."""
    GROWN = "grown"
    """Larger trees that begin with the ones held before, both proved."""
    FORK = "fork"
    """Two signed checkpoints that cannot be of one append-only log: proved."""
    ROLLBACK = "rollback"
    """A signed checkpoint older than the one held: smaller, or larger with an earlier time."""
    UNSIGNED = "unsigned"
    """The checkpoint is malformed, of another log, or not signed by the pinned keys."""
    STALE = "stale"
    """The newest checkpoint is older than allowed, or dated into the future."""
    UNPROVED = "unproved"
    """Tiles are missing or do not lead to the signed roots; whether history was rewritten cannot be told."""
    UNREACHABLE = "unreachable"
    """The log did not answer, or not within its bounds."""

    @property
    def good(self) -> bool:
        """Say whether nothing is wrong."""
        return self in {Verdict.FIRST, Verdict.SAME, Verdict.GROWN}


@dataclass(frozen=True, slots=True)
class Divergence:
    """Proof that a tree does not begin with an older one.

    `root` is the hash of the larger tree's own first leaves, `proof` the consistency proof from it to the larger root.
    """

    alg: HashAlg
    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A note whose signatures were verified, and what it says."""

    note: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its grounds: the note held before, the one seen now, and what refused or diverged."""

    verdict: Verdict
    held: Seen | None
    seen: Seen | None
    keep: Seen | None
    """What to hold from now on; never older than `held`."""
    refusal: TrustError | None = None
    trees: tuple[HashAlg, ...] = ()
    """The trees whose roots contradict each other."""
    divergences: tuple[Divergence, ...] = ()
    """For trees of different sizes, the proof of each contradiction."""


def see(note: bytes, log: LogIdentity) -> Seen:
    """Verify a note under the log's keys. Raises CheckpointRefused."""
    return Seen(note, verify_checkpoint(note, log=log))


def follow_round(
    log: LogIdentity, held: Seen | None, *, fetch: Fetch, cache: TileCache, now: int, stale_after: int | None
) -> Judgement:
    """Fetch the newest checkpoint and judge it against the one held.

    `now` and `stale_after` are seconds; None is never stale. No refusal of the log's is raised: each is a verdict.
    """
    try:
        seen = _published(log, fetch)
    except LedgerUnavailable as refused:
        return Judgement(Verdict.UNREACHABLE, held, None, held, refused)
    except CheckpointRefused as refused:
        return Judgement(Verdict.UNSIGNED, held, None, held, refused)
    judged = _judge_next(held, seen, fetch=fetch, cache=cache)
    if judged.verdict.good and stale_after is not None:
        age = now - seen.checkpoint.time
        if age > stale_after or age < -MAX_AHEAD_S:
            return Judgement(Verdict.STALE, held, seen, judged.keep)
    return judged


def _judge_next(held: Seen | None, seen: Seen, *, fetch: Fetch, cache: TileCache) -> Judgement:
    old, new = None if held is None else held.checkpoint, seen.checkpoint
    if old is not None and new.size < old.size:
        return Judgement(Verdict.ROLLBACK, held, seen, held)
    if old is not None and new.size == old.size:
        return _judge_equal(held, seen)
    try:
        divergences = diverging(old, new, fetch=fetch, cache=cache)
    except LedgerUnavailable as refused:
        return Judgement(Verdict.UNREACHABLE, held, seen, held, refused)
    except (IntegrityBroken, ProofRefused) as refused:
        return Judgement(Verdict.UNPROVED, held, seen, held, refused)
    if divergences:
        trees = tuple(one.alg for one in divergences)
        return Judgement(Verdict.FORK, held, seen, held, trees=trees, divergences=divergences)
    if old is not None and new.time < old.time:
        return Judgement(Verdict.ROLLBACK, held, seen, held)
    return Judgement(Verdict.FIRST if held is None else Verdict.GROWN, held, seen, seen)


def _judge_equal(held: Seen | None, seen: Seen) -> Judgement:
    """Judge two checkpoints of one size; only the roots can differ, and they must not."""
    if held is None:
        return Judgement(Verdict.SAME, None, seen, seen)
    trees = tuple(alg for alg in HashAlg if held.checkpoint.root(alg) != seen.checkpoint.root(alg))
    if trees:
        return Judgement(Verdict.FORK, held, seen, held, trees=trees)
    newer = seen if seen.checkpoint.time > held.checkpoint.time else held
    return Judgement(Verdict.SAME, held, seen, newer)


def diverging(old: Checkpoint | None, new: Checkpoint, *, fetch: Fetch, cache: TileCache) -> tuple[Divergence, ...]:
    """Return, for each tree that does not begin with the older one, the proof of it; nothing where both do.

    Both consistency proofs are computed from tiles that were held to the new roots, and verified. Without an older
    checkpoint, or from the empty tree, the tiles of the right edge are. Raises IntegrityBroken where the tiles are
    missing or do not lead to the new root, LedgerUnavailable.
    """
    found: list[Divergence] = []
    for alg in HashAlg:
        tiles = SignedTiles(alg, new.size, new.root(alg), fetch=fetch, cache=cache)
        tiles.check_edge()
        if old is None or old.size == 0:
            continue
        tree = TileTree(alg, tiles)
        proof = tree.consistency(old.size, new.size)
        divergence = Divergence(alg, tree.root(old.size), proof)
        require_leads(divergence, old.size, new)
        if divergence.root != old.root(alg):
            found.append(divergence)
    return tuple(found)


def require_leads(divergence: Divergence, old_size: int, new: Checkpoint) -> None:
    """Verify that the first `old_size` leaves of the new tree hash to what the divergence says. Raises ProofRefused."""
    verify_consistency(
        divergence.alg,
        old_size=old_size,
        new_size=new.size,
        old_root=divergence.root,
        new_root=new.root(divergence.alg),
        proof=divergence.proof,
    )


def judge_proof(a: Seen, b: Seen, divergences: tuple[Divergence, ...]) -> Judgement:
    """Judge two checkpoints by the proof of somebody else, such as a follower's evidence: FORK only where it proves so.

    Offline, from three small files. A proof that proves nothing is UNPROVED: it does not say that the log is sound.
    """
    old, new = sorted((a, b), key=lambda one: one.checkpoint.size)
    if old.checkpoint.size == new.checkpoint.size:
        return _judge_equal(old, new)
    try:
        for one in divergences:
            require_leads(one, old.checkpoint.size, new.checkpoint)
    except ProofRefused as refused:
        return Judgement(Verdict.UNPROVED, old, new, None, refused)
    proved = tuple(one for one in divergences if one.root != old.checkpoint.root(one.alg))
    trees = tuple(one.alg for one in proved)
    return Judgement(Verdict.FORK if proved else Verdict.UNPROVED, old, new, None, trees=trees, divergences=proved)


def compare(a: Seen, b: Seen, *, log: LogIdentity, fetch: Fetch | None, cache: TileCache) -> Judgement:
    """Judge two checkpoints of one log; `held` of the answer is the smaller one.

    Different sizes need the published tiles: those of the newest published checkpoint, which both must be part of, or
    of the larger note where the published log is behind it. Without `fetch` the answer is UNPROVED.
    """
    old, new = sorted((a, b), key=lambda one: one.checkpoint.size)
    if old.checkpoint.size == new.checkpoint.size:
        return _judge_equal(old, new)
    if fetch is None:
        return Judgement(Verdict.UNPROVED, old, new, None)
    try:
        whole = _published(log, fetch)
    except LedgerUnavailable as refused:
        return Judgement(Verdict.UNREACHABLE, old, new, None, refused)
    except CheckpointRefused as refused:
        return Judgement(Verdict.UNSIGNED, old, new, None, refused)
    if whole.checkpoint.size > new.checkpoint.size:
        for one in (new, old):
            judged = _judge_next(one, whole, fetch=fetch, cache=cache)
            if judged.verdict is not Verdict.GROWN:
                return judged
        return Judgement(Verdict.GROWN, old, new, None)
    if whole.checkpoint.size == new.checkpoint.size:
        judged = _judge_equal(new, whole)
        if not judged.verdict.good:
            return judged
    return _judge_next(old, new, fetch=fetch, cache=cache)


def published_proof(log: LogIdentity, alg: HashAlg, index: int, *, fetch: Fetch, cache: TileCache) -> ProofFile:
    """Return the proof of an entry under the newest published checkpoint, made from tiles alone and verified.

    Raises ProofRefused where the log is not that long, IntegrityBroken where its tiles are missing or do not lead to
    the signed root, CheckpointRefused, LedgerUnavailable.
    """
    whole = _published(log, fetch)
    size, root = whole.checkpoint.size, whole.checkpoint.root(alg)
    tiles = SignedTiles(alg, size, root, fetch=fetch, cache=cache)
    path = TileTree(alg, tiles).inclusion(index, size)
    tile, place = divmod(index, TILE_WIDTH)
    leaves = tiles([TileId(alg, 0, tile)])[TileId(alg, 0, tile)]
    leaf = leaves[place * HASH_BYTES : (place + 1) * HASH_BYTES]
    verify_inclusion(alg, index=index, size=size, leaf=leaf, path=path, root=root)
    return ProofFile(alg, index, path, whole.note)


def _published(log: LogIdentity, fetch: Fetch) -> Seen:
    try:
        note = fetch(CHECKPOINT_NAME, MAX_NOTE_BYTES)
    except LedgerUnavailable as refused:
        if refused.rule == "length":
            raise CheckpointRefused(field="note", rule="length", most=MAX_NOTE_BYTES) from refused
        raise
    if note is None:
        raise LedgerUnavailable(field="checkpoint", rule="present", path=CHECKPOINT_NAME)
    return see(note, log)
