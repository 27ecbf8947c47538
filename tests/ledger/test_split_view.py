"""One history: a fork shown to two clients is found from any two checkpoints, and of two writers one wins (G16)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sql.ledger_store import SqlLedgerStore
from ledger.checkpoint import Checkpoint, LogIdentity, sign_checkpoint, verify_checkpoint
from ledger.errors import CheckpointConflict, ProofRefused
from ledger.merkle import HashAlg, verify_consistency
from ledger.store import StoredCheckpoint
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, Keys, make_keys, naive_consistency, naive_root
from tests.soak import Count

SEED = 16
NOW = 1_782_864_000
Proof = Sequence[bytes]


@st.composite
def forks(draw: st.DrawFn) -> tuple[list[bytes], list[bytes], int, int]:
    """Draw two histories that part somewhere, and the size each client was shown: beyond where they part."""
    common = draw(st.lists(st.binary(min_size=1, max_size=4), max_size=24))
    mine = draw(st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=16))
    theirs = draw(st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=16))
    theirs[0] = mine[0] + b"!"
    first, second = common + mine, common + theirs
    parted = len(common)
    return first, second, draw(st.integers(parted + 1, len(first))), draw(st.integers(parted + 1, len(second)))


def shown(bodies: Sequence[bytes], size: int, *, keys: Keys) -> Checkpoint:
    """Return what a client takes home: a checkpoint the log really signed, over as many of these entries."""
    sm3, sha256 = (naive_root(alg, bodies[:size]) for alg in (HashAlg.SM3, HashAlg.SHA256))
    note = sign_checkpoint(Checkpoint(ORIGIN, size, sha256, sm3, NOW), sm2_key=keys.sm2, ed25519_key=None)
    return verify_checkpoint(note, log=LogIdentity(ORIGIN, keys.sm2.public, None))


def one_history(first: Checkpoint, second: Checkpoint, prove: Callable[[HashAlg, int, int], Proof]) -> bool:
    """Compare two checkpoints as a client does that asks the log for the proofs: in both trees, or not at all."""
    old, new = sorted((first, second), key=lambda one: one.size)
    try:
        for alg in HashAlg:
            verify_consistency(
                alg,
                old_size=old.size,
                new_size=new.size,
                old_root=old.root(alg),
                new_root=new.root(alg),
                proof=prove(alg, old.size, new.size),
            )
    except ProofRefused:
        return False
    return True


def proofs_of(bodies: Sequence[bytes]) -> Callable[[HashAlg, int, int], Proof]:
    return lambda alg, old, new: naive_consistency(alg, old, bodies[:new])


@pytest.fixture(scope="module")
def signing() -> Keys:
    return make_keys()


@settings(deadline=None)
@given(fork=forks(), data=st.data())
def test_a_fork_shown_to_two_clients_is_found_from_any_two_of_their_checkpoints(
    signing: Keys, fork: tuple[list[bytes], list[bytes], int, int], data: st.DataObject
) -> None:
    """Whichever history the log proves from, and whatever it makes up of the hashes of both."""
    first, second, shown_first, shown_second = fork
    one, other = shown(first, shown_first, keys=signing), shown(second, shown_second, keys=signing)
    # Each history is one by itself: the log can answer each client alone.
    assert one_history(one, shown(first, len(first), keys=signing), proofs_of(first))
    assert one_history(other, shown(second, len(second), keys=signing), proofs_of(second))
    for bodies in (first, second):
        if len(bodies) >= max(shown_first, shown_second):
            assert not one_history(one, other, proofs_of(bodies))
    assert not one_history(one, other, lambda *_: ())

    def made_up(alg: HashAlg, old: int, new: int) -> Proof:
        longest = first if len(first) >= new else second
        honest = list(naive_consistency(alg, old, longest[:new])) if len(longest) >= new else []
        pool = [one.root(alg), other.root(alg), *honest]
        for bodies in (first, second):
            pool += naive_consistency(alg, min(old, len(bodies)), bodies)
        place = data.draw(st.integers(0, 2 * len(honest)))
        if place < len(honest):
            honest[place] = data.draw(st.sampled_from(pool))
            return honest
        invented: list[bytes] = data.draw(st.lists(st.sampled_from(pool), max_size=8))
        return invented

    assert not one_history(one, other, made_up)


@settings(deadline=None)
@given(fork=forks(), alg=st.sampled_from(list(HashAlg)))
def test_a_fork_in_one_of_the_trees_alone_is_found(
    signing: Keys, fork: tuple[list[bytes], list[bytes], int, int], alg: HashAlg
) -> None:
    """A log that keeps one tree honest and forks the other, to deceive those who look at one."""
    first, second, shown_first, _ = fork
    honest = shown(first, len(first), keys=signing)
    # Of the same size, and smaller: one root of this history, the other of that.
    for size in {shown_first, len(first)}:
        one = shown(first, size, keys=signing)
        if size > len(second):
            continue
        forged_root = naive_root(alg, second[:size])
        forged = replace(one, root_sm3=forged_root) if alg is HashAlg.SM3 else replace(one, root_sha256=forged_root)
        assert one_history(one, honest, proofs_of(first))
        assert not one_history(forged, honest, proofs_of(first))


@pytest.mark.soak
def test_two_writers_that_expect_one_head_exactly_one_wins_every_time(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, database_url: str
) -> None:
    """Neither looks at the head under a lock first: the swap alone decides."""
    stores = [SqlLedgerStore(open_ledger(), ORIGIN) for _ in range(2)]
    new_sequencer(stores[0]).open()
    for store in stores:
        store.checkpoint(0)  # each knows its log's number: the swap is the first thing it does
    dialect = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    count = Count("G16", f"two-writers-{dialect}", "exactly one wins", SEED, sample=50, full=1_000)
    for trial in count.trials():
        head = stores[0].head()
        assert head is not None
        outcomes = _race(stores, head, trial)
        assert sorted(how for _, how in outcomes) == ["lost", "won"]
        won = next(new for new, how in outcomes if how == "won")
        assert stores[0].head() == stores[1].head() == won
        assert stores[1].checkpoint(won.size) == won


def _race(stores: Sequence[SqlLedgerStore], head: StoredCheckpoint, trial: int) -> list[tuple[StoredCheckpoint, str]]:
    barrier = threading.Barrier(len(stores))
    outcomes: list[tuple[StoredCheckpoint, str]] = []

    def swap(number: int, store: SqlLedgerStore) -> None:
        new = StoredCheckpoint(head.size + 1, b"%d of writer %d" % (trial, number), bytes(32))
        barrier.wait()
        try:
            with store.writing() as write:
                write.swap_checkpoint(head, new)
            outcomes.append((new, "won"))
        except CheckpointConflict:
            outcomes.append((new, "lost"))

    threads = [threading.Thread(target=swap, args=(number, store)) for number, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
