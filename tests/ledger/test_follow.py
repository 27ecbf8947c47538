"""Following a published log: growth is proved in both trees, and nothing that was signed can be taken back unseen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.follow import LogInFolder, NoTiles, TileFolder
from ledger.checkpoint import sign_checkpoint
from ledger.errors import CheckpointRefused, ProofRefused
from ledger.follow import Divergence, Judgement, Seen, Verdict, compare, follow_round, judge_proof, published_proof, see
from ledger.follow_state import FollowState, evidence_files, parse_divergences
from ledger.follow_tiles import TileCache
from ledger.merkle import HashAlg
from ledger.proof_file import verify_proof_file
from tests.ledger.following import PublishedLog, flip
from tests.ledger.parts import Keys, entry
from tests.scale import trials
from tests.services.clock import StillClock

NewLog = Callable[[str], PublishedLog]


@pytest.fixture
def new_log(tmp_path: Path, keys: Keys, clock: StillClock) -> Iterator[NewLog]:
    made: list[PublishedLog] = []

    def make(name: str) -> PublishedLog:
        made.append(PublishedLog(tmp_path / name, keys, clock))
        return made[-1]

    yield make
    for log in made:
        log.close()


def follow(
    log: PublishedLog,
    held: Seen | None = None,
    *,
    cache: TileCache | None = None,
    stale_after: int | None = None,
) -> Judgement:
    return follow_round(
        log.document.identity,
        held,
        fetch=LogInFolder(log.folder).fetch,
        cache=cache or NoTiles(),
        now=log.clock(),
        stale_after=stale_after,
    )


def kept(judged: Judgement) -> Seen:
    assert judged.keep is not None
    return judged.keep


def test_the_first_round_holds_the_tiles_to_the_signature(new_log: NewLog) -> None:
    log = new_log("a")
    log.grow(300)
    judged = follow(log)
    assert judged.verdict is Verdict.FIRST
    assert kept(judged).checkpoint.size == 300
    flip(log.tile(HashAlg.SM3, 0, 1, 44), 7)
    judged = follow(log)
    assert (judged.verdict, judged.keep) == (Verdict.UNPROVED, None)
    assert judged.refusal is not None
    assert "sm3/tile/0/001.p/44" in str(judged.refusal.params["path"])


def test_growth_through_all_shapes_of_the_tree_is_proved(new_log: NewLog, tmp_path: Path) -> None:
    log, cache = new_log("a"), TileFolder(tmp_path / "cache")
    held: Seen | None = None
    for size in (0, 1, 2, 255, 256, 257, 511, 512, 700, 4096, 65_535, 65_536, 65_900):
        log.grow(size)
        judged = follow(log, held, cache=cache)
        assert judged.verdict is (Verdict.FIRST if held is None else Verdict.GROWN), size
        held = kept(judged)
        assert held.checkpoint.size == size
        assert follow(log, held, cache=cache).verdict is Verdict.SAME


def test_every_pair_of_sizes_of_a_small_log_is_consistent_and_both_notes_say_so(new_log: NewLog) -> None:
    log = new_log("a")
    notes = [see(log.grow(size), log.document.identity) for size in (0, 1, 3, 8, 200, 256, 300, 513, 600)]
    fetch = LogInFolder(log.folder).fetch
    for a in notes:
        for b in notes:
            verdict = compare(a, b, log=log.document.identity, fetch=fetch, cache=NoTiles()).verdict
            assert verdict is (Verdict.SAME if a is b else Verdict.GROWN)


def test_a_partial_tile_that_gave_way_to_the_full_one_is_read_from_it(new_log: NewLog) -> None:
    """C2SP tlog-tiles: partial tiles may be removed once the full one is there; a reader falls back to that."""
    log = new_log("a")
    log.grow(10)
    held = kept(follow(log))
    log.grow(300)
    old = log.path("checkpoint").read_bytes()
    log.grow(600)
    assert not log.tile(HashAlg.SHA256, 0, 1, 44).exists()
    log.path("checkpoint").write_bytes(old)
    judged = follow(log, held)
    assert (judged.verdict, kept(judged).checkpoint.size) == (Verdict.GROWN, 300)


def test_the_same_size_with_another_root_is_a_proved_fork(new_log: NewLog, keys: Keys) -> None:
    log, other = new_log("a"), new_log("b")
    log.grow(300)
    other.grow(300, salt="other")
    held = kept(follow(log))
    judged = follow(other, held)
    assert judged.verdict is Verdict.FORK
    assert judged.trees == tuple(HashAlg)
    assert judged.keep == held
    files = evidence_files(judged)
    a, b = (see(data, keys.identity) for name, data in files.items() if name.endswith(".note"))
    assert {a.note, b.note} == {held.note, other.path("checkpoint").read_bytes()}
    proved = compare(a, b, log=keys.identity, fetch=None, cache=NoTiles())
    assert (proved.verdict, proved.trees) == (Verdict.FORK, tuple(HashAlg))


@pytest.mark.parametrize("alg", HashAlg)
def test_a_fork_of_one_tree_alone_is_a_fork(alg: HashAlg, new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    log.grow(5)
    held = kept(follow(log))
    if alg is HashAlg.SM3:
        checkpoint = replace(held.checkpoint, root_sm3=bytes(32))
    else:
        checkpoint = replace(held.checkpoint, root_sha256=bytes(32))
    log.path("checkpoint").write_bytes(sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=keys.ed25519))
    judged = follow(log, held)
    assert (judged.verdict, judged.trees) == (Verdict.FORK, (alg,))


@pytest.mark.parametrize(("old", "new"), [(1, 2), (200, 300), (256, 257), (256, 512), (300, 700), (4096, 5000)])
def test_a_larger_log_with_another_beginning_is_a_proved_fork(old: int, new: int, new_log: NewLog, keys: Keys) -> None:
    log, other = new_log("a"), new_log("b")
    log.grow(old)
    other.grow(new, salt="other")
    held = kept(follow(log))
    judged = follow(other, held)
    assert (judged.verdict, judged.trees, judged.keep) == (Verdict.FORK, tuple(HashAlg), held)
    # What a third party gets: two notes and a document, from which the fork follows without the log.
    files = evidence_files(judged)
    assert len(files) == 3
    a, b = (see(data, keys.identity) for name, data in files.items() if name.endswith(".note"))
    [proof] = [parse_divergences(data) for name, data in files.items() if name.endswith(".json")]
    proved = judge_proof(a, b, proof)
    assert (proved.verdict, proved.trees) == (Verdict.FORK, tuple(HashAlg))


def test_a_proof_accuses_nobody_wrongly(new_log: NewLog, keys: Keys) -> None:
    log, other = new_log("a"), new_log("b")
    held = see(log.grow(200), keys.identity)
    grown = see(log.grow(300), keys.identity)
    other.grow(300, salt="other")
    proof = follow(other, held).divergences
    assert judge_proof(held, grown, proof).verdict is Verdict.UNPROVED
    assert judge_proof(held, grown, ()).verdict is Verdict.UNPROVED
    true = tuple(Divergence(alg, held.checkpoint.root(alg), log.consistency(alg, 200, 300)) for alg in HashAlg)
    assert judge_proof(held, grown, true).verdict is Verdict.UNPROVED
    made_up = tuple(Divergence(one.alg, bytes(32), one.proof) for one in proof)
    assert judge_proof(held, see(other.path("checkpoint").read_bytes(), keys.identity), made_up).verdict is (
        Verdict.UNPROVED
    )
    assert judge_proof(grown, grown, proof).verdict is Verdict.SAME


def test_a_smaller_checkpoint_is_a_rollback_with_both_notes_as_evidence(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    old = log.grow(100)
    log.grow(200)
    held = kept(follow(log))
    log.path("checkpoint").write_bytes(old)
    judged = follow(log, held)
    assert (judged.verdict, judged.keep) == (Verdict.ROLLBACK, held)
    sizes = {
        see(data, keys.identity).checkpoint.size for name, data in evidence_files(judged).items() if "note" in name
    }
    assert sizes == {100, 200}


def test_a_larger_checkpoint_with_an_earlier_time_is_a_rollback(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    log.grow(100)
    held = kept(follow(log))
    new = see(log.grow(200), keys.identity).checkpoint
    note = sign_checkpoint(replace(new, time=held.checkpoint.time - 1), sm2_key=keys.sm2, ed25519_key=keys.ed25519)
    log.path("checkpoint").write_bytes(note)
    assert follow(log, held).verdict is Verdict.ROLLBACK


def test_the_same_trees_signed_again_later_are_held_and_earlier_are_not(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    log.grow(100)
    held = kept(follow(log))
    for shift, newer in ((5, True), (-5, False), (0, False)):
        checkpoint = replace(held.checkpoint, time=held.checkpoint.time + shift)
        log.path("checkpoint").write_bytes(sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=keys.ed25519))
        judged = follow(log, held)
        assert (judged.verdict, judged.keep != held) == (Verdict.SAME, newer)


def test_a_checkpoint_too_old_or_from_the_future_is_stale_though_sound(new_log: NewLog) -> None:
    log = new_log("a")
    log.grow(100)
    log.clock.advance(600)
    assert follow(log).verdict is Verdict.FIRST
    assert follow(log, stale_after=700).verdict is Verdict.FIRST
    judged = follow(log, stale_after=500)
    assert (judged.verdict, kept(judged).checkpoint.size) == (Verdict.STALE, 100)
    log.clock.advance(-10_000)
    assert follow(log, stale_after=500).verdict is Verdict.STALE


def test_a_checkpoint_nobody_pinned_has_signed_is_refused(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    log.grow(100)
    held = kept(follow(log))
    checkpoint = replace(held.checkpoint, size=101)
    for note in (
        b"",
        b"garbage",
        b"\xff" * 100,
        b"x" * 10_000,
        sign_checkpoint(checkpoint, sm2_key=keys.witness, ed25519_key=keys.ed25519),
        sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=None),
        sign_checkpoint(replace(checkpoint, origin="other.example"), sm2_key=keys.sm2, ed25519_key=keys.ed25519),
        held.note.replace(b"\n100\n", b"\n101\n"),
    ):
        log.path("checkpoint").write_bytes(note)
        judged = follow(log, held)
        assert (judged.verdict, judged.keep) == (Verdict.UNSIGNED, held)
        assert evidence_files(judged) == {}
    log.path("checkpoint").unlink()
    assert follow(log, held).verdict is Verdict.UNREACHABLE


@pytest.mark.soak
def test_any_flipped_bit_of_a_tile_is_named_and_never_taken_for_a_fork(new_log: NewLog, tmp_path: Path) -> None:
    log = new_log("a")
    log.grow(700)
    held = kept(follow(log))
    log.grow(trials(5_000, full=66_000))
    assert follow(log, held).verdict is Verdict.GROWN
    tiles = [
        path for root in ("tile", "sm3/tile") for level in "012" for path in log.path(f"{root}/{level}").rglob("*")
    ]
    tiles = sorted(path for path in tiles if path.is_file())
    rng, told = random.Random(20_260_701), 0
    for _ in range(trials(60, full=2000)):
        path, bit = rng.choice(tiles), rng.randrange(1 << 16)
        flip(path, bit)
        judged = follow(log, held)
        flip(path, bit)
        if judged.verdict is Verdict.GROWN:  # a tile that this proof needs no hash of
            continue
        told += 1
        assert judged.verdict is Verdict.UNPROVED
        assert judged.keep == held
        assert judged.refusal is not None
        assert path.relative_to(log.folder).as_posix() in str(judged.refusal.params["path"]).split()
    assert told


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (Path.unlink, "present"),
        (lambda path: path.write_bytes(b""), "length"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "length"),
        (lambda path: path.write_bytes(path.read_bytes()[:-32]), "length"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "length"),
        (lambda path: path.write_bytes(path.read_bytes() * 100), "length"),
        (lambda path: path.write_bytes(bytes(len(path.read_bytes()))), "signed_root"),
    ],
)
@pytest.mark.parametrize("which", [(0, 2, 256), (0, 2, 188), (1, 0, 2)])
def test_a_tile_that_is_missing_or_of_another_length_is_named(
    spoil: Callable[[Path], object], rule: str, which: tuple[int, int, int], new_log: NewLog
) -> None:
    log = new_log("a")
    log.grow(600)
    held = kept(follow(log))
    log.grow(900 if which[2] == 256 else 700)
    path = log.tile(HashAlg.SHA256, *which)
    path.chmod(0o644)
    spoil(path)
    judged = follow(log, held)
    assert judged.verdict is Verdict.UNPROVED
    assert judged.refusal is not None
    assert judged.refusal.rule == rule
    assert path.relative_to(log.folder).as_posix() in str(judged.refusal.params["path"])


def test_a_spoilt_cache_is_fetched_again_and_makes_no_alarm(new_log: NewLog, tmp_path: Path) -> None:
    log, cache = new_log("a"), TileFolder(tmp_path / "cache")
    log.grow(300)
    held = kept(follow(log))
    log.grow(900)
    assert follow(log, held, cache=cache).verdict is Verdict.GROWN
    kept_tiles = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept_tiles
    for path in kept_tiles:
        flip(path, 100)
    assert follow(log, held, cache=cache).verdict is Verdict.GROWN
    for path in kept_tiles:
        assert path.read_bytes() == (log.folder / path.relative_to(tmp_path / "cache")).read_bytes()
        path.write_bytes(b"")
    assert follow(log, held, cache=cache).verdict is Verdict.GROWN


def test_what_the_cache_has_is_not_fetched_again(new_log: NewLog, tmp_path: Path) -> None:
    log, cache = new_log("a"), TileFolder(tmp_path / "cache")
    log.grow(300)
    held = kept(follow(log))
    log.grow(900)
    asked: list[str] = []

    def fetch(path: str, most: int) -> bytes | None:
        asked.append(path)
        return LogInFolder(log.folder).fetch(path, most)

    for expected in (True, False):
        asked.clear()
        judged = follow_round(log.document.identity, held, fetch=fetch, cache=cache, now=0, stale_after=None)
        assert judged.verdict is Verdict.GROWN
        assert ("tile/0/001" in asked) is expected
        assert len(asked) == len(set(asked))


def test_a_proof_of_every_entry_is_made_from_the_tiles(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    log.grow(520)
    fetch = LogInFolder(log.folder).fetch
    for alg in HashAlg:
        for index in (0, 1, 254, 255, 256, 511, 512, 519):
            proof = published_proof(keys.identity, alg, index, fetch=fetch, cache=NoTiles())
            proved = verify_proof_file(proof.to_bytes(), body=entry(index).body, log=keys.identity)
            assert (proved.index, proved.alg) == (index, alg)
        for index in (-1, 520, 1 << 70):
            with pytest.raises(ProofRefused):
                published_proof(keys.identity, alg, index, fetch=fetch, cache=NoTiles())


def test_notes_are_compared_by_the_newest_published_log(new_log: NewLog, keys: Keys) -> None:
    log, other = new_log("a"), new_log("b")
    identity, fetch = keys.identity, LogInFolder(log.folder).fetch
    a, b = see(log.grow(100), identity), see(log.grow(300), identity)
    forged, larger = see(other.grow(200, salt="x"), identity), see(other.grow(400, salt="x"), identity)
    assert compare(a, b, log=identity, fetch=None, cache=NoTiles()).verdict is Verdict.UNPROVED
    assert compare(b, a, log=identity, fetch=fetch, cache=NoTiles()).verdict is Verdict.GROWN
    assert compare(a, forged, log=identity, fetch=fetch, cache=NoTiles()).verdict is Verdict.FORK
    assert compare(forged, b, log=identity, fetch=fetch, cache=NoTiles()).verdict is Verdict.FORK
    # The published log is behind the larger note, and its tiles are not that note's.
    assert compare(a, larger, log=identity, fetch=fetch, cache=NoTiles()).verdict is Verdict.UNPROVED
    assert compare(a, larger, log=identity, fetch=LogInFolder(other.folder).fetch, cache=NoTiles()).verdict is (
        Verdict.FORK
    )


def test_a_state_is_read_back_and_never_moves_backwards(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    old, new = see(log.grow(10), keys.identity), see(log.grow(20), keys.identity)
    state = FollowState(keys.identity, new)
    assert FollowState.parse(state.to_json()) == state
    assert FollowState(keys.identity, old).advanced(new) == state
    with pytest.raises(CheckpointRefused):
        state.advanced(old)


def test_only_the_one_encoding_of_a_state_is_read(new_log: NewLog, keys: Keys) -> None:
    data = FollowState(keys.identity, see(new_log("a").grow(10), keys.identity)).to_json()
    for other in (
        data + b"\n",
        b" " + data,
        data.replace(b":", b": ", 1),
        data[:-1] + b',"more":1}',
        b"{}",
        b"[]",
        b"",
    ):
        with pytest.raises(CheckpointRefused):
            FollowState.parse(other)


@pytest.mark.soak
def test_any_changed_bit_of_a_state_is_refused(new_log: NewLog, keys: Keys) -> None:
    log = new_log("a")
    data = FollowState(keys.identity, see(log.grow(10), keys.identity)).to_json()
    step = max(1, len(data) * 8 // trials(400, full=len(data) * 8))
    for bit in range(0, len(data) * 8, step):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointRefused):
            FollowState.parse(bytes(changed))


def test_a_log_in_which_nothing_happens_is_fresh_as_long_as_it_is_signed_again(new_log: NewLog) -> None:
    log = new_log("a")
    log.grow(100)
    held = kept(follow(log))
    log.clock.advance(7201)
    assert follow(log, held, stale_after=7200).verdict is Verdict.STALE
    log.sign_again(3600)
    judged = follow(log, held, stale_after=7200)
    assert (judged.verdict, kept(judged).checkpoint.time) == (Verdict.SAME, log.clock())
    log.grow(200)
    assert follow(log, kept(judged), stale_after=7200).verdict is Verdict.GROWN
