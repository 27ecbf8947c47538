"""`edutrust ledger check-proofs`: vectors of other people through the product's own verifiers."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from adapters.cli import main
from ledger.merkle import HashAlg
from tests.ledger.parts import naive_consistency, naive_hash, naive_path, naive_root
from tests.vectors_dir import shared

BODIES = [str(number).encode() for number in range(7)]


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def inclusion(**change: Any) -> dict[str, Any]:
    """Return a true inclusion vector of leaf 5 of 7, changed."""
    vector = {
        "leafIdx": 5,
        "treeSize": 7,
        "root": b64(naive_root(HashAlg.SHA256, BODIES)),
        "leafHash": b64(naive_hash(HashAlg.SHA256, b"\x00" + BODIES[5])),
        "proof": [b64(one) for one in naive_path(HashAlg.SHA256, 5, BODIES)],
        "desc": "made here",
        "wantErr": False,
    }
    return vector | change


def consistency(**change: Any) -> dict[str, Any]:
    """Return a true consistency vector from 3 to 7, changed."""
    vector = {
        "size1": 3,
        "size2": 7,
        "root1": b64(naive_root(HashAlg.SHA256, BODIES[:3])),
        "root2": b64(naive_root(HashAlg.SHA256, BODIES)),
        "proof": [b64(one) for one in naive_consistency(HashAlg.SHA256, 3, BODIES)],
        "desc": "made here",
        "wantErr": False,
    }
    return vector | change


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["ledger", "check-proofs", str(folder)])
    captured = capsys.readouterr()
    assert captured.err == ""
    report: dict[str, Any] = json.loads(captured.out)
    return code, report


def test_every_published_rfc_6962_vector_gets_the_verdict_it_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared("vectors/rfc6962-merkle")
    code, report = check(folder, capsys)
    count = len(list(folder.rglob("*.json")))
    assert count > 100
    assert (code, report) == (0, {"files": count, "agree": count, "disagree": []})


def test_true_vectors_agree_and_each_with_the_other_verdict_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep").mkdir()
    for name, vector in (
        ("good-inclusion", inclusion()),
        ("good-consistency", consistency()),
        ("deep/null-is-an-empty-proof", consistency(size2=3, root2=consistency()["root1"], proof=None)),
        ("bad-inclusion", inclusion(leafIdx=4, wantErr=True)),
        ("deep/beyond-64-bits", inclusion(treeSize=1 << 64, wantErr=True)),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(vector))
    (tmp_path / "notes.txt").write_text("not asked for")
    assert check(tmp_path, capsys) == (0, {"files": 5, "agree": 5, "disagree": []})
    for name, vector in (
        ("deep/accepted", inclusion(wantErr=True)),
        ("refused", consistency(root1=consistency()["root2"])),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(vector))
    code, report = check(tmp_path, capsys)
    assert (code, report["files"], report["agree"]) == (1, 7, 5)
    assert report["disagree"] == [
        {"file": "deep/accepted.json", "reason": "accepted here, must be refused"},
        {
            "file": "refused.json",
            "reason": "refused here (ledger.proof_refused field=root rule=equal), must be accepted",
        },
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("\N{SNOWMAN}" * 100, "not a JSON object"),
        ("[" * 5000, "not a JSON object"),
        (" " * 300_000, "larger than"),
        (json.dumps({"desc": "nothing in it"}), "wantErr"),
        (json.dumps(inclusion(wantErr=1)), "wantErr"),
        (json.dumps(inclusion(wantErr=None)), "wantErr"),
        (json.dumps({"wantErr": True, "proof": []}), "members"),
        (json.dumps(inclusion() | consistency()), "members"),
        (json.dumps(inclusion(leafIdx="5")), "leafIdx is not an integer"),
        (json.dumps(inclusion(leafIdx=True)), "leafIdx is not an integer"),
        (json.dumps(consistency(size1=3.0)), "size1 is not an integer"),
        (json.dumps(inclusion(root=None)), "root is not text"),
        (json.dumps(inclusion(leafHash="?")), "leafHash is not base64"),
        (json.dumps(inclusion(proof="AA==")), "proof is not a list"),
        (json.dumps(inclusion(proof=[1])), "proof is not text"),
        (json.dumps({name: value for name, value in inclusion().items() if name != "proof"}), "proof is not a list"),
    ],
)
def test_a_file_that_is_no_vector_is_a_disagreement_with_its_reason(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.json").write_text(text)
    code, report = check(tmp_path, capsys)
    assert (code, report["files"], report["agree"]) == (1, 1, 0)
    [odd] = report["disagree"]
    assert odd["file"] == "odd.json"
    assert odd["reason"].startswith("not a proof vector: ")
    assert reason in odd["reason"]


def test_nothing_to_check_is_not_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "check-proofs", str(tmp_path)]) == 1
    assert "nothing was checked" in capsys.readouterr().err
    assert main(["ledger", "check-proofs", str(tmp_path / "absent")]) == 1
    assert "is not a folder" in capsys.readouterr().err
