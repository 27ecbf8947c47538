"""The parsers under hypothesis and atheris: whatever comes in is refused or understood as another implementation does."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.crypto.fuzz.target import Target
from tests.crypto.fuzz.targets import TARGETS
from tests.scale import report, trials

ROOT: Final = Path(__file__).parents[2]
SEED: Final = 20261122
EXAMPLES: Final = trials(150, full=5_000)
RUNS: Final = trials(10_000, full=2_000_000)
# Each run of these costs a millisecond or more: libcrypto's points, ten thousand iterations, keys of other libraries.
SLOW: Final = frozenset(
    {"ciphertext_der", "jwk", "jwk_set", "private_key", "compact_jwe", "encrypted_key"}
    | {"sm2_verification", "sm2_opening", "sm2_product"}
)
# Octets that mean something in DER, PEM, base64 or JSON.
TELLING: Final = b"\x00\x01\x02\x03\x04\x05\x06\x30\x31\x7f\x80\x81\x82\xa0\xff\n\r\t \"'+,-./:=[]\\_{}019aAzZ"

each = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@st.composite
def edits(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Change something that is accepted a little: most of what a parser gets wrong lies near what it gets right."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("flip", "put", "insert", "cut", "graft"))):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "put" if at < len(data):
                data[at] = draw(st.sampled_from(TELLING))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del data[at : at + draw(st.integers(1, 8))]
            case _:
                other = draw(st.sampled_from(seeds))
                start = draw(st.integers(0, len(other)))
                data[at:at] = other[start : start + draw(st.integers(1, 40))]
    return bytes(data)


@each
def test_what_the_fuzzers_start_from_is_accepted(target: Target) -> None:
    assert target.seeds()
    assert all(target.check(seed) for seed in target.seeds())


@each
@pytest.mark.soak
def test_what_is_nearly_right_is_refused_or_understood_alike(target: Target) -> None:
    seeds = target.seeds()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(edits(seeds))
    def run(data: bytes) -> None:
        target.check(data)

    run()


@each
def test_any_bytes_are_refused_or_understood_alike(target: Target) -> None:
    @settings(max_examples=trials(60, full=5_000), deadline=None, derandomize=True)
    @given(st.binary(max_size=200))
    def run(data: bytes) -> None:
        target.check(data)

    run()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform")
@pytest.mark.parametrize("name", TARGETS)
def test_atheris_finds_nothing(name: str, tmp_path: Path) -> None:
    runs = RUNS // 10 if name in SLOW else RUNS
    flags = (f"-runs={runs}", f"-seed={SEED}", "-max_len=4096", "-timeout=60", "-verbosity=0", "-print_final_stats=1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.crypto.fuzz.run", name, *flags],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"stat::number_of_executed_units: {runs}" in done.stderr
    report(f"atheris {name}", target=str(200_000 if name in SLOW else 2_000_000), actual=str(runs), seed=SEED)
