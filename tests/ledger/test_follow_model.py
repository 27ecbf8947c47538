"""The follower's verdict against a model: any two logs with a common beginning of any length, in memory."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.follow import NoTiles
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.follow import Judgement, Verdict, compare, follow_round, judge_proof, see
from ledger.follow_state import evidence_files, parse_divergences
from ledger.layout import CHECKPOINT_NAME, TilePath
from ledger.merkle import HashAlg, empty_root, leaf_hash
from ledger.tiles import extend, right_edge, root_of_edge
from tests.ledger.parts import ORIGIN, Keys
from tests.scale import trials

# Sizes about the places where trees and tiles change their shape, and any others.
sizes = st.integers(0, 1100) | st.sampled_from([0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 768, 1023, 1024, 1025])


def published(bodies: list[bytes], time: int, keys: Keys, sm3: list[bytes] | None = None) -> dict[str, bytes]:
    """Return a log of these entries as its published files; `sm3`: of as many others in that tree alone."""
    size, files = len(bodies), {}
    roots: dict[HashAlg, bytes] = {}
    for alg in HashAlg:
        leaves = [leaf_hash(alg, body) for body in (sm3 if sm3 and alg is HashAlg.SM3 else bodies)]
        tiles = {tile.id: tile.data for tile in extend(alg, 0, {}, leaves)}
        files.update({str(TilePath(tile, len(data) // 32)): data for tile, data in tiles.items()})
        edge = {tile: tiles[tile] for tile, _ in right_edge(alg, size)}
        roots[alg] = root_of_edge(alg, size, edge) if size else empty_root(alg)
    checkpoint = Checkpoint(ORIGIN, size, roots[HashAlg.SHA256], roots[HashAlg.SM3], time)
    files[CHECKPOINT_NAME] = sign_checkpoint(checkpoint, sm2_key=keys.sm2, ed25519_key=keys.ed25519)
    return files


def judge(old: dict[str, bytes], new: dict[str, bytes], keys: Keys) -> Judgement:
    held = see(old[CHECKPOINT_NAME], keys.identity)
    return follow_round(
        keys.identity, held, fetch=lambda path, _: new.get(path), cache=NoTiles(), now=10, stale_after=None
    )


@pytest.mark.soak
@example(held=256, seen=255, common=1100)
@example(held=256, seen=257, common=255)
@example(held=257, seen=512, common=256)
@given(held=sizes, seen=sizes, common=sizes)
@settings(max_examples=trials(60, full=3000), deadline=None)
def test_a_log_that_kept_its_beginning_is_never_accused_and_one_that_did_not_always_is(
    keys: Keys, held: int, seen: int, common: int
) -> None:
    old = published([b"%d" % number for number in range(held)], 1, keys)
    new = published([b"%d" % number if number < common else b"x%d" % number for number in range(seen)], 2, keys)
    judged = judge(old, new, keys)
    if seen < held:
        expected = Verdict.ROLLBACK
    elif common < held:
        expected = Verdict.FORK
    else:
        expected = Verdict.SAME if seen == held else Verdict.GROWN
    assert judged.verdict is expected
    a, b = see(old[CHECKPOINT_NAME], keys.identity), see(new[CHECKPOINT_NAME], keys.identity)
    if expected is Verdict.FORK:
        # The evidence proves it to whoever has the keys, and proves nothing between the log and itself.
        [document] = [data for name, data in evidence_files(judged).items() if name.endswith(".json")]
        proof = parse_divergences(document)
        assert judge_proof(a, b, proof).verdict is Verdict.FORK
        assert judge_proof(b, b, proof).verdict is Verdict.SAME
    elif expected is not Verdict.ROLLBACK:
        fetched = compare(b, a, log=keys.identity, fetch=lambda path, _: new.get(path), cache=NoTiles())
        assert fetched.verdict is expected


@given(size=st.integers(1, 700), grown=st.integers(1, 700), which=st.sampled_from(HashAlg))
@settings(max_examples=trials(20, full=500), deadline=None)
def test_a_larger_log_that_rewrote_one_tree_alone_is_a_proved_fork(
    keys: Keys, size: int, grown: int, which: HashAlg
) -> None:
    """The two trees stand over the same entries; a log that lets them part has lied in one of them."""
    bodies = [b"%d" % number for number in range(size + grown)]
    others = [b"x", *bodies[1:]]
    old = published(bodies[:size], 1, keys)
    new = published(others, 2, keys, bodies) if which is HashAlg.SHA256 else published(bodies, 2, keys, others)
    judged = judge(old, new, keys)
    assert (judged.verdict, judged.trees) == (Verdict.FORK, (which,))


@pytest.mark.soak
@given(size=st.integers(1, 700), grown=st.integers(1, 700), data=st.data())
@settings(max_examples=trials(60, full=3000), deadline=None)
def test_whatever_one_file_becomes_no_fork_is_ever_seen_in_it(
    keys: Keys, size: int, grown: int, data: st.DataObject
) -> None:
    bodies = [b"%d" % number for number in range(size + grown)]
    old, new = published(bodies[:size], 1, keys), published(bodies, 2, keys)
    name = data.draw(st.sampled_from(sorted(new)))
    content = new[name]
    at = data.draw(st.integers(0, len(content) - 1))
    new[name] = content[:at] + data.draw(st.binary(max_size=40)) + content[at + data.draw(st.integers(0, 40)) :]
    verdict = judge(old, new, keys).verdict
    if new[name] == content:
        assert verdict is Verdict.GROWN
    elif name == CHECKPOINT_NAME:
        assert verdict is Verdict.UNSIGNED
    else:
        assert verdict in {Verdict.UNPROVED, Verdict.GROWN}
