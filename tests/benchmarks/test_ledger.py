"""The ledger's benchmark measures the real log, on both databases, and gives every target a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ledger import Line, audit, proofs, writes
from benchmarks.ledger_document import document
from benchmarks.ledger_peer import Peer
from ledger.merkle import HashAlg
from tests.ledger.parts import Keys, make_keys

PEER = Peer("0", 1000, 100.0, 1000.0, 100.0, 10.0)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return make_keys()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_writes_are_measured(kind: str, tmp_path: Path, keys: Keys) -> None:
    lines = list(writes(kind, tmp_path, keys, seconds=0.2, peer=PEER))
    assert [line.unit for line in lines] == ["per s", "s", "per s"]
    assert all(line.value > 0 and "met" in line.to_value() for line in lines)


def test_proofs_and_the_audit_are_measured(tmp_path: Path, keys: Keys) -> None:
    lines = [*proofs(HashAlg.SM3, 20_500, PEER), *audit(tmp_path, keys, 12_288, PEER)]
    assert all("met" in line.to_value() for line in lines)
    assert all(line.value > 0 for line in lines if not line.name.startswith("memory"))


def test_a_target_is_met_from_the_right_side() -> None:
    assert Line("rate", 11.0, "per s", 10.0).to_value()["met"] is True
    assert Line("rate", 9.0, "per s", 10.0).to_value()["met"] is False
    assert Line("time", 9.0, "s", 10.0, most=True).to_value()["met"] is True
    assert Line("time", 11.0, "s", 10.0, most=True).to_value()["met"] is False


def test_the_document_shows_every_figure_with_its_verdict() -> None:
    figures = [
        Line("appends", 12_345.0, "per s", 10_000, reference="pymerkle", reference_value=140.0, cpu_us=31.5).to_value(),
        Line("audit", 3.25, "s", 2.0, most=True).to_value(),
    ]
    text = document(
        {
            "cpu": {"name": "a processor", "cores": 2},
            "python": "3.11.0",
            "peer": {"name": "pymerkle", "version": "7.0.0"},
            "figures": figures,
        }
    )
    assert "| appends | 12,345 | per s | 31.5 | 140 (pymerkle) | 10,000 | met |" in text
    assert "| audit | 3.25 | s |  |  | 2.00 | **no** |" in text
